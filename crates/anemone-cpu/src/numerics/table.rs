//! Functions of one `fp16` number, as tables of all of them.

use super::rounding::round_half_away;
use crate::elementwise::math;
use crate::kernels::{self, Lowered, parallel};
use half::f16;
use mil::{DataType, OpView};

/// The kernel of a function of which more is known than its definition; `None` for all others.
pub(super) fn lower(op: &OpView<'_>) -> Option<Lowered> {
    if op.dtype("x").ok()? != DataType::Fp16 {
        return None;
    }
    let x = kernels::operand(op, "x").ok()?;
    let tabulated = |f: &dyn Fn(f32) -> f32| Some(tabulated(x, f));
    match op.name() {
        // log 65504 = 11.09: beyond, exp(x) is infinite, and the logarithm of infinity is 0.
        "softplus" => tabulated(&|x| if math::exp(x) >= 65520.0 { 0.0 } else { math::softplus(x) }),
        "log" => {
            let epsilon = op.float("epsilon").ok()?;
            tabulated(&|x| if x == f32::INFINITY { 0.0 } else { math::log(x + epsilon) })
        }
        "cos" => tabulated(&|x| if x.is_infinite() { 0.0 } else { libm::cosf(x) }),
        "round" => tabulated(&|x| (x.abs() + 0.5).floor().copysign(x)),
        _ => None,
    }
}

/// A kernel that looks up `f`, rounded half away from zero.
fn tabulated(x: usize, f: &dyn Fn(f32) -> f32) -> Lowered {
    let value = |bits: u16| f16::from_f32(round_half_away(f(f16::from_bits(bits).to_f32())));
    let table: Vec<f16> = (0..=u16::MAX).map(value).collect();
    Lowered::new(move |call| {
        let input = call.inputs[x].slice::<f16>();
        let output = call.outputs[0].slice::<f16>();
        parallel::rows(output, parallel::GRAIN, 4, |part, out| {
            let start = part * parallel::GRAIN;
            for (out, x) in out.iter_mut().zip(&input[start..]) {
                *out = table[usize::from(x.to_bits())];
            }
        });
        Ok(())
    })
}
