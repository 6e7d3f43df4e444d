//! The training loop: one compiled step program, evaluation, checkpoints, a log.
//!
//! Everything that a step depends on is a state or a pure function of the iteration, so a run that is stopped at any
//! moment and resumed from its last checkpoint continues bit for bit as if it had never stopped.

use super::checkpoint::{Checkpoint, initial_states, read_states, write_states};
use super::curve::{Curve, write_curve};
use super::data::Data;
use super::options::TrainOptions;
use super::program::{Model, Programs, programs};
use crate::NnError;
use anemone_runtime::{Backend, CompileOptions, Executable, States, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
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
    /// Mean training loss of the last steps (up to 50).
    pub train_loss: f32,
    /// The last evaluation.
    pub held_out: Evaluation,
    /// Wall-clock seconds of this run.
    pub seconds: f64,
    /// Examples per second of training alone.
    pub rate: f64,
    /// What an example is.
    pub unit: &'static str,
    /// Weights that gradients reach.
    pub parameters: usize,
}

/// Training losses that the report averages over.
const REPORTED_STEPS: usize = 50;

/// Trains one model on one source of data.
pub struct Trainer<'a> {
    data: &'a dyn Data,
    options: TrainOptions,
    programs: Programs,
    states: States,
    step: Box<dyn Executable>,
    step_outputs: Vec<Tensor>,
    evaluate: Box<dyn Executable>,
    checkpoint: Option<Checkpoint>,
    iteration: u64,
    log: Vec<LogLine>,
}

/// A line of `log.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LogLine {
    iteration: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "numbers")]
    train: BTreeMap<String, f32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "numbers")]
    held_out: BTreeMap<String, f32>,
}

/// JSON has no infinities or NaN; serde writes `null` for them, which reads as NaN.
fn numbers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f32>, D::Error> {
    let values = BTreeMap::<String, Option<f32>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(name, value)| (name, value.unwrap_or(f32::NAN))).collect())
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
        let mut trainer = Trainer::open(model, data, backend, options, &checkpoint)?;
        trainer.log = read_log(&checkpoint, trainer.iteration)?;
        trainer.checkpoint = Some(checkpoint);
        trainer.write_log()?;
        Ok(trainer)
    }

    /// A run as its checkpoint left it, to be looked at: nothing is written to its folder.
    pub fn open(
        model: &dyn Model,
        data: &'a dyn Data,
        backend: &dyn Backend,
        options: TrainOptions,
        checkpoint: &Checkpoint,
    ) -> Result<Trainer<'a>, NnError> {
        options.check()?;
        let programs = programs(model, options.batch_size, &options.step)?;
        let states = read_states(&checkpoint.states_path(), &programs.states)?;
        let mut trainer = Trainer::with_states(programs, states, data, backend, options)?;
        trainer.iteration = trainer.stored_iteration()?;
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
        let step = backend.compile(&programs.program, &sharing.clone().function(Programs::TRAIN))?;
        let evaluate = backend.compile(&programs.program, &sharing.function(Programs::EVALUATE))?;
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
            evaluate,
            checkpoint: None,
            iteration: 0,
            log: Vec::new(),
        })
    }

    /// Where to save. The first checkpoint is written at once, so that there is one from the start.
    pub fn save_to(&mut self, checkpoint: Checkpoint) -> Result<(), NnError> {
        checkpoint.create()?;
        self.checkpoint = Some(checkpoint);
        self.write_log()?;
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

    fn stored_iteration(&self) -> Result<u64, NnError> {
        let tensor = self.states.get(Programs::ITERATION);
        let stored = tensor.as_ref().and_then(|tensor| tensor.as_slice::<i32>().ok()?.first().copied());
        stored
            .and_then(|count| u64::try_from(count).ok())
            .ok_or_else(|| NnError::config("the checkpoint", "holds no count of the steps made"))
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

    /// Means over the held-out data (as many batches as the options say).
    pub fn evaluate(&mut self) -> Result<Evaluation, NnError> {
        let available = self.data.eval_batches();
        let count = self.options.eval_batches.map_or(available, |limit| limit.min(available));
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        let mut examples = 0;
        let mut outputs = self.evaluate.new_outputs()?;
        for index in 0..count {
            let batch = self.data.eval_batch(index)?;
            let inputs: Vec<&Tensor> = batch.inputs.iter().collect();
            self.evaluate.run(&inputs, &mut outputs)?;
            for (name, value) in named(&self.programs.eval_outputs, &outputs)? {
                *sums.entry(name).or_default() += value as f64 * batch.valid as f64;
            }
            examples += batch.valid;
        }
        let mean = |(name, sum): (String, f64)| (name, (sum / examples.max(1) as f64) as f32);
        Ok(Evaluation { values: sums.into_iter().map(mean).collect(), examples })
    }

    /// Trains until all steps are made or `observer` breaks off; evaluates, saves and logs on the way.
    pub fn run(&mut self, observer: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<Report, NnError> {
        let start = Instant::now();
        let first = self.iteration;
        let mut training = Duration::ZERO;
        let mut outcome = Outcome::Finished;
        let mut held_out: Option<(u64, Evaluation)> = None;
        while self.iteration < self.options.steps {
            let before = Instant::now();
            let values = self.step()?;
            training += before.elapsed();
            let rate = self.rate(first, training);
            let flow = observer(Event::Step { iteration: self.iteration, values: &values, rate });
            self.append(LogLine { iteration: self.iteration, train: values, held_out: BTreeMap::new() })?;
            let stop = flow.is_break();
            if !stop && self.iteration.is_multiple_of(self.options.eval_every) {
                held_out = Some((self.iteration, self.evaluate_and_tell(observer)?));
            }
            if stop || self.iteration.is_multiple_of(self.options.save_every) {
                self.save()?;
                let _ = observer(Event::Saved { iteration: self.iteration });
            }
            if stop && self.iteration < self.options.steps {
                outcome = Outcome::Stopped;
                break;
            }
        }
        let held_out = match held_out {
            Some((at, evaluation)) if at == self.iteration => evaluation,
            _ => self.evaluate_and_tell(observer)?,
        };
        self.save()?;
        self.draw()?;
        Ok(Report {
            outcome,
            iteration: self.iteration,
            train_loss: self.recent_loss(),
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

    fn evaluate_and_tell(
        &mut self,
        observer: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Evaluation, NnError> {
        let evaluation = self.evaluate()?;
        let _ = observer(Event::Evaluated { iteration: self.iteration, evaluation: &evaluation });
        let held_out = evaluation.values.clone();
        self.append(LogLine { iteration: self.iteration, train: BTreeMap::new(), held_out })?;
        Ok(evaluation)
    }

    /// Mean of the last training losses.
    fn recent_loss(&self) -> f32 {
        let losses = self.log.iter().rev().filter_map(|line| line.train.get("loss"));
        let recent: Vec<f32> = losses.take(REPORTED_STEPS).copied().collect();
        recent.iter().sum::<f32>() / recent.len().max(1) as f32
    }

    /// Writes a checkpoint now, if there is a place for it.
    pub fn save(&self) -> Result<(), NnError> {
        match &self.checkpoint {
            Some(checkpoint) => write_states(&checkpoint.states_path(), &self.states),
            None => Ok(()),
        }
    }

    fn draw(&self) -> Result<(), NnError> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(()) };
        let points = |pick: fn(&LogLine) -> Option<&f32>| {
            self.log.iter().filter_map(|line| Some((line.iteration, *pick(line)?))).collect()
        };
        let curve = Curve {
            title: format!("{} parameters", self.programs.parameter_count()),
            train: points(|line| line.train.get("loss")),
            held_out: points(|line| line.held_out.get("loss")),
        };
        write_curve(&checkpoint.curve_path(), &curve)
    }

    fn append(&mut self, line: LogLine) -> Result<(), NnError> {
        if let Some(checkpoint) = &self.checkpoint {
            let path = checkpoint.log_path();
            let failed = |error: std::io::Error| NnError::file(&path, format!("cannot be written: {error}"));
            let mut file = File::options().append(true).create(true).open(&path).map_err(failed)?;
            let text = serde_json::to_string(&line).map_err(|error| failed(error.into()))?;
            file.write_all(format!("{text}\n").as_bytes()).map_err(failed)?;
        }
        self.log.push(line);
        Ok(())
    }

    /// Writes the log anew: what a killed run logged after its last checkpoint did not happen.
    fn write_log(&self) -> Result<(), NnError> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(()) };
        super::checkpoint::write_atomically(&checkpoint.log_path(), |file| {
            let mut writer = BufWriter::new(file);
            for line in &self.log {
                serde_json::to_writer(&mut writer, line)?;
                writer.write_all(b"\n")?;
            }
            writer.flush()
        })
    }
}

/// Scalar outputs by name.
fn named(names: &[String], outputs: &[Tensor]) -> Result<BTreeMap<String, f32>, NnError> {
    names.iter().zip(outputs).map(|(name, tensor)| Ok((name.clone(), tensor.item()?))).collect()
}

/// The lines of a run's log up to an iteration. A last line cut short by a kill is left out.
fn read_log(checkpoint: &Checkpoint, iteration: u64) -> Result<Vec<LogLine>, NnError> {
    let path = checkpoint.log_path();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(NnError::file(path, format!("cannot be read: {error}"))),
    };
    let lines = text.lines().filter_map(|line| serde_json::from_str::<LogLine>(line).ok());
    Ok(lines.filter(|line| line.iteration <= iteration).collect())
}
