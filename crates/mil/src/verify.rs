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
//! - A value's recorded type is the one inference gives; every tensor's byte size fits in `isize`.
//! - Every operation has one argument per declared parameter; required ones are present; tuples stand
//!   where tuples are declared and nowhere else; states stand where states are declared and nowhere else.
//! - Element types satisfy the declaration under the function's opset, domains included; constant-only
//!   parameters are constants; the op exists in the opset.
//! - Only inputs have state types, and only from iOS18 on.
//! - Nested blocks occur only where the op declares them (none so far); a function's body has no inputs of its own.

use crate::ops::{Op, ParamKind};
use crate::{
    Arg, Block, DataTypeSet, Def, Function, InferError, OpView, Operation, Opset, Program, Type, ValueId,
};
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use thiserror::Error;

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
            Checker { function, faults: Vec::new(), defined: vec![false; function.values.len()] };
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
    defined: Vec<bool>,
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
            if tensor.checked_bytes().is_none() {
                self.fault(self.place_of(id), format!("{tensor} has more elements than memory can hold"));
            }
            if let Def::Const(constant) = &value.def {
                if Type::Tensor(constant.ty().clone()) != value.ty {
                    self.fault(
                        self.place_of(id),
                        format!("is declared {}, but its constant is {}", value.ty, constant.ty()),
                    );
                }
                self.defined[index] = true;
            }
        }
        for &input in &function.inputs {
            self.define(input, Some("input"));
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
        self.block(&function.body);
        self.outputs();
    }

    fn outputs(&mut self) {
        let function = self.function;
        let writes = function.body.ops.iter().any(|operation| operation.op.effect == crate::Effect::Write);
        if function.body.outputs.is_empty() && !writes {
            self.fault(None, "has no outputs and writes no state");
        }
        for &output in &function.body.outputs {
            if self.check_use(output, "output") && function.ty(output).is_state() {
                self.fault(self.place_of(output), "is a state; return what `read_state` gives");
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

    /// Marks a definition; `what` is set for block inputs.
    fn define(&mut self, id: ValueId, what: Option<&str>) {
        let Some(value) = self.function.values.get(id.index()) else {
            return self.fault(None, format!("{id:?} is defined, but the function has no such value"));
        };
        let fits = match value.def {
            Def::Input => what.is_some(),
            Def::Op => what.is_none(),
            Def::Const(_) => false,
        };
        if !fits {
            self.fault(self.place_of(id), "is defined in another way than its value records");
        }
        if self.defined[id.index()] {
            self.fault(self.place_of(id), "is defined twice");
        }
        if what.is_none() && value.ty.is_state() {
            self.fault(self.place_of(id), "is a state, but only inputs can be states");
        }
        self.defined[id.index()] = true;
    }

    fn check_use(&mut self, id: ValueId, by: &str) -> bool {
        match self.defined.get(id.index()) {
            None => self.fault(None, format!("{by} uses {id:?}, but the function has no such value")),
            Some(false) => self.fault(self.place_of(id), format!("is used by {by} before it is defined")),
            Some(true) => return true,
        }
        false
    }

    fn place_of(&self, id: ValueId) -> Option<String> {
        Some(format!("value `{}`", self.function.display_name(id)))
    }

    fn block(&mut self, block: &Block) {
        for operation in &block.ops {
            self.operation(operation);
            for &output in &operation.outputs {
                self.define(output, None);
            }
        }
    }

    fn operation(&mut self, operation: &Operation) {
        let place = operation.outputs.first().map_or_else(
            || format!("op `{}`", operation.op.name),
            |&id| format!("op `{}` (value `{}`)", operation.op.name, self.function.display_name(id)),
        );
        if !operation.blocks.is_empty() {
            self.fault(Some(place.clone()), "has nested blocks, which this op does not take");
        }
        let defined = operation.uses().collect::<Vec<_>>().into_iter().all(|id| self.check_use(id, &place));
        if !defined {
            return;
        }
        let Err(error) = check_operation(self.function, operation) else { return };
        self.fault(Some(place), error);
    }
}

/// Checks one operation whose arguments exist, and that its outputs have the types inference gives.
fn check_operation(function: &Function, operation: &Operation) -> Result<(), String> {
    let inferred = infer_operation(function, operation).map_err(|error| error.to_string())?;
    let found: Vec<_> = operation.outputs.iter().filter_map(|id| function.values.get(id.index())).collect();
    if found.len() != inferred.len() || found.len() != operation.outputs.len() {
        return Err(format!("has {} outputs, but must have {}", operation.outputs.len(), inferred.len()));
    }
    for (value, ty) in found.iter().zip(&inferred) {
        if value.ty != *ty {
            return Err(format!("records output type {}, but it is {ty}", value.ty));
        }
    }
    Ok(())
}

/// Checks one operation's arguments against the declaration and infers its output types. The builder and
/// the verifier both come here.
pub(crate) fn infer_operation(function: &Function, operation: &Operation) -> Result<Vec<Type>, InferError> {
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
    check_arguments(function, operation, op)?;
    let types = (op.infer)(&OpView::new(function, operation))?;
    for ty in &types {
        if ty.tensor().checked_bytes().is_none() {
            return Err(InferError::new("output", format!("would be {ty}, more than memory can hold")));
        }
    }
    Ok(types)
}

fn check_arguments(function: &Function, operation: &Operation, op: Op) -> Result<(), InferError> {
    let mut domains: Vec<(u8, crate::DataType, &'static str)> = Vec::new();
    for (param, arg) in op.params.iter().zip(&operation.args) {
        match (arg, param.kind) {
            (Arg::None, _) if param.is_optional() => continue,
            (Arg::None, _) => return Err(InferError::new(param.name, "is missing")),
            (Arg::Many(_), ParamKind::Tensor | ParamKind::State) => {
                return Err(InferError::new(param.name, "takes one value, but a tuple was given"));
            }
            (Arg::One(_), ParamKind::Tuple) => {
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
        let (dtypes, domain) = param.constraint(function.opset);
        for &id in arg.values() {
            let value = function.values.get(id.index()).ok_or_else(|| {
                InferError::new(param.name, format!("refers to {id:?}, which does not exist"))
            })?;
            check_kind(param, &value.ty)?;
            let dtype = value.ty.tensor().dtype;
            check_dtype(param, dtype, dtypes, function.opset)?;
            if param.must_be_constant(function.opset) && !matches!(value.def, Def::Const(_)) {
                return Err(InferError::new(param.name, not_constant(param)));
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
    Ok(())
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
    match (param.kind == ParamKind::State, ty.is_state()) {
        (true, false) => Err(InferError::new(param.name, format!("must be a state, but is {ty}"))),
        (false, true) => {
            Err(InferError::new(param.name, format!("must be a tensor, but is {ty}; use `read_state` first")))
        }
        _ => Ok(()),
    }
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
