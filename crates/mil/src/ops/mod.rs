//! The op table: one declaration per op, grouped in families as Apple's documentation groups them.
//!
//! A declaration says everything about an op's signature: parameter names exactly as Apple spells them,
//! element types (which grew with later opsets), which parameters must be constant, defaults, the first
//! opset, effects, and the inference function that computes output types and checks everything that types
//! alone do not. Source of names, types and defaults: the op definitions of coremltools 9.0 (BSD-3-Clause);
//! where its documentation and its value inference differ, value inference is followed.
//!
//! To add an op, add a declaration to its family's file. Nothing else about its signature is written anywhere.

use crate::{DataType, DataTypeSet, InferError, OpView, Type};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::LazyLock;

pub mod activation;
pub mod classify;
pub mod constexpr;
pub mod control_flow;
pub mod conv;
pub mod elementwise_binary;
pub mod elementwise_unary;
pub mod image_resizing;
mod infer;
pub mod linear;
pub mod normalization;
pub mod pool;
pub mod quantization;
pub mod random;
pub mod recurrent;
pub mod reduction;
pub mod scatter_gather;
pub mod spatial;
pub mod state;
pub mod tensor_operation;
pub mod tensor_transformation;
pub mod transformers;

pub use infer::{axes, axis};

/// A versioned op set. Programs say which one they are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Opset {
    /// `ios15` (Core ML 5).
    Ios15,
    /// `ios16` (Core ML 6).
    Ios16,
    /// `ios17` (Core ML 7).
    Ios17,
    /// `ios18` (Core ML 8): the first with states.
    Ios18,
    /// `ios26` (Core ML 9): adds `int8` inputs and outputs, no ops (coremltools 9.0).
    Ios26,
}

impl Opset {
    /// Every opset, oldest first.
    pub const ALL: [Opset; 5] = [Opset::Ios15, Opset::Ios16, Opset::Ios17, Opset::Ios18, Opset::Ios26];

    /// The name: `ios15` … `ios18`, `ios26`.
    pub const fn name(self) -> &'static str {
        match self {
            Opset::Ios15 => "ios15",
            Opset::Ios16 => "ios16",
            Opset::Ios17 => "ios17",
            Opset::Ios18 => "ios18",
            Opset::Ios26 => "ios26",
        }
    }

    /// The name in MIL text: that of [`Opset::name`] but for `ios26`, which is `ios19` there, as iOS 26 was called before its
    /// release. Source: the programs that libnnc (BSD-3-Clause) gives to Core ML's loader; no text of Apple's own compiler with
    /// this opset is public.
    pub const fn text_name(self) -> &'static str {
        match self {
            Opset::Ios26 => "ios19",
            _ => self.name(),
        }
    }

    /// The opset called `name`, in text or elsewhere.
    pub fn from_name(name: &str) -> Option<Opset> {
        Opset::ALL.into_iter().find(|opset| opset.name() == name || opset.text_name() == name)
    }
}

impl fmt::Display for Opset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The family of an op: the page of Apple's op documentation that it stands on. Every crate names its
/// modules after these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are Apple's own and say all there is")]
#[non_exhaustive]
pub enum Family {
    Activation,
    Classify,
    Constexpr,
    ControlFlow,
    Conv,
    ElementwiseBinary,
    ElementwiseUnary,
    ImageResizing,
    Linear,
    Normalization,
    Pool,
    Quantization,
    Random,
    Recurrent,
    Reduction,
    ScatterGather,
    State,
    TensorOperation,
    TensorTransformation,
    Transformers,
}

/// What a parameter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// One tensor.
    Tensor,
    /// A tuple of tensors.
    Tuple,
    /// A state.
    State,
    /// A list.
    List,
    /// A tuple of tensors and lists.
    Vars,
}

impl ParamKind {
    /// Whether the argument is several values.
    pub const fn is_tuple(self) -> bool {
        matches!(self, ParamKind::Tuple | ParamKind::Vars)
    }
}

/// What an absent argument means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DefaultValue {
    /// The argument may not be absent.
    Required,
    /// Absence has a meaning of its own, told in the op's summary (no bias, all axes, …).
    Absent,
    /// This truth value.
    Bool(bool),
    /// This integer.
    Int(i64),
    /// This number, in the type of the op's data.
    Float(f32),
    /// This string.
    Str(&'static str),
}

/// A parameter of an op.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Name, exactly as Apple spells it.
    pub name: &'static str,
    /// Tensor, tuple or state.
    pub kind: ParamKind,
    /// Element types allowed from the op's first opset on.
    pub dtypes: DataTypeSet,
    /// Parameters of one op with the same letter must have the same element type; 0 for a type of its own.
    pub domain: u8,
    /// Element types and domain from later opsets on, where Apple widened them; oldest first.
    pub widened: [Option<(Opset, DataTypeSet, u8)>; 2],
    /// The first opset in which the op has this parameter.
    pub since: Opset,
    /// The first opset in which the op no longer has this parameter: Apple defined the op anew.
    pub until: Option<Opset>,
    /// Whether the argument must be a constant.
    pub constant: bool,
    /// Although `constant`, Apple allows a value computed at run time. The shape of the result depends on it, so such an
    /// operation cannot be compiled ahead; it is interpreted.
    pub computed: bool,
    /// The opset from which on a run-time value may stand where earlier ones ask for a constant.
    pub runtime_since: Option<Opset>,
    /// What absence means.
    pub default: DefaultValue,
}

impl Param {
    const fn new(name: &'static str, kind: ParamKind, domain: u8, dtypes: DataTypeSet) -> Param {
        Param {
            name,
            kind,
            dtypes,
            domain,
            widened: [None, None],
            since: Opset::Ios15,
            until: None,
            constant: false,
            computed: false,
            runtime_since: None,
            default: DefaultValue::Required,
        }
    }

    /// A required tensor parameter. Domain letter `b'T'`, or 0 for a type of its own.
    pub(crate) const fn tensor(name: &'static str, domain: u8, dtypes: DataTypeSet) -> Param {
        Param::new(name, ParamKind::Tensor, domain, dtypes)
    }

    /// A required tuple of tensors.
    pub(crate) const fn tuple(name: &'static str, domain: u8, dtypes: DataTypeSet) -> Param {
        Param::new(name, ParamKind::Tuple, domain, dtypes)
    }

    /// A required state.
    pub(crate) const fn state(name: &'static str) -> Param {
        Param::new(name, ParamKind::State, 0, ANY)
    }

    /// A required list.
    pub(crate) const fn list(name: &'static str) -> Param {
        Param::new(name, ParamKind::List, 0, ANY)
    }

    /// A required tuple of tensors and lists.
    pub(crate) const fn vars(name: &'static str) -> Param {
        Param::new(name, ParamKind::Vars, 0, ANY)
    }

    /// A constant `int32`.
    pub(crate) const fn int(name: &'static str) -> Param {
        Param::tensor(name, 0, INT32).constant()
    }

    /// A constant `bool`.
    pub(crate) const fn bool(name: &'static str) -> Param {
        Param::tensor(name, 0, BOOL).constant()
    }

    /// A constant `string`.
    pub(crate) const fn string(name: &'static str) -> Param {
        Param::tensor(name, 0, STRING).constant()
    }

    /// The argument must be constant.
    pub(crate) const fn constant(mut self) -> Param {
        self.constant = true;
        self
    }

    /// The value decides the shape of the result: a constant where the program is compiled, though it may be computed
    /// where it is interpreted.
    pub(crate) const fn shapes_result(mut self) -> Param {
        self.constant = true;
        self.computed = true;
        self
    }

    /// Before `since` the argument must be constant.
    pub(crate) const fn constant_before(mut self, since: Opset) -> Param {
        self.runtime_since = Some(since);
        self
    }

    /// The op has this parameter from `since` on.
    pub(crate) const fn new_in(mut self, since: Opset) -> Param {
        self.since = since;
        self
    }

    /// The op has this parameter before `until` only.
    pub(crate) const fn dropped_in(mut self, until: Opset) -> Param {
        self.until = Some(until);
        self
    }

    /// The argument may be absent.
    pub(crate) const fn or(mut self, default: DefaultValue) -> Param {
        self.default = default;
        self
    }

    /// The argument may be absent, which has a meaning of its own.
    pub(crate) const fn optional(self) -> Param {
        self.or(DefaultValue::Absent)
    }

    /// From `since` on these element types and this domain hold. Two steps at most, oldest first.
    pub(crate) const fn widened(mut self, since: Opset, domain: u8, dtypes: DataTypeSet) -> Param {
        let step = if self.widened[0].is_none() { 0 } else { 1 };
        self.widened[step] = Some((since, dtypes, domain));
        self
    }

    /// Element types and domain letter under `opset`.
    pub fn constraint(&self, opset: Opset) -> (DataTypeSet, u8) {
        let newest = self.widened.iter().rev().flatten().find(|(since, ..)| opset >= *since);
        newest.map_or((self.dtypes, self.domain), |&(_, dtypes, domain)| (dtypes, domain))
    }

    /// Whether the argument must be a constant under `opset`.
    pub fn must_be_constant(&self, opset: Opset) -> bool {
        self.constant || self.runtime_since.is_some_and(|since| opset < since)
    }

    /// Whether the op has this parameter under `opset`.
    pub fn exists_in(&self, opset: Opset) -> bool {
        opset >= self.since && self.until.is_none_or(|until| opset < until)
    }

    /// Whether an argument must be given under `opset`.
    pub fn is_required(&self, opset: Opset) -> bool {
        self.exists_in(opset) && !self.is_optional()
    }

    /// Whether the argument may be absent wherever the op has the parameter.
    pub fn is_optional(&self) -> bool {
        self.default != DefaultValue::Required
    }
}

/// What an op does besides computing its outputs from its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: equal arguments give equal outputs, unused operations can go.
    Pure,
    /// Draws random numbers: may go when unused, but two are never merged.
    Random,
    /// Reads a state: ordered against writes of the same state.
    Read,
    /// Writes a state: never removed.
    Write,
    /// Runs this many nested blocks; their effects are its own.
    Blocks(usize),
}

impl Effect {
    /// How many nested blocks an operation with this effect has.
    pub const fn blocks(self) -> usize {
        match self {
            Effect::Blocks(count) => count,
            Effect::Pure | Effect::Random | Effect::Read | Effect::Write => 0,
        }
    }
}

/// The declaration of an op.
#[derive(Debug)]
pub struct OpDecl {
    /// Name, exactly as Apple spells it.
    pub name: &'static str,
    /// Family.
    pub family: Family,
    /// First opset with this op.
    pub since: Opset,
    /// What it computes, in a sentence or two; shapes, defaults that need words, oddities.
    pub summary: &'static str,
    /// Parameters, in Apple's order.
    pub params: &'static [Param],
    /// Effects.
    pub effect: Effect,
    /// Computes the output types and checks what element types alone do not say.
    pub infer: Infer,
}

/// Type inference of one op.
pub type Infer = fn(&OpView<'_>) -> Result<Vec<Type>, InferError>;

/// A handle to a declaration; equal when the op is the same.
#[derive(Clone, Copy)]
pub struct Op(&'static OpDecl);

impl Op {
    /// The op called `name`.
    pub fn named(name: &str) -> Option<Op> {
        INDEX.get(name).copied()
    }

    /// Every op, in table order.
    pub fn all() -> impl Iterator<Item = Op> {
        FAMILIES.iter().flat_map(|family| family.iter().map(Op))
    }

    /// The op whose name is most like `name`, for messages.
    pub fn nearest(name: &str) -> Option<&'static str> {
        if name.len() > 64 {
            return None;
        }
        Op::all()
            .map(|op| (edit_distance(name, op.name), op.name))
            .min()
            .filter(|&(distance, _)| distance <= 1 + name.len() / 4)
            .map(|(_, nearest)| nearest)
    }
}

impl Op {
    /// The declaration itself.
    pub fn declaration(self) -> &'static OpDecl {
        self.0
    }
}

impl Deref for Op {
    type Target = OpDecl;
    fn deref(&self) -> &OpDecl {
        self.0
    }
}

impl PartialEq for Op {
    fn eq(&self, other: &Op) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Op {}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

static FAMILIES: [&[OpDecl]; 20] = [
    activation::OPS,
    classify::OPS,
    constexpr::OPS,
    control_flow::OPS,
    conv::OPS,
    elementwise_binary::OPS,
    elementwise_unary::OPS,
    image_resizing::OPS,
    linear::OPS,
    normalization::OPS,
    pool::OPS,
    quantization::OPS,
    random::OPS,
    recurrent::OPS,
    reduction::OPS,
    scatter_gather::OPS,
    state::OPS,
    tensor_operation::OPS,
    tensor_transformation::OPS,
    transformers::OPS,
];

static INDEX: LazyLock<HashMap<&'static str, Op>> =
    LazyLock::new(|| Op::all().map(|op| (op.0.name, op)).collect());

use DataType::{Fp16, Fp32, Int8, Int16, Int32, Uint8, Uint16, Uint32};

pub(crate) const FLOAT: DataTypeSet = DataTypeSet::of(&[Fp16, Fp32]);
/// What the recurrent ops took before iOS17.
pub(crate) const FP32: DataTypeSet = DataTypeSet::of(&[Fp32]);
pub(crate) const INT32: DataTypeSet = DataTypeSet::of(&[Int32]);
pub(crate) const BOOL: DataTypeSet = DataTypeSet::of(&[DataType::Bool]);
pub(crate) const STRING: DataTypeSet = DataTypeSet::of(&[DataType::String]);
/// `fp16 fp32 int32`: what arithmetic takes.
pub(crate) const NUMBER: DataTypeSet = DataTypeSet::of(&[Fp16, Fp32, Int32]);
/// `fp16 fp32 int32 bool`: what data movement took before iOS17.
pub(crate) const BASIC: DataTypeSet = DataTypeSet::of(&[Fp16, Fp32, Int32, DataType::Bool]);
/// Everything that can be stored: what data movement takes from iOS17 on.
pub(crate) const STORED: DataTypeSet =
    DataTypeSet::of(&[Fp16, Fp32, Int8, Uint8, Int16, Uint16, Int32, DataType::Bool]);
/// Every element type.
pub(crate) const ANY: DataTypeSet = DataTypeSet::of(&DataType::ALL);
/// `uint32` for `pixel_unshuffle`'s factor.
pub(crate) const UINT32: DataTypeSet = DataTypeSet::of(&[Uint32]);

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
