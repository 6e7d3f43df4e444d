//! Texts damaged at random, and texts built to exhaust memory, time or the stack: reading, checking and printing
//! them never panics, and what survives prints and parses to the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common_text;

use common_text::Random;
use mil::text::{Dialect, canonical, parse, print};
use mil::verify;
use std::fs;
use std::path::Path;

/// Reads a text; if it is a program, takes it around once more.
fn exercise(source: &str) -> bool {
    let Ok(program) = parse(source) else { return false };
    let Ok(program) = verify(program) else { return false };
    let expected = canonical(&program);
    for dialect in Dialect::ALL {
        let text = print(&program, dialect);
        let again = parse(&text).unwrap_or_else(|error| panic!("{error}\nin\n{text}"));
        assert_eq!(again, expected, "{text}");
    }
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/in");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random, other: &[u8]) {
    const PIECES: [&str; 24] = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        ",",
        ";",
        "=",
        "\"",
        "-",
        "0",
        "1",
        "9999999999",
        "0x1p",
        "nan",
        "tensor<fp32, [2]>",
        "state<",
        "const()",
        "//",
        "é",
        "\\",
    ];
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(12)).min(bytes.len());
    match random.below(7) {
        0 if at < bytes.len() => bytes[at] = random.below(256) as u8,
        1 => drop(bytes.drain(at..end)),
        2 => drop(bytes.splice(at..end, PIECES[random.below(PIECES.len())].bytes())),
        3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        4 => bytes.truncate(at),
        5 => {
            let from = random.below(other.len());
            let to = (from + random.below(60)).min(other.len());
            drop(bytes.splice(at..end, other[from..to].iter().copied()));
        }
        _ => {
            if let Some(digit) = bytes[at..].iter().position(u8::is_ascii_digit) {
                bytes[at + digit] = b'0' + random.below(10) as u8;
            }
        }
    }
}

#[test]
fn damaged_texts_never_panic() {
    let seeds = seeds();
    let mut random = Random::new(20);
    let mut survivors = 0;
    for round in 0..8_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random.below(3) {
            let other = &seeds[random.below(seeds.len())];
            mutate(&mut bytes, &mut random, other);
            if bytes.is_empty() {
                break;
            }
        }
        survivors += usize::from(exercise(&String::from_utf8_lossy(&bytes)));
    }
    // Digits and names change without harm now and then; if nothing survived, printing was never tried.
    assert!(survivors > 130, "only {survivors} mutants were programs");
}

#[test]
fn the_untouched_texts_are_programs() {
    for seed in seeds() {
        assert!(exercise(std::str::from_utf8(&seed).unwrap()));
    }
}

fn function(inputs: &str, body: &str, outputs: &str) -> String {
    format!("program(1.3) {{ func f<ios18>({inputs}) {{ {body} }} -> ({outputs}); }}")
}

#[test]
fn deep_nesting_does_not_use_the_stack() {
    let depth = 1_000_000;
    assert!(!exercise(&"(".repeat(depth)));
    assert!(!exercise(&function("fp32 x", &format!("fp32 y = relu(x = {}", "(".repeat(depth)), "y")));
    assert!(!exercise(&function(&"state<".repeat(depth), "", "")));
    let brackets = "[".repeat(depth);
    assert!(!exercise(&function("", &format!("fp32 c = const()[val = tensor<fp32, [1]>({brackets}"), "")));
    let (ones, close) = (vec!["1"; 20_000].join(","), "]".repeat(20_000));
    let value = format!("tensor<fp32, [{ones}]>({}5{close})", "[".repeat(20_000));
    let body = format!("tensor<fp32, [{ones}]> c = const()[val = {value}];");
    assert!(exercise(&function("", &body, "c")));
}

#[test]
fn many_pieces_take_linear_time() {
    let count = 20_000;
    let chain: String = (1..=count).map(|i| format!("fp32 x{i} = relu(x = x{});\n", i - 1)).collect();
    assert!(exercise(&function("fp32 x0", &chain, &format!("x{count}"))));
    let same: String = (0..count).map(|_| "fp32 y = relu(x = x);").collect();
    assert!(!exercise(&function("fp32 x", &same, "y")));
    let unnamed: String = (0..count).map(|i| format!("fp32 a{i} = add(x = x, y = fp32(1));")).collect();
    assert!(exercise(&function("fp32 x", &unnamed, "a0")));
    let inputs: Vec<_> = (0..count).map(|i| format!("fp32 x{i}")).collect();
    assert!(exercise(&function(&inputs.join(", "), "", "x0")));
    let functions: String = (0..count).map(|i| format!("func f{i}<ios15>(fp32 x) {{}} -> (x);")).collect();
    assert!(exercise(&format!("program(1.0) {{ {functions} }}")));
    let elements = vec!["0x1p-3"; count].join(", ");
    let body = format!("tensor<fp16, [{count}]> c = const()[val = tensor<fp16, [{count}]>([{elements}])];");
    assert!(exercise(&function("", &body, "c")));
    assert!(!exercise(&format!("program(1.3) {{ // {}", "/ ".repeat(count))));
    assert!(!exercise(&format!("program(1.3) {{ \"{}", "\\\"".repeat(count))));
}

#[test]
fn huge_shapes_take_no_memory() {
    let huge = "tensor<int8, [1099511627776]>";
    assert!(!exercise(&function("", &format!("{huge} c = const()[val = {huge}([1, 2])];"), "c")));
    let inputs = format!("{huge} x, tensor<fp32, [4294967296, 1048576]> z");
    let sum = "tensor<fp32, [4294967296, 1048576]> y = add(x = z, y = z);";
    assert!(exercise(&function(&inputs, sum, "y")));
    let fill = "tensor<fp32, [2147483647, 2147483647]> y = fill(shape = tensor<int32, [2]>([2147483647, 2147483647]));";
    assert!(!exercise(&function("fp32 x", fill, "y")), "more bytes than memory can hold");
    let empty = "tensor<fp32, [0, 9223372036854775807]>";
    exercise(&function("", &format!("{empty} c = const()[val = {empty}([])];"), "c"));
}
