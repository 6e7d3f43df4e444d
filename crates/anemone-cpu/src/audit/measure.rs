//! Errors, overflows, flushed products.

use half::f16;
use mil::{Constant, OpView};

/// Sums over pairs of results.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Comparison {
    difference: f64,
    want: f64,
    pub(super) overflows: usize,
}

impl Comparison {
    /// Adds what was computed and what should have been. Results that are not floats are not compared.
    pub(super) fn add(&mut self, got: &Constant, want: &Constant) {
        let (Some(got), Some(want)) = (got.to_f32(), want.to_f32()) else { return };
        for (&got, &want) in got.iter().zip(want.iter()) {
            if !want.is_finite() {
                continue;
            }
            if !got.is_finite() {
                self.overflows += 1;
                continue;
            }
            let (got, want) = (f64::from(got), f64::from(want));
            self.difference += (got - want) * (got - want);
            self.want += want * want;
        }
    }

    /// The relative L2 error; where everything should be 0 and is not, 1.
    pub(super) fn error(&self) -> f64 {
        match (self.difference > 0.0, self.want > 0.0) {
            (false, _) => 0.0,
            (true, true) => (self.difference / self.want).sqrt(),
            (true, false) => 1.0,
        }
    }

    /// Whether this is no worse than `other`: not more overflows, and not a larger error.
    pub(super) fn is_no_worse(&self, other: &Comparison) -> bool {
        self.overflows < other.overflows
            || (self.overflows == other.overflows && self.error() <= other.error())
    }
}

/// Numbers by exponent, -14 (and smaller) to 16; zeros are not counted.
#[derive(Clone, Copy)]
struct Sizes([u32; 31]);

impl Sizes {
    const NONE: Sizes = Sizes([0; 31]);

    fn count(&mut self, x: f16) {
        let size = x.to_bits() & 0x7fff;
        if size > 0 {
            self.0[usize::from((size >> 10).max(1) - 1).min(30)] += 1;
        }
    }
}

/// Share of flushed products among those of two numbers that are not 0, for operations that are made of products.
pub(super) fn flushed(view: &OpView<'_>, arguments: &[(mil::ValueId, Constant)]) -> Option<f64> {
    let argument = |param: &str| {
        let id = view.value(param)?;
        arguments.iter().find(|(value, _)| *value == id).map(|(_, constant)| constant)
    };
    let (x, y) = match view.name() {
        "matmul" => {
            let x = along(argument("x")?, if view.bool("transpose_x").ok()? { 2 } else { 1 });
            (x?, along(argument("y")?, if view.bool("transpose_y").ok()? { 1 } else { 2 })?)
        }
        "linear" => (along(argument("x")?, 1)?, along(argument("weight")?, 1)?),
        "conv" => {
            let (x, weight) = (argument("x")?, argument("weight")?);
            let groups = mil::ops::conv::geometry(view).ok()?.groups;
            let channels = weight.ty().shape[1];
            let weight = along_axis(weight, 1)?;
            // A channel of the input meets the weights of its group, of which all groups are counted alike.
            (along_axis(x, 1)?, (0..groups * channels).map(|c| weight[c % channels]).collect())
        }
        _ => return None,
    };
    let (mut flushed, mut all) = (0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        for (i, &many) in x.0.iter().enumerate().filter(|(_, many)| **many > 0) {
            for (j, &others) in y.0.iter().enumerate() {
                let products = f64::from(many) * f64::from(others);
                all += products;
                // Exponents are these indices, less 14 each.
                flushed += if i + j < 12 { products } else { 0.0 };
            }
        }
    }
    Some(if all > 0.0 { flushed / all } else { 0.0 })
}

/// Sizes by index of the axis that is so many from the last (1 for the last).
fn along(constant: &Constant, from_last: usize) -> Option<Vec<Sizes>> {
    let rank = constant.ty().shape.rank();
    // A vector has one axis, whichever is asked for.
    along_axis(constant, rank.saturating_sub(from_last))
}

fn along_axis(constant: &Constant, axis: usize) -> Option<Vec<Sizes>> {
    let shape = &constant.ty().shape;
    let data = constant.as_slice::<f16>()?;
    let count = *shape.get(axis)?;
    let inner: usize = shape[axis + 1..].iter().product();
    let mut sizes = vec![Sizes::NONE; count];
    for (at, &x) in data.iter().enumerate() {
        sizes[at / inner % count].count(x);
    }
    Some(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_counted() {
        let mut sizes = Sizes::NONE;
        for x in [0.0, 1e-7, 0.5f32.powi(14), 1.0, -1.5, 2.0, 65504.0] {
            sizes.count(f16::from_f32(x));
        }
        assert_eq!([sizes.0[0], sizes.0[14], sizes.0[15], sizes.0[29]], [2, 2, 1, 1]);
    }
}
