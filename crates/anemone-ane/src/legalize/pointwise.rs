//! Rewrites of operations on single elements.

use super::rewriter::of_bytes;
use super::{Context, Rewrite, UNSUPPORTED};
use crate::rules::Site;
use mil::{BuildError, Constant, DataType, FunctionBuilder, Operation, TensorType, ValueId};

pub(super) type Results = Result<Vec<ValueId>, BuildError>;

pub(super) static REWRITES: &[Rewrite] = &[
    Rewrite {
        rule: "softplus-overflow",
        ops: &["softplus", "softplus_parametric"],
        into: "max(x, 0) + log(1 + exp(-|x|))",
        possible: |_| true,
        apply: softplus,
    },
    Rewrite {
        rule: "round-large",
        ops: &["round"],
        into: "floor, and what is left over",
        possible: |_| true,
        apply: round,
    },
    Rewrite {
        rule: "round-half",
        ops: &["round"],
        into: "floor, and what is left over",
        possible: |_| true,
        apply: round,
    },
    Rewrite {
        rule: "scale-after-rounding",
        ops: &["mul"],
        into: "a multiplication by a tensor",
        possible: |_| true,
        apply: scale,
    },
    Rewrite {
        rule: "reduction-times-zero",
        ops: &["mul"],
        into: "a difference of equal values",
        possible: |_| true,
        apply: zero,
    },
    Rewrite { rule: "square-fused", ops: &["square"], into: "mul(x, x)", possible: |_| true, apply: square },
    Rewrite {
        rule: "root-of-reduction",
        ops: &["sqrt", "rsqrt"],
        into: "pow",
        possible: |_| true,
        apply: root,
    },
    Rewrite {
        rule: "infinite-constant",
        ops: &["add", "select"],
        into: "-30000 in place of minus infinity, before a softmax",
        possible: masks,
        apply: finite,
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["identity"],
        into: "the value itself",
        possible: |site| site.op.output(0).dtype.is_float(),
        apply: |_, operation, _| Ok(operation.uses().collect()),
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["logical_and", "logical_or", "logical_xor"],
        into: "masks of 0 and 1",
        possible: |_| true,
        apply: logic,
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["sin", "cos"],
        into: "a polynomial after reducing the angle",
        possible: |_| true,
        apply: polynomial,
    },
    Rewrite { rule: UNSUPPORTED, ops: &["tan"], into: "sin / cos", possible: |_| true, apply: tangent },
];

/// The operand `x`, which every op here has.
fn x(f: &FunctionBuilder, operation: &Operation) -> Result<ValueId, BuildError> {
    required(f, operation, "x")
}

/// An operand that a verified operation has.
pub(super) fn required(
    f: &FunctionBuilder,
    operation: &Operation,
    param: &'static str,
) -> Result<ValueId, BuildError> {
    let missing = || BuildError::Missing { op: operation.op.declaration().name, name: None, param };
    f.function().view(operation).value(param).ok_or_else(missing)
}

fn softplus(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let input = x(f, operation)?;
    let rank = f.shape(input).len();
    // Coefficients of a channel stand in dimension 1.
    let coefficient = |f: &mut FunctionBuilder, param: &str| -> Result<Option<ValueId>, BuildError> {
        let Some(id) = f.function().view(operation).value(param) else { return Ok(None) };
        let mut shape = vec![1; rank];
        shape[1] = f.shape(id).first().copied().unwrap_or(1);
        match f.function().constant(id).and_then(|constant| constant.reshaped(shape.as_slice()).ok()) {
            Some(constant) => Ok(Some(f.constant(constant))),
            None => f.reshape(id, &shape).map(Some),
        }
    };
    let (alpha, beta) = (coefficient(f, "alpha")?, coefficient(f, "beta")?);
    let scaled = match beta {
        Some(beta) => f.mul(input, beta)?,
        None => input,
    };
    let positive = f.unary("relu", scaled)?;
    let magnitude = f.unary("abs", scaled)?;
    let negated = f.mul(magnitude, -1.0)?;
    let tail = f.unary("exp", negated)?;
    let tail = f.add(tail, 1.0)?;
    let tail = f.unary("log", tail)?;
    let sum = f.add(positive, tail)?;
    Ok(vec![match alpha {
        Some(alpha) => f.mul(sum, alpha)?,
        None => sum,
    }])
}

/// Halves to even, by floor alone. `floor` of half of `x`, doubled by an addition, tells whether the integer below is odd: a product
/// right after a floor would be lost.
fn round(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let input = x(f, operation)?;
    let below = f.unary("floor", input)?;
    let rest = f.sub(input, below)?;
    let half = f.mul(input, 0.5)?;
    let half = f.unary("floor", half)?;
    let even = f.add(half, half)?;
    let odd = f.sub(below, even)?;
    let dtype = f.dtype(input);
    let (one, zero) = (f.float(dtype, 1.0), f.float(dtype, 0.0));
    let above = f.greater(rest, 0.5)?;
    let step = f.select(above, one, zero)?;
    let tie = f.equal(rest, 0.5)?;
    let step = f.select(tie, odd, step)?;
    Ok(vec![f.add(below, step)?])
}

/// The operand that is one number, and the other one.
fn parts(f: &FunctionBuilder, operation: &Operation) -> Result<(ValueId, ValueId), BuildError> {
    let (x, y) = (x(f, operation)?, required(f, operation, "y")?);
    let single =
        |id: ValueId| f.function().constant(id).is_some_and(|constant| constant.ty().shape.count() == 1);
    Ok(if single(y) { (x, y) } else { (y, x) })
}

fn scale(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let (of, by) = parts(f, operation)?;
    let shape = f.shape(of).to_vec();
    let rank = shape.len().max(f.shape(by).len());
    let factor =
        f.function().constant(by).and_then(|by| by.to_f32().and_then(|values| values.first().copied()));
    let mut dims = vec![1; rank];
    let wide = shape.iter().rposition(|&dim| dim > 1);
    let tensor = wide.zip(factor).and_then(|(axis, factor)| {
        dims[rank - shape.len() + axis] = shape[axis];
        Constant::splat(&TensorType::new(f.dtype(by), dims.as_slice()), factor)
    });
    Ok(vec![match tensor {
        Some(tensor) => {
            let tensor = f.constant(tensor);
            f.mul(of, tensor)?
        }
        // Of a single number there is no other tensor than itself: another operation goes between.
        None => {
            let of = f.maximum(of, of)?;
            f.mul(of, by)?
        }
    }])
}

fn zero(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let (of, by) = parts(f, operation)?;
    let (shape, rank) = (f.shape(of).to_vec(), f.shape(by).len());
    let difference = f.sub(of, of)?;
    let mut dims = vec![1; rank.saturating_sub(shape.len())];
    dims.extend(shape);
    Ok(vec![f.reshape(difference, &dims)?])
}

fn square(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let input = x(f, operation)?;
    Ok(vec![f.mul(input, input)?])
}

fn root(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let input = x(f, operation)?;
    if operation.op.declaration().name == "sqrt" {
        return Ok(vec![f.pow(input, 0.5)?]);
    }
    let epsilon = f.function().view(operation).float("epsilon").unwrap_or(0.0);
    let shifted = if epsilon == 0.0 { input } else { f.add(input, epsilon)? };
    Ok(vec![f.pow(shifted, -0.5)?])
}

fn logic(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let (a, b) = (x(f, operation)?, required(f, operation, "y")?);
    let (one, zero) = (f.float(DataType::Fp16, 1.0), f.float(DataType::Fp16, 0.0));
    let (a, b) = (f.select(a, one, zero)?, f.select(b, one, zero)?);
    Ok(vec![match operation.op.declaration().name {
        "logical_xor" => f.not_equal(a, b)?,
        "logical_or" => {
            let any = f.maximum(a, b)?;
            f.greater(any, 0.5)?
        }
        _ => {
            let both = f.mul(a, b)?;
            f.greater(both, 0.5)?
        }
    }])
}

/// Sine of what is left of the angle after taking off a multiple of pi, which turns the sign when it is odd. Pi stands in two parts,
/// of which the first has so few digits that its multiples are exact in `fp16`: good for angles up to some tens.
fn polynomial(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    const HIGH: f32 = 3.140625;
    const LOW: f32 = 9.676_536e-4;
    // Of sin(x) / x in x * x. The last is below what fp16 resolves.
    const TERMS: [f32; 5] = [1.0, -1.0 / 6.0, 1.0 / 120.0, -1.0 / 5040.0, 1.0 / 362_880.0];
    let input = x(f, operation)?;
    // cos(x) is sin(x + pi/2): half a turn is taken off in the count, where it is exact.
    let cosine = operation.op.declaration().name == "cos";
    let turns = f.mul(input, std::f32::consts::FRAC_1_PI)?;
    let turns = match cosine {
        true => f.unary("floor", turns)?,
        false => {
            let nearest = f.add(turns, 0.5)?;
            f.unary("floor", nearest)?
        }
    };
    // How often pi is taken off: a whole number for the sine, half a one more for the cosine.
    let count = if cosine { f.add(turns, 0.5)? } else { f.maximum(turns, turns)? };
    let (high, low) = (f.mul(count, HIGH)?, f.mul(count, LOW)?);
    let rest = f.sub(input, high)?;
    let rest = f.sub(rest, low)?;
    let half = f.mul(count, 0.5)?;
    let half = f.unary("floor", half)?;
    let even = f.add(half, half)?;
    let odd = f.sub(turns, even)?;
    let double = f.add(odd, odd)?;
    // The sine turns at odd counts; the cosine falls through its zero at pi/2 and rises through the next.
    let sign = if cosine { f.sub(double, 1.0)? } else { f.sub(1.0, double)? };
    let square = f.mul(rest, rest)?;
    let terms = if f.dtype(input) == DataType::Fp16 { &TERMS[..4] } else { &TERMS[..] };
    let mut sum: Option<ValueId> = None;
    for &term in terms.iter().rev() {
        sum = Some(match sum {
            None => f.mul(square, term)?,
            // Horner's rule, one multiplication behind.
            Some(sum) if term == 1.0 => f.add(sum, term)?,
            Some(sum) => {
                let sum = f.add(sum, term)?;
                f.mul(sum, square)?
            }
        });
    }
    let value = f.mul(rest, sum.unwrap_or(rest))?;
    Ok(vec![f.mul(value, sign)?])
}

fn tangent(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let input = x(f, operation)?;
    let (sine, cosine) = (f.unary("sin", input)?, f.unary("cos", input)?);
    Ok(vec![f.real_div(sine, cosine)?])
}

/// Whether infinities are masks of attention: minus infinity only, added or selected right before a softmax.
fn masks(site: &Site<'_>) -> bool {
    let Some(&output) = site.op.operation.outputs.first() else { return false };
    let softmax = site.graph.uses(output).count() > 0
        && site.graph.uses(output).all(|user| user.op.declaration().name == "softmax")
        && !site.graph.is_output(output);
    let fits = |id: ValueId| match site.op.function.constant(id).and_then(Constant::to_f32) {
        Some(values) => !values.contains(&f32::INFINITY),
        None => true,
    };
    softmax && site.op.output(0).dtype == DataType::Fp16 && site.op.operation.uses().all(fits)
}

fn finite(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    const MASK: f32 = -30000.0;
    let mut operation = operation.clone();
    for id in operation.args.iter_mut().flat_map(|arg| arg.values_mut()) {
        let replaced = f.function().constant(*id).and_then(|constant| {
            let values = constant.to_f32()?;
            if !values.iter().any(|value| value.is_infinite()) {
                return None;
            }
            let bytes: Vec<u8> = match constant.ty().dtype {
                DataType::Fp16 => {
                    let mask = Constant::float(DataType::Fp16, MASK);
                    let infinity = Constant::float(DataType::Fp16, f32::NEG_INFINITY);
                    let swap = |pair: &[u8]| {
                        if pair == infinity.bytes() { mask.bytes().to_vec() } else { pair.to_vec() }
                    };
                    constant.bytes().chunks_exact(2).flat_map(swap).collect()
                }
                _ => return None,
            };
            of_bytes(constant, constant.ty().shape.to_vec(), bytes)
        });
        if let Some(constant) = replaced {
            *id = f.constant(constant);
        }
    }
    super::rewriter::again(f, &operation, &[])
}
