//! The instruction sets: the few vector operations that the kernels are written in, and one file per set.
//!
//! The kernels ([`tile`](super::tile), [`pack`](super::pack), [`gemv`](super::gemv),
//! [`convert`](super::convert)) are generic over [`Simd`] and inlined into functions that enable the set's
//! features; [`kernel_table!`] makes those.
#![expect(unsafe_code, reason = "vector intrinsics read and write through pointers")]

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod portable;

use half::f16;

/// A vector of fp32 lanes.
///
/// # Safety
/// Every method may run only on a CPU that has the instruction set of the implementation. Loads and stores
/// touch `LANES` elements from the pointer on, at any alignment. An implementation must do exactly what each
/// method says: the unsafe code in the kernels relies on how far it reads and writes.
pub(super) unsafe trait Simd: Copy {
    /// Number of lanes.
    const LANES: usize;
    /// `LANES` vectors.
    type Block: Copy + AsRef<[Self]> + AsMut<[Self]>;

    /// All lanes `value`.
    unsafe fn splat(value: f32) -> Self;
    /// `LANES` floats.
    unsafe fn load(from: *const f32) -> Self;
    /// `LANES` halves, widened.
    unsafe fn load_half(from: *const f16) -> Self;
    /// Writes `LANES` floats.
    unsafe fn store(self, to: *mut f32);
    /// Writes `LANES` halves, rounded to nearest-even.
    unsafe fn store_half(self, to: *mut f16);
    /// `self * factor + addend`, rounded once.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// A block of zeros.
    unsafe fn zero_block() -> Self::Block;
    /// Lane `i` of vector `j` becomes lane `j` of vector `i`.
    unsafe fn transpose(block: Self::Block) -> Self::Block;
    /// Asks for the cache line at `at` (which need not be valid).
    unsafe fn prefetch(at: *const f32);
}

/// An element that vectors are loaded from.
pub(super) trait Element: Copy + Sync {
    /// Loads `LANES` elements as fp32.
    ///
    /// # Safety
    /// As [`Simd::load`].
    unsafe fn load<V: Simd>(from: *const Self) -> V;
    /// One element as fp32.
    fn to_f32(self) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<V: Simd>(from: *const Self) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load(from) }
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

impl Element for f16 {
    #[inline(always)]
    unsafe fn load<V: Simd>(from: *const Self) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_half(from) }
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
}

/// The kernels of one instruction set. The functions may be called only on a CPU that has it, which holding
/// an [`Isa`](super::Isa) proves; their other conditions are those of the generic functions of the same
/// names.
pub(super) struct Kernels {
    /// Name of the set, for logs and tests.
    pub(super) name: &'static str,
    /// Rows of a tile: the width of the packed panels of `A`.
    pub(super) mr: usize,
    /// Columns of a tile: the width of the packed panels of `B`.
    pub(super) nr: usize,
    /// Lanes of a vector; divides `nr`.
    pub(super) lanes: usize,
    pub(super) tile: unsafe fn(&super::tile::Tile),
    pub(super) fixed_point: unsafe fn(&super::fixed::FixedTile),
    pub(super) pack_f32: super::pack::PackFn<f32>,
    pub(super) pack_f16: super::pack::PackFn<f16>,
    pub(super) gemv_f32: super::gemv::LinesFn<f32>,
    pub(super) gemv_f16: super::gemv::LinesFn<f16>,
    pub(super) widen: unsafe fn(&[f16], &mut [f32]),
    pub(super) narrow: unsafe fn(&[f32], &mut [f16]),
}

/// Defines `KERNELS`, the [`Kernels`] of a set: tiles of up to the listed rows by up to the listed vectors; fixed-point tiles in
/// parts of the given rows and vectors.
macro_rules! kernel_table {
    (
        $name:literal, $vector:ty, mr: $mr:literal, rows: [$($row:literal)*], vectors: [$($vecs:literal)*],
        fixed: [$fixed_rows:literal, $fixed_vectors:literal], $(#[$features:meta])*
    ) => {
        use $crate::gemm::{convert, fixed, gemv, pack, simd, tile};

        /// The kernels of this instruction set.
        pub(in $crate::gemm) static KERNELS: simd::Kernels = simd::Kernels {
            name: $name,
            mr: $mr,
            nr: NR,
            lanes: <$vector as simd::Simd>::LANES,
            tile: dispatch_tile,
            fixed_point,
            pack_f32,
            pack_f16,
            gemv_f32,
            gemv_f16,
            widen,
            narrow,
        };

        unsafe fn dispatch_tile(args: &tile::Tile) {
            // SAFETY: the caller's promises, passed on.
            unsafe {
                match args.vectors {
                    $($vecs => dispatch_rows::<$vecs>(args),)*
                    _ => unreachable!("a tile has at most nr columns"),
                }
            }
        }

        unsafe fn dispatch_rows<const VECTORS: usize>(args: &tile::Tile) {
            // SAFETY: the caller's promises, passed on.
            unsafe {
                match args.rows {
                    $($row => fixed_tile::<$row, VECTORS>(args),)*
                    _ => unreachable!("a tile has at most mr rows"),
                }
            }
        }

        $(#[$features])*
        unsafe fn fixed_tile<const ROWS: usize, const VECTORS: usize>(args: &tile::Tile) {
            // SAFETY: the caller's promises, passed on.
            unsafe { tile::tile::<$vector, ROWS, VECTORS, $mr>(args) }
        }

        const NR: usize = [$($vecs),*].len() * <$vector as simd::Simd>::LANES;

        kernel_table!(@forward [$(#[$features])*] fixed_point,
            fixed::fixed_tile::<$vector, $fixed_rows, $fixed_vectors, $mr, NR>,
            (args: &fixed::FixedTile));
        kernel_table!(@forward [$(#[$features])*] pack_f32, pack::pack_lines::<$vector, f32>,
            (lines: &pack::Lines<'_, f32>, dst: &mut [f32], width: usize));
        kernel_table!(@forward [$(#[$features])*] pack_f16, pack::pack_lines::<$vector, half::f16>,
            (lines: &pack::Lines<'_, half::f16>, dst: &mut [f32], width: usize));
        kernel_table!(@forward [$(#[$features])*] gemv_f32, gemv::sum_lines::<$vector, f32>,
            (lines: &pack::Lines<'_, f32>, x: &[f32], sums: &mut [f32], add: bool));
        kernel_table!(@forward [$(#[$features])*] gemv_f16, gemv::sum_lines::<$vector, half::f16>,
            (lines: &pack::Lines<'_, half::f16>, x: &[f32], sums: &mut [f32], add: bool));
        kernel_table!(@forward [$(#[$features])*] widen, convert::widen_with::<$vector>,
            (from: &[half::f16], to: &mut [f32]));
        kernel_table!(@forward [$(#[$features])*] narrow, convert::narrow_with::<$vector>,
            (from: &[f32], to: &mut [half::f16]));
    };
    (@forward [$(#[$features:meta])*] $name:ident, $to:expr, ($($arg:ident: $kind:ty),*)) => {
        $(#[$features])*
        unsafe fn $name($($arg: $kind),*) {
            // SAFETY: the caller's promises, passed on.
            unsafe { $to($($arg),*) }
        }
    };
}
pub(super) use kernel_table;
