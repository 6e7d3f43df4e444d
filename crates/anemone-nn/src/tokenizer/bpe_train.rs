//! Learning a vocabulary: again and again the most frequent pair of neighbours becomes a token (Sennrich,
//! Haddow, Birch, "Neural machine translation of rare words with subword units", 2016).
//!
//! Only pairs within a word count, a word being letters with the space before them, so tokens never run over
//! the end of one. Each merge looks only at the words that hold its pair. Nothing depends on the order of a
//! hash table: of pairs that are equally frequent the one of the smaller symbols wins.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use super::bpe::RESERVED;
use super::{BpeTokenizer, TokenizerError};

/// A token is never longer than this, in characters; sentencepiece has the same limit.
const MAX_CHARACTERS: usize = 16;
/// Tokens a vocabulary may have: 16 bits name no more.
const MAX_VOCAB: usize = 1 << 16;

type Pair = (u32, u32);

/// A word as symbols, and how often it stands in the text.
struct Word {
    symbols: Vec<u32>,
    count: u64,
}

/// The state of training. Symbols are the characters in the order of their frequency, then the merges in
/// theirs.
struct Trainer {
    words: Vec<Word>,
    /// The text of each symbol.
    texts: Vec<String>,
    symbols: HashMap<String, u32>,
    counts: HashMap<Pair, u64>,
    /// Words that hold a pair, or once held it; may name one twice.
    places: HashMap<Pair, Vec<usize>>,
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl BpeTokenizer {
    /// Learns a vocabulary of at most `vocab_size` tokens from `texts`: 3 special ones, 256 bytes, the
    /// characters of the text (the most frequent, if there are too many), and merged pairs. There are fewer
    /// when no pair is left that stands twice. The same texts always give the same tokenizer.
    ///
    /// # Errors
    /// When there is no text, or `vocab_size` is not in 260..=65536.
    pub fn train<S: AsRef<str>>(
        texts: impl IntoIterator<Item = S>,
        vocab_size: usize,
    ) -> Result<Self, TokenizerError> {
        if !(RESERVED + 1..=MAX_VOCAB).contains(&vocab_size) {
            let allowed = "260 to 65536 are allowed: 259 are special tokens and bytes";
            return Err(TokenizerError::VocabularySize { found: vocab_size, allowed });
        }
        let counts = count_words(texts);
        if counts.is_empty() {
            return Err(TokenizerError::EmptyText);
        }
        let alphabet = alphabet(&counts, vocab_size - RESERVED);
        let characters = alphabet.len();
        let mut trainer = Trainer::new(&counts, alphabet);
        while trainer.texts.len() < vocab_size - RESERVED && trainer.merge_best() {}
        Ok(assemble(&trainer.texts, characters))
    }
}

/// How often each word stands in the texts. Each text begins with a space, as in encoding.
fn count_words<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> BTreeMap<Box<str>, u64> {
    let mut counts: HashMap<Box<str>, u64> = HashMap::new();
    for text in texts {
        if text.as_ref().is_empty() {
            continue;
        }
        let prefixed = format!(" {}", text.as_ref());
        for word in words(&prefixed) {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(word.into(), 1);
                }
            }
        }
    }
    counts.into_iter().collect()
}

/// What a character may stand together with in one token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Digit,
    Space,
    Other,
}

impl Kind {
    fn of(character: char) -> Self {
        match character {
            '\'' | '’' => Self::Letter,
            c if c.is_alphabetic() => Self::Letter,
            c if c.is_numeric() => Self::Digit,
            c if c.is_whitespace() => Self::Space,
            _ => Self::Other,
        }
    }
}

/// Cuts a text into words: letters or signs with one space before them, single digits, runs of white space.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let lead = usize::from(first == ' ');
        let mut body = rest[lead..].chars();
        let kind = match body.next().map(Kind::of) {
            Some(kind) if lead == 0 || kind != Kind::Space => kind,
            // A space before white space or before the end: the run of white space is the word.
            _ => Kind::Space,
        };
        let lead = if kind == Kind::Space { 0 } else { lead };
        let length = match kind {
            Kind::Digit => rest[lead..].chars().next().map_or(0, char::len_utf8),
            _ => rest[lead..].find(|c| Kind::of(c) != kind).unwrap_or(rest.len() - lead),
        };
        // The last space of a run belongs to the word after it.
        let run = &rest[..lead + length];
        let after = rest[lead + length..].chars().next();
        let gives_space = kind == Kind::Space && run.len() > 1 && run.ends_with(' ') && after.is_some();
        let (word, tail) = rest.split_at(lead + length - usize::from(gives_space));
        rest = tail;
        Some(word)
    })
}

/// The most frequent characters, at most `limit`, the most frequent first.
fn alphabet(counts: &BTreeMap<Box<str>, u64>, limit: usize) -> Vec<char> {
    let mut frequency: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in counts {
        for character in word.chars() {
            *frequency.entry(character).or_default() += count;
        }
    }
    let mut sorted: Vec<(Reverse<u64>, char)> = frequency.into_iter().map(|(c, n)| (Reverse(n), c)).collect();
    sorted.sort_unstable();
    sorted.into_iter().map(|(_, character)| character).take(limit).collect()
}

impl Trainer {
    fn new(counts: &BTreeMap<Box<str>, u64>, alphabet: Vec<char>) -> Self {
        let texts: Vec<String> = alphabet.iter().map(char::to_string).collect();
        let numbers: HashMap<char, u32> = alphabet.into_iter().zip(0..).collect();
        let symbols = texts.iter().cloned().zip(0..).collect();
        let mut words = Vec::new();
        for (word, &count) in counts {
            // A character that has no symbol will be bytes; nothing is joined across it.
            for part in word.split(|character| !numbers.contains_key(&character)) {
                let symbols: Vec<u32> = part.chars().filter_map(|c| numbers.get(&c).copied()).collect();
                if symbols.len() > 1 {
                    words.push(Word { symbols, count });
                }
            }
        }
        let mut trainer = Self {
            words,
            texts,
            symbols,
            counts: HashMap::new(),
            places: HashMap::new(),
            queue: BinaryHeap::new(),
        };
        trainer.count_all();
        trainer
    }

    /// Counts all pairs for the first time.
    fn count_all(&mut self) {
        for index in 0..self.words.len() {
            self.add_pairs(index, &mut Vec::new());
        }
        let mut queue: Vec<_> = self.counts.iter().map(|(&pair, &count)| (count, Reverse(pair))).collect();
        queue.sort_unstable();
        self.queue = queue.into();
    }

    /// Adds the pairs of one word to the counts; lists them in `touched`.
    fn add_pairs(&mut self, index: usize, touched: &mut Vec<Pair>) {
        let word = &self.words[index];
        for two in word.symbols.windows(2) {
            let pair = (two[0], two[1]);
            *self.counts.entry(pair).or_default() += word.count;
            let places = self.places.entry(pair).or_default();
            if places.last() != Some(&index) {
                places.push(index);
            }
            touched.push(pair);
        }
    }

    /// Takes the pairs of one word off the counts.
    fn remove_pairs(&mut self, index: usize, touched: &mut Vec<Pair>) {
        let word = &self.words[index];
        for two in word.symbols.windows(2) {
            let pair = (two[0], two[1]);
            if let Some(count) = self.counts.get_mut(&pair) {
                *count -= word.count;
            }
            touched.push(pair);
        }
    }

    /// Joins the most frequent pair everywhere; false when none stands twice.
    fn merge_best(&mut self) -> bool {
        while let Some((count, Reverse(pair))) = self.queue.pop() {
            if self.counts.get(&pair) != Some(&count) {
                continue;
            }
            if count < 2 {
                return false;
            }
            let text = format!("{}{}", self.texts[pair.0 as usize], self.texts[pair.1 as usize]);
            if text.chars().count() > MAX_CHARACTERS {
                continue;
            }
            self.merge(pair, text);
            return true;
        }
        false
    }

    /// Joins one pair everywhere. Two pairs may make the same text: they are then the same symbol.
    fn merge(&mut self, pair: Pair, text: String) {
        let symbol = *self.symbols.entry(text.clone()).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() as u32 - 1
        });
        let mut places = self.places.remove(&pair).unwrap_or_default();
        places.sort_unstable();
        places.dedup();
        let mut touched = Vec::new();
        for index in places {
            self.remove_pairs(index, &mut touched);
            join(&mut self.words[index].symbols, pair, symbol);
            self.add_pairs(index, &mut touched);
        }
        touched.sort_unstable();
        touched.dedup();
        for pair in touched {
            match self.counts.get(&pair) {
                Some(0) | None => {
                    self.counts.remove(&pair);
                    self.places.remove(&pair);
                }
                Some(&count) => self.queue.push((count, Reverse(pair))),
            }
        }
    }
}

/// Replaces each `pair` by `symbol`, from the left.
fn join(symbols: &mut Vec<u32>, pair: Pair, symbol: u32) {
    let (mut read, mut write) = (0, 0);
    while read < symbols.len() {
        let found = read + 1 < symbols.len() && (symbols[read], symbols[read + 1]) == pair;
        symbols[write] = if found { symbol } else { symbols[read] };
        read += if found { 2 } else { 1 };
        write += 1;
    }
    symbols.truncate(write);
}

/// The vocabulary in sentencepiece's order: reserved tokens, merges from the first on, characters. A score is
/// how early a piece was found, so that encoding joins pairs in the order in which they were learned.
fn assemble(texts: &[String], characters: usize) -> BpeTokenizer {
    let mut pieces: Vec<Box<[u8]>> = Vec::with_capacity(RESERVED + texts.len());
    let mut scores = vec![0.0; RESERVED];
    pieces.extend(["<unk>", "\n<s>\n", "\n</s>\n"].map(|special| special.as_bytes().into()));
    pieces.extend((0..=255_u8).map(|byte| format!("<0x{byte:02X}>").into_bytes().into_boxed_slice()));
    for (rank, text) in texts[characters..].iter().chain(&texts[..characters]).enumerate() {
        pieces.push(text.as_bytes().into());
        scores.push(-(rank as f32));
    }
    BpeTokenizer::from_pieces(pieces, scores)
}
