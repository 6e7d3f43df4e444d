//! Changes of shape and order. Nearly all are one [`StridedCopy`]; those that keep the order of elements are plain copies
//! (and usually no copy at all, because the planner lets the output stand in the operand's memory).

use super::copy::{Axis, StridedCopy};
use super::{Call, KernelResult, Lower, Lowered, operand, parallel, unsupported};
use mil::ops::tensor_transformation::{SliceAxis, permutation, slice_at, slice_spec};
use mil::ops::{axes, axis};
use mil::{DataType, InferError, OpView};

mod blocks;

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("batch_to_space", blocks::batch_to_space),
    ("depth_to_space", |op| blocks::spread(op, "block_size", blocks::Order::BlockFirst)),
    ("expand_dims", plain_copy),
    ("pixel_shuffle", |op| blocks::spread(op, "upscale_factor", blocks::Order::ChannelFirst)),
    ("pixel_unshuffle", |op| blocks::collect(op, "downscale_factor", blocks::Order::ChannelFirst)),
    ("reshape", plain_copy),
    ("reshape_like", plain_copy),
    ("reverse", reverse),
    ("reverse_sequence", reverse_sequence),
    ("slice_by_index", slice),
    ("slice_by_size", slice),
    ("slice_update", slice_update),
    ("sliding_windows", sliding_windows),
    ("space_to_batch", blocks::space_to_batch),
    ("space_to_depth", |op| blocks::collect(op, "block_size", blocks::Order::BlockFirst)),
    ("squeeze", plain_copy),
    ("transpose", transpose),
];

/// The elements of `x` in their order.
pub(crate) fn plain_copy(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = operand(op, "x")?;
    Ok(copy_into(x, copy_all(op.tensor("x")?.bytes())).in_place(x))
}

/// A plain copy of so many bytes.
pub(crate) fn copy_all(bytes: usize) -> StridedCopy {
    StridedCopy::new(1, [Axis { count: bytes, from: 1, to: 1 }])
}

/// Copies an operand to the output, unless it stands there already.
fn copy_into(operand: usize, copy: StridedCopy) -> Lowered {
    copy_from(operand, 0, copy)
}

/// The same from an element of the operand on.
pub(super) fn copy_from(operand: usize, start: usize, copy: StridedCopy) -> Lowered {
    Lowered::new(move |call| {
        if !call.in_place {
            copy.run(call.inputs[operand].bytes(), start, call.outputs[0].bytes(), 0);
        }
        Ok(())
    })
}

fn transpose(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = op.tensor("x")?;
    let (from, to) = (x.shape.strides(), op.output(0).shape.strides());
    let axes = permutation(op)?.into_iter().zip(to).map(|(source, to)| Axis {
        count: x.shape[source],
        from: from[source] as isize,
        to: to as isize,
    });
    Ok(copy_into(operand(op, "x")?, StridedCopy::new(x.dtype.size(), axes)))
}

fn reverse(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = op.tensor("x")?;
    let turned = axes(op, "axes", x.shape.rank())?.unwrap_or_else(|| (0..x.shape.rank()).collect());
    let strides = x.shape.strides();
    let mut start = 0;
    let axes: Vec<Axis> = (0..x.shape.rank())
        .map(|i| {
            let (count, stride) = (x.shape[i], strides[i]);
            let turns = turned.contains(&i);
            start += if turns { count.saturating_sub(1) * stride } else { 0 };
            let stride = stride as isize;
            Axis { count, from: if turns { -stride } else { stride }, to: stride }
        })
        .collect();
    Ok(copy_from(operand(op, "x")?, start, StridedCopy::new(x.dtype.size(), axes)))
}

fn reverse_sequence(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = op.tensor("x")?;
    let rank = x.shape.rank();
    let (seq, batch) = (axis(op, "seq_axis", rank)?, axis(op, "batch_axis", rank)?);
    let inner: usize = x.shape[seq.max(batch) + 1..].iter().product();
    let width = inner * x.dtype.size();
    let strides = x.shape.strides();
    // Steps and sizes in rows of `inner` elements.
    let at = move |axis: usize| (strides[axis] / inner.max(1)).max(1);
    let (seq_step, batch_step) = (at(seq), at(batch));
    let (seq_count, batch_count) = (x.shape[seq], x.shape[batch]);
    let (x, lengths) = (operand(op, "x")?, operand(op, "lengths")?);
    Ok(Lowered::new(move |call| {
        let lengths = Ints::of(call, lengths)?;
        for item in 0..batch_count {
            let length = lengths.get(item);
            if length < 0 || length > seq_count as i64 {
                return Err(format!(
                    "`lengths` holds {length} in place {item}; the axis has size {seq_count}"
                ));
            }
        }
        let from = call.inputs[x].bytes();
        parallel::rows(call.outputs[0].bytes(), width, 1, |row, out| {
            let length = lengths.get(row / batch_step % batch_count) as usize;
            let position = row / seq_step % seq_count;
            let source = if position < length { length - 1 - position } else { position };
            let row = row - position * seq_step + source * seq_step;
            out.copy_from_slice(&from[row * width..][..width]);
        });
        Ok(())
    }))
}

/// An integer operand of any width.
pub(crate) struct Ints<'a> {
    bytes: &'a [u8],
    dtype: DataType,
}

impl<'a> Ints<'a> {
    pub(crate) fn of(call: &Call<'a>, operand: usize) -> Result<Ints<'a>, String> {
        let input = &call.inputs[operand];
        let dtype = input.ty().dtype;
        if !dtype.is_int() {
            return Err(format!("operand {operand} is {}, not integers", input.ty()));
        }
        Ok(Ints { bytes: input.bytes(), dtype })
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Element `index`.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> i64 {
        let size = self.dtype.size();
        let bytes = &self.bytes[index * size..][..size];
        match (self.dtype, bytes) {
            (DataType::Int8, &[a]) => i64::from(a as i8),
            (DataType::Uint8, &[a]) => i64::from(a),
            (DataType::Int16, &[a, b]) => i64::from(i16::from_le_bytes([a, b])),
            (DataType::Uint16, &[a, b]) => i64::from(u16::from_le_bytes([a, b])),
            (DataType::Uint32, &[a, b, c, d]) => i64::from(u32::from_le_bytes([a, b, c, d])),
            (_, &[a, b, c, d]) => i64::from(i32::from_le_bytes([a, b, c, d])),
            _ => 0,
        }
    }
}

/// A slice of a row-major tensor whose size is known; where it begins may not be.
struct Slice {
    dims: Vec<usize>,
    strides: Vec<usize>,
    parts: Vec<SliceAxis>,
    /// Dimensions whose `begin` is open at run time.
    open: Vec<bool>,
}

impl Slice {
    /// The slice of `op`, and whether `begin` is read at run time.
    fn of(op: &OpView<'_>) -> Result<(Slice, bool), InferError> {
        let x = op.shape("x")?;
        let (spec, run_time) = match slice_spec(op) {
            Ok(spec) => (spec, false),
            // The size does not depend on `begin`; any will do here.
            Err(_) => (slice_at(op, &vec![0; x.rank()])?, true),
        };
        let masked = run_time && op.value("begin_mask").is_some();
        let open = if masked { op.bools("begin_mask")? } else { None };
        let open = open.unwrap_or_else(|| vec![false; x.rank()]);
        Ok((Slice { dims: x.to_vec(), strides: x.strides().to_vec(), parts: spec.axes, open }, run_time))
    }

    /// Steps through the slice in `x`, dimension by dimension.
    fn steps(&self) -> impl Iterator<Item = isize> {
        self.parts.iter().zip(&self.strides).map(|(part, &stride)| part.stride as isize * stride as isize)
    }

    /// The first element for constant bounds.
    fn start(&self) -> usize {
        self.parts.iter().zip(&self.strides).map(|(part, stride)| part.begin * stride).sum()
    }

    /// The first element for this `begin`, moved so that the slice lies inside (as `slice_at` says).
    fn start_at(&self, begin: &Ints<'_>) -> usize {
        let place = |i: usize| {
            let (part, dim) = (&self.parts[i], self.dims[i] as i64);
            let reach = (part.count as i64 - 1).max(0) * part.stride;
            let (low, high) = (0.max(-reach), (dim - 1).min(dim - 1 - reach));
            let given = match (self.open[i], part.stride > 0) {
                (false, _) => begin.get(i),
                (true, true) => 0,
                (true, false) => -1,
            };
            if part.count == 0 || low > high {
                return 0;
            }
            (if given < 0 { given + dim } else { given }).clamp(low, high) as usize
        };
        (0..self.parts.len()).map(|i| place(i) * self.strides[i]).sum()
    }
}

fn slice(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (slice, run_time) = Slice::of(op)?;
    let mut to = op.output(0).shape.strides().into_iter();
    let axes: Vec<Axis> = slice
        .parts
        .iter()
        .zip(slice.steps())
        .map(|(part, from)| {
            let to = if part.squeeze { 0 } else { to.next().unwrap_or(1) };
            Axis { count: part.count, from, to: to as isize }
        })
        .collect();
    let copy = StridedCopy::new(op.dtype("x")?.size(), axes);
    let x = operand(op, "x")?;
    if !run_time {
        return Ok(copy_from(x, slice.start(), copy));
    }
    let begin = operand(op, "begin")?;
    Ok(Lowered::new(move |call| {
        let start = slice.start_at(&Ints::of(call, begin)?);
        copy.run(call.inputs[x].bytes(), start, call.outputs[0].bytes(), 0);
        Ok(())
    }))
}

fn slice_update(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (slice, run_time) = Slice::of(op)?;
    let mut from = op.shape("update")?.strides().into_iter();
    let axes: Vec<Axis> = slice
        .parts
        .iter()
        .zip(slice.steps())
        .map(|(part, to)| {
            let from = if part.squeeze { 0 } else { from.next().unwrap_or(1) };
            Axis { count: part.count, from: from as isize, to }
        })
        .collect();
    let copy = StridedCopy::new(op.dtype("x")?.size(), axes);
    let whole = copy_all(op.tensor("x")?.bytes());
    let (x, update) = (operand(op, "x")?, operand(op, "update")?);
    let begin = if run_time { Some(operand(op, "begin")?) } else { None };
    let run = move |call: &mut Call<'_>| -> KernelResult {
        let start = match begin {
            Some(begin) => slice.start_at(&Ints::of(call, begin)?),
            None => slice.start(),
        };
        if !call.in_place {
            whole.run(call.inputs[x].bytes(), 0, call.outputs[0].bytes(), 0);
        }
        copy.run(call.inputs[update].bytes(), 0, call.outputs[0].bytes(), start);
        Ok(())
    };
    Ok(Lowered::new(run).in_place(x))
}

fn sliding_windows(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = op.tensor("x")?;
    if x.dtype == DataType::String {
        return Err(unsupported("x", x));
    }
    let axis = axis(op, "axis", x.shape.rank())?;
    let step = op.int("stride")? as usize;
    let mut from: Vec<usize> = x.shape.strides().to_vec();
    // The windows, then the positions in one.
    from.insert(axis + 1, from[axis]);
    from[axis] *= step;
    let out = &op.output(0).shape;
    Ok(copy_into(operand(op, "x")?, StridedCopy::between(x.dtype.size(), out, &from, &out.strides())))
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};
    use mil::{Constant, DataType};

    #[test]
    fn transposes() {
        for (shape, perm) in [
            (vec![5, 70, 33], vec![0, 2, 1]),
            (vec![2, 3, 4, 5], vec![0, 2, 1, 3]),
            (vec![2, 3, 4], vec![2, 1, 0]),
        ] {
            let mut case = Case::new("transpose");
            let x = case.float("x", &shape);
            case.ints("perm", &perm);
            let out: Vec<usize> = perm.iter().map(|&axis| shape[axis as usize]).collect();
            let want: Vec<f64> = (0..x.len())
                .map(|at| {
                    let mut rest = at;
                    let mut offset = 0;
                    for (i, &axis) in perm.iter().enumerate().rev() {
                        let stride: usize = shape[axis as usize + 1..].iter().product();
                        offset += rest % out[i] * stride;
                        rest /= out[i];
                    }
                    x[offset]
                })
                .collect();
            case.check(&want, Tolerance::EXACT);
        }
    }

    #[test]
    fn slices_forwards_backwards_and_squeezed() {
        let mut case = Case::new("slice_by_index");
        let x = case.float("x", &[4, 5, 6]);
        case.ints("begin", &[1, -1, 0]);
        case.ints("end", &[2, 0, 6]);
        case.ints("stride", &[1, -2, 2]);
        case.constant("squeeze_mask", Constant::bools([3], &[true, false, false]).unwrap());
        let want: Vec<f64> = [4, 2].iter().flat_map(|j| [0, 2, 4].map(|k| x[30 + j * 6 + k])).collect();
        case.check(&want, Tolerance::EXACT);
    }

    #[test]
    fn slices_that_begin_at_run_time_stay_inside() {
        for (begin, start) in [(1, 1), (-2, 3), (9, 2), (-9, 0)] {
            let mut case = Case::new("slice_by_size");
            let x = case.float("x", &[5, 4]);
            case.int_operand("begin", &[2], &[begin, 0]);
            case.ints("size", &[3, 4]);
            let start = if begin == -2 { 2 } else { start };
            case.check(&x[start * 4..][..12], Tolerance::EXACT);
        }
    }

    #[test]
    fn updates_slices() {
        for run_time in [false, true] {
            let mut case = Case::new("slice_update");
            let x = case.float("x", &[5, 6]);
            let update = case.float("update", &[2, 3]);
            match run_time {
                true => {
                    case.int_operand("begin", &[2], &[2, 1]);
                    case.int_operand("end", &[2], &[4, 6]);
                }
                false => {
                    case.ints("begin", &[2, 1]);
                    case.ints("end", &[4, 6]);
                }
            }
            case.ints("stride", &[1, 2]);
            let mut want = x.clone();
            for (at, value) in update.iter().enumerate() {
                want[(2 + at / 3) * 6 + 1 + at % 3 * 2] = *value;
            }
            case.check(&want, Tolerance::EXACT);
        }
    }

    #[test]
    fn reverses() {
        let mut case = Case::new("reverse");
        let x = case.float("x", &[3, 4, 5]);
        case.ints("axes", &[0, 2]);
        let want: Vec<f64> = (0..60).map(|at| x[(2 - at / 20) * 20 + at / 5 % 4 * 5 + 4 - at % 5]).collect();
        case.check(&want, Tolerance::EXACT);
        let mut case = Case::new("reverse_sequence");
        let x = case.float("x", &[2, 3, 4, 5]);
        case.int_operand("lengths", &[3], &[0, 2, 4]);
        case.int("seq_axis", 2);
        case.int("batch_axis", 1);
        let want: Vec<f64> = (0..120)
            .map(|at| {
                let (length, position) = ([0, 2, 4][at / 20 % 3], at / 5 % 4);
                let source = if position < length { length - 1 - position } else { position };
                x[at / 20 * 20 + source * 5 + at % 5]
            })
            .collect();
        case.check(&want, Tolerance::EXACT);
        let mut case = Case::new("reverse_sequence");
        case.float("x", &[1, 3]);
        case.int_operand("lengths", &[1], &[4]);
        case.int("seq_axis", 1);
        assert!(case.error().contains("holds 4 in place 0"));
    }

    #[test]
    fn windows_slide() {
        let mut case = Case::new("sliding_windows");
        let x = case.float("x", &[2, 7, 3]);
        for (param, value) in [("axis", 1), ("size", 3), ("stride", 2)] {
            case.int(param, value);
        }
        let want: Vec<f64> =
            (0..54).map(|at| x[at / 27 * 21 + (at / 9 % 3 * 2 + at / 3 % 3) * 3 + at % 3]).collect();
        case.check(&want, Tolerance::EXACT);
    }

    #[test]
    fn shapes_keep_the_order() {
        let mut case = Case::new("reshape");
        let x = case.float("x", &[2, 6]);
        case.ints("shape", &[3, 4]);
        case.check(&x, Tolerance::EXACT);
        assert_eq!(case.outputs(DataType::Fp16).unwrap()[0].0.shape[..], [3, 4]);
    }
}
