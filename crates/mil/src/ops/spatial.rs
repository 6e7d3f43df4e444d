//! Windows that slide over spatial dimensions: the arithmetic that convolution and pooling share.

use super::Opset;
use super::infer::{choice, given_ints, vector_of};
use crate::{InferError, OpView, Shape};
use smallvec::SmallVec;

/// One number per spatial dimension.
pub type Dims = SmallVec<[usize; 3]>;

/// Windows over the spatial dimensions of `[N, C, *D]`.
///
/// Window `o` of a dimension reads the positions `o * stride + k * dilation - pad_before` of the input for `k` in
/// `0..kernel`; positions outside `0..input` are padding. Every number but the padding is at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spatial {
    /// Sizes of the input.
    pub input: Dims,
    /// Sizes of the window, in elements that it reads.
    pub kernel: Dims,
    /// Steps from one window to the next.
    pub strides: Dims,
    /// Steps from one element of a window to the next.
    pub dilations: Dims,
    /// Padding before the input.
    pub pad_before: Dims,
    /// Padding after the input.
    pub pad_after: Dims,
    /// Numbers of windows.
    pub output: Dims,
}

impl Spatial {
    /// Number of spatial dimensions, 1 to 3.
    pub fn rank(&self) -> usize {
        self.input.len()
    }

    /// Positions that a window spans in dimension `i`, from its first element to its last.
    pub fn span(&self, i: usize) -> usize {
        (self.kernel[i] - 1) * self.dilations[i] + 1
    }

    /// Elements of one window.
    pub fn window(&self) -> usize {
        self.kernel.iter().fold(1, |window, &size| window.saturating_mul(size))
    }

    /// Whether the op is one of single-element windows in place (a 1x1 convolution).
    pub fn is_pointwise(&self) -> bool {
        let all = |dims: &Dims, value: usize| dims.iter().all(|&dim| dim == value);
        all(&self.kernel, 1) && all(&self.strides, 1) && all(&self.pad_before, 0) && all(&self.pad_after, 0)
    }
}

/// How the input of windows is padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PadType {
    Valid,
    Custom,
    Same,
    SameLower,
}

/// What an op says about its windows, before the padding is known.
pub(crate) struct Request<'a> {
    pub(crate) input: &'a [usize],
    pub(crate) kernel: &'a [usize],
    pub(crate) strides: Dims,
    pub(crate) dilations: Dims,
    pub(crate) pad_type: PadType,
    /// Before and after each dimension; read for [`PadType::Custom`] only.
    pub(crate) pad: Vec<(usize, usize)>,
    pub(crate) ceil_mode: bool,
}

impl Request<'_> {
    /// The windows; `kernel_param` names the parameter that sets the kernel.
    pub(crate) fn solve(self, kernel_param: &'static str) -> Result<Spatial, InferError> {
        let rank = self.input.len();
        let mut solved = Spatial {
            input: Dims::from_slice(self.input),
            kernel: Dims::from_slice(self.kernel),
            pad_before: Dims::new(),
            pad_after: Dims::new(),
            output: Dims::new(),
            strides: Dims::new(),
            dilations: Dims::new(),
        };
        if self.kernel.contains(&0) {
            let shape = Shape::new(self.kernel);
            return Err(InferError::new(kernel_param, format!("has kernel {shape}, but sizes start at 1")));
        }
        for i in 0..rank {
            let (before, after) = self.padding(i);
            let output = self.outputs(i, before + after);
            if output < 1 {
                return Err(InferError::new(
                    kernel_param,
                    format!(
                        "spans {} positions in spatial dimension {i}, but `x` has {} there, {} with padding",
                        self.span(i),
                        self.input[i],
                        self.input[i] as i128 + before + after
                    ),
                ));
            }
            solved.pad_before.push(narrow(kernel_param, before)?);
            solved.pad_after.push(narrow(kernel_param, after)?);
            solved.output.push(narrow(kernel_param, output)?);
            // What a window touches stays addressable, so that kernels need no checks.
            narrow(kernel_param, self.span(i) + self.input[i] as i128 + before + after)?;
        }
        solved.strides = self.strides;
        solved.dilations = self.dilations;
        Ok(solved)
    }

    fn span(&self, i: usize) -> i128 {
        (self.kernel[i] as i128 - 1) * self.dilations[i] as i128 + 1
    }

    /// Padding before and after dimension `i`. `same` pads so that there are `ceil(input / stride)` windows; of an odd
    /// number the larger half stands after, for `same_lower` before.
    fn padding(&self, i: usize) -> (i128, i128) {
        match self.pad_type {
            PadType::Valid => (0, 0),
            PadType::Custom => (self.pad[i].0 as i128, self.pad[i].1 as i128),
            PadType::Same | PadType::SameLower => {
                let (input, stride) = (self.input[i] as i128, self.strides[i] as i128);
                let windows = (input + stride - 1) / stride;
                let total = (windows * stride - input + self.span(i) - stride).max(0);
                let (less, more) = (total / 2, total - total / 2);
                if self.pad_type == PadType::Same { (less, more) } else { (more, less) }
            }
        }
    }

    /// Number of windows in dimension `i`; not positive when none fits.
    fn outputs(&self, i: usize, pad: i128) -> i128 {
        let (input, stride) = (self.input[i] as i128, self.strides[i] as i128);
        let room = input + pad - self.span(i);
        if room < 0 {
            return 0;
        }
        if !self.ceil_mode {
            return room / stride + 1;
        }
        let windows = (room + stride - 1) / stride + 1;
        // A last window that begins in the padding after the input does not count.
        if pad > 0 && (windows - 1) * stride >= input + pad / 2 { windows - 1 } else { windows }
    }
}

fn narrow(param: &'static str, value: i128) -> Result<usize, InferError> {
    usize::try_from(value)
        .ok()
        .filter(|&value| value <= isize::MAX as usize)
        .ok_or_else(|| InferError::new(param, "reaches over more positions than memory can hold"))
}

/// The `pad_type` parameter. `same_lower` is new in iOS16.
pub(crate) fn pad_type(op: &OpView<'_>, same_lower: bool) -> Result<PadType, InferError> {
    let allowed: &[&str] = match same_lower && op.function.opset >= Opset::Ios16 {
        true => &["valid", "custom", "same", "same_lower"],
        false => &["valid", "custom", "same"],
    };
    Ok(match choice(op, "pad_type", allowed)? {
        "custom" => PadType::Custom,
        "same" => PadType::Same,
        "same_lower" => PadType::SameLower,
        _ => PadType::Valid,
    })
}

/// A parameter of one positive integer per spatial dimension; all 1 when it is absent.
pub(crate) fn per_dimension(op: &OpView<'_>, param: &'static str, rank: usize) -> Result<Dims, InferError> {
    if op.value(param).is_none() {
        return Ok(Dims::from_elem(1, rank));
    }
    let len = vector_of(op, param)?;
    if len != rank {
        let message = format!("has {len} elements, but must have one per spatial dimension of `x`: {rank}");
        return Err(InferError::new(param, message));
    }
    let positive = |value: i64| {
        usize::try_from(value)
            .ok()
            .filter(|&value| value > 0)
            .ok_or_else(|| InferError::new(param, format!("holds {value}, but must be 1 or more everywhere")))
    };
    given_ints(op, param)?.into_iter().map(positive).collect()
}

/// The `pad` parameter: before and after each spatial dimension; all 0 when it is absent.
pub(crate) fn custom_pad(op: &OpView<'_>, rank: usize) -> Result<Vec<(usize, usize)>, InferError> {
    if op.value("pad").is_none() {
        return Ok(vec![(0, 0); rank]);
    }
    let len = vector_of(op, "pad")?;
    if len != 2 * rank {
        let message =
            format!("has {len} elements, but must have two per spatial dimension of `x`: {}", 2 * rank);
        return Err(InferError::new("pad", message));
    }
    let pad = given_ints(op, "pad")?;
    let not_negative = |value: i64| {
        usize::try_from(value)
            .map_err(|_| InferError::new("pad", format!("holds {value}, but must be 0 or more everywhere")))
    };
    pad.chunks_exact(2).map(|pair| Ok((not_negative(pair[0])?, not_negative(pair[1])?))).collect()
}
