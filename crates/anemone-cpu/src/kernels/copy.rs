//! Copying between strided layouts: what transposing, slicing, padding, tiling, concatenating and block
//! rearrangements all come down to.
//!
//! A [`StridedCopy`] is a nest of loops over `from` and `to`, each with its own strides. It is simplified once, when an
//! operation is lowered, so that as much as possible is one `memcpy`; what is left runs in parallel.

#![expect(unsafe_code, reason = "disjoint parts of one buffer, known by stride, are written in parallel")]

use super::parallel;
use smallvec::SmallVec;

/// One loop of a copy. Strides count elements and may be negative; `from` may be 0 (the source repeats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Iterations.
    pub(crate) count: usize,
    /// Step in the source.
    pub(crate) from: isize,
    /// Step in the destination.
    pub(crate) to: isize,
}

type Axes = SmallVec<[Axis; 6]>;

/// A copy from one strided layout to another.
#[derive(Clone, Debug)]
pub(crate) struct StridedCopy {
    /// Bytes of an element: 1, 2 or 4.
    size: usize,
    /// Loops around the innermost part, outermost first.
    outer: Axes,
    inner: Inner,
    /// Lowest and highest element reached, relative to the start.
    from_reach: (isize, isize),
    to_reach: (isize, isize),
    empty: bool,
}

/// The innermost part.
#[derive(Clone, Copy, Debug)]
enum Inner {
    /// Neighbours to neighbours.
    Run(usize),
    /// A matrix whose columns are neighbours in the source and whose rows are in the destination.
    Transpose { lines: Axis, run: Axis },
    /// Anything else.
    Steps(Axis),
}

/// Elements of an innermost part that one step of the outer iteration handles.
const RUN_BLOCK: usize = 16 * 1024;
/// Side of the square in which matrices are transposed; two squares of 4-byte elements fit in registers or L1.
const SQUARE: usize = 16;

impl StridedCopy {
    /// A copy of elements of `size` bytes by these loops.
    ///
    /// # Panics
    /// When two iterations could write the same element: kernels derive the loops from verified shapes, whose
    /// strides keep elements apart.
    pub(crate) fn new(size: usize, axes: impl IntoIterator<Item = Axis>) -> StridedCopy {
        assert!(matches!(size, 1 | 2 | 4), "elements have 1, 2 or 4 bytes");
        let mut axes: Axes = axes.into_iter().filter(|axis| axis.count != 1).collect();
        let empty = axes.iter().any(|axis| axis.count == 0);
        if empty {
            axes.clear();
        }
        axes.sort_by_key(|axis| std::cmp::Reverse(axis.to.unsigned_abs()));
        assert!(keeps_apart(&axes), "the loops of a copy write each element once");
        let (from_reach, to_reach) = (reach(&axes, |axis| axis.from), reach(&axes, |axis| axis.to));
        let mut outer = merged(&axes);
        let inner = split_inner(&mut outer);
        StridedCopy { size, outer, inner, from_reach, to_reach, empty }
    }

    /// The loops that turn the row-major layout `from` into the row-major layout `to`, dimension by dimension.
    pub(crate) fn between(size: usize, counts: &[usize], from: &[usize], to: &[usize]) -> StridedCopy {
        let axes = counts.iter().zip(from).zip(to);
        StridedCopy::new(
            size,
            axes.map(|((&count, &from), &to)| Axis { count, from: from as isize, to: to as isize }),
        )
    }

    /// Copies, with iteration 0 of all loops at these elements.
    ///
    /// # Panics
    /// When the loops reach beyond either buffer.
    pub(crate) fn run(&self, from: &[u8], from_start: usize, to: &mut [u8], to_start: usize) {
        if self.empty {
            return;
        }
        check_reach(self.from_reach, from_start, from.len() / self.size);
        check_reach(self.to_reach, to_start, to.len() / self.size);
        match self.size {
            1 => self.run_typed::<u8>(from.as_ptr().cast(), from_start, to.as_mut_ptr().cast(), to_start),
            2 => self.run_typed::<u16>(from.as_ptr().cast(), from_start, to.as_mut_ptr().cast(), to_start),
            _ => self.run_typed::<u32>(from.as_ptr().cast(), from_start, to.as_mut_ptr().cast(), to_start),
        }
    }

    fn run_typed<T: Copy + Default>(&self, from: *const T, from_start: usize, to: *mut T, to_start: usize) {
        let (blocks, cost) = match self.inner {
            Inner::Run(count) => (count.div_ceil(RUN_BLOCK), count.min(RUN_BLOCK) / 4),
            Inner::Steps(axis) => (axis.count.div_ceil(RUN_BLOCK), axis.count.min(RUN_BLOCK)),
            Inner::Transpose { lines, run } => {
                (lines.count.div_ceil(SQUARE), run.count.saturating_mul(SQUARE))
            }
        };
        let ends = Ends { from: from.wrapping_add(from_start), to: to.wrapping_add(to_start) };
        let steps: usize = self.outer.iter().map(|axis| axis.count).product();
        parallel::ranges(steps * blocks, cost + 8, |range| {
            let mut odometer = Odometer::at(&self.outer, range.start / blocks);
            let mut block = range.start % blocks;
            for _ in range {
                let ends = ends.shifted(odometer.from, odometer.to);
                // SAFETY: `run` checked that every iteration lies in both buffers; iterations write different
                // elements (checked by `new`), so no other task touches those written here; and the buffers do
                // not overlap, one being borrowed exclusively.
                unsafe { self.inner.block(ends, block) };
                block += 1;
                if block == blocks {
                    block = 0;
                    odometer.advance(&self.outer);
                }
            }
        });
    }
}

fn check_reach((low, high): (isize, isize), start: usize, len: usize) {
    let start = start as isize;
    assert!(start + low >= 0 && start + high < len as isize, "a copy stays in its buffers");
}

/// Whether no two iterations write the same element: each stride passes all that the smaller ones reach.
fn keeps_apart(axes: &[Axis]) -> bool {
    let mut below = 0;
    axes.iter().rev().all(|axis| {
        let passes = axis.to.unsigned_abs() > below;
        below += (axis.count - 1) * axis.to.unsigned_abs();
        passes
    })
}

fn reach(axes: &[Axis], stride: impl Fn(&Axis) -> isize) -> (isize, isize) {
    axes.iter().fold((0, 0), |(low, high), axis| {
        let last = (axis.count as isize - 1) * stride(axis);
        (low + last.min(0), high + last.max(0))
    })
}

/// Joins loops that go on where the next inner one ends.
fn merged(axes: &[Axis]) -> Axes {
    let mut merged = Axes::new();
    for &axis in axes {
        let count = axis.count as isize;
        match merged.last_mut() {
            Some(last) if last.from == axis.from * count && last.to == axis.to * count => {
                *last = Axis { count: last.count * axis.count, ..axis };
            }
            _ => merged.push(axis),
        }
    }
    merged
}

/// Takes the innermost part off the loops.
fn split_inner(axes: &mut Axes) -> Inner {
    let Some(last) = axes.pop() else { return Inner::Run(1) };
    if (last.from, last.to) == (1, 1) {
        return Inner::Run(last.count);
    }
    let lines = axes.iter().position(|axis| axis.from == 1);
    match lines {
        Some(at) if last.to == 1 && last.from != 0 => {
            let lines = axes.remove(at);
            Inner::Transpose { lines, run: last }
        }
        _ => Inner::Steps(last),
    }
}

/// Where a part of the copy starts, in both buffers.
struct Ends<T> {
    from: *const T,
    to: *mut T,
}

impl<T> Clone for Ends<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ends<T> {}

// SAFETY: plain addresses; what may be done with them is `Inner::block`'s contract.
unsafe impl<T> Send for Ends<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Ends<T> {}

impl<T> Ends<T> {
    fn shifted(self, from: isize, to: isize) -> Ends<T> {
        Ends { from: self.from.wrapping_offset(from), to: self.to.wrapping_offset(to) }
    }
}

impl Inner {
    /// Copies block `block` of this part.
    ///
    /// # Safety
    /// Every element of the part is valid to read in `from` and to write in `to`, and they do not overlap.
    unsafe fn block<T: Copy + Default>(self, ends: Ends<T>, block: usize) {
        match self {
            Inner::Run(count) => {
                let start = block * RUN_BLOCK;
                let count = (count - start).min(RUN_BLOCK);
                let Ends { from, to } = ends.shifted(start as isize, start as isize);
                if count <= 8 {
                    for i in 0..count {
                        // SAFETY: the caller's promise.
                        unsafe { *to.add(i) = *from.add(i) };
                    }
                } else {
                    // SAFETY: the caller's promise.
                    unsafe { std::ptr::copy_nonoverlapping(from, to, count) };
                }
            }
            Inner::Steps(axis) => {
                let start = block * RUN_BLOCK;
                let count = (axis.count - start).min(RUN_BLOCK);
                let ends = ends.shifted(start as isize * axis.from, start as isize * axis.to);
                // SAFETY: the caller's promise.
                unsafe { steps(ends, Axis { count, ..axis }) };
            }
            Inner::Transpose { lines, run } => {
                let start = block * SQUARE;
                let count = (lines.count - start).min(SQUARE);
                let ends = ends.shifted(start as isize * lines.from, start as isize * lines.to);
                // SAFETY: the caller's promise.
                unsafe { transpose(ends, Axis { count, ..lines }, run) };
            }
        }
    }
}

/// One strided line.
///
/// # Safety
/// As [`Inner::block`].
unsafe fn steps<T: Copy>(ends: Ends<T>, axis: Axis) {
    let Ends { from, to } = ends;
    if (axis.from, axis.to) == (0, 1) {
        // SAFETY: the caller's promise.
        let (value, line) = unsafe { (*from, std::slice::from_raw_parts_mut(to, axis.count)) };
        line.fill(value);
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        match (axis.from, axis.to) {
            (2, 1) => fixed_steps::<T, 2, 1>(ends, axis.count),
            (1, 2) => fixed_steps::<T, 1, 2>(ends, axis.count),
            (from_step, to_step) => {
                for i in 0..axis.count as isize {
                    *to.offset(i * to_step) = *from.offset(i * from_step);
                }
            }
        }
    }
}

/// Steps that the compiler knows, so that the loop vectorises: slices and stacks of every second element, which the
/// gradients of pooling are made of.
///
/// # Safety
/// As [`Inner::block`].
#[inline(always)]
unsafe fn fixed_steps<T: Copy, const FROM: usize, const TO: usize>(ends: Ends<T>, count: usize) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { *ends.to.add(i * TO) = *ends.from.add(i * FROM) };
    }
}

/// Up to [`SQUARE`] lines, square by square: reads and writes are both in runs.
///
/// # Safety
/// As [`Inner::block`]; `lines.from` and `run.to` are 1.
unsafe fn transpose<T: Copy + Default>(ends: Ends<T>, lines: Axis, run: Axis) {
    let mut square = [[T::default(); SQUARE]; SQUARE];
    for start in (0..run.count).step_by(SQUARE) {
        let width = (run.count - start).min(SQUARE);
        let Ends { from, to } = ends.shifted(start as isize * run.from, start as isize);
        for (i, row) in square.iter_mut().enumerate().take(width) {
            // SAFETY: the caller's promise; line `i` of the square holds `lines.count` neighbours.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    from.offset(i as isize * run.from),
                    row.as_mut_ptr(),
                    lines.count,
                );
            }
        }
        for line in 0..lines.count {
            // SAFETY: the caller's promise.
            let out = unsafe { std::slice::from_raw_parts_mut(to.offset(line as isize * lines.to), width) };
            for (value, row) in out.iter_mut().zip(&square) {
                *value = row[line];
            }
        }
    }
}

/// A position in nested loops.
struct Odometer {
    at: SmallVec<[usize; 6]>,
    from: isize,
    to: isize,
}

impl Odometer {
    /// The position after `step` steps.
    fn at(axes: &[Axis], mut step: usize) -> Odometer {
        let mut odometer = Odometer { at: SmallVec::from_elem(0, axes.len()), from: 0, to: 0 };
        for (i, axis) in axes.iter().enumerate().rev() {
            let position = step % axis.count;
            step /= axis.count;
            odometer.at[i] = position;
            odometer.from += position as isize * axis.from;
            odometer.to += position as isize * axis.to;
        }
        odometer
    }

    fn advance(&mut self, axes: &[Axis]) {
        for (at, axis) in self.at.iter_mut().zip(axes).rev() {
            *at += 1;
            self.from += axis.from;
            self.to += axis.to;
            if *at < axis.count {
                return;
            }
            *at = 0;
            self.from -= axis.count as isize * axis.from;
            self.to -= axis.count as isize * axis.to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same loops, one element at a time.
    fn naive(axes: &[Axis], from: &[u32], from_start: usize, to: &mut [u32], to_start: usize) {
        let steps: usize = axes.iter().map(|axis| axis.count).product();
        for step in 0..steps {
            let at = Odometer::at(axes, step);
            to[(to_start as isize + at.to) as usize] = from[(from_start as isize + at.from) as usize];
        }
    }

    fn check(axes: &[Axis], from_len: usize, from_start: usize, to_len: usize, to_start: usize) {
        let from: Vec<u32> = (0..from_len as u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        let (mut got, mut want) = (vec![7u32; to_len], vec![7u32; to_len]);
        naive(axes, &from, from_start, &mut want, to_start);
        let copy = StridedCopy::new(4, axes.iter().copied());
        copy.run(bytemuck::cast_slice(&from), from_start, bytemuck::cast_slice_mut(&mut got), to_start);
        assert_eq!(got, want, "{axes:?}");
        let halves: Vec<u16> = from.iter().map(|&v| (v >> 7) as u16).collect();
        let mut got = vec![7u16; to_len];
        let copy = StridedCopy::new(2, axes.iter().copied());
        copy.run(bytemuck::cast_slice(&halves), from_start, bytemuck::cast_slice_mut(&mut got), to_start);
        let want: Vec<u16> = want.iter().map(|&v| if v == 7 { 7 } else { (v >> 7) as u16 }).collect();
        assert_eq!(got, want, "{axes:?}");
    }

    fn axis(count: usize, from: isize, to: isize) -> Axis {
        Axis { count, from, to }
    }

    #[test]
    fn copies_what_the_loops_say() {
        // Transposes of all kinds: whole squares, ragged ones, with outer loops.
        check(&[axis(64, 1, 48), axis(48, 64, 1)], 3072, 0, 3072, 0);
        check(&[axis(37, 1, 21), axis(21, 37, 1)], 777, 0, 777, 0);
        check(&[axis(3, 777, 777), axis(37, 1, 21), axis(21, 37, 1)], 2331, 0, 2331, 0);
        check(&[axis(700, 1, 300), axis(300, 700, 1)], 210_000, 0, 210_000, 0);
        // [B, T, H, D] to [B, H, T, D].
        check(&[axis(2, 120, 120), axis(5, 24, 8), axis(3, 8, 40), axis(8, 1, 1)], 240, 0, 240, 0);
        // Into the middle, backwards, repeated, one element, nothing.
        check(&[axis(4, 10, 20), axis(10, 1, 1)], 40, 0, 100, 15);
        check(&[axis(4, -10, 10), axis(10, -1, 1)], 40, 39, 40, 0);
        check(&[axis(5, 0, 6), axis(6, 1, 1)], 6, 0, 30, 0);
        check(&[axis(6, 1, 5), axis(5, 0, 1)], 6, 0, 30, 0);
        check(&[], 1, 0, 1, 0);
        check(&[axis(3, 1, 1), axis(0, 1, 1)], 3, 0, 3, 0);
        check(&[axis(50_000, 1, 1)], 50_000, 0, 50_000, 0);
        // Every second element, read or written.
        check(&[axis(7, 40, 20), axis(20, 2, 1)], 280, 0, 140, 0);
        check(&[axis(140, 1, 2)], 140, 0, 280, 1);
    }

    #[test]
    #[should_panic(expected = "write each element once")]
    fn refuses_to_write_twice() {
        StridedCopy::new(4, [axis(4, 1, 2), axis(3, 4, 1)]);
    }

    #[test]
    #[should_panic(expected = "stays in its buffers")]
    fn refuses_to_reach_beyond() {
        StridedCopy::new(1, [axis(4, 1, 1)]).run(&[0; 4], 1, &mut [0; 4], 0);
    }
}
