//! `anemone check` and `anemone chips`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

mod common;

use common::{refused, run, succeed};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

const SOFTPLUS: &str = "program(1.3) {
    func main<ios18>(tensor<fp16, [1, 8]> x) {
        tensor<fp16, [1, 8]> y = softplus(x = x);
    } -> (y);
}
";

#[test]
fn a_kernel_that_runs_with_a_warning() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("k.mil"), SOFTPLUS).unwrap();
    let text = succeed(dir.path(), &["check", "k.mil", "--chips", "m1,M5"]);
    for part in
        ["softplus-overflow", "runs, can be wrong", "way out", "nothing was compiled or run on a device"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: Value =
        serde_json::from_str(&succeed(dir.path(), &["check", "k.mil", "--chips", "h17s", "--json"])).unwrap();
    let report = &json["chips"][0]["report"];
    assert_eq!(report["verdict"], "can-be-wrong");
    assert_eq!(report["findings"][0]["value"], "y");
    assert_eq!(report["findings"][0]["fixable"], true);
    assert_eq!(json["chips"][0]["after_legalize"], "runs");
}

#[test]
fn a_program_is_rewritten_for_a_chip() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("k.mil"), SOFTPLUS).unwrap();
    let text = succeed(dir.path(), &["convert", "k.mil", "m5.mil", "--for", "m5"]);
    assert!(text.contains("1 operation rewritten for m5") && text.contains("softplus-overflow"), "{text}");
    let text = succeed(dir.path(), &["check", "m5.mil", "--chips", "m5"]);
    assert!(!text.contains("softplus"), "{text}");
    let text = succeed(dir.path(), &["convert", "m5.mil", "again.mil", "--for", "m5"]);
    assert!(text.contains("nothing to rewrite"), "{text}");
    refused(dir.path(), &["convert", "k.mil", "out.mil", "--for", "m99"], 2, "there is no chip `m99`");
    refused(dir.path(), &["convert", "k.mil", "out.mil", "--for", "a12"], 2, "takes no MIL programs");
    // What no rewrite helps is not passed over.
    fs::write(dir.path().join("wide.mil"), SOFTPLUS.replace("fp16", "fp32")).unwrap();
    let text = succeed(dir.path(), &["convert", "wide.mil", "still.mil", "--for", "m5"]);
    assert!(text.contains("still refused: `anemone check still.mil --chips m5`"), "{text}");
}

#[test]
fn what_a_chip_refuses_fails() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("k.mil"), SOFTPLUS.replace("fp16", "fp32")).unwrap();
    let ended = run(dir.path(), &["check", "k.mil", "--chips", "m4"]);
    assert_eq!(ended.code, Some(1));
    // With nobody to read the answer.
    assert_eq!(common::without_reader(dir.path(), &["check", "k.mil", "--chips", "m4"]), Some(1));
    assert!(
        ended.stdout.contains("fp32-compute") && ended.stderr.contains("does not run whole on M4"),
        "{ended:#?}"
    );
}

#[test]
fn bad_arguments() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("k.mil"), SOFTPLUS).unwrap();
    refused(dir.path(), &["check", "k.mil", "--chips", "m99"], 2, "there is no chip `m99`");
    refused(dir.path(), &["check", "nothing"], 2, "there is no model `nothing`");
    refused(
        dir.path(),
        &["check", "k.mil", "--function", "other"],
        2,
        "there is no function `other`; functions: main",
    );
    fs::write(dir.path().join("broken.mil"), "program(1.3) {").unwrap();
    refused(dir.path(), &["check", "broken.mil"], 1, "broken.mil");
    refused(dir.path(), &["chips", "m99"], 2, "there is no chip `m99`");
}

#[test]
fn a_built_in_model_is_seen_as_it_would_be_deployed() {
    let dir = TempDir::new().unwrap();
    let text = succeed(dir.path(), &["check", "cifar"]);
    assert!(text.contains("as `anemone export` deploys it") && text.contains("M6"), "{text}");
    let ended = run(dir.path(), &["check", "stories260k", "--chips", "m5", "--notes"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("gather") && ended.stdout.contains("border-cast"), "{}", ended.stdout);
}

#[test]
fn chips_are_told_about() {
    let dir = TempDir::new().unwrap();
    let text = succeed(dir.path(), &["chips"]);
    assert!(text.contains("A11") && text.contains("M5 Max") && text.contains("winograd"), "{text}");
    let text = succeed(dir.path(), &["chips", "m4"]);
    assert!(text.contains("h16g (derived)") && text.contains("but ANEForge, targets: h16"), "{text}");
    let json = succeed(dir.path(), &["chips", "m1max", "--json"]);
    let json: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(json["limits"]["spatial"]["value"], 16384.0);
    assert_eq!(json["limits"]["spatial"]["cite"]["source"], "ANEForge");
}

#[test]
fn every_package_gets_an_answer() {
    let packages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/packages");
    let mut count = 0;
    for entry in fs::read_dir(packages).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "mlpackage") {
            let ended = run(path.parent().unwrap(), &["check", path.to_str().unwrap(), "--notes"]);
            assert!(matches!(ended.code, Some(0 | 1)) && ended.stdout.contains("A20"), "{ended:#?}");
            count += 1;
        }
    }
    assert!(count >= 20);
}
