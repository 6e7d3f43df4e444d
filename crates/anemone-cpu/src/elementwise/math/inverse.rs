//! Inverse circular and hyperbolic functions, in `f64`.

use super::double::{log_parts, twice_atanh};
use super::polynomial;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, LN_2, PI};

/// asin of `x` for `x` up to 1/2; of sqrt((1 - x) / 2) for `x` from there to 1.
#[inline(always)]
fn asin_parts(size: f64) -> f64 {
    let large = size > 0.5;
    let z = if large { 0.5 * (1.0 - size) } else { size * size };
    let s = if large { z.sqrt() } else { size };
    let p = polynomial!(z; 0.166_666_666_266_255_76, 0.075_000_050_587_927_76, 0.044_640_681_416_479_77,
        0.030_426_954_165_724_388, 0.021_861_951_331_458_903, 0.020_664_480_960_026_602,
        0.001_933_995_303_581_660_7, 0.032_957_253_984_441_486);
    s + s * (z * p)
}

/// Inverse sine; `NaN` outside of -1 to 1.
#[inline(always)]
pub(crate) fn asin(x: f32) -> f32 {
    let size = x.abs() as f64;
    let part = asin_parts(size);
    let y = if size > 0.5 { FRAC_PI_2 - 2.0 * part } else { part };
    (y as f32).copysign(x)
}

/// Inverse cosine; `NaN` outside of -1 to 1.
#[inline(always)]
pub(crate) fn acos(x: f32) -> f32 {
    let size = x.abs() as f64;
    let part = asin_parts(size);
    // By symmetry: acos(-x) = pi - acos(x).
    let y = if size > 0.5 { 2.0 * part } else { FRAC_PI_2 - part };
    (if x < 0.0 { PI - y } else { y }) as f32
}

/// Inverse tangent.
#[inline(always)]
pub(crate) fn atan(x: f32) -> f32 {
    let size = x.abs() as f64;
    // tan(3 pi / 8) and tan(pi / 8): what is left after taking away pi / 2 or pi / 4 is below tan(pi / 8).
    let steep = size > 2.414_213_562_373_095;
    let middle = size > 0.414_213_562_373_095_03;
    let (above, below, offset) = if middle { (size - 1.0, size + 1.0, FRAC_PI_4) } else { (size, 1.0, 0.0) };
    let (above, below, offset) = if steep { (-1.0, size, FRAC_PI_2) } else { (above, below, offset) };
    let t = above / below;
    let z = t * t;
    let p = polynomial!(z; -0.333_333_332_962_842_45, 0.199_999_943_870_289_96, -0.142_854_258_173_514_8,
        0.111_040_403_261_940_28, -0.089_971_455_702_078_54, 0.069_924_735_060_241_48, -0.037_944_461_825_592_41);
    ((offset + (t + t * (z * p))) as f32).copysign(x)
}

/// Inverse hyperbolic tangent; infinite at -1 and 1, `NaN` outside.
#[inline(always)]
pub(crate) fn atanh(x: f32) -> f32 {
    let size = x.abs() as f64;
    let (n, rest) = log_parts((1.0 + size) / (1.0 - size));
    let twice = if size < 0.17 { twice_atanh(size) } else { n * LN_2 + rest };
    let y = (0.5 * twice) as f32;
    let y = if size == 1.0 { f32::INFINITY } else { y };
    let y = if size <= 1.0 { y } else { f32::NAN };
    y.copysign(x)
}
