//! The fit: robust least squares on logarithms of times, with every parameter drawn to where it starts.
//!
//! Levenberg and Marquardt's method with numerical derivatives. A deviation of a chip only changes the rows of that chip, so its
//! column costs only those.

use super::rows::Observation;
use crate::cost::model::Rates;
use crate::cost::params::{ChipFacts, DEVIATIONS, Deviations, FACTS, GLOBALS, Globals, Spec};
use std::collections::BTreeMap;

/// Parameters as fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Shared ones, in the order of [`GLOBALS`].
    pub globals: Vec<f64>,
    /// Deviations by chip, in the order of [`DEVIATIONS`].
    pub chips: BTreeMap<String, Vec<f64>>,
}

/// Expected scatter of the logarithm of a time.
const NOISE: f64 = 0.10;
const DEVS: usize = 7;

impl Fitted {
    /// The rates of a chip; the shared laws alone where it was not measured.
    pub fn rates(&self, facts: &ChipFacts) -> Rates {
        let deviations = self.chips.get(facts.name).map_or(Deviations::from_slice(&[]), |values| Deviations::from_slice(values));
        Rates::new(&Globals::from_slice(&self.globals), facts, &deviations)
    }

    /// Time of a row in µs.
    pub fn predict(&self, observation: &Observation) -> f64 {
        facts(&observation.row.chip).map_or(f64::NAN, |facts| time(&self.rates(&facts), observation))
    }
}

/// The facts of a chip that rows name.
pub fn facts(name: &str) -> Option<ChipFacts> {
    FACTS.iter().find(|facts| facts.name == name).copied()
}

/// Time of a row in µs at given rates.
pub fn time(rates: &Rates, observation: &Observation) -> f64 {
    let engine: f64 = observation
        .loads
        .iter()
        .map(|(load, calls)| rates.call(load, observation.path, observation.host_copy).total() * calls)
        .sum();
    engine + observation.host.map_or(0.0, |host| rates.host_step(host.flops, host.staged, host.resident, host.threaded))
}

fn to_theta(spec: &Spec, value: f64) -> f64 {
    if spec.log { libm::log(value) } else { value }
}

fn from_theta(spec: &Spec, theta: f64) -> f64 {
    if spec.log { libm::exp(theta) } else { theta }
}

struct Problem<'a> {
    observations: &'a [&'a Observation],
    chips: Vec<ChipFacts>,
    /// Rows of every chip.
    rows: Vec<Vec<usize>>,
}

impl<'a> Problem<'a> {
    fn new(observations: &'a [&'a Observation]) -> Problem<'a> {
        let mut chips: Vec<ChipFacts> = Vec::new();
        let mut rows: Vec<Vec<usize>> = Vec::new();
        for (index, observation) in observations.iter().enumerate() {
            let Some(facts) = facts(&observation.row.chip) else { continue };
            match chips.iter().position(|chip| chip.name == facts.name) {
                Some(at) => rows[at].push(index),
                None => {
                    chips.push(facts);
                    rows.push(vec![index]);
                }
            }
        }
        Problem { observations, chips, rows }
    }

    fn spec(index: usize) -> &'static Spec {
        if index < GLOBALS.len() { &GLOBALS[index] } else { &DEVIATIONS[(index - GLOBALS.len()) % DEVS] }
    }

    fn len(&self) -> usize {
        GLOBALS.len() + self.chips.len() * DEVS
    }

    fn chip_rates(&self, theta: &[f64], chip: usize) -> Rates {
        let globals: Vec<f64> = GLOBALS.iter().zip(theta).map(|(spec, &value)| from_theta(spec, value)).collect();
        let from = GLOBALS.len() + chip * DEVS;
        let deviations: Vec<f64> = theta[from..from + DEVS].iter().map(|&value| libm::exp(value)).collect();
        Rates::new(&Globals::from_slice(&globals), &self.chips[chip], &Deviations::from_slice(&deviations))
    }

    fn residuals_of(&self, theta: &[f64], chip: usize, into: &mut [f64]) {
        let rates = self.chip_rates(theta, chip);
        for &row in &self.rows[chip] {
            let observation = self.observations[row];
            into[row] = libm::log(time(&rates, observation) / (observation.row.latency_ms * 1e3));
        }
    }

    fn residuals(&self, theta: &[f64]) -> Vec<f64> {
        let mut residuals = vec![0.0; self.observations.len()];
        for chip in 0..self.chips.len() {
            self.residuals_of(theta, chip, &mut residuals);
        }
        residuals
    }

    fn loss(&self, theta: &[f64], residuals: &[f64]) -> f64 {
        let data: f64 = residuals.iter().map(|r| 2.0 * (libm::sqrt(1.0 + (r / NOISE) * (r / NOISE)) - 1.0)).sum();
        let prior: f64 = theta
            .iter()
            .enumerate()
            .map(|(index, &value)| {
                let spec = Self::spec(index);
                let z = (value - to_theta(spec, spec.start)) / spec.spread;
                z * z
            })
            .sum();
        if data.is_finite() { data + prior } else { f64::INFINITY }
    }
}

/// Fits the parameters to rows.
pub fn fit(observations: &[&Observation], rounds: usize) -> Fitted {
    let problem = Problem::new(observations);
    let n = problem.len();
    let start = |index: usize| to_theta(Problem::spec(index), Problem::spec(index).start);
    let mut theta: Vec<f64> = (0..n).map(start).collect();
    let mut residuals = problem.residuals(&theta);
    let mut loss = problem.loss(&theta, &residuals);
    let mut damping = 1e-2;
    for _ in 0..rounds {
        let (mut normal, mut gradient) = (vec![0.0; n * n], vec![0.0; n]);
        accumulate(&problem, &theta, &residuals, &mut normal, &mut gradient);
        let mut improved = false;
        for _ in 0..6 {
            let mut damped = normal.clone();
            for index in 0..n {
                damped[index * n + index] *= 1.0 + damping;
            }
            if let Some(step) = solve(&mut damped, &gradient, n) {
                let tried: Vec<f64> = theta.iter().zip(&step).map(|(value, step)| value - step.clamp(-1.0, 1.0)).collect();
                let new_residuals = problem.residuals(&tried);
                let new_loss = problem.loss(&tried, &new_residuals);
                if new_loss < loss {
                    improved = loss - new_loss > 1e-5 * loss;
                    (theta, residuals, loss) = (tried, new_residuals, new_loss);
                    damping = (damping * 0.3).max(1e-6);
                    break;
                }
            }
            damping *= 4.0;
        }
        if !improved {
            break;
        }
    }
    let globals = GLOBALS.iter().zip(&theta).map(|(spec, &value)| from_theta(spec, value)).collect();
    let chips = problem.chips.iter().enumerate().map(|(index, chip)| {
        let from = GLOBALS.len() + index * DEVS;
        (chip.name.to_string(), theta[from..from + DEVS].iter().map(|&value| libm::exp(value)).collect())
    });
    Fitted { globals, chips: chips.collect() }
}

fn accumulate(problem: &Problem<'_>, theta: &[f64], residuals: &[f64], normal: &mut [f64], gradient: &mut [f64]) {
    const STEP: f64 = 1e-4;
    let (n, m) = (theta.len(), residuals.len());
    let mut columns: Vec<Vec<f64>> = Vec::with_capacity(n);
    let mut moved = theta.to_vec();
    for index in 0..n {
        moved[index] += STEP;
        let mut shifted = residuals.to_vec();
        if index < GLOBALS.len() {
            shifted = problem.residuals(&moved);
        } else {
            problem.residuals_of(&moved, (index - GLOBALS.len()) / DEVS, &mut shifted);
        }
        moved[index] = theta[index];
        columns.push(shifted.iter().zip(residuals).map(|(a, b)| (a - b) / STEP).collect());
    }
    // Weight of a row under the pseudo-Huber loss.
    let weights: Vec<f64> =
        residuals.iter().map(|r| 1.0 / (NOISE * NOISE * libm::sqrt(1.0 + (r / NOISE) * (r / NOISE)))).collect();
    for i in 0..n {
        for j in i..n {
            let mut sum = 0.0;
            for row in 0..m {
                sum += columns[i][row] * columns[j][row] * weights[row];
            }
            normal[i * n + j] = sum;
            normal[j * n + i] = sum;
        }
        gradient[i] = (0..m).map(|row| columns[i][row] * weights[row] * residuals[row]).sum();
        let spec = Problem::spec(i);
        let tight = 1.0 / (spec.spread * spec.spread);
        normal[i * n + i] += tight;
        gradient[i] += tight * (theta[i] - to_theta(spec, spec.start));
    }
}

/// Solves a symmetric positive definite system by Cholesky's factorization; none if it is not.
fn solve(matrix: &mut [f64], right: &[f64], n: usize) -> Option<Vec<f64>> {
    for j in 0..n {
        for i in j..n {
            let mut sum = matrix[i * n + j];
            for k in 0..j {
                sum -= matrix[i * n + k] * matrix[j * n + k];
            }
            if i == j {
                if sum <= 0.0 || !sum.is_finite() {
                    return None;
                }
                matrix[j * n + j] = libm::sqrt(sum);
            } else {
                matrix[i * n + j] = sum / matrix[j * n + j];
            }
        }
    }
    let mut x = right.to_vec();
    for i in 0..n {
        for k in 0..i {
            x[i] -= matrix[i * n + k] * x[k];
        }
        x[i] /= matrix[i * n + i];
    }
    for i in (0..n).rev() {
        for k in i + 1..n {
            x[i] -= matrix[k * n + i] * x[k];
        }
        x[i] /= matrix[i * n + i];
    }
    Some(x)
}
