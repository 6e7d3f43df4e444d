//! The lowest opset that a function fits: the older, the more devices take it.

use mil::{Function, Opset, Type, infer_operation};

/// The function in the lowest opset, from `least` on, in which every operation exists, takes these types and gives the same
/// ones. A function that fits none below its own stays as it is.
///
/// Where an op means something else in an older opset, that is not seen here: `gather` takes negative indices before iOS 17,
/// and `non_maximum_suppression` cuts its list differently. No indices that are valid from iOS 17 on are affected by the first;
/// functions with the second keep their opset.
pub fn lowest_opset(function: &Function, least: Opset) -> Function {
    let fits = |opset: &Opset| *opset >= least && *opset < function.opset && fits(function, *opset);
    match Opset::ALL.iter().find(|opset| fits(opset)) {
        Some(&opset) => Function { opset, ..function.clone() },
        None => function.clone(),
    }
}

fn fits(function: &Function, opset: Opset) -> bool {
    if function.states().next().is_some() && opset < Opset::Ios18 {
        return false;
    }
    let candidate = Function { opset, ..function.clone() };
    candidate.body.ops.iter().all(|operation| {
        let recorded: Vec<&Type> = operation.outputs.iter().map(|&id| candidate.ty(id)).collect();
        let same = |types: Vec<Type>| recorded.iter().zip(&types).all(|(a, b)| *a == b);
        // What blocks hold would have to be looked at as well.
        operation.blocks.is_empty()
            && operation.op.name != "non_maximum_suppression"
            && infer_operation(&candidate, operation, Some(&recorded)).is_ok_and(same)
    })
}

#[cfg(test)]
mod tests {
    use super::lowest_opset;
    use mil::{BuildError, DataType, FunctionBuilder, Opset, TensorType};

    #[test]
    fn the_newest_op_decides() -> Result<(), BuildError> {
        let build = |op: &str| {
            let mut f = FunctionBuilder::new("main", Opset::Ios18);
            let x = f.input("x", TensorType::fp32([1, 4]))?;
            let y = match op {
                "fill_like" => f.op(op).arg("ref_tensor", x).float("value", 1.0).one()?,
                "int16" => f.op("cast").arg("x", x).string("dtype", "int16").one()?,
                op => f.unary(op, x)?,
            };
            let y = f.op("cast").arg("x", y).string("dtype", DataType::Fp32.name()).one()?;
            f.finish(&[y])
        };
        for (op, lowest) in [("relu", Opset::Ios15), ("fill_like", Opset::Ios16), ("int16", Opset::Ios17)] {
            assert_eq!(lowest_opset(&build(op)?, Opset::Ios15).opset, lowest, "{op}");
        }
        assert_eq!(lowest_opset(&build("relu")?, Opset::Ios16).opset, Opset::Ios16);
        Ok(())
    }

    #[test]
    fn states_keep_theirs() -> Result<(), BuildError> {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let state = f.state("s", TensorType::fp16([4]))?;
        let y = f.read_state(state)?;
        assert_eq!(lowest_opset(&f.finish(&[y])?, Opset::Ios15).opset, Opset::Ios18);
        Ok(())
    }
}
