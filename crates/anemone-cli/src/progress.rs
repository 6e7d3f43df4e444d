//! What is shown while a model trains: a live bar on a terminal, a few lines elsewhere, events as JSON.

use crate::error::CliError;
use crate::interrupt;
use crate::output::{Format, Output, duration, thousands};
use anemone::nn::train::{Evaluation, Event};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Lines over a whole run where there is no terminal.
const LINES: u64 = 10;

/// Weight of the past in the loss that is shown.
const SMOOTHING: f64 = 0.95;

/// Watches a run: shows how it goes, and stops it when that is due.
pub(crate) struct Watcher<'a> {
    out: &'a mut Output,
    bar: Option<ProgressBar>,
    steps: u64,
    first: u64,
    start: Instant,
    unit: &'static str,
    loss: Smoothed,
    /// Whether one bad loss is the end: in half precision the loss scale deals with it.
    must_be_finite: bool,
    /// Why the run was broken off, if it was for a fault.
    fault: Option<CliError>,
}

/// A mean that forgets.
#[derive(Debug, Default)]
struct Smoothed {
    sum: f64,
    weight: f64,
}

impl Smoothed {
    fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.sum = SMOOTHING * self.sum + value;
            self.weight = SMOOTHING * self.weight + 1.0;
        }
    }

    fn get(&self) -> f64 {
        self.sum / self.weight
    }
}

/// What a run looks like from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    /// Steps made before.
    pub(crate) first: u64,
    /// Steps in all.
    pub(crate) steps: u64,
    /// What an example is.
    pub(crate) unit: &'static str,
    /// Whether a loss that is not a number ends the run.
    pub(crate) must_be_finite: bool,
}

impl<'a> Watcher<'a> {
    /// Begins to watch.
    pub(crate) fn new(out: &'a mut Output, outlook: Outlook) -> Watcher<'a> {
        let Outlook { first, steps, unit, must_be_finite } = outlook;
        let live = out.format() == Format::Text && io::stderr().is_terminal();
        let bar = live.then(|| bar(first, steps));
        let start = Instant::now();
        Watcher {
            out,
            bar,
            steps,
            first,
            start,
            unit,
            loss: Smoothed::default(),
            must_be_finite,
            fault: None,
        }
    }

    /// The observer of the trainer.
    pub(crate) fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        let shown = match event {
            Event::Step { iteration, values, rate } => self.step(*iteration, values, *rate),
            Event::Evaluating { done, batches } => {
                self.evaluating(*done, *batches);
                Ok(())
            }
            Event::Evaluated { iteration, evaluation } => self.evaluated(*iteration, evaluation),
            Event::Saved { iteration } => self.out.json(&json!({"event": "saved", "iteration": iteration})),
        };
        if let Err(error) = shown {
            self.fault.get_or_insert(error);
        }
        match self.fault.is_some() || interrupt::asked() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Ends watching; tells why the run was broken off if it was for a fault.
    pub(crate) fn finish(self) -> Result<(), CliError> {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.fault.map_or(Ok(()), Err)
    }

    fn step(&mut self, iteration: u64, values: &BTreeMap<String, f32>, rate: f64) -> Result<(), CliError> {
        let loss = values.get("loss").copied().unwrap_or(f32::NAN);
        self.loss.add(f64::from(loss));
        if self.out.is_json() {
            let event =
                json!({"event": "step", "iteration": iteration, self.rate_name(): rate, "values": values});
            self.out.json(&event)?;
        } else {
            self.show(iteration, rate)?;
        }
        match self.must_be_finite && !loss.is_finite() {
            true => Err(diverged(&format!("the loss is {loss} at step {iteration}"))),
            false => Ok(()),
        }
    }

    fn rate_name(&self) -> &'static str {
        if self.unit == "tokens" { "tokens_per_second" } else { "images_per_second" }
    }

    fn show(&mut self, iteration: u64, rate: f64) -> Result<(), CliError> {
        let elapsed = self.start.elapsed().as_secs_f64();
        let made = (iteration - self.first).max(1);
        let left = self.steps.saturating_sub(iteration) as f64 * elapsed / made as f64;
        let rate = format!("{} {}/s", thousands(rate), self.unit);
        let times = format!("{} elapsed, {} left", duration(elapsed), duration(left));
        let loss = self.loss.get();
        match &self.bar {
            Some(bar) => {
                bar.set_position(iteration);
                let stopping =
                    if interrupt::asked() { "  (saving; Ctrl-C again leaves at once)" } else { "" };
                bar.set_message(format!("loss {loss:.4}  {rate}  {times}{stopping}"));
                Ok(())
            }
            None if iteration == self.first + 1 || iteration.is_multiple_of(self.steps.div_ceil(LINES)) => {
                let width = self.steps.to_string().len();
                self.out
                    .say(&format!("step {iteration:>width$}/{}  loss {loss:.4}  {rate}  {times}", self.steps))
            }
            None => Ok(()),
        }
    }

    fn evaluating(&self, done: usize, batches: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("evaluating, {done} of {batches} batches"));
        }
    }

    fn evaluated(&mut self, iteration: u64, evaluation: &Evaluation) -> Result<(), CliError> {
        self.out.json(&json!({
            "event": "evaluated", "iteration": iteration,
            "values": evaluation.values, "examples": evaluation.examples,
        }))?;
        let width = self.steps.to_string().len();
        let mut line =
            format!("step {iteration:>width$}/{}  held-out loss {:.4}", self.steps, evaluation.loss());
        if let Some(accuracy) = evaluation.values.get("accuracy") {
            line.push_str(&format!("  accuracy {:.1} %", accuracy * 100.0));
        }
        match &self.bar {
            Some(bar) => {
                bar.println(line);
                Ok(())
            }
            None => self.out.say(&line),
        }
    }
}

/// What is shown on a terminal while something takes its time whose end nobody knows. It disappears when it is dropped.
pub(crate) struct Waiting(Option<ProgressBar>);

impl Waiting {
    /// Shows this from now on, with the time that has passed.
    pub(crate) fn new(out: &Output, what: String) -> Waiting {
        let live = out.format() == Format::Text && io::stderr().is_terminal();
        Waiting(live.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(what);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        }))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// A loss that is no number any more.
pub(crate) fn diverged(what: &str) -> CliError {
    let remedy = "a smaller --lr, a longer --warmup, or --clip 1";
    CliError::failed_try(format!("{what}: training diverged"), remedy)
}

fn bar(first: u64, steps: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:24.cyan/blue} {pos}/{len}  {wide_msg}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_position(first);
    bar
}
