//! Precision lowering: an `fp32` program made to compute in `fp16`.
//!
//! Inputs, outputs and states keep their types, so that callers and checkpoints do not change and optimizers
//! update `fp32` weights. Operations that lose too much in `fp16` (sums over many terms, exponentials whose
//! range is the point) can be kept in `fp32` one by one.
//!
//! Blocks of control flow take and give what they did, and compute in `fp16` inside: what a loop carries is rounded by the operations
//! that make it, not by the loop. Lists keep their element type.
//!
//! Compressed weights stay compressed: their scales and tables are rounded, as in programs that coremltools converts to
//! `fp16`, so that ops which take constants still get some. (A scale below 6e-5 loses digits that way.)

use crate::rewrite::{self, Replacements};
use half::f16;
use mil::{
    Arg, Block, BuildError, Constant, DataType, Def, Effect, Family, Function, FunctionBuilder, OpView,
    Operation, Type, ValueId,
};

/// What stays in `fp32`.
pub struct PrecisionOptions<'a> {
    /// Whether an operation is kept in `fp32`.
    pub keep: &'a dyn Fn(&OpView<'_>) -> bool,
}

impl Default for PrecisionOptions<'_> {
    fn default() -> Self {
        PrecisionOptions { keep: &|_| false }
    }
}

/// Rewrites a verified function to compute in `fp16`: every operation on `fp32` takes `fp16` copies of its
/// operands instead, unless `keep` says otherwise or the op does not take `fp16`.
///
/// Values are converted once, where first needed in the other precision; inside a block once for the block.
///
/// # Errors
/// When an operation does not take its operands in `fp16` although its op declares that it does.
pub fn to_fp16(function: &Function, options: &PrecisionOptions<'_>) -> Result<Function, BuildError> {
    let mut builder = FunctionBuilder::new(function.name.clone(), function.opset);
    let mut lowering = Lowering {
        source: function,
        options,
        full: vec![None; function.values.len()],
        half: vec![None; function.values.len()],
        made: Vec::new(),
    };
    for &input in &function.inputs {
        let name = function.display_name(input);
        let ty = function.tensor(input).clone();
        let state = function.ty(input).is_state();
        let id = if state { builder.state(name, ty)? } else { builder.input(name, ty)? };
        lowering.full[input.index()] = Some(id);
    }
    for operation in &function.body.ops {
        lowering.operation(operation, &mut builder)?;
    }
    let mut outputs = Vec::with_capacity(function.body.outputs.len());
    for &output in &function.body.outputs {
        let value = lowering.full(output, &mut builder)?;
        if let Some(name) = &function.value(output).name {
            builder.name(value, name.clone());
        }
        outputs.push(value);
    }
    builder.finish(&outputs)
}

struct Lowering<'a> {
    source: &'a Function,
    options: &'a PrecisionOptions<'a>,
    /// The value in its original type, once made.
    full: Vec<Option<ValueId>>,
    /// The value in `fp16`, once made.
    half: Vec<Option<ValueId>>,
    /// What was made, in order: the value, and whether in `fp16`. What a block makes is forgotten at its end.
    made: Vec<(ValueId, bool)>,
}

impl Lowering<'_> {
    fn operation(&mut self, operation: &Operation, f: &mut FunctionBuilder) -> Result<(), BuildError> {
        let view = self.source.view(operation);
        let lower = is_lowerable(&view) && !(self.options.keep)(&view);
        let mut args = Vec::with_capacity(operation.args.len());
        for (param, arg) in operation.op.params.iter().zip(&operation.args) {
            let (dtypes, _) = param.constraint(self.source.opset);
            let lower = lower && dtypes.contains(DataType::Fp16);
            args.push(match arg {
                Arg::None => Arg::None,
                Arg::One(id) => Arg::One(self.operand(*id, lower, f)?),
                Arg::Many(ids) => {
                    Arg::Many(ids.iter().map(|&id| self.operand(id, lower, f)).collect::<Result<_, _>>()?)
                }
            });
        }
        let blocks: Vec<Block> =
            operation.blocks.iter().map(|block| self.block(block, f)).collect::<Result<_, _>>()?;
        let mut call = f.op(operation.op.name);
        for (param, arg) in operation.op.params.iter().zip(args) {
            call = call.set_arg(param.name, arg);
        }
        for block in blocks {
            call = call.block(block);
        }
        // For results whose types only running tells.
        let types: Vec<Type> = operation.outputs.iter().map(|&id| self.declared(id, lower)).collect();
        let results = call.declared(&types).many()?;
        if view.name() == "constexpr_cast" {
            // In fp16 its result is its source.
            let (source, output) =
                (view.required("source_val").map(|id| self.full(id, f)), operation.outputs[0]);
            if let Some(source) = source.ok().transpose()? {
                self.set(output, true, source);
            }
        }
        for (&old, new) in operation.outputs.iter().zip(results) {
            if let Some(name) = &self.source.value(old).name {
                f.name(new, name.clone());
            }
            let lowered = self.source.dtype(old) == DataType::Fp32 && f.dtype(new) == DataType::Fp16;
            self.set(old, lowered, new);
        }
        Ok(())
    }

    /// The type of a result, as it is if the operation is lowered.
    fn declared(&self, id: ValueId, lower: bool) -> Type {
        match self.source.ty(id) {
            Type::Tensor(ty) if lower && ty.dtype == DataType::Fp32 => ty.with_dtype(DataType::Fp16).into(),
            ty => ty.clone(),
        }
    }

    fn block(&mut self, block: &Block, f: &mut FunctionBuilder) -> Result<Block, BuildError> {
        let types: Vec<Type> = block.inputs.iter().map(|&id| self.source.ty(id).clone()).collect();
        let outside = self.made.len();
        let lowered = f.block(&types, |f, inputs| {
            for (&old, &new) in block.inputs.iter().zip(inputs) {
                if let Some(name) = &self.source.value(old).name {
                    f.name(new, name.clone());
                }
                self.set(old, false, new);
            }
            for operation in &block.ops {
                self.operation(operation, f)?;
            }
            block.outputs.iter().map(|&id| self.full(id, f)).collect()
        })?;
        for (id, half) in self.made.drain(outside..) {
            // Constants are seen everywhere.
            if self.source.constant(id).is_none() {
                let table = if half { &mut self.half } else { &mut self.full };
                table[id.index()] = None;
            }
        }
        Ok(lowered)
    }

    fn set(&mut self, id: ValueId, half: bool, value: ValueId) {
        let table = if half { &mut self.half } else { &mut self.full };
        table[id.index()] = Some(value);
        self.made.push((id, half));
    }

    fn operand(&mut self, id: ValueId, lower: bool, f: &mut FunctionBuilder) -> Result<ValueId, BuildError> {
        if lower && self.source.dtype(id) == DataType::Fp32 { self.half(id, f) } else { self.full(id, f) }
    }

    /// A constant in either precision, under the name of the original.
    fn constant(&self, of: ValueId, constant: Constant, f: &mut FunctionBuilder) -> ValueId {
        let id = f.constant(constant);
        if let Some(name) = &self.source.value(of).name {
            f.name(id, name.clone());
        }
        id
    }

    /// What stands for the value `of`, in the other precision.
    fn cast(
        &self,
        of: ValueId,
        value: ValueId,
        dtype: DataType,
        f: &mut FunctionBuilder,
    ) -> Result<ValueId, BuildError> {
        let ty = self.source.tensor(of).with_dtype(dtype);
        f.op("cast").arg("x", value).string("dtype", dtype.name()).declared(&[ty.into()]).one()
    }

    fn full(&mut self, id: ValueId, f: &mut FunctionBuilder) -> Result<ValueId, BuildError> {
        if let Some(value) = self.full[id.index()] {
            return Ok(value);
        }
        let value = match (&self.source.value(id).def, self.half[id.index()]) {
            (Def::Const(constant), _) => self.constant(id, constant.clone(), f),
            (_, Some(half)) => self.cast(id, half, DataType::Fp32, f)?,
            // A verified function defines values before their use, so one of the two exists.
            (_, None) => id,
        };
        self.set(id, false, value);
        Ok(value)
    }

    fn half(&mut self, id: ValueId, f: &mut FunctionBuilder) -> Result<ValueId, BuildError> {
        if let Some(value) = self.half[id.index()] {
            return Ok(value);
        }
        let narrowed = self.source.constant(id).and_then(narrow);
        let value = match narrowed {
            Some(constant) => self.constant(id, constant, f),
            None => {
                let full = self.full(id, f)?;
                self.cast(id, full, DataType::Fp16, f)?
            }
        };
        self.set(id, true, value);
        Ok(value)
    }
}

/// Makes `fp32` inputs and outputs of a function `fp16`, those of `keep` excepted: callers then hand over and get half the
/// bytes. What the function computes with stays as it is, but for the rounding.
///
/// # Errors
/// When the function is not static.
pub fn io_to_fp16(function: &Function, keep: &dyn Fn(&str) -> bool) -> Result<Function, BuildError> {
    function.require_static()?;
    let mut source = function.clone();
    let mut replacements = Replacements::new(&source);
    let ops = std::mem::take(&mut source.body.ops);
    let single = |id: ValueId| {
        function.dtype(id) == DataType::Fp32
            && !function.ty(id).is_state()
            && !keep(&function.display_name(id))
    };
    let inputs: Vec<ValueId> = function.inputs.iter().copied().filter(|&id| single(id)).collect();
    for &input in &inputs {
        source.values[input.index()].ty = function.tensor(input).with_dtype(DataType::Fp16).into();
    }
    let mut builder = FunctionBuilder::resume(source);
    for &input in &inputs {
        let wide = builder.cast(input, DataType::Fp32)?;
        replacements.set(input, wide);
    }
    for operation in ops {
        builder = rewrite::append(builder, rewrite::replaced(operation, &replacements))?;
    }
    for &output in function.body.outputs.iter().filter(|&&id| single(id)) {
        let half = builder.cast(output, DataType::Fp16)?;
        replacements.set(output, half);
    }
    rewrite::finish(builder, function, &replacements)
}

/// Constants of as many elements and more are weights, whose smallest values do not matter. Source: coremltools'
/// `_check_underflow_to_zero`.
const WEIGHTS: usize = 400;

/// A constant rounded to `fp16`. Values beyond its range become the largest finite ones, so that masks of `-1e9` do not turn
/// into infinities; of parameters, values that would become zero the smallest ones, so that what is to keep a logarithm or a
/// quotient from zero still does. (coremltools does both.)
fn narrow(constant: &Constant) -> Option<Constant> {
    let limit = f16::MAX.to_f32();
    let parameter = constant.ty().shape.count() < WEIGHTS;
    let narrow = |&value: &f32| {
        let clamped = if value.is_finite() { value.clamp(-limit, limit) } else { value };
        match f16::from_f32(clamped) {
            zero if parameter && value != 0.0 && zero == f16::ZERO => {
                f16::MIN_POSITIVE_SUBNORMAL.copysign(zero)
            }
            rounded => rounded,
        }
    };
    let data: Vec<f16> = constant.as_slice::<f32>()?.iter().map(narrow).collect();
    Constant::new(constant.ty().shape.clone(), data).ok()
}

/// Whether the operation works on `fp32` data and may work on `fp16` instead.
fn is_lowerable(view: &OpView<'_>) -> bool {
    let tensor = |id: ValueId| matches!(view.function.ty(id), Type::Tensor(_));
    let tensors =
        view.operands().all(|(_, id)| tensor(id)) && view.operation.outputs.iter().all(|&id| tensor(id));
    let stateful = matches!(view.operation.op.effect, Effect::Read | Effect::Write);
    if stateful || view.name() == "cast" || !tensors || !view.operation.blocks.is_empty() {
        return false;
    }
    let output = view.operation.outputs.iter().any(|&id| view.function.dtype(id) == DataType::Fp32);
    match view.operation.op.family {
        Family::Constexpr => return output && view.name() != "constexpr_cast",
        // Its type is that of its scale.
        Family::Quantization if view.name() == "dequantize" => return output,
        _ => {}
    }
    let floats = view.operands().any(|(_, id)| view.function.dtype(id) == DataType::Fp32);
    let fits = view.operation.op.params.iter().zip(&view.operation.args).all(|(param, arg)| {
        let (dtypes, _) = param.constraint(view.function.opset);
        arg.values()
            .iter()
            .all(|&id| view.function.dtype(id) != DataType::Fp32 || dtypes.contains(DataType::Fp16))
    });
    floats && fits && (output || view.operation.outputs.iter().all(|&id| !view.function.dtype(id).is_float()))
}
