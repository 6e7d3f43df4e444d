//! Packages that coremltools made are read, and what is written of them is the same again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use anemone_mlpackage::{Package, WriteOptions};
use common::{files, names, open, verified};
use mil::text::canonical;

#[test]
fn every_package_is_read_and_verifies() {
    let mut faults = Vec::new();
    for name in names() {
        match open(&name).program() {
            Err(error) => faults.push(format!("{name}: {error}")),
            Ok(program) => {
                if let Err(found) = mil::verify(program) {
                    faults.extend(found.iter().map(|fault| format!("{name}: {fault}")));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_written_is_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    for name in names() {
        let package = open(&name);
        let once = folder.path().join(format!("{name}-1.mlpackage"));
        package.write(&once, WriteOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = Package::open(&once).unwrap();
        assert_eq!(again.description, package.description, "{name}");
        assert_eq!(again.specification_version(), package.specification_version(), "{name}");
        let (before, after) = (package.program().unwrap(), again.program().unwrap());
        assert_eq!(canonical(&verified(after)), canonical(&verified(before)), "{name}");
        // And written once more it is the same to the byte, weights included.
        let twice = folder.path().join(format!("{name}-2.mlpackage"));
        again.write(&twice, WriteOptions::default()).unwrap();
        assert_eq!(files(&once), files(&twice), "{name}");
    }
}
