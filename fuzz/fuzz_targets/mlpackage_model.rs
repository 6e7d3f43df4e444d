//! Any bytes as a model file: reading, checking and writing it never panics, and what is a model is the same model when it
//! is written and read again.
//!
//! `cargo +nightly fuzz run mlpackage_model fuzz/corpus/mlpackage_model -- -rss_limit_mb=2048`, after `fuzz/seed.sh`.

#![no_main]

use anemone_mlpackage::Package;
use libfuzzer_sys::fuzz_target;
use mil::text::blob::DEFAULT_PATH;
use mil::text::{BlobFile, BlobWriter, canonical};
use mil::{Constant, verify};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, LazyLock};

/// Weights of the sizes that the seeds ask for, so that some references hold.
static WEIGHTS: LazyLock<BTreeMap<String, BlobFile>> = LazyLock::new(|| {
    let mut writer = BlobWriter::new(Cursor::new(Vec::new()), DEFAULT_PATH).expect("a vector takes everything");
    for count in [12usize, 32, 64] {
        let constant = Constant::new([count], vec![half::f16::ONE; count]).expect("as many as the shape says");
        writer.write(&constant).expect("a vector takes everything");
    }
    weights(writer.finish().expect("a vector takes everything").into_inner())
});

fn weights(bytes: Vec<u8>) -> BTreeMap<String, BlobFile> {
    let file = BlobFile::new(Arc::new(bytes)).expect("written by the writer");
    BTreeMap::from([(DEFAULT_PATH.to_string(), file)])
}

fuzz_target!(|bytes: &[u8]| {
    let package = match Package::from_bytes(bytes.to_vec(), WEIGHTS.clone()) {
        Ok(package) => package,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let Ok(program) = package.program() else { return };
    let Ok(program) = verify(program) else { return };
    let Ok((model, blobs)) = package.to_bytes() else { return };
    let blobs = if blobs.is_empty() { BTreeMap::new() } else { weights(blobs) };
    let again = Package::from_bytes(model.clone(), blobs).expect("what is written is read");
    assert_eq!(again.description, package.description);
    let read = verify(again.program().expect("what is written is read")).expect("and verifies");
    assert_eq!(canonical(&read), canonical(&program));
    assert_eq!(again.to_bytes().expect("and is written again").0, model);
});
