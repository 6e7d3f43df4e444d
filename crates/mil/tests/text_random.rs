//! Programs made at random from the whole op table: what is printed parses back to the same, in both dialects, with
//! and without a weight file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common_text;

use common_text::Random;
use half::f16;
use mil::text::blob::DEFAULT_PATH;
use mil::text::{
    BlobFile, BlobWriter, Dialect, canonical, parse, parse_with_weights, print, print_with_weights,
};
use mil::{
    Arg, Constant, DataType, FunctionBuilder, Op, Opset, Param, ParamKind, Program, TensorType, ValueId,
    verify,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;

const WORDS: [&str; 23] = [
    "fp16",
    "fp32",
    "int32",
    "bool",
    "valid",
    "same",
    "custom",
    "same_lower",
    "EXACT",
    "TANH_APPROXIMATION",
    "SIGMOID_APPROXIMATION",
    "constant",
    "reflect",
    "replicate",
    "add",
    "update",
    "ij,jk->ik",
    "zeros",
    "ones",
    "int8",
    "nchw,nwhu->nchu",
    "linear",
    "",
];

/// Names that are not names in MIL, words of the grammar, and names that others get as well.
const NAMES: [&str; 12] =
    ["x", "y", "relu_0", "layers.0/weight", "0", "", "é", "tensor", "fp16", "true", "a b", "y_axis"];

fn float(random: &mut Random) -> f32 {
    match random.below(12) {
        0 => f32::NAN,
        1 => f32::INFINITY,
        2 => f32::from_bits(random.bits() as u32),
        3 => -0.0,
        _ => random.below(9) as f32 / 4.0,
    }
}

fn constant(random: &mut Random, dtype: DataType, shape: &[usize]) -> Constant {
    let count = shape.iter().product::<usize>();
    let mut small = |_| random.below(5) as i32 - 1;
    match dtype {
        DataType::Int32 => Constant::new(shape, (0..count).map(small).collect()),
        DataType::Uint32 => Constant::new(shape, (0..count).map(|i| small(i).unsigned_abs()).collect()),
        DataType::Int8 => Constant::new(shape, (0..count).map(|i| small(i) as i8).collect()),
        DataType::Uint8 => Constant::new(shape, (0..count).map(|i| small(i) as u8).collect()),
        DataType::Int16 => Constant::new(shape, (0..count).map(|i| small(i) as i16).collect()),
        DataType::Uint16 => Constant::new(shape, (0..count).map(|i| small(i) as u16).collect()),
        DataType::Bool => Constant::bools(shape, &(0..count).map(|i| small(i) > 0).collect::<Vec<_>>()),
        DataType::String => Constant::strings(
            shape,
            (0..count).map(|_| WORDS[random.below(WORDS.len())].to_string()).collect(),
        ),
        packed if packed.is_packed() => {
            let values: Vec<i64> = (0..count).map(|i| i64::from(small(i) & 1)).collect();
            Constant::packed(packed, shape, &values)
        }
        DataType::Fp16 => Constant::new(shape, (0..count).map(|_| f16::from_f32(float(random))).collect()),
        _ => Constant::new(shape, (0..count).map(|_| float(random)).collect()),
    }
    .unwrap()
}

struct Maker {
    random: Random,
    builder: FunctionBuilder,
    tensors: Vec<ValueId>,
    states: Vec<ValueId>,
}

impl Maker {
    fn new(seed: u64, opset: Opset) -> Maker {
        let mut maker = Maker {
            random: Random::new(seed),
            builder: FunctionBuilder::new("main", opset),
            tensors: Vec::new(),
            states: Vec::new(),
        };
        let shapes: [&[usize]; 8] =
            [&[], &[4], &[2, 4], &[4, 4], &[1, 4, 4], &[1, 4, 4, 4], &[2, 4, 2, 2], &[1, 2, 2, 2, 2]];
        for (index, shape) in shapes.iter().enumerate() {
            for dtype in [DataType::Fp16, DataType::Fp32, DataType::Int32, DataType::Bool] {
                let ty = TensorType::new(dtype, *shape);
                let id = maker.builder.input(format!("{}_{index}", dtype.name()), ty.clone()).unwrap();
                maker.tensors.push(id);
                if opset >= Opset::Ios18 && maker.random.below(4) == 0 {
                    maker.states.push(maker.builder.state(format!("s{}", maker.states.len()), ty).unwrap());
                }
            }
        }
        maker
    }

    /// A constant for a parameter: of some allowed element type, mostly as long as tensors have dimensions.
    fn constant(&mut self, param: &Param, opset: Opset) -> ValueId {
        let types: Vec<_> = param.constraint(opset).0.iter().collect();
        let dtype = types[self.random.below(types.len())];
        let lengths = [1, 1, 2, 2, 3, 4, 4, 5, 8, 12];
        let length = lengths[self.random.below(lengths.len())];
        let shape: Vec<usize> = match self.random.below(5) {
            0 | 1 => vec![],
            2 | 3 => vec![length],
            _ => vec![4, self.random.below(5)],
        };
        let constant = constant(&mut self.random, dtype, &shape);
        self.builder.constant(constant)
    }

    fn tensor(&mut self, param: &Param, opset: Opset) -> Option<ValueId> {
        let allowed = param.constraint(opset).0;
        let fitting: Vec<_> =
            self.tensors.iter().copied().filter(|&id| allowed.contains(self.builder.dtype(id))).collect();
        // What is constant in compressed form may stand for a constant.
        let compressed = |id: &ValueId| self.builder.function().value(*id).def == mil::Def::Constexpr;
        if let Some(id) = fitting.iter().copied().find(compressed).filter(|_| self.random.below(4) == 0) {
            return Some(id);
        }
        if param.constant || fitting.is_empty() || self.random.below(8) == 0 {
            return Some(self.constant(param, opset));
        }
        Some(fitting[self.random.below(fitting.len())])
    }

    fn argument(&mut self, param: &Param, opset: Opset) -> Option<Arg> {
        if param.is_optional() && self.random.below(2) == 0 {
            return Some(Arg::None);
        }
        Some(match param.kind {
            ParamKind::List | ParamKind::Vars => return None,
            ParamKind::State if self.states.is_empty() => return None,
            ParamKind::State => Arg::One(self.states[self.random.below(self.states.len())]),
            ParamKind::Tensor => Arg::One(self.tensor(param, opset)?),
            ParamKind::Tuple => {
                let count = 1 + self.random.below(3);
                let first = self.tensor(param, opset)?;
                Arg::Many(vec![first; count])
            }
        })
    }

    /// Tries to add an operation with random arguments.
    fn operation(&mut self, op: Op) -> bool {
        let opset = self.builder.function().opset;
        let before = self.builder.clone();
        let args: Option<Vec<_>> = op.params.iter().map(|param| self.argument(param, opset)).collect();
        let Some(args) = args else { return false };
        let mut building = self.builder.op(op.name);
        for (param, arg) in op.params.iter().zip(args) {
            building = building.set_arg(param.name, arg);
        }
        if self.random.below(2) == 0 {
            building = building.named(NAMES[self.random.below(NAMES.len())]);
        }
        match building.many() {
            Ok(outputs) => {
                let small = |id: &ValueId| self.builder.shape(*id).iter().product::<usize>() < 4096;
                self.tensors.extend(outputs.into_iter().filter(small));
                true
            }
            Err(_) => {
                self.builder = before;
                false
            }
        }
    }

    fn finish(mut self) -> Program {
        let mut outputs = Vec::new();
        for (index, &id) in self.tensors.iter().rev().take(4).enumerate() {
            let name = if index == 0 { "y".to_string() } else { format!("relu_{index}") };
            self.builder.name(id, name);
            outputs.push(id);
        }
        Program::single(self.builder.finish(&outputs).unwrap())
    }
}

fn check_round_trip(program: Program) {
    let program = verify(program).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let expected = canonical(&program);
    for dialect in Dialect::ALL {
        let text = print(&program, dialect);
        let parsed = parse(&text).unwrap_or_else(|error| panic!("{error}\nin\n{text}"));
        assert_eq!(parsed, expected, "{text}");
        assert_eq!(print(&parsed, dialect), text);
        assert_eq!(canonical(&verify(parsed).unwrap()), expected);

        let mut weights = BlobWriter::new(Cursor::new(Vec::new()), DEFAULT_PATH).unwrap();
        let text = print_with_weights(&program, dialect, &mut weights).unwrap();
        let file = BlobFile::new(Arc::new(weights.finish().unwrap().into_inner())).unwrap();
        let files = BTreeMap::from([(DEFAULT_PATH.to_string(), file)]);
        let parsed = parse_with_weights(&text, &files).unwrap_or_else(|error| panic!("{error}\nin\n{text}"));
        assert_eq!(parsed, expected, "{text}");
    }
}

#[test]
fn random_programs_survive() {
    // Lists and blocks have texts of their own among the tests of control flow.
    let ops: Vec<Op> =
        Op::all().filter(|op| op.family != mil::Family::ControlFlow || op.name == "select").collect();
    let mut covered = BTreeSet::new();
    for seed in 0..30 {
        let opset = Opset::ALL[seed as usize % 4];
        let mut maker = Maker::new(seed, opset);
        for _ in 0..ops.len() {
            let op = ops[maker.random.below(ops.len())];
            if (0..60).any(|_| maker.operation(op)) {
                covered.insert(op.name);
            }
        }
        check_round_trip(maker.finish());
    }
    let missing: Vec<_> = ops.iter().map(|op| op.name).filter(|name| !covered.contains(name)).collect();
    assert!(
        covered.len() * 100 >= ops.len() * 85,
        "{} of {} ops; without {missing:?}",
        covered.len(),
        ops.len()
    );
}
