//! Rewrites of attention, products, sums and normalizations.

use super::moving::along;
use super::pointwise::required;
use super::rewriter::again;
use super::{Context, Rewrite, UNSUPPORTED};
use crate::rules::Site;
use mil::ops::linear::{MatmulGeometry, matmul_geometry};
use mil::ops::normalization::normalized_axes;
use mil::{BuildError, Constant, DataType, FunctionBuilder, Operation, TensorType, ValueId};

type Results = Result<Vec<ValueId>, BuildError>;

const ATTENTION: &str = "matmul, the mask added, softmax, matmul";
const AFFINE: &str = "the normalization alone, then gamma and beta at rank 2";

pub(super) static REWRITES: &[Rewrite] = &[
    Rewrite {
        rule: "attention-mask",
        ops: &["scaled_dot_product_attention"],
        into: ATTENTION,
        possible: |_| true,
        apply: attention,
    },
    Rewrite {
        rule: "attention-size",
        ops: &["scaled_dot_product_attention"],
        into: ATTENTION,
        possible: |_| true,
        apply: attention,
    },
    Rewrite {
        rule: "log-sum-exp-overflow",
        ops: &["reduce_log_sum_exp"],
        into: "the maximum subtracted before and added after",
        possible: |site| site.op.output(0).dtype.is_float(),
        apply: log_sum_exp,
    },
    Rewrite {
        rule: "layer-norm-wide",
        ops: &["layer_norm"],
        into: AFFINE,
        possible: trailing,
        apply: affine,
    },
    Rewrite {
        rule: "layer-norm-affine",
        ops: &["layer_norm"],
        into: AFFINE,
        possible: trailing,
        apply: affine,
    },
    Rewrite {
        rule: "contraction",
        ops: &["matmul"],
        into: "products of parts, added",
        possible: |site| {
            let most = site.graph.limits.contraction.count().unwrap_or(0);
            let few = |sizes: MatmulGeometry| most > 0 && sizes.k.div_ceil(most) <= MOST;
            matmul_geometry(&site.op).is_ok_and(few) && site.op.output(0).dtype.is_float()
        },
        apply: parts,
    },
    Rewrite {
        rule: "epsilon-type",
        ops: &["layer_norm", "instance_norm", "batch_norm", "l2_norm"],
        into: "epsilon in the type of the values",
        // Too small a number would become 0.
        possible: |site| site.op.float("epsilon").is_ok_and(|epsilon| epsilon == 0.0 || epsilon >= 1e-7),
        apply: epsilon,
    },
    Rewrite {
        rule: "linear-rank",
        ops: &["linear"],
        into: "matmul and add",
        possible: |site| site.op.value("x").is_some_and(|x| site.op.function.shape(x).rank() == 4),
        apply: linear,
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["cumsum"],
        into: "a matmul with a triangle of ones",
        possible: |site| running_axis(site).is_some(),
        apply: cumsum,
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["band_part"],
        into: "a multiplication by a mask",
        possible: |site| band(site).is_some(),
        apply: band_part,
    },
];

fn attention(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let (query, key, value) =
        (required(f, operation, "query")?, required(f, operation, "key")?, required(f, operation, "value")?);
    let width = f.shape(query).last().copied().unwrap_or(1).max(1);
    let query = f.mul(query, 1.0 / (width as f32).sqrt())?;
    let mut scores = f.matmul(query, key, false, true)?;
    if let Some(mask) = f.function().view(operation).value("attn_mask") {
        let dtype = f.dtype(scores);
        let added = match f.dtype(mask) {
            DataType::Bool => {
                // Far below any score, far from overflow when added to one.
                let (kept, hidden) = (f.float(dtype, 0.0), f.float(dtype, -30000.0));
                f.select(mask, kept, hidden)?
            }
            _ => f.cast(mask, dtype)?,
        };
        scores = f.add(scores, added)?;
    }
    let weights = f.op("softmax").arg("x", scores).int("axis", -1).one()?;
    Ok(vec![f.matmul(weights, value, false, false)?])
}

fn log_sum_exp(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let x = required(f, operation, "x")?;
    let view = f.function().view(operation);
    let axes = mil::ops::reduction::reduced_axes(&view).unwrap_or_default();
    let axes: Vec<i32> = axes.into_iter().map(|axis| axis as i32).collect();
    let shape = result_shape(f, operation)?;
    let most = f.reduce("reduce_max", x, &axes, true)?;
    let below = f.sub(x, most)?;
    let terms = f.unary("exp", below)?;
    let sum = f.reduce("reduce_sum", terms, &axes, true)?;
    let logarithm = f.unary("log", sum)?;
    let result = f.add(logarithm, most)?;
    Ok(vec![f.reshape(result, &shape)?])
}

/// The shape of an operation's first result.
pub(super) fn result_shape(f: &FunctionBuilder, operation: &Operation) -> Result<Vec<usize>, BuildError> {
    let output = operation.outputs.first().copied();
    Ok(output.map_or_else(Vec::new, |output| f.shape(output).to_vec()))
}

/// Whether the axes that are normalized are the last ones, and few enough rows are left.
fn trailing(site: &Site<'_>) -> bool {
    let Some(x) = site.op.value("x").map(|x| site.op.function.shape(x)) else { return false };
    let Ok(axes) = normalized_axes(&site.op) else { return false };
    let first = x.rank() - axes.len();
    let rows: usize = x[..first].iter().fold(1, |n: usize, &dim| n.saturating_mul(dim));
    axes.iter().enumerate().all(|(at, &axis)| axis == first + at)
        && site.graph.limits.spatial.count().is_some_and(|most| rows <= most)
}

fn affine(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let view = f.function().view(operation);
    let (gamma, beta) = (view.value("gamma"), view.value("beta"));
    let axes = normalized_axes(&view).unwrap_or_default();
    let shape = result_shape(f, operation)?;
    let width: usize = axes.iter().map(|&axis| shape[axis]).product();
    let rows: usize = shape[..shape.len() - axes.len()].iter().product();
    let outputs = again(f, operation, &[("gamma", None), ("beta", None)])?;
    let mut value = f.reshape(outputs[0], &[rows, width])?;
    let dtype = f.dtype(value);
    for (op, by) in [("mul", gamma), ("add", beta)] {
        let Some(by) = by else { continue };
        let by = match f.function().constant(by).and_then(|by| by.reshaped([1, width]).ok()) {
            Some(constant) => f.constant(constant),
            None => f.reshape(by, &[1, width])?,
        };
        let by = f.cast(by, dtype)?;
        value = f.op(op).arg("x", value).arg("y", by).one()?;
    }
    Ok(vec![f.reshape(value, &shape)?])
}

/// Most parts that a sum is cut into.
const MOST: usize = 64;

/// A product whose sums are cut into parts of equal length, as far as that goes.
fn parts(f: &mut FunctionBuilder, operation: &Operation, context: &Context) -> Results {
    let (x, y) = (required(f, operation, "x")?, required(f, operation, "y")?);
    let fault = |_| BuildError::Missing { op: "matmul", name: None, param: "y" };
    let sizes = matmul_geometry(&f.function().view(operation)).map_err(fault)?;
    let most = context.limits.contraction.count().unwrap_or(sizes.k).max(1);
    let length = sizes.k.div_ceil(sizes.k.div_ceil(most).max(1)).max(1);
    let axis = |f: &FunctionBuilder, id: ValueId, last: bool| {
        let rank = f.shape(id).len();
        if last || rank == 1 { rank - 1 } else { rank - 2 }
    };
    let (x_axis, y_axis) = (axis(f, x, !sizes.transpose_x), axis(f, y, sizes.transpose_y));
    let mut sum: Option<ValueId> = None;
    for begin in (0..sizes.k).step_by(length) {
        let count = length.min(sizes.k - begin);
        let (x, y) = (along(f, x, x_axis, begin, count)?, along(f, y, y_axis, begin, count)?);
        let product = f.matmul(x, y, sizes.transpose_x, sizes.transpose_y)?;
        sum = Some(match sum {
            Some(sum) => f.add(sum, product)?,
            None => product,
        });
    }
    sum.map(|sum| vec![sum]).ok_or(BuildError::Missing { op: "matmul", name: None, param: "x" })
}

fn epsilon(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let x = required(f, operation, "x")?;
    let epsilon = f.function().view(operation).float("epsilon").unwrap_or(0.0);
    let epsilon = f.float(f.dtype(x), epsilon);
    again(f, operation, &[("epsilon", Some(epsilon))])
}

fn linear(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let (x, weight) = (required(f, operation, "x")?, required(f, operation, "weight")?);
    let bias = f.function().view(operation).value("bias");
    let product = f.matmul(x, weight, false, true)?;
    Ok(vec![match bias {
        Some(bias) => {
            let bias = f.cast(bias, f.dtype(product))?;
            f.add(product, bias)?
        }
        None => product,
    }])
}

/// Longest running sum that becomes a product: its triangle has 4 million elements.
const LONGEST: usize = 2048;

/// The axis of a running sum that can become a product.
fn running_axis(site: &Site<'_>) -> Option<usize> {
    let shape = site.op.function.shape(site.op.value("x")?);
    let axis = mil::shape::normalize_axis(site.op.int("axis").ok()?, shape.rank())?;
    (site.op.output(0).dtype.is_float() && shape.rank() <= 4 && shape[axis] <= LONGEST && !shape.contains(&0))
        .then_some(axis)
}

fn cumsum(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let x = required(f, operation, "x")?;
    let view = f.function().view(operation);
    let (exclusive, reverse) =
        (view.bool("exclusive").unwrap_or(false), view.bool("reverse").unwrap_or(false));
    let rank = f.shape(x).len();
    let axis = view.int("axis").ok().and_then(|axis| mil::shape::normalize_axis(axis, rank)).unwrap_or(0);
    let (length, dtype) = (f.shape(x)[axis], f.dtype(x));
    let ones: Vec<f32> = (0..length * length)
        .map(|at| {
            let (from, to) = (at / length, at % length);
            let (from, to) = if reverse { (to, from) } else { (from, to) };
            f32::from(u8::from(from < to || (from == to && !exclusive)))
        })
        .collect();
    let triangle = matrix(f, dtype, [length, length], ones)?;
    let mut perm: Vec<i32> = (0..rank as i32).collect();
    perm.swap(axis, rank - 1);
    let moved = if axis + 1 == rank { x } else { f.transpose(x, &perm)? };
    let sums = f.matmul(moved, triangle, false, false)?;
    Ok(vec![if axis + 1 == rank { sums } else { f.transpose(sums, &perm)? }])
}

/// A constant matrix of a float type.
fn matrix(
    f: &mut FunctionBuilder,
    dtype: DataType,
    shape: [usize; 2],
    values: Vec<f32>,
) -> Result<ValueId, BuildError> {
    let constant = match dtype {
        DataType::Fp16 => Constant::new(shape, values.into_iter().map(half::f16::from_f32).collect()),
        _ => Constant::new(shape, values),
    };
    constant
        .map(|constant| f.constant(constant))
        .map_err(|_| BuildError::TooLarge { ty: TensorType::new(dtype, shape) })
}

/// Rows, columns and bounds of a band.
fn band(site: &Site<'_>) -> Option<(usize, usize)> {
    let shape = site.op.function.shape(site.op.value("x")?);
    let &[.., rows, columns] = &**shape else { return None };
    (site.op.output(0).dtype.is_float() && rows.saturating_mul(columns) <= 1 << 20).then_some((rows, columns))
}

fn band_part(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let x = required(f, operation, "x")?;
    let view = f.function().view(operation);
    let (lower, upper) = (view.int("lower").unwrap_or(-1), view.int("upper").unwrap_or(-1));
    let shape = f.shape(x);
    let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let inside = |row: usize, column: usize| {
        let (row, column) = (row as i64, column as i64);
        (lower < 0 || row - column <= lower) && (upper < 0 || column - row <= upper)
    };
    let mask =
        (0..rows * columns).map(|at| f32::from(u8::from(inside(at / columns, at % columns)))).collect();
    let mask = matrix(f, f.dtype(x), [rows, columns], mask)?;
    Ok(vec![f.mul(x, mask)?])
}
