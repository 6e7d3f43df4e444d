//! `anemone export`: every package computes what the run that it comes from computes.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

mod common;

use anemone::arrays::{Npz, write_npy};
use anemone::cpu::CpuBackend;
use anemone::mil::{Program, TensorType, verify};
use anemone::mlpackage::{ArrayFlexibility, FeatureType};
use anemone::nn::data::{Augment, shapes, tales};
use anemone::nn::models::{CifarCnn, Llama, llama2c};
use anemone::nn::tokenizer::AnyTokenizer;
use anemone::nn::train::{Checkpoint, Data, ImageData, StateSpec, TokenData, read_states};
use anemone::nn::{Graph, Mode, Module};
use anemone::runtime::{Backend, CompileOptions, States, Tensor};
use anemone::{Model, Output, Session, SessionOptions};
use common::{TINY_CIFAR, TINY_MLP, TINY_STORIES, join, refused, succeed};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A tiny run of a task, in `runs/TASK` of a new folder.
fn trained(task: &[&str], more: &[&str]) -> TempDir {
    let dir = TempDir::new().unwrap();
    succeed(dir.path(), &join(task, more));
    dir
}

/// Exports to `out.mlpackage` and opens it.
fn exported(dir: &Path, args: &[&str]) -> Model {
    succeed(dir, &join(&["export"], &join(args, &["-o", "out.mlpackage", "--force"])));
    Model::open(dir.join("out.mlpackage")).unwrap()
}

fn backend() -> CpuBackend {
    CpuBackend::with_threads(1).unwrap()
}

fn session(model: &Model, options: &SessionOptions) -> Session {
    model.session(&backend(), options).unwrap()
}

fn predict(session: &mut Session, inputs: &[(&str, &Tensor)]) -> BTreeMap<String, Output> {
    let inputs = inputs.iter().map(|(name, tensor)| (name.to_string(), (*tensor).clone())).collect();
    session.predict(&inputs).unwrap().into_iter().collect()
}

fn floats(outputs: &BTreeMap<String, Output>, name: &str) -> Vec<f32> {
    outputs[name].tensor().unwrap().to_f32().unwrap().into_owned()
}

/// What a layer gives for `x` with the weights of a run, by way of the graph that training and evaluation are built from.
fn forward(module: &dyn Module, checkpoint: &Path, x: &Tensor) -> Vec<f32> {
    let mut g = Graph::new("reference", Mode::Eval);
    let input = g.input("x", x.ty().clone()).unwrap();
    let y = module.forward(&mut g, input).unwrap();
    let specs: Vec<StateSpec> = g.parameters().iter().map(StateSpec::from).collect();
    let states = read_states(&Checkpoint::new(checkpoint).states_path(), &specs).unwrap();
    let program = verify(Program::single(g.finish(&[y]).unwrap())).unwrap();
    let mut executable = backend().compile(&program, &CompileOptions::sharing(&states)).unwrap();
    executable.call(&[x]).unwrap()[0].to_f32().unwrap().into_owned()
}

fn config(dir: &Path, run: &str) -> Value {
    serde_json::from_slice(&fs::read(dir.join(run).join("config.json")).unwrap()).unwrap()
}

/// The held-out images of a tiny run.
fn images(batch_size: usize) -> ImageData {
    ImageData::new(shapes::splits(0, 40, 40).unwrap(), Augment::None, batch_size, 0)
}

fn largest_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_classifier_gives_the_scores_of_its_run() {
    let dir = trained(TINY_CIFAR, &["--steps", "6"]);
    let run = dir.path().join("runs/cifar");
    let cnn: CifarCnn = serde_json::from_value(config(dir.path(), "runs/cifar")["model"].clone()).unwrap();
    let data = images(1);

    let arrays = exported(dir.path(), &["runs/cifar", "--dtype", "fp32"]);
    assert_eq!(arrays.package().specification_version(), 6, "nothing in it needs more than iOS 15");
    let scores_of = |image: &Tensor| forward(&cnn, &run, image);
    let mut on_arrays = session(&arrays, &SessionOptions::default());

    let pictures = exported(dir.path(), &["runs/cifar", "--dtype", "fp32", "--image"]);
    let feature = &pictures.description().functions[0].inputs[0];
    assert!(matches!(&feature.ty, FeatureType::Image(image) if image.width == 32), "{}", feature.ty);
    let mut on_pictures = session(&pictures, &SessionOptions::default());

    let half = exported(dir.path(), &["runs/cifar", "--image", "--io", "fp16"]);
    assert_eq!(half.description().functions[0].outputs[0].ty.to_string(), "MultiArray (Float16 [1, 10])");
    let mut in_half = session(&half, &SessionOptions::default());

    let labels = exported(dir.path(), &["runs/cifar", "--image", "--classes", "--io", "fp16"]);
    let mut in_words = session(&labels, &SessionOptions::default());

    for index in 0..8 {
        let image = &data.eval_batch(index).unwrap().inputs[0];
        let expected = scores_of(image);
        assert_eq!(floats(&predict(&mut on_arrays, &[("image", image)]), "logits"), expected);
        let size = 3 * 32 * 32;
        let raw = &data.splits.held_out.images()[index * size..][..size];
        let raw: Vec<f32> = raw.iter().map(|&pixel| f32::from(pixel)).collect();
        let raw = Tensor::new([1, 3, 32, 32], &raw).unwrap();
        assert_eq!(floats(&predict(&mut on_pictures, &[("image", &raw)]), "logits"), expected);

        // Scores of a few units, of which fp16 keeps three digits.
        let scale = expected.iter().fold(1.0f32, |scale, score| scale.max(score.abs()));
        let found = floats(&predict(&mut in_half, &[("image", &raw)]), "logits");
        assert!(largest_error(&found, &expected) <= 1e-2 * scale, "{found:?} {expected:?}");

        let answer = predict(&mut in_words, &[("image", &raw)]);
        let Output::Probabilities(probabilities) = &answer["classLabel_probs"] else { panic!("{answer:?}") };
        let names: Vec<String> = probabilities.iter().map(|(label, _)| label.to_string()).collect();
        assert_eq!(names, shapes::CLASS_NAMES);
        let sum: f64 = expected.iter().map(|score| f64::from(score - scale).exp()).sum();
        for ((_, found), score) in probabilities.iter().zip(&expected) {
            assert!((found - f64::from(score - scale).exp() / sum).abs() < 5e-3, "{answer:?} {expected:?}");
        }
        let best = probabilities.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert_eq!(answer["classLabel"], Output::Label(best.0.clone()));
    }
}

#[test]
fn the_command_line_runs_what_it_exported() {
    let dir = trained(TINY_MLP, &["--steps", "4"]);
    let model: anemone::nn::models::Mlp =
        serde_json::from_value(config(dir.path(), "runs/mlp")["model"].clone()).unwrap();
    succeed(dir.path(), &["export", "runs/mlp", "-o", "mlp.mlpackage", "--dtype", "fp32"]);
    let image = images(1).eval_batch(3).unwrap().inputs.remove(0);
    let file = fs::File::create(dir.path().join("image.npy")).unwrap();
    write_npy(file, &image).unwrap();
    succeed(dir.path(), &["run", "mlp.mlpackage", "--input", "image.npy", "--output", "out.npz"]);
    let found =
        Npz::open(&dir.path().join("out.npz")).unwrap().read("logits", &TensorType::fp32([1, 10])).unwrap();
    assert_eq!(found.to_f32().unwrap(), forward(&model, &dir.path().join("runs/mlp"), &image));
    assert!(succeed(dir.path(), &["verify", "mlp.mlpackage"]).contains("valid"));
}

fn llama(dir: &Path) -> Llama {
    serde_json::from_value(config(dir, "runs/stories")["model"].clone()).unwrap()
}

fn tokens(count: usize) -> Tensor {
    let tokens: Vec<i32> = (0..count as i32).map(|at| (at * 37 + 5) % 290).collect();
    Tensor::new([1, count], &tokens).unwrap()
}

/// As a run of several heads that share keys, so that the odd reshapes of such models are there.
const GROUPED: &[&str] = &["--steps", "6", "--kv-heads", "1"];

#[test]
fn a_language_model_gives_the_scores_of_its_run() {
    let dir = trained(TINY_STORIES, GROUPED);
    let (run, model) = (dir.path().join("runs/stories"), llama(dir.path()));
    let package = exported(dir.path(), &["runs/stories", "--dtype", "fp32"]);
    let x = tokens(model.seq_len);
    let expected = forward(&model, &run, &x);
    let found = predict(&mut session(&package, &SessionOptions::default()), &[("tokens", &x)]);
    assert_eq!(**found["logits"].tensor().unwrap().shape(), [1, model.seq_len, model.vocab_size]);
    assert_eq!(floats(&found, "logits"), expected);

    let half = exported(dir.path(), &["runs/stories"]);
    let found = predict(&mut session(&half, &SessionOptions::default()), &[("tokens", &x)]);
    let scale = expected.iter().fold(0.0f32, |scale, score| scale.max(score.abs()));
    assert!(largest_error(&floats(&found, "logits"), &expected) <= 1e-2 * scale);
}

#[test]
fn one_program_takes_each_of_the_lengths() {
    // The 16 of the lengths is a size of the model as well, which must not be taken for the length.
    for heads in ["1", "2"] {
        let dir = trained(TINY_STORIES, &["--steps", "2", "--kv-heads", heads]);
        let (run, model) = (dir.path().join("runs/stories"), llama(dir.path()));
        for dtype in ["fp32", "fp16"] {
            let lengths = ["runs/stories", "--dtype", dtype, "--lengths", "16,4,9"];
            let package = exported(dir.path(), &lengths);
            let feature = &package.description().functions[0].inputs[0];
            let FeatureType::Array(array) = &feature.ty else { panic!("{}", feature.ty) };
            let shapes = ArrayFlexibility::Enumerated(vec![vec![1, 4], vec![1, 9], vec![1, 16]]);
            assert_eq!(array.flexibility, shapes);
            assert_eq!(package.program().functions.len(), 1);
            let mut open = session(&package, &SessionOptions::default());
            for length in [4, 9, 16] {
                let x = tokens(length);
                let mut bound = SessionOptions::default();
                bound.shapes.insert("tokens".into(), x.shape().clone());
                let found = floats(&predict(&mut session(&package, &bound), &[("tokens", &x)]), "logits");
                let expected = forward(&model, &run, &x);
                match dtype {
                    "fp32" => assert_eq!(found, expected),
                    _ => assert!(largest_error(&found, &expected) < 1e-2),
                }
                assert_eq!(floats(&predict(&mut open, &[("tokens", &x)]), "logits"), found);
            }
        }
        let mut file = fs::File::create(dir.path().join("five.npy")).unwrap();
        write_npy(&mut file, &tokens(5)).unwrap();
        refused(
            dir.path(),
            &["run", "out.mlpackage", "--input", "five.npy"],
            1,
            "[1, 4] or [1, 9] or [1, 16]",
        );
    }
}

/// The likeliest tokens after a prompt, one call a token.
fn written(package: &Model, prompt: &[i32], count: usize) -> Vec<u64> {
    let mut session = session(package, &SessionOptions::default());
    let (mut tokens, mut written) = (prompt.to_vec(), Vec::new());
    for position in 0..prompt.len() + count - 1 {
        let token = Tensor::new([1, 1], &tokens[position..=position]).unwrap();
        let place = Tensor::new([1], &[position as i32]).unwrap();
        let scores = floats(&predict(&mut session, &[("token", &token), ("position", &place)]), "logits");
        if position + 1 < tokens.len() {
            continue;
        }
        // Of equal scores the first, as the sampler has it.
        let best = (0..scores.len()).fold(0, |best, at| if scores[at] > scores[best] { at } else { best });
        tokens.push(best as i32);
        written.push(best as u64);
    }
    written
}

#[test]
fn a_decoder_writes_what_generate_writes() {
    let dir = trained(TINY_STORIES, &["--steps", "40", "--kv-heads", "1", "--lr", "0.01"]);
    let prompt = AnyTokenizer::load(&dir.path().join("runs/stories/tokenizer.bin")).unwrap();
    let prompt = anemone::nn::tokenizer::Tokenizer::encode_with_bos(&prompt, "Once").unwrap();
    let prompt: Vec<i32> = prompt.into_iter().map(|token| token as i32).collect();
    let generate =
        ["generate", "runs/stories", "--prompt", "Once", "--temperature", "0", "--tokens", "8", "--json"];
    let line: Value = serde_json::from_str(&succeed(dir.path(), &generate)).unwrap();
    let expected: Vec<u64> = line["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap()).collect();
    assert!(expected.len() > 3, "{line}");
    for dtype in ["fp32", "fp16"] {
        let package = exported(dir.path(), &["runs/stories", "--stateful", "--dtype", dtype]);
        let states = &package.description().functions[0].states;
        assert_eq!(states.len(), 2);
        for state in states {
            let FeatureType::State(array) = &state.ty else { panic!("{}", state.ty) };
            assert_eq!(array.dtype.name(), "Float16", "Core ML takes no other states");
        }
        assert_eq!(written(&package, &prompt, expected.len()), expected, "{dtype}");
    }
}

#[test]
fn a_llama2c_checkpoint_is_exported_too() {
    let dir = trained(TINY_STORIES, &["--steps", "2"]);
    let model = llama(dir.path());
    let states = Checkpoint::new(dir.path().join("runs/stories")).states_path();
    let weights = read_states(&states, &model.weights().unwrap()).unwrap();
    llama2c::write(&dir.path().join("tiny.bin"), &model, &weights).unwrap();
    let from_run = exported(dir.path(), &["runs/stories"]).program().clone();
    let from_file = exported(dir.path(), &["tiny.bin"]);
    assert_eq!(*from_run, **from_file.program());
    let known = &from_file.description().metadata.user_defined;
    assert_eq!(known["anemone.checkpoint"], "tiny.bin");
    refused(
        dir.path(),
        &["export", "tiny.bin", "-o", "x.mlpackage", "--trainable"],
        2,
        "no run to go on with",
    );
}

/// The losses of a run by iteration, from its log.
fn losses(run: &Path) -> Vec<f32> {
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| Some(line["train"].get("loss")?.as_f64()? as f32)).collect()
}

/// Three steps of a package's training step from zeros, on the batches from `first` on.
fn steps_in_states(package: &Model, data: &dyn Data, names: [&str; 2], first: u64) -> (Vec<f32>, States) {
    let states = States::new();
    let options = SessionOptions { states: states.clone(), ..SessionOptions::default() };
    let mut session = session(package, &options);
    let mut step = |iteration| {
        let batch = data.train_batch(iteration).unwrap().inputs;
        floats(&predict(&mut session, &[(names[0], &batch[0]), (names[1], &batch[1])]), "loss")[0]
    };
    let losses = (first..first + 3).map(&mut step).collect();
    (losses, states)
}

#[test]
fn a_training_step_goes_on_where_the_run_stopped() {
    let constant = ["--schedule", "constant", "--warmup", "0", "--save-every", "1", "--eval-every", "100"];
    let dir = trained(TINY_MLP, &join(&constant, &["--steps", "4"]));
    succeed(dir.path(), &["export", "runs/mlp", "-o", "step.mlpackage", "--trainable"]);
    succeed(dir.path(), &["export", "runs/mlp", "-o", "arrays.mlpackage", "--trainable", "--arrays"]);
    succeed(dir.path(), &["train", "--resume", "runs/mlp", "--steps", "7", "--quiet"]);
    let expected = losses(&dir.path().join("runs/mlp"));
    let data = images(4);

    let package = Model::open(dir.path().join("step.mlpackage")).unwrap();
    assert_eq!(package.description().default_function.as_deref(), Some("train_step"));
    let (found, states) = steps_in_states(&package, &data, ["images", "labels"], 4);
    assert_eq!(found, expected[4..7]);
    assert_eq!(states.get("iteration").unwrap().as_slice::<i32>().unwrap(), [7]);

    // The evaluation shares the states: it sees what the three steps learned.
    let evaluation =
        SessionOptions { function: Some("evaluate".into()), states, ..SessionOptions::default() };
    let batch = data.eval_batch(0).unwrap().inputs;
    let outputs =
        predict(&mut session(&package, &evaluation), &[("images", &batch[0]), ("labels", &batch[1])]);
    let eval = ["eval", "runs/mlp", "--json"];
    let line: Value = serde_json::from_str(&succeed(dir.path(), &eval)).unwrap();
    let all: f64 = (0..10)
        .map(|index| {
            let batch = data.eval_batch(index).unwrap().inputs;
            let inputs = [("images", &batch[0]), ("labels", &batch[1])];
            f64::from(floats(&predict(&mut session(&package, &evaluation), &inputs), "loss")[0])
        })
        .sum();
    assert!((all / 10.0 - line["loss"].as_f64().unwrap()).abs() < 1e-6, "{all} {line}");
    assert!(floats(&outputs, "loss")[0].is_finite());

    // The same without states: what comes out goes in again.
    let package = Model::open(dir.path().join("arrays.mlpackage")).unwrap();
    assert!(package.description().functions.iter().all(|function| function.states.is_empty()));
    let mut session = session(&package, &SessionOptions::default());
    let mut carried: BTreeMap<String, Tensor> = BTreeMap::new();
    for feature in session.inputs().to_vec() {
        carried.insert(feature.name.clone(), Tensor::zeros(feature.ty.clone()).unwrap());
    }
    for iteration in 4..7 {
        let batch = data.train_batch(iteration).unwrap().inputs;
        carried.insert("images".into(), batch[0].clone());
        carried.insert("labels".into(), batch[1].clone());
        for (name, value) in session.predict(&carried).unwrap() {
            let tensor = value.tensor().unwrap().clone();
            match name.strip_suffix("_out") {
                Some(name) => drop(carried.insert(name.to_string(), tensor)),
                None if name == "loss" => {
                    assert_eq!(tensor.as_slice::<f32>().unwrap(), [expected[iteration as usize]]);
                }
                None => {}
            }
        }
    }
    assert_eq!(carried["iteration"].as_slice::<i32>().unwrap(), [7]);
}

#[test]
fn a_training_step_in_half_precision_goes_on_too() {
    let more =
        ["--schedule", "constant", "--warmup", "0", "--eval-every", "100", "--dtype", "fp16", "--steps", "3"];
    let dir = trained(TINY_STORIES, &more);
    let package = exported(dir.path(), &["runs/stories", "--trainable"]);
    succeed(dir.path(), &["train", "--resume", "runs/stories", "--steps", "6", "--quiet"]);
    let tokenizer = AnyTokenizer::load(&dir.path().join("runs/stories/tokenizer.bin")).unwrap();
    let splits = tales::splits(0, 40, 40, &tokenizer).unwrap();
    let data = TokenData { splits, batch_size: 2, seq_len: 16, seed: 0 };
    let (found, _) = steps_in_states(&package, &data, ["tokens", "targets"], 3);
    assert_eq!(found, losses(&dir.path().join("runs/stories"))[3..6]);
}

/// Every file of a package and its bytes.
fn files(package: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![package.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let path = entry.path().strip_prefix(package).unwrap().to_path_buf();
                    found.insert(path, fs::read(entry.path()).unwrap());
                }
            }
        }
    }
    found
}

#[test]
fn packages_say_where_they_come_from_and_are_the_same_every_time() {
    let dir = trained(TINY_MLP, &["--steps", "2"]);
    let author = ["--author", "Ada", "--license", "MIT", "--classes", "--image"];
    let args = |output| join(&["export", "runs/mlp", "-o", output, "--json"], &author);
    let line: Value = serde_json::from_str(&succeed(dir.path(), &args("a.mlpackage"))).unwrap();
    assert_eq!(line["functions"], serde_json::json!(["main"]));
    succeed(dir.path(), &args("b.mlpackage"));
    let bytes = files(&dir.path().join("a.mlpackage"));
    assert_eq!(bytes.len(), 3);
    assert_eq!(bytes, files(&dir.path().join("b.mlpackage")));

    let model = Model::open(dir.path().join("a.mlpackage")).unwrap();
    let metadata = &model.description().metadata;
    assert_eq!((metadata.author.as_str(), metadata.license.as_str()), ("Ada", "MIT"));
    assert!(metadata.description.contains("MLP") && metadata.description.contains("2 steps"));
    let known = &metadata.user_defined;
    assert_eq!((known["anemone.task"].as_str(), known["anemone.steps"].as_str()), ("mlp", "2"));
    let eval: Value = serde_json::from_str(&succeed(dir.path(), &["eval", "runs/mlp", "--json"])).unwrap();
    let loss: f64 = known["anemone.held_out_loss"].parse().unwrap();
    assert!(loss.is_finite() && eval["loss"].as_f64().unwrap().is_finite());
}

#[test]
fn what_cannot_be_is_refused_before_any_work() {
    let dir = trained(TINY_MLP, &["--steps", "1"]);
    let refuse =
        |args: &[&str], code, fragment| refused(dir.path(), &join(&["export"], args), code, fragment);
    refuse(&["runs/mlp", "-o", "model.mil"], 2, "ends in .mlpackage");
    refuse(&["runs/none", "-o", "x.mlpackage"], 2, "does not exist");
    refuse(&["runs/mlp", "-o", "x.mlpackage", "--stateful"], 2, "for language models");
    refuse(&["runs/mlp", "-o", "x.mlpackage", "--lengths", "4"], 2, "for language models");
    refuse(&["runs/mlp", "-o", "x.mlpackage", "--trainable", "--dtype", "fp16"], 2, "cannot be used with");
    refuse(&["runs/mlp", "-o", "x.mlpackage", "--arrays"], 2, "--trainable");
    refuse(&["runs/mlp", "-o", "x.mlpackage", "--lengths", "0"], 2, "whole number");
    assert!(!dir.path().join("x.mlpackage").exists());

    succeed(dir.path(), &["export", "runs/mlp", "-o", "x.mlpackage"]);
    let before = files(&dir.path().join("x.mlpackage"));
    refuse(&["runs/mlp", "-o", "x.mlpackage", "--dtype", "fp32"], 1, "--force to replace it");
    assert_eq!(files(&dir.path().join("x.mlpackage")), before);
    fs::create_dir(dir.path().join("mine.mlpackage")).unwrap();
    fs::write(dir.path().join("mine.mlpackage/notes.txt"), "mine").unwrap();
    refuse(&["runs/mlp", "-o", "mine.mlpackage", "--force"], 1, "it is no model package");
    assert_eq!(fs::read(dir.path().join("mine.mlpackage/notes.txt")).unwrap(), b"mine");
    succeed(dir.path(), &["export", "runs/mlp", "-o", "x.mlpackage", "--dtype", "fp32", "--force"]);
    assert_ne!(files(&dir.path().join("x.mlpackage")), before);

    fs::write(dir.path().join("runs/mlp/states.safetensors"), b"damaged").unwrap();
    refuse(&["runs/mlp", "-o", "y.mlpackage"], 1, "states.safetensors");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".part")), "{left:?}");
}
