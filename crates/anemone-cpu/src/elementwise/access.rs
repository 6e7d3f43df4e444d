//! How a leaf's elements spread over the group's shape.

#![expect(unsafe_code, reason = "operands are bound by address")]

use super::memory;
use crate::isa::Level;
use mil::DataType;
use smallvec::SmallVec;

/// Where the elements of a leaf go.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Access {
    /// One element for all.
    One,
    /// An element each, in order.
    Each,
    /// By steps along dimensions.
    Walk(Walk),
}

/// A leaf's way through memory: length and stride of each dimension, outermost first, neighbours merged where they
/// walk as one. The innermost stride is 0 or 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Walk {
    dims: SmallVec<[(usize, usize); 4]>,
}

impl Access {
    /// Of a leaf that broadcasts to `shape` (aligned on the right).
    pub(super) fn broadcast(leaf: &[usize], shape: &[usize]) -> Access {
        Access::aligned(leaf, shape, shape.len().saturating_sub(leaf.len()))
    }

    /// Of one coefficient per element of axis 1 of `shape`.
    pub(super) fn channelwise(leaf: &[usize], shape: &[usize]) -> Access {
        if leaf.len() == 1 { Access::aligned(leaf, shape, 1) } else { Access::broadcast(leaf, shape) }
    }

    /// Of a leaf whose first dimension is number `offset` of `shape`.
    fn aligned(leaf: &[usize], shape: &[usize], offset: usize) -> Access {
        let mut dims: SmallVec<[(usize, usize); 4]> = SmallVec::new();
        let mut step = leaf.iter().product::<usize>();
        for (axis, &len) in shape.iter().enumerate() {
            let own = axis.checked_sub(offset).and_then(|at| leaf.get(at)).copied().unwrap_or(1);
            step /= own.max(1);
            if len == 1 {
                continue;
            }
            let stride = if own == 1 { 0 } else { step };
            match dims.last_mut() {
                Some((outer, outer_stride)) if *outer_stride == stride * len => {
                    *outer *= len;
                    *outer_stride = stride;
                }
                _ => dims.push((len, stride)),
            }
        }
        match dims.as_slice() {
            [] | [(_, 0)] => Access::One,
            [(_, 1)] => Access::Each,
            _ => Access::Walk(Walk { dims }),
        }
    }
}

impl Walk {
    /// Fills `lanes` with the elements for positions `start..` of the shape.
    ///
    /// # Safety
    /// `from` points to all of the leaf's elements, of type `dtype`; the positions are within the shape; the CPU has the
    /// features of `level`.
    pub(super) unsafe fn fill(
        &self,
        level: Level,
        dtype: DataType,
        from: *const u8,
        start: usize,
        lanes: &mut [u32],
    ) {
        let Some((&(len, stride), outer)) = self.dims.split_last() else { return };
        // SAFETY: each run stays within a row of the innermost dimension, whose elements the leaf has.
        let run = |at: usize, lanes: &mut [u32]| unsafe {
            if stride == 1 {
                memory::load(level, dtype, from, at, lanes);
            } else {
                let (one, rest) = lanes.split_at_mut(1);
                memory::load(level, dtype, from, at, one);
                rest.fill(one[0]);
            }
        };
        let mut inner = start % len;
        let mut row = Row::at(outer, start / len);
        if stride == 1 && outer.iter().all(|&(_, stride)| stride == 0) {
            return repeat(len, inner, lanes, run);
        }
        let mut done = 0;
        while done < lanes.len() {
            let count = (len - inner).min(lanes.len() - done);
            run(row.offset + inner * stride, &mut lanes[done..done + count]);
            done += count;
            inner = 0;
            row.advance(outer);
        }
    }
}

/// Fills `lanes` with a row of `len` elements again and again, from element `first` of it on.
fn repeat(len: usize, first: usize, lanes: &mut [u32], run: impl Fn(usize, &mut [u32])) {
    let head = (len - first).min(lanes.len());
    run(first, &mut lanes[..head]);
    let tail = first.min(lanes.len() - head);
    run(0, &mut lanes[head..head + tail]);
    // One period stands there: what is written serves as the source of twice as much.
    let mut done = head + tail;
    while done < lanes.len() {
        let count = done.min(lanes.len() - done);
        lanes.copy_within(..count, done);
        done += count;
    }
}

/// A position in the outer dimensions of a walk.
struct Row {
    position: SmallVec<[usize; 8]>,
    offset: usize,
}

impl Row {
    fn at(dims: &[(usize, usize)], index: usize) -> Row {
        let mut position: SmallVec<[usize; 8]> = SmallVec::from_elem(0, dims.len());
        let (mut left, mut offset) = (index, 0);
        for (place, &(len, stride)) in position.iter_mut().zip(dims).rev() {
            *place = left % len;
            left /= len;
            offset += *place * stride;
        }
        Row { position, offset }
    }

    fn advance(&mut self, dims: &[(usize, usize)]) {
        for (place, &(len, stride)) in self.position.iter_mut().zip(dims).rev() {
            *place += 1;
            self.offset += stride;
            if *place < len {
                return;
            }
            self.offset -= len * stride;
            *place = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_that_walk_as_one_are_merged() {
        let walk = |dims: &[(usize, usize)]| Access::Walk(Walk { dims: SmallVec::from_slice(dims) });
        assert_eq!(Access::broadcast(&[], &[2, 3]), Access::One);
        assert_eq!(Access::broadcast(&[1, 1], &[2, 3]), Access::One);
        assert_eq!(Access::broadcast(&[2, 3], &[2, 3]), Access::Each);
        assert_eq!(Access::broadcast(&[2, 1, 3], &[1, 2, 1, 3]), Access::Each);
        assert_eq!(Access::broadcast(&[3], &[4, 2, 3]), walk(&[(8, 0), (3, 1)]));
        assert_eq!(Access::broadcast(&[2, 1, 1], &[4, 2, 5, 5]), walk(&[(4, 0), (2, 1), (25, 0)]));
        assert_eq!(Access::broadcast(&[4, 1], &[4, 3]), walk(&[(4, 1), (3, 0)]));
        assert_eq!(Access::channelwise(&[2], &[4, 2, 5, 5]), walk(&[(4, 0), (2, 1), (25, 0)]));
    }
}
