//! Two-dimensional convolutions.

use crate::{Graph, Init, Module, NnError};
use mil::ValueId;

/// `[N, in_channels, H, W]` to `[N, out_channels, H', W']`.
///
/// Parameters: `weight` `[out_channels, in_channels / groups, k, k]` and `bias` `[out_channels]`, uniform within
/// `1 / sqrt(fan_in)` as in PyTorch.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Height and width of the kernel.
    pub kernel_size: usize,
    /// Step between positions.
    pub stride: usize,
    /// Zeros added on every side.
    pub padding: usize,
    /// Distance between kernel elements.
    pub dilation: usize,
    /// Groups of channels convolved apart.
    pub groups: usize,
    /// Whether a bias is added.
    pub bias: bool,
}

impl Conv2d {
    /// Stride 1, no padding, one group, with bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: usize) -> Conv2d {
        Conv2d {
            in_channels,
            out_channels,
            kernel_size,
            stride: 1,
            padding: 0,
            dilation: 1,
            groups: 1,
            bias: true,
        }
    }

    /// With this padding.
    pub fn padding(mut self, padding: usize) -> Conv2d {
        self.padding = padding;
        self
    }

    /// With this stride.
    pub fn stride(mut self, stride: usize) -> Conv2d {
        self.stride = stride;
        self
    }

    /// With this dilation.
    pub fn dilation(mut self, dilation: usize) -> Conv2d {
        self.dilation = dilation;
        self
    }

    /// With these groups.
    pub fn groups(mut self, groups: usize) -> Conv2d {
        self.groups = groups;
        self
    }

    /// With or without bias.
    pub fn bias(mut self, bias: bool) -> Conv2d {
        self.bias = bias;
        self
    }
}

impl Module for Conv2d {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        check_groups("Conv2d", self.groups, self.in_channels, self.out_channels)?;
        let (k, per_group) = (self.kernel_size, self.in_channels / self.groups);
        let init = Init::fan_in(per_group * k * k);
        let weight = g.parameter("weight", &[self.out_channels, per_group, k, k], init)?;
        let pad = self.padding as i32;
        let y = g
            .op("conv")
            .arg("x", x)
            .arg("weight", weight)
            .ints("strides", &[self.stride as i32; 2])
            .string("pad_type", "custom")
            .ints("pad", &[pad; 4])
            .ints("dilations", &[self.dilation as i32; 2])
            .int("groups", self.groups as i32)
            .one()?;
        if self.bias { add_bias(g, y, self.out_channels, init) } else { Ok(y) }
    }
}

/// `[N, in_channels, H, W]` to `[N, out_channels, H', W']` with
/// `H' = (H - 1) * stride - 2 * padding + kernel_size + output_padding`.
///
/// Parameters: `weight` `[in_channels, out_channels / groups, k, k]` and `bias` `[out_channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose2d {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Height and width of the kernel.
    pub kernel_size: usize,
    /// Step between positions of the output.
    pub stride: usize,
    /// Rows and columns cut off on every side.
    pub padding: usize,
    /// Rows and columns added at the end.
    pub output_padding: usize,
    /// Groups of channels convolved apart.
    pub groups: usize,
    /// Whether a bias is added.
    pub bias: bool,
}

impl ConvTranspose2d {
    /// Stride 1, no padding, one group, with bias.
    pub fn new(in_channels: usize, out_channels: usize, kernel_size: usize) -> ConvTranspose2d {
        ConvTranspose2d {
            in_channels,
            out_channels,
            kernel_size,
            stride: 1,
            padding: 0,
            output_padding: 0,
            groups: 1,
            bias: true,
        }
    }

    /// With this stride.
    pub fn stride(mut self, stride: usize) -> ConvTranspose2d {
        self.stride = stride;
        self
    }

    /// With this padding.
    pub fn padding(mut self, padding: usize) -> ConvTranspose2d {
        self.padding = padding;
        self
    }

    /// With this output padding.
    pub fn output_padding(mut self, output_padding: usize) -> ConvTranspose2d {
        self.output_padding = output_padding;
        self
    }
}

impl Module for ConvTranspose2d {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        check_groups("ConvTranspose2d", self.groups, self.in_channels, self.out_channels)?;
        let &[n, _, h, w] = g.shape(x) else {
            return Err(NnError::config("ConvTranspose2d", "takes [N, C, H, W]"));
        };
        let (k, per_group) = (self.kernel_size, self.out_channels / self.groups);
        // PyTorch counts the fan of the second dimension here too.
        let init = Init::fan_in(per_group * k * k);
        let weight = g.parameter("weight", &[self.in_channels, per_group, k, k], init)?;
        let size = |input: usize| {
            ((input.max(1) - 1) * self.stride + k + self.output_padding)
                .checked_sub(2 * self.padding)
                .ok_or_else(|| {
                    NnError::config("ConvTranspose2d", "cuts off more padding than there is output")
                })
        };
        let (pad, output) = (self.padding as i32, [n, self.out_channels, size(h)?, size(w)?]);
        let y = g
            .op("conv_transpose")
            .arg("x", x)
            .arg("weight", weight)
            .ints("strides", &[self.stride as i32; 2])
            .string("pad_type", "custom")
            .ints("pad", &[pad; 4])
            .shape("output_shape", &output)
            .int("groups", self.groups as i32)
            .one()?;
        if self.bias { add_bias(g, y, self.out_channels, init) } else { Ok(y) }
    }
}

/// Adds a bias per channel. A separate `add`, since the engine's compilers disagree on the op's own `bias`.
fn add_bias(g: &mut Graph, y: ValueId, channels: usize, init: Init) -> Result<ValueId, NnError> {
    let bias = g.parameter("bias", &[channels], init)?;
    let bias = g.reshape(bias, &[1, channels, 1, 1])?;
    Ok(g.add(y, bias)?)
}

fn check_groups(layer: &str, groups: usize, inputs: usize, outputs: usize) -> Result<(), NnError> {
    if groups > 0 && inputs.is_multiple_of(groups) && outputs.is_multiple_of(groups) {
        return Ok(());
    }
    let message =
        format!("has {groups} groups, which must divide both {inputs} input and {outputs} output channels");
    Err(NnError::config(layer, message))
}
