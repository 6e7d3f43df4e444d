//! `anemone diff`: two models side by side, programs as text and weights as numbers.

use crate::args::DiffArgs;
use crate::error::CliError;
use crate::inspect::Elided;
use crate::output::Output;
use anemone::mil::text::{Dialect, write_to};
use anemone::mil::{Constant, Def, Program};
use anemone::mlpackage::Package;
use serde_json::json;
use similar::TextDiff;
use std::collections::BTreeMap;

/// Constants of fewer elements are in the text.
const LEAST: usize = 10;

/// Compares two models; fails if they differ, as `diff` does.
pub(crate) fn diff(args: &DiffArgs, out: &mut Output) -> Result<(), CliError> {
    let [a, b] = [&args.a, &args.b].map(|path| -> Result<(Package, Program), CliError> {
        let package = Package::open(path)?;
        let program = package.program()?;
        Ok((package, program))
    });
    let ((package_a, a), (package_b, b)) = (a?, b?);
    let [text_a, text_b] = [text(&a)?, text(&b)?];
    let mut differences: Vec<String> = Vec::new();
    if package_a.description != package_b.description {
        differences.push(
            "the descriptions differ (inputs, outputs or metadata; `anemone inspect` tells them)".into(),
        );
    }
    let changed = text_a != text_b;
    let lines = changed.then(|| {
        let diff = TextDiff::from_lines(&text_a, &text_b);
        let headers = (args.a.display().to_string(), args.b.display().to_string());
        diff.unified_diff().context_radius(3).header(&headers.0, &headers.1).to_string()
    });
    let weights = weights(&a, &b);
    let same = differences.is_empty() && !changed && weights.is_empty();
    let printed = if out.is_json() {
        let weights: Vec<_> = weights.iter().map(Difference::as_json).collect();
        out.json(&json!({
            "same": same, "description_differs": !differences.is_empty(), "program": lines, "weights": weights,
        }))
    } else {
        let mut all = differences.into_iter().chain(lines).chain(weights.iter().map(Difference::in_words));
        all.try_for_each(|text| out.result(text.trim_end()))
    };
    match same {
        true => printed.and_then(|()| out.say("the same program, weights and description")),
        // Whoever closes the pipe gets the answer as exit code all the same.
        false => Err(CliError::failed("the models differ")),
    }
}

/// The program as text, weights left out.
fn text(program: &Program) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let mut elided = Elided::default();
    write_to(program, Dialect::Ios18, Some(&mut elided), &mut bytes)
        .map_err(|error| CliError::failed(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How a weight of one model differs from the one of the same name in the other.
enum Difference {
    Only { name: String, ty: String, first: bool },
    Type { name: String, a: String, b: String },
    Values { name: String, ty: String, largest: f64, relative: f64, count: usize, elements: usize },
}

fn weights(a: &Program, b: &Program) -> Vec<Difference> {
    let (a, b) = (by_name(a), by_name(b));
    let mut differences = Vec::new();
    for (name, constant) in &a {
        match b.get(name) {
            None => {
                let ty = constant.ty().to_string();
                differences.push(Difference::Only { name: name.clone(), ty, first: true });
            }
            Some(other) if constant.ty() != other.ty() => {
                let (a, b) = (constant.ty().to_string(), other.ty().to_string());
                differences.push(Difference::Type { name: name.clone(), a, b });
            }
            Some(other) if !constant.same(other) => differences.push(values(name, constant, other)),
            Some(_) => {}
        }
    }
    for (name, constant) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
        differences.push(Difference::Only {
            name: name.clone(),
            ty: constant.ty().to_string(),
            first: false,
        });
    }
    differences
}

fn by_name(program: &Program) -> BTreeMap<String, Constant> {
    let mut weights = BTreeMap::new();
    for function in &program.functions {
        for value in &function.values {
            if let (Def::Const(constant), Some(name)) = (&value.def, &value.name)
                && constant.ty().shape.count() >= LEAST
            {
                weights.entry(format!("{}/{name}", function.name)).or_insert_with(|| constant.clone());
            }
        }
    }
    weights
}

fn numbers(constant: &Constant) -> Vec<f64> {
    match (constant.to_f32(), constant.to_i64()) {
        (Some(floats), _) => floats.iter().map(|&value| f64::from(value)).collect(),
        (None, ints) => ints.unwrap_or_default().into_iter().map(|value| value as f64).collect(),
    }
}

fn values(name: &str, a: &Constant, b: &Constant) -> Difference {
    let (x, y) = (numbers(a), numbers(b));
    let (mut largest, mut count, mut squares, mut norm) = (0.0_f64, 0, 0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        // NaN against NaN is no difference; NaN against a number is an infinite one.
        let difference = match (x.is_nan(), y.is_nan()) {
            (true, true) => 0.0,
            (false, false) if x == y => 0.0,
            (false, false) => (x - y).abs(),
            _ => f64::INFINITY,
        };
        largest = largest.max(difference);
        count += usize::from(difference > 0.0);
        squares += difference * difference;
        norm += if x.is_finite() { x * x } else { 0.0 };
    }
    let relative = if squares == 0.0 { 0.0 } else { (squares / norm).sqrt() };
    let (name, ty) = (name.to_string(), a.ty().to_string());
    Difference::Values { name, ty, largest, relative, count, elements: x.len() }
}

impl Difference {
    fn in_words(&self) -> String {
        match self {
            Difference::Only { name, ty, first } => {
                format!("{name}  {ty}  only in the {}", if *first { "first" } else { "second" })
            }
            Difference::Type { name, a, b } => format!("{name}  {a} and {b}"),
            Difference::Values { name, ty, largest, relative, count, elements } => format!(
                "{name}  {ty}  {count} of {elements} values differ, by {largest:.3e} at most, {relative:.3e} relative (RMS)"
            ),
        }
    }

    fn as_json(&self) -> serde_json::Value {
        match self {
            Difference::Only { name, ty, first } => {
                json!({"name": name, "type": ty, "only_in": if *first { "a" } else { "b" }})
            }
            Difference::Type { name, a, b } => json!({"name": name, "type_a": a, "type_b": b}),
            Difference::Values { name, ty, largest, relative, count, elements } => json!({
                "name": name, "type": ty, "largest": largest, "relative_rms": relative, "differing": count,
                "elements": elements,
            }),
        }
    }
}
