//! Lists. The cotangent of a list is a list with at least as many elements; what is beyond the list's end means nothing.

use crate::autodiff::context::{Done, Gradient, RuleError};
use crate::autodiff::shapes;
use mil::{
    BuildError, Constant, DataType, FunctionBuilder, ListType, Shape, TensorType, Type, UNKNOWN, ValueId,
};

/// The list type of a value, if it is a list.
pub(super) fn list_type(f: &FunctionBuilder, id: ValueId) -> Option<ListType> {
    match f.ty(id) {
        Type::List(list) => Some(list.clone()),
        _ => None,
    }
}

/// A list of this type with zeros: as many as the type says, or `length`.
pub(super) fn make(f: &mut FunctionBuilder, ty: &ListType, length: ValueId) -> Result<ValueId, BuildError> {
    let length = match ty.length {
        Some(length) => f.int(i32::try_from(length).unwrap_or(i32::MAX)),
        None => length,
    };
    let shape = &ty.element.shape;
    let mut dims = Vec::with_capacity(shape.rank());
    for (axis, (&dim, as_int)) in shape.iter().zip(shape.to_i32()).enumerate() {
        dims.push(match dim {
            UNKNOWN => f.constant(Constant::string(format!("dim{axis}"))),
            _ => f.int(as_int),
        });
    }
    f.op("make_list")
        .arg("init_length", length)
        .bool("dynamic_length", ty.length.is_none())
        .args("elem_shape", &dims)
        .string("dtype", ty.element.dtype.name())
        .one()
}

/// How many elements `list` has.
pub(super) fn length(f: &mut FunctionBuilder, list: ValueId) -> Result<ValueId, BuildError> {
    f.op("list_length").arg("ls", list).one()
}

/// A list of zeros as long as `list` and of its type `ty`.
pub(in crate::autodiff) fn zeros_like(
    f: &mut FunctionBuilder,
    list: ValueId,
    ty: &ListType,
) -> Result<ValueId, BuildError> {
    let length = length(f, list)?;
    make(f, ty, length)
}

/// 0, 1, … up to but without `end`; a constant where the number is `known`.
pub(super) fn counting(
    f: &mut FunctionBuilder,
    end: ValueId,
    known: Option<usize>,
) -> Result<ValueId, BuildError> {
    if let Some(known) = known {
        let numbers: Shape = (0..known).collect();
        return Ok(f.constant(Constant::ints(&numbers.to_i32())));
    }
    let (zero, one) = (f.int(0), f.int(1));
    let ty = Type::Tensor(TensorType::int32([UNKNOWN]));
    f.op("range_1d").arg("end", end).arg("start", zero).arg("step", one).declared(&[ty]).one()
}

/// Every element of `list`, of type `ty`, along a new first dimension, and their places.
pub(super) fn stacked(
    f: &mut FunctionBuilder,
    list: ValueId,
    places: ValueId,
) -> Result<ValueId, BuildError> {
    f.op("list_gather").arg("ls", list).arg("indices", places).one()
}

/// `list` with the slices of `value` at `places`.
pub(super) fn scattered(
    f: &mut FunctionBuilder,
    list: ValueId,
    places: ValueId,
    value: ValueId,
) -> Result<ValueId, BuildError> {
    f.op("list_scatter").arg("ls", list).arg("indices", places).arg("value", value).one()
}

/// The sum of two cotangents of `list`, which is of type `ty`.
pub(in crate::autodiff) fn add(
    f: &mut FunctionBuilder,
    (list, ty): (ValueId, &ListType),
    a: ValueId,
    b: ValueId,
) -> Result<ValueId, BuildError> {
    let length = length(f, list)?;
    let places = counting(f, length, ty.length)?;
    let (left, right) = (stacked(f, a, places)?, stacked(f, b, places)?);
    let sum = f.ty(left).clone();
    let sum = f.op("add").arg("x", left).arg("y", right).declared(&[sum]).one()?;
    scattered(f, a, places, sum)
}

/// What was written gets what stands in its place; the list goes on with zeros there.
pub(super) fn write(g: &mut Gradient<'_>) -> Done {
    let (dy, index, value) = (g.dy()?, g.arg("index")?, g.arg("value")?);
    if g.wants("value") {
        let gradient = g.f.op("list_read").arg("ls", dy).arg("index", index).one()?;
        g.give("value", gradient)?;
    }
    if g.wants("ls") {
        let ty = g.f.function().tensor(value).clone();
        let zeros = shapes::zeros(g.f, &ty)?;
        let rest = g.f.op("list_write").arg("ls", dy).arg("index", index).arg("value", zeros).one()?;
        g.give("ls", rest)?;
    }
    Ok(())
}

/// [`write`] in several places; of several writes to one place the last counts.
pub(super) fn scatter(g: &mut Gradient<'_>) -> Done {
    let (dy, indices, value) = (g.dy()?, g.arg("indices")?, g.arg("value")?);
    let ty = g.f.function().tensor(value).clone();
    if g.wants("value") {
        let mut gradient = stacked(g.f, dy, indices)?;
        if !distinct(g.f.function().constant(indices)) {
            let last = last_writers(g.f, dy, indices, ty.shape[0])?;
            let mut column = vec![1; ty.shape.rank()];
            column[0] = ty.shape[0];
            let last = g.f.reshape(last, &column)?;
            gradient = g.keep_where(last, gradient)?;
        }
        g.give("value", gradient)?;
    }
    if g.wants("ls") {
        let zeros = shapes::zeros(g.f, &ty)?;
        let rest = scattered(g.f, dy, indices, zeros)?;
        g.give("ls", rest)?;
    }
    Ok(())
}

/// Whether these are known indices, each there once.
fn distinct(indices: Option<&Constant>) -> bool {
    let Some(mut indices) = indices.and_then(Constant::to_i64) else { return false };
    indices.sort_unstable();
    indices.windows(2).all(|pair| pair[0] != pair[1])
}

/// Of `count` writes to `list` at `indices`: whether a later one goes to the same place (false), or none does (true).
fn last_writers(
    f: &mut FunctionBuilder,
    list: ValueId,
    indices: ValueId,
    count: usize,
) -> Result<ValueId, BuildError> {
    let length = length(f, list)?;
    let numbers = counting(f, length, Some(count))?;
    let writers = ListType { element: TensorType::scalar(DataType::Int32), length: None };
    let writers = make(f, &writers, length)?;
    let writers = scattered(f, writers, indices, numbers)?;
    let last = stacked(f, writers, indices)?;
    f.equal(last, numbers)
}

/// The place read gets more.
pub(super) fn read(g: &mut Gradient<'_>) -> Done {
    let (dy, index, list) = (g.dy()?, g.arg("index")?, g.arg("ls")?);
    let so_far = so_far(g, list)?;
    let there = g.f.op("list_read").arg("ls", so_far).arg("index", index).one()?;
    let sum = g.f.add(there, dy)?;
    let more = g.f.op("list_write").arg("ls", so_far).arg("index", index).arg("value", sum).one()?;
    g.give("ls", more)
}

/// The places read get more, each as often as it was read.
pub(super) fn gather(g: &mut Gradient<'_>) -> Done {
    let (dy, indices, list) = (g.dy()?, g.arg("indices")?, g.arg("ls")?);
    let known = list_type(g.f, list).and_then(|ty| ty.length);
    let so_far = so_far(g, list)?;
    let length = length(g.f, list)?;
    let places = counting(g.f, length, known)?;
    let all = stacked(g.f, so_far, places)?;
    let ty = g.f.ty(all).clone();
    let sum =
        g.f.op("scatter")
            .arg("data", all)
            .arg("indices", indices)
            .arg("updates", dy)
            .int("axis", 0)
            .string("mode", "add")
            .declared(&[ty])
            .one()?;
    let more = scattered(g.f, so_far, places, sum)?;
    g.give("ls", more)
}

/// The cotangent of a list so far, taken out to come back with more.
fn so_far(g: &mut Gradient<'_>, list: ValueId) -> Result<ValueId, RuleError> {
    if let Some(cotangent) = g.take(list)? {
        return Ok(cotangent);
    }
    let ty = list_type(g.f, list).ok_or_else(|| RuleError::Unsupported("`ls` is no list".into()))?;
    Ok(zeros_like(g.f, list, &ty)?)
}
