//! Programs whose outputs coremltools' value inference gives: compressed constants and quantization, bit for bit, in both
//! modes of the engine and after a round trip through both dialects of the text form.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_cpu::{CpuBackend, Mode};
use anemone_runtime::{Backend, CompileOptions, Tensor};
use flate2::read::GzDecoder;
use mil::text::{Dialect, parse, print};
use mil::{DataType, Program, TensorType, verify};
use serde::Deserialize;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

#[derive(Deserialize)]
struct Case {
    name: String,
    text: String,
    inputs: Vec<Entry>,
    outputs: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    bytes: String,
}

impl Entry {
    fn ty(&self) -> TensorType {
        TensorType::new(DataType::from_name(&self.dtype).unwrap(), self.shape.clone())
    }

    fn bytes(&self) -> Vec<u8> {
        let digits = |at: usize| u8::from_str_radix(&self.bytes[at..at + 2], 16).unwrap();
        (0..self.bytes.len()).step_by(2).map(digits).collect()
    }

    fn tensor(&self) -> Tensor {
        Tensor::from_bytes(self.ty(), &self.bytes()).unwrap()
    }
}

fn cases(family: &str) -> Vec<Case> {
    #[derive(Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/golden/values/{family}.json.gz"));
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let golden: Golden = serde_json::from_reader(BufReader::new(GzDecoder::new(file))).unwrap();
    golden.cases
}

fn check(family: &str, floor: usize) {
    let backend = CpuBackend::with_threads(2).unwrap();
    let cases = cases(family);
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            run(case, &backend).err().map(|fault| format!("{}: {fault}\n{}", case.name, case.text))
        })
        .collect();
    assert!(cases.len() >= floor, "only {} cases of {family}, {floor} were there once", cases.len());
    let shown = failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {}:\n{shown}", failures.len(), cases.len());
}

fn run(case: &Case, backend: &CpuBackend) -> Result<(), String> {
    let program = parse(&case.text).map_err(|error| error.to_string())?;
    for mode in [Mode::Strict, Mode::Fused] {
        compare(case, program.clone(), &backend.clone().mode(mode))
            .map_err(|fault| format!("{mode:?}: {fault}"))?;
    }
    for dialect in Dialect::ALL {
        let again = parse(&print(&program, dialect)).map_err(|error| format!("{dialect}: {error}"))?;
        compare(case, again, backend).map_err(|fault| format!("{dialect}: {fault}"))?;
    }
    Ok(())
}

fn compare(case: &Case, program: Program, backend: &CpuBackend) -> Result<(), String> {
    let program = verify(program).map_err(|faults| faults[0].to_string())?;
    let mut executable =
        backend.compile(&program, &CompileOptions::default()).map_err(|error| error.to_string())?;
    let inputs: Vec<Tensor> = case.inputs.iter().map(Entry::tensor).collect();
    let found = executable.call(&inputs.iter().collect::<Vec<_>>()).map_err(|error| error.to_string())?;
    if found.len() != case.outputs.len() {
        return Err(format!("has {} outputs, but should have {}", found.len(), case.outputs.len()));
    }
    for (found, entry) in found.iter().zip(&case.outputs) {
        if *found.ty() != entry.ty() {
            return Err(format!("`{}` is {}, but should be {}", entry.name, found.ty(), entry.ty()));
        }
        let wanted = entry.bytes();
        if let Some(at) = (0..wanted.len()).find(|&at| found.bytes()[at] != wanted[at]) {
            let (found, wanted) = (found.bytes()[at], wanted[at]);
            return Err(format!("`{}`, byte {at}, is {found:#x}, but should be {wanted:#x}", entry.name));
        }
    }
    Ok(())
}

#[test]
fn constexpr() {
    check("constexpr", 695);
}

#[test]
fn quantization() {
    check("quantization", 194);
}
