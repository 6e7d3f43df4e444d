//! A function as a list of work: what is fused into its producer, what nested blocks add, what crosses the ports.

use super::part::access;
use super::work::{Context, Stream, Unit, Work, elements, of_operation};
use mil::{Block, DataType, Def, Family, Function, Operation, Shape, TensorType, Type, UNKNOWN, ValueId};
use std::collections::BTreeSet;

/// One operation with its work.
#[derive(Clone, Debug, PartialEq)]
pub struct OpWork {
    /// Name of the op: `conv`.
    pub op: &'static str,
    /// Name of the first value that it defines.
    pub value: String,
    /// Its parts; several for a composite op.
    pub parts: Vec<Work>,
    /// Whether it is part of its producer on the engine.
    pub fused: bool,
    /// Position in the body of the function; operations of nested blocks have that of the outermost one.
    pub position: usize,
}

/// A function as work.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionWork {
    /// Operations in program order.
    pub ops: Vec<OpWork>,
    /// Bytes that enter and leave through the ports, in the types of the ports.
    pub port_bytes: f64,
    /// The same elements as `fp16`, which is what the host converts and copies.
    pub host_bytes: f64,
    /// Rows of ports that do not fill the engine's 64-byte pitch: the host copies them one by one.
    pub ragged_rows: f64,
    /// Bytes of all weights as stored, each counted once.
    pub weight_bytes: f64,
    /// Whether dimensions are not known, so that their lengths are guesses.
    pub assumed: bool,
    /// What was assumed.
    pub notes: Vec<String>,
}

/// What a call costs by: equal parts merged, and what crosses the ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Parts, each with its count.
    pub parts: Vec<Work>,
    /// As in [`FunctionWork`].
    pub port_bytes: f64,
    /// As in [`FunctionWork`].
    pub host_bytes: f64,
    /// As in [`FunctionWork`].
    pub ragged_rows: f64,
}

/// Numbers that a program does not say.
#[derive(Clone, Copy, Debug)]
pub struct Assumptions {
    /// Turns of a `while_loop`.
    pub loop_turns: usize,
    /// Length of an unknown dimension.
    pub unknown_dim: usize,
}

impl FunctionWork {
    /// The work of a function of a verified program.
    pub fn new(function: &Function, assume: Assumptions) -> FunctionWork {
        FunctionWork::sharing(function, &BTreeSet::new(), assume)
    }

    /// The work of a function that shares some of its states with other programs: these come and go through ports. The
    /// others stay where they are.
    pub(super) fn sharing(
        function: &Function,
        shared: &BTreeSet<ValueId>,
        assume: Assumptions,
    ) -> FunctionWork {
        let compressed = compressed(function);
        let dequantized = marks(function, |operation| operation.op.declaration().name == "dequantize");
        let passed = Passed::new(function, shared);
        let mut ports = ports(function, &passed);
        fused_ports(function, &mut ports);
        let context = Context {
            function,
            assumed: assume.unknown_dim,
            compressed: &compressed,
            dequantized: &dequantized,
            ports: &ports,
        };
        let mut walk = Walk {
            context,
            uses: uses(function),
            products: marks(function, |operation| {
                matches!(operation.op.family, Family::Conv | Family::Linear)
            }),
            assume,
            looped: false,
        };
        let mut ops = Vec::new();
        walk.block(&function.body, 1.0, None, &mut ops);
        let mut notes = Vec::new();
        if walk.looped {
            notes.push(format!("while_loop: {} turns assumed", assume.loop_turns));
        }
        let assumed = function.values.iter().any(|value| !value.ty.tensor().shape.is_known());
        if assumed {
            notes.push(format!("unknown dimensions taken as {}", assume.unknown_dim));
        }
        if computes_fp32(function, &ports) {
            notes.push("operations in fp32 counted as fp16, in which the engine computes".to_string());
        }
        let mut work = FunctionWork {
            ops,
            port_bytes: 0.0,
            host_bytes: 0.0,
            ragged_rows: 0.0,
            weight_bytes: weights(function),
            assumed,
            notes,
        };
        let outputs = function.body.outputs.iter().copied();
        for value in function.tensor_inputs().chain(outputs) {
            work.add_port(function.ty(value), assume.unknown_dim);
            work.add_copy(function.ty(value), assume.unknown_dim);
        }
        // From program to program without the host.
        for &state in passed.read.iter().chain(&passed.written) {
            work.add_port(function.ty(state), assume.unknown_dim);
        }
        work
    }

    /// Adds a value that enters or leaves.
    fn add_port(&mut self, ty: &Type, assumed: usize) {
        let Some(tensor) = port(ty) else { return };
        self.port_bytes += elements(&tensor.shape, assumed) * tensor.dtype.size().max(1) as f64;
    }

    /// Adds a value that the host converts and copies.
    pub(super) fn add_copy(&mut self, ty: &Type, assumed: usize) {
        let Some(tensor) = port(ty) else { return };
        self.host_bytes += 2.0 * elements(&tensor.shape, assumed);
        self.ragged_rows += ragged_rows(&tensor.shape, assumed);
    }

    /// Floating-point operations per call.
    pub fn flops(&self) -> f64 {
        self.parts().map(|work| work.flops * work.count).sum()
    }

    /// The function as a load.
    pub fn load(&self) -> Load {
        let mut parts: Vec<Work> = Vec::new();
        for part in self.parts().filter(|part| part.unit != Unit::Free) {
            match parts.iter_mut().find(|known| Work { count: part.count, ..**known } == *part) {
                Some(known) => known.count += part.count,
                None => parts.push(*part),
            }
        }
        Load {
            parts,
            port_bytes: self.port_bytes,
            host_bytes: self.host_bytes,
            ragged_rows: self.ragged_rows,
        }
    }

    /// Every part of every operation.
    pub fn parts(&self) -> impl Iterator<Item = &Work> {
        self.ops.iter().flat_map(|op| &op.parts)
    }
}

/// Rows of a port whose length in `fp16` is not a multiple of the pitch of 64 bytes (tensor layout of the engine:
/// every row of every channel begins at such a multiple).
fn ragged_rows(shape: &Shape, assumed: usize) -> f64 {
    let Some(&width) = shape.last() else { return 0.0 };
    if width == UNKNOWN || (2 * width).is_multiple_of(64) {
        return 0.0;
    }
    elements(shape, assumed) / width.max(1) as f64
}

/// What can be a port: a tensor, and the tensor that a state holds.
fn port(ty: &Type) -> Option<&TensorType> {
    match ty {
        Type::Tensor(tensor) | Type::State(tensor) => Some(tensor),
        _ => None,
    }
}

/// States that come from other programs and go to them.
#[derive(Default)]
struct Passed {
    /// Those that are read: they come in.
    read: BTreeSet<ValueId>,
    /// Those that are written: they go out.
    written: BTreeSet<ValueId>,
    /// Tensors that are read from them or written to them.
    tensors: Vec<ValueId>,
}

impl Passed {
    fn new(function: &Function, shared: &BTreeSet<ValueId>) -> Passed {
        let mut passed = Passed::default();
        visit(&function.body, &mut |operation| {
            let Some((state, written)) = access(operation) else { return };
            if shared.contains(&state) {
                passed.tensors.extend(written.iter().chain(&operation.outputs));
                if written.is_some() { &mut passed.written } else { &mut passed.read }.insert(state);
            }
        });
        passed
    }
}

/// For every value: whether it crosses a port, perhaps in another type.
fn ports(function: &Function, passed: &Passed) -> Vec<bool> {
    let mut ports = vec![false; function.values.len()];
    let mut mark = |value: ValueId| {
        if let Some(port) = ports.get_mut(value.index()) {
            *port = true;
        }
    };
    function.tensor_inputs().chain(function.body.outputs.iter().copied()).for_each(&mut mark);
    passed.tensors.iter().copied().for_each(&mut mark);
    for operation in function.body.ops.iter().filter(|operation| operation.op.declaration().name == "cast") {
        if operation.uses().next().is_some_and(|value| function.inputs.contains(&value)) {
            operation.outputs.iter().copied().for_each(&mut mark);
        }
        if operation.outputs.iter().any(|value| function.body.outputs.contains(value)) {
            operation.uses().for_each(&mut mark);
        }
    }
    ports
}

/// Whether anything but what crosses a port is computed in `fp32`.
fn computes_fp32(function: &Function, ports: &[bool]) -> bool {
    let values = function.body.ops.iter().flat_map(|operation| operation.outputs.iter().copied());
    values
        .filter(|value| !ports.get(value.index()).copied().unwrap_or(false))
        .any(|value| function.ty(value).as_tensor().is_some_and(|tensor| tensor.dtype == DataType::Fp32))
}

/// What a fused operation gives to a port, its producer writes there.
fn fused_ports(function: &Function, ports: &mut [bool]) {
    let uses = uses(function);
    for operation in function.body.ops.iter().rev() {
        let at_port =
            operation.outputs.first().is_some_and(|value| ports.get(value.index()).copied().unwrap_or(false));
        let same = matches!(
            operation.op.family,
            Family::Activation | Family::ElementwiseUnary | Family::ElementwiseBinary | Family::Quantization
        );
        if let (true, true, Some(x)) = (at_port, same, operation.uses().next())
            && matches!(function.value(x).def, Def::Op)
            && uses.get(x.index()) == Some(&1)
            && producer(function, x).is_some_and(|family| matches!(family, Family::Conv | Family::Linear))
            && let Some(port) = ports.get_mut(x.index())
        {
            *port = true;
        }
    }
}

/// The family of the operation that defines a value.
fn producer(function: &Function, value: ValueId) -> Option<Family> {
    function
        .body
        .ops
        .iter()
        .find(|operation| operation.outputs.contains(&value))
        .map(|operation| operation.op.family)
}

/// Bytes of the constants of a function as the engine keeps them.
fn weights(function: &Function) -> f64 {
    (0..function.values.len()).map(|at| constant_bytes(function, ValueId::from_index(at))).sum()
}

/// Bytes of a constant as the engine keeps it: `fp32` as `fp16`. None of what is computed.
pub(super) fn constant_bytes(function: &Function, value: ValueId) -> f64 {
    match &function.value(value).def {
        Def::Const(constant) if constant.ty().dtype == DataType::Fp32 => constant.bytes().len() as f64 / 2.0,
        Def::Const(constant) => constant.bytes().len() as f64,
        Def::Input | Def::Op | Def::Constexpr => 0.0,
    }
}

fn visit<'a>(block: &'a Block, see: &mut impl FnMut(&'a Operation)) {
    for operation in &block.ops {
        see(operation);
        for nested in &operation.blocks {
            visit(nested, see);
        }
    }
}

/// For every value: whether the operation that defines it is of a kind.
fn marks(function: &Function, is: impl Fn(&Operation) -> bool) -> Vec<bool> {
    let mut marks = vec![false; function.values.len()];
    visit(&function.body, &mut |operation| {
        if is(operation) {
            for output in &operation.outputs {
                if let Some(mark) = marks.get_mut(output.index()) {
                    *mark = true;
                }
            }
        }
    });
    marks
}

/// For every value: how often it is used.
fn uses(function: &Function) -> Vec<u32> {
    let mut uses = vec![0u32; function.values.len()];
    let mut count = |value: ValueId| {
        if let Some(uses) = uses.get_mut(value.index()) {
            *uses = uses.saturating_add(1);
        }
    };
    visit(&function.body, &mut |operation| {
        operation.uses().for_each(&mut count);
        operation.blocks.iter().flat_map(|block| block.outputs.iter().copied()).for_each(&mut count);
    });
    function.body.outputs.iter().copied().for_each(&mut count);
    uses
}

/// For every result of a `constexpr` operation: how it is streamed, and the bytes behind it.
fn compressed(function: &Function) -> Vec<Option<(Stream, f64)>> {
    let mut table: Vec<Option<(Stream, f64)>> = vec![None; function.values.len()];
    visit(&function.body, &mut |operation| {
        if operation.op.family != Family::Constexpr {
            return;
        }
        let stream = match operation.op.declaration().name {
            "constexpr_affine_dequantize" => Stream::Int8,
            "constexpr_blockwise_shift_scale" => Stream::Blockwise,
            "constexpr_lut_to_dense" => Stream::Lut,
            "constexpr_sparse_to_dense"
            | "constexpr_lut_to_sparse"
            | "constexpr_sparse_blockwise_shift_scale" => Stream::Sparse,
            _ => Stream::Fp16,
        };
        let stored = operation.uses().map(|value| match &function.value(value).def {
            Def::Const(constant) => constant.bytes().len() as f64,
            _ => table.get(value.index()).copied().flatten().map_or(0.0, |(_, bytes)| bytes),
        });
        let bytes = stored.sum();
        for output in &operation.outputs {
            if let Some(slot) = table.get_mut(output.index()) {
                *slot = Some((stream, bytes));
            }
        }
    });
    table
}

struct Walk<'a> {
    context: Context<'a>,
    uses: Vec<u32>,
    products: Vec<bool>,
    assume: Assumptions,
    looped: bool,
}

impl Walk<'_> {
    fn block(&mut self, block: &Block, count: f64, outer: Option<usize>, into: &mut Vec<OpWork>) {
        for (index, operation) in block.ops.iter().enumerate() {
            let position = outer.unwrap_or(index);
            self.operation(operation, count, position, into);
        }
    }

    fn operation(&mut self, operation: &Operation, count: f64, position: usize, into: &mut Vec<OpWork>) {
        let name = operation.op.declaration().name;
        match (name, operation.blocks.as_slice()) {
            ("while_loop", blocks) => {
                self.looped = true;
                let turns = count * self.assume.loop_turns as f64;
                blocks.iter().for_each(|block| self.block(block, turns, Some(position), into));
                return;
            }
            (_, [first, second]) => {
                // Which branch runs is not known: the longer one counts.
                let (mut a, mut b) = (Vec::new(), Vec::new());
                self.block(first, count, Some(position), &mut a);
                self.block(second, count, Some(position), &mut b);
                into.extend(if weight(&a) >= weight(&b) { a } else { b });
                return;
            }
            _ => {}
        }
        let mut parts = of_operation(&self.context, operation);
        let fused = self.fused(operation, name);
        if fused {
            // What follows joins the same product: an activation after a bias, a dequantization after a quantization.
            for output in &operation.outputs {
                if let Some(mark) = self.products.get_mut(output.index()) {
                    *mark = true;
                }
            }
        }
        for part in &mut parts {
            part.count *= count;
            if fused {
                part.unit = Unit::Free;
            }
        }
        if parts.iter().all(|part| part.unit == Unit::Free)
            && !fused
            && operation.op.family == Family::Constexpr
        {
            return;
        }
        let value =
            operation.outputs.first().map_or_else(String::new, |&id| self.context.function.display_name(id));
        into.push(OpWork { op: name, value, parts, fused, position });
    }

    /// Whether the operation is a post-operation field of the product before it: an activation, a scale, a bias; or a cast
    /// at a port, which the transfer does.
    fn fused(&self, operation: &Operation, name: &str) -> bool {
        let function = self.context.function;
        if name == "cast" {
            let at_input = operation.uses().next().is_some_and(|value| function.inputs.contains(&value));
            let at_output = operation.outputs.iter().any(|value| function.body.outputs.contains(value));
            return at_input || at_output;
        }
        let data: Vec<ValueId> = operation
            .uses()
            .filter(|&value| matches!(function.value(value).def, Def::Op | Def::Input))
            .collect();
        let [x] = data[..] else { return false };
        let single = self.uses.get(x.index()).is_some_and(|&uses| uses == 1);
        let after_product = self.products.get(x.index()).copied().unwrap_or(false);
        let constants = operation
            .uses()
            .filter(|&value| value != x)
            .map(|value| self.context.bytes(value) / 2.0)
            .fold(0.0, f64::max);
        let channels = function.shape(x).iter().copied().max().unwrap_or(1) as f64;
        let kind = match operation.op.family {
            Family::Activation => name != "softmax",
            Family::ElementwiseUnary | Family::Quantization => true,
            Family::ElementwiseBinary => {
                matches!(name, "add" | "sub" | "mul" | "real_div") && constants <= channels
            }
            Family::Normalization => name == "batch_norm",
            _ => false,
        };
        kind && single && after_product
    }
}

/// A rough size to compare branches by, in bytes.
fn weight(ops: &[OpWork]) -> f64 {
    ops.iter()
        .flat_map(|op| &op.parts)
        .map(|work| work.count * (work.bytes() * work.passes.max(1.0) + work.flops / 100.0))
        .sum()
}
