//! Train a small perceptron on generated images: `cargo run --release --example mlp -p anemone`.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use anemone::Device;
use anemone::nn::data::{Augment, shapes};
use anemone::nn::models::Mlp;
use anemone::nn::train::{Event, ImageData, TrainOptions, Trainer};
use std::ops::ControlFlow;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Mlp { image: [3, 32, 32], hidden: 128, classes: 10 };
    let options = TrainOptions { steps: 300, batch_size: 32, eval_every: 100, ..TrainOptions::default() };
    let data =
        ImageData::new(shapes::splits(0, 4_000, 500)?, Augment::None, options.batch_size, options.seed);
    let backend = Device::best().backend()?;
    let report = Trainer::new(&model, &data, &*backend, options)?.run(&mut |event| {
        if let Event::Evaluated { iteration, evaluation } = event {
            println!("step {iteration}: {:?}", evaluation.values);
        }
        ControlFlow::Continue(())
    })?;
    println!("{:.0} images per second", report.rate);
    Ok(())
}
