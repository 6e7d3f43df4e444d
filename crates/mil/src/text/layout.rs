//! What a printed function looks like before it is text: the order of its statements and every value's name.

use crate::{Arg, Block, Def, Family, Function, Operation, Program, Value, ValueId, Verified};
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};

/// A statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Statement {
    /// `… = const()…`
    Const(ValueId),
    /// The operation with this index in the body.
    Op(usize),
}

/// Order and names of one function.
pub(super) struct Layout {
    /// The statements: each constant before the first operation that uses it.
    pub(super) statements: Vec<Statement>,
    /// Name by value index; empty for values that are not printed.
    names: Vec<String>,
}

impl Layout {
    pub(super) fn new(function: &Function) -> Layout {
        let (statements, owners) = order(function);
        let mut namer =
            Namer { function, names: vec![String::new(); function.values.len()], taken: Names::default() };
        for &id in &function.inputs {
            namer.keep(id, "input");
        }
        for &id in &function.body.outputs {
            namer.keep(id, "output");
        }
        namer.given_names(&statements);
        namer.made_names(&statements, &owners);
        Layout { statements, names: namer.names }
    }

    /// Name of a value. Ids that are not of the function, which a verified program does not have, get one that
    /// the parser will not find.
    pub(super) fn name(&self, id: ValueId) -> String {
        match self.names.get(id.index()) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => format!("undefined_{}", id.index()),
        }
    }
}

/// Who uses a constant first: the operation's first output, its op, and the parameter.
type Owner = (Option<ValueId>, &'static str, &'static str);

/// Statements in print order; for each constant, who uses it first. What is used inside an operation's blocks is printed
/// before the operation, so that every block sees it.
fn order(function: &Function) -> (Vec<Statement>, HashMap<ValueId, Owner>) {
    let mut statements = Vec::with_capacity(function.body.ops.len());
    let mut owners = HashMap::new();
    let mut printed = HashSet::new();
    let is_constant = |id: ValueId| is_constant(function, id);
    for (index, operation) in function.body.ops.iter().enumerate() {
        each_use(operation, &mut |id, owner, in_place| {
            if is_constant(id) && !in_place && printed.insert(id) {
                statements.push(Statement::Const(id));
                owners.insert(id, owner);
            }
        });
        statements.push(Statement::Op(index));
    }
    for &id in function.body.outputs.iter().filter(|&&id| is_constant(id)) {
        if printed.insert(id) {
            statements.push(Statement::Const(id));
        }
    }
    (statements, owners)
}

fn is_constant(function: &Function, id: ValueId) -> bool {
    function.values.get(id.index()).is_some_and(|value| matches!(value.def, Def::Const(_)))
}

/// Whether the operation's constants are written in place, as in all that coremlc writes for compressed weights, instead of as
/// statements of their own.
pub(super) fn in_place(operation: &Operation) -> bool {
    operation.op.family == Family::Constexpr
}

/// The operation's parameters in the order in which coremlc writes them: by name.
pub(super) fn by_name(operation: &Operation) -> impl Iterator<Item = usize> {
    let params = operation.op.params;
    let mut order: SmallVec<[usize; 16]> = (0..params.len().min(operation.args.len())).collect();
    order.sort_unstable_by_key(|&at| params[at].name);
    order.into_iter()
}

/// Every value that an operation or one in its blocks uses, and whether it is written in place if it is a constant.
fn each_use(operation: &Operation, visit: &mut impl FnMut(ValueId, Owner, bool)) {
    let first = operation.outputs.first().copied();
    for (param, arg) in operation.op.params.iter().zip(&operation.args) {
        let owner = (first, operation.op.name, param.name);
        arg.values().iter().for_each(|&id| visit(id, owner, in_place(operation)));
    }
    for block in &operation.blocks {
        for inner in &block.ops {
            each_use(inner, visit);
        }
        block.outputs.iter().for_each(|&id| visit(id, (first, operation.op.name, "result"), false));
    }
}

/// Every group of values that an operation defines, in the order in which a reader of the text meets them: what its blocks
/// define, then its outputs. The base of names for those that have none comes along.
fn each_definition(operation: &Operation, visit: &mut impl FnMut(&[ValueId], &'static str)) {
    walk(operation, &mut |ids, base, _| visit(ids, base));
}

/// The same; the operation comes along with its outputs.
fn walk<'a>(
    operation: &'a Operation,
    visit: &mut impl FnMut(&'a [ValueId], &'static str, Option<&'a Operation>),
) {
    for block in &operation.blocks {
        visit(&block.inputs, "block_input", None);
        for inner in &block.ops {
            walk(inner, visit);
        }
    }
    visit(&operation.outputs, operation.op.name, Some(operation));
}

/// Names given so far, with the next suffix to try for each base so that many equal names stay cheap.
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    next: HashMap<String, usize>,
}

impl Names {
    /// `base` if it is free, else `base_1`, `base_2`, …
    fn with_suffix_if_needed(&mut self, base: String) -> String {
        if self.taken.insert(base.clone()) { base } else { self.numbered(&base, 1) }
    }

    /// The first free of `base_N`, N counting from `first`.
    fn numbered(&mut self, base: &str, first: usize) -> String {
        let next = self.next.entry(base.to_string()).or_insert(first);
        loop {
            let name = format!("{base}_{next}");
            *next += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

struct Namer<'a> {
    function: &'a Function,
    names: Vec<String>,
    taken: Names,
}

impl Namer<'_> {
    /// Names an input or output of the function, which keeps its name as it is.
    fn keep(&mut self, id: ValueId, fallback: &str) {
        if self.names.get(id.index()).is_none_or(|name| !name.is_empty()) {
            return;
        }
        let base = self.function.value(id).name.clone().filter(|name| crate::verify::is_name(name));
        self.names[id.index()] = self.taken.with_suffix_if_needed(base.unwrap_or_else(|| fallback.into()));
    }

    /// Names the values that bring a name, in print order.
    fn given_names(&mut self, statements: &[Statement]) {
        for &statement in statements {
            each_defined(self.function, statement, &mut |ids, _| {
                for &id in ids {
                    if let Some(name) = self.unnamed(id).and_then(|value| value.name.as_deref()) {
                        self.names[id.index()] = self.taken.with_suffix_if_needed(sanitized(name));
                    }
                }
            });
        }
    }

    /// Names the others: results after their op, constants after the result and the parameter that use them.
    fn made_names(&mut self, statements: &[Statement], owners: &HashMap<ValueId, Owner>) {
        for &statement in statements {
            let Statement::Op(index) = statement else { continue };
            each_definition(&self.function.body.ops[index], &mut |ids, base| {
                for &id in ids {
                    if self.unnamed(id).is_some() {
                        self.names[id.index()] = self.taken.numbered(base, 0);
                    }
                }
            });
        }
        for statement in statements {
            let Statement::Const(id) = *statement else { continue };
            if self.unnamed(id).is_none() {
                continue;
            }
            let base = match owners.get(&id) {
                Some(&(result, op, param)) => {
                    let result = result.and_then(|id| self.names.get(id.index()));
                    format!("{}_{param}", result.map_or(op, String::as_str))
                }
                None => "constant".to_string(),
            };
            self.names[id.index()] = self.taken.with_suffix_if_needed(base);
        }
    }

    /// The value, if it exists and has no printed name yet.
    fn unnamed(&self, id: ValueId) -> Option<&Value> {
        let named = self.names.get(id.index()).is_none_or(|name| !name.is_empty());
        if named { None } else { self.function.values.get(id.index()) }
    }
}

/// The values that a statement defines, in groups.
fn each_defined(function: &Function, statement: Statement, visit: &mut impl FnMut(&[ValueId], &'static str)) {
    match statement {
        Statement::Const(id) => visit(&[id], "constant"),
        Statement::Op(index) => each_definition(&function.body.ops[index], visit),
    }
}

/// Words of the grammar: no statement's name, though the parser would understand them.
const RESERVED: [&str; 13] = [
    "program", "func", "tensor", "state", "dict", "list", "tuple", "const", "true", "false", "inf", "nan",
    "BLOBFILE",
];

/// The name with everything replaced that MIL does not allow in names.
fn sanitized(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '@';
    let mut result: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    if !result.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        result.insert(0, '_');
    }
    if RESERVED.contains(&result.as_str()) || crate::DataType::from_name(&result).is_some() {
        result.push('_');
    }
    result
}

/// The program as its text describes it: values numbered in print order (inputs, then each statement's), named as
/// printed, constants that nothing uses left out, `buildInfo` present. Printing and parsing give exactly this.
pub fn canonical(program: &Verified) -> Program {
    let mut build_info = program.build_info.clone();
    if build_info.is_empty() {
        build_info = super::DEFAULT_BUILD_INFO.map(|(k, v)| (k.to_string(), v.to_string())).to_vec();
    }
    Program { functions: program.functions.iter().map(canonical_function).collect(), build_info }
}

fn canonical_function(function: &Function) -> Function {
    let layout = Layout::new(function);
    let mut result = Function {
        name: function.name.clone(),
        opset: function.opset,
        inputs: Vec::new(),
        body: Block::default(),
        values: Vec::new(),
    };
    let mut numbers = Numbers::default();
    numbers.define(function, &layout, &mut result, &function.inputs);
    for &statement in &layout.statements {
        match statement {
            Statement::Const(id) => numbers.define(function, &layout, &mut result, &[id]),
            Statement::Op(index) => walk(&function.body.ops[index], &mut |ids, _, operation| {
                operation
                    .into_iter()
                    .for_each(|operation| numbers.write_in_place(function, &mut result, operation));
                numbers.define(function, &layout, &mut result, ids);
            }),
        }
    }
    result.inputs = function.inputs.iter().map(|&id| numbers.of(id)).collect();
    result.body = canonical_block(&function.body, &layout, &numbers);
    result
}

/// The values of the canonical function by those of the original.
#[derive(Default)]
struct Numbers {
    values: HashMap<ValueId, ValueId>,
    /// Constants written in place: each is a value of its own, found by the operation's first output and the parameter.
    in_place: HashMap<(Option<ValueId>, usize), ValueId>,
}

impl Numbers {
    fn define(&mut self, function: &Function, layout: &Layout, result: &mut Function, ids: &[ValueId]) {
        for &id in ids {
            let value = Value { name: Some(layout.name(id)), ..function.value(id).clone() };
            self.values.insert(id, result.add_value(value));
        }
    }

    fn write_in_place(&mut self, function: &Function, result: &mut Function, operation: &Operation) {
        if !in_place(operation) {
            return;
        }
        for at in by_name(operation) {
            for &id in operation.args[at].values().iter().filter(|&&id| is_constant(function, id)) {
                let value = Value { name: None, ..function.value(id).clone() };
                let key = (operation.outputs.first().copied(), at);
                self.in_place.insert(key, result.add_value(value));
            }
        }
    }

    fn of(&self, id: ValueId) -> ValueId {
        self.values[&id]
    }

    /// Argument `at` of the operation, renumbered.
    fn argument(&self, operation: &Operation, at: usize) -> Arg {
        let mut arg = operation.args[at].clone();
        let in_place = self.in_place.get(&(operation.outputs.first().copied(), at));
        for id in arg.values_mut() {
            *id = in_place.copied().unwrap_or_else(|| self.of(*id));
        }
        arg
    }
}

fn canonical_block(block: &Block, layout: &Layout, numbers: &Numbers) -> Block {
    let operation = |operation: &Operation| {
        let first = operation.outputs.first().map(|&id| layout.name(id));
        Operation {
            op: operation.op,
            args: (0..operation.args.len()).map(|at| numbers.argument(operation, at)).collect(),
            outputs: operation.outputs.iter().map(|&id| numbers.of(id)).collect(),
            blocks: operation.blocks.iter().map(|block| canonical_block(block, layout, numbers)).collect(),
            name: operation.name.clone().filter(|name| first.as_ref() != Some(name)),
        }
    };
    Block {
        inputs: block.inputs.iter().map(|&id| numbers.of(id)).collect(),
        ops: block.ops.iter().map(operation).collect(),
        outputs: block.outputs.iter().map(|&id| numbers.of(id)).collect(),
    }
}
