//! Pooling: each output's cotangent goes back to the elements of its window.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient, RuleError};
use super::{largest, shapes, window};
use mil::ops::pool::geometry;
use mil::ops::spatial::Spatial;
use mil::{BuildError, Constant, FunctionBuilder, Shape, ValueId};

pub(super) static RULES: &[(&str, Rule)] =
    &[("avg_pool", Vjp(avg_pool)), ("l2_pool", Vjp(l2_pool)), ("max_pool", Vjp(max_pool))];

/// Most elements of a window for which gradients are made: they hold a constant as large as the window.
const LARGEST: usize = 1 << 24;
/// The same for `max_pool`, whose gradient is made of a few operations for every element of the window.
const LARGEST_MAX: usize = 1 << 12;

/// The windows of the operation, which must not have more than `most` elements each.
fn windows(g: &Gradient<'_>, most: usize) -> Result<Spatial, RuleError> {
    let spatial = geometry(&g.view())?;
    if spatial.window() <= most {
        return Ok(spatial);
    }
    let kernel = Shape::new(&spatial.kernel);
    let message =
        format!("a window of {kernel} is too large: its gradient is made for up to {most} elements");
    Err(RuleError::Unsupported(message))
}

fn avg_pool(g: &mut Gradient<'_>) -> Done {
    let spatial = windows(g, LARGEST)?;
    let exclude = g.view().bool("exclude_padding_from_average")?;
    let dy = g.dy()?;
    let shares = shares(&spatial, exclude);
    let scaled = match shares.split_first() {
        Some((&first, rest)) if rest.iter().all(|&share| share == first) => g.f.mul(dy, first)?,
        _ => {
            let dims: Shape = [1, 1].into_iter().chain(spatial.output.iter().copied()).collect();
            let shares = Constant::new(dims, shares).map_err(BuildError::from)?;
            let shares = g.f.constant(shares);
            let dtype = g.dtype(dy);
            let shares = g.f.cast(shares, dtype)?;
            g.f.mul(dy, shares)?
        }
    };
    let dx = spread(g.f, scaled, &spatial)?;
    g.give("x", dx)
}

/// One over the number of elements that each window averages, windows in row-major order. Without `exclude` padding
/// counts, but never what lies beyond the padded input.
fn shares(spatial: &Spatial, exclude: bool) -> Vec<f32> {
    let mut volumes = vec![1usize];
    for i in 0..spatial.rank() {
        let (before, input) = (spatial.pad_before[i], spatial.input[i]);
        let (low, high) =
            if exclude { (before, before + input) } else { (0, before + input + spatial.pad_after[i]) };
        let lengths = (0..spatial.output[i]).map(|o| {
            let start = o * spatial.strides[i];
            (start + spatial.kernel[i]).min(high).saturating_sub(start.max(low)).max(1)
        });
        let lengths: Vec<usize> = lengths.collect();
        volumes =
            volumes.iter().flat_map(|volume| lengths.iter().map(move |length| volume * length)).collect();
    }
    volumes.into_iter().map(|volume| 1.0 / volume as f32).collect()
}

/// `y = sqrt(Σ x²)`: `dx = x · Σ dy / y`, and nothing from windows of zeros.
fn l2_pool(g: &mut Gradient<'_>) -> Done {
    let spatial = windows(g, LARGEST)?;
    let (x, y, dy) = (g.arg("x")?, g.y(), g.dy()?);
    let quotient = g.f.real_div(dy, y)?;
    let zero = g.f.equal(y, 0.0)?;
    let ratio = g.drop_where(zero, quotient)?;
    let sums = spread(g.f, ratio, &spatial)?;
    let dx = g.f.mul(x, sums)?;
    g.give("x", dx)
}

/// For each input element the sum over the windows that hold it; extents of 1 where one window holds all.
fn spread(f: &mut FunctionBuilder, dy: ValueId, spatial: &Spatial) -> Result<ValueId, RuleError> {
    if side_by_side(spatial) {
        return Ok(repeated(f, dy, spatial)?);
    }
    let (planes, shape) = as_planes(f, dy)?;
    let dims: Shape = [1, 1].into_iter().chain(spatial.kernel.iter().copied()).collect();
    let ones = constant_like(f, dy, dims, |_| 1.0)?;
    let dx = window::transposed(f, planes, ones, spatial, 1, 1)?;
    Ok(as_images(f, dx, shape)?)
}

/// Whether windows neither overlap nor leave gaps between them, and begin where the input begins.
fn side_by_side(spatial: &Spatial) -> bool {
    (0..spatial.rank()).all(|i| {
        let stepping = spatial.strides[i] == spatial.kernel[i] || spatial.output[i] == 1;
        stepping && spatial.pad_before[i] == 0 && window::overhang(spatial, i) <= 0
    })
}

/// Each element of `dy` over its whole window, and zeros for input in no window.
fn repeated(f: &mut FunctionBuilder, dy: ValueId, spatial: &Spatial) -> Result<ValueId, BuildError> {
    let whole = |i: usize| spatial.output[i] == 1 && spatial.kernel[i] == spatial.input[i];
    if (0..spatial.rank()).all(whole) {
        return Ok(dy);
    }
    let shape = f.shape(dy).to_vec();
    let (mut apart, mut stretched, mut merged) =
        (shape[..2].to_vec(), shape[..2].to_vec(), shape[..2].to_vec());
    let mut rest = vec![(0, 0); 2];
    for i in 0..spatial.rank() {
        let (output, kernel) = (spatial.output[i], spatial.kernel[i]);
        apart.extend([output, 1]);
        stretched.extend([output, kernel]);
        merged.push(output * kernel);
        rest.push((0, spatial.input[i] - output * kernel));
    }
    let apart = f.reshape(dy, &apart)?;
    let stretched = shapes::stretch(f, apart, &stretched.into())?;
    let merged = f.reshape(stretched, &merged)?;
    shapes::pad(f, merged, &rest, 0.0)
}

/// `[N, C, …]` as `[N C, 1, …]`, and the two extents: channels then take part as samples.
fn as_planes(f: &mut FunctionBuilder, value: ValueId) -> Result<(ValueId, [usize; 2]), BuildError> {
    let shape = f.shape(value).to_vec();
    let dims: Vec<usize> = [shape[0] * shape[1], 1].into_iter().chain(shape[2..].iter().copied()).collect();
    Ok((f.reshape(value, &dims)?, [shape[0], shape[1]]))
}

fn as_images(f: &mut FunctionBuilder, planes: ValueId, lead: [usize; 2]) -> Result<ValueId, BuildError> {
    let dims: Vec<usize> = lead.into_iter().chain(f.shape(planes)[2..].iter().copied()).collect();
    f.reshape(planes, &dims)
}

/// A float constant in the element type of `like`, its elements computed from their row-major index.
fn constant_like(
    f: &mut FunctionBuilder,
    like: ValueId,
    dims: Shape,
    element: impl Fn(usize) -> f32,
) -> Result<ValueId, BuildError> {
    let dtype = f.dtype(like);
    let data: Vec<f32> = (0..dims.count()).map(element).collect();
    let constant = match dtype {
        mil::DataType::Fp16 => Constant::new(dims, data.into_iter().map(half::f16::from_f32).collect())?,
        _ => Constant::new(dims, data)?,
    };
    Ok(f.constant(constant))
}

/// The first largest element of each window takes the cotangent. Window offset by window offset, in row-major order:
/// those outputs that equal the element at this offset give their cotangent away, and have none left for later offsets.
fn max_pool(g: &mut Gradient<'_>) -> Done {
    let spatial = windows(g, LARGEST_MAX)?;
    let (x, y, dy) = (g.arg("x")?, g.y(), g.dy()?);
    let lowest = -largest(g.dtype(x));
    let source = window::padded(g.f, x, &spatial, lowest)?;
    let mut left = dy;
    let mut parts = Vec::with_capacity(spatial.window());
    for offset in offsets(&spatial.kernel) {
        let candidates = at_offset(g.f, source, &spatial, &offset)?;
        let wins = g.f.equal(candidates, y)?;
        parts.push(g.keep_where(wins, left)?);
        if parts.len() < spatial.window() {
            left = g.drop_where(wins, left)?;
        }
    }
    let dx = if side_by_side(&spatial) {
        interleaved(g.f, parts, &spatial)?
    } else {
        scattered(g.f, &parts, &spatial)?
    };
    g.give("x", dx)
}

/// Every position in a window, row-major.
fn offsets(kernel: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for &extent in kernel {
        all = all
            .iter()
            .flat_map(|lead| (0..extent).map(move |k| lead.iter().copied().chain([k]).collect()))
            .collect();
    }
    all
}

/// The element at one offset of every window: `[N, C, *output]`.
fn at_offset(
    f: &mut FunctionBuilder,
    source: ValueId,
    spatial: &Spatial,
    offset: &[usize],
) -> Result<ValueId, BuildError> {
    let lead = f.shape(source)[..2].to_vec();
    let begin = [&[0, 0], offset].concat();
    let size = [&lead[..], &spatial.output].concat();
    let stride = [&[1, 1][..], &spatial.strides].concat();
    shapes::slice(f, source, &begin, &size, &stride)
}

/// One tensor per window offset, put together where windows stand side by side.
fn interleaved(
    f: &mut FunctionBuilder,
    mut parts: Vec<ValueId>,
    spatial: &Spatial,
) -> Result<ValueId, BuildError> {
    // From the last dimension on, as offsets there change fastest.
    for i in (0..spatial.rank()).rev() {
        let mut merged = Vec::with_capacity(parts.len() / spatial.kernel[i]);
        for row in parts.chunks(spatial.kernel[i]) {
            let stacked = f.op("stack").args("values", row).int("axis", 3 + i as i32).one()?;
            let mut dims = f.shape(stacked).to_vec();
            let offsets = dims.remove(3 + i);
            dims[2 + i] *= offsets;
            merged.push(f.reshape(stacked, &dims)?);
        }
        parts = merged;
    }
    // A window has at least one element, so one tensor is left.
    let whole = parts[0];
    let found = f.shape(whole).to_vec();
    let mut rest = vec![(0, 0); 2];
    rest.extend((0..spatial.rank()).map(|i| (0, spatial.input[i] - found[2 + i])));
    shapes::pad(f, whole, &rest, 0.0)
}

/// One tensor per window offset, added up in the input: a transposed convolution whose kernel `k` is 1 at offset `k`
/// and 0 elsewhere.
fn scattered(f: &mut FunctionBuilder, parts: &[ValueId], spatial: &Spatial) -> Result<ValueId, BuildError> {
    let count = parts.len();
    let stacked = f.op("stack").args("values", parts).int("axis", 2).one()?;
    let shape = f.shape(stacked).to_vec();
    let dims: Vec<usize> =
        [shape[0] * shape[1], count].into_iter().chain(shape[3..].iter().copied()).collect();
    let planes = f.reshape(stacked, &dims)?;
    let dims: Shape = [count, 1].into_iter().chain(spatial.kernel.iter().copied()).collect();
    let kernels = constant_like(f, stacked, dims, |i| f32::from(u8::from(i / count == i % count)))?;
    let dx = window::transposed(f, planes, kernels, spatial, 1, 1)?;
    as_images(f, dx, [shape[0], shape[1]])
}
