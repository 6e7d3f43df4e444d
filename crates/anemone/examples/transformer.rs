//! Train a small Llama on generated tales: `cargo run --release --example transformer -p anemone`.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use anemone::Device;
use anemone::nn::data::tales;
use anemone::nn::models::Llama;
use anemone::nn::optim::{AdamW, Optimizer, Schedule};
use anemone::nn::tokenizer::Tokenizer;
use anemone::nn::train::{Event, StepOptions, TokenData, TrainOptions, Trainer};
use std::ops::ControlFlow;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tokenizer = tales::tokenizer(0, 512)?;
    let vocab_size = tokenizer.vocab_size();
    let model = Llama { vocab_size, ..Llama::preset("char").ok_or("no such preset")? };
    let adamw = AdamW { lr: 2e-3, betas: (0.9, 0.99), weight_decay: 0.1, ..AdamW::default() };
    let step = StepOptions {
        optimizer: Optimizer::AdamW(adamw),
        schedule: Schedule::WarmupCosine { warmup: 50, total: 500, min_ratio: 0.1 },
        clip_norm: Some(1.0),
        decay_matrices_only: true,
        ..StepOptions::default()
    };
    let options =
        TrainOptions { steps: 500, batch_size: 16, eval_every: 100, step, ..TrainOptions::default() };
    let splits = tales::splits(0, 20_000, 500, &tokenizer)?;
    let data =
        TokenData { splits, batch_size: options.batch_size, seq_len: model.seq_len, seed: options.seed };
    let backend = Device::best().backend()?;
    let report = Trainer::new(&model, &data, &*backend, options)?.run(&mut |event| {
        if let Event::Evaluated { iteration, evaluation } = event {
            println!("step {iteration}: held-out loss {:.3}", evaluation.loss());
        }
        ControlFlow::Continue(())
    })?;
    println!("{:.0} tokens per second, {:.0} s", report.rate, report.seconds);
    Ok(())
}
