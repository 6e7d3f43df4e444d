//! Indexed reads and writes: the gradient of a gather is a scatter that adds, and the other way round.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient, RuleError};
use super::shapes;
use mil::{Constant, DataType, Opset, Shape, TensorType, ValueId};

pub(super) static RULES: &[(&str, Rule)] = &[
    ("gather", Vjp(gather)),
    ("gather_along_axis", Vjp(gather_along_axis)),
    ("gather_nd", Vjp(gather_nd)),
    ("scatter", Vjp(|g| scatter(g, "scatter", "gather", true))),
    ("scatter_along_axis", Vjp(|g| scatter(g, "scatter_along_axis", "gather_along_axis", true))),
    ("scatter_nd", Vjp(|g| scatter(g, "scatter_nd", "gather_nd", false))),
];

/// Indices as the scatter ops want them: `int32` and not negative. `extents` holds the size of the axis, or of the
/// axes that the columns of the last dimension index. (From iOS17 on negative indices have no meaning.)
fn indices(g: &mut Gradient<'_>, extents: &[usize]) -> Result<ValueId, RuleError> {
    let indices = g.arg("indices")?;
    let indices = g.f.cast(indices, DataType::Int32)?;
    if g.f.function().opset >= Opset::Ios17 {
        return Ok(indices);
    }
    let extents = Shape::new(extents).to_i32();
    let extent = match extents.as_slice() {
        &[extent] => g.f.int(extent),
        extents => g.f.constant(Constant::ints(extents)),
    };
    let negative = g.f.less(indices, 0.0)?;
    let from_end = g.f.add(indices, extent)?;
    Ok(g.f.select(negative, from_end, indices)?)
}

/// `updates` added into zeros of type `ty`.
fn added(
    g: &mut Gradient<'_>,
    op: &str,
    ty: &TensorType,
    indices: ValueId,
    updates: ValueId,
    axis: Option<usize>,
) -> Result<ValueId, RuleError> {
    let zeros = shapes::zeros(g.f, ty)?;
    let scatter = g.f.op(op).arg("data", zeros).arg("indices", indices).arg("updates", updates);
    let scatter = match axis {
        Some(axis) => scatter.int("axis", axis as i32),
        None => scatter,
    };
    Ok(scatter.string("mode", "add").one()?)
}

/// `y[a, i, b] = x[a, index[i], b]`; with batch dimensions every batch has indices of its own.
fn gather(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy()?);
    let ty = g.f.function().tensor(x).clone();
    let axis = g.axis("axis", ty.shape.rank())?;
    let batch_dims = g.view().int("batch_dims")? as usize;
    let extent = ty.shape[axis];
    let indices = indices(g, &[extent])?;
    let count = g.shape(indices)[batch_dims..].iter().product::<usize>();
    if batch_dims == 0 {
        // One vector of indices, as Apple documents `scatter`.
        let flat = g.f.reshape(indices, &[count])?;
        let updates: Vec<usize> =
            ty.shape[..axis].iter().chain(&[count]).chain(&ty.shape[axis + 1..]).copied().collect();
        let updates = g.f.reshape(dy, &updates)?;
        let dx = added(g, "scatter", &ty, flat, updates, Some(axis))?;
        return g.give("x", dx);
    }
    // All batches as rows of one matrix, `[batch extent, before after]`.
    let product = |dims: &[usize]| dims.iter().product::<usize>();
    let batch = product(&ty.shape[..batch_dims]);
    let (before, after) = (product(&ty.shape[batch_dims..axis]), product(&ty.shape[axis + 1..]));
    let starts: Vec<i32> = (0..batch).map(|b| (b * extent) as i32).collect();
    let starts = g.f.constant(Constant::new([batch, 1], starts).map_err(mil::BuildError::from)?);
    let indices = g.f.reshape(indices, &[batch, count])?;
    let rows = g.f.add(indices, starts)?;
    let rows = g.f.reshape(rows, &[batch * count])?;
    let updates = g.f.reshape(dy, &[batch, before, count, after])?;
    let updates = g.f.transpose(updates, &[0, 2, 1, 3])?;
    let updates = g.f.reshape(updates, &[batch * count, before * after])?;
    let dx = added(g, "scatter", &ty.with_shape([batch * extent, before * after]), rows, updates, Some(0))?;
    let dx = g.f.reshape(dx, &[batch, extent, before, after])?;
    let dx = g.f.transpose(dx, &[0, 2, 1, 3])?;
    let dx = g.f.reshape(dx, &ty.shape)?;
    g.give("x", dx)
}

fn gather_along_axis(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy()?);
    let ty = g.f.function().tensor(x).clone();
    let axis = g.axis("axis", ty.shape.rank())?;
    let indices = indices(g, &[ty.shape[axis]])?;
    let dx = added(g, "scatter_along_axis", &ty, indices, dy, Some(axis))?;
    g.give("x", dx)
}

fn gather_nd(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy()?);
    let ty = g.f.function().tensor(x).clone();
    let batch_dims = g.view().int("batch_dims")? as usize;
    let given = g.view().shape("indices")?.clone();
    let depth = given.last().copied().unwrap_or(0);
    let mut positions = indices(g, &ty.shape[batch_dims..batch_dims + depth])?;
    if batch_dims > 0 {
        let batch = batch_positions(&given, batch_dims)?;
        let batch = g.f.constant(batch);
        let axis = given.rank() as i32 - 1;
        positions = g.f.op("concat").args("values", &[batch, positions]).int("axis", axis).one()?;
    }
    let dx = added(g, "scatter_nd", &ty, positions, dy, None)?;
    g.give("x", dx)
}

/// For every position of `indices` (without the last dimension) its first `batch_dims` coordinates.
fn batch_positions(indices: &Shape, batch_dims: usize) -> Result<Constant, RuleError> {
    let outer = Shape::new(&indices[..indices.rank() - 1]);
    let strides = outer.strides();
    let coordinates = (0..outer.count())
        .flat_map(|at| (0..batch_dims).map(move |i| (at, i)))
        .map(|(at, i)| (at / strides[i] % outer[i]) as i32)
        .collect();
    let shape: Shape = outer.iter().copied().chain([batch_dims]).collect();
    Ok(Constant::new(shape, coordinates).map_err(mil::BuildError::from)?)
}

/// The scatter ops, with the gather that reads what they write.
fn scatter(g: &mut Gradient<'_>, scatter: &'static str, gather: &'static str, has_axis: bool) -> Done {
    let (data, updates, dy) = (g.arg("data")?, g.arg("updates")?, g.dy()?);
    let shape = g.shape(data);
    let axis = if has_axis { Some(g.axis("axis", shape.rank())?) } else { None };
    let extents = match axis {
        Some(axis) => shape[axis..=axis].to_vec(),
        None => shape[..g.view().shape("indices")?.last().copied().unwrap_or(0)].to_vec(),
    };
    let at = Positions { scatter, gather, axis, indices: indices(g, &extents)? };
    match g.view().string("mode")?.to_string().as_str() {
        "add" => {
            g.give("data", dy)?;
            let d = at.read(g, dy)?;
            g.give("updates", d)
        }
        "sub" => {
            g.give("data", dy)?;
            let d = at.read(g, dy)?;
            let d = g.negative(d)?;
            g.give("updates", d)
        }
        "update" => {
            let ty = g.f.function().tensor(updates).clone();
            let zeros = shapes::zeros(g.f, &ty)?;
            let kept = at.write(g, dy, zeros, "update")?;
            g.give("data", kept)?;
            let d = at.read(g, dy)?;
            g.give("updates", d)
        }
        "mul" => {
            let scaled = at.write(g, dy, updates, "mul")?;
            g.give("data", scaled)?;
            let product = g.f.mul(dy, data)?;
            let d = at.read(g, product)?;
            g.give("updates", d)
        }
        "div" => {
            let scaled = at.write(g, dy, updates, "div")?;
            g.give("data", scaled)?;
            let y = g.y();
            let product = g.f.mul(dy, y)?;
            let read = at.read(g, product)?;
            let quotient = g.f.real_div(read, updates)?;
            let d = g.negative(quotient)?;
            g.give("updates", d)
        }
        "max" | "min" => extreme(g, &at, data, updates, dy),
        mode => Err(RuleError::Unsupported(format!("mode \"{mode}\" is not known"))),
    }
}

/// Old value and updates that equal the result share its cotangent evenly.
fn extreme(g: &mut Gradient<'_>, at: &Positions, data: ValueId, updates: ValueId, dy: ValueId) -> Done {
    let (y, dtype) = (g.y(), g.dtype(data));
    let kept = g.f.equal(data, y)?;
    let reached = at.read(g, y)?;
    let won = g.f.equal(updates, reached)?;
    let (kept_ones, won_ones) = (g.f.cast(kept, dtype)?, g.f.cast(won, dtype)?);
    let count = at.write(g, kept_ones, won_ones, "add")?;
    let share = g.f.real_div(dy, count)?;
    let d = g.keep_where(kept, share)?;
    g.give("data", d)?;
    let read = at.read(g, share)?;
    let d = g.keep_where(won, read)?;
    g.give("updates", d)
}

/// Where a scatter writes.
struct Positions {
    scatter: &'static str,
    gather: &'static str,
    axis: Option<usize>,
    indices: ValueId,
}

impl Positions {
    fn read(&self, g: &mut Gradient<'_>, from: ValueId) -> Result<ValueId, RuleError> {
        let gather = g.f.op(self.gather).arg("x", from).arg("indices", self.indices);
        let gather = match self.axis {
            Some(axis) => gather.int("axis", axis as i32),
            None => gather,
        };
        Ok(gather.one()?)
    }

    fn write(
        &self,
        g: &mut Gradient<'_>,
        data: ValueId,
        updates: ValueId,
        mode: &str,
    ) -> Result<ValueId, RuleError> {
        let scatter =
            g.f.op(self.scatter).arg("data", data).arg("indices", self.indices).arg("updates", updates);
        let scatter = match self.axis {
            Some(axis) => scatter.int("axis", axis as i32),
            None => scatter,
        };
        Ok(scatter.string("mode", mode).one()?)
    }
}
