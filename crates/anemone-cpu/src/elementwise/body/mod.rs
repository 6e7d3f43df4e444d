//! The loops: each function over lanes, compiled for each instruction set.
//!
//! A [`Body`] runs over whole blocks of [`BLOCK`] lanes, so the compiler knows the trip count and leaves no remainder
//! loop; the narrow form runs over one lane, for scalars. An argument is a vector of lanes or one lane for all
//! ([`Form`]).

#![expect(unsafe_code, reason = "the loops are compiled for CPU features and skip bounds checks")]

mod cast;
mod float;
mod integer;
mod lookup;
mod truth;

pub(crate) use lookup::{find, splat};

use crate::isa::Level;
use std::marker::PhantomData;

/// Lanes per block.
pub(crate) const BLOCK: usize = 64;

/// The constant attributes of an instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Attributes {
    /// `alpha` or `epsilon`.
    pub(crate) alpha: f32,
    /// `beta`.
    pub(crate) beta: f32,
}

/// A loop: destination, three arguments (unused ones are empty), attributes.
///
/// # Safety
/// The CPU has the features of the [`Level`] that the body was made for. The destination is a whole number of blocks, or
/// one lane for a narrow body. Vector arguments are as long; the others have at least one lane.
pub(crate) type Body = unsafe fn(&mut [u32], &[u32], &[u32], &[u32], Attributes);

/// Both loops of one function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bodies {
    /// Over whole blocks.
    pub(crate) wide: Body,
    /// Over one lane.
    pub(crate) narrow: Body,
}

/// Lanes per inner loop of a function that is long enough to need no unrolling (and would take long to compile so).
const SHORT: usize = 16;

/// A function of one lane.
pub(super) trait Unary {
    /// Whether it is more than a few operations.
    const LONG: bool = false;
    fn at(x: u32, attributes: Attributes) -> u32;
    /// Whether `at` does not hold and `at_far` does.
    #[inline(always)]
    fn is_far(_x: u32) -> bool {
        false
    }
    #[inline(always)]
    fn at_far(x: u32) -> u32 {
        x
    }
}

/// A function of two lanes.
pub(super) trait Binary {
    /// Whether it is more than a few operations.
    const LONG: bool = false;
    fn at(x: u32, y: u32) -> u32;
    /// Whether `at` does not hold and `at_far` does.
    #[inline(always)]
    fn is_far(_x: u32, _y: u32) -> bool {
        false
    }
    #[inline(always)]
    fn at_far(x: u32, _y: u32) -> u32 {
        x
    }
}

/// A function of three lanes.
pub(super) trait Ternary {
    /// Whether it is more than a few operations.
    const LONG: bool = false;
    fn at(x: u32, y: u32, z: u32) -> u32;
}

/// How an argument gives its lanes.
pub(super) trait Form {
    /// # Safety
    /// `data` has lane `at`; for [`One`], it has a lane.
    unsafe fn lane(data: &[u32], at: usize) -> u32;
}

/// A lane per element.
pub(super) struct Each;
/// One lane for all elements.
pub(super) struct One;

impl Form for Each {
    #[inline(always)]
    unsafe fn lane(data: &[u32], at: usize) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { *data.get_unchecked(at) }
    }
}

impl Form for One {
    #[inline(always)]
    unsafe fn lane(data: &[u32], _at: usize) -> u32 {
        // SAFETY: the caller's promise.
        unsafe { *data.get_unchecked(0) }
    }
}

/// A loop over blocks of `N` lanes.
pub(super) trait Loop {
    /// Whether the function is more than a few operations.
    const LONG: bool;
    /// # Safety
    /// That of [`Body`], for blocks of `N`.
    unsafe fn run<const N: usize>(d: &mut [u32], a: &[u32], b: &[u32], c: &[u32], attributes: Attributes);
}

struct Map1<F, A>(PhantomData<(F, A)>);
struct Map2<F, A, B>(PhantomData<(F, A, B)>);
struct Map3<F, A, B, C>(PhantomData<(F, A, B, C)>);

impl<F: Unary, A: Form> Loop for Map1<F, A> {
    const LONG: bool = F::LONG;

    #[inline(always)]
    unsafe fn run<const N: usize>(d: &mut [u32], a: &[u32], _b: &[u32], _c: &[u32], attributes: Attributes) {
        for (block, d) in d.as_chunks_mut::<N>().0.iter_mut().enumerate() {
            let mut far = false;
            for (i, d) in d.iter_mut().enumerate() {
                // SAFETY: the caller's promise on lengths.
                let x = unsafe { A::lane(a, block * N + i) };
                *d = F::at(x, attributes);
                far |= F::is_far(x);
            }
            if far {
                for (i, d) in d.iter_mut().enumerate() {
                    // SAFETY: the caller's promise on lengths.
                    let x = unsafe { A::lane(a, block * N + i) };
                    if F::is_far(x) {
                        *d = F::at_far(x);
                    }
                }
            }
        }
    }
}

impl<F: Binary, A: Form, B: Form> Loop for Map2<F, A, B> {
    const LONG: bool = F::LONG;

    #[inline(always)]
    unsafe fn run<const N: usize>(d: &mut [u32], a: &[u32], b: &[u32], _c: &[u32], _attributes: Attributes) {
        for (block, d) in d.as_chunks_mut::<N>().0.iter_mut().enumerate() {
            let mut far = false;
            for (i, d) in d.iter_mut().enumerate() {
                let at = block * N + i;
                // SAFETY: the caller's promise on lengths.
                let (x, y) = unsafe { (A::lane(a, at), B::lane(b, at)) };
                *d = F::at(x, y);
                far |= F::is_far(x, y);
            }
            if far {
                for (i, d) in d.iter_mut().enumerate() {
                    let at = block * N + i;
                    // SAFETY: the caller's promise on lengths.
                    let (x, y) = unsafe { (A::lane(a, at), B::lane(b, at)) };
                    if F::is_far(x, y) {
                        *d = F::at_far(x, y);
                    }
                }
            }
        }
    }
}

impl<F: Ternary, A: Form, B: Form, C: Form> Loop for Map3<F, A, B, C> {
    const LONG: bool = F::LONG;

    #[inline(always)]
    unsafe fn run<const N: usize>(d: &mut [u32], a: &[u32], b: &[u32], c: &[u32], _attributes: Attributes) {
        for (block, d) in d.as_chunks_mut::<N>().0.iter_mut().enumerate() {
            for (i, d) in d.iter_mut().enumerate() {
                let at = block * N + i;
                // SAFETY: the caller's promise on lengths.
                *d = unsafe { F::at(A::lane(a, at), B::lane(b, at), C::lane(c, at)) };
            }
        }
    }
}

/// # Safety
/// That of [`Body`].
unsafe fn narrow<L: Loop>(d: &mut [u32], a: &[u32], b: &[u32], c: &[u32], attributes: Attributes) {
    // SAFETY: the caller's promise.
    unsafe { L::run::<1>(d, a, b, c, attributes) }
}

/// # Safety
/// That of [`Body`].
#[inline(always)]
unsafe fn wide<L: Loop>(d: &mut [u32], a: &[u32], b: &[u32], c: &[u32], attributes: Attributes) {
    // SAFETY: the caller's promise.
    unsafe {
        if L::LONG {
            L::run::<SHORT>(d, a, b, c, attributes)
        } else {
            L::run::<BLOCK>(d, a, b, c, attributes)
        }
    }
}

/// # Safety
/// That of [`Body`].
unsafe fn baseline<L: Loop>(d: &mut [u32], a: &[u32], b: &[u32], c: &[u32], attributes: Attributes) {
    // SAFETY: the caller's promise.
    unsafe { wide::<L>(d, a, b, c, attributes) }
}

/// # Safety
/// That of [`Body`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<L: Loop>(d: &mut [u32], a: &[u32], b: &[u32], c: &[u32], attributes: Attributes) {
    // SAFETY: the caller's promise.
    unsafe { wide::<L>(d, a, b, c, attributes) }
}

/// # Safety
/// That of [`Body`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
unsafe fn avx512<L: Loop>(d: &mut [u32], a: &[u32], b: &[u32], c: &[u32], attributes: Attributes) {
    // SAFETY: the caller's promise.
    unsafe { wide::<L>(d, a, b, c, attributes) }
}

/// The loops for an instruction set.
fn bodies<L: Loop>(level: Level) -> Bodies {
    let wide: Body = match level {
        Level::Baseline => baseline::<L>,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::<L>,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => avx512::<L>,
    };
    Bodies { wide, narrow: narrow::<L> }
}
