//! Two-dimensional pooling.

use crate::{Graph, Module, NnError};
use mil::ValueId;

/// The largest element of each window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxPool2d {
    /// Height and width of the window.
    pub kernel_size: usize,
    /// Step between windows.
    pub stride: usize,
    /// Places added on every side, which never count as the largest.
    pub padding: usize,
}

impl MaxPool2d {
    /// Windows side by side, no padding.
    pub fn new(kernel_size: usize) -> MaxPool2d {
        MaxPool2d { kernel_size, stride: kernel_size, padding: 0 }
    }
}

impl Module for MaxPool2d {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        pool(g, "max_pool", x, self.kernel_size, self.stride, self.padding)
    }
}

/// The mean of each window, padding counted as zeros.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AvgPool2d {
    /// Height and width of the window.
    pub kernel_size: usize,
    /// Step between windows.
    pub stride: usize,
    /// Zeros added on every side.
    pub padding: usize,
}

impl AvgPool2d {
    /// Windows side by side, no padding.
    pub fn new(kernel_size: usize) -> AvgPool2d {
        AvgPool2d { kernel_size, stride: kernel_size, padding: 0 }
    }
}

impl Module for AvgPool2d {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        pool(g, "avg_pool", x, self.kernel_size, self.stride, self.padding)
    }
}

fn pool(
    g: &mut Graph,
    op: &str,
    x: ValueId,
    kernel_size: usize,
    stride: usize,
    padding: usize,
) -> Result<ValueId, NnError> {
    let kernel = kernel_size as i32;
    Ok(g.op(op)
        .arg("x", x)
        .ints("kernel_sizes", &[kernel; 2])
        .ints("strides", &[stride as i32; 2])
        .string("pad_type", "custom")
        .ints("pad", &[padding as i32; 4])
        .one()?)
}
