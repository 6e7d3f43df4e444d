//! Random groups: all at once gives the bits of one instruction after another, on every instruction set, with any number
//! of threads, in place or not.

use super::{Tensor, levels, output_types, run};
use crate::elementwise::compile::compile_for;
use crate::elementwise::{Code, ElementOp, Group, Instruction, Source};
use crate::isa;
use mil::{DataType, Shape, TensorType};
use proptest::prelude::*;

use DataType::{Bool, Fp16, Fp32, Int8, Int16, Int32, Uint8, Uint16};

/// A stream of numbers from a seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

fn shape(dice: &mut Dice) -> Shape {
    let sizes: &[usize] = match dice.below(4) {
        0 => &[1, 2, 3],
        1 => &[1, 2, 3, 5, 8, 17],
        2 => &[1, 16, 63, 64, 65],
        _ => &[1, 3, 130, 700],
    };
    let rank = dice.below(5);
    let mut dims: Vec<usize> = (0..rank).map(|_| dice.pick(sizes)).collect();
    while dims.iter().product::<usize>() > 60_000 {
        dims.pop();
    }
    dims.into()
}

/// A shape that broadcasts to `shape`.
fn leaf_shape(dice: &mut Dice, shape: &Shape) -> Shape {
    match dice.below(4) {
        0 => Shape::scalar(),
        1 | 2 => shape.clone(),
        _ => {
            let skip = dice.below(shape.rank() + 1);
            shape[skip..].iter().map(|&dim| if dice.below(3) == 0 { 1 } else { dim }).collect()
        }
    }
}

fn lane(dice: &mut Dice, dtype: DataType) -> u32 {
    const EDGES: [f32; 14] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        1e-45,
        -1e-40,
        65504.0,
        65520.0,
        6e-8,
        3.4e38,
        -1e7,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    if !dtype.is_float() {
        let edge = [0, 1, -1, i32::MIN, i32::MAX, 7, -128, 300];
        return if dice.below(8) == 0 { dice.pick(&edge) as u32 } else { dice.below(41) as u32 }
            .wrapping_sub(if dtype == Bool { 0 } else { 20 });
    }
    match dice.below(12) {
        0 => dice.pick(&EDGES).to_bits(),
        1 => dice.next() as u32,
        _ => ((dice.below(20001) as f32 - 10000.0) * 0.0007).to_bits(),
    }
}

const FLOAT_1: [Code; 44] = [
    Code::Abs,
    Code::Acos,
    Code::Asin,
    Code::Atan,
    Code::Atanh,
    Code::Ceil,
    Code::Clip,
    Code::Cos,
    Code::Cosh,
    Code::Erf,
    Code::Exp,
    Code::Exp2,
    Code::Floor,
    Code::Inverse,
    Code::Log,
    Code::Round,
    Code::Rsqrt,
    Code::Sign,
    Code::Sin,
    Code::Sinh,
    Code::Sqrt,
    Code::Square,
    Code::Tan,
    Code::Tanh,
    Code::Threshold,
    Code::ClampedRelu,
    Code::Elu,
    Code::GeluExact,
    Code::GeluSigmoid,
    Code::GeluTanh,
    Code::LeakyRelu,
    Code::LinearActivation,
    Code::Relu,
    Code::Relu6,
    Code::ScaledTanh,
    Code::Sigmoid,
    Code::SigmoidHard,
    Code::Silu,
    Code::Softplus,
    Code::Softsign,
    Code::ThresholdedRelu,
    Code::Identity,
    Code::Square,
    Code::Tanh,
];
const NUMBER_2: [Code; 9] = [
    Code::Add,
    Code::Sub,
    Code::Mul,
    Code::RealDiv,
    Code::FloorDiv,
    Code::Mod,
    Code::Pow,
    Code::Maximum,
    Code::Minimum,
];
const COMPARE: [Code; 6] =
    [Code::Equal, Code::NotEqual, Code::Greater, Code::GreaterEqual, Code::Less, Code::LessEqual];
const LOGIC: [Code; 3] = [Code::LogicalAnd, Code::LogicalOr, Code::LogicalXor];

struct Case {
    group: Group,
    leaves: Vec<Tensor>,
    in_place: Vec<Option<usize>>,
}

fn case(seed: u64) -> Case {
    let dice = &mut Dice(seed);
    let shape = shape(dice);
    let mut leaves: Vec<TensorType> = [Fp32, Fp16, Int32, Bool]
        .into_iter()
        .chain((0..dice.below(5)).map(|_| Fp32))
        .map(|dtype| TensorType::new(dtype, leaf_shape(dice, &shape)))
        .collect();
    leaves.extend(
        [Int8, Uint8, Int16, Uint16]
            .into_iter()
            .filter(|_| dice.below(3) == 0)
            .map(|dtype| TensorType::new(dtype, shape.clone())),
    );
    let mut values: Vec<(Source, DataType)> =
        leaves.iter().enumerate().map(|(at, leaf)| (Source::Leaf(at), leaf.dtype)).collect();
    let mut instructions: Vec<Instruction> = Vec::new();
    for _ in 0..1 + dice.below(14) {
        let instruction = instruction(dice, &values);
        values.push((Source::Instruction(instructions.len()), instruction.dtype));
        instructions.push(instruction);
    }
    let mut outputs: Vec<usize> = (0..instructions.len()).filter(|_| dice.below(3) == 0).collect();
    outputs.push(instructions.len() - 1);
    let mut taken = Vec::new();
    let in_place = outputs
        .iter()
        .map(|&output| {
            let free = (0..leaves.len()).find(|leaf| {
                let same = leaves[*leaf].dtype == instructions[output].dtype;
                same && leaves[*leaf].shape.count() == shape.count() && !taken.contains(leaf)
            });
            let leaf = free.filter(|_| dice.below(2) == 0);
            taken.extend(leaf);
            leaf
        })
        .collect();
    let tensors = leaves
        .iter()
        .map(|leaf| {
            Tensor::new(leaf, (0..leaf.shape.count()).map(|_| lane(dice, leaf.dtype)).collect::<Vec<_>>())
        })
        .collect();
    Case { group: Group { shape, leaves, instructions, outputs }, leaves: tensors, in_place }
}

fn instruction(dice: &mut Dice, values: &[(Source, DataType)]) -> Instruction {
    let number = dice.pick(&[Fp32, Fp32, Fp16, Int32]);
    let any = |dice: &mut Dice, dtype: DataType| {
        let fitting: Vec<Source> =
            values.iter().filter(|(_, other)| *other == dtype).map(|(source, _)| *source).collect();
        // Later values more often, so that chains get long.
        let from = if dice.below(2) == 0 { fitting.len() / 2 } else { 0 };
        dice.pick(&fitting[from..])
    };
    let (code, args, dtype) = match dice.below(10) {
        0..4 => (dice.pick(&NUMBER_2), vec![any(dice, number), any(dice, number)], number),
        4 | 5 => {
            let float = dice.pick(&[Fp32, Fp16]);
            (dice.pick(&FLOAT_1), vec![any(dice, float)], float)
        }
        6 => (dice.pick(&COMPARE), vec![any(dice, number), any(dice, number)], Bool),
        7 => match dice.below(3) {
            0 => (Code::LogicalNot, vec![any(dice, Bool)], Bool),
            1 => (dice.pick(&LOGIC), vec![any(dice, Bool), any(dice, Bool)], Bool),
            _ => (dice.pick(&[Code::Abs, Code::Sign, Code::Square]), vec![any(dice, Int32)], Int32),
        },
        8 => (Code::Select, vec![any(dice, Bool), any(dice, number), any(dice, number)], number),
        _ if dice.below(6) == 0 => (Code::Fill(lane(dice, number)), vec![], number),
        _ => {
            let from = dice.pick(values).1;
            (
                Code::Cast,
                vec![any(dice, from)],
                dice.pick(&[Fp16, Fp32, Int8, Uint8, Int16, Uint16, Int32, Bool]),
            )
        }
    };
    let op = ElementOp { code, alpha: dice.below(9) as f32 * 0.25 - 0.5, beta: dice.below(9) as f32 * 0.5 };
    Instruction { op, args: args.into_iter().collect(), dtype }
}

/// Each instruction in a group of its own, through memory.
fn one_by_one(case: &Case) -> Vec<Vec<u32>> {
    let group = &case.group;
    let mut results: Vec<Tensor> = Vec::new();
    for instruction in &group.instructions {
        let operands: Vec<Tensor> = instruction
            .args
            .iter()
            .map(|source| match *source {
                Source::Leaf(leaf) => case.leaves[leaf].clone(),
                Source::Instruction(at) => results[at].clone(),
            })
            .collect();
        let single = Group {
            shape: group.shape.clone(),
            leaves: operands.iter().map(|operand| operand.ty.clone()).collect(),
            instructions: vec![Instruction {
                args: (0..operands.len()).map(Source::Leaf).collect(),
                ..instruction.clone()
            }],
            outputs: vec![0],
        };
        let kernel = compile_for(&single, isa::level());
        results.extend(run(&kernel, &single, &operands, &[]));
    }
    group.outputs.iter().map(|&output| results[output].lanes()).collect()
}

fn lanes(outputs: &[Tensor]) -> Vec<Vec<u32>> {
    outputs.iter().map(Tensor::lanes).collect()
}

#[test]
fn all_at_once_is_one_by_one() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let check = |seed| {
        let case = case(seed);
        let expected = one_by_one(&case);
        for level in levels() {
            let kernel = compile_for(&case.group, level);
            let apart = run(&kernel, &case.group, &case.leaves, &[]);
            prop_assert_eq!(&lanes(&apart), &expected, "{:?} {:?}", level, case.group);
            let in_place = run(&kernel, &case.group, &case.leaves, &case.in_place);
            prop_assert_eq!(&lanes(&in_place), &expected, "{:?} {:?} {:?}", level, case.in_place, case.group);
        }
        Ok(())
    };
    runner.run(&any::<u64>(), check).unwrap();
}

#[test]
fn threads_do_not_show() {
    let cases: Vec<Case> = (0..40).map(case).filter(|case| case.group.shape.count() > 3000).collect();
    assert!(cases.len() > 3);
    for case in &cases {
        let run_on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let kernel = case.group.clone().compile();
            pool.install(|| lanes(&run(&kernel, &case.group, &case.leaves, &case.in_place)))
        };
        let one = run_on(1);
        assert_eq!(one, run_on(2));
        assert_eq!(one, run_on(3));
    }
}

#[test]
fn in_place_updates_of_several_outputs() {
    // AdamW: p, m and v take new values in their own memory, each of which is read by a later instruction.
    let (dims, op) = (Shape::from([1000, 37]), |code| ElementOp::new(code));
    let full = TensorType::new(Fp32, dims.clone());
    let scalar = TensorType::scalar(Fp32);
    let (leaf, at) = (Source::Leaf, Source::Instruction);
    let steps: [(ElementOp, Vec<Source>); 10] = [
        (op(Code::Mul), vec![leaf(1), leaf(4)]),
        (op(Code::Mul), vec![leaf(3), leaf(5)]),
        (op(Code::Add), vec![at(0), at(1)]),
        (op(Code::Square), vec![leaf(3)]),
        (op(Code::Mul), vec![at(3), leaf(5)]),
        (op(Code::Add), vec![leaf(2), at(4)]),
        (op(Code::Sqrt), vec![at(5)]),
        (op(Code::RealDiv), vec![at(2), at(6)]),
        (op(Code::Mul), vec![at(7), leaf(5)]),
        (op(Code::Sub), vec![leaf(0), at(8)]),
    ];
    let group = Group {
        shape: dims.clone(),
        leaves: vec![full.clone(), full.clone(), full.clone(), full.clone(), scalar.clone(), scalar.clone()],
        instructions: steps
            .into_iter()
            .map(|(op, args)| Instruction { op, args: args.into_iter().collect(), dtype: Fp32 })
            .collect(),
        outputs: vec![9, 2, 5],
    };
    let values =
        |factor: f32| Tensor::floats(&full, (0..dims.count()).map(|i| (i % 251) as f32 * factor + 1.0));
    let (p, m, v, g) = (values(0.1), values(0.2), values(0.3), values(-0.4));
    let (a, b) = (Tensor::floats(&scalar, [0.9]), Tensor::floats(&scalar, [0.1]));
    let leaves = [p, m, v, g, a, b];
    let outputs = run(&group.clone().compile(), &group, &leaves, &[Some(0), Some(1), Some(2)]);
    let float = |tensor: &Tensor, i: usize| f32::from_bits(tensor.lanes()[i]);
    for i in [0, 1, 250, 511, 512, 1023, 36_990, 36_999] {
        let (p, m, v, g) =
            (float(&leaves[0], i), float(&leaves[1], i), float(&leaves[2], i), float(&leaves[3], i));
        let m = m * 0.9 + g * 0.1;
        let v = v + g * g * 0.1;
        assert_eq!(float(&outputs[0], i), p - m / v.sqrt() * 0.1);
        assert_eq!([float(&outputs[1], i), float(&outputs[2], i)], [m, v]);
    }
    assert_eq!(output_types(&group).len(), 3);
}
