//! Which instruction set to use: found once, at run time. Holding an [`Isa`] proves that the CPU has it.
#![expect(unsafe_code, reason = "calls functions compiled for the features that an `Isa` proves")]

use std::sync::OnceLock;

use half::f16;

use super::error::UnknownIsa;
use super::fixed::FixedTile;
use super::pack::Lines;
use super::simd::{self, Element, Kernels};
use super::tile::Tile;

/// An instruction set that this CPU has.
#[derive(Clone, Copy)]
pub struct Isa(&'static Kernels);

impl Isa {
    /// The environment variable that chooses a set other than the fastest, by [`name`](Self::name), for this module
    /// and for all other kernels of the crate. Results do not depend on it; it is there to prove that.
    pub const VARIABLE: &str = "ANEMONE_ISA";

    /// The set to use: the one that [`Self::VARIABLE`] names, or the fastest of this CPU. It is chosen once. Where the
    /// variable names none that this CPU has, the fastest is used; [`Self::requested`], which every back end asks, says
    /// so.
    pub fn detect() -> Self {
        static CHOSEN: OnceLock<Isa> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let requested = Self::requested().ok().flatten();
            requested.or_else(|| Self::available().next()).unwrap_or(Self(&simd::portable::KERNELS))
        })
    }

    /// The set that [`Self::VARIABLE`] names; `None` when the variable is unset or empty.
    ///
    /// # Errors
    /// When it names a set that does not exist or that this CPU lacks.
    pub fn requested() -> Result<Option<Self>, UnknownIsa> {
        match std::env::var_os(Self::VARIABLE) {
            Some(name) if !name.is_empty() => Self::named(&name.to_string_lossy()).map(Some),
            _ => Ok(None),
        }
    }

    /// The set of this name.
    ///
    /// # Errors
    /// When there is none, or this CPU lacks it.
    pub fn named(name: &str) -> Result<Self, UnknownIsa> {
        Self::available().find(|isa| isa.name() == name).ok_or_else(|| UnknownIsa {
            found: name.to_string(),
            available: Self::available().map(Self::name).collect::<Vec<_>>().join(", "),
        })
    }

    /// All sets that this CPU has, fastest first. The portable one, in plain Rust, is always there.
    pub fn available() -> impl Iterator<Item = Self> {
        [avx512(), avx2(), neon(), Some(Self(&simd::portable::KERNELS))].into_iter().flatten()
    }

    /// `"avx512"`, `"avx2"`, `"neon"` or `"portable"`.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Rows and columns of a tile: the widths of the packed panels of `A` and `B`.
    pub(super) fn tile_sides(self) -> [usize; 2] {
        [self.0.mr, self.0.nr]
    }

    /// Lanes of a vector; divides the columns of a tile.
    pub(super) fn lanes(self) -> usize {
        self.0.lanes
    }

    /// [`widen`](super::widen) on this set.
    pub(super) fn widen(self, from: &[f16], to: &mut [f32]) {
        // SAFETY: an `Isa` exists only on a CPU that has its features.
        unsafe { (self.0.widen)(from, to) }
    }

    /// [`narrow`](super::narrow) on this set.
    pub(super) fn narrow(self, from: &[f32], to: &mut [f16]) {
        // SAFETY: an `Isa` exists only on a CPU that has its features.
        unsafe { (self.0.narrow)(from, to) }
    }

    /// Packs lines into panels of `width`, which must be one of the [`Self::tile_sides`]; `dst` holds exactly
    /// them.
    pub(super) fn pack<T: Dispatch>(self, lines: &Lines<'_, T>, dst: &mut [f32], width: usize) {
        assert!(self.tile_sides().contains(&width), "a panel is as wide as a tile");
        // SAFETY: an `Isa` exists only on a CPU that has its features; both widths suit the lanes (tested).
        unsafe { T::pack(self.0)(lines, dst, width) }
    }

    /// Multiplies lines with a vector: `sums[j] = line j · x`, or `+=`. Panics if the lengths do not fit.
    pub(super) fn sum_lines<T: Dispatch>(self, lines: &Lines<'_, T>, x: &[f32], sums: &mut [f32], add: bool) {
        // SAFETY: an `Isa` exists only on a CPU that has its features.
        unsafe { T::sum_lines(self.0)(lines, x, sums, add) }
    }

    /// Computes a tile.
    ///
    /// # Safety
    /// See [`Tile`].
    #[inline]
    pub(super) unsafe fn tile(self, tile: &Tile) {
        // SAFETY: an `Isa` exists only on a CPU that has its features; the rest is the caller's promise.
        unsafe { (self.0.tile)(tile) }
    }

    /// Computes a fixed-point tile.
    ///
    /// # Safety
    /// See [`FixedTile`].
    #[inline]
    pub(super) unsafe fn fixed_tile(self, tile: &FixedTile) {
        // SAFETY: an `Isa` exists only on a CPU that has its features; the rest is the caller's promise.
        unsafe { (self.0.fixed_point)(tile) }
    }
}

impl std::fmt::Debug for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The kernels for an element type.
pub(super) trait Dispatch: Element {
    /// The packing kernel.
    fn pack(kernels: &Kernels) -> super::pack::PackFn<Self>;
    /// The matrix-vector kernel.
    fn sum_lines(kernels: &Kernels) -> super::gemv::LinesFn<Self>;
}

impl Dispatch for f32 {
    fn pack(kernels: &Kernels) -> super::pack::PackFn<Self> {
        kernels.pack_f32
    }
    fn sum_lines(kernels: &Kernels) -> super::gemv::LinesFn<Self> {
        kernels.gemv_f32
    }
}

impl Dispatch for f16 {
    fn pack(kernels: &Kernels) -> super::pack::PackFn<Self> {
        kernels.pack_f16
    }
    fn sum_lines(kernels: &Kernels) -> super::gemv::LinesFn<Self> {
        kernels.gemv_f16
    }
}

#[cfg(target_arch = "x86_64")]
fn avx512() -> Option<Isa> {
    crate::isa::has_avx512().then_some(Isa(&simd::avx512::KERNELS))
}

#[cfg(target_arch = "x86_64")]
fn avx2() -> Option<Isa> {
    crate::isa::has_avx2().then_some(Isa(&simd::avx2::KERNELS))
}

#[cfg(target_arch = "aarch64")]
fn neon() -> Option<Isa> {
    std::arch::is_aarch64_feature_detected!("neon").then_some(Isa(&simd::neon::KERNELS))
}

#[cfg(not(target_arch = "x86_64"))]
fn avx512() -> Option<Isa> {
    None
}

#[cfg(not(target_arch = "x86_64"))]
fn avx2() -> Option<Isa> {
    None
}

#[cfg(not(target_arch = "aarch64"))]
fn neon() -> Option<Isa> {
    None
}
