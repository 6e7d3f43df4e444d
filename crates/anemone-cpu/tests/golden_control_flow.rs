//! Gradients through choices, loops and lists against PyTorch's, on whole programs.

#![allow(clippy::unwrap_used, reason = "test helpers")]

mod golden;

use anemone_cpu::CpuBackend;
use anemone_passes::autodiff::differentiate;
use anemone_runtime::{Backend, CompileOptions, Tensor};
use flate2::read::GzDecoder;
use golden::{Operand, Tolerance, numbers};
use mil::{Program, Verified, verify};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

#[derive(Deserialize)]
struct Case {
    name: String,
    text: String,
    inputs: Vec<Named>,
    loss: Value,
    grads: BTreeMap<String, Vec<Value>>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(flatten)]
    operand: Operand,
}

fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/programs/control_flow.json.gz");
    let golden: Golden = serde_json::from_reader(GzDecoder::new(File::open(path).unwrap())).unwrap();
    golden.cases
}

/// The program with its gradients, through text and back: what is made must be MIL that others can read.
fn differentiated(case: &Case) -> Result<Verified, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let program: Program = case.text.parse().map_err(|error| text(&error))?;
    let program = verify(program).map_err(|faults| text(&faults[0]))?;
    let wrt: Vec<&str> = case.grads.keys().map(String::as_str).collect();
    let program = differentiate(&program, "main", "loss", &wrt).map_err(|error| text(&error))?;
    let program = verify(program).map_err(|faults| text(&faults[0]))?;
    let again: Program = program.to_string().parse().map_err(|error| text(&error))?;
    verify(again).map_err(|faults| text(&faults[0]))
}

fn run(case: &Case) -> Result<(), String> {
    let program = differentiated(case)?;
    let backend = CpuBackend::with_threads(1).unwrap();
    let mut executable =
        backend.compile(&program, &CompileOptions::default()).map_err(|error| error.to_string())?;
    let operand = |name: &str| &case.inputs.iter().find(|input| input.name == name).unwrap().operand;
    let tensor = |operand: &Operand| Tensor::from_constant(&operand.constant(operand.ty().dtype)).unwrap();
    let inputs: Vec<Tensor> =
        executable.inputs().iter().map(|feature| tensor(operand(&feature.name))).collect();
    let found = executable.call(&inputs.iter().collect::<Vec<_>>()).map_err(|error| error.to_string())?;
    let wanted = std::iter::once(vec![golden::number(&case.loss)])
        .chain(case.grads.values().map(|gradient| numbers(gradient)));
    for ((feature, found), wanted) in executable.outputs().iter().zip(&found).zip(wanted) {
        let found = found.to_f32().unwrap();
        let tolerance = Tolerance { rtol: 5e-5, atol: 5e-6 };
        let differs = |&at: &usize| !tolerance.accepts(found[at], wanted[at]);
        if let Some(at) = (0..wanted.len()).find(differs) {
            return Err(format!("{}[{at}] is {}, but should be {}", feature.name, found[at], wanted[at]));
        }
    }
    Ok(())
}

#[test]
fn gradients_go_through_blocks_and_lists() {
    let cases = cases();
    assert!(cases.len() >= 28);
    let faults: Vec<String> = cases
        .iter()
        .filter_map(|case| run(case).err().map(|fault| format!("{}: {fault}", case.name)))
        .collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), cases.len(), faults.join("\n"));
}
