//! Quantization is a staircase: flat wherever it has a slope at all. Training through it with the slope of a line (the
//! straight-through estimator) is a choice about the model, not a derivative, and so not made here.

use super::Rule::{self, NoGradient, Vjp};
use super::context::{Done, Gradient};
use mil::ops::quantization::scale_axis;

pub(super) static RULES: &[(&str, Rule)] = &[
    ("dequantize", Vjp(dequantize)),
    ("quantize", NoGradient("a step function: its slope is 0 where it has one")),
];

/// `y = (q - zero_point) * scale`: the integers carry no gradient, and `d scale` is the sum of `dy * (q - zero_point)` over
/// everything that shares the scale.
fn dequantize(g: &mut Gradient<'_>) -> Done {
    if !g.wants("scale") {
        return Ok(());
    }
    let (input, scale, dy) = (g.arg("input")?, g.arg("scale")?, g.dy()?);
    let (axis, dtype, rank) = (scale_axis(&g.view())?, g.dtype(dy), g.shape(input).rank());
    let mut levels = g.f.cast(input, dtype)?;
    if let Some(zero_point) = g.view().value("zero_point") {
        let mut zero_point = g.f.cast(zero_point, dtype)?;
        if let Some(axis) = axis {
            let mut sides = vec![1; rank];
            sides[axis] = g.shape(scale).count();
            zero_point = g.f.reshape(zero_point, &sides)?;
        }
        levels = g.f.sub(levels, zero_point)?;
    }
    let product = g.f.mul(dy, levels)?;
    let axes: Vec<i32> = (0..rank).filter(|&at| Some(at) != axis).map(|at| at as i32).collect();
    let total = if axes.is_empty() { product } else { g.f.reduce("reduce_sum", product, &axes, false)? };
    g.give("scale", total)
}
