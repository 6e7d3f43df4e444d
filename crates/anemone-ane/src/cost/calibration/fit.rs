//! The fit: robust least squares on logarithms of times, with every parameter drawn to where it starts.
//!
//! Levenberg and Marquardt's method with numerical derivatives. A deviation of a chip only changes the rows of that chip, so its
//! column costs only those.

use super::rows::Observation;
use crate::cost::graph::Load;
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
const NOISE: f64 = 0.08;

impl Fitted {
    /// The rates of a chip; the shared laws alone where it was not measured.
    pub fn rates(&self, facts: &ChipFacts) -> Rates {
        Rates::new(
            &Globals::from_slice(&self.globals),
            facts,
            &Deviations::from_slice(self.deviations(facts.name)),
        )
    }

    /// The deviations of a chip, none where it was not measured.
    pub fn deviations(&self, chip: &str) -> &[f64] {
        self.chips.get(chip).map_or(&[], Vec::as_slice)
    }

    /// Time of a row in µs.
    pub fn predict(&self, observation: &Observation) -> f64 {
        facts(&observation.row.chip).map_or(f64::NAN, |facts| time(&self.rates(&facts), observation))
    }
}

/// Something to fit: a quantity of rows, by shared parameters and deviations of chips.
pub trait Model: Sync {
    /// Shared parameters.
    fn globals(&self) -> &'static [Spec];
    /// Deviations of a chip.
    fn deviations(&self) -> &'static [Spec];
    /// Logarithms of predicted over measured, for these rows of one chip.
    fn residuals(
        &self,
        globals: &[f64],
        deviations: &[f64],
        chip: &ChipFacts,
        rows: &[&Observation],
    ) -> Vec<f64>;
}

/// Latency.
pub struct Latency;

impl Model for Latency {
    fn globals(&self) -> &'static [Spec] {
        GLOBALS
    }

    fn deviations(&self) -> &'static [Spec] {
        DEVIATIONS
    }

    fn residuals(
        &self,
        globals: &[f64],
        deviations: &[f64],
        chip: &ChipFacts,
        rows: &[&Observation],
    ) -> Vec<f64> {
        let rates = Rates::new(&Globals::from_slice(globals), chip, &Deviations::from_slice(deviations));
        rows.iter().map(|row| libm::log(time(&rates, row) / (row.row.latency_ms * 1e3))).collect()
    }
}

/// The facts of a chip that rows name.
pub fn facts(name: &str) -> Option<ChipFacts> {
    FACTS.iter().find(|facts| facts.name == name).copied()
}

/// The calls of a row, without the host part of a step, in µs.
pub fn engine_time(rates: &Rates, observation: &Observation) -> f64 {
    let call = |load: &Load| rates.call(load, observation.path, observation.host_copy).total();
    observation.loads.iter().map(|(load, calls)| call(load) * calls).sum()
}

/// Time of a row in µs at given rates.
pub fn time(rates: &Rates, observation: &Observation) -> f64 {
    engine_time(rates, observation) + observation.host.map_or(0.0, |host| rates.host_step(&host))
}

fn to_theta(spec: &Spec, value: f64) -> f64 {
    if spec.log { libm::log(value) } else { value }
}

fn from_theta(spec: &Spec, theta: f64) -> f64 {
    if spec.log { libm::exp(theta) } else { theta }
}

struct Problem<'a> {
    model: &'a dyn Model,
    chips: Vec<ChipFacts>,
    /// Rows of every chip.
    rows: Vec<Vec<&'a Observation>>,
    /// Specifications, the shared ones first.
    specs: Vec<Spec>,
}

impl<'a> Problem<'a> {
    fn new(model: &'a dyn Model, observations: &[&'a Observation]) -> Problem<'a> {
        let mut chips: Vec<ChipFacts> = Vec::new();
        let mut rows: Vec<Vec<&Observation>> = Vec::new();
        for observation in observations {
            let Some(facts) = facts(&observation.row.chip) else { continue };
            match chips.iter().position(|chip| chip.name == facts.name) {
                Some(at) => rows[at].push(observation),
                None => {
                    chips.push(facts);
                    rows.push(vec![observation]);
                }
            }
        }
        let deviations = chips.iter().flat_map(|_| model.deviations());
        let specs = model.globals().iter().chain(deviations).copied().collect();
        Problem { model, chips, rows, specs }
    }

    fn shared(&self) -> usize {
        self.model.globals().len()
    }

    fn values(&self, theta: &[f64]) -> Vec<f64> {
        self.specs.iter().zip(theta).map(|(spec, &value)| from_theta(spec, value)).collect()
    }

    /// The deviations of a chip among all values.
    fn of_chip<'v>(&self, values: &'v [f64], chip: usize) -> &'v [f64] {
        let length = self.model.deviations().len();
        let from = self.shared() + chip * length;
        &values[from..from + length]
    }

    fn residuals_of(&self, theta: &[f64], chip: usize) -> Vec<f64> {
        let values = self.values(theta);
        let deviations = self.of_chip(&values, chip);
        self.model.residuals(&values[..self.shared()], deviations, &self.chips[chip], &self.rows[chip])
    }

    /// Residuals by chip.
    fn residuals(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        (0..self.chips.len()).map(|chip| self.residuals_of(theta, chip)).collect()
    }

    fn loss(&self, theta: &[f64], residuals: &[Vec<f64>]) -> f64 {
        let data: f64 = residuals
            .iter()
            .flatten()
            .map(|r| 2.0 * (libm::sqrt(1.0 + (r / NOISE) * (r / NOISE)) - 1.0))
            .sum();
        let prior = self.specs.iter().zip(theta).map(|(spec, &value)| {
            let z = (value - to_theta(spec, spec.start)) / spec.spread;
            z * z
        });
        let loss = data + prior.sum::<f64>();
        if loss.is_finite() { loss } else { f64::INFINITY }
    }
}

/// Fits the latency model to rows.
pub fn fit(observations: &[&Observation], rounds: usize) -> Fitted {
    fit_model(&Latency, observations, rounds)
}

/// Fits any model to rows.
pub fn fit_model(model: &dyn Model, observations: &[&Observation], rounds: usize) -> Fitted {
    let problem = Problem::new(model, observations);
    let n = problem.specs.len();
    let mut theta: Vec<f64> = problem.specs.iter().map(|spec| to_theta(spec, spec.start)).collect();
    let mut residuals = problem.residuals(&theta);
    let mut loss = problem.loss(&theta, &residuals);
    let mut damping = 1e-2;
    let mut still = 0;
    for _ in 0..rounds {
        let (normal, gradient) = accumulate(&problem, &theta, &residuals);
        let before = loss;
        for _ in 0..8 {
            let mut damped = normal.clone();
            for index in 0..n {
                damped[index * n + index] *= 1.0 + damping;
            }
            if let Some(step) = solve(&mut damped, &gradient, n) {
                let tried: Vec<f64> =
                    theta.iter().zip(&step).map(|(value, step)| value - step.clamp(-1.0, 1.0)).collect();
                let new_residuals = problem.residuals(&tried);
                let new_loss = problem.loss(&tried, &new_residuals);
                if new_loss < loss {
                    (theta, residuals, loss) = (tried, new_residuals, new_loss);
                    damping = (damping * 0.3).max(1e-6);
                    break;
                }
            }
            damping *= 4.0;
        }
        // Twice without progress is the end: one poor step may come from the kinks of the model.
        still = if before - loss > 1e-5 * before { 0 } else { still + 1 };
        if still == 2 {
            break;
        }
    }
    let values = problem.values(&theta);
    let chips = problem.chips.iter().enumerate();
    let chips =
        chips.map(|(at, chip)| (chip.name.to_string(), problem.of_chip(&values, at).to_vec())).collect();
    Fitted { globals: values[..problem.shared()].to_vec(), chips }
}

/// The normal equations of the weighted least squares around `theta`, and the gradient.
fn accumulate(problem: &Problem<'_>, theta: &[f64], residuals: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
    const STEP: f64 = 1e-4;
    let (n, shared, length) = (theta.len(), problem.shared(), problem.model.deviations().len());
    let (mut normal, mut gradient) = (vec![0.0; n * n], vec![0.0; n]);
    for (chip, base) in residuals.iter().enumerate() {
        // Only the shared parameters and the deviations of this chip move its rows.
        let own = shared + chip * length;
        let indices: Vec<usize> = (0..shared).chain(own..own + length).collect();
        let mut moved = theta.to_vec();
        let columns: Vec<Vec<f64>> = indices
            .iter()
            .map(|&index| {
                moved[index] += STEP;
                let shifted = problem.residuals_of(&moved, chip);
                moved[index] = theta[index];
                shifted.iter().zip(base).map(|(a, b)| (a - b) / STEP).collect()
            })
            .collect();
        // Weight of a row under the pseudo-Huber loss.
        let weight = |r: f64| 1.0 / (NOISE * NOISE * libm::sqrt(1.0 + (r / NOISE) * (r / NOISE)));
        let weights: Vec<f64> = base.iter().map(|&r| weight(r)).collect();
        for (a, &i) in indices.iter().enumerate() {
            for (b, &j) in indices.iter().enumerate() {
                normal[i * n + j] += columns[a]
                    .iter()
                    .zip(&columns[b])
                    .zip(&weights)
                    .map(|((x, y), w)| x * y * w)
                    .sum::<f64>();
            }
            gradient[i] +=
                columns[a].iter().zip(base).zip(&weights).map(|((x, r), w)| x * r * w).sum::<f64>();
        }
    }
    for (i, spec) in problem.specs.iter().enumerate() {
        let tight = 1.0 / (spec.spread * spec.spread);
        normal[i * n + i] += tight;
        gradient[i] += tight * (theta[i] - to_theta(spec, spec.start));
    }
    (normal, gradient)
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
