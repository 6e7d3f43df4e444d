//! Reductions along axes.

use super::infer::{Inferred, axes, axis, choice, one};
use super::{DefaultValue, Effect, Family, INT32, Infer, NUMBER, OpDecl, Opset, Param};
use crate::{DataType, InferError, OpView, Shape};

const X: Param = Param::tensor("x", b'T', NUMBER);
const KEEP_DIMS: Param = Param::bool("keep_dims").or(DefaultValue::Bool(false));
const OVER_AXES: &[Param] = &[X, Param::tensor("axes", 0, INT32).constant().optional(), KEEP_DIMS];
const ALONG_AXIS: &[Param] = &[
    X,
    Param::int("axis").or(DefaultValue::Int(-1)),
    KEEP_DIMS,
    Param::string("output_dtype").or(DefaultValue::Str("int32")).new_in(Opset::Ios17),
];

const fn reduction(
    name: &'static str,
    summary: &'static str,
    params: &'static [Param],
    infer: Infer,
) -> OpDecl {
    OpDecl {
        name,
        family: Family::Reduction,
        since: Opset::Ios15,
        summary,
        params,
        effect: Effect::Pure,
        infer,
    }
}

const fn over_axes(name: &'static str, summary: &'static str) -> OpDecl {
    reduction(name, summary, OVER_AXES, reduce)
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    reduction(
        "reduce_argmax",
        "Index of the largest element along `axis`, the first of equal ones.",
        ALONG_AXIS,
        index,
    ),
    reduction(
        "reduce_argmin",
        "Index of the smallest element along `axis`, the first of equal ones.",
        ALONG_AXIS,
        index,
    ),
    over_axes("reduce_l1_norm", "Sum of the absolute values over `axes` (all by default)."),
    over_axes("reduce_l2_norm", "Square root of the sum of squares over `axes` (all by default)."),
    over_axes("reduce_log_sum", "Logarithm of the sum over `axes` (all by default)."),
    over_axes("reduce_log_sum_exp", "Logarithm of the sum of the exponentials over `axes` (all by default)."),
    over_axes("reduce_max", "Largest element over `axes` (all by default)."),
    over_axes("reduce_mean", "Mean over `axes` (all by default)."),
    over_axes("reduce_min", "Smallest element over `axes` (all by default)."),
    over_axes("reduce_prod", "Product over `axes` (all by default)."),
    over_axes("reduce_sum", "Sum over `axes` (all by default)."),
    over_axes("reduce_sum_square", "Sum of the squares over `axes` (all by default)."),
];

/// The axes that a reduction removes, in rising order: `axes` (all when absent), or the one `axis` of
/// `reduce_argmax` and `reduce_argmin`.
///
/// # Errors
/// When an axis is not one of `x`; never for a verified operation.
pub fn reduced_axes(op: &OpView<'_>) -> Result<Vec<usize>, InferError> {
    let rank = op.shape("x")?.rank();
    if op.operation.op.params.iter().any(|param| param.name == "axis") {
        return Ok(vec![axis(op, "axis", rank)?]);
    }
    let mut axes = axes(op, "axes", rank)?.unwrap_or_else(|| (0..rank).collect());
    axes.sort_unstable();
    Ok(axes)
}

fn reduced_shape(op: &OpView<'_>, axes: &[usize]) -> Result<Shape, InferError> {
    let (x, keep) = (op.shape("x")?, op.bool("keep_dims")?);
    let dims = x.iter().enumerate().filter_map(|(i, &dim)| match axes.contains(&i) {
        true => keep.then_some(1),
        false => Some(dim),
    });
    Ok(dims.collect())
}

fn reduce(op: &OpView<'_>) -> Inferred {
    one(op.tensor("x")?.with_shape(reduced_shape(op, &reduced_axes(op)?)?))
}

fn index(op: &OpView<'_>) -> Inferred {
    let (x, axes) = (op.tensor("x")?, reduced_axes(op)?);
    if axes.iter().any(|&axis| x.shape[axis] == 0) {
        return Err(InferError::new("axis", format!("has no elements: `x` has shape {}", x.shape)));
    }
    let dtype = match choice(op, "output_dtype", &["int32", "uint16"])? {
        "uint16" => DataType::Uint16,
        _ => DataType::Int32,
    };
    one(x.with_shape(reduced_shape(op, &axes)?).with_dtype(dtype))
}
