//! Small English stories, as many as one likes: the text that a language model learns from without a
//! download.
//!
//! A story is a plot told about a cast. The plot fixes what happens and in which order; its cast (two
//! friends, a grown-up) and its things and places are drawn once and stay what they are: whoever puts the
//! kite behind the barn finds it behind the barn. Every sentence is one of several ways to say the same, with
//! words of its own, so there are far more stories than any model could learn by heart. Story `index` is a
//! function of `(seed, index)` alone.

mod cast;
mod plots;
mod teller;
mod words;

use super::rng::{Rng, mix, stream};
use super::{DataError, TokenDataset, TokenSplits};
use crate::tokenizer::{BpeTokenizer, Tokenizer, TokenizerError};

const STORY_STREAM: u64 = stream("data.tales.story");
/// Where held-out stories begin: far beyond any training set.
const HELD_OUT: u64 = 1 << 40;
/// Stories that one set may have: 5 GB of text.
const MAX_STORIES: u64 = 1 << 23;
/// Stories that a tokenizer is learned from; more change it no further.
const TOKENIZER_STORIES: u64 = 4000;

/// Story number `index`: one paragraph of 60 to 150 words.
#[must_use]
pub fn story(seed: u64, index: u64) -> String {
    let mut rng = Rng::new(seed, mix(STORY_STREAM, index));
    let plot = rng.pick(plots::PLOTS);
    teller::tell(plot, &mut rng)
}

/// A training set and a held-out set of stories: what they are called `seed`, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tales {
    seed: u64,
    train: u64,
    held_out: u64,
}

impl Tales {
    /// The sets of `train` and `held_out` stories under `seed`. No story of the one has the number of one of
    /// the other.
    ///
    /// # Errors
    /// When a number is 0 or above 8388608.
    pub fn new(seed: u64, train: u64, held_out: u64) -> Result<Self, DataError> {
        for (name, count) in
            [("the number of training stories", train), ("the number of held-out stories", held_out)]
        {
            if !(1..=MAX_STORIES).contains(&count) {
                let allowed = "1 to 8388608 are allowed";
                return Err(DataError::Argument { name, found: count.to_string(), allowed });
            }
        }
        Ok(Self { seed, train, held_out })
    }

    /// The stories to train on.
    pub fn train(&self) -> impl Iterator<Item = String> + use<> {
        let seed = self.seed;
        (0..self.train).map(move |index| story(seed, index))
    }

    /// The stories that are only evaluated on.
    pub fn held_out(&self) -> impl Iterator<Item = String> + use<> {
        let seed = self.seed;
        (HELD_OUT..HELD_OUT + self.held_out).map(move |index| story(seed, index))
    }

    /// Both sets as tokens.
    ///
    /// # Errors
    /// When the tokenizer does not know a character or has more than 65536 tokens.
    pub fn tokens(&self, tokenizer: &dyn Tokenizer) -> Result<TokenSplits, DataError> {
        Ok(TokenSplits {
            train: TokenDataset::from_texts("tales", self.train(), tokenizer)?,
            held_out: TokenDataset::from_texts("tales (held out)", self.held_out(), tokenizer)?,
        })
    }
}

/// The tokenizer for stories: byte-pair encoding learned from the first training stories.
///
/// # Errors
/// When `vocab_size` is not in 260..=65536.
pub fn tokenizer(seed: u64, vocab_size: usize) -> Result<BpeTokenizer, TokenizerError> {
    BpeTokenizer::train((0..TOKENIZER_STORIES).map(|index| story(seed, index)), vocab_size)
}

/// [`Tales::new`] and [`Tales::tokens`] in one.
///
/// # Errors
/// As for those two.
pub fn splits(
    seed: u64,
    train: u64,
    held_out: u64,
    tokenizer: &dyn Tokenizer,
) -> Result<TokenSplits, DataError> {
    Tales::new(seed, train, held_out)?.tokens(tokenizer)
}

/// The names of the plots.
pub fn plot_names() -> impl Iterator<Item = &'static str> {
    plots::PLOTS.iter().map(|plot| plot.name)
}
