//! Runs a product: checks it, packs what is shared, and hands the tasks of the [`plan`](super::plan) to the
//! threads.

use std::ops::Range;

use rayon::prelude::*;

use super::buffer::{Buffer, with_call_buffers};
use super::error::GemmError;
use super::fixed;
use super::gemv;
use super::isa::Isa;
use super::matrix::{Arithmetic, BatchDim, Bias, GemmOptions, MatMut, Operand, Source, check_bounds};
use super::output::Output;
use super::packed::{Block, Panels, Side};
use super::plan::{Plan, Problem, plan};
use super::task::Task;

/// Multiplies: `C = A · B`, or `C = C + A · B`, for every batch item, with an optional bias.
///
/// `A` is `[M, K]`, `B` is `[K, N]`, `C` is `[M, N]`. Runs on the current rayon pool if there is enough work;
/// the result is the same bits on any number of threads (see the [module](super) for the order of
/// accumulation).
///
/// # Errors
/// [`GemmError`] if shapes do not fit, strides or batch strides reach beyond the data, or items of `C` may
/// overlap; `C` is untouched then.
pub fn gemm<'a>(
    a: impl Into<Source<'a>>,
    b: impl Into<Source<'a>>,
    c: MatMut<'_>,
    options: &GemmOptions<'_>,
) -> Result<(), GemmError> {
    gemm_on(Isa::detect(), a.into(), b.into(), c, options)
}

/// [`gemm`] with a given instruction set.
pub(super) fn gemm_on(
    isa: Isa,
    a: Source<'_>,
    b: Source<'_>,
    c: MatMut<'_>,
    options: &GemmOptions<'_>,
) -> Result<(), GemmError> {
    check(isa, a, b, &c, options)?;
    let items: usize = options.batch.iter().map(|dim| dim.count).product();
    if c.rows == 0 || c.cols == 0 || items == 0 {
        return Ok(());
    }
    let out = Output::new(c);
    with_call_buffers(|call| {
        let bias = WideBias::new(options.bias, &mut call.extra, isa);
        let job = Job {
            isa,
            a,
            b,
            out,
            bias,
            batch: options.batch,
            items,
            accumulate: options.accumulate,
            turned: false,
        };
        if options.arithmetic == Arithmetic::Fixed {
            return fixed::run(&job);
        }
        match (job.a, job.b) {
            (Source::Matrix(a), Source::Matrix(b)) if a.rows == 1 || b.cols == 1 => {
                gemv::run(&job, a, b, &mut call.a);
            }
            _ => job.oriented().run(&mut call.a, &mut call.b),
        }
    });
    Ok(())
}

/// Checks everything that the unsafe code relies on.
fn check(
    isa: Isa,
    a: Source<'_>,
    b: Source<'_>,
    c: &MatMut<'_>,
    options: &GemmOptions<'_>,
) -> Result<(), GemmError> {
    let ([m, k], [n, k_of_b]) = (a.lines_and_depth(Side::A), b.lines_and_depth(Side::B));
    if k != k_of_b {
        return Err(GemmError::Shape { what: "B", found: (k_of_b, n), expected: (k, n) });
    }
    if (c.rows, c.cols) != (m, n) {
        return Err(GemmError::Shape { what: "C", found: (c.rows, c.cols), expected: (m, n) });
    }
    for (source, side, stride_of) in
        [(a, Side::A, (|dim| dim.a) as fn(&BatchDim) -> usize), (b, Side::B, |dim| dim.b)]
    {
        match source {
            Source::Matrix(matrix) => {
                let own = [(matrix.rows, matrix.row_stride), (matrix.cols, matrix.col_stride)];
                let batch = options.batch.iter().map(|dim| (dim.count, stride_of(dim)));
                let what = if side == Side::A { "operand A" } else { "operand B" };
                check_bounds(what, matrix.data.len(), own.into_iter().chain(batch))?;
            }
            Source::Packed(packed) => packed.check(side, isa)?,
            Source::Custom(_) => {}
        }
    }
    if options.batch.iter().try_fold(1usize, |items, dim| items.checked_mul(dim.count)).is_none() {
        return Err(GemmError::OutOfBounds { what: "the batch", last: usize::MAX, len: usize::MAX });
    }
    let (what, bias, needed) = match options.bias {
        Bias::None => return c.check(options.batch),
        Bias::PerRow(bias) => ("the bias per row", bias, m),
        Bias::PerColumn(bias) => ("the bias per column", bias, n),
    };
    check_bounds(what, bias.len(), [(needed, 1)])?;
    c.check(options.batch)
}

/// A bias as fp32.
#[derive(Clone, Copy)]
pub(super) enum WideBias<'a> {
    None,
    PerRow(&'a [f32]),
    PerColumn(&'a [f32]),
}

impl<'a> WideBias<'a> {
    /// Widens an fp16 bias into `room`, which has its length.
    fn new(bias: Bias<'a>, room: &'a mut Buffer, isa: Isa) -> Self {
        match bias {
            Bias::None => Self::None,
            Bias::PerRow(bias) => Self::PerRow(widened(bias, room, isa)),
            Bias::PerColumn(bias) => Self::PerColumn(widened(bias, room, isa)),
        }
    }

    pub(super) fn transposed(self) -> Self {
        match self {
            Self::None => Self::None,
            Self::PerRow(bias) => Self::PerColumn(bias),
            Self::PerColumn(bias) => Self::PerRow(bias),
        }
    }
}

/// The elements as fp32: themselves, or widened into `room`.
fn widened<'a>(data: Operand<'a>, room: &'a mut Buffer, isa: Isa) -> &'a [f32] {
    match data {
        Operand::F32(data) => data,
        Operand::F16(data) => {
            let wide = room.floats(data.len());
            isa.widen(data, wide);
            wide
        }
    }
}

/// A checked product.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) isa: Isa,
    pub(super) a: Source<'a>,
    pub(super) b: Source<'a>,
    pub(super) out: Output,
    pub(super) bias: WideBias<'a>,
    pub(super) batch: &'a [BatchDim],
    pub(super) items: usize,
    pub(super) accumulate: bool,
    /// Whether `A` and `B` have changed places.
    pub(super) turned: bool,
}

impl Job<'_> {
    /// Turned so that the output has neighbouring columns, if it has neighbouring rows: `Cᵀ = Bᵀ Aᵀ`.
    fn oriented(self) -> Self {
        let packed = matches!((self.a, self.b), (Source::Packed(_), _) | (_, Source::Packed(_)));
        if packed || self.out.col_stride == 1 || self.out.row_stride != 1 {
            return self;
        }
        self.turned()
    }

    /// `Cᵀ = Bᵀ Aᵀ`. Neither operand may be packed.
    pub(super) fn turned(self) -> Self {
        Self {
            a: self.b.transposed(),
            b: self.a.transposed(),
            out: self.out.transposed(),
            bias: self.bias.transposed(),
            turned: !self.turned,
            ..self
        }
    }

    /// Item `index`: how far its operands and its output lie from the first ones.
    pub(super) fn item(&self, index: usize) -> Item {
        let mut item = Item { index, a: 0, b: 0, c: 0 };
        let mut rest = index;
        for dim in self.batch.iter().rev() {
            let i = rest % dim.count;
            rest /= dim.count;
            let [a, b] = if self.turned { [dim.b, dim.a] } else { [dim.a, dim.b] };
            // Checked to lie within the operands, but for one without elements, of which nothing is read.
            item.a = item.a.wrapping_add(i.wrapping_mul(a));
            item.b = item.b.wrapping_add(i.wrapping_mul(b));
            item.c += i * dim.c;
        }
        item
    }

    /// Runs the product as planned. The buffers hold the operands that tasks share.
    fn run(&self, room_a: &mut Buffer, room_b: &mut Buffer) {
        let [_, depth] = self.a.lines_and_depth(Side::A);
        let plan = plan(&Problem {
            sides: self.out.sides,
            depth,
            items: self.items,
            threads: rayon::current_num_threads(),
            widths: [Side::A.width(self.isa), Side::B.width(self.isa)],
            ready: [self.a.is_packed(), self.b.is_packed()],
            beside: self.out.direct().is_none(),
        });
        let whole = Chunk { rows: 0..self.out.sides[0], cols: 0..self.out.sides[1], k: 0..depth };
        if plan.over_items {
            let blocks = whole.blocks(plan.block);
            let work = plan.block[0] * plan.block[1] * depth;
            for_each(self.items * blocks, plan.parallel, work, |i| {
                let chunk = whole.block(plan.block, i % blocks);
                let (a, b) = (Panels::of(self.a), Panels::of(self.b));
                Task { job: self, item: self.item(i / blocks), chunk, depth, a, b }.run();
            });
            return;
        }
        for item in (0..self.items).map(|index| self.item(index)) {
            for rows in parts(whole.rows.clone(), plan.chunk[0]) {
                for cols in parts(whole.cols.clone(), plan.chunk[1]) {
                    for k in parts(whole.k.clone(), plan.chunk[2]) {
                        let chunk = Chunk { rows: rows.clone(), cols: cols.clone(), k };
                        self.run_chunk(&plan, item, &chunk, depth, [room_a, room_b]);
                    }
                }
            }
        }
    }

    /// Packs the shared parts of a chunk, then runs its tasks.
    fn run_chunk(&self, plan: &Plan, item: Item, chunk: &Chunk, depth: usize, rooms: [&mut Buffer; 2]) {
        let [room_a, room_b] = rooms;
        let panels = |side: Side, source, lines: &Range<usize>, room| {
            let block = Block { source, side, isa: self.isa, item, lines: lines.clone(), k: chunk.k.clone() };
            if plan.share[side.index()] {
                Panels::shared(&block, plan.parallel, room)
            } else {
                Panels::of(source)
            }
        };
        let a = panels(Side::A, self.a, &chunk.rows, room_a);
        let b = panels(Side::B, self.b, &chunk.cols, room_b);
        let work = plan.block[0] * plan.block[1] * chunk.k.len();
        for_each(chunk.blocks(plan.block), plan.parallel, work, |i| {
            Task { job: self, item, chunk: chunk.block(plan.block, i), depth, a, b }.run();
        });
    }
}

/// A batch item: its index, and the offsets of its operands and its output.
#[derive(Clone, Copy, Default)]
pub(super) struct Item {
    pub(super) index: usize,
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) c: usize,
}

/// A part of a product.
#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) rows: Range<usize>,
    pub(super) cols: Range<usize>,
    pub(super) k: Range<usize>,
}

impl Chunk {
    /// How many blocks of the given sides there are.
    fn blocks(&self, [rows, cols]: [usize; 2]) -> usize {
        self.rows.len().div_ceil(rows) * self.cols.len().div_ceil(cols)
    }

    /// The block of the given index, row by row.
    fn block(&self, [rows, cols]: [usize; 2], index: usize) -> Self {
        let across = self.cols.len().div_ceil(cols);
        let (row, col) = (self.rows.start + index / across * rows, self.cols.start + index % across * cols);
        Self {
            rows: row..self.rows.end.min(row + rows),
            cols: col..self.cols.end.min(col + cols),
            k: self.k.clone(),
        }
    }
}

/// The range in parts of `step`; an empty range is one empty part, because a product over no `k` is zero, not
/// nothing.
pub(super) fn parts(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    let step = step.max(1);
    (0..range.len().div_ceil(step).max(1)).map(move |i| {
        let start = range.start + i * step;
        start..range.end.min(start + step)
    })
}

/// Handing a task to another thread is worth it from this many multiply-adds on.
const SPLIT_MIN: usize = 1 << 15;

/// Runs `task`, of `work` multiply-adds, for `0..count`.
pub(super) fn for_each(count: usize, parallel: bool, work: usize, task: impl Fn(usize) + Sync + Send) {
    if parallel && count > 1 {
        let together = (SPLIT_MIN / work.max(1)).max(1);
        (0..count).into_par_iter().with_min_len(together).with_max_len(together).for_each(task);
    } else {
        (0..count).for_each(task);
    }
}
