//! Runs a fixed-point product: cut into blocks of the output, each by one thread over the whole of `k`. Sums are exact, so
//! no cutting can change a result.
#![expect(unsafe_code, reason = "tasks write disjoint parts of one output through pointers")]

use std::cell::Cell;
use std::ops::Range;

use super::prepare;
use super::tile::FixedTile;
use crate::gemm::K_BLOCK;
use crate::gemm::buffer::Buffer;
use crate::gemm::drive::{Item, Job, WideBias, for_each, parts};
use crate::gemm::error::GemmError;
use crate::gemm::isa::Isa;
use crate::gemm::matrix::{MatMut, Operand, OperandMut, Source};
use crate::gemm::output::Output;
use crate::gemm::packed::{Panels, Side};
use crate::numerics::rounding;

/// Lines of `A` of a block at most: with those of `B` they fill a part of the second-level cache.
const MOST_ROWS: usize = 224;
/// Lines of `B` of a block at most.
const MOST_COLS: usize = 512;
/// Products below this many multiply-adds run on the calling thread.
const PARALLEL_MIN: usize = 1 << 18;
/// Tasks per thread.
const TASKS: usize = 4;

/// Where sums go.
#[derive(Clone, Copy)]
enum Sink {
    /// Rounded into the output.
    Rounded,
    /// As they are, `[M, N]`.
    Sums(Sums),
}

/// Sums of all tasks.
#[derive(Clone, Copy)]
struct Sums(*mut i64);

// SAFETY: the pointer comes from a mutable borrow that outlives the call, and tasks write disjoint elements.
unsafe impl Send for Sums {}
// SAFETY: as above.
unsafe impl Sync for Sums {}

/// Working memory of a task.
#[derive(Default)]
struct Room {
    packed: Buffer,
    factors: Buffer,
    lanes: Buffer,
    sums: Buffer,
    row: Buffer,
}

thread_local! {
    static ROOM: Cell<Room> = Cell::default();
}

/// Runs a checked product.
pub(in crate::gemm) fn run(job: &Job<'_>) {
    run_into(job, Sink::Rounded);
}

/// The sums of one product, `[M, N]` in units of the quantum, neither rounded nor judged.
pub(crate) fn sums(a: Source<'_>, b: Source<'_>, out: &mut [i64]) -> Result<(), GemmError> {
    let ([m, k], [n, k_of_b]) = (a.lines_and_depth(Side::A), b.lines_and_depth(Side::B));
    if k != k_of_b {
        return Err(GemmError::Shape { what: "B", found: (k_of_b, n), expected: (k, n) });
    }
    if m.checked_mul(n).is_none_or(|count| count > out.len()) {
        return Err(GemmError::OutOfBounds { what: "the sums", last: m.saturating_mul(n), len: out.len() });
    }
    let isa = Isa::detect();
    for (source, side) in [(a, Side::A), (b, Side::B)] {
        if let Source::Packed(packed) = source {
            packed.check(side, isa)?;
        }
    }
    if m == 0 || n == 0 {
        return Ok(());
    }
    // Only its sides are used.
    let nothing = MatMut { data: OperandMut::F32(&mut []), rows: m, cols: n, row_stride: n, col_stride: 1 };
    let job = Job {
        isa,
        a,
        b,
        out: Output::new(nothing),
        bias: WideBias::None,
        batch: &[],
        items: 1,
        accumulate: false,
        turned: false,
    };
    run_into(&job, Sink::Sums(Sums(out.as_mut_ptr())));
    Ok(())
}

fn run_into(job: &Job<'_>, sink: Sink) {
    let packed = job.a.is_packed() || job.b.is_packed();
    // Lanes run along the columns: a column of output is turned into a row.
    let turned = !packed
        && matches!(sink, Sink::Rounded)
        && job.out.sides[1] < job.isa.lanes()
        && job.out.sides[0] > job.out.sides[1];
    let job = if turned { job.turned() } else { *job };
    let [m, n] = job.out.sides;
    let [_, depth] = job.a.lines_and_depth(Side::A);
    let work = m.saturating_mul(n).saturating_mul(depth.max(1));
    let threads = rayon::current_num_threads();
    let parallel = threads > 1 && work.saturating_mul(job.items) >= PARALLEL_MIN;
    let tasks = if parallel { (TASKS * threads).div_ceil(job.items) } else { 1 };
    let block = block([m, n], job.isa.tile_sides(), tasks);
    let across = n.div_ceil(block[1]);
    let blocks = m.div_ceil(block[0]) * across;
    for_each(job.items * blocks, parallel, work / blocks, |index| {
        let (item, at) = (job.item(index / blocks), index % blocks);
        let (row, col) = (at / across * block[0], at % across * block[1]);
        let task = Task {
            job: &job,
            item,
            rows: row..m.min(row + block[0]),
            cols: col..n.min(col + block[1]),
            depth,
            sink,
        };
        ROOM.with(|cell| {
            let mut room = cell.take();
            task.run(&mut room);
            cell.set(room);
        });
    });
}

/// The sides of a block, whole panels, small enough to make `tasks` of them where there is as much.
fn block(sides: [usize; 2], widths: [usize; 2], tasks: usize) -> [usize; 2] {
    let limits = [MOST_ROWS, MOST_COLS];
    let mut block: [usize; 2] = std::array::from_fn(|side| {
        let most = (limits[side] / widths[side]).max(1) * widths[side];
        sides[side].next_multiple_of(widths[side]).min(most)
    });
    let count = |block: [usize; 2]| sides[0].div_ceil(block[0]) * sides[1].div_ceil(block[1]);
    // The side with more panels is halved, so that blocks stay near squares.
    while count(block) < tasks {
        let panels = [block[0] / widths[0], block[1] / widths[1]];
        let side = usize::from(panels[1] > panels[0] / 2 && panels[1] > 1);
        if panels[side] <= 1 {
            break;
        }
        block[side] = panels[side].div_ceil(2) * widths[side];
    }
    block
}

/// A block of the output.
struct Task<'a> {
    job: &'a Job<'a>,
    item: Item,
    rows: Range<usize>,
    cols: Range<usize>,
    depth: usize,
    sink: Sink,
}

impl Task<'_> {
    fn run(&self, room: &mut Room) {
        let [mr, nr] = self.job.isa.tile_sides();
        let stride = self.cols.len().next_multiple_of(nr);
        let Room { packed, factors, lanes, sums, row } = room;
        let height = self.rows.len().next_multiple_of(mr);
        let sums: &mut [i64] = bytemuck::cast_slice_mut(sums.floats(2 * stride * height));
        self.start(sums, stride, row);
        for k in parts(0..self.depth, K_BLOCK).filter(|k| !k.is_empty()) {
            let lanes = lanes.floats(stride * k.len());
            lanes.copy_from_slice(&self.panels(Side::B, &self.cols, &k, packed)[..stride * k.len()]);
            clear_rest(lanes, nr, k.len(), self.cols.len());
            let largest = prepare::lanes(lanes, !is_half(self.job.b));
            let panels = &self.panels(Side::A, &self.rows, &k, packed)[..height * k.len()];
            let factors = factors.floats(3 * mr * k.len());
            for (at, panel) in panels.chunks_exact(mr * k.len()).enumerate() {
                let rows = mr.min(self.rows.len() - at * mr);
                let largest_a = prepare::factors(panel, !is_half(self.job.a), mr, rows, factors);
                let within = prepare::sums(largest_a, largest, k.len());
                self.tiles((factors, lanes), rows, within, &mut sums[at * mr * stride..], stride);
            }
        }
        self.finish(sums, stride, row);
    }

    fn panels<'r>(
        &'r self,
        side: Side,
        lines: &Range<usize>,
        k: &Range<usize>,
        room: &'r mut Buffer,
    ) -> &'r [f32] {
        let source = if side == Side::A { self.job.a } else { self.job.b };
        Panels::of(source).block((side, self.job.isa, self.item), lines, k, room)
    }

    /// The products of a panel of `A` with all panels of `B`.
    fn tiles(
        &self,
        (factors, lanes): (&[f32], &[f32]),
        rows: usize,
        within: prepare::Sums,
        sums: &mut [i64],
        stride: usize,
    ) {
        let isa = self.job.isa;
        let [mr, nr] = isa.tile_sides();
        let depth = factors.len() / (3 * mr);
        assert!(sums.len() >= rows * stride, "sums of whole rows");
        for (panel, b) in lanes.chunks_exact(nr * depth).enumerate() {
            let tile = FixedTile {
                a: factors.as_ptr(),
                b: b.as_ptr(),
                depth,
                rows,
                vectors: nr.min(self.cols.len() - panel * nr).div_ceil(isa.lanes()),
                sums: sums.as_mut_ptr().wrapping_add(panel * nr),
                stride,
                within,
            };
            // SAFETY: the panels are prepared for this instruction set; sums lie within `rows` rows of whole panels.
            unsafe { isa.fixed_tile(&tile) };
        }
    }

    /// Sums begin with the bias and, where products are added to it, with what the output holds.
    fn start(&self, sums: &mut [i64], stride: usize, room: &mut Buffer) {
        sums.fill(0);
        let add = |sums: &mut [i64], values: &[f32]| {
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum += rounding::quanta(value);
            }
        };
        for (sums, row) in sums.chunks_exact_mut(stride).zip(self.rows.clone()) {
            let sums = &mut sums[..self.cols.len()];
            match self.job.bias {
                WideBias::None => {}
                WideBias::PerRow(bias) => sums.iter_mut().for_each(|sum| *sum = rounding::quanta(bias[row])),
                WideBias::PerColumn(bias) => add(sums, &bias[self.cols.clone()]),
            }
            if self.job.accumulate {
                let old = room.floats(sums.len());
                // SAFETY: these elements lie within C, which was checked, and belong to this task.
                unsafe { self.output(row).load_row(self.job.isa, old) };
                add(sums, old);
            }
        }
    }

    /// Writes the block.
    fn finish(&self, sums: &[i64], stride: usize, room: &mut Buffer) {
        let [_, n] = self.job.out.sides;
        for (sums, row) in sums.chunks_exact(stride).zip(self.rows.clone()) {
            let sums = &sums[..self.cols.len()];
            match self.sink {
                Sink::Rounded => {
                    let rounded = room.floats(sums.len());
                    rounding::finish(sums, rounded);
                    // SAFETY: these elements lie within C, which was checked, and belong to this task.
                    unsafe { self.output(row).store_row(self.job.isa, rounded) };
                }
                Sink::Sums(Sums(to)) => {
                    let to = to.wrapping_add(row * n + self.cols.start);
                    // SAFETY: within the `M * N` sums that were checked to be there; no other task writes them.
                    unsafe { std::slice::from_raw_parts_mut(to, sums.len()) }.copy_from_slice(sums);
                }
            }
        }
    }

    /// The output from this block's first column of a row on.
    fn output(&self, row: usize) -> Output {
        let out = self.job.out;
        out.at(self.item.c + row * out.row_stride + self.cols.start * out.col_stride)
    }
}

/// Clears the lines of the last panel that are not there: what they hold must not count as an operand's size.
fn clear_rest(panels: &mut [f32], width: usize, depth: usize, lines: usize) {
    let count = lines % width;
    if count > 0 {
        let last = panels.len() - width * depth;
        panels[last..].chunks_exact_mut(width).for_each(|row| row[count..].fill(0.0));
    }
}

/// Whether the elements of an operand are `fp16` numbers already.
fn is_half(source: Source<'_>) -> bool {
    matches!(source, Source::Matrix(matrix) if matches!(matrix.data, Operand::F16(_)))
}
