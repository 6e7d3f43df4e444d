//! `anemone inspect`: what a model is made of.

mod weights;

pub(crate) use weights::{Elided, size};

use crate::args::InspectArgs;
use crate::error::CliError;
use crate::output::{Output, thousands};
use anemone::mil::text::{Dialect, write_to};
use anemone::mil::{Block, Function, Program};
use anemone::mlpackage::{Description, Feature, Package};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use weights::Weights;

/// Tells about a model without verifying or running it.
pub(crate) fn inspect(args: &InspectArgs, out: &mut Output) -> Result<(), CliError> {
    let package = Package::open(&args.model)?;
    let program = package.program()?;
    if args.mil {
        return print_mil(&program);
    }
    let weights = Weights::of(&program);
    if out.is_json() {
        return out.json(&as_json(&package, &program, &weights));
    }
    let mut opsets: Vec<&str> = program.functions.iter().map(|function| function.opset.name()).collect();
    opsets.sort_unstable();
    opsets.dedup();
    let version = package.specification_version();
    out.result(&format!(
        "{}  ML Program, specification {version}, {}",
        args.model.display(),
        opsets.join(", ")
    ))?;
    out.table(&about(&package.description))?;
    for function in &program.functions {
        out.result("")?;
        let default = package.description.default_function.as_ref() == Some(&function.name);
        let default =
            if default && program.functions.len() > 1 { "  (runs when none is asked for)" } else { "" };
        out.result(&format!("function {}{default}", function.name))?;
        if let Some(description) = package.description.function(&function.name) {
            let groups = [
                ("input", &description.inputs),
                ("state", &description.states),
                ("output", &description.outputs),
            ];
            for (kind, features) in groups {
                for feature in features {
                    out.result(&format!("  {kind:<7} {}", in_words(feature)))?;
                }
            }
        }
        let ops = histogram(function);
        let total: usize = ops.iter().map(|(_, count)| count).sum();
        let list: Vec<String> = ops.iter().map(|(op, count)| format!("{op} {count}")).collect();
        out.table(&[(
            "ops",
            format!("{} of {} kinds: {}", thousands(total as f64), ops.len(), list.join(", ")),
        )])?;
    }
    out.result("")?;
    weights.print(out)
}

fn print_mil(program: &Program) -> Result<(), CliError> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    let mut elided = weights::Elided::default();
    write_to(program, Dialect::of(program), Some(&mut elided), &mut stdout)
        .map_err(|error| CliError::failed(error.to_string()))?;
    stdout.flush()?;
    Ok(())
}

fn about(description: &Description) -> Vec<(&str, String)> {
    let metadata = &description.metadata;
    let mut rows = vec![
        ("description", metadata.description.clone()),
        ("author", metadata.author.clone()),
        ("license", metadata.license.clone()),
        ("version", metadata.version.clone()),
    ];
    rows.extend(metadata.user_defined.iter().map(|(key, value)| (key.as_str(), value.clone())));
    rows.retain(|(_, value)| !value.is_empty());
    rows
}

fn in_words(feature: &Feature) -> String {
    let optional = if feature.optional { ", optional" } else { "" };
    let about =
        if feature.description.is_empty() { String::new() } else { format!("  {}", feature.description) };
    format!("{}: {}{optional}{about}", feature.name, feature.ty)
}

/// Ops by name, nested ones too, the most frequent first.
fn histogram(function: &Function) -> Vec<(&'static str, usize)> {
    fn count(block: &Block, counts: &mut BTreeMap<&'static str, usize>) {
        for operation in &block.ops {
            *counts.entry(operation.op.declaration().name).or_default() += 1;
            operation.blocks.iter().for_each(|block| count(block, counts));
        }
    }
    let mut counts = BTreeMap::new();
    count(&function.body, &mut counts);
    let mut list: Vec<_> = counts.into_iter().collect();
    list.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    list
}

fn as_json(package: &Package, program: &Program, weights: &Weights) -> Value {
    let features = |features: &[Feature]| -> Vec<Value> {
        let feature = |feature: &Feature| json!({"name": feature.name, "type": feature.ty.to_string(), "optional": feature.optional});
        features.iter().map(feature).collect()
    };
    let functions: Vec<Value> = program
        .functions
        .iter()
        .map(|function| {
            let description = package.description.function(&function.name);
            json!({
                "name": function.name,
                "opset": function.opset.name(),
                "static": function.is_static(),
                "inputs": description.map(|d| features(&d.inputs)),
                "states": description.map(|d| features(&d.states)),
                "outputs": description.map(|d| features(&d.outputs)),
                "ops": histogram(function).into_iter().collect::<BTreeMap<_, _>>(),
            })
        })
        .collect();
    let metadata = &package.description.metadata;
    json!({
        "specification_version": package.specification_version(),
        "functions": functions,
        "default_function": package.description.default_function,
        "weights": weights.as_json(),
        "metadata": {
            "description": metadata.description, "author": metadata.author, "license": metadata.license,
            "version": metadata.version, "user_defined": metadata.user_defined,
        },
    })
}
