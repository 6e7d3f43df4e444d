//! Arguments that make no sense: each gets one clear line and the right exit code, before anything is written.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

mod common;

use common::{TINY_CIFAR, TINY_STORIES, arg, join, refused, run, succeed, write};
use std::path::Path;
use tempfile::TempDir;

/// Exit code of wrong usage.
const USAGE: i32 = 2;

#[test]
fn wrong_usage_is_refused_in_one_line() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "text.txt", "some text");
    write(dir.path(), "folder/readme", "nothing");
    let cases: &[(&[&str], &str)] = &[
        (&[], "no command given"),
        (&["tarin"], "unrecognized subcommand 'tarin'"),
        (&["train"], "nothing to train was named"),
        (&["train", "poems"], "invalid value 'poems'"),
        (&["train", "stories", "cifar"], "unexpected argument 'cifar'"),
        (&["train", "stories", "--bacth", "3"], "unexpected argument '--bacth'"),
        (&["train", "stories", "--steps"], "a value is required"),
        (&["train", "stories", "--steps", "0"], "a whole number from 1 to 2147483647 is needed"),
        (&["train", "stories", "--steps", "-5"], "a whole number from 1"),
        (&["train", "stories", "--steps", "many"], "a whole number from 1"),
        (&["train", "stories", "--steps", "99999999999999999999"], "a whole number from 1"),
        (&["train", "stories", "--steps", "1", "--steps", "2"], "cannot be used multiple times"),
        (&["train", "stories", "--batch", "0"], "a whole number from 1 to 65536"),
        (&["train", "stories", "--batch", "1e3"], "a whole number from 1 to 65536"),
        (&["train", "stories", "--lr", "nan"], "a number above 0 and at most 1000"),
        (&["train", "stories", "--lr", "inf"], "a number above 0 and at most 1000"),
        (&["train", "stories", "--lr", "-0.1"], "a number above 0 and at most 1000"),
        (&["train", "stories", "--lr", "0"], "a number above 0 and at most 1000"),
        (&["train", "stories", "--lr", ""], "a number above 0 and at most 1000"),
        (&["train", "stories", "--clip", "-1"], "a number of 0 or more"),
        (&["train", "stories", "--weight-decay", "NaN"], "a number of 0 or more"),
        (&["train", "stories", "--weight-decay", "1e30"], "weight_decay"),
        (&["train", "stories", "--accumulate", "0"], "a whole number from 1 to 1048576"),
        (&["train", "stories", "--accumulate", "8", "--steps", "7"], "there are only 7 steps"),
        (&["train", "stories", "--seed", "-1"], "invalid value '-1'"),
        (&["train", "stories", "--dtype", "fp8"], "[possible values: fp32, fp16]"),
        (&["train", "stories", "--optimizer", "adamax"], "[possible values: sgd, adam, adamw]"),
        (&["train", "stories", "--momentum", "0.9"], "--momentum is for sgd"),
        (&["train", "stories", "--optimizer", "sgd", "--momentum", "1"], "from 0 to below 1"),
        (&["train", "stories", "--warmup", "50", "--steps", "50"], "--warmup 50 must be shorter"),
        (
            &["train", "stories", "--warmup", "5", "--schedule", "constant"],
            "--warmup is for the cosine schedule",
        ),
        (&["train", "stories", "--device", "gpu"], "there is no device `gpu`; devices: cpu"),
        (&["train", "stories", "--threads", "0"], "a whole number from 1 to 1024"),
        (&["train", "stories", "--eval-every", "0"], "a whole number from 1"),
        (&["train", "stories", "--save-every", "0"], "a whole number from 1"),
        (&["train", "stories", "--preset", "storys15m"], "try: --preset stories15m"),
        (&["train", "stories", "--preset", "15"], "try: --preset stories15m"),
        (&["train", "stories", "--preset", "huge"], "presets: tales, char, stories260k"),
        (&["train", "stories", "--preset", "15m", "--seq", "512"], "more than the 256 tokens of the preset"),
        (&["train", "stories", "--seq", "0"], "a whole number from 1 to 65536"),
        (&["train", "stories", "--dim", "30", "--heads", "4"], "must be a multiple of twice the 4 heads"),
        (&["train", "stories", "--heads", "4", "--kv-heads", "3"], "cannot share 3 key and value heads"),
        (&["train", "stories", "--dim", "65536", "--layers", "256"], "weights, but at most"),
        (&["train", "stories", "--vocab", "100"], "a whole number from 260 to 65536"),
        (&["train", "stories", "--vocab", "300", "--data", "text.txt"], "--vocab is for generated stories"),
        (&["train", "stories", "--examples", "9", "--data", "text.txt"], "--data gives all there is"),
        (&["train", "stories", "--examples", "100000000"], "more than can be generated"),
        (&["train", "stories", "--width", "8"], "--width is for `cifar` and `mlp`"),
        (&["train", "cifar", "--preset", "15m"], "--preset is for `stories`"),
        (&["train", "mlp", "--seq", "64"], "--seq is for `stories`"),
        (&["train", "cifar", "--augment", "rotate"], "[possible values: none, crop-flip]"),
        (&["train", "stories", "--data", "nowhere.txt"], "--data nowhere.txt: No such file"),
        (&["train", "cifar", "--data", "text.txt"], "is a file, but images come in a folder"),
        (&["train", "stories", "--tokenizer", "folder"], "--tokenizer folder is not a file"),
        (&["train", "stories", "--out", "text.txt"], "--out text.txt is not a folder"),
        (&["train", "stories", "--out", ""], "--out"),
        (&["train", "--resume", "nowhere"], "nowhere does not exist"),
        (&["train", "--resume", "folder"], "folder holds no run"),
        (&["train", "--resume", "text.txt"], "text.txt is not a folder"),
        (&["train", "--resume", "folder", "--lr", "0.1"], "--lr cannot be changed with --resume"),
        (&["train", "--resume", "folder", "--seed", "1"], "--seed cannot be changed with --resume"),
        (&["generate"], "required arguments were not provided"),
        (&["generate", "nowhere"], "nowhere does not exist"),
        (&["generate", "folder", "--temperature", "-0.5"], "a number from 0 to 100"),
        (&["generate", "folder", "--temperature", "nan"], "a number from 0 to 100"),
        (&["generate", "folder", "--top-p", "2"], "a number above 0 and at most 1"),
        (&["generate", "folder", "--top-p", "0"], "a number above 0 and at most 1"),
        (&["generate", "folder", "--tokens", "0"], "a whole number from 1 to 65536"),
        (&["generate", "folder", "--tokenizer", "none"], "--tokenizer none is not a file"),
        (&["generate", "folder", "--device", "npu"], "there is no device `npu`"),
        (&["eval"], "required arguments were not provided"),
        (&["eval", "folder"], "folder holds no run"),
        (&["eval", "folder", "--json", "--quiet"], "unexpected argument '--quiet'"),
        (&["eval", "line\nbreak\u{1b}[31m"], "line break\\u{1b}[31m does not exist"),
    ];
    for (args, fragment) in cases {
        refused(dir.path(), args, USAGE, fragment);
    }
    assert!(!dir.path().join("runs").exists(), "a refused command writes nothing");
}

#[test]
fn names_that_are_not_utf8_are_refused() {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        let dir = TempDir::new().unwrap();
        let name = std::ffi::OsStr::from_bytes(b"te\xffxt.txt");
        std::fs::write(dir.path().join(name), "text").unwrap();
        let output = common::anemone(dir.path(), &["train", "stories", "--data"]).arg(name).output().unwrap();
        assert_eq!(output.status.code(), Some(USAGE));
        assert!(String::from_utf8_lossy(&output.stderr).contains("the path is not UTF-8"));
    }
}

#[test]
fn what_a_run_is_cannot_be_changed_or_overwritten() {
    let dir = TempDir::new().unwrap();
    succeed(dir.path(), &join(TINY_STORIES, &["--steps", "2", "--out", "run"]));
    succeed(dir.path(), &join(TINY_CIFAR, &["--steps", "2", "--out", "pictures"]));
    let before = std::fs::read(dir.path().join("run/states.safetensors")).unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["train", "stories", "--out", "run"], "--out run already holds a run"),
        (&["train", "cifar", "--resume", "run"], "holds a run of `stories`, not of `cifar`"),
        (&["train", "--resume", "run", "--steps", "1"], "less than the 2 steps that were made already"),
        (&["train", "--resume", "run", "--batch", "4"], "--batch cannot be changed"),
        (&["generate", "pictures", "--prompt", "a"], "writes no text"),
        (&["eval", "run", "--data", "nowhere"], "--data nowhere: No such file"),
        (&["eval", "pictures", "--data", "run/config.json"], "images come in a folder"),
    ];
    for (args, fragment) in cases {
        refused(dir.path(), args, USAGE, fragment);
    }
    let long = "word ".repeat(40);
    refused(dir.path(), &["generate", "run", "--prompt", &long], USAGE, "the model's sequences have 16");
    assert_eq!(std::fs::read(dir.path().join("run/states.safetensors")).unwrap(), before);
}

#[test]
fn failures_that_are_nobodys_usage_exit_with_1() {
    let dir = TempDir::new().unwrap();
    let text = write(dir.path(), "short.txt", "too short");
    refused(dir.path(), &["train", "stories", "--data", arg(&text)], 1, "tokens");
    let diverging = join(TINY_MLP_HOT, &["--steps", "60", "--out", "hot"]);
    refused_hot(dir.path(), &diverging);
}

/// A perceptron at a rate at which no training can last.
const TINY_MLP_HOT: &[&str] = &[
    "train",
    "mlp",
    "--examples",
    "40",
    "--width",
    "8",
    "--batch",
    "4",
    "--optimizer",
    "sgd",
    "--lr",
    "1000",
    "--weight-decay",
    "1000",
    "--warmup",
    "0",
    "--quiet",
];

/// The steps before the end may be shown, so only standard error is looked at.
fn refused_hot(dir: &Path, args: &[&str]) {
    let ended = run(dir, args);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.starts_with("error: the loss is"), "{ended:#?}");
    assert!(ended.stderr.contains("try: a smaller --lr"), "{ended:#?}");
}

#[test]
fn help_shows_examples() {
    let dir = TempDir::new().unwrap();
    for args in [&["--help"][..], &["train", "--help"], &["generate", "--help"], &["eval", "--help"]] {
        let help = succeed(dir.path(), args);
        assert!(help.contains("Examples:") && help.matches("anemone ").count() >= 4, "{help}");
    }
    assert!(succeed(dir.path(), &["--version"]).starts_with("anemone "));
}
