//! One source, several instruction sets: plain loops compiled once per set, the best one picked at run time.
//!
//! The compiler vectorises a loop for the instruction set of the function around it. [`per_isa!`] makes a copy of a
//! function for each set that is worth having; no intrinsics, so every copy does the same operations in the same order
//! and gives the same bits (Rust neither reorders nor fuses float operations).

/// An instruction set, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// What every CPU of the target has.
    Baseline,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The above and AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The instruction set to use.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn level() -> Level {
    Level::Baseline
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{has_avx2, has_avx512, level};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Level;
    use crate::gemm::Isa;
    use std::sync::atomic::{AtomicU8, Ordering};

    /// 0 before the first look, then 1 and up.
    static LEVEL: AtomicU8 = AtomicU8::new(0);

    /// The instruction set that [`Isa::detect`] chose.
    #[inline(always)]
    pub(crate) fn level() -> Level {
        match LEVEL.load(Ordering::Relaxed) {
            1 => Level::Baseline,
            2 => Level::Avx2,
            3 => Level::Avx512,
            _ => detect(),
        }
    }

    #[cold]
    fn detect() -> Level {
        let (level, code) = match Isa::detect().name() {
            "avx512" => (Level::Avx512, 3),
            "avx2" => (Level::Avx2, 2),
            _ => (Level::Baseline, 1),
        };
        LEVEL.store(code, Ordering::Relaxed);
        level
    }

    /// Whether the CPU has all that [`Level::Avx2`] uses.
    pub(crate) fn has_avx2() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
    }

    /// Whether the CPU has all that [`Level::Avx512`] uses.
    pub(crate) fn has_avx512() -> bool {
        has_avx2()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
    }
}

/// Defines a function whose body is compiled for each [`Level`] and dispatched at each call:
///
/// ```text
/// per_isa! {
///     /// Doc.
///     pub(crate) fn scale[T: Float](data: &mut [T], by: f32) -> () { … }
/// }
/// ```
///
/// Generic parameters stand in `[]` and must follow from the arguments. What the body calls has to be
/// `#[inline(always)]`, or it is compiled for the baseline only. A call costs a load and a jump, so pass whole rows.
macro_rules! per_isa {
    (
        $(#[$meta:meta])*
        $vis:vis fn $name:ident [$($generics:tt)*] ($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty $body:block
    ) => {
        $(#[$meta])*
        $vis fn $name<$($generics)*>($($arg: $ty),*) -> $ret {
            #[inline(always)]
            fn body<$($generics)*>($($arg: $ty),*) -> $ret $body

            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "a function for a CPU feature is called once the feature is known")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
                fn avx512<$($generics)*>($($arg: $ty),*) -> $ret {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2<$($generics)*>($($arg: $ty),*) -> $ret {
                    body($($arg),*)
                }
                match $crate::isa::level() {
                    // SAFETY: `level` found the features.
                    $crate::isa::Level::Avx512 => unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::isa::Level::Avx2 => unsafe { avx2($($arg),*) },
                    $crate::isa::Level::Baseline => body($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            body($($arg),*)
        }
    };
}
pub(crate) use per_isa;
