//! Building, joining, splitting and ordering tensors.

use super::Rule::{self, NoGradient, Vjp};
use super::context::{Done, Gradient};
use super::shapes;
use mil::ops::tensor_operation::{padding, split_axis, topk_geometry};
use mil::{DataType, ValueId};

const CONSTANT: Rule = NoGradient("made from constants");
const INDICES: Rule = NoGradient("the output is integers");

pub(super) static RULES: &[(&str, Rule)] = &[
    ("argsort", INDICES),
    ("band_part", Vjp(band_part)),
    ("concat", Vjp(concat)),
    ("cumsum", Vjp(cumsum)),
    ("fill", CONSTANT),
    ("fill_like", CONSTANT),
    ("flatten2d", Vjp(flatten2d)),
    ("identity", Vjp(identity)),
    ("non_maximum_suppression", NoGradient("a choice of boxes; gather what needs a gradient by its indices")),
    ("non_zero", NoGradient("positions are integers")),
    ("one_hot", CONSTANT),
    ("pad", Vjp(pad)),
    ("range_1d", CONSTANT),
    ("shape", INDICES),
    ("split", Vjp(split)),
    ("stack", Vjp(stack)),
    ("tile", Vjp(tile)),
    ("topk", Vjp(topk)),
];

fn identity(g: &mut Gradient<'_>) -> Done {
    let dy = g.dy_small()?;
    g.give("x", dy)
}

fn flatten2d(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy()?);
    let shape = g.shape(x);
    let dx = g.f.reshape(dy, &shape)?;
    g.give("x", dx)
}

fn band_part(g: &mut Gradient<'_>) -> Done {
    let (lower, upper) = (g.view().int("lower")? as i32, g.view().int("upper")? as i32);
    let dy = g.dy()?;
    let dx = g.f.op("band_part").arg("x", dy).int("lower", lower).int("upper", upper).one()?;
    g.give("x", dx)
}

/// Each tensor gets its part; with `interleave` every n-th slice.
fn concat(g: &mut Gradient<'_>) -> Done {
    let dy = g.dy()?;
    let values = g.view().values("values").to_vec();
    let full = g.shape(dy);
    let axis = g.axis("axis", full.rank())?;
    let interleave = g.view().bool("interleave")?;
    let mut begin = vec![0; full.rank()];
    let mut stride = vec![1; full.rank()];
    if interleave {
        stride[axis] = values.len();
    }
    for &value in &values {
        let shape = g.shape(value);
        let mut size = full.to_vec();
        // Scalars are joined as vectors of one.
        size[axis] = shape.get(axis).copied().unwrap_or(1);
        if g.wants_value(value) {
            let part = shapes::slice(g.f, dy, &begin, &size, &stride)?;
            let part = g.f.reshape(part, &shape)?;
            g.give_value(value, part)?;
        }
        begin[axis] += if interleave { 1 } else { size[axis] };
    }
    Ok(())
}

fn stack(g: &mut Gradient<'_>) -> Done {
    let dy = g.dy()?;
    let values = g.view().values("values").to_vec();
    let axis = g.axis("axis", g.shape(dy).rank())?;
    for (index, value) in values.into_iter().enumerate() {
        if g.wants_value(value) {
            let part = shapes::slice_axis(g.f, dy, axis, index, 1)?;
            let shape = g.shape(value);
            let part = g.f.reshape(part, &shape)?;
            g.give_value(value, part)?;
        }
    }
    Ok(())
}

/// The parts' cotangents one after the other, zeros for parts that the loss does not need.
fn split(g: &mut Gradient<'_>) -> Done {
    let axis = split_axis(&g.view())?;
    let mut parts = Vec::new();
    for (index, &output) in g.operation().outputs.iter().enumerate() {
        let ty = g.f.function().tensor(output).clone();
        parts.push(match g.cotangent(index)? {
            Some(dy) => dy,
            None => shapes::zeros(g.f, &ty)?,
        });
    }
    let dx = g.f.op("concat").args("values", &parts).int("axis", axis as i32).one()?;
    g.give("x", dx)
}

/// The running sum from the other end.
fn cumsum(g: &mut Gradient<'_>) -> Done {
    let dy = g.dy()?;
    let axis = g.axis("axis", g.shape(dy).rank())?;
    let (exclusive, reverse) = (g.view().bool("exclusive")?, g.view().bool("reverse")?);
    let sum = g.f.op("cumsum").arg("x", dy).int("axis", axis as i32);
    let dx = sum.bool("exclusive", exclusive).bool("reverse", !reverse).one()?;
    g.give("x", dx)
}

/// Constant padding is cut off; mirrored and repeated elements add up at their origin.
fn pad(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy()?);
    let shape = g.shape(x);
    let amounts = padding(&g.view())?;
    let mode = g.view().string("mode")?.to_string();
    let mut dx = dy;
    for (axis, &(before, after)) in amounts.iter().enumerate() {
        let extent = shape[axis];
        if (before, after) == (0, 0) {
            continue;
        }
        dx = if mode == "constant" {
            shapes::slice_axis(g.f, dx, axis, before, extent)?
        } else {
            let origins: Vec<i32> =
                (0..before + extent + after).map(|at| origin(at, before, extent, &mode)).collect();
            shapes::scatter_axis(g.f, dx, axis, extent, &origins)?
        };
    }
    g.give("x", dx)
}

/// The element that stands at position `at` of a padded axis.
fn origin(at: usize, before: usize, extent: usize, mode: &str) -> i32 {
    let (at, last) = (at as i32 - before as i32, extent as i32 - 1);
    if mode == "replicate" {
        at.clamp(0, last)
    } else if at < 0 {
        -at
    } else if at > last {
        2 * last - at
    } else {
        at
    }
}

/// Copies add up: `[r₀ d₀, …]` is `[r₀, d₀, …]` summed over every `r`.
fn tile(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy()?);
    let shape = g.shape(x);
    let full = g.shape(dy);
    let (mut apart, mut axes) = (Vec::new(), Vec::new());
    for (&extent, &tiled) in shape.iter().zip(full.iter()) {
        if tiled != extent {
            axes.push(apart.len() as i32);
            apart.push(tiled / extent.max(1));
        }
        apart.push(extent);
    }
    let mut dx = g.f.reshape(dy, &apart)?;
    if !axes.is_empty() {
        dx = g.f.reduce("reduce_sum", dx, &axes, false)?;
    }
    g.give("x", dx)
}

/// Back to where the values came from.
fn topk(g: &mut Gradient<'_>) -> Done {
    let x = g.arg("x")?;
    let Some(dy) = g.cotangent(0)? else { return Ok(()) };
    let top = topk_geometry(&g.view())?;
    let indices = match g.operation().outputs.get(1) {
        Some(&indices) => indices,
        None => topk_indices(g, x)?,
    };
    let indices = g.f.cast(indices, DataType::Int32)?;
    let ty = g.f.function().tensor(x).clone();
    let zeros = shapes::zeros(g.f, &ty)?;
    let scatter = g.f.op("scatter_along_axis").arg("data", zeros).arg("indices", indices).arg("updates", dy);
    let dx = scatter.int("axis", top.axis as i32).string("mode", "add").one()?;
    g.give("x", dx)
}

/// The indices that the forward operation left out: the same selection once more.
fn topk_indices(g: &mut Gradient<'_>, x: ValueId) -> Result<ValueId, super::RuleError> {
    let top = topk_geometry(&g.view())?;
    let again = g.f.op("topk").arg("x", x).int("k", top.k as i32).int("axis", top.axis as i32);
    let outputs = again.bool("ascending", top.ascending).bool("sort", top.sort).many()?;
    outputs.get(1).copied().ok_or_else(|| super::RuleError::Unsupported("topk gave no indices".into()))
}
