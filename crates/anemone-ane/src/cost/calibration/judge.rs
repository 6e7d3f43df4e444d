//! The judgement: rows that a fit has not seen.

use super::energy::{Engine, activity};
use super::fit::{Fitted, fit, fit_model};
use super::rows::Observation;
use crate::cost::energy::engine_mj;
use std::collections::BTreeMap;

/// Folds of the cross-validation by program.
pub const FOLDS: usize = 10;
/// Rounds of a fit.
pub const ROUNDS: usize = 60;

/// The fold of a group: a hash of its name, so that it does not change with the table.
fn fold(group: &str) -> usize {
    let hash = group
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    ((hash >> 32) % FOLDS as u64) as usize
}

/// What predicts a quantity of a row.
pub type Predictor = Box<dyn Fn(&Observation) -> f64>;

/// The quantity of every row, by fits that saw no row with the same key.
fn unseen(
    rows: &[&Observation],
    key: impl Fn(&Observation) -> String,
    fit: impl Fn(&[&Observation]) -> Predictor + Sync,
) -> Vec<f64> {
    let keys: Vec<String> = rows.iter().map(|row| key(row)).collect();
    let mut distinct = keys.clone();
    distinct.sort();
    distinct.dedup();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 8);
    let mut found = vec![f64::NAN; rows.len()];
    let parts: Vec<Vec<(usize, f64)>> = std::thread::scope(|scope| {
        let (keys, distinct, fit) = (&keys, &distinct, &fit);
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || {
                    let mut found = Vec::new();
                    for held in distinct.iter().skip(worker).step_by(workers) {
                        let seen = rows.iter().zip(keys).filter(|(_, key)| *key != held);
                        let predict = fit(&seen.map(|(row, _)| *row).collect::<Vec<_>>());
                        let held = keys.iter().enumerate().filter(|(_, key)| *key == held);
                        found.extend(held.map(|(index, _)| (index, predict(rows[index]))));
                    }
                    found
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
    });
    for (index, value) in parts.into_iter().flatten() {
        found[index] = value;
    }
    found
}

fn latency(seen: &[&Observation]) -> Predictor {
    let fitted: Fitted = fit(seen, ROUNDS);
    Box::new(move |row| fitted.predict(row))
}

/// Times in µs with folds by group: a program on a chip is unseen, the chip may be known.
pub fn by_program(rows: &[&Observation]) -> Vec<f64> {
    unseen(rows, |row| fold(&row.row.group).to_string(), latency)
}

/// Times in µs where one chip is left out at a time.
pub fn by_chip(rows: &[&Observation]) -> Vec<f64> {
    unseen(rows, |row| row.row.chip.clone(), latency)
}

/// Energy of the engine's rail in mJ, with folds by group; the latency model is refitted too.
pub fn energy_by_program(rows: &[&Observation]) -> Vec<f64> {
    unseen(
        rows,
        |row| fold(&row.row.group).to_string(),
        |seen| {
            let latency: Fitted = fit(seen, ROUNDS);
            let with: Vec<&Observation> =
                seen.iter().copied().filter(|row| row.row.energy_mj.is_some()).collect();
            let fitted = fit_model(&Engine(&latency), &with, ROUNDS);
            Box::new(move |row| {
                let deviation = fitted.deviations(&row.row.chip).first().copied().unwrap_or(1.0);
                engine_mj(&fitted.globals, deviation, &activity(&latency, row))
            })
        },
    )
}

/// Statistics of errors `|predicted / measured - 1|`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Number of rows.
    pub rows: usize,
    /// Median.
    pub median: f64,
    /// 90th percentile.
    pub p90: f64,
    /// Share within a factor of two.
    pub within_two: f64,
}

/// Interpolated quantile of sorted numbers, as numpy's default.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let x = q * last as f64;
    let at = x as usize;
    if at >= last { sorted[last] } else { sorted[at] + (x - at as f64) * (sorted[at + 1] - sorted[at]) }
}

impl Errors {
    /// Of ratios predicted / measured.
    pub fn of(ratios: &[f64]) -> Errors {
        let mut errors: Vec<f64> = ratios.iter().map(|ratio| (ratio - 1.0).abs()).collect();
        errors.sort_by(f64::total_cmp);
        let within = ratios.iter().filter(|ratio| (0.5..=2.0).contains(*ratio)).count();
        Errors {
            rows: ratios.len(),
            median: quantile(&errors, 0.5),
            p90: quantile(&errors, 0.9),
            within_two: within as f64 / ratios.len().max(1) as f64,
        }
    }
}

/// Ratios predicted / measured by a key of the rows.
pub fn ratios_by<K: Ord>(
    observations: &[&Observation],
    times: &[f64],
    key: impl Fn(&Observation) -> K,
) -> BTreeMap<K, Vec<f64>> {
    let mut groups: BTreeMap<K, Vec<f64>> = BTreeMap::new();
    for (row, time) in observations.iter().zip(times) {
        groups.entry(key(row)).or_default().push(time / 1e3 / row.row.latency_ms);
    }
    groups
}
