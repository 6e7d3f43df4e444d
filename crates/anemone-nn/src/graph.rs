//! Where layers put their operations: a MIL function under construction, with its parameters.
//!
//! A parameter is a MIL state that the function reads. Layers ask for theirs by name when they run
//! ([`Graph::parameter`]); names are scoped, and asking twice for the same full name gives the same parameter, which is how
//! weights are tied. A full name has two forms: with dots, as PyTorch writes it (`layers.0.attention.q_proj.weight`),
//! in files; with underscores (`layers_0_attention_q_proj_weight`) in programs, because names in MIL have no dots. A buffer (a running mean, a counter) is a
//! state that no gradient reaches; its new value is handed in with [`Graph::update_buffer`].

use crate::NnError;
use crate::init::Init;
use mil::{Constant, Function, FunctionBuilder, Opset, TensorType, ValueId};
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

/// Whether the function trains or only predicts. Dropout and batch normalization differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Part of a training step.
    Train,
    /// Evaluation or inference: buffers are read, never written.
    Eval,
}

/// A state that belongs to a model.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Full name as in the program, which is the state's name: letters, digits and underscores.
    pub name: String,
    /// Full name as in files, in PyTorch's form: its parts joined by dots.
    pub path: String,
    /// Type.
    pub ty: TensorType,
    /// How it starts.
    pub init: Init,
    /// Whether gradients reach it (a weight) or not (a buffer).
    pub trainable: bool,
    /// The state in this function.
    pub state: ValueId,
    /// The value read from it.
    pub value: ValueId,
}

/// A function under construction. Dereferences to [`FunctionBuilder`], so `g.add(x, y)?` and
/// `g.op("conv")…` are at hand.
#[derive(Debug)]
pub struct Graph {
    builder: FunctionBuilder,
    mode: Mode,
    scope: Vec<String>,
    parameters: Vec<Parameter>,
    updates: Vec<(ValueId, ValueId)>,
    /// Constants that several layers use, by what they are.
    shared: HashMap<String, ValueId>,
}

impl Graph {
    /// An empty function for the newest opset.
    pub fn new(name: &str, mode: Mode) -> Graph {
        Graph {
            builder: FunctionBuilder::new(name, Opset::Ios18),
            mode,
            scope: Vec::new(),
            parameters: Vec::new(),
            updates: Vec::new(),
            shared: HashMap::new(),
        }
    }

    /// Training or evaluation.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Runs `body` with `name` added to the names of the parameters that it asks for.
    pub fn scope<T>(
        &mut self,
        name: impl Into<String>,
        body: impl FnOnce(&mut Graph) -> Result<T, NnError>,
    ) -> Result<T, NnError> {
        self.scope.push(name.into());
        let result = body(self);
        self.scope.pop();
        result
    }

    fn path_of(&self, name: &str) -> String {
        let mut path = String::new();
        for scope in &self.scope {
            path.push_str(scope);
            path.push('.');
        }
        path + name
    }

    /// The value of a weight, made with `init` when a model is created.
    pub fn parameter(&mut self, name: &str, shape: &[usize], init: Init) -> Result<ValueId, NnError> {
        let path = self.path_of(name);
        Ok(self.declare(name_of(&path), path, TensorType::fp32(shape), init, true)?.value)
    }

    /// A buffer: a state without gradient. Returns its index for [`Graph::update_buffer`] and the value read.
    pub fn buffer(&mut self, name: &str, ty: TensorType, init: Init) -> Result<(Buffer, ValueId), NnError> {
        let path = self.path_of(name);
        let parameter = self.declare(name_of(&path), path, ty, init, false)?;
        Ok((Buffer(parameter.state), parameter.value))
    }

    /// Gives a buffer the value that it holds after the step. Nothing happens in evaluation.
    pub fn update_buffer(&mut self, buffer: Buffer, value: ValueId) {
        if self.mode == Mode::Train {
            self.updates.push((buffer.0, value));
        }
    }

    /// Stores a buffer's new value at this point, whatever the mode, and returns it: for caches, whose writes are
    /// the point of inference.
    pub fn write_buffer(&mut self, buffer: Buffer, value: ValueId) -> Result<ValueId, NnError> {
        Ok(self.builder.update_state(buffer.0, value)?)
    }

    /// A buffer of zeros that goes with a parameter, of its type and named after it (a moment, a sum of gradients).
    pub(crate) fn companion(
        &mut self,
        prefix: &str,
        parameter: &Parameter,
    ) -> Result<(Buffer, ValueId), NnError> {
        let Parameter { name, path, ty, .. } = parameter;
        let (name, path) = (format!("{prefix}_{name}"), format!("{prefix}.{path}"));
        let companion = self.declare(name, path, ty.clone(), Init::Zeros, false)?;
        Ok((Buffer(companion.state), companion.value))
    }

    fn declare(
        &mut self,
        name: String,
        path: String,
        ty: TensorType,
        init: Init,
        trainable: bool,
    ) -> Result<Parameter, NnError> {
        if let Some(known) = self.parameters.iter().find(|parameter| parameter.name == name) {
            if known.path != path {
                let message = format!(
                    "cannot be told from `{}`: without dots both are `{name}`; give one another name",
                    known.path
                );
                return Err(NnError::config(format!("parameter `{path}`"), message));
            }
            if known.ty != ty {
                let message = format!("is {}, but was asked for again as {ty}", known.ty);
                return Err(NnError::config(format!("parameter `{name}`"), message));
            }
            return Ok(known.clone());
        }
        let state = self.builder.state(name.clone(), ty.clone())?;
        let value = self.builder.read_state(state)?;
        self.builder.name(value, format!("{name}_read"));
        let parameter = Parameter { name, path, ty, init, trainable, state, value };
        self.parameters.push(parameter.clone());
        Ok(parameter)
    }

    /// A constant that is made once however many layers ask for it. `what` says all that it depends on.
    pub(crate) fn shared_constant(
        &mut self,
        what: String,
        make: impl FnOnce() -> Result<Constant, NnError>,
    ) -> Result<ValueId, NnError> {
        if let Some(&known) = self.shared.get(&what) {
            return Ok(known);
        }
        let value = self.builder.constant(make()?);
        self.shared.insert(what, value);
        Ok(value)
    }

    /// All parameters and buffers asked for so far, in order of first use.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Buffer updates handed in so far: state and new value.
    pub fn updates(&self) -> &[(ValueId, ValueId)] {
        &self.updates
    }

    /// Ends the function here, rewrites it, and goes on with the result. Returns the outputs in the rewritten
    /// function; parameters and pending buffer updates are found again.
    pub(crate) fn lower(
        self,
        outputs: &[ValueId],
        rewrite: impl FnOnce(Function) -> Result<Function, NnError>,
    ) -> Result<(Graph, Vec<ValueId>), NnError> {
        let old = self.builder.function();
        let state_names: Vec<String> =
            self.updates.iter().map(|&(state, _)| old.display_name(state)).collect();
        let mut parameters = self.parameters;
        let mut all = outputs.to_vec();
        all.extend(self.updates.iter().map(|&(_, value)| value));
        let function = rewrite(self.builder.finish(&all)?)?;
        let mut values = function.body.outputs.clone();
        let update_values = values.split_off(outputs.len());
        for parameter in &mut parameters {
            (parameter.state, parameter.value) = read_of(&function, &parameter.name)?;
        }
        let mut updates = Vec::with_capacity(update_values.len());
        for (name, value) in state_names.iter().zip(update_values) {
            updates.push((read_of(&function, name)?.0, value));
        }
        let builder = FunctionBuilder::resume(function);
        Ok((
            Graph {
                builder,
                mode: self.mode,
                scope: self.scope,
                parameters,
                updates,
                shared: HashMap::new(),
            },
            values,
        ))
    }

    /// Ends the function.
    pub fn finish(self, outputs: &[ValueId]) -> Result<Function, NnError> {
        Ok(self.builder.finish(outputs)?)
    }
}

/// A path as a name in MIL.
fn name_of(path: &str) -> String {
    let name = path.replace('.', "_");
    // PyTorch calls the first layer of a nameless container `0`; names in MIL begin with a letter.
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("layers_{name}") } else { name }
}

/// A state by name, and the value that the function reads from it.
fn read_of(function: &Function, name: &str) -> Result<(ValueId, ValueId), NnError> {
    let lost = || NnError::config(format!("state `{name}`"), "is not in the rewritten function");
    let state = function.input_named(name).ok_or_else(lost)?;
    let read = function.body.ops.iter().find(|operation| {
        operation.op.name == "read_state" && function.view(operation).value("input") == Some(state)
    });
    Ok((state, read.ok_or_else(lost)?.outputs[0]))
}

/// A buffer of a [`Graph`].
#[derive(Clone, Copy, Debug)]
pub struct Buffer(ValueId);

impl Buffer {
    /// Its state in the program.
    pub(crate) fn state(self) -> ValueId {
        self.0
    }
}

impl Deref for Graph {
    type Target = FunctionBuilder;
    fn deref(&self) -> &FunctionBuilder {
        &self.builder
    }
}

impl DerefMut for Graph {
    fn deref_mut(&mut self) -> &mut FunctionBuilder {
        &mut self.builder
    }
}
