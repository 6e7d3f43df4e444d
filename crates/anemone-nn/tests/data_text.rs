//! Rows of tokens: shards on disk, text in memory, windows as batches.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use anemone_nn::data::{DataError, IGNORED, TokenDataset, text};
use anemone_nn::tokenizer::{BpeTokenizer, CharTokenizer, Tokenizer};
use proptest::prelude::*;
use tempfile::TempDir;

fn bytes_of(tokens: impl IntoIterator<Item = u16>) -> Vec<u8> {
    tokens.into_iter().flat_map(u16::to_le_bytes).collect()
}

fn expect_error<T: std::fmt::Debug>(case: &str, result: Result<T, DataError>, parts: &[&str]) {
    let message = result.expect_err(case).to_string();
    for part in parts {
        assert!(message.contains(part), "{case}: {message:?} lacks {part:?}");
    }
    assert!(!message.contains('\n') && message.len() < 600, "{case}: {message}");
}

/// The numbers from 0 to `len - 1`.
fn counting(len: u16) -> TokenDataset {
    TokenDataset::from_tokens("counting", (0..len).collect(), len.into()).unwrap()
}

#[test]
fn shards_are_one_row_in_the_order_of_their_names() {
    let folder = TempDir::new().unwrap();
    for (name, tokens) in [("data02.bin", 17..40), ("data01.bin", 5..17), ("data00.bin", 0..5)] {
        fs::write(folder.path().join(name), bytes_of(tokens)).unwrap();
    }
    fs::write(folder.path().join("readme.txt"), "not a shard").unwrap();
    fs::write(folder.path().join("tokenizer.bin"), "odd").unwrap();
    let mapped = TokenDataset::from_shards(folder.path(), 40).unwrap();
    assert_eq!((mapped.len(), mapped.vocab_size(), mapped.is_empty()), (40, 40, false));
    let memory = counting(40);
    for step in 0..20 {
        assert_eq!(mapped.batch(step, 3, 7, 1).unwrap(), memory.batch(step, 3, 7, 1).unwrap());
        assert_eq!(
            mapped.eval_batch(step as usize, 2, 9).unwrap(),
            memory.eval_batch(step as usize, 2, 9).unwrap()
        );
    }
    let one = TokenDataset::from_shards(&folder.path().join("data02.bin"), 40).unwrap();
    assert_eq!(one.eval_batch(0, 1, 22).unwrap().tokens, (17..39).collect::<Vec<_>>());
}

#[test]
fn an_epoch_shows_every_window_once() {
    let set = counting(1003);
    let mut offsets = std::collections::BTreeSet::new();
    for epoch in 0..20 {
        // 1002 / 10 = 100 windows, of which one is given up for the offset.
        let mut starts: Vec<i32> = (0..9)
            .flat_map(|step| set.batch(epoch * 9 + step, 11, 10, 3).unwrap().tokens)
            .collect::<Vec<i32>>()
            .chunks(10)
            .map(|window| window[0])
            .collect();
        let shuffled = starts.clone();
        starts.sort_unstable();
        assert_ne!(starts, shuffled);
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == 10), "{starts:?}");
        assert_eq!(starts.len(), 99);
        offsets.insert(starts[0]);
    }
    assert!(offsets.len() > 6 && offsets.iter().all(|offset| (0..=12).contains(offset)), "{offsets:?}");
}

#[test]
fn targets_are_the_next_tokens_and_batches_are_pure() {
    let set = counting(500);
    for step in [0, 1, 77, u64::MAX / 7] {
        let batch = set.batch(step, 4, 16, 99).unwrap();
        assert_eq!((batch.shape, batch.valid), ([4, 16], 64));
        assert!(batch.tokens.iter().zip(&batch.targets).all(|(token, target)| token + 1 == *target));
        assert_eq!(batch, set.clone().batch(step, 4, 16, 99).unwrap());
    }
    assert_ne!(set.batch(0, 4, 16, 99).unwrap(), set.batch(0, 4, 16, 98).unwrap());
}

#[test]
fn evaluation_covers_the_row_and_pads() {
    let set = counting(48);
    assert_eq!(set.eval_batches(4, 10), 1);
    assert_eq!(set.eval_batches(3, 10), 2);
    let last = set.eval_batch(1, 3, 10).unwrap();
    assert_eq!((last.valid, last.shape), (10, [3, 10]));
    assert_eq!(last.tokens[..10], (30..40).collect::<Vec<_>>());
    assert_eq!(last.targets[..10], (31..41).collect::<Vec<_>>());
    assert!(last.tokens[10..].iter().all(|&token| token == 0));
    assert!(last.targets[10..].iter().all(|&target| target == IGNORED));
    assert_eq!(set.eval_batch(usize::MAX, 3, 10).unwrap().valid, 0);
}

#[test]
fn splits_share_the_tokens_and_do_not_overlap() {
    let splits = counting(200).split(0.1).unwrap();
    assert_eq!((splits.train.len(), splits.held_out.len()), (180, 20));
    assert_eq!(splits.held_out.eval_batch(0, 1, 19).unwrap().tokens, (180..199).collect::<Vec<_>>());
    for step in 0..200 {
        assert!(splits.train.batch(step, 2, 20, 1).unwrap().targets.iter().all(|&target| target < 180));
    }
    for bad in [0.0, 1.0, -0.5, f64::NAN, 1e-9, 0.999_999] {
        expect_error("fraction", counting(200).split(bad), &["held-out fraction", "above 0, below 1"]);
    }
}

#[test]
fn malformed_shards_are_explained() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let open = |path: &Path| TokenDataset::from_shards(path, 100);
    expect_error("odd", open(&write("odd.bin", &[1, 0, 2])), &["odd.bin", "3 bytes", "even"]);
    expect_error("empty", open(&write("empty.bin", &[])), &["empty.bin", "is empty", "16-bit"]);
    expect_error("missing", open(&folder.path().join("none.bin")), &["none.bin", "find the token shards"]);
    let bare = TempDir::new().unwrap();
    expect_error("no shards", open(bare.path()), &["*.bin", "pretokenize"]);
    fs::write(bare.path().join("tokenizer.bin"), [0; 8]).unwrap();
    expect_error("a tokenizer only", open(bare.path()), &["*.bin"]);
    fs::write(bare.path().join("good.bin"), [0; 8]).unwrap();
    fs::write(bare.path().join("short.bin"), [0; 7]).unwrap();
    expect_error("one bad shard of a folder", open(bare.path()), &["short.bin", "7 bytes"]);
    let good = write("good.bin", &bytes_of(0..99));
    expect_error("vocabulary", TokenDataset::from_shards(&good, 0), &["0 tokens", "1 to 65536"]);
    expect_error("vocabulary", TokenDataset::from_shards(&good, 70_000), &["70000"]);
}

/// A bad token is found when its window is read, and the message says in which file it is and where.
#[test]
fn tokens_beyond_the_vocabulary_are_found_in_time() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a.bin"), bytes_of(vec![1; 50])).unwrap();
    let mut tokens = vec![1; 50];
    tokens[30] = 7;
    fs::write(folder.path().join("b.bin"), bytes_of(tokens)).unwrap();
    let set = TokenDataset::from_shards(folder.path(), 7).unwrap();
    assert!(set.eval_batch(0, 1, 20).is_ok());
    expect_error("eval", set.eval_batch(0, 4, 20), &["b.bin", "token 30 is 7", "0 to 6"]);
    expect_error(
        "train",
        (0..100).try_for_each(|step| set.batch(step, 1, 20, 1).map(drop)),
        &["token 30 is 7"],
    );
    let result = TokenDataset::from_tokens("memory", vec![1, 2, 3], 3);
    expect_error("memory", result, &["memory", "token 2 is 3"]);
}

#[test]
fn bad_arguments_are_explained() {
    let set = counting(50);
    expect_error("too long", set.batch(0, 1, 50, 1), &["50 tokens", "51 are needed", "shorter sequence"]);
    assert!(set.batch(3, 1, 49, 1).is_ok());
    expect_error("too long", set.eval_batch(0, 1, 50), &["51 are needed"]);
    for (batch, length) in [(0, 5), (5, 0), (usize::MAX, 2), (1 << 20, 1 << 20)] {
        expect_error("sizes", set.batch(0, batch, length, 1), &["at least 1"]);
        expect_error("sizes", set.eval_batch(0, batch, length), &["at least 1"]);
    }
    expect_error("none", TokenDataset::from_tokens("nothing", vec![], 5), &["nothing", "0 tokens"]);
    assert_eq!(set.eval_batches(0, 0), 49);
}

#[test]
fn text_files_are_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("text.txt");
    let write = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        text::read_utf8(&path)
    };
    assert_eq!(write("höher\n".as_bytes()).unwrap(), "höher\n");
    assert_eq!(write(b"\xef\xbb\xbfhi").unwrap(), "hi");
    expect_error("empty", write(b""), &["is empty"]);
    expect_error("latin 1", write(b"caf\xe9 noir"), &["byte 3", "0xe9", "convert"]);
    expect_error("cut in a character", write(b"ab\xc3"), &["byte 2", "0xc3"]);
    expect_error("utf 16", write(b"\xff\xfea\0"), &["byte 0", "0xff"]);
    expect_error("missing", text::read_utf8(&folder.path().join("no.txt")), &["no.txt", "find the file"]);
    expect_error("folder", text::read_utf8(folder.path()), &["a folder", "plain file"]);
    let huge = fs::File::create(&path).unwrap();
    huge.set_len(2 << 30).unwrap();
    expect_error("huge", text::read_utf8(&path), &["2147483648 bytes", "shards"]);
}

#[test]
fn text_becomes_tokens() {
    let text = "to be or not to be, that is the question";
    let characters = CharTokenizer::from_text(text).unwrap();
    let set = TokenDataset::from_text("hamlet", text, &characters).unwrap();
    assert_eq!((set.len(), set.vocab_size()), (text.len() as u64, characters.vocab_size()));
    let batch = set.eval_batch(0, 1, 10).unwrap();
    let tokens: Vec<u32> = batch.tokens.iter().map(|&token| token as u32).collect();
    assert_eq!(characters.decode(&tokens), "to be or n");
    expect_error(
        "new character",
        TokenDataset::from_text("x", "a\tb", &characters),
        &["x: ", "'\\t' at byte 1"],
    );
    expect_error("no text", TokenDataset::from_text("x", "", &characters), &["0 tokens"]);

    let pairs = BpeTokenizer::train([text], 280).unwrap();
    let set = TokenDataset::from_texts("two", ["to be", "or not"], &pairs).unwrap();
    let batch = set.eval_batch(0, 1, set.len() as usize - 1).unwrap();
    let begins: Vec<usize> = (0..batch.tokens.len()).filter(|&place| batch.tokens[place] == 1).collect();
    assert_eq!(begins.len(), 2);
    assert_eq!(begins[0], 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes as a shard: an error, or batches whose every token is in the vocabulary.
    #[test]
    fn random_shards_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        vocab in 1_usize..65_537,
        step in any::<u64>(),
        batch in 1_usize..5,
        length in 1_usize..40,
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("shard.bin");
        fs::write(&path, &bytes).unwrap();
        let _ = text::read_utf8(&path);
        if let Ok(set) = TokenDataset::from_shards(&path, vocab)
            && let Ok(batch) = set.batch(step, batch, length, step)
        {
            prop_assert!(batch.tokens.iter().chain(&batch.targets).all(|&token| (token as usize) < vocab));
        }
    }

    #[test]
    fn every_target_follows_its_token(
        len in 2_u16..400, step in any::<u64>(), batch in 1_usize..6, length in 1_usize..50, seed in any::<u64>(),
    ) {
        match counting(len).batch(step, batch, length, seed) {
            Ok(batch) => prop_assert!(batch.tokens.iter().zip(&batch.targets).all(|(a, b)| a + 1 == *b)),
            Err(_) => prop_assert!(usize::from(len) < length + 1),
        }
    }
}
