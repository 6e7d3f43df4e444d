//! Rearranging elements: shapes, orders, slices, blocks.

use super::infer::{Inferred, axes, axis, int_from, one, same_as_x};
use super::{
    BASIC, BOOL, DefaultValue, Effect, FLOAT, Family, INT32, Infer, NUMBER, OpDecl, Opset, Param, STORED,
    UINT32,
};
use crate::{DataType, DataTypeSet, InferError, OpView};

mod blocks;
mod reshape;
mod slice;

pub use reshape::permutation;
pub use slice::{SliceAxis, SliceSpec, slice_at, slice_spec};

/// What shape-like parameters may be from iOS17 on.
const SMALL_INTS: DataTypeSet = DataTypeSet::of(&[DataType::Int8, DataType::Int16, DataType::Int32]);

const X: Param = Param::tensor("x", b'T', BASIC).widened(Opset::Ios17, b'T', STORED);
const X_FLOAT: Param = Param::tensor("x", b'T', FLOAT);
const BEGIN: Param = bound("begin");
const END: Param = bound("end");
const STRIDE: Param = bound("stride").constant().optional();
const BEGIN_MASK: Param = Param::bool("begin_mask").optional();
const END_MASK: Param = Param::bool("end_mask").optional();
const SQUEEZE_MASK: Param = Param::bool("squeeze_mask").optional();

/// One integer per dimension.
const fn bound(name: &'static str) -> Param {
    Param::tensor(name, b'U', INT32).widened(Opset::Ios17, b'U', SMALL_INTS)
}

const fn int_vector(name: &'static str) -> Param {
    Param::tensor(name, 0, INT32).constant()
}

const fn transformation(
    name: &'static str,
    summary: &'static str,
    params: &'static [Param],
    infer: Infer,
) -> OpDecl {
    OpDecl {
        name,
        family: Family::TensorTransformation,
        since: Opset::Ios15,
        summary,
        params,
        effect: Effect::Pure,
        infer,
    }
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    transformation(
        "batch_to_space",
        "Blocks of the batch of `x` `[N, C, H, W]` moved into space, then cropped: the inverse of `space_to_batch`.",
        &[X_FLOAT, int_vector("block_shape"), int_vector("crops")],
        blocks::batch_to_space,
    ),
    transformation(
        "depth_to_space",
        "`[N, C, H, W]` to `[N, C / b^2, H * b, W * b]` with `b` the `block_size`; the block's position is the outer part \
         of the channel.",
        &[X_FLOAT, Param::int("block_size")],
        blocks::depth_to_space,
    ),
    transformation(
        "expand_dims",
        "`x` with new dimensions of 1 at `axes` of the result.",
        &[X, int_vector("axes")],
        reshape::expand_dims,
    ),
    transformation(
        "pixel_shuffle",
        "`[N, C, H, W]` to `[N, C / f^2, H * f, W * f]` with `f` the `upscale_factor`; the block's position is the inner \
         part of the channel.",
        &[X_FLOAT, Param::int("upscale_factor")],
        blocks::pixel_shuffle,
    ),
    OpDecl {
        since: Opset::Ios16,
        ..transformation(
            "pixel_unshuffle",
            "`[N, C, H, W]` to `[N, C * f^2, H / f, W / f]` with `f` the `downscale_factor`: the inverse of \
             `pixel_shuffle`.",
            &[X_FLOAT, Param::tensor("downscale_factor", 0, UINT32).constant()],
            blocks::pixel_unshuffle,
        )
    },
    transformation(
        "reshape",
        "The elements of `x`, in order, under another `shape`. One -1 stands for what remains. A 0 stands for the dimension of \
         `x` in the same place, from iOS17 on counted from the last one (1 where `x` has none).",
        &[X, int_vector("shape").shapes_result().widened(Opset::Ios17, 0, SMALL_INTS)],
        reshape::reshape,
    ),
    OpDecl {
        since: Opset::Ios16,
        ..transformation(
            "reshape_like",
            "The elements of `x` under a shape put together from dimensions `begins[i]` to `ends[i]` of `ref_tensors[i]`, to \
             the last one where `end_masks[i]`.",
            &[
                X,
                Param::tuple("ref_tensors", 0, STORED),
                Param::tuple("begins", 0, INT32).shapes_result(),
                Param::tuple("ends", 0, INT32).shapes_result(),
                Param::tuple("end_masks", 0, BOOL).shapes_result(),
            ],
            reshape::reshape_like,
        )
    },
    transformation(
        "reverse",
        "`x` with the order of elements turned round along `axes` (all by default).",
        &[X, int_vector("axes").optional()],
        reverse,
    ),
    transformation(
        "reverse_sequence",
        "`x` with the first `lengths[b]` elements along `seq_axis` turned round, for each `b` along `batch_axis`.",
        &[
            X,
            Param::tensor("lengths", b'U', INT32).widened(Opset::Ios17, b'U', SMALL_INTS),
            Param::int("seq_axis").or(DefaultValue::Int(0)),
            Param::int("batch_axis").or(DefaultValue::Int(0)),
        ],
        reverse_sequence,
    ),
    transformation(
        "slice_by_index",
        "`x[begin:end:stride]` as in NumPy: negative bounds count from the end, bounds beyond the ends are moved to them. A \
         `begin_mask` or `end_mask` opens that bound; a `squeeze_mask` takes the element at `begin` and drops the dimension.",
        &[X, BEGIN.shapes_result(), END.shapes_result(), STRIDE, BEGIN_MASK, END_MASK, SQUEEZE_MASK],
        slice::slice_by_index,
    ),
    transformation(
        "slice_by_size",
        "`size` elements of `x` from `begin` on; -1 for all that remain. A `begin` computed at run time is moved so that the \
         slice lies inside `x`.",
        &[X, BEGIN, bound("size").shapes_result()],
        slice::slice_by_size,
    ),
    OpDecl {
        since: Opset::Ios18,
        ..transformation(
            "slice_update",
            "`x` with the slice that `slice_by_index` would take replaced by `update`. Bounds may be computed at run time: then \
             the shape of `update` is that of the slice, and `begin` is moved so that the slice lies inside `x`.",
            &[
                X,
                Param::tensor("update", b'T', STORED),
                BEGIN,
                END,
                STRIDE,
                BEGIN_MASK,
                END_MASK,
                SQUEEZE_MASK,
            ],
            slice::slice_update,
        )
    },
    transformation(
        "sliding_windows",
        "Windows of `size` elements, every `stride` elements along `axis`: that dimension becomes the number of windows, \
         and the window follows it as a new dimension.",
        &[
            Param::tensor("x", b'T', NUMBER).widened(Opset::Ios17, b'T', STORED),
            Param::int("axis"),
            Param::int("size"),
            Param::int("stride").or(DefaultValue::Int(1)),
        ],
        sliding_windows,
    ),
    transformation(
        "space_to_batch",
        "`x` `[N, C, H, W]` padded with zeros, then each position in a block of space moved into the batch.",
        &[X_FLOAT, int_vector("block_shape"), int_vector("paddings")],
        blocks::space_to_batch,
    ),
    transformation(
        "space_to_depth",
        "`[N, C, H, W]` to `[N, C * b^2, H / b, W / b]` with `b` the `block_size`: the inverse of `depth_to_space`.",
        &[X_FLOAT, Param::int("block_size")],
        blocks::space_to_depth,
    ),
    transformation(
        "squeeze",
        "`x` without the dimensions of 1 among `axes` (all dimensions by default); others named there stay.",
        &[X, int_vector("axes").optional()],
        reshape::squeeze,
    ),
    transformation(
        "transpose",
        "`x` with dimension `perm[i]` in place `i`.",
        &[X, int_vector("perm")],
        reshape::transpose,
    ),
];

fn reverse(op: &OpView<'_>) -> Inferred {
    axes(op, "axes", op.shape("x")?.rank())?;
    same_as_x(op)
}

fn reverse_sequence(op: &OpView<'_>) -> Inferred {
    let (x, lengths) = (op.shape("x")?, op.shape("lengths")?);
    let (seq, batch) = (axis(op, "seq_axis", x.rank())?, axis(op, "batch_axis", x.rank())?);
    if seq == batch {
        return Err(InferError::new("seq_axis", format!("is {seq}, as is `batch_axis`; they must differ")));
    }
    if **lengths != [x[batch]] {
        let message = format!("has shape {lengths}, but must have shape [{}], one per batch", x[batch]);
        return Err(InferError::new("lengths", message));
    }
    same_as_x(op)
}

fn sliding_windows(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    let axis = axis(op, "axis", x.shape.rank())?;
    let (size, stride) = (int_from(op, "size", 1)?, int_from(op, "stride", 1)?);
    let dim = x.shape[axis];
    if size > dim {
        return Err(InferError::new("size", format!("is {size}, but axis {axis} of `x` has size {dim}")));
    }
    let mut shape = x.shape.clone();
    shape.dims_mut()[axis] = (dim - size) / stride + 1;
    shape.dims_mut().insert(axis + 1, size);
    one(x.with_shape(shape))
}
