//! Files that are small but ask for much: what they cost is bounded by what they are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use anemone_mlpackage::Package;
use common::message::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what is allocated, and the most that ever was.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe by its interface")]
// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// `count` copies of a field.
fn many(number: u64, field: Message, count: usize) -> Message {
    Message(message().nest(number, field).0.repeat(count))
}

/// The most bytes that were in use beyond those before, while the model was opened and read to its error.
fn cost(what: &str, model: Vec<u8>) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let error = Package::from_bytes(model, BTreeMap::new()).and_then(|package| package.program());
    assert!(error.is_err(), "{what}: {error:?}");
    MOST.load(Ordering::Relaxed) - before
}

/// One test: the counters are everybody's.
#[test]
fn memory_grows_with_what_a_file_says_and_not_with_what_it_claims() {
    messages_that_say_nothing();
    weights_that_nobody_reads();
}

/// A package with ten gigabytes of weights: opening it and reading its program takes a few kilobytes.
fn weights_that_nobody_reads() {
    const COUNT: u64 = 5 << 30;
    let folder = tempfile::tempdir().unwrap();
    let ty = || tensor(FP16, &[COUNT]);
    let model = with(&[constant("c", ty(), blob(ty(), "@model_path/weights/weight.bin", 64))]);
    std::fs::write(folder.path().join("model.mlmodel"), model).unwrap();
    std::fs::create_dir(folder.path().join("weights")).unwrap();
    let mut file = std::fs::File::create(folder.path().join("weights/weight.bin")).unwrap();
    let mut head = vec![0u8; 128];
    head[4] = 2;
    head[64..72].copy_from_slice(&[0xef, 0xbe, 0xad, 0xde, 1, 0, 0, 0]);
    head[72..80].copy_from_slice(&(2 * COUNT).to_le_bytes());
    head[80..88].copy_from_slice(&128u64.to_le_bytes());
    file.write_all(&head).unwrap();
    // A hole: it takes no room on the disk.
    file.set_len(128 + 2 * COUNT).unwrap();
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let program = Package::open(folder.path().join("model.mlmodel")).unwrap().program().unwrap();
    let cost = MOST.load(Ordering::Relaxed) - before;
    assert!(cost < 64 << 10, "{cost} bytes");
    let constant = program.functions[0].values.iter().find_map(|value| match &value.def {
        mil::Def::Const(constant) => Some(constant),
        _ => None,
    });
    assert_eq!(constant.unwrap().bytes().len() as u64, 2 * COUNT);
}

fn messages_that_say_nothing() {
    const COUNT: usize = 1 << 20;
    let operation = |operation: Message| of_block(block(&[operation], &["y"]));
    let empty = message;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("operations", of_block(many(3, empty(), COUNT))),
        ("operations of a type", of_block(many(3, message().bytes(1, "relu"), COUNT))),
        ("outputs of a block", of_block(many(2, empty(), COUNT))),
        ("inputs of a block", of_block(many(1, empty(), COUNT))),
        ("arguments", operation(message().bytes(1, "relu").then(many(2, empty(), COUNT)))),
        ("attributes", operation(message().bytes(1, "relu").then(many(5, empty(), COUNT)))),
        ("outputs", operation(message().bytes(1, "relu").then(many(3, empty(), COUNT)))),
        ("blocks", operation(message().bytes(1, "cond").then(many(4, empty(), COUNT)))),
        ("bindings", operation(message().bytes(1, "concat").entry(2, "values", many(1, empty(), COUNT)))),
        ("functions", model(description(), many(2, empty(), COUNT))),
        ("inputs of a function", model(description(), program(many(1, empty(), COUNT)))),
        ("attributes of a program", model(description(), many(4, empty(), COUNT))),
        ("features", model(many(1, empty(), COUNT), message())),
        ("described functions", model(many(20, empty(), COUNT), message())),
        ("metadata", model(message().nest(100, many(100, empty(), COUNT)), message())),
        ("dimensions", with(&[constant("c", message().nest(1, many(3, empty(), COUNT)), text("c"))])),
        (
            "strings",
            with(&[constant(
                "c",
                tensor(STRING, &[]),
                value(tensor(STRING, &[]), 4, many(1, empty(), COUNT)),
            )]),
        ),
        (
            "buildInfo",
            model(
                description(),
                message().entry(
                    4,
                    "buildInfo",
                    message().nest(3, message().nest(4, many(1, empty(), COUNT))),
                ),
            ),
        ),
        ("kinds", Message(message().nest(500, empty()).0.repeat(COUNT)).0),
    ];
    for (what, model) in cases {
        let size = model.len();
        let cost = cost(what, model);
        assert!(cost < size + (64 << 10), "{size} bytes of empty {what} took {cost} bytes");
    }
}
