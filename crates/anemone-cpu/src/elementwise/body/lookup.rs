//! From an instruction to its loops.

use super::{Binary, Bodies, Each, Map1, Map2, Map3, One, Ternary, Unary, bodies};
use super::{cast, float, integer, truth};
use crate::elementwise::Code;
use crate::isa::Level;
use mil::DataType;

/// The loops of `code` on arguments of type `from`, giving `to`. `one` tells which arguments are one lane for all; the
/// returned flags tell which of these the loops take so: the others must be spread over a register first. `None` when
/// the function is not defined on the type.
pub(crate) fn find(
    code: Code,
    from: DataType,
    to: DataType,
    one: [bool; 3],
    level: Level,
) -> Option<(Bodies, [bool; 3])> {
    let request = Request { one, level };
    if from.is_float() { floats(code, &request) } else { integers(code, &request) }
        .or_else(|| truths(code, &request))
        .or_else(|| (code == Code::Cast).then(|| request.unary_by(casts(from, to))))
}

/// The loops that spread one lane over a register.
pub(crate) fn splat(level: Level) -> Bodies {
    bodies::<Map1<truth::Identity, One>>(level)
}

struct Request {
    one: [bool; 3],
    level: Level,
}

type Found = (Bodies, [bool; 3]);
const NONE: [bool; 3] = [false; 3];

impl Request {
    fn unary_by(&self, make: fn(Level) -> Bodies) -> Found {
        (make(self.level), NONE)
    }

    fn unary<F: Unary>(&self) -> Found {
        (bodies::<Map1<F, Each>>(self.level), NONE)
    }

    /// A cheap function, worth a loop for each form.
    fn light<F: Binary>(&self) -> Found {
        match self.one {
            [false, true, _] => (bodies::<Map2<F, Each, One>>(self.level), [false, true, false]),
            [true, false, _] => (bodies::<Map2<F, One, Each>>(self.level), [true, false, false]),
            _ => self.heavy::<F>(),
        }
    }

    /// A function that costs more than reading its arguments.
    fn heavy<F: Binary>(&self) -> Found {
        (bodies::<Map2<F, Each, Each>>(self.level), NONE)
    }

    fn ternary<F: Ternary>(&self) -> Found {
        match self.one {
            [_, true, true] => (bodies::<Map3<F, Each, One, One>>(self.level), [false, true, true]),
            [_, true, false] => (bodies::<Map3<F, Each, One, Each>>(self.level), [false, true, false]),
            [_, false, true] => (bodies::<Map3<F, Each, Each, One>>(self.level), [false, false, true]),
            [_, false, false] => (bodies::<Map3<F, Each, Each, Each>>(self.level), NONE),
        }
    }
}

fn floats(code: Code, request: &Request) -> Option<Found> {
    Some(match code {
        Code::Add => request.light::<float::Add>(),
        Code::Sub => request.light::<float::Sub>(),
        Code::Mul => request.light::<float::Mul>(),
        Code::RealDiv => request.light::<float::RealDiv>(),
        Code::FloorDiv => request.heavy::<float::FloorDiv>(),
        Code::Mod => request.heavy::<float::Mod>(),
        Code::Pow => request.heavy::<float::Pow>(),
        Code::Maximum => request.light::<float::Maximum>(),
        Code::Minimum => request.light::<float::Minimum>(),
        Code::Prelu => request.heavy::<float::Prelu>(),
        Code::Equal => request.light::<truth::EqualFloat>(),
        Code::NotEqual => request.light::<truth::NotEqualFloat>(),
        Code::Greater => request.light::<truth::GreaterFloat>(),
        Code::GreaterEqual => request.light::<truth::GreaterEqualFloat>(),
        Code::Less => request.light::<truth::LessFloat>(),
        Code::LessEqual => request.light::<truth::LessEqualFloat>(),
        Code::Abs => request.unary::<float::Abs>(),
        Code::Acos => request.unary::<float::Acos>(),
        Code::Asin => request.unary::<float::Asin>(),
        Code::Atan => request.unary::<float::Atan>(),
        Code::Atanh => request.unary::<float::Atanh>(),
        Code::Ceil => request.unary::<float::Ceil>(),
        Code::Clip => request.unary::<float::Clip>(),
        Code::Cos => request.unary::<float::Cos>(),
        Code::Cosh => request.unary::<float::Cosh>(),
        Code::Erf => request.unary::<float::Erf>(),
        Code::Exp => request.unary::<float::Exp>(),
        Code::Exp2 => request.unary::<float::Exp2>(),
        Code::Floor => request.unary::<float::Floor>(),
        Code::Inverse => request.unary::<float::Inverse>(),
        Code::Log => request.unary::<float::Log>(),
        Code::Round => request.unary::<float::Round>(),
        Code::Rsqrt => request.unary::<float::Rsqrt>(),
        Code::Sign => request.unary::<float::Sign>(),
        Code::Sin => request.unary::<float::Sin>(),
        Code::Sinh => request.unary::<float::Sinh>(),
        Code::Sqrt => request.unary::<float::Sqrt>(),
        Code::Square => request.unary::<float::Square>(),
        Code::Tan => request.unary::<float::Tan>(),
        Code::Tanh => request.unary::<float::Tanh>(),
        Code::Threshold => request.unary::<float::Threshold>(),
        _ => return activations(code, request),
    })
}

fn activations(code: Code, request: &Request) -> Option<Found> {
    Some(match code {
        Code::ClampedRelu => request.unary::<float::ClampedRelu>(),
        Code::Elu => request.unary::<float::Elu>(),
        Code::GeluExact => request.unary::<float::GeluExact>(),
        Code::GeluSigmoid => request.unary::<float::GeluSigmoid>(),
        Code::GeluTanh => request.unary::<float::GeluTanh>(),
        Code::LeakyRelu => request.unary::<float::LeakyRelu>(),
        Code::LinearActivation => request.unary::<float::LinearActivation>(),
        Code::Relu => request.unary::<float::Relu>(),
        Code::Relu6 => request.unary::<float::Relu6>(),
        Code::ScaledTanh => request.unary::<float::ScaledTanh>(),
        Code::Sigmoid => request.unary::<float::Sigmoid>(),
        Code::SigmoidHard => request.unary::<float::SigmoidHard>(),
        Code::Silu => request.unary::<float::Silu>(),
        Code::Softplus => request.unary::<float::Softplus>(),
        Code::SoftplusParametric => {
            (bodies::<Map3<float::SoftplusParametric, Each, Each, Each>>(request.level), NONE)
        }
        Code::Softsign => request.unary::<float::Softsign>(),
        Code::ThresholdedRelu => request.unary::<float::ThresholdedRelu>(),
        _ => return None,
    })
}

fn integers(code: Code, request: &Request) -> Option<Found> {
    Some(match code {
        Code::Add => request.light::<integer::Add>(),
        Code::Sub => request.light::<integer::Sub>(),
        Code::Mul => request.light::<integer::Mul>(),
        Code::RealDiv => request.heavy::<integer::RealDiv>(),
        Code::FloorDiv => request.heavy::<integer::FloorDiv>(),
        Code::Mod => request.heavy::<integer::Mod>(),
        Code::Pow => request.heavy::<integer::Pow>(),
        Code::Maximum => request.light::<integer::Maximum>(),
        Code::Minimum => request.light::<integer::Minimum>(),
        Code::Equal => request.light::<truth::EqualInt>(),
        Code::NotEqual => request.light::<truth::NotEqualInt>(),
        Code::Greater => request.light::<truth::GreaterInt>(),
        Code::GreaterEqual => request.light::<truth::GreaterEqualInt>(),
        Code::Less => request.light::<truth::LessInt>(),
        Code::LessEqual => request.light::<truth::LessEqualInt>(),
        Code::Abs => request.unary::<integer::Abs>(),
        Code::Exp2 => request.unary::<integer::Exp2>(),
        Code::Sign => request.unary::<integer::Sign>(),
        Code::Square => request.unary::<integer::Square>(),
        Code::ThresholdInt => request.unary::<integer::Threshold>(),
        _ => return None,
    })
}

/// Functions that do not look at the type of the lanes.
fn truths(code: Code, request: &Request) -> Option<Found> {
    Some(match code {
        Code::LogicalAnd => request.light::<truth::And>(),
        Code::LogicalOr => request.light::<truth::Or>(),
        Code::LogicalXor => request.light::<truth::Xor>(),
        Code::LogicalNot => request.unary::<truth::Not>(),
        Code::Identity => match request.one[0] {
            true => (splat(request.level), [true, false, false]),
            false => request.unary::<truth::Identity>(),
        },
        Code::Select => request.ternary::<truth::Select>(),
        _ => return None,
    })
}

fn casts(from: DataType, to: DataType) -> fn(Level) -> Bodies {
    use DataType::{Bool, Int8, Int16, Int32, Uint8, Uint16, Uint32};
    let float = from.is_float();
    match to {
        _ if float && to.is_float() || from == to => bodies::<Map1<truth::Identity, Each>>,
        Bool if float => bodies::<Map1<cast::FloatToBool, Each>>,
        Int8 if float => bodies::<Map1<cast::FloatToInt8, Each>>,
        Uint8 if float => bodies::<Map1<cast::FloatToUint8, Each>>,
        Int16 if float => bodies::<Map1<cast::FloatToInt16, Each>>,
        Uint16 if float => bodies::<Map1<cast::FloatToUint16, Each>>,
        Int32 if float => bodies::<Map1<cast::FloatToInt32, Each>>,
        Uint32 if float => bodies::<Map1<cast::FloatToUint32, Each>>,
        Bool => bodies::<Map1<cast::IntToBool, Each>>,
        Int8 => bodies::<Map1<cast::IntToInt8, Each>>,
        Uint8 => bodies::<Map1<cast::IntToUint8, Each>>,
        Int16 => bodies::<Map1<cast::IntToInt16, Each>>,
        Uint16 => bodies::<Map1<cast::IntToUint16, Each>>,
        // Both read the lane's 32 bits as their own.
        Int32 | Uint32 => bodies::<Map1<truth::Identity, Each>>,
        _ if from == Uint32 => bodies::<Map1<cast::UintToFloat, Each>>,
        _ => bodies::<Map1<cast::IntToFloat, Each>>,
    }
}
