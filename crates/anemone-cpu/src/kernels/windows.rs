//! Windows over one to three spatial dimensions as loops over rows: what pooling and depthwise convolution share.
//!
//! A row of outputs is computed tap by tap: for each element of the window, the outputs for which it lies in the input
//! are neighbours, and so (at stride 1) are the inputs that they read. Loops over those vectorise.

use mil::ops::spatial::Spatial;
use std::ops::Range;

/// Output columns computed beside each other.
pub(crate) const COLUMNS: usize = 256;

/// Windows with three spatial dimensions; missing ones lead and have size 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    pub(crate) input: [usize; 3],
    pub(crate) kernel: [usize; 3],
    pub(crate) strides: [usize; 3],
    pub(crate) dilations: [usize; 3],
    pub(crate) before: [usize; 3],
    pub(crate) after: [usize; 3],
    pub(crate) output: [usize; 3],
}

/// One element of the window over part of a row of outputs.
pub(crate) struct Tap {
    /// Which element of the window, row-major.
    pub(crate) index: usize,
    /// The outputs, counted from the part's first, for which it lies in the input.
    pub(crate) outputs: Range<usize>,
    /// Where the first of them reads, counted from the first element of the channel.
    pub(crate) start: usize,
}

impl Windows {
    pub(crate) fn new(spatial: &Spatial) -> Windows {
        let pad = |dims: &[usize], value: usize| {
            let mut all = [value; 3];
            all[3 - dims.len()..].copy_from_slice(dims);
            all
        };
        Windows {
            input: pad(&spatial.input, 1),
            kernel: pad(&spatial.kernel, 1),
            strides: pad(&spatial.strides, 1),
            dilations: pad(&spatial.dilations, 1),
            before: pad(&spatial.pad_before, 0),
            after: pad(&spatial.pad_after, 0),
            output: pad(&spatial.output, 1),
        }
    }

    /// Elements of a channel of the input.
    pub(crate) fn input_count(&self) -> usize {
        self.input.iter().product()
    }

    /// Rows of outputs in a channel.
    pub(crate) fn rows(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Elements of the window.
    pub(crate) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// The input position that element `tap` of window `output` reads in dimension `i`; outside it is padding.
    #[inline(always)]
    fn position(&self, i: usize, output: usize, tap: usize) -> Option<usize> {
        (output * self.strides[i] + tap * self.dilations[i])
            .checked_sub(self.before[i])
            .filter(|&position| position < self.input[i])
    }

    /// The outputs of a row for which column `tap` of the window lies in the input.
    #[inline(always)]
    fn columns(&self, tap: usize) -> Range<usize> {
        let (offset, stride) = (tap * self.dilations[2], self.strides[2]);
        let first = self.before[2].saturating_sub(offset).div_ceil(stride);
        let end =
            (self.input[2] + self.before[2]).saturating_sub(offset).div_ceil(stride).min(self.output[2]);
        first..end.max(first)
    }

    /// Calls `body` on every element of the windows of row `row`, columns `columns`, in row-major order.
    #[inline(always)]
    pub(crate) fn for_each_tap(&self, row: usize, columns: Range<usize>, mut body: impl FnMut(Tap)) {
        let (depth, height) = (row / self.output[1], row % self.output[1]);
        let [kernel_d, kernel_h, kernel_w] = self.kernel;
        for (d, h) in (0..kernel_d).flat_map(|d| (0..kernel_h).map(move |h| (d, h))) {
            let (Some(z), Some(y)) = (self.position(0, depth, d), self.position(1, height, h)) else {
                continue;
            };
            let line = (z * self.input[1] + y) * self.input[2];
            for w in 0..kernel_w {
                let valid = self.columns(w);
                let (first, end) = (valid.start.max(columns.start), valid.end.min(columns.end));
                if first >= end {
                    continue;
                }
                body(Tap {
                    index: (d * kernel_h + h) * kernel_w + w,
                    outputs: first - columns.start..end - columns.start,
                    start: line + first * self.strides[2] + w * self.dilations[2] - self.before[2],
                });
            }
        }
    }

    /// How many positions of window `output` in dimension `i` lie in the input, and how many in input and padding.
    pub(crate) fn covered(&self, i: usize, output: usize) -> (usize, usize) {
        let inside = (0..self.kernel[i]).filter(|&tap| self.position(i, output, tap).is_some()).count();
        let padded = self.input[i] + self.before[i] + self.after[i];
        let reach = |tap: &usize| output * self.strides[i] + tap * self.dilations[i] < padded;
        (inside, (0..self.kernel[i]).filter(reach).count())
    }
}
