//! Convolutions with one input channel per group: no matrix product would pay, so rows of outputs sum up tap by tap.

use super::product::Parameters;
use crate::gemm::Operand;
use crate::isa::per_isa;
use crate::kernels::windows::{COLUMNS, Tap, Windows};
use crate::kernels::{Float, Lowered, operand, parallel, unsupported};
use half::f16;
use mil::ops::conv::ConvGeometry;
use mil::{DataType, InferError, OpView};

/// Whether this is the way to compute a convolution.
pub(super) fn suits(geometry: &ConvGeometry) -> bool {
    geometry.groups > 1 && geometry.in_channels_per_group() == 1
}

/// The windows of a transposed convolution at stride 1, which is a convolution with its window turned round; `None` where
/// this is not the way to compute it. `windows` are those of the convolution whose gradient it is.
pub(super) fn transposed(geometry: &ConvGeometry, windows: &Windows) -> Option<Windows> {
    let one_each =
        geometry.groups > 1 && [geometry.in_channels, geometry.out_channels] == [geometry.groups; 2];
    if !one_each || windows.strides != [1; 3] {
        return None;
    }
    let mut turned = Windows { input: windows.output, output: windows.input, after: [0; 3], ..*windows };
    for i in 0..3 {
        turned.before[i] = ((windows.kernel[i] - 1) * windows.dilations[i]).checked_sub(windows.before[i])?;
    }
    Some(turned)
}

/// A convolution; with `turned` the last weight of a window meets its first element.
pub(super) fn lower(
    op: &OpView<'_>,
    geometry: &ConvGeometry,
    windows: Windows,
    parameters: Parameters,
    turned: bool,
) -> Result<Lowered, InferError> {
    match op.dtype("x")? {
        DataType::Fp32 => typed::<f32>(op, geometry, windows, parameters, turned),
        DataType::Fp16 => typed::<f16>(op, geometry, windows, parameters, turned),
        _ => Err(unsupported("x", op.tensor("x")?)),
    }
}

fn typed<T: Float>(
    op: &OpView<'_>,
    geometry: &ConvGeometry,
    windows: Windows,
    parameters: Parameters,
    turned: bool,
) -> Result<Lowered, InferError> {
    let (inputs, outputs) = (geometry.in_channels, geometry.out_channels);
    let per_group = geometry.out_channels_per_group();
    let (width, rows, taps, plane) =
        (windows.output[2], windows.rows(), windows.taps(), windows.input_count());
    let x = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        let weight = parameters.weight.elements(call.inputs)?;
        let bias = parameters.bias.as_ref().map(|bias| bias.elements(call.inputs)).transpose()?;
        let input = call.inputs[x].slice::<T>();
        parallel::rows(call.outputs[0].slice::<T>(), width, taps, |line, out| {
            let (item, channel) = (line / rows / outputs, line / rows % outputs);
            let source = &input[(item * inputs + channel / per_group) * plane..][..plane];
            for (part, out) in out.chunks_mut(COLUMNS).enumerate() {
                let mut buffer = [0.0; COLUMNS];
                T::fill(out, &mut buffer, |sums| {
                    sums.fill(0.0);
                    let columns = part * COLUMNS..part * COLUMNS + sums.len();
                    windows.for_each_tap(line % rows, columns, |Tap { index, outputs, start }| {
                        let tap = if turned { taps - 1 - index } else { index };
                        let weight = element(weight, channel * taps + tap);
                        add(&mut sums[outputs], &source[start..], windows.strides[2], weight);
                    });
                    if let Some(bias) = bias {
                        let bias = element(bias, channel);
                        sums.iter_mut().for_each(|sum| *sum += bias);
                    }
                });
            }
        });
        Ok(())
    }))
}

fn element(data: Operand<'_>, index: usize) -> f32 {
    match data {
        Operand::F32(data) => data[index],
        Operand::F16(data) => data[index].to_f32(),
    }
}

/// `sums[i] += line[i * stride] * weight`.
fn add<T: Float>(sums: &mut [f32], line: &[T], stride: usize, weight: f32) {
    if T::IS_WIDE && stride == 1 && sums.len() >= 8 {
        return add_neighbours(sums, T::widen(line, &mut []), weight);
    }
    for (sum, x) in sums.iter_mut().zip(line.iter().step_by(stride)) {
        *sum += x.to_f32() * weight;
    }
}

per_isa! {
    fn add_neighbours[](sums: &mut [f32], line: &[f32], weight: f32) -> () {
        for (sum, x) in sums.iter_mut().zip(line) {
            *sum += x * weight;
        }
    }
}
