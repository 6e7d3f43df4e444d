//! Whole runs of the real binary: train, resume, evaluate, write.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

mod common;

use common::{TINY_CIFAR, TINY_MLP, TINY_STORIES, anemone, arg, join, refused, run, succeed, write};
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

/// Every line as JSON.
fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn states(dir: &Path, run: &str) -> Vec<u8> {
    fs::read(dir.join(run).join("states.safetensors")).unwrap()
}

#[test]
fn stories_are_trained_evaluated_and_written() {
    let dir = TempDir::new().unwrap();
    let out =
        succeed(dir.path(), &join(TINY_STORIES, &["--steps", "6", "--eval-every", "3", "--save-every", "2"]));
    for part in ["data     tales: 40 generated stories", "held-out loss", "parameters", "The model writes:"] {
        assert!(out.contains(part), "`{part}` is not in: {out}");
    }
    assert!(out.contains("the Neural Engine was passed over"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");

    let folder = dir.path().join("runs/stories");
    for file in ["states.safetensors", "config.json", "tokenizer.bin", "log.jsonl", "curve.svg"] {
        assert!(folder.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    let log = json_lines(&fs::read_to_string(folder.join("log.jsonl")).unwrap());
    let steps: Vec<u64> =
        log.iter().filter(|l| l.get("train").is_some()).map(|l| l["iteration"].as_u64().unwrap()).collect();
    assert_eq!(steps, [1, 2, 3, 4, 5, 6]);
    assert!(log[0]["train"]["loss"].as_f64().unwrap() > 1.0);

    let table = succeed(dir.path(), &["eval", "runs/stories"]);
    assert!(table.contains("perplexity") && table.contains("after 6 steps"), "{table}");
    let text = succeed(dir.path(), &["generate", "runs/stories", "--prompt", "Once", "--tokens", "8"]);
    assert!(text.starts_with("Once") && text.ends_with('\n'), "{text:?}");
    let again = succeed(dir.path(), &["generate", "runs/stories", "--prompt", "Once", "--tokens", "8"]);
    assert_eq!(text, again, "the same seed writes the same");
}

#[test]
fn a_new_run_never_overwrites_another() {
    let dir = TempDir::new().unwrap();
    let args = join(TINY_MLP, &["--steps", "1"]);
    succeed(dir.path(), &args);
    let first = states(dir.path(), "runs/mlp");
    let out = succeed(dir.path(), &join(&args, &["--seed", "1"]));
    assert!(out.contains("runs/mlp-2"), "{out}");
    assert_eq!(states(dir.path(), "runs/mlp"), first);
    assert_ne!(states(dir.path(), "runs/mlp-2"), first);
}

#[test]
fn json_is_all_there_is_on_standard_output() {
    let dir = TempDir::new().unwrap();
    let events = json_lines(&succeed(dir.path(), &join(TINY_STORIES, &["--steps", "4", "--json"])));
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds[0], "start");
    assert_eq!(kinds.iter().filter(|kind| **kind == "step").count(), 4);
    assert!(kinds.contains(&"evaluated") && kinds.contains(&"sample"), "{kinds:?}");
    let end = events.iter().find(|event| event["event"] == "end").unwrap();
    assert_eq!(end["report"]["iteration"], 4);
    assert_eq!(end["report"]["outcome"], "finished");

    let eval = json_lines(&succeed(dir.path(), &["--json", "eval", "runs/stories"]));
    assert!(
        eval[0]["loss"].as_f64().unwrap() > 1.0 && eval[0]["perplexity"].as_f64().unwrap() > 2.0,
        "{eval:?}"
    );
    let args = ["generate", "runs/stories", "--prompt", "Once", "--tokens", "5", "--json"];
    let text = json_lines(&succeed(dir.path(), &args));
    assert_eq!(text.len(), 1);
    assert_eq!(text[0]["prompt"], "Once");
    assert!(text[0]["text"].is_string() && text[0]["stop"].is_string(), "{text:?}");
}

#[test]
fn images_are_trained_and_evaluated() {
    let dir = TempDir::new().unwrap();
    for (task, args) in [("cifar", TINY_CIFAR), ("mlp", TINY_MLP)] {
        let out = succeed(dir.path(), &join(args, &["--steps", "3", "--quiet"]));
        assert!(out.contains("accuracy") && !out.contains("step 1/3"), "{out}");
        let line = &json_lines(&succeed(dir.path(), &["eval", &format!("runs/{task}"), "--json"]))[0];
        assert!((0.0..=1.0).contains(&line["accuracy"].as_f64().unwrap()), "{line}");
        assert_eq!(line["examples"], 40);
    }
}

#[test]
fn half_precision_and_accumulation_run() {
    let dir = TempDir::new().unwrap();
    let args = join(TINY_STORIES, &["--steps", "4", "--dtype", "fp16", "--accumulate", "2", "--json"]);
    let events = json_lines(&succeed(dir.path(), &args));
    let step = events.iter().find(|event| event["event"] == "step").unwrap();
    assert_eq!(step["values"]["loss_scale"], 65536.0);
}

#[test]
fn a_text_is_learned_character_by_character() {
    let dir = TempDir::new().unwrap();
    let text = "The fox sat. The owl hid.\n".repeat(60);
    write(dir.path(), "text.txt", text);
    let tiny =
        ["--dim", "16", "--layers", "1", "--heads", "2", "--seq", "16", "--batch", "2", "--steps", "3"];
    succeed(dir.path(), &join(&["train", "stories", "--data", "text.txt"], &tiny));
    let table = succeed(dir.path(), &["eval", "runs/stories"]);
    assert!(table.contains("per character"), "{table}");
    refused(dir.path(), &["generate", "runs/stories"], 2, "knows no beginning of a text");
    refused(dir.path(), &["generate", "runs/stories", "--prompt", "Ä"], 1, "not one of the");
    let written = succeed(dir.path(), &["generate", "runs/stories", "--prompt", "The ", "--tokens", "5"]);
    assert_eq!(written.trim_end_matches('\n').chars().count().max(9), 9, "{written:?}");

    write(dir.path(), "other.txt", "The owl sat. The fox hid.\n".repeat(5));
    succeed(dir.path(), &["eval", "runs/stories", "--data", "other.txt"]);
    fs::remove_file(dir.path().join("text.txt")).unwrap();
    refused(dir.path(), &["eval", "runs/stories"], 1, "is no longer there");
}

#[test]
fn token_shards_need_no_tokenizer_until_they_write() {
    let dir = TempDir::new().unwrap();
    let tokens: Vec<u8> = (0..6000u32).flat_map(|i| ((i * i % 300) as u16).to_le_bytes()).collect();
    write(dir.path(), "shards/data00.bin", &tokens);
    let tiny =
        ["--dim", "16", "--layers", "1", "--heads", "2", "--seq", "16", "--batch", "2", "--steps", "2"];
    succeed(dir.path(), &join(&["train", "stories", "--data", "shards"], &tiny));
    succeed(dir.path(), &["eval", "runs/stories"]);
    refused(dir.path(), &["generate", "runs/stories", "--prompt", "a"], 2, "holds no tokenizer");
}

#[test]
fn cifar_and_idx_folders_are_read() {
    let dir = TempDir::new().unwrap();
    let record =
        |label: u8| std::iter::once(label).chain((0..3072u32).map(move |i| (i * 7 + u32::from(label)) as u8));
    let records: Vec<u8> = (0..10).flat_map(record).collect();
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
    {
        write(dir.path(), &format!("cifar/{name}.bin"), &records);
    }
    let more = ["--batch", "4", "--width", "4", "--steps", "2", "--data"];
    succeed(dir.path(), &join(&join(&["train", "cifar"], &more), &["cifar"]));
    succeed(dir.path(), &["eval", "runs/cifar"]);

    for (stem, count) in [("train", 20u8), ("t10k", 10)] {
        let mut images = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 28, 0, 0, 0, 28];
        images.extend((0..u32::from(count) * 784).map(|i| i as u8));
        write(dir.path(), &format!("idx/{stem}-images-idx3-ubyte"), images);
        let mut labels = vec![0, 0, 8, 1, 0, 0, 0, count];
        labels.extend((0..count).map(|i| i % 10));
        write(dir.path(), &format!("idx/{stem}-labels-idx1-ubyte"), labels);
    }
    succeed(dir.path(), &join(&join(&["train", "mlp"], &more), &["idx"]));
    refused(dir.path(), &["eval", "runs/cifar", "--data", "idx"], 1, "the model was made for [3, 32, 32]");
}

#[test]
fn a_resumed_run_ends_as_an_uninterrupted_one() {
    let dir = TempDir::new().unwrap();
    for (name, args) in [("stories", TINY_STORIES), ("cifar", TINY_CIFAR), ("mlp", TINY_MLP)] {
        let (whole, parts) = (format!("{name}-whole"), format!("{name}-parts"));
        let args = join(args, &["--schedule", "constant"]);
        succeed(dir.path(), &join(&args, &["--steps", "7", "--out", &whole]));
        succeed(dir.path(), &join(&args, &["--steps", "3", "--out", &parts]));
        succeed(dir.path(), &["train", "--resume", &parts, "--steps", "5", "--threads", "1"]);
        succeed(dir.path(), &["train", name, "--resume", &parts, "--steps", "7", "--threads", "3"]);
        assert_eq!(states(dir.path(), &whole), states(dir.path(), &parts), "{name}");
        let log = json_lines(&fs::read_to_string(dir.path().join(&parts).join("log.jsonl")).unwrap());
        assert_eq!(log.iter().filter(|line| line.get("train").is_some()).count(), 7, "{name}");
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let dir = TempDir::new().unwrap();
    let args = join(TINY_STORIES, &["--steps", "40", "--json"]);
    let mut child = anemone(dir.path(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 1];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn two_processes_do_not_train_in_one_folder() {
    let dir = TempDir::new().unwrap();
    let args = join(TINY_MLP, &["--steps", "1", "--out", "run"]);
    succeed(dir.path(), &args);
    let lock = fs::File::create(dir.path().join("run/.lock")).unwrap();
    lock.lock().unwrap();
    refused(dir.path(), &["train", "--resume", "run", "--steps", "2"], 1, "another process is training");
    lock.unlock().unwrap();
    succeed(dir.path(), &["train", "--resume", "run", "--steps", "2"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_leaves() {
    let dir = TempDir::new().unwrap();
    let args = join(TINY_MLP, &["--steps", "100000", "--json", "--out", "run"]);
    let mut child = anemone(dir.path(), &args).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut chunk = [0; 256];
    // Steps are being made once the first is told of.
    while !String::from_utf8_lossy(&seen).contains("\"event\":\"step\"") {
        let count = stdout.read(&mut chunk).unwrap();
        assert!(count > 0, "the run ended by itself");
        seen.extend_from_slice(&chunk[..count]);
    }
    let signalled =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.contains("\"outcome\":\"stopped\""), "{rest}");
    let ended = run(dir.path(), &["eval", "run"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[test]
fn a_llama2c_checkpoint_writes() {
    let dir = TempDir::new().unwrap();
    succeed(dir.path(), &join(TINY_STORIES, &["--steps", "1", "--out", "run"]));
    write_llama2c(dir.path(), 300);
    let tokenizer = dir.path().join("run/tokenizer.bin");
    refused(dir.path(), &["generate", "model.bin", "--prompt", "Once"], 2, "no tokenizer.bin beside it");
    let args = ["generate", "model.bin", "--tokenizer", arg(&tokenizer), "--prompt", "Once", "--tokens", "3"];
    assert!(succeed(dir.path(), &args).starts_with("Once"));
    write_llama2c(dir.path(), 301);
    refused(dir.path(), &args, 1, "the model has a vocabulary of 301");
}

/// A llama2.c checkpoint of version 0 with dim 8, one layer, two heads, sequences of 16, tied embedding.
fn write_llama2c(dir: &Path, vocab: i32) {
    let (dim, hidden, seq) = (8, 16, 16);
    let header = [dim, hidden, 1, 2, 2, vocab, seq];
    let weights = vocab * dim + 2 * dim + 4 * dim * dim + 3 * dim * hidden + dim + seq * (dim / 2);
    let mut bytes: Vec<u8> = header.iter().flat_map(|number| number.to_le_bytes()).collect();
    bytes.extend((0..weights).flat_map(|i| ((i % 13) as f32 * 0.01).to_le_bytes()));
    write(dir, "model.bin", bytes);
}
