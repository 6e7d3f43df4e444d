//! Which kernel computes an operation as the engine does.

use super::{AneGeneration, Numerics, reduce, table, wide};
use crate::elementwise::Rounding;
use crate::kernels::{self, Lowered, parallel};
use half::f16;
use mil::ops::tensor_transformation::slice_spec;
use mil::{DataType, InferError, OpView};

/// Ops that are computed in `fp32` and rounded once, half away from zero.
const WIDE: &[&str] = &[
    "affine",
    "avg_pool",
    "batch_norm",
    "crop_resize",
    "cumsum",
    "dequantize",
    "l2_norm",
    "l2_pool",
    "local_response_norm",
    "reduce_log_sum_exp",
    "reduce_prod",
    "resample",
    "resize",
    "resize_bilinear",
    "upsample_bilinear",
];

/// How an elementwise operation rounds to `fp16`. Casts from types that the engine does not have are the host's.
pub(crate) fn rounding(op: &OpView<'_>, numerics: Numerics) -> Rounding {
    let host = op.name() == "cast" && op.dtype("x").is_ok_and(|dtype| dtype != DataType::Fp16);
    match numerics {
        Numerics::Ane(_) if !host => Rounding::HalfAway,
        _ => Rounding::HalfEven,
    }
}

/// The kernel of an operation; `None` where the ordinary one, with [`rounding`] if it is elementwise, gives the engine's
/// numbers, or those of the host.
pub(crate) fn kernel(op: &OpView<'_>, numerics: Numerics) -> Option<Result<Lowered, InferError>> {
    let Numerics::Ane(generation) = numerics else { return None };
    if !op.operation.outputs.iter().any(|&id| op.function.dtype(id) == DataType::Fp16) {
        return None;
    }
    match op.name() {
        "conv" if generation.has_winograd() => {
            if let Some(lowered) = kernels::conv::winograd(op) {
                return Some(lowered);
            }
        }
        "einsum" if !kernels::linear::einsum_is_product(op) => return Some(wide::lower(op)),
        "softmax" => return Some(reduce::softmax(op)),
        "layer_norm" => return Some(reduce::layer_norm(op)),
        "instance_norm" => return Some(reduce::instance_norm(op)),
        "slice_by_index" | "slice_by_size" => return limited_slice(op, generation),
        name if WIDE.contains(&name) => return Some(wide::lower(op)),
        _ => {}
    }
    let fixed = || kernels::find_fixed(op.name()).map(|lower| lower(op));
    fixed().or_else(|| reduce::lower(op)).or_else(|| table::lower(op, generation).map(Ok))
}

/// A slice that begins after the first element of the last axis, where that passes through fixed point of limited range.
fn limited_slice(op: &OpView<'_>, generation: AneGeneration) -> Option<Result<Lowered, InferError>> {
    let limit = f16::from_f32(generation.slice_limit()?);
    let last = slice_spec(op).ok()?.axes.last().map(|axis| axis.begin)?;
    if last == 0 {
        return None;
    }
    let lowered = kernels::find(op.name())?(op);
    Some(lowered.map(|lowered| {
        let scratch = lowered.scratch;
        let run = move |call: &mut kernels::Call<'_>| {
            (lowered.run)(call)?;
            parallel::rows(call.outputs[0].slice::<f16>(), parallel::GRAIN, 1, |_, values| {
                for value in values {
                    if value.to_f32().abs() > limit.to_f32() {
                        *value = if value.is_sign_negative() { f16::NEG_INFINITY } else { f16::INFINITY };
                    }
                }
            });
            Ok(())
        };
        Lowered::new(run).scratch(scratch)
    }))
}
