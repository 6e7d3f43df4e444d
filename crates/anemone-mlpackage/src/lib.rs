//! Core ML's files: reads and writes `.mlpackage`, reads bare `.mlmodel` and compiled `.mlmodelc`, all of the ML Program
//! kind, to and from [`mil::Program`].
//!
//! * [`Package`] is a model: a [`Description`] that apps see, and a program below it. Opening maps the files and reads the
//!   description; the program is read when asked for, and weights stay in their file until somebody looks at them.
//! * Nothing is lost in silence. A field that Apple added after this was written is an error that names it, as is everything
//!   else that a [`mil::Program`] could not hold. What is opened and written again is the same model.
//! * Nothing is trusted. Files may be cut short, damaged or made to do harm: every length, offset, path and depth is checked,
//!   memory grows with what the file holds and not with what it claims, and the answer is an [`Error`] with a sentence.
//! * The same model always gives the same bytes: maps are sorted, identifiers fixed.
//!
//! The older layer format (`neuralNetwork`), pipelines and other kinds are recognised and declined.

mod compiled;
mod description;
mod error;
mod manifest;
mod map;
mod model;
mod package;
mod program;
pub mod proto;
mod save;
mod weights;

pub use description::{
    ArrayDataType, ArrayFeature, ArrayFlexibility, ColorSpace, DefaultValue, Description, Feature,
    FeatureType, FunctionDescription, ImageFeature, ImageFlexibility, KeyType, Metadata, SequenceFeature,
    ShapeError, SizeRange,
};
pub use error::{Error, Result};
pub use package::{Package, WriteOptions};
