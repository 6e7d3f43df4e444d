//! Who is in a story: a hero, a friend and a grown-up, each with a name and the pronouns that go with it.

use super::teller::{Slots, choose};
use crate::data::rng::Rng;

/// What kind of beings a story is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum World {
    /// Girls and boys.
    Children,
    /// Animals that talk.
    Animals,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gender {
    She,
    He,
}

const GIRLS: &[&str] = &[
    "Lily", "Mia", "Anna", "Sue", "Lucy", "Amy", "Sara", "Emma", "Rose", "Ella", "Zoe", "Molly", "Kate",
    "Nina", "Ruby", "Daisy", "Clara", "Ivy", "Jane", "Mary", "Lola", "Grace", "Hannah", "Vera",
];
const BOYS: &[&str] = &[
    "Tim", "Tom", "Ben", "Max", "Sam", "Jack", "Leo", "Dan", "Bob", "Finn", "Noah", "Luke", "Peter", "Billy",
    "Jim", "Oscar", "Adam", "Nick", "Joe", "Henry", "Theo", "Paul", "Eli", "Owen",
];
const SHE_ANIMALS: &[&str] = &[
    "Bella", "Coco", "Tilly", "Poppy", "Hazel", "Minnie", "Dotty", "Willow", "Penny", "Pearl", "Flora",
    "Kiki", "Nora", "Olive",
];
const HE_ANIMALS: &[&str] = &[
    "Pip", "Rusty", "Benny", "Teddy", "Rocky", "Sunny", "Bruno", "Nibble", "Toby", "Milo", "Fred", "Gus",
    "Hugo", "Kip",
];
const SPECIES: &[&str] = &[
    "fox", "rabbit", "bear", "mouse", "squirrel", "raccoon", "cat", "dog", "hedgehog", "pig", "otter",
    "goat", "badger", "beaver", "lamb", "mole",
];
const TRAITS: &[&str] = &[
    "little", "kind", "happy", "clever", "cheerful", "curious", "gentle", "young", "small", "friendly",
    "busy", "playful",
];
/// Name, how a child calls them, gender.
const GROWN_UPS: &[(&str, &str, Gender)] = &[
    ("Mom", "Mom", Gender::She),
    ("Mom", "Mom", Gender::She),
    ("Dad", "Dad", Gender::He),
    ("Dad", "Dad", Gender::He),
    ("Grandma", "Grandma", Gender::She),
    ("Grandpa", "Grandpa", Gender::He),
];
const HOUSES: &[&str] = &["small", "little", "white", "yellow", "cozy", "red"];
const HOUSE_PLACES: &[&str] = &[
    "near the sea",
    "by the woods",
    "on a hill",
    "at the end of the road",
    "in a quiet town",
    "beside a river",
];
const DENS: &[&str] = &[
    "in a green forest",
    "near a blue lake",
    "in a quiet valley",
    "at the edge of the woods",
    "on the sunny side of a hill",
    "beside a little stream",
    "in a warm den under an old oak tree",
];

/// Draws the cast and sets its slots: `h` the hero, `f` the friend, `p` the grown-up, each with `.he`,
/// `.him`, `.his`, `.himself`, `.He`, `.His`; hero and friend with `.kind`; the hero with `.adj`; `p.call`;
/// and `home` and `part`.
pub(super) fn draw(world: World, slots: &mut Slots, rng: &mut Rng) {
    let genders = [gender(rng), gender(rng)];
    let hero = choose(rng, names(world, genders[0]));
    let friend = loop {
        let name = choose(rng, names(world, genders[1]));
        // Names that begin alike are easily mixed up.
        if name.as_bytes().first() != hero.as_bytes().first() {
            break name;
        }
    };
    person("h", hero, genders[0], slots);
    person("f", friend, genders[1], slots);
    slots.set("h.adj", choose(rng, TRAITS));
    match world {
        World::Children => {
            for (slot, gender) in ["h.kind", "f.kind"].into_iter().zip(genders) {
                slots.set(slot, if gender == Gender::She { "girl" } else { "boy" });
            }
            let (name, call, gender) = *rng.pick(GROWN_UPS);
            person("p", name, gender, slots);
            slots.set("p.call", call);
            slots.set("home", &format!("in a {} house {}", choose(rng, HOUSES), choose(rng, HOUSE_PLACES)));
        }
        World::Animals => {
            let species = choose(rng, SPECIES);
            slots.set("h.kind", species);
            slots.set("f.kind", choose(rng, SPECIES));
            let gender = gender(rng);
            let call = if gender == Gender::She { "Mama" } else { "Papa" };
            let family = species[..1].to_uppercase() + &species[1..];
            person("p", &format!("{call} {family}"), gender, slots);
            slots.set("p.call", call);
            slots.set("home", choose(rng, DENS));
        }
    }
    slots.set("part", choose(rng, &["morning", "afternoon", "day"]));
}

fn gender(rng: &mut Rng) -> Gender {
    if rng.chance(0.5) { Gender::She } else { Gender::He }
}

fn names(world: World, gender: Gender) -> &'static [&'static str] {
    match (world, gender) {
        (World::Children, Gender::She) => GIRLS,
        (World::Children, Gender::He) => BOYS,
        (World::Animals, Gender::She) => SHE_ANIMALS,
        (World::Animals, Gender::He) => HE_ANIMALS,
    }
}

/// Sets the name and the pronouns of one character.
fn person(slot: &str, name: &str, gender: Gender, slots: &mut Slots) {
    slots.set(slot, name);
    let forms = match gender {
        Gender::She => ["she", "her", "her", "herself", "She", "Her"],
        Gender::He => ["he", "him", "his", "himself", "He", "His"],
    };
    for (form, word) in ["he", "him", "his", "himself", "He", "His"].into_iter().zip(forms) {
        slots.set(&format!("{slot}.{form}"), word);
    }
}
