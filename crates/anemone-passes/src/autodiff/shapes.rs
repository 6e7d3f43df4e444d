//! Shapes of gradients: stretching, undoing broadcasts, zeros.

use mil::{BuildError, Constant, DataType, FunctionBuilder, Shape, TensorType, ValueId};

/// Repeats `value` along extents of 1 until it has the given shape (of the same rank).
pub(super) fn stretch(f: &mut FunctionBuilder, value: ValueId, shape: &Shape) -> Result<ValueId, BuildError> {
    let found = f.function().shape(value).clone();
    if found == *shape {
        return Ok(value);
    }
    let reps: Vec<i32> = found
        .iter()
        .zip(shape.to_i32())
        .map(|(&extent, wanted)| if extent as i64 == wanted as i64 { 1 } else { wanted })
        .collect();
    f.op("tile").arg("x", value).ints("reps", &reps).one()
}

/// The sum of `gradient`, of shape `full`, over the axes along which a value of shape `to` was broadcast to `full`.
/// `gradient` has the rank of `full` and may have extents of 1 where it is constant.
pub(super) fn unbroadcast(
    f: &mut FunctionBuilder,
    gradient: ValueId,
    full: &Shape,
    to: &Shape,
) -> Result<ValueId, BuildError> {
    let found = f.function().shape(gradient).clone();
    let lead = full.rank() - to.rank();
    let mut result = gradient;
    let mut axes = Vec::new();
    let mut copies = 1usize;
    for axis in 0..full.rank() {
        let stretched = axis < lead || (to[axis - lead] == 1 && full[axis] != 1);
        if !stretched {
            continue;
        }
        if found[axis] == full[axis] {
            axes.push(axis as i32);
        } else {
            copies = copies.saturating_mul(full[axis]);
        }
    }
    if axes.iter().any(|&axis| found[axis as usize] != 1) {
        result = f.reduce("reduce_sum", result, &axes, true)?;
    }
    if copies != 1 {
        result = f.mul(result, copies as f32)?;
    }
    let kept = f.function().shape(result)[lead..].to_vec();
    f.reshape(result, &kept)
}

/// Zeros of a type.
pub(super) fn zeros(f: &mut FunctionBuilder, ty: &TensorType) -> Result<ValueId, BuildError> {
    let zero = match ty.dtype {
        DataType::Fp16 => Constant::float(DataType::Fp16, 0.0),
        _ => Constant::scalar(0.0f32),
    };
    if ty.shape.rank() == 0 {
        // `fill` makes tensors of at least one dimension.
        return Ok(f.constant(zero));
    }
    f.op("fill").shape("shape", &ty.shape).constant("value", zero).one()
}

/// Elements `begin..begin + size` (every `stride`-th) of each axis.
pub(super) fn slice(
    f: &mut FunctionBuilder,
    value: ValueId,
    begin: &[usize],
    size: &[usize],
    stride: &[usize],
) -> Result<ValueId, BuildError> {
    let shape = f.function().shape(value).clone();
    let whole = begin.iter().all(|&begin| begin == 0) && *size == shape[..] && stride.iter().all(|&s| s == 1);
    if whole {
        return Ok(value);
    }
    let to_i32 = |values: &[usize]| Shape::new(values).to_i32();
    let end: Vec<usize> =
        (0..shape.rank()).map(|i| begin[i] + (size[i].max(1) - 1) * stride[i] + 1).collect();
    f.op("slice_by_index")
        .arg("x", value)
        .ints("begin", &to_i32(begin))
        .ints("end", &to_i32(&end))
        .ints("stride", &to_i32(stride))
        .one()
}

/// Elements `begin..begin + size` along one axis.
pub(super) fn slice_axis(
    f: &mut FunctionBuilder,
    value: ValueId,
    axis: usize,
    begin: usize,
    size: usize,
) -> Result<ValueId, BuildError> {
    let mut sizes = f.function().shape(value).to_vec();
    let mut begins = vec![0; sizes.len()];
    let ones = vec![1; sizes.len()];
    (begins[axis], sizes[axis]) = (begin, size);
    slice(f, value, &begins, &sizes, &ones)
}

/// Surrounds `value` with `constant`: `amounts` holds the numbers of elements before and after, per axis.
pub(super) fn pad(
    f: &mut FunctionBuilder,
    value: ValueId,
    amounts: &[(usize, usize)],
    constant: f32,
) -> Result<ValueId, BuildError> {
    if amounts.iter().all(|&amount| amount == (0, 0)) {
        return Ok(value);
    }
    let flat: Vec<usize> = amounts.iter().flat_map(|&(before, after)| [before, after]).collect();
    f.op("pad")
        .arg("x", value)
        .ints("pad", &Shape::new(&flat).to_i32())
        .string("mode", "constant")
        .float("constant_val", constant)
        .one()
}

/// Adds a tensor into zeros of extent `extent` along `axis`, at constant positions that may repeat.
pub(super) fn scatter_axis(
    f: &mut FunctionBuilder,
    value: ValueId,
    axis: usize,
    extent: usize,
    positions: &[i32],
) -> Result<ValueId, BuildError> {
    let mut ty = f.function().tensor(value).clone();
    ty.shape.dims_mut()[axis] = extent;
    let zeros = zeros(f, &ty)?;
    f.op("scatter")
        .arg("data", zeros)
        .ints("indices", positions)
        .arg("updates", value)
        .int("axis", axis as i32)
        .string("mode", "add")
        .one()
}
