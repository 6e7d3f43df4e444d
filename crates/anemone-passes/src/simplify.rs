//! Simplification: values that are copies of others, operations computed twice, operations that nothing uses.
//!
//! No rewrite here changes a result by a single bit (but for the payload of a NaN); rewrites that would (`x * 0`, reordering
//! sums) are left out.

use crate::rewrite::{Replacements, remove_dead};
use mil::{Arg, Constant, DataType, Effect, Function, OpView, Operation, ValueId};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Simplifies one function in place. The function must be verified and stays so. One that is not static stays as it is:
/// what its blocks use is not followed here.
pub fn simplify(function: &mut Function) {
    if !function.is_static() {
        return;
    }
    share_constants(function);
    merge(function);
    remove_dead(function);
}

/// Small constants with equal contents become one value, so that equal operations look equal.
fn share_constants(function: &mut Function) {
    /// Comparing bigger ones would cost more than it saves; they are shared by reference already.
    const SMALL: usize = 256;
    let mut seen: HashMap<u64, Vec<ValueId>> = HashMap::new();
    let mut replacements = Replacements::new(function);
    for index in 0..function.values.len() {
        let id = ValueId::from_index(index);
        let Some(constant) = function.constant(id) else { continue };
        if constant.bytes().len() > SMALL {
            continue;
        }
        let same = seen.entry(constant_hash(constant)).or_default();
        match same.iter().find(|&&other| function.constant(other) == Some(constant)) {
            Some(&other) => replacements.set(id, other),
            None => same.push(id),
        }
    }
    for operation in &mut function.body.ops {
        for id in operation.args.iter_mut().flat_map(|arg| arg.values_mut()) {
            *id = replacements.get(*id);
        }
    }
}

fn constant_hash(constant: &Constant) -> u64 {
    let mut hasher = DefaultHasher::new();
    constant.ty().hash(&mut hasher);
    constant.bytes().hash(&mut hasher);
    constant.as_strings().hash(&mut hasher);
    hasher.finish()
}

/// One walk in order: copies are replaced by their source, repeated operations by the first.
fn merge(function: &mut Function) {
    let mut replacements = Replacements::new(function);
    let mut seen: HashMap<u64, Vec<usize>> = HashMap::new();
    // What casts to `fp32` were made from, where that is `fp16`.
    let mut widened: HashMap<ValueId, ValueId> = HashMap::new();
    let mut kept: Vec<Operation> = Vec::with_capacity(function.body.ops.len());
    for mut operation in std::mem::take(&mut function.body.ops) {
        for id in operation.args.iter_mut().flat_map(|arg| arg.values_mut()) {
            *id = replacements.get(*id);
        }
        // A constant in the place of a computed value would be held to what the op asks of constants.
        let view = function.view(&operation);
        let source = copy_of(&view).or_else(|| narrowed_again(&view, &widened));
        if let Some(source) = source.filter(|&source| function.constant(source).is_none()) {
            replacements.set(operation.outputs[0], source);
            continue;
        }
        if let Some(source) = widening(&view) {
            widened.insert(operation.outputs[0], source);
        }
        if operation.op.effect == Effect::Pure {
            let same = seen.entry(operation_hash(&operation)).or_default();
            let twin = same.iter().map(|&at| &kept[at]).find(|twin| equal(twin, &operation));
            if let Some(twin) = twin {
                for (&old, &new) in operation.outputs.iter().zip(&twin.outputs) {
                    replacements.set(old, new);
                }
                continue;
            }
            same.push(kept.len());
        }
        kept.push(operation);
    }
    function.body.ops = kept;
    restore_outputs(function, &replacements);
}

/// Outputs keep their names: one that was replaced is rebuilt as an `identity` of what replaced it.
fn restore_outputs(function: &mut Function, replacements: &Replacements) {
    for output in function.body.outputs.clone() {
        let source = replacements.get(output);
        if source == output {
            continue;
        }
        let Some(op) = mil::Op::named("identity") else { return };
        let mut identity = Operation::new(op, [Arg::One(source)].as_slice());
        identity.outputs.push(output);
        function.values[output.index()].def = mil::Def::Op;
        function.body.ops.push(identity);
    }
}

/// The value that the operation merely copies, if it does.
fn copy_of(op: &OpView<'_>) -> Option<ValueId> {
    let x = op.value("x")?;
    let same_type = op.function.tensor(x) == op.output(0);
    match op.name() {
        "identity" | "cast" | "reshape" | "expand_dims" | "squeeze" | "flatten2d" if same_type => Some(x),
        "transpose" => {
            let perm = op.ints("perm").ok()??;
            perm.iter().enumerate().all(|(at, &axis)| axis == at as i64).then_some(x)
        }
        _ => None,
    }
}

/// What is cast from `fp16` to `fp32` here.
fn widening(op: &OpView<'_>) -> Option<ValueId> {
    let x = op.value("x").filter(|&x| op.function.dtype(x) == DataType::Fp16)?;
    (op.name() == "cast" && op.output(0).dtype == DataType::Fp32).then_some(x)
}

/// The `fp16` value that is cast back from `fp32` here: nothing was lost on the way.
fn narrowed_again(op: &OpView<'_>, widened: &HashMap<ValueId, ValueId>) -> Option<ValueId> {
    let source = widened.get(&op.value("x")?).copied()?;
    (op.name() == "cast" && op.output(0).dtype == DataType::Fp16).then_some(source)
}

fn operation_hash(operation: &Operation) -> u64 {
    let mut hasher = DefaultHasher::new();
    operation.op.name.hash(&mut hasher);
    operation.args.iter().for_each(|arg| arg.values().hash(&mut hasher));
    hasher.finish()
}

fn equal(a: &Operation, b: &Operation) -> bool {
    a.op == b.op && a.args == b.args && a.blocks.is_empty() && b.blocks.is_empty()
}

#[cfg(test)]
mod tests {
    use super::simplify;
    use mil::{BuildError, DataType, FunctionBuilder, Opset, TensorType};

    #[test]
    fn only_casts_that_lose_nothing_cancel() -> Result<(), BuildError> {
        for (ty, left) in [(TensorType::fp16([2]), 0), (TensorType::fp32([2]), 2)] {
            let mut f = FunctionBuilder::new("main", Opset::Ios18);
            let other = if ty.dtype == DataType::Fp16 { DataType::Fp32 } else { DataType::Fp16 };
            let dtype = ty.dtype;
            let x = f.input("x", ty)?;
            let y = f.cast(x, other)?;
            let y = f.cast(y, dtype)?;
            let y = f.unary("relu", y)?;
            let mut function = f.finish(&[y])?;
            simplify(&mut function);
            let casts = function.body.ops.iter().filter(|operation| operation.op.name == "cast").count();
            assert_eq!(casts, left, "{dtype}");
        }
        Ok(())
    }
}
