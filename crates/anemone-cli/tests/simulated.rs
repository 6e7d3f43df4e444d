//! The engine's numbers and simulated engines, by the real binary.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

mod common;

use common::{refused, succeed};
use serde_json::Value;
use tempfile::TempDir;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_error_of_every_operation_is_told() {
    let dir = TempDir::new().unwrap();
    let text = succeed(dir.path(), &["check", "cifar", "--numerics"]);
    for part in
        ["M1 (h13)", "M5 (h17)", "output logits: error", "conv", "exact", "nothing was run on a device"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let both =
        lines(&succeed(dir.path(), &["check", "cifar", "--numerics", "--chips", "m1,m2,m5", "--json"]));
    // M1 and M2 differ in slices alone, but they are two generations.
    assert_eq!(both.len(), 3);
    for one in &both {
        let (before, after) = (&one["scaled"]["before"][0]["error"], &one["scaled"]["after"][0]["error"]);
        assert!(after.as_f64().unwrap() <= before.as_f64().unwrap(), "{before} {after}");
        let ops = one["audit"]["ops"].as_array().unwrap();
        let error = |op: &str| {
            ops.iter().filter(|it| it["op"] == op).map(|it| it["alone"].as_f64().unwrap()).fold(0.0, f64::max)
        };
        assert!(error("conv") > 1e-4 && error("conv") < 1e-2, "{ops:?}");
        assert_eq!(error("relu"), 0.0);
    }
    assert_ne!(both[0]["audit"]["outputs"], both[2]["audit"]["outputs"]);
    refused(dir.path(), &["check", "cifar", "--numerics", "--chips", "a12"], 2, "A12");
    refused(
        dir.path(),
        &["simulate", "mlp", "--chips", "m1,a11"],
        2,
        "the engine of A11 cannot be simulated",
    );
    refused(dir.path(), &["check", "cifar", "--numerics", "--function", "other"], 2, "other");
    refused(dir.path(), &["check", "cifar", "--numerics", "--input", "none.npz"], 1, "none.npz");
    refused(dir.path(), &["check", "cifar", "--input", "x.npz"], 2, "--numerics");
}

#[test]
fn runs_on_simulated_engines_are_compared() {
    let dir = TempDir::new().unwrap();
    let tiny =
        ["mlp", "--examples", "40", "--width", "8", "--batch", "4", "--eval-batches", "1", "--steps", "4"];
    let with = |more: &[&'static str]| [&["simulate"], &tiny[..], more].concat();
    let text = succeed(dir.path(), &with(&["--chips", "m1,m4max"]));
    // Paragraphs are wrapped.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "fp32",
        "fp16, IEEE",
        "M1",
        "M4 Max",
        "a step there",
        "nothing ran on a device",
        "its time is not estimated and in no figure",
        "M1: a step is",
        "M4 Max: a step is",
        "on the host, ",
        "Compiling the step and its evaluation: ",
        "once, and not in the time above",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let events = lines(&succeed(dir.path(), &with(&["--chips", "m1", "--json"])));
    let runs: Vec<_> = events.iter().filter(|event| event["event"] == "run").collect();
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run["losses"].as_array().unwrap().len() == 4));
    assert_eq!(runs[2]["simulated"]["calls"], 4);
    assert!(runs[2]["simulated"]["seconds"].as_f64().unwrap() > 0.0 && runs[0]["simulated"].is_null());
    let meter = &runs[2]["simulated"];
    let number = |name: &str| meter[name].as_f64().unwrap();
    let (low, mid, high) =
        (number("compile_seconds_low"), number("compile_seconds"), number("compile_seconds_high"));
    assert!(0.0 < low && low < mid && mid < high, "{meter}");
    // Of the steps alone: the optimizer and the loss are the host's, and nobody says how long they take.
    let host = &meter["host"];
    assert!(host["operations"].as_u64().unwrap() % 4 == 0 && host["bytes"].as_u64().unwrap() > 0, "{host}");
    assert!(host["seconds"].is_null() && host["copy_seconds"].as_f64().unwrap() > 0.0, "{host}");
    let end = events.last().unwrap();
    assert_eq!(end["drifts"].as_array().unwrap().len(), 3);
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing is written");
    refused(dir.path(), &with(&["--chips", "m99"]), 2, "m99");
    refused(dir.path(), &with(&["--dtype", "fp32"]), 2, "fp32");
    refused(dir.path(), &with(&["--out", "runs"]), 2, "--out");
}

#[test]
fn a_run_may_be_made_on_a_simulated_engine() {
    let dir = TempDir::new().unwrap();
    let tiny = ["train", "mlp", "--examples", "40", "--width", "8", "--batch", "4", "--eval-batches", "1"];
    let args = [&tiny[..], &["--steps", "3", "--dtype", "fp16", "--device", "simulated:m5", "--out", "run"]]
        .concat();
    let text = succeed(dir.path(), &args);
    assert!(text.contains("on the engine of M5") && text.contains("simulated by the CPU"), "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in
        ["compiling ", "once, and not in the time above", "on the host ", "is not estimated and in no figure"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let eval = ["eval", "run", "--device", "simulated:m5"];
    let text = succeed(dir.path(), &eval);
    assert!(text.contains("on the engine of M5 (") && text.contains("on the host "), "{text}");
    let line = &lines(&succeed(dir.path(), &[&eval[..], &["--json"]].concat()))[0];
    assert!(line["simulated"]["compile_seconds"].as_f64().unwrap() > 0.0, "{line}");
    refused(dir.path(), &["train", "mlp", "--device", "simulated:m99"], 2, "simulated:CHIP");
}

#[test]
fn numerics_of_models_as_they_come() {
    let dir = TempDir::new().unwrap();
    let package = |name: &str| format!("{}/../../tests/packages/{name}", env!("CARGO_MANIFEST_DIR"));
    // A classifier's labels are no numbers, its probabilities are.
    let text =
        succeed(dir.path(), &["check", &package("classifier.mlpackage"), "--numerics", "--chips", "m1,m1"]);
    assert!(text.contains("operations: arithmetic exact") && text.matches("M1 (").count() == 1, "{text}");
    // Flexible, and all in fp32: its default shape, and why nothing is the engine's.
    let text = succeed(dir.path(), &["check", &package("ranges.mlpackage"), "--numerics", "--chips", "m1"]);
    assert!(text.contains("the model's default") && text.contains("--dtype fp16"), "{text}");
    refused(
        dir.path(),
        &["check", &package("loop.mlpackage"), "--numerics"],
        1,
        "has control flow, lists or shapes that depend on data",
    );
}
