//! Inference withstands anything: random programs of random arguments never panic, and what the builder takes, the
//! verifier takes.

use mil::{
    Arg, Constant, DataType, Def, Function, FunctionBuilder, Op, Opset, Param, ParamKind, Program,
    TensorType, ValueId, verify,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A small generator of its own, so that a case is one number.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

const SMALL: [usize; 8] = [1, 2, 2, 3, 4, 4, 6, 8];
const HUGE: [usize; 7] = [0, 1 << 20, 1 << 31, 1 << 40, 1 << 62, isize::MAX as usize, usize::MAX];
const INTS: [i32; 12] = [1, 1, 2, 0, 2, 3, 4, -1, -2, 1 << 20, i32::MAX, i32::MIN];
const FLOATS: [f32; 9] = [0.0, 0.5, 1.0, -1.0, 1e-5, 3e38, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
const STRINGS: [&str; 20] = [
    "valid",
    "",
    "valid",
    "same",
    "same_lower",
    "custom",
    "add",
    "update",
    "constant",
    "reflect",
    "replicate",
    "int32",
    "uint16",
    "fp16",
    "ij,jk->ik",
    "nchw,nwhu->nchu",
    "ii->i",
    "i,->é",
    "EXACT",
    "logits",
];

fn dims(dice: &mut Dice) -> Vec<usize> {
    let rank = dice.pick(&[0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7]);
    let hostile = dice.one_in(12);
    (0..rank).map(|_| if hostile && dice.one_in(2) { dice.pick(&HUGE) } else { dice.pick(&SMALL) }).collect()
}

/// A small constant. Half of them have a length that fits the `first` argument: one element per dimension, per
/// spatial dimension, per side of those, or per channel.
fn constant(dice: &mut Dice, dtype: DataType, first: &[usize]) -> Constant {
    let rank = first.len();
    let fitting =
        [rank, rank.saturating_sub(2), 2 * rank.saturating_sub(2), first.get(1).map_or(1, |&dim| dim.min(9))];
    let single = [DataType::String, DataType::Bool, DataType::Uint32].contains(&dtype);
    let len = match dice.one_in(2) {
        true if single => 1,
        true => dice.pick(&fitting),
        false => dice.pick(&[0, 1, 1, 1, 2, 2, 3, 4, 4, 6, 8]),
    };
    let shape = match dice.below(4) {
        0 if len == 1 => vec![],
        1 if len == 4 => vec![2, 2],
        _ => vec![len],
    };
    let reach = dice.pick(&[3, 5, 9, 9, INTS.len()]);
    let mut ints = || dice.pick(&INTS[..reach]);
    let ints: Vec<i32> = (0..len).map(|_| ints()).collect();
    match dtype {
        DataType::Bool => {
            Constant::bools(shape, &ints.iter().map(|value| value % 2 == 1).collect::<Vec<_>>())
        }
        DataType::Fp32 => Constant::new(shape, (0..len).map(|_| dice.pick(&FLOATS)).collect()),
        DataType::Fp16 => {
            Constant::new(shape, (0..len).map(|_| half::f16::from_f32(dice.pick(&FLOATS))).collect())
        }
        DataType::String => {
            Constant::strings(shape, (0..len).map(|_| dice.pick(&STRINGS).to_string()).collect())
        }
        DataType::Int8 => Constant::new(shape, ints.iter().map(|&value| value as i8).collect()),
        DataType::Uint8 => Constant::new(shape, ints.iter().map(|&value| value as u8).collect()),
        DataType::Int16 => Constant::new(shape, ints.iter().map(|&value| value as i16).collect()),
        DataType::Uint16 => Constant::new(shape, ints.iter().map(|&value| value as u16).collect()),
        DataType::Uint32 => Constant::new(shape, ints.iter().map(|&value| value as u32).collect()),
        DataType::Int32 => Constant::new(shape, ints),
        DataType::Int64 => Constant::new(shape, ints.iter().map(|&value| i64::from(value)).collect()),
        packed => {
            let values: Vec<i64> = ints.iter().map(|&value| i64::from(value & 1)).collect();
            Constant::packed(packed, shape, &values)
        }
    }
    .unwrap()
}

/// A value for a parameter: mostly one that its declaration allows, now and then anything.
fn value(dice: &mut Dice, f: &mut FunctionBuilder, param: &Param, first: &[usize]) -> ValueId {
    let (allowed, _) = param.constraint(f.function().opset);
    let anything = dice.one_in(30);
    if param.must_be_constant(f.function().opset) || dice.one_in(6) {
        let dtypes: Vec<DataType> = if anything { DataType::ALL.to_vec() } else { allowed.iter().collect() };
        let dtype = dice.pick(&dtypes);
        let constant = constant(dice, dtype, first);
        return f.constant(constant);
    }
    let count = f.function().values.len();
    for _ in 0..40 {
        let id = ValueId::from_index(dice.below(count));
        let known = f.function().value(id);
        let state = known.ty.is_state() == (param.kind == ParamKind::State);
        if anything || (state && allowed.contains(known.ty.tensor().dtype)) {
            return id;
        }
    }
    ValueId::from_index(dice.below(count))
}

fn arguments(dice: &mut Dice, f: &mut FunctionBuilder, op: Op) -> Vec<Arg> {
    let mut args: Vec<Arg> = Vec::new();
    for param in op.params {
        let first: Vec<usize> = args
            .first()
            .and_then(|arg| arg.values().first())
            .map_or(Vec::new(), |&id| f.function().shape(id).to_vec());
        args.push(match param.kind {
            _ if dice.one_in(40) || (param.is_optional() && !dice.one_in(3)) => Arg::None,
            ParamKind::Tuple => {
                let one = value(dice, f, param, &first);
                // Equal values fit together more often than different ones.
                let more = (0..dice.below(4))
                    .map(|_| if dice.one_in(4) { value(dice, f, param, &first) } else { one });
                let more: Vec<ValueId> = more.collect();
                Arg::Many([vec![one], more].concat())
            }
            _ => Arg::One(value(dice, f, param, &first)),
        });
    }
    args
}

/// A program of random operations, and the names of the ops that it has.
pub(crate) fn program(seed: u64) -> (Function, BTreeSet<&'static str>) {
    let mut dice = Dice(seed);
    let mut f = FunctionBuilder::new(
        "main",
        dice.pick(&[Opset::Ios15, Opset::Ios16, Opset::Ios17, Opset::Ios18, Opset::Ios18]),
    );
    for index in 0..8 {
        let dtype = dice.pick(&[
            DataType::Fp32,
            DataType::Fp32,
            DataType::Fp32,
            DataType::Int32,
            DataType::Bool,
            DataType::Int8,
        ]);
        // Too large a type is refused, which is what it should be.
        let _ = f.input(format!("x{index}"), TensorType::new(dtype, dims(&mut dice)));
    }
    let _ = f.state("held", TensorType::fp32([2, 2]));
    let ops: Vec<Op> = Op::all().collect();
    let mut used = BTreeSet::new();
    for _ in 0..60 {
        if f.function().values.is_empty() {
            break;
        }
        let op = dice.pick(&ops);
        let args = arguments(&mut dice, &mut f, op);
        let mut builder = f.op(op.name);
        for (param, arg) in op.params.iter().zip(args) {
            builder = builder.set_arg(param.name, arg);
        }
        if builder.many().is_ok() {
            used.insert(op.name);
        }
    }
    let results: Vec<ValueId> = (0..f.function().values.len())
        .map(ValueId::from_index)
        .filter(|&id| f.function().value(id).def == Def::Op)
        .take(4)
        .collect();
    (f.finish(&results).unwrap(), used)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_builder_takes_the_verifier_takes(seed in any::<u64>()) {
        let (function, used) = program(seed);
        let empty = function.body.outputs.is_empty();
        let faults = verify(Program::single(function)).err().filter(|_| !empty);
        prop_assert!(faults.is_none(), "{used:?}: {faults:?}");
    }

    #[test]
    fn the_verifier_withstands_broken_programs(seed in any::<u64>()) {
        let (mut function, _) = program(seed);
        let mut dice = Dice(seed ^ 1);
        for _ in 0..1 + dice.below(3) {
            damage(&mut dice, &mut function);
        }
        // Either answer is fine, as long as there is one.
        let _ = verify(Program::single(function));
    }
}

/// Changes one thing at random, in ways that the builder would not.
fn damage(dice: &mut Dice, function: &mut Function) {
    let values = function.values.len();
    let id = ValueId::from_index(dice.below(values + 2));
    let hostile = dims(dice);
    let count = function.body.ops.len();
    if count == 0 {
        return function.inputs.push(id);
    }
    let at = dice.below(count);
    let other = dice.below(count);
    let operation = &mut function.body.ops[at];
    match dice.below(9) {
        0 => operation.args.truncate(operation.args.len().saturating_sub(1)),
        1 => operation.args.push(Arg::One(id)),
        2 => operation.outputs.clear(),
        3 => operation.outputs.push(id),
        4 => {
            if let Some(arg) = operation.args.first_mut() {
                *arg = Arg::Many(vec![id; 3]);
            }
        }
        5 => {
            for value in operation.args.iter_mut().flat_map(|arg| arg.values_mut()) {
                *value = id;
            }
        }
        6 => function.body.ops.swap(at, other),
        7 => {
            if let Some(value) = function.values.get_mut(id.index()) {
                value.ty = mil::Type::Tensor(TensorType::fp16(hostile));
            }
        }
        _ => function.body.outputs.push(id),
    }
}

#[test]
fn the_random_programs_reach_every_op() {
    let mut used = BTreeSet::new();
    for seed in 0..12_000 {
        used.append(&mut program(seed).1);
    }
    // Lists and blocks do not come about by chance: `control_flow` has their cases, as others have what rarely fits together.
    let by_chance = Op::all().filter(|op| op.family != mil::Family::ControlFlow);
    let missed: Vec<&str> = by_chance.map(|op| op.name).filter(|name| !used.contains(name)).collect();
    assert!(missed.len() <= 17, "never built: {missed:?}");
}
