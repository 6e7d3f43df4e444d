//! The step program: forward, backward, clipping, loss scaling and the optimizer's update in one MIL function,
//! and the evaluation program beside it.
//!
//! Both know nothing of what they train: a [`Model`] gives the loss, the rest follows from its parameters.

use super::loss_scale::LossScale;
use super::options::{Precision, StepOptions};
use crate::graph::Parameter;
use crate::init::Init;
use crate::optim::{StepValues, Update};
use crate::{Graph, Mode, NnError};
use anemone_passes::autodiff::gradients_from;
use anemone_passes::{PrecisionOptions, to_fp16};
use anemone_runtime::{StateGuard, States, Tensor};
use mil::{DataType, OpView, Program, TensorType, ValueId, Verified, verify};
use std::collections::BTreeMap;

/// Something that can be trained: it says what it reads and computes a loss from it.
pub trait Model: Send + Sync {
    /// Inputs of one batch, in the order in which [`crate::train::Data`] delivers them.
    fn inputs(&self, batch_size: usize) -> Vec<(String, TensorType)>;

    /// Adds the model and its loss to a graph.
    fn loss(&self, g: &mut Graph, inputs: &[ValueId]) -> Result<Loss, NnError>;
}

/// A named value of a graph.
pub type NamedValue = (String, ValueId);

/// What a model computes for training.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Mean loss of the batch, `fp32` scalar.
    pub loss: ValueId,
    /// Further means worth reporting (`accuracy`), `fp32` scalars.
    pub metrics: Vec<NamedValue>,
}

/// A state of the step program and how it starts.
#[derive(Clone, Debug)]
pub struct StateSpec {
    /// Name in the program.
    pub name: String,
    /// Name in files, in PyTorch's form with dots.
    pub path: String,
    /// Type.
    pub ty: TensorType,
    /// First value.
    pub init: Init,
    /// Whether it is a weight of the model that gradients reach.
    pub trainable: bool,
}

impl From<&Parameter> for StateSpec {
    fn from(parameter: &Parameter) -> StateSpec {
        let Parameter { name, path, ty, init, trainable, .. } = parameter.clone();
        StateSpec { name, path, ty, init, trainable }
    }
}

impl StateSpec {
    /// Its value among `states`.
    ///
    /// # Errors
    /// When it is missing there or of another type.
    pub(crate) fn find<'s>(&self, states: &'s StateGuard<'_>) -> Result<&'s Tensor, NnError> {
        let message = match states.get(&self.name) {
            Some(tensor) if *tensor.ty() == self.ty => return Ok(tensor),
            Some(tensor) => format!("is {}, but the model's is {}", tensor.ty(), self.ty),
            None => "is missing; are these the states of another model?".to_string(),
        };
        Err(NnError::config(format!("state `{}`", self.name), message))
    }
}

/// The programs of a run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Two functions: [`Programs::TRAIN`] and [`Programs::EVALUATE`].
    pub program: Verified,
    /// Every state, in order of first use: weights and buffers of the model, then those of training.
    pub states: Vec<StateSpec>,
    /// Those that the evaluation reads: weights and buffers of the model.
    pub eval_states: Vec<StateSpec>,
    /// Names of the outputs of the training step: `loss`, the metrics, `grad_norm`, `learning_rate`, `loss_scale`.
    pub train_outputs: Vec<String>,
    /// Names of the outputs of the evaluation: `loss` and the metrics.
    pub eval_outputs: Vec<String>,
}

impl Programs {
    /// Name of the training step's function.
    pub const TRAIN: &'static str = "train_step";
    /// Name of the evaluation's function.
    pub const EVALUATE: &'static str = "evaluate";
    /// The state that counts training steps (batches).
    pub const ITERATION: &'static str = "iteration";

    /// The steps that were made, according to the states.
    pub(crate) fn iteration(states: &States) -> Result<u64, NnError> {
        let tensor = states.get(Programs::ITERATION);
        let stored = tensor.as_ref().and_then(|tensor| tensor.as_slice::<i32>().ok()?.first().copied());
        stored
            .and_then(|count| u64::try_from(count).ok())
            .ok_or_else(|| NnError::config("the checkpoint", "holds no count of the steps made"))
    }

    /// Number of weights that gradients reach.
    pub fn parameter_count(&self) -> usize {
        self.states.iter().filter(|state| state.trainable).map(|state| state.ty.shape.count()).sum()
    }
}

/// Builds the training step and the evaluation of a model.
pub fn programs(model: &dyn Model, batch_size: usize, options: &StepOptions) -> Result<Programs, NnError> {
    options.check()?;
    let train = train_step(model, batch_size, options)?;
    let evaluate = evaluation(model, batch_size, options)?;
    let program = Program { functions: vec![train.function, evaluate.function], build_info: Vec::new() };
    Ok(Programs {
        program: verify(program).map_err(first_fault)?,
        states: train.states,
        eval_states: evaluate.states,
        train_outputs: train.outputs,
        eval_outputs: evaluate.outputs,
    })
}

/// The first fault of a program that should have had none.
pub(crate) fn first_fault(mut faults: Vec<mil::VerifyError>) -> NnError {
    match faults.is_empty() {
        true => NnError::config("program", "was refused without a reason"),
        false => NnError::Verify(faults.swap_remove(0)),
    }
}

fn evaluation(model: &dyn Model, batch_size: usize, options: &StepOptions) -> Result<Built, NnError> {
    let mut g = Graph::new(Programs::EVALUATE, Mode::Eval);
    let loss = forward(model, &mut g, batch_size)?;
    let (outputs, values) = named_outputs(&mut g, &loss);
    let states = g.parameters().iter().map(StateSpec::from).collect();
    let function = lowered(g.finish(&values)?, options)?;
    Ok(Built { function, states, outputs })
}

/// Adds inputs and loss of a model.
fn forward(model: &dyn Model, g: &mut Graph, batch_size: usize) -> Result<Loss, NnError> {
    let mut inputs = Vec::new();
    for (name, ty) in model.inputs(batch_size) {
        inputs.push(g.input(name, ty)?);
    }
    let loss = model.loss(g, &inputs)?;
    let ty = g.function().tensor(loss.loss);
    if *ty != TensorType::fp32(mil::Shape::scalar()) {
        return Err(NnError::config("the loss", format!("is {ty}, but must be an fp32 scalar")));
    }
    Ok(loss)
}

fn named_outputs(g: &mut Graph, loss: &Loss) -> (Vec<String>, Vec<ValueId>) {
    let mut names = vec!["loss".to_string()];
    let mut values = vec![loss.loss];
    for (name, value) in &loss.metrics {
        names.push(name.clone());
        values.push(*value);
    }
    for (name, &value) in names.iter().zip(&values) {
        g.name(value, name.clone());
    }
    (names, values)
}

/// The function in the precision asked for.
fn lowered(function: mil::Function, options: &StepOptions) -> Result<mil::Function, NnError> {
    match options.precision {
        Precision::Fp32 => Ok(function),
        Precision::Fp16(_) => Ok(to_fp16(&function, &PrecisionOptions { keep: &keep_fp32 })?),
    }
}

/// What stays in `fp32` in mixed precision: squares and sums over many terms, which leave `fp16`'s range, and everything
/// scalar (losses, metrics, counters).
pub(crate) fn keep_fp32(op: &OpView<'_>) -> bool {
    let scalar = op.operation.outputs.iter().all(|&id| op.function.shape(id).count() == 1);
    let square = op.name() == "mul" && op.value("x") == op.value("y");
    scalar
        || square
        || op.name().starts_with("reduce_")
        || matches!(op.name(), "softmax" | "layer_norm" | "batch_norm" | "rsqrt")
}

/// A function with its states and the names of its outputs.
struct Built {
    function: mil::Function,
    states: Vec<StateSpec>,
    outputs: Vec<String>,
}

/// What the parts of the training step share.
struct Step<'a> {
    options: &'a StepOptions,
    weights: Vec<Parameter>,
    /// Whether this batch ends in an update (absent: every batch does).
    due: Option<ValueId>,
}

fn train_step(model: &dyn Model, batch_size: usize, options: &StepOptions) -> Result<Built, NnError> {
    let mut g = Graph::new(Programs::TRAIN, Mode::Train);
    let loss = forward(model, &mut g, batch_size)?;
    let (mut names, outputs) = named_outputs(&mut g, &loss);
    let (mut g, mut outputs) = g.lower(&outputs, |function| lowered(function, options))?;
    let weights: Vec<Parameter> = g.parameters().iter().filter(|p| p.trainable).cloned().collect();
    if weights.is_empty() {
        return Err(NnError::config("the model", "has no parameters to train"));
    }
    let due = accumulation_counter(&mut g, options)?;
    let step = Step { options, weights, due };
    let scale = match options.precision {
        Precision::Fp32 => None,
        Precision::Fp16(scaling) => Some(LossScale::new(&mut g, scaling)?),
    };
    let gradients = step.gradients(&mut g, outputs[0], scale.as_ref())?;
    let gradients = step.accumulate(&mut g, gradients)?;
    let norm = global_norm(&mut g, &gradients)?;
    let clip = step.clip_factor(&mut g, norm)?;
    let finite = match &scale {
        Some(_) => Some(g.less(norm, f32::MAX)?),
        None => None,
    };
    let rate = step.update(&mut g, gradients, clip, finite)?;
    names.extend(["grad_norm".to_string(), "learning_rate".to_string()]);
    outputs.extend([norm, rate]);
    if let (Some(scale), Some(finite)) = (scale, finite) {
        names.push("loss_scale".to_string());
        outputs.push(scale.value());
        scale.advance(&mut g, finite, step.due)?;
    }
    count_iteration(&mut g)?;
    finish(g, names, &outputs)
}

fn finish(mut g: Graph, names: Vec<String>, outputs: &[ValueId]) -> Result<Built, NnError> {
    for (state, value) in g.updates().to_vec() {
        g.update_state(state, value)?;
    }
    let states = g.parameters().iter().map(StateSpec::from).collect();
    let mut copies = Vec::with_capacity(outputs.len());
    for (name, &value) in names.iter().zip(outputs) {
        copies.push(g.op("identity").arg("x", value).named(name.clone()).one()?);
    }
    Ok(Built { function: g.finish(&copies)?, states, outputs: names })
}

/// A counter of batches since the last update; gives whether the present batch is the last before the next.
fn accumulation_counter(g: &mut Graph, options: &StepOptions) -> Result<Option<ValueId>, NnError> {
    if options.accumulate == 1 {
        return Ok(None);
    }
    let (state, count) = g.buffer("accumulated_batches", TensorType::scalar(DataType::Int32), Init::Zeros)?;
    let one = g.int(1);
    let zero = g.int(0);
    let all = g.int(options.accumulate.min(i32::MAX as u32) as i32);
    let next = g.add(count, one)?;
    let due = g.greater_equal(next, all)?;
    let next = g.select(due, zero, next)?;
    g.update_buffer(state, next);
    Ok(Some(due))
}

fn count_iteration(g: &mut Graph) -> Result<(), NnError> {
    let (state, count) = g.buffer(Programs::ITERATION, TensorType::scalar(DataType::Int32), Init::Zeros)?;
    let one = g.int(1);
    let next = g.add(count, one)?;
    g.update_buffer(state, next);
    Ok(())
}

/// `sqrt(sum of all squared elements)`.
fn global_norm(g: &mut Graph, gradients: &[ValueId]) -> Result<ValueId, NnError> {
    let mut total: Option<ValueId> = None;
    for &gradient in gradients {
        let axes: Vec<i32> = (0..g.shape(gradient).len() as i32).collect();
        let squares = match axes.is_empty() {
            true => g.mul(gradient, gradient)?,
            false => g.reduce("reduce_sum_square", gradient, &axes, false)?,
        };
        total = Some(match total {
            Some(total) => g.add(total, squares)?,
            None => squares,
        });
    }
    let total = total.ok_or_else(|| NnError::config("the model", "has no gradients"))?;
    Ok(g.unary("sqrt", total)?)
}

impl Step<'_> {
    /// Gradients of the loss by every weight, without the loss scale.
    fn gradients(
        &self,
        g: &mut Graph,
        loss: ValueId,
        scale: Option<&LossScale>,
    ) -> Result<Vec<ValueId>, NnError> {
        let weights: Vec<ValueId> = self.weights.iter().map(|weight| weight.value).collect();
        let Some(scale) = scale else { return Ok(gradients_from(g, loss, None, &weights)?) };
        let scaled = gradients_from(g, loss, Some(scale.value()), &weights)?;
        scaled.into_iter().map(|gradient| Ok(g.real_div(gradient, scale.value())?)).collect()
    }

    /// Adds this batch's share to what earlier batches left.
    fn accumulate(&self, g: &mut Graph, gradients: Vec<ValueId>) -> Result<Vec<ValueId>, NnError> {
        let Some(due) = self.due else { return Ok(gradients) };
        let mut sums = Vec::with_capacity(gradients.len());
        for (weight, gradient) in self.weights.iter().zip(gradients) {
            let (state, before) = g.companion("accumulated", weight)?;
            let share = g.mul(gradient, 1.0 / self.options.accumulate as f32)?;
            let sum = g.add(before, share)?;
            let zero = g.float(DataType::Fp32, 0.0);
            let left = g.select(due, zero, sum)?;
            g.update_buffer(state, left);
            sums.push(sum);
        }
        Ok(sums)
    }

    /// `min(1, clip_norm / (norm + 1e-6))`, as `torch.nn.utils.clip_grad_norm_` has it.
    fn clip_factor(&self, g: &mut Graph, norm: ValueId) -> Result<Option<ValueId>, NnError> {
        let Some(limit) = self.options.clip_norm else { return Ok(None) };
        let padded = g.add(norm, 1e-6)?;
        let factor = g.real_div(limit, padded)?;
        Ok(Some(g.minimum(factor, 1.0)?))
    }

    /// Updates every weight; returns the learning rate.
    fn update(
        &self,
        g: &mut Graph,
        gradients: Vec<ValueId>,
        clip: Option<ValueId>,
        finite: Option<ValueId>,
    ) -> Result<ValueId, NnError> {
        let apply = match (self.due, finite) {
            (Some(due), Some(finite)) => Some(g.logical_and(due, finite)?),
            (due, finite) => due.or(finite),
        };
        let (state, done) = g.buffer("updates", TensorType::scalar(DataType::Int32), Init::Zeros)?;
        let one = g.int(1);
        let next = g.add(done, one)?;
        let counted = keep_unless(g, apply, next, done)?;
        g.update_buffer(state, counted);
        let count = g.cast(next, DataType::Fp32)?;
        let done = g.cast(done, DataType::Fp32)?;
        let optimizer = &self.options.optimizer;
        let learning_rate = self.options.schedule.learning_rate(g, optimizer.learning_rate(), done)?;
        let shared = StepValues { learning_rate, count };
        for (weight, mut gradient) in self.weights.iter().zip(gradients) {
            if let Some(clip) = clip {
                gradient = g.mul(gradient, clip)?;
            }
            let decay = !self.options.decay_matrices_only || weight.ty.shape.rank() > 1;
            let update = Update { parameter: weight, gradient, decay };
            let updated = optimizer.update(g, shared, &update)?;
            let value = keep_unless(g, apply, updated.value, weight.value)?;
            g.update_state(weight.state, value)?;
            for (state, old, new) in updated.states {
                let new = keep_unless(g, apply, new, old)?;
                g.update_state(state.state(), new)?;
            }
        }
        Ok(learning_rate)
    }
}

/// Scalar outputs by name.
pub(super) fn named(names: &[String], outputs: &[Tensor]) -> Result<BTreeMap<String, f32>, NnError> {
    names.iter().zip(outputs).map(|(name, tensor)| Ok((name.clone(), tensor.item()?))).collect()
}

/// `new` where `apply` holds (or is absent), `old` elsewhere.
fn keep_unless(
    g: &mut Graph,
    apply: Option<ValueId>,
    new: ValueId,
    old: ValueId,
) -> Result<ValueId, NnError> {
    match apply {
        Some(apply) => Ok(g.select(apply, new, old)?),
        None => Ok(new),
    }
}
