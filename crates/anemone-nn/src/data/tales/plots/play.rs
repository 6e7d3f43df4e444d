//! Plots about play: things lost, shared, built and learned.

use super::Plot;
use crate::data::tales::words::{COLOR, COLORED_TOY, GAME, INTRO, PLACE, PLAIN_INTRO, TOY};

pub(super) const LOST: Plot = Plot {
    name: "a toy is lost and found where it was left",
    world: None,
    props: &[COLOR, TOY, COLORED_TOY, PLACE, GAME],
    beats: &[
        INTRO,
        &[
            "{h} had a~ {t} and took it everywhere.",
            "{h.His} favorite thing was a~ {t}.",
            "More than anything else, {h} loved {h.his} {t}.",
        ],
        &[
            "One [sunny|warm|bright] {part}, {h} went {to} with {h.his} friend {f}.",
            "One {part}, {h} and {h.his} friend {f} took the {toy} {to}.",
        ],
        &[
            "{h} put the {toy} down {spot} and ran off to {game} with {f}.",
            "{h} left the {toy} {spot} so that {h.he} could {game} with {f}.",
            "The {toy} was in the way, so {h} set it down {spot} and went to {game} with {f}.",
        ],
        &[
            "",
            "They [played|laughed and played] for a long time.",
            "It was so much fun that {h} forgot all about the {toy}.",
            "The two friends had so much fun that they forgot the time.",
        ],
        &[
            "When it was time to go home, {h} looked around. The {toy} was gone!",
            "Then {h} stopped. \"Oh no! Where is my {toy}?\" {h.he} cried.",
            "Soon the sun was low. \"My {toy}! It is not here!\" said {h}.",
        ],
        &[
            "",
            "{h} [felt very sad|began to cry|wanted to cry].",
            "A [big|small] tear rolled down {h}'s cheek.",
        ],
        &[
            "\"Don't worry,\" said {f}. \"Where did you have it last?\"",
            "{f} gave {h} a hug. \"Let's think. Where did you put it?\" {f.he} asked.",
        ],
        &[
            "{h} thought hard. \"I put it down {spot}!\" {h.he} said.",
            "{h} closed {h.his} eyes and thought. \"I left it {spot}!\" {h.he} said.",
        ],
        &[
            "They ran back, and there it was, {spot}. The {toy} was safe!",
            "The two friends hurried back. They looked {spot}, and there was the {t}!",
        ],
        &[
            "",
            "{h} [hugged the {toy}|held the {toy} tight] and thanked {f}.",
            "\"Thank you, {f}!\" said {h}. \"You are a good friend.\"",
        ],
        &[
            "From that day on, {h} always [kept the {toy} close|remembered where {h.he} put {h.his} things].",
            "{h} went home with the {toy} and a [big|happy] smile.",
        ],
    ],
};

pub(super) const SHARE: Plot = Plot {
    name: "a toy is more fun when it is shared",
    world: None,
    props: &[COLOR, TOY, COLORED_TOY, PLACE],
    beats: &[
        &[
            "Once upon a time, there was a [little|small|young] {h.kind} named {h} who had a~ {t}.",
            "{h} was a [little|small|young] {h.kind}. One day, {h.he} got a new {t} from {p}.",
            "A [little|young] {h.kind} named {h} had a new {t}. It was a gift from {p}.",
        ],
        &[
            "{h} took the {toy} {to} and played with it.",
            "One [sunny|fine] {part}, {h} was {at} with the {toy}.",
        ],
        &[
            "a~ {f.kind} named {f} came by. \"That is a [nice|pretty|fine] {toy}! May I have a turn?\" {f.he} asked.",
            "Then {h.his} friend {f} came. \"Can I play with the {toy} too?\" asked {f}.",
        ],
        &[
            "\"No! It is mine,\" said {h}. {h.He} held the {toy} tight.",
            "{h} shook {h.his} head. \"No, the {toy} is only for me,\" {h.he} said.",
        ],
        &[
            "{f} felt sad. {f.He} went away and sat down {spot}.",
            "{f} looked at the ground. Then {f.he} sat down {spot}, all alone.",
        ],
        &[
            "",
            "{h} played alone, but it was not much fun.",
            "{h} went on playing, but playing alone was [boring|no fun].",
        ],
        &[
            "{h} saw {f} sitting {spot}. {f.He} looked [so lonely|very sad].",
            "Then {h} looked up and saw that {f} was crying {spot}.",
        ],
        &[
            "{h} went over to {f} and gave {f.him} the {toy}. \"I am sorry,\" said {h}. \"You can have a turn now.\"",
            "{h} felt bad. {h.He} walked over. \"I am sorry, {f}. Let's play with the {toy} together,\" {h.he} said.",
        ],
        &[
            "{f} smiled and took the {toy}. First {f} had a turn, and then {h} had a turn.",
            "\"Thank you!\" said {f}. The two friends played with the {toy} until the sun went down.",
        ],
        &[
            "{h} learned that it is [good|nice|more fun] to share.",
            "Now {h} knew that a {toy} is more fun with a friend.",
            "After that, {h} always shared the {toy} with {f}.",
        ],
    ],
};

pub(super) const KITE: Plot = Plot {
    name: "a kite is caught in a tree",
    world: None,
    props: &[
        COLOR,
        (
            "to",
            &[
                "to the park",
                "to the meadow",
                "up the hill",
                "to the farm",
                "to the big field",
                "to the lake",
            ],
        ),
        ("tree", &["oak tree", "apple tree", "pine tree", "tall tree", "old tree", "pear tree"]),
        (
            "try|solve",
            &[
                "jumped as high as {h.he} could, but the branch was too high|{h} climbed on {f}'s back and pulled the \
                 kite free",
                "shook the {tree} hard, but nothing happened|they pulled on the string together, and the kite came down",
                "threw a small stick at the kite, but the stick missed|{f} found a long branch, and {h} used it to push \
                 the kite free",
                "tried to climb up, but {h.he} slipped back down|{f} held {h} up, and {h} took hold of the kite",
            ],
        ),
    ],
    beats: &[
        INTRO,
        &[
            "{h} had a~ {color} kite that {h.he} had made with {p}.",
            "{p} had made a~ {color} kite for {h}.",
            "For {h.his} birthday, {h} got a~ {color} kite.",
        ],
        &[
            "One windy {part}, {h} took the kite {to}.",
            "One {part}, a strong wind blew. \"This is good weather for my kite,\" said {h}, and {h.he} went {to}.",
        ],
        &[
            "",
            "The kite flew up, up, up into the sky.",
            "Up went the kite, higher and higher. {h} laughed with joy.",
        ],
        &[
            "All at once, the wind turned. It blew the kite into a~ {tree}.",
            "But then the wind pulled hard, and the kite got stuck in a~ {tree}.",
        ],
        &["", "\"Oh no! My kite!\" cried {h}.", "{h} looked up. \"How can I get it back?\" {h.he} said."],
        &["{h} {try}.", "First, {h} {try}."],
        &[
            "{f}, a~ {f.kind} who lived nearby, saw it all. \"Let me help you,\" said {f}.",
            "{h.His} friend {f} came running. \"Two are better than one. Let's try together!\" {f.he} said.",
        ],
        &["So {solve}.", "This time, {solve}."],
        &[
            "",
            "There was a small hole in the kite, but {p} fixed it [with tape|in no time].",
            "The {color} kite was [safe|as good as new].",
        ],
        &[
            "\"Thank you, {f}!\" said {h}. \"Now you can fly it too.\"",
            "{h} thanked {f} and let {f.him} hold the string.",
        ],
        &[
            "",
            "The two friends flew the kite until it was time for dinner.",
            "All that {part}, the {color} kite danced in the sky, far away from the {tree}.",
        ],
    ],
};

pub(super) const BUILD: Plot = Plot {
    name: "what fell down is built again, and better",
    world: None,
    props: &[(
        "build|stuff|where|ruin|better",
        &[
            "sand castle|wet sand|close to the sea|a big wave washed it away|far from the water",
            "tower|wooden blocks|on the soft rug|it shook and fell down|on the hard floor",
            "little house|long sticks|on top of the hill|the wind blew it down|behind a big rock",
            "bridge|flat stones|across the fast stream|the water carried it away|across a quiet part of the stream",
            "snow castle|white snow|in the sun|it grew soft and fell in|in the cool shade",
            "tent|old blankets|under the leaves of a tree|a branch fell down and tore it|out in the open grass",
        ],
    )],
    beats: &[
        INTRO,
        &[
            "{h} loved to build things. One {part}, {h.he} wanted to build a~ {build}.",
            "One {part}, {h} had an idea. \"I will build a~ {build}!\" {h.he} said.",
        ],
        &[
            "{h.He} got {stuff} and began to build {where}.",
            "{h.He} worked hard with {stuff}. The {build} stood {where}.",
        ],
        &["", "The {build} got bigger and bigger.", "It was the best {build} that {h} had ever made."],
        &["But all of a sudden, {ruin}.", "It was almost done when {ruin}.", "Then, oh no, {ruin}!"],
        &[
            "{h} was [so angry|very upset]. \"I will never build again!\" {h.he} shouted.",
            "{h} sat down and cried. All the work was for nothing.",
        ],
        &[
            "{h.His} friend {f} heard {h.him}. \"What is wrong?\" asked {f}.",
            "a~ {f.kind} named {f} came by. \"Why are you sad?\" {f.he} asked.",
        ],
        &["{h} told {f} about the {build}.", "\"I made a~ {build} {where}, but {ruin},\" said {h}."],
        &[
            "{f} thought for a moment. \"Let's build it again, but {better}. I will help you,\" {f.he} said.",
            "\"Don't give up,\" said {f}. \"We can build a new one {better}.\"",
        ],
        &[
            "",
            "So they worked side by side. {f} carried the {stuff}, and {h} put everything in place.",
            "{h} felt better. The two of them worked together {better}.",
        ],
        &["This time, the {build} stood strong.", "Soon there was a new {build}, and it did not fall."],
        &[
            "",
            "{h} and {f} were very proud.",
            "\"It is even better than the first one!\" said {h}.",
            "{h} learned that it is good to try again.",
        ],
    ],
};

pub(super) const RACE: Plot = Plot {
    name: "a race is stopped to help",
    world: None,
    props: &[
        (
            "goal",
            &[
                "the old bridge",
                "the red barn",
                "the big oak tree",
                "the top of the hill",
                "the river",
                "the stone wall",
            ],
        ),
        ("trip", &["a root", "a rock", "a log", "a hole in the ground", "a long branch"]),
        ("hurt", &["leg", "foot", "knee"]),
    ],
    beats: &[
        INTRO,
        &[
            "{h.His} friend {f} was a~ {f.kind} who could run very fast.",
            "{h} knew a~ {f.kind} named {f}. {f} was the fastest runner around.",
        ],
        &[
            "",
            "\"I can run faster than you,\" {f} said to {h} every day.",
            "{f} liked to say, \"No one can beat me!\"",
        ],
        &[
            "One {part}, they had a race to {goal}.",
            "One {part}, {f} said, \"Let's race to {goal}!\" {h} said yes.",
        ],
        &[
            "\"One, two, three, go!\" {f} ran ahead and laughed. \"You are too slow!\" {f.he} shouted.",
            "They started to run. Soon {f} was far in front. \"You will never catch me!\" {f.he} called.",
        ],
        &[
            "{f} looked back at {h} and did not see {trip}. {f.He} fell down and hurt {f.his} {hurt}.",
            "But then {f} tripped over {trip}. \"Ouch! My {hurt}!\" cried {f}.",
        ],
        &[
            "{h} could win the race now. {goal} was very near. But {h} stopped.",
            "{h} came closer. {h.He} could run past {f} and win, but {h.he} did not.",
        ],
        &[
            "",
            "\"Are you all right?\" {h} asked. {h.He} helped {f} get up.",
            "{h} sat down next to {f}. \"Does it hurt? Lean on me,\" {h.he} said.",
        ],
        &[
            "Slowly, they walked to {goal}, side by side.",
            "{f} put an arm around {h}, and together they walked all the way to {goal}.",
        ],
        &[
            "\"I am sorry that I laughed at you,\" said {f}. \"You are a true friend.\"",
            "\"You did not leave me,\" said {f}. \"I will never call you slow again.\"",
        ],
        &[
            "",
            "It did not matter who won. They were both happy.",
            "From then on, {h} and {f} ran together, and no one had to be first.",
            "{h} smiled. Being kind was better than winning.",
        ],
    ],
};

pub(super) const LEARN: Plot = Plot {
    name: "something hard is learned by trying again",
    world: None,
    props: &[
        (
            "skill|fail",
            &[
                "swim|splashed and went under",
                "skate on the ice|slipped and fell down",
                "whistle|only blew air",
                "jump over the stream|landed in the cold water",
                "climb the old tree|slid back down",
                "walk on the wall|lost {h.his} balance",
                "catch a ball|dropped the ball every time",
                "paddle the little boat|went around in circles",
            ],
        ),
        ("days", &["two days", "three days", "a week", "five days", "many days"]),
    ],
    beats: &[
        PLAIN_INTRO,
        &[
            "{h} wanted to learn to {skill}, just like {h.his} friend {f}.",
            "{h.His} friend {f} could {skill} very well. {h} wanted to do it too.",
        ],
        &[
            "One {part}, {h.he} tried for the first time. But {h.he} {fail}.",
            "So {h.he} went out and tried. Oh dear! {h} {fail}.",
        ],
        &[
            "",
            "{h.He} tried a second time, and again {h.he} {fail}.",
            "{h.He} tried again and again, but it was too hard.",
        ],
        &[
            "\"I can't do it!\" said {h}, and {h.he} went home.",
            "{h} was sad. \"I will never learn it,\" {h.he} said.",
        ],
        &[
            "{p} [smiled|sat down next to {h}]. \"You can't {skill} yet,\" {p.he} said. \"You must try a little every \
             day.\"",
            "\"When I was little, I could not {skill} at first,\" said {p}. \"You will learn it if you don't give up.\"",
        ],
        &[
            "So {h} went out again every day. {f} came along to help.",
            "The next day, {h} tried once more, and {f} showed {h.him} how to do it.",
        ],
        &["", "{h} got a little better each time.", "Bit by bit, it got easier."],
        &[
            "After {days}, it happened. {h} could {skill}!",
            "And then, after {days}, {h} did it! {h.He} could {skill}!",
        ],
        &[
            "",
            "\"Look at me!\" {h.he} [called|shouted]. {p} and {f} clapped and cheered.",
            "{f} jumped for joy, and {p} was very proud of {h}.",
        ],
        &[
            "",
            "{h} was glad that {h.he} had not given up.",
            "That night, {h} went to bed tired but happy.",
            "Now {h} says to everyone, \"Just keep trying!\"",
        ],
    ],
};

pub(super) const SNOWMAN: Plot = Plot {
    name: "a snowman melts and comes back",
    world: None,
    props: &[
        COLOR,
        ("wear", &["hat", "scarf", "cap"]),
        ("nose", &["carrot", "pine cone", "small stick", "red pepper"]),
        ("snow", &["Mr. Frost", "Snowball", "Chilly", "Mr. White", "Frosty Joe", "Old Ice"]),
        ("keep", &["in a box", "on a hook by the door", "in a drawer", "under the bed"]),
    ],
    beats: &[
        &[
            "One winter {part}, a~ {h.kind} named {h} looked outside. Everything was white!",
            "It was winter, and snow fell all night. In the morning, a~ {h.kind} named {h} ran outside.",
        ],
        &[
            "\"Let's make a snowman!\" {h} said to {h.his} friend {f}.",
            "{h.His} friend {f} was already there. \"We can build a snowman,\" said {f}.",
        ],
        &[
            "They rolled three big balls of snow. For the nose they took a {nose}.",
            "{h} made the body, and {f} made the head. A {nose} became the nose.",
        ],
        &[
            "{h} gave the snowman {h.his} own {color} {wear}. They called him {snow}.",
            "At last, {h} put {h.his} {color} {wear} on the snowman. \"Your name is {snow},\" said {f}.",
        ],
        &[
            "",
            "Every day, {h} and {f} came to say hello to {snow}.",
            "All winter long, {snow} stood there and smiled.",
        ],
        &[
            "But then the days grew warm. {snow} got smaller and smaller.",
            "Then spring came. The sun was warm, and {snow} began to melt.",
        ],
        &[
            "One day, only the {nose} and the {color} {wear} were left on the ground.",
            "Soon there was only a puddle, a {nose}, and a~ {color} {wear}.",
        ],
        &[
            "",
            "{h} was very sad. \"{snow} is gone,\" {h.he} said.",
            "\"Where did {snow} go?\" asked {h} with tears.",
        ],
        &[
            "\"Snow turns into water, and water comes back as snow,\" said {p}. \"Wait for next winter.\"",
            "{p} took {h} by the hand. \"Next winter there will be new snow,\" {p.he} said.",
        ],
        &["So {h} put the {color} {wear} away {keep}.", "{h} dried the {wear} and kept it {keep}."],
        &[
            "When the snow came back, {h} found the {wear} {keep} and ran outside with {f}. Soon {snow} \
             smiled again.",
            "A year later, it snowed again. {h} found the {wear} {keep}. \"Welcome back, {snow}!\" {h.he} \
             said.",
        ],
    ],
};
