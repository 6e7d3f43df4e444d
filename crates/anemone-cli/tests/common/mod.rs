//! Driving the real binary.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The binary, set up to run in `dir`.
pub fn anemone(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anemone"));
    command.args(args).current_dir(dir).stdin(Stdio::null()).env_remove("ANEMONE_LOG");
    command
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end.
pub fn run(dir: &Path, args: &[&str]) -> Ended {
    let Output { status, stdout, stderr } = anemone(dir, args).output().expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs a command whose standard output nobody reads; gives its exit code.
pub fn without_reader(dir: &Path, args: &[&str]) -> Option<i32> {
    let mut command = anemone(dir, args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
    drop(child.stdout.take());
    child.wait().expect("the binary ends").code()
}

/// Runs a command that must succeed; gives its standard output.
pub fn succeed(dir: &Path, args: &[&str]) -> String {
    let ended = run(dir, args);
    assert_eq!(ended.code, Some(0), "{args:?}: {ended:#?}");
    assert_eq!(ended.stderr, "", "{args:?}");
    ended.stdout
}

/// Runs a command that must be refused with this exit code, in one line that has `fragment`.
pub fn refused(dir: &Path, args: &[&str], code: i32, fragment: &str) {
    let ended = run(dir, args);
    let stderr = &ended.stderr;
    assert_eq!(ended.code, Some(code), "{args:?}: {ended:#?}");
    assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(matches!(lines.len(), 1 | 2), "{args:?}: one line, and perhaps a way out, but: {stderr}");
    assert!(lines[0].starts_with("error: "), "{args:?}: {stderr}");
    assert!(lines.len() == 1 || lines[1].starts_with("try: "), "{args:?}: {stderr}");
    assert!(stderr.contains(fragment), "{args:?}: `{fragment}` is not in: {stderr}");
}

/// Arguments of a tiny run of `stories`, which takes a moment.
pub const TINY_STORIES: &[&str] = &[
    "train",
    "stories",
    "--examples",
    "40",
    "--vocab",
    "300",
    "--dim",
    "16",
    "--layers",
    "1",
    "--heads",
    "2",
    "--seq",
    "16",
    "--batch",
    "2",
    "--eval-batches",
    "2",
];

/// Arguments of a tiny run of `cifar`, with augmentation.
pub const TINY_CIFAR: &[&str] = &[
    "train",
    "cifar",
    "--examples",
    "40",
    "--width",
    "4",
    "--batch",
    "4",
    "--eval-batches",
    "1",
    "--augment",
    "crop-flip",
    "--optimizer",
    "sgd",
];

/// Arguments of a tiny run of `mlp`.
pub const TINY_MLP: &[&str] =
    &["train", "mlp", "--examples", "40", "--width", "8", "--batch", "4", "--eval-batches", "1"];

/// `first` and then `more`.
pub fn join<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    first.iter().chain(more).copied().collect()
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("test folders have UTF-8 names")
}

/// Writes a file of a test.
pub fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("folders can be made");
    std::fs::write(&path, bytes).expect("files can be written");
    path
}
