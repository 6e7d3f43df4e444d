//! Runs functions of which only running tells everything: control flow, lists, unknown shapes.
//!
//! One operation after another, each compiled for the types that its operands turn out to have and kept for the next
//! time (a loop compiles its body once). States are read and written at once, in program order. Results are the
//! same as a compiled program's, since the kernels are the same; only the time is not.

use super::alone::{Alone, Binding, Fault};
use super::lists::{self, List};
use crate::Numerics;
use anemone_runtime::{CompileError, Executable, Feature, RunError, States, Tensor, TensorError};
use mil::{Block, Constant, Function, InferError, OpView, Operation, TensorType, ValueId};
use rayon::ThreadPool;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Compiled forms kept for each operation; more shapes than this in turn are compiled anew.
const KEPT: usize = 8;

/// What a value is while the function runs.
#[derive(Clone, Debug)]
enum Held {
    Tensor(Constant),
    List(List),
}

/// Compiled operations by address of the operation, which stays where it is: for each tuple of operand types that it met,
/// the newest last.
type CompiledOperations = HashMap<usize, Vec<(Vec<TensorType>, Arc<Alone>)>>;

/// A function that is interpreted.
pub(crate) struct Interpreter {
    function: Function,
    numerics: Numerics,
    inputs: Vec<Feature>,
    outputs: Vec<Feature>,
    states: States,
    pool: Arc<ThreadPool>,
    compiled: CompiledOperations,
    /// By address of an operation: values that nothing uses after it in its block.
    last_uses: HashMap<usize, Vec<ValueId>>,
}

impl Interpreter {
    pub(super) fn new(
        function: Function,
        numerics: Numerics,
        states: &States,
        pool: Arc<ThreadPool>,
    ) -> Result<Interpreter, CompileError> {
        for id in function.states() {
            super::executable::bind_state(&function, id, states)?;
        }
        for &id in &function.body.outputs {
            let ty = function.ty(id);
            if ty.as_tensor().is_none_or(|tensor| tensor.dtype == mil::DataType::String) {
                return Err(CompileError::Pass(format!(
                    "output `{}` is {ty}; the CPU returns tensors of numbers (a classifier's label and dictionary are \
                     made from its probabilities)",
                    function.display_name(id)
                )));
            }
        }
        let feature =
            |id: ValueId| Feature { name: function.display_name(id), ty: function.tensor(id).clone() };
        let inputs = function.tensor_inputs().map(feature).collect();
        let outputs = function.body.outputs.iter().map(|&id| feature(id)).collect();
        let mut last_uses = HashMap::new();
        find_last_uses(&function.body, &mut last_uses);
        let states = states.clone();
        Ok(Interpreter {
            function,
            numerics,
            inputs,
            outputs,
            states,
            pool,
            compiled: HashMap::new(),
            last_uses,
        })
    }
}

/// Whether the interpreter itself runs the op of this name, rather than a kernel.
pub(crate) fn runs(name: &str) -> bool {
    matches!(name, "cond" | "while_loop" | "make_list") || name.starts_with("list_")
}

fn address(operation: &Operation) -> usize {
    std::ptr::from_ref(operation) as usize
}

/// Notes after which operation each value that a block defines is of no use any more.
fn find_last_uses(block: &Block, last_uses: &mut HashMap<usize, Vec<ValueId>>) {
    let mut needed: BTreeSet<ValueId> = block.outputs.iter().copied().collect();
    let defined: BTreeSet<ValueId> =
        block.ops.iter().flat_map(|operation| operation.outputs.iter().copied()).collect();
    for operation in block.ops.iter().rev() {
        let mut used = operation.uses_within();
        used.extend(&operation.outputs);
        let done = used.into_iter().filter(|id| defined.contains(id) && needed.insert(*id)).collect();
        last_uses.insert(address(operation), done);
        operation.blocks.iter().for_each(|inner| find_last_uses(inner, last_uses));
    }
}

impl Executable for Interpreter {
    fn inputs(&self) -> &[Feature] {
        &self.inputs
    }

    fn outputs(&self) -> &[Feature] {
        &self.outputs
    }

    fn states(&self) -> &States {
        &self.states
    }

    fn run(&mut self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> Result<(), RunError> {
        super::executable::check("inputs", &self.inputs, inputs.iter().copied())?;
        super::executable::check_count("outputs", self.outputs.len(), outputs.len())?;
        let states = self.states.clone();
        let pool = Arc::clone(&self.pool);
        let mut guard = states.lock();
        let Interpreter { function, numerics, compiled, last_uses, .. } = self;
        let mut run = Run {
            function,
            numerics: *numerics,
            compiled,
            last_uses,
            held: vec![None; function.values.len()],
            states: &mut guard,
        };
        let results = pool.install(|| run.main(inputs))?;
        for (output, result) in outputs.iter_mut().zip(results) {
            *output = Tensor::from_constant(&result)?;
        }
        Ok(())
    }
}

/// One run.
struct Run<'a> {
    function: &'a Function,
    numerics: Numerics,
    compiled: &'a mut CompiledOperations,
    last_uses: &'a HashMap<usize, Vec<ValueId>>,
    held: Vec<Option<Held>>,
    states: &'a mut BTreeMap<String, Tensor>,
}

impl<'a> Run<'a> {
    fn main(&mut self, inputs: &[&Tensor]) -> Result<Vec<Constant>, RunError> {
        let function = self.function;
        for (id, tensor) in function.tensor_inputs().zip(inputs) {
            self.held[id.index()] = Some(Held::Tensor(tensor.to_constant()?));
        }
        self.block(&function.body)?;
        function.body.outputs.iter().map(|&id| self.tensor(id).map_err(RunError::from)).collect()
    }

    fn block(&mut self, block: &'a Block) -> Result<(), RunError> {
        for operation in &block.ops {
            let results = self.operation(operation)?;
            for (&id, result) in operation.outputs.iter().zip(results) {
                self.held[id.index()] = Some(result);
            }
            for id in self.last_uses.get(&address(operation)).into_iter().flatten() {
                self.held[id.index()] = None;
            }
        }
        Ok(())
    }

    /// The tensor that a value is now. Verification has seen that it is defined and is one.
    fn tensor(&self, id: ValueId) -> Result<Constant, TensorError> {
        if let Some(constant) = self.function.constant(id) {
            return Ok(constant.clone());
        }
        match &self.held[id.index()] {
            Some(Held::Tensor(constant)) => Ok(constant.clone()),
            _ => Err(TensorError::NotScalar { found: 0 }),
        }
    }

    fn value(&self, id: ValueId) -> Result<Held, TensorError> {
        match &self.held[id.index()] {
            Some(held) => Ok(held.clone()),
            None => self.tensor(id).map(Held::Tensor),
        }
    }

    fn operation(&mut self, operation: &'a Operation) -> Result<Vec<Held>, RunError> {
        let view = OpView::new(self.function, operation);
        let results = match view.name() {
            "cond" => return self.cond(operation, &view),
            "while_loop" => return self.while_loop(operation, &view),
            "read_state" => self.read_state(&view),
            "coreml_update_state" => self.update_state(&view),
            name if runs(name) => self.list(&view),
            _ => self.compute(operation),
        };
        results.map_err(|fault| match fault {
            Fault::Compile(CompileError::Unsupported { op, value, .. }) => {
                RunError::Op { op, value, message: "is not supported by the cpu back end".into() }
            }
            fault => {
                let value =
                    operation.outputs.first().map_or_else(String::new, |&id| self.function.display_name(id));
                RunError::Op { op: operation.op.declaration().name, value, message: fault.to_string() }
            }
        })
    }

    /// An operation on tensors.
    fn compute(&mut self, operation: &Operation) -> Result<Vec<Held>, Fault> {
        let arguments = operation
            .uses()
            .map(|id| self.tensor(id))
            .collect::<Result<Vec<Constant>, _>>()
            .map_err(|error| Fault::Run(error.to_string()))?;
        let alone = self.compile(operation, &arguments)?;
        Ok(alone.run(&arguments)?.into_iter().map(Held::Tensor).collect())
    }

    /// The operation compiled for arguments of these types; where its own types depend on their values, for those.
    fn compile(&mut self, operation: &Operation, arguments: &[Constant]) -> Result<Arc<Alone>, Fault> {
        let types: Vec<TensorType> = arguments.iter().map(|argument| argument.ty().clone()).collect();
        let kept = self.compiled.entry(address(operation)).or_default();
        if let Some((_, alone)) = kept.iter().find(|(known, _)| *known == types) {
            return Ok(Arc::clone(alone));
        }
        // Constants of the program are baked in; everything else comes with each run.
        let mut values = arguments.iter();
        let by_type = Alone::new(self.function, operation, self.numerics, |_, id| {
            match (values.next(), self.function.constant(id)) {
                (_, Some(constant)) => Binding::Value(constant.clone()),
                (Some(argument), None) => Binding::Type(argument.ty().clone()),
                (None, None) => Binding::Type(self.function.tensor(id).clone()),
            }
        });
        match by_type {
            Ok(alone) => {
                let alone = Arc::new(alone);
                if kept.len() == KEPT {
                    kept.remove(0);
                }
                kept.push((types, Arc::clone(&alone)));
                Ok(alone)
            }
            Err(Fault::Infer(InferError { at_run_time: true, .. })) => {
                let mut values = arguments.iter();
                Alone::new(self.function, operation, self.numerics, |_, id| match values.next() {
                    Some(argument) => Binding::Value(argument.clone()),
                    None => Binding::Type(self.function.tensor(id).clone()),
                })
                .map(Arc::new)
            }
            Err(fault) => Err(fault),
        }
    }

    fn read_state(&self, view: &OpView<'_>) -> Result<Vec<Held>, Fault> {
        let name = self.function.display_name(view.required("input")?);
        let state =
            self.states.get(&name).ok_or_else(|| Fault::Run(format!("there is no state `{name}`")))?;
        let value = state.to_constant().map_err(|error| Fault::Run(error.to_string()))?;
        Ok(vec![Held::Tensor(value)])
    }

    fn update_state(&mut self, view: &OpView<'_>) -> Result<Vec<Held>, Fault> {
        let fault = |error: TensorError| Fault::Run(error.to_string());
        let name = self.function.display_name(view.required("state")?);
        let value = self.tensor(view.required("value")?).map_err(fault)?;
        let state =
            self.states.get_mut(&name).ok_or_else(|| Fault::Run(format!("there is no state `{name}`")))?;
        if state.ty() != value.ty() {
            return Err(Fault::Run(format!(
                "state `{name}` holds {}, but was given {}",
                state.ty(),
                value.ty()
            )));
        }
        state.bytes_mut().copy_from_slice(value.bytes());
        Ok(vec![Held::Tensor(value)])
    }

    fn cond(&mut self, operation: &'a Operation, view: &OpView<'_>) -> Result<Vec<Held>, RunError> {
        let pred = self.truth(view.values("pred"))?;
        let block = operation.blocks.get(usize::from(!pred));
        self.results(block)
    }

    fn while_loop(&mut self, operation: &'a Operation, view: &OpView<'_>) -> Result<Vec<Held>, RunError> {
        let [condition, body] = operation.blocks.as_slice() else { return Ok(Vec::new()) };
        let mut vars =
            view.values("loop_vars").iter().map(|&id| self.value(id)).collect::<Result<Vec<_>, _>>()?;
        loop {
            self.bind(condition, &vars);
            self.block(condition)?;
            if !self.truth(&condition.outputs)? {
                return Ok(vars);
            }
            self.bind(body, &vars);
            vars = self.results(Some(body))?;
        }
    }

    fn bind(&mut self, block: &Block, vars: &[Held]) {
        for (id, var) in block.inputs.iter().zip(vars) {
            self.held[id.index()] = Some(var.clone());
        }
    }

    fn results(&mut self, block: Option<&'a Block>) -> Result<Vec<Held>, RunError> {
        let Some(block) = block else { return Ok(Vec::new()) };
        self.block(block)?;
        block.outputs.iter().map(|&id| self.value(id).map_err(RunError::from)).collect()
    }

    /// A `bool` scalar.
    fn truth(&self, ids: &[ValueId]) -> Result<bool, RunError> {
        let [id] = ids else { return Err(TensorError::NotScalar { found: ids.len() }.into()) };
        let constant = self.tensor(*id)?;
        Ok(constant.bytes().first().is_some_and(|&byte| byte != 0))
    }

    fn list(&mut self, view: &OpView<'_>) -> Result<Vec<Held>, Fault> {
        let read = |id: ValueId| self.tensor(id).map_err(|error| Fault::Run(error.to_string()));
        let tensor = |param: &'static str| read(view.required(param)?);
        if view.name() == "make_list" {
            let length = view.value("init_length").map(read).transpose()?;
            return lists::make(view, length.as_ref()).map(|list| vec![Held::List(list)]);
        }
        let list = match self.value(view.required("ls")?) {
            Ok(Held::List(list)) => list,
            _ => return Err(Fault::Run("`ls` is not a list".into())),
        };
        Ok(vec![match view.name() {
            "list_length" => Held::Tensor(list.length()?),
            "list_read" => Held::Tensor(list.read(&tensor("index")?)?),
            "list_gather" => Held::Tensor(list.gather(&tensor("indices")?)?),
            "list_write" => Held::List(list.write(&tensor("index")?, tensor("value")?)?),
            _ => Held::List(list.scatter(&tensor("indices")?, &tensor("value")?)?),
        }])
    }
}
