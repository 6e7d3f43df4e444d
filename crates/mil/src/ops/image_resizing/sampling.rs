//! Where the elements of a resized dimension come from: the arithmetic that inference, kernels and gradients share.
//!
//! Source of the formulas: the notes at `resize_bilinear` in coremltools 9.0. All of them are fractions of integers, and
//! are computed as such, so that a point that should be an element is one.

use super::super::infer::choice;
use crate::{InferError, OpView};

/// Where the grid of `output` points lies on `0..=input - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// From the first element to the last; a single point is the first element.
    StrictAlignCorners,
    /// From the first element to the last; a single point is the middle.
    AlignCorners,
    /// Middles of equal parts of the whole, elements having an extent: `(i + 0.5) input / output - 0.5`.
    UnalignCorners,
    /// Beginnings of equal parts: `i input / output`.
    Default,
    /// Middles of equal parts of the way from the first element to the last, which is 1 at least.
    OffsetCorners,
}

const MODES: [(&str, Sampling); 5] = [
    ("STRICT_ALIGN_CORNERS", Sampling::StrictAlignCorners),
    ("ALIGN_CORNERS", Sampling::AlignCorners),
    ("UNALIGN_CORNERS", Sampling::UnalignCorners),
    ("DEFAULT", Sampling::Default),
    ("OFFSET_CORNERS", Sampling::OffsetCorners),
];

/// A fraction that is not negative.
#[derive(Clone, Copy)]
struct Fraction {
    over: u128,
    under: u128,
}

impl Sampling {
    /// The `sampling_mode` parameter.
    pub(super) fn of(op: &OpView<'_>) -> Result<Sampling, InferError> {
        let name = choice(op, "sampling_mode", &MODES.map(|(name, _)| name))?;
        let known = MODES.iter().find(|(known, _)| *known == name);
        Ok(known.map_or(Sampling::Default, |&(_, sampling)| sampling))
    }

    /// Point `i` of `output` on `0..=input - 1`, both sizes at least 1. Products of two sizes fit in 128 bits.
    fn point(self, i: usize, input: usize, output: usize) -> Fraction {
        let [i, input, output] = [i, input, output].map(|n| n as u128);
        let last = input - 1;
        let point = match self {
            Sampling::AlignCorners if output == 1 => Fraction { over: last, under: 2 },
            Sampling::StrictAlignCorners | Sampling::AlignCorners => {
                Fraction { over: i * last, under: (output - 1).max(1) }
            }
            Sampling::UnalignCorners => {
                Fraction { over: ((2 * i + 1) * input).saturating_sub(output), under: 2 * output }
            }
            Sampling::Default => Fraction { over: i * input, under: output },
            Sampling::OffsetCorners => Fraction { over: (2 * i + 1) * last.max(1), under: 2 * output },
        };
        if point.over > last * point.under { Fraction { over: last, under: 1 } } else { point }
    }

    /// How far point `i` of `output` is from the start of a box that is `length` long, `length` not negative. This is
    /// [`Points::Linear`]'s grid with `length + 1` for the size of the input, in the arithmetic of `fp32`.
    pub fn in_box(self, length: f32, i: usize, output: usize) -> f32 {
        let (share, offset) = self.share(i, output);
        let extent = match self {
            Sampling::StrictAlignCorners | Sampling::AlignCorners => length,
            Sampling::UnalignCorners | Sampling::Default => length + 1.0,
            Sampling::OffsetCorners => length.max(1.0),
        };
        (share * extent - offset).max(0.0).min(length)
    }

    /// `(a, b)` where point `i` of `output` is `a` times the extent of the grid minus `b`, before it is limited to the
    /// box. The extent is the length of the box, the same plus 1, or at least 1; see [`Sampling::in_box`].
    pub fn share(self, i: usize, output: usize) -> (f32, f32) {
        let (i, count) = (i as f64, output as f64);
        let share = match self {
            Sampling::AlignCorners if output == 1 => 0.5,
            Sampling::StrictAlignCorners | Sampling::AlignCorners => i / (count - 1.0).max(1.0),
            Sampling::Default => i / count,
            Sampling::UnalignCorners | Sampling::OffsetCorners => (i + 0.5) / count,
        };
        (share as f32, if self == Sampling::UnalignCorners { 0.5 } else { 0.0 })
    }
}

/// How elements of the input become one of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Points {
    /// Linear interpolation between the two elements around the point.
    Linear(Sampling),
    /// The element nearest to the point, the later one of two; with [`Sampling::Default`] the element in which the
    /// middle of the output element falls.
    Nearest(Sampling),
    /// The element at or before the point `i input / output`.
    Floor,
}

/// A dimension that is resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resized {
    /// Which one.
    pub axis: usize,
    /// Its size in the input, at least 1 for a verified operation.
    pub input: usize,
    /// Its size in the output.
    pub output: usize,
    /// How.
    pub points: Points,
}

/// One element of the output: `(1 - weight) x[low] + weight x[high]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tap {
    /// The element at or before the point.
    pub low: usize,
    /// The element after it; the same as `low` when `weight` is 0.
    pub high: usize,
    /// Share of `high`, at least 0 and below 1.
    pub weight: f64,
}

impl Resized {
    /// Where element `i` of the output comes from.
    pub fn tap(&self, i: usize) -> Tap {
        let element = |low: usize| Tap { low, high: low, weight: 0.0 };
        let (input, output) = (self.input, self.output);
        match self.points {
            Points::Floor => {
                let Fraction { over, under } = Sampling::Default.point(i, input, output);
                element((over / under) as usize)
            }
            Points::Nearest(sampling) => {
                let sampling =
                    if sampling == Sampling::Default { Sampling::UnalignCorners } else { sampling };
                let Fraction { over, under } = sampling.point(i, input, output);
                element(((2 * over + under) / (2 * under)) as usize)
            }
            Points::Linear(sampling) => {
                let Fraction { over, under } = sampling.point(i, input, output);
                let (low, rest) = ((over / under) as usize, over % under);
                if rest == 0 {
                    return element(low);
                }
                // A point between elements is before the last one.
                Tap { low, high: low + 1, weight: rest as f64 / under as f64 }
            }
        }
    }

    /// Where every element of the output comes from.
    pub fn taps(&self) -> impl ExactSizeIterator<Item = Tap> + '_ {
        (0..self.output).map(|i| self.tap(i))
    }

    /// Whether every element of the output is the one at its place in the input.
    pub fn is_identity(&self) -> bool {
        let shifted = self.points == Points::Linear(Sampling::OffsetCorners) && self.input > 1;
        self.input == self.output && !shifted
    }
}
