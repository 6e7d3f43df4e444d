//! The chips that have an engine, and the compiler targets that stand for them.
//!
//! Three tables, one below the other: [`CHIPS`] (what is sold), [`TARGETS`] (what Apple's compiler knows them as), and the
//! [`Limits`] of the [`Family`] that a target belongs to. Every figure carries its source and its [`Grade`];
//! where sources disagree, the figure says so.

mod family;
mod process;
mod table;
mod target;

pub use family::{Family, Limits};
pub use process::{ENGINE, EngineFacts, PROCESS, ProcessLimits};
pub use table::{BARE, CHIPS};
pub use target::{TARGETS, Target};

use crate::facts::{ANEMONE, Cite, Conflict, Figure, Grade};
use serde::Serialize;
use thiserror::Error;

/// A system on chip with a Neural Engine.
#[derive(Debug, PartialEq, Serialize)]
pub struct Chip {
    /// Marketing name: `M1 Max`.
    pub name: &'static str,
    /// Name of the compiler target that programs for it are built for: `h13g`.
    pub target: &'static str,
    /// How it is known that this is the target.
    pub target_grade: Grade,
    /// What other sources take the target to be.
    pub target_conflicts: &'static [Conflict],
    /// Neural cores, as Apple counts them.
    pub cores: Figure,
    /// Engines; programs run on one of them unless the compiler splits them.
    pub engines: Figure,
    /// Operations per second that Apple gives: `fp16` before A17 Pro and M4, `int8` from there on.
    pub tops: Figure,
    /// Rate at which weights are read.
    pub weight_stream: Figure,
    /// Rate at which activations are read and written.
    pub activation_dma: Figure,
    /// Bandwidth of the chip's memory.
    pub memory: Figure,
    /// Time of a call that computes next to nothing, on macOS.
    pub call: Figure,
    /// How 3x3 convolutions are computed.
    pub convolution: Convolution,
}

/// How the engine computes dense 3x3 convolutions of stride 1; results differ by rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Convolution {
    /// Product by product.
    Direct,
    /// By Winograd's F(2,3) along the width, with transforms rounded to `fp16`.
    Winograd,
    /// No source says.
    Unknown,
}

const PEAK: Cite = Cite::of(&ANEMONE, "neural cores times products a cycle times the clock");

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
    /// The chip of a name: `M1 Max`, `m1max` or `m1-max`; or that of a compiler target, `h13g`: the chip that is best known to be
    /// it, or the bare target when no chip is.
    ///
    /// # Errors
    /// When there is no such chip.
    pub fn named(name: &str) -> Result<&'static Chip, UnknownChip> {
        let plain = |text: &str| text.to_ascii_lowercase().replace([' ', '-', '_'], "");
        let wanted = plain(name);
        let by_target =
            || CHIPS.iter().filter(|chip| chip.target == wanted).min_by_key(|chip| chip.target_grade);
        let all = || CHIPS.iter().chain(BARE);
        CHIPS
            .iter()
            .find(|chip| plain(chip.name) == wanted)
            .or_else(by_target)
            .or_else(|| BARE.iter().find(|chip| chip.target == wanted))
            .ok_or_else(|| UnknownChip {
                found: name.to_string(),
                known: all().map(|chip| chip.name).collect::<Vec<_>>().join(", "),
            })
    }

    /// What the compiler knows of the chip.
    pub fn target(&self) -> &'static Target {
        Target::named(self.target).unwrap_or(&TARGETS[0])
    }

    /// The family of its target.
    pub fn family(&self) -> Family {
        self.target().family
    }

    /// What one engine reaches at most in `fp16`, in TFLOP/s: two operations for each product of its neural cores at its highest clock.
    /// Convolution chains were measured at 80 to 92 % of it (ANEForge, M1 Max to M5 Pro, one engine).
    pub fn peak(&self) -> Figure {
        let target = self.target();
        match (target.neural_cores.value, target.clock.value, ENGINE.products_fp16.value) {
            (Some(cores), Some(clock), Some(products)) => {
                Figure::new(cores * products * 2.0 * clock * 1e-6, "TFLOP/s", Grade::Derived, PEAK)
            }
            _ => Figure::unknown("TFLOP/s"),
        }
    }

    /// Every figure with a name: the chip's own, then its target's.
    pub fn figures(&self) -> Vec<(&'static str, Figure)> {
        let target = self.target();
        vec![
            ("cores", self.cores),
            ("engines", self.engines),
            ("operations", self.tops),
            ("weight stream", self.weight_stream),
            ("activation DMA", self.activation_dma),
            ("memory", self.memory),
            ("call", self.call),
            ("fp16 peak of an engine", self.peak()),
            ("neural cores of an engine", target.neural_cores),
            ("cores of the cost table", target.hal_cores),
            ("clock", target.clock),
            ("effective clock", target.effective_clock),
        ]
    }

    /// Names of the figures that no source gives for it.
    pub fn unknown(&self) -> Vec<&'static str> {
        let mut unknown: Vec<_> = self
            .figures()
            .into_iter()
            .filter(|(_, figure)| figure.value.is_none())
            .map(|(name, _)| name)
            .collect();
        if self.convolution == Convolution::Unknown {
            unknown.push("arithmetic of convolutions");
        }
        unknown
    }
}
