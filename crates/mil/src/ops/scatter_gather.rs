//! Gathering and scattering by indices, which may be computed at run time.

use super::infer::{Inferred, axis, choice, int_from, one};
use super::{DefaultValue, Effect, Family, INT32, Infer, NUMBER, OpDecl, Opset, Param};
use crate::{DataType, DataTypeSet, InferError, OpView, Shape};
use DataType::{Fp16, Fp32, Int8, Int16, Int32, Uint8, Uint16};

/// What is gathered from iOS17 on.
const NUMBERS_17: DataTypeSet = DataTypeSet::of(&[Fp16, Fp32, Int32, Int16, Uint16, Int8, Uint8]);
const INDICES_16: DataTypeSet = DataTypeSet::of(&[Int32, Uint16, Int16]);
const INDICES_17: DataTypeSet = DataTypeSet::of(&[Int32, Int16, Uint16, Int8, Uint8]);

const X: Param = Param::tensor("x", b'T', NUMBER).widened(Opset::Ios17, b'T', NUMBERS_17);
const INDICES: Param = Param::tensor("indices", b'I', INT32).widened(Opset::Ios16, b'I', INDICES_16).widened(
    Opset::Ios17,
    b'I',
    INDICES_17,
);
const BATCH_DIMS: Param = Param::int("batch_dims").or(DefaultValue::Int(0)).new_in(Opset::Ios16);
const AXIS: Param = Param::int("axis").or(DefaultValue::Int(0));
const VALIDATE: Param = Param::bool("validate_indices").or(DefaultValue::Bool(false)).new_in(Opset::Ios17);
const DATA: Param = Param::tensor("data", b'T', NUMBER);
const POSITIONS: Param = Param::tensor("indices", 0, INT32);
const UPDATES: Param = Param::tensor("updates", b'T', NUMBER);
const MODE: Param = Param::string("mode").or(DefaultValue::Str("add"));

/// What `mode` of the scatter ops may be.
pub const MODES: [&str; 7] = ["update", "add", "sub", "mul", "div", "max", "min"];

const fn movement(
    name: &'static str,
    summary: &'static str,
    params: &'static [Param],
    infer: Infer,
) -> OpDecl {
    OpDecl {
        name,
        family: Family::ScatterGather,
        since: Opset::Ios15,
        summary,
        params,
        effect: Effect::Pure,
        infer,
    }
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    movement(
        "gather",
        "Slices of `x` along `axis` at `indices`: shape `x[:axis] + indices[batch_dims:] + x[axis + 1:]`, with the first \
         `batch_dims` dimensions of both walked together. Negative indices count from the end before iOS17.",
        &[X, INDICES, AXIS, BATCH_DIMS, VALIDATE],
        gather,
    ),
    movement(
        "gather_along_axis",
        "Elements of `x` along `axis` at `indices`, which has the shape of the result and, outside `axis`, that of `x`.",
        &[X, INDICES, AXIS, VALIDATE],
        gather_along_axis,
    ),
    movement(
        "gather_nd",
        "Slices of `x` at the positions that the last dimension of `indices` holds: shape \
         `indices[:-1] + x[batch_dims + depth:]`, `depth` being the size of that dimension.",
        &[X, INDICES, BATCH_DIMS, VALIDATE],
        gather_nd,
    ),
    movement(
        "scatter",
        "`data` with `updates` `data[:axis] + indices + data[axis + 1:]` combined into its slices along `axis` at \
         `indices`, in the order of `indices`.",
        &[DATA, POSITIONS, UPDATES, AXIS, MODE, VALIDATE],
        scatter,
    ),
    movement(
        "scatter_along_axis",
        "`data` with `updates` combined into its elements along `axis` at `indices`, which has the shape of `updates`.",
        &[DATA, POSITIONS, UPDATES, AXIS, MODE, VALIDATE],
        scatter_along_axis,
    ),
    movement(
        "scatter_nd",
        "`data` with `updates` `indices[:-1] + data[depth:]` combined into the slices whose positions the last dimension \
         of `indices`, of size `depth`, holds.",
        &[DATA, POSITIONS, UPDATES, MODE, VALIDATE],
        scatter_nd,
    ),
];

fn gather(op: &OpView<'_>) -> Inferred {
    let (x, indices) = (op.tensor("x")?, op.shape("indices")?);
    let axis = axis(op, "axis", x.shape.rank())?;
    let batch = batch_dims(op, &x.shape, indices)?;
    if batch > axis {
        return Err(InferError::new("batch_dims", format!("is {batch}, but must not exceed axis {axis}")));
    }
    check_indices(op, &x.shape[axis..=axis])?;
    let dims = x.shape[..axis].iter().chain(&indices[batch..]).chain(&x.shape[axis + 1..]);
    one(x.with_shape(dims.copied().collect::<Shape>()))
}

fn gather_along_axis(op: &OpView<'_>) -> Inferred {
    let (x, indices) = (op.tensor("x")?, op.shape("indices")?);
    let axis = along(op, "x", &x.shape, indices)?;
    check_indices(op, &x.shape[axis..=axis])?;
    one(x.with_shape(indices))
}

fn gather_nd(op: &OpView<'_>) -> Inferred {
    let (x, indices) = (op.tensor("x")?, op.shape("indices")?);
    let batch = batch_dims(op, &x.shape, indices)?;
    let (outer, depth) = positions(indices, x.shape.rank() - batch)?;
    if batch > outer.len() {
        return Err(InferError::new("batch_dims", format!("is {batch}, but `indices` has shape {indices}")));
    }
    check_indices(op, &x.shape[batch..batch + depth])?;
    one(x.with_shape(outer.iter().chain(&x.shape[batch + depth..]).copied().collect::<Shape>()))
}

fn scatter(op: &OpView<'_>) -> Inferred {
    let (data, indices) = (op.tensor("data")?, op.shape("indices")?);
    let axis = axis(op, "axis", data.shape.rank())?;
    let wanted: Shape =
        data.shape[..axis].iter().chain(&indices[..]).chain(&data.shape[axis + 1..]).copied().collect();
    check_updates(op, &wanted)?;
    check_indices(op, &data.shape[axis..=axis])?;
    choice(op, "mode", &MODES)?;
    one(data.clone())
}

fn scatter_along_axis(op: &OpView<'_>) -> Inferred {
    let (data, indices) = (op.tensor("data")?, op.shape("indices")?);
    let axis = along(op, "data", &data.shape, indices)?;
    check_updates(op, indices)?;
    check_indices(op, &data.shape[axis..=axis])?;
    choice(op, "mode", &MODES)?;
    one(data.clone())
}

fn scatter_nd(op: &OpView<'_>) -> Inferred {
    let (data, indices) = (op.tensor("data")?, op.shape("indices")?);
    let (outer, depth) = positions(indices, data.shape.rank())?;
    check_updates(op, &outer.iter().chain(&data.shape[depth..]).copied().collect())?;
    check_indices(op, &data.shape[..depth])?;
    choice(op, "mode", &MODES)?;
    one(data.clone())
}

/// The batch dimensions, which `x` and `indices` must share.
fn batch_dims(op: &OpView<'_>, x: &Shape, indices: &Shape) -> Result<usize, InferError> {
    let batch = int_from(op, "batch_dims", 0)?;
    if batch > x.rank() || batch > indices.rank() || x[..batch] != indices[..batch] {
        return Err(InferError::new(
            "batch_dims",
            format!(
                "is {batch}, but `x` with shape {x} and `indices` with shape {indices} do not share as many"
            ),
        ));
    }
    Ok(batch)
}

/// The axis of the ops along an axis: `indices` has the shape of the data, but for that axis.
fn along(op: &OpView<'_>, data: &str, shape: &Shape, indices: &Shape) -> Result<usize, InferError> {
    let axis = axis(op, "axis", shape.rank())?;
    let fits = shape.rank() == indices.rank()
        && shape.iter().zip(indices.iter()).enumerate().all(|(i, (a, b))| i == axis || a == b);
    if fits {
        return Ok(axis);
    }
    Err(InferError::new(
        "indices",
        format!("has shape {indices}, but must have shape {shape} of `{data}` outside axis {axis}"),
    ))
}

/// `indices` of the `_nd` ops as outer dimensions and depth, which is at most `rank`.
fn positions(indices: &Shape, rank: usize) -> Result<(&[usize], usize), InferError> {
    match indices.split_last() {
        Some((&depth, outer)) if depth <= rank => Ok((outer, depth)),
        _ => Err(InferError::new(
            "indices",
            format!(
                "has shape {indices}, but its last dimension must hold positions in at most {rank} dimensions"
            ),
        )),
    }
}

fn check_updates(op: &OpView<'_>, wanted: &Shape) -> Result<(), InferError> {
    let found = op.shape("updates")?;
    if found == wanted {
        return Ok(());
    }
    Err(InferError::new("updates", format!("has shape {found}, but must have shape {wanted}")))
}

/// With `validate_indices`, constant indices are checked here; others at run time. `dims` holds the size that each
/// column of positions counts in.
fn check_indices(op: &OpView<'_>, dims: &[usize]) -> Result<(), InferError> {
    if dims.is_empty() || !op.bool("validate_indices")? {
        return Ok(());
    }
    let indices = op.constant("indices").and_then(|indices| indices.to_i64()).unwrap_or_default();
    for (index, &dim) in indices.iter().zip(dims.iter().cycle()) {
        if !usize::try_from(*index).is_ok_and(|index| index < dim) {
            return Err(InferError::new(
                "indices",
                format!("holds {index}, which is outside the dimension of size {dim} that it counts in"),
            ));
        }
    }
    Ok(())
}
