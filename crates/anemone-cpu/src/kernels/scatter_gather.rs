//! Reads and writes at indices. Indices are checked before anything is written; negative ones count from the end.

use super::copy::StridedCopy;
use super::fold::{Arithmetic, Number};
use super::tensor_transformation::{Ints, copy_all};
use super::{Call, KernelResult, Lower, Lowered, operand, parallel, unsupported};
use half::f16;
use mil::ops::axis;
use mil::{DataType, InferError, OpView};

mod along_axis;
mod chains;

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("gather", gather),
    ("gather_along_axis", along_axis::gather),
    ("gather_nd", gather_nd),
    ("scatter", scatter),
    ("scatter_along_axis", along_axis::scatter),
    ("scatter_nd", scatter_nd),
];

/// An index from either end as one from the start. Callers have checked it.
#[inline]
fn from_start(index: i64, size: usize) -> usize {
    (if index < 0 { index + size as i64 } else { index }) as usize
}

/// Fails on an index that axis `axis(place)` of size `size(place)` does not have.
fn check_indices(indices: &Ints<'_>, axis_of: impl Fn(usize) -> (usize, usize)) -> KernelResult {
    for place in 0..indices.len() {
        let (axis, size) = axis_of(place);
        let index = indices.get(place);
        if index >= size as i64 || index < -(size as i64) {
            return Err(format!(
                "`indices` holds {index} in place {place}, but axis {axis} has size {size}; indices go from -{size} to \
                 {}",
                size as i64 - 1
            ));
        }
    }
    Ok(())
}

fn gather(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (x, indices) = (op.tensor("x")?, op.shape("indices")?);
    let axis = axis(op, "axis", x.shape.rank())?;
    let batch_dims = op.int("batch_dims")? as usize;
    let middle: usize = x.shape[batch_dims..axis].iter().product();
    let inner: usize = x.shape[axis + 1..].iter().product();
    let count: usize = indices[batch_dims..].iter().product();
    let (size, width) = (x.shape[axis], inner * x.dtype.size());
    let (x, indices) = (operand(op, "x")?, operand(op, "indices")?);
    Ok(Lowered::new(move |call| {
        let indices = Ints::of(call, indices)?;
        check_indices(&indices, |_| (axis, size))?;
        let from = call.inputs[x].bytes();
        parallel::rows(call.outputs[0].bytes(), width, 1, |row, out| {
            // Rows run over [batch, middle, indices]; `x` over [batch, middle, size].
            let (outer, place) = (row / count, row % count);
            let index = from_start(indices.get(outer / middle * count + place), size);
            out.copy_from_slice(&from[(outer * size + index) * width..][..width]);
        });
        Ok(())
    }))
}

/// Positions in several dimensions: their sizes and the steps from one to the next.
struct Positions {
    first_axis: usize,
    dims: Vec<usize>,
    steps: Vec<usize>,
}

impl Positions {
    /// The dimensions `first..first + depth` of a tensor; steps count slices of what remains.
    fn of(shape: &[usize], first: usize, depth: usize) -> Positions {
        let dims = shape[first..first + depth].to_vec();
        let steps = (0..depth).map(|i| dims[i + 1..].iter().product()).collect();
        Positions { first_axis: first, dims, steps }
    }

    /// Number of slices.
    fn count(&self) -> usize {
        self.dims.iter().product()
    }

    fn check(&self, indices: &Ints<'_>) -> KernelResult {
        let depth = self.dims.len().max(1);
        check_indices(indices, |place| {
            let axis = place % depth;
            (self.first_axis + axis, self.dims.get(axis).copied().unwrap_or(0))
        })
    }

    /// The slice that row `row` of `indices` names.
    #[inline]
    fn slice(&self, indices: &Ints<'_>, row: usize) -> usize {
        let depth = self.dims.len();
        (0..depth).map(|i| from_start(indices.get(row * depth + i), self.dims[i]) * self.steps[i]).sum()
    }
}

fn gather_nd(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (x, indices) = (op.tensor("x")?, op.shape("indices")?);
    let batch_dims = op.int("batch_dims")? as usize;
    let depth = indices.last().copied().unwrap_or(0);
    let positions = Positions::of(&x.shape, batch_dims, depth);
    let rows: usize = indices[batch_dims..indices.rank() - 1].iter().product();
    let inner: usize = x.shape[batch_dims + depth..].iter().product();
    let width = inner * x.dtype.size();
    let (x, indices) = (operand(op, "x")?, operand(op, "indices")?);
    Ok(Lowered::new(move |call| {
        let indices = Ints::of(call, indices)?;
        positions.check(&indices)?;
        let from = call.inputs[x].bytes();
        let slices = positions.count();
        parallel::rows(call.outputs[0].bytes(), width, 1, |row, out| {
            let slice = row / rows * slices + positions.slice(&indices, row);
            out.copy_from_slice(&from[slice * width..][..width]);
        });
        Ok(())
    }))
}

/// How an update is combined with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Update,
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
}

impl Mode {
    fn of(op: &OpView<'_>) -> Result<Mode, InferError> {
        Ok(match op.string("mode")? {
            "update" => Mode::Update,
            "sub" => Mode::Sub,
            "mul" => Mode::Mul,
            "div" => Mode::Div,
            "max" => Mode::Max,
            "min" => Mode::Min,
            _ => Mode::Add,
        })
    }
}

/// Arithmetic that scattering needs beyond [`Arithmetic`].
trait Combine: Arithmetic {
    fn minus(self, other: Self) -> Self;
    /// Integers: rounded towards zero, 0 for division by 0.
    fn over(self, other: Self) -> Self;

    #[inline(always)]
    fn combined(self, mode: Mode, update: Self) -> Self {
        match mode {
            Mode::Update => update,
            Mode::Add => self.plus(update),
            Mode::Sub => self.minus(update),
            Mode::Mul => self.times(update),
            Mode::Div => self.over(update),
            Mode::Max => self.larger(update),
            Mode::Min => self.smaller(update),
        }
    }
}

impl Combine for f32 {
    #[inline(always)]
    fn minus(self, other: f32) -> f32 {
        self - other
    }
    #[inline(always)]
    fn over(self, other: f32) -> f32 {
        self / other
    }
}

impl Combine for i32 {
    #[inline(always)]
    fn minus(self, other: i32) -> i32 {
        self.wrapping_sub(other)
    }
    #[inline(always)]
    fn over(self, other: i32) -> i32 {
        if other == 0 { 0 } else { self.wrapping_div(other) }
    }
}

/// A scatter of whole slices: `data` is `[outer, slots, inner]`, `updates` `[outer, count, inner]`.
#[derive(Clone, Copy, Debug)]
struct Slices {
    slots: usize,
    count: usize,
    inner: usize,
    mode: Mode,
}

/// A slot for each update, once the indices are known and checked.
type Slot = Box<dyn Fn(&Ints<'_>, usize) -> usize + Send + Sync>;
type Check = Box<dyn Fn(&Ints<'_>) -> KernelResult + Send + Sync>;

fn scatter(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (data, indices) = (op.shape("data")?, op.shape("indices")?);
    let axis = axis(op, "axis", data.rank())?;
    let size = data[axis];
    let slices = Slices {
        slots: size,
        count: indices.count(),
        inner: data[axis + 1..].iter().product(),
        mode: Mode::of(op)?,
    };
    scatter_slices(
        op,
        slices,
        Box::new(move |indices| check_indices(indices, |_| (axis, size))),
        Box::new(move |indices, place| from_start(indices.get(place), size)),
    )
}

fn scatter_nd(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (data, indices) = (op.shape("data")?, op.shape("indices")?);
    let depth = indices.last().copied().unwrap_or(0);
    let positions = std::sync::Arc::new(Positions::of(data, 0, depth));
    let slices = Slices {
        slots: positions.count(),
        count: indices[..indices.rank() - 1].iter().product(),
        inner: data[depth..].iter().product(),
        mode: Mode::of(op)?,
    };
    let checked = std::sync::Arc::clone(&positions);
    scatter_slices(
        op,
        slices,
        Box::new(move |indices| checked.check(indices)),
        Box::new(move |indices, row| positions.slice(indices, row)),
    )
}

fn scatter_slices(op: &OpView<'_>, slices: Slices, check: Check, slot: Slot) -> Result<Lowered, InferError> {
    let data = op.tensor("data")?;
    match data.dtype {
        DataType::Fp32 => scatter_typed::<f32>(op, slices, check, slot),
        DataType::Fp16 => scatter_typed::<f16>(op, slices, check, slot),
        DataType::Int32 => scatter_typed::<i32>(op, slices, check, slot),
        _ => Err(unsupported("data", data)),
    }
}

fn scatter_typed<N: Number>(
    op: &OpView<'_>,
    slices: Slices,
    check: Check,
    slot: Slot,
) -> Result<Lowered, InferError>
where
    N::Wide: Combine,
{
    let scratch = chains::scratch(slices.slots, slices.count)
        .ok_or_else(|| InferError::new("indices", "and `data` are too large to scatter"))?;
    let whole: StridedCopy = copy_all(op.tensor("data")?.bytes());
    let (data, indices, updates) = (operand(op, "data")?, operand(op, "indices")?, operand(op, "updates")?);
    let run = move |call: &mut Call<'_>| -> KernelResult {
        let indices = Ints::of(call, indices)?;
        check(&indices)?;
        if !call.in_place {
            whole.run(call.inputs[data].bytes(), 0, call.outputs[0].bytes(), 0);
        }
        let chains =
            chains::Chains::build(call.scratch, slices.slots, slices.count, |place| slot(&indices, place));
        chains.scatter(slices, call.inputs[updates].slice::<N>(), call.outputs[0].slice::<N>());
        Ok(())
    };
    Ok(Lowered::new(run).scratch(scratch).in_place(data))
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};

    #[test]
    fn gathers_rows_with_batches() {
        let mut case = Case::new("gather");
        let x = case.float("x", &[2, 3, 5, 4]);
        case.int_operand("indices", &[2, 2], &[4, -5, 2, 0]);
        case.int("axis", 2);
        case.int("batch_dims", 1);
        let want: Vec<f64> = (0..2 * 3 * 2 * 4)
            .map(|at| {
                let (batch, middle, place) = (at / 24, at / 8 % 3, at / 4 % 2);
                x[(batch * 3 + middle) * 20 + [[4, 0], [2, 0]][batch][place] * 4 + at % 4]
            })
            .collect();
        case.check(&want, Tolerance::EXACT);
    }

    #[test]
    fn gathers_positions() {
        let mut case = Case::new("gather_nd");
        let x = case.float("x", &[2, 3, 4]);
        case.int_operand("indices", &[2, 2, 1], &[2, 0, 1, -1]);
        case.int("batch_dims", 1);
        let want: Vec<f64> = [2, 0, 4, 5].iter().flat_map(|row| x[row * 4..][..4].to_vec()).collect();
        case.check(&want, Tolerance::EXACT);
    }

    #[test]
    fn scatters_rows_in_order() {
        for mode in ["update", "add", "sub", "mul", "div", "max", "min"] {
            let mut case = Case::new("scatter");
            let data = case.float("data", &[2, 4, 70]);
            let places = [3, 1, 3, -4, 3];
            case.int_operand("indices", &[5], &places);
            let updates: Vec<f64> =
                case.random(2 * 5 * 70).iter().map(|u| if *u == 0.0 { 1.0 } else { *u }).collect();
            case.given("updates", &[2, 5, 70], updates.clone(), false);
            case.int("axis", 1);
            case.string("mode", mode);
            let mut want = data.clone();
            for outer in 0..2 {
                for (place, &index) in places.iter().enumerate() {
                    for i in 0..70 {
                        let slot = (index + 4) as usize % 4;
                        let (to, update) =
                            (&mut want[(outer * 4 + slot) * 70 + i], updates[(outer * 5 + place) * 70 + i]);
                        *to = match mode {
                            "update" => update,
                            "add" => *to + update,
                            "sub" => *to - update,
                            "mul" => *to * update,
                            "div" => *to / update,
                            "max" => to.max(update),
                            _ => to.min(update),
                        };
                    }
                }
            }
            case.check(&want, Tolerance::MATH);
        }
    }

    #[test]
    fn scatters_positions() {
        let mut case = Case::new("scatter_nd");
        let mut want = case.float("data", &[3, 4]);
        case.int_operand("indices", &[3, 2], &[0, 1, 2, -1, 0, 1]);
        let updates = case.float("updates", &[3]);
        for (at, update) in [1, 11, 1].into_iter().zip(updates) {
            want[at] += update;
        }
        case.check(&want, Tolerance::MATH);
    }

    #[test]
    fn tells_of_indices_that_are_out_of_range() {
        let mut case = Case::new("gather");
        case.float("x", &[2, 3]);
        case.int_operand("indices", &[2], &[0, 3]);
        case.int("axis", 1);
        let error = case.error();
        assert!(error.contains("holds 3 in place 1") && error.contains("axis 1 has size 3"), "{error}");
    }
}
