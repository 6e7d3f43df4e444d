//! A function being rewritten, operation by operation.

use mil::{Arg, BuildError, Constant, DataType, Function, FunctionBuilder, Operation, ValueId};

/// A function under construction beside the one that it replaces. Values of the old one keep their numbers until the end.
pub(super) struct Rewriter {
    builder: FunctionBuilder,
    stands_for: Vec<ValueId>,
}

impl Rewriter {
    /// An empty body over the values of `source`.
    pub(super) fn new(source: &Function) -> Rewriter {
        let mut function = source.clone();
        function.body.ops.clear();
        Rewriter {
            builder: FunctionBuilder::resume(function),
            stands_for: (0..source.values.len()).map(ValueId::from_index).collect(),
        }
    }

    /// The builder, to add operations with.
    pub(super) fn build(&mut self) -> &mut FunctionBuilder {
        &mut self.builder
    }

    /// The function so far.
    pub(super) fn function(&self) -> &Function {
        self.builder.function()
    }

    /// The operation on what now stands for its operands.
    pub(super) fn renewed(&self, operation: &Operation) -> Operation {
        let mut operation = operation.clone();
        for id in operation.args.iter_mut().flat_map(|arg| arg.values_mut()) {
            *id = self.stands_for[id.index()];
        }
        operation
    }

    /// From now on `new` stands for `old`, under its name.
    pub(super) fn replace(&mut self, old: ValueId, new: ValueId) {
        self.stands_for[old.index()] = new;
        let name = self.function().value(old).name.clone();
        let free = self.function().value(new).name.is_none() && !self.function().inputs.contains(&new);
        if let Some(name) = name.filter(|_| free && self.function().constant(new).is_none()) {
            self.builder.name(new, name);
        }
    }

    /// Appends an operation as it is.
    pub(super) fn keep(&mut self, operation: Operation) -> Result<(), BuildError> {
        let empty = FunctionBuilder::new("empty", self.function().opset);
        let mut function = std::mem::replace(&mut self.builder, empty).finish(&[])?;
        function.body.ops.push(operation);
        self.builder = FunctionBuilder::resume(function);
        Ok(())
    }

    /// Ends with what stands for the outputs of `source`, under their names.
    pub(super) fn finish(mut self, source: &Function) -> Result<Function, BuildError> {
        let mut outputs: Vec<ValueId> = Vec::with_capacity(source.body.outputs.len());
        for &old in &source.body.outputs {
            let mut new = self.stands_for[old.index()];
            let function = self.function();
            let own = !function.inputs.contains(&new)
                && function.constant(new).is_none()
                && !outputs.contains(&new);
            let named = function.value(new).name == source.value(old).name;
            if !own || (!named && source.body.outputs.contains(&new)) {
                new = times_one(&mut self.builder, new)?;
            }
            if let Some(name) = &source.value(old).name {
                self.builder.name(new, name.clone());
            }
            outputs.push(new);
        }
        let mut function = self.builder.finish(&outputs)?;
        anemone_passes::remove_dead(&mut function);
        Ok(anemone_passes::compact(&function))
    }
}

/// A value of its own with the same elements: `identity` crashes the engine's compiler, a product with 1 does not.
pub(super) fn times_one(f: &mut FunctionBuilder, x: ValueId) -> Result<ValueId, BuildError> {
    match f.dtype(x) {
        DataType::Fp16 | DataType::Fp32 | DataType::Int32 => f.mul(x, 1.0),
        _ => f.op("identity").arg("x", x).one(),
    }
}

/// A call of the same op with the same arguments but for those of these parameters.
pub(super) fn again(
    f: &mut FunctionBuilder,
    operation: &Operation,
    but: &[(&str, Option<ValueId>)],
) -> Result<Vec<ValueId>, BuildError> {
    let mut call = f.op(operation.op.declaration().name);
    for (param, arg) in operation.op.params.iter().zip(&operation.args) {
        let other = but.iter().find(|(name, _)| *name == param.name);
        let arg = other.map_or_else(|| arg.clone(), |(_, value)| value.map_or(Arg::None, Arg::One));
        call = call.set_arg(param.name, arg);
    }
    call.many()
}

/// The elements of a constant in another order: dimension `perm[i]` in place `i`. None for types that are no plain numbers.
pub(super) fn permuted(constant: &Constant, perm: &[usize]) -> Option<Constant> {
    let shape = &constant.ty().shape;
    let (size, strides) = (constant.ty().dtype.size(), shape.strides());
    if constant.ty().dtype.is_packed() || size == 0 || perm.len() != shape.rank() {
        return None;
    }
    let (dims, steps): (Vec<usize>, Vec<usize>) = perm
        .iter()
        .map(|&axis| Some((*shape.get(axis)?, *strides.get(axis)?)))
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .unzip();
    let bytes = constant.bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = vec![0usize; dims.len()];
    for _ in 0..shape.count() {
        let offset: usize = at.iter().zip(&steps).map(|(&i, &step)| i * step).sum::<usize>() * size;
        out.extend_from_slice(bytes.get(offset..offset + size)?);
        for axis in (0..dims.len()).rev() {
            at[axis] += 1;
            if at[axis] < dims[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    of_bytes(constant, dims, out)
}

/// A constant of the same element type with these elements.
pub(super) fn of_bytes(like: &Constant, dims: Vec<usize>, bytes: Vec<u8>) -> Option<Constant> {
    let ty = like.ty().with_shape(dims);
    Constant::from_storage(ty, std::sync::Arc::new(bytes)).ok()
}
