//! `conv_quantized` as the `conv` that it is: with the weight `weight * quant_scale + quant_bias`, in fp32 and rounded once
//! to the element type of `x`, and the integers of `bias` as they are.
//!
//! Source of that meaning: `conv_helper` and `add_convolution` of coremltools 9.0, which hand the bias on as it stands. Of
//! "lut" they say nothing that could be computed: the op has no parameter for the table.

use super::decompress::add_constant;
use super::step;
use anemone_runtime::CompileError;
use half::f16;
use mil::{
    Arg, Constant, ConstantError, DataType, Def, Function, InferError, Op, OpView, Operation, Shape,
    TensorType, Type, Value, ValueId,
};

/// The op that is expanded.
pub(super) const OP: &str = "conv_quantized";

/// The `conv` in place of a `conv_quantized`; what it needs before itself goes to `before`.
pub(super) fn expand(
    function: &mut Function,
    operation: &Operation,
    before: &mut Vec<Operation>,
) -> Result<Operation, CompileError> {
    let parts = Parts::of(&OpView::new(function, operation))
        .map_err(|error| step::unsupported(&OpView::new(function, operation), &error))?;
    let weight = match &parts.weight {
        Weight::Known(constant) => add_constant(function, constant.clone()),
        Weight::Computed(id) => parts.dequantize(function, *id, before)?,
    };
    let bias = parts.bias.clone().map(|bias| add_constant(function, bias));
    let (op, view) = (named("conv")?, OpView::new(function, operation));
    let args: Vec<Arg> = op
        .params
        .iter()
        .map(|param| match param.name {
            "weight" => Arg::One(weight),
            "bias" => bias.map_or(Arg::None, Arg::One),
            name => view.arg(name).clone(),
        })
        .collect();
    let mut conv = Operation::new(op, args);
    conv.outputs = operation.outputs.clone();
    Ok(conv)
}

/// What the arguments of the convolution are made of.
struct Parts {
    dtype: DataType,
    shape: Shape,
    /// One per output channel.
    scale: Vec<f32>,
    shift: Vec<f32>,
    weight: Weight,
    bias: Option<Constant>,
}

enum Weight {
    Known(Constant),
    Computed(ValueId),
}

impl Parts {
    fn of(op: &OpView<'_>) -> Result<Parts, InferError> {
        if op.string("quantization_type")? == "lut" {
            let message = "is \"lut\", but the op has no parameter that holds the table; use `constexpr_lut_to_dense` and `conv`";
            return Err(InferError::new("quantization_type", message));
        }
        let (id, dtype) = (op.required("weight")?, op.dtype("x")?);
        let shape = op.shape("weight")?.clone();
        let channels = shape.first().copied().unwrap_or(0);
        let per_channel = |param: &'static str| {
            let values = op.constant(param).and_then(|constant| constant.to_f32());
            let values = values.ok_or_else(|| InferError::new(param, "must be a constant"))?;
            Ok::<_, InferError>(if values.len() == 1 {
                vec![values[0]; channels]
            } else {
                values.into_owned()
            })
        };
        let (scale, shift) = (per_channel("quant_scale")?, per_channel("quant_bias")?);
        let weight = match op.function.constant(id) {
            None => Weight::Computed(id),
            Some(levels) => {
                let levels = levels.as_slice::<u8>().unwrap_or(&[]);
                let width = (levels.len() / channels.max(1)).max(1);
                let values = levels.chunks(width).zip(scale.iter().zip(&shift));
                let values = values.flat_map(|(row, (&scale, &shift))| {
                    row.iter().map(move |&level| f32::from(level) * scale + shift)
                });
                Weight::Known(floats("weight", dtype, shape.clone(), values)?)
            }
        };
        let bias = match op.constant("bias").map(|bias| bias.as_slice::<u8>().unwrap_or(&[])) {
            Some(bias) => {
                Some(floats("bias", dtype, Shape::new(&[channels]), bias.iter().map(|&v| v.into()))?)
            }
            None => None,
        };
        Ok(Parts { dtype, shape, scale, shift, weight, bias })
    }

    /// The weight of a run, by operations.
    fn dequantize(
        &self,
        function: &mut Function,
        weight: ValueId,
        before: &mut Vec<Operation>,
    ) -> Result<ValueId, CompileError> {
        let mut sides = vec![1; self.shape.rank()];
        if let Some(first) = sides.first_mut() {
            *first = self.scale.len();
        }
        let vector = |function: &mut Function, values: &[f32]| {
            Constant::new(Shape::new(&sides), values.to_vec())
                .map(|constant| add_constant(function, constant))
                .map_err(|error| CompileError::Pass(error.to_string()))
        };
        let (scale, shift) = (vector(function, &self.scale)?, vector(function, &self.shift)?);
        let wide = TensorType::new(DataType::Fp32, self.shape.clone());
        let name = add_constant(function, Constant::string("fp32"));
        let levels = emit(function, before, "cast", &[("x", weight), ("dtype", name)], &wide)?;
        let scaled = emit(function, before, "mul", &[("x", levels), ("y", scale)], &wide)?;
        let shifted = emit(function, before, "add", &[("x", scaled), ("y", shift)], &wide)?;
        if self.dtype == DataType::Fp32 {
            return Ok(shifted);
        }
        let name = add_constant(function, Constant::string(self.dtype.name()));
        emit(function, before, "cast", &[("x", shifted), ("dtype", name)], &wide.with_dtype(self.dtype))
    }
}

/// Floats of the element type `dtype`.
fn floats(
    param: &'static str,
    dtype: DataType,
    shape: Shape,
    values: impl Iterator<Item = f32>,
) -> Result<Constant, InferError> {
    let made: Result<Constant, ConstantError> = match dtype {
        DataType::Fp16 => Constant::new(shape, values.map(f16::from_f32).collect()),
        _ => Constant::new(shape, values.collect::<Vec<f32>>()),
    };
    made.map_err(|error| InferError::new(param, error.to_string()))
}

fn named(name: &'static str) -> Result<Op, CompileError> {
    Op::named(name).ok_or_else(|| CompileError::Pass(format!("there is no op `{name}`")))
}

/// Appends an operation with these arguments and one result of type `ty`.
fn emit(
    function: &mut Function,
    to: &mut Vec<Operation>,
    name: &'static str,
    given: &[(&str, ValueId)],
    ty: &TensorType,
) -> Result<ValueId, CompileError> {
    let op = named(name)?;
    let argument = |name: &str| given.iter().find(|(param, _)| *param == name);
    let args: Vec<Arg> = op
        .params
        .iter()
        .map(|param| argument(param.name).map_or(Arg::None, |&(_, id)| Arg::One(id)))
        .collect();
    let mut operation = Operation::new(op, args);
    let output = function.add_value(Value { name: None, ty: Type::Tensor(ty.clone()), def: Def::Op });
    operation.outputs.push(output);
    to.push(operation);
    Ok(output)
}
