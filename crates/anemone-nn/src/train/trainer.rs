//! The training loop: one compiled step program, evaluation, checkpoints, a log.
//!
//! Everything that a step depends on is a state or a pure function of the iteration, so a run that is stopped at any
//! moment and resumed from its last checkpoint continues bit for bit as if it had never stopped.

use super::checkpoint::{Checkpoint, initial_states, read_states, write_states};
use super::curve::write_curve;
use super::data::Data;
use super::evaluate::{Evaluation, Evaluator};
use super::log::{Line, Log};
use super::options::TrainOptions;
use super::program::{Model, Programs, named, programs};
use crate::NnError;
use anemone_runtime::{Backend, CompileOptions, Executable, States, Tensor};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What the observer of a run is told.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A step was made.
    Step {
        /// Steps made in all.
        iteration: u64,
        /// Outputs of the step program by name.
        values: &'a BTreeMap<String, f32>,
        /// Examples (tokens, images) per second since this run began or resumed.
        rate: f64,
    },
    /// A held-out batch was evaluated; the whole evaluation takes `batches` of them.
    Evaluating {
        /// Batches evaluated.
        done: usize,
        /// Batches in all.
        batches: usize,
    },
    /// The model was evaluated.
    Evaluated {
        /// Steps made in all.
        iteration: u64,
        /// The result.
        evaluation: &'a Evaluation,
    },
    /// A checkpoint was written.
    Saved {
        /// Steps made in all.
        iteration: u64,
    },
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All steps were made.
    Finished,
    /// The observer asked to stop; the state was saved.
    Stopped,
}

/// How a run went.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Why it ended.
    pub outcome: Outcome,
    /// Steps made in all.
    pub iteration: u64,
    /// Mean training loss of the last steps (up to 50); absent when none was ever logged.
    pub train_loss: Option<f32>,
    /// The evaluation at the end; absent when the run was stopped before it.
    pub held_out: Option<Evaluation>,
    /// Wall-clock seconds of this run.
    pub seconds: f64,
    /// Examples per second of training alone.
    pub rate: f64,
    /// What an example is.
    pub unit: &'static str,
    /// Weights that gradients reach.
    pub parameters: usize,
}

/// Trains one model on one source of data.
pub struct Trainer<'a> {
    data: &'a dyn Data,
    options: TrainOptions,
    programs: Programs,
    states: States,
    step: Box<dyn Executable>,
    step_outputs: Vec<Tensor>,
    evaluator: Evaluator,
    checkpoint: Option<Checkpoint>,
    iteration: u64,
    log: Log,
}

/// The observer, and whether it has broken off.
struct Watch<'o> {
    observer: &'o mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    stopped: bool,
}

impl Watch<'_> {
    fn tell(&mut self, event: Event<'_>) -> ControlFlow<()> {
        let flow = (self.observer)(event);
        self.stopped |= flow.is_break();
        flow
    }
}

impl<'a> Trainer<'a> {
    /// A fresh run: builds and compiles the programs and initialises the weights.
    pub fn new(
        model: &dyn Model,
        data: &'a dyn Data,
        backend: &dyn Backend,
        options: TrainOptions,
    ) -> Result<Trainer<'a>, NnError> {
        options.check()?;
        let programs = programs(model, options.batch_size, &options.step)?;
        let states = initial_states(&programs.states, options.seed)?;
        Trainer::with_states(programs, states, data, backend, options)
    }

    /// Goes on from a checkpoint. The model and the options must be those of the run.
    pub fn resume(
        model: &dyn Model,
        data: &'a dyn Data,
        backend: &dyn Backend,
        options: TrainOptions,
        checkpoint: Checkpoint,
    ) -> Result<Trainer<'a>, NnError> {
        options.check()?;
        let programs = programs(model, options.batch_size, &options.step)?;
        let states = read_states(&checkpoint.states_path(), &programs.states)?;
        let mut trainer = Trainer::with_states(programs, states, data, backend, options)?;
        trainer.iteration = Programs::iteration(&trainer.states)?;
        trainer.log = Log::rewind(checkpoint.log_path(), trainer.iteration)?;
        trainer.checkpoint = Some(checkpoint);
        Ok(trainer)
    }

    fn with_states(
        programs: Programs,
        states: States,
        data: &'a dyn Data,
        backend: &dyn Backend,
        options: TrainOptions,
    ) -> Result<Trainer<'a>, NnError> {
        let sharing = CompileOptions::sharing(&states);
        let step = backend.compile(&programs.program, &sharing.function(Programs::TRAIN))?;
        let evaluator = Evaluator::new(&programs, &states, backend)?;
        let step_outputs = step.new_outputs()?;
        tracing::info!(
            parameters = programs.parameter_count(),
            state_bytes = states.bytes(),
            backend = backend.name(),
            "compiled the training step"
        );
        Ok(Trainer {
            data,
            options,
            programs,
            states,
            step,
            step_outputs,
            evaluator,
            checkpoint: None,
            iteration: 0,
            log: Log::default(),
        })
    }

    /// Where to save. The first checkpoint is written at once, so that there is one from the start.
    pub fn save_to(&mut self, checkpoint: Checkpoint) -> Result<(), NnError> {
        checkpoint.create()?;
        self.log.begin(checkpoint.log_path())?;
        self.checkpoint = Some(checkpoint);
        self.save()
    }

    /// The states: weights, moments, counters.
    pub fn states(&self) -> &States {
        &self.states
    }

    /// The programs of the run.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Steps made in all.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// One training step on the next batch. Returns the outputs of the step program by name.
    pub fn step(&mut self) -> Result<BTreeMap<String, f32>, NnError> {
        let batch = self.data.train_batch(self.iteration)?;
        self.step_on(&batch.inputs)
    }

    /// One training step on the given inputs.
    pub fn step_on(&mut self, inputs: &[Tensor]) -> Result<BTreeMap<String, f32>, NnError> {
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        self.step.run(&inputs, &mut self.step_outputs)?;
        self.iteration += 1;
        named(&self.programs.train_outputs, &self.step_outputs)
    }

    /// Means over the held-out data (as many batches as the options say); see [`Evaluator::evaluate`].
    pub fn evaluate(
        &mut self,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Evaluation>, NnError> {
        self.evaluator.evaluate(self.data, self.options.eval_batches, progress)
    }

    /// Trains until all steps are made or `observer` breaks off; evaluates, saves and logs on the way. A run that is broken
    /// off is saved at once, without a last evaluation.
    pub fn run(&mut self, observer: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<Report, NnError> {
        let start = Instant::now();
        let first = self.iteration;
        let mut training = Duration::ZERO;
        let mut watch = Watch { observer, stopped: false };
        let mut held_out: Option<(u64, Evaluation)> = None;
        let mut saved = None;
        while self.iteration < self.options.steps && !watch.stopped {
            let before = Instant::now();
            let train = self.step()?;
            training += before.elapsed();
            let (iteration, rate) = (self.iteration, self.rate(first, training));
            let _ = watch.tell(Event::Step { iteration, values: &train, rate });
            self.log.append(&Line { iteration, train, held_out: BTreeMap::new() })?;
            if iteration.is_multiple_of(self.options.eval_every) && !watch.stopped {
                held_out = self.evaluate_and_tell(&mut watch)?.map(|evaluation| (iteration, evaluation));
            }
            if iteration.is_multiple_of(self.options.save_every) || watch.stopped {
                self.save()?;
                saved = Some(iteration);
                let _ = watch.tell(Event::Saved { iteration });
            }
        }
        let mut held_out = held_out.filter(|(at, _)| *at == self.iteration).map(|(_, evaluation)| evaluation);
        if held_out.is_none() && !watch.stopped {
            held_out = self.evaluate_and_tell(&mut watch)?;
        }
        if saved != Some(self.iteration) {
            self.save()?;
        }
        self.draw()?;
        Ok(Report {
            outcome: if watch.stopped { Outcome::Stopped } else { Outcome::Finished },
            iteration: self.iteration,
            train_loss: self.log.recent_loss(),
            held_out,
            seconds: start.elapsed().as_secs_f64(),
            rate: self.rate(first, training),
            unit: self.data.unit(),
            parameters: self.programs.parameter_count(),
        })
    }

    fn rate(&self, first: u64, training: Duration) -> f64 {
        let examples = (self.iteration - first) as f64 * self.data.batch_examples() as f64;
        examples / training.as_secs_f64().max(1e-9)
    }

    /// Evaluates and logs; nothing when the observer broke off meanwhile.
    fn evaluate_and_tell(&mut self, watch: &mut Watch<'_>) -> Result<Option<Evaluation>, NnError> {
        let evaluated =
            self.evaluate(&mut |done, batches| watch.tell(Event::Evaluating { done, batches }))?;
        let Some(evaluation) = evaluated else { return Ok(None) };
        let iteration = self.iteration;
        let _ = watch.tell(Event::Evaluated { iteration, evaluation: &evaluation });
        let held_out = evaluation.values.clone();
        self.log.append(&Line { iteration, train: BTreeMap::new(), held_out })?;
        Ok(Some(evaluation))
    }

    /// Writes a checkpoint now, if there is a place for it.
    pub fn save(&self) -> Result<(), NnError> {
        match &self.checkpoint {
            Some(checkpoint) => write_states(&checkpoint.states_path(), &self.programs.states, &self.states),
            None => Ok(()),
        }
    }

    fn draw(&self) -> Result<(), NnError> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(()) };
        let title = format!("{} parameters", self.programs.parameter_count());
        write_curve(&checkpoint.curve_path(), &self.log.curve(title))
    }
}
