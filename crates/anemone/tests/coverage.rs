//! The op-coverage page of the documentation, made from the tables: `docs/ops.md`. `ANEMONE_BLESS=1` writes it anew.
//!
//! Every op must be declared, inferred, executed, differentiated or have a reason why not, and name what proves it.

#![allow(clippy::unwrap_used, reason = "test code")]

use anemone::cpu::{Support, support};
use anemone::mil::ops::{Family, Op, Opset, Param};
use anemone::passes::autodiff::{Rule, rule};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What proves ops that no golden file can hold: blocks, lists, strings, results as long as the data make them.
const PROOFS: &[(&str, &str)] = &[
    ("classify", "`anemone/tests/model.rs`"),
    ("cond", BLOCKS_AND_LISTS),
    ("conv_quantized", "`anemone-cpu/tests/compressed.rs`"),
    ("coreml_update_state", "`anemone-cpu/tests/states.rs`"),
    ("list_gather", BLOCKS_AND_LISTS),
    ("list_length", "`anemone-cpu/tests/interpret.rs`"),
    ("list_read", BLOCKS_AND_LISTS),
    ("list_scatter", BLOCKS_AND_LISTS),
    ("list_write", BLOCKS_AND_LISTS),
    ("make_list", "`anemone-cpu/tests/interpret.rs`"),
    ("non_maximum_suppression", "`anemone-cpu` unit tests (`kernels/tensor_operation/suppression.rs`)"),
    ("non_zero", "`anemone-cpu/tests/interpret.rs`"),
    ("random_bernoulli", "`anemone-cpu` unit tests (`kernels/random.rs`)"),
    ("random_categorical", "`anemone-cpu` unit tests (`kernels/random.rs`)"),
    ("random_normal", "`anemone-cpu` unit tests (`kernels/random.rs`)"),
    ("random_uniform", "`anemone-cpu` unit tests (`kernels/random.rs`)"),
    ("read_state", "`anemone-cpu/tests/states.rs`"),
    ("reshape_like", "`mil/tests/ops`; a view"),
    ("while_loop", BLOCKS_AND_LISTS),
];

const BLOCKS_AND_LISTS: &str =
    "`anemone-cpu/tests/interpret.rs`; gradients by PyTorch: `golden_control_flow.rs`";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Golden cases by op, values and gradients. Those of `values` are programs, which count for every op in them.
fn golden_cases() -> BTreeMap<String, (usize, usize)> {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for entry in fs::read_dir(repository().join("tests/golden/ops")).unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        let golden: Value = serde_json::from_reader(GzDecoder::new(file)).unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let count = counts.entry(case["op"].as_str().unwrap().to_string()).or_default();
            count.0 += 1;
            count.1 += usize::from(case["grads"].as_object().is_some_and(|grads| !grads.is_empty()));
        }
    }
    for entry in fs::read_dir(repository().join("tests/golden/values")).unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        let golden: Value = serde_json::from_reader(GzDecoder::new(file)).unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let program: anemone::mil::Program = case["text"].as_str().unwrap().parse().unwrap();
            for operation in &program.functions[0].body.ops {
                counts.entry(operation.op.declaration().name.to_string()).or_default().0 += 1;
            }
        }
    }
    counts
}

/// Programs that coremltools builds and other libraries judge, by op (`python tools/coremltools/ops.py --list`).
fn judged() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(repository().join("tools/coremltools/cases.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn family_name(family: Family) -> String {
    let mut name = String::new();
    for c in format!("{family:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    name
}

/// Element types of the op's data: those of its first parameter that is not an attribute.
fn dtypes(op: Op) -> String {
    let newest = *Opset::ALL.last().unwrap();
    let data = op.params.iter().find(|param| !param.constant).or(op.params.first());
    let list = |param: &Param| {
        let first: Vec<_> = param.constraint(op.since).0.iter().map(|dtype| dtype.name()).collect();
        let later: Vec<_> = param.constraint(newest).0.iter().map(|dtype| dtype.name()).collect();
        let added: Vec<_> = later.iter().filter(|name| !first.contains(name)).copied().collect();
        // What only constants can be is no news for an op that takes anything.
        let any = |names: &[&str]| names.len() == anemone::mil::DataType::ALL.len();
        if any(&first) {
            return "any".to_string();
        }
        let more = if added.is_empty() { String::new() } else { format!("; later {}", added.join(" ")) };
        first.join(" ") + &more
    };
    data.map_or_else(|| "–".to_string(), list)
}

fn executed(op: Op) -> &'static str {
    match support(op) {
        Some(Support::Elementwise) => "elementwise, fused",
        Some(Support::Kernel) => "kernel",
        Some(Support::View) => "no copy",
        Some(Support::Compiling) => "when compiling",
        Some(Support::Interpreter) => "interpreter",
        Some(Support::Facade) => "`Session`",
        Some(_) | None => "",
    }
}

fn differentiated(op: Op) -> String {
    match rule(op) {
        Rule::Vjp(_) => "yes".into(),
        Rule::NoGradient(reason) => format!("none: {reason}"),
        Rule::Missing => String::new(),
    }
}

fn page() -> String {
    let golden = golden_cases();
    let judged = judged();
    let mut page = String::from(
        "# Ops\n\nMade from the tables by `ANEMONE_BLESS=1 cargo test -p anemone --test coverage`; a test fails when it is stale. \
         Every op is declared and inferred (`crates/mil/src/ops`). *Golden*: cases with values (and gradients) by PyTorch, NumPy or \
         coremltools in `tests/golden`, run in strict and fused mode. *Judged*: programs that coremltools builds, with results by an \
         independent library (`tools/coremltools`).\n",
    );
    let mut families: Vec<(Family, Vec<Op>)> = Vec::new();
    for op in Op::all() {
        match families.iter_mut().find(|(family, _)| *family == op.family) {
            Some((_, ops)) => ops.push(op),
            None => families.push((op.family, vec![op])),
        }
    }
    let _ = writeln!(page, "\n{} ops in {} families.", Op::all().count(), families.len());
    for (family, ops) in families {
        let _ = writeln!(page, "\n## {}\n", family_name(family));
        page.push_str("| op | since | data | executed | differentiated | golden | judged |\n|---|---|---|---|---|---|---|\n");
        for op in ops {
            let name = op.declaration().name;
            let golden = match (golden.get(name), PROOFS.iter().find(|(proved, _)| *proved == name)) {
                (Some((values, 0)), _) => values.to_string(),
                (Some((values, gradients)), _) => format!("{values} ({gradients})"),
                (None, Some((_, proof))) => proof.to_string(),
                (None, None) => String::new(),
            };
            let judged = judged.get(name).map_or_else(String::new, usize::to_string);
            let row =
                [op.since.name().into(), dtypes(op), executed(op).into(), differentiated(op), golden, judged];
            let _ = writeln!(page, "| `{name}` | {} |", row.join(" | "));
        }
    }
    page
}

#[test]
fn the_page_is_what_the_tables_say_and_has_no_empty_cell() {
    let path = repository().join("docs/ops.md");
    let page = page();
    if std::env::var_os("ANEMONE_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let empty: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| `") && line.contains("|  |")).collect();
    assert!(empty.is_empty(), "cells without content or reason:\n{}", empty.join("\n"));
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/ops.md is stale; ANEMONE_BLESS=1 cargo test -p anemone --test coverage");
}
