//! The CNN and the transformer train on simulated engines: near `fp32`, with the engine's own numbers, and metered.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone::Device;
use anemone::nn::NnError;
use anemone::nn::data::{Augment, shapes};
use anemone::nn::models::{CifarCnn, Llama};
use anemone::nn::train::{
    Batch, Data, ImageData, LossScaling, Model, Precision, StepOptions, TrainOptions, Trainer,
};
use anemone::runtime::{Meter, Tensor};

const STEPS: usize = 6;

/// Losses of the first steps, and what the device would have spent.
fn losses(
    device: &str,
    model: &dyn Model,
    data: &dyn Data,
    precision: Precision,
) -> (Vec<f32>, Option<Meter>) {
    let backend = device.parse::<Device>().unwrap().backend().unwrap();
    let step = StepOptions { precision, ..StepOptions::default() };
    let options = TrainOptions { steps: STEPS as u64, batch_size: 8, step, ..TrainOptions::default() };
    let mut trainer = Trainer::new(model, data, &*backend, options).unwrap();
    let losses = (0..STEPS).map(|_| trainer.step().unwrap()["loss"]).collect();
    (losses, backend.meter())
}

fn train_on_simulated_engines(model: &dyn Model, data: &dyn Data) {
    let half = Precision::Fp16(LossScaling::default());
    let (exact, none) = losses("cpu", model, data, Precision::Fp32);
    assert_eq!(none, None, "the CPU is not simulated");
    let (ieee, _) = losses("cpu", model, data, half);
    for chip in ["m1", "m5"] {
        let (simulated, meter) = losses(&format!("simulated:{chip}"), model, data, half);
        assert_ne!(simulated, ieee, "{chip} has numbers of its own");
        for (step, (found, wanted)) in simulated.iter().zip(&exact).enumerate() {
            assert!((found / wanted - 1.0).abs() < 0.02, "{chip}, step {step}: {found}, in fp32 {wanted}");
        }
        let meter = meter.unwrap();
        assert_eq!(meter.calls, STEPS as u64);
        assert!(meter.dispatches >= meter.calls && meter.on_device > 0 && meter.on_host > 0, "{meter:?}");
        assert!(meter.compile_seconds > 0.0 && meter.host_bytes > 0, "{meter:?}");
        assert_eq!(meter.host_operations % meter.calls, 0, "the same in every step: {meter:?}");
        assert!(meter.seconds > 0.0 && meter.seconds.is_finite() && meter.millijoules > 0.0, "{meter:?}");
    }
}

#[test]
fn the_cnn_trains_on_simulated_engines() {
    let data = ImageData::new(shapes::splits(3, 64, 10).unwrap(), Augment::None, 8, 0);
    train_on_simulated_engines(&CifarCnn { width: 8, ..CifarCnn::new() }, &data);
}

/// The same rule in every sequence: the next token is the last one plus its step.
struct Counting {
    seq_len: usize,
    vocab: usize,
}

impl Data for Counting {
    fn train_batch(&self, iteration: u64) -> Result<Batch, NnError> {
        let token =
            |row: usize, at: usize| ((iteration as usize + row) * 7 + at * (1 + row % 3)) % self.vocab;
        let rows = |shift: usize| -> Vec<i32> {
            (0..8).flat_map(|row| (0..self.seq_len).map(move |at| token(row, at + shift) as i32)).collect()
        };
        let tensor = |data: Vec<i32>| Tensor::new([8, self.seq_len], &data).unwrap();
        Ok(Batch { inputs: vec![tensor(rows(0)), tensor(rows(1))], valid: 8 })
    }

    fn unit(&self) -> &'static str {
        "tokens"
    }

    fn batch_examples(&self) -> usize {
        8 * self.seq_len
    }
}

#[test]
fn the_transformer_trains_on_simulated_engines() {
    let model = Llama {
        dim: 32,
        hidden_dim: 48,
        n_layers: 2,
        n_heads: 4,
        n_kv_heads: 2,
        vocab_size: 29,
        seq_len: 16,
        tied: true,
    };
    train_on_simulated_engines(&model, &Counting { seq_len: model.seq_len, vocab: model.vocab_size });
}
