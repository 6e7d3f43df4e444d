//! Models in files: opened, described, run by the names of their features.
//!
//! ```no_run
//! use anemone::{Device, Model};
//! use anemone::runtime::Tensor;
//!
//! let model = Model::open("model.mlpackage")?;
//! let backend = Device::best().backend()?;
//! let mut session = model.session(&*backend, &Default::default())?;
//! let inputs = [("x".to_string(), Tensor::new([1, 3], &[1.0_f32, 2.0, 3.0])?)].into();
//! for (name, output) in session.predict(&inputs)? {
//!     println!("{name}: {output:?}");
//! }
//! # Ok::<(), anemone::ModelError>(())
//! ```

mod error;
mod image;
mod session;

pub use error::ModelError;
pub use image::read_image;
pub use session::{Label, Output, Session};

use anemone_mlpackage::{Description, Package};
use anemone_runtime::{Backend, States};
use mil::{Function, Program, Shape, Verified, verify};
use std::collections::BTreeMap;
use std::path::Path;

/// A model from a file: its description and its verified program.
#[derive(Debug)]
pub struct Model {
    package: Package,
    program: Verified,
}

/// Which function of a model runs, with which shapes and states.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// The function; the model's default when absent.
    pub function: Option<String>,
    /// Shapes of flexible inputs, by name. Inputs that are left out keep their open dimensions: the session then takes any
    /// size, and interprets the program rather than compiling it.
    pub shapes: BTreeMap<String, Shape>,
    /// States to share with other sessions.
    pub states: States,
}

impl Model {
    /// Opens a `.mlpackage`, `.mlmodelc` or `.mlmodel` of the ML Program kind, or MIL text (`.mil`, with weights where it
    /// refers to them), and verifies its program.
    ///
    /// # Errors
    /// When it is none of these, is damaged, or breaks MIL's rules.
    pub fn open(path: impl AsRef<Path>) -> Result<Model, ModelError> {
        Model::new(Package::open(path)?)
    }

    /// The model of a package.
    ///
    /// # Errors
    /// When the package is damaged or its program breaks MIL's rules.
    pub fn new(package: Package) -> Result<Model, ModelError> {
        let program = verify(package.program()?).map_err(ModelError::Invalid)?;
        Ok(Model { package, program })
    }

    /// The package around it.
    pub fn package(&self) -> &Package {
        &self.package
    }

    /// What the model says about itself.
    pub fn description(&self) -> &Description {
        &self.package.description
    }

    /// The program.
    pub fn program(&self) -> &Verified {
        &self.program
    }

    /// The function of this name, or the one that runs when none is asked for.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn function(&self, name: Option<&str>) -> Result<&Function, ModelError> {
        let default = || self.description().default_function().map(|function| function.name.as_str());
        let function = match name.or_else(default) {
            Some(name) => self.program.function(name).ok_or_else(|| name.to_string()),
            None => self.program.functions.first().ok_or_else(String::new),
        };
        function.map_err(|name| ModelError::NoFunction {
            name,
            available: self.program.functions.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Compiles one function, ready to predict.
    ///
    /// # Errors
    /// When there is no such function, a shape does not fit, or the back end refuses the program.
    pub fn session(&self, backend: &dyn Backend, options: &SessionOptions) -> Result<Session, ModelError> {
        let function = self.function(options.function.as_deref())?;
        let description = self.description().function(&function.name);
        Session::new(function, description, &self.program, backend, options)
    }
}

/// A program of one function out of several.
fn only(program: &Program, function: Function) -> Program {
    Program { functions: vec![function], build_info: program.build_info.clone() }
}
