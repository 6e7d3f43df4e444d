//! Convolutions as matrix products: which weights, which columns, and where the results go.

use super::Reach;
use super::columns::{Columns, Layout};
use crate::gemm::{
    self, Arithmetic, BatchDim, Bias, GemmOptions, MatMut, MatRef, Operand, OperandMut, Packed, Side, Source,
};
use crate::kernels::copy::{Axis, StridedCopy};
use crate::kernels::linear::{constant_elements, elements, gemm_failed, skip, skip_mut};
use crate::kernels::{Call, In, KernelResult, Lowered, Out, operand, parallel};
use half::f16;
use mil::ops::conv::ConvGeometry;
use mil::{Constant, DataType, InferError, OpView};

/// Output positions per item below which the batch is folded into one product: fewer do not fill a tile.
const FEW_POSITIONS: usize = 64;

/// A float argument that is an operand or a constant.
#[derive(Clone)]
pub(super) enum Given {
    Operand(usize),
    Constant(Constant),
}

impl Given {
    fn of(op: &OpView<'_>, param: &'static str) -> Result<Option<Given>, InferError> {
        if op.value(param).is_none() {
            return Ok(None);
        }
        match op.constant(param) {
            Some(constant) => Ok(Some(Given::Constant(constant.clone()))),
            None => Ok(Some(Given::Operand(operand(op, param)?))),
        }
    }

    pub(super) fn elements<'a>(&'a self, inputs: &[In<'a>]) -> Result<Operand<'a>, String> {
        match self {
            Given::Operand(index) => Ok(elements(&inputs[*index])),
            Given::Constant(constant) => constant_elements(constant)
                .ok_or_else(|| format!("a parameter is {}, not floats", constant.ty())),
        }
    }
}

/// The arguments of a convolution, and the sizes of its output.
#[derive(Clone)]
pub(super) struct Parameters {
    pub(super) weight: Given,
    pub(super) bias: Option<Given>,
    /// Spatial sizes of the output.
    pub(super) output: [usize; 3],
}

impl Parameters {
    pub(super) fn of(op: &OpView<'_>, output: [usize; 3]) -> Result<Parameters, InferError> {
        let weight = Given::of(op, "weight")?.ok_or_else(|| InferError::new("weight", "is missing"))?;
        Ok(Parameters { weight, bias: Given::of(op, "bias")?, output })
    }
}

/// A convolution of stride-1 outputs or of one phase of them.
pub(super) struct Part {
    reach: [Reach; 3],
    /// Taps of the weights that belong to it, row-major.
    taps: Vec<usize>,
    /// First output position and steps between outputs; `None` when the part is the whole output, in its order.
    phase: Option<([usize; 3], [usize; 3])>,
}

impl Part {
    /// Everything at once.
    pub(super) fn whole(reach: [Reach; 3], taps: usize) -> Part {
        Part { reach, taps: (0..taps).collect(), phase: None }
    }

    /// The outputs `first + q * steps` and the taps that meet them, per dimension.
    pub(super) fn phase(
        reach: [Reach; 3],
        taps: &[Vec<usize>; 3],
        kernel: [usize; 3],
        first: [usize; 3],
        steps: [usize; 3],
    ) -> Part {
        let [d, h, w] = taps;
        let all = d.iter().flat_map(|d| h.iter().flat_map(move |h| w.iter().map(move |w| (d, h, w))));
        let taps = all.map(|(d, h, w)| (d * kernel[1] + h) * kernel[2] + w).collect();
        Part { reach, taps, phase: (steps != [1, 1, 1]).then_some((first, steps)) }
    }
}

/// One part, prepared.
struct Piece {
    layout: Layout,
    taps: Vec<usize>,
    /// The weights of each group, when they are constant.
    packed: Vec<Packed>,
    /// From the order of the product to that of the output, when they differ: the copy and its first element.
    place: Option<(StridedCopy, usize)>,
    /// Whether the input is a matrix as it lies (1x1 windows).
    pointwise: bool,
}

/// A convolution as products.
pub(super) struct Product {
    pieces: Vec<Piece>,
    parameters: Parameters,
    x: usize,
    groups: usize,
    /// Output channels of one group.
    rows: usize,
    /// Whether weights are `[C_in, C_out / groups, *K]` instead of `[C_out, C_in / groups, *K]`.
    transposed: bool,
    all_taps: usize,
    dtype: DataType,
    arithmetic: Arithmetic,
    scratch: Scratch,
}

/// Bytes of each part of the scratch memory.
#[derive(Clone, Copy)]
struct Scratch {
    /// `x` as `f32`.
    wide: usize,
    /// Weights in the order of the product.
    weights: usize,
    /// Results in the order of the product.
    results: usize,
}

/// Rounded up so that what follows is aligned.
fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(64)
}

impl Product {
    pub(super) fn new(
        op: &OpView<'_>,
        geometry: &ConvGeometry,
        input: [usize; 3],
        parts: Vec<Part>,
        parameters: Parameters,
        transposed: bool,
        arithmetic: Arithmetic,
    ) -> Result<Product, InferError> {
        let (groups, rows) = (geometry.groups, geometry.out_channels_per_group());
        let channels = geometry.in_channels_per_group();
        let dtype = op.dtype("x")?;
        let all_taps = geometry.spatial.window();
        let size = dtype.size();
        let pieces: Vec<Piece> = parts
            .into_iter()
            .map(|part| {
                let mut layout = Layout {
                    input,
                    reach: part.reach,
                    batch: geometry.batch,
                    groups,
                    channels,
                    folded: false,
                };
                layout.folded = geometry.batch > 1 && layout.positions() < FEW_POSITIONS;
                let place = place(&layout, part.phase, groups * rows, parameters.output, size);
                let pointwise = !layout.folded
                    && part.taps.len() == 1
                    && layout.reach.iter().zip(input).all(|(reach, size)| {
                        reach.stride == 1 && reach.offsets == [0] && reach.output == size
                    });
                Piece { layout, taps: part.taps, packed: Vec::new(), place, pointwise }
            })
            .collect();
        let most = |bytes: &dyn Fn(&Piece) -> usize| pieces.iter().map(bytes).max().unwrap_or(0);
        let constant = matches!(parameters.weight, Given::Constant(_));
        let rearranged = transposed && !constant;
        let weights = |piece: &Piece| rows * groups * channels * piece.taps.len() * 4;
        let results = |piece: &Piece| match piece.place {
            Some(_) => piece.layout.positions() * geometry.batch * groups * rows * size,
            None => 0,
        };
        let gathers = pieces.iter().any(|piece| !piece.pointwise);
        let x = op.tensor("x")?;
        let scratch = Scratch {
            wide: if dtype == DataType::Fp16 && gathers { aligned(x.shape.count() * 4) } else { 0 },
            weights: if rearranged { aligned(most(&weights)) } else { 0 },
            results: aligned(most(&results)),
        };
        let x = operand(op, "x")?;
        let mut product =
            Product { pieces, parameters, x, groups, rows, transposed, all_taps, dtype, arithmetic, scratch };
        product.pack();
        Ok(product)
    }

    /// Packs constant weights.
    fn pack(&mut self) {
        let Given::Constant(constant) = &self.parameters.weight else { return };
        let Some(weights) = constant.to_f32() else { return };
        let mut pieces = std::mem::take(&mut self.pieces);
        for piece in &mut pieces {
            let depth = piece.layout.channels * piece.taps.len();
            let mut ordered = vec![0.0; self.rows * depth];
            for group in 0..self.groups {
                self.order(piece, group, &weights[..], &mut ordered);
                if let Ok(matrix) = MatRef::row_major(&ordered[..], [self.rows, depth]) {
                    piece.packed.push(Packed::new(matrix, Side::A));
                }
            }
        }
        self.pieces = pieces;
    }

    /// The weights of one group as `[C_out, C_in, taps of the piece]`.
    fn order(&self, piece: &Piece, group: usize, weights: &[f32], ordered: &mut [f32]) {
        let (channels, taps) = (piece.layout.channels, piece.taps.len());
        parallel::rows(ordered, taps, 2, |line, out| {
            let (row, channel) = (line / channels, line % channels);
            let start = match self.transposed {
                true => (group * channels + channel) * self.rows + row,
                false => (group * self.rows + row) * channels + channel,
            };
            for (out, tap) in out.iter_mut().zip(&piece.taps) {
                *out = weights[start * self.all_taps + tap];
            }
        });
    }

    pub(super) fn lowered(self) -> Lowered {
        let scratch = self.scratch.wide + self.scratch.weights + self.scratch.results;
        Lowered::new(move |call: &mut Call<'_>| self.run(call)).scratch(scratch)
    }

    fn run(&self, call: &mut Call<'_>) -> KernelResult {
        // The scratch memory leaves the call for a moment, so that operands can be read beside it.
        let scratch = std::mem::take(&mut call.scratch);
        let result = self.run_with(call, scratch);
        call.scratch = scratch;
        result
    }

    fn run_with(&self, call: &mut Call<'_>, scratch: &mut [u8]) -> KernelResult {
        let (wide, rest) = scratch.split_at_mut(self.scratch.wide);
        let (weights, results) = rest.split_at_mut(self.scratch.weights);
        let x = &call.inputs[self.x];
        let wide: &mut [f32] = bytemuck::cast_slice_mut(wide);
        let gathered: &[f32] = match self.dtype {
            DataType::Fp32 => x.slice::<f32>(),
            _ if wide.is_empty() => &[],
            _ => {
                let halves = x.slice::<f16>();
                let (wide, _) = wide.split_at_mut(halves.len());
                parallel::rows(wide, parallel::GRAIN, 1, |part, wide| {
                    gemm::widen(&halves[part * parallel::GRAIN..], wide);
                });
                wide
            }
        };
        let weights: &mut [f32] = bytemuck::cast_slice_mut(weights);
        self.pieces.iter().try_for_each(|piece| self.run_piece(call, piece, gathered, weights, results))
    }

    fn run_piece(
        &self,
        call: &mut Call<'_>,
        piece: &Piece,
        gathered: &[f32],
        ordered: &mut [f32],
        results: &mut [u8],
    ) -> KernelResult {
        let x = elements(&call.inputs[self.x]);
        let weight = self.parameters.weight.elements(call.inputs)?;
        let bias = self.parameters.bias.as_ref().map(|bias| bias.elements(call.inputs)).transpose()?;
        let depth = piece.layout.channels * piece.taps.len();
        for group in 0..self.groups {
            let a: Source<'_> = match piece.packed.get(group) {
                Some(packed) => packed.into(),
                None if self.transposed => {
                    let ordered = &mut ordered[..self.rows * depth];
                    self.order_any(piece, group, weight, ordered);
                    MatRef::row_major(&*ordered, [self.rows, depth]).map_err(gemm_failed)?.into()
                }
                None => {
                    let own = skip(weight, group * self.rows * depth);
                    MatRef::row_major(own, [self.rows, depth]).map_err(gemm_failed)?.into()
                }
            };
            let bias = bias.map_or(Bias::None, |bias| Bias::PerRow(skip(bias, group * self.rows)));
            let product = Group { product: self, piece, group, a, bias };
            match &piece.place {
                None => product.run(x, gathered, whole(&mut call.outputs[0]))?,
                Some(_) => product.run(x, gathered, typed(results, self.dtype))?,
            }
        }
        if let Some((copy, start)) = &piece.place {
            copy.run(results, 0, call.outputs[0].bytes(), *start);
        }
        Ok(())
    }

    fn order_any(&self, piece: &Piece, group: usize, weight: Operand<'_>, ordered: &mut [f32]) {
        match weight {
            Operand::F32(weight) => self.order(piece, group, weight, ordered),
            Operand::F16(weight) => self.order_half(piece, group, weight, ordered),
        }
    }

    fn order_half(&self, piece: &Piece, group: usize, weights: &[f16], ordered: &mut [f32]) {
        let (channels, taps) = (piece.layout.channels, piece.taps.len());
        parallel::rows(ordered, taps, 4, |line, out| {
            let (row, channel) = (line / channels, line % channels);
            let start = (group * channels + channel) * self.rows + row;
            for (out, tap) in out.iter_mut().zip(&piece.taps) {
                *out = weights[start * self.all_taps + tap].to_f32();
            }
        });
    }
}

/// The product of one group.
struct Group<'a> {
    product: &'a Product,
    piece: &'a Piece,
    group: usize,
    a: Source<'a>,
    bias: Bias<'a>,
}

impl Group<'_> {
    fn run(&self, x: Operand<'_>, gathered: &[f32], output: OperandMut<'_>) -> KernelResult {
        let (layout, product) = (&self.piece.layout, self.product);
        let (positions, rows, groups) = (layout.positions(), product.rows, product.groups);
        let arithmetic = product.arithmetic;
        let columns = Columns { layout, x: gathered, group: self.group };
        if layout.folded {
            let lines = positions * layout.batch;
            let c = MatMut::row_major(skip_mut(output, self.group * rows * lines), [rows, lines]);
            let options = GemmOptions { bias: self.bias, arithmetic, ..GemmOptions::default() };
            return gemm::gemm(self.a, Source::Custom(&columns), c.map_err(gemm_failed)?, &options)
                .map_err(gemm_failed);
        }
        let plane = layout.input.iter().product::<usize>();
        let batch = [BatchDim {
            count: layout.batch,
            a: 0,
            b: groups * layout.channels * plane,
            c: groups * rows * positions,
        }];
        let options = GemmOptions { batch: &batch, bias: self.bias, arithmetic, ..GemmOptions::default() };
        let c = MatMut::row_major(skip_mut(output, self.group * rows * positions), [rows, positions]);
        let c = c.map_err(gemm_failed)?;
        if self.piece.pointwise {
            let own = skip(x, self.group * layout.channels * plane);
            let b = MatRef::row_major(own, [layout.channels, positions]).map_err(gemm_failed)?;
            return gemm::gemm(self.a, b, c, &options).map_err(gemm_failed);
        }
        gemm::gemm(self.a, Source::Custom(&columns), c, &options).map_err(gemm_failed)
    }
}

/// From `[C_out, N, positions]` (folded) or `[N, C_out, positions]` to the places of the output.
fn place(
    layout: &Layout,
    phase: Option<([usize; 3], [usize; 3])>,
    channels: usize,
    output: [usize; 3],
    size: usize,
) -> Option<(StridedCopy, usize)> {
    if !layout.folded && phase.is_none() {
        return None;
    }
    let (first, steps) = phase.unwrap_or(([0; 3], [1; 3]));
    let [_, height, width] = layout.reach.each_ref().map(|reach| reach.output);
    let (positions, plane) = (layout.positions(), output.iter().product::<usize>());
    let (item, channel) = match layout.folded {
        true => (positions, layout.batch * positions),
        false => (channels * positions, positions),
    };
    let to = [output[1] * output[2], output[2], 1];
    let axes = [
        (layout.batch, item, channels * plane),
        (channels, channel, plane),
        (layout.reach[0].output, height * width, steps[0] * to[0]),
        (layout.reach[1].output, width, steps[1] * to[1]),
        (layout.reach[2].output, 1, steps[2] * to[2]),
    ];
    let axes = axes.map(|(count, from, to)| Axis { count, from: from as isize, to: to as isize });
    let start = (0..3).map(|i| first[i] * to[i]).sum();
    Some((StridedCopy::new(size, axes), start))
}

fn whole<'a>(output: &'a mut Out<'_>) -> OperandMut<'a> {
    crate::kernels::linear::elements_mut(output)
}

fn typed(memory: &mut [u8], dtype: DataType) -> OperandMut<'_> {
    match dtype {
        DataType::Fp16 => OperandMut::F16(bytemuck::cast_slice_mut(memory)),
        _ => OperandMut::F32(bytemuck::cast_slice_mut(memory)),
    }
}
