//! Whether a feature and the value of the program that it stands for go together.

use super::{
    ArrayDataType, ArrayFeature, ArrayFlexibility, FeatureType, ImageFeature, ImageFlexibility, KeyType,
    SizeRange,
};
use mil::{DataType, TensorType, Type, UNKNOWN};

impl FeatureType {
    /// Checks a feature against the program's value. The message goes on a sentence that has named the feature.
    pub(crate) fn check_against(&self, ty: &Type, input: bool) -> Result<(), String> {
        match (self, ty) {
            (FeatureType::Array(array), Type::Tensor(tensor)) => check_array(array, tensor, input),
            (FeatureType::State(array), Type::State(tensor)) => check_array(array, tensor, true),
            (FeatureType::Image(image), Type::Tensor(tensor)) => check_image(image, tensor, input),
            (FeatureType::String, Type::Tensor(tensor))
                if *tensor == TensorType::scalar(DataType::String) =>
            {
                Ok(())
            }
            (FeatureType::Int64, Type::Tensor(tensor)) if *tensor == TensorType::scalar(DataType::Int64) => {
                Ok(())
            }
            (FeatureType::Dictionary(KeyType::String), Type::Dict(key)) if key.dtype == DataType::String => {
                Ok(())
            }
            (FeatureType::Dictionary(KeyType::Int64), Type::Dict(key)) if key.dtype == DataType::Int64 => {
                Ok(())
            }
            _ => Err(format!("is {self} in the description, but {ty} in the program")),
        }
    }
}

fn check_array(array: &ArrayFeature, tensor: &TensorType, input: bool) -> Result<(), String> {
    let dtype = match array.dtype {
        ArrayDataType::Float16 => DataType::Fp16,
        ArrayDataType::Float32 => DataType::Fp32,
        ArrayDataType::Int32 => DataType::Int32,
        ArrayDataType::Int8 => DataType::Int8,
        ArrayDataType::Double => return Err("is an array of Double, which no program takes or gives".into()),
    };
    let differ = || {
        format!("is {} in the description, but {tensor} in the program", FeatureType::Array(array.clone()))
    };
    if dtype != tensor.dtype {
        return Err(differ());
    }
    // A scalar is an array of one element outside; outputs may leave their shape open.
    let scalar = tensor.shape.is_empty() && array.shape == [1];
    let open = !input && array.shape.is_empty();
    let fits = |dims: &[u64]| {
        let pairs = dims.iter().zip(tensor.shape.iter());
        dims.len() == tensor.shape.rank() && pairs.into_iter().all(|(&a, &b)| b == UNKNOWN || a == b as u64)
    };
    if !scalar && !open && !fits(&array.shape) {
        return Err(differ());
    }
    match &array.flexibility {
        ArrayFlexibility::Fixed if input && !tensor.shape.is_known() => Err(format!(
            "is {tensor} in the program, so the description must say which sizes it takes (ArrayFlexibility)"
        )),
        ArrayFlexibility::Fixed => Ok(()),
        ArrayFlexibility::Enumerated(shapes) => {
            if shapes.iter().all(|shape| fits(shape)) {
                Ok(())
            } else {
                Err(differ())
            }
        }
        ArrayFlexibility::Ranges(ranges) => {
            let fixed = |(range, &dim): (&SizeRange, &usize)| {
                dim == UNKNOWN || *range == SizeRange::exactly(dim as u64)
            };
            if ranges.len() != tensor.shape.rank() || !ranges.iter().zip(tensor.shape.iter()).all(fixed) {
                return Err(differ());
            }
            // coremltools refuses to make such a model; Core ML plans memory for the largest size.
            if ranges.iter().any(|range| range.upper.is_none()) {
                return Err(format!(
                    "takes {}, but every size needs an upper bound in an ML Program",
                    array.shapes()
                ));
            }
            Ok(())
        }
    }
}

fn check_image(image: &ImageFeature, tensor: &TensorType, input: bool) -> Result<(), String> {
    let differ = || {
        format!("is {} in the description, but {tensor} in the program", FeatureType::Image(image.clone()))
    };
    let &[batch, channels, height, width] = &tensor.shape[..] else {
        return Err(format!("is an image, so it must be [1, C, H, W] in the program, but is {tensor}"));
    };
    if batch != 1 || channels as u64 != image.color_space.channels() {
        return Err(differ());
    }
    let fits = |size: u64, dim: usize| dim == UNKNOWN || size == dim as u64;
    let flexible = image.flexibility != ImageFlexibility::Fixed;
    if !fits(image.width, width) || !fits(image.height, height) || (flexible && tensor.shape.is_known()) {
        return Err(differ());
    }
    if input && !flexible && !tensor.shape.is_known() {
        return Err(format!(
            "is {tensor} in the program, so the description must say which sizes it takes (ImageFlexibility)"
        ));
    }
    Ok(())
}
