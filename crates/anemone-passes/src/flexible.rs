//! One function for many lengths, out of two that were built for one length each.
//!
//! Layers are written for known shapes. Built twice, for a short and for a long sequence, a model gives two functions that
//! differ in nothing but that length; so what differs is what depends on it. Dimensions that differ become unknown; the shape
//! of a `reshape` leaves them open; a table that is longer in the long function (a mask, rotations by position) is cut to the
//! length of the input, which `shape` tells. Whatever differs otherwise is an error, never a guess.

use crate::rewrite;
use mil::{
    BuildError, Constant, DataType, Def, Function, FunctionBuilder, Operation, Shape, TensorType, Type,
    UNKNOWN, ValueId,
};
use std::collections::HashMap;
use thiserror::Error;

/// Why two functions do not make a flexible one.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum FlexibleError {
    /// They are not the same but for a length.
    #[error("function `{function}` cannot be made flexible: built for two lengths it {message}")]
    Differ {
        /// The function.
        function: String,
        /// What differs in a way that no length explains.
        message: String,
    },
    /// The rebuilt function is faulty.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// A function whose input `input` has an unknown dimension `axis`, out of one built for a short and one for a long size of it.
/// Both must be static and compact ([`compact`](crate::compact)). Sizes up to the long one work.
///
/// # Errors
/// When the two differ in a way that the size does not explain. A size that happens to equal another of the model's can cause
/// that: then try others.
pub fn flexible(
    short: &Function,
    long: &Function,
    input: &str,
    axis: usize,
) -> Result<Function, FlexibleError> {
    short.require_static()?;
    long.require_static()?;
    let differ = |message: String| FlexibleError::Differ { function: long.name.clone(), message };
    same_structure(short, long).map_err(differ)?;
    let size = |function: &Function| {
        let id = function.input_named(input)?;
        function.shape(id).get(axis).copied()
    };
    let sizes = size(short).zip(size(long)).filter(|(a, b)| a < b);
    let Some(sizes) = sizes else {
        return Err(differ(format!(
            "has no input `{input}` whose dimension {axis} is longer in the long one"
        )));
    };
    let Some(source) = long.input_named(input) else {
        return Err(differ(format!("has no input `{input}`")));
    };
    let mut function = long.clone();
    for (index, value) in function.values.iter_mut().enumerate() {
        if !matches!(value.def, Def::Const(_)) {
            let other = short.ty(ValueId::from_index(index));
            value.ty = merged(other, &value.ty).map_err(differ)?;
        }
    }
    let ops = std::mem::take(&mut function.body.ops);
    let mut maker = Maker {
        short,
        long,
        builder: FunctionBuilder::resume(function),
        source,
        axis,
        sizes,
        size: None,
        cut: HashMap::new(),
    };
    let mut rewritten = Vec::with_capacity(ops.len());
    for operation in ops {
        rewritten.push(maker.operation(operation)?);
    }
    let mut builder = maker.builder;
    for operation in rewritten {
        builder = rewrite::append(builder, operation)?;
    }
    Ok(crate::compact(&builder.finish(&long.body.outputs)?))
}

/// Fails unless both have the same operations on the same values; constants may differ.
fn same_structure(short: &Function, long: &Function) -> Result<(), String> {
    let counts = |function: &Function| (function.values.len(), function.body.ops.len());
    if counts(short) != counts(long) || short.inputs != long.inputs || short.body.outputs != long.body.outputs
    {
        return Err("has other inputs, outputs or numbers of operations".to_string());
    }
    for (a, b) in short.body.ops.iter().zip(&long.body.ops) {
        if a.op != b.op || a.args != b.args || a.outputs != b.outputs {
            let name = b.outputs.first().map_or_else(String::new, |&id| long.display_name(id));
            return Err(format!("computes `{name}` otherwise"));
        }
    }
    let constants = |function: &Function, id| function.constant(id).is_some();
    match (0..long.values.len())
        .map(ValueId::from_index)
        .find(|&id| constants(short, id) != constants(long, id))
    {
        Some(id) => Err(format!("has `{}` as a constant in one of the two only", long.display_name(id))),
        None => Ok(()),
    }
}

/// The type of what has either type: dimensions that differ are unknown.
fn merged(short: &Type, long: &Type) -> Result<Type, String> {
    match (short, long) {
        (Type::Tensor(a), Type::Tensor(b)) if a.dtype == b.dtype && a.shape.rank() == b.shape.rank() => {
            let dims = a.shape.iter().zip(b.shape.iter()).map(|(&a, &b)| if a == b { a } else { UNKNOWN });
            Ok(Type::Tensor(b.with_shape(dims.collect::<Shape>())))
        }
        _ if short == long => Ok(long.clone()),
        _ => Err(format!("has {short} where the other has {long}")),
    }
}

struct Maker<'f> {
    short: &'f Function,
    long: &'f Function,
    /// The flexible function; so far it holds the operations that cut tables.
    builder: FunctionBuilder,
    /// The input whose size is flexible, the dimension, and the two sizes that it was built for.
    source: ValueId,
    axis: usize,
    sizes: (usize, usize),
    /// The size at run time, `int32` `[1]`, once made.
    size: Option<ValueId>,
    /// Tables cut to size, by the constant that they are cut from.
    cut: HashMap<ValueId, ValueId>,
}

impl Maker<'_> {
    fn operation(&mut self, mut operation: Operation) -> Result<Operation, FlexibleError> {
        for (at, param) in operation.op.params.iter().enumerate() {
            let shape = operation.op.name == "reshape" && param.name == "shape";
            let x = operation.args.first().and_then(|arg| arg.values().first().copied());
            let result = operation.outputs.first().copied();
            for id in operation.args[at].values_mut() {
                let pair = self.short.constant(*id).zip(self.long.constant(*id));
                let Some((short, long)) = pair.filter(|(a, b)| a != b) else { continue };
                *id = match (shape, x, result) {
                    (true, Some(x), Some(result)) => self.open_shape(x, result)?,
                    _ => self.cut(*id, short, long)?,
                };
            }
        }
        Ok(operation)
    }

    fn differ(&self, message: String) -> FlexibleError {
        FlexibleError::Differ { function: self.long.name.clone(), message }
    }

    /// The `shape` of a `reshape` of `x` to `result`: 0 copies a dimension from the same place of `x`, -1 takes what is left.
    fn open_shape(&mut self, x: ValueId, result: ValueId) -> Result<ValueId, FlexibleError> {
        let [from, to] = [x, result].map(|id| self.builder.function().shape(id).clone());
        let mut dims: Vec<i32> = to.to_i32();
        let mut open: Vec<usize> = (0..to.rank()).filter(|&at| to[at] == UNKNOWN).collect();
        // 0 means the same in every opset only where the ranks are equal.
        let copied = |at: &usize| {
            let same = |function: &Function| function.shape(x).get(*at) == function.shape(result).get(*at);
            from.rank() == to.rank() && same(self.short) && same(self.long)
        };
        while open.len() > 1 {
            let Some(at) = open.iter().rposition(copied) else {
                let name = self.long.display_name(result);
                return Err(
                    self.differ(format!("reshapes `{name}` to {to}, which leaves two dimensions open"))
                );
            };
            dims[open.remove(at)] = 0;
        }
        if let Some(&at) = open.first() {
            dims[at] = -1;
        }
        Ok(self.builder.constant(Constant::ints(&dims)))
    }

    /// A table cut to the size of the input, where the short one is the beginning of the long one.
    fn cut(&mut self, id: ValueId, short: &Constant, long: &Constant) -> Result<ValueId, FlexibleError> {
        if let Some(&known) = self.cut.get(&id) {
            return Ok(known);
        }
        let (a, b) = (short.ty(), long.ty());
        let pairs = || a.shape.iter().copied().zip(b.shape.iter().copied());
        let explained = a.dtype == b.dtype
            && a.shape.rank() == b.shape.rank()
            && pairs().all(|pair| pair.0 == pair.1 || pair == self.sizes)
            && is_beginning(short, long);
        if !explained {
            let name = self.long.display_name(id);
            return Err(self.differ(format!("has a constant `{name}` that does not follow from the length")));
        }
        let size = self.size()?;
        let mut ends = Vec::with_capacity(a.shape.rank());
        let mut dims = Shape::scalar();
        for (short, long) in pairs() {
            let known = short == long;
            dims.dims_mut().push(if known { long } else { UNKNOWN });
            ends.push(match known {
                true => self.builder.constant(Constant::ints(&[i32::try_from(long).unwrap_or(i32::MAX)])),
                false => size,
            });
        }
        let end = match ends.as_slice() {
            &[end] => end,
            ends => {
                let concat = self.builder.op("concat").args("values", ends);
                concat.int("axis", 0).bool("interleave", false).one()?
            }
        };
        let table = self.builder.constant(long.clone());
        let cut = self.builder.op("slice_by_index").arg("x", table).ints("begin", &vec![0; dims.rank()]);
        let cut = cut.arg("end", end).declared(&[Type::Tensor(b.with_shape(dims))]).one()?;
        self.cut.insert(id, cut);
        Ok(cut)
    }

    /// The size of the input at run time, `int32` `[1]`.
    fn size(&mut self) -> Result<ValueId, FlexibleError> {
        if let Some(size) = self.size {
            return Ok(size);
        }
        let rank = self.builder.shape(self.source).len();
        let ty = Type::Tensor(TensorType::new(DataType::Int32, [rank]));
        let shape = self.builder.op("shape").arg("x", self.source).declared(&[ty]).one()?;
        let at = i32::try_from(self.axis).unwrap_or(i32::MAX);
        let size = self.builder.op("gather").arg("x", shape).ints("indices", &[at]).int("axis", 0).one()?;
        Ok(*self.size.insert(size))
    }
}

/// Whether `short` is the part of `long` at the beginning of every dimension, bit for bit.
fn is_beginning(short: &Constant, long: &Constant) -> bool {
    let width = long.ty().dtype.bits() / 8;
    let (Some(&inner), false) = (short.ty().shape.last(), width == 0) else { return false };
    let strides = long.ty().shape.strides();
    let row = inner * width;
    let rows = short.bytes().len().checked_div(row).unwrap_or(0);
    let dims = &short.ty().shape[..short.ty().shape.rank() - 1];
    (0..rows).all(|number| {
        let (mut rest, mut at) = (number, 0);
        for (dim, stride) in dims.iter().zip(&strides).rev() {
            at += rest % dim * stride;
            rest /= dim;
        }
        let at = at * width;
        long.bytes().get(at..at + row) == short.bytes().get(number * row..(number + 1) * row)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mil::{Opset, Program, verify};

    /// Rows of `x` `[1, length, 4]` split into two heads, multiplied with each other, a table of `[length, length]` added.
    fn attention(length: usize, table: fn(usize, usize) -> f32) -> Result<Function, BuildError> {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let x = f.input("x", TensorType::fp32([1, length, 4]))?;
        let heads = f.reshape(x, &[1, length, 2, 2])?;
        let heads = f.transpose(heads, &[0, 2, 1, 3])?;
        let scores = f.matmul(heads, heads, false, true)?;
        let rows = f.reshape(scores, &[1, 1, 2 * length, length])?;
        let rows = f.mul(rows, 0.5)?;
        let scores = f.reshape(rows, &[1, 2, length, length])?;
        let data = (0..length * length).map(|at| table(at / length, at % length)).collect();
        let table = f.constant(Constant::new([length, length], data)?);
        let y = f.add(scores, table)?;
        f.name(y, "y");
        Ok(crate::compact(&f.finish(&[y])?))
    }

    fn both(table: fn(usize, usize) -> f32) -> Result<Result<Function, FlexibleError>, BuildError> {
        Ok(flexible(&attention(3, table)?, &attention(8, table)?, "x", 1))
    }

    #[test]
    fn lengths_become_unknown() -> Result<(), BuildError> {
        let function = both(|row, column| (row * 100 + column) as f32)?.unwrap();
        assert_eq!(function.shape(function.body.outputs[0]).to_string(), "[1, 2, ?, ?]");
        let shapes: Vec<Vec<i64>> = function
            .body
            .ops
            .iter()
            .filter(|operation| operation.op.name == "reshape")
            .map(|operation| function.view(operation).ints("shape").unwrap().unwrap())
            .collect();
        assert_eq!(shapes, [vec![1, -1, 2, 2], vec![1, 1, -1, 0], vec![1, 2, -1, 0]]);
        assert!(function.body.ops.iter().any(|operation| operation.op.name == "slice_by_index"));
        verify(Program::single(function)).unwrap();
        Ok(())
    }

    #[test]
    fn what_no_length_explains_is_refused() -> Result<(), BuildError> {
        // A table that ends as the short one ends, not one that begins so.
        let mut long = attention(8, |row, _| row as f32)?;
        let fault = flexible(&attention(3, |row, _| 7.0 - row as f32)?, &long, "x", 1).unwrap_err();
        assert!(fault.to_string().contains("does not follow from the length"), "{fault}");
        let short = attention(3, |row, _| row as f32)?;
        assert!(flexible(&short, &long, "y", 1).unwrap_err().to_string().contains("no input `y`"));
        assert!(flexible(&long, &short, "x", 1).is_err());
        long.body.ops.pop();
        assert!(flexible(&short, &long, "x", 1).unwrap_err().to_string().contains("numbers of operations"));
        Ok(())
    }
}
