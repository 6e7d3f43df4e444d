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

/// Functions of which the engine's error is published and larger than that of the model, which is rounding alone. Relative errors
/// in the note's order: measured.
const FUNCTIONS: &[(&str, &str)] = &[
    ("silu", "fp32 rounded half away; measured on M5: 1.0e-2, from a table that is not known"),
    ("sigmoid", "fp32 rounded half away; measured on M5: 3.8e-3, from a table that is not known"),
    ("tanh", "fp32 rounded half away; measured on M5: 1.3e-3, from a table that is not known"),
    ("scaled_tanh", "fp32 rounded half away; measured on M5: 1.7e-3, from a table that is not known"),
    (
        "gelu",
        "fp32 rounded half away; measured on M6: 2.4e-3, from a table that is not known (gelu(0) = -7.54e-4)",
    ),
    ("elu", "fp32 rounded half away; measured on M5: 5e-3, from a table that is not known"),
    ("atan", "fp32 rounded half away; measured on M5: 1.9e-2, from a table that is not known"),
    ("erf", "fp32 rounded half away; measured on M5: 7e-4"),
    ("rsqrt", "fp32 rounded half away; measured on M5: 1.0e-3, from a table that is not known"),
    ("inverse", "fp32 rounded half away; measured on M5: 2.8e-4"),
    ("sqrt", "fp32 rounded half away; measured on M5: 4e-4"),
    ("sin", "fp32 rounded half away; measured on M5: 5e-4"),
    (
        "exp",
        "fp32 rounded half away; measured on M5: 4.7e-4, where the rounding of operands N(0, 1) alone gives 5.1e-4",
    ),
    ("exp2", "fp32 rounded half away; measured on M5: 4.8e-4"),
];

/// What the model of the `fp16` op called `op` rests on.
pub fn provenance(op: &str, case: OpCase, generation: AneGeneration) -> Provenance {
    use Grade::{Assumed, Exact, Fitted, Host};
    if let Some(&(_, note)) = FUNCTIONS.iter().find(|(name, _)| *name == op) {
        return provenance_of(Assumed, note, CENSUS);
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
            "fixed-point products around a softmax, fp16 in between; measured for whole attention layers only (M4: 1.63e-3 at 197x768)",
            OP_ERRORS,
        ),
        "reduce_sum" => provenance_of(
            Fitted,
            "halving with partial sums of eleven bits: .000767 .000832 .000810 for 64, 256, 1024 rows of 4096; measured .000759 \
             .000819 .000826",
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
            Assumed,
            "an op at a time in fp16: 7.5e-4 on rows of 4096; measured on M6: 1.03e-3 to 1.06e-3",
            OP_ERRORS,
        ),
        "layer_norm" => provenance_of(
            Assumed,
            "an op at a time in fp16: 4.6e-4 on rows of 4096; measured on M6: 6.6e-4 (its rsqrt comes from a table)",
            OP_ERRORS,
        ),
        "instance_norm" => provenance_of(Assumed, "an op at a time in fp16; measured on M5: 7.6e-4", CENSUS),
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
        "softplus" => {
            provenance_of(Fitted, "fp32 rounded half away, 0 from 11.09 on; measured on M5: 8e-4", CENSUS)
        }
        "log" | "cos" => provenance_of(
            Fitted,
            "fp32 rounded half away, 0 of infinity as measured on M5; errors of 8e-4 and 5e-4",
            CENSUS,
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
        for name in MOVES.iter().chain(FUNCTIONS.iter().map(|(name, _)| name)) {
            assert!(mil::Op::named(name).is_some(), "{name}");
        }
        let dense = OpCase { dense_3x3: true, ..OpCase::default() };
        let grade = |generation| provenance("conv", dense, generation).grade;
        assert_eq!([grade(AneGeneration::H13), grade(AneGeneration::H17)], [Grade::Exact; 2]);
        assert_eq!(grade(AneGeneration::H15), Grade::Assumed);
        assert_eq!(provenance("conv", OpCase::default(), AneGeneration::H13).grade, Grade::Assumed);
    }
}
