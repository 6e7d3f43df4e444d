//! Tokenizers: round trips, llama2.c's rules and file, and what a bad file is told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anemone_nn::tokenizer::{
    AnyTokenizer, BpeTokenizer, CharTokenizer, StreamDecoder, Tokenizer, TokenizerError,
};
use proptest::prelude::*;
use tempfile::TempDir;

const TEXT: &str = "The cat sat on the mat. \"Where is the other cat?\" asked the cat.\nIt's there, it's here: 1234! \
                    Größe naïve café. The cat that sat there is the other cat, the one that was on the mat.";

fn expect_error<T: std::fmt::Debug>(case: &str, result: Result<T, TokenizerError>, parts: &[&str]) {
    let message = result.expect_err(case).to_string();
    for part in parts {
        assert!(message.contains(part), "{case}: {message:?} lacks {part:?}");
    }
    assert!(!message.contains('\n') && message.len() < 600, "{case}: {message}");
}

/// The bytes of a `tokenizer.bin`: the reserved tokens, then `extra`.
fn file_of(extra: &[(&str, f32)]) -> Vec<u8> {
    let mut tokens: Vec<(String, f32)> =
        ["<unk>", "\n<s>\n", "\n</s>\n"].iter().map(|token| (token.to_string(), 0.0)).collect();
    tokens.extend((0..256).map(|byte| (format!("<0x{byte:02X}>"), 0.0)));
    tokens.extend(extra.iter().map(|(token, score)| (token.to_string(), *score)));
    let longest = tokens.iter().map(|(token, _)| token.len()).max().unwrap() as u32;
    let mut bytes = longest.to_le_bytes().to_vec();
    for (token, score) in tokens {
        bytes.extend(score.to_le_bytes());
        bytes.extend((token.len() as u32).to_le_bytes());
        bytes.extend(token.as_bytes());
    }
    bytes
}

fn tokenizer_of(extra: &[(&str, f32)]) -> BpeTokenizer {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokenizer.bin");
    fs::write(&path, file_of(extra)).unwrap();
    BpeTokenizer::read(&path, None).unwrap()
}

/// Encoding as the rules are written, with no heap, no words and no cache: the whole text is scanned for each
/// merge.
fn encode_slowly(tokenizer: &BpeTokenizer, text: &str) -> Vec<u32> {
    let tokens: Vec<(&[u8], f32)> = (0..).map_while(|token| tokenizer.token(token)).collect();
    let find: BTreeMap<&[u8], u32> =
        tokens.iter().zip(0..).map(|((piece, _), token)| (*piece, token)).collect();
    let mut row = Vec::new();
    if !text.is_empty() {
        for character in format!(" {text}").chars() {
            let bytes = character.to_string().into_bytes();
            match find.get(bytes.as_slice()) {
                Some(&token) => row.push(token),
                None => row.extend(bytes.iter().map(|&byte| u32::from(byte) + 3)),
            }
        }
    }
    loop {
        let mut best: Option<(f32, usize, u32)> = None;
        for place in 1..row.len() {
            let both = [tokens[row[place - 1] as usize].0, tokens[row[place] as usize].0].concat();
            if let Some(&token) = find.get(both.as_slice()) {
                let score = tokens[token as usize].1;
                if score > best.map_or(-1e10, |best| best.0) {
                    best = Some((score, place - 1, token));
                }
            }
        }
        let Some((_, place, token)) = best else { return row };
        row[place] = token;
        row.remove(place + 1);
    }
}

#[test]
fn characters_are_sorted_and_come_back() {
    let tokenizer = CharTokenizer::from_text("banana café").unwrap();
    assert_eq!(tokenizer.characters(), [' ', 'a', 'b', 'c', 'f', 'n', 'é']);
    let tokens = tokenizer.encode("a bé").unwrap();
    assert_eq!(tokens, [1, 0, 2, 6]);
    assert_eq!(tokenizer.decode(&tokens), "a bé");
    assert_eq!(tokenizer.decode(&[1, 99]), "a\u{fffd}");
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.vocab_size()), (None, None, 7));
    assert_eq!(tokenizer.encode_with_bos("a").unwrap(), [1]);
    expect_error("unknown", tokenizer.encode("bad"), &["'d' at byte 2", "7 characters"]);
    expect_error("nothing", CharTokenizer::from_text(""), &["empty"]);
}

#[test]
fn merges_follow_scores_and_then_the_leftmost() {
    let tokenizer = tokenizer_of(&[
        (" ", -9.0),
        ("a", -9.0),
        ("b", -9.0),
        ("ab", -2.0),
        ("ba", -1.0),
        ("aa", -3.0),
        ("bab", -4.0),
        (" a", -8.0),
    ]);
    let pieces = |text: &str| -> Vec<String> {
        let tokens = tokenizer.encode(text).unwrap();
        assert_eq!(tokens, encode_slowly(&tokenizer, text), "{text}");
        tokens.iter().map(|&t| String::from_utf8_lossy(tokenizer.token(t).unwrap().0).into_owned()).collect()
    };
    assert_eq!(pieces("bab"), [" ", "bab"], "ba, then bab");
    assert_eq!(pieces("aba"), [" a", "ba"], "the better pair first, though it is not the leftmost");
    assert_eq!(pieces("aaa"), [" ", "aa", "a"], "the leftmost of equals");
    assert_eq!(pieces("ä"), [" ", "<0xC3>", "<0xA4>"], "bytes for what has no token");
    assert!(tokenizer.encode("").unwrap().is_empty());
    assert_eq!(tokenizer.encode_with_bos("").unwrap(), [1]);
    assert_eq!(tokenizer.encode("\0").unwrap(), [259, 3]);
}

#[test]
fn words_are_not_taken_apart_where_tokens_join_them() {
    let tokenizer =
        tokenizer_of(&[(" ", -1.0), ("a", -1.0), ("b", -1.0), (" b", -2.0), ("a b", -3.0), ("  ", -0.5)]);
    for text in ["a b", "a  b", "b a b a b", "   ", "ab ab"] {
        assert_eq!(tokenizer.encode(text).unwrap(), encode_slowly(&tokenizer, text), "{text:?}");
    }
}

#[test]
fn decoding_strips_the_first_space_and_maps_bytes() {
    let tokenizer = tokenizer_of(&[(" ", 0.0), (" hi", 0.0), ("x", 0.0)]);
    let (hi, x) = (260, 261);
    assert_eq!(tokenizer.decode(&[1, hi, hi]), "hi hi");
    assert_eq!(tokenizer.decode(&[hi, hi]), "hi hi");
    assert_eq!(tokenizer.decode(&[x, hi]), "x hi");
    assert_eq!(tokenizer.decode(&[x, 0x0a + 3, x]), "x\nx");
    assert_eq!(tokenizer.decode(&[x, 0xc3 + 3, 0xa4 + 3]), "xä");
    assert_eq!(tokenizer.decode(&[x, 2, 1, hi]), "xhi");
    assert_eq!(tokenizer.decode(&[x, 0xc3 + 3, x, 5000]), "x\u{fffd}x\u{fffd}");
}

#[test]
fn a_stream_waits_for_whole_characters() {
    let tokenizer = tokenizer_of(&[(" ", 0.0), (" hi", 0.0), ("x", 0.0)]);
    let mut stream = StreamDecoder::new(&tokenizer);
    let euro = "€".bytes().map(|byte| u32::from(byte) + 3);
    let shown: Vec<String> = [1, 260].into_iter().chain(euro).chain([260]).map(|t| stream.push(t)).collect();
    assert_eq!(shown, ["", "hi", "", "", "€", " hi"]);
    assert_eq!(
        (stream.push(0xc3 + 3), stream.push(261), stream.finish()),
        (String::new(), "\u{fffd}x".into(), String::new())
    );
    assert_eq!((stream.push(0xe2 + 3), stream.finish()), (String::new(), "\u{fffd}".into()));
    assert_eq!(StreamDecoder::after(&tokenizer, &[1, 260]).push(260), " hi");
    assert_eq!(StreamDecoder::after(&tokenizer, &[1]).push(260), "hi");
}

#[test]
fn training_is_deterministic_and_compresses() {
    let texts = || TEXT.split('.');
    let tokenizer = BpeTokenizer::train(texts(), 320).unwrap();
    assert_eq!(tokenizer.vocab_size(), 320);
    let folder = TempDir::new().unwrap();
    let [first, second] = ["a", "b"].map(|name| folder.path().join(name));
    tokenizer.write(&first).unwrap();
    BpeTokenizer::train(texts().collect::<Vec<_>>(), 320).unwrap().write(&second).unwrap();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    assert!(tokenizer.encode("the other cat").unwrap().len() <= 5);
    assert_eq!(tokenizer.token(1).unwrap().0, b"\n<s>\n");
    assert_eq!(tokenizer.token(13).unwrap().0, b"<0x0A>");
    // The first merge is the most frequent pair of the text.
    assert_eq!(tokenizer.token(259).unwrap(), (b"he".as_slice(), 0.0));
    let known: Vec<u32> = tokenizer.encode("the cat sat").unwrap();
    assert_eq!(known, [262, 265, 281]);
}

#[test]
fn training_stops_when_nothing_stands_twice() {
    let tokenizer = BpeTokenizer::train(["abab"], 1000).unwrap();
    assert!(tokenizer.vocab_size() < 270, "{}", tokenizer.vocab_size());
    let few = BpeTokenizer::train(["aaab"], 260).unwrap();
    assert_eq!(few.token(259).unwrap().0, b"a", "only the most frequent character fits");
    assert_eq!(few.decode(&few.encode("ab ba").unwrap()), "ab ba");
    expect_error("too small", BpeTokenizer::train(["a"], 259), &["259", "260 to 65536"]);
    expect_error("too large", BpeTokenizer::train(["a"], 65_537), &["65537"]);
    expect_error("no text", BpeTokenizer::train([""], 300), &["empty"]);
    expect_error("no texts", BpeTokenizer::train(Vec::<String>::new(), 300), &["empty"]);
}

#[test]
fn files_are_recognised_and_round_trip() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokenizer");
    let tokenizers = [
        AnyTokenizer::from(CharTokenizer::from_text(TEXT).unwrap()),
        BpeTokenizer::train([TEXT], 400).unwrap().into(),
    ];
    for tokenizer in tokenizers {
        tokenizer.save(&path).unwrap();
        let read = AnyTokenizer::load(&path).unwrap();
        assert_eq!(std::mem::discriminant(&read), std::mem::discriminant(&tokenizer));
        assert_eq!(read.vocab_size(), tokenizer.vocab_size());
        assert_eq!(read.encode(TEXT).unwrap(), tokenizer.encode(TEXT).unwrap());
        assert_eq!(read.decode(&read.encode(TEXT).unwrap()), TEXT);
    }
    // A vocabulary whose longest token has as many bytes as "{" has for its code.
    fs::write(&path, file_of(&[(&"y".repeat(usize::from(b'{')), 0.0)])).unwrap();
    assert!(matches!(AnyTokenizer::load(&path), Ok(AnyTokenizer::Bpe(_))));
    expect_error(
        "unwritable",
        CharTokenizer::from_text("a").unwrap().write(&folder.path().join("no/where")),
        &["write the tokenizer"],
    );
}

#[test]
fn the_file_has_the_layout_of_llama2_c() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokenizer.bin");
    BpeTokenizer::train(["aaab aaab"], 262).unwrap().write(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes[..4], 6_u32.to_le_bytes(), "the longest token");
    assert_eq!(bytes[4..12], [0, 0, 0, 0, 5, 0, 0, 0], "score and length");
    assert_eq!(&bytes[12..17], b"<unk>");
    assert_eq!(&bytes[bytes.len() - 9..], [&(-2_f32).to_le_bytes()[..], &[1, 0, 0, 0], b"b"].concat());
}

#[test]
fn malformed_tokenizer_files_are_explained() {
    let good = file_of(&[("a", -1.0)]);
    let patched = |place: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[place..place + bytes.len()].copy_from_slice(bytes);
        file
    };
    let json = |text: &str| text.as_bytes().to_vec();
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("empty", vec![], &["0 bytes", "begins with 4 bytes"]),
        ("three bytes", vec![1, 2, 3], &["3 bytes"]),
        ("no tokens", 5_u32.to_le_bytes().to_vec(), &["5 bytes", "up to the size of the file"]),
        ("longest of 0", patched(0, &[0; 4]), &["0 bytes"]),
        ("longest too long", patched(0, &u32::MAX.to_le_bytes()), &["4294967295 bytes"]),
        ("sentencepiece", b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00".to_vec(), &["tokenizer.model"]),
        ("score is not a number", patched(4, &f32::NAN.to_le_bytes()), &["score of token 0 is NaN"]),
        ("score is infinite", patched(4, &f32::INFINITY.to_le_bytes()), &["score of token 0 is inf"]),
        ("token without bytes", patched(8, &[0; 4]), &["token 0", "0 bytes", "1 to 6"]),
        (
            "token longer than the longest",
            patched(8, &7_u32.to_le_bytes()),
            &["token 0", "7 bytes", "1 to 6"],
        ),
        ("negative length", patched(8, &(-1_i32).to_le_bytes()), &["4294967295 bytes"]),
        ("cut in a text", good[..good.len() - 1].to_vec(), &["within the text of token 259", "1 more"]),
        ("cut in a length", good[..good.len() - 3].to_vec(), &["within the length of token 259", "2 more"]),
        ("cut in a score", good[..good.len() - 8].to_vec(), &["within the score of token 259", "3 more"]),
        ("too few tokens", good[..17].to_vec(), &["1 tokens", "259"]),
        ("text", b"once upon a time there was a tokenizer".to_vec(), &["longest token"]),
        ("JSON of another kind", json("{\"model\": {\"type\": \"BPE\"}}"), &["character tokenizer", "model"]),
        ("JSON cut short", json("{\"kind\":\"char\",\"chara"), &["character tokenizer"]),
        (
            "JSON of another kind",
            json("{\"kind\":\"word\",\"characters\":\"ab\"}"),
            &["\"word\"", "only \"char\""],
        ),
        (
            "characters unsorted",
            json("{\"kind\":\"char\",\"characters\":\"ba\"}"),
            &["'b' stands before 'a'"],
        ),
        ("character twice", json("{\"kind\":\"char\",\"characters\":\"aab\"}"), &["'a' stands before 'a'"]),
        ("no characters", json("{\"kind\":\"char\",\"characters\":\"\"}"), &["at least one"]),
        ("characters as numbers", json("{\"kind\":\"char\",\"characters\":5}"), &["character tokenizer"]),
        ("nested too deep", [json("{\"kind\":"), vec![b'['; 100_000]].concat(), &["character tokenizer"]),
    ];
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokenizer.bin");
    for (case, bytes, parts) in cases {
        fs::write(&path, bytes).unwrap();
        expect_error(case, AnyTokenizer::load(&path), parts);
    }
    fs::write(&path, &good).unwrap();
    assert!(BpeTokenizer::read(&path, Some(260)).is_ok());
    expect_error("size", BpeTokenizer::read(&path, Some(32_000)), &["260 tokens", "vocabulary of 32000"]);
    expect_error("missing", AnyTokenizer::load(Path::new("/nowhere/t.bin")), &["read the tokenizer"]);
    expect_error("folder", AnyTokenizer::load(folder.path()), &["not a plain file"]);
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    expect_error("endless", AnyTokenizer::load(&path), &["1099511627776 bytes", "at most"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_comes_back(text in "\\PC{0,60}|[a-e .\n]{0,60}") {
        let tokenizer = BpeTokenizer::train([TEXT], 320).unwrap();
        let tokens = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&tokens), text.clone());
        prop_assert_eq!(&tokens, &encode_slowly(&tokenizer, &text));
        prop_assert_eq!(&tokens, &tokenizer.encode(&text).unwrap(), "the cache changes nothing");
        let mut stream = StreamDecoder::new(&tokenizer);
        let streamed: String = tokens.iter().map(|&token| stream.push(token)).collect();
        prop_assert_eq!(streamed + &stream.finish(), text);
    }

    #[test]
    fn characters_come_back(text in "\\PC{1,60}") {
        let tokenizer = CharTokenizer::from_text(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&tokenizer.encode(&text).unwrap()), text);
    }

    /// Streaming any tokens at all shows what decoding them at once shows.
    #[test]
    fn any_tokens_stream_as_they_decode(tokens in proptest::collection::vec(0_u32..330, 0..60)) {
        let tokenizer = BpeTokenizer::train([TEXT], 320).unwrap();
        let mut stream = StreamDecoder::new(&tokenizer);
        let streamed: String = tokens.iter().map(|&token| stream.push(token)).collect();
        prop_assert_eq!(streamed + &stream.finish(), tokenizer.decode(&tokens));
    }

    #[test]
    fn random_files_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400), start in 0_usize..2500, sound in any::<bool>(),
    ) {
        let mut file = if sound { file_of(&[("a", 0.0), ("ab", 1.0)]) } else { vec![] };
        let start = start.min(file.len());
        file.splice(start..(start + bytes.len()).min(file.len()), bytes);
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("t");
        fs::write(&path, &file).unwrap();
        if let Ok(tokenizer) = AnyTokenizer::load(&path) {
            let _ = tokenizer.decode(&tokenizer.encode("abba ").unwrap_or_default());
        }
    }
}
