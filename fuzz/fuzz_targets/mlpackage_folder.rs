//! Any bytes as the files that stand beside a program: the manifest of a package, the `metadata.json` or `coremldata.bin` of a compiled
//! model with its MIL text, MIL text with its description. Opening them never panics and leaves the folder as it was, and what is a model is
//! the same model when it is written and read again.
//!
//! `cargo +nightly fuzz run mlpackage_folder fuzz/corpus/mlpackage_folder -- -rss_limit_mb=2048`, after `fuzz/seed.sh`.

#![no_main]

use anemone_mlpackage::{Package, WriteOptions};
use libfuzzer_sys::fuzz_target;
use mil::text::{Dialect, canonical, print};
use mil::{Block, Def, Program, verify};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A folder of this process, in memory where the system has such a place.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
    let folder = parent.join(format!("anemone-fuzz-{}", std::process::id()));
    for name in [
        "package.mlpackage/Data/com.apple.CoreML",
        "compiled.mlmodelc",
        "in_pipeline.mlmodelc",
        "text",
        "again",
    ] {
        fs::create_dir_all(folder.join(name)).expect("a folder can be made");
    }
    let program = verify(mil::text::parse(PROGRAM).expect("a program")).expect("a right one");
    let package = Package::new(program).expect("with features of a model");
    let (model, _) = package.to_bytes().expect("that can be written");
    write(&folder.join("package.mlpackage/Data/com.apple.CoreML/model.mlmodel"), &model);
    folder
});

const PROGRAM: &str = "program(1.3)\n{\n    func main<ios15>(tensor<fp32, [2]> x) {\n            tensor<fp32, [2]> y = relu(x = x)[name = string(\"y\")];\n        } -> (y);\n}\n";

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file can be written");
}

fn program(package: &Package) -> Option<Program> {
    verify(package.program().ok()?).ok().map(|program| canonical(&program))
}

/// The program without names that no caller sees: text and model files make their own for what comes without.
fn bare(mut program: Program) -> Program {
    for function in &mut program.functions {
        let outputs = function.body.outputs.iter().map(|id| id.index()).collect::<Vec<_>>();
        for (at, value) in function.values.iter_mut().enumerate() {
            if value.def != Def::Input && !outputs.contains(&at) {
                value.name = None;
            }
        }
        unnamed(&mut function.body);
    }
    program
}

fn unnamed(block: &mut Block) {
    for operation in &mut block.ops {
        operation.name = None;
        operation.blocks.iter_mut().for_each(unnamed);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [kind, content @ ..] = bytes else { return };
    // No text has the byte 0xff: what comes before the first is the program, what comes after it stands beside.
    let end = content.iter().position(|&byte| byte == 0xff).unwrap_or(content.len());
    let (text, beside) = (&content[..end], content.get(end + 1..).unwrap_or(&[]));
    let path = match kind % 4 {
        0 => {
            let package = FOLDER.join("package.mlpackage");
            write(&package.join("Manifest.json"), beside);
            package
        }
        kind @ (1 | 3) => {
            let (folder, name) = match kind {
                1 => ("compiled.mlmodelc", "metadata.json"),
                _ => ("in_pipeline.mlmodelc", "coremldata.bin"),
            };
            let compiled = FOLDER.join(folder);
            write(&compiled.join("model.mil"), text);
            write(&compiled.join(name), beside);
            compiled
        }
        _ => {
            let path = FOLDER.join("text/model.mil");
            write(&path, text);
            let description = Package::description_path(&path);
            match beside {
                [] => drop(fs::remove_file(description)),
                _ => write(&description, beside),
            }
            path
        }
    };
    let package = match Package::open(path) {
        Ok(package) => package,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let Some(expected) = program(&package) else { return };
    let bared = bare(expected.clone());
    let same = |again: &Package| {
        assert_eq!(again.description, package.description);
        assert_eq!(again.specification_version(), package.specification_version());
        assert_eq!(program(again).map(bare).as_ref(), Some(&bared));
    };

    let target = FOLDER.join("again/model.mlpackage");
    if package.write(&target, WriteOptions { overwrite: true }).is_err() {
        return;
    }
    same(&Package::open(&target).expect("what is written is read"));
    if let Ok((model, weights)) = package.to_bytes() {
        // Constants as large as weights do not stand in text; the other targets have them.
        if weights.is_empty() {
            same(&Package::from_bytes(model, BTreeMap::new()).expect("what is written is read"));
        }
    }

    let text = FOLDER.join("again/model.mil");
    write(&text, print(&expected, Dialect::of(&expected)).as_bytes());
    let description = Package::description_path(&text);
    match package.description_beside_text().expect("the program was read before") {
        Some(bytes) => write(&description, &bytes),
        None => drop(fs::remove_file(&description)),
    }
    same(&Package::open(&text).expect("what is written is read"));
});
