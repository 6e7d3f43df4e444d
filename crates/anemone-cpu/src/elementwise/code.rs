//! What an instruction computes.

/// An elementwise operation with its constant attributes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ElementOp {
    /// Which function.
    pub(crate) code: Code,
    /// First attribute: `alpha` or `epsilon` of the op, 0 if it has none.
    pub(crate) alpha: f32,
    /// Second attribute: `beta` of the op, 0 if it has none.
    pub(crate) beta: f32,
}

impl ElementOp {
    /// An operation without attributes.
    pub(crate) const fn new(code: Code) -> ElementOp {
        ElementOp { code, alpha: 0.0, beta: 0.0 }
    }
}

/// The functions. Arguments are `x`, `y`; `a` and `b` are the attributes `alpha` (or `epsilon`) and `beta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    // Two numbers.
    Add,
    Sub,
    Mul,
    /// Integers: rounded towards zero.
    RealDiv,
    FloorDiv,
    Mod,
    Pow,
    Maximum,
    Minimum,
    // Two numbers (or truth values) to a truth value.
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    // Two truth values.
    LogicalAnd,
    LogicalOr,
    LogicalXor,
    // One number.
    Abs,
    Acos,
    Asin,
    Atan,
    Atanh,
    Ceil,
    /// `min(max(x, a), b)`.
    Clip,
    Cos,
    Cosh,
    Erf,
    Exp,
    Exp2,
    Floor,
    /// `1 / (x + a)`.
    Inverse,
    /// `log(x + a)`.
    Log,
    LogicalNot,
    Round,
    /// `1 / sqrt(x + a)`.
    Rsqrt,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Square,
    Tan,
    Tanh,
    /// `max(x, a)`.
    Threshold,
    /// `max(x, a)` for integers; `a` has the bits of one.
    ThresholdInt,
    // Activations.
    ClampedRelu,
    Elu,
    GeluExact,
    GeluSigmoid,
    GeluTanh,
    LeakyRelu,
    LinearActivation,
    /// Arguments `x` and the coefficient of its channel.
    Prelu,
    Relu,
    Relu6,
    ScaledTanh,
    Sigmoid,
    SigmoidHard,
    Silu,
    Softplus,
    /// Arguments `x` and the two coefficients of its channel.
    SoftplusParametric,
    Softsign,
    ThresholdedRelu,
    // The rest.
    /// `x`.
    Identity,
    /// Arguments a truth value and the two values to choose from.
    Select,
    /// To the instruction's element type.
    Cast,
    /// This lane everywhere; no arguments.
    Fill(u32),
}

impl Code {
    /// Whether the arguments after the first are coefficients of axis 1.
    pub(crate) const fn is_channelwise(self) -> bool {
        matches!(self, Code::Prelu | Code::SoftplusParametric)
    }

    /// Whether the result on `fp16` arguments is always an `fp16` value, so that nothing is left to round.
    pub(crate) const fn is_exact(self) -> bool {
        matches!(
            self,
            Code::Maximum
                | Code::Minimum
                | Code::Abs
                | Code::Ceil
                | Code::Floor
                | Code::Round
                | Code::Sign
                | Code::Relu
                | Code::Relu6
                | Code::Identity
                | Code::Select
        )
    }
}

impl Code {
    /// Work per element, in quarters of what [`parallel`](crate::kernels::parallel) counts as one operation (0.2 ns or
    /// so): measured with AVX-512, good enough elsewhere, as it only decides how large a task is.
    pub(super) const fn cost(self) -> usize {
        match self {
            Code::Exp | Code::Exp2 | Code::Log => 12,
            Code::Tanh | Code::Erf | Code::Elu | Code::ScaledTanh | Code::Sigmoid | Code::Silu => 20,
            Code::GeluExact | Code::GeluSigmoid | Code::GeluTanh => 32,
            Code::Softplus | Code::SoftplusParametric | Code::Mod | Code::FloorDiv => 24,
            Code::Acos | Code::Asin | Code::Atan | Code::Atanh | Code::Cosh | Code::Sinh => 32,
            Code::Cos | Code::Sin | Code::Tan => 32,
            Code::Pow => 64,
            Code::RealDiv | Code::Inverse | Code::Rsqrt | Code::Sqrt | Code::Softsign => 6,
            _ => 1,
        }
    }
}
