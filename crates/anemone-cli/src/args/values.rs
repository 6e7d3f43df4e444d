//! Values of flags: what is allowed, and what is said of anything else.

/// Parses a whole number in a range.
pub(super) fn whole(text: &str, low: u64, high: u64) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!("a whole number from {low} to {high} is needed")),
    }
}

/// Parses a finite number in a range that the message names.
pub(super) fn number(text: &str, allowed: &str, fits: impl Fn(f32) -> bool) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(number) if number.is_finite() && fits(number) => Ok(number),
        _ => Err(format!("a number {allowed} is needed")),
    }
}

/// An input's shape: `x=1,3,224,224`.
pub(super) fn named_shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let form = || "an input's name and its dimensions are needed, as in x=1,3,224,224".to_string();
    let (name, dims) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(form)?;
    let dims: Option<Vec<usize>> =
        dims.split(',').map(|dim| dim.trim().parse().ok().filter(|dim| *dim <= i32::MAX as usize)).collect();
    Ok((name.to_string(), dims.ok_or_else(form)?))
}

pub(super) fn steps(text: &str) -> Result<u64, String> {
    whole(text, 1, i32::MAX as u64)
}

pub(super) fn positive(text: &str) -> Result<u64, String> {
    whole(text, 1, 1 << 40)
}

pub(super) fn size(text: &str) -> Result<usize, String> {
    whole(text, 1, 65536).map(|number| number as usize)
}

pub(super) fn layers(text: &str) -> Result<usize, String> {
    whole(text, 1, 256).map(|number| number as usize)
}

pub(super) fn vocabulary(text: &str) -> Result<usize, String> {
    whole(text, 260, 65536).map(|number| number as usize)
}

pub(super) fn threads(text: &str) -> Result<usize, String> {
    whole(text, 1, 1024).map(|number| number as usize)
}

pub(super) fn count(text: &str) -> Result<u32, String> {
    whole(text, 0, i32::MAX as u64).map(|number| number as u32)
}

pub(super) fn accumulate(text: &str) -> Result<u32, String> {
    whole(text, 1, 1 << 20).map(|number| number as u32)
}

pub(super) fn above_zero(text: &str) -> Result<f32, String> {
    number(text, "above 0 and at most 1000", |x| x > 0.0 && x <= 1000.0)
}

pub(super) fn from_zero(text: &str) -> Result<f32, String> {
    number(text, "of 0 or more", |x| x >= 0.0)
}

pub(super) fn below_one(text: &str) -> Result<f32, String> {
    number(text, "from 0 to below 1", |x| (0.0..1.0).contains(&x))
}

pub(super) fn temperature(text: &str) -> Result<f32, String> {
    number(text, "from 0 to 100", |x| (0.0..=100.0).contains(&x))
}

pub(super) fn probability(text: &str) -> Result<f32, String> {
    number(text, "above 0 and at most 1", |x| x > 0.0 && x <= 1.0)
}
