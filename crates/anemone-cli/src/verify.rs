//! `anemone verify`: whether a model keeps to MIL's rules, and every place where it does not.

use crate::args::VerifyArgs;
use crate::error::CliError;
use crate::output::Output;
use anemone::mil::{Block, Function, verify as check};
use anemone::mlpackage::{FunctionDescription, Package};
use anemone::passes::classifiers_to_scores;
use serde_json::json;

/// Checks a model; fails if it has any fault.
pub(crate) fn verify(args: &VerifyArgs, out: &mut Output) -> Result<(), CliError> {
    let package = Package::open(&args.model)?;
    let program = package.program()?;
    let mut faults: Vec<String> = Vec::new();
    for function in &program.functions {
        match package.description.function(&function.name) {
            Some(description) => faults.extend(features(function, description)),
            None => faults.push(format!("function `{}` is not described", function.name)),
        }
    }
    let (functions, operations) =
        (program.functions.len(), program.functions.iter().map(|f| operations(&f.body)).sum::<usize>());
    let mut open: Vec<String> = Vec::new();
    match check(program) {
        Ok(verified) => {
            let interpreted = verified.functions.iter().filter(|f| !classifiers_to_scores(f).0.is_static());
            open.extend(interpreted.map(|function| function.name.clone()));
        }
        Err(errors) => faults.extend(errors.iter().map(ToString::to_string)),
    }
    let printed = match out.is_json() {
        true => out.json(&json!({"valid": faults.is_empty(), "faults": faults})),
        false => faults.iter().try_for_each(|fault| out.result(fault)),
    };
    // Whoever closes the pipe gets the verdict as exit code all the same.
    if !faults.is_empty() {
        let plural = if faults.len() == 1 { "" } else { "s" };
        return Err(CliError::failed(format!("{}: {} fault{plural}", args.model.display(), faults.len())));
    }
    printed?;
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    out.say(&format!(
        "{}: valid, {functions} function{}, {operations} operation{}",
        args.model.display(),
        plural(functions),
        plural(operations)
    ))?;
    for name in &open {
        out.say(&format!(
            "  `{name}` has open shapes, control flow or lists: what stays open when it runs is interpreted"
        ))?;
    }
    Ok(())
}

/// Operations of a block, nested ones too.
fn operations(block: &Block) -> usize {
    block.ops.iter().map(|operation| 1 + operation.blocks.iter().map(operations).sum::<usize>()).sum()
}

/// Inputs, outputs and states that the description and the program do not both have.
fn features(function: &Function, description: &FunctionDescription) -> Vec<String> {
    let mut faults = Vec::new();
    let mut compare = |kind: &str, described: Vec<&str>, in_program: Vec<String>| {
        for name in &described {
            if !in_program.iter().any(|other| other == name) {
                faults.push(format!(
                    "function `{}`: {kind} `{name}` is described but not in the program",
                    function.name
                ));
            }
        }
        for name in &in_program {
            if !described.contains(&name.as_str()) {
                faults.push(format!(
                    "function `{}`: {kind} `{name}` is in the program but not described",
                    function.name
                ));
            }
        }
    };
    let names = |features: &'_ [anemone::mlpackage::Feature]| {
        features.iter().map(|f| f.name.clone()).collect::<Vec<_>>()
    };
    let pairs = [
        (
            "input",
            names(&description.inputs),
            function.tensor_inputs().map(|id| function.display_name(id)).collect(),
        ),
        (
            "state",
            names(&description.states),
            function.states().map(|id| function.display_name(id)).collect::<Vec<_>>(),
        ),
        (
            "output",
            names(&description.outputs),
            function.body.outputs.iter().map(|&id| function.display_name(id)).collect(),
        ),
    ];
    for (kind, described, in_program) in pairs {
        compare(kind, described.iter().map(String::as_str).collect(), in_program);
    }
    faults
}
