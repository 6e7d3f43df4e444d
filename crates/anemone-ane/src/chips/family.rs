//! What Apple's compiler holds programs to, by family of targets.

use crate::facts::{ANEFORGE, ANEMONE, Cite, Conflict, Figure, Grade, HOLLANCE, M6_STUDY};
use serde::Serialize;
use std::fmt;

/// A family of compiler targets with the same capabilities. The names are ANEForge's and lag one behind Apple's phones:
/// `A13` is H13, the engine of A14 and M1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Family {
    /// Before H13: no MIL.
    Older,
    /// H13: A14, M1.
    A13,
    /// H14: A15, M2.
    A14,
    /// H15: A16, M3.
    A15,
    /// H16 and later: A17 Pro, M4 and later.
    A16,
}

impl Family {
    /// The families that take MIL, oldest first.
    pub const MIL: [Family; 4] = [Family::A13, Family::A14, Family::A15, Family::A16];

    /// ANEForge's name.
    pub const fn name(self) -> &'static str {
        match self {
            Family::Older => "older",
            Family::A13 => "A13",
            Family::A14 => "A14",
            Family::A15 => "A15",
            Family::A16 => "A16",
        }
    }

    /// Its place in [`Family::MIL`], unless it takes no MIL.
    pub const fn index(self) -> Option<usize> {
        match self {
            Family::Older => None,
            Family::A13 => Some(0),
            Family::A14 => Some(1),
            Family::A15 => Some(2),
            Family::A16 => Some(3),
        }
    }

    /// What programs are held to; none for a family that takes no MIL.
    pub fn limits(self) -> Option<&'static Limits> {
        self.index().map(|index| &LIMITS[index])
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Caps and capabilities of a family.
#[derive(Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Most elements along the last two axes of a tensor.
    pub spatial: Figure,
    /// Most elements along any other axis.
    pub channels: Figure,
    /// Most terms of a sum of products.
    pub contraction: Figure,
    /// Most elements of a tensor that is transposed.
    pub transpose: Figure,
    /// Most dimensions.
    pub rank: Figure,
    /// Most dimensions of what is transposed or multiplied.
    pub matrix_rank: Figure,
    /// Widest kernel of a convolution.
    pub kernel_width: Figure,
    /// Tallest kernel of a convolution.
    pub kernel_height: Figure,
    /// Largest window of an average pooling, one side.
    pub average_window: Figure,
    /// Largest window of a max pooling, one side.
    pub max_window: Figure,
    /// Elements from which on a reduction goes through a transpose (HAL field 0x3f0); results differ by rounding.
    pub reduction_threshold: Figure,
    /// Weights in one table of 16 values are read in four bits.
    pub int4_stream: Figure,
    /// Weights in eight bits are read as such.
    pub int8_stream: Figure,
    /// Weights with zeros left out are read as such.
    pub sparse_stream: Figure,
    /// Weights in blocks with scales of their own are read as such.
    pub blockwise_stream: Figure,
}

impl Limits {
    /// Every figure with a name.
    pub fn figures(&self) -> [(&'static str, &Figure); 15] {
        [
            ("last two axes", &self.spatial),
            ("other axes", &self.channels),
            ("contraction", &self.contraction),
            ("transposed elements", &self.transpose),
            ("rank", &self.rank),
            ("rank of matmul and transpose", &self.matrix_rank),
            ("kernel width", &self.kernel_width),
            ("kernel height", &self.kernel_height),
            ("avg_pool window", &self.average_window),
            ("max_pool window", &self.max_window),
            ("reduction threshold", &self.reduction_threshold),
            ("int4-LUT stream", &self.int4_stream),
            ("int8 stream", &self.int8_stream),
            ("sparse stream", &self.sparse_stream),
            ("blockwise stream", &self.blockwise_stream),
        ]
    }
}

const HAL: Cite = Cite::of(&ANEFORGE, "family limits (compiler tables)");
const CATALOGUE: Cite = Cite::of(&ANEFORGE, "op catalogue");
const STREAMS: Cite = Cite::of(&ANEFORGE, "native weight streams");
const STUDY: Cite = Cite::of(&M6_STUDY, "limits, table 5-2");

const fn cap(value: f64) -> Figure {
    Figure::new(value, "elements", Grade::Vendor, HAL)
}

const fn side(value: f64, grade: Grade, cite: Cite) -> Figure {
    Figure::new(value, "elements", grade, cite)
}

const fn stream(native: bool) -> Figure {
    Figure::new(if native { 1.0 } else { 0.0 }, "native", Grade::Derived, STREAMS)
}

const SQUARE: &[Conflict] = &[
    Conflict { claim: "square kernels up to 16, 1xK up to 15, Kx1 up to 31 (H16G, H18G)", cite: STUDY },
    Conflict { claim: "29x29 (fp16 13x13) on M1, 32x32 on M5", cite: CATALOGUE },
    Conflict {
        claim: "dilated convolutions are not placed by Core ML",
        cite: Cite::of(&HOLLANCE, "unsupported layers"),
    },
];
const NO_HEIGHT: &[Conflict] = &[Conflict { claim: "the height is not limited", cite: HAL }];
const POOLS: &[Conflict] = &[
    Conflict { claim: "at most 8 (H16G, H18G)", cite: STUDY },
    Conflict {
        claim: "not above 13, and strides not above 2, by Core ML",
        cite: Cite::of(&HOLLANCE, "unsupported layers"),
    },
];
const CONTRACTION: &[Conflict] = &[Conflict { claim: "65536, as any axis", cite: HAL }];
const INT8: &[Conflict] = &[
    Conflict { claim: "folded to fp16 below A15", cite: CATALOGUE },
    Conflict {
        claim: "no faster than fp16 on an M5 Pro: 0.99 to 1.03 times",
        cite: Cite::of(&ANEFORGE, "compression sweep"),
    },
];

const OLDEST: Limits = Limits {
    spatial: cap(16384.0),
    channels: cap(65536.0),
    contraction: cap(16384.0),
    transpose: cap(8388607.0),
    rank: Figure::new(5.0, "dimensions", Grade::Derived, Cite::of(&ANEFORGE, "preflight")),
    matrix_rank: Figure::new(4.0, "dimensions", Grade::Derived, Cite::of(&ANEFORGE, "preflight")),
    kernel_width: side(13.0, Grade::Vendor, HAL).but(SQUARE),
    kernel_height: side(29.0, Grade::Derived, CATALOGUE).but(NO_HEIGHT),
    average_window: side(29.0, Grade::Derived, CATALOGUE),
    max_window: side(13.0, Grade::Derived, Cite::of(&HOLLANCE, "unsupported layers")).but(POOLS),
    reduction_threshold: cap(192.0),
    int4_stream: stream(true),
    int8_stream: stream(false),
    sparse_stream: stream(true),
    blockwise_stream: stream(false),
};

const UNSURE: Cite = Cite::of(&ANEMONE, "between the values of A13 and A16");

/// Limits of [`Family::MIL`].
static LIMITS: [Limits; 4] = [
    OLDEST,
    Limits {
        int8_stream: stream(true).but(INT8),
        average_window: side(29.0, Grade::Derived, UNSURE),
        ..OLDEST
    },
    Limits {
        reduction_threshold: cap(384.0),
        int8_stream: stream(true).but(INT8),
        blockwise_stream: stream(true),
        average_window: side(29.0, Grade::Derived, UNSURE),
        ..OLDEST
    },
    Limits {
        spatial: cap(65536.0),
        contraction: side(32768.0, Grade::Measured, STUDY).but(CONTRACTION),
        transpose: cap(16777215.0),
        kernel_width: side(15.0, Grade::Vendor, HAL).but(SQUARE),
        kernel_height: side(31.0, Grade::Measured, STUDY).but(NO_HEIGHT),
        average_window: side(31.0, Grade::Derived, CATALOGUE),
        max_window: side(8.0, Grade::Measured, STUDY).but(&[Conflict {
            claim: "not above 13, by Core ML",
            cite: Cite::of(&HOLLANCE, "unsupported layers"),
        }]),
        reduction_threshold: cap(384.0),
        int8_stream: stream(true).but(INT8),
        blockwise_stream: stream(true).but(&[Conflict {
            claim: "int4 in blocks fails to compile (macOS 27)",
            cite: Cite::of(&M6_STUDY, "weight formats"),
        }]),
        ..OLDEST
    },
];
