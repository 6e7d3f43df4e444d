//! Functions of one `fp16` number, as tables of all of them.

use super::AneGeneration;
use super::functions::{self, Values};
use super::rounding::round_half_away;
use crate::kernels::{self, Lowered, parallel};
use half::f16;
use mil::{DataType, OpView};

/// The kernel of a function of which more is known than its definition; `None` for all others.
pub(super) fn lower(op: &OpView<'_>, generation: AneGeneration) -> Option<Lowered> {
    if op.dtype("x").ok()? != DataType::Fp16 {
        return None;
    }
    let x = kernels::operand(op, "x").ok()?;
    let tabulated = |f: &dyn Fn(f32) -> f32| Some(tabulated(x, f));
    let shifted = |f: fn(f32) -> f32| {
        let epsilon = op.float("epsilon").ok()?;
        tabulated(&|x| f(round_half_away(x + epsilon)))
    };
    match op.name() {
        "sigmoid" => tabulated(&functions::sigmoid),
        "silu" => tabulated(&functions::silu),
        "tanh" => tabulated(&functions::tanh),
        "scaled_tanh" => {
            let (alpha, beta) = (op.float("alpha").ok()?, op.float("beta").ok()?);
            tabulated(&|x| alpha * functions::tanh(round_half_away(beta * x)))
        }
        // Measured on an M6: exact and approximated by tanh, the same bits. By the logistic function it is another mode.
        "gelu" if op.string("mode").ok()? != "SIGMOID_APPROXIMATION" => tabulated(&functions::gelu),
        "erf" => tabulated(&functions::erf),
        "exp" => tabulated(&functions::exp),
        "exp2" => tabulated(&functions::exp2),
        "log" => shifted(functions::log),
        "sqrt" => tabulated(&functions::sqrt),
        "rsqrt" => shifted(functions::rsqrt),
        "inverse" => shifted(functions::inverse),
        // Of what the engine has. From log 65504 = 11.09 on, exp is infinite, and the logarithm of infinity 0: as was measured.
        "softplus" => tabulated(&|x| functions::log(round_half_away(1.0 + functions::exp(x)))),
        // Before H15 the compiler takes polynomials, which are not known.
        "sin" if generation >= AneGeneration::H15 => tabulated(&functions::sin),
        "cos" if generation >= AneGeneration::H15 => tabulated(&functions::cos),
        "cos" => tabulated(&|x| if x.is_infinite() { 0.0 } else { libm::cosf(x) }),
        "round" => tabulated(&|x| (x.abs() + 0.5).floor().copysign(x)),
        _ => None,
    }
}

/// A kernel that looks up `f`, rounded half away from zero.
fn tabulated(x: usize, f: &dyn Fn(f32) -> f32) -> Lowered {
    let values = Values::new(|x| round_half_away(f(x)));
    Lowered::new(move |call| {
        let input = call.inputs[x].slice::<f16>();
        let output = call.outputs[0].slice::<f16>();
        parallel::rows(output, parallel::GRAIN, 4, |part, out| {
            let start = part * parallel::GRAIN;
            for (out, x) in out.iter_mut().zip(&input[start..]) {
                *out = values.of(*x);
            }
        });
        Ok(())
    })
}
