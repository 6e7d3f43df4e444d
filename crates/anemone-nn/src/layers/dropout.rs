//! Dropout, with its random numbers made by MIL arithmetic.
//!
//! MIL's own random ops take a constant seed, so they could not give other numbers in the next step without a
//! hidden state. Here the only state is a counter that begins where the run's seed says: a step's numbers are a hash of
//! the counter and of each element's index, so any back end gives the same ones and a resumed run goes on where it stopped.

use crate::{Graph, Init, Mode, Module, NnError};
use mil::{Constant, DataType, TensorType, ValueId};

/// Zeroes elements with probability `p` in training and scales the others by `1 / (1 - p)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability of an element being zeroed.
    pub p: f32,
}

impl Default for Dropout {
    fn default() -> Dropout {
        Dropout { p: 0.5 }
    }
}

/// The primes of Wichmann and Hill's generator (1982): products of two residues fit in `int32`.
const PRIMES: [i32; 3] = [30269, 30307, 30323];
/// Primitive roots by which each is stepped.
const FACTORS: [i32; 3] = [171, 172, 170];
/// Rounds of quadratic mixing; four make neighbouring indices and counters unrelated (see the tests).
const ROUNDS: usize = 4;

impl Module for Dropout {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        if !(0.0..=1.0).contains(&self.p) {
            return Err(NnError::config("Dropout's p", format!("is {}, but must be from 0 to 1", self.p)));
        }
        if g.mode() == Mode::Eval || self.p == 0.0 {
            return Ok(x);
        }
        let shape = g.shape(x).to_vec();
        let uniform = self.uniform(g, &shape)?;
        let keep = g.greater_equal(uniform, self.p)?;
        // With p = 1 nothing is kept, and no infinite factor may reach the gradient.
        let scale = if self.p < 1.0 { 1.0 / (1.0 - self.p) } else { 0.0 };
        let scaled = g.mul(x, scale)?;
        let dtype = g.dtype(x);
        let zero = g.float(dtype, 0.0);
        Ok(g.select(keep, scaled, zero)?)
    }
}

impl Dropout {
    /// Uniform numbers in `[0, 1)`, other ones in each step.
    fn uniform(&self, g: &mut Graph, shape: &[usize]) -> Result<ValueId, NnError> {
        let count: usize = shape.iter().product();
        let ty = TensorType::scalar(DataType::Int32);
        let (buffer, counter) = g.buffer("dropout_counter", ty, Init::Count)?;
        let one = g.int(1);
        let wrap = g.int(1_000_000_007);
        let next = g.add(counter, one)?;
        let next = g.op("mod").arg("x", next).arg("y", wrap).one()?;
        g.update_buffer(buffer, next);
        let site = site_number(g, buffer);
        let indices: Vec<i32> = (0..count).map(|i| i as i32).collect();
        let indices = g.constant(Constant::new(shape, indices)?);
        let mut sum: Option<ValueId> = None;
        for (prime, factor) in PRIMES.into_iter().zip(FACTORS) {
            let residue = hashed(g, indices, counter, site, prime, factor)?;
            let part = g.cast(residue, DataType::Fp32)?;
            let part = g.mul(part, 1.0 / prime as f32)?;
            sum = Some(match sum {
                Some(sum) => g.add(sum, part)?,
                None => part,
            });
        }
        let sum = sum.ok_or_else(|| NnError::config("Dropout", "has no generator"))?;
        let whole = g.unary("floor", sum)?;
        Ok(g.sub(sum, whole)?)
    }
}

/// A number that differs between the dropout layers of a model: that of their counter's state.
fn site_number(g: &Graph, buffer: crate::Buffer) -> i32 {
    let states = g.parameters();
    states.iter().position(|parameter| parameter.state == buffer.state()).unwrap_or(0) as i32
}

/// A residue modulo `prime` that depends on index, counter and site: quadratic steps `r = (r * r + c) mod prime` with
/// the counter mixed in anew at each, finished by a linear step.
fn hashed(
    g: &mut Graph,
    indices: ValueId,
    counter: ValueId,
    site: i32,
    prime: i32,
    factor: i32,
) -> Result<ValueId, NnError> {
    let modulus = g.int(prime);
    let modulo = |g: &mut Graph, x: ValueId| g.op("mod").arg("x", x).arg("y", modulus).one();
    // Index and counter enter by quotient and residue, so that none of their bits is lost.
    let high = g.op("floor_div").arg("x", indices).arg("y", modulus).one()?;
    let mut residue = modulo(g, indices)?;
    let counter_high = g.op("floor_div").arg("x", counter).arg("y", modulus).one()?;
    let counter_low = modulo(g, counter)?;
    let site = g.int(site.wrapping_mul(7919).rem_euclid(prime));
    let salts = [counter_low, high, counter_high, site];
    for round in 0..ROUNDS {
        let salt = g.add(salts[round % salts.len()], site)?;
        let squared = g.mul(residue, residue)?;
        let factor = g.int(factor);
        let linear = g.mul(residue, factor)?;
        let squared = modulo(g, squared)?;
        let linear = modulo(g, linear)?;
        let mixed = g.add(squared, linear)?;
        let mixed = g.add(mixed, salt)?;
        let shifted = g.int(round as i32 + 1);
        let mixed = g.add(mixed, shifted)?;
        residue = modulo(g, mixed)?;
    }
    Ok(residue)
}
