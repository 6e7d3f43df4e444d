//! Shapes: dimensions, element counts, strides and NumPy-style broadcasting.

use smallvec::SmallVec;
use std::fmt;
use std::ops::Deref;

/// A dimension that only running the program, or binding its flexible inputs, can tell; printed `?`.
pub const UNKNOWN: usize = usize::MAX;

/// The dimensions of a tensor, outermost first; `[]` is a scalar. A dimension may be [`UNKNOWN`].
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[usize; 6]>);

impl Shape {
    /// A shape from its dimensions.
    pub fn new(dims: &[usize]) -> Shape {
        Shape(SmallVec::from_slice(dims))
    }

    /// The scalar shape, `[]`.
    pub fn scalar() -> Shape {
        Shape::default()
    }

    /// Whether every dimension is known.
    pub fn is_known(&self) -> bool {
        !self.0.contains(&UNKNOWN)
    }

    /// Whether a tensor of shape `other` can stand where one of this shape is declared: as many dimensions, equal
    /// where both are known.
    pub fn accepts(&self, other: &Shape) -> bool {
        let fits = |(&a, &b): (&usize, &usize)| a == b || a == UNKNOWN || b == UNKNOWN;
        self.rank() == other.rank() && self.0.iter().zip(&other.0).all(fits)
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements, or `None` when they are not known or too many to count with. A scalar has one.
    ///
    /// A dimension of 0 excuses none of the others: their product must leave room for elements of 8 bytes in `isize`.
    /// So strides, and byte counts of elements widened to any type, never overflow.
    pub fn checked_len(&self) -> Option<usize> {
        if !self.is_known() {
            return None;
        }
        const MOST: usize = isize::MAX as usize / 8;
        let product =
            self.0.iter().filter(|&&dim| dim != 0).try_fold(1usize, |product, &dim| product.checked_mul(dim));
        let product = product.filter(|&product| product <= MOST)?;
        Some(if self.0.contains(&0) { 0 } else { product })
    }

    /// Number of elements; saturates instead of overflowing (a verified program never does).
    pub fn count(&self) -> usize {
        self.0.iter().fold(1usize, |product, &dim| product.saturating_mul(dim))
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> SmallVec<[usize; 6]> {
        let mut strides: SmallVec<[usize; 6]> = SmallVec::from_elem(1, self.rank());
        for i in (0..self.rank().saturating_sub(1)).rev() {
            strides[i] = strides[i + 1].saturating_mul(self.0[i + 1]);
        }
        strides
    }

    /// The dimensions as signed 32-bit integers, as MIL's `shape` parameters hold them.
    pub fn to_i32(&self) -> Vec<i32> {
        self.0.iter().map(|&dim| i32::try_from(dim).unwrap_or(i32::MAX)).collect()
    }

    /// A changeable list of the dimensions.
    pub fn dims_mut(&mut self) -> &mut SmallVec<[usize; 6]> {
        &mut self.0
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Shape {
        Shape::new(dims)
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Shape {
        Shape(SmallVec::from_vec(dims))
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Shape {
        Shape::new(&dims)
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Shape {
        shape.clone()
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Shape {
        Shape(dims.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, dim) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            match *dim {
                UNKNOWN => f.write_str("?")?,
                dim => write!(f, "{dim}")?,
            }
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The common shape of `a` and `b` under NumPy's broadcasting rules (align on the right; a dimension of
/// 1 stretches), or `None` when they do not fit.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Shape> {
    let rank = a.len().max(b.len());
    let dim = |dims: &[usize], i: usize| (i + dims.len()).checked_sub(rank).map_or(1, |at| dims[at]);
    (0..rank)
        .map(|i| match (dim(a, i), dim(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Turns an axis that may count from the end (`-1` is the last) into an index below `rank`.
pub fn normalize_axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = rank as i64;
    let index = if axis < 0 { axis + rank } else { axis };
    (0..rank).contains(&index).then_some(index as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        assert_eq!(broadcast(&[2, 1, 3], &[4, 1]), Some(Shape::from([2, 4, 3])));
        assert_eq!(broadcast(&[], &[4, 1]), Some(Shape::from([4, 1])));
        assert_eq!(broadcast(&[2, 3], &[4, 3]), None);
        assert_eq!(broadcast(&[0], &[1]), Some(Shape::from([0])));
    }

    #[test]
    fn lengths_do_not_overflow() {
        assert_eq!(Shape::from([usize::MAX, 2]).checked_len(), None);
        assert_eq!(Shape::from([isize::MAX as usize / 4]).checked_len(), None);
        assert_eq!(Shape::from([0, 1 << 40, 1 << 40]).checked_len(), None);
        assert_eq!(Shape::from([0, 1 << 40]).checked_len(), Some(0));
        assert_eq!(Shape::scalar().checked_len(), Some(1));
        assert_eq!(Shape::from([2, 3, 4]).strides().as_slice(), [12, 4, 1]);
    }
}
