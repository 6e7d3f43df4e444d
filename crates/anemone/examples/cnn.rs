//! Train a convolutional network on generated images: `cargo run --release --example cnn -p anemone`.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use anemone::Device;
use anemone::nn::data::{Augment, shapes};
use anemone::nn::models::CifarCnn;
use anemone::nn::optim::{Optimizer, SGD};
use anemone::nn::train::{Event, ImageData, StepOptions, TrainOptions, Trainer};
use std::ops::ControlFlow;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sgd = SGD { lr: 0.05, momentum: 0.9, weight_decay: 5e-4, nesterov: false };
    let step = StepOptions { optimizer: Optimizer::SGD(sgd), ..StepOptions::default() };
    let options =
        TrainOptions { steps: 1000, batch_size: 64, eval_every: 200, step, ..TrainOptions::default() };
    let data =
        ImageData::new(shapes::splits(0, 20_000, 1_000)?, Augment::None, options.batch_size, options.seed);
    let backend = Device::best().backend()?;
    let report = Trainer::new(&CifarCnn::new(), &data, &*backend, options)?.run(&mut |event| {
        if let Event::Evaluated { iteration, evaluation } = event {
            println!("step {iteration}: {:?}", evaluation.values);
        }
        ControlFlow::Continue(())
    })?;
    println!("{:.0} images per second, {:.0} s", report.rate, report.seconds);
    Ok(())
}
