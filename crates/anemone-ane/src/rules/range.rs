//! Between which bounds values lie, as far as the ops before them tell. Only what holds in `fp16` as well, rounding included, is
//! said; NaN is outside of all bounds.

use mil::{DataType, Function, OpView, Operation, ValueId};

/// Bounds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Nothing is less.
    pub low: f64,
    /// Nothing is greater.
    pub high: f64,
}

impl Range {
    /// Anything.
    pub const ANY: Range = Range { low: f64::NEG_INFINITY, high: f64::INFINITY };

    const fn new(low: f64, high: f64) -> Range {
        Range { low, high }
    }

    /// The largest absolute value.
    pub fn magnitude(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    fn union(self, other: Range) -> Range {
        Range::new(self.low.min(other.low), self.high.max(other.high))
    }
}

/// Whether an operation mixes elements of its operands as they are.
pub(super) fn blends(operation: &Operation) -> bool {
    operation.op.family == mil::Family::ElementwiseBinary
        || matches!(operation.op.declaration().name, "select" | "concat" | "stack")
}

/// Constants of so few elements are always looked through.
const FEW: usize = 1 << 12;
/// Constants of more elements are not looked through: their bounds are seldom what a rule turns on.
pub(super) const MOST: usize = 1 << 20;

/// The bounds of every value.
pub(super) fn ranges(function: &Function, operations: &[&Operation]) -> Vec<Range> {
    // Weights are not looked through: no rule turns on their bounds.
    let mut looked_at = vec![false; function.values.len()];
    let blends = operations.iter().filter(|operation| blends(operation));
    blends.flat_map(|operation| operation.uses()).for_each(|id| looked_at[id.index()] = true);
    let mut ranges: Vec<Range> = function
        .values
        .iter()
        .zip(looked_at)
        .map(|(value, looked_at)| match &value.def {
            mil::Def::Const(constant) if looked_at || constant.ty().shape.count() <= FEW => {
                of_constant(constant)
            }
            _ => of_type(value.ty.tensor().dtype),
        })
        .collect();
    for operation in
        operations.iter().filter(|operation| operation.blocks.is_empty() && !operation.outputs.is_empty())
    {
        let view = function.view(operation);
        let range = of_result(&view, &|id| ranges[id.index()]);
        for &output in &operation.outputs {
            ranges[output.index()] = range;
        }
    }
    ranges
}

/// What fits in a type.
fn of_type(dtype: DataType) -> Range {
    match dtype {
        DataType::Bool => Range::new(0.0, 1.0),
        DataType::Int8 => Range::new(-128.0, 127.0),
        DataType::Uint8 => Range::new(0.0, 255.0),
        _ => Range::ANY,
    }
}

fn of_constant(constant: &mil::Constant) -> Range {
    if constant.ty().shape.count() > MOST {
        return Range::ANY;
    }
    let fold = |values: &mut dyn Iterator<Item = f64>| {
        let start = Range::new(f64::INFINITY, f64::NEG_INFINITY);
        let range = values.fold(start, |range, value| match value.is_nan() {
            true => Range::ANY,
            false => Range::new(range.low.min(value), range.high.max(value)),
        });
        // Of no elements all is true.
        if range.low > range.high { Range::new(0.0, 0.0) } else { range }
    };
    match (constant.to_f32(), constant.to_i64()) {
        (Some(values), _) => fold(&mut values.iter().map(|&value| f64::from(value))),
        (None, Some(values)) => fold(&mut values.iter().map(|&value| value as f64)),
        (None, None) => Range::ANY,
    }
}

fn of_result(op: &OpView<'_>, range: &dyn Fn(ValueId) -> Range) -> Range {
    let of = |param: &str| op.value(param).map_or(Range::ANY, range);
    let number = |param: &'static str| op.float(param).map(f64::from).ok();
    let x = of("x");
    match op.name() {
        "sigmoid" | "sigmoid_hard" | "softmax" => Range::new(0.0, 1.0),
        "tanh" | "sin" | "cos" | "erf" | "sign" | "softsign" => Range::new(-1.0, 1.0),
        "relu6" => Range::new(0.0, 6.0),
        "clip" => match (number("alpha"), number("beta")) {
            // Rounded to fp16, a bound can grow by half a unit.
            (Some(low), Some(high)) => Range::new(low - low.abs() / 1024.0, high + high.abs() / 1024.0),
            _ => Range::ANY,
        },
        "relu" => Range::new(x.low.max(0.0), x.high.max(0.0)),
        "abs" => {
            let least = if x.low <= 0.0 && x.high >= 0.0 { 0.0 } else { x.low.abs().min(x.high.abs()) };
            Range::new(least, x.magnitude())
        }
        "exp" if x.high <= 0.0 => Range::new(0.0, 1.0),
        "floor" | "ceil" | "round" => Range::new(x.low.floor(), x.high.ceil()),
        "maximum" => {
            let y = of("y");
            Range::new(x.low.max(y.low), x.high.max(y.high))
        }
        "minimum" => {
            let y = of("y");
            Range::new(x.low.min(y.low), x.high.min(y.high))
        }
        "select" => of("a").union(of("b")),
        "concat" | "stack" => {
            let parts = op.values("values").iter().map(|&id| range(id));
            parts.reduce(Range::union).unwrap_or(Range::ANY)
        }
        "identity" | "reshape" | "transpose" | "expand_dims" | "squeeze" | "flatten2d" | "slice_by_index"
        | "slice_by_size" | "split" | "tile" | "reverse" | "max_pool" | "reduce_max" | "reduce_min"
        | "depth_to_space" | "space_to_depth" | "pixel_shuffle" | "pixel_unshuffle" => x,
        "pad" => x.union(Range::new(0.0, 0.0)).union(of("constant_val")),
        _ => of_type(op.output(0).dtype),
    }
}
