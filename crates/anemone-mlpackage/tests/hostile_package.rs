//! Packages whose manifest or paths are damaged, or lead where they must not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use anemone_mlpackage::Package;
use std::fs;
use std::path::{Path, PathBuf};

/// A copy of a golden package that may be spoiled.
fn copy(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("m.mlpackage");
    for (path, bytes) in common::files(&common::path(name)) {
        let target = package.join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
    (folder, package)
}

#[track_caller]
fn refused(package: &Path, expected: &str) {
    let result = Package::open(package).and_then(|package| package.program());
    let error = result.expect_err("it was read, but must be refused").to_string();
    assert!(error.contains(expected), "expected `{expected}` in: {error}");
    assert!(error.len() < 1000, "too long for a sentence: {error}");
}

const SOUND: &str = r#"{
    "fileFormatVersion": "1.0.0",
    "itemInfoEntries": {
        "A": {"author": "a", "description": "d", "name": "model.mlmodel", "path": "com.apple.CoreML/model.mlmodel"},
        "B": {"author": "a", "description": "d", "name": "weights", "path": "com.apple.CoreML/weights"}
    },
    "rootModelIdentifier": "A"
}"#;

#[track_caller]
fn manifest_refused(text: &str, expected: &str) {
    let (_folder, package) = copy("perceptron");
    fs::write(package.join("Manifest.json"), text).unwrap();
    refused(&package, expected);
}

#[test]
fn a_manifest_by_hand_is_read() {
    let (_folder, package) = copy("perceptron");
    fs::write(package.join("Manifest.json"), SOUND).unwrap();
    Package::open(&package).unwrap().program().unwrap();
}

#[test]
fn manifests_that_are_none() {
    manifest_refused("", "this is no manifest");
    manifest_refused("[1, 2", "this is no manifest");
    manifest_refused(&"[".repeat(100_000), "this is no manifest");
    manifest_refused("{}", "missing field");
    manifest_refused(
        &SOUND.replace("\"rootModelIdentifier\": \"A\"", "\"x\": 1"),
        "missing field `rootModelIdentifier`",
    );
    manifest_refused(&SOUND.replace("\"author\": \"a\", ", ""), "missing field `author`");
    manifest_refused(&SOUND.replace("1.0.0", "2.0.0"), "only packages up to 1.0.0 are known here");
    manifest_refused(&SOUND.replace("1.0.0", "1.0.1"), "only packages up to 1.0.0 are known here");
    manifest_refused(&SOUND.replace("1.0.0", "1.0"), "must be three numbers");
    manifest_refused(&SOUND.replace("1.0.0", "-1.0.0"), "must be three numbers");
    manifest_refused(&SOUND.replace("1.0.0", "latest"), "must be three numbers");
    manifest_refused(
        &SOUND.replace("\"A\"\n", "\"C\"\n"),
        "rootModelIdentifier is `C`, but there is no item",
    );
    let (_folder, package) = copy("perceptron");
    fs::File::create(package.join("Manifest.json")).unwrap().set_len(1 << 33).unwrap();
    refused(&package, "8589934592 bytes");
}

#[test]
fn manifest_paths_that_lead_out() {
    let with = |path: &str| SOUND.replace("com.apple.CoreML/model.mlmodel", path);
    manifest_refused(&with("../../secret"), "leads out of the folder");
    manifest_refused(&with("com.apple.CoreML/../../../secret"), "leads out of the folder");
    manifest_refused(&with("/etc/passwd"), "absolute");
    manifest_refused(&with("..\\\\secret"), "backslash");
    manifest_refused(&with("C:\\\\secret"), "backslash");
    manifest_refused(&with(""), "which is no path");
    manifest_refused(&with("a\\u0000b"), "which is no path");
    manifest_refused(&with("com.apple.CoreML/none.mlmodel"), "cannot be found");
    manifest_refused(&SOUND.replace("CoreML/weights", "CoreML/none"), "cannot be found");
    manifest_refused(&with("com.apple.CoreML"), "no regular file");
}

#[cfg(unix)]
#[test]
fn links_that_lead_out() {
    use std::os::unix::fs::symlink;
    let (folder, package) = copy("perceptron");
    let model = package.join("Data/com.apple.CoreML/model.mlmodel");
    let outside = folder.path().join("outside");
    fs::rename(&model, &outside).unwrap();
    symlink(&outside, &model).unwrap();
    refused(&package, "is a link to");

    let (folder, package) = copy("perceptron");
    let weights = package.join("Data/com.apple.CoreML/weights/weight.bin");
    let outside = folder.path().join("outside");
    fs::rename(&weights, &outside).unwrap();
    symlink(&outside, &weights).unwrap();
    refused(&package, "is a link to");

    // A link that stays inside is a way to store a file.
    let (_folder, package) = copy("perceptron");
    let weights = package.join("Data/com.apple.CoreML/weights");
    fs::rename(weights.join("weight.bin"), weights.join("other.bin")).unwrap();
    symlink("other.bin", weights.join("weight.bin")).unwrap();
    Package::open(&package).unwrap().program().unwrap();

    let (_folder, package) = copy("perceptron");
    let model = package.join("Data/com.apple.CoreML/model.mlmodel");
    fs::remove_file(&model).unwrap();
    symlink("model.mlmodel", &model).unwrap();
    refused(&package, "cannot be found");
}

#[test]
fn missing_and_damaged_files() {
    let (_folder, package) = copy("perceptron");
    fs::remove_file(package.join("Data/com.apple.CoreML/weights/weight.bin")).unwrap();
    refused(&package, "cannot be found");
    // The description is there all the same.
    assert_eq!(Package::open(&package).unwrap().description.metadata.author, "Ada");

    let (_folder, package) = copy("perceptron");
    let weights = package.join("Data/com.apple.CoreML/weights/weight.bin");
    fs::write(&weights, b"").unwrap();
    refused(&package, "its header alone takes 64");
    let (_folder, package) = copy("perceptron");
    fs::File::options()
        .write(true)
        .open(package.join("Data/com.apple.CoreML/weights/weight.bin"))
        .unwrap()
        .set_len(200)
        .unwrap();
    refused(&package, "is outside the file, which has 200 bytes");

    let (folder, package) = copy("perceptron");
    fs::remove_file(package.join("Manifest.json")).unwrap();
    refused(&package, "this folder is no model: a .mlpackage has a Manifest.json");
    refused(&folder.path().join("none.mlpackage"), "cannot be opened");
    fs::write(folder.path().join("text.mlmodel"), "hello, this is a text").unwrap();
    refused(&folder.path().join("text.mlmodel"), "text.mlmodel");
}

#[test]
fn weight_paths_that_lead_out() {
    use common::message::*;
    let (folder, package) = copy("perceptron");
    fs::write(folder.path().join("secret"), vec![0; 1000]).unwrap();
    let model = package.join("Data/com.apple.CoreML/model.mlmodel");
    for (path, expected) in [
        ("@model_path/../../../secret", "leads out of the folder"),
        ("@model_path//etc/passwd", "absolute"),
        ("/etc/passwd", "must be named @model_path/"),
        ("weights/weight.bin", "must be named @model_path/"),
        ("@model_path/weights\\weight.bin", "backslash"),
        ("@model_path/", "no path"),
        ("@model_path/weights", "no regular file"),
        ("", "must be named @model_path/"),
    ] {
        let ty = || tensor(FP16, &[10]);
        fs::write(&model, with(&[constant("c", ty(), blob(ty(), path, 64))])).unwrap();
        refused(&package, expected);
    }
    // A bare model file has its weights beside it, and no further.
    let bare = folder.path().join("bare.mlmodel");
    let ty = || tensor(FP16, &[10]);
    fs::write(&bare, with(&[constant("c", ty(), blob(ty(), "@model_path/../w.bin", 64))])).unwrap();
    refused(&bare, "leads out of the folder");
}
