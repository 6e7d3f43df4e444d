//! Flexible inputs given one shape for good.

use crate::error::CliError;
use anemone::ModelError;
use anemone::cpu::specialize;
use anemone::mil::{Function, Program, Shape, Verified, verify};
use anemone::mlpackage::{ArrayFlexibility, Feature, FeatureType, Package};
use anemone::runtime::CompileError;
use std::collections::{BTreeMap, BTreeSet};

/// Fixes the shapes of inputs, in the program and in what the model says of itself.
pub(crate) fn fix(package: &mut Package, shapes: &[(String, Vec<usize>)]) -> Result<(), CliError> {
    let program = verify(package.program()?).map_err(ModelError::Invalid)?;
    let wanted = by_name(shapes, &program)?;
    let bound = specialized(&program, |function| {
        let own = tensor_names(function).filter_map(|name| wanted.get_key_value(&name));
        own.map(|(name, shape)| (name.clone(), shape.clone())).collect()
    })?;
    for described in &mut package.description.functions {
        let Some(function) = bound.function(&described.name) else { continue };
        for feature in &mut described.inputs {
            if let Some(shape) = wanted.get(&feature.name) {
                fix_input(feature, shape)?;
            }
        }
        for feature in &mut described.outputs {
            let value = function.body.outputs.iter().find(|&&id| function.display_name(id) == feature.name);
            if let (Some(&id), FeatureType::Array(array)) = (value, &mut feature.ty) {
                // One that told no shape goes on telling none.
                let told = !array.shape.is_empty() || array.flexibility != ArrayFlexibility::Fixed;
                if told && function.shape(id).is_known() && !function.shape(id).is_empty() {
                    (array.shape, array.flexibility) = (dims(function.shape(id)), ArrayFlexibility::Fixed);
                }
            }
        }
    }
    package.set_program(bound);
    Ok(())
}

/// The program with the inputs of each function bound to what `shapes` says of that function.
pub(crate) fn specialized(
    program: &Verified,
    mut shapes: impl FnMut(&Function) -> BTreeMap<String, Shape>,
) -> Result<Verified, CliError> {
    let mut bound = Program { functions: Vec::new(), build_info: program.build_info.clone() };
    for function in &program.functions {
        let failed = |error: CompileError| {
            CliError::failed_try(format!("function `{}`: {error}", function.name), "--shape NAME=DIMS")
        };
        let shapes = shapes(function);
        bound.functions.push(match shapes.is_empty() {
            true => function.clone(),
            false => specialize(function, &shapes).map_err(failed)?,
        });
    }
    Ok(verify(bound).map_err(ModelError::Invalid)?)
}

/// The shapes by the name of the input.
pub(crate) fn by_name(
    shapes: &[(String, Vec<usize>)],
    program: &Program,
) -> Result<BTreeMap<String, Shape>, CliError> {
    let mut wanted: BTreeMap<String, Shape> = BTreeMap::new();
    for (name, dims) in shapes {
        if wanted.insert(name.clone(), Shape::new(dims)).is_some() {
            return Err(CliError::usage(
                format!("input `{name}` is given two shapes"),
                "one --shape for each input",
            ));
        }
    }
    let inputs: BTreeSet<String> = program.functions.iter().flat_map(tensor_names).collect();
    if let Some(name) = wanted.keys().find(|name| !inputs.contains(*name)) {
        let known: Vec<&str> = inputs.iter().map(String::as_str).collect();
        return Err(CliError::usage(format!("there is no input `{name}`"), known.join(", ")));
    }
    Ok(wanted)
}

fn tensor_names(function: &Function) -> impl Iterator<Item = String> {
    function.tensor_inputs().map(|id| function.display_name(id))
}

fn dims(shape: &Shape) -> Vec<u64> {
    shape.iter().map(|&dim| dim as u64).collect()
}

fn fix_input(feature: &mut Feature, shape: &Shape) -> Result<(), CliError> {
    let name = feature.name.clone();
    let fixed = match &mut feature.ty {
        FeatureType::Array(array) => array.fix(&dims(shape)),
        FeatureType::Image(image) => match **shape {
            [_, _, height, width] => image.fix(width as u64, height as u64),
            _ => Ok(()),
        },
        _ => Ok(()),
    };
    fixed
        .map_err(|error| CliError::usage(format!("input `{name}`: {error}"), "a shape that the model allows"))
}
