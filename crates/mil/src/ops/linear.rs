//! Matrix products.

use super::infer::{Inferred, check_rank, check_shape, one};
use super::{DefaultValue, Effect, FLOAT, Family, NUMBER, OpDecl, Opset, Param};
use crate::{DataType, InferError, OpView, Shape, shape};

pub mod einsum;

const X: Param = Param::tensor("x", b'T', NUMBER);
const WEIGHT: Param = Param::tensor("weight", b'T', NUMBER).constant().widened(Opset::Ios17, b'U', NUMBER);

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    OpDecl {
        name: "linear",
        family: Family::Linear,
        since: Opset::Ios15,
        summary: "`x * weight^T + bias` for `x` `[*D, D_in]`, constant `weight` `[D_out, D_in]` and `bias` `[D_out]` (none by \
                  default). For a weight that changes use `matmul` with `transpose_y`.",
        params: &[
            X,
            WEIGHT,
            Param::tensor("bias", b'T', NUMBER).constant().widened(Opset::Ios17, b'U', NUMBER).optional(),
        ],
        effect: Effect::Pure,
        infer: linear,
    },
    OpDecl {
        name: "matmul",
        family: Family::Linear,
        since: Opset::Ios15,
        summary: "Matrix product of the last two dimensions; the others broadcast. A vector `x` counts as a row, a vector `y` \
                  as a column, and the added dimension is dropped from the result.",
        params: &[
            X,
            Param::tensor("y", b'T', NUMBER).widened(Opset::Ios17, b'U', NUMBER),
            Param::bool("transpose_x").or(DefaultValue::Bool(false)),
            Param::bool("transpose_y").or(DefaultValue::Bool(false)),
        ],
        effect: Effect::Pure,
        infer: matmul,
    },
    OpDecl {
        name: "einsum",
        family: Family::Linear,
        since: Opset::Ios15,
        summary: "Einstein summation: `equation` names each dimension with a letter, as in \"nchw,nwhu->nchu\"; letters that \
                  the output lacks are summed over; a dimension of 1 stretches. (Core ML itself takes that equation and \
                  \"chw,whr->chr\" only.)",
        params: &[Param::tuple("values", b'T', FLOAT), Param::string("equation")],
        effect: Effect::Pure,
        infer: einsum::infer,
    },
];

/// The sizes of a matrix product `[*batch, m, k] x [*batch, k, n]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatmulGeometry {
    /// Batch dimensions of `x`, before broadcasting.
    pub x_batch: Shape,
    /// Batch dimensions of `y`, before broadcasting.
    pub y_batch: Shape,
    /// Batch dimensions of the result.
    pub batch: Shape,
    /// Rows of `x`, after transposition.
    pub m: usize,
    /// Columns of `x`, rows of `y`.
    pub k: usize,
    /// Columns of `y`, after transposition.
    pub n: usize,
    /// Whether `x` is transposed in memory: `[k, m]`.
    pub transpose_x: bool,
    /// Whether `y` is transposed in memory: `[n, k]`.
    pub transpose_y: bool,
}

/// The sizes of a `matmul`; a vector `x` counts as one row, a vector `y` as one column.
///
/// # Errors
/// When the operands do not fit together; never for a verified operation.
pub fn matmul_geometry(op: &OpView<'_>) -> Result<MatmulGeometry, InferError> {
    let (x, y) = (op.tensor("x")?, op.tensor("y")?);
    check_rank("x", x, 1..=usize::MAX)?;
    check_rank("y", y, 1..=usize::MAX)?;
    let (transpose_x, transpose_y) = (op.bool("transpose_x")?, op.bool("transpose_y")?);
    for (param, transposed, shape) in
        [("transpose_x", transpose_x, &x.shape), ("transpose_y", transpose_y, &y.shape)]
    {
        if transposed && shape.rank() == 1 {
            return Err(InferError::new(param, "is true, but a vector cannot be transposed"));
        }
    }
    let ((x_batch, m, x_k), (y_batch, k, n)) =
        (matrix(&x.shape, transpose_x, true), matrix(&y.shape, transpose_y, false));
    if x_k != k {
        return Err(InferError::new(
            "y",
            format!(
                "has shape {} and gives {k} rows, but `x` with shape {} gives {x_k} columns",
                y.shape, x.shape
            ),
        ));
    }
    let batch = shape::broadcast(x_batch, y_batch).ok_or_else(|| {
        InferError::new(
            "y",
            format!(
                "has shape {}, whose batch dimensions do not broadcast with those of {}",
                y.shape, x.shape
            ),
        )
    })?;
    let (x_batch, y_batch) = (Shape::new(x_batch), Shape::new(y_batch));
    Ok(MatmulGeometry { x_batch, y_batch, batch, m, k, n, transpose_x, transpose_y })
}

/// Batch dimensions, rows and columns of an operand.
fn matrix(shape: &[usize], transposed: bool, row: bool) -> (&[usize], usize, usize) {
    match shape {
        [len] if row => (&[], 1, *len),
        [len] => (&[], *len, 1),
        [batch @ .., columns, rows] if transposed => (batch, *rows, *columns),
        [batch @ .., rows, columns] => (batch, *rows, *columns),
        [] => (&[], 1, 1),
    }
}

fn matmul(op: &OpView<'_>) -> Inferred {
    let (x, y) = (op.tensor("x")?, op.tensor("y")?);
    let geometry = matmul_geometry(op)?;
    let mut dims = geometry.batch.clone();
    if x.shape.rank() > 1 {
        dims.dims_mut().push(geometry.m);
    }
    if y.shape.rank() > 1 {
        dims.dims_mut().push(geometry.n);
    }
    one(x.with_shape(dims).with_dtype(matmul_dtype(op, x.dtype, y.dtype)?))
}

/// From iOS17 on a constant operand may have another element type; the result has that of the other one.
fn matmul_dtype(op: &OpView<'_>, x: DataType, y: DataType) -> Result<DataType, InferError> {
    let (x_constant, y_constant) = (op.constant("x").is_some(), op.constant("y").is_some());
    match (x_constant, y_constant) {
        _ if x == y => Ok(x),
        (true, false) => Ok(y),
        (false, true) => Ok(x),
        _ => Err(InferError::new(
            "y",
            format!("is {y}, but `x` is {x}; they may differ only when exactly one of them is a constant"),
        )),
    }
}

fn linear(op: &OpView<'_>) -> Inferred {
    let (x, weight) = (op.tensor("x")?, op.tensor("weight")?);
    check_rank("x", x, 1..=usize::MAX)?;
    check_rank("weight", weight, 2..=2)?;
    let (last, out) = (x.shape.rank() - 1, weight.shape[0]);
    if x.shape[last] != weight.shape[1] {
        return Err(InferError::new(
            "weight",
            format!(
                "has shape {}, but `x` with shape {} has {} features",
                weight.shape, x.shape, x.shape[last]
            ),
        ));
    }
    check_shape(op, "bias", &[out], "dimension 0 of `weight`")?;
    let mut dims = x.shape.clone();
    dims.dims_mut()[last] = out;
    one(x.with_shape(dims))
}
