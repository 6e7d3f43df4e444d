//! From a plot to a text.
//!
//! Templates are sentences with three kinds of mark: `[one|another]` is a choice made anew each time,
//! `{slot}` is what was drawn for this story, and `a~` becomes "a" or "an" by the word after it. Capitals at
//! the beginning of sentences and of speech are set at the end; only after a quoted `!` or `?` does the
//! template say itself whether a new sentence begins.

use super::cast::{self, World};
use super::plots::Plot;
use crate::data::rng::Rng;

/// How often a beat that may be left out is.
const LEFT_OUT: f32 = 0.55;
/// A telling with more words is told again, at most so often; the shortest stays.
const MOST_WORDS: usize = 150;
const RETELLINGS: usize = 30;

/// What was drawn for a story: names of slots and their texts.
pub(super) struct Slots {
    values: Vec<(String, String)>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { values: Vec::with_capacity(64) }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.values.push((name.to_owned(), value.to_owned()));
    }

    /// The text of a slot, the latest if it was set twice.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(slot, _)| slot == name).map(|(_, value)| value.as_str())
    }
}

/// One of some texts.
pub(super) fn choose<'a>(rng: &mut Rng, texts: &[&'a str]) -> &'a str {
    rng.pick::<&str>(texts)
}

/// Tells `plot` with a cast drawn from `rng`.
pub(super) fn tell(plot: &Plot, rng: &mut Rng) -> String {
    let world = match plot.world {
        Some(world) => world,
        None if rng.chance(0.4) => World::Animals,
        None => World::Children,
    };
    let mut slots = Slots::new();
    cast::draw(world, &mut slots, rng);
    for (names, rows) in plot.props {
        let row = choose(rng, rows);
        for (name, template) in names.split('|').zip(options(row)) {
            let mut value = String::new();
            expand(template, &slots, rng, &mut value);
            slots.set(name, &value);
        }
    }
    let mut shortest = telling(plot, &slots, rng);
    for _ in 0..RETELLINGS {
        if words(&shortest) <= MOST_WORDS {
            break;
        }
        let next = telling(plot, &slots, rng);
        if words(&next) < words(&shortest) {
            shortest = next;
        }
    }
    shortest
}

/// Tells the beats in one way.
fn telling(plot: &Plot, slots: &Slots, rng: &mut Rng) -> String {
    let mut text = String::with_capacity(1024);
    for beat in plot.beats {
        let ways = match beat {
            ["", ..] if rng.chance(LEFT_OUT) => continue,
            ["", ways @ ..] => ways,
            ways => ways,
        };
        expand(choose(rng, ways), slots, rng, &mut text);
        text.push(' ');
    }
    polish(&text)
}

fn words(text: &str) -> usize {
    text.split(' ').count()
}

/// Writes `template` with its choices made and its slots filled. A slot that does not exist is written as it
/// stands; a test makes sure that there is none.
fn expand(template: &str, slots: &Slots, rng: &mut Rng, text: &mut String) {
    let mut rest = template;
    while let Some(mark) = rest.find(['[', '{']) {
        text.push_str(&rest[..mark]);
        let is_choice = rest[mark..].starts_with('[');
        let end = closing(&rest[mark..]).map_or(rest.len(), |end| mark + end);
        let inside = &rest[(mark + 1).min(end)..end];
        if is_choice {
            let parts: Vec<&str> = options(inside).collect();
            expand(choose(rng, &parts), slots, rng, text);
        } else {
            text.push_str(slots.get(inside).unwrap_or(inside));
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    text.push_str(rest);
}

/// Where the bracket that begins `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    text.bytes().position(|byte| {
        depth += i32::from(matches!(byte, b'[' | b'{')) - i32::from(matches!(byte, b']' | b'}'));
        depth == 0
    })
}

/// The parts between the `|` that are in no bracket.
fn options(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let whole = rest?;
        let mut depth = 0_i32;
        let bar = whole.bytes().position(|byte| {
            depth += i32::from(byte == b'[') - i32::from(byte == b']');
            byte == b'|' && depth == 0
        });
        rest = bar.map(|bar| &whole[bar + 1..]);
        Some(&whole[..bar.unwrap_or(whole.len())])
    })
}

/// Sets articles and capitals, and takes out spaces that empty choices left.
fn polish(draft: &str) -> String {
    let mut text = String::with_capacity(draft.len());
    let mut rest = draft.trim();
    while let Some(character) = rest.chars().next() {
        let at_word = text.is_empty() || text.ends_with([' ', '"']);
        if at_word && let Some(after) = rest.strip_prefix("a~ ") {
            let article = if needs_an(after) { "an " } else { "a " };
            push_capitalised(&mut text, article);
            rest = after;
            continue;
        }
        rest = &rest[character.len_utf8()..];
        if character == ' ' && text.ends_with(' ') {
            continue;
        }
        let mut buffer = [0; 4];
        push_capitalised(&mut text, character.encode_utf8(&mut buffer));
    }
    text
}

/// Adds `part`, its first letter a capital where a sentence or a speech begins.
fn push_capitalised(text: &mut String, part: &str) {
    let begins = match text.strip_suffix(' ') {
        None => text.is_empty() || text == "\"" || text.ends_with(" \""),
        Some(before) => before.ends_with(['.', '!', '?']) || before.ends_with(".\""),
    };
    let mut characters = part.chars();
    match characters.next() {
        Some(first) if begins => text.extend(first.to_uppercase().chain(characters)),
        _ => text.push_str(part),
    }
}

/// Whether "an" goes before this text: whether it begins with the sound of a vowel.
fn needs_an(text: &str) -> bool {
    let word = text.trim_start_matches(['[', ' ']);
    word.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U'])
}

#[cfg(test)]
mod tests {
    use super::super::plots::PLOTS;
    use super::*;

    fn expanded(template: &str, slots: &Slots) -> String {
        let mut text = String::new();
        expand(template, slots, &mut Rng::new(1, 1), &mut text);
        text
    }

    #[test]
    fn choices_and_slots_nest() {
        let mut slots = Slots::new();
        slots.set("x", "one");
        assert_eq!(expanded("[{x}|[{x}]] and {x}", &slots), "one and one");
        assert_eq!(options("a|[b|c]|").collect::<Vec<_>>(), ["a", "[b|c]", ""]);
        assert_eq!(expanded("an [open", &slots), "an open");
    }

    #[test]
    fn articles_and_capitals() {
        let draft =
            "there was a~ old fox.  he had a~ {red} hat! \"come,\" he said. \"go. now.\" they ran. a~ end ";
        let expected =
            "There was an old fox. He had a {red} hat! \"Come,\" he said. \"Go. Now.\" They ran. An end";
        assert_eq!(polish(draft), expected);
        assert_eq!(polish("\"a~ apple!\" he cried."), "\"An apple!\" he cried.");
    }

    /// Every slot that a plot names is drawn, every bracket closes, and every row has a part for each slot.
    #[test]
    fn plots_are_well_formed() {
        for plot in PLOTS {
            for world in [World::Children, World::Animals] {
                let mut slots = Slots::new();
                cast::draw(world, &mut slots, &mut Rng::new(0, 0));
                for (names, rows) in plot.props {
                    for row in *rows {
                        assert_eq!(names.split('|').count(), options(row).count(), "{}: {row}", plot.name);
                        check(plot.name, row, &slots);
                    }
                    names.split('|').for_each(|name| slots.set(name, "x"));
                }
                plot.beats.iter().flat_map(|beat| beat.iter()).for_each(|t| check(plot.name, t, &slots));
            }
        }
    }

    fn check(plot: &str, template: &str, slots: &Slots) {
        let mut open = Vec::new();
        for (place, byte) in template.bytes().enumerate() {
            match byte {
                b'[' | b'{' => open.push((byte, place)),
                b']' => assert_eq!(open.pop().map(|o| o.0), Some(b'['), "{plot}: {template}"),
                b'}' => {
                    let start = open.pop().filter(|o| o.0 == b'{').expect(template).1;
                    let slot = &template[start + 1..place];
                    assert!(slots.get(slot).is_some(), "{plot}: no slot {slot} in {template}");
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "{plot}: {template}");
        assert_eq!(template.bytes().filter(|&b| b == b'"').count() % 2, 0, "{plot}: {template}");
    }
}
