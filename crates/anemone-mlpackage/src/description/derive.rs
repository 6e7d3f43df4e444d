//! The description of a program that brings none: every input, output and state as an array.

use super::{ArrayDataType, ArrayFeature, Description, Feature, FeatureType, FunctionDescription, Metadata};
use crate::error::{Error, Result};
use mil::{DataType, Function, Opset, Program, TensorType};

impl Description {
    /// Describes a program: tensors become arrays, states become states, all under their own names. Change what an
    /// app should see otherwise (images, for one) in the result.
    ///
    /// # Errors
    /// When an input or output has an element type that features cannot have in the function's opset, an output has
    /// no fixed shape, or there is no function.
    pub fn of(program: &Program) -> Result<Description> {
        let functions: Vec<_> = program.functions.iter().map(function).collect::<Result<_>>()?;
        let multi_function = functions.len() > 1 || functions.iter().any(|function| function.name != super::codec::MAIN);
        let Some(first) = functions.first() else {
            return Err(Error::unwritable("", "a program without functions cannot be written as a model"));
        };
        let main = functions.iter().find(|function| function.name == super::codec::MAIN).unwrap_or(first);
        let default_function = multi_function.then(|| main.name.clone());
        Ok(Description { functions, default_function, multi_function, metadata: Metadata::default() })
    }
}

fn function(function: &Function) -> Result<FunctionDescription> {
    let feature = |id| {
        let value = function.value(id);
        let name = value.name.clone().unwrap_or_default();
        let array = array(value.ty.tensor(), function.opset).map_err(|message| {
            Error::unwritable(format!("function `{}`, `{name}`", function.name), message)
        })?;
        let ty = if value.ty.is_state() { FeatureType::State(array) } else { FeatureType::Array(array) };
        Ok(Feature::new(name, ty))
    };
    Ok(FunctionDescription {
        name: function.name.clone(),
        inputs: function.tensor_inputs().map(|id| feature(id).map(as_input)).collect::<Result<_>>()?,
        outputs: function.body.outputs.iter().map(|&id| feature(id)).collect::<Result<_>>()?,
        states: function.states().map(feature).collect::<Result<_>>()?,
        predicted_feature: None,
        predicted_probabilities: None,
    })
}

/// Core ML has no inputs without dimensions: a scalar goes in as an array of one element (so does coremltools write it).
fn as_input(mut feature: Feature) -> Feature {
    if let FeatureType::Array(array) = &mut feature.ty
        && array.shape.is_empty()
    {
        array.shape = vec![1];
    }
    feature
}

fn array(ty: &TensorType, opset: Opset) -> std::result::Result<ArrayFeature, String> {
    let dtype = match ty.dtype {
        DataType::Fp32 => ArrayDataType::Float32,
        DataType::Int32 => ArrayDataType::Int32,
        DataType::Fp16 if opset >= Opset::Ios16 => ArrayDataType::Float16,
        DataType::Int8 if opset >= Opset::Ios26 => ArrayDataType::Int8,
        found => {
            let allowed = match opset {
                Opset::Ios15 => "fp32 and int32",
                Opset::Ios16 | Opset::Ios17 | Opset::Ios18 => "fp16, fp32 and int32",
                _ => "fp16, fp32, int32 and int8",
            };
            return Err(format!("is {found}, but in {opset} features are {allowed}; put a `cast` before it"));
        }
    };
    Ok(ArrayFeature::fixed(dtype, ty.shape.iter().map(|&dim| dim as u64).collect()))
}
