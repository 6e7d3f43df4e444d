//! Precision lowering: an `fp32` program made to compute in `fp16`.
//!
//! Inputs, outputs and states keep their types, so that callers and checkpoints do not change and optimizers
//! update `fp32` weights. Operations that lose too much in `fp16` (sums over many terms, exponentials whose
//! range is the point) can be kept in `fp32` one by one.
//!
//! Compressed weights stay compressed: their scales and tables are rounded, as in programs that coremltools converts to
//! `fp16`, so that ops which take constants still get some. (A scale below 6e-5 loses digits that way.)

use crate::rewrite::{self, Replacements};
use half::f16;
use mil::{
    Arg, BuildError, Constant, DataType, Def, Effect, Family, Function, FunctionBuilder, OpView, Operation,
    ValueId,
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
/// Values are converted once, where first needed in the other precision.
pub fn to_fp16(function: &Function, options: &PrecisionOptions<'_>) -> Result<Function, BuildError> {
    function.require_static()?;
    let mut lowering = Lowering {
        source: function,
        builder: FunctionBuilder::new(function.name.clone(), function.opset),
        full: vec![None; function.values.len()],
        half: vec![None; function.values.len()],
    };
    for &input in &function.inputs {
        let name = function.display_name(input);
        let ty = function.tensor(input).clone();
        let state = function.ty(input).is_state();
        let id = if state { lowering.builder.state(name, ty)? } else { lowering.builder.input(name, ty)? };
        lowering.full[input.index()] = Some(id);
    }
    for operation in &function.body.ops {
        lowering.operation(operation, options)?;
    }
    let mut outputs = Vec::with_capacity(function.body.outputs.len());
    for &output in &function.body.outputs {
        let value = lowering.full(output)?;
        if let Some(name) = &function.value(output).name {
            lowering.builder.name(value, name.clone());
        }
        outputs.push(value);
    }
    lowering.builder.finish(&outputs)
}

struct Lowering<'a> {
    source: &'a Function,
    builder: FunctionBuilder,
    /// The value in its original type, once made.
    full: Vec<Option<ValueId>>,
    /// The value in `fp16`, once made.
    half: Vec<Option<ValueId>>,
}

impl Lowering<'_> {
    fn operation(&mut self, operation: &Operation, options: &PrecisionOptions<'_>) -> Result<(), BuildError> {
        let view = self.source.view(operation);
        let lower = is_lowerable(&view) && !(options.keep)(&view);
        let mut op = Vec::with_capacity(operation.args.len());
        for (param, arg) in operation.op.params.iter().zip(&operation.args) {
            let (dtypes, _) = param.constraint(self.source.opset);
            let lower = lower && dtypes.contains(DataType::Fp16);
            op.push(match arg {
                Arg::None => Arg::None,
                Arg::One(id) => Arg::One(self.operand(*id, lower)?),
                Arg::Many(ids) => {
                    Arg::Many(ids.iter().map(|&id| self.operand(id, lower)).collect::<Result<_, _>>()?)
                }
            });
        }
        let mut call = self.builder.op(operation.op.name);
        for (param, arg) in operation.op.params.iter().zip(op) {
            call = call.set_arg(param.name, arg);
        }
        let results = call.many()?;
        if view.name() == "constexpr_cast" {
            // In fp16 its result is its source.
            let (source, output) =
                (view.required("source_val").map(|id| self.full(id)), operation.outputs[0]);
            self.half[output.index()] = source.ok().transpose()?;
        }
        for (&old, new) in operation.outputs.iter().zip(results) {
            if let Some(name) = &self.source.value(old).name {
                self.builder.name(new, name.clone());
            }
            let lowered =
                self.source.dtype(old) == DataType::Fp32 && self.builder.dtype(new) == DataType::Fp16;
            let table = if lowered { &mut self.half } else { &mut self.full };
            table[old.index()] = Some(new);
        }
        Ok(())
    }

    fn operand(&mut self, id: ValueId, lower: bool) -> Result<ValueId, BuildError> {
        if lower && self.source.dtype(id) == DataType::Fp32 { self.half(id) } else { self.full(id) }
    }

    /// A constant in either precision, under the name of the original.
    fn constant(&mut self, of: ValueId, constant: Constant) -> ValueId {
        let id = self.builder.constant(constant);
        if let Some(name) = &self.source.value(of).name {
            self.builder.name(id, name.clone());
        }
        id
    }

    fn full(&mut self, id: ValueId) -> Result<ValueId, BuildError> {
        if let Some(value) = self.full[id.index()] {
            return Ok(value);
        }
        let value = match (&self.source.value(id).def, self.half[id.index()]) {
            (Def::Const(constant), _) => self.constant(id, constant.clone()),
            (_, Some(half)) => self.builder.cast(half, DataType::Fp32)?,
            // A verified function defines values before their use, so one of the two exists.
            (_, None) => id,
        };
        self.full[id.index()] = Some(value);
        Ok(value)
    }

    fn half(&mut self, id: ValueId) -> Result<ValueId, BuildError> {
        if let Some(value) = self.half[id.index()] {
            return Ok(value);
        }
        let narrowed = self.source.constant(id).and_then(narrow);
        let value = match narrowed {
            Some(constant) => self.constant(id, constant),
            None => {
                let full = self.full(id)?;
                self.builder.cast(full, DataType::Fp16)?
            }
        };
        self.half[id.index()] = Some(value);
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

/// A constant rounded to `fp16`; values beyond its range become the largest finite ones, so that masks of
/// `-1e9` do not turn into infinities.
fn narrow(constant: &Constant) -> Option<Constant> {
    let limit = f16::MAX.to_f32();
    let narrow = |&value: &f32| {
        let clamped = if value.is_finite() { value.clamp(-limit, limit) } else { value };
        f16::from_f32(clamped)
    };
    let data: Vec<f16> = constant.as_slice::<f32>()?.iter().map(narrow).collect();
    Constant::new(constant.ty().shape.clone(), data).ok()
}

/// Whether the operation works on `fp32` data and may work on `fp16` instead.
fn is_lowerable(view: &OpView<'_>) -> bool {
    if matches!(view.operation.op.effect, Effect::Read | Effect::Write) || view.name() == "cast" {
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
