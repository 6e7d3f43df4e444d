//! The description of a program that brings none: every input, output and state as an array.

use super::{
    ArrayDataType, ArrayFeature, ArrayFlexibility, Description, Feature, FeatureType, FunctionDescription,
    KeyType, Metadata, SizeRange,
};
use crate::error::{Error, Result};
use mil::{DataType, Function, Opset, Program, TensorType, Type, UNKNOWN};

impl Description {
    /// Describes a program: tensors become arrays, states become states, what `classify` gives becomes a label and a
    /// dictionary, all under their own names. Change what an app should see otherwise (images, ranges of sizes) in the result.
    ///
    /// # Errors
    /// When an input or output has a type that features cannot have in the function's opset, or there is no function.
    pub fn of(program: &Program) -> Result<Description> {
        let functions: Vec<_> = program.functions.iter().map(function).collect::<Result<_>>()?;
        let multi_function =
            functions.len() > 1 || functions.iter().any(|function| function.name != super::codec::MAIN);
        let Some(first) = functions.first() else {
            return Err(Error::unwritable("", "a program without functions cannot be written as a model"));
        };
        let main = functions.iter().find(|function| function.name == super::codec::MAIN).unwrap_or(first);
        let default_function = multi_function.then(|| main.name.clone());
        Ok(Description { functions, default_function, multi_function, metadata: Metadata::default() })
    }
}

fn function(function: &Function) -> Result<FunctionDescription> {
    let feature = |id, input| {
        let value = function.value(id);
        let name = value.name.clone().unwrap_or_default();
        let ty = feature_type(&value.ty, function.opset, input).map_err(|message| {
            Error::unwritable(format!("function `{}`, `{name}`", function.name), message)
        })?;
        Ok(Feature::new(name, ty))
    };
    let classifier = function.body.ops.iter().find(|operation| operation.op.name == "classify");
    let result = |index: usize| {
        let id = *classifier?.outputs.get(index)?;
        function.body.outputs.contains(&id).then(|| function.value(id).name.clone()).flatten()
    };
    Ok(FunctionDescription {
        name: function.name.clone(),
        inputs: function.tensor_inputs().map(|id| feature(id, true)).collect::<Result<_>>()?,
        outputs: function.body.outputs.iter().map(|&id| feature(id, false)).collect::<Result<_>>()?,
        states: function.states().map(|id| feature(id, false)).collect::<Result<_>>()?,
        predicted_feature: result(0),
        predicted_probabilities: result(1),
    })
}

fn feature_type(ty: &Type, opset: Opset, input: bool) -> std::result::Result<FeatureType, String> {
    let label = |dtype| match dtype {
        DataType::String => Some(KeyType::String),
        DataType::Int64 => Some(KeyType::Int64),
        _ => None,
    };
    match ty {
        Type::Tensor(tensor) if !input && tensor.shape.is_empty() && label(tensor.dtype).is_some() => {
            Ok(if tensor.dtype == DataType::String { FeatureType::String } else { FeatureType::Int64 })
        }
        Type::Tensor(tensor) if input => array(tensor, opset).map(as_input).map(FeatureType::Array),
        // A shape that depends on the inputs is not told.
        Type::Tensor(tensor) => array(tensor, opset).map(|mut array| {
            array.shape.retain(|_| tensor.shape.is_known());
            FeatureType::Array(array)
        }),
        Type::State(tensor) if tensor.shape.is_known() => array(tensor, opset).map(FeatureType::State),
        Type::State(_) => Err(format!("is {ty}, but the shape of a state must be known")),
        Type::Dict(key) if !input => label(key.dtype)
            .map(FeatureType::Dictionary)
            .ok_or_else(|| format!("is {ty}, but dictionaries have strings or int64 as keys")),
        _ => Err(format!("is {ty}, which no feature can be")),
    }
}

/// Core ML has no inputs without dimensions: a scalar goes in as an array of one element (so does coremltools write it).
/// Where the program leaves a dimension open, any size goes; an upper bound is for the caller to set before writing.
fn as_input(mut array: ArrayFeature) -> ArrayFeature {
    if array.shape.is_empty() {
        array.shape = vec![1];
    }
    if array.shape.contains(&(UNKNOWN as u64)) {
        let range = |&dim: &u64| match dim == UNKNOWN as u64 {
            true => SizeRange { lower: 1, upper: None },
            false => SizeRange::exactly(dim),
        };
        array.flexibility = ArrayFlexibility::Ranges(array.shape.iter().map(range).collect());
        array.shape.iter_mut().filter(|dim| **dim == UNKNOWN as u64).for_each(|dim| *dim = 1);
    }
    array
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
