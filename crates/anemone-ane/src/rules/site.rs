//! Where rules look: one operation or value in its function, for one chip.

use super::range::Range;
use crate::chips::{Chip, Limits};
use mil::{Block, DataType, Def, Function, OpView, Operation, ValueId};

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// What is there.
    pub found: String,
    /// What is allowed, if the rule's own words do not say it.
    pub allowed: Option<String>,
}

impl Hit {
    /// Found this.
    pub(super) fn new(found: impl Into<String>) -> Hit {
        Hit { found: found.into(), allowed: None }
    }

    /// Found this where that is allowed.
    pub(super) fn over(found: impl Into<String>, allowed: impl Into<String>) -> Hit {
        Hit { found: found.into(), allowed: Some(allowed.into()) }
    }
}

/// A function with what rules ask about it: who defines and who uses a value, which values are worked out before anything runs,
/// and between which bounds the others lie.
#[derive(Debug)]
pub struct Graph<'a> {
    /// The function.
    pub function: &'a Function,
    /// The chip.
    pub chip: &'static Chip,
    /// What the chip's family is held to.
    pub limits: &'static Limits,
    /// Every operation, nested ones too, in order.
    pub operations: Vec<&'a Operation>,
    definitions: Vec<Option<usize>>,
    uses: Vec<Vec<usize>>,
    is_output: Vec<bool>,
    known: Vec<bool>,
    ranges: Vec<Range>,
    is_static: bool,
}

impl<'a> Graph<'a> {
    /// Looks at a function of a verified program.
    pub fn new(function: &'a Function, chip: &'static Chip, limits: &'static Limits) -> Graph<'a> {
        let count = function.values.len();
        let mut graph = Graph {
            function,
            chip,
            limits,
            operations: Vec::new(),
            definitions: vec![None; count],
            uses: vec![Vec::new(); count],
            is_output: vec![false; count],
            known: function
                .values
                .iter()
                .map(|value| matches!(value.def, Def::Const(_) | Def::Constexpr))
                .collect(),
            ranges: Vec::new(),
            is_static: function.is_static(),
        };
        graph.walk(&function.body);
        for &output in &function.body.outputs {
            graph.is_output[output.index()] = true;
        }
        graph.ranges = super::range::ranges(function, &graph.operations);
        graph
    }

    /// Operations of a function, nested ones included.
    pub(super) fn count(function: &Function) -> usize {
        fn of(block: &Block) -> usize {
            block.ops.iter().map(|operation| 1 + operation.blocks.iter().map(of).sum::<usize>()).sum()
        }
        of(&function.body)
    }

    fn walk(&mut self, block: &'a Block) {
        for operation in &block.ops {
            let at = self.operations.len();
            self.operations.push(operation);
            operation.uses().for_each(|id| self.uses[id.index()].push(at));
            let known = operation.blocks.is_empty()
                && operation.op.effect == mil::Effect::Pure
                && operation.uses().all(|id| self.known[id.index()]);
            for &output in &operation.outputs {
                self.definitions[output.index()] = Some(at);
                self.known[output.index()] |= known;
            }
            operation.blocks.iter().for_each(|block| self.walk(block));
            // What a block gives is used by the operation around it.
            for &output in operation.blocks.iter().flat_map(|block| &block.outputs) {
                self.uses[output.index()].push(at);
            }
        }
    }

    /// Whether everything about the function is known before it runs.
    pub fn is_static(&self) -> bool {
        self.is_static
    }

    /// Position in [`Graph::operations`] of the operation that defines a value.
    pub(super) fn defined_at(&self, id: ValueId) -> Option<usize> {
        self.definitions[id.index()]
    }

    /// The operation that defines a value.
    pub fn definition(&self, id: ValueId) -> Option<&'a Operation> {
        self.definitions[id.index()].map(|at| self.operations[at])
    }

    /// The op that defines a value.
    pub fn defined_by(&self, id: ValueId) -> Option<&'static str> {
        self.definition(id).map(|operation| operation.op.declaration().name)
    }

    /// The operations that use a value.
    pub fn uses(&self, id: ValueId) -> impl Iterator<Item = &'a Operation> + '_ {
        self.uses[id.index()].iter().map(|&at| self.operations[at])
    }

    /// Whether a value is an output of the function.
    pub fn is_output(&self, id: ValueId) -> bool {
        self.is_output[id.index()]
    }

    /// Whether anything uses a value.
    pub fn is_live(&self, id: ValueId) -> bool {
        self.is_output(id) || !self.uses[id.index()].is_empty()
    }

    /// Whether a value can be worked out before anything runs.
    pub fn is_known(&self, id: ValueId) -> bool {
        self.known[id.index()]
    }

    /// Between which bounds a value's elements lie.
    pub fn range(&self, id: ValueId) -> Range {
        self.ranges[id.index()]
    }

    /// A site for each operation.
    pub fn sites<'g>(&'g self) -> impl Iterator<Item = Site<'g>> + 'g {
        self.operations.iter().map(move |operation| Site { graph: self, op: self.function.view(operation) })
    }

    /// A site for each input, and each result that is used and is no constant.
    pub fn value_sites<'g>(&'g self) -> impl Iterator<Item = ValueSite<'g>> + 'g {
        let results = self.operations.iter().flat_map(|operation| operation.outputs.iter().copied());
        let results = results.filter(|&id| self.is_live(id) && !self.is_known(id));
        self.function.inputs.iter().copied().chain(results).map(move |id| ValueSite { graph: self, id })
    }
}

/// An operation in its function, for a chip.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// The function.
    pub graph: &'a Graph<'a>,
    /// The operation.
    pub op: OpView<'a>,
}

impl<'a> Site<'a> {
    /// Whether all of its operands are constants, so that the work is done before anything runs.
    pub fn is_constant_work(&self) -> bool {
        let operation = self.op.operation;
        operation.blocks.is_empty()
            && operation.op.effect == mil::Effect::Pure
            && !operation.args.iter().all(|arg| arg.values().is_empty())
            && operation.uses().all(|id| self.graph.is_known(id))
    }

    /// Whether this converts `fp32` into `fp16` right at an input, or back right before an output: Core ML does that outside of
    /// the engine.
    pub fn is_border_cast(&self) -> bool {
        let Some(x) = self.op.value("x").filter(|_| self.op.name() == "cast") else { return false };
        let (from, to) = (self.op.function.dtype(x), self.op.output(0).dtype);
        let output = self.op.operation.outputs[0];
        let enters = self.op.function.inputs.contains(&x);
        let leaves = self.graph.is_output(output) && self.graph.uses[output.index()].is_empty();
        (from == DataType::Fp32 && to == DataType::Fp16 && enters)
            || (from == DataType::Fp16 && to == DataType::Fp32 && leaves)
    }

    /// The op that an operand comes from.
    pub(super) fn comes_from(&self, param: &str) -> Option<&'static str> {
        self.op.value(param).and_then(|id| self.graph.defined_by(id))
    }

    /// The dimensions of an operand; empty when it is absent.
    pub(crate) fn shape(&self, param: &str) -> &'a [usize] {
        self.op.value(param).map_or(&[], |id| self.op.function.shape(id))
    }

    /// Whether an operand is no constant.
    pub(super) fn is_runtime(&self, param: &str) -> bool {
        self.op.value(param).is_some_and(|id| !self.graph.is_known(id))
    }

    /// The largest absolute value that an operand can have.
    pub(crate) fn magnitude(&self, param: &str) -> f64 {
        self.op.value(param).map_or(f64::INFINITY, |id| self.graph.range(id).magnitude())
    }

    /// The only element of a constant operand.
    pub(super) fn scalar(&self, param: &str) -> Option<f64> {
        let constant = self.op.constant(param).filter(|constant| constant.ty().shape.count() == 1)?;
        constant.to_f32().and_then(|values| values.first().copied()).map(f64::from)
    }
}

/// A value in its function, for a chip.
#[derive(Clone, Copy)]
pub struct ValueSite<'a> {
    /// The function.
    pub graph: &'a Graph<'a>,
    /// The value.
    pub id: ValueId,
}

impl<'a> ValueSite<'a> {
    /// Its dimensions.
    pub(super) fn shape(&self) -> &'a [usize] {
        self.graph.function.shape(self.id)
    }

    /// Its element type.
    pub(super) fn dtype(&self) -> DataType {
        self.graph.function.dtype(self.id)
    }

    /// Whether it is an input of the function.
    pub(super) fn is_input(&self) -> bool {
        self.graph.function.inputs.contains(&self.id)
    }
}
