//! Running a function operation by operation, in the engine's numbers and in `fp32`.

use super::measure::Comparison;
use super::{AuditError, OutputAudit};
use crate::Numerics;
use crate::engine::{Alone, Binding};
use anemone_runtime::{States, Tensor};
use half::f16;
use mil::{Constant, DataType, Effect, Family, Function, OpView, Operation, TensorType, ValueId, Verified};
use std::collections::HashMap;

/// The function of this name, or the first.
pub(super) fn find<'p>(program: &'p Verified, name: Option<&str>) -> Result<&'p Function, AuditError> {
    let function = match name {
        Some(name) => program.function(name),
        None => program.functions.first(),
    };
    function.ok_or_else(|| AuditError::NoFunction {
        name: name.unwrap_or_default().to_string(),
        available: program.functions.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// A value in both numbers: `fp16` or whatever its type is, and with `fp32` in the place of `fp16`.
#[derive(Clone)]
struct Both {
    engine: Constant,
    exact: Constant,
}

/// An operation that ran.
pub(super) struct Evaluated<'a> {
    function: &'a Function,
    operation: &'a Operation,
    /// What the engine had, by value.
    pub(super) arguments: &'a [(ValueId, Constant)],
    /// What it computed.
    pub(super) engine: Vec<Constant>,
    /// What `fp32` makes of the same operands.
    pub(super) same: Vec<Constant>,
    /// What the function computed in `fp32` has.
    pub(super) exact: Vec<Constant>,
}

impl Evaluated<'_> {
    /// The same operands in other numbers.
    pub(super) fn under(&self, numerics: Numerics) -> Result<Vec<Constant>, AuditError> {
        evaluate(self.function, self.operation, numerics, self.arguments)
    }
}

/// What a hook makes of an operation: other results for the engine to go on with.
pub(super) type Hooked = Result<Option<Vec<Constant>>, AuditError>;

/// A walk over a function.
pub(super) struct Walk<'f> {
    function: &'f Function,
    numerics: Numerics,
    held: Vec<Option<Both>>,
    states: HashMap<String, Both>,
    /// How often each value is still to be used.
    uses: Vec<usize>,
}

impl<'f> Walk<'f> {
    pub(super) fn new(
        function: &'f Function,
        inputs: &[&Tensor],
        states: &States,
        numerics: Numerics,
    ) -> Result<Walk<'f>, AuditError> {
        let mut walk = Walk {
            function,
            numerics,
            held: vec![None; function.values.len()],
            states: HashMap::new(),
            uses: vec![0; function.values.len()],
        };
        let count = function.tensor_inputs().count().max(inputs.len());
        let mut ids = function.tensor_inputs();
        for index in 0..count {
            let (id, given) = (ids.next(), inputs.get(index));
            let expected = id.map_or("no more inputs".to_string(), |id| function.ty(id).to_string());
            let fault = |found: String| AuditError::Input {
                function: function.name.clone(),
                index,
                found,
                expected: expected.clone(),
            };
            let (Some(id), Some(given)) = (id, given) else {
                return Err(fault(given.map_or("missing".to_string(), |tensor| tensor.ty().to_string())));
            };
            let own = function.tensor(id);
            if own.dtype != given.dtype() || !own.shape.accepts(given.shape()) {
                return Err(fault(given.ty().to_string()));
            }
            let constant = given.to_constant().map_err(|error| fault(error.to_string()))?;
            walk.held[id.index()] = Some(both(constant));
        }
        for id in function.states() {
            let name = function.display_name(id);
            let own = function.tensor(id);
            let state = states.get(&name).filter(|state| state.ty() == own);
            let state = state.map_or_else(|| Tensor::zeros(own.clone()), Ok);
            let fault = |error: anemone_runtime::TensorError| AuditError::Input {
                function: function.name.clone(),
                index: 0,
                found: error.to_string(),
                expected: own.to_string(),
            };
            let constant = state.and_then(|state| state.to_constant()).map_err(fault)?;
            walk.states.insert(name, both(constant));
        }
        for id in function.body.ops.iter().flat_map(|operation| operation.uses()) {
            walk.uses[id.index()] += 1;
        }
        for id in &function.body.outputs {
            walk.uses[id.index()] += 1;
        }
        Ok(walk)
    }

    /// Runs the function; `hook` sees every operation that would run on a device.
    pub(super) fn run(
        mut self,
        mut hook: impl FnMut(&OpView<'_>, &Evaluated<'_>) -> Hooked,
    ) -> Result<Vec<OutputAudit>, AuditError> {
        for operation in &self.function.body.ops {
            self.operation(operation, &mut hook)?;
            for id in operation.uses() {
                self.uses[id.index()] -= 1;
                if self.uses[id.index()] == 0 {
                    self.held[id.index()] = None;
                }
            }
        }
        let outputs = self.function.body.outputs.iter().map(|&id| {
            let Both { engine, exact } = self.value(id)?;
            let mut comparison = Comparison::default();
            comparison.add(&engine, &exact);
            let name = self.function.display_name(id);
            Ok(OutputAudit { name, error: comparison.error(), overflows: comparison.overflows })
        });
        outputs.collect()
    }

    fn value(&self, id: ValueId) -> Result<Both, AuditError> {
        if let Some(constant) = self.function.constant(id) {
            return Ok(both(constant.clone()));
        }
        self.held[id.index()].clone().ok_or_else(|| AuditError::Run {
            op: "a use",
            value: self.function.display_name(id),
            message: "the value is not a tensor that was computed before".to_string(),
        })
    }

    fn operation(
        &mut self,
        operation: &Operation,
        hook: &mut impl FnMut(&OpView<'_>, &Evaluated<'_>) -> Hooked,
    ) -> Result<(), AuditError> {
        let view = self.function.view(operation);
        let op = view.name();
        let value = operation.outputs.first().map_or_else(String::new, |&id| self.function.display_name(id));
        if !operation.blocks.is_empty() || crate::engine::is_interpreted(op) {
            return Err(AuditError::ControlFlow { op, value });
        }
        match operation.op.effect {
            Effect::Read => return self.read(&view),
            Effect::Write => return self.write(&view),
            _ => {}
        }
        let ids: Vec<ValueId> = operation.uses().collect();
        let operands = ids.iter().map(|&id| self.value(id)).collect::<Result<Vec<_>, _>>()?;
        let pick = |of: fn(&Both) -> &Constant| -> Vec<(ValueId, Constant)> {
            ids.iter().zip(&operands).map(|(&id, both)| (id, of(both).clone())).collect()
        };
        let engine = pick(|both| &both.engine);
        let constant = |id: &ValueId| self.function.constant(*id).is_some() || self.is_constexpr(*id);
        let folded = operation.op.family == Family::Constexpr
            || (operation.op.effect == Effect::Pure && ids.iter().all(constant));
        if folded {
            let results = evaluate(self.function, operation, Numerics::Ieee, &engine)?;
            self.keep(operation, results.iter().map(|result| both(result.clone())));
            return Ok(());
        }
        let results = evaluate(self.function, operation, self.numerics, &engine)?;
        let widened: Vec<_> = engine.iter().map(|(id, constant)| (*id, wide(constant))).collect();
        let same = in_floats(self.function, operation, &engine, &widened)?;
        let exact = in_floats(self.function, operation, &engine, &pick(|both| &both.exact))?;
        let mut evaluated = Evaluated {
            function: self.function,
            operation,
            arguments: &engine,
            engine: results,
            same,
            exact,
        };
        if let Some(results) = hook(&view, &evaluated)? {
            evaluated.engine = results;
        }
        let pairs = evaluated.engine.into_iter().zip(evaluated.exact);
        self.keep(operation, pairs.map(|(engine, exact)| Both { engine, exact }));
        Ok(())
    }

    /// Whether a value is the result of decompressing constants.
    fn is_constexpr(&self, id: ValueId) -> bool {
        matches!(self.function.value(id).def, mil::Def::Constexpr)
    }

    fn keep(&mut self, operation: &Operation, results: impl Iterator<Item = Both>) {
        for (&output, result) in operation.outputs.iter().zip(results) {
            self.held[output.index()] = (self.uses[output.index()] > 0).then_some(result);
        }
    }

    fn read(&mut self, view: &OpView<'_>) -> Result<(), AuditError> {
        let name = view.value("input").map(|id| self.function.display_name(id)).unwrap_or_default();
        let state = self.states.get(&name).cloned();
        self.keep(view.operation, state.into_iter());
        Ok(())
    }

    fn write(&mut self, view: &OpView<'_>) -> Result<(), AuditError> {
        let name = view.value("state").map(|id| self.function.display_name(id)).unwrap_or_default();
        if let Some(id) = view.value("value") {
            let value = self.value(id)?;
            self.states.insert(name, value.clone());
            self.keep(view.operation, std::iter::once(value));
        }
        Ok(())
    }
}

fn both(engine: Constant) -> Both {
    let exact = wide(&engine);
    Both { engine, exact }
}

/// With `fp32` in the place of `fp16`.
pub(super) fn wide(constant: &Constant) -> Constant {
    let Some(halves) = constant.as_slice::<f16>() else { return constant.clone() };
    let floats: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
    Constant::new(constant.ty().shape.clone(), floats).unwrap_or_else(|_| constant.clone())
}

/// Runs one operation on its own.
pub(super) fn evaluate(
    function: &Function,
    operation: &Operation,
    numerics: Numerics,
    arguments: &[(ValueId, Constant)],
) -> Result<Vec<Constant>, AuditError> {
    let values: Vec<Constant> = arguments.iter().map(|(_, constant)| constant.clone()).collect();
    let attempt = |by_value: bool| {
        let mut next = arguments.iter();
        Alone::new(function, operation, numerics, |_, id| match (next.next(), function.constant(id)) {
            (Some((_, constant)), Some(_)) => Binding::Value(constant.clone()),
            (Some((_, constant)), None) if by_value => Binding::Value(constant.clone()),
            (Some((_, constant)), None) => Binding::Type(constant.ty().clone()),
            (None, _) => Binding::Type(function.tensor(id).clone()),
        })
    };
    // Where a shape depends on a value that is computed, the value has to be there.
    let alone = attempt(false).or_else(|_| attempt(true));
    alone.and_then(|alone| alone.run(&values)).map_err(|fault| AuditError::Run {
        op: operation.op.name,
        value: operation.outputs.first().map_or_else(String::new, |&id| function.display_name(id)),
        message: fault.to_string(),
    })
}

/// Runs an operation with `fp32` in the place of `fp16`.
fn in_floats(
    function: &Function,
    operation: &Operation,
    engine: &[(ValueId, Constant)],
    wide_arguments: &[(ValueId, Constant)],
) -> Result<Vec<Constant>, AuditError> {
    let to_half = operation.outputs.first().is_some_and(|&id| function.dtype(id) == DataType::Fp16);
    if operation.op.name == "cast" {
        if let Some((_, x)) = wide_arguments.first()
            && x.ty().dtype == DataType::Fp32
            && to_half
        {
            return Ok(vec![x.clone()]);
        }
        // From `fp16` to `fp32` nothing happens to what is `fp32` already.
        let results = evaluate(function, operation, Numerics::Ieee, wide_arguments)?;
        return Ok(results.iter().map(wide).collect());
    }
    // An op that insists on `fp16` is computed in it, by IEEE.
    let results = evaluate(function, operation, Numerics::Ieee, wide_arguments)
        .or_else(|_| evaluate(function, operation, Numerics::Ieee, engine))?;
    Ok(results.iter().map(wide).collect())
}

/// A tensor type with this element type, for constants that are made here.
pub(super) fn scalar(value: f32) -> Constant {
    Constant::float(DataType::Fp16, value)
}

/// A constant of `fp16` numbers.
pub(super) fn halves(ty: &TensorType, values: Vec<f16>) -> Option<Constant> {
    Constant::new(ty.shape.clone(), values).ok()
}
