//! Packing: operands rearranged into the panels that the tile kernel streams through.
//!
//! Both operands are sets of *lines* that run along `k`: the rows of `A`, the columns of `B`. A panel
//! interleaves `width` lines: `width` values for the first `k`, then `width` for the next. So one routine
//! packs both sides.
#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

use std::ops::Range;

use super::simd::{Element, Simd};

/// An operand that is made while it is packed, so that it never lies in memory as a whole (im2col, for
/// example).
pub trait Pack: Sync {
    /// How many lines there are: rows of `A`, columns of `B`.
    fn lines(&self) -> usize;
    /// The length of a line.
    fn depth(&self) -> usize;
    /// Writes a block of lines as panels of `width`:
    ///
    /// ```text
    /// dst[(p * k.len() + i) * width + j] = element k.start + i of line lines.start + p * width + j
    /// ```
    ///
    /// for every `i` in `0..k.len()` and every line in `lines`; the last panel may be incomplete, and what is
    /// written to its remaining places is never used. `dst` holds exactly `ceil(lines.len() / width)` panels.
    /// `item` is the flat index of the batch item. Called from several threads at once, for different blocks.
    fn pack(&self, item: usize, lines: Range<usize>, k: Range<usize>, width: usize, dst: &mut [f32]);
}

/// Packs the lines into panels of `width`; `dst` holds exactly those panels. The CPU must have the table's
/// features.
pub(super) type PackFn<T> = unsafe fn(&Lines<'_, T>, &mut [f32], usize);

/// A block of strided lines: element `i` of line `j` is `data[j * line_stride + i * k_stride]`.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a, T> {
    data: &'a [T],
    pub(super) lines: usize,
    pub(super) depth: usize,
    line_stride: usize,
    k_stride: usize,
}

impl<'a, T: Element> Lines<'a, T> {
    /// The block of `lines` and `k` out of data that was checked to hold it: once more here, because unsafe
    /// code trusts it. Line 0 begins at `offset`.
    pub(super) fn new(
        data: &'a [T],
        offset: usize,
        [line_stride, k_stride]: [usize; 2],
        lines: Range<usize>,
        k: Range<usize>,
    ) -> Self {
        let (count, depth) = (lines.len(), k.len());
        if count == 0 || depth == 0 {
            return Self { data: &[], lines: count, depth: 0, line_stride, k_stride };
        }
        let data = &data[offset + lines.start * line_stride + k.start * k_stride..];
        assert!(
            (count - 1) * line_stride + (depth - 1) * k_stride < data.len(),
            "lines lie within their data"
        );
        Self { data, lines: count, depth, line_stride, k_stride }
    }

    /// Where line `line` begins; lines beyond the last stand for the last, so that kernels may always read
    /// whole groups.
    #[inline(always)]
    pub(super) fn start(&self, line: usize) -> *const T {
        self.data.as_ptr().wrapping_add(line.min(self.lines - 1) * self.line_stride)
    }

    /// Whether the elements of a line are neighbours.
    #[inline(always)]
    pub(super) fn along_k(&self) -> bool {
        self.k_stride == 1
    }

    /// Whether the lines are neighbours.
    #[inline(always)]
    pub(super) fn across_k(&self) -> bool {
        self.line_stride == 1
    }

    /// The step from one element of a line to the next.
    #[inline(always)]
    pub(super) fn k_stride(&self) -> usize {
        self.k_stride
    }

    /// The step from one line to the next.
    #[inline(always)]
    pub(super) fn line_stride(&self) -> usize {
        self.line_stride
    }

    /// Element `i` of line `line`, which may lie beyond the last as in [`Self::start`].
    #[inline(always)]
    pub(super) fn get(&self, line: usize, i: usize) -> f32 {
        self.data[line.min(self.lines - 1) * self.line_stride + i * self.k_stride].to_f32()
    }

    /// Copies the first line.
    pub(super) fn copy_first(&self, to: &mut [f32]) {
        to.iter_mut().enumerate().take(self.depth).for_each(|(i, x)| *x = self.get(0, i));
    }
}

/// Packs strided lines; see [`Pack::pack`] for the layout.
///
/// # Safety
/// The CPU has the instruction set of `V`; `width` is at most `LANES` or a multiple of it; `dst` holds
/// `ceil(lines / width) * width * depth` floats.
#[inline(always)]
pub(super) unsafe fn pack_lines<V: Simd, T: Element>(lines: &Lines<'_, T>, dst: &mut [f32], width: usize) {
    if lines.lines == 0 || lines.depth == 0 {
        return;
    }
    // SAFETY: the caller's promises.
    unsafe {
        if lines.along_k() {
            for (p, panel) in dst.chunks_exact_mut(width * lines.depth).enumerate() {
                for group in (0..width.min(lines.lines - p * width)).step_by(V::LANES) {
                    pack_transposed::<V, T>(lines, p * width + group, panel, group, width);
                }
            }
        } else if lines.across_k() {
            pack_straight::<V, T>(lines, dst, width);
        } else {
            pack_scattered(lines, dst, width);
        }
    }
}

/// Packs `LANES` lines, from `first` on, whose elements are neighbours: square blocks, transposed in
/// registers.
///
/// # Safety
/// As [`pack_lines`]; `lines.along_k()`; `panel` is one panel and `group + LANES <= width`, unless `group` is
/// 0.
#[inline(always)]
unsafe fn pack_transposed<V: Simd, T: Element>(
    lines: &Lines<'_, T>,
    first: usize,
    panel: &mut [f32],
    group: usize,
    width: usize,
) {
    if lines.depth < V::LANES {
        for (k, row) in panel.chunks_exact_mut(width).enumerate() {
            for (i, place) in row.iter_mut().enumerate().skip(group).take(V::LANES) {
                *place = lines.get(first + i - group, k);
            }
        }
        return;
    }
    for k in (0..lines.depth).step_by(V::LANES) {
        // The last block overlaps the one before rather than end early.
        let k = k.min(lines.depth - V::LANES);
        // SAFETY: every line has `depth >= k + LANES` neighbouring elements, checked when `lines` was made.
        let block = unsafe {
            let mut block = V::zero_block();
            for (i, row) in block.as_mut().iter_mut().enumerate() {
                *row = T::load::<V>(lines.start(first + i).wrapping_add(k));
            }
            V::transpose(block)
        };
        let at = k * width + group;
        // SAFETY: the caller's promise about the CPU; the last store of the first branch ends within the
        // panel.
        unsafe {
            if at + (V::LANES - 1) * width + V::LANES <= panel.len() {
                let to = panel.as_mut_ptr().add(at);
                for (i, column) in block.as_ref().iter().enumerate() {
                    column.store(to.add(i * width));
                }
            } else {
                // A copy, so that only this branch keeps the block in memory.
                let last = block;
                store_last::<V>(&last, panel, at, width);
            }
        }
    }
}

/// Stores the columns of the last block of a panel, where the lanes that do not count may have no room.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
unsafe fn store_last<V: Simd>(block: &V::Block, panel: &mut [f32], at: usize, width: usize) {
    for (i, &column) in block.as_ref().iter().enumerate() {
        // SAFETY: the caller's promise about the CPU.
        unsafe { store_group(column, panel, at + i * width, width - at % width) }
    }
}

/// Stores a vector at `at`, of which `wanted` lanes count. Where there is room all lanes are stored: those
/// that do not count land on places that are written later.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
unsafe fn store_group<V: Simd>(vector: V, panel: &mut [f32], at: usize, wanted: usize) {
    if at + V::LANES <= panel.len() {
        // SAFETY: just checked.
        unsafe { vector.store(panel.as_mut_ptr().add(at)) }
    } else {
        let mut lanes = [0.0; MAX_LANES];
        // SAFETY: no vector has more lanes.
        unsafe { vector.store(lanes.as_mut_ptr()) };
        let wanted = wanted.min(V::LANES);
        panel[at..at + wanted].copy_from_slice(&lanes[..wanted]);
    }
}

/// The most lanes of any instruction set.
pub(super) const MAX_LANES: usize = 16;

/// Packs lines that are neighbours: whole rows are copied, `k` by `k`, so that memory is read in order.
///
/// # Safety
/// As [`pack_lines`]; `lines.across_k()`.
#[inline(always)]
unsafe fn pack_straight<V: Simd, T: Element>(lines: &Lines<'_, T>, dst: &mut [f32], width: usize) {
    // SAFETY: the caller's promises; a panel has one vector if it is narrower, else `width / LANES` of them.
    unsafe {
        match width.div_ceil(V::LANES) {
            1 => pack_rows::<V, T, 1>(lines, dst, width),
            2 => pack_rows::<V, T, 2>(lines, dst, width),
            3 => pack_rows::<V, T, 3>(lines, dst, width),
            _ => pack_scattered(lines, dst, width),
        }
    }
}

/// [`pack_straight`] for panels of `VECTORS` vectors.
///
/// # Safety
/// As [`pack_straight`]; `width` is `VECTORS * LANES`, or less if `VECTORS` is 1.
#[inline(always)]
unsafe fn pack_rows<V: Simd, T: Element, const VECTORS: usize>(
    lines: &Lines<'_, T>,
    dst: &mut [f32],
    width: usize,
) {
    let panel_len = width * lines.depth;
    // Panels whose vectors hold only lines of this block; one at most is left over per row.
    let whole =
        (0..dst.len() / panel_len).take_while(|p| p * width + VECTORS * V::LANES <= lines.lines).count();
    // A vector wider than the panel spills into the next row, so the last row has none.
    let rows = if width < V::LANES { lines.depth - 1 } else { lines.depth };
    for k in 0..rows {
        let mut from = lines.start(0).wrapping_add(k * lines.k_stride);
        let mut to = dst.as_mut_ptr().wrapping_add(k * width);
        for _ in 0..whole {
            for v in 0..VECTORS {
                // SAFETY: the lanes are lines of this block; the vector, with its spill, ends within the
                // panel.
                unsafe { T::load::<V>(from.add(v * V::LANES)).store(to.add(v * V::LANES)) }
            }
            from = from.wrapping_add(width);
            to = to.wrapping_add(panel_len);
        }
    }
    for (p, panel) in dst.chunks_exact_mut(panel_len).enumerate() {
        let count = width.min(lines.lines - p * width);
        for k in if p < whole { rows } else { 0 }..lines.depth {
            let row = &mut panel[k * width..][..count];
            let vectors = count - count % V::LANES;
            for i in (0..vectors).step_by(V::LANES) {
                // SAFETY: the lanes are lines of this block, and they fit in the row.
                unsafe {
                    let from = lines.start(p * width + i).wrapping_add(k * lines.k_stride);
                    T::load::<V>(from).store(row.as_mut_ptr().add(i));
                }
            }
            for (i, place) in row.iter_mut().enumerate().skip(vectors) {
                *place = lines.get(p * width + i, k);
            }
        }
    }
}

/// Packs lines of any strides, one element at a time.
fn pack_scattered<T: Element>(lines: &Lines<'_, T>, dst: &mut [f32], width: usize) {
    for (p, panel) in dst.chunks_exact_mut(width * lines.depth).enumerate() {
        for (k, row) in panel.chunks_exact_mut(width).enumerate() {
            for (i, place) in row.iter_mut().enumerate() {
                *place = lines.get(p * width + i, k);
            }
        }
    }
}
