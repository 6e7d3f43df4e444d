//! Texts in, texts out: every `tests/text/in/*.mil` is printed in both dialects to `tests/text/out/`.
//! `ANEMONE_BLESS=1 cargo test -p mil --test text_golden` renews the outputs; the difference is for the reader.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mil::text::{Dialect, canonical, parse, print};
use mil::{Opset, Program, verify};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn inputs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/in");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10);
    files
}

#[test]
fn texts_print_as_recorded_and_parse_back() {
    let bless = env::var_os("ANEMONE_BLESS").is_some();
    for input in inputs() {
        let name = input.file_name().unwrap();
        let source = fs::read_to_string(&input).unwrap();
        let program = parse(&source).unwrap_or_else(|error| panic!("{}: {error}", input.display()));
        let program = verify(program).unwrap_or_else(|faults| panic!("{}: {faults:?}", input.display()));
        let expected = canonical(&program);
        for dialect in Dialect::ALL {
            let text = print(&program, dialect);
            let recorded = input.with_file_name("../out").join(dialect.name()).join(name);
            if bless {
                fs::create_dir_all(recorded.parent().unwrap()).unwrap();
                fs::write(&recorded, &text).unwrap();
            }
            assert_eq!(fs::read_to_string(&recorded).unwrap_or_default(), text, "{}", recorded.display());
            let again = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", recorded.display()));
            assert_eq!(again, expected, "{}", recorded.display());
            assert_eq!(print(&again, dialect), text);
        }
    }
}

#[test]
fn the_default_dialect_follows_the_opset() {
    for input in inputs() {
        let source = fs::read_to_string(&input).unwrap();
        let program = parse(&source).unwrap();
        let bare = source.contains("<ios18>");
        assert_eq!(program.to_string().starts_with("program(1.3)"), bare, "{}", input.display());
        assert_eq!(program.to_string().parse(), Ok(parse(&program.to_string()).unwrap()));
    }
}

#[test]
fn ios26_has_another_name_in_text() {
    let program = |opset| -> Program {
        format!("program(1.3)\n{{ func main<{opset}>(tensor<int8, [1, 4]> x) {{}} -> (x); }}")
            .parse()
            .unwrap()
    };
    assert_eq!(program("ios26"), program("ios19"));
    assert_eq!(program("ios26").functions[0].opset, Opset::Ios26);
    let text = program("ios26").to_string();
    assert!(text.contains("func main<ios19>(tensor<int8, [1, 4]> x)"), "{text}");
}
