//! The compiled function: steps bound to memory, run in order.

#![expect(unsafe_code, reason = "binds operands to addresses in the arena, states and the caller's tensors")]

use super::graph::Graph;
use super::memory::{Location, Memory, StateCopy};
use super::step::{Step, Work};
use crate::kernels::{Call, In, Out};
use anemone_runtime::{CompileError, Executable, Feature, RunError, States, Tensor};
use mil::{Constant, DataType, Function, TensorType, ValueId};
use rayon::ThreadPool;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where an operand or output is found at run time.
#[derive(Clone, Copy)]
enum Place {
    /// Index into the constants.
    Constant(usize),
    /// Index of the caller's input.
    Input(usize),
    /// Index into the states.
    State(usize),
    /// Offset in the arena.
    Arena(usize),
}

struct Bound {
    ty: TensorType,
    place: Place,
}

struct BoundStep {
    work: Work,
    inputs: Vec<Bound>,
    outputs: Vec<Bound>,
    scratch: usize,
    in_place: bool,
    op: &'static str,
    value: String,
}

struct BoundCopy {
    from: Place,
    /// The state.
    to: Place,
    bytes: usize,
    aside: Option<usize>,
}

/// A function compiled for the CPU.
pub struct CpuExecutable {
    inputs: Vec<Feature>,
    outputs: Vec<Feature>,
    output_places: Vec<Place>,
    states: States,
    state_features: Vec<Feature>,
    constants: Vec<Constant>,
    steps: Vec<BoundStep>,
    copies: Vec<BoundCopy>,
    arena: Tensor,
    pool: Arc<ThreadPool>,
    /// Addresses of inputs and states, refreshed on each run; kept here so that runs do not allocate.
    input_addresses: Vec<usize>,
    state_addresses: Vec<usize>,
    profile: Option<Vec<Duration>>,
}

/// Time spent in one step over the profiled runs.
#[derive(Clone, Debug)]
pub struct StepTime {
    /// The op, or the last op of a fused group.
    pub op: &'static str,
    /// The value that it computes.
    pub value: String,
    /// Types of its operands and outputs.
    pub types: String,
    /// Total time.
    pub time: Duration,
}

impl CpuExecutable {
    pub(super) fn bind(
        graph: &Graph<'_>,
        steps: Vec<Step>,
        memory: &Memory,
        states: &States,
        pool: Arc<ThreadPool>,
    ) -> Result<CpuExecutable, CompileError> {
        let mut binder = Binder::new(graph, memory);
        let steps = steps.into_iter().enumerate().map(|(at, step)| binder.step(at, step));
        let steps = steps.collect::<Result<_, _>>()?;
        let copies = memory.copies.iter().map(|copy| binder.copy(copy)).collect::<Result<_, _>>()?;
        let function = graph.function;
        let output_places = function.body.outputs.iter().map(|&id| binder.place(id));
        let output_places = output_places.collect::<Result<_, _>>()?;
        bind_states(graph, states)?;
        let arena = Tensor::zeros(TensorType::new(DataType::Uint8, [memory.arena]))
            .map_err(|_| CompileError::Memory { bytes: memory.arena })?;
        Ok(CpuExecutable {
            inputs: function.tensor_inputs().map(|id| feature(graph, id)).collect(),
            outputs: function.body.outputs.iter().map(|&id| feature(graph, id)).collect(),
            output_places,
            states: states.clone(),
            state_features: function.states().map(|id| feature(graph, id)).collect(),
            input_addresses: vec![0; binder.inputs.len()],
            state_addresses: vec![0; binder.states.len()],
            constants: binder.constants.iter().filter_map(|&id| function.constant(id).cloned()).collect(),
            steps,
            copies,
            arena,
            pool,
            profile: None,
        })
    }

    /// Bytes of working memory: the arena, without states and constants.
    pub fn arena_bytes(&self) -> usize {
        self.arena.bytes().len()
    }

    /// Number of steps that a run takes.
    pub fn step_count(&self) -> usize {
        self.steps.len()
    }

    /// Begins to measure the time of every step, at zero.
    pub fn start_profile(&mut self) {
        self.profile = Some(vec![Duration::ZERO; self.steps.len()]);
    }

    /// The time of every step since [`CpuExecutable::start_profile`].
    pub fn profile(&self) -> Vec<StepTime> {
        let times = self.profile.iter().flatten();
        self.steps.iter().zip(times).map(|(step, &time)| step_time(step, time)).collect()
    }

    fn check_inputs(&self, inputs: &[&Tensor], outputs: &[Tensor]) -> Result<(), RunError> {
        check("inputs", &self.inputs, inputs.iter().copied())?;
        check("outputs", &self.outputs, outputs.iter())
    }

    fn run_steps(&mut self, outputs: &mut [Tensor]) -> Result<(), RunError> {
        let memory = Addresses {
            arena: self.arena.bytes_mut().as_mut_ptr() as usize,
            inputs: &self.input_addresses,
            states: &self.state_addresses,
            constants: &self.constants,
        };
        for (at, step) in self.steps.iter().enumerate() {
            let start = self.profile.is_some().then(Instant::now);
            run_step(step, &memory)?;
            if let (Some(start), Some(profile)) = (start, &mut self.profile) {
                profile[at] += start.elapsed();
            }
        }
        // Outputs first: an output may be the old value of a state.
        for (place, output) in self.output_places.iter().zip(outputs) {
            let bytes = output.bytes_mut();
            // SAFETY: the plan keeps outputs whole until here; the caller's tensor is not part of the plan's memory.
            unsafe { std::ptr::copy_nonoverlapping(memory.at(*place), bytes.as_mut_ptr(), bytes.len()) };
        }
        for copy in &self.copies {
            if let Some(aside) = copy.aside {
                // SAFETY: the plan reserved this range of the arena for the purpose.
                unsafe {
                    std::ptr::copy_nonoverlapping(memory.at(copy.from), memory.arena_at(aside), copy.bytes)
                };
            }
        }
        for copy in &self.copies {
            let from = copy.aside.map_or_else(|| memory.at(copy.from), |at| memory.arena_at(at).cast_const());
            // SAFETY: the source is not state memory (those were put aside), so the ranges are apart; the state has the
            // declared type, and so as many bytes (checked when the run began).
            unsafe { std::ptr::copy_nonoverlapping(from, memory.at(copy.to).cast_mut(), copy.bytes) };
        }
        Ok(())
    }
}

impl Executable for CpuExecutable {
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
        self.check_inputs(inputs, outputs)?;
        for (address, tensor) in self.input_addresses.iter_mut().zip(inputs) {
            *address = tensor.bytes().as_ptr() as usize;
        }
        let states = self.states.clone();
        let mut guard = states.lock();
        for (address, Feature { name, ty }) in self.state_addresses.iter_mut().zip(&self.state_features) {
            let state = guard.get_mut(name).ok_or_else(|| RunError::NoState { name: name.clone() })?;
            // A guard lets its holder replace tensors, and steps write as many bytes as the declared type has.
            check_type("state", name, ty, state)?;
            *address = state.bytes_mut().as_mut_ptr() as usize;
        }
        let pool = Arc::clone(&self.pool);
        pool.install(|| self.run_steps(outputs))
    }
}

/// Addresses of all memory for one run.
struct Addresses<'a> {
    arena: usize,
    inputs: &'a [usize],
    states: &'a [usize],
    constants: &'a [Constant],
}

impl Addresses<'_> {
    fn at(&self, place: Place) -> *const u8 {
        match place {
            Place::Constant(at) => self.constants[at].bytes().as_ptr(),
            Place::Input(at) => self.inputs[at] as *const u8,
            Place::State(at) => self.states[at] as *const u8,
            Place::Arena(offset) => self.arena_at(offset).cast_const(),
        }
    }

    fn arena_at(&self, offset: usize) -> *mut u8 {
        (self.arena + offset) as *mut u8
    }
}

fn run_step(step: &BoundStep, memory: &Addresses<'_>) -> Result<(), RunError> {
    match &step.work {
        Work::Elementwise(kernel) => {
            let leaves: SmallVec<[*const u8; 32]> =
                step.inputs.iter().map(|input| memory.at(input.place)).collect();
            let outputs: SmallVec<[*mut u8; 32]> =
                step.outputs.iter().map(|output| memory.at(output.place).cast_mut()).collect();
            // SAFETY: the plan gives every operand and output memory of its type; an output stands on an operand only
            // where both have the same element type and count.
            unsafe { kernel.run(&leaves, &outputs) };
            Ok(())
        }
        Work::Kernel(lowered) => {
            let inputs: SmallVec<[In<'_>; 8]> = step
                .inputs
                .iter()
                // SAFETY: the plan gives every operand memory of its type that nothing writes during the step (an
                // operand that is taken over is not read, by `Lowered::in_place`'s contract).
                .map(|input| unsafe { In::bind(&input.ty, memory.at(input.place)) })
                .collect();
            // SAFETY: the plan reserved this range for this step's scratch memory.
            let scratch =
                unsafe { std::slice::from_raw_parts_mut(memory.arena_at(step.scratch), lowered.scratch) };
            // One output is the rule and must not cost an allocation.
            let (mut one, mut several);
            let outputs: &mut [Out<'_>] = match step.outputs.as_slice() {
                [output] => {
                    one = [bind_output(output, memory)];
                    &mut one
                }
                outputs => {
                    several = outputs.iter().map(|output| bind_output(output, memory)).collect::<Vec<_>>();
                    &mut several
                }
            };
            let mut call = Call { inputs: &inputs, outputs, scratch, in_place: step.in_place };
            (lowered.run)(&mut call).map_err(|message| RunError::Op {
                op: step.op,
                value: step.value.clone(),
                message,
            })
        }
    }
}

fn bind_output<'m>(output: &'m Bound, memory: &Addresses<'_>) -> Out<'m> {
    // SAFETY: the plan gives every output memory of its type that nothing else uses during the step, except an operand
    // that the kernel takes over and does not read.
    unsafe { Out::bind(&output.ty, memory.at(output.place).cast_mut()) }
}

struct Binder<'g, 'f> {
    graph: &'g Graph<'f>,
    memory: &'g Memory,
    inputs: Vec<ValueId>,
    states: Vec<ValueId>,
    constants: Vec<ValueId>,
}

impl<'g, 'f> Binder<'g, 'f> {
    fn new(graph: &'g Graph<'f>, memory: &'g Memory) -> Binder<'g, 'f> {
        Binder {
            graph,
            memory,
            inputs: graph.function.tensor_inputs().collect(),
            states: graph.function.states().collect(),
            constants: Vec::new(),
        }
    }

    /// Where a value is found.
    ///
    /// # Errors
    /// When the plan gives it no memory, which no step may then touch.
    fn place(&mut self, id: ValueId) -> Result<Place, CompileError> {
        let root = self.graph.root(id);
        let position = |list: &[ValueId], id: ValueId| list.iter().position(|&other| other == id);
        let place = match self.memory.location(root) {
            Some(Location::Input(input)) => position(&self.inputs, input).map(Place::Input),
            Some(Location::State(state)) => position(&self.states, state).map(Place::State),
            Some(Location::Constant(constant)) => {
                let known = position(&self.constants, constant);
                Some(Place::Constant(known.unwrap_or_else(|| {
                    self.constants.push(constant);
                    self.constants.len() - 1
                })))
            }
            Some(Location::Arena(offset)) => Some(Place::Arena(offset)),
            None => None,
        };
        place.ok_or_else(|| {
            let value = self.graph.function.display_name(id);
            CompileError::Pass(format!("value `{value}` was given no memory; this is a fault of the engine"))
        })
    }

    fn bound(&mut self, id: ValueId) -> Result<Bound, CompileError> {
        Ok(Bound { ty: self.graph.function.tensor(id).clone(), place: self.place(id)? })
    }

    fn copy(&mut self, copy: &StateCopy) -> Result<BoundCopy, CompileError> {
        Ok(BoundCopy {
            from: self.place(copy.value)?,
            to: self.place(copy.state)?,
            bytes: self.graph.function.tensor(copy.state).bytes(),
            aside: copy.aside,
        })
    }

    fn step(&mut self, at: usize, step: Step) -> Result<BoundStep, CompileError> {
        let location = |id: ValueId| self.memory.location(self.graph.root(id));
        let in_place = match &step.work {
            Work::Kernel(lowered) => lowered
                .in_place
                .and_then(|operand| step.operands.get(operand))
                .is_some_and(|&operand| location(operand) == location(step.outputs[0])),
            Work::Elementwise(_) => false,
        };
        let value = step.outputs.last().map_or_else(String::new, |&id| self.graph.function.display_name(id));
        Ok(BoundStep {
            inputs: step.operands.iter().map(|&id| self.bound(id)).collect::<Result<_, _>>()?,
            outputs: step.outputs.iter().map(|&id| self.bound(id)).collect::<Result<_, _>>()?,
            scratch: self.memory.scratch[at],
            in_place,
            op: step.op,
            value,
            work: step.work,
        })
    }
}

fn feature(graph: &Graph<'_>, id: ValueId) -> Feature {
    Feature { name: graph.function.display_name(id), ty: graph.function.tensor(id).clone() }
}

/// Adds missing states and refuses states of another type.
fn bind_states(graph: &Graph<'_>, states: &States) -> Result<(), CompileError> {
    graph.function.states().try_for_each(|id| bind_state(graph.function, id, states))
}

/// Adds a state that is missing; refuses one of another type.
pub(super) fn bind_state(function: &Function, id: ValueId, states: &States) -> Result<(), CompileError> {
    let (name, expected) = (function.display_name(id), function.tensor(id));
    let found = states
        .ensure(&name, expected)
        .map_err(|error| CompileError::Pass(format!("state `{name}`: {error}")))?;
    if found == *expected {
        return Ok(());
    }
    Err(CompileError::State { name, expected: expected.clone(), found })
}

pub(super) fn check_count(what: &'static str, expected: usize, found: usize) -> Result<(), RunError> {
    if found == expected { Ok(()) } else { Err(RunError::Count { what, expected, found }) }
}

/// Checks tensors against features, of which dimensions may be unknown.
pub(super) fn check<'t>(
    what: &'static str,
    features: &[Feature],
    tensors: impl ExactSizeIterator<Item = &'t Tensor>,
) -> Result<(), RunError> {
    check_count(what, features.len(), tensors.len())?;
    let one = if what == "inputs" { "input" } else { "output" };
    features
        .iter()
        .zip(tensors)
        .try_for_each(|(feature, tensor)| check_type(one, &feature.name, &feature.ty, tensor))
}

fn check_type(
    what: &'static str,
    name: &str,
    expected: &TensorType,
    tensor: &Tensor,
) -> Result<(), RunError> {
    if tensor.dtype() == expected.dtype && expected.shape.accepts(tensor.shape()) {
        return Ok(());
    }
    let (expected, found) = (expected.clone(), tensor.ty().clone());
    Err(RunError::Type { what, name: name.to_string(), expected, found })
}

fn step_time(step: &BoundStep, time: Duration) -> StepTime {
    let list = |bound: &[Bound]| bound.iter().map(|b| b.ty.to_string()).collect::<Vec<_>>().join(", ");
    StepTime {
        op: step.op,
        value: step.value.clone(),
        types: format!("{} -> {}", list(&step.inputs), list(&step.outputs)),
        time,
    }
}
