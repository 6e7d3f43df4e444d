//! Files that are damaged, cut short or something else: each gets one clear line, none a panic.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

mod common;

use common::{TINY_CIFAR, TINY_STORIES, arg, join, refused, succeed, write};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Exit code of what was understood but did not work out.
const FAILED: i32 = 1;

/// A run to be damaged.
struct Run {
    dir: TempDir,
}

impl Run {
    fn new(args: &[&str]) -> Run {
        let dir = TempDir::new().unwrap();
        succeed(dir.path(), &join(args, &["--steps", "2", "--out", "good"]));
        Run { dir }
    }

    /// A copy of the run with one file replaced, or removed.
    fn with(&self, file: &str, content: Option<&[u8]>) -> PathBuf {
        let bad = self.dir.path().join("bad");
        let _ = fs::remove_dir_all(&bad);
        fs::create_dir(&bad).unwrap();
        for entry in fs::read_dir(self.dir.path().join("good")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), bad.join(entry.file_name())).unwrap();
        }
        match content {
            Some(content) => fs::write(bad.join(file), content).unwrap(),
            None => fs::remove_file(bad.join(file)).unwrap(),
        }
        bad
    }

    fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.dir.path().join("good").join(file)).unwrap()
    }

    /// Both commands that read the whole run must refuse it.
    fn refused(&self, file: &str, content: Option<&[u8]>, fragment: &str) {
        let bad = self.with(file, content);
        refused(self.dir.path(), &["eval", arg(&bad)], FAILED, fragment);
        refused(self.dir.path(), &["train", "--resume", arg(&bad), "--steps", "3"], FAILED, fragment);
    }
}

/// A safetensors file: header and data.
fn safetensors(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = serde_json::to_vec(header).unwrap();
    [&(header.len() as u64).to_le_bytes(), &header[..], data].concat()
}

/// Header and data of a safetensors file.
fn parts(bytes: &[u8]) -> (Value, Vec<u8>) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..8 + length]).unwrap(), bytes[8 + length..].to_vec())
}

#[test]
fn checkpoints() {
    let run = Run::new(TINY_STORIES);
    let good = run.read("states.safetensors");
    let (header, data) = parts(&good);
    let noise: Vec<u8> = (0..good.len() as u32).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8).collect();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut header = header.clone();
        change(&mut header);
        safetensors(&header, &data)
    };
    let weight = "norm.weight";
    assert!(header.get(weight).is_some(), "{header}");
    let renamed = |header: &mut Value| {
        let weight = header.as_object_mut().unwrap().remove(weight).unwrap();
        header["other"] = weight;
    };
    let offsets = header[weight]["data_offsets"].clone();
    let whole = "is not a whole safetensors file";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "states.safetensors"),
        (good[..7].to_vec(), whole),
        ([&u64::MAX.to_le_bytes(), &good[8..]].concat(), whole),
        ([&(good.len() as u64).to_le_bytes(), &good[8..]].concat(), whole),
        ([&0u64.to_le_bytes(), &good[8..]].concat(), whole),
        ([&2u64.to_le_bytes(), &b"[]"[..]].concat(), whole),
        ([&4u64.to_le_bytes(), &b"\xff\xfe\xfd\xfc"[..]].concat(), whole),
        (good[..good.len() - 1].to_vec(), whole),
        (good[..good.len() / 2].to_vec(), whole),
        ([&good[..], &[0]].concat(), whole),
        (noise, whole),
        (changed(&|h| h[weight]["dtype"] = json!("F99")), whole),
        (changed(&|h| h[weight]["dtype"] = json!("F16")), whole),
        (changed(&|h| h[weight]["dtype"] = json!("I32")), "but must be"),
        (changed(&|h| h[weight]["shape"] = json!([4, 4])), "but must be"),
        (changed(&|h| h[weight]["shape"] = json!([1u64 << 40, 1u64 << 40])), whole),
        (changed(&|h| h[weight]["shape"] = json!([-16])), whole),
        (changed(&|h| h[weight]["data_offsets"] = json!([offsets[1], offsets[0]])), whole),
        (changed(&|h| h[weight]["data_offsets"] = json!([0, 64])), whole),
        (changed(&renamed), "has no state `norm.weight`"),
    ];
    for (content, fragment) in &cases {
        run.refused("states.safetensors", Some(content), fragment);
    }
    run.refused("states.safetensors", None, "cannot find the file");
    let mut counted = good.clone();
    let at = good.len() - data.len() + header["iteration"]["data_offsets"][0].as_u64().unwrap() as usize;
    counted[at..at + 4].copy_from_slice(&(-1i32).to_le_bytes());
    run.refused("states.safetensors", Some(&counted), "holds no count of the steps made");
}

#[test]
fn configurations() {
    let run = Run::new(TINY_STORIES);
    let good: Value = serde_json::from_slice(&run.read("config.json")).unwrap();
    let with = |pointer: &str, value: Value| {
        let mut config = good.clone();
        *config.pointer_mut(pointer).expect("the configuration has it") = value;
        serde_json::to_vec(&config).unwrap()
    };
    let without = |name: &str| {
        let mut config = good.clone();
        config.as_object_mut().unwrap().remove(name).unwrap();
        serde_json::to_vec(&config).unwrap()
    };
    let mut unknown = good.clone();
    unknown["colour"] = json!("blue");
    let no_config = "is not a run's configuration";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), no_config),
        (b"model = llama".to_vec(), no_config),
        (b"\xff\xfe{".to_vec(), "config.json"),
        (b"[1, 2]".to_vec(), "it names no version"),
        (b"[".repeat(100_000), no_config),
        (with("/version", json!(2)), "is of version 2"),
        (with("/version", json!("1")), "is of version \"1\""),
        (without("version"), "it names no version"),
        (without("options"), "missing field `options`"),
        (without("model"), "missing field `model`"),
        (serde_json::to_vec(&unknown).unwrap(), "unknown field `colour`"),
        (with("/task", json!("poems")), "unknown variant `poems`"),
        (with("/task", json!("cifar")), "the model is not one of the task `cifar`"),
        (with("/model/name", json!("gpt")), "unknown variant `gpt`"),
        (with("/model/dim", json!(0)), "dim is 0"),
        (with("/model/dim", json!(-16)), "invalid value"),
        (with("/model/dim", json!(1u64 << 60)), "dim is 1152921504606846976"),
        (with("/model/dim", json!(17)), "must be a multiple of twice the 2 heads"),
        (with("/model/n_heads", json!(0)), "the number of heads is 0"),
        (with("/model/n_kv_heads", json!(3)), "cannot share 3"),
        (with("/model/n_layers", json!(1_000_000_000u64)), "the number of layers is 1000000000"),
        (with("/model/hidden_dim", json!(2.5)), "invalid type"),
        (with("/model/vocab_size", json!(301)), "has 300 tokens, but the model has a vocabulary of 301"),
        (with("/model/seq_len", json!(0)), "the sequence length is 0"),
        (with("/options/batch_size", json!(0)), "the batch size is 0"),
        (with("/options/batch_size", json!(u64::MAX)), "the batch size is"),
        (with("/options/eval_every", json!(0)), "eval_every: is 0"),
        (with("/options/step/optimizer/lr", json!(null)), "invalid type: null"),
        (with("/options/step/optimizer/lr", json!(-1.0)), "lr"),
        (with("/options/step/optimizer/name", json!("lion")), "unknown variant `lion`"),
        (with("/options/step/schedule/warmup", json!(9)), "must be shorter than the run"),
        (with("/options/step/accumulate", json!(0)), "accumulate"),
        (with("/tokenizer", json!(null)), "names no tokenizer"),
        (with("/tokenizer", json!("word")), "unknown variant `word`"),
        (with("/data/kind", json!("shapes")), "config.json"),
        (with("/data/train", json!(0)), "the number of training stories"),
        (with("/data/train", json!(u64::MAX)), "the number of training stories"),
        (with("/data", json!({"kind": "images", "path": "/tmp", "augment": "none"})), "is not of a kind"),
        (with("/data", json!({"kind": "text", "path": "/nowhere", "held_out": 0.1})), "is no longer there"),
        (with("/data", json!({"kind": "text", "path": "/tmp", "held_out": 0.1})), "/tmp"),
    ];
    for (content, fragment) in &cases {
        run.refused("config.json", Some(content), fragment);
    }
}

#[test]
fn tokenizers() {
    let run = Run::new(TINY_STORIES);
    let good = run.read("tokenizer.bin");
    let nan = [&good[..4], &f32::NAN.to_le_bytes(), &good[8..]].concat();
    let long = [&good[..8], &u32::MAX.to_le_bytes(), &good[12..]].concat();
    let longest = [&u32::MAX.to_le_bytes(), &good[4..]].concat();
    let cases: Vec<(Option<&[u8]>, &str)> = vec![
        (None, "tokenizer.bin"),
        (Some(b""), "tokenizer.bin"),
        (Some(&good[..3]), "tokenizer.bin"),
        (Some(&good[..good.len() - 2]), "tokenizer.bin"),
        (Some(&good[..4 + 9]), "tokenizer.bin"),
        (Some(&nan), "the score of token 0"),
        (Some(&long), "is said to have 4294967295 bytes"),
        (Some(&longest), "is said to have 4294967295 bytes"),
        (Some(b"{\"kind\":\"char\",\"characters\":\"abc\"}"), "has 3 tokens, but the model"),
        (Some(b"{\"kind\":\"char\",\"characters\":\"cba\"}"), "must be sorted"),
        (Some(b"{\"kind\":\"char\""), "not a character tokenizer"),
    ];
    for (content, fragment) in cases {
        run.refused("tokenizer.bin", content, fragment);
        let bad = run.dir.path().join("bad");
        refused(run.dir.path(), &["generate", arg(&bad), "--prompt", "a"], FAILED, fragment);
    }
}

#[test]
fn llama2c_checkpoints() {
    let dir = TempDir::new().unwrap();
    let header = |numbers: [i32; 7]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let good = header([8, 16, 1, 2, 2, 300, 16]);
    let mut padded = good.clone();
    padded.extend(vec![0; 200]);
    let cases: Vec<Vec<u8>> = vec![
        Vec::new(),
        good[..27].to_vec(),
        good.clone(),
        padded,
        header([0; 7]),
        header([-1; 7]),
        header([i32::MAX; 7]),
        header([8, 16, 1, 0, 2, 300, 16]),
        header([8, 16, 1, 3, 2, 300, 16]),
        header([8, 16, 1, 2, 2, i32::MIN, 16]),
        header([8, 16, 1 << 30, 2, 2, 300, 16]),
        b"Once upon a time there was a text that claimed to be a checkpoint.".to_vec(),
        (0..4096u32).map(|i| (i.wrapping_mul(2654435761) >> 7) as u8).collect(),
    ];
    for (number, content) in cases.iter().enumerate() {
        let file = write(dir.path(), &format!("model{number}.bin"), content);
        refused(
            dir.path(),
            &["generate", arg(&file), "--prompt", "a"],
            FAILED,
            &format!("model{number}.bin"),
        );
    }
}

#[test]
fn texts_and_tokens() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    let tokens = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let many: Vec<u16> = (0..40_000).map(|i| (i % 512) as u16).collect();
    let mut beyond = many.clone();
    beyond.iter_mut().for_each(|token| *token += 512);
    for (name, content, fragment) in [
        ("odd.bin", [&tokens(&many)[..], &[0]].concat(), "odd.bin"),
        ("empty.bin", Vec::new(), "empty.bin"),
        ("short.bin", tokens(&[1, 2, 3, 4]), "tokens"),
        ("beyond.bin", tokens(&beyond), "but the vocabulary has 512 tokens"),
        ("latin1.txt", b"caf\xe9 ".repeat(1000), "not UTF-8 text: byte 3 is 0xe9"),
        ("empty.txt", Vec::new(), "the file is empty"),
        ("short.txt", b"one line".to_vec(), "tokens"),
        ("cut.txt", [&b"word ".repeat(1000)[..], b"\xe2\x82"].concat(), "not UTF-8 text"),
    ] {
        write(dir.path(), name, content);
        refused(
            dir.path(),
            &["train", "stories", "--data", name, "--steps", "2", "--batch", "2"],
            FAILED,
            fragment,
        );
    }
    refused(dir.path(), &["train", "stories", "--data", "empty", "--steps", "2"], FAILED, "empty");
    assert!(!dir.path().join("runs").exists(), "data that cannot be used leaves no run behind");
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn cifar_folders() {
    let dir = TempDir::new().unwrap();
    let records: Vec<u8> = (0..10u8).flat_map(|label| std::iter::once(label).chain([label; 3072])).collect();
    let files =
        ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];
    let mut labelled = records.clone();
    labelled[3073] = 10;
    let cases: Vec<(&str, Option<Vec<u8>>, &str)> = vec![
        ("test_batch", None, "missing test_batch.bin"),
        ("data_batch_3", None, "missing data_batch_3.bin"),
        ("data_batch_1", Some(records[..5000].to_vec()), "the file has 5000 bytes"),
        ("test_batch", Some(Vec::new()), "test_batch.bin"),
        ("data_batch_2", Some(labelled), "the label of record 1 is 10"),
        ("data_batch_5", Some([&records[..], &[0]].concat()), "the file has 30731 bytes"),
    ];
    for (number, (bad, content, fragment)) in cases.iter().enumerate() {
        let folder = format!("cifar{number}");
        for name in files {
            let bytes = if name == *bad { content.as_deref() } else { Some(&records[..]) };
            if let Some(bytes) = bytes {
                write(dir.path(), &format!("{folder}/{name}.bin"), bytes);
            }
        }
        refused(dir.path(), &["train", "cifar", "--data", &folder, "--steps", "2"], FAILED, fragment);
    }
}

/// The four files of an IDX folder: 20 training and 10 test images of 4 x 4.
fn write_idx(folder: &Path, bad: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>) {
    for (stem, count) in [("train", 20u8), ("t10k", 10)] {
        let mut images = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 4, 0, 0, 0, 4];
        images.extend((0..u16::from(count) * 16).map(|i| i as u8));
        let mut labels = vec![0, 0, 8, 1, 0, 0, 0, count];
        labels.extend((0..count).map(|i| i % 10));
        for (name, bytes) in
            [(format!("{stem}-images-idx3-ubyte"), images), (format!("{stem}-labels-idx1-ubyte"), labels)]
        {
            if name == bad {
                write(folder, &format!("{name}.gz"), change(bytes));
            } else {
                write(folder, &name, bytes);
            }
        }
    }
}

#[test]
fn idx_folders() {
    let dir = TempDir::new().unwrap();
    let patched = |at: usize, value: u8| {
        move |mut bytes: Vec<u8>| {
            bytes[at] = value;
            gz(&bytes)
        }
    };
    let images = "train-images-idx3-ubyte";
    let labels = "t10k-labels-idx1-ubyte";
    type Change = Box<dyn Fn(Vec<u8>) -> Vec<u8>>;
    let cases: Vec<(&str, Change, &str)> = vec![
        (images, Box::new(patched(2, 9)), images),
        (images, Box::new(patched(3, 1)), images),
        (images, Box::new(patched(0, 255)), images),
        (images, Box::new(patched(4, 255)), images),
        (images, Box::new(patched(7, 19)), images),
        (images, Box::new(patched(11, 0)), images),
        (images, Box::new(|bytes| gz(&bytes[..10])), images),
        (images, Box::new(|bytes| gz(&bytes[..40])), images),
        (images, Box::new(|_| gz(b"")), images),
        (images, Box::new(|_| Vec::new()), images),
        (images, Box::new(|bytes| [&[0x1f, 0x8b][..], &bytes].concat()), "the gzip data is damaged"),
        (images, Box::new(|bytes| gz(&bytes)[..30].to_vec()), images),
        (
            images,
            Box::new(|bytes| {
                let mut packed = gz(&bytes);
                let middle = packed.len() / 2;
                packed[middle..].fill(0x5a);
                packed
            }),
            "the gzip data is damaged",
        ),
        (labels, Box::new(patched(8, 200)), "200"),
        (labels, Box::new(patched(3, 3)), labels),
        (labels, Box::new(|bytes| gz(&[&bytes[..7], &[9], &bytes[8..17]].concat())), labels),
    ];
    for (number, (bad, change, fragment)) in cases.iter().enumerate() {
        let folder = dir.path().join(format!("idx{number}"));
        write_idx(&folder, bad, change);
        refused(dir.path(), &["train", "mlp", "--data", arg(&folder), "--steps", "2"], FAILED, fragment);
    }
    fs::create_dir(dir.path().join("nothing")).unwrap();
    refused(dir.path(), &["train", "mlp", "--data", "nothing"], FAILED, "missing data_batch_1.bin");
}

#[test]
fn image_runs() {
    let run = Run::new(TINY_CIFAR);
    let good: Value = serde_json::from_slice(&run.read("config.json")).unwrap();
    for (pointer, value, fragment) in [
        ("/model/image", json!([3, 0, 32]), "the height of the images is 0"),
        ("/model/image", json!([3, 32]), "invalid length"),
        ("/model/image", json!([3, 4096, 4096]), "the model was made for [3, 4096, 4096]"),
        ("/model/classes", json!(0), "the number of classes is 0"),
        ("/model/classes", json!(11), "the model was made for"),
        ("/model/width", json!(u64::MAX), "the width of the layers"),
        ("/model/width", json!(8), "but must be"),
        ("/data/augment", json!("spin"), "unknown variant `spin`"),
        ("/data/held_out", json!(0), "the number of pictures is 0"),
    ] {
        let mut config = good.clone();
        *config.pointer_mut(pointer).unwrap() = value;
        run.refused("config.json", Some(&serde_json::to_vec(&config).unwrap()), fragment);
    }
}
