//! The chips that have an engine, and the compiler targets that stand for them.

use thiserror::Error;

/// A system on chip with a Neural Engine.
#[derive(Debug, PartialEq)]
pub struct Chip {
    /// Marketing name: `M1 Max`.
    pub name: &'static str,
    /// Name of the compiler target that programs for it are built for: `h13g`.
    pub target: &'static str,
}

/// Every chip, oldest first.
pub static CHIPS: &[Chip] = &[Chip { name: "M1", target: "h13" }];

/// Not the name of a chip.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("there is no chip `{found}`; chips: {known}")]
pub struct UnknownChip {
    /// What was asked for.
    pub found: String,
    /// Every name, separated by commas.
    pub known: String,
}

impl Chip {
    /// The chip of a name: `M1 Max`, `m1max` or `m1-max`.
    ///
    /// # Errors
    /// When there is no such chip.
    pub fn named(name: &str) -> Result<&'static Chip, UnknownChip> {
        let plain = |text: &str| text.to_ascii_lowercase().replace([' ', '-', '_'], "");
        CHIPS.iter().find(|chip| plain(chip.name) == plain(name)).ok_or_else(|| UnknownChip {
            found: name.to_string(),
            known: CHIPS.iter().map(|chip| chip.name).collect::<Vec<_>>().join(", "),
        })
    }
}
