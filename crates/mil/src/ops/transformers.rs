//! Attention.

use super::infer::{Inferred, check_rank, one};
use super::{BOOL, Effect, FLOAT, Family, OpDecl, Opset, Param};
use crate::{InferError, OpView, Shape, TensorType, shape};

/// The family's declarations.
pub static OPS: &[OpDecl] = &[OpDecl {
    name: "scaled_dot_product_attention",
    family: Family::Transformers,
    since: Opset::Ios18,
    summary: "`softmax(query * key^T / sqrt(E) + attn_mask) * value` for `query` `[*B, L, E]`, `key` `[*B, S, E]` and \
              `value` `[*B, S, V]`: shape `[*B, L, V]`. A `bool` mask keeps the positions that are true; masks broadcast \
              to `[*B, L, S]` in all dimensions but the last.",
    params: &[
        Param::tensor("query", b'T', FLOAT),
        Param::tensor("key", b'T', FLOAT),
        Param::tensor("value", b'T', FLOAT),
        Param::tensor("attn_mask", 0, BOOL.union(FLOAT)).optional(),
    ],
    effect: Effect::Pure,
    infer: attention,
}];

fn attention(op: &OpView<'_>) -> Inferred {
    let (query, key, value) = (op.tensor("query")?, op.tensor("key")?, op.tensor("value")?);
    check_rank("query", query, 3..=usize::MAX)?;
    let (batch, length, embedding) = parts(&query.shape);
    same_batch("key", key, query, batch)?;
    same_batch("value", value, query, batch)?;
    let (_, source, key_embedding) = parts(&key.shape);
    let (_, value_source, width) = parts(&value.shape);
    if key_embedding != embedding {
        let message = format!("has shape {}, but `query` has {embedding} features per position", key.shape);
        return Err(InferError::new("key", message));
    }
    if value_source != source {
        let message = format!("has shape {}, but `key` has {source} positions", value.shape);
        return Err(InferError::new("value", message));
    }
    let rows: Shape = batch.iter().copied().chain([length]).collect();
    check_mask(op, &rows, source)?;
    one(query.with_shape(rows.iter().copied().chain([width]).collect::<Shape>()))
}

/// Batch dimensions, positions, features. The rank is at least 2.
fn parts(shape: &[usize]) -> (&[usize], usize, usize) {
    let (batch, last) = shape.split_at(shape.len() - 2);
    (batch, last[0], last[1])
}

fn same_batch(
    param: &'static str,
    ty: &TensorType,
    query: &TensorType,
    batch: &[usize],
) -> Result<(), InferError> {
    if ty.shape.rank() == query.shape.rank() && ty.shape[..batch.len()] == *batch {
        return Ok(());
    }
    Err(InferError::new(
        param,
        format!(
            "has shape {}, but must have the batch dimensions of `query` with shape {}",
            ty.shape, query.shape
        ),
    ))
}

fn check_mask(op: &OpView<'_>, rows: &Shape, source: usize) -> Result<(), InferError> {
    if op.value("attn_mask").is_none() {
        return Ok(());
    }
    let mask = op.shape("attn_mask")?;
    let fits = mask
        .split_last()
        .is_some_and(|(&last, outer)| last == source && shape::broadcast(outer, rows).as_ref() == Some(rows));
    if fits {
        return Ok(());
    }
    let wanted: Shape = rows.iter().copied().chain([source]).collect();
    Err(InferError::new("attn_mask", format!("has shape {mask}, which does not broadcast to {wanted}")))
}
