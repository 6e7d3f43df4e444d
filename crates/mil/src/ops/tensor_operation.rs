//! Building, joining, splitting, filling and ordering tensors.

use super::infer::{Inferred, one, same_as_x};
use super::{BASIC, DefaultValue, Effect, FLOAT, Family, INT32, Infer, NUMBER, OpDecl, Opset, Param, STORED};
use crate::{DataType, DataTypeSet, OpView};

mod create;
mod join;
mod order;
mod pad;

pub use create::{one_hot_axis, range_len};
pub use join::split_axis;
pub use order::{TopK, topk_geometry};
pub use pad::padding;

const X_BASIC: Param = Param::tensor("x", b'T', BASIC);
const X_NUMBER: Param = Param::tensor("x", b'T', NUMBER);
const X_FLOAT: Param = Param::tensor("x", b'T', FLOAT);
/// Tensors of one element type.
const VALUES: Param = Param::tuple("values", b'T', BASIC).widened(Opset::Ios17, b'T', STORED);
const AXIS_LAST: Param = Param::int("axis").or(DefaultValue::Int(-1));
const FALSE: DefaultValue = DefaultValue::Bool(false);

/// What `topk` orders from iOS17 on.
const ORDERED: DataTypeSet = DataTypeSet::of(&[
    DataType::Fp16,
    DataType::Fp32,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Uint8,
    DataType::Uint16,
]);
/// What shape-like parameters may be from iOS17 on.
const SMALL_INTS: DataTypeSet = DataTypeSet::of(&[DataType::Int8, DataType::Int16, DataType::Int32]);

const fn operation(
    name: &'static str,
    summary: &'static str,
    params: &'static [Param],
    infer: Infer,
) -> OpDecl {
    OpDecl {
        name,
        family: Family::TensorOperation,
        since: Opset::Ios15,
        summary,
        params,
        effect: Effect::Pure,
        infer,
    }
}

/// A constant vector of `int32` that says what the output's shape is.
const fn ints(name: &'static str) -> Param {
    Param::tensor(name, 0, INT32).shapes_result()
}

/// A constant in the element type of the result.
const fn filler(name: &'static str, domain: u8, default: DefaultValue) -> Param {
    Param::tensor(name, domain, BASIC).constant().or(default)
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    operation(
        "argsort",
        "Indices that sort `x` along `axis`, largest first unless `ascending`; equal elements keep their order.",
        &[X_NUMBER, AXIS_LAST, Param::bool("ascending").or(FALSE)],
        order::argsort,
    ),
    operation(
        "band_part",
        "`x` with zeros outside a band of the last two dimensions: `lower` diagonals below the main one and `upper` above \
         it are kept, all of them when negative.",
        &[
            X_BASIC,
            Param::int("lower").or(DefaultValue::Int(-1)),
            Param::int("upper").or(DefaultValue::Int(-1)),
        ],
        order::band_part,
    ),
    operation(
        "concat",
        "The tensors one after the other along `axis`; with `interleave` one slice of each in turn, for which the shapes \
         must be equal. Scalars give a vector.",
        &[VALUES, Param::int("axis"), Param::bool("interleave").or(FALSE)],
        join::concat,
    ),
    operation(
        "cumsum",
        "Running sum along `axis`, which is -1 or counts from the start; from the end with `reverse`; without the element \
         itself with `exclusive`.",
        &[
            X_NUMBER,
            Param::int("axis").or(DefaultValue::Int(0)),
            Param::bool("exclusive").or(FALSE),
            Param::bool("reverse").or(FALSE),
        ],
        order::cumsum,
    ),
    operation(
        "fill",
        "A tensor of this `shape` with `value` everywhere; `fp32` zeros by default.",
        &[ints("shape"), filler("value", b'T', DefaultValue::Float(0.0))],
        create::fill,
    ),
    OpDecl {
        since: Opset::Ios16,
        ..operation(
            "fill_like",
            "A tensor of the shape of `ref_tensor` with `value` everywhere; `fp32` zeros by default.",
            &[Param::tensor("ref_tensor", b'T', BASIC), filler("value", b'U', DefaultValue::Float(0.0))],
            create::fill_like,
        )
    },
    operation(
        "flatten2d",
        "`x` as a matrix: the dimensions before `axis` become rows, the others columns.",
        &[X_BASIC, Param::int("axis").or(DefaultValue::Int(1))],
        join::flatten2d,
    ),
    operation("identity", "`x` itself.", &[Param::tensor("x", b'T', STORED)], same_as_x),
    operation(
        "non_maximum_suppression",
        "Of `boxes` `[N, B, 4]` with `scores` `[N, B, K]` the best of those that overlap: coordinates, scores and indices of \
         `max_boxes` boxes, and before iOS17 how many are valid. From iOS17 on `boxes` is `[N, 4, B]`, `scores` is \
         `[N, K, B]` and there is no `score_threshold`, which earlier opsets require.",
        &[
            Param::tensor("boxes", b'T', FLOAT),
            Param::tensor("scores", b'T', FLOAT),
            Param::tensor("iou_threshold", b'T', FLOAT).constant(),
            Param::tensor("score_threshold", b'T', FLOAT).constant().optional(),
            Param::int("max_boxes"),
            Param::bool("per_class_suppression").or(FALSE),
        ],
        order::non_maximum_suppression,
    ),
    operation(
        "non_zero",
        "The positions of the elements of `x` that are not zero, in row-major order: `int32` of shape `[count, rank]`. Only \
         running tells the count.",
        &[X_BASIC],
        create::non_zero,
    ),
    operation(
        "one_hot",
        "A new dimension of `one_hot_vector_size` at `axis` that holds `on_value` (1) at the index and `off_value` (0) \
         elsewhere; `int32` by default.",
        &[
            Param::tensor("indices", 0, INT32),
            Param::int("one_hot_vector_size").shapes_result(),
            AXIS_LAST,
            filler("on_value", b'T', DefaultValue::Int(1)),
            filler("off_value", b'T', DefaultValue::Int(0)),
        ],
        create::one_hot,
    ),
    operation(
        "pad",
        "Pads the last dimensions of `x` with `pad`, two numbers each: with `constant_val` (0), by mirroring without the \
         border (`mode` \"reflect\") or by repeating the border (\"replicate\").",
        &[
            X_FLOAT,
            ints("pad"),
            Param::string("mode").or(DefaultValue::Str("constant")),
            Param::tensor("constant_val", b'T', FLOAT).constant().or(DefaultValue::Float(0.0)),
        ],
        pad::infer,
    ),
    operation(
        "range_1d",
        "`start`, `start + step`, … up to but without `end`.",
        &[
            Param::tensor("end", b'T', NUMBER).shapes_result(),
            Param::tensor("start", b'T', NUMBER).shapes_result(),
            Param::tensor("step", b'T', NUMBER).shapes_result(),
        ],
        create::range_1d,
    ),
    operation("shape", "The dimensions of `x` as an `int32` vector.", &[X_BASIC], shape),
    operation(
        "split",
        "`x` cut along `axis` into `num_splits` equal parts or into parts of `split_sizes`; one output each.",
        &[X_BASIC, Param::int("num_splits").optional(), ints("split_sizes").optional(), Param::int("axis")],
        join::split,
    ),
    operation(
        "stack",
        "The tensors, of equal shape, along a new dimension at `axis`.",
        &[VALUES, Param::int("axis")],
        join::stack,
    ),
    operation(
        "tile",
        "`x` repeated `reps` times along each dimension.",
        &[X_BASIC, ints("reps")],
        join::tile,
    ),
    operation(
        "topk",
        "The `k` largest elements along `axis` (smallest if `ascending`) and, unless `return_indices` is false, their \
         indices.",
        &[
            X_NUMBER.widened(Opset::Ios17, b'T', ORDERED),
            Param::int("k").or(DefaultValue::Int(1)).widened(Opset::Ios17, 0, SMALL_INTS),
            AXIS_LAST,
            Param::bool("ascending").or(FALSE),
            Param::bool("sort").or(DefaultValue::Bool(true)).new_in(Opset::Ios16),
            Param::bool("return_indices").or(DefaultValue::Bool(true)).new_in(Opset::Ios16),
            Param::string("output_indices_dtype").or(DefaultValue::Str("int32")).new_in(Opset::Ios17),
        ],
        order::topk,
    ),
];

fn shape(op: &OpView<'_>) -> Inferred {
    one(crate::TensorType::int32([op.shape("x")?.rank()]))
}
