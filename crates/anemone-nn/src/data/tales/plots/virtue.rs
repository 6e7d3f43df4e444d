//! Plots about doing what is right.

use super::Plot;
use crate::data::tales::cast::World;
use crate::data::tales::words::{COLOR, COLORED_TOY, INTRO, PLACE, PLAIN_INTRO};

pub(super) const BROKEN: Plot = Plot {
    name: "something breaks and the truth is told",
    world: Some(World::Children),
    props: &[
        COLOR,
        ("thing", &["vase", "cup", "plate", "lamp", "bowl", "jar", "clock"]),
        ("hide", &["under the bed", "behind the sofa", "in a box", "under the rug", "in the closet"]),
        ("ball", &["a ball", "a toy plane", "a hoop", "a jump rope"]),
    ],
    beats: &[
        PLAIN_INTRO,
        &[
            "{p} had a~ {color} {thing} that {p.he} loved very much.",
            "On the table stood a~ {color} {thing}. It belonged to {p}.",
        ],
        &[
            "",
            "\"Do not play near the {thing},\" {p} always said.",
            "\"Please be careful with the {thing},\" said {p}.",
        ],
        &[
            "One {part}, {p} was out. {h} played with {ball} in the house.",
            "It was a rainy {part}, so {h} played inside with {ball}.",
        ],
        &[
            "Crash! The {thing} fell down and broke into many pieces.",
            "Oh no! {h} hit the {thing}, and it fell to the floor and broke.",
        ],
        &[
            "{h} was scared. {h.He} picked up the pieces and hid them {hide}.",
            "\"{p} will be so angry,\" thought {h}. {h.He} put all the pieces {hide}.",
        ],
        &[
            "Later, {p} came home. \"Where is my {thing}?\" {p.he} asked.",
            "When {p} came back, {p.he} saw that the \
           {thing} was gone.",
        ],
        &[
            "",
            "{h}'s tummy felt funny. {h.He} did not like to lie.",
            "{h} looked at the floor. {h.His} face was hot.",
        ],
        &[
            "\"I broke it,\" said {h} at last. \"I hid the pieces {hide}. I am so sorry.\"",
            "Then {h} told the truth. \"I broke the {thing}, and the pieces are {hide},\" {h.he} said.",
        ],
        &[
            "{p} was sad about the {thing}, but {p.he} hugged {h}. \"Thank you for telling me,\" {p.he} said.",
            "{p} was quiet for a moment. Then {p.he} said, \"I am glad that you told me the truth.\"",
        ],
        &[
            "They looked {hide} and found all the pieces. Together they [glued|put] the {thing} back together.",
            "They got the pieces and some glue, and soon the {color} {thing} stood on the table again.",
        ],
        &[
            "",
            "After that, {h} only played outside with {ball}.",
            "{h} felt light and happy. It is good to tell the truth.",
        ],
    ],
};

pub(super) const FOUND: Plot = Plot {
    name: "something found is given back",
    world: Some(World::Children),
    props: &[
        PLACE,
        (
            "item|thing|owner|o.he|why",
            &[
                "brown purse|purse|old woman|she|The key to my house is in it",
                "silver ring|ring|young woman|she|My mother gave it to me",
                "blue wallet|wallet|tall man|he|All my money is in it",
                "gold watch|watch|old man|he|It belonged to my father",
                "black bag|bag|doctor|she|I need it to help sick people",
                "green hat|hat|farmer|he|It keeps the sun off my head",
                "red notebook|notebook|teacher|she|I write all my songs in it",
            ],
        ),
        ("sweet", &["a shiny coin", "a sweet apple", "a cookie", "a big hug", "a pretty flower"]),
    ],
    beats: &[
        INTRO,
        &[
            "One {part}, {h} was {at} with {h.his} friend {f}.",
            "One {part}, {h} and {h.his} friend {f} went for a walk {to}.",
        ],
        &[
            "{h} looked {spot} and saw a~ {item}. Someone had lost it.",
            "\"Look, there is something {spot}!\" said {h}. It was a~ {item}.",
        ],
        &[
            "\"You can keep it,\" said {f}. \"No one will know.\"",
            "\"How lucky you are!\" said {f}. \"Now it is yours.\"",
        ],
        &[
            "{h} shook {h.his} head. \"No, it is not mine. Someone may be very sad now,\" {h.he} said.",
            "{h} liked the {thing}, but {h.he} said, \"It does not belong to me.\"",
        ],
        &[
            "",
            "So they went to look for the owner.",
            "They asked everyone they met, \"Did you lose a~ {item}?\"",
        ],
        &[
            "After a while, they saw a~ {owner} who looked at the ground and walked up and down.",
            "Then they met a~ {owner}. {o.he} was looking for something.",
        ],
        &[
            "\"Excuse me, is this yours?\" asked {h}, and held up the {thing}.",
            "{h} showed the {owner} the {thing}. \"Is it yours?\" {h.he} asked.",
        ],
        &[
            "\"Yes, that is my {thing}!\" said the {owner}. \"{why}.\"",
            "The {owner} was so happy. \"My {thing}! Thank you! {why},\" {o.he} said.",
        ],
        &["", "{o.he} gave {h} {sweet} to say thank you.", "To thank {h}, the {owner} gave {h.him} {sweet}."],
        &[
            "\"You were right,\" said {f}. \"It feels good to be honest.\"",
            "{h} walked home with {f}. {h.He} felt warm inside.",
        ],
    ],
};

pub(super) const WISH: Plot = Plot {
    name: "a wish is used for a friend",
    world: None,
    props: &[
        COLOR,
        (
            "toy",
            &["doll", "drum", "toy car", "toy train", "toy boat", "toy plane", "kite", "music box", "yo-yo"],
        ),
        COLORED_TOY,
        (
            "giver|stuck|free",
            &[
                "tiny golden fish|in a net|cut the net",
                "little green frog|under a stone|lifted the stone",
                "small white bird|in a thorn bush|bent the thorns back",
                "shiny beetle|in a deep hole|put a stick into the hole",
                "silver butterfly|in a spider web|broke the web",
            ],
        ),
        ("want", &["a new bike", "a mountain of sweets", "a pony", "a castle", "a boat"]),
    ],
    beats: &[
        INTRO,
        &[
            "{h.His} friend {f} was sad, because {f.his} {t} was broken.",
            "{h} had a friend named {f}. One day, {f}'s {t} broke, and {f} cried and cried.",
        ],
        &[
            "The next {part}, {h} went for a walk and found a~ {giver}. It was stuck {stuck}.",
            "On the way home, {h} saw a~ {giver}. It was stuck {stuck}.",
        ],
        &["", "\"Please help me!\" it called in a small voice.", "\"Help!\" it cried. \"I can't get out!\""],
        &["{h} {free}, and the {giver} was free.", "\"Wait, I will help you,\" said {h}. {h.He} {free}."],
        &[
            "\"Thank you,\" it said. \"I am magic. You may have one wish.\"",
            "\"You are kind,\" said the {giver}. \"Now I will give you one wish.\"",
        ],
        &[
            "{h} thought of {want}. {h.He} had always wanted that.",
            "\"I could wish for {want},\" {h} thought.",
        ],
        &["But then {h.he} thought of {f}.", "Then {h} remembered how sad {f} was."],
        &[
            "\"I wish that {f}'s {toy} was whole again,\" {h.he} said.",
            "\"Please fix the {t} of my friend {f},\" said {h}.",
        ],
        &["", "The {giver} smiled and was gone.", "There was a flash of light, and the {giver} was gone."],
        &[
            "The next morning, {f} came running. \"Look! My {toy} is not broken anymore!\" {f.he} cried.",
            "When {h} came to {f}'s house, {f} was laughing. The {t} was as good as new!",
        ],
        &[
            "{h} did not get {want}, but seeing {f} smile was better.",
            "{h} never told {f} about the wish. {h.He} was just glad.",
        ],
    ],
};

pub(super) const SMALL_HELPS_BIG: Plot = Plot {
    name: "a small one saves a big one",
    world: Some(World::Animals),
    props: &[
        ("big", &["wolf", "lion", "horse", "bull", "moose", "tiger"]),
        (
            "trap|cut",
            &[
                "in a net|bit the ropes, one by one",
                "under a fallen tree|dug a hole under the tree",
                "in a thick bush|bit off the branches, one by one",
                "in the deep mud|laid sticks on the mud, one by one",
            ],
        ),
        ("where", &["in the forest", "near the river", "by the hills", "in the valley"]),
    ],
    beats: &[
        &[
            "Once upon a time, there was a very small {h.kind} named {h}.",
            "{h} was the smallest {h.kind} {where}.",
        ],
        &[
            "One day, {h} met a big {big}. \"Go away! You are too small to be my friend,\" said the {big}.",
            "A big {big} lived nearby. It always laughed at {h}. \"You are so small that you are good for nothing,\" \
             it said.",
        ],
        &[
            "",
            "\"Even small ones can help,\" said {h}. The {big} only laughed.",
            "{h} was sad. \"One day I may help you,\" {h.he} said.",
        ],
        &[
            "A few days later, {h} heard a loud cry {where}.",
            "Then one {part}, there was a loud noise {where}. {h} ran to see what it was.",
        ],
        &["It was the {big}! It was stuck {trap}.", "The {big} was stuck {trap} and could not get out."],
        &["", "\"Help me, please!\" it called.", "\"I can't move! Who can help me?\" it cried."],
        &[
            "{h} was not afraid. \"Hold still,\" {h.he} said.",
            "\"I will help you,\" said {h}, and {h.he} set to work.",
        ],
        &["{h.He} {cut}. It took a long time.", "{h} {cut}, and {h.he} did not stop to rest."],
        &["At last, the {big} was free!", "Then the {big} gave one big push, and it was free."],
        &[
            "\"I was wrong,\" said the {big}. \"You are small, but you have a big heart.\"",
            "The {big} bowed its head. \"Thank you, {h}. I am sorry that I laughed at you,\" it said.",
        ],
        &[
            "From that day on, the {big} and the little {h.kind} were friends.",
            "Now {h} rides on the back of the {big}, and no one laughs at {h.him}.",
        ],
    ],
};

pub(super) const PRESENT: Plot = Plot {
    name: "a present is spoiled and made anew",
    world: None,
    props: &[
        ("color", &["red", "blue", "yellow", "purple", "orange", "pink", "white"]),
        (
            "gift|parts|made",
            &[
                "crown|{color} flowers|tied the flowers together",
                "necklace|{color} berries|put the berries on a string",
                "basket|long green grass|wove the grass into a little basket",
                "picture|{color} leaves|laid the leaves on paper to make a big sun",
                "wreath|{color} flowers|bent the flowers into a ring",
            ],
        ),
        (
            "mishap",
            &[
                "it fell into the mud",
                "the wind blew it into the pond",
                "{h.he} slipped and sat on it",
                "a goat came and took a big bite",
                "it fell into a puddle",
            ],
        ),
        (
            "to|spot",
            &[
                "to the garden|[next to the well|beside the gate|behind the shed]",
                "to the woods|[under the old oak|behind a big rock|beside the stream]",
                "to the meadow|[in the tall grass|beside a white stone|near the brook]",
                "up the hill|[beside the path|near a stone wall|under a bush]",
                "to the farm|[behind the barn|next to the fence|near the old cart]",
            ],
        ),
    ],
    beats: &[
        INTRO,
        &[
            "It was the birthday of {p}. {h} wanted to give {p.him} a~ {gift}.",
            "The next day was {p}'s birthday. \"I will make a~ {gift},\" said {h}.",
        ],
        &["{h} took {parts} and {made}.", "With {parts}, {h} went to work. {h.He} {made}."],
        &["", "The {gift} was very pretty.", "At last, the {gift} was ready. It looked so nice!"],
        &[
            "On the way home, {mishap}. The {gift} was ruined!",
            "{h} wanted to bring it to {p}, but then {mishap}. What a pity!",
        ],
        &[
            "",
            "{h} cried. \"Now I have nothing to give,\" {h.he} said.",
            "\"Oh no! What can I do now?\" said {h}.",
        ],
        &[
            "{f}, {h.his} friend, came by. \"Don't worry,\" {f.he} said. \"I know where to find more {parts}.\"",
            "{h.His} friend {f} saw what had happened. \"We can make a new one together,\" {f.he} said.",
        ],
        &[
            "They went {to} and found more {parts} {spot}.",
            "{f} took {h} {to}. There, {spot}, they found more {parts}.",
        ],
        &["Again {h} {made}, and {f} helped.", "{f} helped, and {h} {made} once more."],
        &[
            "",
            "This time, {h} carried the {gift} very carefully.",
            "{f} walked next to {h} all the way, so nothing could \
           happen.",
        ],
        &[
            "\"Happy birthday!\" said {h}. {p} looked at the {gift} and smiled. \"I love it,\" {p.he} said.",
            "{p} was so happy. \"This is the best {gift} in the world,\" {p.he} said, and gave {h} a kiss.",
        ],
        &["", "{h} told {p} about {f}, and all three had cake.", "{h} thanked {f} for the help."],
    ],
};
