//! Products with the constant weights of a recurrent operation.

use crate::gemm::{self, GemmOptions, MatMut, MatRef, Operand, Packed, Side, Source};
use crate::kernels::KernelResult;
use crate::kernels::linear::{PACK_ROWS, constant_elements, gemm_failed};
use mil::ops::recurrent::RecurrentGeometry;
use mil::{Constant, InferError, OpView};
use std::ops::Range;

/// The product with some rows of a constant weight `[N, K]`, transposed.
pub(super) struct Product {
    weight: Constant,
    rows: Range<usize>,
    depth: usize,
    packed: Option<Packed>,
}

impl Product {
    /// Rows `rows` of `param`. Every step of every item is multiplied with them, so they are worth packing even where a
    /// single step has few items.
    pub(super) fn new(
        op: &OpView<'_>,
        param: &'static str,
        rows: Range<usize>,
        geometry: &RecurrentGeometry,
    ) -> Result<Product, InferError> {
        let weight = op.constant(param).ok_or_else(|| InferError::new(param, "must be a constant"))?;
        let depth = op.shape(param)?[1];
        let mut product = Product { weight: weight.clone(), rows, depth, packed: None };
        let matrix = product.matrix().map_err(|message| InferError::new(param, message))?;
        if geometry.steps.saturating_mul(geometry.batch) >= PACK_ROWS {
            product.packed = Some(Packed::new(matrix, Side::B));
        }
        Ok(product)
    }

    /// The rows as a matrix `[K, N]`.
    fn matrix(&self) -> Result<MatRef<'_>, String> {
        let range = self.rows.start * self.depth..self.rows.end * self.depth;
        let data: Operand<'_> = match constant_elements(&self.weight) {
            Some(Operand::F32(data)) => data[range].into(),
            Some(Operand::F16(data)) => data[range].into(),
            None => return Err("must be made of floats".to_string()),
        };
        MatRef::new(data, [self.depth, self.rows.len()], [1, self.depth]).map_err(gemm_failed)
    }

    /// `c = a · rowsᵀ`, with what the options say.
    pub(super) fn run(&self, a: MatRef<'_>, c: MatMut<'_>, options: GemmOptions<'_>) -> KernelResult {
        let b: Source<'_> = match &self.packed {
            Some(packed) => packed.into(),
            None => self.matrix()?.into(),
        };
        gemm::gemm(a, b, c, &options).map_err(gemm_failed)
    }

    /// `c = c + a · rowsᵀ`.
    pub(super) fn add(&self, a: MatRef<'_>, c: MatMut<'_>) -> KernelResult {
        self.run(a, c, GemmOptions { accumulate: true, ..GemmOptions::default() })
    }
}
