//! Folding many elements into one: the sums, maxima and products behind reductions and normalizations.
//!
//! # Order
//!
//! The order of a fold is a part of its meaning, so that results depend neither on the number of threads nor on the
//! instruction set:
//!
//! * a run of neighbours: blocks of [`BLOCK`] elements; in a block, lane `i % LANES` folds its elements in order, then
//!   the lanes fold pairwise (`lane[i]` with `lane[i + 16]`, then with `lane[i + 8]`, …); then blocks fold as a binary
//!   tree whose left side holds the largest power of two of them that leaves something for the right;
//! * a column over rows: groups of [`GROUP`] rows in order, then the same tree over groups;
//! * several runs (outer dimensions): the same tree over runs.
//!
//! Trees keep the error of a sum of `n` elements near `log(n)` roundings, and let threads work on both sides.

use super::Float;
use crate::isa::per_isa;
use half::f16;
use mil::Element;

/// Independent accumulators in a run: two 512-bit registers, which hide the latency of an addition.
pub(crate) const LANES: usize = 32;
/// Elements of a run that fold without a tree.
pub(crate) const BLOCK: usize = 1024;
/// Rows that fold in order.
pub(crate) const GROUP: usize = 128;
/// Columns that fold beside each other: four 512-bit registers.
pub(crate) const TILE: usize = 64;
/// Elements below which a tree is not shared between threads.
const FORK: usize = 64 * 1024;

/// An element type that folds: stored as it is, computed in [`Number::Wide`].
pub(crate) trait Number: Element {
    /// `f32` for floats, `i32` for integers.
    type Wide: Copy + Send + Sync + PartialOrd + Default;

    /// Passes the elements on in their wide form. At most [`BLOCK`] of them.
    fn with_wide<R>(values: &[Self], body: impl FnOnce(&[Self::Wide]) -> R) -> R;

    /// Rounds to nearest-even.
    fn narrow(value: Self::Wide) -> Self;

    /// Widens.
    fn wide(self) -> Self::Wide;
}

impl Number for f32 {
    type Wide = f32;
    #[inline(always)]
    fn with_wide<R>(values: &[f32], body: impl FnOnce(&[f32]) -> R) -> R {
        body(values)
    }
    #[inline(always)]
    fn narrow(value: f32) -> f32 {
        value
    }
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }
}

impl Number for f16 {
    type Wide = f32;
    #[inline(always)]
    fn with_wide<R>(values: &[f16], body: impl FnOnce(&[f32]) -> R) -> R {
        let mut buffer = [0.0; BLOCK];
        body(<f16 as Float>::widen(values, &mut buffer))
    }
    #[inline(always)]
    fn narrow(value: f32) -> f16 {
        f16::from_f32(value)
    }
    #[inline(always)]
    fn wide(self) -> f32 {
        self.to_f32()
    }
}

impl Number for i32 {
    type Wide = i32;
    #[inline(always)]
    fn with_wide<R>(values: &[i32], body: impl FnOnce(&[i32]) -> R) -> R {
        body(values)
    }
    #[inline(always)]
    fn narrow(value: i32) -> i32 {
        value
    }
    #[inline(always)]
    fn wide(self) -> i32 {
        self
    }
}

/// How to fold: every element is mapped, then merged. Methods must be `#[inline(always)]`.
pub(crate) trait Fold<W>: Sync {
    /// The fold of nothing.
    fn start(&self) -> W;
    /// An element's part; `column` counts within a tile of columns and is 0 in runs.
    fn map(&self, value: W, column: usize) -> W;
    /// Both parts together.
    fn merge(&self, left: W, right: W) -> W;
}

per_isa! {
    /// Folds at most [`BLOCK`] neighbours.
    fn block[W: Copy, F: Fold<W>](fold: &F, values: &[W]) -> W {
        let mut lanes = [fold.start(); LANES];
        let whole = values.len() / LANES * LANES;
        for chunk in values[..whole].chunks_exact(LANES) {
            for i in 0..LANES {
                lanes[i] = fold.merge(lanes[i], fold.map(chunk[i], 0));
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(&values[whole..]) {
            *lane = fold.merge(*lane, fold.map(value, 0));
        }
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                lanes[i] = fold.merge(lanes[i], lanes[i + width]);
            }
            width /= 2;
        }
        lanes[0]
    }
}

per_isa! {
    /// Folds a row into the accumulators of its columns.
    fn add_row[W: Copy, F: Fold<W>](fold: &F, columns: &mut [W; TILE], row: &[W]) -> () {
        if let Ok(row) = <&[W; TILE]>::try_from(row) {
            for i in 0..TILE {
                columns[i] = fold.merge(columns[i], fold.map(row[i], i));
            }
        } else {
            for (i, (column, &value)) in columns.iter_mut().zip(row).enumerate() {
                *column = fold.merge(*column, fold.map(value, i));
            }
        }
    }
}

/// The left side of a tree over `count` items: the largest power of two below `count`.
fn left_side(count: usize) -> usize {
    count.div_ceil(2).next_power_of_two()
}

/// Folds a tree over items `start..start + count`, both sides at once where one item is `cost` elements.
fn tree<R: Send>(
    start: usize,
    count: usize,
    cost: usize,
    leaf: &(impl Fn(usize) -> R + Sync),
    merge: &(impl Fn(R, R) -> R + Sync),
) -> R {
    if count <= 1 {
        return leaf(start);
    }
    let left = left_side(count);
    let one = || tree(start, left, cost, leaf, merge);
    let other = || tree(start + left, count - left, cost, leaf, merge);
    let (one, other) = match count.saturating_mul(cost) > FORK {
        true => rayon::join(one, other),
        false => (one(), other()),
    };
    merge(one, other)
}

/// Folds neighbours.
pub(crate) fn run<N: Number, F: Fold<N::Wide>>(fold: &F, values: &[N]) -> N::Wide {
    let leaf = |at: usize| {
        let part = &values[(at * BLOCK).min(values.len())..((at + 1) * BLOCK).min(values.len())];
        N::with_wide(part, |wide| block(fold, wide))
    };
    tree(0, values.len().div_ceil(BLOCK), BLOCK, &leaf, &|one, other| fold.merge(one, other))
}

/// Folds `count` runs of `len` neighbours; `offset` says where each begins.
pub(crate) fn runs<N: Number, F: Fold<N::Wide>>(
    fold: &F,
    values: &[N],
    len: usize,
    count: usize,
    offset: &(impl Fn(usize) -> usize + Sync),
) -> N::Wide {
    if count == 0 {
        return fold.start();
    }
    let leaf = |at: usize| run(fold, &values[offset(at)..][..len]);
    tree(0, count, len, &leaf, &|one, other| fold.merge(one, other))
}

/// Folds `count` rows of `width` (at most [`TILE`]) neighbours column by column; `offset` says where each begins.
pub(crate) fn columns<N: Number, F: Fold<N::Wide>>(
    fold: &F,
    values: &[N],
    width: usize,
    count: usize,
    offset: &(impl Fn(usize) -> usize + Sync),
) -> [N::Wide; TILE] {
    let leaf = |group: usize| {
        let mut columns = [fold.start(); TILE];
        for row in group * GROUP..((group + 1) * GROUP).min(count) {
            N::with_wide(&values[offset(row)..][..width], |row| add_row(fold, &mut columns, row));
        }
        columns
    };
    let merge = |mut one: [N::Wide; TILE], other: [N::Wide; TILE]| {
        for (one, other) in one.iter_mut().zip(other) {
            *one = fold.merge(*one, other);
        }
        one
    };
    tree(0, count.div_ceil(GROUP), GROUP * width, &leaf, &merge)
}

/// Arithmetic that folds need: `+`, `*` and order, wrapping for integers.
pub(crate) trait Arithmetic: Copy + Send + Sync {
    const ZERO: Self;
    const ONE: Self;
    const LOWEST: Self;
    const HIGHEST: Self;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// The larger; NaN when either is.
    fn larger(self, other: Self) -> Self;
    /// The smaller; NaN when either is.
    fn smaller(self, other: Self) -> Self;
    fn magnitude(self) -> Self;
}

impl Arithmetic for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    const LOWEST: f32 = f32::NEG_INFINITY;
    const HIGHEST: f32 = f32::INFINITY;
    #[inline(always)]
    fn plus(self, other: f32) -> f32 {
        self + other
    }
    #[inline(always)]
    fn times(self, other: f32) -> f32 {
        self * other
    }
    #[inline(always)]
    fn larger(self, other: f32) -> f32 {
        if (other > self) | other.is_nan() { other } else { self }
    }
    #[inline(always)]
    fn smaller(self, other: f32) -> f32 {
        if (other < self) | other.is_nan() { other } else { self }
    }
    #[inline(always)]
    fn magnitude(self) -> f32 {
        self.abs()
    }
}

impl Arithmetic for i32 {
    const ZERO: i32 = 0;
    const ONE: i32 = 1;
    const LOWEST: i32 = i32::MIN;
    const HIGHEST: i32 = i32::MAX;
    #[inline(always)]
    fn plus(self, other: i32) -> i32 {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn times(self, other: i32) -> i32 {
        self.wrapping_mul(other)
    }
    #[inline(always)]
    fn larger(self, other: i32) -> i32 {
        self.max(other)
    }
    #[inline(always)]
    fn smaller(self, other: i32) -> i32 {
        self.min(other)
    }
    #[inline(always)]
    fn magnitude(self) -> i32 {
        self.wrapping_abs()
    }
}

macro_rules! folds {
    ($($(#[$meta:meta])* $name:ident: $start:ident, |$value:ident| $map:expr, $merge:ident;)*) => {$(
        $(#[$meta])*
        pub(crate) struct $name;
        impl<W: Arithmetic> Fold<W> for $name {
            #[inline(always)]
            fn start(&self) -> W {
                W::$start
            }
            #[inline(always)]
            fn map(&self, $value: W, _: usize) -> W {
                $map
            }
            #[inline(always)]
            fn merge(&self, left: W, right: W) -> W {
                left.$merge(right)
            }
        }
    )*};
}

folds! {
    /// `Σ x`.
    Sum: ZERO, |x| x, plus;
    /// `Σ |x|`.
    SumAbs: ZERO, |x| x.magnitude(), plus;
    /// `Σ x²`.
    SumSquare: ZERO, |x| x.times(x), plus;
    /// `Π x`.
    Product: ONE, |x| x, times;
    /// The largest; NaN when there is one.
    Max: LOWEST, |x| x, larger;
    /// The smallest; NaN when there is one.
    Min: HIGHEST, |x| x, smaller;
}

/// `Σ (x - mean)²`.
pub(crate) struct SumSquareFrom(pub(crate) f32);

impl Fold<f32> for SumSquareFrom {
    #[inline(always)]
    fn start(&self) -> f32 {
        0.0
    }
    #[inline(always)]
    fn map(&self, value: f32, _: usize) -> f32 {
        let distance = value - self.0;
        distance * distance
    }
    #[inline(always)]
    fn merge(&self, left: f32, right: f32) -> f32 {
        left + right
    }
}

/// `Σ exp(x - shift)`.
pub(crate) struct SumExp(pub(crate) f32);

impl Fold<f32> for SumExp {
    #[inline(always)]
    fn start(&self) -> f32 {
        0.0
    }
    #[inline(always)]
    fn map(&self, value: f32, _: usize) -> f32 {
        crate::elementwise::math::exp(value - self.0)
    }
    #[inline(always)]
    fn merge(&self, left: f32, right: f32) -> f32 {
        left + right
    }
}

/// `Σ exp(x - shift)`, each column with its own shift.
pub(crate) struct SumExpColumns<'a>(pub(crate) &'a [f32; TILE]);

impl Fold<f32> for SumExpColumns<'_> {
    #[inline(always)]
    fn start(&self) -> f32 {
        0.0
    }
    #[inline(always)]
    fn map(&self, value: f32, column: usize) -> f32 {
        crate::elementwise::math::exp(value - self.0[column])
    }
    #[inline(always)]
    fn merge(&self, left: f32, right: f32) -> f32 {
        left + right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_cover_every_item_once_in_order() {
        for count in [1, 2, 3, 4, 5, 7, 8, 100] {
            let leaves = tree(0, count, 1, &|at| vec![at], &|mut one: Vec<_>, other| {
                one.extend(other);
                one
            });
            assert_eq!(leaves, (0..count).collect::<Vec<_>>());
        }
        assert_eq!([2, 3, 4, 5, 8, 9].map(left_side), [1, 2, 2, 4, 4, 8]);
    }

    #[test]
    fn folds_agree_with_f64() {
        let values: Vec<f32> = (0..5000).map(|i| ((i * 37 % 101) as f32 - 50.0) / 7.0).collect();
        for len in [0, 1, 5, 31, 32, 33, 1023, 1024, 1025, 3000, 5000] {
            let part = &values[..len];
            let want: f64 = part.iter().map(|&v| f64::from(v)).sum();
            assert!((f64::from(run(&Sum, part)) - want).abs() < 1e-2, "{len}");
            let want = part.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(run(&Max, part), want);
        }
        let got = columns(&Sum, &values, 50, 100, &|row| row * 50);
        for (column, got) in got.iter().take(50).enumerate() {
            let want: f64 = (0..100).map(|row| f64::from(values[row * 50 + column])).sum();
            assert!((f64::from(*got) - want).abs() < 1e-3);
        }
    }

    #[test]
    fn nan_wins() {
        for at in [0, 40, 99] {
            let mut values = [1.0f32; 100];
            values[at] = f32::NAN;
            assert!(run(&Max, &values).is_nan() && run(&Min, &values).is_nan());
        }
    }
}
