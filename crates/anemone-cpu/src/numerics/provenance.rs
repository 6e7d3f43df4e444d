//! How far the numbers of each operation are known.

use super::AneGeneration;

/// How well the model of an operation is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Reproduces published measurements to the noise of the measure itself, or moves numbers without changing them.
    Exact,
    /// Chosen to come near published measurements; the note says how near.
    Fitted,
    /// No measurement decides: what is computed is the note's choice.
    Assumed,
    /// Not the engine's: the host computes it, as IEEE 754 says.
    Host,
}

impl Grade {
    /// `exact`, `fitted`, `assumed` or `host`.
    pub fn name(self) -> &'static str {
        match self {
            Grade::Exact => "exact",
            Grade::Fitted => "fitted",
            Grade::Assumed => "assumed",
            Grade::Host => "host",
        }
    }
}

/// What the model of an operation rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// How well it is supported.
    pub grade: Grade,
    /// What is computed, and how that compares with what was measured.
    pub note: &'static str,
    /// Where the evidence comes from.
    pub source: &'static str,
}

/// The case of an operation, where that decides how well its model is supported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpCase {
    /// A convolution: dense, 3x3, of stride 1, not dilated.
    pub dense_3x3: bool,
    /// Both factors of a product are known at run time only.
    pub two_operands: bool,
    /// A Winograd convolution of odd width.
    pub odd_width: bool,
}

const FINGERPRINTS: &str = "ANEForge, published errors of products and convolutions on M1 to M6 (tests/golden/numerics/fingerprints.csv)";
const OP_ERRORS: &str = "ANEForge, published errors of single ops (tests/golden/numerics/op_relerr.csv)";
const CENSUS: &str = "ANEForge, vocabulary sweep on M5";
const CLIFFS: &str = "ANEForge, numeric cliffs on M1, M1 Max, M2 Pro, M4, M4 Max, M5, M5 Pro";
const PROBES: &str = "751K, microarchitecture study of the M6, probes of M4 and M6";
const TABLES: &str = "programs compiled for H13, H14 and H16 (joshuaswarren/mil-hwx-compiler, mil_infer), for the M6 (751K), and errors measured on M5 \
     Pro (ANEForge) and M6 (751K)";
const NOTHING: &str = "no measurement";

const fn provenance_of(grade: Grade, note: &'static str, source: &'static str) -> Provenance {
    Provenance { grade, note, source }
}

const MOVES: &[&str] = &[
    "batch_to_space",
    "concat",
    "crop",
    "depth_to_space",
    "expand_dims",
    "fill",
    "fill_like",
    "gather",
    "gather_along_axis",
    "gather_nd",
    "identity",
    "one_hot",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "reshape",
    "reshape_like",
    "resize_nearest_neighbor",
    "reverse",
    "reverse_sequence",
    "scatter",
    "scatter_along_axis",
    "scatter_nd",
    "select",
    "slice_update",
    "sliding_windows",
    "space_to_batch",
    "space_to_depth",
    "split",
    "squeeze",
    "stack",
    "tile",
    "transpose",
    "upsample_nearest_neighbor",
    "read_state",
    "coreml_update_state",
    "argsort",
    "topk",
    "non_zero",
    "shape",
    "band_part",
];

/// Functions that the engine takes from tables, and how what was measured compares: largest absolute errors on an M6 unless told.
const FUNCTIONS: &[(&str, Grade, &str)] = &[
    (
        "gelu",
        Grade::Exact,
        "the engine's table of 33 numbers, interpolated in fp16: 2.40e-3 on N(0, 1) on M5 Pro and M6, as measured to eight digits; \
         6.159e-3, as measured. The exact mode and that by tanh are one table; that by the logistic function is assumed: fp32, \
         rounded half away",
    ),
    ("silu", Grade::Exact, "the engine's table of 33 numbers, interpolated in fp16: 1.491e-2, as measured"),
    (
        "sigmoid",
        Grade::Exact,
        "the engine's table of 33 numbers, interpolated in fp16: 3.355e-3, as measured",
    ),
    ("tanh", Grade::Exact, "the engine's table of 33 numbers, interpolated in fp16: 1.613e-3, as measured"),
    (
        "scaled_tanh",
        Grade::Fitted,
        "tanh between two products rounded to fp16; measured on M5: 1.7e-3 of the largest result",
    ),
    (
        "exp",
        Grade::Exact,
        "2^x of x log2 e in fp16, from the engine's table of 33 numbers: 100.8 and 9.1 units of the last place, as measured",
    ),
    ("exp2", Grade::Fitted, "from the table of exp; measured on M5: 4.8e-4 of the largest result"),
    (
        "log",
        Grade::Exact,
        "log2 from the engine's table of 33 numbers, times ln 2, in fp16: 6.638e-3 and 91.0 units of the last place, as measured; \
         0 of infinity, -45440 of 0, as measured",
    ),
    (
        "sqrt",
        Grade::Exact,
        "the engine's table of 25 numbers for two octaves: 1.810e-2 and 1.2 units, as measured",
    ),
    (
        "rsqrt",
        Grade::Exact,
        "the engine's table of 25 numbers for two octaves: 8.139e-3 and 2.1 units, as measured",
    ),
    (
        "inverse",
        Grade::Exact,
        "the engine's table of 33 numbers for an octave: .4375 and 13.5 units, as measured",
    ),
    (
        "erf",
        Grade::Fitted,
        "the engine's table of 33 numbers to 2: 8.642e-4 and 3.0 units, as measured; a line beyond, fitted to where the error \
         changes its sign",
    ),
    (
        "softplus",
        Grade::Fitted,
        "the engine's logarithm of 1 and its exp, in fp16: 0 from 11.09 on, as measured on M5; the error of 7.8e-4 there is of \
         unknown inputs",
    ),
    ("elu", Grade::Assumed, "fp32 rounded half away; measured on M5: 5e-3, from a table that is not known"),
    (
        "atan",
        Grade::Assumed,
        "fp32 rounded half away; measured on M5: 1.9e-2, from tables that are not known",
    ),
];

/// What the model of the `fp16` op called `op` rests on.
pub fn provenance(op: &str, case: OpCase, generation: AneGeneration) -> Provenance {
    use Grade::{Assumed, Exact, Fitted, Host};
    if let Some(&(_, grade, note)) = FUNCTIONS.iter().find(|(name, ..)| *name == op) {
        return provenance_of(grade, note, if grade == Assumed { CENSUS } else { TABLES });
    }
    if MOVES.contains(&op) {
        return provenance_of(Exact, "moves numbers", NOTHING);
    }
    match op {
        "conv" => convolution(case, generation),
        "linear" => provenance_of(
            Exact,
            "fixed point; with a bias, which starts the sum: as probed, no error published",
            FINGERPRINTS,
        ),
        "einsum" => provenance_of(
            Assumed,
            "fixed point, as matmul; equations that are no matrix product in fp32, rounded half away",
            FINGERPRINTS,
        ),
        "matmul" if !case.two_operands => provenance_of(Exact, "fixed point", FINGERPRINTS),
        "matmul" => provenance_of(
            Assumed,
            "fixed point, as with a constant factor; no error of a product of two run-time operands is published",
            FINGERPRINTS,
        ),
        "conv_transpose" => provenance_of(Assumed, "fixed point, phase by phase; not measured", FINGERPRINTS),
        "scaled_dot_product_attention" => provenance_of(
            Assumed,
            "fixed-point products around a softmax as the op, fp16 in between; whole attention layers of two products: 1.56e-3 at 197x768, \
             2.31e-3 at 512x768; measured on M4: 1.63e-3, 2.35e-3",
            OP_ERRORS,
        ),
        "reduce_sum" => provenance_of(
            Fitted,
            "exact sums of 384 neighbours, added one after another in fp16: .00074 .00083 .00080 on 64, 256, 1024 rows of 4096, measured on M5 \
             Pro .00076 .00082 .00083; .00079 .00077 on 256, 2048 rows, measured on M6 .00081 .00081",
            OP_ERRORS,
        ),
        "reduce_mean" | "reduce_l1_norm" | "reduce_l2_norm" | "reduce_sum_square" | "reduce_log_sum" => {
            provenance_of(Fitted, "sums as those of reduce_sum; measured on M5: 5.1e-4 to 7.1e-4", CENSUS)
        }
        "reduce_max" | "reduce_min" | "max_pool" | "maximum" | "minimum" | "relu" | "abs" => provenance_of(
            Exact,
            "chooses among numbers; relu's published error is that of its operand's rounding",
            OP_ERRORS,
        ),
        "softmax" => provenance_of(
            Fitted,
            "an op at a time in fp16, exp and inverse from the engine's tables, the sum as reduce_sum: .00109 .00105 .00102 on 64, 256, 1024 rows \
             of 4096, measured on M5 Pro .00105 .00103 .00105; .00104 .00103 on 256, 2048 rows, measured on M6 .00103 .00106",
            OP_ERRORS,
        ),
        "layer_norm" => provenance_of(
            Fitted,
            "an op at a time in fp16, rsqrt from the engine's table, sums as reduce_sum: .00066 .00065 .00064 on 64, 256, 1024 rows of 4096, \
             measured on M5 Pro .00066 .00067 .00066; .00065 .00064 on 256, 2048 rows, measured on M6 .00066 .00066; .00068 on 197 rows of \
             768, measured on M4 .00067",
            OP_ERRORS,
        ),
        "instance_norm" => {
            provenance_of(Assumed, "an op at a time in fp16, as layer_norm; measured on M5: 7.6e-4", CENSUS)
        }
        "slice_by_index" | "slice_by_size" => provenance_of(
            Exact,
            "moves numbers; on A14 and A15 parts, beyond 4094 infinite where the slice begins inside the last axis",
            CLIFFS,
        ),
        "add" | "sub" | "mul" | "real_div" => provenance_of(
            Fitted,
            "fp32 rounded half away: .00039988 on 25 Jacobi steps, nearest-even .00040010; measured .00039986",
            OP_ERRORS,
        ),
        "sin" | "cos" if generation < AneGeneration::H15 => provenance_of(
            Assumed,
            "fp32 rounded half away (cos of infinity 0, as measured on M5); before A16 the compiler takes polynomials that are not known",
            CENSUS,
        ),
        "sin" | "cos" => provenance_of(
            Fitted,
            "the engine's table of 33 numbers for a quarter of the period: 6.329e-4, as measured on M6; where the sine is 0, 45 units of \
             the last place were measured, and are not modelled",
            TABLES,
        ),
        "round" => provenance_of(
            Fitted,
            "half away from zero; from 1024 on the engine is reported to add 1/2, which is not modelled",
            CENSUS,
        ),
        "cast" => provenance_of(Host, "from fp32 and integers to nearest-even, on the host", FINGERPRINTS),
        "lstm"
        | "gru"
        | "rnn"
        | "non_maximum_suppression"
        | "random_normal"
        | "random_uniform"
        | "random_bernoulli"
        | "random_categorical"
        | "classify" => provenance_of(Host, "the engine does not have it", CENSUS),
        _ => provenance_of(Assumed, "fp32 rounded half away", PROBES),
    }
}

fn convolution(case: OpCase, generation: AneGeneration) -> Provenance {
    let measured = generation != AneGeneration::H15;
    match (case, generation.has_winograd()) {
        (OpCase { dense_3x3: true, two_operands: true, .. }, true) => provenance_of(
            Grade::Assumed,
            "fixed point, directly: weights known at run time are taken not to go through Winograd's algorithm",
            NOTHING,
        ),
        (OpCase { dense_3x3: true, odd_width: true, .. }, true) => provenance_of(
            Grade::Assumed,
            "fixed point by Winograd's algorithm; for an odd width the last tile is taken to be filled with zeros",
            FINGERPRINTS,
        ),
        (OpCase { dense_3x3: true, two_operands: false, .. }, true) => {
            provenance_of(Grade::Exact, "fixed point, by Winograd's F(2, 3) along rows", FINGERPRINTS)
        }
        (OpCase { dense_3x3: true, two_operands: false, .. }, false) if measured => {
            provenance_of(Grade::Exact, "fixed point", FINGERPRINTS)
        }
        (OpCase { dense_3x3: true, two_operands: false, .. }, false) => provenance_of(
            Grade::Assumed,
            "fixed point, directly; no convolution was measured on M3 or A16",
            FINGERPRINTS,
        ),
        _ => provenance_of(
            Grade::Assumed,
            "fixed point, as for matmul and dense 3x3 convolutions; kernels of other sizes, strides, dilations and groups were not \
             measured",
            FINGERPRINTS,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_op_has_a_grade() {
        for op in mil::Op::all() {
            for generation in AneGeneration::ALL {
                let known = provenance(op.name, OpCase::default(), generation);
                assert!(!known.note.is_empty() && !known.source.is_empty(), "{}", op.name);
            }
        }
        for name in MOVES.iter().chain(FUNCTIONS.iter().map(|(name, ..)| name)) {
            assert!(mil::Op::named(name).is_some(), "{name}");
        }
        let dense = OpCase { dense_3x3: true, ..OpCase::default() };
        let grade = |generation| provenance("conv", dense, generation).grade;
        assert_eq!([grade(AneGeneration::H13), grade(AneGeneration::H17)], [Grade::Exact; 2]);
        assert_eq!(grade(AneGeneration::H15), Grade::Assumed);
        assert_eq!(provenance("conv", OpCase::default(), AneGeneration::H13).grade, Grade::Assumed);
    }
}
