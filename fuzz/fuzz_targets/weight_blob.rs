//! Any bytes as a weight file, asked for constants of any type anywhere: no panic, no constant that is not of its type, and
//! nothing copied that is larger than the file.
//!
//! `cargo +nightly fuzz run weight_blob fuzz/corpus/weight_blob -- -rss_limit_mb=2048`, after `fuzz/seed.sh`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mil::text::BlobFile;
use mil::{DataType, TensorType};
use std::sync::Arc;

fuzz_target!(|input: (u64, u8, Vec<u16>, Vec<u8>)| {
    let (offset, dtype, dims, bytes) = input;
    let size = bytes.len();
    let Ok(file) = BlobFile::new(Arc::new(bytes)) else { return };
    let dtype = DataType::ALL[usize::from(dtype) % DataType::ALL.len()];
    let shape: Vec<usize> = dims.iter().map(|&dim| usize::from(dim)).collect();
    let ty = TensorType::new(dtype, shape);
    // Where records can stand, and where they cannot.
    let records = (0..size as u64).step_by(64).take(64);
    for offset in records.chain([offset]) {
        match file.load(offset, &ty) {
            Ok(constant) => {
                assert_eq!(constant.ty(), &ty);
                assert_eq!(constant.bytes().len(), ty.bytes());
                assert!(constant.bytes().len() <= size);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
