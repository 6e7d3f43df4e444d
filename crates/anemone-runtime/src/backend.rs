//! The interface between those who make programs and those who run them.

use crate::{CompileError, RunError, States, Tensor};
use mil::{Shape, TensorType, Verified};
use std::collections::BTreeMap;

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

    /// What the device that this back end stands for would have spent so far; `None` unless it is a simulated one.
    fn meter(&self) -> Option<Meter> {
        None
    }
}

/// What a simulated device would have spent: estimates of a cost model, never measurements.
///
/// Clocks of different processors are kept apart: `seconds` is the device's; `compile_seconds` is a service's of the
/// host, once per program; `copy_seconds` is the host's, for what it hands to the device and takes from it. The time
/// of the operations that are left to the host is in none, for no published figure says how long they take. How many
/// they were and how much they moved is counted instead.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter {
    /// The device that is simulated.
    pub device: String,
    /// Calls of compiled functions.
    pub calls: u64,
    /// Programs that the device was given, one after another: one for each part of a function that runs there.
    pub dispatches: u64,
    /// Seconds on the device: the middle of the estimates.
    pub seconds: f64,
    /// Seconds on the device if each call is as fast as is likely.
    pub seconds_low: f64,
    /// Seconds on the device if each call is as slow as is likely.
    pub seconds_high: f64,
    /// Energy of the device in millijoules.
    pub millijoules: f64,
    /// Programs compiled for the device.
    pub compiled: u64,
    /// Seconds that compiling them would take: a rough estimate.
    pub compile_seconds: f64,
    /// The same if each is as fast as is likely.
    pub compile_seconds_low: f64,
    /// The same if each is as slow as is likely.
    pub compile_seconds_high: f64,
    /// Operations of the compiled functions that the device takes.
    pub on_device: u64,
    /// Operations of the compiled functions that are left to the host.
    pub on_host: u64,
    /// Operations that the host ran in all calls; what is in a loop counts once a call.
    pub host_operations: u64,
    /// Bytes that these read and wrote, each operation for itself.
    pub host_bytes: u64,
    /// Seconds in which the host converts and copies what passes between it and the device: the middle of the
    /// estimates, not in `seconds` unless these were asked to have it. A cast right at the device's port is among the
    /// operations too.
    pub copy_seconds: f64,
}

/// What to compile, and which states to bind.
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// The function; the program's first when absent.
    pub function: Option<String>,
    /// States to share with other executables. States that the function declares and that are missing
    /// here are added, filled with zeros.
    pub states: States,
    /// Shapes to which flexible inputs (those with unknown dimensions) are bound, by name.
    pub shapes: BTreeMap<String, Shape>,
}

impl CompileOptions {
    /// Options that share `states`.
    pub fn sharing(states: &States) -> CompileOptions {
        CompileOptions { states: states.clone(), ..CompileOptions::default() }
    }

    /// The same with a flexible input bound to a shape.
    pub fn shape(mut self, input: impl Into<String>, shape: impl Into<Shape>) -> CompileOptions {
        self.shapes.insert(input.into(), shape.into());
        self
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
    /// Type. A dimension may be unknown ([`mil::UNKNOWN`]): an input takes any size there, an output turns out to have one.
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
    /// once by the caller ([`Executable::new_outputs`]) and reused; one whose shape was not known is replaced.
    ///
    /// # Errors
    /// When a tensor has the wrong type, before anything is changed; or when an operation meets data that it cannot work
    /// on. Some states may then be updated already: go on from a copy of them, not from here.
    fn run(&mut self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> Result<(), RunError>;

    /// Tensors of the outputs' types, for [`Executable::run`] to fill.
    fn new_outputs(&self) -> Result<Vec<Tensor>, RunError> {
        let known = |ty: &TensorType| {
            let dims = ty.shape.iter().map(|&dim| if dim == mil::UNKNOWN { 0 } else { dim });
            ty.with_shape(dims.collect::<Shape>())
        };
        self.outputs().iter().map(|feature| Ok(Tensor::zeros(known(&feature.ty))?)).collect()
    }

    /// Runs once into fresh tensors.
    fn call(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, RunError> {
        let mut outputs = self.new_outputs()?;
        self.run(inputs, &mut outputs)?;
        Ok(outputs)
    }
}
