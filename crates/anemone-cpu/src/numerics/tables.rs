//! The tables of 33 numbers from which the engine takes its functions.
//!
//! Nine of them are samples, rounded to the nearest `fp16` number: a test computes them anew. Those of `gelu` and `silu` are
//! fitted by the compiler and stand here as they were published. Sources, which agree bit for bit where they overlap:
//!
//! * joshuaswarren/mil-hwx-compiler (MIT), `H16GLUTEncoderData.inc`, with hashes that show the same 128 bytes for H13, H14 and
//!   H16: `sigmoid`, `tanh`, `gelu`, `silu`, `exp`, `log`, `sqrt`, `rsqrt`, inverse;
//! * the crate `mil_infer` 0.6.0 (MIT OR Apache-2.0), programs for H16: the same without `log` and `sqrt`;
//! * 751K, microarchitecture study of the M6 (MIT), notes on numerics F3b: which function is sampled where, of the above, `erf`
//!   and `sin`, on h18g; gelu(1/4) and silu(1/2) as here.
//!
//! A source that says M1 and M5 compute activations with the precision of `fp32` contradicts these hashes and the published
//! errors of `gelu` on the M5 Pro, which follow from the table to eight digits. We follow those.

/// Knots of a table.
pub(super) const KNOTS: usize = 33;

/// The values of a function at knots an equal distance apart, bits of `fp16`.
pub(super) type Knots = [u16; KNOTS];

/// A function with knots around 0, a line on either side of them, and a constant beyond each line.
pub(super) struct Around {
    pub(super) knots: Knots,
    /// Knots per unit.
    pub(super) density: f64,
    /// Where the line on the left begins, and the value before.
    pub(super) below: (f64, f64),
    /// Slope and intercept, left of the knots.
    pub(super) left: (f64, f64),
    /// Slope and intercept, right of the knots.
    pub(super) right: (f64, f64),
    /// Where the line on the right ends, and the value from there on.
    pub(super) above: (f64, f64),
}

const INFINITY: f64 = f64::INFINITY;

/// Samples from -8 to 8.
pub(super) const SIGMOID: Around = Around {
    knots: [
        0x0d7f, 0x1087, 0x1377, 0x1626, 0x1910, 0x1c2b, 0x1eda, 0x21a0, 0x249b, 0x2781, 0x2a12, 0x2cdb,
        0x2fa1, 0x31d6, 0x344e, 0x360a, 0x3800, 0x38fb, 0x39d9, 0x3a8a, 0x3b0c, 0x3b65, 0x3b9f, 0x3bc4,
        0x3bdb, 0x3be9, 0x3bf2, 0x3bf8, 0x3bfb, 0x3bfd, 0x3bfe, 0x3bff, 0x3bff,
    ],
    density: 2.0,
    below: (-9.9375, 0.0),
    left: (1452.0 / 8_388_608.0, 1804.0 / 1_048_576.0),
    right: (1598.0 / 1_048_576.0, 2022.0 / 2048.0),
    above: (8.3203125, 1.0),
};

/// Fitted, from -4 to 4; one table for the exact function and for its approximation by tanh.
pub(super) const GELU: Around = Around {
    knots: [
        0x0000, 0x8e8a, 0x9230, 0x9757, 0x9bf0, 0xa011, 0xa3bf, 0xa6ec, 0xa9bf, 0xac75, 0xae67, 0xb03d,
        0xb11e, 0xb184, 0xb104, 0xaecf, 0x922d, 0x3098, 0x357e, 0x389f, 0x3ab8, 0x3c78, 0x3d9a, 0x3eb9,
        0x3fd2, 0x4072, 0x40f8, 0x417c, 0x41fe, 0x427f, 0x4300, 0x4380, 0x4400,
    ],
    density: 4.0,
    below: (-4.3984375, 0.0),
    left: (0.0, 0.0),
    right: (1.0, 0.0),
    above: (INFINITY, INFINITY),
};

/// Fitted, from -8 to 8.
pub(super) const SILU: Around = Around {
    knots: [
        0x98cd, 0x9c5e, 0x9e65, 0xa0ef, 0xa37b, 0xa5a9, 0xa83b, 0xaa45, 0xac8e, 0xae85, 0xb088, 0xb210,
        0xb3a9, 0xb470, 0xb460, 0xb284, 0x96fb, 0x34be, 0x39d0, 0x3ce4, 0x3f0b, 0x409f, 0x41b7, 0x42cc,
        0x43dc, 0x4473, 0x44f8, 0x457a, 0x45fc, 0x467e, 0x46fe, 0x477f, 0x47ff,
    ],
    density: 2.0,
    below: (-10.203125, 0.0),
    left: (-1117.0 / 1_048_576.0, -1425.0 / 131_072.0),
    right: (1.0, -1.0 / 256.0),
    above: (INFINITY, INFINITY),
};

/// An odd function with knots from 0 on, a line beyond them, and a constant beyond the line.
pub(super) struct Odd {
    pub(super) knots: Knots,
    /// Knots per unit.
    pub(super) density: f64,
    /// Slope and intercept, beyond the knots.
    pub(super) line: (f64, f64),
    /// Where the line ends, and the value from there on.
    pub(super) above: (f64, f64),
}

/// Samples from 0 to 4.
pub(super) const TANH: Odd = Odd {
    knots: [
        0x0000, 0x2ff5, 0x33d6, 0x35bc, 0x3765, 0x3870, 0x3915, 0x39a2, 0x3a18, 0x3a79, 0x3ac9, 0x3b0a,
        0x3b3e, 0x3b67, 0x3b88, 0x3ba2, 0x3bb6, 0x3bc6, 0x3bd3, 0x3bdd, 0x3be5, 0x3beb, 0x3bef, 0x3bf3,
        0x3bf6, 0x3bf8, 0x3bfa, 0x3bfb, 0x3bfc, 0x3bfd, 0x3bfe, 0x3bfe, 0x3bff,
    ],
    density: 8.0,
    line: (0.0, 1.0),
    above: (4.0, 1.0),
};

/// Samples from 0 to 2. The line beyond was not published; ours crosses the function where the published error changes its sign
/// (2.02 and about 2.29).
pub(super) const ERF: Odd = Odd {
    knots: [
        0x0000, 0x2c82, 0x307d, 0x32b1, 0x346c, 0x3577, 0x3677, 0x376c, 0x382a, 0x3897, 0x38fc, 0x395a,
        0x39b0, 0x39ff, 0x3a46, 0x3a85, 0x3abe, 0x3af0, 0x3b1b, 0x3b41, 0x3b62, 0x3b7e, 0x3b96, 0x3baa,
        0x3bbb, 0x3bc8, 0x3bd4, 0x3bdd, 0x3be5, 0x3beb, 0x3bf0, 0x3bf3, 0x3bf6,
    ],
    density: 16.0,
    line: (0.010_200_500_488_281_25, 0.975_585_937_5),
    above: (2.371_093_75, 1.0),
};

/// Samples of a quarter of the period.
pub(super) const SIN: Knots = [
    0x0000, 0x2a48, 0x2e46, 0x30b2, 0x323e, 0x33c6, 0x34a5, 0x3564, 0x361f, 0x36d7, 0x378b, 0x381d, 0x3872,
    0x38c4, 0x3913, 0x395f, 0x39a8, 0x39ed, 0x3a2f, 0x3a6d, 0x3aa7, 0x3add, 0x3b0e, 0x3b3b, 0x3b64, 0x3b88,
    0x3ba8, 0x3bc3, 0x3bd9, 0x3bea, 0x3bf6, 0x3bfe, 0x3c00,
];

/// Samples of 2^x from 0 to 1.
pub(super) const EXP2: Knots = [
    0x3c00, 0x3c16, 0x3c2d, 0x3c45, 0x3c5d, 0x3c75, 0x3c8e, 0x3ca8, 0x3cc2, 0x3cdc, 0x3cf8, 0x3d14, 0x3d30,
    0x3d4d, 0x3d6b, 0x3d89, 0x3da8, 0x3dc8, 0x3de8, 0x3e09, 0x3e2b, 0x3e4e, 0x3e71, 0x3e95, 0x3eba, 0x3ee0,
    0x3f06, 0x3f2e, 0x3f56, 0x3f7f, 0x3fa9, 0x3fd4, 0x4000,
];
/// Before the first, 2^x is 0; from the second on, infinite.
pub(super) const EXP2_RANGE: (f64, f64) = (-25.0, 16.0);

/// Samples of log2 from 1/2 to 1.
pub(super) const LOG2: Knots = [
    0xbc00, 0xbba5, 0xbb4d, 0xbaf7, 0xbaa4, 0xba53, 0xba04, 0xb9b7, 0xb96d, 0xb924, 0xb8dd, 0xb897, 0xb853,
    0xb811, 0xb79f, 0xb720, 0xb6a4, 0xb62a, 0xb5b3, 0xb53e, 0xb4cb, 0xb45a, 0xb3d8, 0xb2ff, 0xb22a, 0xb159,
    0xb08b, 0xaf83, 0xadf6, 0xac6f, 0xa9dd, 0xa5d1, 0x0000,
];

/// Samples of 1/x from 1/2 to 1.
pub(super) const INVERSE: Knots = [
    0x4000, 0x3fc2, 0x3f88, 0x3f50, 0x3f1c, 0x3eeb, 0x3ebd, 0x3e90, 0x3e66, 0x3e3e, 0x3e18, 0x3df4, 0x3dd1,
    0x3db0, 0x3d91, 0x3d72, 0x3d55, 0x3d39, 0x3d1f, 0x3d05, 0x3cec, 0x3cd5, 0x3cbe, 0x3ca8, 0x3c92, 0x3c7e,
    0x3c6a, 0x3c57, 0x3c44, 0x3c32, 0x3c21, 0x3c10, 0x3c00,
];

/// Samples of the square root from 0 to 2, of which those from 1/2 on are used.
pub(super) const SQRT: Knots = [
    0, 0, 0, 0, 0, 0, 0, 0, 0x39a8, 0x3a00, 0x3a53, 0x3aa2, 0x3aee, 0x3b36, 0x3b7c, 0x3bbf, 0x3c00, 0x3c20,
    0x3c3e, 0x3c5c, 0x3c79, 0x3c95, 0x3cb1, 0x3ccc, 0x3ce6, 0x3d00, 0x3d19, 0x3d32, 0x3d4b, 0x3d63, 0x3d7a,
    0x3d91, 0x3da8,
];

/// Samples of its inverse, likewise.
pub(super) const RSQRT: Knots = [
    0, 0, 0, 0, 0, 0, 0, 0, 0x3da8, 0x3d55, 0x3d0f, 0x3cd3, 0x3c9e, 0x3c70, 0x3c47, 0x3c22, 0x3c00, 0x3bc3,
    0x3b8b, 0x3b57, 0x3b28, 0x3afc, 0x3ad3, 0x3aac, 0x3a88, 0x3a66, 0x3a47, 0x3a29, 0x3a0c, 0x39f1, 0x39d8,
    0x39bf, 0x39a8,
];

/// log2 e, by which arguments of `exp` are multiplied, as `fp16`.
pub(super) const LOG2_E: f64 = 1.442_382_812_5;
/// ln 2, by which results of `log` are multiplied, as `fp16`.
pub(super) const LN_2: f64 = 0.693_359_375;

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    fn sampled(knots: &Knots, from: usize, function: impl Fn(f64) -> f64) {
        for (i, &bits) in knots.iter().enumerate().skip(from) {
            assert_eq!(bits & 0x7fff, f16::from_f64(function(i as f64)).to_bits() & 0x7fff, "knot {i}");
        }
    }

    #[test]
    fn nine_tables_are_samples() {
        sampled(&SIGMOID.knots, 0, |i| 1.0 / (1.0 + libm::exp(8.0 - i / 2.0)));
        sampled(&TANH.knots, 0, |i| libm::tanh(i / 8.0));
        sampled(&ERF.knots, 0, |i| libm::erf(i / 16.0));
        sampled(&SIN, 0, |i| libm::sin(i * std::f64::consts::PI / 64.0));
        sampled(&EXP2, 0, |i| libm::exp2(i / 32.0));
        sampled(&LOG2, 0, |i| libm::log2(0.5 + i / 64.0));
        sampled(&INVERSE, 0, |i| 1.0 / (0.5 + i / 64.0));
        sampled(&SQRT, 8, |i| (i / 16.0).sqrt());
        sampled(&RSQRT, 8, |i| (16.0 / i).sqrt());
        assert_eq!(f16::from_f64(std::f64::consts::LOG2_E).to_f64(), LOG2_E);
        assert_eq!(f16::from_f64(std::f64::consts::LN_2).to_f64(), LN_2);
    }

    #[test]
    fn lines_are_halves() {
        let lines = [&SIGMOID, &GELU, &SILU].map(|table| [table.below, table.left, table.right, table.above]);
        let odd = [&TANH, &ERF].map(|table| [table.line, table.above]);
        let published: Vec<u16> = vec![
            0xc8f8, 0x0000, 0x09ac, 0x170c, 0x163e, 0x3be6, 0x4829, 0x3c00, // sigmoid
            0xc466, 0x0000, 0x0000, 0x0000, 0x3c00, 0x0000, 0x7c00, 0x7c00, // gelu
            0xc91a, 0x0000, 0x945d, 0xa191, 0x3c00, 0x9c00, 0x7c00, 0x7c00, // silu
        ];
        let ours = lines.iter().flatten().flat_map(|&(a, b)| [a, b]).map(|x| f16::from_f64(x).to_bits());
        assert_eq!(ours.collect::<Vec<_>>(), published);
        for number in odd.iter().flatten().flat_map(|&(a, b)| [a, b]) {
            assert_eq!(f16::from_f64(number).to_f64(), number);
        }
    }
}
