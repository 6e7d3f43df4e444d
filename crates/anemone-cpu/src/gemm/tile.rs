//! The inner kernel: one tile of `C` from one panel of `A` and one panel of `B`, all sums in registers.
#![expect(unsafe_code, reason = "reads packed panels and writes a tile through pointers")]

use super::simd::Simd;

/// Floats in a cache line.
const CACHE_LINE: usize = 16;

/// How many rows of the panel of `B`, which comes from the L2 cache, to fetch ahead. Worth 5 to 10 % on a
/// Cascade Lake.
const B_AHEAD: usize = 16;

/// The arguments of a tile kernel.
///
/// # Safety
/// Whoever calls a kernel promises: `a` has `depth * mr` readable floats, or, if `a_stride` is given, `rows`
/// rows that far apart of `depth` readable floats; `b` has `depth * nr`, and `c` has `rows` rows,
/// `c_stride` apart, of `vectors * LANES` floats that are readable, writable and touched by no other thread;
/// `1 <= rows <= mr`, `1 <= vectors * LANES <= nr`.
pub(super) struct Tile {
    pub(super) a: *const f32,
    /// The distance of the rows of `A` if they are read where they lie, instead of from a panel.
    pub(super) a_stride: Option<usize>,
    pub(super) b: *const f32,
    pub(super) c: *mut f32,
    pub(super) c_stride: usize,
    pub(super) depth: usize,
    pub(super) rows: usize,
    pub(super) vectors: usize,
    /// The width of the panel of `B`.
    pub(super) nr: usize,
    /// Adds to `C` instead of overwriting it.
    pub(super) accumulate: bool,
}

/// Computes one chain per element over `depth`, then stores it or adds it to `C`.
///
/// # Safety
/// See [`Tile`]; the CPU has the instruction set of `V`, and `ROWS`, `VECTORS` are the tile's `rows` and
/// `vectors`.
#[inline(always)]
pub(super) unsafe fn tile<V: Simd, const ROWS: usize, const VECTORS: usize, const MR: usize>(tile: &Tile) {
    // SAFETY: every access lies in the ranges that `Tile` describes.
    unsafe {
        for r in 0..ROWS {
            // C was last touched a whole block of k ago: fetch it while the sums are made.
            V::prefetch(tile.c.wrapping_add(r * tile.c_stride));
            if VECTORS * V::LANES > CACHE_LINE {
                V::prefetch(tile.c.wrapping_add(r * tile.c_stride + VECTORS * V::LANES - 1));
            }
        }
        let sums = match tile.a_stride {
            None => sum::<V, ROWS, VECTORS>(tile, |k, r| *tile.a.add(k * MR + r)),
            Some(stride) => sum::<V, ROWS, VECTORS>(tile, |k, r| *tile.a.add(r * stride + k)),
        };
        for (r, row) in sums.iter().enumerate() {
            for (v, &sum) in row.iter().enumerate() {
                let at = tile.c.add(r * tile.c_stride + v * V::LANES);
                if tile.accumulate { V::load(at).add(sum) } else { sum }.store(at);
            }
        }
    }
}

/// The chains of a tile, with element `(k, r)` of `A` as given.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn sum<V: Simd, const ROWS: usize, const VECTORS: usize>(
    tile: &Tile,
    a: impl Fn(usize, usize) -> f32,
) -> [[V; VECTORS]; ROWS] {
    // SAFETY: `b` advances by `nr`, `depth` times; what is prefetched need not be there.
    unsafe {
        let zero = V::splat(0.0);
        let mut sums = [[zero; VECTORS]; ROWS];
        let mut b = tile.b;
        for k in 0..tile.depth {
            let mut columns = [zero; VECTORS];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = V::load(b.add(v * V::LANES));
                if (v * V::LANES).is_multiple_of(CACHE_LINE) {
                    V::prefetch(b.wrapping_add(B_AHEAD * tile.nr + v * V::LANES));
                }
            }
            for (r, row) in sums.iter_mut().enumerate() {
                let element = V::splat(a(k, r));
                for (sum, &column) in row.iter_mut().zip(&columns) {
                    *sum = element.mul_add(column, *sum);
                }
            }
            b = b.add(tile.nr);
        }
        sums
    }
}
