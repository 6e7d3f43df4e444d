//! One step of each op: adds the state's part to the gates and computes the next state.
//!
//! A row of gates holds blocks of `H` elements in the order of the weights; a row of state holds `h` and what else the op
//! keeps. Rows are items of the batch.

use super::product::Product;
use super::rows;
use crate::gemm::{Bias, GemmOptions, MatMut, MatRef};
use crate::kernels::linear::gemm_failed;
use crate::kernels::{KernelResult, parallel};
use mil::ops::recurrent::{Nonlinearity, RecurrentGeometry, clip};
use mil::{InferError, OpView};

/// What the driver must know of a cell, in blocks of `H` elements.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// In a row of gates, those that the input gives first.
    pub(super) gates: usize,
    /// In a row of state; the first ones are states.
    pub(super) vectors: usize,
    /// States that operands give and outputs take: `h`, then `c`.
    pub(super) states: usize,
}

/// An op's step.
pub(super) trait Cell: Send + Sync {
    /// Sizes of its rows.
    fn layout(&self) -> Layout;
    /// What is added to the input's part of the gates; empty for nothing.
    fn bias(&self) -> &[f32];
    /// From the input's part of the gates and the state to the next state.
    fn step(&self, gates: &mut [f32], state: &mut [f32]) -> KernelResult;
}

/// Operations that a nonlinearity is counted as when work is split.
const COST: usize = 16;

/// Sizes that every step uses.
#[derive(Clone, Copy)]
struct Size {
    batch: usize,
    hidden: usize,
}

impl Size {
    fn of(geometry: &RecurrentGeometry) -> Size {
        Size { batch: geometry.batch, hidden: geometry.hidden }
    }

    /// Vector `vector` of every row, each row having `vectors`.
    fn read(self, data: &[f32], vector: usize, vectors: usize) -> Result<MatRef<'_>, String> {
        let strides = [vectors * self.hidden, 1];
        MatRef::new(&data[vector * self.hidden..], [self.batch, self.hidden], strides).map_err(gemm_failed)
    }

    /// Vectors from `vector` on, `count` of them, of every row, each row having `vectors`.
    fn write(
        self,
        data: &mut [f32],
        vector: usize,
        count: usize,
        vectors: usize,
    ) -> Result<MatMut<'_>, String> {
        let (shape, strides) = ([self.batch, count * self.hidden], [vectors * self.hidden, 1]);
        MatMut::new(&mut data[vector * self.hidden..], shape, strides).map_err(gemm_failed)
    }

    /// Calls `body` on every row of gates and its row of state.
    fn rows(
        self,
        (gates, state): (&mut [f32], &mut [f32]),
        layout: Layout,
        body: impl Fn(&mut [f32], &mut [f32]) + Sync,
    ) {
        let widths = [layout.gates * self.hidden, layout.vectors * self.hidden];
        parallel::paired_rows((gates, state), widths, widths[0].saturating_mul(COST), body);
    }
}

/// A constant parameter as `f32`; `None` when it is absent.
fn values(op: &OpView<'_>, param: &'static str) -> Result<Option<Vec<f32>>, InferError> {
    if op.value(param).is_none() {
        return Ok(None);
    }
    let values = op.constant(param).and_then(|constant| Some(constant.to_f32()?.into_owned()));
    values.map(Some).ok_or_else(|| InferError::new(param, "must be a constant of numbers"))
}

struct Rnn {
    size: Size,
    recurrent: Product,
    bias: Vec<f32>,
    activation: Nonlinearity,
}

/// The step of `rnn`.
pub(super) fn rnn(
    op: &OpView<'_>,
    geometry: &RecurrentGeometry,
    _: bool,
) -> Result<Box<dyn Cell>, InferError> {
    Ok(Box::new(Rnn {
        size: Size::of(geometry),
        recurrent: Product::new(op, "weight_hh", 0..geometry.hidden, geometry)?,
        bias: values(op, "bias")?.unwrap_or_default(),
        activation: Nonlinearity::of(op, "activation")?,
    }))
}

impl Cell for Rnn {
    fn layout(&self) -> Layout {
        Layout { gates: 1, vectors: 1, states: 1 }
    }

    fn bias(&self) -> &[f32] {
        &self.bias
    }

    fn step(&self, gates: &mut [f32], state: &mut [f32]) -> KernelResult {
        self.recurrent.add(self.size.read(state, 0, 1)?, self.size.write(gates, 0, 1, 1)?)?;
        self.size.rows((gates, state), self.layout(), |gates, state| {
            rows::apply(self.activation, gates);
            state.copy_from_slice(gates);
        });
        Ok(())
    }
}

struct Lstm {
    size: Size,
    recurrent: Product,
    bias: Vec<f32>,
    peephole: Option<Vec<f32>>,
    /// Of the gates, the new values and the outgoing state.
    activations: [Nonlinearity; 3],
    clip: Option<f32>,
}

/// The step of `lstm`.
pub(super) fn lstm(
    op: &OpView<'_>,
    geometry: &RecurrentGeometry,
    back: bool,
) -> Result<Box<dyn Cell>, InferError> {
    let [recurrent, bias, peephole] = match back {
        true => ["weight_hh_back", "bias_back", "peephole_back"],
        false => ["weight_hh", "bias", "peephole"],
    };
    Ok(Box::new(Lstm {
        size: Size::of(geometry),
        recurrent: Product::new(op, recurrent, 0..4 * geometry.hidden, geometry)?,
        bias: values(op, bias)?.unwrap_or_default(),
        peephole: values(op, peephole)?,
        activations: [
            Nonlinearity::of(op, "recurrent_activation")?,
            Nonlinearity::of(op, "cell_activation")?,
            Nonlinearity::of(op, "activation")?,
        ],
        clip: clip(op)?,
    }))
}

impl Cell for Lstm {
    fn layout(&self) -> Layout {
        Layout { gates: 4, vectors: 2, states: 2 }
    }

    fn bias(&self) -> &[f32] {
        &self.bias
    }

    fn step(&self, gates: &mut [f32], state: &mut [f32]) -> KernelResult {
        let n = self.size.hidden;
        self.recurrent.add(self.size.read(state, 0, 2)?, self.size.write(gates, 0, 4, 4)?)?;
        let [gate, cell_activation, outgoing] = self.activations;
        self.size.rows((gates, state), self.layout(), |gates, state| {
            let (h, cell) = state.split_at_mut(n);
            let (input_forget, rest) = gates.split_at_mut(2 * n);
            let (output, new) = rest.split_at_mut(n);
            if let Some(peephole) = &self.peephole {
                rows::add_product(&mut input_forget[..n], &peephole[..n], cell);
                rows::add_product(&mut input_forget[n..], &peephole[n..2 * n], cell);
            }
            rows::apply(gate, input_forget);
            rows::apply(cell_activation, new);
            rows::remember(cell, &input_forget[n..], &input_forget[..n], new);
            if let Some(limit) = self.clip {
                rows::clip(cell, limit);
            }
            if let Some(peephole) = &self.peephole {
                rows::add_product(output, &peephole[2 * n..], cell);
            }
            rows::apply(gate, output);
            h.copy_from_slice(cell);
            rows::apply(outgoing, h);
            rows::scale(h, output);
        });
        Ok(())
    }
}

struct Gru {
    size: Size,
    /// The products of the gates `r`, `o`, `z`.
    recurrent: [Product; 3],
    bias: Vec<f32>,
    /// With `reset_after`, what is added to the state's part of `o`.
    after: Option<Vec<f32>>,
    /// Of the gates and the new values.
    activations: [Nonlinearity; 2],
}

/// The step of `gru`.
pub(super) fn gru(
    op: &OpView<'_>,
    geometry: &RecurrentGeometry,
    _: bool,
) -> Result<Box<dyn Cell>, InferError> {
    let n = geometry.hidden;
    let part = |gate: usize| Product::new(op, "weight_hh", gate * n..(gate + 1) * n, geometry);
    let mut bias = values(op, "input_bias")?.unwrap_or_else(|| vec![0.0; 3 * n]);
    let mut recurrent = values(op, "bias")?.unwrap_or_else(|| vec![0.0; 3 * n]);
    let after = op.bool("reset_after")?.then(|| recurrent[n..2 * n].to_vec());
    if after.is_some() {
        // It takes part where the reset gate reaches it, and only there.
        recurrent[n..2 * n].fill(0.0);
    }
    rows::add_product(&mut bias, &recurrent, &vec![1.0; 3 * n]);
    Ok(Box::new(Gru {
        size: Size::of(geometry),
        recurrent: [part(0)?, part(1)?, part(2)?],
        bias,
        after,
        activations: [Nonlinearity::of(op, "recurrent_activation")?, Nonlinearity::of(op, "activation")?],
    }))
}

impl Cell for Gru {
    /// The extra block holds what the reset gate scales: in the state the scaled `h`, which the product reads; with
    /// `reset_after` in the gates the product, which it writes.
    fn layout(&self) -> Layout {
        match self.after {
            Some(_) => Layout { gates: 4, vectors: 1, states: 1 },
            None => Layout { gates: 3, vectors: 2, states: 1 },
        }
    }

    fn bias(&self) -> &[f32] {
        &self.bias
    }

    fn step(&self, gates: &mut [f32], state: &mut [f32]) -> KernelResult {
        let (size, layout) = (self.size, self.layout());
        let n = size.hidden;
        let Layout { gates: blocks, vectors, .. } = layout;
        let [reset, new, update] = &self.recurrent;
        let [gate, activation] = self.activations;
        reset.add(size.read(state, 0, vectors)?, size.write(gates, 0, 1, blocks)?)?;
        update.add(size.read(state, 0, vectors)?, size.write(gates, 2, 1, blocks)?)?;
        match &self.after {
            Some(bias) => {
                let options =
                    GemmOptions { bias: Bias::PerColumn(bias[..].into()), ..GemmOptions::default() };
                new.run(size.read(state, 0, vectors)?, size.write(gates, 3, 1, blocks)?, options)?;
                size.rows((gates, state), layout, |gates, _| {
                    let (front, scaled) = gates.split_at_mut(3 * n);
                    let (reset, rest) = front.split_at_mut(n);
                    rows::apply(gate, reset);
                    rows::add_product(&mut rest[..n], reset, scaled);
                });
            }
            None => {
                size.rows((gates, state), layout, |gates, state| {
                    let (h, scaled) = state.split_at_mut(n);
                    rows::apply(gate, &mut gates[..n]);
                    rows::product(scaled, &gates[..n], h);
                });
                new.add(size.read(state, 1, vectors)?, size.write(gates, 1, 1, blocks)?)?;
            }
        }
        size.rows((gates, state), layout, |gates, state| {
            let (new, update) = gates[n..3 * n].split_at_mut(n);
            rows::apply(activation, new);
            rows::apply(gate, update);
            rows::blend(&mut state[..n], update, new);
        });
        Ok(())
    }
}
