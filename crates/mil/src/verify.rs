//! The verifier: what may be run, and the promise that comes with it.
//!
//! A [`Verified`] program satisfies every invariant below; passes, analyses and back ends rely on them
//! and may index without looking.
//!
//! - Function names are unique MIL names; a program has at least one function.
//! - Inputs and outputs are named with MIL names; no two of them share one (a value that is both has one name); a
//!   function has at least one output or writes a state; outputs are tensors.
//! - Every `ValueId` in use is of its function; every value is defined exactly once and before its use
//!   (as an input, a constant, or an operation's output).
//! - A value's recorded type is the one inference gives; every tensor's byte size fits in `isize`. Where inference needs
//!   what only running tells (an operand's unknown dimension, a computed `shape`), the recorded types are taken as they
//!   are; such a function is not [`Function::is_static`], and whoever runs it infers again with all in hand.
//! - Every operation has one argument per declared parameter; required ones are present; tuples stand
//!   where tuples are declared and nowhere else; states stand where states are declared and nowhere else.
//! - Element types satisfy the declaration under the function's opset, domains included; constant-only
//!   parameters are constants or results of `constexpr` operations (below); the op and the parameter exist in the opset.
//! - A `constexpr` operation is a constant in compressed form: all its arguments are constants, so its results are, and
//!   [`Def::Constexpr`] marks them. They may stand wherever a constant is asked for, other `constexpr` operations
//!   included (joint compression), but not in attributes, which hold written-out constants only
//!   ([`in_attributes`](crate::ops::constexpr::in_attributes)). No type ever depends on their elements: shapes, axes,
//!   strings and truth values have element types that they do not give. What only their elements tell (whether a mask has as
//!   many ones as there are values) is checked by who decompresses them.
//! - Only inputs have state types, and only from iOS18 on.
//! - Nested blocks occur where the op declares them, as many as it declares, at most [`MAX_DEPTH`] deep; what a block defines
//!   is seen in it and nowhere else; a function's body has no inputs of its own.

use crate::ops::{Op, ParamKind, constexpr};
use crate::{
    Arg, Block, DataTypeSet, Def, Function, InferError, OpView, Operation, Opset, Program, Type, ValueId,
};
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use thiserror::Error;

/// How deep blocks may be nested.
pub const MAX_DEPTH: usize = 32;

/// A program that satisfies the invariants of this module. Passes and back ends take this.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified(Program);

impl Verified {
    /// Gives the program back, for changing it.
    pub fn into_inner(self) -> Program {
        self.0
    }
}

impl Deref for Verified {
    type Target = Program;
    fn deref(&self) -> &Program {
        &self.0
    }
}

/// One fault of a program.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("function `{function}`{}: {message}", .place.as_ref().map_or_else(String::new, |p| format!(", {p}")))]
pub struct VerifyError {
    /// The function (empty for faults of the whole program).
    pub function: String,
    /// The operation or value, if the fault has a place.
    pub place: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// Checks every invariant and collects every fault.
pub fn verify(program: Program) -> Result<Verified, Vec<VerifyError>> {
    let mut faults = Vec::new();
    if program.functions.is_empty() {
        faults.push(VerifyError {
            function: String::new(),
            place: None,
            message: "a program needs at least one function".into(),
        });
    }
    let mut names = HashSet::new();
    for function in &program.functions {
        let mut checker =
            Checker { function, faults: Vec::new(), scope: vec![Scope::Undefined; function.values.len()] };
        if !names.insert(&function.name) {
            checker.fault(None, "another function has the same name");
        }
        if !is_name(&function.name) {
            checker.fault(None, "the function's name is not a name in MIL");
        }
        checker.function();
        faults.append(&mut checker.faults);
    }
    if faults.is_empty() { Ok(Verified(program)) } else { Err(faults) }
}

/// Whether `name` is a name in MIL: `[A-Za-z_][A-Za-z0-9_@]*` (Core ML's own rule for identifiers).
pub(crate) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '@')
}

struct Checker<'a> {
    function: &'a Function,
    faults: Vec<VerifyError>,
    scope: Vec<Scope>,
}

/// Where the checker stands with a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Not defined yet.
    Undefined,
    /// Defined, and seen from here.
    Seen,
    /// Defined in a block that has ended.
    Ended,
}

impl Checker<'_> {
    fn fault(&mut self, place: Option<String>, message: impl Into<String>) {
        self.faults.push(VerifyError {
            function: self.function.name.clone(),
            place,
            message: message.into(),
        });
    }

    fn function(&mut self) {
        let function = self.function;
        for (index, value) in function.values.iter().enumerate() {
            let id = ValueId::from_index(index);
            let tensor = value.ty.tensor();
            if tensor.shape.is_known() && tensor.checked_bytes().is_none() {
                self.fault(self.place_of(id), format!("{tensor} has more elements than memory can hold"));
            }
            if let Def::Const(constant) = &value.def {
                if Type::Tensor(constant.ty().clone()) != value.ty {
                    self.fault(
                        self.place_of(id),
                        format!("is declared {}, but its constant is {}", value.ty, constant.ty()),
                    );
                }
                self.scope[index] = Scope::Seen;
            }
        }
        for &input in &function.inputs {
            self.define(input, None);
            let state = function.values.get(input.index()).is_some_and(|value| value.ty.is_state());
            if state && function.opset < Opset::Ios18 {
                let message = format!("is a state, which needs ios18, not {}", function.opset);
                self.fault(self.place_of(input), message);
            }
        }
        if !function.body.inputs.is_empty() {
            self.fault(None, "has a body with inputs; they belong to the function");
        }
        self.unique_names(&function.inputs, "inputs");
        self.operations(&function.body, 0);
        self.outputs();
    }

    fn outputs(&mut self) {
        let function = self.function;
        if function.body.outputs.is_empty() && !writes(&function.body) {
            self.fault(None, "has no outputs and writes no state");
        }
        for &output in &function.body.outputs {
            if !self.check_use(output, "output") {
                continue;
            }
            match function.ty(output) {
                Type::State(_) => {
                    self.fault(self.place_of(output), "is a state; return what `read_state` gives")
                }
                Type::List(_) => {
                    self.fault(self.place_of(output), "is a list; return what `list_gather` gives")
                }
                Type::Tensor(_) | Type::Dict(_) => {}
            }
        }
        self.unique_names(&function.body.outputs, "outputs");
        let named = |&id: &ValueId| Some((function.values.get(id.index())?.name.as_deref()?, id));
        let inputs: HashMap<&str, ValueId> = function.inputs.iter().filter_map(named).collect();
        for (name, output) in function.body.outputs.iter().filter_map(named) {
            if inputs.get(name).is_some_and(|&input| input != output) {
                self.fault(None, format!("an output has the name of another value, the input `{name}`"));
            }
        }
    }

    fn unique_names(&mut self, ids: &[ValueId], what: &str) {
        let mut seen = HashSet::new();
        for &id in ids {
            let Some(value) = self.function.values.get(id.index()) else { continue };
            match value.name.as_deref() {
                None => self.fault(self.place_of(id), format!("{what} need names")),
                Some(name) if !is_name(name) => {
                    self.fault(self.place_of(id), "use a letter or _ first, then letters, digits, _ or @")
                }
                Some(name) if !seen.insert(name.to_string()) => {
                    self.fault(None, format!("two {what} are named `{name}`"))
                }
                Some(_) => {}
            }
        }
    }

    /// Marks a definition: an output of `by`, or an input.
    fn define(&mut self, id: ValueId, by: Option<Op>) {
        let Some(value) = self.function.values.get(id.index()) else {
            return self.fault(None, format!("{id:?} is defined, but the function has no such value"));
        };
        let fits = value.def == by.map_or(Def::Input, Def::result_of);
        if !fits {
            self.fault(self.place_of(id), "is defined in another way than its value records");
        }
        if self.scope[id.index()] != Scope::Undefined {
            self.fault(self.place_of(id), "is defined twice");
        }
        if by.is_some() && value.ty.is_state() {
            self.fault(self.place_of(id), "is a state, but only inputs can be states");
        }
        self.scope[id.index()] = Scope::Seen;
    }

    fn check_use(&mut self, id: ValueId, by: &str) -> bool {
        let message = match self.scope.get(id.index()) {
            None => {
                self.fault(None, format!("{by} uses {id:?}, but the function has no such value"));
                return false;
            }
            Some(Scope::Seen) => return true,
            Some(Scope::Undefined) => format!("is used by {by} before it is defined"),
            Some(Scope::Ended) => {
                format!("is used by {by} outside the block that defines it; return it from there")
            }
        };
        self.fault(self.place_of(id), message);
        false
    }

    fn place_of(&self, id: ValueId) -> Option<String> {
        Some(format!("value `{}`", self.function.display_name(id)))
    }

    fn operations(&mut self, block: &Block, depth: usize) {
        for operation in &block.ops {
            self.operation(operation, depth);
            for &output in &operation.outputs {
                self.define(output, Some(operation.op));
            }
        }
    }

    /// A nested block; what it defines goes out of scope at its end.
    fn block(&mut self, block: &Block, depth: usize, by: &str) {
        for &input in &block.inputs {
            self.define(input, None);
        }
        self.operations(block, depth);
        for &output in &block.outputs {
            self.check_use(output, &format!("a block of {by}"));
        }
        let results = block.ops.iter().flat_map(|operation| &operation.outputs);
        for id in block.inputs.iter().chain(results) {
            if let Some(scope) = self.scope.get_mut(id.index()) {
                *scope = Scope::Ended;
            }
        }
    }

    fn operation(&mut self, operation: &Operation, depth: usize) {
        let place = operation.outputs.first().map_or_else(
            || format!("op `{}`", operation.op.name),
            |&id| format!("op `{}` (value `{}`)", operation.op.name, self.function.display_name(id)),
        );
        let defined = operation.uses().collect::<Vec<_>>().into_iter().all(|id| self.check_use(id, &place));
        let faults = self.faults.len();
        if depth < MAX_DEPTH {
            operation.blocks.iter().for_each(|block| self.block(block, depth + 1, &place));
        } else if !operation.blocks.is_empty() {
            self.fault(Some(place.clone()), format!("has blocks nested more than {MAX_DEPTH} deep"));
        }
        if !defined || self.faults.len() > faults {
            return;
        }
        let Err(error) = check_operation(self.function, operation) else { return };
        self.fault(Some(place), error);
    }
}

/// Checks one operation whose arguments exist, and that its outputs have the types inference gives.
fn check_operation(function: &Function, operation: &Operation) -> Result<(), String> {
    let found: Vec<_> = operation.outputs.iter().filter_map(|id| function.values.get(id.index())).collect();
    let recorded: Vec<&Type> = found.iter().map(|value| &value.ty).collect();
    let inferred =
        infer_operation(function, operation, Some(&recorded)).map_err(|error| error.to_string())?;
    if found.len() != inferred.len() || found.len() != operation.outputs.len() {
        return Err(format!("has {} outputs, but must have {}", operation.outputs.len(), inferred.len()));
    }
    for (value, ty) in found.iter().zip(&inferred) {
        if !value.ty.accepts(ty) {
            return Err(format!("records output type {}, but it is {ty}", value.ty));
        }
    }
    Ok(())
}

/// Whether the block writes a state, nested blocks included. (Depth is bounded where programs are made or checked.)
fn writes(block: &Block) -> bool {
    block
        .ops
        .iter()
        .any(|operation| operation.op.effect == crate::Effect::Write || operation.blocks.iter().any(writes))
}

/// Checks one operation's arguments against the declaration and infers its output types. The builder, the parser and the
/// verifier come here. Where only running the program can tell the types, those `declared` hold; without any, that
/// is an error.
pub fn infer_operation(
    function: &Function,
    operation: &Operation,
    declared: Option<&[&Type]>,
) -> Result<Vec<Type>, InferError> {
    let op = operation.op;
    if op.since > function.opset {
        return Err(InferError::new(
            "opset",
            format!(
                "must be {} or later for this op, but the function is written for {}",
                op.since, function.opset
            ),
        ));
    }
    if operation.args.len() != op.params.len() {
        return Err(InferError::new(
            "arguments",
            format!("must be {}, but are {}", op.params.len(), operation.args.len()),
        ));
    }
    if operation.blocks.len() != op.effect.blocks() {
        return Err(InferError::new(
            "blocks",
            format!("must be {}, but are {}", op.effect.blocks(), operation.blocks.len()),
        ));
    }
    let inferred = check_arguments(function, operation, op)
        .and_then(|()| unknown_operand(function, operation))
        .and_then(|()| (op.infer)(&OpView::new(function, operation)));
    match (inferred, declared) {
        (Err(error), Some(declared)) if error.at_run_time => trusted(declared),
        (Err(error), _) => Err(error),
        (Ok(types), _) => {
            for tensor in types.iter().map(Type::tensor) {
                if tensor.shape.is_known() && tensor.checked_bytes().is_none() {
                    let message = format!("would be {tensor}, more than memory can hold");
                    return Err(InferError::new("output", message));
                }
            }
            Ok(types)
        }
    }
}

/// Most inference counts with the dimensions of operands; one that is not known puts it off until the program runs.
/// Lists and blocks compare types only.
fn unknown_operand(function: &Function, operation: &Operation) -> Result<(), InferError> {
    let op = operation.op;
    if op.family == crate::Family::ControlFlow && op.name != "select" {
        return Ok(());
    }
    for (param, arg) in op.params.iter().zip(&operation.args) {
        if let Some(&id) = arg.values().iter().find(|&&id| !function.shape(id).is_known()) {
            let shape = function.shape(id);
            let message =
                format!("has shape {shape}, of which a dimension is not known; declare the result's type");
            return Err(InferError::at_run_time(param.name, message));
        }
    }
    Ok(())
}

/// Declared types that are taken on trust: tensors.
fn trusted(declared: &[&Type]) -> Result<Vec<Type>, InferError> {
    match declared.iter().find(|ty| ty.as_tensor().is_none()) {
        Some(ty) => Err(InferError::new("output", format!("is declared {ty}, but this op gives tensors"))),
        None => Ok(declared.iter().map(|&ty| ty.clone()).collect()),
    }
}

fn check_arguments(function: &Function, operation: &Operation, op: Op) -> Result<(), InferError> {
    let mut domains: Vec<(u8, crate::DataType, &'static str)> = Vec::new();
    // Found last, so that a real fault is told first.
    let mut at_run_time = None;
    for (param, arg) in op.params.iter().zip(&operation.args) {
        match (arg, param.kind) {
            (Arg::None, _) if !param.is_required(function.opset) => continue,
            (Arg::None, _) => return Err(InferError::new(param.name, "is missing")),
            (Arg::Many(_), kind) if !kind.is_tuple() => {
                return Err(InferError::new(param.name, "takes one value, but a tuple was given"));
            }
            (Arg::One(_), kind) if kind.is_tuple() => {
                return Err(InferError::new(param.name, "takes a tuple of values, but one value was given"));
            }
            _ => {}
        }
        if param.since > function.opset {
            return Err(InferError::new(
                param.name,
                format!("is new in {}, but the function is written for {}", param.since, function.opset),
            ));
        }
        if let Some(until) = param.until.filter(|&until| function.opset >= until) {
            return Err(InferError::new(
                param.name,
                format!("is gone from {until} on, but the function is written for {}", function.opset),
            ));
        }
        let (dtypes, domain) = param.constraint(function.opset);
        for &id in arg.values() {
            let value = function.values.get(id.index()).ok_or_else(|| {
                InferError::new(param.name, format!("refers to {id:?}, which does not exist"))
            })?;
            check_kind(param, &value.ty)?;
            let dtype = value.ty.tensor().dtype;
            check_dtype(param, dtype, dtypes, function.opset)?;
            let constant = match value.def {
                Def::Const(_) => true,
                Def::Constexpr if constexpr::in_attributes(op, function.opset) => {
                    let message = "is an attribute of this op, which holds a written-out constant, not the result of another \
                                   constexpr operation";
                    return Err(InferError::new(param.name, message));
                }
                Def::Constexpr => true,
                Def::Input | Def::Op => false,
            };
            if param.must_be_constant(function.opset) && !constant {
                if !param.computed {
                    return Err(InferError::new(param.name, not_constant(param)));
                }
                at_run_time.get_or_insert_with(|| {
                    let message = "is computed at run time; make it a constant, or declare the result's type";
                    InferError::at_run_time(param.name, message)
                });
            }
            match domains.iter().find(|(letter, ..)| *letter == domain && domain != 0) {
                Some(&(_, first, other)) if first != dtype => {
                    return Err(InferError::new(
                        param.name,
                        format!("is {dtype}, but must have the element type of `{other}`, {first}"),
                    ));
                }
                Some(_) => {}
                None => domains.push((domain, dtype, param.name)),
            }
        }
    }
    at_run_time.map_or(Ok(()), Err)
}

fn not_constant(param: &crate::Param) -> String {
    match param.runtime_since {
        Some(since) if !param.constant => {
            format!("must be a constant before {since}, but is computed at run time")
        }
        _ => "must be a constant, but is computed at run time".to_string(),
    }
}

fn check_kind(param: &crate::Param, ty: &Type) -> Result<(), InferError> {
    let (fits, wanted) = match param.kind {
        ParamKind::Tensor | ParamKind::Tuple => (matches!(ty, Type::Tensor(_)), "a tensor"),
        ParamKind::State => (ty.is_state(), "a state"),
        ParamKind::List => (matches!(ty, Type::List(_)), "a list"),
        ParamKind::Vars => (matches!(ty, Type::Tensor(_) | Type::List(_)), "a tensor or a list"),
    };
    let hint = if ty.is_state() { "; use `read_state` first" } else { "" };
    if fits {
        return Ok(());
    }
    Err(InferError::new(param.name, format!("must be {wanted}, but is {ty}{hint}")))
}

fn check_dtype(
    param: &crate::Param,
    dtype: crate::DataType,
    allowed: DataTypeSet,
    opset: Opset,
) -> Result<(), InferError> {
    if allowed.contains(dtype) {
        return Ok(());
    }
    Err(InferError::new(
        param.name,
        format!("has element type {dtype}, but in {opset} must have one of {allowed}"),
    ))
}
