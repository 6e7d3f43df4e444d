//! How generation is steered, and the choice of one token from logits.

use crate::NnError;
use crate::data::rng::{Rng, stream};
use serde::{Deserialize, Serialize};

/// How tokens are chosen and when generation ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerateOptions {
    /// Divides the logits: below 1 the likely tokens become likelier; 0 always takes the likeliest.
    pub temperature: f32,
    /// Chooses among the likeliest tokens that together have at least this probability (Holtzman et al., 2020);
    /// 1 chooses among all.
    pub top_p: f32,
    /// Seed of the choices; the same seed, weights and prompt give the same text.
    pub seed: u64,
    /// Most tokens generated.
    pub max_tokens: usize,
    /// Tokens that end the text; they are not part of it.
    pub stop_tokens: Vec<u32>,
}

impl Default for GenerateOptions {
    fn default() -> GenerateOptions {
        GenerateOptions { temperature: 0.8, top_p: 0.9, seed: 0, max_tokens: 256, stop_tokens: Vec::new() }
    }
}

impl GenerateOptions {
    /// Refuses options that make no sense.
    pub fn check(&self) -> Result<(), NnError> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            let message =
                format!("is {}, but must be 0 (always the likeliest token) or above", self.temperature);
            return Err(NnError::config("the temperature", message));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            let message = format!("is {}, but must be above 0 and at most 1", self.top_p);
            return Err(NnError::config("top_p", message));
        }
        Ok(())
    }
}

/// Chooses the token at `position`. The choice depends on the arguments alone: the random number is a hash of seed and
/// position. Logits that are not numbers are never chosen, unless there is nothing else.
pub fn sample(logits: &[f32], options: &GenerateOptions, position: u64) -> u32 {
    let best = likeliest(logits);
    if options.temperature == 0.0 {
        return best;
    }
    let highest = f64::from(logits.get(best as usize).copied().unwrap_or(0.0));
    let weigh = |&logit: &f32| {
        let weight = libm::exp((f64::from(logit) - highest) / f64::from(options.temperature));
        if weight.is_nan() { 0.0 } else { weight }
    };
    let weights: Vec<f64> = logits.iter().map(weigh).collect();
    let total: f64 = weights.iter().sum();
    let mut rng = Rng::new(options.seed, stream("generate").wrapping_add(position));
    let uniform = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    if options.top_p >= 1.0 {
        return choose(weights.iter().copied().enumerate(), uniform * total).unwrap_or(best);
    }
    let nucleus = nucleus(&weights, f64::from(options.top_p), total);
    let mass: f64 = nucleus.iter().map(|&(_, weight)| weight).sum();
    choose(nucleus.into_iter(), uniform * mass).unwrap_or(best)
}

/// The first of the largest logits.
fn likeliest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (index, &logit) in logits.iter().enumerate() {
        let highest = logits[best];
        if logit > highest || (highest.is_nan() && !logit.is_nan()) {
            best = index;
        }
    }
    best as u32
}

/// The heaviest tokens that together make up `share` of `total`, heaviest first; equal ones in order of index.
fn nucleus(weights: &[f64], share: f64, total: f64) -> Vec<(usize, f64)> {
    // A token lighter than this cannot be in: all like it together weigh less than what may be left out. This spares
    // sorting the whole vocabulary.
    let least = total * (1.0 - share) / weights.len().max(1) as f64;
    let mut heavy: Vec<(usize, f64)> =
        weights.iter().copied().enumerate().filter(|&(_, weight)| weight >= least).collect();
    heavy.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut sum = 0.0;
    let enough = heavy.iter().position(|&(_, weight)| {
        sum += weight;
        sum >= share * total
    });
    heavy.truncate(enough.map_or(heavy.len(), |last| last + 1));
    heavy
}

/// The entry in whose share of the line `target` falls; the last one with weight when rounding carries it past the end.
fn choose(weights: impl Iterator<Item = (usize, f64)>, target: f64) -> Option<u32> {
    let (mut sum, mut last) = (0.0, None);
    for (index, weight) in weights {
        if weight <= 0.0 {
            continue;
        }
        sum += weight;
        last = Some(index as u32);
        if sum > target {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(temperature: f32, top_p: f32, seed: u64) -> GenerateOptions {
        GenerateOptions { temperature, top_p, seed, ..GenerateOptions::default() }
    }

    fn frequencies(logits: &[f32], temperature: f32, top_p: f32) -> Vec<f64> {
        let mut counts = vec![0; logits.len()];
        for position in 0..20_000 {
            counts[sample(logits, &options(temperature, top_p, 7), position) as usize] += 1;
        }
        counts.into_iter().map(|count| f64::from(count) / 20_000.0).collect()
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_largest() {
        assert_eq!(sample(&[0.0, 3.0, 3.0, -1.0], &options(0.0, 0.9, 1), 5), 1);
        assert_eq!(sample(&[f32::NAN, 1.0, 2.0], &options(0.0, 0.9, 1), 5), 2);
    }

    #[test]
    fn frequencies_are_those_of_softmax() {
        let logits = [0.0f32, 1.0, 2.0, -1.0];
        for temperature in [0.5f32, 1.0, 2.0] {
            let weights = logits.map(|logit| f64::from(logit / temperature).exp());
            let total: f64 = weights.iter().sum();
            for (found, weight) in frequencies(&logits, temperature, 1.0).iter().zip(weights) {
                assert!((found - weight / total).abs() < 0.015, "{found} is not {}", weight / total);
            }
        }
    }

    #[test]
    fn top_p_keeps_the_smallest_set_that_reaches_it() {
        // Probabilities 0.5, 0.3, 0.15, 0.05.
        let logits = [0.05f32, 0.5, 0.15, 0.3].map(f32::ln);
        let found = frequencies(&logits, 1.0, 0.75);
        assert_eq!((found[0], found[2]), (0.0, 0.0));
        assert!((found[1] - 0.625).abs() < 0.015 && (found[3] - 0.375).abs() < 0.015, "{found:?}");
        let found = frequencies(&logits, 1.0, 0.9);
        assert!(found[0] == 0.0 && found[2] > 0.1, "{found:?}");
        assert_eq!(frequencies(&logits, 1.0, 1e-6)[1], 1.0);
    }

    #[test]
    fn choices_depend_on_seed_and_position_alone() {
        let logits = vec![0.0f32; 1000];
        let draw = |seed, position| sample(&logits, &options(1.0, 1.0, seed), position);
        assert_eq!(draw(3, 9), draw(3, 9));
        let same = (0..100).filter(|&position| draw(3, position) == draw(4, position)).count();
        assert!(same < 5, "{same} of 100 choices from 1000 tokens agree between seeds");
    }

    #[test]
    fn strange_logits_give_a_token_and_no_panic() {
        for logits in [
            vec![f32::NAN; 3],
            vec![f32::INFINITY, 1.0, f32::NAN],
            vec![f32::NEG_INFINITY; 3],
            vec![0.0, f32::NEG_INFINITY, f32::NEG_INFINITY],
        ] {
            for (temperature, top_p) in [(0.0, 0.9), (1.0, 0.9), (1.0, 1.0), (1e-30, 0.5)] {
                let token = sample(&logits, &options(temperature, top_p, 1), 0);
                assert!((token as usize) < logits.len());
            }
        }
        assert_eq!(sample(&[], &options(1.0, 0.9, 1), 0), 0);
    }

    #[test]
    fn nonsense_is_refused() {
        for (temperature, top_p) in
            [(-1.0, 0.9), (f32::NAN, 0.9), (f32::INFINITY, 0.9), (1.0, 0.0), (1.0, 1.1), (1.0, f32::NAN)]
        {
            assert!(options(temperature, top_p, 0).check().is_err(), "{temperature} {top_p}");
        }
        assert!(GenerateOptions::default().check().is_ok());
    }
}
