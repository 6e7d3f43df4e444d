//! Training against an independent implementation: the same initial weights, batches and hyperparameters as PyTorch runs
//! whose curves stand in `tests/golden` (made by `tools/golden/train.py`; each file states its formulas).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test that cannot go on fails, and tells what it measured"
)]

use anemone::Device;
use anemone::nn::NnError;
use anemone::nn::models::{CifarCnn, Llama};
use anemone::nn::optim::{AdamW, Optimizer, SGD};
use anemone::nn::train::{Batch, Data, Model, StepOptions, TrainOptions, Trainer};
use anemone::runtime::Tensor;
use serde_json::Value;
use std::collections::BTreeMap;

fn golden(name: &str) -> Value {
    let path = format!("{}/../../tests/golden/train_{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn hash(seed: u64, stream: u64, index: u64) -> u64 {
    let x = seed.wrapping_add(stream << 32).wrapping_add(index);
    let z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Uniform in `-scale..scale`.
fn symmetric(seed: u64, stream: u64, index: u64, scale: f32) -> f32 {
    let unit = (hash(seed, stream, index) >> 40) as f32 / 16_777_216.0;
    (unit - 0.5) * 2.0 * scale
}

struct Tokens {
    seed: u64,
    vocab: u64,
}

impl Data for Tokens {
    fn train_batch(&self, iteration: u64) -> Result<Batch, NnError> {
        let (mut tokens, mut targets) = (Vec::new(), Vec::new());
        for row in 0..4 {
            let start = hash(self.seed, iteration, 2 * row) % self.vocab;
            let stride = 1 + hash(self.seed, iteration, 2 * row + 1) % 5;
            let token = |at: u64| ((start + at * stride) % self.vocab) as i32;
            tokens.extend((0..32).map(token));
            targets.extend((1..33).map(token));
        }
        let inputs = vec![Tensor::new([4, 32], &tokens)?, Tensor::new([4, 32], &targets)?];
        Ok(Batch { inputs, valid: 128 })
    }

    fn unit(&self) -> &'static str {
        "tokens"
    }

    fn batch_examples(&self) -> usize {
        128
    }
}

struct Images {
    seed: u64,
    pattern_seed: u64,
}

impl Data for Images {
    fn train_batch(&self, iteration: u64) -> Result<Batch, NnError> {
        let labels: Vec<i32> =
            (0..16).map(|image| (hash(self.seed, 2 * iteration, image) % 10) as i32).collect();
        let mut pixels = Vec::with_capacity(16 * 3 * 32 * 32);
        for at in 0..16 * 3 * 32 * 32u64 {
            let (w, h, c, image) = (at % 32, at / 32 % 32, at / 1024 % 3, at / 3072);
            let class = labels[image as usize] as u64;
            let place = ((class * 3 + c) * 4 + h / 8) * 4 + w / 8;
            let pattern = symmetric(self.pattern_seed, 0, place, 1.0);
            pixels.push(pattern + symmetric(self.seed, 2 * iteration + 1, at, 1.0));
        }
        let inputs = vec![Tensor::new([16, 3, 32, 32], &pixels)?, Tensor::new([16], &labels)?];
        Ok(Batch { inputs, valid: 16 })
    }

    fn unit(&self) -> &'static str {
        "images"
    }

    fn batch_examples(&self) -> usize {
        16
    }
}

/// How far each kind of figure may be from the golden one, relatively.
struct Bounds {
    loss: f64,
    gradient_norm: f64,
    weights: f64,
}

/// Trains from the formula's weights and compares every figure of the file. `name_of` gives our name of a parameter.
fn compare(
    golden: &Value,
    model: &dyn Model,
    data: &dyn Data,
    options: TrainOptions,
    name_of: impl Fn(&str) -> String,
    bounds: &Bounds,
) {
    let backend = Device::Cpu.backend().unwrap();
    let mut trainer = Trainer::new(model, data, &*backend, options).unwrap();
    set_weights(golden, &trainer, &name_of);
    let (losses, norms) = (numbers(&golden["losses"]), numbers(&golden["gradient_norms"]));
    assert_eq!(losses.len(), 50);
    let (mut worst_loss, mut worst_norm) = (0f64, 0f64);
    for (step, (loss, norm)) in losses.into_iter().zip(norms).enumerate() {
        let values = trainer.step().unwrap();
        let relative = |name: &str, expected: f64| (f64::from(values[name]) - expected).abs() / expected;
        worst_loss = worst_loss.max(relative("loss", loss));
        worst_norm = worst_norm.max(relative("grad_norm", norm));
        assert!(
            worst_loss <= bounds.loss,
            "step {step}: loss {} is not {loss} ({worst_loss:.2e})",
            values["loss"]
        );
        assert!(
            worst_norm <= bounds.gradient_norm,
            "step {step}: gradient norm {} is not {norm} ({worst_norm:.2e})",
            values["grad_norm"]
        );
    }
    let worst_weights = compare_weights(golden, &trainer, &name_of, bounds.weights);
    let worst_running = compare_running_statistics(golden, &trainer, &name_of, bounds.weights);
    println!(
        "largest relative differences over 50 steps: loss {worst_loss:.2e}, gradient norm {worst_norm:.2e}, weights {worst_weights:.2e}, running statistics {worst_running:.2e}"
    );
}

fn set_weights(golden: &Value, trainer: &Trainer<'_>, name_of: &impl Fn(&str) -> String) {
    let seed = golden["weight_seed"].as_u64().unwrap();
    let parameters = golden["parameters"].as_array().unwrap();
    let trained = trainer.programs().states.iter().filter(|state| state.trainable).count();
    assert_eq!(parameters.len(), trained, "the models have different numbers of parameters");
    for (index, parameter) in parameters.iter().enumerate() {
        let shape: Vec<usize> = numbers(&parameter["shape"]).into_iter().map(|size| size as usize).collect();
        let (scale, offset) = (number(&parameter["scale"]) as f32, number(&parameter["offset"]) as f32);
        let count = shape.iter().product::<usize>() as u64;
        let data: Vec<f32> = (0..count).map(|at| offset + symmetric(seed, index as u64, at, scale)).collect();
        let name = name_of(parameter["name"].as_str().unwrap());
        trainer.states().set(&name, &Tensor::new(shape, &data).unwrap()).unwrap();
    }
}

/// Means and mean sizes of all weights, relative to the mean size.
fn compare_weights(
    golden: &Value,
    trainer: &Trainer<'_>,
    name_of: &impl Fn(&str) -> String,
    bound: f64,
) -> f64 {
    let mut worst = 0f64;
    for (name, expected) in golden["final"].as_object().unwrap() {
        let tensor = trainer.states().get(&name_of(name)).unwrap();
        let data = tensor.as_slice::<f32>().unwrap();
        let mean = |f: fn(f64) -> f64| data.iter().map(|&x| f(f64::from(x))).sum::<f64>() / data.len() as f64;
        let size = number(&expected["abs_mean"]);
        let of_size = (mean(f64::abs) - size).abs() / size;
        let of_mean = (mean(|x| x) - number(&expected["mean"])).abs() / size;
        assert!(
            of_size <= bound && of_mean <= bound,
            "{name}: sizes differ by {of_size:.2e}, means by {of_mean:.2e}"
        );
        worst = worst.max(of_size).max(of_mean);
    }
    worst
}

/// Running means and variances, relative to the largest of their tensor.
fn compare_running_statistics(
    golden: &Value,
    trainer: &Trainer<'_>,
    name_of: &impl Fn(&str) -> String,
    bound: f64,
) -> f64 {
    let mut worst = 0f64;
    for (name, expected) in golden["running_statistics"].as_object().into_iter().flatten() {
        let tensor = trainer.states().get(&name_of(name)).unwrap();
        let expected = numbers(expected);
        let scale = expected.iter().fold(0f64, |scale, x| scale.max(x.abs()));
        for (&found, expected) in tensor.as_slice::<f32>().unwrap().iter().zip(expected) {
            let difference = (f64::from(found) - expected).abs() / scale;
            assert!(difference <= bound, "{name}: {found} is not {expected}");
            worst = worst.max(difference);
        }
    }
    worst
}

#[test]
fn the_transformer_trains_as_in_pytorch() {
    let golden = golden("llama");
    let size = |name: &str| golden["config"][name].as_u64().unwrap() as usize;
    let model = Llama {
        dim: size("dim"),
        hidden_dim: size("hidden"),
        n_layers: size("layers"),
        n_heads: size("heads"),
        n_kv_heads: size("kv_heads"),
        vocab_size: size("vocab"),
        seq_len: size("sequence"),
        tied: true,
    };
    let data = Tokens { seed: size("data_seed") as u64, vocab: size("vocab") as u64 };
    let hyper = |name: &str| number(&golden["optimizer"][name]) as f32;
    let betas = numbers(&golden["optimizer"]["betas"]);
    let adamw = AdamW {
        lr: hyper("lr"),
        betas: (betas[0] as f32, betas[1] as f32),
        eps: hyper("eps"),
        weight_decay: hyper("weight_decay"),
    };
    let step = StepOptions {
        optimizer: Optimizer::AdamW(adamw),
        clip_norm: Some(hyper("clip_norm")),
        decay_matrices_only: true,
        ..StepOptions::default()
    };
    let options = TrainOptions { batch_size: size("batch"), step, ..TrainOptions::default() };
    let projections = [("wq", "q_proj"), ("wk", "k_proj"), ("wv", "v_proj"), ("wo", "out_proj")];
    let name_of = |name: &str| {
        let name = name.replace('.', "_");
        projections
            .iter()
            .fold(name, |name, (theirs, ours)| name.replace(&format!("_{theirs}_"), &format!("_{ours}_")))
    };
    let bounds = Bounds { loss: 1e-3, gradient_norm: 1e-3, weights: 1e-3 };
    compare(&golden, &model, &data, options, name_of, &bounds);
}

#[test]
fn the_cnn_trains_as_in_pytorch() {
    let golden = golden("cnn");
    let seed = |name: &str| golden["config"][name].as_u64().unwrap();
    let data = Images { seed: seed("data_seed"), pattern_seed: seed("pattern_seed") };
    let hyper = |name: &str| number(&golden["optimizer"][name]) as f32;
    let sgd = SGD {
        lr: hyper("lr"),
        momentum: hyper("momentum"),
        weight_decay: hyper("weight_decay"),
        nesterov: false,
    };
    let step = StepOptions { optimizer: Optimizer::SGD(sgd), ..StepOptions::default() };
    let options = TrainOptions { batch_size: 16, step, ..TrainOptions::default() };
    // Places of the five convolutions in the model's sequence; each is followed by its normalization.
    let mut places = BTreeMap::from([("linear".to_string(), "classifier".to_string())]);
    for (index, place) in [0, 3, 7, 10, 14].into_iter().enumerate() {
        places.insert(format!("conv{index}"), format!("features_{place}"));
        places.insert(format!("bn{index}"), format!("features_{}", place + 1));
    }
    let name_of = |name: &str| {
        let (layer, parameter) = name.split_once('.').unwrap();
        format!("{}_{parameter}", places[layer])
    };
    // Rounding alone moves PyTorch's own curve by 7e-5, its gradient norms by 5e-4 and its weights by 4e-4.
    let bounds = Bounds { loss: 1e-3, gradient_norm: 1e-2, weights: 5e-3 };
    compare(&golden, &CifarCnn::new(), &data, options, name_of, &bounds);
}
