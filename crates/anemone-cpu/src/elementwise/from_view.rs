//! From operations of a program to instructions.

use super::{Code, ElementOp};
use half::f16;
use mil::{DataType, InferError, OpView, ValueId};

/// Ops without attributes.
const PLAIN: &[(&str, Code)] = &[
    ("abs", Code::Abs),
    ("acos", Code::Acos),
    ("add", Code::Add),
    ("asin", Code::Asin),
    ("atan", Code::Atan),
    ("atanh", Code::Atanh),
    ("cast", Code::Cast),
    ("ceil", Code::Ceil),
    ("cos", Code::Cos),
    ("cosh", Code::Cosh),
    ("equal", Code::Equal),
    ("erf", Code::Erf),
    ("exp", Code::Exp),
    ("exp2", Code::Exp2),
    ("floor", Code::Floor),
    ("floor_div", Code::FloorDiv),
    ("greater", Code::Greater),
    ("greater_equal", Code::GreaterEqual),
    ("identity", Code::Identity),
    ("less", Code::Less),
    ("less_equal", Code::LessEqual),
    ("logical_and", Code::LogicalAnd),
    ("logical_not", Code::LogicalNot),
    ("logical_or", Code::LogicalOr),
    ("logical_xor", Code::LogicalXor),
    ("maximum", Code::Maximum),
    ("minimum", Code::Minimum),
    ("mod", Code::Mod),
    ("mul", Code::Mul),
    ("not_equal", Code::NotEqual),
    ("pow", Code::Pow),
    ("prelu", Code::Prelu),
    ("real_div", Code::RealDiv),
    ("relu", Code::Relu),
    ("relu6", Code::Relu6),
    ("round", Code::Round),
    ("select", Code::Select),
    ("sigmoid", Code::Sigmoid),
    ("sign", Code::Sign),
    ("silu", Code::Silu),
    ("sin", Code::Sin),
    ("sinh", Code::Sinh),
    ("softplus", Code::Softplus),
    ("softplus_parametric", Code::SoftplusParametric),
    ("softsign", Code::Softsign),
    ("sqrt", Code::Sqrt),
    ("square", Code::Square),
    ("sub", Code::Sub),
    ("tan", Code::Tan),
    ("tanh", Code::Tanh),
];

/// Ops with attributes: the op, its function, the parameters of its first and second attribute.
const WITH_ATTRIBUTES: &[(&str, Code, &str, Option<&str>)] = &[
    ("clamped_relu", Code::ClampedRelu, "alpha", Some("beta")),
    ("clip", Code::Clip, "alpha", Some("beta")),
    ("elu", Code::Elu, "alpha", None),
    ("inverse", Code::Inverse, "epsilon", None),
    ("leaky_relu", Code::LeakyRelu, "alpha", None),
    ("linear_activation", Code::LinearActivation, "alpha", Some("beta")),
    ("log", Code::Log, "epsilon", None),
    ("rsqrt", Code::Rsqrt, "epsilon", None),
    ("scaled_tanh", Code::ScaledTanh, "alpha", Some("beta")),
    ("sigmoid_hard", Code::SigmoidHard, "alpha", Some("beta")),
    ("threshold", Code::Threshold, "alpha", None),
    ("thresholded_relu", Code::ThresholdedRelu, "alpha", None),
];

/// Ops that need more than a table.
const OTHERS: [&str; 2] = ["fill_like", "gelu"];

/// Whether the op of this name is an instruction.
pub(crate) fn is_elementwise(name: &str) -> bool {
    PLAIN.iter().any(|(plain, _)| *plain == name)
        || WITH_ATTRIBUTES.iter().any(|entry| entry.0 == name)
        || OTHERS.contains(&name)
}

impl ElementOp {
    /// The instruction that computes an operation; `None` when the op is not elementwise.
    pub(crate) fn from_view(op: &OpView<'_>) -> Option<Result<ElementOp, InferError>> {
        let name = op.name();
        if let Some((_, code)) = PLAIN.iter().find(|(plain, _)| *plain == name) {
            return Some(Ok(ElementOp::new(*code)));
        }
        if name == "threshold" && op.dtype("x").is_ok_and(|dtype| dtype.is_int()) {
            let bits = op.int("alpha").map(|alpha| f32::from_bits(alpha as u32));
            return Some(bits.map(|alpha| ElementOp { code: Code::ThresholdInt, alpha, beta: 0.0 }));
        }
        if let Some(&(_, code, alpha, beta)) = WITH_ATTRIBUTES.iter().find(|entry| entry.0 == name) {
            return Some(with_attributes(op, code, alpha, beta));
        }
        match name {
            "gelu" => Some(gelu(op)),
            "fill_like" => Some(fill_like(op)),
            _ => None,
        }
    }

    /// The operands of an elementwise operation, in the order in which the instruction takes them.
    pub(crate) fn operands(op: &OpView<'_>) -> Vec<ValueId> {
        match op.name() {
            "fill_like" => Vec::new(),
            // Coefficients per channel: constants in the program, operands here.
            "prelu" => ["x", "alpha"].iter().filter_map(|param| op.value(param)).collect(),
            "softplus_parametric" => {
                ["x", "alpha", "beta"].iter().filter_map(|param| op.value(param)).collect()
            }
            _ => op.operands().map(|(_, id)| id).collect(),
        }
    }
}

fn with_attributes(
    op: &OpView<'_>,
    code: Code,
    alpha: &'static str,
    beta: Option<&'static str>,
) -> Result<ElementOp, InferError> {
    let alpha = attribute(op, alpha)?;
    let beta = beta.map_or(Ok(0.0), |beta| attribute(op, beta))?;
    Ok(ElementOp { code, alpha, beta })
}

/// A float attribute. A default takes the element type of `x`, so for `fp16` it is rounded to that.
fn attribute(op: &OpView<'_>, param: &'static str) -> Result<f32, InferError> {
    let value = op.float(param)?;
    let narrow = op.value(param).is_none() && op.dtype("x")? == DataType::Fp16;
    Ok(if narrow { f16::from_f32(value).to_f32() } else { value })
}

fn gelu(op: &OpView<'_>) -> Result<ElementOp, InferError> {
    let code = match op.string("mode")? {
        "EXACT" => Code::GeluExact,
        "TANH_APPROXIMATION" => Code::GeluTanh,
        "SIGMOID_APPROXIMATION" => Code::GeluSigmoid,
        other => {
            let allowed = "EXACT, TANH_APPROXIMATION or SIGMOID_APPROXIMATION";
            return Err(InferError::new("mode", format!("is \"{other}\", but must be {allowed}")));
        }
    };
    Ok(ElementOp::new(code))
}

fn fill_like(op: &OpView<'_>) -> Result<ElementOp, InferError> {
    let lane = if op.output(0).dtype.is_float() {
        op.float("value")?.to_bits()
    } else {
        match op.constant("value") {
            Some(_) => op.int("value")? as u32,
            None => 0,
        }
    };
    Ok(ElementOp::new(Code::Fill(lane)))
}
