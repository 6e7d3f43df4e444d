//! Words that several plots draw from.

/// A set of slots, joined by `|`, and the rows that they are drawn from, one part for each slot.
pub(super) type Prop = (&'static str, &'static [&'static str]);

/// A colour.
pub(super) const COLOR: Prop = (
    "color",
    &[
        "red", "blue", "green", "yellow", "purple", "orange", "pink", "white", "black", "brown", "silver",
        "golden",
    ],
);

/// Something to play with, with its colour as `t` and without as `toy`. Needs [`COLOR`] before it.
pub(super) const TOY: Prop = (
    "toy",
    &[
        "ball",
        "kite",
        "doll",
        "drum",
        "toy car",
        "toy train",
        "toy boat",
        "teddy bear",
        "hat",
        "puppet",
        "balloon",
        "scarf",
        "bucket",
        "bell",
        "yo-yo",
        "toy plane",
    ],
);
pub(super) const COLORED_TOY: Prop = ("t", &["{color} {toy}"]);

/// A place to play: being there, going there, and a spot where something can be put and found.
pub(super) const PLACE: Prop = (
    "at|to|spot",
    &[
        "in the park|to the park|[under the bench|behind the tall tree|next to the pond|near the swings]",
        "in the garden|to the garden|[behind the rose bush|under the apple tree|next to the well|beside the gate]",
        "at the beach|to the beach|[beside a big rock|behind the sand hill|next to the old boat|under the pier]",
        "in the woods|to the woods|[under the old oak|behind a big rock|beside the stream|in the tall grass]",
        "on the farm|to the farm|[behind the barn|on the hay|next to the fence|under the cart]",
        "at the playground|to the playground|[under the slide|behind the swings|in the sandbox|next to the gate]",
        "by the lake|to the lake|[under the willow tree|behind the boat house|on the dock|between two rocks]",
        "in the meadow|to the meadow|[in the tall grass|beside a white stone|under the lone tree|near the brook]",
    ],
);

/// What friends do together, after "to".
pub(super) const GAME: Prop = (
    "game",
    &[
        "play tag",
        "chase butterflies",
        "pick flowers",
        "look at the birds",
        "play hide and seek",
        "hop and jump",
        "roll in the grass",
        "look for bugs",
        "look at the clouds",
    ],
);

/// Opening with the hero's character and home.
pub(super) const INTRO: &[&str] = &[
    "Once upon a time, there was a~ {h.adj} {h.kind} [named|called] {h}.",
    "There once was a~ {h.adj} {h.kind} [named|called] {h}.",
    "{h} was a~ {h.adj} {h.kind} who lived {home}.",
    "a~ {h.adj} {h.kind} named {h} lived {home}.",
    "Once upon a time, a~ {h.adj} {h.kind} named {h} lived {home}.",
    "Once there was a~ {h.adj} {h.kind} who lived {home}. {h.His} name was {h}.",
];

/// Opening that says nothing of the hero's character.
pub(super) const PLAIN_INTRO: &[&str] = &[
    "Once upon a time, there was a [little|small|young] {h.kind} [named|called] {h}.",
    "{h} was a [little|small|young] {h.kind} who lived {home}.",
    "A [little|small|young] {h.kind} named {h} lived {home}.",
    "Once upon a time, a~ {h.kind} named {h} lived {home}.",
];
