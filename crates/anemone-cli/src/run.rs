//! `anemone run`: a model from a file, fed from files.

mod feed;
mod show;

use crate::args::RunArgs;
use crate::device;
use crate::error::CliError;
use crate::output::Output;
use crate::progress::Waiting;
use crate::report;
use anemone::mil::Shape;
use anemone::runtime::{States, Tensor};
use anemone::{Model, Output as Value, Session, SessionOptions};
use feed::Feed;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Runs a model on each input file in turn; states carry over from one to the next.
pub(crate) fn run(args: &RunArgs, out: &mut Output) -> Result<(), CliError> {
    if args.output.len() > 1 && args.output.len() != args.input.len() {
        return Err(CliError::usage(
            format!("{} outputs are named for {} inputs", args.output.len(), args.input.len()),
            "one --output for each --input, or one for the last result",
        ));
    }
    for (at, output) in args.output.iter().enumerate() {
        may_be_written(output, &args.input)?;
        if args.output[..at].contains(output) {
            return Err(CliError::usage(
                format!("{} is named for two results", output.display()),
                "one name for each --output",
            ));
        }
    }
    let model = Model::open(&args.model)?;
    let backend = device::choose(&args.device)?.start()?.backend;
    let mut runner = Runner {
        model: &model,
        function: args.function.as_deref(),
        backend: &*backend,
        states: States::new(),
        session: None,
    };
    if args.input.is_empty() && runner.model.function(runner.function)?.tensor_inputs().next().is_some() {
        return Err(CliError::usage(
            format!("the model needs inputs: {}", feed::wanted(&model, runner.function)?),
            "--input in.npz, with arrays of these names; or NAME=FILE, with .npy, or .png and .jpg for images",
        ));
    }
    let none = [String::new()];
    let inputs = if args.input.is_empty() { &none[..] } else { &args.input[..] };
    for (at, input) in inputs.iter().enumerate() {
        let feed = Feed::parse(input, &model, runner.function)?;
        let tensors = feed.read()?;
        let start = Instant::now();
        let waiting = Waiting::new(out, format!("running {}", args.model.display()));
        let results = runner.predict(&tensors)?;
        drop(waiting);
        let elapsed = start.elapsed();
        let last = at + 1 == inputs.len();
        let path = match args.output.as_slice() {
            [] => None,
            [path] => Some(path).filter(|_| last),
            paths => paths.get(at),
        };
        if let Some(path) = path {
            show::save(path, &results)?;
        }
        let written = path.map(|path| path.display().to_string());
        show::print(out, input, &results, elapsed, written.as_deref(), !args.output.is_empty())?;
    }
    if let Some(meter) = backend.meter() {
        out.json(&json!({"event": "simulated", "meter": report::meter_json(&meter)}))?;
        out.say("")?;
        out.table(&report::meter_rows(&meter))?;
    }
    Ok(())
}

/// Refuses names that no `.npz` should have, and a file that is read here.
fn may_be_written(output: &Path, inputs: &[String]) -> Result<(), CliError> {
    if output.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("npz")) {
        return Err(CliError::usage(
            format!("{}: results are written as .npz, which this name is not", output.display()),
            "a name that ends in .npz",
        ));
    }
    let folder = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(CliError::failed_try(
            format!("{}: there is no folder {}", output.display(), folder.display()),
            "a folder that exists",
        ));
    }
    let Ok(output_file) = output.canonicalize() else { return Ok(()) };
    let read = inputs.iter().flat_map(|input| input.split(',')).flat_map(|part| {
        let named = part.split_once('=').map(|(_, path)| path);
        [Some(part), named].into_iter().flatten()
    });
    for path in read {
        if Path::new(path).canonicalize().is_ok_and(|input| input == output_file) {
            return Err(CliError::usage(
                format!("{}: is an input of this run, and would be overwritten", output.display()),
                "another name for --output",
            ));
        }
    }
    Ok(())
}

/// A model whose session fits the shapes of the latest inputs.
struct Runner<'a> {
    model: &'a Model,
    function: Option<&'a str>,
    backend: &'a dyn anemone::runtime::Backend,
    states: States,
    session: Option<(BTreeMap<String, Shape>, Session)>,
}

impl Runner<'_> {
    fn predict(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<(String, Value)>, CliError> {
        let function = self.model.function(self.function)?;
        let mut shapes = BTreeMap::new();
        for id in function.tensor_inputs().filter(|&id| !function.shape(id).is_known()) {
            let name = function.display_name(id);
            if let Some(tensor) = tensors.get(&name) {
                shapes.insert(name, tensor.shape().clone());
            }
        }
        let session = match &mut self.session {
            Some((known, session)) if *known == shapes => session,
            _ => {
                let options = SessionOptions {
                    function: self.function.map(str::to_string),
                    shapes: shapes.clone(),
                    states: self.states.clone(),
                };
                let session = self.model.session(self.backend, &options)?;
                &mut self.session.insert((shapes, session)).1
            }
        };
        Ok(session.predict(tensors)?)
    }
}
