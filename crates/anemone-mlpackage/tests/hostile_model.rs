//! Damaged and hostile model files: each is answered by one sentence, and nothing panics.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use anemone_mlpackage::{Error, Package};
use common::message::*;
use common::{names, path};
use mil::text::{BlobFile, BlobWriter};
use mil::{Constant, MAX_DEPTH};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

const WEIGHTS: &str = "@model_path/weights/weight.bin";

/// Opens a model and reads its program.
fn read(model: Vec<u8>) -> Result<mil::Program, Error> {
    Package::from_bytes(model, BTreeMap::new())?.program()
}

#[track_caller]
fn refused(model: Vec<u8>, expected: &str) {
    match read(model) {
        Ok(_) => panic!("it was read, but must be refused: {expected}"),
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains(expected), "expected `{expected}` in: {error}");
            assert!(error.len() < 1000, "too long for a sentence: {error}");
        }
    }
}

#[test]
fn the_models_put_together_here_are_sound() {
    let program = read(with(&[])).unwrap();
    mil::verify(program).unwrap();
    let ints = value(tensor(INT32, &[3]), 2, message().bytes(1, [1, 2, 3]));
    let program = read(with(&[constant("c", tensor(INT32, &[3]), ints)])).unwrap();
    assert_eq!(program.functions[0].values.len(), 3);
}

#[test]
fn files_that_are_no_models() {
    refused(Vec::new(), "this is no model");
    for other in [&b"#!/bin/sh\necho no\n"[..], b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", &[0xff; 64], &[0; 64]] {
        refused(other.to_vec(), "this is no Core ML model");
    }
    // What begins like one is told where it goes wrong.
    let begun = |rest: &[u8]| [&[0x08, 7], rest].concat();
    refused(begun(b"#!/bin/sh\necho no\n"), "this is not a protobuf message");
    refused(begun(&[0xff; 64]), "64 bits");
    refused(begun(&[0; 64]), "no field number");
    refused(message().int(1, 7).0, "this is no model");
    let described = |version| message().int(1, version).bytes(2, []).bytes(502, []).0;
    refused(described(0), "its specification version is not given");
    refused(message().int(1, 7).nest(502, program(function(message()))).0, "its description is missing");
    refused(message().nest(2, description()).nest(502, message()).0, "specification version is not given");
    refused(message().int(1, 7).nest(2, description()).int(502, 1).0, "must hold a string or a message");
    refused(message().int(1, 1 << 40).nest(2, description()).nest(502, message()).0, "is no int32");
    refused(message().int(1, 7).nest(2, description()).nest(502, message()).nest(502, message()).0, "twice");
    refused(message().int(1, 7).int(10, 1).nest(2, description()).nest(502, message()).0, "updatable");
}

#[test]
fn lengths_that_lie() {
    refused(message().claims(2, 1 << 60, b"abc").0, "tells of 1152921504606846976 bytes, but 3 are left");
    refused(message().claims(502, u64::MAX, &[]).0, "but 0 are left");
    let operation = message().claims(1, 99, b"relu");
    refused(of_block(block(&[operation], &[])), "tells of 99 bytes, but 4 are left");
    let floats = value(tensor(FP32, &[2]), 1, message().claims(1, 1 << 40, &[0; 8]));
    refused(with(&[constant("c", tensor(FP32, &[2]), floats)]), "but 8 are left");
}

#[test]
fn types_that_claim_too_much() {
    let huge = || tensor(FP32, &[1 << 20, 1 << 20]);
    let one = value(huge(), 1, message().bytes(1, 1f32.to_le_bytes()));
    refused(with(&[constant("c", huge(), one)]), "needs 1099511627776 elements, but 1 were given");
    let overflow = || tensor(FP32, &[1 << 40, 1 << 40]);
    let one = value(overflow(), 1, message().bytes(1, [0; 4]));
    refused(with(&[constant("c", overflow(), one)]), "more elements than memory can hold");
    let half = value(tensor(FP16, &[1 << 40]), 7, message().bytes(1, [0; 4]));
    refused(
        with(&[constant("c", tensor(FP16, &[1 << 40]), half)]),
        "takes 2199023255552 bytes, but there are 4",
    );
    refused(with(&[constant("c", tensor(FP16, &[u64::MAX]), text("c"))]), "more than memory can hold");
    let wide = tensor(FP32, &[1; 65]);
    refused(with(&[constant("c", wide, text("c"))]), "more than 64 dimensions");
    let rank = message().nest(1, message().int(1, FP32).int(2, 3));
    refused(with(&[constant("c", rank, text("c"))]), "the rank is 3, but there are 0 dimensions");
    let strings = value(tensor(STRING, &[1 << 40]), 4, message().bytes(1, "a"));
    refused(with(&[constant("c", tensor(STRING, &[1 << 40]), strings)]), "1099511627776 elements");
    let variadic = message().nest(2, message().int(1, 1));
    let any = message().nest(1, message().int(1, FP32).int(2, 1).nest(3, variadic));
    refused(with(&[constant("c", any, text("c"))]), "any number of dimensions");
}

#[test]
fn values_of_another_type() {
    let constant = |ty: Message, value: Message| with(&[constant("c", ty, value)]);
    let floats = || message().bytes(1, [0; 8]);
    refused(
        constant(tensor(INT32, &[2]), value(tensor(INT32, &[2]), 1, floats())),
        "stand in `ints`, but `floats`",
    );
    refused(
        constant(tensor(FP32, &[2]), value(tensor(INT32, &[2]), 2, message().bytes(1, [1, 2]))),
        "is declared tensor<fp32, [2]>",
    );
    refused(
        constant(tensor(FP32, &[3]), value(tensor(FP32, &[3]), 1, floats())),
        "needs 3 elements, but 2 were given",
    );
    refused(
        constant(tensor(FP32, &[2]), value(tensor(FP32, &[2]), 1, message().bytes(1, [0; 7]))),
        "no whole number of floats",
    );
    refused(
        constant(tensor(BOOL, &[1]), value(tensor(BOOL, &[1]), 3, message().bytes(1, [7]))),
        "must be 0 or 1, but is 7",
    );
    let large = message().int(1, 70_000);
    refused(
        constant(tensor(22, &[1]), value(tensor(22, &[1]), 2, large)),
        "element 70000 does not fit int16",
    );
    refused(
        constant(tensor(STRING, &[]), value(tensor(STRING, &[]), 4, message().bytes(1, [0xff]))),
        "not UTF-8",
    );
    refused(
        constant(tensor(12, &[]), value(tensor(12, &[]), 6, message().bytes(1, [0; 8]))),
        "element type 12 (fp64) is not supported",
    );
    refused(constant(tensor(99, &[]), text("c")), "element type 99");
    refused(constant(tensor(FP32, &[]), message().nest(2, tensor(FP32, &[]))), "the value is not given");
    refused(constant(tensor(FP32, &[]), message().nest(3, message())), "the value has no type");
    let both = blob(tensor(FP32, &[]), WEIGHTS, 64).nest(3, message());
    refused(constant(tensor(FP32, &[]), both), "stands both here and in a weight file");
    refused(constant(tensor(FP32, &[]), text("c").bytes(1, "a doc")), "docString");
    let packed = || tensor(25, &[3]);
    refused(
        constant(packed(), value(packed(), 7, message().bytes(1, [0; 3]))),
        "takes 2 bytes, but there are 3",
    );
}

#[test]
fn values_inside_values() {
    // A list in a list in a list …: types and values alike may not nest.
    let mut ty = tensor(STRING, &[]);
    let mut nested = text("deep");
    for _ in 0..20_000 {
        ty = message().nest(2, message().nest(1, ty).nest(2, message().nest(1, message().int(1, 1))));
        nested = message().nest(2, message()).nest(3, message().nest(3, message().nest(1, nested)));
        if nested.0.len() > 1 << 17 || ty.0.len() > 1 << 17 {
            break;
        }
    }
    refused(with(&[constant("c", ty, text("c"))]), "must be a tensor here");
    let list = message()
        .nest(2, message().nest(1, tensor(STRING, &[])).nest(2, message().nest(1, message().int(1, 1))));
    let labels = message().nest(2, list.clone()).nest(3, message().nest(3, message().nest(1, nested)));
    let classify = message()
        .bytes(1, "classify")
        .entry(2, "classes", message().nest(1, message().nest(2, labels)))
        .nest(3, named("label", tensor(STRING, &[])));
    refused(with(&[classify]), "the type is not given");
    let dictionary = message().nest(4, message().nest(1, tensor(STRING, &[])).nest(2, tensor(FP32, &[])));
    refused(with(&[constant("c", dictionary, text("c"))]), "must be fp64 scalars");
    refused(with(&[constant("c", message().nest(3, message()), text("c"))]), "is a tuple");
}

#[test]
fn blocks_inside_blocks() {
    let cond = |inner: Message| {
        message().bytes(1, "cond").entry(2, "pred", name("x")).nest(4, inner.clone()).nest(4, inner)
    };
    let mut deep = block(&[], &[]);
    for _ in 0..MAX_DEPTH + 2 {
        deep = block(&[message().bytes(1, "cond").nest(4, deep)], &[]);
    }
    refused(of_block(deep), "blocks are nested more than");
    // So deep that recursion without a limit would end the process.
    let mut nested = message();
    for _ in 0..5_000 {
        nested = message().nest(3, message().bytes(1, "cond").nest(4, nested));
    }
    refused(of_block(nested), "blocks are nested more than");
    refused(of_block(block(&[cond(block(&[], &["z"]))], &["y"])), "`z` is used, but not defined before");
    let three = cond(block(&[], &[])).nest(4, block(&[], &[]));
    refused(of_block(block(&[three], &["y"])), "`cond` has 2 blocks, but more are given");
    let none = relu("x", "y").nest(4, block(&[], &[]));
    refused(of_block(block(&[none], &["y"])), "`relu` has 0 blocks, but more are given");
    // What a block defines is not seen outside.
    let inner = block(&[relu("x", "inner")], &["inner"]);
    refused(
        of_block(block(&[cond(inner), relu("inner", "y")], &["y"])),
        "`inner` is used, but not defined before",
    );
    let with_inputs = message().nest(1, named("b", tensor(FP32, &[])));
    refused(of_block(with_inputs), "its block has inputs of its own");
}

#[test]
fn names_that_do_not_resolve() {
    refused(of_block(block(&[relu("y", "y")], &["y"])), "`y` is used, but not defined before");
    refused(
        of_block(block(&[relu("a", "b"), relu("b", "a")], &["a"])),
        "`a` is used, but not defined before",
    );
    refused(of_block(block(&[relu("x", "y"), relu("x", "y")], &["y"])), "`y` is defined already");
    refused(of_block(block(&[relu("x", "x")], &["x"])), "`x` is defined already");
    refused(of_block(block(&[relu("x", "y")], &["z"])), "`z` is used, but not defined before");
    refused(of_block(block(&[relu("x", "")], &[])), "the value has no name");
    refused(of_block(block(&[relu(&"long".repeat(10_000), "y")], &["y"])), "longlong");
    let ints = || value(tensor(INT32, &[]), 2, message().int(1, 1));
    let twice = [constant("c", tensor(INT32, &[]), ints()), constant("c", tensor(INT32, &[]), ints())];
    refused(with(&twice), "`c` is defined already");
}

#[test]
fn operations_that_are_none() {
    let operation = |operation: Message| of_block(block(&[operation], &[]));
    refused(operation(message()), "the operation has no type");
    refused(operation(message().bytes(1, "reLU")), "there is no op `reLU`");
    refused(operation(message().bytes(1, "relu").bytes(1, "relu")), "field 1 is given twice");
    refused(operation(message().bytes(1, "relu")), "required parameter `x` is missing");
    refused(operation(message().bytes(1, "relu").entry(2, "x", name("x"))), "the operation has no outputs");
    refused(operation(message().bytes(1, "relu").entry(2, "z", name("x"))), "op `relu` has no parameter `z`");
    refused(
        operation(message().bytes(1, "relu").entry(2, "x", name("x")).entry(2, "x", name("x"))),
        "`x` is given twice",
    );
    refused(operation(message().bytes(1, "relu").entry(2, "x", message())), "no value is given");
    let two = name("x").then(name("x"));
    refused(operation(message().bytes(1, "relu").entry(2, "x", two)), "several values are given");
    refused(operation(message().bytes(1, "relu").entry(5, "axis", text("x"))), "has no parameter `axis`");
    refused(operation(message().bytes(1, "relu").entry(5, "name", message())), "the value has no type");
    refused(
        operation(message().bytes(1, "const").nest(3, named("c", tensor(FP32, &[])))),
        "the const has no value",
    );
    refused(operation(message().bytes(1, "const").entry(5, "val", text("c"))), "the const has no output");
    refused(operation(message().bytes(1, "const").entry(2, "x", name("x"))), "a const has no inputs");
    refused(
        operation(constant("c", tensor(STRING, &[]), text("c")).entry(5, "more", text("c"))),
        "no attribute `more`",
    );
    refused(
        operation(message().bytes(1, "write_state").entry(2, "data", name("x"))),
        "needs `input` and `data`",
    );
    refused(
        operation(message().bytes(1, "write_state").entry(2, "state", name("x"))),
        "has no parameter `state`",
    );
    let error = read(operation(message().bytes(1, "conv").entry(2, "x", name("q")))).unwrap_err().to_string();
    assert!(error.contains("function `main` / operation 0 (conv) / `x`: `q` is used"), "{error}");
}

#[test]
fn functions_and_programs_that_are_none() {
    let of = |function: Message| model(description(), program(function));
    let body = || block(&[relu("x", "y")], &["y"]);
    refused(of(message()), "its opset is not given");
    refused(of(message().bytes(2, "CoreML6")), "it has no block");
    refused(
        of(message().bytes(2, "CoreML99").entry(3, "CoreML99", body())),
        "opset `CoreML99` is not known here; known are CoreML5",
    );
    refused(of(message().bytes(2, "CoreML6").entry(3, "CoreML7", body())), "its block is for CoreML7");
    refused(of(function(body()).entry(3, "CoreML7", body())), "blocks for several opsets");
    refused(of(function(body()).entry(4, "tuned", text("x"))), "attribute `tuned`, which is not known");
    refused(of_block(body().entry(4, "hint", text("x"))), "the block has the attribute `hint`");
    let of = |program: Message| model(description(), program);
    refused(of(message().entry(2, "main", function(body()))), "the program's version is 0");
    refused(of(program(function(body())).entry(2, "main", function(body()))), "two functions named `main`");
    refused(
        of(program(function(body())).entry(4, "extra", text("x"))),
        "attribute `extra`, but only buildInfo is known",
    );
    refused(
        of(program(function(body())).entry(4, "buildInfo", text("x"))),
        "must be a dictionary of strings",
    );
    refused(of(program(function(body())).bytes(3, "doc")), "docString");
}

#[test]
fn descriptions_that_are_none() {
    let of = |description: Message| model(description, program(function(block(&[relu("x", "y")], &["y"]))));
    let typed = |ty: Message| of(message().nest(1, message().bytes(1, "x").nest(3, ty)));
    let array = |array: Message| typed(message().nest(5, array));
    refused(of(description().nest(1, message())), "the feature has no name");
    refused(of(description().nest(1, message().bytes(1, "z"))), "the feature has no type");
    refused(of(description().nest(1, feature("x"))), "two inputs are described under the name `x`");
    refused(of(description().nest(50, feature("x"))), "training inputs");
    refused(of(description().nest(20, message().bytes(1, "f"))), "both by function and outside");
    refused(of(message().nest(20, message())), "the function has no name");
    refused(
        of(message().nest(20, message().bytes(1, "f")).nest(20, message().bytes(1, "f"))),
        "two functions are described",
    );
    refused(
        of(message().nest(20, message().bytes(1, "f")).bytes(21, "g")),
        "the default function `g` is not described",
    );
    refused(typed(message()), "the feature's type is not given");
    refused(typed(message().nest(1, message()).nest(2, message())), "field 2 is given twice");
    refused(array(message().int(2, 5)), "5 is no element type of arrays; known are 65552 (Float16)");
    refused(array(message().bytes(1, [1, 2])), "element type is not given");
    refused(array(message().int(1, -1).int(2, 65_568)), "a dimension is -1");
    refused(array(message().bytes(1, [1; 65]).int(2, 65_568)), "more than 64 dimensions");
    refused(array(message().int(2, 65_568).nest(21, message().nest(1, message()))), "has no dimensions");
    let range = |range: Message| array(message().int(2, 65_568).nest(31, message().nest(1, range)));
    refused(range(message().int(2, -2)), "the upper bound is -2");
    refused(typed(message().nest(4, message())), "the image's color space is not given");
    refused(typed(message().nest(4, message().int(3, 11))), "11 is no color space");
    refused(typed(message().nest(4, message().int(1, -5).int(3, 20))), "-5 pixels");
    refused(typed(message().nest(6, message())), "key type is not given");
    refused(typed(message().nest(7, message())), "element type is not given");
    refused(typed(message().nest(8, message())), "what the state holds is not given");
    refused(
        of(description().nest(100, message().nest(100, message()).nest(100, message()))),
        "is given twice",
    );
}

#[test]
fn other_kinds_of_models_are_declined_in_a_sentence() {
    let of = |number: u64| message().int(1, 4).nest(2, description()).nest(number, message()).0;
    for (number, kind, hint) in [
        (500, "neuralNetwork", "deployment target of iOS 15"),
        (403, "neuralNetworkClassifier", "deployment target of iOS 15"),
        (303, "neuralNetworkRegressor", "deployment target of iOS 15"),
        (202, "pipeline", "pipeline of several models"),
        (200, "pipelineClassifier", "pipeline of several models"),
        (402, "treeEnsembleClassifier", "only ML Programs are"),
        (900, "identity", "only ML Programs are"),
        (2002, "visionFeaturePrint", "only ML Programs are"),
        (3000, "serializedModel", "only ML Programs are"),
    ] {
        match read(of(number)) {
            Err(Error::Kind { kind: found, message, .. }) => {
                assert_eq!(found, kind);
                assert!(message.contains(hint) && message.contains(kind), "{message}");
            }
            other => panic!("{kind}: {other:?}"),
        }
    }
    // What stands in the description of such a model does not matter.
    let strange = message().int(1, 4).nest(2, message().int(77, 1)).nest(500, message().int(9, 9)).0;
    assert!(matches!(read(strange), Err(Error::Kind { .. })));
}

fn weights(bytes: Vec<u8>) -> BTreeMap<String, BlobFile> {
    BTreeMap::from([(WEIGHTS.to_string(), BlobFile::new(Arc::new(bytes)).unwrap())])
}

/// A weight file with one `fp16` blob of ten elements, at offset 64.
fn one_blob() -> Vec<u8> {
    let mut writer = BlobWriter::new(Cursor::new(Vec::new()), WEIGHTS).unwrap();
    writer.write(&Constant::new([10], vec![half::f16::ONE; 10]).unwrap()).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn weight_files_that_lie() {
    let ask = |dtype: i64, dims: &[u64], path: &str, offset: u64, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = one_blob();
        change(&mut bytes);
        let model = with(&[constant("c", tensor(dtype, dims), blob(tensor(dtype, dims), path, offset))]);
        Package::from_bytes(model, weights(bytes)).unwrap().program()
    };
    let sound = |_: &mut Vec<u8>| ();
    ask(FP16, &[10], WEIGHTS, 64, &sound).unwrap();
    let refused = |result: Result<mil::Program, Error>, expected: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "expected `{expected}` in: {error}");
    };
    refused(ask(FP16, &[10], WEIGHTS, 0, &sound), "does not begin with DEADBEEF");
    refused(ask(FP16, &[10], WEIGHTS, 128, &sound), "DEADBEEF");
    refused(ask(FP16, &[10], WEIGHTS, 1 << 40, &sound), "is outside the file");
    refused(ask(FP16, &[10], WEIGHTS, u64::MAX, &sound), "is outside the file");
    refused(ask(FP32, &[10], WEIGHTS, 64, &sound), "holds element type 1, but fp32 is 2");
    refused(ask(FP16, &[11], WEIGHTS, 64, &sound), "holds 20 bytes, but");
    refused(ask(FP16, &[1 << 40], WEIGHTS, 64, &sound), "holds 20 bytes, but");
    refused(ask(FP16, &[1 << 40, 1 << 40], WEIGHTS, 64, &sound), "holds 20 bytes, but");
    refused(ask(STRING, &[10], WEIGHTS, 64, &sound), "cannot hold elements of type string");
    refused(ask(FP16, &[10], "@model_path/weights/other.bin", 64, &sound), "there is no weight file");
    let put = |at: usize, value: u64| {
        move |bytes: &mut Vec<u8>| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes())
    };
    refused(ask(FP16, &[10], WEIGHTS, 64, &put(80, 1 << 50)), "but the file has");
    refused(ask(FP16, &[10], WEIGHTS, 64, &put(80, u64::MAX - 63)), "but the file has");
    refused(ask(FP16, &[10], WEIGHTS, 64, &put(80, 130)), "multiples of 64");
    refused(ask(FP16, &[10], WEIGHTS, 64, &put(72, 1 << 50)), "holds 1125899906842624 bytes");
    refused(ask(FP16, &[10], WEIGHTS, 64, &|bytes| bytes.truncate(140)), "but the file has 140 bytes");
    refused(ask(FP16, &[10], WEIGHTS, 64, &|bytes| bytes.truncate(100)), "is outside the file");
    assert!(BlobFile::new(Arc::new(vec![0; 10])).is_err());
    assert!(BlobFile::new(Arc::new(vec![1; 100])).unwrap_err().to_string().contains("only version 2"));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = std::fs::read(path("stateful").join("Data/com.apple.CoreML/model.mlmodel")).unwrap();
    for len in 0..bytes.len() {
        // The last field is the program: a file that ends before it is complete is no model.
        assert!(Package::from_bytes(bytes[..len].to_vec(), BTreeMap::new()).is_err(), "{len} bytes");
    }
}

#[test]
fn no_damaged_byte_panics() {
    for name in names()
        .iter()
        .filter(|name| ["loop", "stateful", "classifier", "enumerated"].contains(&name.as_str()))
    {
        let folder = path(name).join("Data/com.apple.CoreML");
        let bytes = std::fs::read(folder.join("model.mlmodel")).unwrap();
        let blobs = match std::fs::read(folder.join("weights/weight.bin")) {
            Ok(bytes) => weights(bytes),
            Err(_) => BTreeMap::new(),
        };
        for at in 0..bytes.len() {
            for flip in [0x01, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                let Ok(package) = Package::from_bytes(damaged, blobs.clone()) else { continue };
                if let Ok(program) = package.program() {
                    // Whatever was read must be fit to be checked.
                    let _ = mil::verify(program);
                }
            }
        }
    }
}
