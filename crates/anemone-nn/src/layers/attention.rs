//! Multi-head attention: causal or not, grouped-query, with rotary positions and a key-value cache.

use super::Linear;
use crate::{Graph, Init, Module, NnError};
use mil::{Constant, TensorType, ValueId};

/// Rotary position embedding (Su et al., 2021) over interleaved pairs, as Llama has it: dimensions `2i` and
/// `2i + 1` of a head turn by `position * theta^(-2i / head_dim)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// Base of the angles; 10000 in Llama.
    pub theta: f32,
}

/// What a position may attend to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causal {
    /// Itself and earlier positions.
    Yes,
    /// All positions.
    No,
}

/// Attention over `[B, T, embed_dim]` with `num_heads` heads, of which groups of `num_heads / num_kv_heads` share
/// keys and values.
///
/// Parameters: `q_proj.weight`, `k_proj.weight`, `v_proj.weight`, `out_proj.weight` (and biases, if any). PyTorch's module of
/// this name stacks the first three as `in_proj_weight` where all heads are alike; initial values are the same either way.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiheadAttention {
    /// Size of the model.
    pub embed_dim: usize,
    /// Query heads.
    pub num_heads: usize,
    /// Key and value heads.
    pub num_kv_heads: usize,
    /// Whether the projections have biases.
    pub bias: bool,
    /// Which positions are seen.
    pub causal: Causal,
    /// Rotary positions, if any.
    pub rope: Option<Rope>,
    /// Initial weight of the input projections; PyTorch's for this layer when absent: uniform within
    /// `sqrt(6 / (fan_in + fan_out))` of all three together (Glorot and Bengio, 2010).
    pub init: Option<Init>,
    /// Initial weight of the output projection; as `init` when absent, and PyTorch's for `Linear` when both are.
    pub out_init: Option<Init>,
}

/// Where a decoder keeps keys and values of earlier positions.
#[derive(Clone, Copy, Debug)]
pub struct KeyValueCache {
    /// Positions that fit.
    pub capacity: usize,
    /// Position of the first row of `x`, `int32` `[1]`.
    pub position: ValueId,
}

/// Added to scores that must not count. Finite, so that `fp16` and engines without infinities take it.
const MASKED: f32 = -1e9;

impl MultiheadAttention {
    /// Plain attention: as many key as query heads, biases, every position seen.
    pub fn new(embed_dim: usize, num_heads: usize) -> MultiheadAttention {
        MultiheadAttention {
            embed_dim,
            num_heads,
            num_kv_heads: num_heads,
            bias: true,
            causal: Causal::No,
            rope: None,
            init: None,
            out_init: None,
        }
    }

    fn head_dim(&self) -> Result<usize, NnError> {
        let (dim, heads, kv) = (self.embed_dim, self.num_heads, self.num_kv_heads);
        let fits = heads > 0 && kv > 0 && dim.is_multiple_of(heads) && heads.is_multiple_of(kv);
        let head_dim = if fits { dim / heads } else { 0 };
        if head_dim == 0 || (self.rope.is_some() && !head_dim.is_multiple_of(2)) {
            let message = format!(
                "has embed_dim {dim}, {heads} heads and {kv} key-value heads; heads must divide embed_dim (evenly by two with rotary positions) and key-value heads must divide heads"
            );
            return Err(NnError::config("MultiheadAttention", message));
        }
        Ok(head_dim)
    }

    /// A projection whose bias, if any, starts at zero, as PyTorch has it in this layer.
    fn linear(&self, out_features: usize, init: Option<Init>) -> Linear {
        let linear = Linear::new(self.embed_dim, out_features).bias(self.bias);
        Linear { init, bias_init: Some(Init::Zeros), ..linear }
    }

    /// A projection of `x` to `heads` heads: `[B, heads, T, head_dim]`.
    fn project(&self, g: &mut Graph, name: &str, x: ValueId, heads: usize) -> Result<ValueId, NnError> {
        let head_dim = self.head_dim()?;
        let stacked = (self.num_heads + 2 * self.num_kv_heads) * head_dim;
        let init = self.init.unwrap_or(Init::xavier_uniform(self.embed_dim, stacked));
        let linear = self.linear(heads * head_dim, Some(init));
        let y = g.scope(name, |g| linear.forward(g, x))?;
        let (batch, length) = (g.shape(x)[0], g.shape(x)[1]);
        let y = g.reshape(y, &[batch, length, heads, head_dim])?;
        Ok(g.transpose(y, &[0, 2, 1, 3])?)
    }

    /// The layer with keys and values of earlier positions taken from, and those of `x` added to, states
    /// `cache_k` and `cache_v` `[B, num_kv_heads, capacity, head_dim]`. Every position attends over the whole capacity;
    /// what lies after it weighs nothing.
    ///
    /// # Errors
    /// When the layer is not causal: later positions are not there yet.
    pub fn forward_cached(
        &self,
        g: &mut Graph,
        x: ValueId,
        cache: KeyValueCache,
    ) -> Result<ValueId, NnError> {
        if self.causal == Causal::No {
            let message = "sees all positions, which a cache of earlier ones cannot give; make it causal";
            return Err(NnError::config("MultiheadAttention", message));
        }
        let length = g.shape(x).get(1).copied().unwrap_or(0) as i32;
        let offsets = g.constant(Constant::ints(&(0..length).collect::<Vec<_>>()));
        let positions = g.add(cache.position, offsets)?;
        let q = self.project(g, "q_proj", x, self.num_heads)?;
        let k = self.project(g, "k_proj", x, self.num_kv_heads)?;
        let v = self.project(g, "v_proj", x, self.num_kv_heads)?;
        let (q, k) = match self.rope {
            Some(rope) => {
                let angles = rope.tables(g, cache.capacity, self.head_dim()?, Some(positions))?;
                (rope.rotate(g, q, angles)?, rope.rotate(g, k, angles)?)
            }
            None => (q, k),
        };
        let k = self.extend(g, "cache_k", k, cache)?;
        let v = self.extend(g, "cache_v", v, cache)?;
        let seen = g.constant(Constant::ints(&(0..cache.capacity as i32).collect::<Vec<_>>()));
        let rows = g.reshape(positions, &[length as usize, 1])?;
        let visible = g.op("less_equal").arg("x", seen).arg("y", rows).one()?;
        let dtype = g.dtype(q);
        let (open, masked) = (g.float(dtype, 0.0), g.float(dtype, MASKED));
        let mask = g.select(visible, open, masked)?;
        let y = self.attend(g, q, k, v, Some(mask))?;
        self.output(g, y)
    }

    /// Writes new rows into a cache and returns all of it.
    fn extend(
        &self,
        g: &mut Graph,
        name: &str,
        rows: ValueId,
        cache: KeyValueCache,
    ) -> Result<ValueId, NnError> {
        let &[batch, heads, length, head_dim] = g.shape(rows) else {
            return Err(NnError::config("MultiheadAttention", "takes x of shape [B, T, embed_dim]"));
        };
        let ty = TensorType::fp32([batch, heads, cache.capacity, head_dim]);
        let (buffer, old) = g.buffer(name, ty, Init::Zeros)?;
        let (zero, length) =
            (g.constant(Constant::ints(&[0, 0])), g.constant(Constant::ints(&[length as i32])));
        let last = g.constant(Constant::ints(&[0]));
        let whole = g.constant(Constant::ints(&[batch as i32, heads as i32]));
        let width = g.constant(Constant::ints(&[head_dim as i32]));
        let end = g.add(cache.position, length)?;
        let join = |g: &mut Graph, parts: [ValueId; 3]| {
            g.op("concat").args("values", &parts).int("axis", 0).bool("interleave", false).one()
        };
        let begin = join(g, [zero, cache.position, last])?;
        let end = join(g, [whole, end, width])?;
        let new = g
            .op("slice_update")
            .arg("x", old)
            .arg("update", rows)
            .arg("begin", begin)
            .arg("end", end)
            .one()?;
        g.write_buffer(buffer, new)
    }

    /// `softmax(q · kᵀ / sqrt(head_dim) + mask) · v`, `[B, num_heads, T, head_dim]`.
    fn attend(
        &self,
        g: &mut Graph,
        q: ValueId,
        k: ValueId,
        v: ValueId,
        mask: Option<ValueId>,
    ) -> Result<ValueId, NnError> {
        let &[batch, heads, length, head_dim] = g.shape(q) else {
            return Err(NnError::config("MultiheadAttention", "takes x of shape [B, T, embed_dim]"));
        };
        let (kv, keys) = (self.num_kv_heads, g.shape(k)[2]);
        let group = heads / kv;
        let q = g.mul(q, 1.0 / (head_dim as f32).sqrt())?;
        // Heads that share keys stand next to one another, so a group's queries are rows of one product.
        let q = g.reshape(q, &[batch, kv, group * length, head_dim])?;
        let scores = g.matmul(q, k, false, true)?;
        let mut scores = g.reshape(scores, &[batch, heads, length, keys])?;
        if let Some(mask) = mask {
            scores = g.add(scores, mask)?;
        }
        let weights = g.op("softmax").arg("x", scores).int("axis", -1).one()?;
        let weights = g.reshape(weights, &[batch, kv, group * length, keys])?;
        let y = g.matmul(weights, v, false, false)?;
        Ok(g.reshape(y, &[batch, heads, length, head_dim])?)
    }

    /// Joins the heads and projects: `[B, T, embed_dim]`.
    fn output(&self, g: &mut Graph, y: ValueId) -> Result<ValueId, NnError> {
        let (batch, length) = (g.shape(y)[0], g.shape(y)[2]);
        let y = g.transpose(y, &[0, 2, 1, 3])?;
        let y = g.reshape(y, &[batch, length, self.embed_dim])?;
        let init = self.out_init.or(self.init);
        g.scope("out_proj", |g| self.linear(self.embed_dim, init).forward(g, y))
    }
}

impl Module for MultiheadAttention {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        let &[_, length, _] = g.shape(x) else {
            return Err(NnError::config("MultiheadAttention", "takes x of shape [B, T, embed_dim]"));
        };
        let q = self.project(g, "q_proj", x, self.num_heads)?;
        let k = self.project(g, "k_proj", x, self.num_kv_heads)?;
        let v = self.project(g, "v_proj", x, self.num_kv_heads)?;
        let (q, k) = match self.rope {
            Some(rope) => {
                let angles = rope.tables(g, length, self.head_dim()?, None)?;
                (rope.rotate(g, q, angles)?, rope.rotate(g, k, angles)?)
            }
            None => (q, k),
        };
        let mask = match self.causal {
            Causal::Yes => Some(causal_mask(g, length)?),
            Causal::No => None,
        };
        let y = self.attend(g, q, k, v, mask)?;
        self.output(g, y)
    }
}

/// `[T, T]`: 0 where the column is not after the row, [`MASKED`] elsewhere.
fn causal_mask(g: &mut Graph, length: usize) -> Result<ValueId, NnError> {
    g.shared_constant(format!("causal mask {length}"), || {
        let mut mask: Vec<f32> = Vec::new();
        let size = length.saturating_mul(length);
        mask.try_reserve_exact(size).map_err(|error| {
            let message = format!("cannot mask sequences of {length}: {error}; shorter ones need less");
            NnError::config("MultiheadAttention", message)
        })?;
        mask.extend((0..size).map(|at| if at % length <= at / length { 0.0 } else { MASKED }));
        Ok(Constant::new([length, length], mask)?)
    })
}

/// Cosines and sines, `[T, head_dim]`, and the matrix that exchanges the members of each pair.
#[derive(Clone, Copy, Debug)]
struct Angles {
    cos: ValueId,
    sin: ValueId,
    exchange: ValueId,
}

impl Rope {
    /// Tables for positions `0..length`, or for the given ones of these.
    fn tables(
        &self,
        g: &mut Graph,
        length: usize,
        head_dim: usize,
        positions: Option<ValueId>,
    ) -> Result<Angles, NnError> {
        // Computed as llama2.c and PyTorch implementations do: frequencies rounded to fp32, then their product.
        // By the `libm` crate, which gives the same bits on any platform.
        let angle = |at: usize| {
            let pair = (at % head_dim) / 2 * 2;
            let frequency = 1.0 / libm::pow(self.theta as f64, pair as f64 / head_dim as f64);
            (at / head_dim) as f64 * f64::from(frequency as f32)
        };
        let mut table = |name: &str, function: fn(f64) -> f64| {
            g.shared_constant(format!("rope {name} {} {length} {head_dim}", self.theta), || {
                let table = (0..length * head_dim).map(|at| function(angle(at)) as f32).collect();
                Ok(Constant::new([length, head_dim], table)?)
            })
        };
        let (mut cos, mut sin) = (table("cos", libm::cos)?, table("sin", libm::sin)?);
        if let Some(positions) = positions {
            cos = g.op("gather").arg("x", cos).arg("indices", positions).int("axis", 0).one()?;
            sin = g.op("gather").arg("x", sin).arg("indices", positions).int("axis", 0).one()?;
        }
        // x · exchange = (-x1, x0, -x3, x2, …)
        let exchange = |at: usize| match (at / head_dim, at % head_dim) {
            (row, column) if row % 2 == 1 && column + 1 == row => -1.0f32,
            (row, column) if row % 2 == 0 && column == row + 1 => 1.0,
            _ => 0.0,
        };
        let exchange = g.shared_constant(format!("rope exchange {head_dim}"), || {
            let matrix = (0..head_dim * head_dim).map(exchange).collect();
            Ok(Constant::new([head_dim, head_dim], matrix)?)
        })?;
        Ok(Angles { cos, sin, exchange })
    }

    /// Turns every pair of `x` `[B, H, T, head_dim]`: `x * cos + exchange(x) * sin`. The exchange is a product with a
    /// constant matrix, which costs little and is a form that every back end runs well.
    fn rotate(&self, g: &mut Graph, x: ValueId, angles: Angles) -> Result<ValueId, NnError> {
        let exchanged = g.matmul(x, angles.exchange, false, false)?;
        let along = g.mul(x, angles.cos)?;
        let across = g.mul(exchanged, angles.sin)?;
        Ok(g.add(along, across)?)
    }
}
