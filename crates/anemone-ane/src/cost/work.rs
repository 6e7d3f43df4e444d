//! What one MIL operation asks of the engine: multiplications, elements, bytes.
//!
//! The table by op family is `of_operation`: products (convolution, linear) are counted as rows × depth × columns, everything
//! else as elements read and written, times the passes that the engine makes over them. An op without a rule of its own is counted
//! by the bytes that it moves, so every op has a finite cost.

use super::open;
use mil::ops::{conv, linear, pool};
use mil::{Def, Family, Function, OpView, Operation, Shape, Type, UNKNOWN, ValueId};

/// How the weights of a product reach the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Stream {
    /// No constant weights: both operands are computed.
    #[default]
    None,
    /// Dense `fp16` (or `fp32`, which is stored as `fp16`).
    Fp16,
    /// Linear 8-bit quantization.
    Int8,
    /// A palette (table of values with indices of up to 8 bits).
    Lut,
    /// Zeros left out.
    Sparse,
    /// A scale per block.
    Blockwise,
}

/// Which unit of the engine does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unit {
    /// The multiply-accumulate array.
    Mac,
    /// The planar engine: elementwise operations, reductions, normalizations, pooling.
    Planar,
    /// Data movement that changes the layout.
    Move,
    /// Nothing to do: views, constants, operations that are part of their producer.
    #[default]
    Free,
}

/// The work of one operation (or of a part of a composite one).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Unit that does it.
    pub unit: Unit,
    /// Floating-point operations, two per multiply-accumulate; 0 where the array is not used.
    pub flops: f64,
    /// Independent products: groups of a convolution, batch of a product of activations.
    pub batch: f64,
    /// Output positions (convolution: batch × output size; matrix product: rows).
    pub rows: f64,
    /// Terms of a sum (input channels per group × window; inner dimension).
    pub depth: f64,
    /// Output channels per group; columns.
    pub columns: f64,
    /// Whether it is a convolution, which the compiler tiles together with its neighbours.
    pub conv: bool,
    /// Whether the convolution has a window of more than one element.
    pub windowed: bool,
    /// A dense 3×3 convolution with stride 1, which newer engines transform (Winograd).
    pub winograd: bool,
    /// Whether both operands are 8-bit integers.
    pub int8: bool,
    /// Weight stream.
    pub stream: Stream,
    /// Bytes of the weights as stored.
    pub weight_bytes: f64,
    /// Elements of the weights.
    pub weight_elements: f64,
    /// Bytes of activations read, at 2 bytes per element.
    pub in_bytes: f64,
    /// Bytes of activations written.
    pub out_bytes: f64,
    /// Bytes of activations that are not ports of the function: what may have to leave the chip between operations.
    pub internal_bytes: f64,
    /// The largest of them.
    pub internal_largest: f64,
    /// Passes of the planar engine over the elements.
    pub passes: f64,
    /// Bytes that change places: a transposition, gathered elements.
    pub relayout_bytes: f64,
    /// Bytes of a reshape that makes rows into channels or channels into rows.
    pub regroup_bytes: f64,
    /// How often it runs per call.
    pub count: f64,
    /// Tensor instructions issued each time.
    pub issues: f64,
}

impl Work {
    /// Bytes moved, weights included.
    pub fn bytes(&self) -> f64 {
        self.in_bytes + self.out_bytes + self.weight_bytes
    }
}

/// Elements of a shape; an unknown dimension counts as `assumed`.
pub(super) fn elements(shape: &Shape, assumed: usize) -> f64 {
    shape.iter().map(|&dim| if dim == UNKNOWN { assumed as f64 } else { dim as f64 }).product()
}

/// What the rules need to know around one operation.
pub(super) struct Context<'a> {
    pub(super) function: &'a Function,
    /// Length that an unknown dimension is taken for.
    pub(super) assumed: usize,
    /// Stream and stored bytes of constants in compressed form, by value.
    pub(super) compressed: &'a [Option<(Stream, f64)>],
    /// Whether the value comes from a `dequantize`.
    pub(super) dequantized: &'a [bool],
    /// Whether the value is an input or an output of the function, or the same but for a cast.
    pub(super) ports: &'a [bool],
}

impl Context<'_> {
    fn elements(&self, value: ValueId) -> f64 {
        match self.function.ty(value) {
            Type::Tensor(ty) | Type::State(ty) => elements(&ty.shape, self.assumed),
            other => elements(&other.tensor().shape, self.assumed),
        }
    }

    /// Bytes of an activation on the engine: 2 per element, whatever the program's type.
    pub(super) fn bytes(&self, value: ValueId) -> f64 {
        2.0 * self.elements(value)
    }

    /// Counts an activation that is not a port.
    fn touch(&self, work: &mut Work, value: ValueId) {
        if !self.ports.get(value.index()).copied().unwrap_or(false) {
            let bytes = self.bytes(value);
            work.internal_bytes += bytes;
            work.internal_largest = work.internal_largest.max(bytes);
        }
    }

    /// Stream and stored bytes of a constant; none for what is computed.
    fn stream(&self, value: ValueId) -> Option<(Stream, f64)> {
        match self.function.value(value).def {
            Def::Const(_) => Some((Stream::Fp16, self.bytes(value))),
            Def::Constexpr => Some(
                self.compressed
                    .get(value.index())
                    .copied()
                    .flatten()
                    .unwrap_or((Stream::Fp16, self.bytes(value))),
            ),
            Def::Input | Def::Op => None,
        }
    }

    /// Work that only moves and touches elements.
    fn plain(&self, operation: &Operation, unit: Unit, passes: f64) -> Work {
        let mut work = Work { unit, passes, batch: 1.0, count: 1.0, issues: 1.0, ..Work::default() };
        for value in operation.uses() {
            let bytes = self.bytes(value);
            match self.stream(value) {
                Some((_, stored)) => work.weight_bytes += stored.min(bytes),
                None => {
                    work.in_bytes += bytes;
                    self.touch(&mut work, value);
                }
            }
        }
        for &value in &operation.outputs {
            work.out_bytes += self.bytes(value);
            self.touch(&mut work, value);
        }
        work
    }

    /// A product of `batch` matrices.
    pub(super) fn product(
        &self,
        operation: &Operation,
        x: ValueId,
        y: ValueId,
        [batch, rows, depth, columns]: [f64; 4],
    ) -> Work {
        let mut work = Work {
            unit: Unit::Mac,
            flops: 2.0 * batch * rows * depth * columns,
            batch,
            rows,
            depth,
            columns,
            count: 1.0,
            issues: 1.0,
            ..Work::default()
        };
        // A constant left operand is streamed as well: the engine then works on the transposed product.
        let (activation, weight) =
            if self.stream(x).is_some() && self.stream(y).is_none() { (y, x) } else { (x, y) };
        work.in_bytes = self.bytes(activation);
        self.touch(&mut work, activation);
        if let Some((stream, stored)) = self.stream(weight) {
            work.stream = stream;
            work.weight_bytes = stored;
            work.weight_elements = self.elements(weight);
            let plain = matches!(stream, Stream::Int8 | Stream::Blockwise);
            work.int8 = plain && self.dequantized.get(activation.index()).copied().unwrap_or(false);
        } else {
            work.in_bytes += self.bytes(weight);
            self.touch(&mut work, weight);
        }
        for &value in &operation.outputs {
            work.out_bytes += self.bytes(value);
            self.touch(&mut work, value);
        }
        work
    }
}

/// The work of an operation, in parts for composite ones. Nested blocks are not looked into.
pub(super) fn of_operation(context: &Context<'_>, operation: &Operation) -> Vec<Work> {
    let view = context.function.view(operation);
    let known = operation
        .uses()
        .chain(operation.outputs.iter().copied())
        .all(|value| context.function.ty(value).is_static());
    let exact = match known {
        true => products(context, operation, &view),
        false => open::product(context, operation, &view).map(|work| vec![work]),
    };
    exact.unwrap_or_else(|| vec![elementwise(context, operation, &view)])
}

/// Products: operations that the multiply-accumulate array does.
fn products(context: &Context<'_>, operation: &Operation, view: &OpView<'_>) -> Option<Vec<Work>> {
    let float = |value: usize| value as f64;
    match view.name() {
        "conv" | "conv_quantized" | "conv_transpose" => {
            let transposed = view.name() == "conv_transpose";
            let geometry =
                if transposed { conv::transpose_geometry(view) } else { conv::geometry(view) }.ok()?;
            let positions: usize = if transposed {
                geometry.spatial.input.iter().product()
            } else {
                geometry.spatial.output.iter().product()
            };
            let groups = float(geometry.groups);
            let window = float(geometry.spatial.window());
            let columns = float(geometry.out_channels) / groups;
            let depth = float(geometry.in_channels) / groups * window;
            let rows = float(geometry.batch) * float(positions);
            let mut work = context.product(
                operation,
                view.value("x")?,
                view.value("weight")?,
                [groups, rows, depth, columns],
            );
            if transposed {
                // Every input element meets every tap once; the positions above are those of the output.
                let strides: usize = geometry.spatial.strides.iter().product();
                work.flops /= float(strides.max(1));
            }
            work.conv = true;
            work.windowed = window > 1.0;
            work.winograd = !transposed
                && geometry.groups == 1
                && geometry.spatial.kernel.as_slice() == [3, 3]
                && geometry.spatial.strides.iter().chain(&geometry.spatial.dilations).all(|&one| one == 1);
            Some(vec![work])
        }
        "linear" => {
            let (x, weight) = (view.value("x")?, view.value("weight")?);
            let columns = float(*context.function.shape(weight).first()?);
            let depth = float(*context.function.shape(x).last()?);
            let rows = context.elements(x) / depth.max(1.0);
            Some(vec![context.product(operation, x, weight, [1.0, rows, depth, columns])])
        }
        "matmul" => {
            let geometry = linear::matmul_geometry(view).ok()?;
            let (x, y) = (view.value("x")?, view.value("y")?);
            let batch: f64 = geometry.batch.iter().map(|&dim| dim as f64).product();
            let shared: f64 = geometry.y_batch.iter().map(|&dim| dim as f64).product();
            // A right operand without batch sees the whole left one as rows of one matrix.
            let (batch, rows) =
                if shared <= 1.0 { (1.0, batch * float(geometry.m)) } else { (batch, float(geometry.m)) };
            Some(vec![context.product(operation, x, y, [batch, rows, float(geometry.k), float(geometry.n)])])
        }
        "einsum" => {
            let values = view.values("values");
            let [x, y] = values else { return None };
            let (equation, sizes) = linear::einsum::geometry(view).ok()?;
            let mut dims = [1.0; 4];
            for (label, &size) in sizes.iter().enumerate() {
                let in_x = equation.inputs.first()?.contains(&label);
                let in_y = equation.inputs.get(1)?.contains(&label);
                let kept = equation.output.contains(&label);
                let at = match (in_x, in_y, kept) {
                    (true, true, true) => 0,
                    (true, false, _) => 1,
                    (true, true, false) => 2,
                    _ => 3,
                };
                dims[at] *= float(size);
            }
            Some(vec![context.product(operation, *x, *y, dims)])
        }
        "scaled_dot_product_attention" => attention(context, operation, view),
        "lstm" | "gru" | "rnn" => recurrent(context, operation, view),
        _ => None,
    }
}

/// `scaled_dot_product_attention` as the compiler decomposes it: two products around a scaled softmax.
fn attention(context: &Context<'_>, operation: &Operation, view: &OpView<'_>) -> Option<Vec<Work>> {
    let (q, k, v) = (view.shape("query").ok()?, view.shape("key").ok()?, view.shape("value").ok()?);
    let rank = q.rank();
    let outer: f64 = q.get(..rank.checked_sub(2)?)?.iter().map(|&dim| dim as f64).product();
    let (l, e, s, w) = (q[rank - 2] as f64, q[rank - 1] as f64, k[rank - 2] as f64, v[rank - 1] as f64);
    let product = |rows: f64, depth: f64, columns: f64| {
        let (x, y, out) =
            (2.0 * outer * rows * depth, 2.0 * outer * depth * columns, 2.0 * outer * rows * columns);
        Work {
            unit: Unit::Mac,
            flops: 2.0 * outer * rows * depth * columns,
            batch: outer,
            rows,
            depth,
            columns,
            in_bytes: x + y,
            out_bytes: out,
            internal_bytes: out.max(x),
            internal_largest: out.max(x),
            count: 1.0,
            issues: 1.0,
            ..Work::default()
        }
    };
    let scores = 2.0 * outer * l * s;
    let softmax = planar(scores, scores, SOFTMAX_PASSES);
    let mut works = vec![product(l, e, s), softmax, product(l, s, w)];
    if view.value("attn_mask").is_some() {
        works.insert(1, planar(2.0 * scores, scores, 1.0));
    }
    let _ = (context, operation);
    Some(works)
}

/// Recurrent layers run their steps one after another.
fn recurrent(context: &Context<'_>, operation: &Operation, view: &OpView<'_>) -> Option<Vec<Work>> {
    let x = view.shape("x").ok()?;
    let [steps, batch, features] = x[..] else { return None };
    let hidden = *context.function.shape(*operation.outputs.first()?).last()? as f64;
    let gates = match view.name() {
        "lstm" => 4.0,
        "gru" => 3.0,
        _ => 1.0,
    };
    let (batch, depth, columns) = (batch as f64, features as f64 + hidden, gates * hidden);
    let step = Work {
        unit: Unit::Mac,
        flops: 2.0 * batch * depth * columns,
        batch: 1.0,
        rows: batch,
        depth,
        columns,
        stream: Stream::Fp16,
        weight_bytes: 2.0 * depth * columns,
        weight_elements: depth * columns,
        in_bytes: 2.0 * batch * depth,
        out_bytes: 2.0 * batch * columns,
        count: steps as f64,
        issues: 1.0,
        ..Work::default()
    };
    let mut update = planar(2.0 * batch * columns, 2.0 * batch * hidden, 3.0);
    update.count = steps as f64;
    Some(vec![step, update])
}

fn planar(in_bytes: f64, out_bytes: f64, passes: f64) -> Work {
    Work {
        unit: Unit::Planar,
        in_bytes,
        out_bytes,
        internal_bytes: in_bytes + out_bytes,
        internal_largest: in_bytes.max(out_bytes),
        passes,
        batch: 1.0,
        count: 1.0,
        issues: passes,
        ..Work::default()
    }
}

/// Passes over the elements: maximum, exponential with sum, division ("softmax 4-8 tasks").
pub(super) const SOFTMAX_PASSES: f64 = 4.0;
/// Mean, variance, normalization, affine map ("layer_norm 3-6 tasks").
const NORM_PASSES: f64 = 4.0;

/// Everything else, by family.
fn elementwise(context: &Context<'_>, operation: &Operation, view: &OpView<'_>) -> Work {
    let plain = |unit, passes| context.plain(operation, unit, passes);
    let issued = |passes: f64| Work { issues: passes, ..plain(Unit::Planar, passes) };
    match (operation.op.family, view.name()) {
        (_, "softmax") => issued(SOFTMAX_PASSES),
        (Family::Normalization, "batch_norm") => plain(Unit::Planar, 1.0),
        (Family::Normalization, "l2_norm") => issued(3.0),
        (Family::Normalization, _) => issued(NORM_PASSES),
        (
            Family::Activation | Family::ElementwiseBinary | Family::ElementwiseUnary | Family::Quantization,
            _,
        ) => plain(Unit::Planar, 1.0),
        (Family::Pool, _) => {
            // A window is swept row by row and then column by column.
            let taps: usize = pool::geometry(view).map_or(1, |spatial| spatial.kernel.iter().sum());
            let mut work = plain(Unit::Planar, 1.0);
            work.passes = (taps as f64 / 4.0).max(1.0);
            work
        }
        (Family::Reduction, _) => plain(Unit::Planar, 1.0),
        (_, "reshape" | "squeeze" | "expand_dims" | "flatten2d") => reshape(context, operation),
        (_, "transpose") => {
            let mut work = plain(Unit::Move, 1.0);
            work.relayout_bytes = work.in_bytes + work.out_bytes;
            work
        }
        (Family::State, "read_state") | (Family::Constexpr, _) => Work { count: 1.0, ..Work::default() },
        (Family::TensorOperation, "topk" | "argsort" | "non_maximum_suppression") => {
            let mut work = plain(Unit::Planar, 1.0);
            let elements = (work.in_bytes / 2.0).max(2.0);
            work.passes = elements.log2().max(1.0);
            work.issues = work.passes;
            work
        }
        (Family::ControlFlow, "select") => plain(Unit::Planar, 1.0),
        (
            _,
            "slice_by_index" | "slice_by_size" | "gather" | "gather_along_axis" | "gather_nd" | "crop"
            | "crop_resize",
        ) => part(plain(Unit::Move, 1.0), view.name().starts_with("gather")),
        (Family::ScatterGather | Family::ImageResizing, _) => {
            let mut work = plain(Unit::Move, 1.0);
            work.relayout_bytes = work.out_bytes;
            work
        }
        _ => plain(Unit::Move, 1.0),
    }
}

/// An operation that reads no more of its operand than it gives: a row of an embedding, not the table.
fn part(mut work: Work, scattered: bool) -> Work {
    let most = 2.0 * work.out_bytes;
    work.in_bytes = work.in_bytes.min(work.out_bytes);
    work.weight_bytes = work.weight_bytes.min(work.out_bytes);
    work.internal_bytes = work.internal_bytes.min(most);
    work.internal_largest = work.internal_largest.min(work.out_bytes);
    if scattered {
        work.relayout_bytes = work.out_bytes;
    }
    work
}

/// A reshape is a view unless it splits or joins the outermost dimension of a large matrix: then rows become channels, which the
/// engine stores apart, and everything is copied.
fn reshape(context: &Context<'_>, operation: &Operation) -> Work {
    let free = Work { count: 1.0, ..Work::default() };
    let (Some(from), Some(&to)) = (operation.uses().next(), operation.outputs.first()) else { return free };
    if !matches!(context.function.value(from).def, Def::Op | Def::Input) {
        return free;
    }
    let (a, b) = (context.function.shape(from), context.function.shape(to));
    let (low, high) = if a.rank() < b.rank() { (a, b) } else { (b, a) };
    if low.rank() == 2
        && high.rank() >= 3
        && high.first() != low.first()
        && low[0] > 1
        && *high.first().unwrap_or(&1) > 1
    {
        let mut work = context.plain(operation, Unit::Move, 1.0);
        work.regroup_bytes = work.out_bytes;
        return work;
    }
    free
}
