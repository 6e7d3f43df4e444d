//! The interface between those who make programs and those who run them.

use crate::{CompileError, RunError, States, Tensor};
use mil::{TensorType, Verified};

/// Runs programs somewhere: on the CPU, on a simulated engine, on the engine.
pub trait Backend: Send + Sync {
    /// Name for people and logs.
    fn name(&self) -> &'static str;

    /// Compiles one function of a program.
    fn compile(
        &self,
        program: &Verified,
        options: &CompileOptions,
    ) -> Result<Box<dyn Executable>, CompileError>;
}

/// What to compile, and which states to bind.
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// The function; the program's first when absent.
    pub function: Option<String>,
    /// States to share with other executables. States that the function declares and that are missing
    /// here are added, filled with zeros.
    pub states: States,
}

impl CompileOptions {
    /// Options that share `states`.
    pub fn sharing(states: &States) -> CompileOptions {
        CompileOptions { function: None, states: states.clone() }
    }

    /// The same for the named function.
    pub fn function(mut self, name: impl Into<String>) -> CompileOptions {
        self.function = Some(name.into());
        self
    }
}

/// An input or output of a compiled function.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Name.
    pub name: String,
    /// Type.
    pub ty: TensorType,
}

/// A compiled function.
pub trait Executable: Send {
    /// Tensor inputs, in the function's order.
    fn inputs(&self) -> &[Feature];

    /// Outputs, in the function's order.
    fn outputs(&self) -> &[Feature];

    /// The states that it works on.
    fn states(&self) -> &States;

    /// Runs once: reads `inputs`, overwrites `outputs`, updates the states. Output tensors are made
    /// once by the caller ([`Executable::new_outputs`]) and reused.
    ///
    /// # Errors
    /// When a tensor has the wrong type, before anything is changed; or when an operation meets data that it cannot work
    /// on. Some states may then be updated already: go on from a copy of them, not from here.
    fn run(&mut self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> Result<(), RunError>;

    /// Tensors of the outputs' types, for [`Executable::run`] to fill.
    fn new_outputs(&self) -> Result<Vec<Tensor>, RunError> {
        self.outputs().iter().map(|feature| Ok(Tensor::zeros(feature.ty.clone())?)).collect()
    }

    /// Runs once into fresh tensors.
    fn call(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, RunError> {
        let mut outputs = self.new_outputs()?;
        self.run(inputs, &mut outputs)?;
        Ok(outputs)
    }
}
