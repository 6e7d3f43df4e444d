//! One task: a block of `C` over a stretch of `k`, by one thread.
#![expect(
    unsafe_code,
    reason = "passes pointers into packed panels and into its part of the output to the kernel"
)]

use std::ops::Range;

use super::K_BLOCK;
use super::buffer::{Buffer, with_task_buffers};
use super::drive::{Chunk, Item, Job, WideBias, parts};
use super::isa::Isa;
use super::matrix::{MatRef, Operand, Source};
use super::pack::Lines;
use super::packed::{Panels, Side};
use super::tile::Tile;

/// Up to how many panels of `B` the rows of `A` are not worth packing for.
const DIRECT_PANELS: usize = 3;
/// Rows this many floats apart (or a multiple) compete for the same few places of the L1 cache; they are
/// packed.
const ALIASING_STRIDE: usize = 512;

/// The most floats of a tile of any instruction set.
const MAX_TILE: usize = 14 * 32;

/// A block of the output and what it is made of. No two tasks that run at the same time have a common element
/// of `C`.
pub(super) struct Task<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) item: Item,
    pub(super) chunk: Chunk,
    /// The whole of `K`, of which the chunk may be a part.
    pub(super) depth: usize,
    pub(super) a: Panels<'a>,
    pub(super) b: Panels<'a>,
}

/// Where sums go: rows of floats, `stride` apart. Rows may be written beyond the block's columns if they are
/// `padded`.
#[derive(Clone, Copy)]
struct Sums {
    data: *mut f32,
    stride: usize,
    padded: bool,
}

impl Task<'_> {
    /// Computes the block.
    pub(super) fn run(&self) {
        let (job, chunk) = (self.job, &self.chunk);
        let out = job.out;
        let out = out.at(self.item.c + chunk.rows.start * out.row_stride + chunk.cols.start * out.col_stride);
        with_task_buffers(|buffers| {
            if let Some(data) = out.direct() {
                let sums = Sums { data, stride: out.row_stride, padded: false };
                // SAFETY: the block lies within C, whose bounds were checked, and no other task touches it.
                return unsafe { self.sum(sums, &mut buffers.a, &mut buffers.b) };
            }
            let (rows, cols) = (chunk.rows.len(), chunk.cols.len());
            let stride = cols.next_multiple_of(Side::B.width(job.isa));
            let tile = buffers.sums.floats(rows * stride);
            // SAFETY: the rows lie within C and no other task touches them; the tile has room for whole
            // panels.
            unsafe {
                if job.accumulate {
                    for (r, row) in tile.chunks_exact_mut(stride).enumerate() {
                        out.at(r * out.row_stride).load_row(job.isa, &mut row[..cols]);
                    }
                }
                self.sum(
                    Sums { data: tile.as_mut_ptr(), stride, padded: true },
                    &mut buffers.a,
                    &mut buffers.b,
                );
                for (r, row) in tile.chunks_exact(stride).enumerate() {
                    out.at(r * out.row_stride).store_row(job.isa, &row[..cols]);
                }
            }
        });
    }

    /// Adds up the blocks of `k`, and the bias after the last one.
    ///
    /// # Safety
    /// `sums` has a row for each row of the block, with all its columns (or whole panels if padded), for this
    /// task alone.
    unsafe fn sum(&self, sums: Sums, room_a: &mut Buffer, room_b: &mut Buffer) {
        let (job, chunk) = (self.job, &self.chunk);
        for k in parts(chunk.k.clone(), K_BLOCK) {
            let b = self.b.block((Side::B, job.isa, self.item), &chunk.cols, &k, room_b);
            if let Some(a) = self.direct_rows(&k) {
                // SAFETY: the caller's promise.
                unsafe { self.add_rows(Rows::Strided(a), b, &chunk.rows, &k, sums) };
                continue;
            }
            // Lines that are neighbours are read in order only if they are packed together.
            let step = if self.a.is_packed_by_panel() { job.isa.tile_sides()[0] } else { chunk.rows.len() };
            for rows in parts(chunk.rows.clone(), step) {
                let a = self.a.block((Side::A, job.isa, self.item), &rows, &k, room_a);
                // SAFETY: the caller's promise.
                unsafe { self.add_rows(Rows::Panels(a), b, &rows, &k, sums) };
            }
        }
    }

    /// The rows of `A`, if reading them where they lie is faster than packing them: when few columns share
    /// the packing.
    fn direct_rows(&self, k: &Range<usize>) -> Option<Lines<'_, f32>> {
        let Panels::Local(Source::Matrix(MatRef {
            data: Operand::F32(data), row_stride, col_stride: 1, ..
        })) = self.a
        else {
            return None;
        };
        let few = self.chunk.cols.len() <= DIRECT_PANELS * Side::B.width(self.job.isa);
        let spread = !row_stride.is_multiple_of(ALIASING_STRIDE);
        (few && spread)
            .then(|| Lines::new(data, self.item.a, [row_stride, 1], self.chunk.rows.clone(), k.clone()))
    }

    /// Adds one block of `k` to some rows, tile by tile: a panel of `A` stays in the L1 cache while the
    /// panels of `B` pass by.
    ///
    /// # Safety
    /// As [`Self::sum`].
    unsafe fn add_rows(&self, a: Rows<'_>, b: &[f32], rows: &Range<usize>, k: &Range<usize>, sums: Sums) {
        let [mr, nr] = self.job.isa.tile_sides();
        let (depth, cols) = (k.len(), self.chunk.cols.len());
        for row in (0..rows.len()).step_by(mr) {
            for col in (0..cols).step_by(nr) {
                let sides = [mr.min(rows.len() - row), nr.min(cols - col)];
                let (a, a_stride) = match a {
                    Rows::Panels(panels) => (panels[row * depth..][..mr * depth].as_ptr(), None),
                    Rows::Strided(lines) => (lines.start(row), Some(lines.line_stride())),
                };
                let panels = Operands {
                    a,
                    a_stride,
                    b: &b[col * depth..][..nr * depth],
                    depth,
                    accumulate: self.job.accumulate || k.start > 0,
                };
                let row = rows.start - self.chunk.rows.start + row;
                // SAFETY: the tile lies within the block.
                unsafe {
                    let at = Sums { data: sums.data.add(row * sums.stride + col), ..sums };
                    add_tile(self.job.isa, &panels, sides, at);
                    if k.end == self.depth {
                        self.add_bias([row, col], sides, at);
                    }
                }
            }
        }
    }

    /// Adds the bias to a finished tile.
    ///
    /// # Safety
    /// `at` has `sides` writable floats.
    #[inline]
    unsafe fn add_bias(&self, [row, col]: [usize; 2], [rows, cols]: [usize; 2], at: Sums) {
        let (row, col) = (self.chunk.rows.start + row, self.chunk.cols.start + col);
        for r in 0..rows {
            // SAFETY: the caller's promise.
            let sums = unsafe { std::slice::from_raw_parts_mut(at.data.add(r * at.stride), cols) };
            match self.job.bias {
                WideBias::None => return,
                WideBias::PerRow(bias) => sums.iter_mut().for_each(|sum| *sum += bias[row + r]),
                WideBias::PerColumn(bias) => sums.iter_mut().zip(&bias[col..]).for_each(|(sum, b)| *sum += b),
            }
        }
    }
}

/// The rows of `A` over one block of `k`.
#[derive(Clone, Copy)]
enum Rows<'a> {
    Panels(&'a [f32]),
    Strided(Lines<'a, f32>),
}

/// What one tile is made of: `a` as in [`Tile`], and a panel of exactly `nr * depth` floats.
struct Operands<'a> {
    a: *const f32,
    a_stride: Option<usize>,
    b: &'a [f32],
    depth: usize,
    accumulate: bool,
}

/// Adds one tile; one that ends within a vector is made beside the output first.
///
/// # Safety
/// `panels.a` is as in [`Tile`]; `at` has `rows` rows of `cols` writable floats, or of whole vectors if
/// padded, for this thread alone.
#[inline]
unsafe fn add_tile(isa: Isa, panels: &Operands<'_>, [rows, cols]: [usize; 2], at: Sums) {
    let nr = Side::B.width(isa);
    let mut tile = Tile {
        a: panels.a,
        a_stride: panels.a_stride,
        b: panels.b.as_ptr(),
        c: at.data,
        c_stride: at.stride,
        depth: panels.depth,
        rows,
        vectors: cols.div_ceil(isa.lanes()),
        nr,
        accumulate: panels.accumulate,
    };
    if at.padded || cols.is_multiple_of(isa.lanes()) {
        // SAFETY: the panels have the lengths that the kernel reads; the output is the caller's promise.
        return unsafe { isa.tile(&tile) };
    }
    let mut beside = [0.0f32; MAX_TILE];
    (tile.c, tile.c_stride, tile.accumulate) = (beside.as_mut_ptr(), nr, false);
    // SAFETY: as above, into an array that holds any tile.
    unsafe { isa.tile(&tile) };
    for (r, sums) in beside.chunks_exact(nr).take(rows).enumerate() {
        // SAFETY: the caller's promise.
        let out = unsafe { std::slice::from_raw_parts_mut(at.data.add(r * at.stride), cols) };
        for (out, &sum) in out.iter_mut().zip(sums) {
            *out = if panels.accumulate { *out + sum } else { sum };
        }
    }
}
