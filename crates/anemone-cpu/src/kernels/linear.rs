//! Matrix products: all of them one strided, batched [`gemm`] call that copies no operand. Order of summation: see
//! [`gemm`].

use super::{Call, In, KernelResult, Lower, Lowered, Out, operand, parallel, unsupported};
use crate::gemm::{
    self, Arithmetic, BatchDim, Bias, GemmError, GemmOptions, MatMut, MatRef, Packed, Side, Source,
};
use half::f16;
use mil::ops::linear::{MatmulGeometry, matmul_geometry};
use mil::{Constant, DataType, InferError, OpView, Shape};
use smallvec::SmallVec;

mod einsum;

pub(crate) use einsum::is_product as einsum_is_product;

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("einsum", |op| einsum::lower(op, Arithmetic::Float)),
    ("linear", |op| linear(op, Arithmetic::Float)),
    ("matmul", |op| matmul(op, Arithmetic::Float)),
];

/// The same in the engine's fixed point, for results of type `fp16`.
pub(crate) static FIXED: &[(&str, Lower)] = &[
    ("einsum", |op| einsum::lower(op, Arithmetic::Fixed)),
    ("linear", |op| linear(op, Arithmetic::Fixed)),
    ("matmul", |op| matmul(op, Arithmetic::Fixed)),
];

/// Rows below which packing a constant beforehand is no gain: the product is bound by reading it once.
pub(crate) const PACK_ROWS: usize = 4;

/// The elements of a float operand, for [`gemm`].
pub(crate) fn elements<'a>(input: &In<'a>) -> gemm::Operand<'a> {
    match input.ty().dtype {
        DataType::Fp16 => input.slice::<f16>().into(),
        _ => input.slice::<f32>().into(),
    }
}

/// The elements of a float output, for [`gemm`].
pub(crate) fn elements_mut<'a>(output: &'a mut Out<'_>) -> gemm::OperandMut<'a> {
    match output.ty().dtype {
        DataType::Fp16 => output.slice::<f16>().into(),
        _ => output.slice::<f32>().into(),
    }
}

/// The elements of a float constant, for [`gemm`].
pub(crate) fn constant_elements(constant: &Constant) -> Option<gemm::Operand<'_>> {
    match constant.as_slice::<f16>() {
        Some(data) => Some(data.into()),
        None => constant.as_slice::<f32>().map(Into::into),
    }
}

/// The elements from number `count` on; none when there are no more.
pub(crate) fn skip(data: gemm::Operand<'_>, count: usize) -> gemm::Operand<'_> {
    match data {
        gemm::Operand::F32(data) => gemm::Operand::F32(data.get(count..).unwrap_or_default()),
        gemm::Operand::F16(data) => gemm::Operand::F16(data.get(count..).unwrap_or_default()),
    }
}

/// The same of an output.
pub(crate) fn skip_mut(data: gemm::OperandMut<'_>, count: usize) -> gemm::OperandMut<'_> {
    match data {
        gemm::OperandMut::F32(data) => gemm::OperandMut::F32(data.get_mut(count..).unwrap_or_default()),
        gemm::OperandMut::F16(data) => gemm::OperandMut::F16(data.get_mut(count..).unwrap_or_default()),
    }
}

/// Shapes are verified and strides derived from them, so that this tells of a fault of the kernel.
pub(crate) fn gemm_failed(error: GemmError) -> String {
    format!("the matrix product was refused: {error}")
}

/// A matrix in an operand: rows, columns and their strides.
#[derive(Clone, Copy, Debug)]
struct View {
    shape: [usize; 2],
    strides: [usize; 2],
}

impl View {
    /// A dense matrix, stored transposed or not.
    fn dense(rows: usize, columns: usize, transposed: bool) -> View {
        let strides = if transposed { [1, rows] } else { [columns, 1] };
        View { shape: [rows, columns], strides }
    }

    fn of<'a>(self, data: impl Into<gemm::Operand<'a>>) -> Result<MatRef<'a>, String> {
        MatRef::new(data, self.shape, self.strides).map_err(gemm_failed)
    }
}

/// Batch dimensions of a product: distances between items of the operands, 0 where one is broadcast.
fn batch_dims(geometry: &MatmulGeometry) -> SmallVec<[BatchDim; 4]> {
    let rank = geometry.batch.rank();
    let strides = |own: &Shape, item: usize| -> SmallVec<[usize; 6]> {
        let mut strides = SmallVec::from_elem(0, rank);
        for (i, stride) in own.strides().into_iter().enumerate() {
            let at = rank - own.rank() + i;
            strides[at] = if own[i] == 1 { 0 } else { stride * item };
        }
        strides
    };
    let a = strides(&geometry.x_batch, geometry.m * geometry.k);
    let b = strides(&geometry.y_batch, geometry.k * geometry.n);
    let c = strides(&geometry.batch, geometry.m * geometry.n);
    let mut dims: SmallVec<[BatchDim; 4]> = SmallVec::new();
    for i in (0..rank).filter(|&i| geometry.batch[i] != 1) {
        let dim = BatchDim { count: geometry.batch[i], a: a[i], b: b[i], c: c[i] };
        match dims.last_mut() {
            Some(last) if [last.a, last.b, last.c] == [dim.a, dim.b, dim.c].map(|step| step * dim.count) => {
                *last = BatchDim { count: last.count * dim.count, ..dim };
            }
            _ => dims.push(dim),
        }
    }
    dims
}

fn matmul(op: &OpView<'_>, arithmetic: Arithmetic) -> Result<Lowered, InferError> {
    let mut geometry = matmul_geometry(op)?;
    let shared_y = geometry.y_batch.count() == 1;
    if shared_y && !geometry.transpose_x && geometry.x_batch == geometry.batch {
        // One matrix `y` for all items: their rows are those of one tall matrix.
        geometry.m *= geometry.batch.count();
        geometry.batch = Shape::scalar();
        geometry.x_batch = Shape::scalar();
        geometry.y_batch = Shape::scalar();
    }
    let kinds = [of_kind(op, "x", op.output(0).dtype)?, of_kind(op, "y", op.output(0).dtype)?];
    match op.output(0).dtype {
        DataType::Fp32 | DataType::Fp16 => float_matmul(op, geometry, kinds, arithmetic),
        DataType::Int32 => Ok(int_matmul(geometry, kinds)),
        _ => Err(unsupported("x", op.tensor("x")?)),
    }
}

/// From iOS17 on a constant may be made of integers where the other operand and the result are floats, and the other way
/// round. Kernels multiply one kind of number only, so this is such a constant in the result's type: integers as the nearest
/// float, floats only where they are whole. `None` for an operand of the result's kind.
fn of_kind(op: &OpView<'_>, param: &'static str, result: DataType) -> Result<Option<Constant>, InferError> {
    let Some(constant) = op.constant(param).filter(|own| own.ty().dtype.is_float() != result.is_float())
    else {
        let own = op.tensor(param)?;
        let same = own.dtype.is_float() == result.is_float();
        return if same { Ok(None) } else { Err(unsupported(param, own)) };
    };
    let shape = constant.ty().shape.clone();
    let converted = match (result, constant.to_i64(), constant.to_f32()) {
        (DataType::Fp32, Some(ints), _) => {
            Constant::new(shape, ints.iter().map(|&int| int as f32).collect::<Vec<f32>>())
        }
        (DataType::Fp16, Some(ints), _) => {
            Constant::new(shape, ints.iter().map(|&int| f16::from_f32(int as f32)).collect::<Vec<f16>>())
        }
        (DataType::Int32, _, Some(floats)) => {
            if let Some(found) = floats.iter().find(|&&float| float as i32 as f32 != float) {
                let message =
                    format!("holds {found}, but where the result is int32 it must hold whole numbers");
                return Err(InferError::new(param, message));
            }
            Constant::new(shape, floats.iter().map(|&float| float as i32).collect::<Vec<i32>>())
        }
        _ => return Err(unsupported(param, constant.ty())),
    };
    converted.map(Some).map_err(|error| InferError::new(param, error.to_string()))
}

fn float_matmul(
    op: &OpView<'_>,
    geometry: MatmulGeometry,
    [kind_x, kind_y]: [Option<Constant>; 2],
    arithmetic: Arithmetic,
) -> Result<Lowered, InferError> {
    let batch = batch_dims(&geometry);
    let x = View::dense(geometry.m, geometry.k, geometry.transpose_x);
    let y = View::dense(geometry.k, geometry.n, geometry.transpose_y);
    let pack = |param, converted: &Option<Constant>, shared: bool, view: View, side, others: usize| {
        let constant = converted.as_ref().or(op.constant(param)).filter(|_| shared && others >= PACK_ROWS)?;
        Some(Packed::new(view.of(constant_elements(constant)?).ok()?, side))
    };
    let rows = geometry.m * geometry.batch.count();
    let packed_y = pack("y", &kind_y, geometry.y_batch.count() == 1, y, Side::B, rows);
    let columns = geometry.n * geometry.batch.count();
    let packed_x = match &packed_y {
        Some(_) => None,
        None => pack("x", &kind_x, geometry.x_batch.count() == 1, x, Side::A, columns),
    };
    let c = [geometry.m, geometry.n];
    let run = move |call: &mut Call<'_>| -> KernelResult {
        let a = source(packed_x.as_ref(), x, kind_x.as_ref(), &call.inputs[0])?;
        let b = source(packed_y.as_ref(), y, kind_y.as_ref(), &call.inputs[1])?;
        let c = MatMut::row_major(elements_mut(&mut call.outputs[0]), c).map_err(gemm_failed)?;
        let options = GemmOptions { batch: &batch, arithmetic, ..GemmOptions::default() };
        gemm::gemm(a, b, c, &options).map_err(gemm_failed)
    };
    Ok(Lowered::new(run))
}

fn source<'a>(
    packed: Option<&'a Packed>,
    view: View,
    converted: Option<&'a Constant>,
    input: &In<'a>,
) -> Result<Source<'a>, String> {
    match (packed, converted.and_then(constant_elements)) {
        (Some(packed), _) => Ok(packed.into()),
        (None, Some(data)) => Ok(view.of(data)?.into()),
        (None, None) => Ok(view.of(elements(input))?.into()),
    }
}

/// Products of integers wrap; `k` ascending.
fn int_matmul(geometry: MatmulGeometry, [kind_x, kind_y]: [Option<Constant>; 2]) -> Lowered {
    let batch = batch_dims(&geometry);
    let MatmulGeometry { m, k, n, transpose_x, transpose_y, .. } = geometry;
    let (x, y) = (View::dense(m, k, transpose_x).strides, View::dense(k, n, transpose_y).strides);
    Lowered::new(move |call| {
        let a = int_slice(&kind_x, &call.inputs[0]);
        let b = int_slice(&kind_y, &call.inputs[1]);
        parallel::rows(call.outputs[0].slice::<i32>(), n, k, |row, out| {
            let (mut a_start, mut b_start, mut item) = (row % m * x[0], 0, row / m);
            for dim in batch.iter().rev() {
                a_start += item % dim.count * dim.a;
                b_start += item % dim.count * dim.b;
                item /= dim.count;
            }
            for (column, out) in out.iter_mut().enumerate() {
                let product =
                    |i: usize| a[a_start + i * x[1]].wrapping_mul(b[b_start + i * y[0] + column * y[1]]);
                *out = (0..k).fold(0, |sum: i32, i| sum.wrapping_add(product(i)));
            }
        });
        Ok(())
    })
}

fn int_slice<'a>(converted: &'a Option<Constant>, input: &'a In<'_>) -> &'a [i32] {
    converted.as_ref().and_then(|own| own.as_slice::<i32>()).unwrap_or_else(|| input.slice::<i32>())
}

/// `x · weightᵀ + bias`, with a constant weight.
fn linear(op: &OpView<'_>, arithmetic: Arithmetic) -> Result<Lowered, InferError> {
    let (x, weight) = (op.tensor("x")?, op.tensor("weight")?);
    let (n, k) = (weight.shape[0], weight.shape[1]);
    let m = op.output(0).shape.count() / n.max(1);
    if x.dtype == DataType::Int32 {
        return int_linear(op, [m, k, n]);
    }
    let result = op.output(0).dtype;
    let constant = |param: &'static str| match of_kind(op, param, result)? {
        Some(converted) => Ok(converted),
        None => op.constant(param).cloned().ok_or_else(|| InferError::new(param, "must be a constant")),
    };
    let weight = constant("weight")?;
    let bias = op.value("bias").map(|_| constant("bias")).transpose()?;
    let view = View::dense(k, n, true);
    let packed = match constant_elements(&weight).map(|data| view.of(data)) {
        Some(Ok(matrix)) if m >= PACK_ROWS => Some(Packed::new(matrix, Side::B)),
        _ => None,
    };
    let x = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        let a = View::dense(m, k, false).of(elements(&call.inputs[x]))?;
        let b: Source<'_> = match (&packed, constant_elements(&weight)) {
            (Some(packed), _) => packed.into(),
            (None, Some(data)) => view.of(data)?.into(),
            (None, None) => return Err("the weight of `linear` is not made of floats".to_string()),
        };
        let bias = bias.as_ref().and_then(constant_elements).map_or(Bias::None, Bias::PerColumn);
        let c = MatMut::row_major(elements_mut(&mut call.outputs[0]), [m, n]).map_err(gemm_failed)?;
        gemm::gemm(a, b, c, &GemmOptions { bias, arithmetic, ..GemmOptions::default() }).map_err(gemm_failed)
    }))
}

fn int_linear(op: &OpView<'_>, [_, k, n]: [usize; 3]) -> Result<Lowered, InferError> {
    let constant = |param: &'static str| {
        let converted = of_kind(op, param, DataType::Int32)?;
        let own = converted.as_ref().or(op.constant(param));
        let values = own.and_then(|constant| constant.as_slice::<i32>()).map(<[i32]>::to_vec);
        values.ok_or_else(|| InferError::new(param, "must be a constant of int32, as `x` is"))
    };
    let weight = constant("weight")?;
    let bias = if op.value("bias").is_some() { constant("bias")? } else { vec![0; n] };
    Ok(Lowered::new(move |call| {
        let x = call.inputs[0].slice::<i32>();
        parallel::rows(call.outputs[0].slice::<i32>(), n, k, |row, out| {
            for (column, out) in out.iter_mut().enumerate() {
                let terms = x[row * k..][..k].iter().zip(&weight[column * k..][..k]);
                let sum = terms.fold(0i32, |sum, (x, w)| sum.wrapping_add(x.wrapping_mul(*w)));
                *out = sum.wrapping_add(bias[column]);
            }
        });
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};
    use mil::DataType;

    /// `[b, m, k] x [b, k, n]` by definition.
    fn naive(x: &[f64], y: &[f64], [b, m, k, n]: [usize; 4], tx: bool, ty: bool, y_shared: bool) -> Vec<f64> {
        let mut out = Vec::new();
        for item in 0..b {
            for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                let term = |i: usize| {
                    let x_at = item * m * k + if tx { i * m + row } else { row * k + i };
                    let y_at = if y_shared { 0 } else { item * k * n };
                    x[x_at] * y[y_at + if ty { column * k + i } else { i * n + column }]
                };
                out.push((0..k).map(term).sum());
            }
        }
        out
    }

    #[test]
    fn matmul_takes_every_transposition_and_batch() {
        for (b, m, k, n) in [(1, 5, 7, 9), (3, 33, 70, 20), (2, 1, 300, 40), (4, 17, 1, 1)] {
            for (tx, ty, shared, constant) in (0..16).map(|i| (i & 1 > 0, i & 2 > 0, i & 4 > 0, i & 8 > 0)) {
                let mut case = Case::new("matmul");
                let x = case.float("x", &if tx { [b, k, m] } else { [b, m, k] });
                let y_shape = if ty { [b, n, k] } else { [b, k, n] };
                let y_shape = if shared { &y_shape[1..] } else { &y_shape[..] };
                let y = if constant { case.float_constant("y", y_shape) } else { case.float("y", y_shape) };
                case.bool("transpose_x", tx);
                case.bool("transpose_y", ty);
                case.check(&naive(&x, &y, [b, m, k, n], tx, ty, shared), Tolerance::SUM);
            }
        }
    }

    #[test]
    fn matmul_broadcasts_batches_and_takes_vectors() {
        let mut case = Case::new("matmul");
        let x = case.float("x", &[2, 1, 3, 4]);
        let y = case.float("y", &[5, 4, 6]);
        let mut want = Vec::new();
        for a in 0..2 {
            for b in 0..5 {
                want.extend(naive(&x[a * 12..], &y[b * 24..], [1, 3, 4, 6], false, false, true));
            }
        }
        case.check(&want, Tolerance::SUM);
        let mut case = Case::new("matmul");
        let x = case.float("x", &[4]);
        let y = case.float("y", &[3, 4, 6]);
        let want: Vec<f64> =
            (0..3).flat_map(|b| naive(&x, &y[b * 24..], [1, 1, 4, 6], false, false, true)).collect();
        case.check(&want, Tolerance::SUM);
    }

    #[test]
    fn integers_wrap() {
        let mut case = Case::new("matmul");
        case.int_operand("x", &[1, 2], &[i32::MAX, 3]);
        case.int_operand("y", &[2, 1], &[2, 5]);
        assert_eq!(case.outputs(DataType::Fp32).unwrap()[0].1, [13.0]);
    }

    #[test]
    fn constants_of_the_other_kind() {
        for rows in [1, 9] {
            let mut case = Case::new("matmul");
            let x = case.float("x", &[rows, 3]);
            case.constant("y", mil::Constant::new([3, 2], vec![1, -2, 3, 4, -5, 60]).unwrap());
            let y = [1.0, -2.0, 3.0, 4.0, -5.0, 60.0];
            case.check(&naive(&x, &y, [1, rows, 3, 2], false, false, true), Tolerance::SUM);
        }
        for (first, accepted) in [(7.0, true), (0.5, false), (3e9, false)] {
            let mut case = Case::new("matmul");
            case.constant("x", mil::Constant::new([1, 2], vec![first, 1.0_f32]).unwrap());
            case.int_operand("y", &[2, 1], &[2, 5]);
            match case.outputs(DataType::Fp32) {
                Ok(outputs) => assert!(accepted && outputs[0].1 == [19.0]),
                Err(error) => assert!(!accepted && error.contains("whole numbers"), "{error}"),
            }
        }
    }

    #[test]
    fn linear_adds_its_bias() {
        for m in [1, 2, 50] {
            let mut case = Case::new("linear");
            let x = case.float("x", &[m, 1, 30]);
            let w = case.float_constant("weight", &[20, 30]);
            let bias = case.float_constant("bias", &[20]);
            let mut want = naive(&x, &w, [1, m, 30, 20], false, true, true);
            want.iter_mut().enumerate().for_each(|(at, want)| *want += bias[at % 20]);
            case.check(&want, Tolerance::SUM);
        }
    }
}
