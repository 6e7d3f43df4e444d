//! Rewrites of what moves elements.

use super::pointwise::required;
use super::products::result_shape;
use super::rewriter::again;
use super::{Context, Rewrite, UNSUPPORTED};
use crate::rules::Site;
use mil::ops::tensor_transformation::{SliceSpec, slice_spec};
use mil::{BuildError, Constant, FunctionBuilder, Operation, ValueId};

type Results = Result<Vec<ValueId>, BuildError>;

const TURNED: &str = "transpose, slice, transpose";

pub(super) static REWRITES: &[Rewrite] = &[
    Rewrite {
        rule: "width-offset-slice",
        ops: &["slice_by_index", "slice_by_size"],
        into: TURNED,
        possible: |site| {
            slice_spec(&site.op)
                .is_ok_and(|spec| spec.axes.iter().all(|axis| axis.stride > 0 && axis.count > 0))
        },
        apply: slice,
    },
    Rewrite { rule: "width-offset-slice", ops: &["split"], into: TURNED, possible: |_| true, apply: split },
    Rewrite {
        rule: "width-offset-slice",
        ops: &["crop"],
        into: TURNED,
        possible: |site| !site.op.output(0).shape.contains(&0),
        apply: crop,
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["gather"],
        into: "slices of what the constant indices say",
        possible: |site| runs(site).is_some(),
        apply: gather,
    },
    Rewrite {
        rule: "tile",
        ops: &["tile"],
        into: "concats of copies",
        possible: |site| copies(site).is_some_and(|copies| copies.iter().all(|&n| (1..=MOST).contains(&n))),
        apply: tile,
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["reshape_like"],
        into: "reshape",
        possible: |_| true,
        apply: |f, operation, _| {
            let (x, shape) = (required(f, operation, "x")?, result_shape(f, operation)?);
            Ok(vec![f.op("reshape").arg("x", x).shape("shape", &shape).one()?])
        },
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["shape"],
        into: "a constant",
        possible: |site| {
            let output = site.op.operation.outputs.first();
            output.is_some_and(|&id| {
                !site.graph.is_output(id) && site.op.function.dtype(id) == mil::DataType::Int32
            })
        },
        apply: |f, operation, _| {
            let x = required(f, operation, "x")?;
            let dims = f.function().shape(x).to_i32();
            Ok(vec![f.constant(Constant::ints(&dims))])
        },
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["slice_update"],
        into: "a concat of what is before, the update, and what is after",
        possible: |site| updated(&site.op).is_some(),
        apply: update,
    },
];

/// Most parts that a rewrite puts together.
const MOST: usize = 64;

fn shape(values: &[usize]) -> Vec<i32> {
    values.iter().map(|&value| i32::try_from(value).unwrap_or(i32::MAX)).collect()
}

/// Positions `begin..begin + count` along one axis.
pub(super) fn along(
    f: &mut FunctionBuilder,
    x: ValueId,
    axis: usize,
    begin: usize,
    count: usize,
) -> Result<ValueId, BuildError> {
    let mut size = f.shape(x).to_vec();
    let mut from = vec![0; size.len()];
    (from[axis], size[axis]) = (begin, count);
    f.op("slice_by_size").arg("x", x).ints("begin", &shape(&from)).ints("size", &shape(&size)).one()
}

/// `x` with its last axis in another place, so that slicing that place is no slicing of the last axis; with what turns it back.
struct Turned {
    value: ValueId,
    axis: usize,
    perm: Vec<i32>,
}

fn turned(f: &mut FunctionBuilder, x: ValueId) -> Result<Turned, BuildError> {
    let dims = f.shape(x).to_vec();
    // At least two dimensions, at most four: transposes take no more.
    let dims = match dims.as_slice() {
        [] => vec![1, 1],
        [one] => vec![1, *one],
        [merged @ .., a, b, c] if merged.len() > 1 => vec![merged.iter().product(), *a, *b, *c],
        _ => dims,
    };
    let value = f.reshape(x, &dims)?;
    let rank = dims.len();
    let mut perm: Vec<i32> = (0..rank as i32).collect();
    perm.swap(rank - 1, rank - 2);
    let value = f.transpose(value, &perm)?;
    Ok(Turned { value, axis: rank - 2, perm })
}

fn slice(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let x = required(f, operation, "x")?;
    let fault = || BuildError::Missing { op: operation.op.declaration().name, name: None, param: "begin" };
    let spec = slice_spec(&f.function().view(operation)).map_err(|_| fault())?;
    let shape = result_shape(f, operation)?;
    Ok(vec![sliced(f, x, &spec, &shape)?])
}

/// A slice in two steps: all axes but the last, then the last one, turned away.
fn sliced(
    f: &mut FunctionBuilder,
    x: ValueId,
    spec: &SliceSpec,
    to: &[usize],
) -> Result<ValueId, BuildError> {
    let dims = f.shape(x).to_vec();
    let Some((last, others)) = spec.axes.split_last() else { return f.reshape(x, to) };
    let whole =
        others.iter().zip(&dims).all(|(axis, &dim)| axis.begin == 0 && axis.stride == 1 && axis.count == dim);
    let end = |begin: usize, count: usize, stride: i64| begin + (count - 1) * stride as usize + 1;
    let mut value = x;
    if !whole {
        let mut begin: Vec<usize> = others.iter().map(|axis| axis.begin).collect();
        let mut ends: Vec<usize> =
            others.iter().map(|axis| end(axis.begin, axis.count, axis.stride)).collect();
        let mut strides: Vec<i32> = others.iter().map(|axis| axis.stride as i32).collect();
        begin.push(0);
        ends.push(dims[dims.len() - 1]);
        strides.push(1);
        let call =
            f.op("slice_by_index").arg("x", value).ints("begin", &shape(&begin)).ints("end", &shape(&ends));
        value = call.ints("stride", &strides).one()?;
    }
    let turned = turned(f, value)?;
    let dims = f.shape(turned.value).to_vec();
    let (mut begin, mut ends, mut strides) = (vec![0; dims.len()], dims.clone(), vec![1; dims.len()]);
    begin[turned.axis] = last.begin;
    ends[turned.axis] = end(last.begin, last.count, last.stride);
    strides[turned.axis] = last.stride as i32;
    let call = f
        .op("slice_by_index")
        .arg("x", turned.value)
        .ints("begin", &shape(&begin))
        .ints("end", &shape(&ends));
    let part = call.ints("stride", &strides).one()?;
    let back = f.transpose(part, &turned.perm)?;
    f.reshape(back, to)
}

fn split(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let x = required(f, operation, "x")?;
    let shapes: Vec<Vec<usize>> = operation.outputs.iter().map(|&id| f.shape(id).to_vec()).collect();
    let turned = turned(f, x)?;
    let axis = f.int(turned.axis as i32);
    let parts = again(f, operation, &[("x", Some(turned.value)), ("axis", Some(axis))])?;
    let back = |(part, shape): (ValueId, Vec<usize>)| {
        let part = f.transpose(part, &turned.perm)?;
        f.reshape(part, &shape)
    };
    parts.into_iter().zip(shapes).map(back).collect()
}

fn crop(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let x = required(f, operation, "x")?;
    let view = f.function().view(operation);
    let first = |param| {
        view.ints(param).ok().flatten().and_then(|cut| cut.first().copied()).unwrap_or(0).max(0) as usize
    };
    let (top, left) = (first("crop_height"), first("crop_width"));
    let size = result_shape(f, operation)?;
    let mut begin = vec![0; size.len()];
    if let [.., row, column] = begin.as_mut_slice() {
        (*row, *column) = (top, left);
    }
    Ok(vec![
        f.op("slice_by_size").arg("x", x).ints("begin", &shape(&begin)).ints("size", &shape(&size)).one()?,
    ])
}

/// Runs of neighbouring indices `(first, count)` that a gather with constant indices takes, and its axis.
fn runs(site: &Site<'_>) -> Option<(usize, Vec<(usize, usize)>)> {
    gathered(&site.op)
}

fn gathered(op: &mil::OpView<'_>) -> Option<(usize, Vec<(usize, usize)>)> {
    let x = op.function.shape(op.value("x")?);
    let indices = op.constant("indices").filter(|indices| indices.ty().shape.rank() <= 1)?;
    let axis = mil::shape::normalize_axis(op.int("axis").ok()?, x.rank())?;
    if op.int("batch_dims").is_ok_and(|dims| dims != 0) {
        return None;
    }
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for index in indices.to_i64()? {
        let index = usize::try_from(if index < 0 { index + x[axis] as i64 } else { index }).ok()?;
        if index >= x[axis] {
            return None;
        }
        match runs.last_mut() {
            Some((first, count)) if *first + *count == index => *count += 1,
            _ => runs.push((index, 1)),
        }
        if runs.len() > MOST {
            return None;
        }
    }
    (!runs.is_empty()).then_some((axis, runs))
}

fn gather(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let x = required(f, operation, "x")?;
    let fault = || BuildError::Missing { op: operation.op.declaration().name, name: None, param: "indices" };
    let (axis, runs) = gathered(&f.function().view(operation)).ok_or_else(fault)?;
    let to = result_shape(f, operation)?;
    let parts: Vec<ValueId> =
        runs.into_iter().map(|(begin, count)| along(f, x, axis, begin, count)).collect::<Result<_, _>>()?;
    let whole = concat(f, &parts, axis)?;
    Ok(vec![f.reshape(whole, &to)?])
}

fn concat(f: &mut FunctionBuilder, parts: &[ValueId], axis: usize) -> Result<ValueId, BuildError> {
    match parts {
        [one] => Ok(*one),
        parts => {
            f.op("concat").args("values", parts).int("axis", axis as i32).bool("interleave", false).one()
        }
    }
}

/// How often each axis is repeated.
fn copies(site: &Site<'_>) -> Option<Vec<usize>> {
    let reps = site.op.ints("reps").ok()??;
    reps.into_iter().map(|n| usize::try_from(n).ok()).collect()
}

fn tile(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let mut value = required(f, operation, "x")?;
    let reps = f.function().view(operation).ints("reps").ok().flatten().unwrap_or_default();
    let to = result_shape(f, operation)?;
    // More repetitions than dimensions: new dimensions stand in front.
    let mut dims = vec![1; to.len().saturating_sub(f.shape(value).len())];
    dims.extend(f.shape(value));
    value = f.reshape(value, &dims)?;
    for (axis, count) in reps.into_iter().enumerate().filter(|&(_, count)| count > 1) {
        value = concat(f, &vec![value; count as usize], axis)?;
    }
    Ok(vec![f.reshape(value, &to)?])
}

/// The axis that an update covers in part, and where it begins.
fn updated(op: &mil::OpView<'_>) -> Option<(usize, usize, usize)> {
    let x = op.function.shape(op.value("x")?);
    let spec = slice_spec(op).ok()?;
    if spec.axes.iter().any(|axis| axis.stride != 1 || axis.squeeze || axis.count == 0) {
        return None;
    }
    let mut partial = spec.axes.iter().enumerate().filter(|&(at, axis)| axis.count != x[at]);
    let (at, axis) = partial.next()?;
    partial.next().is_none().then_some((at, axis.begin, axis.count))
}

fn update(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let (x, update) = (required(f, operation, "x")?, required(f, operation, "update")?);
    let fault = || BuildError::Missing { op: "slice_update", name: None, param: "begin" };
    let (axis, begin, count) = updated(&f.function().view(operation)).ok_or_else(fault)?;
    let length = f.shape(x)[axis];
    let mut parts = Vec::new();
    if begin > 0 {
        parts.push(along(f, x, axis, 0, begin)?);
    }
    parts.push(update);
    if begin + count < length {
        parts.push(along(f, x, axis, begin + count, length - begin - count)?);
    }
    Ok(vec![concat(f, &parts, axis)?])
}
