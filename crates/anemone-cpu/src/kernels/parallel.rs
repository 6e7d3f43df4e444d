//! Splitting work over the thread pool without letting the split show in the results.
//!
//! Chunk bounds depend on the amount of work alone, never on the number of threads, and no chunk combines
//! another's partial results; so any number of threads gives the same bits.

use rayon::prelude::*;
use std::ops::Range;

/// Work below this many element operations is not worth waking another thread for: handing over a
/// task costs a few microseconds, in which one core does about this much.
pub(crate) const GRAIN: usize = 16 * 1024;

/// Calls `body` on disjoint ranges that cover `0..count`, each of about [`GRAIN`] element operations, where one item
/// costs `cost` of them.
pub(crate) fn ranges(count: usize, cost: usize, body: impl Fn(Range<usize>) + Sync) {
    let step = GRAIN.div_ceil(cost.max(1)).max(1);
    if count <= step {
        return body(0..count);
    }
    (0..count.div_ceil(step)).into_par_iter().for_each(|chunk| {
        let start = chunk * step;
        body(start..(start + step).min(count));
    });
}

/// Splits `output` into rows of `width` elements and calls `body(row, elements)` on each, in parallel when that
/// pays. One element costs `cost` operations.
pub(crate) fn rows<T: Send>(
    output: &mut [T],
    width: usize,
    cost: usize,
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    if width == 0 || output.is_empty() {
        return;
    }
    let per_chunk = GRAIN.div_ceil(width.saturating_mul(cost.max(1)).max(1)).max(1);
    if output.len() <= per_chunk * width {
        return output.chunks_mut(width).enumerate().for_each(|(row, elements)| body(row, elements));
    }
    output.par_chunks_mut(per_chunk * width).enumerate().for_each(|(chunk, elements)| {
        for (row, elements) in elements.chunks_mut(width).enumerate() {
            body(chunk * per_chunk + row, elements);
        }
    });
}

/// [`rows`] over two outputs at once: `body` gets the same row of both, whose widths are `widths`. One row costs `cost`
/// operations.
pub(crate) fn paired_rows<A: Send, B: Send>(
    (a, b): (&mut [A], &mut [B]),
    widths: [usize; 2],
    cost: usize,
    body: impl Fn(&mut [A], &mut [B]) + Sync,
) {
    if widths.contains(&0) {
        return;
    }
    let step = GRAIN.div_ceil(cost.max(1));
    if a.len() <= step * widths[0] {
        let rows = a.chunks_mut(widths[0]).zip(b.chunks_mut(widths[1]));
        return rows.for_each(|(a, b)| body(a, b));
    }
    let chunks = a.par_chunks_mut(step * widths[0]).zip(b.par_chunks_mut(step * widths[1]));
    chunks.for_each(|(a, b)| {
        for (a, b) in a.chunks_mut(widths[0]).zip(b.chunks_mut(widths[1])) {
            body(a, b);
        }
    });
}
