//! Models in files: told about, checked, run, compared, rewritten.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

mod common;

use anemone::arrays::{NamedArray, Npz, write_npz};
use anemone::mil::TensorType;
use anemone::runtime::Tensor;
use common::{refused, succeed};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn package(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/packages").join(name);
    path.to_str().unwrap().to_string()
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_string()
}

/// Writes inputs of the loop package: how often, and what to double.
fn loop_input(dir: &TempDir) -> String {
    let file = path(dir, "in.npz");
    let (count, x) = (Tensor::new([1], &[3_i32]).unwrap(), Tensor::new([1, 3], &[1.0_f32; 3]).unwrap());
    let arrays =
        [("count".to_string(), NamedArray::Tensor(&count)), ("x".to_string(), NamedArray::Tensor(&x))];
    write_npz(Path::new(&file), arrays).unwrap();
    file
}

#[test]
fn a_model_is_run_on_arrays() {
    let dir = TempDir::new().unwrap();
    let (input, output) = (loop_input(&dir), path(&dir, "out.npz"));
    let model = package("loop.mlpackage");
    let text = succeed(dir.path(), &["run", &model, "--input", &input]);
    assert!(text.contains("tensor<fp32, [1, 3]>") && text.contains("turns"), "{text}");
    let json = succeed(dir.path(), &["run", &model, "--input", &input, "--output", &output, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["outputs"]["y"]["shape"], serde_json::json!([1, 3]));
    let mut npz = Npz::open(Path::new(&output)).unwrap();
    let y = npz.read("y", &TensorType::fp32([1, 3])).unwrap();
    assert_eq!(y.to_f32().unwrap()[0] as f64, json["outputs"]["y"]["first"][0]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let dir = TempDir::new().unwrap();
    let input = loop_input(&dir);
    let model = package("loop.mlpackage");
    refused(
        dir.path(),
        &["run", &model],
        2,
        "the model needs inputs: count: tensor<int32, [1]>, x: tensor<fp32, [1, 3]>",
    );
    refused(dir.path(), &["run", &model, "--input", &path(&dir, "none.npz")], 1, "none.npz");
    refused(
        dir.path(),
        &["run", &model, "--input", &input, "--output", "a.npz", "--output", "b.npz"],
        2,
        "2 outputs are named for 1",
    );
    refused(
        dir.path(),
        &["run", &model, "--function", "train", "--input", &input],
        1,
        "has no function `train`; it has: main",
    );
    refused(
        dir.path(),
        &["run", &package("stateful.mlpackage"), "--input", &input],
        1,
        "array `count` is none of the model's inputs",
    );
    refused(
        dir.path(),
        &["run", &package("layers.mlmodel"), "--input", &input],
        1,
        "layer format that came before MIL",
    );
    refused(
        dir.path(),
        &["run", &package("pipeline.mlmodel"), "--input", &input],
        1,
        "a pipeline of several models",
    );
    refused(dir.path(), &["inspect", &path(&dir, "none.mlpackage")], 1, "none.mlpackage");
    refused(dir.path(), &["inspect", dir.path().to_str().unwrap()], 1, "this folder is no model");
    refused(
        dir.path(),
        &["convert", &model, &path(&dir, "model.onnx")],
        2,
        "cannot tell the form from this name",
    );
    std::fs::write(dir.path().join("bad.mil"), "program(1.0) { func main<ios15>() { x = ").unwrap();
    refused(dir.path(), &["verify", &path(&dir, "bad.mil")], 1, "line 1");
}

#[test]
fn models_are_told_about() {
    let dir = TempDir::new().unwrap();
    let text = succeed(dir.path(), &["inspect", &package("palettized_18.mlpackage")]);
    for part in ["ML Program, specification 9, ios18", "function main", "constexpr_lut_to_dense", "weights"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let json = succeed(dir.path(), &["inspect", &package("multifunction.mlpackage"), "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["functions"].as_array().unwrap().len(), 2);
    let mil = succeed(dir.path(), &["inspect", &package("perceptron.mlpackage"), "--mil"]);
    assert!(mil.starts_with("program(1.") && mil.contains("BLOBFILE"), "{mil}");
    let text = succeed(dir.path(), &["verify", &package("ranges.mlpackage")]);
    assert!(text.contains("valid, 1 function, 3 operations") && text.contains("interpreted"), "{text}");
}

#[test]
fn weights_are_counted_as_what_they_stand_for() {
    let dir = TempDir::new().unwrap();
    // One weight each, in several forms: as many parameters whatever stores them.
    let count = |name: &str| {
        let json = succeed(dir.path(), &["inspect", &package(name), "--json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["weights"]["parameters"].as_u64().unwrap()
    };
    let forms = ["int8_16.mlpackage", "palettized_16.mlpackage", "sparse_16.mlpackage"];
    let counts: Vec<u64> = forms.iter().map(|name| count(name)).collect();
    assert!(counts[0] > 0 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    let told = succeed(dir.path(), &["inspect", &package("multifunction.mlpackage")]);
    assert!(
        told.matches("(runs when none is asked for)").count() == 1 && told.contains(", ios18\n"),
        "{told}"
    );
}

#[test]
fn what_is_no_model_is_told_so() {
    let dir = TempDir::new().unwrap();
    for (name, bytes) in
        [("notes.md", &b"# Notes"[..]), ("image.png", b"\x89PNG\r\n\x1a\n"), ("a.zip", b"PK\x03\x04")]
    {
        std::fs::write(dir.path().join(name), bytes).unwrap();
        refused(dir.path(), &["inspect", name], 1, "this is no Core ML model");
    }
}

#[test]
fn numbers_beyond_fp16_are_refused() {
    let dir = TempDir::new().unwrap();
    let input = path(&dir, "x.npz");
    let x = Tensor::new([1, 4], &[1.0_f32, 70000.0, 0.0, 0.0]).unwrap();
    write_npz(Path::new(&input), [("x".to_string(), NamedArray::Tensor(&x))]).unwrap();
    let model = package("multifunction.mlpackage");
    refused(dir.path(), &["run", &model, "--input", &input], 1, "it holds 70000, which fp16 cannot hold");
}

#[test]
fn results_never_take_the_place_of_inputs() {
    let dir = TempDir::new().unwrap();
    let input = loop_input(&dir);
    let before = std::fs::read(&input).unwrap();
    let model = package("loop.mlpackage");
    refused(
        dir.path(),
        &["run", &model, "--input", &input, "--output", "./in.npz"],
        2,
        "is an input of this run",
    );
    refused(dir.path(), &["run", &model, "--input", &input, "--output", "out.npy"], 2, "ends in .npz");
    refused(
        dir.path(),
        &["run", &model, "--input", &input, "--output", "no/such/out.npz"],
        1,
        "there is no folder no/such",
    );
    let twice = ["--input", &input, "--input", &input, "--output", "a.npz", "--output", "a.npz"];
    refused(dir.path(), &[&["run", &model], &twice[..]].concat(), 2, "is named for two results");
    assert_eq!(std::fs::read(&input).unwrap(), before);
}

#[test]
fn inputs_that_are_no_files_are_refused() {
    let dir = TempDir::new().unwrap();
    let model = package("ranges.mlpackage");
    let pipe = path(&dir, "pipe.npy");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused(dir.path(), &["run", &model, "--input", &pipe], 1, "is no regular file");
    refused(dir.path(), &["run", &model, "--input", dir.path().to_str().unwrap()], 1, "is a folder");
    refused(
        dir.path(),
        &["run", &model, "--input", "x=a.npy,y=b.npy"],
        2,
        "`y` is none of the model's inputs",
    );
    refused(dir.path(), &["run", &model, "--input", "x=a.npy,x=b.npy"], 2, "`x` is given two files");
}

#[test]
fn a_closed_pipe_changes_no_verdict() {
    let dir = TempDir::new().unwrap();
    let (a, b) = (package("int8_16.mlpackage"), package("sparse_16.mlpackage"));
    assert_eq!(common::without_reader(dir.path(), &["diff", &a, &b]), Some(1));
}

/// A command with nothing to save ends at the first signal.
#[test]
fn a_long_run_ends_when_it_is_told_to() {
    use std::os::unix::process::ExitStatusExt;
    let dir = TempDir::new().unwrap();
    let file = path(&dir, "long.npz");
    let (count, x) = (Tensor::new([1], &[i32::MAX]).unwrap(), Tensor::new([1, 3], &[1.0_f32; 3]).unwrap());
    let arrays =
        [("count".to_string(), NamedArray::Tensor(&count)), ("x".to_string(), NamedArray::Tensor(&x))];
    write_npz(Path::new(&file), arrays).unwrap();
    let mut child =
        common::anemone(dir.path(), &["run", &package("loop.mlpackage"), "--input", &file]).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "the loop is long");
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    // Without a time limit: a test that hangs says as much.
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn a_flexible_input_is_given_one_shape() {
    let dir = TempDir::new().unwrap();
    let fixed = path(&dir, "fixed.mlpackage");
    for (name, shape, allowed) in [
        ("enumerated.mlpackage", "x=1,7,4", "[1, 5, 4] or [1, 3, 4] or [1, 7, 4]"),
        ("ranges.mlpackage", "x=1,7,4", "[1, 2...9, 4]"),
    ] {
        let model = package(name);
        succeed(dir.path(), &["convert", &model, &fixed, "--shape", shape, "--force"]);
        let told = succeed(dir.path(), &["inspect", &fixed]);
        assert!(told.contains("MultiArray (Float32 [1, 7, 4])"), "{told}");
        // Nothing is left to bind: the compiler takes it.
        let verified = succeed(dir.path(), &["verify", &fixed]);
        assert!(!verified.contains("interpreted"), "{verified}");
        let input = path(&dir, "x.npz");
        let x: Vec<f32> = (0..28).map(|i| i as f32 / 7.0 - 2.0).collect();
        let x = Tensor::new([1, 7, 4], &x).unwrap();
        write_npz(Path::new(&input), [("x".to_string(), NamedArray::Tensor(&x))]).unwrap();
        let [a, b] = [&model, &fixed]
            .map(|model| succeed(dir.path(), &["run", model, "--input", &input, "--json"]))
            .map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap()["outputs"].clone());
        assert_eq!(a, b);
        let args = ["convert", &model, &path(&dir, "no.mlpackage"), "--shape"];
        refused(dir.path(), &[&args[..], &["x=1,11,4"]].concat(), 2, allowed);
        refused(dir.path(), &[&args[..], &["z=1"]].concat(), 2, "there is no input `z`");
        refused(dir.path(), &[&args[..], &["x"]].concat(), 2, "x=1,3,224,224");
        refused(dir.path(), &[&args[..], &["x=1,3,4", "--shape", "x=1,7,4"]].concat(), 2, "two shapes");
    }
}

#[test]
fn a_model_is_made_to_compute_in_fp16() {
    let dir = TempDir::new().unwrap();
    let model = package("ranges.mlpackage");
    let [bound, open] = ["bound.mlpackage", "open.mlpackage"].map(|name| path(&dir, name));
    succeed(dir.path(), &["convert", &model, &bound, "--dtype", "fp16", "--shape", "x=1,2,4"]);
    succeed(dir.path(), &["convert", &model, &open, "--dtype", "fp16"]);
    for (half, shape) in [(&bound, "[1, 2, 4]"), (&open, "[1, 2...9, 4]")] {
        let told = succeed(dir.path(), &["inspect", half]);
        let expected = format!("x: MultiArray (Float32 {shape})");
        assert!(told.contains("fp16  20 numbers") && told.contains(&expected), "{told}");
    }
    let input = path(&dir, "x.npz");
    let x = Tensor::new([1, 2, 4], &[0.1_f32, -0.2, 0.3, 0.4, 0.5, 0.6, -0.7, 0.8]).unwrap();
    write_npz(Path::new(&input), [("x".to_string(), NamedArray::Tensor(&x))]).unwrap();
    let [exact, bound, open] = [&model, &bound, &open].map(|model| {
        let text = succeed(dir.path(), &["run", model, "--input", &input, "--json"]);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let first = json["outputs"]["y"]["first"].as_array().unwrap().clone();
        first.iter().map(|number| number.as_f64().unwrap()).collect::<Vec<f64>>()
    });
    assert_ne!(exact, bound);
    assert_eq!(bound, open);
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-2 * a.abs().max(1.0);
    assert!(exact.iter().zip(&bound).all(near), "{exact:?} {bound:?}");
}

#[test]
fn every_golden_package_survives_text_and_back() {
    let dir = TempDir::new().unwrap();
    let packages = std::fs::read_dir(package("")).unwrap().map(|entry| entry.unwrap().path());
    let packages: Vec<PathBuf> =
        packages.filter(|path| path.extension().is_some_and(|extension| extension == "mlpackage")).collect();
    assert!(packages.len() > 20);
    for package in packages {
        let name = package.file_stem().unwrap().to_str().unwrap();
        let original = package.to_str().unwrap();
        let (text, back) = (path(&dir, &format!("{name}.mil")), path(&dir, &format!("{name}.mlpackage")));
        succeed(dir.path(), &["convert", original, &text]);
        refused(dir.path(), &["convert", original, &text], 1, "exists already");
        succeed(dir.path(), &["convert", original, &text, "--force"]);
        succeed(dir.path(), &["verify", &text]);
        succeed(dir.path(), &["convert", original, &back]);
        let same = succeed(dir.path(), &["diff", original, &back]);
        assert!(same.contains("the same program, weights and description"), "{name}: {same}");
        // Beside the text stands what it does not say: images, flexible shapes, classes, metadata, the default function.
        succeed(dir.path(), &["convert", &text, &back, "--force"]);
        let same = succeed(dir.path(), &["diff", original, &back]);
        assert!(same.contains("the same program, weights and description"), "{name}, by text: {same}");
    }
    refused(
        dir.path(),
        &["diff", &package("int8_16.mlpackage"), &package("sparse_16.mlpackage")],
        1,
        "the models differ",
    );
}
