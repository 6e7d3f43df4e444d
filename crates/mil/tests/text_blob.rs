//! Weights beside the text: the layout of the file, sharing, and faults of files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use half::f16;
use mil::text::blob::DEFAULT_PATH;
use mil::text::{
    BlobError, BlobFile, BlobWriter, Dialect, canonical, parse, parse_with_weights, print_with_weights,
};
use mil::{Constant, FunctionBuilder, Opset, Program, TensorType, Verified, verify};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

fn model(opset: Opset) -> Verified {
    let mut f = FunctionBuilder::new("main", opset);
    let x = f.input("x", TensorType::fp16([1, 12])).unwrap();
    let weight: Vec<_> = (0..12).map(|i| f16::from_f32(i as f32 / 8.0)).collect();
    let weight = Constant::new([12], weight).unwrap();
    let big = f.constant(weight.clone());
    let y = f.mul(x, big).unwrap();
    let again = f.constant(weight.reshaped([1, 12]).unwrap());
    let y = f.add(y, again).unwrap();
    let small = f.constant(Constant::new([1], vec![f16::ONE]).unwrap());
    let y = f.add(y, small).unwrap();
    let ints = f.constant(Constant::new([20], (0..20).collect::<Vec<i32>>()).unwrap());
    let k = f.add(ints, ints).unwrap();
    verify(Program::single(f.finish(&[y, k]).unwrap())).unwrap()
}

fn stored(program: &Program, dialect: Dialect) -> (String, Vec<u8>) {
    let mut weights = BlobWriter::new(Cursor::new(Vec::new()), DEFAULT_PATH).unwrap();
    let text = print_with_weights(program, dialect, &mut weights).unwrap();
    (text, weights.finish().unwrap().into_inner())
}

fn source(bytes: Vec<u8>) -> BTreeMap<String, BlobFile> {
    BTreeMap::from([(DEFAULT_PATH.to_string(), BlobFile::new(Arc::new(bytes)).unwrap())])
}

#[test]
fn the_layout_is_that_of_mil_blobs() {
    let (text, bytes) = stored(&model(Opset::Ios18), Dialect::Ios18);
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!((u32_at(0), u32_at(4)), (2, 2), "two blobs, version 2");
    assert!(bytes[8..64].iter().all(|&byte| byte == 0));
    assert_eq!(bytes[64..68], [0xef, 0xbe, 0xad, 0xde]);
    assert_eq!((u32_at(68), u64_at(72), u64_at(80)), (1, 24, 128), "fp16, 24 bytes from 128 on");
    assert_eq!(bytes[128..132], [0, 0, 0, 0x30], "0 and 1/8");
    assert_eq!((u32_at(192), u32_at(196)), (0xdead_beef, 14), "the next record, int32");
    assert_eq!((u64_at(200), u64_at(208)), (80, 256));
    assert_eq!(bytes.len() % 64, 0);
    assert!(text.contains(
        "val = tensor<fp16, [12]>(BLOBFILE(path = string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))"
    ));
    assert_eq!(text.matches("offset = uint64(64)").count(), 2, "shared storage is stored once");
    assert!(text.contains("val = tensor<fp16, [1]>([0x1p+0])"), "small constants stay in the text");
}

#[test]
fn older_opsets_keep_integers_in_the_text() {
    let (text, bytes) = stored(&model(Opset::Ios16), Dialect::Ios16);
    assert_eq!(bytes[0], 1);
    assert!(text.contains(
        "BLOBFILE(path = tensor<string, []>(\"@model_path/weights/weight.bin\"), offset = tensor<uint64, []>(64))"
    ));
    assert!(text.contains("val = tensor<int32, [20]>([0, 1, 2,"));
}

#[test]
fn weights_come_back_without_copies() {
    for dialect in Dialect::ALL {
        let program = model(Opset::Ios18);
        let (text, bytes) = stored(&program, dialect);
        // A mapped file begins at a page; a vector of bytes begins where it likes.
        let mut aligned = vec![0u64; bytes.len() / 8];
        bytemuck::cast_slice_mut(&mut aligned).copy_from_slice(&bytes);
        let file = Arc::new(Aligned(aligned));
        let range = file.as_ref().as_ref().as_ptr_range();
        let weights = BTreeMap::from([(DEFAULT_PATH.to_string(), BlobFile::new(file.clone()).unwrap())]);
        let parsed = parse_with_weights(&text, &weights).unwrap();
        assert_eq!(parsed, canonical(&program));
        let function = &parsed.functions[0];
        let weight = function.constant(function.body.ops[0].args[1].values()[0]).unwrap();
        assert!(range.contains(&weight.bytes().as_ptr()));
        assert_eq!(stored(&parsed, dialect), (text, bytes));
    }
}

struct Aligned(Vec<u64>);

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

#[test]
fn faults_of_files_are_told() {
    let (text, bytes) = stored(&model(Opset::Ios18), Dialect::Ios18);
    assert!(parse(&text).unwrap_err().message.contains("but no weights were given"));
    let nothing: BTreeMap<String, BlobFile> = BTreeMap::new();
    let error = parse_with_weights(&text, &nothing).unwrap_err();
    assert!(
        error.message.contains("there is no weight file `@model_path/weights/weight.bin` here"),
        "{error}"
    );
    let damage = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        parse_with_weights(&text, &source(bytes)).unwrap_err().message
    };
    assert!(damage(64, 0).contains("does not begin with DEADBEEF"));
    assert!(damage(68, 2).contains("holds element type 2, but fp16 is 1"));
    assert!(damage(72, 25).contains("holds 25 bytes, but tensor<fp16, [12]> has 24"));
    assert!(damage(87, 0xff).contains("but the file has"));
    for offset in ["0", "1000000", "18446744073709551615"] {
        let moved = text.replace("uint64(64)", &format!("uint64({offset})"));
        assert!(parse_with_weights(&moved, &source(bytes.clone())).is_err(), "{offset}");
    }
    for length in 0..bytes.len() {
        match BlobFile::new(Arc::new(bytes[..length].to_vec())) {
            Ok(file) => {
                let weights = BTreeMap::from([(DEFAULT_PATH.to_string(), file)]);
                // Only zeros behind the last blob may be missing.
                assert_eq!(parse_with_weights(&text, &weights).is_ok(), length >= 256 + 80);
            }
            Err(error) => assert!(length < 64 && matches!(error, BlobError::Header(_))),
        }
    }
    let mut old = bytes.clone();
    old[4] = 1;
    assert!(BlobFile::new(Arc::new(old)).unwrap_err().to_string().contains("its version is 1"));
}

#[test]
fn not_everything_can_be_stored() {
    let mut writer = BlobWriter::new(Cursor::new(Vec::new()), "w.bin").unwrap();
    let error = writer.write(&Constant::bool(true)).unwrap_err();
    assert_eq!(error.to_string(), "a weight file cannot hold elements of type bool");
}
