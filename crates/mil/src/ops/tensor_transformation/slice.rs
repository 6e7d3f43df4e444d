//! Slices: which elements `slice_by_index`, `slice_by_size` and `slice_update` mean.

use crate::ops::infer::{Inferred, given_ints, one, vector_of};
use crate::{InferError, OpView, Shape};

/// The part of a slice in one dimension: `count` elements `begin`, `begin + stride`, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceAxis {
    /// First element. All `count` elements lie in the dimension.
    pub begin: usize,
    /// Step to the next element; negative walks towards the front, never 0.
    pub stride: i64,
    /// Number of elements; 1 when squeezed.
    pub count: usize,
    /// Whether the dimension is dropped from the result.
    pub squeeze: bool,
}

/// A slice: one part per dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceSpec {
    /// The parts, in order of the dimensions of `x`.
    pub axes: Vec<SliceAxis>,
}

impl SliceSpec {
    /// Shape of the slice, squeezed dimensions left out.
    pub fn shape(&self) -> Shape {
        self.axes.iter().filter(|axis| !axis.squeeze).map(|axis| axis.count).collect()
    }

    /// Shape of the slice with a 1 in the place of each squeezed dimension.
    pub fn full_shape(&self) -> Shape {
        self.axes.iter().map(|axis| axis.count).collect()
    }
}

/// The slice that a `slice_by_index`, `slice_update` or `slice_by_size` with constant bounds takes.
///
/// # Errors
/// When a bound is computed at run time (see [`slice_at`]) or does not fit; for a verified operation only the former.
pub fn slice_spec(op: &OpView<'_>) -> Result<SliceSpec, InferError> {
    let x = op.shape("x")?;
    let axes: Result<_, _> = if op.name() == "slice_by_size" {
        let begin = per_dimension(op, "begin", x.rank())?;
        let sizes = sizes(op, x)?;
        (0..x.rank()).map(|i| sized(i, x[i], begin[i], sizes[i])).collect()
    } else {
        let bounds = Bounds::read(op, x)?;
        let run_time = || InferError::new("begin", "and `end` must be constants here");
        (0..x.rank()).map(|i| bounds.axis(i, x[i])?.ok_or_else(run_time)).collect()
    };
    Ok(SliceSpec { axes: axes? })
}

/// The slice of a `slice_by_size` or `slice_update` whose bounds are computed at run time, for this `begin`. Its size
/// is known from the types alone; `begin` (negative counts from the end) is moved by as little as puts the whole slice
/// inside `x`, whatever it holds.
///
/// # Errors
/// When `begin` does not have one element per dimension of `x`, or the operation is not verified.
pub fn slice_at(op: &OpView<'_>, begin: &[i64]) -> Result<SliceSpec, InferError> {
    let x = op.shape("x")?;
    if begin.len() != x.rank() {
        return Err(wrong_len("begin", begin.len(), x.rank()));
    }
    let place = |i: usize, begin: i64, stride: i64, count: usize, squeeze: bool| {
        let (dim, reach) = (x[i] as i128, count.saturating_sub(1) as i128 * stride as i128);
        let from_start = if begin < 0 { begin as i128 + dim } else { begin as i128 };
        let (low, high) = (0.max(-reach), (dim - 1).min(dim - 1 - reach));
        // An empty dimension or slice has no element to place.
        let begin = if count == 0 || low > high { 0 } else { from_start.clamp(low, high) as usize };
        SliceAxis { begin, stride, count, squeeze }
    };
    if op.name() == "slice_by_size" {
        let sizes = sizes(op, x)?;
        let count = |i: usize| sizes[i].ok_or_else(|| open_size(i));
        let axes: Result<_, _> = (0..x.rank()).map(|i| Ok(place(i, begin[i], 1, count(i)?, false))).collect();
        return Ok(SliceSpec { axes: axes? });
    }
    let bounds = Bounds::read(op, x)?;
    let counts = bounds.update_counts(op)?;
    let axes = (0..x.rank()).map(|i| {
        let (stride, squeeze) = (bounds.stride[i], bounds.squeeze[i]);
        let first = if stride > 0 { 0 } else { -1 };
        place(i, if bounds.begin_mask[i] { first } else { begin[i] }, stride, counts[i], squeeze)
    });
    Ok(SliceSpec { axes: axes.collect() })
}

/// What `slice_by_index` and `slice_update` say about their slice. Bounds computed at run time are `None`.
struct Bounds {
    begin: Option<Vec<i64>>,
    end: Option<Vec<i64>>,
    stride: Vec<i64>,
    begin_mask: Vec<bool>,
    end_mask: Vec<bool>,
    squeeze: Vec<bool>,
}

impl Bounds {
    fn read(op: &OpView<'_>, x: &Shape) -> Result<Bounds, InferError> {
        let rank = x.rank();
        let given = |param: &'static str| -> Result<Option<Vec<i64>>, InferError> {
            check_len(op, param, rank)?;
            if op.constant(param).is_some() { op.ints(param) } else { Ok(None) }
        };
        let mask = |param: &'static str| -> Result<Vec<bool>, InferError> {
            match op.value(param) {
                Some(_) => {
                    check_len(op, param, rank)?;
                    Ok(op.bools(param)?.unwrap_or_default())
                }
                None => Ok(vec![false; rank]),
            }
        };
        let stride = match op.value("stride") {
            Some(_) => per_dimension(op, "stride", rank)?,
            None => vec![1; rank],
        };
        if stride.contains(&0) {
            return Err(InferError::new("stride", "holds 0, but a slice must advance"));
        }
        Ok(Bounds {
            begin: given("begin")?,
            end: given("end")?,
            stride,
            begin_mask: mask("begin_mask")?,
            end_mask: mask("end_mask")?,
            squeeze: mask("squeeze_mask")?,
        })
    }

    /// The part in dimension `i` of size `dim`; `None` when it depends on values computed at run time.
    fn axis(&self, i: usize, dim: usize) -> Result<Option<SliceAxis>, InferError> {
        let known = |masked: bool, bound: &Option<Vec<i64>>| {
            if masked { Some(None) } else { bound.as_ref().map(|bound| Some(bound[i])) }
        };
        let Some(begin) = known(self.begin_mask[i], &self.begin) else { return Ok(None) };
        if self.squeeze[i] {
            return self.element(i, dim, begin).map(Some);
        }
        let Some(end) = known(self.end_mask[i], &self.end) else { return Ok(None) };
        Ok(Some(span(dim, begin, end, self.stride[i])))
    }

    /// A squeezed dimension: the element at `begin`, the first when that is open.
    fn element(&self, i: usize, dim: usize, begin: Option<i64>) -> Result<SliceAxis, InferError> {
        let given = begin.unwrap_or(0);
        let index = if given < 0 { given as i128 + dim as i128 } else { given as i128 };
        if index < 0 || index >= dim as i128 {
            let message = format!("is {given} in dimension {i}, which is squeezed and has size {dim}");
            return Err(InferError::new("begin", message));
        }
        Ok(SliceAxis { begin: index as usize, stride: 1, count: 1, squeeze: true })
    }

    /// Number of elements in each dimension of `x`, from the shape of `update`.
    fn update_counts(&self, op: &OpView<'_>) -> Result<Vec<usize>, InferError> {
        let update = op.shape("update")?;
        let kept = self.squeeze.iter().filter(|squeeze| !**squeeze).count();
        if update.rank() != kept || kept == 0 {
            let message = format!("has shape {update}, but must have rank {kept}, at least 1");
            return Err(InferError::new("update", message));
        }
        let mut sizes = update.iter().copied();
        Ok(self.squeeze.iter().map(|&squeeze| if squeeze { 1 } else { sizes.next().unwrap_or(1) }).collect())
    }
}

/// `begin:end:stride` of a dimension, as in NumPy; `None` is an open bound.
fn span(dim: usize, begin: Option<i64>, end: Option<i64>, stride: i64) -> SliceAxis {
    let dim = dim as i128;
    let forward = stride > 0;
    let (low, high) = if forward { (0, dim) } else { (-1, dim - 1) };
    let bound = |value: i64| {
        let value = value as i128;
        (if value < 0 { value + dim } else { value }).clamp(low, high)
    };
    let (first, last) = if forward { (low, high) } else { (high, low) };
    let (begin, end) = (begin.map_or(first, bound), end.map_or(last, bound));
    let distance = if forward { end - begin } else { begin - end };
    let step = (stride as i128).abs();
    let count = ((distance + step - 1).div_euclid(step)).max(0) as usize;
    let begin = if count == 0 { 0 } else { begin as usize };
    SliceAxis { begin, stride, count, squeeze: false }
}

/// `size` elements from `begin` on, `None` for all that remain.
fn sized(i: usize, dim: usize, begin: i64, size: Option<usize>) -> Result<SliceAxis, InferError> {
    let start = if begin < 0 { begin as i128 + dim as i128 } else { begin as i128 };
    let room = dim as i128 - start;
    let count = size.map_or(room, |size| size as i128);
    if start < 0 || room < 0 || count > room {
        let what = size.map_or("the rest".to_string(), |size| format!("{size} elements"));
        let message = format!("asks for {what} from {begin} on in dimension {i}, which has size {dim}");
        return Err(InferError::new("size", message));
    }
    Ok(SliceAxis { begin: start as usize, stride: 1, count: count as usize, squeeze: false })
}

/// The sizes of a `slice_by_size`; `None` stands for all that remain.
fn sizes(op: &OpView<'_>, x: &Shape) -> Result<Vec<Option<usize>>, InferError> {
    let size = |(i, size): (usize, i64)| match usize::try_from(size) {
        Ok(size) if size <= x[i] => Ok(Some(size)),
        Err(_) if size == -1 => Ok(None),
        _ => {
            let message = format!("is {size} in dimension {i}, but must be -1 or at most {}", x[i]);
            Err(InferError::new("size", message))
        }
    };
    per_dimension(op, "size", x.rank())?.into_iter().enumerate().map(size).collect()
}

/// How many elements remain depends on where the slice begins.
fn open_size(i: usize) -> InferError {
    InferError::at_run_time("size", format!("is -1 in dimension {i}, which needs `begin` to be a constant"))
}

fn per_dimension(op: &OpView<'_>, param: &'static str, rank: usize) -> Result<Vec<i64>, InferError> {
    check_len(op, param, rank)?;
    given_ints(op, param)
}

fn check_len(op: &OpView<'_>, param: &'static str, rank: usize) -> Result<(), InferError> {
    let len = vector_of(op, param)?;
    if len == rank { Ok(()) } else { Err(wrong_len(param, len, rank)) }
}

fn wrong_len(param: &'static str, len: usize, rank: usize) -> InferError {
    InferError::new(param, format!("has {len} elements, but must have one per dimension of `x`: {rank}"))
}

pub(super) fn slice_by_index(op: &OpView<'_>) -> Inferred {
    one(op.tensor("x")?.with_shape(slice_spec(op)?.shape()))
}

pub(super) fn slice_by_size(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    if op.constant("begin").is_some() {
        return one(x.with_shape(slice_spec(op)?.shape()));
    }
    check_len(op, "begin", x.shape.rank())?;
    let sizes = sizes(op, &x.shape)?.into_iter().enumerate();
    let dims: Result<Shape, _> = sizes.map(|(i, size)| size.ok_or_else(|| open_size(i))).collect();
    one(x.with_shape(dims?))
}

pub(super) fn slice_update(op: &OpView<'_>) -> Inferred {
    let (x, update) = (op.tensor("x")?, op.shape("update")?);
    let bounds = Bounds::read(op, &x.shape)?;
    let counts = bounds.update_counts(op)?;
    for (i, (&dim, &count)) in x.shape.iter().zip(&counts).enumerate() {
        let reach = count.saturating_sub(1) as i128 * (bounds.stride[i] as i128).abs();
        let fits = match bounds.axis(i, dim)? {
            Some(axis) => axis.count == count,
            None => count == 0 || reach < dim as i128,
        };
        if !fits {
            let message =
                format!("has shape {update}, which does not fit the slice in dimension {i} of size {dim}");
            return Err(InferError::new("update", message));
        }
    }
    one(x.clone())
}
