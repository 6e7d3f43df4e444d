//! Plots that happen at home: nights, rooms, pets and food.

use super::Plot;
use crate::data::tales::cast::World;
use crate::data::tales::words::{COLOR, COLORED_TOY, INTRO, PLAIN_INTRO, TOY};

pub(super) const DARK: Plot = Plot {
    name: "a noise in the night turns out to be nothing",
    world: None,
    props: &[
        (
            "noise|source",
            &[
                "tap, tap, tap|a branch that tapped on the window",
                "creak, creak|the old door that moved in the wind",
                "swish, swish|the curtain that moved in the wind",
                "scratch, scratch|a twig that scratched the wall",
                "drip, drip, drip|the rain that dripped from the roof",
                "thump, thump|the apples that fell from the tree",
                "hoo, hoo|an owl that sat on the roof",
            ],
        ),
        ("light", &["small lamp", "candle", "bright light", "old lantern"]),
    ],
    beats: &[
        PLAIN_INTRO,
        &["{h} was afraid of the dark.", "{h} did not like the night, because it was so dark."],
        &[
            "One [windy|cold|dark] night, {h} lay in bed and heard a strange sound. \"{noise},\" it went.",
            "One night, {h} woke up. Something went, \"{noise}.\"",
        ],
        &[
            "",
            "",
            "\"Is it a monster?\" {h.he} whispered.",
            "{h}'s heart beat fast. \"What is that?\" {h.he} thought.",
        ],
        &[
            "{h} pulled the blanket over {h.his} head. \"{p.call}! Please come!\" {h.he} cried.",
            "{h} hid under the blanket and called, \"{p.call}! {p.call}!\"",
        ],
        &[
            "{p} came in with a~ {light}. \"What is the matter?\" {p.he} asked.",
            "{p} came at once. {p.He} had a~ {light} in {p.his} hand.",
        ],
        &["", "", "\"There is a monster! It goes {noise}!\" said {h}.", "\"I heard a monster,\" said {h}."],
        &[
            "\"Let's look together,\" said {p}. They looked under the bed. They looked behind the door.",
            "{p} took {h} by the hand. \"We will find out what it is,\" {p.he} said.",
        ],
        &[
            "Then they heard it again. It was only {source}!",
            "And what did they see? It was no monster. It was {source}.",
        ],
        &[
            "{h} began to laugh. \"That is not scary at all!\" {h.he} said.",
            "\"Oh!\" said {h}, and {h.he} smiled. \"How silly of me.\"",
        ],
        &[
            "",
            "",
            "{p} kissed {h} good night and left the {light} by the bed.",
            "{p} tucked {h} in and [sang a soft song|told {h.him} a short story].",
        ],
        &[
            "The next time something went, \"{noise},\" {h} just smiled and went back to sleep.",
            "From then on, {h} was not afraid when it went \"{noise}\" in the night.",
        ],
    ],
};

pub(super) const SLEEPLESS: Plot = Plot {
    name: "someone cannot sleep and dreams of a story",
    world: None,
    props: &[
        (
            "tale|dream",
            &[
                "a bear who flew to the moon|flew to the moon with a bear",
                "a small ship on a big sea|sailed over the sea in a small ship",
                "a star that fell from the sky|put a fallen star back in the sky",
                "a rabbit who had a garden of carrots|ate carrots in a garden with a rabbit",
                "a king who lived in a castle of cake|danced with a king in a castle of cake",
                "a snail who won a race|ran a race with a snail",
                "a whale who sang songs|sang songs in the sea with a whale",
            ],
        ),
        ("drink", &["warm milk", "water", "tea with honey"]),
        ("count", &["sheep", "stars", "clouds", "fish"]),
    ],
    beats: &[
        INTRO,
        &[
            "One night, {h} could not sleep. {h.He} turned to the left, and {h.he} turned to the right.",
            "One night, {h} was still wide awake. The moon looked in at the window.",
        ],
        &[
            "\"{p.call}, I can't sleep,\" {h} called.",
            "{h} got up and went to {p}. \"I am not tired,\" {h.he} said.",
        ],
        &[
            "",
            "",
            "{p} brought {h.him} a cup of {drink}. {h} drank it up, but {h.he} was still awake.",
            "\"Maybe you are thirsty,\" said {p}, and gave {h} some {drink}. It was good, but it did not help.",
        ],
        &[
            "",
            "",
            "\"Try to count {count},\" said {p}. \"One, two, three,\" said {h}, all the way to twenty.",
            "Then {h} counted {count}. {h.He} counted to a hundred and still did not sleep.",
        ],
        &[
            "\"I will tell you a story,\" said {p}. {p.He} sat down on the bed.",
            "So {p} sat down next to {h} and began to tell a story.",
        ],
        &["It was about {tale}.", "It was a story about {tale}."],
        &[
            "{h} listened. {h.His} eyes grew heavy.",
            "{p} spoke in a soft voice, and {h} closed {h.his} eyes to listen.",
        ],
        &[
            "Before the story was over, {h} was fast asleep.",
            "When {p} said, \"The end,\" {h} did not hear it. {h.He} was asleep.",
        ],
        &[
            "",
            "",
            "{p} kissed {h} and turned off the light.",
            "{p} smiled, pulled up the blanket and went out on tiptoe.",
        ],
        &[
            "That night, {h} dreamed that {h.he} {dream}.",
            "And what did {h} dream about? {h.He} dreamed that {h.he} {dream}.",
        ],
    ],
};

pub(super) const TIDY: Plot = Plot {
    name: "a tidy room gives back what it hid",
    world: Some(World::Children),
    props: &[
        COLOR,
        TOY,
        COLORED_TOY,
        (
            "spot",
            &[
                "under the bed",
                "behind the door",
                "in a shoe",
                "under a heap of clothes",
                "behind the curtain",
                "at the bottom of the toy box",
                "between two pillows",
            ],
        ),
        ("mess", &["socks", "books", "blocks", "crayons", "shirts"]),
    ],
    beats: &[
        INTRO,
        &[
            "{h} never cleaned {h.his} room. There were {mess} and toys all over the floor.",
            "{h.His} room was always a mess, with {mess} everywhere.",
        ],
        &[
            "",
            "",
            "\"Please clean your room,\" said {p}. \"Later,\" said {h}.",
            "{p} often asked {h} to clean up, but {h} did \
           not want to.",
        ],
        &[
            "One {part}, {h.his} friend {f} came to play. \"Let's play with your {t}!\" said {f}.",
            "One {part}, {h} wanted to show a~ {t} to {h.his} friend {f}.",
        ],
        &[
            "{h} looked for the {toy}, but {h.he} could not find it.",
            "But where was the {toy}? {h} looked and looked.",
        ],
        &[
            "",
            "",
            "\"It must be here in this mess!\" said {h}. {h.He} was sad.",
            "\"I lost my {toy}!\" cried {h}.",
        ],
        &[
            "\"If we clean up, we will find it,\" said {f}. \"I will help you.\"",
            "{f} looked around and laughed. \"No one can find anything here. Let's clean up!\" {f.he} said.",
        ],
        &[
            "So they began. {h} picked up the {mess}, and {f} put the toys into a box.",
            "{f} picked up all the {mess}. {h} put everything on the shelf.",
        ],
        &[
            "Then {h} looked {spot}. \"Here it is!\" {h.he} shouted. It was the {t}!",
            "And there, {spot}, was the {t}!",
        ],
        &[
            "",
            "",
            "The room was clean, and now they had space to play.",
            "{p} came in. \"What a nice room!\" {p.he} said.",
        ],
        &[
            "{h} and {f} played with the {toy} for the rest of the {part}.",
            "\"Now I will always put my {toy} on the shelf,\" said {h}. And {h.he} did.",
        ],
    ],
};

pub(super) const STRAY: Plot = Plot {
    name: "a hungry stray finds a home",
    world: Some(World::Children),
    props: &[
        ("pet|sound", &["puppy|barked", "kitten|meowed"]),
        COLOR,
        ("name", &["Lucky", "Biscuit", "Snowy", "Shadow", "Button", "Pepper", "Cookie", "Cloud"]),
        ("food", &["a piece of bread", "a bowl of milk", "a bit of cheese", "some meat", "a piece of fish"]),
        ("bed", &["old box", "basket", "drawer", "big hat"]),
    ],
    beats: &[
        INTRO,
        &[
            "One rainy {part}, {h} heard a sound at the door. {h.He} opened it.",
            "One {part}, it rained hard. {h} looked out and saw something small by the door.",
        ],
        &[
            "It was a little {pet}. It was wet and cold, and it had no home.",
            "There sat a tiny {pet}. It looked up at {h} and {sound}.",
        ],
        &["\"You must be hungry,\" said {h}, and gave it {food}.", "{h} took it inside and gave it {food}."],
        &["", "", "The {pet} ate it all up.", "The {pet} was so hungry that it ate everything at once."],
        &[
            "\"{p.call}, may I keep it?\" asked {h}.",
            "{h} ran to {p}. \"Look! Can it stay with us?\" {h.he} asked.",
        ],
        &[
            "\"Maybe someone is looking for it,\" said {p}. \"If no one comes, it may stay.\"",
            "{p} thought for a while. \"First we must ask if it belongs to someone,\" {p.he} said.",
        ],
        &[
            "{h} made a bed for the {pet} in a~ {bed} with a~ {color} blanket.",
            "{h} put a~ {color} blanket into a~ {bed}. That was the bed of the {pet}.",
        ],
        &[
            "They asked all the people on the street, but the {pet} belonged to no one.",
            "They waited for many days, but no one came to get it.",
        ],
        &[
            "\"Then it can stay,\" said {p}. {h} jumped for joy. \"I will call you {name}!\" {h.he} said.",
            "So the {pet} stayed, and {h} called it {name}.",
        ],
        &[
            "{name} slept on the {color} blanket every night and was never hungry again.",
            "Every night, {name} sleeps in the {bed}, right next to {h}'s bed.",
        ],
    ],
};

pub(super) const GREEDY: Plot = Plot {
    name: "too many sweets, and a lesson",
    world: None,
    props: &[
        ("treat", &["cookies", "cherries", "plums", "pancakes", "honey cakes", "berry pies", "muffins"]),
        ("n", &["one", "two", "three"]),
        ("guest", &["for the party", "for our guests", "for dinner", "for tomorrow"]),
        ("away", &["to get water", "out to the garden", "to see a friend", "out for a walk"]),
    ],
    beats: &[
        PLAIN_INTRO,
        &["{h} loved {treat} more than anything.", "{h.His} favorite food was {treat}."],
        &[
            "One {part}, {p} put a big plate of {treat} on the table. The whole house smelled sweet.",
            "One {part}, there was a big bowl full of {treat} in the kitchen.",
        ],
        &[
            "\"You may have {n} now,\" said {p}. \"The rest is {guest}.\"",
            "\"Please take only {n},\" said {p}. \"We need the others {guest}.\"",
        ],
        &["Then {p} went {away}.", "{p} went {away}, and {h} was alone."],
        &[
            "{h} ate {n}. They looked so good! \"I will take one more,\" {h.he} said.",
            "{h} took {n}, and then one more, and then another one.",
        ],
        &[
            "{h} ate and ate. Soon there were no {treat} left.",
            "{h.He} could not stop. In the end, all the {treat} \
           were gone.",
        ],
        &["Then {h}'s tummy began to hurt. \"Ouch!\" {h.he} said.", "But oh, how {h.his} tummy hurt!"],
        &[
            "{p} came back and saw that there was nothing left. \"What happened?\" {p.he} asked.",
            "When {p} came home, {h} was lying on the floor. \"What is wrong?\" asked {p}.",
        ],
        &[
            "\"I ate all the {treat},\" said {h}. \"I am very sorry.\"",
            "{h} began to cry. \"You said {n}, but I ate them all,\" {h.he} said.",
        ],
        &[
            "",
            "",
            "{p} gave {h} some tea and let {h.him} rest. \"Now you know why,\" {p.he} said.",
            "{p} was not angry. {p.He} put {h} to bed with a warm blanket.",
        ],
        &[
            "The next day, {h} helped {p} to get more {treat}. This time, {h.he} took only {n}.",
            "Since that day, {h} takes only {n}, even when no one is looking.",
        ],
    ],
};
