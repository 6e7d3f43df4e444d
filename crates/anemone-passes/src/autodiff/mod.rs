//! Reverse-mode automatic differentiation: a pass that appends the backward operations to a function.
//!
//! [`gradients`] takes a function whose operations so far are the forward pass, a scalar loss and the values to
//! differentiate by, and appends ordinary MIL operations that compute the gradients. Nothing about the result is
//! special: every other pass and every back end sees one function.
//!
//! * **One rule per op.** Each family's file holds one table from op name to [`Rule`]; [`rule`] reads them. A rule
//!   is the op's vector-Jacobian product written with the builder. An op without a rule on a path from a `wrt`
//!   value to the loss is an error that names it, never a silent zero.
//! * **Only live paths.** Values that depend on no `wrt` value get no gradient, so no dead backward code arises.
//!   Integer and `bool` values carry none.
//! * **Deterministic sums.** Contributions to a shared value are added pairwise in the order in which the backward
//!   pass meets them, which is a function of the program alone.
//! * **Late broadcasting.** A cotangent may have extent 1 where its value has more; it is stretched only when a
//!   rule needs all of it. The gradient of a mean is then one small tensor, not a copied one.
//! * **Gradients have their value's type.** `cast` converts the cotangent back, so that fp16 arithmetic on fp32
//!   states gives fp32 gradients.
//! * **States.** The gradient by a state is the gradient by what `read_state` returned. A state read after it was
//!   written in the same function passes its gradient on to the value written.
//!
//! * **Blocks compute again.** What a branch of `cond` or a turn of `while_loop` computed cannot be seen outside of it, so
//!   its gradient is a block that computes it once more and goes back from there. A loop first runs again to record what
//!   each turn began with. Blocks that would not do the same twice (states, unseeded random numbers) are an error.
//!
//! At kinks the derivative is PyTorch's: `relu` and `abs` have slope 0 at 0, `clip` has slope 0 at its bounds, ties of
//! `maximum` share half and half, ties of `reduce_max` share evenly, `max_pool` takes the first.

mod activation;
mod activity;
mod constexpr;
mod context;
mod control_flow;
mod conv;
mod elementwise_binary;
mod elementwise_unary;
mod held;
mod image_resizing;
mod linear;
mod normalization;
mod pool;
mod quantization;
mod random;
mod recurrent;
mod reduction;
mod scatter_gather;
mod shapes;
mod state;
mod sweep;
mod tensor_operation;
mod tensor_transformation;
mod transformers;
mod window;

#[cfg(test)]
mod tests;

pub use context::{Gradient, RuleError};

use mil::{BuildError, DataType, Family, FunctionBuilder, Op, Program, Type, ValueId, Verified};
use thiserror::Error;

/// The vector-Jacobian product of one op: reads the cotangents of the outputs, adds to those of the arguments.
pub type Vjp = fn(&mut Gradient<'_>) -> Result<(), RuleError>;

/// What differentiation does at an op.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// The op has a derivative, and this adds the operations that apply it.
    Vjp(Vjp),
    /// The derivative is zero or there is none to speak of, for the reason told: gradients stop here.
    NoGradient(&'static str),
    /// The op has a derivative, but no rule yet: differentiating through it is an error.
    Missing,
}

/// The rule of an op.
pub fn rule(op: Op) -> Rule {
    let table = table(op.family);
    table.iter().find(|(name, _)| *name == op.name).map_or(Rule::Missing, |&(_, rule)| rule)
}

/// A label is no number; the probabilities behind it are there to be differentiated.
static CLASSIFY: &[(&str, Rule)] =
    &[("classify", Rule::NoGradient("labels are no numbers; differentiate the probabilities"))];

/// The rules of a family, by op name.
fn table(family: Family) -> &'static [(&'static str, Rule)] {
    match family {
        Family::Activation => activation::RULES,
        Family::Constexpr => constexpr::RULES,
        Family::Classify => CLASSIFY,
        Family::ControlFlow => control_flow::RULES,
        Family::Conv => conv::RULES,
        Family::ElementwiseBinary => elementwise_binary::RULES,
        Family::ElementwiseUnary => elementwise_unary::RULES,
        Family::ImageResizing => image_resizing::RULES,
        Family::Linear => linear::RULES,
        Family::Normalization => normalization::RULES,
        Family::Pool => pool::RULES,
        Family::Quantization => quantization::RULES,
        Family::Random => random::RULES,
        Family::Recurrent => recurrent::RULES,
        Family::Reduction => reduction::RULES,
        Family::ScatterGather => scatter_gather::RULES,
        Family::State => state::RULES,
        Family::TensorOperation => tensor_operation::RULES,
        Family::TensorTransformation => tensor_transformation::RULES,
        Family::Transformers => transformers::RULES,
        _ => &[],
    }
}

/// Why a function could not be differentiated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AutodiffError {
    /// An op on the way from a `wrt` value to the loss has no rule.
    #[error(
        "op `{op}` (value `{value}`) has no gradient rule, but the loss depends on it; detach it or use other ops"
    )]
    MissingRule {
        /// The op.
        op: &'static str,
        /// Its first output.
        value: String,
    },
    /// An operation on the way has an operand or result of which a dimension is not known.
    #[error(
        "gradient of op `{op}`: value `{value}` is {ty}, of which a dimension is not known; bind flexible inputs to a shape \
         first, and keep shapes the same from turn to turn of a loop"
    )]
    UnknownShape {
        /// The op.
        op: &'static str,
        /// The value.
        value: String,
        /// Its type.
        ty: Box<Type>,
    },
    /// A rule could not be applied.
    #[error("gradient of op `{op}` (value `{value}`): {source}")]
    Rule {
        /// The op.
        op: &'static str,
        /// Its first output.
        value: String,
        /// What went wrong.
        source: Box<RuleError>,
    },
    /// The loss is not a float scalar.
    #[error(
        "the loss `{value}` is {ty}, but must be a float tensor of one element and known shape; reduce it or give a starting cotangent"
    )]
    Loss {
        /// The value.
        value: String,
        /// Its type.
        ty: Box<Type>,
    },
    /// The starting cotangent does not fit the loss.
    #[error("the starting cotangent `{value}` is {ty}, but must have the type of the loss, {loss}")]
    Seed {
        /// The cotangent.
        value: String,
        /// Its type.
        ty: Box<Type>,
        /// Type of the loss.
        loss: Box<Type>,
    },
    /// A value to differentiate by cannot have a gradient.
    #[error("cannot differentiate by `{value}`, which is {ty}; only float tensors of known shape have gradients{}", read_first(.ty))]
    Wrt {
        /// The value.
        value: String,
        /// Its type.
        ty: Box<Type>,
    },
    /// A value that the function does not have.
    #[error("value {0:?} does not exist in this function")]
    UnknownValue(ValueId),
    /// A state to differentiate by is read or written where only a block sees it.
    #[error(
        "cannot differentiate by state `{state}`, which a block of op `{op}` uses; read it before the operation, and write it after"
    )]
    StateInBlock {
        /// The state.
        state: String,
        /// The operation with the block.
        op: &'static str,
    },
    /// A function, output or state that does not exist.
    #[error("there is no {what} `{name}`; there are: {available}")]
    NotFound {
        /// `function`, `output` or `input`.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        available: String,
    },
    /// An operation outside any rule could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

fn read_first(ty: &Type) -> &'static str {
    if ty.is_state() { ": name the value that `read_state` gives" } else { "" }
}

/// Appends the backward pass of `loss` to `f` and returns `d loss / d w` for every `w` of `wrt`, each with the type
/// of its `w`. A value on which the loss does not depend gets a gradient of zeros.
///
/// `loss` must be a float tensor of one element. Every tensor between it and `wrt` must have a known shape; blocks and
/// lists may lie between, and what does not is free to be of unknown shape.
///
/// ```
/// use anemone_passes::autodiff::gradients;
/// use mil::{FunctionBuilder, Opset, TensorType};
///
/// let mut f = FunctionBuilder::new("main", Opset::Ios18);
/// let x = f.input("x", TensorType::fp32([3]))?;
/// let square = f.mul(x, x)?;
/// let loss = f.reduce("reduce_sum", square, &[0], false)?;
/// let dx = gradients(&mut f, loss, &[x])?;
/// assert_eq!(f.shape(dx[0]), [3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn gradients(
    f: &mut FunctionBuilder,
    loss: ValueId,
    wrt: &[ValueId],
) -> Result<Vec<ValueId>, AutodiffError> {
    gradients_from(f, loss, None, wrt)
}

/// [`gradients`] with a starting cotangent: `seed` has the type of `loss`, which may then have any shape. With the
/// loss scale as seed, the gradients come out scaled, which keeps small ones alive in fp16.
pub fn gradients_from(
    f: &mut FunctionBuilder,
    loss: ValueId,
    seed: Option<ValueId>,
    wrt: &[ValueId],
) -> Result<Vec<ValueId>, AutodiffError> {
    for &id in wrt.iter().chain([&loss]).chain(seed.as_ref()) {
        if id.index() >= f.function().values.len() {
            return Err(AutodiffError::UnknownValue(id));
        }
    }
    let describe = |id: ValueId| (f.function().display_name(id), Box::new(f.ty(id).clone()));
    let is_float = |id: ValueId| {
        f.ty(id).as_tensor().is_some_and(|tensor| tensor.dtype.is_float() && tensor.shape.is_known())
    };
    if !is_float(loss) || (seed.is_none() && f.function().shape(loss).count() != 1) {
        let (value, ty) = describe(loss);
        return Err(AutodiffError::Loss { value, ty });
    }
    if let Some(seed) = seed.filter(|&seed| f.ty(seed) != f.ty(loss)) {
        let (value, ty) = describe(seed);
        return Err(AutodiffError::Seed { value, ty, loss: Box::new(f.ty(loss).clone()) });
    }
    if let Some(&id) = wrt.iter().find(|&&id| !is_float(id)) {
        let (value, ty) = describe(id);
        return Err(AutodiffError::Wrt { value, ty });
    }
    sweep::sweep(f, loss, seed, wrt)
}

/// Differentiates a function of a program: the output `loss` by the inputs named in `states` (states, or float
/// tensor inputs). The result is the program with further outputs `<name>_grad` in that function, one per name.
///
/// A state that is read several times before it is written gets the sum over all those reads.
pub fn differentiate(
    program: &Verified,
    function: &str,
    loss: &str,
    states: &[&str],
) -> Result<Program, AutodiffError> {
    let mut result = Program::clone(program);
    let target = result.functions.iter_mut().find(|candidate| candidate.name == function);
    let Some(target) = target else {
        let names = program.functions.iter().map(|function| function.name.clone());
        return Err(not_found("function", function, names));
    };
    let name_of = |id: &ValueId| target.display_name(*id);
    let mut outputs = target.body.outputs.clone();
    let Some(&loss) = outputs.iter().find(|&id| name_of(id) == loss) else {
        return Err(not_found("output", loss, outputs.iter().map(name_of)));
    };
    let mut wrt = Vec::new();
    let mut reads_of = Vec::new();
    for &name in states {
        let Some(input) = target.input_named(name) else {
            return Err(not_found("input", name, target.inputs.iter().map(name_of)));
        };
        let reads = sweep::reads_of(target, input)?;
        reads_of.push((name, target.tensor(input).clone(), reads.len()));
        wrt.extend(reads);
    }
    let mut f = FunctionBuilder::resume(target.clone());
    let mut grads = gradients(&mut f, loss, &wrt)?.into_iter();
    for (name, ty, count) in reads_of {
        let reads: Vec<ValueId> = grads.by_ref().take(count).collect();
        let total = match reads.split_first() {
            None => shapes::zeros(&mut f, &ty)?,
            Some((&first, rest)) => rest.iter().try_fold(first, |sum, &grad| f.add(sum, grad))?,
        };
        // A name of its own, whatever the gradient is: it may be an input or another gradient as well.
        outputs.push(f.op("identity").arg("x", total).named(format!("{name}_grad")).one()?);
    }
    *target = f.finish(&outputs)?;
    Ok(result)
}

fn not_found(what: &'static str, name: &str, available: impl Iterator<Item = String>) -> AutodiffError {
    let available = available.collect::<Vec<_>>().join(", ");
    AutodiffError::NotFound { what, name: name.to_string(), available }
}

/// The largest finite magnitude of a float type, for padding that must never win a maximum.
fn largest(dtype: DataType) -> f32 {
    if dtype == DataType::Fp16 { half::f16::MAX.to_f32() } else { f32::MAX }
}
