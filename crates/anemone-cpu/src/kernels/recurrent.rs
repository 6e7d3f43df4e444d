//! Recurrent networks: the input's part of the gates is one matrix product over many steps, then every step adds the
//! state's part and applies the nonlinearities to whole rows.
//!
//! # Rounding
//!
//! Gates and states are `fp32` from the first step to the last, for `fp16` as well; an `fp16` operation rounds once, when
//! a state is written to an output. (Every `fp16` op of this engine computes in `fp32` and rounds its results. So a
//! sequence cut into two operations rounds the state between them, and differs from the uncut one by that rounding.) A
//! gate is `(x · W_ih + b) + h · W_hh`, each product summed as [`gemm`](crate::gemm) says, then the peephole's term.

use super::linear::gemm_failed;
use super::{Call, Float, KernelResult, Lower, Lowered, for_float, operand};
use crate::gemm::{Bias, GemmOptions, MatMut, MatRef, Operand};
use cells::Cell;
use mil::ops::recurrent::{Direction, RecurrentGeometry, geometry};
use mil::{InferError, OpView};
use product::Product;

mod cells;
mod product;
mod rows;
#[cfg(test)]
mod tests;

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("gru", |op| for_float!(op, "x", lower, cells::gru)),
    ("lstm", |op| for_float!(op, "x", lower, cells::lstm)),
    ("rnn", |op| for_float!(op, "x", lower, cells::rnn)),
];

/// Makes the cell of one direction; `back` for the second half of a bidirectional operation.
type MakeCell = fn(&OpView<'_>, &RecurrentGeometry, bool) -> Result<Box<dyn Cell>, InferError>;

/// Floats of the gates that are computed ahead from the input: enough rows for an efficient product, few enough to be
/// still in the second-level cache or near it when their step comes.
const AHEAD: usize = 1 << 18;

/// One direction of an operation.
struct Layer {
    /// The product with the input.
    input: Product,
    /// What a step does.
    cell: Box<dyn Cell>,
    /// From the last step to the first.
    reversed: bool,
    /// Outputs stand in the order of the input, even so.
    aligned: bool,
    /// The first element of this direction's half in a row of states.
    offset: usize,
}

/// Everything but the weights.
#[derive(Clone, Copy)]
struct Sizes {
    geometry: RecurrentGeometry,
    /// Steps whose gates are computed at once.
    ahead: usize,
    /// Elements of a row of states in operands and outputs: `D*H`.
    states: usize,
    /// Places of `x`, `initial_h` and `initial_c` among the operands.
    operands: [usize; 3],
}

fn lower<T: Float>(op: &OpView<'_>, make: MakeCell) -> Result<Lowered, InferError>
where
    for<'a> &'a [T]: Into<Operand<'a>>,
{
    let geometry = geometry(op)?;
    let RecurrentGeometry { steps, batch, hidden, .. } = geometry;
    if batch == 0 || hidden == 0 {
        return Ok(Lowered::new(|_| Ok(())));
    }
    let layers = match geometry.direction {
        Direction::Forward => vec![Layer::new(op, &geometry, make, false)?],
        Direction::Reverse => {
            vec![Layer { reversed: true, ..Layer::new(op, &geometry, make, false)? }]
        }
        Direction::Bidirectional => {
            vec![Layer::new(op, &geometry, make, false)?, Layer::new(op, &geometry, make, true)?]
        }
    };
    let cell = layers[0].cell.layout();
    let row = batch.checked_mul(hidden).filter(|row| row.checked_mul(64).is_some());
    let row = row.ok_or_else(|| InferError::new("initial_h", "gives more gates than memory can hold"))?;
    let ahead = (AHEAD / (row * cell.gates)).clamp(1, steps);
    let initial_c = if cell.states > 1 { operand(op, "initial_c")? } else { 0 };
    let sizes = Sizes {
        geometry,
        ahead,
        states: geometry.directions() * hidden,
        operands: [operand(op, "x")?, operand(op, "initial_h")?, initial_c],
    };
    let floats =
        (row * cell.gates).checked_mul(ahead).and_then(|gates| gates.checked_add(row * cell.vectors));
    let bytes = floats.and_then(|floats| floats.checked_add(hidden)?.checked_mul(4));
    let bytes = bytes.ok_or_else(|| InferError::new("x", "gives more gates than memory can hold"))?;
    let run = move |call: &mut Call<'_>| -> KernelResult {
        layers.iter().try_for_each(|layer| layer.run::<T>(call, &sizes))
    };
    Ok(Lowered::new(run).scratch(bytes))
}

impl Layer {
    /// The forward direction of any operation, or the way back of a bidirectional one.
    fn new(
        op: &OpView<'_>,
        geometry: &RecurrentGeometry,
        make: MakeCell,
        back: bool,
    ) -> Result<Layer, InferError> {
        let cell = make(op, geometry, back)?;
        let rows = geometry.gates * geometry.hidden;
        let input = Product::new(op, if back { "weight_ih_back" } else { "weight_ih" }, 0..rows, geometry)?;
        let offset = if back { geometry.hidden } else { 0 };
        Ok(Layer { input, cell, reversed: back, aligned: back, offset })
    }

    fn run<T: Float>(&self, call: &mut Call<'_>, sizes: &Sizes) -> KernelResult
    where
        for<'a> &'a [T]: Into<Operand<'a>>,
    {
        let RecurrentGeometry { steps, batch, features, hidden, .. } = sizes.geometry;
        let layout = self.cell.layout();
        let width = layout.gates * hidden;
        let floats: &mut [f32] = bytemuck::cast_slice_mut(std::mem::take(&mut call.scratch));
        let (gates, rest) = floats.split_at_mut(sizes.ahead * batch * width);
        let (state, buffer) = rest.split_at_mut(batch * layout.vectors * hidden);
        let [x, initial @ ..] = sizes.operands;
        for (vector, &initial) in initial[..layout.states].iter().enumerate() {
            let from = call.inputs[initial].slice::<T>().chunks_exact(sizes.states);
            for (state, from) in state.chunks_exact_mut(layout.vectors * hidden).zip(from) {
                load(&from[self.offset..][..hidden], &mut state[vector * hidden..][..hidden]);
            }
        }
        let x = call.inputs[x].slice::<T>();
        let mut done = 0;
        while done < steps {
            let count = sizes.ahead.min(steps - done);
            let first = if self.reversed { steps - done - count } else { done };
            let part = &x[first * (batch * features)..][..count * (batch * features)];
            self.project(part, count * batch, &mut gates[..count * batch * width], sizes)?;
            for at in 0..count {
                let step = if self.reversed { count - 1 - at } else { at };
                self.cell.step(&mut gates[step * batch * width..][..batch * width], state)?;
                if sizes.geometry.output_sequence {
                    let row = if self.aligned { first + step } else { done + at };
                    let out = &mut call.outputs[0].slice::<T>()[row * batch * sizes.states..];
                    self.store(out, state, 0, buffer, sizes);
                }
            }
            done += count;
        }
        if !sizes.geometry.output_sequence {
            self.store(call.outputs[0].slice::<T>(), state, 0, buffer, sizes);
        }
        for vector in 0..layout.states {
            self.store(call.outputs[1 + vector].slice::<T>(), state, vector, buffer, sizes);
        }
        call.scratch = bytemuck::cast_slice_mut(floats);
        Ok(())
    }

    /// The input's part of the gates of `rows` rows.
    fn project<'a, T>(&self, x: &'a [T], rows: usize, gates: &mut [f32], sizes: &Sizes) -> KernelResult
    where
        &'a [T]: Into<Operand<'a>>,
    {
        let RecurrentGeometry { features, hidden, gates: blocks, .. } = sizes.geometry;
        let a = MatRef::row_major(x, [rows, features]).map_err(gemm_failed)?;
        let width = self.cell.layout().gates * hidden;
        let c = MatMut::new(gates, [rows, blocks * hidden], [width, 1]).map_err(gemm_failed)?;
        let bias = match self.cell.bias() {
            [] => Bias::None,
            bias => Bias::PerColumn(bias.into()),
        };
        self.input.run(a, c, GemmOptions { bias, ..GemmOptions::default() })
    }

    /// Writes one vector of every state to the rows of `out`.
    fn store<T: Float>(
        &self,
        out: &mut [T],
        state: &[f32],
        vector: usize,
        buffer: &mut [f32],
        sizes: &Sizes,
    ) {
        let hidden = sizes.geometry.hidden;
        let rows = state.chunks_exact(self.cell.layout().vectors * hidden);
        for (out, state) in out.chunks_exact_mut(sizes.states).zip(rows) {
            let from = &state[vector * hidden..][..hidden];
            T::fill(&mut out[self.offset..][..hidden], buffer, |to| to.copy_from_slice(from));
        }
    }
}

/// Widens `from` into `to`, which is as long.
fn load<T: Float>(from: &[T], to: &mut [f32]) {
    if T::IS_WIDE {
        to.copy_from_slice(T::widen(from, &mut []));
    } else {
        T::widen(from, to);
    }
}
