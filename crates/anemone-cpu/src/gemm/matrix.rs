//! Descriptions of operands: where the elements lie, and the checks that let the kernels trust it.

use half::f16;

use super::error::GemmError;
use super::pack::Pack;
use super::packed::{Packed, Side};

/// Elements to read.
#[derive(Debug, Clone, Copy)]
pub enum Operand<'a> {
    /// fp32 elements.
    F32(&'a [f32]),
    /// fp16 elements, widened (exactly) as they are read.
    F16(&'a [f16]),
}

impl Operand<'_> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(data) => data.len(),
            Self::F16(data) => data.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a [f32]> for Operand<'a> {
    fn from(data: &'a [f32]) -> Self {
        Self::F32(data)
    }
}

impl<'a> From<&'a [f16]> for Operand<'a> {
    fn from(data: &'a [f16]) -> Self {
        Self::F16(data)
    }
}

/// Elements to write.
#[derive(Debug)]
pub enum OperandMut<'a> {
    /// fp32 elements.
    F32(&'a mut [f32]),
    /// fp16 elements: summed in fp32, rounded once to nearest-even.
    F16(&'a mut [f16]),
}

impl OperandMut<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(data) => data.len(),
            Self::F16(data) => data.len(),
        }
    }
}

impl<'a> From<&'a mut [f32]> for OperandMut<'a> {
    fn from(data: &'a mut [f32]) -> Self {
        Self::F32(data)
    }
}

impl<'a> From<&'a mut [f16]> for OperandMut<'a> {
    fn from(data: &'a mut [f16]) -> Self {
        Self::F16(data)
    }
}

/// A matrix to read: element `(r, c)` is `data[r * row_stride + c * col_stride]`. Strides count elements; a
/// transposed view swaps them, a broadcast dimension has stride 0.
#[derive(Debug, Clone, Copy)]
pub struct MatRef<'a> {
    pub(super) data: Operand<'a>,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl<'a> MatRef<'a> {
    /// A `[rows, cols]` view with any strides.
    ///
    /// # Errors
    /// [`GemmError::OutOfBounds`] if the last element lies beyond `data`.
    pub fn new(
        data: impl Into<Operand<'a>>,
        [rows, cols]: [usize; 2],
        [row_stride, col_stride]: [usize; 2],
    ) -> Result<Self, GemmError> {
        let data = data.into();
        check_bounds("a matrix", data.len(), [(rows, row_stride), (cols, col_stride)])?;
        Ok(Self { data, rows, cols, row_stride, col_stride })
    }

    /// A dense row-major `[rows, cols]` matrix.
    ///
    /// # Errors
    /// [`GemmError::OutOfBounds`] if `data` is too short.
    pub fn row_major(data: impl Into<Operand<'a>>, [rows, cols]: [usize; 2]) -> Result<Self, GemmError> {
        Self::new(data, [rows, cols], [cols, 1])
    }

    /// The same elements as a `[cols, rows]` matrix.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix to write: element `(r, c)` is `data[r * row_stride + c * col_stride]`. Fastest with `col_stride`
/// 1 (or
/// `row_stride` 1); others cost one more pass over the output.
#[derive(Debug)]
pub struct MatMut<'a> {
    pub(super) data: OperandMut<'a>,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl<'a> MatMut<'a> {
    /// A `[rows, cols]` view with any strides that keep the elements apart.
    ///
    /// # Errors
    /// [`GemmError::OutOfBounds`] if the last element lies beyond `data`; [`GemmError::OverlappingOutput`] if
    /// two elements could share a place.
    pub fn new(
        data: impl Into<OperandMut<'a>>,
        [rows, cols]: [usize; 2],
        [row_stride, col_stride]: [usize; 2],
    ) -> Result<Self, GemmError> {
        let this = Self { data: data.into(), rows, cols, row_stride, col_stride };
        this.check(&[])?;
        Ok(this)
    }

    /// A dense row-major `[rows, cols]` matrix.
    ///
    /// # Errors
    /// [`GemmError::OutOfBounds`] if `data` is too short.
    pub fn row_major(data: impl Into<OperandMut<'a>>, [rows, cols]: [usize; 2]) -> Result<Self, GemmError> {
        Self::new(data, [rows, cols], [cols, 1])
    }

    /// Checks bounds and distinctness over the matrix and all its batch dimensions.
    pub(super) fn check(&self, batch: &[BatchDim]) -> Result<(), GemmError> {
        let dims = || {
            let own = [(self.rows, self.row_stride), (self.cols, self.col_stride)];
            own.into_iter().chain(batch.iter().map(|dim| (dim.count, dim.c)))
        };
        check_bounds("the output C", self.data.len(), dims())?;
        if dims().any(|(count, _)| count == 0) {
            return Ok(());
        }
        // Visiting the strides from small to large without a buffer: the smallest not yet passed, ties
        // refused below.
        let mut reach = 0usize;
        let mut passed = None;
        loop {
            let pending = |&(count, stride): &(usize, usize)| count > 1 && passed.is_none_or(|p| stride > p);
            let Some((count, stride)) = dims().filter(pending).min_by_key(|&(_, stride)| stride) else {
                break;
            };
            let ties = dims().filter(|&(c, s)| c > 1 && s == stride).count();
            if stride <= reach || ties > 1 {
                return Err(GemmError::OverlappingOutput);
            }
            reach += (count - 1) * stride;
            passed = Some(stride);
        }
        Ok(())
    }
}

/// One operand of a product.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// A strided matrix.
    Matrix(MatRef<'a>),
    /// A matrix packed beforehand for this side; the same for every batch item.
    Packed(&'a Packed),
    /// A matrix that exists only through its packing, such as the columns of a convolution.
    Custom(&'a dyn Pack),
}

impl Source<'_> {
    /// The number of lines along `k`, rows of `A` or columns of `B`, and their length.
    pub(super) fn lines_and_depth(&self, side: Side) -> [usize; 2] {
        match (self, side) {
            (Self::Matrix(matrix), Side::A) => [matrix.rows, matrix.cols],
            (Self::Matrix(matrix), Side::B) => [matrix.cols, matrix.rows],
            (Self::Packed(packed), _) => [packed.lines, packed.depth],
            (Self::Custom(custom), _) => [custom.lines(), custom.depth()],
        }
    }

    /// The same operand for the other side of the transposed product.
    pub(super) fn transposed(self) -> Self {
        match self {
            Self::Matrix(matrix) => Self::Matrix(matrix.transposed()),
            other => other,
        }
    }

    pub(super) fn is_packed(&self) -> bool {
        matches!(self, Self::Packed(_))
    }
}

impl<'a> From<MatRef<'a>> for Source<'a> {
    fn from(matrix: MatRef<'a>) -> Self {
        Self::Matrix(matrix)
    }
}

impl<'a> From<&'a Packed> for Source<'a> {
    fn from(packed: &'a Packed) -> Self {
        Self::Packed(packed)
    }
}

/// One batch dimension: how many items, and how far (in elements) the next item of each operand lies. Stride
/// 0 shares an operand between items; a [`Source::Packed`] is always shared and a [`Source::Custom`] is told
/// the flat item index, so their strides are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchDim {
    /// Number of items.
    pub count: usize,
    /// Distance in `A`.
    pub a: usize,
    /// Distance in `B`.
    pub b: usize,
    /// Distance in `C`; items may interleave but not overlap.
    pub c: usize,
}

/// A vector added to the product before its last rounding.
#[derive(Debug, Clone, Copy, Default)]
pub enum Bias<'a> {
    /// Nothing is added.
    #[default]
    None,
    /// Element `r` is added to row `r`; holds at least `M` elements.
    PerRow(Operand<'a>),
    /// Element `c` is added to column `c`; holds at least `N` elements.
    PerColumn(Operand<'a>),
}

/// The numbers that a product is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// `fp32`, rounded once at the end.
    #[default]
    Float,
    /// The Neural Engine's fixed point: products rounded half away from zero to 2^-16 (or flushed where the exponents of the
    /// operands make up less than -16), summed exactly, infinite from 2^15, rounded half away to `fp16`. Operands in `fp32`
    /// are rounded to `fp16` first; so is the result, whatever its type.
    Fixed,
}

/// How to multiply; the default is one product that overwrites `C`.
#[derive(Debug, Clone, Copy, Default)]
pub struct GemmOptions<'a> {
    /// Batch dimensions, outermost first; empty for one product.
    pub batch: &'a [BatchDim],
    /// Adds to what `C` holds instead of overwriting it.
    pub accumulate: bool,
    /// A bias, shared by all batch items.
    pub bias: Bias<'a>,
    /// The numbers that it is made of.
    pub arithmetic: Arithmetic,
}

/// Checks that the largest index, given `(count, stride)` per dimension, lies within `len` elements.
pub(super) fn check_bounds(
    what: &'static str,
    len: usize,
    dims: impl IntoIterator<Item = (usize, usize), IntoIter: Clone>,
) -> Result<(), GemmError> {
    let mut dims = dims.into_iter();
    if dims.clone().any(|(count, _)| count == 0) {
        return Ok(());
    }
    let last =
        dims.try_fold(0usize, |sum, (count, stride)| sum.checked_add((count - 1).checked_mul(stride)?));
    match last {
        Some(last) if last < len => Ok(()),
        last => Err(GemmError::OutOfBounds { what, last: last.unwrap_or(usize::MAX), len }),
    }
}
