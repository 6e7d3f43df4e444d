//! Dense 3x3 convolutions of stride 1 as the engine computes them from H17 on: for each row of the kernel by Winograd's algorithm
//! `F(2, 3)` along the width, in fixed point.
//!
//! ```text
//! U = G g          [g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2]    half away from zero to fp16
//! V = Bᵀ d         [d0 - d2, d1 + d2, d2 - d1, d1 - d3]                half away from zero to fp16
//! M = Σ U · V      over channels and the rows of the kernel: products and sums of [`gemm::fixed`]
//! y = Aᵀ M + bias  [M0 + M1 + M2, M1 - M2 - M3]                        exact, then rounded like any sum
//! ```
//!
//! Two neighbouring outputs make a tile. For an odd width the last tile has one, and reads zeros where the input has ended: that
//! is our assumption, as is that a convolution with weights known at run time only is computed directly.

use super::product::Parameters;
use crate::gemm::{self, MatRef, Operand, Pack, Packed, Side, Source};
use crate::isa::per_isa;
use crate::kernels::linear::gemm_failed;
use crate::kernels::windows::Windows;
use crate::kernels::{Call, KernelResult, Lowered, operand, parallel};
use crate::numerics::rounding::{half_away_from_f64, half_of_sum, quanta, round_half_away};
use half::f16;
use mil::ops::conv::geometry;
use mil::{InferError, OpView};
use std::ops::Range;

/// Bytes of sums held at a time.
const SUMS: usize = 8 << 20;
/// Tiles whose inputs are gathered beside each other.
const TILES: usize = 128;

/// The kernel of a convolution that is computed so; `None` where it is not.
pub(crate) fn lower(op: &OpView<'_>) -> Option<Result<Lowered, InferError>> {
    let geometry = geometry(op).ok()?;
    let windows = Windows::new(&geometry.spatial);
    let dense = geometry.groups == 1 && geometry.spatial.kernel[..] == [3, 3];
    if !dense || windows.strides != [1; 3] || windows.dilations != [1; 3] {
        return None;
    }
    let weight = op.constant("weight")?.to_f32()?;
    let [_, height, width] = windows.output;
    let sizes = Sizes {
        batch: geometry.batch,
        channels: geometry.in_channels,
        outputs: geometry.out_channels,
        height,
        width,
        tiles: width.div_ceil(2),
        input: [windows.input[1], windows.input[2]],
        before: [windows.before[1], windows.before[2]],
    };
    Some(Parameters::of(op, windows.output).and_then(|parameters| {
        let x = operand(op, "x")?;
        Ok(lowered(sizes, filters(&weight, sizes), parameters, x))
    }))
}

#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    channels: usize,
    outputs: usize,
    height: usize,
    width: usize,
    /// Tiles of a row of outputs.
    tiles: usize,
    /// Height and width of the input.
    input: [usize; 2],
    /// Padding above and on the left.
    before: [usize; 2],
}

impl Sizes {
    /// Floats of `V` of a channel: `[4, height + 2, tiles]`.
    fn channel(&self) -> usize {
        4 * (self.height + 2) * self.tiles
    }

    /// Rows of outputs whose sums are held at a time.
    fn rows(&self) -> usize {
        (SUMS / (32 * self.outputs * self.tiles).max(1)).clamp(1, self.height.max(1))
    }
}

/// `U`, as the matrix `[outputs, channels * 3]` of each of its four places.
fn filters(weight: &[f32], sizes: Sizes) -> [Packed; 4] {
    std::array::from_fn(|place| {
        let line = |g: &[f32]| {
            let [a, b, c] = [0, 1, 2].map(|i| f64::from(round_half_even(g[i])));
            half_away_from_f64([a, (a + b + c) / 2.0, (a - b + c) / 2.0, c][place])
        };
        let matrix: Vec<f32> = weight.chunks_exact(3).map(line).collect();
        let shape = [sizes.outputs, sizes.channels * 3];
        let matrix =
            MatRef::row_major(&matrix[..], shape).expect("a row of three for each output, channel and row");
        Packed::new(matrix, Side::A)
    })
}

/// What a host makes of a weight that is not `fp16`.
fn round_half_even(value: f32) -> f32 {
    f16::from_f32(value).to_f32()
}

fn lowered(sizes: Sizes, filters: [Packed; 4], parameters: Parameters, x: usize) -> Lowered {
    let inputs = sizes.channels * sizes.channel() * 4;
    let inputs = inputs.next_multiple_of(64);
    let sums = 32 * sizes.outputs * sizes.tiles * sizes.rows();
    let run = move |call: &mut Call<'_>| -> KernelResult {
        let scratch = std::mem::take(&mut call.scratch);
        let (transformed, sums) = scratch.split_at_mut(inputs);
        let transformed = &mut bytemuck::cast_slice_mut(transformed)[..sizes.channels * sizes.channel()];
        let bias = parameters.bias.as_ref().map(|bias| bias.elements(call.inputs)).transpose()?;
        let (count, plane) = (sizes.outputs * sizes.height * sizes.width, sizes.height * sizes.width);
        let result = (0..sizes.batch).try_for_each(|item| {
            let size = sizes.input[0] * sizes.input[1];
            let input = &call.inputs[x].slice::<f16>()[item * sizes.channels * size..];
            transform(sizes, input, transformed);
            let output = &mut call.outputs[0].slice::<f16>()[item * count..][..count];
            for first in (0..sizes.height).step_by(sizes.rows()) {
                let rows = first..sizes.height.min(first + sizes.rows());
                let part = sizes.outputs * rows.len() * sizes.tiles;
                let sums: &mut [i64] = &mut bytemuck::cast_slice_mut(sums)[..4 * part];
                for (place, sums) in sums.chunks_exact_mut(part.max(1)).enumerate() {
                    let tiles = Tiles { sizes, transformed, place, rows: rows.clone() };
                    gemm::fixed::sums((&filters[place]).into(), Source::Custom(&tiles), sums)
                        .map_err(gemm_failed)?;
                }
                let sums = &*sums;
                let width = rows.len() * sizes.tiles;
                parallel::rows(output, plane, 8 * width, |channel, plane| {
                    let bias = bias.map_or(0, |bias| quanta(element(bias, channel)));
                    let place = |place: usize| &sums[place * part + channel * width..][..width];
                    let places = [place(0), place(1), place(2), place(3)];
                    finish(sizes, places, bias, &mut plane[rows.start * sizes.width..rows.end * sizes.width]);
                });
            }
            Ok(())
        });
        call.scratch = scratch;
        result
    };
    Lowered::new(run).scratch(inputs + sums)
}

fn element(data: Operand<'_>, index: usize) -> f32 {
    match data {
        Operand::F32(data) => data[index],
        Operand::F16(data) => data[index].to_f32(),
    }
}

/// `V` of one item, `[channels, 4, height + 2, tiles]`.
fn transform(sizes: Sizes, input: &[f16], transformed: &mut [f32]) {
    let [height, width] = sizes.input;
    let (tiles, rows) = (sizes.tiles, sizes.height + 2);
    parallel::rows(transformed, sizes.channel(), 2 * sizes.channel(), |channel, out| {
        let plane = &input[channel * height * width..][..height * width];
        for row in 0..rows {
            let line = match row.checked_sub(sizes.before[0]) {
                Some(y) if y < height => &plane[y * width..][..width],
                _ => &[],
            };
            for first in (0..tiles).step_by(TILES) {
                let count = TILES.min(tiles - first);
                let mut gathered = [0.0; 2 * TILES + 2];
                gather(line, 2 * first, sizes.before[1], &mut gathered[..2 * count + 2]);
                for place in 0..4 {
                    let to = &mut out[(place * rows + row) * tiles + first..][..count];
                    inputs(place, &gathered, to);
                }
            }
        }
    });
}

/// `out[i] = line[start + i - before]`, zero beyond the line.
fn gather(line: &[f16], start: usize, before: usize, out: &mut [f32]) {
    let skipped = before.saturating_sub(start).min(out.len());
    let from = (start + skipped).saturating_sub(before).min(line.len());
    let count = (line.len() - from).min(out.len() - skipped);
    gemm::widen(&line[from..from + count], &mut out[skipped..skipped + count]);
}

per_isa! {
    /// One place of `V`. (The sums of two `fp16` numbers lose nothing in `f32` that could move them to the middle between two.)
    fn inputs[](place: usize, d: &[f32; 2 * TILES + 2], to: &mut [f32]) -> () {
        let (first, second, sign) = match place {
            0 => (0, 2, -1.0),
            1 => (1, 2, 1.0),
            2 => (2, 1, -1.0),
            _ => (1, 3, -1.0),
        };
        for (tile, to) in to.iter_mut().enumerate() {
            *to = round_half_away(d[2 * tile + first] + sign * d[2 * tile + second]);
        }
    }
}

/// One place of `V` as a matrix of which lines are tiles, and `k` runs over channels, then rows of the kernel.
struct Tiles<'a> {
    sizes: Sizes,
    transformed: &'a [f32],
    place: usize,
    rows: Range<usize>,
}

impl Pack for Tiles<'_> {
    fn lines(&self) -> usize {
        self.rows.len() * self.sizes.tiles
    }

    fn depth(&self) -> usize {
        self.sizes.channels * 3
    }

    fn pack(&self, _: usize, lines: Range<usize>, k: Range<usize>, width: usize, dst: &mut [f32]) {
        let (tiles, rows) = (self.sizes.tiles, self.sizes.height + 2);
        for (panel, dst) in dst.chunks_exact_mut(width * k.len().max(1)).enumerate() {
            let first = lines.start + panel * width;
            let count = width.min(lines.end - first);
            for (k, dst) in k.clone().zip(dst.chunks_exact_mut(width)) {
                // Tiles of one row after the other: neighbours in `V` too.
                let row = (k / 3 * 4 + self.place) * rows + k % 3 + self.rows.start;
                dst[..count].copy_from_slice(&self.transformed[row * tiles + first..][..count]);
            }
        }
    }
}

/// Rows of outputs from their sums.
fn finish(sizes: Sizes, [m0, m1, m2, m3]: [&[i64]; 4], bias: i64, output: &mut [f16]) {
    for (row, line) in output.chunks_exact_mut(sizes.width).enumerate() {
        for (tile, line) in line.chunks_mut(2).enumerate() {
            let at = row * sizes.tiles + tile;
            let sums = [m0[at] + m1[at] + m2[at] + bias, m1[at] - m2[at] - m3[at] + bias];
            for (out, sum) in line.iter_mut().zip(sums) {
                *out = f16::from_f32(half_of_sum(sum));
            }
        }
    }
}
