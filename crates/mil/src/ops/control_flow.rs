//! Choice, loops and lists. (`const` is not an operation here: constants are values.)
//!
//! `cond` and `while_loop` run nested blocks ([`crate::Operation::blocks`]); where Apple's builder takes functions
//! (`_true_fn`, `_cond`, …) a program has blocks. Only an interpreter runs them, and lists.

use super::infer::{Inferred, one};
use super::{BASIC, BOOL, DefaultValue, Effect, Family, INT32, Infer, OpDecl, Opset, Param};
use crate::{Block, DataType, InferError, ListType, OpView, Shape, TensorType, Type, UNKNOWN, shape};

const LIST: Param = Param::list("ls");
const INDEX: Param = Param::tensor("index", 0, INT32);
const INDICES: Param = Param::tensor("indices", 0, INT32);
const VALUE: Param = Param::tensor("value", 0, BASIC);

const fn control(
    name: &'static str,
    summary: &'static str,
    params: &'static [Param],
    effect: Effect,
    infer: Infer,
) -> OpDecl {
    OpDecl { name, family: Family::ControlFlow, since: Opset::Ios15, summary, params, effect, infer }
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    control(
        "cond",
        "The outputs of the first block if `pred` is true, else of the second. The blocks have no inputs and outputs of the same \
         types.",
        &[Param::tensor("pred", 0, BOOL)],
        Effect::Blocks(2),
        cond,
    ),
    control(
        "list_gather",
        "The elements of `ls` at `indices`, stacked along a new first dimension: shape `indices + element`.",
        &[LIST, INDICES],
        Effect::Pure,
        list_gather,
    ),
    control(
        "list_length",
        "The number of elements of `ls`, an `int32` scalar.",
        &[LIST],
        Effect::Pure,
        list_length,
    ),
    control("list_read", "The element of `ls` at `index`.", &[LIST, INDEX], Effect::Pure, list_read),
    control(
        "list_scatter",
        "`ls` with the slices of `value` along its first dimension written at `indices`, in their order; a list without a fixed \
         length grows as needed.",
        &[LIST, INDICES, VALUE],
        Effect::Pure,
        list_write,
    ),
    control(
        "list_write",
        "`ls` with `value` at `index`; a list without a fixed length grows as needed.",
        &[LIST, INDEX, VALUE],
        Effect::Pure,
        list_write,
    ),
    control(
        "make_list",
        "A list of `init_length` tensors of zeros of shape `elem_shape`, a tuple of `int32` scalars or of strings, which name \
         dimensions that are known when elements are written. With `dynamic_length` it grows.",
        &[
            Param::tensor("init_length", 0, INT32).or(DefaultValue::Int(1)),
            Param::bool("dynamic_length").or(DefaultValue::Bool(true)),
            Param::vars("elem_shape").constant(),
            Param::string("dtype").or(DefaultValue::Str("fp32")),
        ],
        Effect::Pure,
        make_list,
    ),
    control(
        "select",
        "Elements of `a` where `cond` is true, of `b` elsewhere; all three broadcast.",
        &[Param::tensor("cond", 0, BOOL), Param::tensor("a", b'T', BASIC), Param::tensor("b", b'T', BASIC)],
        Effect::Pure,
        select,
    ),
    control(
        "while_loop",
        "The variables `loop_vars` after as many turns of the second block as the first block, of the same inputs, gives true. \
         Both blocks take the variables as inputs; a dimension that changes from turn to turn is unknown there.",
        &[Param::vars("loop_vars")],
        Effect::Blocks(2),
        while_loop,
    ),
];

fn blocks<'a>(op: &OpView<'a>) -> Result<[&'a Block; 2], InferError> {
    match op.operation.blocks.as_slice() {
        [first, second] => Ok([first, second]),
        blocks => Err(InferError::new("blocks", format!("must be 2, but are {}", blocks.len()))),
    }
}

fn cond(op: &OpView<'_>) -> Inferred {
    scalar(op, "pred")?;
    let [on_true, on_false] = blocks(op)?;
    if !on_true.inputs.is_empty() || !on_false.inputs.is_empty() {
        return Err(InferError::new("blocks", "have inputs, which blocks of `cond` do not take"));
    }
    let (a, b) = (on_true.outputs.len(), on_false.outputs.len());
    if a != b {
        return Err(InferError::new("blocks", format!("give {a} and {b} results, but must give as many")));
    }
    let results = on_true.outputs.iter().zip(&on_false.outputs);
    results.map(|(&a, &b)| common(op.function.ty(a), op.function.ty(b))).collect()
}

/// The type of a result that is of one type or the other: dimensions that differ are unknown.
fn common(a: &Type, b: &Type) -> Result<Type, InferError> {
    let differ = || InferError::new("blocks", format!("give {a} and {b} for the same result"));
    let tensors = |a: &TensorType, b: &TensorType| {
        let same = a.dtype == b.dtype && a.shape.rank() == b.shape.rank();
        let dims = a.shape.iter().zip(b.shape.iter()).map(|(&a, &b)| if a == b { a } else { UNKNOWN });
        same.then(|| a.with_shape(dims.collect::<Shape>())).ok_or_else(differ)
    };
    match (a, b) {
        (Type::Tensor(a), Type::Tensor(b)) => tensors(a, b).map(Type::Tensor),
        (Type::List(a), Type::List(b)) => {
            let length = a.length.filter(|_| a.length == b.length);
            Ok(Type::List(ListType { element: tensors(&a.element, &b.element)?, length }))
        }
        _ => Err(differ()),
    }
}

fn while_loop(op: &OpView<'_>) -> Inferred {
    let [condition, body] = blocks(op)?;
    let vars = op.values("loop_vars");
    let types = |ids: &[crate::ValueId]| ids.iter().map(|&id| op.function.ty(id).clone()).collect::<Vec<_>>();
    let expect = |what: &str, found: &[crate::ValueId], given: &[Type]| {
        let found = types(found);
        let fits = found.len() == given.len() && found.iter().zip(given).all(|(a, b)| a.accepts(b));
        if fits {
            return Ok(());
        }
        let list = |types: &[Type]| types.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
        let (found, given) = (list(&found), list(given));
        Err(InferError::new("blocks", format!("{what} take ({found}), but are given ({given})")))
    };
    expect("as inputs of the condition", &condition.inputs, &types(vars))?;
    expect("as inputs of the body", &body.inputs, &types(vars))?;
    expect("as inputs of the next turn", &body.inputs, &types(&body.outputs))?;
    match types(&condition.outputs).as_slice() {
        // Apple's own tests give the condition as a vector of one element too.
        [Type::Tensor(ty)] if ty.dtype == DataType::Bool && (ty.shape.is_empty() || *ty.shape == [1]) => {}
        _ => return Err(InferError::new("blocks", "need a condition that gives one bool scalar")),
    }
    vars.iter().zip(&body.outputs).map(|(&a, &b)| common(op.function.ty(a), op.function.ty(b))).collect()
}

fn list_type<'a>(op: &OpView<'a>) -> Result<&'a ListType, InferError> {
    match op.function.ty(op.required("ls")?) {
        Type::List(list) => Ok(list),
        other => Err(InferError::new("ls", format!("must be a list, but is {other}"))),
    }
}

fn scalar(op: &OpView<'_>, param: &'static str) -> Result<(), InferError> {
    // Core ML gives scalars as vectors of one element at its borders, so both are taken.
    match op.shape(param)? {
        shape if shape.is_empty() || **shape == [1] || !shape.is_known() => Ok(()),
        shape => Err(InferError::new(param, format!("must be a scalar, but has shape {shape}"))),
    }
}

fn list_gather(op: &OpView<'_>) -> Inferred {
    let element = &list_type(op)?.element;
    let indices = vector(op)?;
    one(element.with_shape([indices].iter().chain(element.shape.iter()).copied().collect::<Shape>()))
}

fn vector(op: &OpView<'_>) -> Result<usize, InferError> {
    match **op.shape("indices")? {
        [len] => Ok(len),
        _ => Err(InferError::new(
            "indices",
            format!("must be a vector, but has shape {}", op.shape("indices")?),
        )),
    }
}

fn list_length(op: &OpView<'_>) -> Inferred {
    list_type(op)?;
    one(TensorType::scalar(DataType::Int32))
}

fn list_read(op: &OpView<'_>) -> Inferred {
    scalar(op, "index")?;
    one(list_type(op)?.element.clone())
}

/// `list_write` and, with `indices`, `list_scatter`: the list, with dimensions that the value makes known.
fn list_write(op: &OpView<'_>) -> Inferred {
    let (list, value) = (list_type(op)?, op.tensor("value")?);
    let wanted = if op.name() == "list_scatter" {
        let count = vector(op)?;
        list.element.with_shape([count].iter().chain(list.element.shape.iter()).copied().collect::<Shape>())
    } else {
        scalar(op, "index")?;
        list.element.clone()
    };
    if wanted.dtype != value.dtype || !wanted.shape.accepts(&value.shape) {
        return Err(InferError::new("value", format!("is {value}, but the list takes {wanted} here")));
    }
    Ok(vec![Type::List(list.clone())])
}

fn make_list(op: &OpView<'_>) -> Inferred {
    let mut dims = Shape::default();
    for &id in op.values("elem_shape") {
        let constant = op.function.constant(id);
        let ints = constant.and_then(|constant| constant.to_i64());
        let dim = match (ints.as_deref(), constant.and_then(|constant| constant.as_strings())) {
            (Some(&[dim]), _) => usize::try_from(dim).map_err(|_| {
                InferError::new("elem_shape", format!("holds {dim}, but must not be negative"))
            })?,
            (_, Some([_])) => UNKNOWN,
            _ => return Err(InferError::new("elem_shape", "must be a tuple of int32 or string scalars")),
        };
        dims.dims_mut().push(dim);
    }
    let name = op.string("dtype")?;
    let dtype = DataType::from_name(name).filter(|&dtype| BASIC.contains(dtype)).ok_or_else(|| {
        let name: String = name.chars().take(40).collect();
        InferError::new("dtype", format!("is \"{name}\", but must be one of {BASIC}"))
    })?;
    let init_length = match op.constant("init_length") {
        Some(_) => Some(op.int("init_length")?),
        None => None,
    };
    if let Some(length @ ..0) = init_length {
        return Err(InferError::new("init_length", format!("is {length}, but must not be negative")));
    }
    let fixed = !op.bool("dynamic_length")?;
    let length = match (fixed, op.value("init_length")) {
        (false, _) => None,
        (true, Some(_)) => init_length.map(|length| length as usize),
        (true, None) => Some(1),
    };
    Ok(vec![Type::List(ListType { element: TensorType::new(dtype, dims), length })])
}

fn select(op: &OpView<'_>) -> Inferred {
    let (cond, a, b) = (op.shape("cond")?, op.tensor("a")?, op.shape("b")?);
    let values = shape::broadcast(&a.shape, b).ok_or_else(|| {
        InferError::new("b", format!("has shape {b}, which does not broadcast with {} of `a`", a.shape))
    })?;
    let result = shape::broadcast(cond, &values).ok_or_else(|| {
        InferError::new(
            "cond",
            format!("has shape {cond}, which does not broadcast with {values} of `a` and `b`"),
        )
    })?;
    one(a.with_shape(result))
}
