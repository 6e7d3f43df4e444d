//! `select` in the form that coremltools takes.
//!
//! The op broadcasts all three of its operands. coremltools takes the result to have the shape that `a` and `b` have together
//! (`select.type_inference`, version 9.0), and refuses to import programs in which the condition is larger.

use crate::rewrite::{self, Replacements};
use mil::{BuildError, Function, FunctionBuilder, ValueId, shape};

/// Repeats `a` of every `select` whose condition is larger than `a` and `b`, so that the result is as large as they are.
///
/// # Errors
/// When the function is not static.
pub fn fill_selects(function: &Function) -> Result<Function, BuildError> {
    function.require_static()?;
    let mut source = function.clone();
    let ops = std::mem::take(&mut source.body.ops);
    let replacements = Replacements::new(function);
    let mut builder = FunctionBuilder::resume(source);
    for mut operation in ops {
        let view = builder.function().view(&operation);
        let operands = if view.name() == "select" { view.value("a").zip(view.value("b")) } else { None };
        if let Some((a, b)) = operands {
            let [a_shape, b_shape, result] =
                [a, b, operation.outputs[0]].map(|id| builder.function().shape(id));
            if shape::broadcast(a_shape, b_shape).as_ref() != Some(result) {
                let result = result.clone();
                let filled = repeated(&mut builder, a, &result)?;
                let at = operation.op.params.iter().position(|param| param.name == "a");
                if let Some(arg) = at.and_then(|at| operation.args.get_mut(at)) {
                    *arg = mil::Arg::One(filled);
                }
            }
        }
        builder = rewrite::append(builder, operation)?;
    }
    rewrite::finish(builder, function, &replacements)
}

/// `value` repeated to a shape that it broadcasts to.
fn repeated(builder: &mut FunctionBuilder, value: ValueId, to: &[usize]) -> Result<ValueId, BuildError> {
    let mut from = vec![1; to.len() - builder.shape(value).len()];
    from.extend(builder.shape(value));
    let value = builder.reshape(value, &from)?;
    let reps: Vec<usize> = from.iter().zip(to).map(|(&from, &to)| if from == to { 1 } else { to }).collect();
    builder.op("tile").arg("x", value).shape("reps", &reps).one()
}

#[cfg(test)]
mod tests {
    use super::fill_selects;
    use mil::{BuildError, DataType, FunctionBuilder, Opset, Program, TensorType, verify};

    #[test]
    fn only_larger_conditions_matter() -> Result<(), BuildError> {
        for (cond, a, tiled) in
            [(vec![2, 3], vec![], true), (vec![2, 3], vec![2, 1], true), (vec![], vec![2, 3], false)]
        {
            let mut f = FunctionBuilder::new("main", Opset::Ios18);
            let cond = f.input("cond", TensorType::bool(cond))?;
            let a = f.input("a", TensorType::fp32(a))?;
            let b = f.float(DataType::Fp32, 0.0);
            let y = f.select(cond, a, b)?;
            let function = fill_selects(&f.finish(&[y])?)?;
            assert_eq!(function.body.ops.iter().any(|operation| operation.op.name == "tile"), tiled);
            assert_eq!(function.shape(function.body.outputs[0]).to_string(), "[2, 3]");
            verify(Program::single(function)).unwrap();
        }
        Ok(())
    }
}
