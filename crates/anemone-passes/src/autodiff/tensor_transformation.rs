//! Other shapes and orders of the same elements: the gradient takes the way back.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient, RuleError};
use super::shapes;
use mil::ops::tensor_transformation::{SliceAxis, permutation, slice_spec};
use mil::{Arg, Constant, DataType, FunctionBuilder, ValueId};

pub(super) static RULES: &[(&str, Rule)] = &[
    (
        "batch_to_space",
        Vjp(|g| same_params(g, "space_to_batch", &[("block_shape", "block_shape"), ("crops", "paddings")])),
    ),
    ("depth_to_space", Vjp(|g| same_params(g, "space_to_depth", &[("block_size", "block_size")]))),
    ("expand_dims", Vjp(reshaped)),
    ("pixel_shuffle", Vjp(pixel_shuffle)),
    ("pixel_unshuffle", Vjp(pixel_unshuffle)),
    ("reshape", Vjp(reshaped)),
    ("reshape_like", Vjp(reshaped)),
    ("reverse", Vjp(|g| same_params(g, "reverse", &[("axes", "axes")]))),
    ("reverse_sequence", Vjp(reverse_sequence)),
    ("slice_by_index", Vjp(slice)),
    ("slice_by_size", Vjp(slice)),
    ("slice_update", Vjp(slice_update)),
    ("sliding_windows", Vjp(sliding_windows)),
    (
        "space_to_batch",
        Vjp(|g| same_params(g, "batch_to_space", &[("block_shape", "block_shape"), ("paddings", "crops")])),
    ),
    ("space_to_depth", Vjp(|g| same_params(g, "depth_to_space", &[("block_size", "block_size")]))),
    ("squeeze", Vjp(reshaped)),
    ("transpose", Vjp(transpose)),
];

/// The elements back in the shape of `x`.
fn reshaped(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy()?);
    let shape = g.shape(x);
    let dx = g.f.reshape(dy, &shape)?;
    g.give("x", dx)
}

/// The inverse op with the parameters of this one, some under another name.
fn same_params(g: &mut Gradient<'_>, inverse: &str, params: &[(&str, &str)]) -> Done {
    let dy = g.dy()?;
    let args: Vec<(&str, Arg)> = params.iter().map(|&(from, to)| (to, g.view().arg(from).clone())).collect();
    let mut op = g.f.op(inverse).arg("x", dy);
    for (param, arg) in args {
        op = op.set_arg(param, arg);
    }
    let dx = op.one()?;
    g.give("x", dx)
}

fn pixel_shuffle(g: &mut Gradient<'_>) -> Done {
    let (factor, dy) = (g.view().int("upscale_factor")? as u32, g.dy()?);
    let dx =
        g.f.op("pixel_unshuffle")
            .arg("x", dy)
            .constant("downscale_factor", Constant::scalar(factor))
            .one()?;
    g.give("x", dx)
}

fn pixel_unshuffle(g: &mut Gradient<'_>) -> Done {
    let (factor, dy) = (g.view().int("downscale_factor")? as i32, g.dy()?);
    let dx = g.f.op("pixel_shuffle").arg("x", dy).int("upscale_factor", factor).one()?;
    g.give("x", dx)
}

/// Turning the same elements round once more.
fn reverse_sequence(g: &mut Gradient<'_>) -> Done {
    same_params(
        g,
        "reverse_sequence",
        &[("lengths", "lengths"), ("seq_axis", "seq_axis"), ("batch_axis", "batch_axis")],
    )
}

fn transpose(g: &mut Gradient<'_>) -> Done {
    let dy = g.dy_small()?;
    let perm = permutation(&g.view())?;
    let mut inverse = vec![0; perm.len()];
    for (to, &from) in perm.iter().enumerate() {
        inverse[from] = to as i32;
    }
    let dx = g.f.transpose(dy, &inverse)?;
    g.give("x", dx)
}

/// Zeros around the slice, and between its elements where it has a stride.
fn slice(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy()?);
    let ty = g.f.function().tensor(x).clone();
    if g.operation().op.declaration().name == "slice_by_size" && g.view().constant("begin").is_none() {
        let begin = g.arg("begin")?;
        let begin = g.f.cast(begin, DataType::Int32)?;
        let size = g.f.constant(Constant::ints(&g.shape(dy).to_i32()));
        let end = g.f.add(begin, size)?;
        let zeros = shapes::zeros(g.f, &ty)?;
        let update = g.f.op("slice_update").arg("x", zeros).arg("update", dy);
        let dx = update.arg("begin", begin).arg("end", end).one()?;
        return g.give("x", dx);
    }
    let spec = slice_spec(&g.view())?;
    let mut dx = g.f.reshape(dy, &spec.full_shape())?;
    let mut amounts = Vec::with_capacity(spec.axes.len());
    for (axis, part) in spec.axes.iter().enumerate() {
        let (spaced, first) = spread_axis(g.f, dx, axis, part)?;
        dx = spaced;
        let taken = g.shape(dx)[axis];
        amounts.push((first, ty.shape[axis] - first - taken));
    }
    let dx = shapes::pad(g.f, dx, &amounts, 0.0)?;
    g.give("x", dx)
}

/// Spreads one axis of a slice to the distances it had, in rising order; gives the position of its first element too.
fn spread_axis(
    f: &mut FunctionBuilder,
    value: ValueId,
    axis: usize,
    part: &SliceAxis,
) -> Result<(ValueId, usize), RuleError> {
    let step = part.stride.unsigned_abs() as usize;
    let reach = part.count.saturating_sub(1) * step;
    if part.count <= 1 || part.stride == 1 {
        return Ok((value, part.begin));
    }
    let mut value = value;
    let mut first = part.begin;
    if part.stride < 0 {
        value = f.op("reverse").arg("x", value).ints("axes", &[axis as i32]).one()?;
        first = part.begin - reach;
    }
    if step > 1 {
        let mut dims = f.shape(value).to_vec();
        dims.insert(axis + 1, 1);
        let apart = f.reshape(value, &dims)?;
        let mut amounts = vec![(0, 0); dims.len()];
        amounts[axis + 1] = (0, step - 1);
        let apart = shapes::pad(f, apart, &amounts, 0.0)?;
        dims.remove(axis + 1);
        dims[axis] *= step;
        let merged = f.reshape(apart, &dims)?;
        value = shapes::slice_axis(f, merged, axis, 0, reach + 1)?;
    }
    Ok((value, first))
}

/// `x` keeps what was not replaced; `update` gets what stands in its place.
fn slice_update(g: &mut Gradient<'_>) -> Done {
    let (update, dy) = (g.arg("update")?, g.dy()?);
    let ty = g.f.function().tensor(update).clone();
    let params = ["begin", "end", "stride", "begin_mask", "end_mask", "squeeze_mask"];
    let args = params.map(|param| (param, g.view().arg(param).clone()));
    if g.wants("x") {
        let zeros = shapes::zeros(g.f, &ty)?;
        let mut op = g.f.op("slice_update").arg("x", dy).arg("update", zeros);
        for (param, arg) in args.clone() {
            op = op.set_arg(param, arg);
        }
        let dx = op.one()?;
        g.give("x", dx)?;
    }
    if !g.wants("update") {
        return Ok(());
    }
    let fixed = g.view().constant("begin").is_some() && g.view().constant("end").is_some();
    let d = if fixed {
        let mut op = g.f.op("slice_by_index").arg("x", dy);
        for (param, arg) in args {
            op = op.set_arg(param, arg);
        }
        op.one()?
    } else {
        moving_slice(g, dy, &ty.shape)?
    };
    g.give("update", d)
}

/// The slice that a `slice_update` with bounds computed at run time replaces.
fn moving_slice(g: &mut Gradient<'_>, from: ValueId, update: &[usize]) -> Result<ValueId, RuleError> {
    let rank = g.shape(from).rank();
    let strides = g.view().ints("stride")?.unwrap_or_default();
    if strides.iter().any(|&stride| stride != 1) {
        return Err(RuleError::Unsupported(
            "bounds computed at run time have a rule only with stride 1; use constant bounds".into(),
        ));
    }
    let squeezed = g.view().bools("squeeze_mask")?.unwrap_or_else(|| vec![false; rank]);
    let open = g.view().bools("begin_mask")?.unwrap_or_else(|| vec![false; rank]);
    let mut sizes = update.iter().map(|&size| size as i32);
    let size: Vec<i32> =
        squeezed.iter().map(|&squeeze| if squeeze { 1 } else { sizes.next().unwrap_or(1) }).collect();
    let begin = g.arg("begin")?;
    let mut begin = g.f.cast(begin, DataType::Int32)?;
    if open.contains(&true) {
        // An open bound begins at 0, whatever `begin` says.
        let counts: Vec<i32> = open.iter().map(|&open| i32::from(!open)).collect();
        let counts = g.f.constant(Constant::ints(&counts));
        begin = g.f.mul(begin, counts)?;
    }
    let slice = g.f.op("slice_by_size").arg("x", from).arg("begin", begin).ints("size", &size).one()?;
    Ok(g.f.reshape(slice, update)?)
}

/// Every element gets the sum over the windows that it stands in.
fn sliding_windows(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy()?);
    let shape = g.shape(x);
    let axis = g.axis("axis", shape.rank())?;
    let (size, stride) = (g.view().int("size")? as usize, g.view().int("stride")? as usize);
    let mut dims = g.shape(dy).to_vec();
    let window = dims.remove(axis + 1);
    let windows = dims[axis];
    dims[axis] = windows * window;
    let flat = g.f.reshape(dy, &dims)?;
    let positions: Vec<i32> =
        (0..windows).flat_map(|w| (0..size).map(move |k| (w * stride + k) as i32)).collect();
    let dx = shapes::scatter_axis(g.f, flat, axis, shape[axis], &positions)?;
    g.give("x", dx)
}
