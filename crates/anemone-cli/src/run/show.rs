//! Results: written to `.npz`, or told in a table.

use crate::error::CliError;
use crate::output::Output;
use anemone::arrays::{NamedArray, write_npz};
use anemone::runtime::Tensor;
use anemone::{Label, Output as Value};
use serde_json::{Map, json};
use std::path::Path;
use std::time::Duration;

/// Values shown of a tensor.
const SHOWN: usize = 6;
/// Classes shown of a classifier.
const CLASSES: usize = 5;

/// Writes the results: arrays under their names; a label as a string or integer; probabilities as an array in the order
/// of the classes, which stand in `NAME.classes`.
pub(super) fn save(path: &Path, results: &[(String, Value)]) -> Result<(), CliError> {
    let mut arrays: Vec<(String, NamedArray<'_>)> = Vec::new();
    for (name, value) in results {
        match value {
            Value::Tensor(tensor) => arrays.push((name.clone(), NamedArray::Tensor(tensor))),
            Value::Label(label) => arrays.push((name.clone(), labels(true, [label]))),
            Value::Probabilities(probabilities) => {
                let numbers = probabilities.iter().map(|(_, probability)| *probability).collect();
                arrays.push((name.clone(), NamedArray::Doubles(numbers)));
                let classes = labels(false, probabilities.iter().map(|(label, _)| label));
                arrays.push((format!("{name}.classes"), classes));
            }
        }
    }
    Ok(write_npz(path, arrays)?)
}

fn labels<'l>(scalar: bool, labels: impl IntoIterator<Item = &'l Label>) -> NamedArray<'static> {
    let mut ints = Vec::new();
    let mut strings = Vec::new();
    for label in labels {
        match label {
            Label::Int64(label) => ints.push(*label),
            Label::String(label) => strings.push(label.clone()),
        }
    }
    if strings.is_empty() { NamedArray::Ints(ints, scalar) } else { NamedArray::Strings(strings, scalar) }
}

/// Tells the results of one run.
pub(super) fn print(
    out: &mut Output,
    input: &str,
    results: &[(String, Value)],
    elapsed: Duration,
    written: Option<&str>,
    quiet: bool,
) -> Result<(), CliError> {
    if out.is_json() {
        let outputs: Map<_, _> = results.iter().map(|(name, value)| (name.clone(), as_json(value))).collect();
        let seconds = elapsed.as_secs_f64();
        return out
            .json(&json!({"input": input, "outputs": outputs, "seconds": seconds, "written": written}));
    }
    if let Some(path) = written {
        return out
            .say(&format!("{path}: {}", crate::report::count(results.len() as u64, "result", "results")));
    }
    if quiet {
        return Ok(());
    }
    let rows: Vec<(&str, String)> =
        results.iter().map(|(name, value)| (name.as_str(), in_words(value))).collect();
    out.table(&rows)
}

/// What a summary tells of numbers.
struct Summary {
    least: f64,
    most: f64,
    mean: f64,
    not_finite: usize,
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    if let Ok(floats) = tensor.to_f32() {
        return floats.iter().map(|&value| f64::from(value)).collect();
    }
    let ints = tensor.to_constant().ok().and_then(|constant| constant.to_i64());
    ints.unwrap_or_default().into_iter().map(|value| value as f64).collect()
}

fn summary(numbers: &[f64]) -> Summary {
    let finite: Vec<f64> = numbers.iter().copied().filter(|value| value.is_finite()).collect();
    Summary {
        least: finite.iter().copied().fold(f64::INFINITY, f64::min),
        most: finite.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        mean: finite.iter().sum::<f64>() / finite.len().max(1) as f64,
        not_finite: numbers.len() - finite.len(),
    }
}

fn in_words(value: &Value) -> String {
    match value {
        Value::Label(label) => label.to_string(),
        Value::Probabilities(probabilities) => {
            let mut sorted: Vec<_> = probabilities.iter().collect();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
            let shown = sorted.iter().take(CLASSES).map(|(label, p)| format!("{label} {p:.4}"));
            let more = sorted.len().saturating_sub(CLASSES);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            shown.collect::<Vec<_>>().join(", ") + &more
        }
        Value::Tensor(tensor) => {
            let numbers = numbers(tensor);
            let mut first: Vec<String> = numbers.iter().take(SHOWN).map(|value| number(*value)).collect();
            if numbers.len() > SHOWN {
                first.push("…".into());
            }
            let text = format!("{} = [{}]", tensor.ty(), first.join(", "));
            if numbers.len() <= 1 {
                return text;
            }
            let Summary { least, most, mean, not_finite } = summary(&numbers);
            if not_finite == numbers.len() {
                return format!("{text}, none finite");
            }
            let odd = if not_finite > 0 { format!(", {not_finite} not finite") } else { String::new() };
            format!("{text}, {} to {}, mean {}{odd}", number(least), number(most), number(mean))
        }
    }
}

fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e9 { format!("{value}") } else { format!("{value:.5}") }
}

fn as_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Label(Label::Int64(label)) => json!(label),
        Value::Label(Label::String(label)) => json!(label),
        Value::Probabilities(probabilities) => {
            let map: Map<_, _> =
                probabilities.iter().map(|(label, p)| (label.to_string(), json!(p))).collect();
            json!(map)
        }
        Value::Tensor(tensor) => {
            let numbers = numbers(tensor);
            let Summary { least, most, mean, not_finite } = summary(&numbers);
            json!({
                "dtype": tensor.dtype().name(), "shape": tensor.shape().to_vec(), "min": least, "max": most,
                "mean": if not_finite == numbers.len() { None } else { Some(mean) }, "not_finite": not_finite, "first": numbers.iter().take(SHOWN).collect::<Vec<_>>(),
            })
        }
    }
}
