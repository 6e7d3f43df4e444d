//! Losses: mean values over a batch, as `fp32` scalars.

use crate::{Graph, NnError};
use mil::{DataType, ValueId};

/// Targets with this value do not count, as in `torch.nn.CrossEntropyLoss`.
pub const IGNORE_INDEX: i32 = -100;

/// Mean of `logsumexp(logits) - logits[target]` over the targets that are not [`IGNORE_INDEX`].
///
/// `logits` is `[N, classes]`, `targets` `int32` `[N]`. Zero when no target counts.
pub fn cross_entropy(g: &mut Graph, logits: ValueId, targets: ValueId) -> Result<ValueId, NnError> {
    let &[rows, _] = g.shape(logits) else {
        let message =
            format!("takes logits [N, classes], but they have shape {}", g.function().shape(logits));
        return Err(NnError::config("cross_entropy", message));
    };
    let logits = g.cast(logits, DataType::Fp32)?;
    let counts = counted(g, targets)?;
    let zero = g.int(0);
    let safe = g.select(counts, targets, zero)?;
    let safe = g.reshape(safe, &[rows, 1])?;
    let normalizer = g.reduce("reduce_log_sum_exp", logits, &[-1], true)?;
    let chosen = g.op("gather_along_axis").arg("x", logits).arg("indices", safe).int("axis", 1).one()?;
    let loss = g.sub(normalizer, chosen)?;
    let loss = g.reshape(loss, &[rows])?;
    mean_of_counted(g, loss, counts)
}

/// Fraction of the counted targets that have the largest logit. Shapes as in [`cross_entropy`].
pub fn accuracy(g: &mut Graph, logits: ValueId, targets: ValueId) -> Result<ValueId, NnError> {
    let counts = counted(g, targets)?;
    let best = g.op("reduce_argmax").arg("x", logits).int("axis", -1).bool("keep_dims", false).one()?;
    let hits = g.equal(best, targets)?;
    let hits = g.cast(hits, DataType::Fp32)?;
    mean_of_counted(g, hits, counts)
}

/// Which targets count.
fn counted(g: &mut Graph, targets: ValueId) -> Result<ValueId, NnError> {
    let ignored = g.int(IGNORE_INDEX);
    Ok(g.not_equal(targets, ignored)?)
}

fn mean_of_counted(g: &mut Graph, values: ValueId, counts: ValueId) -> Result<ValueId, NnError> {
    let weights = g.cast(counts, DataType::Fp32)?;
    let weighted = g.mul(values, weights)?;
    let sum = g.reduce("reduce_sum", weighted, &[0], false)?;
    let count = g.reduce("reduce_sum", weights, &[0], false)?;
    let count = g.maximum(count, 1.0)?;
    Ok(g.real_div(sum, count)?)
}

/// Mean of `(x - y)²` over all elements.
pub fn mse(g: &mut Graph, x: ValueId, y: ValueId) -> Result<ValueId, NnError> {
    let difference = g.sub(x, y)?;
    let squares = g.mul(difference, difference)?;
    mean(g, squares)
}

/// Mean binary cross-entropy between `sigmoid(logits)` and `targets` (0 to 1), in the form that neither overflows nor
/// cancels: `max(x, 0) - x * y + log(1 + exp(-|x|))`.
pub fn bce_with_logits(g: &mut Graph, logits: ValueId, targets: ValueId) -> Result<ValueId, NnError> {
    let positive = g.unary("relu", logits)?;
    let product = g.mul(logits, targets)?;
    let size = g.unary("abs", logits)?;
    let negated = g.mul(size, -1.0)?;
    let tail = g.unary("softplus", negated)?;
    let loss = g.sub(positive, product)?;
    let loss = g.add(loss, tail)?;
    mean(g, loss)
}

fn mean(g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
    let x = g.cast(x, DataType::Fp32)?;
    let axes: Vec<i32> = (0..g.shape(x).len() as i32).collect();
    if axes.is_empty() { Ok(x) } else { Ok(g.reduce("reduce_mean", x, &axes, false)?) }
}
