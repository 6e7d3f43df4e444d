//! Moving between an input and the windows over it, for convolution and pooling.

use super::shapes;
use mil::ops::spatial::Spatial;
use mil::{BuildError, FunctionBuilder, ValueId};

/// Padding that the last window needs after the input; negative when elements at the end are in no window.
pub(super) fn overhang(spatial: &Spatial, i: usize) -> isize {
    let reach = (spatial.output[i] - 1) * spatial.strides[i] + spatial.span(i);
    reach as isize - (spatial.pad_before[i] + spatial.input[i]) as isize
}

/// Padding after dimension `i` that makes the windows end where the padded input ends, or 0.
fn pad_after(spatial: &Spatial, i: usize) -> usize {
    overhang(spatial, i).max(0) as usize
}

/// The `pad` parameter of an op with these windows.
pub(super) fn pad_param(spatial: &Spatial) -> Vec<i32> {
    (0..spatial.rank()).flat_map(|i| [spatial.pad_before[i] as i32, pad_after(spatial, i) as i32]).collect()
}

/// One number per dimension as `int32`.
pub(super) fn to_i32(dims: &[usize]) -> Vec<i32> {
    dims.iter().map(|&dim| dim as i32).collect()
}

/// `[N, C, *input]` with padding of `fill` where windows reach beyond it; elements after the last window stay.
pub(super) fn padded(
    f: &mut FunctionBuilder,
    x: ValueId,
    spatial: &Spatial,
    fill: f32,
) -> Result<ValueId, BuildError> {
    let mut amounts = vec![(0, 0); 2];
    amounts.extend((0..spatial.rank()).map(|i| (spatial.pad_before[i], pad_after(spatial, i))));
    shapes::pad(f, x, &amounts, fill)
}

/// Transposed convolution from the windows of `spatial`, `[N, C, *output]`, to what they read, `[N, channels, *input]`.
pub(super) fn transposed(
    f: &mut FunctionBuilder,
    x: ValueId,
    weight: ValueId,
    spatial: &Spatial,
    channels: usize,
    groups: usize,
) -> Result<ValueId, BuildError> {
    let mut output = vec![f.shape(x)[0], channels];
    output.extend(&spatial.input);
    f.op("conv_transpose")
        .arg("x", x)
        .arg("weight", weight)
        .string("pad_type", "custom")
        .ints("pad", &pad_param(spatial))
        .shape("output_shape", &output)
        .ints("strides", &to_i32(&spatial.strides))
        .ints("dilations", &to_i32(&spatial.dilations))
        .int("groups", groups as i32)
        .one()
}
