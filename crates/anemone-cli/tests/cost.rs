//! Estimates and profiles, by the real binary.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

mod common;

use anemone::mlpackage::Package;
use common::{refused, succeed};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

#[test]
fn a_model_is_estimated_on_all_chips() {
    let dir = TempDir::new().unwrap();
    let text = succeed(dir.path(), &["estimate", "cifar"]);
    for part in ["M1 ", "M4 Max", "M6", "extrapolated", "measured", "not a measurement", "compile, s"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = succeed(dir.path(), &["estimate", "cifar", "--chips", "m1,m5pro", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let latency = |at: usize, end: &str| json["chips"][at]["plan"]["latency_ms"][end].as_f64().unwrap();
    assert_eq!(json["chips"].as_array().unwrap().len(), 2);
    assert!(latency(0, "low") < latency(0, "mid") && latency(0, "mid") < latency(0, "high"));
    assert!(latency(0, "mid") > latency(1, "mid"));
    let compile = |at: usize, end: &str| json["chips"][at]["plan"]["compile_s"][end].as_f64().unwrap();
    assert!(0.0 < compile(0, "low") && compile(0, "low") < compile(0, "mid"));
    assert!(compile(0, "mid") > compile(1, "mid"), "an M1 compiles slower");
    let copied = succeed(dir.path(), &["estimate", "cifar", "--chips", "m1", "--host-copy", "--json"]);
    let copied: Value = serde_json::from_str(&copied).unwrap();
    assert!(copied["chips"][0]["plan"]["latency_ms"]["mid"].as_f64().unwrap() > latency(0, "mid"));
}

fn package(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/packages").join(name);
    path.to_str().unwrap().to_string()
}

/// The plan for one chip.
fn estimated(dir: &TempDir, model: &str, more: &[&str]) -> Value {
    let args = [&["estimate", model, "--chips", "m1", "--json"], more].concat();
    serde_json::from_str(&succeed(dir.path(), &args)).unwrap()
}

#[test]
fn flexible_models_are_estimated_at_their_default_shapes() {
    let dir = TempDir::new().unwrap();
    let fixed = dir.path().join("fixed.mlpackage").to_str().unwrap().to_string();
    for (name, default, other) in
        [("enumerated.mlpackage", "x=1,5,4", "x=1,7,4"), ("ranges.mlpackage", "x=1,2,4", "x=1,9,4")]
    {
        let model = package(name);
        for (shape, more) in [(default, &[][..]), (other, &["--shape", other])] {
            let flexible = estimated(&dir, &model, more);
            let taken = flexible["shapes"].as_array().unwrap();
            assert_eq!(taken.is_empty(), !more.is_empty(), "{flexible}");
            let shape = if more.is_empty() {
                // What was taken is told: `input `x` taken as [1, 5, 4], the model's default; …`.
                let line = taken[0].as_str().unwrap();
                assert!(line.contains("the model's default"), "{line}");
                let dims = line.split(['[', ']']).nth(1).unwrap().replace(' ', "");
                format!("x={dims}")
            } else {
                shape.to_string()
            };
            succeed(dir.path(), &["convert", &model, &fixed, "--shape", &shape, "--force"]);
            assert_eq!(flexible["chips"], estimated(&dir, &fixed, &[])["chips"], "{name} at {shape}");
        }
    }
    // What nobody says is a guess, and graded as one.
    let open = dir.path().join("open.mil");
    std::fs::write(
        &open,
        "program(1.3) { func main<ios18>(tensor<fp16, [1, 4]> x) {
            tensor<int32, [?, 2]> at = non_zero(x = x);
            tensor<fp16, [?, 2]> y = cast(x = at, dtype = string(\"fp16\"));
        } -> (y); }",
    )
    .unwrap();
    let guessed = estimated(&dir, open.to_str().unwrap(), &[]);
    assert_eq!(
        guessed["chips"][0]["plan"]["parts"][0]["estimate"]["provenance"], "extrapolated",
        "{guessed}"
    );
}

#[test]
fn the_function_is_the_one_that_runs() {
    let dir = TempDir::new().unwrap();
    let model = package("multifunction.mlpackage");
    let default = Package::open(&model).unwrap().description.default_function.unwrap();
    assert_eq!(estimated(&dir, &model, &[])["function"], default.as_str());
    let json = succeed(dir.path(), &["profile", &model, "--json"]);
    let profiled: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(profiled["estimate"]["function"], default.as_str());
}

#[test]
fn a_profile_adds_up() {
    let dir = TempDir::new().unwrap();
    let args = ["profile", "cifar", "--chip", "m4", "--trace", "t.json", "--html", "p.html"];
    let text = succeed(dir.path(), &args);
    assert!(text.contains("conv") && text.contains("dispatch") && text.contains("p.html"), "{text}");
    let json: Value =
        serde_json::from_str(&succeed(dir.path(), &["profile", "cifar", "--chip", "m4", "--json"])).unwrap();
    let total = json["estimate"]["latency_ms"]["mid"].as_f64().unwrap() * 1e3;
    let trace: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.path().join("t.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let sum: f64 = events.iter().filter_map(|event| event["dur"].as_f64()).sum();
    assert!((sum / total - 1.0).abs() < 1e-6, "{sum} {total}");
    let page = std::fs::read_to_string(dir.path().join("p.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 2);
    for outside in ["http:", "https:", "src=", "<script", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn what_is_not_there_is_refused() {
    let dir = TempDir::new().unwrap();
    refused(dir.path(), &["estimate", "cifar", "--chips", "m99"], 2, "m99");
    refused(dir.path(), &["profile", "cifar", "--chip", "z80"], 2, "z80");
    refused(dir.path(), &["estimate", "cifar", "--function", "nothing"], 2, "nothing");
    refused(dir.path(), &["profile", "nothing.mil"], 2, "nothing.mil");
    // A shape that a fixed input does not have is not passed over.
    let fixed = package("perceptron.mlpackage");
    refused(dir.path(), &["estimate", &fixed, "--shape", "x=7,9"], 1, "cannot be bound to shape [7, 9]");
    refused(dir.path(), &["profile", "cifar", "--html", "no/such/folder.html"], 1, "folder.html");
    refused(dir.path(), &["estimate", "cifar", "--unknown", "0"], 2, "0");
}

const ATTENTION: &str = "program(1.3) {
    func main<ios18>(tensor<fp16, [1, 4, 8, 16]> x) {
        tensor<fp16, [1, 4, 8, 16]> a = scaled_dot_product_attention(query = x, key = x, value = x);
        tensor<fp16, [1, 4, 8, 16]> y = tanh(x = a);
    } -> (y);
}
";

/// Columns stand under their heads, however long the name of an op; one operation is no plural.
#[test]
fn a_profile_is_a_table() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("k.mil"), ATTENTION).unwrap();
    let text = succeed(dir.path(), &["profile", "k.mil", "--chip", "m4"]);
    let place = |line: &str, word: &str| line.find(word);
    let head = text.lines().find(|line| line.ends_with("value")).unwrap();
    let row = text.lines().find(|line| line.contains("scaled_dot_product_attention")).unwrap();
    assert!(row.ends_with(" a"), "{text}");
    assert_eq!(place(head, "value"), Some(row.len() - 1), "{text}");
    let short = succeed(dir.path(), &["profile", "k.mil", "--chip", "m4", "--top", "1"]);
    assert!(!short.contains(" 1 more operations") && !short.contains("\n1 operations"), "{short}");
}
