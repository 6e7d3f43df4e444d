//! Every layer and loss against a formula written out in plain loops.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test that cannot go on fails, and tells what it measured"
)]

mod common;

use anemone::nn::layers::*;
use anemone::nn::losses;
use anemone::nn::{Graph, Mode, Module, NnError};
use anemone::passes::autodiff::gradients_from;
use anemone::runtime::{States, Tensor};
use common::{assert_close, doubles, normal, run, state};
use mil::ValueId;

/// Applies a layer in evaluation; returns its output and its weights.
fn apply(layer: &impl Module, x: &Tensor) -> (Tensor, States) {
    let states = States::new();
    let y = run(Mode::Eval, std::slice::from_ref(x), &states, |g, inputs| layer.forward(g, inputs[0]));
    (y, states)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The error function by its Taylor series, which is exact enough for the arguments used here.
fn erf(x: f64) -> f64 {
    let (mut sum, mut term) = (0.0, x);
    for n in 0..200 {
        sum += term / (2 * n + 1) as f64;
        term *= -x * x / (n + 1) as f64;
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

#[test]
fn activations() {
    let data = [-4.5f32, -2.0, -1.0, -0.3, -1e-4, 0.0, 1e-4, 0.25, 1.0, 3.0, 4.75];
    let x = Tensor::new([data.len()], &data).unwrap();
    let check = |name: &str, layer: &dyn Module, formula: fn(f64) -> f64| {
        let y = run(Mode::Eval, std::slice::from_ref(&x), &States::new(), |g, inputs| {
            layer.forward(g, inputs[0])
        });
        let expected: Vec<f64> = data.iter().map(|&x| formula(f64::from(x))).collect();
        println!("{name}");
        assert_close(&doubles(&y), &expected, 2e-6);
    };
    check("ReLU", &ReLU, |x| x.max(0.0));
    check("LeakyReLU", &LeakyReLU { negative_slope: 0.25 }, |x| if x < 0.0 { 0.25 * x } else { x });
    check("LeakyReLU default", &LeakyReLU::default(), |x| if x < 0.0 { 0.01 * x } else { x });
    check("SiLU", &SiLU, |x| x * sigmoid(x));
    check("Sigmoid", &Sigmoid, sigmoid);
    check("Tanh", &Tanh, f64::tanh);
    check("Softplus", &Softplus, |x| x.exp().ln_1p());
    check("GELU", &GELU::Exact, |x| 0.5 * x * (1.0 + erf(x / 2f64.sqrt())));
    check("GELU tanh", &GELU::Tanh, |x| {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
    });
}

#[test]
fn softmax_along_each_axis() {
    let x = normal("softmax", &[2, 3, 4]);
    let data = doubles(&x);
    for (dim, stride, size) in [(0, 12, 2), (1, 4, 3), (-1, 1, 4)] {
        let (y, _) = apply(&Softmax { dim }, &x);
        let expected: Vec<f64> = (0..24)
            .map(|at| {
                let first = at - (at / stride % size) * stride;
                data[at].exp() / (0..size).map(|i| data[first + i * stride].exp()).sum::<f64>()
            })
            .collect();
        assert_close(&doubles(&y), &expected, 1e-6);
    }
}

#[test]
fn linear_and_embedding() {
    let x = normal("linear", &[2, 3, 5]);
    let (y, states) = apply(&Linear::new(5, 4), &x);
    assert_eq!(&y.shape()[..], &[2, 3, 4]);
    let (x, weight, bias) = (doubles(&x), state(&states, "weight"), state(&states, "bias"));
    let expected: Vec<f64> = (0..24)
        .map(|at| {
            let (row, out) = (at / 4, at % 4);
            bias[out] + (0..5).map(|i| x[row * 5 + i] * weight[out * 5 + i]).sum::<f64>()
        })
        .collect();
    assert_close(&doubles(&y), &expected, 1e-5);

    let indices = Tensor::new([2, 2], &[4i32, 0, 1, 4]).unwrap();
    let (y, states) = apply(&Embedding::new(5, 3), &indices);
    let table = state(&states, "weight");
    let expected: Vec<f64> =
        [4, 0, 1, 4].iter().flat_map(|&row| table[row * 3..row * 3 + 3].to_vec()).collect();
    assert_eq!(doubles(&y), expected);
}

/// `(x - mean) / sqrt(variance + eps)` of a group.
fn standardized(group: &[f64], eps: f64) -> Vec<f64> {
    let mean = group.iter().sum::<f64>() / group.len() as f64;
    let variance = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / group.len() as f64;
    group.iter().map(|x| (x - mean) / (variance + eps).sqrt()).collect()
}

#[test]
fn layer_norm_and_rms_norm() {
    let x = normal("norm", &[3, 8]);
    let data = doubles(&x);
    let (y, states) = apply(&LayerNorm::new(8), &x);
    let (weight, bias) = (state(&states, "weight"), state(&states, "bias"));
    let rows = data.chunks(8).flat_map(|row| standardized(row, 1e-5)).enumerate();
    let expected: Vec<f64> = rows.map(|(at, x)| x * weight[at % 8] + bias[at % 8]).collect();
    assert_close(&doubles(&y), &expected, 1e-5);

    let (y, states) = apply(&RMSNorm::new(8), &x);
    let weight = state(&states, "weight");
    let expected: Vec<f64> = (0..24)
        .map(|at| {
            let row = &data[at / 8 * 8..at / 8 * 8 + 8];
            let square = row.iter().map(|x| x * x).sum::<f64>() / 8.0;
            data[at] / (square + 1e-5).sqrt() * weight[at % 8]
        })
        .collect();
    assert_close(&doubles(&y), &expected, 1e-5);
}

#[test]
fn group_norm() {
    let x = normal("group norm", &[2, 6, 3, 2]);
    let (y, states) = apply(&GroupNorm::new(3, 6), &x);
    let (weight, bias) = (state(&states, "weight"), state(&states, "bias"));
    let groups = doubles(&x).chunks(2 * 6).flat_map(|group| standardized(group, 1e-5)).collect::<Vec<_>>();
    let expected: Vec<f64> =
        groups.iter().enumerate().map(|(at, x)| x * weight[at / 6 % 6] + bias[at / 6 % 6]).collect();
    assert_close(&doubles(&y), &expected, 1e-5);
    let mut g = Graph::new("test", Mode::Eval);
    let x = g.input("x", x.ty().clone()).unwrap();
    assert!(GroupNorm::new(4, 6).forward(&mut g, x).is_err(), "4 groups do not divide 6 channels");
}

#[test]
fn batch_norm_uses_the_batch_in_training_and_running_statistics_in_evaluation() {
    let x = normal("batch norm", &[4, 3, 2, 5]);
    let data = doubles(&x);
    let layer = BatchNorm2d::new(3);
    let states = States::new();
    let channel = |at: usize| at / 10 % 3;
    let of = |c: usize| -> Vec<f64> {
        (0..data.len()).filter(|&at| channel(at) == c).map(|at| data[at]).collect()
    };

    let y = run(Mode::Train, std::slice::from_ref(&x), &states, |g, inputs| layer.forward(g, inputs[0]));
    let (weight, bias) = (state(&states, "weight"), state(&states, "bias"));
    let normal: Vec<Vec<f64>> = (0..3).map(|c| standardized(&of(c), 1e-5)).collect();
    let mut next = [0; 3];
    let expected: Vec<f64> = (0..data.len())
        .map(|at| {
            let c = channel(at);
            next[c] += 1;
            normal[c][next[c] - 1] * weight[c] + bias[c]
        })
        .collect();
    assert_close(&doubles(&y), &expected, 1e-5);

    let mean: Vec<f64> = (0..3).map(|c| of(c).iter().sum::<f64>() / 40.0).collect();
    let unbiased: Vec<f64> =
        (0..3).map(|c| of(c).iter().map(|x| (x - mean[c]).powi(2)).sum::<f64>() / 39.0).collect();
    let running_mean: Vec<f64> = mean.iter().map(|mean| 0.1 * mean).collect();
    let running_var: Vec<f64> = unbiased.iter().map(|variance| 0.9 + 0.1 * variance).collect();
    assert_close(&state(&states, "running_mean"), &running_mean, 1e-6);
    assert_close(&state(&states, "running_var"), &running_var, 1e-6);

    let y = run(Mode::Eval, std::slice::from_ref(&x), &states, |g, inputs| layer.forward(g, inputs[0]));
    let expected: Vec<f64> = (0..data.len())
        .map(|at| {
            let c = channel(at);
            (data[at] - running_mean[c]) / (running_var[c] + 1e-5).sqrt() * weight[c] + bias[c]
        })
        .collect();
    assert_close(&doubles(&y), &expected, 1e-5);
    assert_close(&state(&states, "running_mean"), &running_mean, 1e-6);
}

/// Images `[N, C, H, W]` by index; zero outside.
struct Images<'a> {
    data: &'a [f64],
    shape: [usize; 4],
}

impl Images<'_> {
    fn at(&self, n: usize, c: usize, h: isize, w: isize) -> f64 {
        let [_, channels, height, width] = self.shape;
        let inside = h >= 0 && w >= 0 && h < height as isize && w < width as isize;
        if inside { self.data[((n * channels + c) * height + h as usize) * width + w as usize] } else { 0.0 }
    }
}

#[test]
fn conv2d() {
    let shape = [2, 4, 7, 6];
    let x = normal("conv", &shape);
    for (stride, padding, dilation, groups, bias) in
        [(1, 0, 1, 1, true), (2, 1, 1, 2, false), (1, 2, 2, 4, true), (3, 1, 2, 1, true)]
    {
        let layer =
            Conv2d::new(4, 8, 3).stride(stride).padding(padding).dilation(dilation).groups(groups).bias(bias);
        let (y, states) = apply(&layer, &x);
        let (data, weight) = (doubles(&x), state(&states, "weight"));
        let bias = if bias { state(&states, "bias") } else { vec![0.0; 8] };
        let images = Images { data: &data, shape };
        let size = |input: usize| (input + 2 * padding - dilation * 2 - 1) / stride + 1;
        let (height, width, per_group) = (size(7), size(6), 4 / groups);
        assert_eq!(&y.shape()[..], &[2, 8, height, width]);
        let mut expected = Vec::new();
        for at in 0..2 * 8 * height * width {
            let (w, h, out, n) =
                (at % width, at / width % height, at / width / height % 8, at / width / height / 8);
            let mut sum = bias[out];
            for tap in 0..per_group * 9 {
                let (j, i, c) = (tap % 3, tap / 3 % 3, tap / 9);
                let y = (h * stride + i * dilation) as isize - padding as isize;
                let x = (w * stride + j * dilation) as isize - padding as isize;
                let channel = out / (8 / groups) * per_group + c;
                sum += images.at(n, channel, y, x) * weight[out * per_group * 9 + tap];
            }
            expected.push(sum);
        }
        assert_close(&doubles(&y), &expected, 1e-5);
    }
}

#[test]
fn conv_transpose2d() {
    let (inputs, outputs, k) = (3, 2, 3);
    let x = normal("conv transpose", &[2, inputs, 4, 5]);
    for (stride, padding, output_padding) in [(1, 0, 0), (2, 1, 1), (3, 0, 2), (2, 2, 0)] {
        let layer = ConvTranspose2d::new(inputs, outputs, k)
            .stride(stride)
            .padding(padding)
            .output_padding(output_padding);
        let (y, states) = apply(&layer, &x);
        let (data, weight, bias) = (doubles(&x), state(&states, "weight"), state(&states, "bias"));
        let size = |input: usize| (input - 1) * stride + k + output_padding - 2 * padding;
        let (height, width) = (size(4), size(5));
        assert_eq!(&y.shape()[..], &[2, outputs, height, width]);
        let mut expected: Vec<f64> =
            (0..2 * outputs * height * width).map(|at| bias[at / width / height % outputs]).collect();
        // Every input spreads over a window of the output.
        for (at, &value) in data.iter().enumerate() {
            let (w, h, c, n) = (at % 5, at / 5 % 4, at / 20 % inputs, at / 20 / inputs);
            for tap in 0..outputs * k * k {
                let (j, i, out) = (tap % k, tap / k % k, tap / k / k);
                let (y, x) = (h * stride + i, w * stride + j);
                if y < padding || x < padding || y - padding >= height || x - padding >= width {
                    continue;
                }
                let place = ((n * outputs + out) * height + y - padding) * width + x - padding;
                expected[place] += value * weight[c * outputs * k * k + tap];
            }
        }
        assert_close(&doubles(&y), &expected, 1e-5);
    }
}

#[test]
fn pooling() {
    let shape = [2, 3, 6, 7];
    let x = normal("pool", &shape);
    let data = doubles(&x);
    let images = Images { data: &data, shape };
    for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 0)] {
        let size = |input: usize| (input + 2 * padding - kernel) / stride + 1;
        let (height, width) = (size(6), size(7));
        let window = |at: usize| {
            let (w, h, plane) = (at % width, at / width % height, at / width / height);
            let (top, left) =
                ((h * stride) as isize - padding as isize, (w * stride) as isize - padding as isize);
            (0..kernel * kernel)
                .map(move |tap| (plane, top + (tap / kernel) as isize, left + (tap % kernel) as isize))
        };
        let inside = |y: isize, x: isize| y >= 0 && x >= 0 && y < 6 && x < 7;
        let count = 6 * height * width;
        let largest: Vec<f64> = (0..count)
            .map(|at| {
                let real = window(at).filter(|&(_, y, x)| inside(y, x));
                real.map(|(plane, y, x)| images.at(plane / 3, plane % 3, y, x)).fold(f64::MIN, f64::max)
            })
            .collect();
        let mean: Vec<f64> = (0..count)
            .map(|at| {
                let sum: f64 = window(at).map(|(plane, y, x)| images.at(plane / 3, plane % 3, y, x)).sum();
                sum / (kernel * kernel) as f64
            })
            .collect();
        let (y, _) = apply(&MaxPool2d { kernel_size: kernel, stride, padding }, &x);
        assert_eq!(doubles(&y), largest);
        let (y, _) = apply(&AvgPool2d { kernel_size: kernel, stride, padding }, &x);
        assert_close(&doubles(&y), &mean, 1e-6);
    }
}

/// `x · weightᵀ` for rows of `x`.
fn project(x: &[f64], weight: &[f64], width: usize) -> Vec<f64> {
    let dot = |row: &[f64], column: &[f64]| row.iter().zip(column).map(|(a, b)| a * b).sum::<f64>();
    x.chunks(width)
        .flat_map(|row| weight.chunks(width).map(move |column| dot(row, column)).collect::<Vec<_>>())
        .collect()
}

#[test]
fn attention() {
    let (length, dim, heads, head_dim) = (5usize, 12usize, 3usize, 4usize);
    let x = normal("attention", &[1, length, dim]);
    for (kv_heads, causal, rope) in [
        (3, Causal::No, None),
        (3, Causal::Yes, None),
        (1, Causal::Yes, Some(Rope { theta: 100.0 })),
        (3, Causal::No, Some(Rope { theta: 10000.0 })),
    ] {
        let layer = MultiheadAttention {
            num_kv_heads: kv_heads,
            bias: false,
            causal,
            rope,
            ..MultiheadAttention::new(dim, heads)
        };
        let (found, states) = apply(&layer, &x);
        let data = doubles(&x);
        let part = |name: &str| project(&data, &state(&states, &format!("{name}_proj_weight")), dim);
        let (mut q, mut k, v) = (part("q"), part("k"), part("v"));
        if let Some(rope) = rope {
            for rows in [&mut q, &mut k] {
                let width = rows.len() / length;
                for at in (0..rows.len()).step_by(2) {
                    let (position, pair) = ((at / width) as f64, (at % head_dim) as f64);
                    let angle = position * f64::from(rope.theta).powf(-pair / head_dim as f64);
                    let (a, b) = (rows[at], rows[at + 1]);
                    rows[at] = a * angle.cos() - b * angle.sin();
                    rows[at + 1] = a * angle.sin() + b * angle.cos();
                }
            }
        }
        let mut mixed = vec![0.0; length * dim];
        for head in 0..heads {
            let kv = head / (heads / kv_heads);
            for t in 0..length {
                let seen = if causal == Causal::Yes { t + 1 } else { length };
                let score = |s: usize| {
                    let q = &q[t * dim + head * head_dim..][..head_dim];
                    let k = &k[s * kv_heads * head_dim + kv * head_dim..][..head_dim];
                    (q.iter().zip(k).map(|(a, b)| a * b).sum::<f64>() / (head_dim as f64).sqrt()).exp()
                };
                let total: f64 = (0..seen).map(score).sum();
                for s in 0..seen {
                    for i in 0..head_dim {
                        mixed[t * dim + head * head_dim + i] +=
                            score(s) / total * v[s * kv_heads * head_dim + kv * head_dim + i];
                    }
                }
            }
        }
        let expected = project(&mixed, &state(&states, "out_proj_weight"), dim);
        assert_close(&doubles(&found), &expected, 2e-4);
    }
}

/// Largest size of the weights of a layer's first forward pass, by name, as they start.
fn start(layer: &impl Module, shape: &[usize]) -> Vec<(String, f64)> {
    let mut g = Graph::new("start", Mode::Eval);
    let x = g.input("x", mil::TensorType::fp32(shape)).unwrap();
    layer.forward(&mut g, x).unwrap();
    let largest = |p: &anemone::nn::Parameter| {
        let values = doubles(&p.init.tensor(&p.ty, 5, &p.name).unwrap());
        (p.path.clone(), values.iter().fold(0.0, |most: f64, x| most.max(x.abs())))
    };
    g.parameters().iter().map(largest).collect()
}

/// Signatures and initial values of PyTorch 2.15; bounds are those of its uniform distributions.
#[test]
fn defaults_are_pytorchs() {
    assert_eq!((LayerNorm::new(3).eps, GroupNorm::new(1, 3).eps), (1e-5, 1e-5));
    assert_eq!((BatchNorm2d::new(3).eps, BatchNorm2d::new(3).momentum), (1e-5, 0.1));
    assert_eq!((RMSNorm::new(3).eps, Dropout::default().p), (f32::EPSILON, 0.5));
    assert_eq!((MaxPool2d::new(3).stride, MaxPool2d::new(3).padding), (3, 0));
    assert_eq!((AvgPool2d::new(3).stride, GELU::default()), (3, GELU::Exact));
    let near = |found: &[(String, f64)], expected: &[(&str, f64)]| {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((name, found), (wanted, bound)) in found.iter().zip(expected) {
            assert_eq!(name, wanted);
            assert!(*found <= *bound && *found >= 0.9 * bound, "{name}: {found} is not just below {bound}");
        }
    };
    let bound = |fan: f64| 1.0 / fan.sqrt();
    near(&start(&Linear::new(60, 40), &[1, 60]), &[("weight", bound(60.0)), ("bias", bound(60.0))]);
    let conv = Conv2d::new(4, 60, 3).groups(2);
    near(&start(&conv, &[1, 4, 5, 5]), &[("weight", bound(18.0)), ("bias", bound(18.0))]);
    let transposed = ConvTranspose2d::new(4, 60, 3);
    near(&start(&transposed, &[1, 4, 5, 5]), &[("weight", bound(540.0)), ("bias", bound(540.0))]);
    let attention = MultiheadAttention::new(48, 4);
    let (stacked, zero) = ((6.0f64 / (48.0 * 4.0)).sqrt(), 0.0);
    near(
        &start(&attention, &[1, 2, 48]),
        &[
            ("q_proj.weight", stacked),
            ("q_proj.bias", zero),
            ("k_proj.weight", stacked),
            ("k_proj.bias", zero),
            ("v_proj.weight", stacked),
            ("v_proj.bias", zero),
            ("out_proj.weight", bound(48.0)),
            ("out_proj.bias", zero),
        ],
    );
}

#[test]
fn names_that_differ_only_in_dots_are_refused() {
    let mut g = Graph::new("names", Mode::Eval);
    let mut ask =
        |scope: &str, name: &str| g.scope(scope, |g| g.parameter(name, &[2], anemone::nn::Init::Zeros));
    let first = ask("a.b", "c").unwrap();
    assert_eq!(ask("a.b", "c").unwrap(), first, "the same name is the same parameter");
    let message = ask("a_b", "c").unwrap_err().to_string();
    assert!(message.contains("`a_b.c`") && message.contains("`a.b.c`"), "{message}");
}

#[test]
fn containers() {
    let x = normal("containers", &[2, 3, 4]);
    let layer = Sequential::new().add(Flatten).named("head", Linear::new(12, 5)).add(ReLU);
    let (y, states) = apply(&layer, &x);
    assert_eq!(&y.shape()[..], &[2, 5]);
    assert_eq!(states.names(), ["head_bias", "head_weight"]);
    let (y, _) = apply(&Residual(ReLU), &x);
    let expected: Vec<f64> = doubles(&x).iter().map(|x| x + x.max(0.0)).collect();
    assert_close(&doubles(&y), &expected, 1e-6);
}

/// Value of a loss of `x` and `y`, then its gradient by `x`.
fn loss_and_gradient(
    x: &Tensor,
    y: &Tensor,
    loss: impl Fn(&mut Graph, ValueId, ValueId) -> Result<ValueId, NnError>,
) -> (f64, Vec<f64>) {
    let inputs = [x.clone(), y.clone()];
    let value = run(Mode::Eval, &inputs, &States::new(), |g, inputs| loss(g, inputs[0], inputs[1]));
    let gradient = run(Mode::Eval, &inputs, &States::new(), |g, inputs| {
        let loss = loss(g, inputs[0], inputs[1])?;
        Ok(gradients_from(g, loss, None, &inputs[..1])?[0])
    });
    (doubles(&value)[0], doubles(&gradient))
}

#[test]
fn cross_entropy_ignores_what_is_marked() {
    let x = normal("cross entropy", &[5, 4]);
    let data = doubles(&x);
    for targets in [[0i32, 3, 1, 1, 2], [-100, 2, -100, 0, 3], [-100; 5]] {
        let y = Tensor::new([5], &targets).unwrap();
        let (loss, gradient) = loss_and_gradient(&x, &y, losses::cross_entropy);
        let counted = targets.iter().filter(|&&target| target != losses::IGNORE_INDEX).count().max(1) as f64;
        let (mut expected, mut slope) = (0.0, vec![0.0; 20]);
        for (row, &target) in targets.iter().enumerate().filter(|(_, target)| **target >= 0) {
            let logits = &data[row * 4..row * 4 + 4];
            let total: f64 = logits.iter().map(|x| x.exp()).sum();
            expected += (total.ln() - logits[target as usize]) / counted;
            for class in 0..4 {
                let hit = if class == target as usize { 1.0 } else { 0.0 };
                slope[row * 4 + class] = (logits[class].exp() / total - hit) / counted;
            }
        }
        assert_close(&[loss], &[expected], 1e-6);
        assert_close(&gradient, &slope, 1e-6);
    }
}

#[test]
fn accuracy_counts_hits() {
    let logits =
        Tensor::new([4, 3], &[0.0f32, 2.0, 1.0, 5.0, 1.0, 1.0, 0.0, 0.0, 1.0, 9.0, 0.0, 0.0]).unwrap();
    let targets = Tensor::new([4], &[1i32, 1, 2, -100]).unwrap();
    let found = run(Mode::Eval, &[logits, targets], &States::new(), |g, inputs| {
        losses::accuracy(g, inputs[0], inputs[1])
    });
    assert_close(&doubles(&found), &[2.0 / 3.0], 1e-6);
}

#[test]
fn mse_and_bce() {
    let (x, y) = (normal("x", &[3, 2]), normal("y", &[3, 2]));
    let (a, b) = (doubles(&x), doubles(&y));
    let (loss, gradient) = loss_and_gradient(&x, &y, losses::mse);
    let expected = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 6.0;
    let slope: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 2.0 * (a - b) / 6.0).collect();
    assert_close(&[loss], &[expected], 1e-6);
    assert_close(&gradient, &slope, 1e-6);

    // Also where exp(x) overflows.
    let x = Tensor::new([6], &[0.5f32, -2.0, 3.0, 100.0, -100.0, -1.0]).unwrap();
    let y = Tensor::new([6], &[1.0f32, 0.0, 0.25, 1.0, 1.0, 0.5]).unwrap();
    let (a, b) = (doubles(&x), doubles(&y));
    let (loss, gradient) = loss_and_gradient(&x, &y, losses::bce_with_logits);
    let expected =
        a.iter().zip(&b).map(|(x, y)| x.max(0.0) - x * y + (-x.abs()).exp().ln_1p()).sum::<f64>() / 6.0;
    let slope: Vec<f64> = a.iter().zip(&b).map(|(x, y)| (sigmoid(*x) - y) / 6.0).collect();
    assert_close(&[loss], &[expected], 1e-6);
    assert_close(&gradient, &slope, 1e-6);
}
