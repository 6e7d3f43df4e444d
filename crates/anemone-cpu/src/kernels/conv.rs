//! Convolutions.
//!
//! A convolution is a matrix product of the weights `[C_out, C_in * taps]` with the inputs that each output position reads
//! (`im2col`), which are never stored: they are gathered while the product packs its operand ([`columns`]). A transposed
//! convolution is the same with other offsets; for strides above 1 it falls into phases, one convolution for every
//! remainder of the output position, so that no product with a zero is computed. Convolutions with one input channel per
//! group (depthwise) are computed directly ([`depthwise`]).
//!
//! Where an item has few output positions (the gradient of a convolution's weights is such a convolution: as many positions
//! as taps), the items of the batch become columns of one product instead of products of their own.
//!
//! Order of summation: that of [`gemm`](crate::gemm) over input channels, then taps in row-major order (only those of the
//! phase); depthwise: taps in row-major order, then the bias.

use super::windows::Windows;
use super::{Lower, Lowered};
use crate::gemm::Arithmetic;
use mil::ops::conv::{ConvGeometry, geometry, transpose_geometry};
use mil::{InferError, OpView};

mod columns;
mod depthwise;
mod product;
mod winograd;

pub(crate) use winograd::lower as winograd;

use product::{Parameters, Part, Product};

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("conv", |op| conv(op, Arithmetic::Float)),
    ("conv_transpose", |op| conv_transpose(op, Arithmetic::Float)),
];

/// The same in the engine's fixed point, for results of type `fp16`.
pub(crate) static FIXED: &[(&str, Lower)] = &[
    ("conv", |op| conv(op, Arithmetic::Fixed)),
    ("conv_transpose", |op| conv_transpose(op, Arithmetic::Fixed)),
];

/// What one dimension of the windows reads: output `o` and tap `t` read input `o * stride + offsets[t]`.
#[derive(Clone, Debug)]
struct Reach {
    stride: usize,
    offsets: Vec<isize>,
    output: usize,
}

fn conv(op: &OpView<'_>, arithmetic: Arithmetic) -> Result<Lowered, InferError> {
    let geometry = geometry(op)?;
    let windows = Windows::new(&geometry.spatial);
    let parameters = Parameters::of(op, windows.output)?;
    if arithmetic == Arithmetic::Float && depthwise::suits(&geometry) {
        return depthwise::lower(op, &geometry, windows, parameters, false);
    }
    let reach = std::array::from_fn(|i| Reach {
        stride: windows.strides[i],
        offsets: (0..windows.kernel[i])
            .map(|tap| (tap * windows.dilations[i]) as isize - windows.before[i] as isize)
            .collect(),
        output: windows.output[i],
    });
    let part = Part::whole(reach, windows.taps());
    Ok(Product::new(op, &geometry, windows.input, vec![part], parameters, false, arithmetic)?.lowered())
}

/// Output `y` gets `x[i] * weight[k]` where `y + before = i * stride + k * dilation`. In the phase of outputs
/// `y = first + q * stride` those taps count for which `first + before - k * dilation` is a multiple of the stride; they
/// read `x[q + (first + before - k * dilation) / stride]`.
fn conv_transpose(op: &OpView<'_>, arithmetic: Arithmetic) -> Result<Lowered, InferError> {
    let geometry: ConvGeometry = transpose_geometry(op)?;
    // `windows` are those of the convolution whose gradient this is: its input is our output.
    let windows = Windows::new(&geometry.spatial);
    let parameters = Parameters::of(op, windows.input)?;
    if arithmetic == Arithmetic::Float
        && let Some(turned) = depthwise::transposed(&geometry, &windows)
    {
        return depthwise::lower(op, &geometry, turned, parameters, true);
    }
    let mut parts = Vec::new();
    // A stride may pass the last output: phases that begin beyond it are empty.
    let [depth, height, width] = std::array::from_fn(|i| windows.strides[i].min(windows.input[i]));
    for phase in 0..depth * height * width {
        let first = [phase / (height * width), phase / width % height, phase % width];
        let taps: [Vec<usize>; 3] = std::array::from_fn(|i| {
            let meets = |tap: &usize| phase_offset(&windows, i, first[i], *tap).is_some();
            (0..windows.kernel[i]).filter(meets).collect()
        });
        let reach = std::array::from_fn(|i| Reach {
            stride: 1,
            offsets: taps[i].iter().filter_map(|&tap| phase_offset(&windows, i, first[i], tap)).collect(),
            output: (windows.input[i] - first[i]).div_ceil(windows.strides[i]),
        });
        parts.push(Part::phase(reach, &taps, windows.kernel, first, windows.strides));
    }
    Ok(Product::new(op, &geometry, windows.output, parts, parameters, true, arithmetic)?.lowered())
}

fn phase_offset(windows: &Windows, i: usize, first: usize, tap: usize) -> Option<isize> {
    let distance = (first + windows.before[i]) as isize - (tap * windows.dilations[i]) as isize;
    let stride = windows.strides[i] as isize;
    (distance % stride == 0).then_some(distance / stride)
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};

    /// Sizes of a 2-D convolution.
    #[derive(Clone, Copy)]
    struct Sizes {
        n: usize,
        c: usize,
        o: usize,
        x: [usize; 2],
        k: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
        /// Top, bottom, left, right.
        pad: [usize; 4],
        groups: usize,
    }

    const PLAIN: Sizes = Sizes {
        n: 2,
        c: 3,
        o: 5,
        x: [9, 11],
        k: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [1, 1, 1, 1],
        groups: 1,
    };

    const CASES: &[Sizes] = &[
        PLAIN,
        Sizes { x: [6, 40], c: 4, o: 70, ..PLAIN },
        Sizes { k: [1, 1], pad: [0; 4], ..PLAIN },
        Sizes { stride: [2, 2], k: [4, 3], ..PLAIN },
        Sizes { dilation: [2, 3], pad: [2, 1, 3, 4], ..PLAIN },
        Sizes { stride: [3, 2], pad: [0, 2, 1, 0], ..PLAIN },
        Sizes { groups: 2, c: 4, o: 6, ..PLAIN },
        Sizes { groups: 4, c: 4, o: 4, ..PLAIN },
        Sizes { groups: 4, c: 4, o: 8, stride: [2, 1], ..PLAIN },
        // The shape of a gradient of weights: a large kernel, few positions.
        Sizes { n: 5, c: 6, o: 7, x: [10, 34], k: [8, 32], ..PLAIN },
        Sizes { n: 5, c: 6, o: 7, x: [17, 35], k: [8, 16], dilation: [2, 2], pad: [1, 0, 0, 1], ..PLAIN },
        Sizes { n: 3, x: [4, 4], k: [4, 4], pad: [0; 4], ..PLAIN },
        Sizes { n: 1, x: [1, 300], k: [1, 5], pad: [0, 0, 2, 2], ..PLAIN },
    ];

    impl Sizes {
        fn output(self) -> [usize; 2] {
            std::array::from_fn(|i| {
                let span = (self.k[i] - 1) * self.dilation[i] + 1;
                (self.x[i] + self.pad[2 * i] + self.pad[2 * i + 1] - span) / self.stride[i] + 1
            })
        }

        fn arguments(self, case: &mut Case, transposed: bool) {
            let ints = |values: &[usize]| values.iter().map(|&v| v as i32).collect::<Vec<_>>();
            case.ints("strides", &ints(&self.stride));
            case.ints("dilations", &ints(&self.dilation));
            case.string("pad_type", "custom");
            case.ints("pad", &ints(&self.pad));
            case.int("groups", self.groups as i32);
            if transposed {
                case.ints("output_shape", &ints(&[self.n, self.c, self.x[0], self.x[1]]));
            }
        }

        /// Every product: indices into the small side `[n, o, *out]`, the large side `[n, c, *x]` and the weights
        /// `[o, c / groups, *k]`.
        fn products(self, mut body: impl FnMut(usize, usize, usize)) {
            let [oh, ow] = self.output();
            let (cg, og) = (self.c / self.groups, self.o / self.groups);
            for small in 0..self.n * self.o * oh * ow {
                let (n, o, y, z) =
                    (small / (self.o * oh * ow), small / (oh * ow) % self.o, small / ow % oh, small % ow);
                for weight in 0..cg * self.k[0] * self.k[1] {
                    let (c, i, j) = (
                        weight / (self.k[0] * self.k[1]),
                        weight / self.k[1] % self.k[0],
                        weight % self.k[1],
                    );
                    let y = (y * self.stride[0] + i * self.dilation[0]).checked_sub(self.pad[0]);
                    let z = (z * self.stride[1] + j * self.dilation[1]).checked_sub(self.pad[2]);
                    if let (Some(y), Some(z)) = (y, z)
                        && y < self.x[0]
                        && z < self.x[1]
                    {
                        let large = ((n * self.c + o / og * cg + c) * self.x[0] + y) * self.x[1] + z;
                        body(small, large, o * cg * self.k[0] * self.k[1] + weight);
                    }
                }
            }
        }
    }

    #[test]
    fn convolutions_agree_with_f64() {
        for (index, &sizes) in CASES.iter().enumerate() {
            for constant in [false, true] {
                let [oh, ow] = sizes.output();
                let mut case = Case::new("conv");
                let x = case.float("x", &[sizes.n, sizes.c, sizes.x[0], sizes.x[1]]);
                let shape = [sizes.o, sizes.c / sizes.groups, sizes.k[0], sizes.k[1]];
                let weight = match constant {
                    true => case.float_constant("weight", &shape),
                    false => case.float("weight", &shape),
                };
                let bias = if index % 2 == 0 { case.float("bias", &[sizes.o]) } else { vec![0.0; sizes.o] };
                sizes.arguments(&mut case, false);
                let mut want: Vec<f64> =
                    (0..sizes.n * sizes.o * oh * ow).map(|at| bias[at / (oh * ow) % sizes.o]).collect();
                sizes.products(|small, large, w| want[small] += x[large] * weight[w]);
                case.check(&want, Tolerance::SUM);
            }
        }
    }

    #[test]
    fn transposed_convolutions_agree_with_f64() {
        for (index, &sizes) in CASES.iter().enumerate() {
            for constant in [false, true] {
                let [oh, ow] = sizes.output();
                let mut case = Case::new("conv_transpose");
                // The small side is the operand, the large side the result.
                let x = case.float("x", &[sizes.n, sizes.o, oh, ow]);
                let shape = [sizes.o, sizes.c / sizes.groups, sizes.k[0], sizes.k[1]];
                let weight = match constant {
                    true => case.float_constant("weight", &shape),
                    false => case.float("weight", &shape),
                };
                let bias = if index % 2 == 0 { case.float("bias", &[sizes.c]) } else { vec![0.0; sizes.c] };
                sizes.arguments(&mut case, true);
                let plane = sizes.x[0] * sizes.x[1];
                let mut want: Vec<f64> =
                    (0..sizes.n * sizes.c * plane).map(|at| bias[at / plane % sizes.c]).collect();
                sizes.products(|small, large, w| want[large] += x[small] * weight[w]);
                case.check(&want, Tolerance::SUM);
            }
        }
    }

    #[test]
    fn one_and_three_dimensions() {
        let mut case = Case::new("conv");
        let x = case.float("x", &[2, 3, 10]);
        let weight = case.float("weight", &[4, 3, 3]);
        let want: Vec<f64> = (0..2 * 4 * 8)
            .map(|at| {
                let (n, o, y) = (at / 32, at / 8 % 4, at % 8);
                (0..9).map(|i| x[(n * 3 + i / 3) * 10 + y + i % 3] * weight[o * 9 + i]).sum()
            })
            .collect();
        case.check(&want, Tolerance::SUM);
        let mut case = Case::new("conv");
        let x = case.float("x", &[1, 2, 3, 4, 5]);
        let weight = case.float("weight", &[3, 2, 2, 2, 2]);
        let want: Vec<f64> = (0..3 * 2 * 3 * 4)
            .map(|at| {
                let (o, d, y, z) = (at / 24, at / 12 % 2, at / 4 % 3, at % 4);
                let tap = |i: usize| {
                    let (c, kd, ky, kz) = (i / 8, i / 4 % 2, i / 2 % 2, i % 2);
                    x[((c * 3 + d + kd) * 4 + y + ky) * 5 + z + kz] * weight[o * 16 + i]
                };
                (0..16).map(tap).sum()
            })
            .collect();
        case.check(&want, Tolerance::SUM);
    }
}
