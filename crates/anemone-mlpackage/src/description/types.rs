//! Feature types as protobuf: `FeatureType` and what is in it.

use super::feature::{
    ArrayDataType, ArrayFeature, ArrayFlexibility, ColorSpace, DefaultValue, FeatureType, ImageFeature,
    ImageFlexibility, KeyType, SequenceFeature, SizeRange,
};
use crate::proto::schema::{
    array_feature_type, array_feature_type_shape, dictionary_feature_type, enumerated_image_sizes,
    enumerated_shapes, feature_type, image_feature_type, image_size, image_size_range, sequence_feature_type,
    shape_range, size_range, state_feature_type,
};
use crate::proto::wire::{Encoder, Fault, Field, Fields, Read, Within, once};

/// Dimensions that a feature may have. Core ML's own limit is 5 for most ops; this one only bounds damaged files.
const MAX_RANK: usize = 64;

/// Reads a `FeatureType`: the type, and whether the feature is optional.
pub(super) fn read(bytes: &[u8]) -> Read<(FeatureType, bool)> {
    use feature_type as m;
    let (mut ty, mut optional) = (None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        let read = match field.number {
            m::INT64_TYPE => empty(&field, "Int64FeatureType").map(|()| FeatureType::Int64),
            m::DOUBLE_TYPE => empty(&field, "DoubleFeatureType").map(|()| FeatureType::Double),
            m::STRING_TYPE => empty(&field, "StringFeatureType").map(|()| FeatureType::String),
            m::IMAGE_TYPE => image(field.bytes()?).map(FeatureType::Image),
            m::MULTI_ARRAY_TYPE => array(field.bytes()?).map(FeatureType::Array),
            m::DICTIONARY_TYPE => dictionary(field.bytes()?).map(FeatureType::Dictionary),
            m::SEQUENCE_TYPE => sequence(field.bytes()?).map(FeatureType::Sequence),
            m::STATE_TYPE => state(field.bytes()?).map(FeatureType::State),
            m::IS_OPTIONAL => {
                once(&mut optional, &field, field.bool()?)?;
                continue;
            }
            _ => return field.unknown(m::MESSAGE),
        };
        once(&mut ty, &field, read.within(|| "type")?)?;
    }
    let ty = ty.ok_or_else(|| Fault::new("the feature's type is not given"))?;
    Ok((ty, optional.unwrap_or(false)))
}

/// Checks a message that has no fields.
fn empty(field: &Field<'_>, message: &'static str) -> Read<()> {
    match Fields::new(field.bytes()?).next() {
        None => Ok(()),
        Some(field) => field?.unknown(message),
    }
}

fn array(bytes: &[u8]) -> Read<ArrayFeature> {
    use array_feature_type as m;
    let mut shape = Vec::new();
    let (mut dtype, mut flexibility, mut default) = (None, None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::SHAPE => dims(&field, &mut shape)?,
            m::DATA_TYPE => {
                let code = field.signed()?;
                let known = ArrayDataType::from_code(code).ok_or_else(|| {
                    Fault::new(format!("{code} is no element type of arrays; known are {}", array_dtypes()))
                })?;
                once(&mut dtype, &field, known)?;
            }
            m::ENUMERATED_SHAPES => {
                let shapes = enumerated(field.bytes()?).within(|| "enumeratedShapes")?;
                once(&mut flexibility, &field, ArrayFlexibility::Enumerated(shapes))?;
            }
            m::SHAPE_RANGE => {
                let ranges = ranges(field.bytes()?).within(|| "shapeRange")?;
                once(&mut flexibility, &field, ArrayFlexibility::Ranges(ranges))?;
            }
            m::INT_DEFAULT_VALUE => once(&mut default, &field, DefaultValue::Int(field.int32()?))?,
            m::FLOAT_DEFAULT_VALUE => once(&mut default, &field, DefaultValue::Float(field.float()?))?,
            m::DOUBLE_DEFAULT_VALUE => once(&mut default, &field, DefaultValue::Double(field.double()?))?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let dtype = dtype.ok_or_else(|| {
        Fault::new(format!("the array's element type is not given; known are {}", array_dtypes()))
    })?;
    Ok(ArrayFeature { dtype, shape, flexibility: flexibility.unwrap_or_default(), default })
}

fn array_dtypes() -> String {
    ArrayDataType::ALL.map(|dtype| format!("{} ({dtype})", dtype.code())).join(", ")
}

fn dims(field: &Field<'_>, to: &mut Vec<u64>) -> Read<()> {
    field.numbers(|value| {
        let dim = value as i64;
        if dim < 0 {
            return Err(Fault::new(format!("a dimension is {dim}, but none can be negative")));
        }
        if to.len() == MAX_RANK {
            return Err(Fault::new(format!("the shape has more than {MAX_RANK} dimensions")));
        }
        to.push(value);
        Ok(())
    })
}

fn enumerated(bytes: &[u8]) -> Read<Vec<Vec<u64>>> {
    let mut shapes = Vec::new();
    for field in Fields::new(bytes) {
        let field = field?;
        if field.number != enumerated_shapes::SHAPES {
            return field.unknown(enumerated_shapes::MESSAGE);
        }
        let mut shape = Vec::new();
        for field in Fields::new(field.bytes()?) {
            let field = field?;
            match field.number {
                array_feature_type_shape::SHAPE => dims(&field, &mut shape)?,
                _ => return field.unknown(array_feature_type_shape::MESSAGE),
            }
        }
        if shape.is_empty() {
            return Err(Fault::new("one of the shapes has no dimensions"));
        }
        shapes.push(shape);
    }
    Ok(shapes)
}

fn ranges(bytes: &[u8]) -> Read<Vec<SizeRange>> {
    let mut ranges = Vec::new();
    for field in Fields::new(bytes) {
        let field = field?;
        if field.number != shape_range::SIZE_RANGES {
            return field.unknown(shape_range::MESSAGE);
        }
        if ranges.len() == MAX_RANK {
            return Err(Fault::new(format!("the shape has more than {MAX_RANK} dimensions")));
        }
        ranges.push(size(field.bytes()?).within(|| format!("sizeRanges[{}]", ranges.len()))?);
    }
    Ok(ranges)
}

fn size(bytes: &[u8]) -> Read<SizeRange> {
    use size_range as m;
    let (mut lower, mut upper) = (None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::LOWER_BOUND => once(&mut lower, &field, field.unsigned()?)?,
            m::UPPER_BOUND => once(&mut upper, &field, field.signed()?)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let upper = match upper.unwrap_or(0) {
        -1 => None,
        upper => Some(u64::try_from(upper).map_err(|_| {
            Fault::new(format!("the upper bound is {upper}; use -1 where there is no bound"))
        })?),
    };
    Ok(SizeRange { lower: lower.unwrap_or(0), upper })
}

fn image(bytes: &[u8]) -> Read<ImageFeature> {
    use image_feature_type as m;
    let [mut width, mut height] = [None; 2];
    let (mut flexibility, mut color_space) = (None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::WIDTH => once(&mut width, &field, pixels(&field)?)?,
            m::HEIGHT => once(&mut height, &field, pixels(&field)?)?,
            m::ENUMERATED_SIZES => {
                let sizes = image_sizes(field.bytes()?).within(|| "enumeratedSizes")?;
                once(&mut flexibility, &field, ImageFlexibility::Enumerated(sizes))?;
            }
            m::IMAGE_SIZE_RANGE => {
                once(&mut flexibility, &field, image_range(field.bytes()?).within(|| "imageSizeRange")?)?;
            }
            m::COLOR_SPACE => {
                let code = field.signed()?;
                let known = ColorSpace::from_code(code).ok_or_else(|| {
                    let known = ColorSpace::ALL.map(|space| format!("{} ({})", space.code(), space.name()));
                    Fault::new(format!("{code} is no color space; known are {}", known.join(", ")))
                })?;
                once(&mut color_space, &field, known)?;
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    Ok(ImageFeature {
        width: width.unwrap_or(0),
        height: height.unwrap_or(0),
        flexibility: flexibility.unwrap_or_default(),
        color_space: color_space.ok_or_else(|| Fault::new("the image's color space is not given"))?,
    })
}

fn pixels(field: &Field<'_>) -> Read<u64> {
    let value = field.signed()?;
    u64::try_from(value).map_err(|_| Fault::new(format!("an image cannot be {value} pixels wide or high")))
}

fn image_sizes(bytes: &[u8]) -> Read<Vec<(u64, u64)>> {
    let mut sizes = Vec::new();
    for field in Fields::new(bytes) {
        let field = field?;
        if field.number != enumerated_image_sizes::SIZES {
            return field.unknown(enumerated_image_sizes::MESSAGE);
        }
        let [mut width, mut height] = [None; 2];
        for field in Fields::new(field.bytes()?) {
            let field = field?;
            match field.number {
                image_size::WIDTH => once(&mut width, &field, field.unsigned()?)?,
                image_size::HEIGHT => once(&mut height, &field, field.unsigned()?)?,
                _ => return field.unknown(image_size::MESSAGE),
            }
        }
        let (Some(width), Some(height)) = (width, height) else {
            return Err(Fault::new("one of the sizes has no width or no height"));
        };
        sizes.push((width, height));
    }
    Ok(sizes)
}

fn image_range(bytes: &[u8]) -> Read<ImageFlexibility> {
    use image_size_range as m;
    let [mut width, mut height] = [None; 2];
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::WIDTH_RANGE => once(&mut width, &field, size(field.bytes()?).within(|| "widthRange")?)?,
            m::HEIGHT_RANGE => once(&mut height, &field, size(field.bytes()?).within(|| "heightRange")?)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let (Some(width), Some(height)) = (width, height) else {
        return Err(Fault::new("the range of widths or of heights is missing"));
    };
    Ok(ImageFlexibility::Range { width, height })
}

fn dictionary(bytes: &[u8]) -> Read<KeyType> {
    use dictionary_feature_type as m;
    let mut keys = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::INT64_KEY_TYPE => {
                once(&mut keys, &field, empty(&field, "Int64FeatureType").map(|()| KeyType::Int64)?)?;
            }
            m::STRING_KEY_TYPE => {
                once(&mut keys, &field, empty(&field, "StringFeatureType").map(|()| KeyType::String)?)?;
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    keys.ok_or_else(|| Fault::new("the dictionary's key type is not given"))
}

fn sequence(bytes: &[u8]) -> Read<SequenceFeature> {
    use sequence_feature_type as m;
    let (mut element, mut length) = (None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::INT64_TYPE => {
                once(&mut element, &field, empty(&field, "Int64FeatureType").map(|()| KeyType::Int64)?)?;
            }
            m::STRING_TYPE => {
                once(&mut element, &field, empty(&field, "StringFeatureType").map(|()| KeyType::String)?)?;
            }
            m::SIZE_RANGE => once(&mut length, &field, size(field.bytes()?).within(|| "sizeRange")?)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    Ok(SequenceFeature {
        element: element.ok_or_else(|| Fault::new("the sequence's element type is not given"))?,
        length: length.ok_or_else(|| Fault::new("the sequence's length is not given"))?,
    })
}

fn state(bytes: &[u8]) -> Read<ArrayFeature> {
    use state_feature_type as m;
    let mut held = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::ARRAY_TYPE => once(&mut held, &field, array(field.bytes()?).within(|| "arrayType")?)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    held.ok_or_else(|| Fault::new("what the state holds is not given"))
}

/// Writes a `FeatureType`.
pub(super) fn write(ty: &FeatureType, optional: bool, e: &mut Encoder) {
    use feature_type as m;
    match ty {
        FeatureType::Int64 => e.message(m::INT64_TYPE, |_| ()),
        FeatureType::Double => e.message(m::DOUBLE_TYPE, |_| ()),
        FeatureType::String => e.message(m::STRING_TYPE, |_| ()),
        FeatureType::Image(image) => e.message(m::IMAGE_TYPE, |e| write_image(image, e)),
        FeatureType::Array(array) => e.message(m::MULTI_ARRAY_TYPE, |e| write_array(array, e)),
        FeatureType::Dictionary(keys) => e.message(m::DICTIONARY_TYPE, |e| {
            let number = match keys {
                KeyType::Int64 => dictionary_feature_type::INT64_KEY_TYPE,
                KeyType::String => dictionary_feature_type::STRING_KEY_TYPE,
            };
            e.message(number, |_| ());
        }),
        FeatureType::Sequence(sequence) => e.message(m::SEQUENCE_TYPE, |e| {
            use sequence_feature_type as m;
            let number = match sequence.element {
                KeyType::Int64 => m::INT64_TYPE,
                KeyType::String => m::STRING_TYPE,
            };
            e.message(number, |_| ());
            write_size(m::SIZE_RANGE, sequence.length, e);
        }),
        FeatureType::State(held) => e.message(m::STATE_TYPE, |e| {
            e.message(state_feature_type::ARRAY_TYPE, |e| write_array(held, e));
        }),
    }
    e.bool(m::IS_OPTIONAL, optional);
}

fn write_array(array: &ArrayFeature, e: &mut Encoder) {
    use array_feature_type as m;
    e.packed(m::SHAPE, array.shape.iter().copied());
    e.signed(m::DATA_TYPE, array.dtype.code());
    match &array.flexibility {
        ArrayFlexibility::Fixed => {}
        ArrayFlexibility::Enumerated(shapes) => e.message(m::ENUMERATED_SHAPES, |e| {
            for shape in shapes {
                e.message(enumerated_shapes::SHAPES, |e| {
                    e.packed(array_feature_type_shape::SHAPE, shape.iter().copied());
                });
            }
        }),
        ArrayFlexibility::Ranges(ranges) => e.message(m::SHAPE_RANGE, |e| {
            for &range in ranges {
                write_size(shape_range::SIZE_RANGES, range, e);
            }
        }),
    }
    match array.default {
        None => {}
        Some(DefaultValue::Int(value)) => e.present_signed(m::INT_DEFAULT_VALUE, value.into()),
        Some(DefaultValue::Float(value)) => e.present_float(m::FLOAT_DEFAULT_VALUE, value),
        Some(DefaultValue::Double(value)) => e.present_double(m::DOUBLE_DEFAULT_VALUE, value),
    }
}

fn write_size(number: u32, range: SizeRange, e: &mut Encoder) {
    e.message(number, |e| {
        e.unsigned(size_range::LOWER_BOUND, range.lower);
        // -1 says that there is no bound; a bound past i64::MAX is none either.
        let upper = range.upper.and_then(|upper| i64::try_from(upper).ok()).unwrap_or(-1);
        e.signed(size_range::UPPER_BOUND, upper);
    });
}

fn write_image(image: &ImageFeature, e: &mut Encoder) {
    use image_feature_type as m;
    e.unsigned(m::WIDTH, image.width);
    e.unsigned(m::HEIGHT, image.height);
    e.signed(m::COLOR_SPACE, image.color_space.code());
    match &image.flexibility {
        ImageFlexibility::Fixed => {}
        ImageFlexibility::Enumerated(sizes) => e.message(m::ENUMERATED_SIZES, |e| {
            for &(width, height) in sizes {
                e.message(enumerated_image_sizes::SIZES, |e| {
                    e.unsigned(image_size::WIDTH, width);
                    e.unsigned(image_size::HEIGHT, height);
                });
            }
        }),
        ImageFlexibility::Range { width, height } => e.message(m::IMAGE_SIZE_RANGE, |e| {
            write_size(image_size_range::WIDTH_RANGE, *width, e);
            write_size(image_size_range::HEIGHT_RANGE, *height, e);
        }),
    }
}
