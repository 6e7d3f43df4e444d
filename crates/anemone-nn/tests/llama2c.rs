//! llama2.c checkpoints: what is written can be read, by this crate and by an independent reader of the layout; and
//! damaged files are refused with a sentence that names the fault.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_nn::models::{Llama, llama2c};
use anemone_runtime::{States, Tensor};
use mil::TensorType;
use std::fs;
use std::path::{Path, PathBuf};

fn model(tied: bool) -> Llama {
    Llama {
        dim: 16,
        hidden_dim: 24,
        n_layers: 2,
        n_heads: 4,
        n_kv_heads: 2,
        vocab_size: 12,
        seq_len: 8,
        tied,
    }
}

/// States in which every element of every weight is another number.
fn numbered(model: &Llama) -> States {
    let states = States::new();
    for (index, spec) in model.weights().unwrap().into_iter().enumerate() {
        let count = spec.ty.shape.count();
        let data: Vec<f32> = (0..count).map(|at| (index * 10_000 + at) as f32).collect();
        states.lock().insert(spec.name, Tensor::new(spec.ty.shape, &data).unwrap());
    }
    states
}

fn written(tied: bool) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    llama2c::write(&path, &model(tied), &numbered(&model(tied))).unwrap();
    (folder, path)
}

#[test]
fn what_is_written_is_read_back() {
    for tied in [true, false] {
        let (_folder, path) = written(tied);
        let (found, states) = llama2c::read(&path).unwrap();
        assert_eq!(found, model(tied));
        let expected = numbered(&found);
        assert_eq!(states.names(), expected.names());
        for name in states.names() {
            assert_eq!(states.get(&name), expected.get(&name), "{name}");
        }
    }
}

#[test]
fn states_that_are_no_weights_are_left_out() {
    let (folder, path) = written(true);
    let states = numbered(&model(true));
    states.ensure("adam_m_norm_weight", &TensorType::fp32([16])).unwrap();
    let other = folder.path().join("other.bin");
    llama2c::write(&other, &model(true), &states).unwrap();
    assert_eq!(fs::read(path).unwrap(), fs::read(other).unwrap());
}

/// The layout as llama2.c's `memory_map_weights` walks it, written out independently of the code under test.
#[test]
fn the_layout_is_that_of_llama2c() {
    for tied in [true, false] {
        let (_folder, path) = written(tied);
        let bytes = fs::read(path).unwrap();
        let word = |at: usize| i32::from_le_bytes(bytes[4 * at..4 * at + 4].try_into().unwrap());
        let header: Vec<i32> = (0..7).map(word).collect();
        assert_eq!(header, [16, 24, 2, 4, 2, if tied { 12 } else { -12 }, 8]);
        let floats: Vec<f32> =
            bytes[28..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        let states = numbered(&model(tied));
        let mut at = 0;
        let mut expect = |name: &str, count: usize| {
            let tensor = states.get(name).unwrap();
            assert_eq!(tensor.as_slice::<f32>().unwrap(), &floats[at..at + count], "{name} at {at}");
            at += count;
        };
        let (dim, hidden, kv) = (16, 24, 8);
        expect("tok_embeddings_weight", 12 * dim);
        for (name, count) in [
            ("attention_norm", dim),
            ("attention_q_proj", dim * dim),
            ("attention_k_proj", kv * dim),
            ("attention_v_proj", kv * dim),
            ("attention_out_proj", dim * dim),
            ("ffn_norm", dim),
            ("feed_forward_w1", hidden * dim),
            ("feed_forward_w2", dim * hidden),
            ("feed_forward_w3", hidden * dim),
        ] {
            for layer in 0..2 {
                expect(&format!("layers_{layer}_{name}_weight"), count);
            }
        }
        expect("norm_weight", dim);
        let tables = at;
        at += 2 * 8 * 2;
        if !tied {
            let output = states.get("output_weight").unwrap();
            assert_eq!(output.as_slice::<f32>().unwrap(), &floats[at..at + 12 * dim]);
            at += 12 * dim;
        }
        assert_eq!(at, floats.len());
        // Position 3, second pair of a head of 4: frequency 10000^(-2/4) = 0.01.
        let (cos, sin) = (floats[tables + 3 * 2 + 1], floats[tables + 16 + 3 * 2 + 1]);
        assert!((cos - 0.03f32.cos()).abs() < 1e-6 && (sin - 0.03f32.sin()).abs() < 1e-6);
    }
}

fn refusal(path: &Path) -> String {
    llama2c::read(path).expect_err("the file should have been refused").to_string()
}

#[test]
fn headers_that_make_no_sense_are_refused() {
    let (folder, path) = written(true);
    let good = fs::read(path).unwrap();
    // (word of the header, value, what the refusal must say)
    let cases: &[(usize, i32, &str)] = &[
        (0, 0, "dim as 0"),
        (0, -16, "dim as -16"),
        (0, i32::MAX, "dim as 2147483647"),
        (0, i32::MIN, "dim as -2147483648"),
        (0, 18, "heads must divide dim"),
        (0, 20, "even parts"),
        (0, 32, "cut short"),
        (1, 0, "hidden_dim as 0"),
        (1, -1, "hidden_dim as -1"),
        (1, 25, "cut short"),
        (1, 23, "bytes after its end"),
        (2, 0, "n_layers as 0"),
        (2, 1_000_000, "n_layers as 1000000"),
        (2, 4096, "cut short"),
        (2, 1, "bytes after its end"),
        (3, 0, "n_heads as 0"),
        (3, -4, "n_heads as -4"),
        (3, 3, "heads must divide dim"),
        (4, 0, "n_kv_heads as 0"),
        (4, 3, "key-value heads must divide heads"),
        (4, 4, "cut short"),
        (5, 0, "vocab_size as 0"),
        (5, i32::MIN, "vocab_size as 2147483647"),
        (5, -12, "cut short"),
        (5, 13, "cut short"),
        (6, 0, "seq_len as 0"),
        (6, 1 << 24, "cut short"),
        (6, 7, "bytes after its end"),
        (0, 0x616b_3432, "--version 0"),
    ];
    for &(word, value, expected) in cases {
        let mut bytes = good.clone();
        bytes[4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
        let path = folder.path().join("bad.bin");
        fs::write(&path, bytes).unwrap();
        let message = refusal(&path);
        assert!(
            message.contains(expected) && message.contains("bad.bin"),
            "word {word} = {value}: {message}"
        );
    }
}

#[test]
fn files_of_another_size_are_refused() {
    let (folder, path) = written(false);
    let good = fs::read(path).unwrap();
    let path = folder.path().join("bad.bin");
    for length in [0, 1, 27, 28, 29, good.len() / 2, good.len() - 4, good.len() - 1] {
        fs::write(&path, &good[..length]).unwrap();
        let message = refusal(&path);
        assert!(message.contains("header of 28") || message.contains("cut short"), "{length}: {message}");
    }
    fs::write(&path, [&good[..], &[0]].concat()).unwrap();
    assert!(refusal(&path).contains("bytes after its end"));
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path()).contains("a plain file is needed"));
    assert!(refusal(&folder.path().join("absent.bin")).contains("cannot find the file"));
    let path = folder.path().join("text.bin");
    fs::write(&path, "Once upon a time there was a file that held nothing but words.").unwrap();
    assert!(refusal(&path).contains("is no llama2.c checkpoint"));
}

#[test]
fn states_of_another_model_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let wider = Llama { dim: 32, ..model(true) };
    let message = llama2c::write(&path, &wider, &numbered(&model(true))).unwrap_err().to_string();
    assert!(message.contains("tok_embeddings_weight") && message.contains("[12, 16]"), "{message}");
    let message = llama2c::write(&path, &model(false), &numbered(&model(true))).unwrap_err().to_string();
    assert!(message.contains("`output_weight`: is missing"), "{message}");
    let message = llama2c::write(&path, &Llama { n_heads: 3, ..model(true) }, &States::new());
    assert!(message.unwrap_err().to_string().contains("heads"));
    assert!(!path.exists(), "a refused write left a file");
}
