//! Features: what goes into and comes out of a function, in the terms of an app.

use std::fmt;
use thiserror::Error;

/// An input, output or state.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Name; that of the program's input, output or state.
    pub name: String,
    /// A sentence for people.
    pub description: String,
    /// Type.
    pub ty: FeatureType,
    /// Whether an app may leave the feature out; an array then has a [`DefaultValue`].
    pub optional: bool,
}

impl Feature {
    /// A feature that must be given.
    pub fn new(name: impl Into<String>, ty: FeatureType) -> Feature {
        Feature { name: name.into(), description: String::new(), ty, optional: false }
    }
}

/// Type of a feature.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureType {
    /// An integer.
    Int64,
    /// A number.
    Double,
    /// A string.
    String,
    /// An image. The program sees `[1, C, H, W]`, with C = 1 for grey scale and 3 otherwise.
    Image(ImageFeature),
    /// An array.
    Array(ArrayFeature),
    /// A dictionary from keys to numbers, as classifiers give probabilities.
    Dictionary(KeyType),
    /// A sequence of integers or strings.
    Sequence(SequenceFeature),
    /// An array that the model keeps between calls.
    State(ArrayFeature),
}

/// Element type of an array feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say all there is")]
pub enum ArrayDataType {
    Float16,
    Float32,
    Double,
    Int32,
    Int8,
}

impl ArrayDataType {
    /// Every type.
    pub const ALL: [ArrayDataType; 5] = [
        ArrayDataType::Float16,
        ArrayDataType::Float32,
        ArrayDataType::Double,
        ArrayDataType::Int32,
        ArrayDataType::Int8,
    ];

    /// The number in the file. Source: `ArrayFeatureType.ArrayDataType` in `FeatureTypes.proto`.
    pub(crate) const fn code(self) -> i64 {
        match self {
            ArrayDataType::Float16 => 65_552,
            ArrayDataType::Float32 => 65_568,
            ArrayDataType::Double => 65_600,
            ArrayDataType::Int8 => 131_080,
            ArrayDataType::Int32 => 131_104,
        }
    }

    pub(crate) fn from_code(code: i64) -> Option<ArrayDataType> {
        ArrayDataType::ALL.into_iter().find(|dtype| dtype.code() == code)
    }

    /// Apple's name: `Float16`, `Int32`, …
    pub const fn name(self) -> &'static str {
        match self {
            ArrayDataType::Float16 => "Float16",
            ArrayDataType::Float32 => "Float32",
            ArrayDataType::Double => "Double",
            ArrayDataType::Int32 => "Int32",
            ArrayDataType::Int8 => "Int8",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<ArrayDataType> {
        ArrayDataType::ALL.into_iter().find(|dtype| dtype.name() == name)
    }
}

impl fmt::Display for ArrayDataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An array.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayFeature {
    /// Element type.
    pub dtype: ArrayDataType,
    /// The shape; for a flexible one, the shape that Core ML takes when it is free to choose. Empty for outputs whose
    /// shape depends on the inputs.
    pub shape: Vec<u64>,
    /// Which other shapes are allowed.
    pub flexibility: ArrayFlexibility,
    /// What an optional input is filled with when it is left out.
    pub default: Option<DefaultValue>,
}

impl ArrayFeature {
    /// An array of one fixed shape.
    pub fn fixed(dtype: ArrayDataType, shape: Vec<u64>) -> ArrayFeature {
        ArrayFeature { dtype, shape, flexibility: ArrayFlexibility::Fixed, default: None }
    }

    /// Whether the feature takes an array of this shape.
    ///
    /// # Errors
    /// When it does not: what was found, and what is allowed.
    pub fn check_shape(&self, shape: &[u64]) -> Result<(), ShapeError> {
        let fits = match &self.flexibility {
            ArrayFlexibility::Fixed => self.shape == shape,
            ArrayFlexibility::Enumerated(shapes) => shapes.iter().any(|allowed| allowed == shape),
            ArrayFlexibility::Ranges(ranges) => {
                ranges.len() == shape.len() && ranges.iter().zip(shape).all(|(range, &n)| range.contains(n))
            }
        };
        if fits {
            return Ok(());
        }
        Err(ShapeError { found: Dims(shape).to_string(), allowed: self.shapes() })
    }

    /// Makes this shape the only one.
    ///
    /// # Errors
    /// When the feature does not take it.
    pub fn fix(&mut self, shape: &[u64]) -> Result<(), ShapeError> {
        self.check_shape(shape)?;
        self.shape = shape.to_vec();
        self.flexibility = ArrayFlexibility::Fixed;
        Ok(())
    }

    /// The allowed shapes, for people: `[1, 3]`, `[1, 3] or [1, 5]`, `[1, 1...512]`.
    pub fn shapes(&self) -> String {
        match &self.flexibility {
            ArrayFlexibility::Fixed => Dims(&self.shape).to_string(),
            ArrayFlexibility::Enumerated(shapes) => {
                shapes.iter().map(|shape| Dims(shape).to_string()).collect::<Vec<_>>().join(" or ")
            }
            ArrayFlexibility::Ranges(ranges) => {
                let ranges: Vec<_> = ranges.iter().map(SizeRange::to_string).collect();
                format!("[{}]", ranges.join(", "))
            }
        }
    }
}

/// An array has a shape that its feature does not take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("an array of shape {found} was given, but the model takes {allowed}")]
pub struct ShapeError {
    /// The shape given.
    pub found: String,
    /// The shapes that are allowed.
    pub allowed: String,
}

struct Dims<'a>(&'a [u64]);

impl fmt::Display for Dims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<_> = self.0.iter().map(u64::to_string).collect();
        write!(f, "[{}]", dims.join(", "))
    }
}

/// Which shapes an array may have.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ArrayFlexibility {
    /// Only the feature's own.
    #[default]
    Fixed,
    /// One of these.
    Enumerated(Vec<Vec<u64>>),
    /// Any whose dimensions lie in these ranges, one range per dimension.
    Ranges(Vec<SizeRange>),
}

/// A range of sizes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeRange {
    /// Smallest size.
    pub lower: u64,
    /// Largest size; `None` when there is no limit.
    pub upper: Option<u64>,
}

impl SizeRange {
    /// The range of one size.
    pub const fn exactly(size: u64) -> SizeRange {
        SizeRange { lower: size, upper: Some(size) }
    }

    /// Whether `size` lies in the range.
    pub fn contains(&self, size: u64) -> bool {
        size >= self.lower && self.upper.is_none_or(|upper| size <= upper)
    }
}

impl fmt::Display for SizeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.upper {
            Some(upper) if upper == self.lower => write!(f, "{upper}"),
            Some(upper) => write!(f, "{}...{upper}", self.lower),
            None => write!(f, "{}...", self.lower),
        }
    }
}

/// What an optional array is filled with. Equal to another when it has the same bits, so that no description differs from itself.
#[derive(Clone, Copy, Debug)]
pub enum DefaultValue {
    /// An integer.
    Int(i32),
    /// A float.
    Float(f32),
    /// A double.
    Double(f64),
}

impl PartialEq for DefaultValue {
    fn eq(&self, other: &DefaultValue) -> bool {
        match (self, other) {
            (DefaultValue::Int(a), DefaultValue::Int(b)) => a == b,
            (DefaultValue::Float(a), DefaultValue::Float(b)) => a.to_bits() == b.to_bits(),
            (DefaultValue::Double(a), DefaultValue::Double(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

/// An image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFeature {
    /// Width in pixels; for a flexible size, the one that Core ML takes when it is free to choose.
    pub width: u64,
    /// Height in pixels, likewise.
    pub height: u64,
    /// Which other sizes are allowed.
    pub flexibility: ImageFlexibility,
    /// Channels and their order.
    pub color_space: ColorSpace,
}

impl ImageFeature {
    /// Makes this size the only one.
    ///
    /// # Errors
    /// When the feature does not take it.
    pub fn fix(&mut self, width: u64, height: u64) -> Result<(), ShapeError> {
        let fits = match &self.flexibility {
            ImageFlexibility::Fixed => (self.width, self.height) == (width, height),
            ImageFlexibility::Enumerated(sizes) => sizes.contains(&(width, height)),
            ImageFlexibility::Range { width: widths, height: heights } => {
                widths.contains(width) && heights.contains(height)
            }
        };
        if !fits {
            let allowed = FeatureType::Image(self.clone()).to_string();
            return Err(ShapeError { found: format!("{width} × {height} pixels"), allowed });
        }
        (self.width, self.height, self.flexibility) = (width, height, ImageFlexibility::Fixed);
        Ok(())
    }
}

/// Which sizes an image may have.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ImageFlexibility {
    /// Only the feature's own.
    #[default]
    Fixed,
    /// One of these, each (width, height).
    Enumerated(Vec<(u64, u64)>),
    /// Any in these ranges.
    Range {
        /// Widths.
        width: SizeRange,
        /// Heights.
        height: SizeRange,
    },
}

/// Channels of an image and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColorSpace {
    /// One channel of 8 bits.
    Grayscale,
    /// Red, green, blue, 8 bits each.
    Rgb,
    /// Blue, green, red, 8 bits each.
    Bgr,
    /// One channel of `fp16`.
    GrayscaleFloat16,
}

impl ColorSpace {
    /// Every colour space.
    pub const ALL: [ColorSpace; 4] =
        [ColorSpace::Grayscale, ColorSpace::Rgb, ColorSpace::Bgr, ColorSpace::GrayscaleFloat16];

    /// The number in the file. Source: `ImageFeatureType.ColorSpace` in `FeatureTypes.proto`.
    pub(crate) const fn code(self) -> i64 {
        match self {
            ColorSpace::Grayscale => 10,
            ColorSpace::Rgb => 20,
            ColorSpace::Bgr => 30,
            ColorSpace::GrayscaleFloat16 => 40,
        }
    }

    pub(crate) fn from_code(code: i64) -> Option<ColorSpace> {
        ColorSpace::ALL.into_iter().find(|space| space.code() == code)
    }

    /// Channels that the program sees.
    pub const fn channels(self) -> u64 {
        match self {
            ColorSpace::Grayscale | ColorSpace::GrayscaleFloat16 => 1,
            ColorSpace::Rgb | ColorSpace::Bgr => 3,
        }
    }

    /// Apple's name: `Grayscale`, `RGB`, …
    pub const fn name(self) -> &'static str {
        match self {
            ColorSpace::Grayscale => "Grayscale",
            ColorSpace::Rgb => "RGB",
            ColorSpace::Bgr => "BGR",
            ColorSpace::GrayscaleFloat16 => "GrayscaleFloat16",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<ColorSpace> {
        ColorSpace::ALL.into_iter().find(|space| space.name() == name)
    }
}

/// Type of the keys of a dictionary, or of the elements of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// Integers.
    Int64,
    /// Strings.
    String,
}

/// A sequence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SequenceFeature {
    /// Elements.
    pub element: KeyType,
    /// How many there may be.
    pub length: SizeRange,
}

impl fmt::Display for FeatureType {
    /// As Core ML writes it: `MultiArray (Float16 [1, 3])`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |key: &KeyType| match key {
            KeyType::Int64 => "Int64",
            KeyType::String => "String",
        };
        match self {
            FeatureType::Int64 => f.write_str("Int64"),
            FeatureType::Double => f.write_str("Double"),
            FeatureType::String => f.write_str("String"),
            // Of an output whose shape depends on the inputs.
            FeatureType::Array(array)
                if array.shape.is_empty() && array.flexibility == ArrayFlexibility::Fixed =>
            {
                write!(f, "MultiArray ({})", array.dtype)
            }
            FeatureType::Array(array) => write!(f, "MultiArray ({} {})", array.dtype, array.shapes()),
            FeatureType::State(array) => write!(f, "State ({} {})", array.dtype, array.shapes()),
            FeatureType::Dictionary(keys) => write!(f, "Dictionary ({} → Double)", key(keys)),
            FeatureType::Sequence(sequence) => {
                write!(f, "Sequence ({} × {})", key(&sequence.element), sequence.length)
            }
            FeatureType::Image(image) => {
                write!(f, "Image ({} ", image.color_space.name())?;
                match &image.flexibility {
                    ImageFlexibility::Fixed => write!(f, "{} × {}", image.width, image.height)?,
                    ImageFlexibility::Enumerated(sizes) => {
                        let sizes: Vec<_> = sizes.iter().map(|(w, h)| format!("{w} × {h}")).collect();
                        f.write_str(&sizes.join(" or "))?;
                    }
                    ImageFlexibility::Range { width, height } => write!(f, "{width} × {height}")?,
                }
                f.write_str(")")
            }
        }
    }
}
