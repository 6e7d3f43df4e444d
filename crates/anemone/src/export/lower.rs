//! From a function with weights in states to one that an app can call.

use super::{ExportError, Precision};
use anemone_passes::{
    FlexibleError, PrecisionOptions, compact, fill_selects, flexible, freeze, hold_states, io_to_fp16,
    merge_conv_affine, simplify, to_fp16,
};
use anemone_runtime::States;
use mil::{BuildError, Constant, DataType, Function, OpView, Program, VerifyError, verify};
use std::collections::BTreeMap;

/// Sizes that a flexible function is built for beside its longest: odd ones, which are seldom sizes of models.
const SHORT: [usize; 5] = [3, 5, 7, 11, 13];
/// How far beyond its longest size a flexible function is built at most, if that happens to be another size of the model.
const SLACK: usize = 4;

/// The function with its weights frozen, constants folded, in this precision. States that are `caches` stay.
pub(super) fn lowered(
    function: Function,
    weights: &States,
    precision: Precision,
    caches: &dyn Fn(&str) -> bool,
) -> Result<Function, ExportError> {
    let mut values: BTreeMap<String, Constant> = BTreeMap::new();
    for name in function.states().map(|id| function.display_name(id)).filter(|name| !caches(name)) {
        let tensor = weights.get(&name).ok_or_else(|| ExportError::Option {
            what: format!("weight `{name}`"),
            message: "is missing; are these the weights of another model?".to_string(),
        })?;
        values.insert(name, tensor.into_constant()?);
    }
    let program = verify(Program::single(function)).map_err(first_fault)?;
    let mut frozen = freeze(&program, &values)?;
    let Some(mut function) = frozen.functions.pop() else {
        return Err(ExportError::Option { what: "the program".into(), message: "has no function".into() });
    };
    simplify(&mut function);
    crate::cpu::fold_constants(&mut function)?;
    if precision == Precision::Fp16 {
        function = merge_conv_affine(&function)?;
        crate::cpu::fold_constants(&mut function)?;
        function = to_fp16(&function, &PrecisionOptions { keep: &is_on_pixels })?;
        simplify(&mut function);
    }
    acceptable(&function)
}

/// Whether the operation normalises pixels. Of their 256 values `fp16` would blur the upper ones; images come as `fp32` anyway.
fn is_on_pixels(op: &OpView<'_>) -> bool {
    let name = |id| op.function.value(id).name.as_deref();
    op.operands().any(|(_, id)| name(id).is_some_and(|name| name.starts_with("pixel_")))
}

/// The function in the form that coremltools imports, which infers types its own way.
pub(super) fn acceptable(function: &Function) -> Result<Function, ExportError> {
    let mut function = fill_selects(function)?;
    crate::cpu::fold_constants(&mut function)?;
    Ok(function)
}

/// Float inputs and outputs as `fp16`.
pub(super) fn half_io(function: &Function, keep: &dyn Fn(&str) -> bool) -> Result<Function, BuildError> {
    let mut function = io_to_fp16(function, keep)?;
    simplify(&mut function);
    Ok(compact(&function))
}

/// States that hold `fp16`.
pub(super) fn half_states(function: &Function) -> Result<Function, BuildError> {
    let mut function = hold_states(function, &|_, ty| match ty.dtype {
        DataType::Fp32 => ty.with_dtype(DataType::Fp16),
        _ => ty.clone(),
    })?;
    simplify(&mut function);
    Ok(compact(&function))
}

/// A function for sizes up to `longest` of a dimension of an input, out of two that `build` makes.
pub(super) fn any_length(
    build: &dyn Fn(usize) -> Result<Function, ExportError>,
    longest: usize,
    input: &str,
    axis: usize,
) -> Result<Function, ExportError> {
    let mut fault = None;
    for long in (longest..=longest + SLACK).filter(|&long| long > SHORT[0]) {
        let built = build(long)?;
        for short in SHORT.into_iter().filter(|&short| short < long) {
            match flexible(&build(short)?, &built, input, axis) {
                Ok(function) => return Ok(function),
                Err(FlexibleError::Build(error)) => return Err(error.into()),
                Err(error) => fault = Some(error),
            }
        }
    }
    match fault {
        Some(error) => Err(error.into()),
        None => {
            Err(ExportError::Option { what: "the longest size".into(), message: format!("is {longest}") })
        }
    }
}

/// The first fault of a program that should have had none.
pub(super) fn first_fault(mut faults: Vec<VerifyError>) -> ExportError {
    match faults.is_empty() {
        true => {
            ExportError::Option { what: "the program".into(), message: "was refused without a reason".into() }
        }
        false => ExportError::Invalid(faults.swap_remove(0)),
    }
}
