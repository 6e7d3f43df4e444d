//! `pad`.

use crate::ops::infer::{Inferred, check_scalar, choice, given_ints, one, too_large, vector_of};
use crate::{InferError, OpView, Shape};

/// The padding of a `pad`: before and after each dimension of `x`, leading dimensions included.
///
/// # Errors
/// When `pad` does not fit `x`; never for a verified operation.
pub fn padding(op: &OpView<'_>) -> Result<Vec<(usize, usize)>, InferError> {
    let rank = op.shape("x")?.rank();
    let len = vector_of(op, "pad")?;
    if len % 2 != 0 || len / 2 > rank {
        let message = format!("has {len} elements, but must have two for each of at most {rank} dimensions");
        return Err(InferError::new("pad", message));
    }
    let mut padding = vec![(0, 0); rank - len / 2];
    let count = |value: i64| {
        usize::try_from(value).map_err(|_| {
            InferError::new("pad", format!("holds {value}; to take elements away use `slice_by_index`"))
        })
    };
    for pair in given_ints(op, "pad")?.chunks_exact(2) {
        padding.push((count(pair[0])?, count(pair[1])?));
    }
    Ok(padding)
}

pub(super) fn infer(op: &OpView<'_>) -> Inferred {
    check_scalar(op, "constant_val")?;
    let x = op.tensor("x")?;
    let mode = choice(op, "mode", &["constant", "reflect", "replicate"])?;
    let grow = |(i, (&dim, (before, after))): (usize, (&usize, (usize, usize)))| {
        let most = match mode {
            "reflect" => dim.saturating_sub(1),
            "replicate" if dim == 0 => 0,
            _ => usize::MAX,
        };
        if before > most || after > most {
            let message = format!(
                "adds {before} and {after} to dimension {i} of size {dim}; mode \"{mode}\" adds at most {most}"
            );
            return Err(InferError::new("pad", message));
        }
        dim.checked_add(before).and_then(|dim| dim.checked_add(after)).ok_or_else(|| too_large("pad"))
    };
    let dims: Result<Shape, _> = x.shape.iter().zip(padding(op)?).enumerate().map(grow).collect();
    one(x.with_shape(dims?))
}
