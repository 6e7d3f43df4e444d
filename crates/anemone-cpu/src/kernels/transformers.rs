//! Attention: products of [`gemm`], softmax in between, in `f32` throughout.

use super::activation::{divide, exp_of};
use super::fold::{self, Max, Sum};
use super::linear::{elements, elements_mut, gemm_failed, skip, skip_mut};
use super::{Call, KernelResult, Lower, Lowered, operand, parallel};
use crate::gemm::{self, Arithmetic, BatchDim, GemmOptions, MatMut, MatRef};
use crate::isa::per_isa;
use crate::numerics::reduce;
use crate::numerics::rounding::round_floats;
use half::f16;
use mil::{DataType, InferError, OpView};

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] =
    &[("scaled_dot_product_attention", |op| attention(op, Arithmetic::Float))];

/// The same in the engine's fixed point, for results of type `fp16`; scores are rounded after each operation on them.
pub(crate) static FIXED: &[(&str, Lower)] =
    &[("scaled_dot_product_attention", |op| attention(op, Arithmetic::Fixed))];

/// Bytes of scores held at a time: a share of the last-level cache.
const SCORES: usize = 8 << 20;

/// Sizes of an attention: `heads` is the product of all batch dimensions.
#[derive(Clone, Copy)]
struct Sizes {
    heads: usize,
    length: usize,
    source: usize,
    embedding: usize,
    width: usize,
    /// Rows of queries handled at a time.
    block: usize,
    arithmetic: Arithmetic,
}

/// Where the mask of a row of scores begins.
struct Mask {
    operand: usize,
    dtype: DataType,
    /// Sizes of the dimensions `[*B, L]` and the steps of the mask in them.
    dims: Vec<(usize, usize)>,
}

impl Mask {
    fn of(op: &OpView<'_>, rows: &[usize]) -> Result<Option<Mask>, InferError> {
        if op.value("attn_mask").is_none() {
            return Ok(None);
        }
        let mask = op.tensor("attn_mask")?;
        let (own, strides) = (&mask.shape, mask.shape.strides());
        let lead = rows.len() + 1 - own.rank();
        let step = |i: usize| match i.checked_sub(lead) {
            Some(at) if own[at] != 1 => strides[at],
            _ => 0,
        };
        let dims = rows.iter().enumerate().map(|(i, &size)| (size, step(i))).collect();
        Ok(Some(Mask { operand: operand(op, "attn_mask")?, dtype: mask.dtype, dims }))
    }

    fn start(&self, mut row: usize) -> usize {
        let mut start = 0;
        for &(size, step) in self.dims.iter().rev() {
            start += row % size * step;
            row /= size;
        }
        start
    }
}

fn attention(op: &OpView<'_>, arithmetic: Arithmetic) -> Result<Lowered, InferError> {
    let (query, value) = (op.shape("query")?, op.shape("value")?);
    let rank = query.rank();
    let heads: usize = query[..rank - 2].iter().product();
    let (length, embedding) = (query[rank - 2], query[rank - 1]);
    let (source, width) = (value[rank - 2], value[rank - 1]);
    let rows = SCORES / heads.saturating_mul(source).saturating_mul(4).max(1);
    let block = rows.clamp(16, 256).min(length.max(1));
    let sizes = Sizes { heads, length, source, embedding, width, block, arithmetic };
    let mask = Mask::of(op, &query[..rank - 1])?;
    let operands = [operand(op, "query")?, operand(op, "key")?, operand(op, "value")?];
    let run = move |call: &mut Call<'_>| -> KernelResult {
        (0..sizes.length)
            .step_by(sizes.block)
            .try_for_each(|first| rows_from(call, sizes, operands, mask.as_ref(), first))
    };
    Ok(Lowered::new(run).scratch(heads.saturating_mul(block * 4).saturating_mul(source)))
}

/// Rows `first..` of every head's queries.
fn rows_from(
    call: &mut Call<'_>,
    sizes: Sizes,
    [query, key, value]: [usize; 3],
    mask: Option<&Mask>,
    first: usize,
) -> KernelResult {
    let Sizes { heads, length, source, embedding, width, block, arithmetic } = sizes;
    let rows = block.min(length - first);
    let [query, key, value] = [query, key, value].map(|operand| elements(&call.inputs[operand]));
    let scores = &mut bytemuck::cast_slice_mut::<u8, f32>(call.scratch)[..heads * rows * source];
    let a = MatRef::row_major(skip(query, first * embedding), [rows, embedding]).map_err(gemm_failed)?;
    let b = MatRef::row_major(key, [source, embedding]).map_err(gemm_failed)?.transposed();
    let c = MatMut::row_major(&mut *scores, [rows, source]).map_err(gemm_failed)?;
    let batch = [BatchDim { count: heads, a: length * embedding, b: source * embedding, c: rows * source }];
    gemm::gemm(a, b, c, &GemmOptions { batch: &batch, arithmetic, ..GemmOptions::default() })
        .map_err(gemm_failed)?;

    let scale = 1.0 / (embedding as f32).sqrt();
    let masks = mask.map(|mask| (mask, &call.inputs[mask.operand]));
    parallel::rows(scores, source, 16, |row, scores| {
        let round = |scores: &mut [f32]| match arithmetic {
            Arithmetic::Float => {}
            Arithmetic::Fixed => round_floats(scores),
        };
        scale_row(scores, scale);
        round(scores);
        if let Some((mask, input)) = masks {
            let start = mask.start(row / rows * length + first + row % rows);
            match mask.dtype {
                DataType::Fp32 => add_row(scores, &input.slice::<f32>()[start..]),
                DataType::Fp16 => {
                    let mask = &input.slice::<f16>()[start..];
                    scores.iter_mut().zip(mask).for_each(|(score, mask)| *score += mask.to_f32());
                }
                _ => keep_row(scores, &input.bytes()[start..]),
            }
            round(scores);
        }
        softmax_row(scores, arithmetic);
    });

    let a = MatRef::row_major(&*scores, [rows, source]).map_err(gemm_failed)?;
    let b = MatRef::row_major(value, [source, width]).map_err(gemm_failed)?;
    let output = skip_mut(elements_mut(&mut call.outputs[0]), first * width);
    let c = MatMut::row_major(output, [rows, width]).map_err(gemm_failed)?;
    let batch = [BatchDim { count: heads, a: rows * source, b: source * width, c: length * width }];
    gemm::gemm(a, b, c, &GemmOptions { batch: &batch, arithmetic, ..GemmOptions::default() })
        .map_err(gemm_failed)
}

per_isa! {
    fn scale_row[](scores: &mut [f32], scale: f32) -> () {
        for score in scores {
            *score *= scale;
        }
    }
}

per_isa! {
    fn add_row[](scores: &mut [f32], mask: &[f32]) -> () {
        for (score, mask) in scores.iter_mut().zip(mask) {
            *score += mask;
        }
    }
}

per_isa! {
    fn keep_row[](scores: &mut [f32], mask: &[u8]) -> () {
        for (score, mask) in scores.iter_mut().zip(mask) {
            *score = if *mask != 0 { *score } else { f32::NEG_INFINITY };
        }
    }
}

/// Softmax; a row in which nothing is kept attends to nothing: zeros.
fn softmax_row(scores: &mut [f32], arithmetic: Arithmetic) {
    let max = fold::run(&Max, scores);
    if max == f32::NEG_INFINITY {
        return scores.fill(0.0);
    }
    if arithmetic == Arithmetic::Fixed {
        return reduce::softmax_line(scores);
    }
    exp_of(scores, max);
    let sum = fold::run(&Sum, scores);
    divide(scores, sum);
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};
    use mil::Constant;

    #[test]
    fn attends_by_definition() {
        for (masked, [h, l, s, e, v]) in
            [(0, [3, 5, 7, 4, 6]), (1, [2, 40, 40, 8, 8]), (2, [2, 9, 33, 16, 3])]
        {
            let mut case = Case::new("scaled_dot_product_attention");
            let q = case.float("query", &[2, h, l, e]);
            let k = case.float("key", &[2, h, s, e]);
            let x = case.float("value", &[2, h, s, v]);
            let causal: Vec<bool> = (0..l * s).map(|at| at % s <= at / s).collect();
            let mut bias = vec![0.0; 2 * l * s];
            match masked {
                1 => case.constant("attn_mask", Constant::bools([l, s], &causal).unwrap()),
                2 => bias = case.float("attn_mask", &[2, 1, l, s]),
                _ => {}
            }
            let mut want = Vec::new();
            for row in 0..2 * h * l {
                let (head, at) = (row / l, row % l);
                let scores: Vec<f64> = (0..s)
                    .map(|j| {
                        if masked == 1 && !causal[at * s + j] {
                            return 0.0;
                        }
                        let dot: f64 = (0..e).map(|i| q[row * e + i] * k[(head * s + j) * e + i]).sum();
                        (dot / (e as f64).sqrt() + bias[(head / h * l + at) * s + j]).exp()
                    })
                    .collect();
                let sum: f64 = scores.iter().sum();
                want.extend(
                    (0..v).map(|i| (0..s).map(|j| scores[j] / sum * x[(head * s + j) * v + i]).sum::<f64>()),
                );
            }
            case.check(&want, Tolerance::SUM);
        }
    }
}
