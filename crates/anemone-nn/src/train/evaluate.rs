//! Evaluation: means over held-out data.

use super::checkpoint::{Checkpoint, read_states};
use super::data::Data;
use super::options::TrainOptions;
use super::program::{Model, Programs, named, programs};
use crate::NnError;
use anemone_runtime::{Backend, CompileOptions, Executable, States, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Means over the held-out data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// `loss` and the model's metrics.
    pub values: BTreeMap<String, f32>,
    /// Examples evaluated.
    pub examples: usize,
}

impl Evaluation {
    /// Mean loss.
    pub fn loss(&self) -> f32 {
        self.values.get("loss").copied().unwrap_or(f32::NAN)
    }
}

/// Evaluates a model whose weights are in [`States`].
pub struct Evaluator {
    executable: Box<dyn Executable>,
    names: Vec<String>,
    outputs: Vec<Tensor>,
}

impl Evaluator {
    pub(super) fn new(
        programs: &Programs,
        states: &States,
        backend: &dyn Backend,
    ) -> Result<Evaluator, NnError> {
        let options = CompileOptions::sharing(states).function(Programs::EVALUATE);
        let executable = backend.compile(&programs.program, &options)?;
        let outputs = executable.new_outputs()?;
        Ok(Evaluator { executable, names: programs.eval_outputs.clone(), outputs })
    }

    /// The model of a run as its checkpoint left it, and the number of steps that were made. Moments and whatever else
    /// only training needs are not read.
    ///
    /// # Errors
    /// When the checkpoint cannot be read or is another model's.
    pub fn open(
        model: &dyn Model,
        backend: &dyn Backend,
        options: &TrainOptions,
        checkpoint: &Checkpoint,
    ) -> Result<(Evaluator, u64), NnError> {
        options.check()?;
        let programs = programs(model, options.batch_size, &options.step)?;
        let mut specs = programs.eval_states.clone();
        specs.extend(programs.states.iter().filter(|spec| spec.name == Programs::ITERATION).cloned());
        let states = read_states(&checkpoint.states_path(), &specs)?;
        Ok((Evaluator::new(&programs, &states, backend)?, Programs::iteration(&states)?))
    }

    /// Means over the first `limit` held-out batches, or all. `progress` is told after every batch how many of how many
    /// are done, and may break off, which gives no evaluation.
    ///
    /// # Errors
    /// When a batch cannot be made or a run fails.
    pub fn evaluate(
        &mut self,
        data: &dyn Data,
        limit: Option<usize>,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Evaluation>, NnError> {
        let available = data.eval_batches();
        let count = limit.map_or(available, |limit| limit.min(available));
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        let mut examples = 0;
        for index in 0..count {
            let batch = data.eval_batch(index)?;
            let inputs: Vec<&Tensor> = batch.inputs.iter().collect();
            self.executable.run(&inputs, &mut self.outputs)?;
            for (name, value) in named(&self.names, &self.outputs)? {
                *sums.entry(name).or_default() += value as f64 * batch.valid as f64;
            }
            examples += batch.valid;
            if progress(index + 1, count).is_break() {
                return Ok(None);
            }
        }
        let mean = |(name, sum): (String, f64)| (name, (sum / examples.max(1) as f64) as f32);
        Ok(Some(Evaluation { values: sums.into_iter().map(mean).collect(), examples }))
    }
}
