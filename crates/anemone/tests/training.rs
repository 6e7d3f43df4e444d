//! The training step: optimizers and schedules against plain formulas, accumulation, loss scaling, dropout.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that cannot go on fails; helpers are shared as a module"
)]

mod common;

use anemone::Device;
use anemone::nn::data::rng;
use anemone::nn::layers::{Dropout, RMSNorm};
use anemone::nn::losses;
use anemone::nn::models::Mlp;
use anemone::nn::optim::{Adam, AdamW, Optimizer, SGD, Schedule};
use anemone::nn::train::{
    Batch, Data, Loss, LossScaling, Model, Precision, StepOptions, TrainOptions, Trainer,
};
use anemone::nn::{Graph, Init, Mode, Module, NnError};
use anemone::runtime::{Executable, States, Tensor};
use common::{assert_close, compile, doubles, state};
use mil::{FunctionBuilder, TensorType, ValueId};

/// Batches made by a function of the iteration.
struct Made<F>(F);

impl<F: Fn(u64) -> Vec<Tensor> + Send> Data for Made<F> {
    fn train_batch(&self, iteration: u64) -> Result<Batch, NnError> {
        Ok(Batch { inputs: (self.0)(iteration), valid: 1 })
    }

    fn unit(&self) -> &'static str {
        "rows"
    }

    fn batch_examples(&self) -> usize {
        1
    }
}

/// A vector and a matrix that are drawn to targets: `mean((vector - a)²) + mean((matrix - b)²)`, whose gradients are plain.
struct Attracted;

const SIZE: usize = 4;

impl Model for Attracted {
    fn inputs(&self, _batch_size: usize) -> Vec<(String, TensorType)> {
        vec![("a".to_string(), TensorType::fp32([SIZE])), ("b".to_string(), TensorType::fp32([2, 2]))]
    }

    fn loss(&self, g: &mut Graph, inputs: &[ValueId]) -> Result<Loss, NnError> {
        let vector = g.parameter("vector", &[SIZE], Init::Constant(0.5))?;
        let matrix = g.parameter("matrix", &[2, 2], Init::Constant(-0.25))?;
        let a = losses::mse(g, vector, inputs[0])?;
        let b = losses::mse(g, matrix, inputs[1])?;
        Ok(Loss { loss: g.add(a, b)?, metrics: Vec::new() })
    }
}

fn target(iteration: u64, index: usize) -> f32 {
    ((iteration as usize * 5 + index * 3) % 7) as f32 - 3.0
}

/// Both targets, one after the other.
fn targets(iteration: u64) -> Vec<Tensor> {
    let part =
        |from: usize| -> Vec<f32> { (from..from + SIZE).map(|index| target(iteration, index)).collect() };
    vec![Tensor::new([SIZE], &part(0)).unwrap(), Tensor::new([2, 2], &part(SIZE)).unwrap()]
}

/// One number as an optimizer sees it: value, two moments.
#[derive(Clone, Copy)]
struct Scalar {
    value: f64,
    first: f64,
    second: f64,
}

/// Trains `Attracted` and the same numbers by `rule(number, gradient, decays, step counted from 1)`.
fn check_optimizer(step: StepOptions, rule: impl Fn(&mut Scalar, f64, bool, i32)) {
    let backend = Device::Cpu.backend().unwrap();
    let data = Made(targets);
    let (matrices_only, clip) = (step.decay_matrices_only, step.clip_norm);
    let options = TrainOptions { step, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&Attracted, &data, &*backend, options).unwrap();
    let start = |at: usize| Scalar { value: if at < SIZE { 0.5 } else { -0.25 }, first: 0.0, second: 0.0 };
    let mut numbers: Vec<Scalar> = (0..2 * SIZE).map(start).collect();
    for iteration in 0..12 {
        let values = trainer.step().unwrap();
        let gradients: Vec<f64> = (0..2 * SIZE)
            .map(|at| 2.0 * (numbers[at].value - f64::from(target(iteration, at))) / SIZE as f64)
            .collect();
        let norm = gradients.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert_close(&[f64::from(values["grad_norm"])], &[norm], 1e-5);
        let factor = clip.map_or(1.0, |limit| (f64::from(limit) / (norm + 1e-6)).min(1.0));
        for (at, (number, gradient)) in numbers.iter_mut().zip(gradients).enumerate() {
            rule(number, gradient * factor, at >= SIZE || !matrices_only, iteration as i32 + 1);
        }
        let mut found = state(trainer.states(), "vector");
        found.extend(state(trainer.states(), "matrix"));
        let expected: Vec<f64> = numbers.iter().map(|number| number.value).collect();
        assert_close(&found, &expected, 2e-5);
    }
}

fn with(optimizer: Optimizer) -> StepOptions {
    StepOptions { optimizer, ..StepOptions::default() }
}

#[test]
fn sgd_is_pytorchs() {
    for (momentum, nesterov, weight_decay) in [(0.0, false, 0.0), (0.9, false, 0.1), (0.8, true, 0.01)] {
        let sgd = SGD { lr: 0.3, momentum, weight_decay, nesterov };
        check_optimizer(with(Optimizer::SGD(sgd)), move |x, gradient, _, _| {
            let gradient = gradient + f64::from(weight_decay) * x.value;
            x.first = f64::from(momentum) * x.first + gradient;
            let ahead = gradient + f64::from(momentum) * x.first;
            x.value -= 0.3 * if nesterov { ahead } else { x.first };
        });
    }
}

#[test]
fn clipping_scales_all_gradients_alike() {
    let sgd = SGD { lr: 0.3, ..SGD::default() };
    let step = StepOptions { clip_norm: Some(0.7), ..with(Optimizer::SGD(sgd)) };
    check_optimizer(step, |x, gradient, _, _| x.value -= 0.3 * gradient);
}

/// Adam's step without any decay.
fn adam(x: &mut Scalar, gradient: f64, step: i32) {
    x.first = 0.8 * x.first + 0.2 * gradient;
    x.second = 0.95 * x.second + 0.05 * gradient * gradient;
    let (first, second) = (x.first / (1.0 - 0.8f64.powi(step)), x.second / (1.0 - 0.95f64.powi(step)));
    x.value -= 0.05 * first / (second.sqrt() + 1e-6);
}

#[test]
fn adam_and_adamw_are_pytorchs() {
    let (lr, betas, eps, weight_decay) = (0.05, (0.8, 0.95), 1e-6, 0.3);
    check_optimizer(with(Optimizer::Adam(Adam { lr, betas, eps, weight_decay })), |x, gradient, _, step| {
        adam(x, gradient + 0.3 * x.value, step);
    });
    for decay_matrices_only in [false, true] {
        let optimizer = Optimizer::AdamW(AdamW { lr, betas, eps, weight_decay });
        let step = StepOptions { decay_matrices_only, ..with(optimizer) };
        check_optimizer(step, |x, gradient, decays, step| {
            if decays {
                x.value *= 1.0 - 0.05 * 0.3;
            }
            adam(x, gradient, step);
        });
    }
}

/// Learning rates of the first updates.
fn rates(schedule: Schedule, count: usize) -> Vec<f64> {
    let done = Tensor::scalar(0.0f32);
    let inputs = [done];
    let mut executable =
        compile(Mode::Eval, &inputs, &States::new(), |g, inputs| schedule.learning_rate(g, 0.4, inputs[0]));
    (0..count).map(|done| doubles(&executable.call(&[&Tensor::scalar(done as f32)]).unwrap()[0])[0]).collect()
}

#[test]
fn schedules_follow_their_formulas() {
    assert_close(&rates(Schedule::Constant, 5), &[0.4; 5], 1e-7);
    for (warmup, total, min_ratio) in [(10u32, 60u32, 0.1f32), (0, 40, 0.0), (1, 2, 0.5)] {
        let expected: Vec<f64> = (0..80)
            .map(|done| {
                if done < warmup {
                    return 0.4 * f64::from(done + 1) / f64::from(warmup);
                }
                let part = (f64::from(done - warmup) / f64::from(total - warmup)).min(1.0);
                let low = f64::from(min_ratio);
                0.4 * (low + (1.0 - low) * 0.5 * (1.0 + (std::f64::consts::PI * part).cos()))
            })
            .collect();
        assert_close(&rates(Schedule::WarmupCosine { warmup, total, min_ratio }, 80), &expected, 1e-6);
    }
    for (size, gamma) in [(3u32, 0.5f32), (7, 0.9), (1, 0.99)] {
        let expected: Vec<f64> =
            (0..50).map(|done| 0.4 * f64::from(gamma).powi((done / size) as i32)).collect();
        assert_close(&rates(Schedule::Step { size, gamma }, 50), &expected, 1e-6);
    }
}

#[test]
fn the_schedule_counts_updates() {
    let backend = Device::Cpu.backend().unwrap();
    let data = Made(targets);
    let step = StepOptions {
        schedule: Schedule::Step { size: 2, gamma: 0.5 },
        accumulate: 2,
        ..with(Optimizer::SGD(SGD { lr: 0.8, ..SGD::default() }))
    };
    let options = TrainOptions { step, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&Attracted, &data, &*backend, options).unwrap();
    let rates: Vec<f64> = (0..10).map(|_| f64::from(trainer.step().unwrap()["learning_rate"])).collect();
    assert_close(&rates, &[0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2], 1e-6);
}

fn mlp() -> Mlp {
    Mlp { image: [1, 4, 4], hidden: 12, classes: 3 }
}

/// Rows `first..first + count` of an endless list of labelled images.
fn rows(first: u64, count: usize) -> Vec<Tensor> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for row in first..first + count as u64 {
        let mut image = [0.0f32; 16];
        rng::fill_normal(row, rng::stream("rows"), &mut image, 0.0, 1.0);
        let label = (row % 3) as i32;
        image[label as usize] += 3.0;
        images.extend(image);
        labels.push(label);
    }
    vec![Tensor::new([count, 1, 4, 4], &images).unwrap(), Tensor::new([count], &labels).unwrap()]
}

fn weights(trainer: &Trainer<'_>) -> Vec<f64> {
    let trained = trainer.programs().states.iter().filter(|spec| spec.trainable);
    trained.flat_map(|spec| state(trainer.states(), &spec.name)).collect()
}

#[test]
fn two_half_batches_accumulated_are_one_batch() {
    let backend = Device::Cpu.backend().unwrap();
    let adamw = Optimizer::AdamW(AdamW { lr: 1e-2, ..AdamW::default() });
    let step = StepOptions { clip_norm: Some(0.5), ..with(adamw) };
    let whole_data = Made(|iteration| rows(iteration * 8, 8));
    let options = TrainOptions { batch_size: 8, step: step.clone(), ..TrainOptions::default() };
    let mut whole = Trainer::new(&mlp(), &whole_data, &*backend, options.clone()).unwrap();
    let half_data = Made(|iteration| rows(iteration * 4, 4));
    let options = TrainOptions { batch_size: 4, step: StepOptions { accumulate: 2, ..step }, ..options };
    let mut halves = Trainer::new(&mlp(), &half_data, &*backend, options).unwrap();
    assert_eq!(weights(&whole), weights(&halves), "both start alike");
    for update in 0..6 {
        let before = weights(&halves);
        let norm = whole.step().unwrap()["grad_norm"];
        let first = halves.step().unwrap();
        assert_eq!(weights(&halves), before, "nothing changes before the last share, update {update}");
        let second = halves.step().unwrap();
        assert_ne!(weights(&halves), before);
        assert_close(&[f64::from(second["grad_norm"])], &[f64::from(norm)], 1e-5);
        assert!(first["grad_norm"] > 0.0);
        assert_close(&weights(&halves), &weights(&whole), 1e-4);
    }
}

/// A recurrent cell, its turns counted by a loop or written one after the other.
struct Turns {
    in_a_loop: bool,
}

impl Model for Turns {
    fn inputs(&self, _batch_size: usize) -> Vec<(String, TensorType)> {
        vec![("a".to_string(), TensorType::fp32([1, SIZE])), ("b".to_string(), TensorType::fp32([1, SIZE]))]
    }

    fn loss(&self, g: &mut Graph, inputs: &[ValueId]) -> Result<Loss, NnError> {
        let weight = g.parameter("weight", &[SIZE, SIZE], Init::Normal { std: 0.4 })?;
        let bias = g.parameter("bias", &[SIZE], Init::Constant(0.1))?;
        let cell = |f: &mut FunctionBuilder, h: ValueId| {
            let h = f.matmul(h, weight, false, false)?;
            let h = f.add(h, bias)?;
            f.unary("tanh", h)
        };
        let mut h = inputs[0];
        if self.in_a_loop {
            let turns = g.int(3);
            let turn =
                |f: &mut FunctionBuilder, vars: &[ValueId]| Ok(vec![f.sub(vars[0], 1.0)?, cell(f, vars[1])?]);
            h = g.while_loop(&[turns, h], |f, vars| f.greater(vars[0], 0.0), turn)?[1];
        } else {
            for _ in 0..3 {
                h = cell(g, h)?;
            }
        }
        Ok(Loss { loss: losses::mse(g, h, inputs[1])?, metrics: Vec::new() })
    }
}

#[test]
fn a_loop_trains_like_its_turns() {
    let data = Made(|iteration| {
        let numbers =
            |from: usize| -> Vec<f32> { (from..from + SIZE).map(|i| target(iteration, i) / 4.0).collect() };
        vec![Tensor::new([1, SIZE], &numbers(0)).unwrap(), Tensor::new([1, SIZE], &numbers(SIZE)).unwrap()]
    });
    let backend = Device::Cpu.backend().unwrap();
    let losses = |in_a_loop, step: StepOptions| {
        let options = TrainOptions { step, ..TrainOptions::default() };
        let mut trainer = Trainer::new(&Turns { in_a_loop }, &data, &*backend, options).unwrap();
        (0..40).map(|_| f64::from(trainer.step().unwrap()["loss"])).collect::<Vec<f64>>()
    };
    let adamw = || Optimizer::AdamW(AdamW { lr: 0.02, ..AdamW::default() });
    let unrolled = losses(false, with(adamw()));
    assert_close(&losses(true, with(adamw())), &unrolled, 1e-5);
    assert!(unrolled[35..].iter().sum::<f64>() < 0.9 * unrolled[..5].iter().sum::<f64>(), "{unrolled:?}");
    // In half precision a loop rounds what it carries once more than its turns do in a row.
    let half = |in_a_loop| losses(in_a_loop, StepOptions { optimizer: adamw(), ..fp16(1024.0, 2000) });
    assert_close(&half(true), &half(false), 2e-2);
    assert_close(&half(true), &unrolled, 2e-2);
}

fn fp16(initial: f32, growth_interval: u32) -> StepOptions {
    let adamw = Optimizer::AdamW(AdamW { lr: 1e-2, ..AdamW::default() });
    let precision = Precision::Fp16(LossScaling { initial, growth_interval });
    StepOptions { precision, ..with(adamw) }
}

#[test]
fn overflow_skips_the_step_and_halves_the_scale() {
    let backend = Device::Cpu.backend().unwrap();
    let data = Made(|iteration| rows(iteration * 8, 8));
    let options = TrainOptions { batch_size: 8, step: fp16(2f32.powi(30), 3), ..TrainOptions::default() };
    let mut trainer = Trainer::new(&mlp(), &data, &*backend, options).unwrap();
    let everything = |trainer: &Trainer<'_>| -> Vec<(String, Tensor)> {
        let counters = ["grad_scaler_scale", "grad_scaler_growth_tracker", "iteration"];
        let guard = trainer.states().lock();
        guard
            .iter()
            .filter(|(name, _)| !counters.contains(&name.as_str()))
            .map(|(n, t)| (n.clone(), t.clone()))
            .collect()
    };
    let (mut scale, mut good, mut skipped, mut grown) = (2f64.powi(30), 0, 0, 0);
    for _ in 0..40 {
        let before = everything(&trainer);
        let values = trainer.step().unwrap();
        assert_eq!(f64::from(values["loss_scale"]), scale, "the scale used in this step");
        if values["grad_norm"].is_finite() {
            assert_ne!(everything(&trainer), before, "a good step changes the weights");
            good += 1;
        } else {
            assert_eq!(
                everything(&trainer),
                before,
                "an overflow changes neither weights nor moments nor counts"
            );
            (scale, good, skipped) = (scale / 2.0, 0, skipped + 1);
        }
        if good == 3 {
            (scale, good, grown) = ((scale * 2.0).min(16_777_216.0), 0, grown + 1);
        }
        assert_eq!(state(trainer.states(), "grad_scaler_scale"), [scale]);
    }
    assert!(skipped >= 10 && grown >= 3, "{skipped} steps skipped, grown {grown} times");
    assert_eq!(trainer.states().get("updates").unwrap().as_slice::<i32>().unwrap(), [40 - skipped]);
}

#[test]
fn fp16_learns_what_fp32_learns() {
    let backend = Device::Cpu.backend().unwrap();
    let data = Made(|iteration| rows(iteration * 8, 8));
    let last = |step: StepOptions| {
        let options = TrainOptions { batch_size: 8, step, ..TrainOptions::default() };
        let mut trainer = Trainer::new(&mlp(), &data, &*backend, options).unwrap();
        let losses: Vec<f32> = (0..40).map(|_| trainer.step().unwrap()["loss"]).collect();
        assert!(losses[39] < 0.5 * losses[0], "{losses:?}");
        f64::from(losses[30..].iter().sum::<f32>() / 10.0)
    };
    let full = last(StepOptions { precision: Precision::Fp32, ..fp16(1.0, 1) });
    let half = last(fp16(1024.0, 2000));
    assert!((half - full).abs() < 0.02 * full, "fp16 ends at {half}, fp32 at {full}");
}

/// A normalization of inputs whose squares are beyond `fp16`.
struct Large;

impl Model for Large {
    fn inputs(&self, batch_size: usize) -> Vec<(String, TensorType)> {
        vec![("x".to_string(), TensorType::fp32([batch_size, 4]))]
    }

    fn loss(&self, g: &mut Graph, inputs: &[ValueId]) -> Result<Loss, NnError> {
        let x = RMSNorm::new(4).forward(g, inputs[0])?;
        let y = g.unary("abs", x)?;
        let loss = g.reduce("reduce_mean", y, &[0, 1], false)?;
        Ok(Loss { loss: g.cast(loss, mil::DataType::Fp32)?, metrics: Vec::new() })
    }
}

#[test]
fn half_precision_normalizes_large_values() {
    let backend = Device::Cpu.backend().unwrap();
    let data = Made(|_| vec![Tensor::new([2, 4], &[900f32, -300., 0., 5., 20000., 1., 2., 30000.]).unwrap()]);
    let first = |precision| {
        let step = StepOptions { precision, ..StepOptions::default() };
        let options = TrainOptions { batch_size: 2, step, ..TrainOptions::default() };
        f64::from(Trainer::new(&Large, &data, &*backend, options).unwrap().step().unwrap()["loss"])
    };
    let (full, half) = (first(Precision::Fp32), first(Precision::Fp16(LossScaling::default())));
    assert_close(&[half], &[full], 2e-3);
}

/// Correlation of two series of zeros and ones.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let mean = |x: &[f64]| x[..n].iter().sum::<f64>() / n as f64;
    let (ma, mb) = (mean(a), mean(b));
    let product = |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 {
        x.iter().zip(y).take(n).map(|(x, y)| (x - mx) * (y - my)).sum()
    };
    product(a, ma, b, mb) / (product(a, ma, a, ma) * product(b, mb, b, mb)).sqrt()
}

#[test]
fn dropout_is_random_in_every_way_that_matters() {
    let shape = [64, 257];
    let ones = Tensor::new(shape, &vec![1.0f32; 64 * 257]).unwrap();
    let mut executable = compile(Mode::Train, std::slice::from_ref(&ones), &States::new(), |g, inputs| {
        let first = g.scope("a", |g| Dropout { p: 0.3 }.forward(g, inputs[0]))?;
        let second = g.scope("b", |g| Dropout { p: 0.3 }.forward(g, inputs[0]))?;
        Ok(g.op("concat").args("values", &[first, second]).int("axis", 0).bool("interleave", false).one()?)
    });
    let masks = |executable: &mut dyn Executable| -> (Vec<f64>, Vec<f64>) {
        let output = executable.call(&[&ones]).unwrap();
        let mut mask = doubles(&output[0]);
        for value in &mut mask {
            assert!(*value == 0.0 || (*value - 1.0 / 0.7).abs() < 1e-5, "{value}");
            *value = f64::from(*value != 0.0);
        }
        let second = mask.split_off(64 * 257);
        (mask, second)
    };
    // Four standard deviations of a correlation of 16448 independent pairs.
    let bound = 4.0 / (64f64 * 257.0).sqrt();
    let mut before: Option<Vec<f64>> = None;
    for step in 0..6 {
        let (first, second) = masks(&mut *executable);
        let rate = first.iter().sum::<f64>() / first.len() as f64;
        assert!((rate - 0.7).abs() < 0.015, "step {step}: {rate} are kept");
        for lag in [1, 2, 3, 7, 64, 256, 257, 258, 514, 4096] {
            let r = correlation(&first, &first[lag..]);
            assert!(r.abs() < bound, "step {step}: elements {lag} apart correlate by {r}");
        }
        let r = correlation(&first, &second);
        assert!(r.abs() < bound, "step {step}: two layers correlate by {r}");
        if let Some(before) = &before {
            for shift in [0, 1, 2] {
                let r = correlation(&first[shift..], before);
                assert!(r.abs() < bound, "step {step}: neighbouring steps correlate by {r} at shift {shift}");
            }
        }
        before = Some(first);
    }
}

#[test]
fn dropout_treats_every_element_alike_over_time() {
    let ones = Tensor::new([50], &[1.0f32; 50]).unwrap();
    let mut executable = compile(Mode::Train, std::slice::from_ref(&ones), &States::new(), |g, inputs| {
        Dropout { p: 0.5 }.forward(g, inputs[0])
    });
    let mut kept = [0.0; 50];
    let mut history: Vec<Vec<f64>> = vec![Vec::new(); 50];
    for _ in 0..400 {
        let output = executable.call(&[&ones]).unwrap();
        for (index, value) in doubles(&output[0]).into_iter().enumerate() {
            kept[index] += f64::from(value != 0.0) / 400.0;
            history[index].push(f64::from(value != 0.0));
        }
    }
    for (index, rate) in kept.iter().enumerate() {
        // Four standard deviations of 400 coin tosses.
        assert!((rate - 0.5).abs() < 0.1, "element {index} is kept at a rate of {rate}");
        let r = correlation(&history[index], &history[index][1..]);
        assert!(r.abs() < 0.22, "element {index} correlates with its past by {r}");
    }
}

#[test]
fn dropout_depends_on_the_seed_and_may_drop_everything() {
    let ones = Tensor::new([200], &[1.0f32; 200]).unwrap();
    let mask = |p: f32, seed: u64| {
        let mut g = Graph::new("seeded", Mode::Train);
        let x = g.input("x", ones.ty().clone()).unwrap();
        Dropout { p }.forward(&mut g, x).unwrap();
        let states = States::new();
        for parameter in g.parameters() {
            let start = parameter.init.tensor(&parameter.ty, seed, &parameter.name).unwrap();
            states.lock().insert(parameter.name.clone(), start);
        }
        doubles(&common::run(Mode::Train, std::slice::from_ref(&ones), &states, |g, inputs| {
            Dropout { p }.forward(g, inputs[0])
        }))
    };
    assert_eq!(mask(0.5, 1), mask(0.5, 1));
    assert_ne!(mask(0.5, 1), mask(0.5, 2));
    assert_eq!(mask(1.0, 1), [0.0; 200]);
}

#[test]
fn dropout_does_nothing_in_evaluation() {
    let x = common::normal("dropout", &[3, 4]);
    let y = common::run(Mode::Eval, std::slice::from_ref(&x), &States::new(), |g, inputs| {
        Dropout { p: 0.9 }.forward(g, inputs[0])
    });
    assert_eq!(x, y);
}
