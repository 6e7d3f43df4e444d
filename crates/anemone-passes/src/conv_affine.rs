//! Convolutions followed by arithmetic per channel, as batch normalization is after freezing: one convolution.
//!
//! Scaling the weights in place of the result rounds elsewhere, so this is no simplification: it is for programs that are rounded
//! anyway, on their way to `fp16`. Products and sums of constants are left for constant folding.

use crate::rewrite::{self, Replacements};
use mil::{Arg, BuildError, Function, FunctionBuilder, Operation, ValueId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Draws `add`, `sub` and `mul` by constants `[1, C, 1, …]` into the `conv` before them.
///
/// # Errors
/// When the function is not static.
pub fn merge_conv_affine(function: &Function) -> Result<Function, BuildError> {
    function.require_static()?;
    let mut source = function.clone();
    let ops = std::mem::take(&mut source.body.ops);
    let chains = chains(function);
    let merged: BTreeSet<usize> = chains.values().flatten().map(|step| step.at).collect();
    let mut replacements = Replacements::new(function);
    let mut builder = FunctionBuilder::resume(source);
    for (at, operation) in ops.into_iter().enumerate() {
        if merged.contains(&at) {
            continue;
        }
        let operation = rewrite::replaced(operation, &replacements);
        match chains.get(&at).map(Vec::as_slice) {
            Some(chain @ [.., last]) => {
                let result = convolution(&mut builder, &operation, chain)?;
                if let Some(name) = &function.value(last.result).name {
                    builder.name(result, name.clone());
                }
                replacements.set(last.result, result);
            }
            _ => builder = rewrite::append(builder, operation)?,
        }
    }
    rewrite::finish(builder, function, &replacements)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Add,
    Sub,
    Mul,
}

/// One operation after a convolution.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Its place in the body.
    at: usize,
    kind: Kind,
    /// The constant, `[1, C, 1, …]`.
    by: ValueId,
    result: ValueId,
}

/// For the place of each convolution the operations that can be drawn into it.
fn chains(function: &Function) -> BTreeMap<usize, Vec<Step>> {
    let mut uses: HashMap<ValueId, Vec<usize>> = HashMap::new();
    for (at, operation) in function.body.ops.iter().enumerate() {
        operation.uses().for_each(|id| uses.entry(id).or_default().push(at));
    }
    let mut chains = BTreeMap::new();
    for (at, operation) in function.body.ops.iter().enumerate() {
        let view = function.view(operation);
        let constant = |param| view.value(param).is_some_and(|id| function.constant(id).is_some());
        let bias = view.value("bias").is_none() || constant("bias");
        if view.name() != "conv" || !constant("weight") || !bias {
            continue;
        }
        let (mut chain, mut value): (Vec<Step>, _) = (Vec::new(), operation.outputs[0]);
        while let Some(step) = step(function, value, &uses) {
            value = step.result;
            chain.push(step);
        }
        if !chain.is_empty() {
            chains.insert(at, chain);
        }
    }
    chains
}

/// The only use of `value`, if that is arithmetic with a constant per channel.
fn step(function: &Function, value: ValueId, uses: &HashMap<ValueId, Vec<usize>>) -> Option<Step> {
    let &[at] = uses.get(&value)?.as_slice() else { return None };
    if function.body.outputs.contains(&value) {
        return None;
    }
    let operation = &function.body.ops[at];
    let view = function.view(operation);
    let (x, y) = (view.value("x")?, view.value("y")?);
    let (kind, by) = match view.name() {
        "add" => (Kind::Add, if x == value { y } else { x }),
        "mul" => (Kind::Mul, if x == value { y } else { x }),
        "sub" if x == value => (Kind::Sub, y),
        _ => return None,
    };
    let (shape, of) = (function.shape(by), function.shape(value));
    let channels = of.get(1)?;
    let per_channel = shape.rank() == of.rank()
        && shape.get(1) == Some(channels)
        && shape.iter().product::<usize>() == *channels;
    (per_channel && function.constant(by).is_some()).then_some(Step {
        at,
        kind,
        by,
        result: operation.outputs[0],
    })
}

/// The convolution with the steps in its weight and bias.
fn convolution(
    builder: &mut FunctionBuilder,
    operation: &Operation,
    chain: &[Step],
) -> Result<ValueId, BuildError> {
    let view = builder.function().view(operation);
    let (weight, bias) = (view.value("weight"), view.value("bias"));
    let mut shape = builder.shape(operation.outputs[0]).to_vec();
    let channels = shape[1];
    shape.fill(1);
    shape[1] = channels;
    let mut shift = match bias {
        Some(bias) => Some(builder.reshape(bias, &shape)?),
        None => None,
    };
    let mut scale = None;
    for step in chain {
        if step.kind == Kind::Mul {
            scale = Some(match scale {
                Some(scale) => builder.mul(scale, step.by)?,
                None => step.by,
            });
        }
        shift = match (step.kind, shift) {
            (Kind::Add, None) => Some(step.by),
            (Kind::Add, Some(shift)) => Some(builder.add(shift, step.by)?),
            (Kind::Sub, None) => Some(builder.mul(step.by, -1.0)?),
            (Kind::Sub, Some(shift)) => Some(builder.sub(shift, step.by)?),
            (Kind::Mul, None) => None,
            (Kind::Mul, Some(shift)) => Some(builder.mul(shift, step.by)?),
        };
    }
    let name = weight.and_then(|id| builder.function().value(id).name.clone());
    let weight = match (weight, scale) {
        (Some(weight), Some(scale)) => {
            let mut by = vec![1; builder.shape(weight).len()];
            by[0] = channels;
            let scale = builder.reshape(scale, &by)?;
            Some(builder.mul(weight, scale)?)
        }
        (weight, _) => weight,
    };
    let shift = match shift {
        Some(shift) => Some(builder.reshape(shift, &[channels])?),
        None => None,
    };
    for (value, suffix) in [(weight, "weight"), (shift, "bias")] {
        if let (Some(value), Some(name)) = (value, &name) {
            builder.name(value, format!("{}{suffix}", name.strip_suffix("weight").unwrap_or(name)));
        }
    }
    let mut call = builder.op("conv");
    for (param, arg) in operation.op.params.iter().zip(&operation.args) {
        call = call.set_arg(
            param.name,
            match param.name {
                "weight" => weight.map_or(Arg::None, Arg::One),
                "bias" => shift.map_or(Arg::None, Arg::One),
                _ => arg.clone(),
            },
        );
    }
    call.one()
}

#[cfg(test)]
mod tests {
    use super::merge_conv_affine;
    use mil::{BuildError, Constant, Function, FunctionBuilder, Opset, Program, TensorType, ValueId, verify};

    fn build(
        after: impl FnOnce(&mut FunctionBuilder, ValueId, ValueId) -> Result<ValueId, BuildError>,
    ) -> Result<Function, BuildError> {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let x = f.input("x", TensorType::fp32([1, 2, 4, 4]))?;
        let weight = f.constant(Constant::new([3, 2, 1, 1], (0..6).map(|v| v as f32).collect())?);
        f.name(weight, "first_weight");
        let y = f.op("conv").arg("x", x).arg("weight", weight).one()?;
        let per_channel = f.constant(Constant::new([1, 3, 1, 1], vec![1.0f32, 2.0, 3.0])?);
        let y = after(&mut f, y, per_channel)?;
        f.finish(&[y])
    }

    /// Operations on what is no constant.
    fn left(function: &Function) -> Vec<&'static str> {
        let constant = |id| function.constant(id).is_some();
        let mut known: Vec<ValueId> = Vec::new();
        let mut left = Vec::new();
        for operation in &function.body.ops {
            match operation.uses().all(|id| constant(id) || known.contains(&id)) {
                true => known.extend(&operation.outputs),
                false => left.push(operation.op.name),
            }
        }
        left
    }

    #[test]
    fn batch_normalization_goes_into_the_convolution() -> Result<(), BuildError> {
        let function = build(|f, y, c| {
            let y = f.sub(y, c)?;
            let y = f.mul(y, c)?;
            let y = f.add(c, y)?;
            f.unary("relu", y)
        })?;
        let merged = merge_conv_affine(&function)?;
        assert_eq!(left(&merged), ["conv", "relu"]);
        verify(Program::single(merged)).unwrap();
        Ok(())
    }

    #[test]
    fn what_is_used_twice_or_not_per_channel_stays() -> Result<(), BuildError> {
        let twice = build(|f, y, c| {
            let z = f.mul(y, c)?;
            f.add(z, y)
        })?;
        assert_eq!(left(&merge_conv_affine(&twice)?), ["conv", "mul", "add"]);
        let other = build(|f, y, _| {
            let row = f.constant(Constant::new([4], vec![1.0f32; 4])?);
            f.mul(y, row)
        })?;
        assert_eq!(left(&merge_conv_affine(&other)?), ["conv", "mul"]);
        let turned = build(|f, y, c| f.sub(c, y))?;
        assert_eq!(left(&merge_conv_affine(&turned)?), ["conv", "sub"]);
        Ok(())
    }
}
