//! Long sequences, many items, empty sizes and edges of `fp16`, against formulas in `f64`. Small sizes of every variant are
//! compared with PyTorch in `tests/golden_ops.rs`.

use super::AHEAD;
use crate::kernels::testing::{Case, Tolerance};
use mil::DataType;

/// Sizes: steps, batch, features, hidden.
type Sizes = [usize; 4];

/// The next `h` and `c`.
type Next = (Vec<f64>, Vec<f64>);

/// Room for the rounding of many steps. States are kept small, so that errors die out.
const STEPS: Tolerance = Tolerance::SUM;

/// A weight so small that the state forgets; exact in `fp16`.
fn small(case: &mut Case, param: &'static str, shape: &[usize]) -> Vec<f64> {
    let data: Vec<f64> = case.random(shape.iter().product()).iter().map(|value| value / 32.0).collect();
    case.given(param, shape, data.clone(), true);
    data
}

/// Operands of an op with `gates` gates; the numbers in the order `x`, `initial_h`, weights, `bias`.
fn operands(case: &mut Case, [steps, batch, features, hidden]: Sizes, gates: usize) -> [Vec<f64>; 5] {
    let rows = gates * hidden;
    [
        case.float("x", &[steps, batch, features]),
        case.float("initial_h", &[batch, hidden]),
        small(case, "weight_ih", &[rows, features]),
        small(case, "weight_hh", &[rows, hidden]),
        small(case, "bias", &[rows]),
    ]
}

/// `weight[row] · values`.
fn dot(weight: &[f64], row: usize, values: &[f64]) -> f64 {
    weight[row * values.len()..].iter().zip(values).map(|(weight, value)| weight * value).sum()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Walks every item of the batch; `step(x, h, c)` gives the next `h` and `c`. Returns all `h` and the last of both.
fn walk(
    x: &[f64],
    [h, c]: [&[f64]; 2],
    [steps, batch, features, hidden]: Sizes,
    reverse: bool,
    step: impl Fn(&[f64], &[f64], &[f64]) -> Next,
) -> [Vec<f64>; 3] {
    let mut all = vec![0.0; steps * batch * hidden];
    let (mut last_h, mut last_c) = (h.to_vec(), c.to_vec());
    for item in 0..batch {
        let own = item * hidden..(item + 1) * hidden;
        let (mut h, mut c) = (h[own.clone()].to_vec(), c[own.clone()].to_vec());
        for at in 0..steps {
            let from = if reverse { steps - 1 - at } else { at };
            (h, c) = step(&x[(from * batch + item) * features..][..features], &h, &c);
            all[(at * batch + item) * hidden..][..hidden].copy_from_slice(&h);
        }
        last_h[own.clone()].copy_from_slice(&h);
        last_c[own].copy_from_slice(&c);
    }
    [all, last_h, last_c]
}

fn lstm_step([w, r, b]: [&[f64]; 3], peephole: &[f64], clip: f64) -> impl Fn(&[f64], &[f64], &[f64]) -> Next {
    move |x, h, c| {
        let n = h.len();
        let sum = |gate: usize, i: usize| dot(w, gate * n + i, x) + dot(r, gate * n + i, h) + b[gate * n + i];
        let p = |gate: usize, i: usize| peephole.get(gate * n + i).copied().unwrap_or(0.0);
        let cell = |i: usize| {
            let input = sigmoid(sum(0, i) + p(0, i) * c[i]);
            let forget = sigmoid(sum(1, i) + p(1, i) * c[i]);
            (forget * c[i] + input * sum(3, i).tanh()).clamp(-clip, clip)
        };
        let cells: Vec<f64> = (0..n).map(cell).collect();
        let out = |i: usize| sigmoid(sum(2, i) + p(2, i) * cells[i]) * cells[i].tanh();
        ((0..n).map(out).collect(), cells)
    }
}

fn gru_step([w, r, b]: [&[f64]; 3]) -> impl Fn(&[f64], &[f64], &[f64]) -> Next {
    move |x, h, _| {
        let n = h.len();
        let sum = |gate: usize, i: usize, h: &[f64]| {
            dot(w, gate * n + i, x) + dot(r, gate * n + i, h) + b[gate * n + i]
        };
        let reset: Vec<f64> = (0..n).map(|i| sigmoid(sum(0, i, h)) * h[i]).collect();
        let next = |i: usize| {
            let update = sigmoid(sum(2, i, h));
            (1.0 - update) * sum(1, i, &reset).tanh() + update * h[i]
        };
        ((0..n).map(next).collect(), h.to_vec())
    }
}

#[test]
fn long_sequences_pass_through_several_products() {
    let sizes = [70, 9, 5, 140];
    assert!(sizes[0] * sizes[1] * 4 * sizes[3] > AHEAD, "one product takes it all: nothing is tested");
    for reverse in [false, true] {
        let mut case = Case::new("lstm");
        let [x, h, w, r, b] = operands(&mut case, sizes, 4);
        let c = case.float("initial_c", &[sizes[1], sizes[3]]);
        let peephole = small(&mut case, "peephole", &[3 * sizes[3]]);
        case.bool("output_sequence", true);
        case.string("direction", if reverse { "reverse" } else { "forward" });
        let step = lstm_step([&w, &r, &b], &peephole, f64::INFINITY);
        case.check_all(&walk(&x, [&h, &c], sizes, reverse, step), STEPS);
    }
}

#[test]
fn both_directions_stand_in_the_order_of_the_input() {
    // Fewer rows than are worth packing, and more.
    for sizes in [[5, 1, 3, 6], [60, 7, 4, 180]] {
        let [steps, batch, features, hidden] = sizes;
        for whole in [false, true] {
            let mut case = Case::new("lstm");
            let x = case.float("x", &[steps, batch, features]);
            let (h, c) = (
                case.float("initial_h", &[batch, 2 * hidden]),
                case.float("initial_c", &[batch, 2 * hidden]),
            );
            let mut weights = |suffix: [&'static str; 3]| {
                let [w, r, b] = suffix;
                [
                    small(&mut case, w, &[4 * hidden, features]),
                    small(&mut case, r, &[4 * hidden, hidden]),
                    small(&mut case, b, &[4 * hidden]),
                ]
            };
            let ahead = weights(["weight_ih", "weight_hh", "bias"]);
            let back = weights(["weight_ih_back", "weight_hh_back", "bias_back"]);
            case.string("direction", "bidirectional");
            case.bool("output_sequence", whole);
            case.given("clip", &[], vec![0.25], true);
            let half = |state: &[f64], back: usize| -> Vec<f64> {
                state.chunks(hidden).skip(back).step_by(2).flatten().copied().collect()
            };
            let run = |weights: &[Vec<f64>; 3], back: usize| {
                let [w, r, b] = weights;
                walk(
                    &x,
                    [&half(&h, back), &half(&c, back)],
                    sizes,
                    back == 1,
                    lstm_step([w, r, b], &[], 0.25),
                )
            };
            let (mut ahead, mut back) = (run(&ahead, 0), run(&back, 1));
            let row = batch * hidden;
            if whole {
                back[0] = back[0].chunks(row).rev().flatten().copied().collect();
            } else {
                ahead[0] = ahead[1].clone();
                back[0] = back[1].clone();
            }
            let both = |(ahead, back): (&Vec<f64>, &Vec<f64>)| -> Vec<f64> {
                ahead.chunks(hidden).zip(back.chunks(hidden)).flat_map(|(a, b)| [a, b].concat()).collect()
            };
            let want: Vec<Vec<f64>> = ahead.iter().zip(&back).map(both).collect();
            case.check_all(&want, STEPS);
        }
    }
}

#[test]
fn gru_and_rnn_take_any_number_of_items() {
    for (batch, hidden) in [(1, 33), (3, 20), (4, 17), (64, 100)] {
        let sizes = [30, batch, 6, hidden];
        let mut case = Case::new("gru");
        let [x, h, w, r, b] = operands(&mut case, sizes, 3);
        case.bool("output_sequence", true);
        let [all, last, _] = walk(&x, [&h, &h], sizes, false, gru_step([&w, &r, &b]));
        case.check_all(&[all, last], STEPS);

        let mut case = Case::new("rnn");
        let [x, h, w, r, b] = operands(&mut case, sizes, 1);
        case.string("direction", "reverse");
        let step = |x: &[f64], h: &[f64], _: &[f64]| {
            let next = |i: usize| (dot(&w, i, x) + dot(&r, i, h) + b[i]).tanh();
            ((0..h.len()).map(next).collect(), h.to_vec())
        };
        let [_, last, _] = walk(&x, [&h, &h], sizes, true, step);
        case.check_all(&[last.clone(), last], STEPS);
    }
}

#[test]
fn an_input_without_features_leaves_the_bias() {
    let mut case = Case::new("rnn");
    case.given("x", &[2, 1, 0], vec![], false);
    case.given("initial_h", &[1, 2], vec![0.5, -1.0], false);
    case.given("weight_ih", &[2, 0], vec![], true);
    case.given("weight_hh", &[2, 2], vec![1.0, 0.0, 0.0, 2.0], true);
    case.given("bias", &[2], vec![0.25, 0.5], true);
    case.string("activation", "linear");
    case.bool("output_sequence", true);
    case.check_all(&[vec![0.75, -1.5, 1.0, -2.5], vec![1.0, -2.5]], Tolerance::EXACT);
}

#[test]
fn nothing_is_computed_for_empty_batches_and_states() {
    for (batch, hidden) in [(0, 3), (2, 0)] {
        for (op, gates, states) in [("rnn", 1, 1), ("gru", 3, 1), ("lstm", 4, 2)] {
            let mut case = Case::new(op);
            operands(&mut case, [4, batch, 2, hidden], gates);
            if states == 2 {
                case.float("initial_c", &[batch, hidden]);
            }
            case.check_all(&vec![vec![]; 1 + states], Tolerance::EXACT);
        }
    }
}

#[test]
fn half_precision_is_rounded_once() {
    // In `fp16` 2048 + 1 would be 2048 after every step; the state counts on.
    let mut case = Case::new("rnn");
    case.given("x", &[3, 1, 1], vec![1.0; 3], false);
    case.given("initial_h", &[1, 1], vec![2048.0], false);
    case.given("weight_ih", &[1, 1], vec![1.0], true);
    case.given("weight_hh", &[1, 1], vec![1.0], true);
    case.string("activation", "linear");
    case.bool("output_sequence", true);
    // 2049 is half way between 2048 and 2050: to even.
    assert_eq!(case.outputs(DataType::Fp16).unwrap()[0].1, [2048.0, 2050.0, 2052.0]);
}

#[test]
fn what_is_no_number_stays_visible() {
    let mut case = Case::new("lstm");
    case.given("x", &[1, 1, 1], vec![f64::NAN], false);
    case.given("initial_h", &[1, 1], vec![0.0], false);
    case.given("initial_c", &[1, 1], vec![0.0], false);
    case.given("weight_ih", &[4, 1], vec![1.0; 4], true);
    case.given("weight_hh", &[4, 1], vec![1.0; 4], true);
    case.given("clip", &[], vec![1.0], true);
    case.check_all(&[vec![f64::NAN], vec![f64::NAN], vec![f64::NAN]], Tolerance::EXACT);
    for activation in ["relu", "sigmoid_hard", "linear", "tanh", "sigmoid"] {
        let mut case = Case::new("rnn");
        case.given("x", &[1, 1, 1], vec![f64::NAN], false);
        case.given("initial_h", &[1, 1], vec![0.0], false);
        case.given("weight_ih", &[1, 1], vec![1.0], true);
        case.given("weight_hh", &[1, 1], vec![1.0], true);
        case.string("activation", activation);
        case.check_all(&[vec![f64::NAN], vec![f64::NAN]], Tolerance::EXACT);
    }
}
