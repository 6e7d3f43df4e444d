//! `tales`: good English, the same everywhere, and no story of the held-out set in the training set.

use std::collections::{BTreeSet, HashSet};

use anemone_nn::data::tales::{self, Tales};
use anemone_nn::tokenizer::Tokenizer;

#[test]
fn stories_are_as_long_as_promised() {
    for index in 0..5000 {
        let story = tales::story(3, index);
        let words = story.split(' ').count();
        assert!((60..=150).contains(&words), "{words}: {story}");
    }
}

/// Marks of templates, doubled spaces, wrong articles, small letters after full stops, unclosed quotes.
#[test]
fn stories_are_well_written() {
    for index in 0..5000 {
        let story = tales::story(4, index);
        assert!(story.is_ascii() && !story.contains(['[', ']', '{', '}', '|', '~', '_']), "{story}");
        assert!(!story.contains("  ") && !story.contains(" .") && !story.contains(" ,"), "{story}");
        assert!(story.ends_with(['.', '!', '"']) && story.starts_with(char::is_uppercase), "{story}");
        assert_eq!(story.matches('"').count() % 2, 0, "{story}");
        let words: Vec<&str> = story.split(' ').map(|word| word.trim_matches('"')).collect();
        for pair in words.windows(2) {
            let vowel = pair[1].starts_with(['a', 'e', 'i', 'o', 'u']);
            match pair[0] {
                "a" | "A" => assert!(!vowel, "{pair:?}: {story}"),
                "an" | "An" => assert!(vowel, "{pair:?}: {story}"),
                _ => {}
            }
            if pair[0].ends_with('.') && pair[0] != "Mr." && pair[0] != "Mrs." {
                assert!(!pair[1].starts_with(char::is_lowercase), "{pair:?}: {story}");
            }
            assert!(
                pair[0] != pair[1] || !pair[0].chars().all(char::is_alphabetic),
                "{pair:?} twice: {story}"
            );
        }
    }
}

/// What was put somewhere is found there.
#[test]
fn things_stay_where_they_were_put() {
    let spots =
        [" under the slide", " behind the barn", " beside the gate", " on the dock", " near the brook"];
    let mut told = 0;
    for index in 0..5000 {
        let story = tales::story(6, index);
        if story.contains("It was gone!") || !story.contains("They ran back, and there it was,") {
            continue;
        }
        if let Some(spot) = spots.iter().find(|spot| story.contains(*spot)) {
            assert!(story.contains(&format!("there it was,{spot}")), "{story}");
            assert!(story.matches(spot).count() >= 3, "left, remembered and found: {story}");
            told += 1;
        }
    }
    assert!(told > 5, "{told}");
}

#[test]
fn stories_differ_and_held_out_stories_are_new() {
    let sets = Tales::new(1, 20_000, 2000).unwrap();
    let train: HashSet<String> = sets.train().collect();
    assert!(train.len() > 19_990, "{} of 20000 are different", train.len());
    assert_eq!(sets.held_out().filter(|story| train.contains(story)).count(), 0);
    assert_ne!(tales::story(1, 0), tales::story(2, 0));
}

#[test]
fn all_plots_are_told_and_there_are_many() {
    let names: BTreeSet<&str> = tales::plot_names().collect();
    assert_eq!(names.len(), tales::plot_names().count());
    assert!(names.len() >= 12, "{}", names.len());
}

/// The text must be the same on every machine and in every version, or checkpoints could not be resumed.
#[test]
fn stories_never_change() {
    let begin = "Emma was a small girl. One day, she got a new golden doll from Grandma. One fine morning, Emma was \
                 in the park with the doll. A girl named Vera came by. \"That is a pretty doll! May I have a turn?\" \
                 she asked. Emma shook her head. \"No, the doll is only for me,\" she said.";
    assert!(tales::story(42, 0).starts_with(begin), "{}", tales::story(42, 0));
    let all: String = (0..500).map(|index| tales::story(42, index)).collect();
    let hash = all.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    assert_eq!(hash, 7_118_112_120_773_473_663);
}

#[test]
fn stories_become_tokens() {
    let tokenizer = tales::tokenizer(1, 600).unwrap();
    assert_eq!(tokenizer.vocab_size(), 600);
    let splits = tales::splits(1, 50, 10, &tokenizer).unwrap();
    let batch = splits.train.eval_batch(0, 1, 100).unwrap();
    let tokens: Vec<u32> = batch.tokens.iter().map(|&token| token as u32).collect();
    assert_eq!(tokens[0], 1, "a story begins with the token for the beginning");
    assert!(tales::story(1, 0).starts_with(tokenizer.decode(&tokens).trim_end_matches('\u{fffd}')));
    for index in 0..100 {
        let story = tales::story(9, index);
        assert_eq!(tokenizer.decode(&tokenizer.encode(&story).unwrap()), story);
    }
    assert!(Tales::new(1, 0, 1).unwrap_err().to_string().contains("training stories is 0"));
    assert!(Tales::new(1, 1, u64::MAX).unwrap_err().to_string().contains("held-out"));
}
