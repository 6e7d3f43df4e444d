//! Random programs: every one gets an answer, and rewriting ends and stays.

#![allow(clippy::unwrap_used, reason = "test code")]
#![allow(dead_code, reason = "each test file uses a part of what is common")]

mod common;

use anemone_ane::chips::{BARE, CHIPS, Chip};
use anemone_ane::cost::{EstimateOptions, estimate_parts};
use anemone_ane::legalize::legalize;
use anemone_ane::placement::{Device, split};
use anemone_ane::rules::{Severity, Verdict, check};
use anemone_ane::simulated::Stages;
use mil::{Constant, DataType, FunctionBuilder, Opset, Program, TensorType, ValueId, Verified};
use proptest::prelude::*;

/// One choice of an op and of what it works on.
type Choice = (usize, usize, usize, i32);

const SHAPES: [&[usize]; 9] = [
    &[1, 8, 16, 16],
    &[2, 3, 1, 5],
    &[1, 20000],
    &[7],
    &[1, 2, 3, 4, 5],
    &[4, 64],
    &[1, 1, 40, 70],
    &[0, 3],
    &[2, 1, 70000],
];

/// Builds what fits and leaves out what does not.
fn random(shape: usize, dtype: DataType, choices: &[Choice]) -> Verified {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let ty = TensorType::new(dtype, SHAPES[shape]);
    let mut values = vec![f.input("x", ty.clone()).unwrap(), f.input("y", ty).unwrap()];
    for &(op, a, b, number) in choices {
        let (a, b) = (values[a % values.len()], values[b % values.len()]);
        if let Ok(made) = add(&mut f, op, a, b, number) {
            values.extend(made.into_iter().filter(|&id| f.shape(id).iter().product::<usize>() < 1 << 20));
        }
    }
    // Inputs among them, and one twice: these pass through `identity`.
    let mut outputs: Vec<ValueId> = values.iter().rev().take(3).copied().collect();
    outputs.push(outputs[0]);
    let function = f.finish(&outputs).unwrap();
    common::verified(Program::single(function))
}

fn add(
    f: &mut FunctionBuilder,
    op: usize,
    a: ValueId,
    b: ValueId,
    n: i32,
) -> Result<Vec<ValueId>, mil::BuildError> {
    let rank = f.shape(a).len();
    let last = rank.saturating_sub(1);
    let unary = [
        "relu",
        "softplus",
        "round",
        "floor",
        "square",
        "identity",
        "tan",
        "cosh",
        "sqrt",
        "exp",
        "tanh",
        "softmax",
        "silu",
        "acos",
        "flatten2d",
        "non_zero",
        "shape",
        "erf",
        "sin",
        "instance_norm",
        "l2_norm",
    ];
    let binary = [
        "add",
        "mul",
        "sub",
        "real_div",
        "mod",
        "maximum",
        "pow",
        "greater",
        "equal",
        "logical_and",
        "logical_xor",
        "matmul",
    ];
    let reductions = ["reduce_sum", "reduce_log_sum_exp", "reduce_prod", "reduce_mean", "reduce_argmax"];
    let known = f.shape(a).to_vec();
    match op % 12 {
        0 | 1 => f.unary(unary[n as usize % unary.len()], a).map(|y| vec![y]),
        2 | 3 => f.op(binary[n as usize % binary.len()]).arg("x", a).arg("y", b).one().map(|y| vec![y]),
        4 if reductions[n as usize % 5] == "reduce_argmax" => {
            f.op("reduce_argmax").arg("x", a).int("axis", -1).one().map(|y| vec![y])
        }
        4 => f.reduce(reductions[n as usize % 5], a, &[n % 5 - 2], n % 2 == 0).map(|y| vec![y]),
        5 => {
            let begin: Vec<i32> = known.iter().map(|&dim| n % (dim.max(1) as i32)).collect();
            let size: Vec<i32> =
                known.iter().zip(&begin).map(|(&dim, &begin)| 1.max((dim as i32 - begin) / 2)).collect();
            f.op("slice_by_size").arg("x", a).ints("begin", &begin).ints("size", &size).one().map(|y| vec![y])
        }
        6 => f.op("split").arg("x", a).int("num_splits", 2 + n % 2).int("axis", last as i32).many(),
        7 => f
            .op("concat")
            .args("values", &[a, b])
            .int("axis", n % 4 - 2)
            .bool("interleave", false)
            .one()
            .map(|y| vec![y]),
        8 => {
            let mut perm: Vec<i32> = (0..rank as i32).collect();
            perm.rotate_left((n as usize) % rank.max(1));
            f.transpose(a, &perm).map(|y| vec![y])
        }
        9 => {
            let count: usize = known.iter().product();
            f.reshape(a, &[count]).map(|y| vec![y])
        }
        10 => {
            let channels = known.get(1).copied().unwrap_or(1);
            let kernel = [1, 3, 17, 40][n as usize % 4];
            let weight = Constant::splat(&TensorType::new(f.dtype(a), [2, channels, 1, kernel]), 0.1);
            let call = f.op("conv").arg("x", a);
            match weight {
                Some(weight) => {
                    call.constant("weight", weight).string("pad_type", "same").one().map(|y| vec![y])
                }
                None => call.one().map(|y| vec![y]),
            }
        }
        _ => match n % 8 {
            0 => f.op("cumsum").arg("x", a).int("axis", -1).one().map(|y| vec![y]),
            1 => f.op("tile").arg("x", a).ints("reps", &vec![2; rank]).one().map(|y| vec![y]),
            2 => {
                f.op("gather").arg("x", a).ints("indices", &[0, 1, 0]).int("axis", -1).one().map(|y| vec![y])
            }
            3 => f.op("band_part").arg("x", a).int("lower", 1).one().map(|y| vec![y]),
            4 => f
                .op("cast")
                .arg("x", a)
                .string("dtype", ["fp16", "fp32", "int32", "bool"][n as usize / 8 % 4])
                .one()
                .map(|y| vec![y]),
            5 => f
                .op("scaled_dot_product_attention")
                .arg("query", a)
                .arg("key", b)
                .arg("value", b)
                .one()
                .map(|y| vec![y]),
            6 => f.mul(a, 0.25).map(|y| vec![y]),
            _ => f
                .op("max_pool")
                .arg("x", a)
                .ints("kernel_sizes", &[1, 9])
                .string("pad_type", "same")
                .one()
                .map(|y| vec![y]),
        },
    }
}

/// Runs the stages: the host does all that it can, then the engine its next program, which has to find what it needs.
/// What is not run in the end.
fn left_over(f: &mil::Function, stages: &Stages) -> Vec<usize> {
    let mut there: Vec<bool> = f.values.iter().map(|value| !matches!(value.def, mil::Def::Op)).collect();
    let of_engine: Vec<usize> = stages.parts().iter().flatten().copied().collect();
    let mut left: Vec<usize> = (0..f.body.ops.len()).collect();
    let mut run = |there: &mut Vec<bool>, mine: &dyn Fn(usize) -> bool| {
        left.retain(|&at| {
            let operation = &f.body.ops[at];
            let ready = mine(at) && operation.uses().all(|id| there[id.index()]);
            if ready {
                operation.outputs.iter().for_each(|id| there[id.index()] = true);
            }
            !ready
        });
        left.clone()
    };
    for part in stages.parts() {
        run(&mut there, &|at| !of_engine.contains(&at));
        let after = run(&mut there, &|at| part.contains(&at));
        if let Some(&stuck) = part.iter().find(|at| after.contains(at)) {
            return vec![stuck];
        }
    }
    run(&mut there, &|at| !of_engine.contains(&at))
}

fn all_chips() -> impl Iterator<Item = &'static Chip> {
    CHIPS.iter().chain(BARE)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn any_program_gets_an_answer_and_rewriting_ends(
        shape in 0..SHAPES.len(),
        half in any::<bool>(),
        choices in prop::collection::vec((0usize..12, 0usize..64, 0usize..64, 0i32..1000), 1..24),
        chip in 0usize..44,
    ) {
        let dtype = if half { DataType::Fp16 } else { DataType::Fp32 };
        let program = random(shape, dtype, &choices);
        let chip = all_chips().nth(chip % all_chips().count()).unwrap();
        let before = check(&program, None, chip).unwrap();
        let (once, _) = legalize(&program, chip).unwrap();
        let after = check(&once, None, chip).unwrap();
        let left: Vec<_> = after.findings.iter().filter(|finding| finding.fixable).collect();
        prop_assert!(left.is_empty(), "{left:#?}");
        let (twice, more) = legalize(&once, chip).unwrap();
        prop_assert!(more.is_empty() && once == twice, "{more:#?}");
        // What programs take and give does not change.
        let (f, g) = (&program.functions[0], &once.functions[0]);
        let signature = |f: &mil::Function, ids: &[ValueId]| -> Vec<_> {
            ids.iter().map(|&id| (f.display_name(id), f.ty(id).clone())).collect()
        };
        prop_assert_eq!(signature(f, &f.inputs), signature(g, &g.inputs));
        prop_assert_eq!(signature(f, &f.body.outputs), signature(g, &g.body.outputs));
        // Nothing that was fine becomes refused.
        if before.verdict != Verdict::Refused {
            prop_assert!(after.verdict != Verdict::Refused, "{:#?}", after.findings);
        }
        prop_assert_eq!(before.verdict == Verdict::Refused, before.of(Severity::Refused).next().is_some());
        for part in split(&program, None, chip).unwrap() {
            let all: usize = [Device::Engine, Device::GpuOrCpu, Device::Cpu].into_iter().map(|device| part.on(device)).sum();
            prop_assert!(all <= f.body.ops.len());
        }
        // Split between engine and host, every operation is on one side at most, and each part has a price.
        let stages = Stages::new(f, chip);
        let mut placed: Vec<usize> = stages.parts().iter().flatten().copied().collect();
        prop_assert_eq!(placed.len(), stages.on_engine());
        prop_assert!(placed.len() + stages.on_host() <= f.body.ops.len());
        placed.sort_unstable();
        placed.dedup();
        prop_assert_eq!(placed.len(), stages.on_engine());
        prop_assert_eq!(left_over(f, &stages), Vec::<usize>::new());
        if before.verdict != Verdict::Refused {
            prop_assert_eq!(stages.on_host(), 0);
        }
        for part in estimate_parts(f, stages.parts(), chip, &EstimateOptions::default()) {
            let latency = part.latency_ms;
            prop_assert!(0.0 < latency.low && latency.low <= latency.mid && latency.high.is_finite(), "{latency:?}");
        }
    }
}
