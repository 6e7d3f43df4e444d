//! Plots about plants, animals and the world outside.

use super::Plot;
use crate::data::tales::cast::World;
use crate::data::tales::words::{INTRO, PLACE};

pub(super) const RESCUE: Plot = Plot {
    name: "an animal in trouble is saved with a grown-up's help",
    world: Some(World::Children),
    props: &[
        PLACE,
        (
            "pet|where|first|fix",
            &[
                "kitten|up in a tall tree|called the kitten, but it was too scared to come down|brought a ladder and \
             carried the kitten down",
                "puppy|in a deep hole|reached down, but {h.his} arms were too short|climbed into the hole and lifted the \
             puppy out",
                "duckling|behind a wire fence|pulled at the fence, but it was too strong|cut a hole in the fence, and \
             the duckling came out",
                "bird|in a thorn bush|reached into the bush, but the thorns were too sharp|put on thick gloves and \
             lifted the bird out",
                "lamb|in the mud|pulled and pulled, but the lamb did not move|put a board on the mud and pulled the lamb \
             out",
                "turtle|on its back|tried to turn it over, but it was too heavy|took a strong stick and turned the turtle \
             over",
            ],
        ),
    ],
    beats: &[
        INTRO,
        &[
            "One {part}, {h} was playing {at}. Then {h.he} heard a [soft|sad|small] sound.",
            "One {part}, {h} went {to}. \"What is that sound?\" {h.he} said.",
        ],
        &[
            "It was a little {pet}. It was stuck {where}.",
            "{h} looked around and saw a {pet} that was stuck {where}.",
        ],
        &[
            "",
            "",
            "\"You poor thing!\" said {h}. \"I will help you.\"",
            "The {pet} looked at {h} with big, sad eyes.",
        ],
        &["{h} tried to help. {h.He} {first}.", "{h} {first}."],
        &[
            "",
            "",
            "\"Wait here. I will get help,\" {h.he} told the {pet}.",
            "{h} did not know what to do. Then {h.he} had an idea.",
        ],
        &[
            "{h} ran home. \"{p.call}, please come! A {pet} is stuck {where}!\" {h.he} said.",
            "{h} ran as fast as {h.he} could to get {p}.",
        ],
        &["{p} came at once. {p.He} {fix}.", "{p} knew what to do. {p.He} {fix}."],
        &["The {pet} was free!", "\"Hurray!\" shouted {h}. \"You did it!\""],
        &[
            "",
            "",
            "{h} gave the {pet} some water and stroked it.",
            "The {pet} was not hurt. It looked at {h} as if to say thank you.",
        ],
        &[
            "Then its mother came, and they went away together. {h} waved goodbye.",
            "\"You did the right thing,\" said {p}. \"When something is too hard, you can ask for help.\"",
            "{h} was proud and happy. {h.He} had saved a {pet}!",
        ],
    ],
};

pub(super) const SEED: Plot = Plot {
    name: "a seed needs patience",
    world: None,
    props: &[
        (
            "plant|result",
            &[
                "sunflower|a tall yellow sunflower",
                "pumpkin|a big orange pumpkin",
                "bean|a bean plant as high as the roof",
                "strawberry|a plant full of sweet red strawberries",
                "poppy|a bright red poppy",
                "tomato|a plant with round red tomatoes",
            ],
        ),
        (
            "where",
            &[
                "in a pot by the window",
                "near the fence",
                "behind the house",
                "next to the old gate",
                "in the garden",
                "beside the path",
            ],
        ),
    ],
    beats: &[
        INTRO,
        &[
            "One spring {part}, {p} gave {h} a tiny seed. \"It is a {plant} seed,\" {p.he} said.",
            "In spring, {h} got a {plant} seed from {p}. It was very small.",
        ],
        &[
            "\"Plant it and give it water every day,\" said {p}. \"And then you must wait.\"",
            "\"What do I have to do?\" asked {h}. \"Give it water and wait,\" said {p}.",
        ],
        &["{h} planted the seed {where}.", "{h} made a hole {where} and put the seed into it."],
        &[
            "Every morning, {h} looked at the spot, but there was only dirt.",
            "One day went by, and two, and three. Nothing happened.",
        ],
        &[
            "{h.His} friend {f} laughed. \"Nothing will ever grow there,\" {f.he} said.",
            "\"Your seed is asleep,\" said {f}, {h.his} friend. \"It will never wake up.\"",
        ],
        &[
            "But {h} did not stop. {h.He} gave the seed water every day.",
            "{h} was sad, but {h.he} still gave the seed water and waited.",
        ],
        &[
            "Then, one morning, {h} saw a tiny green leaf. \"It is growing!\" {h.he} shouted.",
            "After two weeks, something green came out of the ground. \"Look! Look!\" cried {h}.",
        ],
        &["", "", "It grew and grew all summer.", "The little plant got bigger every day."],
        &["In the end, there was {result}.", "At the end of summer, {result} stood {where}."],
        &[
            "\"You were right to wait,\" said {f}. \"It is beautiful.\"",
            "{f} could not believe {f.his} eyes. \"Can I plant a seed too?\" {f.he} asked.",
        ],
        &[
            "",
            "",
            "{h} and {p} were very proud.",
            "{h} smiled. Good things take time.",
            "{h} gave {f} a seed, and they planted it together.",
        ],
    ],
};

pub(super) const ASTRAY: Plot = Plot {
    name: "someone gets lost and remembers what to do",
    world: None,
    props: &[
        (
            "at|work",
            &[
                "in the woods|pick mushrooms",
                "by the river|catch fish",
                "in the meadow|pick flowers",
                "in the hills|gather berries",
                "at the big market|buy apples",
            ],
        ),
        (
            "lure",
            &[
                "a yellow butterfly",
                "a blue bird",
                "a shiny dragonfly",
                "a white feather in the wind",
                "a little \
          frog",
            ],
        ),
        (
            "mark",
            &[
                "beside a big rock",
                "under a tall tree",
                "next to a fallen log",
                "by an old well",
                "near a red cart",
            ],
        ),
    ],
    beats: &[
        INTRO,
        &[
            "One {part}, {h} and {p} were {at} to {work}.",
            "One {part}, {p} wanted to {work}, and {h} came along. They had a lot of fun {at}.",
        ],
        &[
            "\"Stay close to me,\" said {p}. \"If you get lost, stop and call my name.\"",
            "\"If you can't see me, stay where you are and call me,\" said {p}.",
        ],
        &[
            "Then {h} saw {lure}. It was so pretty! {h.He} ran after it.",
            "But {h} saw {lure} and forgot everything else. {h.He} ran after it, on and on.",
        ],
        &[
            "When {h} stopped, {h.he} could not see {p} anymore.",
            "After a while, {h} looked back. Where was {p}? {h.He} was all alone.",
        ],
        &[
            "",
            "",
            "{h} was afraid and began to cry.",
            "\"I am lost!\" said {h}, and {h.his} legs began to shake.",
        ],
        &["Then {h.he} remembered what {p} had said.", "But then {h} thought of the words of {p}."],
        &[
            "{h} stopped {mark} and called, \"{p.call}! {p.call}! I am here!\"",
            "{h.He} sat down {mark}, and {h.he} called as loud as {h.he} could, \"{p.call}!\"",
        ],
        &[
            "{p} heard the call. {p.He} ran and ran, and there was {h}, {mark}.",
            "It was not long before {p} came. {p.He} found {h} {mark}.",
        ],
        &["", "", "{p} held {h} tight. \"I was so worried,\" {p.he} said.", "They hugged for a long time."],
        &[
            "\"I did what you told me,\" said {h}. \"I stopped and called you.\" \"That was very clever,\" said {p}.",
            "\"I am sorry that I ran away,\" said {h}. \"You stopped and called me. That was right,\" said {p}.",
        ],
        &["", "", "Hand in hand, they went home.", "After that, {h} always stayed close to {p}."],
    ],
};
