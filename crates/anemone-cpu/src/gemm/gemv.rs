//! Products with a vector: each line of a matrix times one vector. Bound by reading the matrix, so it is read
//! once, in order, straight from where it lies; the order of accumulation is that of the tile kernel.
#![expect(unsafe_code, reason = "vector loads through pointers")]

use super::K_BLOCK;
use super::buffer::Buffer;
use super::drive::{Item, Job, WideBias, for_each, parts};
use super::matrix::{MatRef, Operand};
use super::pack::{Lines, MAX_LANES};
use super::simd::{Element, Simd};

/// Products below this many multiply-adds run on the calling thread. Lower than for matrices: they wait for
/// memory.
const PARALLEL_MIN: usize = 1 << 17;
/// Lines per task, a whole number of stripes for every instruction set.
const LINES_PER_TASK: usize = 2 * 192;

/// Runs a checked product whose output is a row or a column.
pub(super) fn run(job: &Job<'_>, a: MatRef<'_>, b: MatRef<'_>, room: &mut Buffer) {
    // As lines times a vector, and a row of output: a column is turned into one.
    let row = a.rows == 1;
    let (matrix, vector) = if row { (b.transposed(), a) } else { (a, b.transposed()) };
    let (out, bias) = if row { (job.out, job.bias) } else { (job.out.transposed(), job.bias.transposed()) };
    let (lines, depth) = (matrix.rows, matrix.cols);
    let offsets = |item: Item| if row { (item.b, item.a) } else { (item.a, item.b) };
    let tasks = lines.div_ceil(LINES_PER_TASK);
    let work = lines.saturating_mul(depth);
    let parallel = work.saturating_mul(job.items) >= PARALLEL_MIN;
    let vectors = gather(job, vector, |index| offsets(job.item(index)).1, room);
    for_each(job.items * tasks, parallel, work / tasks, |i| {
        let (index, start) = (i / tasks, i % tasks * LINES_PER_TASK);
        let item = job.item(index);
        let (offset, x_offset) = offsets(item);
        let end = lines.min(start + LINES_PER_TASK);
        let mut sums = [0.0; LINES_PER_TASK];
        let sums = &mut sums[..end - start];
        let out = out.at(item.c + start * out.col_stride);
        if job.accumulate {
            // SAFETY: these lines' outputs lie within C, which was checked, and belong to this task.
            unsafe { out.load_row(job.isa, sums) };
        }
        let x = vectors.get(if vectors.in_place { x_offset } else { index * depth }, depth);
        for k in parts(0..depth, K_BLOCK) {
            let add = job.accumulate || k.start > 0;
            let strides = [matrix.row_stride, matrix.col_stride];
            match matrix.data {
                Operand::F32(data) => {
                    let block = Lines::new(data, offset, strides, start..end, k.clone());
                    job.isa.sum_lines(&block, &x[k], sums, add);
                }
                Operand::F16(data) => {
                    let block = Lines::new(data, offset, strides, start..end, k.clone());
                    job.isa.sum_lines(&block, &x[k], sums, add);
                }
            }
        }
        match bias {
            WideBias::None => {}
            WideBias::PerRow(bias) => sums.iter_mut().for_each(|sum| *sum += bias[0]),
            WideBias::PerColumn(bias) => sums.iter_mut().zip(&bias[start..]).for_each(|(sum, b)| *sum += b),
        }
        // SAFETY: as above.
        unsafe { out.store_row(job.isa, sums) };
    });
}

/// The elements of a vector as fp32 without gaps: where they lie, or gathered for all items into `room`.
fn gather<'a>(
    job: &Job<'_>,
    vector: MatRef<'a>,
    offset: impl Fn(usize) -> usize,
    room: &'a mut Buffer,
) -> Vectors<'a> {
    let depth = vector.cols;
    if let (Operand::F32(data), 1) = (vector.data, vector.col_stride) {
        return Vectors { data, in_place: true };
    }
    let gathered = room.floats(job.items * depth);
    for (index, x) in gathered.chunks_exact_mut(depth.max(1)).enumerate() {
        let strides = [vector.row_stride, vector.col_stride];
        match vector.data {
            Operand::F32(data) => Lines::new(data, offset(index), strides, 0..1, 0..depth).copy_first(x),
            Operand::F16(data) if strides[1] == 1 => job.isa.widen(&data[offset(index)..], x),
            Operand::F16(data) => Lines::new(data, offset(index), strides, 0..1, 0..depth).copy_first(x),
        }
    }
    Vectors { data: gathered, in_place: false }
}

/// The vectors of all items: each at its offset in the operand, or one after the other.
struct Vectors<'a> {
    data: &'a [f32],
    in_place: bool,
}

impl Vectors<'_> {
    /// The vector that begins at `offset`. An empty one need not lie anywhere.
    fn get(&self, offset: usize, depth: usize) -> &[f32] {
        if depth == 0 { &[] } else { &self.data[offset..][..depth] }
    }
}

/// `sums[j] = line j · x` over one block of `k`, or `+=` if the flag is set. The CPU must have the table's
/// features.
pub(super) type LinesFn<T> = unsafe fn(&Lines<'_, T>, &[f32], &mut [f32], bool);

/// Vectors of sums kept at once when the lines are neighbours: long runs of each row of memory, and enough
/// independent chains to hide the latency of the multiply-add.
const STRIPE: usize = 12;

/// How far ahead to fetch along a line, in elements.
const AHEAD: usize = 64;

/// Multiplies lines with a vector.
///
/// # Safety
/// The CPU has the instruction set of `V`.
///
/// # Panics
/// If `x` is shorter than the lines or `sums` has fewer elements than there are lines.
#[inline(always)]
pub(super) unsafe fn sum_lines<V: Simd, T: Element>(
    lines: &Lines<'_, T>,
    x: &[f32],
    sums: &mut [f32],
    add: bool,
) {
    assert!(lines.depth <= x.len() && lines.lines <= sums.len(), "the vectors fit the matrix");
    let sums = &mut sums[..lines.lines];
    if lines.depth == 0 {
        if !add {
            sums.fill(0.0);
        }
    } else if lines.along_k() {
        for first in (0..lines.lines).step_by(2 * V::LANES) {
            // SAFETY: the caller's promise; `lines` checked its own bounds.
            unsafe { sum_transposed::<V, T>(lines, first, x, sums, add) }
        }
    } else if lines.across_k() {
        // SAFETY: the caller's promise; each call keeps within `lines.lines`.
        unsafe {
            let mut first = 0;
            while first + STRIPE * V::LANES <= lines.lines {
                sum_stripe::<V, T, STRIPE>(lines, first, x, sums, add);
                first += STRIPE * V::LANES;
            }
            while first + 4 * V::LANES <= lines.lines {
                sum_stripe::<V, T, 4>(lines, first, x, sums, add);
                first += 4 * V::LANES;
            }
            while first + V::LANES <= lines.lines {
                sum_stripe::<V, T, 1>(lines, first, x, sums, add);
                first += V::LANES;
            }
            sum_one_by_one(lines, first, x, sums, add);
        }
    } else {
        sum_one_by_one(lines, 0, x, sums, add);
    }
}

/// Twice `LANES` lines whose elements are neighbours: each lane carries the chain of one line. Two groups, because the
/// chain of one waits on itself.
///
/// # Safety
/// The CPU has the instruction set of `V`; `lines.along_k()`, `first < lines.lines`.
#[inline(always)]
unsafe fn sum_transposed<V: Simd, T: Element>(
    lines: &Lines<'_, T>,
    first: usize,
    x: &[f32],
    sums: &mut [f32],
    add: bool,
) {
    let whole = lines.depth - lines.depth % V::LANES;
    let mut lanes = [0.0; 2 * MAX_LANES];
    // SAFETY: blocks end at `whole <= depth`; the array holds two vectors of any instruction set.
    unsafe {
        let (mut low, mut high) = (V::splat(0.0), V::splat(0.0));
        for k in (0..whole).step_by(V::LANES) {
            low = add_square(lines, first, k, x, low);
            high = add_square(lines, first + V::LANES, k, x, high);
        }
        low.store(lanes.as_mut_ptr());
        high.store(lanes.as_mut_ptr().add(V::LANES));
    }
    for (j, (sum, &lane)) in sums[first..].iter_mut().zip(&lanes[..2 * V::LANES]).enumerate() {
        let chain = (whole..lines.depth).fold(lane, |s, k| x[k].mul_add(lines.get(first + j, k), s));
        *sum = if add { *sum + chain } else { chain };
    }
}

/// Goes on with the chains of `LANES` lines over `LANES` values of `k`: a square, transposed in registers.
///
/// # Safety
/// The CPU has the instruction set of `V`; `lines.along_k()`, and `k + LANES` is within the lines and `x`.
#[inline(always)]
unsafe fn add_square<V: Simd, T: Element>(
    lines: &Lines<'_, T>,
    first: usize,
    k: usize,
    x: &[f32],
    mut chain: V,
) -> V {
    // SAFETY: lines beyond the last stand for the last; the rest is the caller's promise.
    unsafe {
        let mut block = V::zero_block();
        for (i, row) in block.as_mut().iter_mut().enumerate() {
            let at = lines.start(first + i).wrapping_add(k);
            V::prefetch(at.wrapping_add(AHEAD).cast());
            *row = T::load::<V>(at);
        }
        for (i, &column) in V::transpose(block).as_ref().iter().enumerate() {
            chain = V::splat(*x.get_unchecked(k + i)).mul_add(column, chain);
        }
        chain
    }
}

/// `VECTORS` vectors of neighbouring lines.
///
/// # Safety
/// The CPU has the instruction set of `V`; `lines.across_k()`, `first + VECTORS * LANES <= lines.lines`.
#[inline(always)]
unsafe fn sum_stripe<V: Simd, T: Element, const VECTORS: usize>(
    lines: &Lines<'_, T>,
    first: usize,
    x: &[f32],
    sums: &mut [f32],
    add: bool,
) {
    // SAFETY: the stripe lies within the lines, whose bounds were checked; `x` holds `depth` elements and
    // `sums` one per line.
    unsafe {
        let mut chains = [V::splat(0.0); VECTORS];
        let mut row = lines.start(first);
        for &factor in x.get_unchecked(..lines.depth) {
            let factor = V::splat(factor);
            for (v, chain) in chains.iter_mut().enumerate() {
                let at = row.wrapping_add(v * V::LANES);
                V::prefetch(at.wrapping_add(4 * lines.k_stride()).cast());
                *chain = factor.mul_add(T::load::<V>(at), *chain);
            }
            row = row.wrapping_add(lines.k_stride());
        }
        for (v, &chain) in chains.iter().enumerate() {
            let at = sums.as_mut_ptr().add(first + v * V::LANES);
            if add { V::load(at).add(chain) } else { chain }.store(at);
        }
    }
}

/// The lines from `first` on, one element at a time.
#[inline(always)]
fn sum_one_by_one<T: Element>(lines: &Lines<'_, T>, first: usize, x: &[f32], sums: &mut [f32], add: bool) {
    for (j, sum) in sums.iter_mut().enumerate().skip(first) {
        let chain = (0..lines.depth).fold(0.0, |s: f32, k| x[k].mul_add(lines.get(j, k), s));
        *sum = if add { *sum + chain } else { chain };
    }
}
