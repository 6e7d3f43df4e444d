//! Plots about friends and neighbours.

use super::Plot;
use crate::data::tales::cast::World;
use crate::data::tales::words::{COLOR, COLORED_TOY, INTRO, PLACE, PLAIN_INTRO, TOY};

pub(super) const NEW_FRIEND: Plot = Plot {
    name: "someone new is made welcome",
    world: None,
    props: &[
        (
            "like",
            &[
                "drawing",
                "singing",
                "jumping in puddles",
                "telling stories",
                "climbing trees",
                "dancing",
                "collecting shells",
                "building towers",
                "picking berries",
                "flying kites",
                "making mud pies",
                "painting",
            ],
        ),
        (
            "sit",
            &[
                "on the steps",
                "under a tree",
                "on a log",
                "by the gate",
                "on a big stone",
                "behind the house",
            ],
        ),
    ],
    beats: &[
        PLAIN_INTRO,
        &[
            "One day, a new family moved in next door. They had a~ {f.kind} named {f}.",
            "A new {f.kind} had just moved in nearby. {f.His} name was {f}.",
        ],
        &[
            "{f} did not know anyone. {f.He} sat {sit}, all alone.",
            "{h} saw {f} sitting {sit}. {f.He} had no one to \
           play with.",
        ],
        &[
            "{h} wanted to say hello, but {h.he} felt shy.",
            "{h} was a little afraid. What if {f} did not like {h.him}?",
        ],
        &[
            "",
            "",
            "{h} asked {p} what to do. \"Just say hello and smile,\" said {p}.",
            "\"Go and say hello,\" said {p}. \"Maybe {f} feels shy too.\"",
        ],
        &[
            "So {h} took a deep breath and walked over. \"Hi! I am {h}. What do you like to do?\" {h.he} asked.",
            "{h} went to {f} and smiled. \"Hello, my name is {h}. What is your favorite thing to do?\" {h.he} asked.",
        ],
        &["\"I like {like},\" said {f} in a small voice.", "{f} looked up. \"I love {like},\" {f.he} said."],
        &[
            "\"I like {like} too!\" said {h}. \"Let's do it together!\"",
            "{h} laughed. \"Me too! Come with me,\" {h.he} said.",
        ],
        &["They spent the whole afternoon {like}.", "{f} jumped up, and soon they were busy {like}."],
        &[
            "",
            "",
            "When it got late, {p} brought them [apples and milk|warm bread|cookies], and they ate together {sit}.",
            "When the sun went down, {f} did not want to go home. \"Will you come back tomorrow?\" {f.he} asked. \"Of \
             course,\" said {h}.",
        ],
        &[
            "{f} was not lonely anymore. {h} and {f} were friends now.",
            "From that day on, {h} and {f} were best friends.",
            "{h} was so glad that {h.he} had said hello.",
        ],
    ],
};

pub(super) const SICK: Plot = Plot {
    name: "a sick friend is visited, and repays it",
    world: None,
    props: &[
        (
            "food",
            &[
                "warm soup",
                "hot tea with honey",
                "sweet porridge",
                "fresh bread",
                "apple juice",
                "rice pudding",
            ],
        ),
        (
            "gift",
            &[
                "a picture book",
                "a yellow flower",
                "a funny drawing",
                "a soft blanket",
                "a little bell",
                "a red \
          balloon",
            ],
        ),
        ("play", &["play ball", "go for a walk", "ride their bikes", "swim in the lake", "pick apples"]),
    ],
    beats: &[
        INTRO,
        &[
            "{h} and {h.his} friend {f} played together every day.",
            "{h.His} best friend was a~ {f.kind} named {f}.",
        ],
        &[
            "One {part}, they wanted to {play}, but {f} did not come.",
            "One {part}, {h} waited for {f}, but {f} did not come out to {play}.",
        ],
        &["{f} was sick and had to stay in bed.", "{h} went to look. {f} lay in bed with a red nose."],
        &[
            "",
            "",
            "\"Poor {f}!\" said {h}. \"I will make {f.him} feel better.\"",
            "{h} wanted to help. {h.He} asked {p} what was good for sick friends.",
        ],
        &[
            "{p} helped {h} to make {food}. {h} also took {gift} and went to see {f}.",
            "{p} gave {h} {food}, and {h} found {gift}. {h.He} carried it all to {f}.",
        ],
        &[
            "",
            "",
            "{f} sat up and smiled. \"You are so kind,\" {f.he} said.",
            "\"For me? Thank you!\" said {f}. {f.He} ate and drank and smiled at the present.",
        ],
        &["A few days later, {f} was well again.", "Soon {f} felt much better."],
        &[
            "But then {h} got sick too! Someone knocked at the door. It was {f}.",
            "The next week, it was {h} who had to stay in bed. Knock, knock! {f} came in.",
        ],
        &[
            "{f} had {food} and {gift}. \"Now it is my turn to help you,\" {f.he} said.",
            "\"You helped me, so now I help you,\" said {f}. {f.He} gave {h} {food} and {gift}.",
        ],
        &[
            "",
            "",
            "When both of them were well, they went out to {play}.",
            "{h} smiled. It was good to have a friend like {f}.",
            "Friends take care of each other.",
        ],
    ],
};

pub(super) const BORROW: Plot = Plot {
    name: "something borrowed is left behind and brought back",
    world: None,
    props: &[
        COLOR,
        TOY,
        COLORED_TOY,
        PLACE,
        (
            "when|then",
            &[
                "tomorrow|the next day",
                "on Sunday|on Sunday",
                "before dinner|before dinner",
                "tonight|that night",
                "on Friday|on Friday",
            ],
        ),
    ],
    beats: &[
        INTRO,
        &["{h} had a~ {t}. It was {h.his} favorite toy.", "{h.His} favorite toy was a~ {t}."],
        &[
            "One day, {h.his} friend {f} asked, \"May I borrow your {toy}? I will bring it back {when}.\"",
            "\"Can I take your {toy} home?\" asked {f}, {h.his} friend. \"You will have it back {when}.\"",
        ],
        &[
            "",
            "\"Yes, you can,\" said {h}, and gave {f} the {toy}.",
            "{h} thought about it and said yes. {f} took the {toy}.",
        ],
        &[
            "{f} went {to} with the {toy} and played there. Then {f.he} went home and left it {spot}.",
            "{f} played with the {toy} {at}. When it began to rain, {f} ran home, and the {toy} stayed {spot}.",
        ],
        &[
            "{h} came to get the {toy} {then}, but {f} did not have it.",
            "{f} had no {toy} to give back {then}.",
        ],
        &["", "", "\"Where is my {toy}?\" asked {h}.", "\"Do you have my {toy}?\" {h} asked."],
        &[
            "{f} told the truth. \"I am sorry, {h}. I took it {to}, and I left it {spot}.\"",
            "\"I must tell you something,\" said {f}. \"I forgot it {at}. I think it is {spot}.\"",
        ],
        &[
            "{h} was not angry. \"Let's go and look for it,\" {h.he} said.",
            "\"Thank you for telling me,\" said {h}. \"We will find it together.\"",
        ],
        &[
            "They went {to} and looked {spot}, and there was the {t}!",
            "So they ran {to}. The {t} was still {spot}!",
        ],
        &[
            "",
            "",
            "{f} cleaned the {toy} and gave it back to {h}.",
            "{f} picked up the {toy} and put it into {h}'s arms.",
        ],
        &[
            "After that, {f} took good care of everything {f.he} borrowed.",
            "\"You told the truth, so you can borrow it again,\" said {h}.",
            "{h} had the {toy} again, and {h.he} still had {h.his} friend.",
        ],
    ],
};

pub(super) const PICNIC: Plot = Plot {
    name: "rain surprises a picnic",
    world: None,
    props: &[
        ("food", &["bread", "cheese", "sandwiches", "warm pies", "pancakes", "rolls with butter"]),
        ("sweet", &["apples", "berries", "cookies", "pears", "honey cakes", "cherries", "plums"]),
        (
            "place",
            &["on the hill", "by the river", "in the meadow", "near the lake", "at the edge of the woods"],
        ),
        (
            "shelter|dry",
            &[
                "into a small cave|in the cave",
                "under an old bridge|under the bridge",
                "into an empty hut|in the hut",
                "into a barn|in the barn",
                "under the roof of a mill|under the roof of the mill",
            ],
        ),
    ],
    beats: &[
        INTRO,
        &[
            "One [sunny|warm] {part}, {h} and {h.his} friend {f} wanted to have a picnic {place}.",
            "One {part}, {h} said to {h.his} friend {f}, \"Let's have a picnic {place}!\"",
        ],
        &[
            "{h} packed {food}, and {f} brought {sweet}.",
            "They filled a basket with {food} and {sweet}. {f} carried the blanket.",
        ],
        &["", "", "They sat down {place} and began to eat.", "They put the blanket on the grass {place}."],
        &[
            "But then a dark cloud came. Plop! A drop fell on {h}'s nose.",
            "All of a sudden, the sky turned gray. {f} heard thunder far away.",
        ],
        &["Soon it began to rain hard.", "Then the rain came down."],
        &[
            "\"Run!\" shouted {f}. {h} took the basket, and they ran {shelter}.",
            "\"Quick, follow me!\" said {h}. They took everything and ran {shelter}.",
        ],
        &[
            "It was dry {dry}, but {f} looked sad. \"Our picnic is over,\" {f.he} said.",
            "They were safe {dry}. \"But what about our picnic?\" asked {f}.",
        ],
        &[
            "\"It is not over yet,\" said {h}. {h.He} put the blanket on the floor and took out the {sweet}.",
            "{h} smiled. \"We can have it right here,\" {h.he} said, and opened the basket.",
        ],
        &[
            "So they ate the {food} and the {sweet} {dry} and [told funny stories|sang songs|listened to the rain].",
            "They ate everything up and [told each other stories|sang all the songs they knew].",
        ],
        &[
            "",
            "",
            "When the rain stopped, there was a [big|bright] rainbow in the sky.",
            "At last, the sun came out again, and they saw a rainbow.",
        ],
        &[
            "\"This was the best picnic ever,\" said {f}.",
            "{h} and {f} walked home through the puddles. What a fine day!",
        ],
    ],
};

pub(super) const BIRTHDAY_CAKE: Plot = Plot {
    name: "a neighbour helps with a birthday cake",
    world: Some(World::Children),
    props: &[
        (
            "cake",
            &[
                "chocolate cake",
                "apple pie",
                "carrot cake",
                "lemon cake",
                "berry pie",
                "honey cake",
                "nut cake",
            ],
        ),
        ("item", &["eggs", "milk", "sugar", "flour", "butter"]),
        (
            "n|n.he",
            &[
                "Mrs. Brown|she",
                "Mr. Green|he",
                "Mrs. White|she",
                "Mr. Hill|he",
                "Miss Bell|she",
                "old Mr. Wood|he",
            ],
        ),
    ],
    beats: &[
        INTRO,
        &[
            "It was the birthday of {h.his} friend {f}, and {h} wanted to bake a~ {cake}.",
            "{h.His} friend {f} had a birthday. \"I will bake a~ {cake} for {f.him},\" said {h}.",
        ],
        &[
            "",
            "",
            "{p} got out a big bowl and a long spoon.",
            "{p} said, \"What a good idea! I will help you.\"",
        ],
        &[
            "But then {p} looked on the shelf. \"Oh no! We have no {item},\" {p.he} said.",
            "{h} and {p} wanted to start, but there was a problem. They had no {item}.",
        ],
        &[
            "{h} had an idea. {h.He} ran next door to {n}.",
            "\"I know who can help us,\" said {h}, and went to see {n}.",
        ],
        &[
            "\"Hello! We want to bake a~ {cake}. Do you have some {item} for us, please?\" {h.he} asked.",
            "\"Please, may I have some {item}? It is for a~ {cake},\" said {h}.",
        ],
        &["\"Of course!\" said {n}. {n.he} gave {h} some {item}.", "{n} smiled and gave {h} some {item}."],
        &[
            "",
            "",
            "{h} carried the {item} home very carefully.",
            "\"Thank you!\" said {h}, and took the {item} to {p}.",
        ],
        &[
            "Soon the {cake} was in the oven, and the whole house smelled sweet.",
            "{h} and {p} mixed everything together. Then the {cake} went into the oven.",
        ],
        &[
            "{f} clapped when {f.he} saw the {cake}. \"Is this for me?\" {f.he} asked.",
            "\"Happy birthday, {f}!\" said {h}. {f} was so happy that {f.he} danced around the {cake}.",
        ],
        &[
            "They ate and laughed, and {h} took a big piece to {n}.",
            "{h} did not forget who had helped. The first piece of the {cake} went to {n}.",
        ],
    ],
};
