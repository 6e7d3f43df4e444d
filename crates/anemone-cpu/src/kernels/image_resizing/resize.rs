//! Dimensions resized one by one: every row of the output is a weighted sum of rows of the input, whose elements are
//! interpolated along the row.

use super::super::tensor_transformation::{copy_all, copy_from};
use super::super::windows::COLUMNS;
use super::super::{Float, Lowered, operand, parallel, unsupported};
use half::f16;
use mil::ops::image_resizing::{Resized, Tap, resized_dimensions};
use mil::{DataType, Element, InferError, OpView};
use std::ops::{Add, Mul};

/// An element that can be interpolated.
trait Pixel: Element {
    /// What it is computed in: `f32` for floats, `f64` for integers, which holds them all.
    type Wide: Copy + Default + Send + Sync + Add<Output = Self::Wide> + Mul<Output = Self::Wide>;

    fn wide(self) -> Self::Wide;
    fn weight(weight: f64) -> Self::Wide;
    /// Rounds to nearest, ties to even.
    fn narrow(values: &[Self::Wide], out: &mut [Self]);
}

impl Pixel for f32 {
    type Wide = f32;
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }
    fn weight(weight: f64) -> f32 {
        weight as f32
    }
    #[inline(always)]
    fn narrow(values: &[f32], out: &mut [f32]) {
        out.copy_from_slice(values);
    }
}

impl Pixel for f16 {
    type Wide = f32;
    #[inline(always)]
    fn wide(self) -> f32 {
        Float::to_f32(self)
    }
    fn weight(weight: f64) -> f32 {
        weight as f32
    }
    #[inline(always)]
    fn narrow(values: &[f32], out: &mut [f16]) {
        crate::gemm::narrow(values, out);
    }
}

impl Pixel for i32 {
    type Wide = f64;
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn weight(weight: f64) -> f64 {
        weight
    }
    #[inline(always)]
    fn narrow(values: &[f64], out: &mut [i32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = value.round_ties_even() as i32;
        }
    }
}

/// A [`Tap`] with both weights in the type that they are used in. `single` says that the element at `low` is all.
#[derive(Clone, Copy)]
struct Blend<W> {
    low: usize,
    high: usize,
    weights: [W; 2],
    single: bool,
}

impl<W> Blend<W> {
    fn of<P: Pixel<Wide = W>>(tap: Tap) -> Blend<W> {
        Blend {
            low: tap.low,
            high: tap.high,
            weights: [P::weight(1.0 - tap.weight), P::weight(tap.weight)],
            single: tap.weight == 0.0,
        }
    }
}

/// A resized dimension before the last one.
struct Dimension<W> {
    /// Where its elements come from.
    blends: Vec<Blend<W>>,
    /// Rows of the input from one of its elements to the next.
    step: usize,
}

/// Calls `body(row, weight)` for every row of the input that has a share in row `place` of the output, counted within
/// `dimensions`; no weight is 1.
fn for_each_row<W: Copy + Mul<Output = W>>(
    dimensions: &[Dimension<W>],
    place: usize,
    row: usize,
    weight: Option<W>,
    body: &mut impl FnMut(usize, Option<W>),
) {
    let Some((last, outer)) = dimensions.split_last() else { return body(row, weight) };
    let (place, at) = (place / last.blends.len(), place % last.blends.len());
    let Blend { low, high, weights, single } = last.blends[at];
    if single {
        return for_each_row(outer, place, row + low * last.step, weight, body);
    }
    for (element, share) in [(low, weights[0]), (high, weights[1])] {
        let weight = weight.map_or(share, |weight| weight * share);
        for_each_row(outer, place, row + element * last.step, Some(weight), body);
    }
}

/// A resizing, ready to run.
struct Plan<P: Pixel> {
    /// Before the last one. Only those that have several elements: there are at most as many as bits in a size.
    dimensions: Vec<Dimension<P::Wide>>,
    columns: Vec<Blend<P::Wide>>,
    /// Rows of the output and of the input per element of the dimensions that stay.
    rows: [usize; 2],
    /// Elements of a row of the input.
    width: usize,
    /// Operations per element of the output.
    cost: usize,
    /// How columns are picked, when every element of the output is one of the input.
    picks: Option<Picks>,
}

/// Columns that are elements of the input.
enum Picks {
    /// Each one so many times.
    Copies(usize),
    /// These.
    Columns(Vec<usize>),
}

impl Picks {
    fn new<W>(columns: &[Blend<W>], width: usize) -> Picks {
        let copies = columns.len() / width;
        if columns.iter().enumerate().all(|(i, column)| i.checked_div(copies) == Some(column.low)) {
            return Picks::Copies(copies);
        }
        Picks::Columns(columns.iter().map(|column| column.low).collect())
    }

    fn take<P: Pixel>(&self, row: &[P], out: &mut [P]) {
        match self {
            Picks::Copies(1) => out.copy_from_slice(row),
            Picks::Copies(2) => {
                // By far the most common.
                for (out, &element) in out.chunks_exact_mut(2).zip(row) {
                    (out[0], out[1]) = (element, element);
                }
            }
            Picks::Copies(copies) => {
                for (out, &element) in out.chunks_exact_mut(*copies).zip(row) {
                    out.fill(element);
                }
            }
            Picks::Columns(columns) => {
                for (out, &column) in out.iter_mut().zip(columns) {
                    *out = row[column];
                }
            }
        }
    }
}

impl<P: Pixel> Plan<P> {
    /// `resized` with its last dimension apart.
    fn new(outer: &[Resized], last: &Resized) -> Plan<P> {
        let mut rows = [1, 1];
        let mut dimensions = Vec::new();
        for resized in outer.iter().rev() {
            if resized.output > 1 || resized.input > 1 {
                let blends = resized.taps().map(Blend::of::<P>).collect();
                dimensions.push(Dimension { blends, step: rows[1] });
            }
            rows = [rows[0] * resized.output, rows[1] * resized.input];
        }
        dimensions.reverse();
        let columns: Vec<Blend<P::Wide>> = last.taps().map(Blend::of::<P>).collect();
        let blended = |blends: &[Blend<P::Wide>]| blends.iter().any(|blend| !blend.single);
        let several = dimensions.iter().filter(|dimension| blended(&dimension.blends)).count();
        let picks = (several == 0 && !blended(&columns)).then(|| Picks::new(&columns, last.input));
        Plan { dimensions, columns, rows, width: last.input, cost: 4 << several.min(8), picks }
    }

    fn run(&self, input: &[P], output: &mut [P]) {
        parallel::rows(output, self.columns.len(), self.cost, |row, out| {
            let (outer, place) = (row / self.rows[0], row % self.rows[0]);
            let first = outer * self.rows[1];
            let line = |row: usize| &input[row * self.width..][..self.width];
            if let Some(picks) = &self.picks {
                return for_each_row(&self.dimensions, place, first, None, &mut |row, _| {
                    picks.take(line(row), out);
                });
            }
            for (out, columns) in out.chunks_mut(COLUMNS).zip(self.columns.chunks(COLUMNS)) {
                let mut buffer = [P::Wide::default(); COLUMNS];
                let values = &mut buffer[..columns.len()];
                let mut first_row = true;
                for_each_row(&self.dimensions, place, first, None, &mut |row, weight| {
                    add_row(values, line(row), columns, weight, first_row);
                    first_row = false;
                });
                P::narrow(values, out);
            }
        });
    }
}

/// Adds an interpolated row to `values`, or puts it there when it is the first.
#[inline(always)]
fn add_row<P: Pixel>(
    values: &mut [P::Wide],
    row: &[P],
    columns: &[Blend<P::Wide>],
    weight: Option<P::Wide>,
    first: bool,
) {
    let at = |column: &Blend<P::Wide>| {
        let low = row[column.low].wide();
        // Not a product with 0: the element after the last may be infinite.
        if column.single {
            low
        } else {
            low * column.weights[0] + row[column.high].wide() * column.weights[1]
        }
    };
    let pairs = values.iter_mut().zip(columns);
    match (weight, first) {
        (None, _) => pairs.for_each(|(value, column)| *value = at(column)),
        (Some(weight), true) => pairs.for_each(|(value, column)| *value = at(column) * weight),
        (Some(weight), false) => pairs.for_each(|(value, column)| *value = *value + at(column) * weight),
    }
}

/// `resize`, `resize_*` and `upsample_*`.
pub(super) fn resize(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let resized = resized_dimensions(op)?;
    if resized.iter().all(Resized::is_identity) {
        return copied(op);
    }
    let x = op.tensor("x")?;
    match x.dtype {
        DataType::Fp32 => lower::<f32>(op, &resized),
        DataType::Fp16 => lower::<f16>(op, &resized),
        DataType::Int32 => lower::<i32>(op, &resized),
        _ => Err(unsupported("x", x)),
    }
}

/// Nothing is resized: the result is a copy.
fn copied(op: &OpView<'_>) -> Result<Lowered, InferError> {
    Ok(copy_from(operand(op, "x")?, 0, copy_all(op.tensor("x")?.bytes())))
}

fn lower<P: Pixel>(op: &OpView<'_>, resized: &[Resized]) -> Result<Lowered, InferError> {
    let Some((last, outer)) = resized.split_last() else { return copied(op) };
    if op.output(0).shape.count() == 0 {
        return Ok(Lowered::new(|_| Ok(())));
    }
    let plan = Plan::<P>::new(outer, last);
    let x = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        plan.run(call.inputs[x].slice::<P>(), call.outputs[0].slice::<P>());
        Ok(())
    }))
}
