//! `anemone train`: a new run, or one that goes on.

use crate::args::{Task, TrainArgs};
use crate::config::{ModelConfig, RunConfig};
use crate::device::{self, Running};
use crate::error::CliError;
use crate::folder::{self, RunFolder};
use crate::interrupt;
use crate::output::{Output, thousands};
use crate::plan::Plan;
use crate::progress::{self, Outlook, Watcher};
use crate::source::{self, Source};
use crate::{report, sample};
use anemone::nn::tokenizer::{AnyTokenizer, Tokenizer};
use anemone::nn::train::{Checkpoint, Data, Outcome, Precision, Trainer};
use serde_json::json;

/// Runs the command.
pub(crate) fn train(args: &TrainArgs, out: &mut Output) -> Result<(), CliError> {
    match (&args.resume, args.task) {
        (Some(_), _) => resume(args, out),
        (None, Some(task)) => begin(task, args, out),
        (None, None) => Err(CliError::usage(
            "nothing to train was named; there are stories, cifar and mlp",
            "anemone train stories, or anemone train --resume DIR",
        )),
    }
}

/// Starts a new run.
fn begin(task: Task, args: &TrainArgs, out: &mut Output) -> Result<(), CliError> {
    let device = device::choose(&args.device)?;
    let plan = Plan::new(task, args)?;
    let dir = folder::choose(args.fresh.out.as_deref(), task.name())?;
    out.say(&format!("data     {}", plan.data.describe()))?;
    let tokenizer = source::new_tokenizer(&plan.data, plan.tokenizer.as_deref(), plan.vocab)?;
    interrupt::check()?;
    let vocab_size = tokenizer.as_ref().map_or(plan.model.vocab_size(), Tokenizer::vocab_size);
    let source = Source::open(&plan.data, tokenizer.as_ref(), vocab_size)?;
    interrupt::check()?;
    let model = fitted(plan.model, &source, vocab_size);
    let kind = tokenizer.as_ref().map(source::kind_of);
    let config = RunConfig::new(task, plan.data, model, kind, plan.options);
    config.check().map_err(CliError::failed)?;
    let data = source.batches(&config.options, config.model.seq_len())?;
    let running = device.start()?;
    let mut trainer = Trainer::new(config.model.model(), &*data, &*running.backend, config.options.clone())?;
    interrupt::check()?;
    let folder = RunFolder::lock(&dir)?;
    if let (Some(tokenizer), Some(kind)) = (&tokenizer, kind) {
        tokenizer.save(&dir.join(kind.file_name()))?;
    }
    // The configuration comes last: a folder that has one has everything else.
    trainer.save_to(folder.checkpoint.clone())?;
    folder.checkpoint.write_config(&config)?;
    let run = Run { config, checkpoint: folder.checkpoint.clone(), tokenizer, running, data: &*data };
    run.go(&mut trainer, out)
}

/// Goes on with a run from its last checkpoint.
fn resume(args: &TrainArgs, out: &mut Output) -> Result<(), CliError> {
    let dir = args.resume.as_deref().unwrap_or_else(|| std::path::Path::new(""));
    if let Some(flag) = args.fresh.first_given() {
        return Err(CliError::usage(
            format!("{flag} cannot be changed with --resume: a run goes on as it was begun"),
            format!("leave {flag} out, or begin a new run without --resume"),
        ));
    }
    let device = device::choose(&args.device)?;
    let mut config = RunConfig::read(&Checkpoint::new(dir))?;
    if let Some(task) = args.task.filter(|&task| task != config.task) {
        return Err(CliError::usage(
            format!("{} holds a run of `{}`, not of `{}`", dir.display(), config.task.name(), task.name()),
            format!("anemone train --resume {}", dir.display()),
        ));
    }
    let folder = RunFolder::lock(dir)?;
    let options = &mut config.options;
    options.steps = args.steps.unwrap_or(options.steps);
    options.eval_every = args.eval_every.unwrap_or(options.eval_every);
    options.save_every = args.save_every.unwrap_or(options.save_every);
    let vocab_size = config.model.vocab_size();
    let tokenizer = source::run_tokenizer(&folder.checkpoint, &config, vocab_size)?;
    let source = Source::open(&config.data, tokenizer.as_ref(), vocab_size)?;
    interrupt::check()?;
    source.check_fits(&config.model)?;
    let data = source.batches(&config.options, config.model.seq_len())?;
    let running = device.start()?;
    let (model, options) = (config.model.model(), config.options.clone());
    let mut trainer = Trainer::resume(model, &*data, &*running.backend, options, folder.checkpoint.clone())?;
    check_steps(trainer.iteration(), config.options.steps)?;
    folder.checkpoint.write_config(&config)?;
    let run = Run { config, checkpoint: folder.checkpoint.clone(), tokenizer, running, data: &*data };
    run.go(&mut trainer, out)
}

fn check_steps(made: u64, steps: u64) -> Result<(), CliError> {
    match made > steps {
        true => Err(CliError::usage(
            format!("--steps {steps} is less than the {made} steps that were made already"),
            format!("--steps with more than {made}"),
        )),
        false => Ok(()),
    }
}

/// The model with the sizes that the data decides.
pub(crate) fn fitted(model: ModelConfig, source: &Source, vocab: usize) -> ModelConfig {
    match (model, source) {
        (ModelConfig::Llama(mut model), _) => {
            model.vocab_size = vocab;
            ModelConfig::Llama(model)
        }
        (ModelConfig::CifarCnn(mut model), Source::Images(splits, _)) => {
            (model.image, model.classes) = (splits.train.shape(), splits.train.classes());
            ModelConfig::CifarCnn(model)
        }
        (ModelConfig::Mlp(mut model), Source::Images(splits, _)) => {
            (model.image, model.classes) = (splits.train.shape(), splits.train.classes());
            ModelConfig::Mlp(model)
        }
        (model, Source::Tokens(_)) => model,
    }
}

/// A run that is ready to go.
struct Run<'a> {
    config: RunConfig,
    checkpoint: Checkpoint,
    tokenizer: Option<AnyTokenizer>,
    running: Running,
    data: &'a dyn Data,
}

impl Run<'_> {
    fn go(&self, trainer: &mut Trainer<'_>, out: &mut Output) -> Result<(), CliError> {
        self.announce(trainer, out)?;
        let outlook = Outlook {
            first: trainer.iteration(),
            steps: self.config.options.steps,
            unit: self.data.unit(),
            must_be_finite: self.config.options.step.precision == Precision::Fp32,
        };
        let mut watcher = Watcher::new(out, outlook);
        let report = trainer.run(&mut |event| watcher.observe(&event));
        watcher.finish()?;
        let report = report?;
        report::show(&report, &self.config, &self.checkpoint, &self.running, out)?;
        if report.outcome == Outcome::Stopped {
            let dir = self.checkpoint.dir().display();
            out.say(&format!("\nEverything is saved. Go on with:  anemone train --resume {dir}"))?;
            return Err(CliError::Interrupted);
        }
        if let Some(loss) = report.train_loss.filter(|loss| !loss.is_finite()) {
            return Err(progress::diverged(&format!("the loss ended at {loss}")));
        }
        self.samples(trainer, out)
    }

    fn announce(&self, trainer: &Trainer<'_>, out: &mut Output) -> Result<(), CliError> {
        let (config, first) = (&self.config, trainer.iteration());
        let parameters = trainer.programs().parameter_count();
        out.json(&json!({
            "event": "start", "task": config.task, "out": self.checkpoint.dir(), "iteration": first,
            "steps": config.options.steps, "parameters": parameters, "device": self.running.description,
            "config": config,
        }))?;
        out.say(&format!("model    {}", config.model.describe()))?;
        out.say(&format!("         {} parameters", thousands(parameters as f64)))?;
        out.say(&format!("device   {}", self.running.description))?;
        out.say(&format!("folder   {}", self.checkpoint.dir().display()))?;
        match first {
            0 => out.say(&format!("training {} steps; Ctrl-C saves and leaves", config.options.steps)),
            _ => out.say(&format!("going on after step {first} of {}", config.options.steps)),
        }
    }

    /// Lets a language model write.
    fn samples(&self, trainer: &Trainer<'_>, out: &mut Output) -> Result<(), CliError> {
        let (ModelConfig::Llama(model), Some(tokenizer)) = (&self.config.model, &self.tokenizer) else {
            return Ok(());
        };
        sample::show(model, trainer.states(), tokenizer, &*self.running.backend, out)?;
        let dir = self.checkpoint.dir().display();
        let prompt = sample::suggestion(source::kind_of(tokenizer));
        out.say(&format!("\nMore:  anemone generate {dir} --prompt \"{prompt}\" --seed 1"))?;
        interrupt::check()
    }
}
