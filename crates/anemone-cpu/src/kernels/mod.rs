//! Kernels: how the CPU computes each op, one module per op family.
//!
//! Lowering resolves everything that the program fixes (shapes, attributes, constants, prepacked weights) once;
//! what remains is a closure over bound memory that does not allocate. Elementwise ops are not here: they are
//! instructions of [`crate::elementwise`], alone in strict mode and fused in groups otherwise.

use crate::gemm;
use half::f16;
use mil::{InferError, OpView, TensorType};

pub(crate) mod access;
mod activation;
mod blocks;
pub(crate) mod constexpr;
pub(crate) mod conv;
mod copy;
mod fold;
mod image_resizing;
pub(crate) mod linear;
mod narrow;
mod normalization;
pub(crate) mod parallel;
mod pool;
mod quantization;
mod random;
mod recurrent;
pub(crate) mod reduction;
mod scatter_gather;
mod tensor_operation;
mod tensor_transformation;
#[cfg(test)]
mod testing;
mod transformers;
mod windows;

pub(crate) use access::{In, Out};

/// One run of a kernel: its operands (in the order of [`OpView::operands`]), its outputs, its scratch memory.
pub(crate) struct Call<'a> {
    /// Operands.
    pub(crate) inputs: &'a [In<'a>],
    /// Outputs.
    pub(crate) outputs: &'a mut [Out<'a>],
    /// Scratch memory of [`Lowered::scratch`] bytes, aligned to 64; contents are left over from earlier kernels.
    pub(crate) scratch: &'a mut [u8],
    /// Output 0 stands in the memory of operand [`Lowered::in_place`], whose value it already holds.
    pub(crate) in_place: bool,
}

/// Why a run failed: data that the op cannot work on.
pub(crate) type KernelResult = Result<(), String>;

/// The closure that computes one operation.
pub(crate) type Run = Box<dyn Fn(&mut Call<'_>) -> KernelResult + Send + Sync>;

/// An operation, ready to run.
pub(crate) struct Lowered {
    /// The computation.
    pub(crate) run: Run,
    /// Bytes of scratch memory it needs.
    pub(crate) scratch: usize,
    /// The operand whose memory output 0 may take over when nobody else needs it. Then [`Call::in_place`] is
    /// set, the output already holds that operand's value, and the operand must not be read through `inputs`.
    pub(crate) in_place: Option<usize>,
}

impl Lowered {
    /// A kernel without scratch memory or takeover.
    pub(crate) fn new(run: impl Fn(&mut Call<'_>) -> KernelResult + Send + Sync + 'static) -> Lowered {
        Lowered { run: Box::new(run), scratch: 0, in_place: None }
    }

    /// With scratch memory.
    pub(crate) fn scratch(mut self, bytes: usize) -> Lowered {
        self.scratch = bytes;
        self
    }

    /// Output 0 may take over this operand's memory.
    pub(crate) fn in_place(mut self, operand: usize) -> Lowered {
        self.in_place = Some(operand);
        self
    }
}

/// Makes the kernel of one operation.
pub(crate) type Lower = fn(&OpView<'_>) -> Result<Lowered, InferError>;

/// Every kernel by op name.
static FAMILIES: &[&[(&str, Lower)]] = &[
    activation::OPS,
    constexpr::OPS,
    conv::OPS,
    image_resizing::OPS,
    linear::OPS,
    normalization::OPS,
    pool::OPS,
    quantization::OPS,
    random::OPS,
    recurrent::OPS,
    reduction::OPS,
    scatter_gather::OPS,
    tensor_operation::OPS,
    tensor_transformation::OPS,
    transformers::OPS,
];

/// Kernels in the engine's fixed point, for results of type `fp16`.
static FIXED: &[&[(&str, Lower)]] = &[conv::FIXED, linear::FIXED, transformers::FIXED];

/// The kernel that computes the op called `name` in the engine's fixed point.
pub(crate) fn find_fixed(name: &str) -> Option<Lower> {
    FIXED.iter().flat_map(|family| family.iter()).find(|(op, _)| *op == name).map(|&(_, lower)| lower)
}

/// The kernel of the op called `name`.
pub(crate) fn find(name: &str) -> Option<Lower> {
    FAMILIES.iter().flat_map(|family| family.iter()).find(|(op, _)| *op == name).map(|&(_, lower)| lower)
}

/// Float element types: stored as they are, computed in `f32`.
pub(crate) trait Float: fold::Number<Wide = f32> {
    /// Widens.
    fn to_f32(self) -> f32;
    /// Rounds to nearest, ties to even.
    fn from_f32(value: f32) -> Self;
    /// The values as `f32`: themselves, or widened into `buffer`, which must hold as many.
    fn widen<'a>(values: &'a [Self], buffer: &'a mut [f32]) -> &'a [f32];
    /// Whether storing a wide value loses nothing.
    const IS_WIDE: bool;
    /// Lets `body` compute on the values as `f32`, in `buffer` (which must hold as many) when they are not, and rounds
    /// the results to nearest-even.
    fn update<R>(values: &mut [Self], buffer: &mut [f32], body: impl FnOnce(&mut [f32]) -> R) -> R;
    /// The same where `body` overwrites every value without reading it.
    fn fill<R>(values: &mut [Self], buffer: &mut [f32], body: impl FnOnce(&mut [f32]) -> R) -> R;
}

impl Float for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn from_f32(value: f32) -> f32 {
        value
    }
    #[inline(always)]
    fn widen<'a>(values: &'a [f32], _: &'a mut [f32]) -> &'a [f32] {
        values
    }
    const IS_WIDE: bool = true;
    #[inline(always)]
    fn update<R>(values: &mut [f32], _: &mut [f32], body: impl FnOnce(&mut [f32]) -> R) -> R {
        body(values)
    }
    #[inline(always)]
    fn fill<R>(values: &mut [f32], _: &mut [f32], body: impl FnOnce(&mut [f32]) -> R) -> R {
        body(values)
    }
}

impl Float for f16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
    #[inline(always)]
    fn from_f32(value: f32) -> f16 {
        f16::from_f32(value)
    }
    #[inline(always)]
    fn widen<'a>(values: &'a [f16], buffer: &'a mut [f32]) -> &'a [f32] {
        gemm::widen(values, buffer);
        &buffer[..values.len()]
    }
    const IS_WIDE: bool = false;
    #[inline(always)]
    fn update<R>(values: &mut [f16], buffer: &mut [f32], body: impl FnOnce(&mut [f32]) -> R) -> R {
        let buffer = &mut buffer[..values.len()];
        gemm::widen(values, buffer);
        f16::fill(values, buffer, body)
    }
    #[inline(always)]
    fn fill<R>(values: &mut [f16], buffer: &mut [f32], body: impl FnOnce(&mut [f32]) -> R) -> R {
        let buffer = &mut buffer[..values.len()];
        let result = body(buffer);
        gemm::narrow(buffer, values);
        result
    }
}

/// Picks the instance of a generic lowering for a float element type.
macro_rules! for_float {
    ($op:expr, $param:literal, $lower:ident $(, $($more:expr),*)?) => {
        match $op.dtype($param)? {
            mil::DataType::Fp32 => $lower::<f32>($op $(, $($more),*)?),
            mil::DataType::Fp16 => $lower::<half::f16>($op $(, $($more),*)?),
            _ => Err($crate::kernels::unsupported($param, $op.tensor($param)?)),
        }
    };
}
pub(crate) use for_float;

/// Where a parameter's (first) value stands among the operands.
pub(crate) fn operand(op: &OpView<'_>, param: &'static str) -> Result<usize, InferError> {
    op.operands()
        .position(|(declared, _)| declared.name == param)
        .ok_or_else(|| InferError::new(param, "is not an operand"))
}

/// The error of a kernel that does not take an element type.
pub(crate) fn unsupported(param: &'static str, ty: &TensorType) -> InferError {
    InferError::new(param, format!("is {ty}, an element type that this kernel does not take"))
}
