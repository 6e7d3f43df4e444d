//! The memory plan: where every value lives while a run lasts.
//!
//! A value lives in a constant, in an input of the caller, in a state, or in a range of one arena. Ranges are
//! given to values whose lives do not overlap. An output takes over the memory of an operand that dies with the step
//! where the kernel allows it; a value that ends in a state is computed in the state's own memory when nothing
//! reads the old contents later.

use super::graph::Graph;
use anemone_runtime::CompileError;
use mil::{Function, TensorType, ValueId};

/// Where a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// In a constant of the program.
    Constant(ValueId),
    /// In an input tensor of the caller.
    Input(ValueId),
    /// In the memory of a state.
    State(ValueId),
    /// At an offset of the arena, in bytes.
    Arena(usize),
}

/// What the plan needs to know of a step.
pub(crate) struct StepUse {
    /// Roots read.
    pub(crate) reads: Vec<ValueId>,
    /// Values computed.
    pub(crate) computes: Vec<ValueId>,
    /// Operands (roots) whose memory an output may take over, in order of preference: `(output, operand)`.
    pub(crate) takeovers: Vec<(ValueId, ValueId)>,
    /// Bytes of scratch memory.
    pub(crate) scratch: usize,
}

/// The plan.
pub(crate) struct Memory {
    /// Location of each root, by value index.
    locations: Vec<Option<Location>>,
    /// Size of the arena in bytes.
    pub(crate) arena: usize,
    /// Offset of each step's scratch memory.
    pub(crate) scratch: Vec<usize>,
    /// States to be copied at the end.
    pub(crate) copies: Vec<StateCopy>,
}

/// A state whose new value was computed elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateCopy {
    /// The state.
    pub(crate) state: ValueId,
    /// Root of the new value.
    pub(crate) value: ValueId,
    /// Offset in the arena where the value is put aside first, because it stands in the memory of
    /// another state that may be overwritten too.
    pub(crate) aside: Option<usize>,
}

impl Memory {
    /// Where a root lives, if it is used at all.
    pub(crate) fn location(&self, root: ValueId) -> Option<Location> {
        self.locations[root.index()]
    }
}

/// One range of the arena over the steps in which it is in use.
struct Range {
    bytes: usize,
    first: usize,
    last: usize,
    offset: usize,
}

struct Planner<'g, 'f> {
    graph: &'g Graph<'f>,
    steps: &'g [StepUse],
    /// Last step that reads a root (`steps.len()` when it is needed after the last step).
    last_read: Vec<Option<usize>>,
    locations: Vec<Option<Location>>,
    /// Arena range of a root.
    range_of: Vec<Option<usize>>,
    ranges: Vec<Range>,
}

/// Refuses a function with a tensor that this machine could not hold: lowering makes tables as long as dimensions, and
/// to run out of memory there ends the process. (Zero dimensions do not make the others any smaller.)
pub(crate) fn check_room(function: &Function) -> Result<(), CompileError> {
    let extent = |ty: &TensorType| {
        let dims = ty.shape.iter().filter(|&&dim| dim != 0);
        dims.fold(ty.dtype.size(), |bytes, &dim| bytes.saturating_mul(dim))
    };
    let bytes = function.values.iter().map(|value| extent(value.ty.tensor())).max().unwrap_or(0);
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| CompileError::Memory { bytes })
}

/// Plans the memory of a sequence of steps.
pub(crate) fn plan(graph: &Graph<'_>, steps: &[StepUse]) -> Memory {
    let values = graph.function.values.len();
    let mut planner = Planner {
        graph,
        steps,
        last_read: vec![None; values],
        locations: vec![None; values],
        range_of: vec![None; values],
        ranges: Vec::new(),
    };
    planner.find_last_reads();
    planner.fixed_locations();
    let copies = planner.place_in_states();
    for step in 0..steps.len() {
        planner.place_outputs(step);
    }
    let scratch = planner.place_scratch();
    let arena = assign_offsets(&mut planner.ranges);
    planner.finish(arena, &scratch, copies)
}

impl Planner<'_, '_> {
    fn find_last_reads(&mut self) {
        for (at, step) in self.steps.iter().enumerate() {
            for read in &step.reads {
                self.last_read[read.index()] = Some(at);
            }
        }
        let end = self.steps.len();
        let outputs = self.graph.function.body.outputs.iter().map(|&output| self.graph.root(output));
        for root in outputs.chain(self.graph.writes.iter().map(|&(_, value)| value)) {
            self.last_read[root.index()] = Some(end);
        }
    }

    fn fixed_locations(&mut self) {
        let function = self.graph.function;
        for index in 0..function.values.len() {
            let id = ValueId::from_index(index);
            if function.constant(id).is_some() {
                self.locations[index] = Some(Location::Constant(id));
            }
        }
        for &input in &function.inputs {
            let state = function.ty(input).is_state();
            self.locations[input.index()] =
                Some(if state { Location::State(input) } else { Location::Input(input) });
        }
    }

    /// Gives values that end in a state the state's memory where possible; returns the states that must be
    /// copied at the end instead.
    fn place_in_states(&mut self) -> Vec<(ValueId, ValueId)> {
        let mut computed_at = vec![None; self.graph.function.values.len()];
        for (at, step) in self.steps.iter().enumerate() {
            step.computes.iter().for_each(|value| computed_at[value.index()] = Some(at));
        }
        let mut copies = Vec::new();
        for &(state, value) in &self.graph.writes {
            let free = self.locations[value.index()].is_none();
            let fits = computed_at[value.index()].is_some_and(|at| self.old_value_is_done(state, value, at));
            if free && fits {
                self.locations[value.index()] = Some(Location::State(state));
            } else {
                copies.push((state, value));
            }
        }
        copies
    }

    /// Whether nothing reads the old contents of `state` once step `at` begins to write `value` there.
    fn old_value_is_done(&self, state: ValueId, value: ValueId, at: usize) -> bool {
        match self.last_read[state.index()] {
            None => true,
            Some(last) if last < at => true,
            Some(last) => last == at && self.steps[at].takeovers.contains(&(value, state)),
        }
    }

    /// Gives the outputs of a step their ranges, taking over operands that die here.
    fn place_outputs(&mut self, at: usize) {
        let step = &self.steps[at];
        let mut taken: Vec<ValueId> = Vec::new();
        for &output in &step.computes {
            if self.locations[output.index()].is_some() {
                continue;
            }
            let last = self.last_read[output.index()].unwrap_or(at);
            let takeover = step.takeovers.iter().find(|&&(to, from)| {
                to == output
                    && self.last_read[from.index()] == Some(at)
                    && self.range_of[from.index()].is_some()
                    && !taken.contains(&from)
            });
            let range = match takeover.and_then(|&(_, from)| Some((from, self.range_of[from.index()]?))) {
                Some((from, range)) => {
                    taken.push(from);
                    self.ranges[range].last = self.ranges[range].last.max(last);
                    range
                }
                None => {
                    let bytes = self.graph.function.tensor(output).bytes();
                    self.add_range(bytes, at, last)
                }
            };
            self.range_of[output.index()] = Some(range);
        }
    }

    fn add_range(&mut self, bytes: usize, first: usize, last: usize) -> usize {
        let bytes = bytes.checked_next_multiple_of(64).unwrap_or(usize::MAX);
        self.ranges.push(Range { bytes, first, last, offset: 0 });
        self.ranges.len() - 1
    }

    fn place_scratch(&mut self) -> Vec<usize> {
        (0..self.steps.len()).map(|at| self.add_range(self.steps[at].scratch, at, at)).collect()
    }

    fn finish(mut self, mut arena: usize, scratch: &[usize], copies: Vec<(ValueId, ValueId)>) -> Memory {
        for (index, range) in self.range_of.iter().enumerate() {
            if let Some(range) = range {
                self.locations[index] = Some(Location::Arena(self.ranges[*range].offset));
            }
        }
        let copies = copies
            .into_iter()
            .map(|(state, value)| {
                let in_state = matches!(self.locations[value.index()], Some(Location::State(_)));
                let aside = in_state.then_some(arena);
                if in_state {
                    let bytes = self.graph.function.tensor(value).bytes();
                    arena = arena.saturating_add(bytes).checked_next_multiple_of(64).unwrap_or(usize::MAX);
                }
                StateCopy { state, value, aside }
            })
            .collect();
        let scratch = scratch.iter().map(|&range| self.ranges[range].offset).collect();
        Memory { locations: self.locations, arena, scratch, copies }
    }
}

/// Lays ranges out so that those in use at the same time do not overlap: biggest first, each at the lowest
/// offset that is free for as long as it lives. More than can be addressed saturates, and is refused as an arena.
fn assign_offsets(ranges: &mut [Range]) -> usize {
    let mut order: Vec<usize> = (0..ranges.len()).filter(|&range| ranges[range].bytes > 0).collect();
    order.sort_by_key(|&range| (std::cmp::Reverse(ranges[range].bytes), ranges[range].first));
    let mut placed: Vec<usize> = Vec::with_capacity(order.len());
    let mut end = 0usize;
    for &range in &order {
        let (bytes, first, last) = (ranges[range].bytes, ranges[range].first, ranges[range].last);
        let mut offset = 0usize;
        // `placed` is sorted by offset, so the first gap that is wide enough is the lowest.
        for &other in &placed {
            let other = &ranges[other];
            if other.last < first || other.first > last {
                continue;
            }
            if other.offset >= offset.saturating_add(bytes) {
                break;
            }
            offset = offset.max(other.offset.saturating_add(other.bytes));
        }
        ranges[range].offset = offset;
        end = end.max(offset.saturating_add(bytes));
        let at = placed.partition_point(|&other| ranges[other].offset <= offset);
        placed.insert(at, range);
    }
    end
}
