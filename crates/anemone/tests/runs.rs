//! Whole runs: stopped, resumed, evaluated from their checkpoints.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone::Device;
use anemone::nn::data::{Augment, shapes};
use anemone::nn::layers::{BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential};
use anemone::nn::models::classification;
use anemone::nn::optim::Schedule;
use anemone::nn::train::{
    Checkpoint, Evaluator, Event, ImageData, Loss, LossScaling, Model, Outcome, Precision, StepOptions,
    TrainOptions, Trainer, read_states, write_states,
};
use anemone::nn::{Graph, Module, NnError};
use mil::{TensorType, ValueId};
use std::ops::ControlFlow;
use tempfile::TempDir;

/// A model with everything that has a memory: dropout's counter and running statistics.
struct Noisy;

impl Module for Noisy {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        Sequential::new()
            .add(Conv2d::new(3, 4, 3).stride(2))
            .add(BatchNorm2d::new(4))
            .add(ReLU)
            .add(MaxPool2d::new(3))
            .add(Dropout { p: 0.25 })
            .add(Flatten)
            .add(Linear::new(100, 16))
            .add(ReLU)
            .add(Dropout { p: 0.5 })
            .add(Linear::new(16, 10))
            .forward(g, x)
    }
}

impl Model for Noisy {
    fn inputs(&self, batch_size: usize) -> Vec<(String, TensorType)> {
        vec![
            ("images".to_string(), TensorType::fp32([batch_size, 3, 32, 32])),
            ("labels".to_string(), TensorType::int32([batch_size])),
        ]
    }

    fn loss(&self, g: &mut Graph, inputs: &[ValueId]) -> Result<Loss, NnError> {
        classification(self, g, inputs)
    }
}

#[test]
fn a_resumed_run_is_bit_identical() {
    let backend = Device::Cpu.backend().unwrap();
    let data = ImageData::new(shapes::splits(3, 40, 10).unwrap(), Augment::cifar(), 8, 7);
    for precision in
        [Precision::Fp32, Precision::Fp16(LossScaling { initial: 2f32.powi(26), growth_interval: 2 })]
    {
        let step = StepOptions {
            precision,
            accumulate: 2,
            schedule: Schedule::WarmupCosine { warmup: 2, total: 6, min_ratio: 0.1 },
            clip_norm: Some(1.0),
            ..StepOptions::default()
        };
        let options = TrainOptions {
            steps: 13,
            batch_size: 8,
            eval_every: 4,
            save_every: 100,
            seed: 7,
            eval_batches: None,
            step,
        };
        let folder = tempfile::tempdir().unwrap();
        let (one, two) =
            (Checkpoint::new(folder.path().join("one")), Checkpoint::new(folder.path().join("two")));
        let mut whole = Trainer::new(&Noisy, &data, &*backend, options.clone()).unwrap();
        whole.save_to(one.clone()).unwrap();
        let report = whole.run(&mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(report.outcome, Outcome::Finished);

        let mut first = Trainer::new(&Noisy, &data, &*backend, options.clone()).unwrap();
        first.save_to(two.clone()).unwrap();
        let stopped = first.run(&mut |event| match event {
            Event::Step { iteration: 6, .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        assert_eq!(stopped.unwrap().outcome, Outcome::Stopped);
        drop(first);
        let mut second = Trainer::resume(&Noisy, &data, &*backend, options, two.clone()).unwrap();
        assert_eq!(second.iteration(), 6);
        let resumed = second.run(&mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(resumed.held_out, report.held_out);
        let (whole, second) = (whole.states().lock().clone(), second.states().lock().clone());
        assert!(whole.keys().any(|name| name.ends_with("dropout_counter")));
        assert_eq!(whole, second);
        let bytes = |checkpoint: &Checkpoint| std::fs::read(checkpoint.states_path()).unwrap();
        assert_eq!(bytes(&one), bytes(&two));
    }
}

/// A run of 13 steps, evaluated every 4 in two batches, and its folder.
fn saved(data: &ImageData) -> (TempDir, Trainer<'_>) {
    let options =
        TrainOptions { steps: 13, batch_size: 8, eval_every: 4, save_every: 100, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&Noisy, data, &*Device::Cpu.backend().unwrap(), options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    trainer.save_to(Checkpoint::new(folder.path())).unwrap();
    (folder, trainer)
}

#[test]
fn a_run_that_is_broken_off_saves_and_leaves_at_once() {
    let data = ImageData::new(shapes::splits(3, 40, 10).unwrap(), Augment::None, 8, 7);
    let (options, backend) =
        (TrainOptions { batch_size: 8, ..TrainOptions::default() }, Device::Cpu.backend());
    let backend = backend.unwrap();
    type Stop = fn(&Event<'_>) -> bool;
    let cases: [(Stop, u64, &[&str]); 3] = [
        (|event| matches!(event, Event::Step { iteration: 3, .. }), 3, &["step", "saved"]),
        (|event| matches!(event, Event::Evaluating { done: 1, .. }), 4, &["step", "evaluating", "saved"]),
        (|event| matches!(event, Event::Evaluated { .. }), 4, &["evaluating", "evaluated", "saved"]),
    ];
    for (stop, stopped_at, last) in cases {
        let (folder, mut trainer) = saved(&data);
        let checkpoint = Checkpoint::new(folder.path());
        let mut events = Vec::new();
        let report = trainer.run(&mut |event| {
            events.push(match event {
                Event::Step { .. } => "step",
                Event::Evaluating { .. } => "evaluating",
                Event::Evaluated { .. } => "evaluated",
                Event::Saved { .. } => "saved",
            });
            if stop(&event) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let report = report.unwrap();
        assert_eq!((report.outcome, report.iteration), (Outcome::Stopped, stopped_at));
        assert_eq!(&events[events.len() - last.len()..], last);
        assert_eq!(report.held_out.is_some(), last.contains(&"evaluated"));
        let (_, saved) = Evaluator::open(&Noisy, &*backend, &options, &checkpoint).unwrap();
        assert_eq!(saved, stopped_at);
        assert!(checkpoint.curve_path().exists());
    }
}

#[test]
fn an_evaluation_of_a_checkpoint_is_that_of_its_run() {
    let data = ImageData::new(shapes::splits(3, 40, 10).unwrap(), Augment::None, 8, 7);
    let (folder, mut trainer) = saved(&data);
    let checkpoint = Checkpoint::new(folder.path());
    let report = trainer.run(&mut |_| ControlFlow::Continue(())).unwrap();
    let options = TrainOptions { batch_size: 8, ..TrainOptions::default() };
    let backend = Device::Cpu.backend().unwrap();
    let (mut evaluator, made) = Evaluator::open(&Noisy, &*backend, &options, &checkpoint).unwrap();
    assert_eq!(made, 13);
    let go = &mut |_, _| ControlFlow::Continue(());
    assert_eq!(evaluator.evaluate(&data, None, go).unwrap(), report.held_out);
    let part = evaluator.evaluate(&data, Some(1), go).unwrap().unwrap();
    assert_eq!(part.examples, 8);
    assert_eq!(evaluator.evaluate(&data, None, &mut |_, _| ControlFlow::Break(())).unwrap(), None);
}

#[test]
fn a_resumed_log_goes_on_from_the_checkpoint() {
    let data = ImageData::new(shapes::splits(3, 40, 10).unwrap(), Augment::None, 8, 7);
    let (folder, mut trainer) = saved(&data);
    let checkpoint = Checkpoint::new(folder.path());
    let report = trainer.run(&mut |_| ControlFlow::Continue(())).unwrap();
    let whole = std::fs::read_to_string(checkpoint.log_path()).unwrap();
    // As a process leaves it that is killed while it writes a line, after steps that were not saved.
    let later = "{\"iteration\":14,\"train\":{\"loss\":null}}\n{\"iterat";
    std::fs::write(checkpoint.log_path(), format!("{whole}{later}")).unwrap();
    let options = TrainOptions { steps: 13, batch_size: 8, ..TrainOptions::default() };
    let backend = Device::Cpu.backend().unwrap();
    let resume = || Trainer::resume(&Noisy, &data, &*backend, options.clone(), checkpoint.clone()).unwrap();
    let resumed = resume().run(&mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!(resumed.train_loss, report.train_loss);
    assert_eq!(std::fs::read_to_string(checkpoint.log_path()).unwrap(), whole);
    std::fs::remove_file(checkpoint.log_path()).unwrap();
    let bare = resume().run(&mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!(bare.train_loss, None, "no loss is made up for a run without a log");
}

/// Keys of a safetensors file's header.
fn stored_names(path: &std::path::Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0, "tensors are aligned");
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    assert_eq!(header["__metadata__"]["format"], "pt");
    header.as_object().unwrap().keys().filter(|name| *name != "__metadata__").cloned().collect()
}

#[test]
fn checkpoints_have_pytorchs_names_and_older_ones_are_read() {
    let data = ImageData::new(shapes::splits(3, 40, 10).unwrap(), Augment::None, 8, 7);
    let (folder, mut trainer) = saved(&data);
    trainer.step().unwrap();
    let specs = &trainer.programs().states;
    let path = folder.path().join("states.safetensors");
    write_states(&path, specs, trainer.states()).unwrap();
    let names = stored_names(&path);
    for name in ["0.weight", "0.bias", "1.running_var", "6.weight", "adam_m.6.weight", "iteration"] {
        assert!(names.iter().any(|known| known == name), "`{name}` is not among {names:?}");
    }
    let read = read_states(&path, specs).unwrap();
    assert_eq!(*read.lock(), *trainer.states().lock());

    // Before, files had the names of the program.
    let mut older = specs.clone();
    older.iter_mut().for_each(|spec| spec.path = spec.name.clone());
    write_states(&path, &older, trainer.states()).unwrap();
    assert!(stored_names(&path).iter().any(|name| name == "layers_0_weight"));
    assert_eq!(*read_states(&path, specs).unwrap().lock(), *trainer.states().lock());
}
