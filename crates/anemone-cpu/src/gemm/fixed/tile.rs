//! The inner kernel: a tile of sums over a stretch of `k`.
#![expect(unsafe_code, reason = "reads packed panels and writes sums through pointers")]

use std::ops::AddAssign;

use super::lanes::Fixed;
use super::prepare::Sums;

/// The most lanes of any instruction set.
const MAX_LANES: usize = 16;
/// Beyond this a sum stays where it is: far out of range, far from overflowing.
const STUCK: i64 = 1 << 62;

/// A tile: `rows` of a panel of `A`, `vectors` of a panel of `B`.
pub(in crate::gemm) struct FixedTile {
    /// A prepared panel of `A`: for each `k` three rows of `mr` floats.
    pub(in crate::gemm) a: *const f32,
    /// A prepared panel of `B`: for each `k` a row of `nr` floats.
    pub(in crate::gemm) b: *const f32,
    pub(in crate::gemm) depth: usize,
    pub(in crate::gemm) rows: usize,
    pub(in crate::gemm) vectors: usize,
    /// The sums, to which the products are added: rows of `vectors * LANES`, `stride` apart.
    pub(in crate::gemm) sums: *mut i64,
    pub(in crate::gemm) stride: usize,
    /// In which numbers products are summed.
    pub(in crate::gemm) within: Sums,
}

/// Computes a tile in parts of up to `ROWS` by `VECTORS`, which is what the registers hold.
///
/// # Safety
/// The CPU has the instruction set of `V`; panels are `MR` and `NR` wide and `depth` long; sums lie within memory that
/// nobody else touches.
#[inline(always)]
pub(in crate::gemm) unsafe fn fixed_tile<
    V: Fixed,
    const ROWS: usize,
    const VECTORS: usize,
    const MR: usize,
    const NR: usize,
>(
    tile: &FixedTile,
) {
    let mut row = 0;
    // SAFETY: parts lie within the tile; the rest is the caller's promise.
    unsafe {
        while row < tile.rows {
            let left = tile.rows - row;
            if left >= ROWS {
                columns::<V, ROWS, VECTORS, MR, NR>(tile, row);
                row += ROWS;
            } else if left >= 4 {
                columns::<V, 4, VECTORS, MR, NR>(tile, row);
                row += 4;
            } else if left >= 2 {
                columns::<V, 2, VECTORS, MR, NR>(tile, row);
                row += 2;
            } else {
                columns::<V, 1, VECTORS, MR, NR>(tile, row);
                row += 1;
            }
        }
    }
}

/// # Safety
/// As [`fixed_tile`]; `row + ROWS <= tile.rows`.
#[inline(always)]
unsafe fn columns<V: Fixed, const ROWS: usize, const VECTORS: usize, const MR: usize, const NR: usize>(
    tile: &FixedTile,
    row: usize,
) {
    let mut vector = 0;
    // SAFETY: the caller's promise.
    unsafe {
        while vector < tile.vectors {
            match tile.within {
                Sums::Wide => wide::<V, _, ROWS, MR, NR>(tile, row, vector, integer, |sum| sum),
                Sums::Doubles => wide::<V, _, ROWS, MR, NR>(tile, row, vector, double, |sum| sum as i64),
                Sums::Integers(room) if tile.vectors - vector >= VECTORS => {
                    part::<V, ROWS, VECTORS, MR, NR>(tile, row, vector, room);
                    vector += VECTORS - 1;
                }
                Sums::Integers(room) => part::<V, ROWS, 1, MR, NR>(tile, row, vector, room),
            }
            vector += 1;
        }
    }
}

/// A rounded product as an integer.
#[inline(always)]
fn integer(product: f32) -> i64 {
    product as i64
}

/// A rounded product as an `f64`.
#[inline(always)]
fn double(product: f32) -> f64 {
    f64::from(product.trunc())
}

/// Sums in 32 bits, moved to 64 bits before they can overflow.
///
/// # Safety
/// As [`columns`].
#[inline(always)]
unsafe fn part<V: Fixed, const ROWS: usize, const VECTORS: usize, const MR: usize, const NR: usize>(
    tile: &FixedTile,
    row: usize,
    vector: usize,
    room: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut done = 0;
        while done < tile.depth {
            let end = tile.depth.min(done.saturating_add(room));
            let mut sums = [[V::no_sum(); VECTORS]; ROWS];
            let mut a = tile.a.add(done * 3 * MR + row);
            let mut b = tile.b.add(done * NR + vector * V::LANES);
            for _ in done..end {
                let lanes: [V; VECTORS] = std::array::from_fn(|v| V::load(b.add(v * V::LANES)));
                let split: [(V, V); VECTORS] = std::array::from_fn(|v| lanes[v].split());
                for (r, sums) in sums.iter_mut().enumerate() {
                    let factor =
                        (V::splat(*a.add(r)), V::splat(*a.add(MR + r)), V::splat(*a.add(2 * MR + r)));
                    for v in 0..VECTORS {
                        sums[v] = lanes[v].add_product(split[v], factor, sums[v]);
                    }
                }
                a = a.add(3 * MR);
                b = b.add(NR);
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    let mut lanes = [0i32; MAX_LANES];
                    V::write(sum, lanes.as_mut_ptr());
                    let to = tile.sums.add((row + r) * tile.stride + (vector + v) * V::LANES);
                    for (i, &lane) in lanes.iter().enumerate().take(V::LANES) {
                        *to.add(i) = (*to.add(i)).wrapping_add(i64::from(lane));
                    }
                }
            }
            done = end;
        }
    }
}

/// Products that 32 bits may not hold.
///
/// # Safety
/// As [`columns`].
#[inline(always)]
unsafe fn wide<
    V: Fixed,
    T: Copy + Default + AddAssign,
    const ROWS: usize,
    const MR: usize,
    const NR: usize,
>(
    tile: &FixedTile,
    row: usize,
    vector: usize,
    convert: impl Fn(f32) -> T,
    finish: impl Fn(T) -> i64,
) {
    for r in row..row + ROWS {
        let mut sums = [T::default(); MAX_LANES];
        for k in 0..tile.depth {
            // SAFETY: the caller's promise about the panels.
            let (a, b) = unsafe { (tile.a.add(k * 3 * MR + r), tile.b.add(k * NR + vector * V::LANES)) };
            // SAFETY: as above.
            let (factor, least) = unsafe { (*a, *a.add(MR)) };
            for (i, sum) in sums.iter_mut().enumerate().take(V::LANES) {
                // SAFETY: as above.
                let x = unsafe { *b.add(i) };
                let product = x * factor;
                let counts = if x.abs() >= least { product + 0.5f32.copysign(product) } else { 0.0 };
                *sum += convert(counts);
            }
        }
        for (i, sum) in sums.into_iter().enumerate().take(V::LANES) {
            // SAFETY: the caller's promise about the sums.
            let to = unsafe { &mut *tile.sums.add(r * tile.stride + vector * V::LANES + i) };
            if to.abs() < STUCK {
                *to += finish(sum);
            }
        }
    }
}
