//! Walking a tensor whose blocks share one entry of a smaller one: a scale, a zero point, a look-up table.

use super::parallel;
use mil::ops::constexpr::Blocks;

/// Elements that are handled at a time: few enough for a buffer on the stack, enough for the walk to cost nothing.
pub(crate) const CHUNK: usize = 2048;

/// Which block an element is in.
#[derive(Clone, Debug)]
pub(crate) struct BlockWalk {
    dims: Vec<Dim>,
}

/// One dimension: its size, the elements of a block, and how far apart its blocks are in the smaller tensor.
#[derive(Clone, Copy, Debug)]
struct Dim {
    size: usize,
    block: usize,
    stride: usize,
}

impl BlockWalk {
    pub(crate) fn new(blocks: &Blocks) -> BlockWalk {
        let mut dims: Vec<Dim> = Vec::new();
        let mut stride = 1;
        for (size, count) in blocks.merged().into_iter().rev() {
            dims.push(Dim { size: size.max(1), block: (size / count.max(1)).max(1), stride });
            stride *= count;
        }
        BlockWalk { dims }
    }

    /// The blocks of a tensor that has one entry per index of `axis`, or one for everything.
    pub(crate) fn along(shape: &[usize], axis: Option<usize>) -> BlockWalk {
        let count = |at: usize| if Some(at) == axis { shape[at].max(1) } else { 1 };
        let blocks = (0..shape.len()).map(count).collect();
        BlockWalk::new(&Blocks { shape: shape.iter().copied().collect(), blocks })
    }

    /// The block of the element at a row-major position, and how many elements from there on are in the same.
    pub(crate) fn locate(&self, position: usize) -> (usize, usize) {
        let (mut rest, mut block, mut left) = (position, 0, usize::MAX);
        for (at, dim) in self.dims.iter().enumerate() {
            let here = rest % dim.size;
            rest /= dim.size;
            block += here / dim.block * dim.stride;
            if at == 0 {
                left = dim.block - here % dim.block;
            }
        }
        (block, left)
    }

    /// Calls `body(block, position, elements)` on the runs of `part`, which begins at `start`.
    pub(crate) fn runs<T>(
        &self,
        start: usize,
        mut part: &mut [T],
        mut body: impl FnMut(usize, usize, &mut [T]),
    ) {
        let mut position = start;
        while !part.is_empty() {
            let (block, left) = self.locate(position);
            let (now, later) = part.split_at_mut(left.min(part.len()));
            body(block, position, now);
            position += now.len();
            part = later;
        }
    }
}

/// Calls `body(position, elements)` on pieces of at most [`CHUNK`] elements.
pub(crate) fn chunks<T: Send>(output: &mut [T], body: impl Fn(usize, &mut [T]) + Sync) {
    parallel::rows(output, CHUNK, 2, |row, part| body(row * CHUNK, part));
}

#[cfg(test)]
mod tests {
    use super::*;
    use mil::Shape;

    #[test]
    fn every_element_finds_its_block() {
        let cases: [(&[usize], &[usize]); 7] = [
            (&[4, 6], &[2, 3]),
            (&[4, 6], &[4, 1]),
            (&[4, 6], &[1, 6]),
            (&[4, 6], &[1, 1]),
            (&[3, 4, 5], &[3, 2, 5]),
            (&[6, 4, 2, 5], &[1, 2, 2, 1]),
            (&[2, 1, 3], &[1, 1, 3]),
        ];
        for (shape, count) in cases {
            let walk = BlockWalk::new(&Blocks { shape: Shape::new(shape), blocks: Shape::new(count) });
            let total: usize = shape.iter().product();
            let wanted = |position: usize| {
                let (mut rest, mut block, mut stride) = (position, 0, 1);
                for (&size, &count) in shape.iter().zip(count).rev() {
                    block += rest % size / (size / count) * stride;
                    rest /= size;
                    stride *= count;
                }
                block
            };
            let mut found = vec![usize::MAX; total];
            walk.runs(0, &mut found, |block, _, elements| elements.fill(block));
            assert_eq!(found, (0..total).map(wanted).collect::<Vec<_>>(), "{shape:?} {count:?}");
            let mut found = vec![usize::MAX; total - 1];
            walk.runs(1, &mut found, |block, _, elements| elements.fill(block));
            assert_eq!(found, (1..total).map(wanted).collect::<Vec<_>>(), "{shape:?} {count:?}");
        }
    }
}
