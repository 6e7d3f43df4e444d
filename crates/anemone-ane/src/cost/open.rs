//! Products of which some lengths are not known: counted as those of known lengths, with an assumed one for the others.

use super::work::{Context, Work};
use mil::{OpView, Operation, Shape, UNKNOWN, ValueId};

/// The product that an operation does; none for what is no product or does not fit together.
pub(super) fn product(context: &Context<'_>, operation: &Operation, view: &OpView<'_>) -> Option<Work> {
    match view.name() {
        "conv" | "conv_quantized" | "conv_transpose" => conv(context, operation, view),
        "linear" => {
            let (x, weight) = (view.value("x")?, view.value("weight")?);
            let (mut rows, columns) = (lengths(context, x), *lengths(context, weight).first()?);
            let depth = either(context, (x, rows.len().checked_sub(1)?), (weight, 1));
            rows.pop();
            Some(context.product(operation, x, weight, [1.0, rows.iter().product(), depth, columns]))
        }
        "matmul" => matmul(context, operation, view),
        _ => None,
    }
}

/// Convolutions: windows are known wherever the weight is, positions are those of the output.
fn conv(context: &Context<'_>, operation: &Operation, view: &OpView<'_>) -> Option<Work> {
    let transposed = view.name() == "conv_transpose";
    let (x, weight) = (view.value("x")?, view.value("weight")?);
    let (output, sizes) = (lengths(context, *operation.outputs.first()?), lengths(context, weight));
    let kernel = sizes.get(2..)?;
    let groups = view.int("groups").ok().filter(|&groups| groups > 0).unwrap_or(1) as f64;
    let ones = |param| match view.ints(param) {
        Ok(Some(values)) => values,
        _ => vec![1; kernel.len()],
    };
    let (strides, dilations) = (ones("strides"), ones("dilations"));
    let window: f64 = kernel.iter().product();
    let (depth, columns) =
        if transposed { (sizes[0] / groups, sizes[1]) } else { (sizes[1], sizes[0] / groups) };
    let rows = output.first()? * output.get(2..)?.iter().product::<f64>();
    let mut work = context.product(operation, x, weight, [groups, rows, depth * window, columns]);
    if transposed {
        // Every input element meets every tap once; the positions above are those of the output.
        work.flops /= strides.iter().map(|&stride| stride.max(1) as f64).product::<f64>();
    }
    work.conv = true;
    work.windowed = window > 1.0;
    work.winograd = !transposed
        && groups == 1.0
        && kernel == [3.0, 3.0]
        && strides.iter().chain(&dilations).all(|&one| one == 1);
    Some(work)
}

fn matmul(context: &Context<'_>, operation: &Operation, view: &OpView<'_>) -> Option<Work> {
    let (x, y) = (view.value("x")?, view.value("y")?);
    let (left, right) = (lengths(context, x), lengths(context, y));
    let transposed = |param| view.bool(param).unwrap_or(false);
    // Places of rows and columns, counted from the last; a vector is one row on the left and one column on the right.
    let at = |sizes: &[f64], back: usize| sizes.len().checked_sub(back).map(|at| sizes[at]);
    let (row, inner) = if transposed("transpose_x") { (1, 2) } else { (2, 1) };
    let rows = at(&left, row).unwrap_or(1.0);
    let (shared, column) = match (right.len(), transposed("transpose_y")) {
        (1, _) => (1, 2),
        (_, true) => (1, 2),
        (_, false) => (2, 1),
    };
    let columns = at(&right, column).unwrap_or(1.0);
    let depth = either(context, (x, left.len().checked_sub(inner)?), (y, right.len().checked_sub(shared)?));
    let outer = |sizes: &[f64]| sizes.iter().rev().skip(2).copied().collect::<Vec<f64>>();
    let (x_batch, y_batch) = (outer(&left), outer(&right));
    // Batch dimensions broadcast from the last.
    let batch: f64 = (0..x_batch.len().max(y_batch.len()))
        .map(|at| {
            let of = |sizes: &[f64]| sizes.get(at).copied().unwrap_or(1.0);
            if of(&x_batch) == 1.0 { of(&y_batch) } else { of(&x_batch) }
        })
        .product();
    // A right operand without batch sees the whole left one as rows of one matrix.
    let dims = match y_batch.iter().product::<f64>() <= 1.0 {
        true => [1.0, batch * rows, depth, columns],
        false => [batch, rows, depth, columns],
    };
    Some(context.product(operation, x, y, dims))
}

/// The dimensions of a value, unknown ones as assumed.
fn lengths(context: &Context<'_>, value: ValueId) -> Vec<f64> {
    let length = |&dim: &usize| if dim == UNKNOWN { context.assumed as f64 } else { dim as f64 };
    context.function.shape(value).iter().map(length).collect()
}

/// The length that two operands share: the one that is known of it.
fn either(context: &Context<'_>, one: (ValueId, usize), other: (ValueId, usize)) -> f64 {
    let dim = |(value, at): (ValueId, usize)| {
        let shape: &Shape = context.function.shape(value);
        shape.get(at).copied().filter(|&dim| dim != UNKNOWN)
    };
    dim(one).or_else(|| dim(other)).unwrap_or(context.assumed) as f64
}
