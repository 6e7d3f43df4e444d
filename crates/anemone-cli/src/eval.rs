//! `anemone eval`: how good a run's model is on data that it never saw.

use crate::args::EvalArgs;
use crate::config::RunConfig;
use crate::error::CliError;
use crate::output::{Output, duration, thousands};
use crate::source::{self, Source};
use crate::{device, interrupt, plan, report};
use anemone::nn::train::{Checkpoint, Evaluator};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::time::Instant;

/// Runs the command.
pub(crate) fn eval(args: &EvalArgs, out: &mut Output) -> Result<(), CliError> {
    let device = device::choose(&args.device)?;
    let checkpoint = Checkpoint::new(&args.run);
    let mut config = RunConfig::read(&checkpoint)?;
    if let Some(path) = &args.data {
        config.data = plan::other_data(config.task, path)?;
    }
    let vocab_size = config.model.vocab_size();
    let tokenizer = source::run_tokenizer(&checkpoint, &config, vocab_size)?;
    let source = Source::open(&config.data, tokenizer.as_ref(), vocab_size)?;
    interrupt::check()?;
    source.check_fits(&config.model)?;
    let data = source.batches(&config.options, config.model.seq_len())?;
    let running = device.start()?;
    let (mut evaluator, iteration) =
        Evaluator::open(config.model.model(), &*running.backend, &config.options, &checkpoint)?;
    let start = Instant::now();
    let evaluated = evaluator.evaluate(&*data, None, &mut |_, _| match interrupt::asked() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })?;
    let evaluation = evaluated.ok_or(CliError::Interrupted)?;
    let seconds = start.elapsed().as_secs_f64();
    let meter = running.backend.meter();
    let mut line = json!({
        "event": "evaluated", "iteration": iteration, "examples": evaluation.examples,
        "unit": data.unit(), "seconds": seconds, "device": running.description,
        "simulated": meter.as_ref().map(report::meter_json),
    });
    if let (Value::Object(line), Ok(Value::Object(values))) =
        (&mut line, serde_json::to_value(&evaluation.values))
    {
        line.extend(values);
    }
    if vocab_size > 0 {
        line["perplexity"] = json!(evaluation.loss().exp());
    }
    out.json(&line)?;
    let mut rows = vec![
        ("run", format!("{} after {} steps", args.run.display(), iteration)),
        ("model", config.model.describe()),
        ("data", config.data.describe()),
    ];
    rows.extend(report::held_out_rows(&evaluation.values, &config));
    let count = thousands(evaluation.examples as f64);
    rows.push(("measured on", format!("{count} {} in {}", data.unit(), duration(seconds))));
    rows.push(("ran on", running.description));
    rows.extend(meter.iter().flat_map(report::meter_rows));
    out.table(&rows)
}
