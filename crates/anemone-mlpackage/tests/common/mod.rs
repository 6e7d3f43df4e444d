//! The golden packages, made by coremltools (`tools/packages/build.py`).

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by tests that use parts of it; a test fails by panicking"
)]

pub(crate) mod message;

use anemone_mlpackage::Package;
use mil::{Program, Verified, verify};
use std::path::{Path, PathBuf};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/packages")
}

pub(crate) fn path(name: &str) -> PathBuf {
    folder().join(format!("{name}.mlpackage"))
}

pub(crate) fn open(name: &str) -> Package {
    Package::open(path(name)).unwrap_or_else(|error| panic!("{error}"))
}

/// Names of all packages, in order.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mlpackage"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_string())
        .collect();
    names.sort();
    names
}

pub(crate) fn verified(program: Program) -> Verified {
    verify(program).unwrap_or_else(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        panic!("{}", faults.join("\n"))
    })
}

/// Every file of a folder with its content, by relative path.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fn walk(root: &Path, folder: &Path, to: &mut Vec<(PathBuf, Vec<u8>)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, to);
            } else {
                to.push((path.strip_prefix(root).unwrap().into(), std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}
