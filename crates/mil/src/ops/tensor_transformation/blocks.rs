//! Moving blocks between space, channels and batch of `[N, C, H, W]`.

use crate::ops::infer::{Inferred, check_rank, check_shape, given_ints, int_from, one, too_large};
use crate::{InferError, OpView};

/// The four dimensions of `x`.
fn image(op: &OpView<'_>) -> Result<[usize; 4], InferError> {
    let x = op.tensor("x")?;
    check_rank("x", x, 4..=4)?;
    Ok([x.shape[0], x.shape[1], x.shape[2], x.shape[3]])
}

fn result(op: &OpView<'_>, dims: [Option<usize>; 4], param: &'static str) -> Inferred {
    let [Some(n), Some(c), Some(h), Some(w)] = dims else { return Err(too_large(param)) };
    one(op.tensor("x")?.with_shape([n, c, h, w]))
}

/// Channels into space: `[N, C / b^2, H * b, W * b]`.
fn spread(op: &OpView<'_>, param: &'static str) -> Inferred {
    let ([n, c, h, w], block) = (image(op)?, int_from(op, param, 1)?);
    let area = block.checked_mul(block).ok_or_else(|| too_large(param))?;
    if c % area != 0 {
        return Err(InferError::new(
            param,
            format!("is {block}, but its square does not divide the {c} channels of `x`"),
        ));
    }
    result(op, [Some(n), Some(c / area), h.checked_mul(block), w.checked_mul(block)], param)
}

/// Space into channels: `[N, C * b^2, H / b, W / b]`.
fn gather(op: &OpView<'_>, param: &'static str) -> Inferred {
    let ([n, c, h, w], block) = (image(op)?, int_from(op, param, 1)?);
    if h % block != 0 || w % block != 0 {
        return Err(InferError::new(
            param,
            format!("is {block}, which does not divide both spatial dimensions of `x`, {h} and {w}"),
        ));
    }
    let channels = block.checked_mul(block).and_then(|area| c.checked_mul(area));
    result(op, [Some(n), channels, Some(h / block), Some(w / block)], param)
}

pub(super) fn depth_to_space(op: &OpView<'_>) -> Inferred {
    spread(op, "block_size")
}

pub(super) fn pixel_shuffle(op: &OpView<'_>) -> Inferred {
    spread(op, "upscale_factor")
}

pub(super) fn space_to_depth(op: &OpView<'_>) -> Inferred {
    gather(op, "block_size")
}

pub(super) fn pixel_unshuffle(op: &OpView<'_>) -> Inferred {
    gather(op, "downscale_factor")
}

/// `block_shape` and the borders (`paddings`, `crops`), before and after `H` and `W`.
fn blocks(op: &OpView<'_>, borders: &'static str) -> Result<([usize; 2], [[usize; 2]; 2]), InferError> {
    check_shape(op, "block_shape", &[2], "height and width")?;
    check_shape(op, borders, &[2, 2], "before and after height and width")?;
    let unsigned = |param: &'static str, least: usize| -> Result<Vec<usize>, InferError> {
        let fit = |value: i64| {
            usize::try_from(value).ok().filter(|&value| value >= least).ok_or_else(|| {
                InferError::new(param, format!("holds {value}, but must be {least} or more everywhere"))
            })
        };
        given_ints(op, param)?.into_iter().map(fit).collect()
    };
    let (block, border) = (unsigned("block_shape", 1)?, unsigned(borders, 0)?);
    Ok(([block[0], block[1]], [[border[0], border[1]], [border[2], border[3]]]))
}

pub(super) fn space_to_batch(op: &OpView<'_>) -> Inferred {
    let ([n, c, h, w], (block, paddings)) = (image(op)?, blocks(op, "paddings")?);
    let shrink = |size: usize, i: usize| {
        let padded = size.checked_add(paddings[i][0]).and_then(|size| size.checked_add(paddings[i][1]));
        let padded = padded.ok_or_else(|| too_large("paddings"))?;
        if padded % block[i] != 0 {
            let message = format!("makes {size} to {padded}, which blocks of {} do not divide", block[i]);
            return Err(InferError::new("paddings", message));
        }
        Ok(padded / block[i])
    };
    let batch = n.checked_mul(block[0]).and_then(|n| n.checked_mul(block[1]));
    result(op, [batch, Some(c), Some(shrink(h, 0)?), Some(shrink(w, 1)?)], "block_shape")
}

pub(super) fn batch_to_space(op: &OpView<'_>) -> Inferred {
    let ([n, c, h, w], (block, crops)) = (image(op)?, blocks(op, "crops")?);
    let area = block[0].checked_mul(block[1]).ok_or_else(|| too_large("block_shape"))?;
    if n % area != 0 {
        let message = format!("has {area} positions, which do not divide the batch of `x`, {n}");
        return Err(InferError::new("block_shape", message));
    }
    let grow = |size: usize, i: usize| {
        let full = size.checked_mul(block[i]).ok_or_else(|| too_large("block_shape"))?;
        let left = full.checked_sub(crops[i][0]).and_then(|size| size.checked_sub(crops[i][1]));
        left.ok_or_else(|| {
            let [before, after] = crops[i];
            InferError::new("crops", format!("takes {before} and {after} away from {full} positions"))
        })
    };
    result(op, [Some(n / area), Some(c), Some(grow(h, 0)?), Some(grow(w, 1)?)], "block_shape")
}
