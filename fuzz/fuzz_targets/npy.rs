//! Any bytes as a `.npy`, and as a `.npz`, read as a tensor of any type: no panic, and no tensor that is not of the type asked for
//! or larger than what was read.
//!
//! `cargo +nightly fuzz run --features arrays npy fuzz/corpus/npy -- -rss_limit_mb=2048`, after `fuzz/seed.sh`.

#![no_main]

use anemone::arrays::{ArrayError, Npz, read_npy};
use anemone::runtime::Tensor;
use libfuzzer_sys::fuzz_target;
use mil::{DataType, TensorType, UNKNOWN};
use std::io::Cursor;

/// Element types that a tensor can have.
const DTYPES: [DataType; 8] = [
    DataType::Fp16,
    DataType::Fp32,
    DataType::Int8,
    DataType::Uint8,
    DataType::Int16,
    DataType::Uint16,
    DataType::Int32,
    DataType::Bool,
];

fuzz_target!(|bytes: &[u8]| {
    // The last two bytes choose what is wanted: NumPy's magic must stand first.
    let [array @ .., dtype, rank] = bytes else { return };
    let dtype = DTYPES[usize::from(*dtype) % DTYPES.len()];
    let wanted = TensorType::new(dtype, vec![UNKNOWN; usize::from(*rank % 6)]);
    check(read_npy(array, "input", &wanted), &wanted, array.len());
    let Ok(mut npz) = Npz::new(Cursor::new(array), "input") else { return };
    for name in npz.names() {
        match npz.array(&name) {
            // A small file may unpack to a large array; libFuzzer's memory limit judges that.
            Ok(array) => check(array.read(&wanted), &wanted, usize::MAX / 8),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});

fn check(read: Result<Tensor, ArrayError>, wanted: &TensorType, size: usize) {
    match read {
        Ok(tensor) => {
            assert_eq!(tensor.dtype(), wanted.dtype);
            assert!(wanted.shape.accepts(tensor.shape()));
            // The widest tensor element is four bytes, the narrowest array element one.
            assert!(tensor.bytes().len() <= 4 * size);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
