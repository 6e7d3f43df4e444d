//! The plots: what happens, as beats in their order, each with several ways to tell it.

mod friends;
mod home;
mod nature;
mod play;
mod virtue;

use super::cast::World;
use super::words::Prop;

/// One schema of a story.
#[derive(Debug)]
pub(super) struct Plot {
    /// Its name, for people who look at the generator.
    pub(super) name: &'static str,
    /// The kind of cast it needs; `None` if any will do.
    pub(super) world: Option<World>,
    /// Things, places and facts, drawn once in this order; a row may use slots drawn before it.
    pub(super) props: &'static [Prop],
    /// What is told, one of each list. A list that begins with an empty way may be left out.
    pub(super) beats: &'static [&'static [&'static str]],
}

/// All plots.
pub(super) const PLOTS: &[Plot] = &[
    play::LOST,
    play::SHARE,
    play::KITE,
    play::BUILD,
    play::RACE,
    play::LEARN,
    play::SNOWMAN,
    friends::NEW_FRIEND,
    friends::SICK,
    friends::BORROW,
    friends::PICNIC,
    friends::BIRTHDAY_CAKE,
    home::DARK,
    home::SLEEPLESS,
    home::TIDY,
    home::STRAY,
    home::GREEDY,
    virtue::BROKEN,
    virtue::FOUND,
    virtue::WISH,
    virtue::SMALL_HELPS_BIG,
    virtue::PRESENT,
    nature::RESCUE,
    nature::SEED,
    nature::ASTRAY,
];
