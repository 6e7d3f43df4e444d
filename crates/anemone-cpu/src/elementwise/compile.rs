//! From a group to a kernel: how leaves are read, which register holds what, when results are written.
//!
//! Registers are given out in program order and taken back after the last use. A result never goes to a register that
//! one of its arguments stands in, so the loops may assume that memory they write is not memory they read.
//!
//! Leaves and outputs whose elements are lanes already (`fp32`, `int32`) are used where they lie. The one danger is an
//! output in the memory of a leaf that is still needed: the kernel looks at the addresses when it runs, and such an
//! output is kept in a register until every leaf that it could overwrite has been read.

use super::access::Access;
use super::body::{self, Attributes, Bodies};
use super::kernel::{self, Argument, Kernel, Output, Scalar, Step};
use super::{Code, Group, Instruction, Rounding, Source, memory};
use crate::isa::{self, Level};
use half::f16;
use mil::DataType;

/// Lanes of all registers together: half of a small first-level cache, the other half is for leaves and outputs.
const REGISTER_LANES: usize = 4096;
/// A longer chunk saves nothing, a shorter one leaves its leaves in the first-level cache until they are read again.
const LONGEST_CHUNK: usize = 1024;

/// Prepares a group for this CPU.
pub(super) fn compile(group: &Group, rounding: Rounding) -> Kernel {
    compile_with(group, isa::level(), rounding)
}

/// Prepares a group for an instruction set that the CPU has.
#[cfg(test)]
pub(super) fn compile_for(group: &Group, level: Level) -> Kernel {
    compile_with(group, level, Rounding::HalfEven)
}

fn compile_with(group: &Group, level: Level, rounding: Rounding) -> Kernel {
    let mut compiler = Compiler::new(group, level, rounding);
    for at in 0..group.instructions.len() {
        if compiler.last_use[at].is_some() {
            compiler.instruction(at);
        }
    }
    compiler.finish()
}

/// Where lanes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Register(usize),
    Scalar(usize),
    /// A leaf's own memory, by index in [`Kernel::direct`].
    Leaf(usize),
    /// An output's own memory or register.
    Output(usize),
}

/// A step whose places are not yet numbers, as it is not known yet how many registers there will be.
enum Draft {
    Done(Step),
    Compute { bodies: Bodies, attributes: Attributes, to: Place, arguments: Vec<(Place, bool)> },
    Store { from: Place, output: usize },
}

/// A way in which instructions read a leaf.
struct Reading {
    leaf: usize,
    channelwise: bool,
    access: Access,
    first: usize,
    last: usize,
    place: Option<Place>,
}

struct Compiler<'g> {
    group: &'g Group,
    level: Level,
    rounding: Rounding,
    /// One element in all: every leaf is a scalar, every body narrow.
    single: bool,
    /// The last instruction after which an instruction's result is needed; `None` when nothing needs it.
    last_use: Vec<Option<usize>>,
    /// Where each instruction's result stands.
    places: Vec<Option<Place>>,
    readings: Vec<Reading>,
    scalars: Vec<Scalar>,
    /// Scalars spread over a register, for functions that do not take one lane for all.
    spread: Vec<(usize, usize)>,
    /// Leaves that are used where they lie.
    direct: Vec<usize>,
    outputs: Vec<Output>,
    /// Registers to give out again, and how many there are.
    free: Vec<usize>,
    registers: usize,
    steps: Vec<Draft>,
    cost: usize,
}

impl<'g> Compiler<'g> {
    fn new(group: &'g Group, level: Level, rounding: Rounding) -> Compiler<'g> {
        let count = group.instructions.len();
        let mut compiler = Compiler {
            group,
            level,
            rounding,
            single: group.shape.count() == 1,
            last_use: vec![None; count],
            places: vec![None; count],
            readings: Vec::new(),
            scalars: Vec::new(),
            spread: Vec::new(),
            direct: Vec::new(),
            outputs: Vec::new(),
            free: Vec::new(),
            registers: 0,
            steps: Vec::new(),
            cost: 0,
        };
        compiler.find_uses();
        compiler.place_outputs();
        compiler
    }

    /// Finds what is needed, until when, and how leaves are read.
    fn find_uses(&mut self) {
        for &output in &self.group.outputs {
            self.last_use[output] = Some(output);
        }
        for at in (0..self.group.instructions.len()).rev() {
            if self.last_use[at].is_none() {
                continue;
            }
            for source in &self.group.instructions[at].args {
                if let Source::Instruction(used) = *source {
                    self.last_use[used] = self.last_use[used].max(Some(at));
                }
            }
        }
        for (at, instruction) in self.group.instructions.iter().enumerate() {
            if self.last_use[at].is_none() {
                continue;
            }
            for (position, source) in instruction.args.iter().enumerate() {
                if let Source::Leaf(leaf) = *source {
                    let reading = self.reading(leaf, instruction.op.code.is_channelwise() && position > 0);
                    let reading = &mut self.readings[reading];
                    reading.first = reading.first.min(at);
                    reading.last = at;
                }
            }
        }
    }

    /// Index of a leaf's reading, made when it is new.
    fn reading(&mut self, leaf: usize, channelwise: bool) -> usize {
        let same = |reading: &Reading| reading.leaf == leaf && reading.channelwise == channelwise;
        self.readings.iter().position(same).unwrap_or_else(|| {
            let (own, shape) = (&self.group.leaves[leaf].shape, &self.group.shape);
            let access =
                if channelwise { Access::channelwise(own, shape) } else { Access::broadcast(own, shape) };
            self.readings.push(Reading {
                leaf,
                channelwise,
                access,
                first: usize::MAX,
                last: 0,
                place: None,
            });
            self.readings.len() - 1
        })
    }

    /// Decides when outputs are written, and which may be computed in place.
    fn place_outputs(&mut self) {
        for (index, &from) in self.group.outputs.iter().enumerate() {
            let dtype = self.group.instructions[from].dtype;
            // Every leaf that could stand in the output's memory has been read by then.
            let read = self.readings.iter().filter(|reading| {
                reading.access == Access::Each && self.group.leaves[reading.leaf].dtype == dtype
            });
            let direct_leaf = memory::is_lane(dtype);
            let read = read.map(|reading| if direct_leaf { reading.last } else { reading.first }).max();
            let after = from.max(read.unwrap_or(0));
            self.last_use[from] = self.last_use[from].max(Some(after));
            let first = !self.group.outputs[..index].contains(&from);
            let direct = !self.single && first && memory::is_lane(dtype);
            self.outputs.push(Output { dtype, from, after, direct, register: 0 });
        }
    }

    fn instruction(&mut self, at: usize) {
        let instruction = &self.group.instructions[at];
        let is_output = self.group.outputs.contains(&at);
        match instruction.op.code {
            Code::Fill(lane) if !is_output => {
                self.places[at] = Some(self.constant(lane, instruction.dtype));
            }
            Code::Fill(lane) => {
                let scalar = self.constant(lane, instruction.dtype);
                let bodies = body::splat(self.level);
                self.compute(at, bodies, vec![(scalar, true)]);
            }
            _ => self.function(at, instruction),
        }
        self.store(at);
        self.release(at);
    }

    /// A scalar that the program fixes.
    fn constant(&mut self, lane: u32, dtype: DataType) -> Place {
        let lane = match dtype {
            DataType::Fp16 => f16::from_f32(f32::from_bits(lane)).to_f32().to_bits(),
            _ => lane,
        };
        self.scalar(Scalar::Lane(lane))
    }

    fn scalar(&mut self, scalar: Scalar) -> Place {
        let known = self.scalars.iter().position(|other| *other == scalar);
        Place::Scalar(known.unwrap_or_else(|| {
            self.scalars.push(scalar);
            self.scalars.len() - 1
        }))
    }

    fn function(&mut self, at: usize, instruction: &Instruction) {
        let code = instruction.op.code;
        let mut arguments: Vec<(Place, bool)> = Vec::with_capacity(3);
        for (position, &source) in instruction.args.iter().enumerate() {
            let place = self.argument(source, code.is_channelwise() && position > 0);
            arguments.push((place, matches!(place, Place::Scalar(_))));
        }
        let mut one = [false; 3];
        for (one, argument) in one.iter_mut().zip(&arguments) {
            *one = argument.1 && !self.single;
        }
        let from = instruction.args.first().map_or(instruction.dtype, |&source| self.dtype(source));
        let (bodies, taken) = body::find(code, from, instruction.dtype, one, self.level)
            .expect("a verified program applies its ops to the types that they take, for each of which there is a loop");
        for (argument, taken) in arguments.iter_mut().zip(taken) {
            if argument.1 && !taken && !self.single {
                *argument = (self.spread(argument.0), false);
            }
        }
        self.compute(at, bodies, arguments);
    }

    fn dtype(&self, source: Source) -> DataType {
        match source {
            Source::Leaf(leaf) => self.group.leaves[leaf].dtype,
            Source::Instruction(at) => self.group.instructions[at].dtype,
        }
    }

    /// Where an argument stands; a leaf that must be converted or spread is read into a register now.
    fn argument(&mut self, source: Source, channelwise: bool) -> Place {
        let leaf = match source {
            Source::Instruction(at) => {
                return self.places[at].expect("instructions come after those that they use");
            }
            Source::Leaf(leaf) => leaf,
        };
        let reading = self.reading(leaf, channelwise);
        if let Some(place) = self.readings[reading].place {
            return place;
        }
        let place = match self.readings[reading].access.clone() {
            Access::One => self.scalar(Scalar::Leaf(leaf)),
            Access::Each if memory::is_lane(self.group.leaves[leaf].dtype) => {
                self.direct.push(leaf);
                Place::Leaf(self.direct.len() - 1)
            }
            Access::Each => {
                let register = self.allocate();
                self.steps.push(Draft::Done(Step::Load { leaf, register }));
                Place::Register(register)
            }
            Access::Walk(walk) => {
                let register = self.allocate();
                self.steps.push(Draft::Done(Step::Fill { leaf, walk, register }));
                Place::Register(register)
            }
        };
        self.cost += 1;
        self.readings[reading].place = Some(place);
        place
    }

    /// A register that holds a scalar in every lane, for as long as the kernel runs.
    fn spread(&mut self, place: Place) -> Place {
        let Place::Scalar(scalar) = place else { return place };
        let known = self.spread.iter().find(|(other, _)| *other == scalar).map(|&(_, register)| register);
        Place::Register(known.unwrap_or_else(|| {
            // Not one that was in use before: its lanes must hold in the next chunk too.
            let register = self.registers;
            self.registers += 1;
            self.spread.push((scalar, register));
            register
        }))
    }

    fn allocate(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.registers += 1;
            self.registers - 1
        })
    }

    fn compute(&mut self, at: usize, bodies: Bodies, arguments: Vec<(Place, bool)>) {
        let instruction = &self.group.instructions[at];
        let register = self.allocate();
        let direct = self.outputs.iter().position(|output| output.from == at && output.direct);
        let to = match direct {
            Some(output) => {
                self.outputs[output].register = register;
                Place::Output(output)
            }
            None => Place::Register(register),
        };
        let attributes = Attributes { alpha: instruction.op.alpha, beta: instruction.op.beta };
        self.steps.push(Draft::Compute { bodies, attributes, to, arguments });
        let code = instruction.op.code;
        let exact = code.is_exact() || matches!(code, Code::Fill(_));
        if instruction.dtype == DataType::Fp16 && !exact {
            self.steps.push(Draft::Done(Step::Round { register, rounding: self.rounding }));
        }
        self.cost += code.cost();
        self.places[at] = Some(to);
    }

    /// Writes the outputs that are due.
    fn store(&mut self, at: usize) {
        for (index, output) in self.outputs.iter().enumerate() {
            if output.after == at {
                let from = self.places[output.from].expect("an output is written after it is computed");
                self.steps.push(Draft::Store { from, output: index });
                self.cost += 1;
            }
        }
    }

    /// Takes back the registers of what is no longer needed.
    fn release(&mut self, at: usize) {
        for (used, place) in self.places.iter().enumerate() {
            if self.last_use[used] != Some(at) {
                continue;
            }
            match *place {
                Some(Place::Register(register)) => self.free.push(register),
                Some(Place::Output(output)) => self.free.push(self.outputs[output].register),
                _ => {}
            }
        }
        for reading in &self.readings {
            if let (true, Some(Place::Register(register))) = (reading.last == at, reading.place) {
                self.free.push(register);
            }
        }
    }

    fn finish(mut self) -> Kernel {
        let lanes = REGISTER_LANES / self.registers.max(1) / body::BLOCK * body::BLOCK;
        let steps = std::mem::take(&mut self.steps).into_iter().map(|draft| self.step(draft)).collect();
        Kernel {
            level: self.level,
            count: self.group.shape.count(),
            chunk: lanes.clamp(2 * body::BLOCK, LONGEST_CHUNK),
            // Counted in quarters, see `Code::cost`; a leaf or an output is about as much as a sum.
            cost: self.cost.div_ceil(4),
            registers: self.registers,
            scalars: self.scalars,
            spread: self.spread,
            direct: self.direct,
            leaves: self.group.leaves.iter().map(|leaf| leaf.dtype).collect(),
            outputs: self.outputs,
            steps,
        }
    }

    fn step(&self, draft: Draft) -> Step {
        match draft {
            Draft::Done(step) => step,
            Draft::Store { from, output } => Step::Store { from: self.number(from), output },
            Draft::Compute { bodies, attributes, to, arguments } => {
                let mut padded = [Argument::None; 3];
                for (padded, (place, one)) in padded.iter_mut().zip(arguments) {
                    let place = self.number(place);
                    *padded = if one { Argument::One(place) } else { Argument::Each(place) };
                }
                let body = if self.single { bodies.narrow } else { bodies.wide };
                Step::Compute { body, attributes, to: self.number(to), arguments: padded }
            }
        }
    }

    /// A place as an index into the table of addresses.
    fn number(&self, place: Place) -> kernel::Place {
        let leaves = self.registers + self.scalars.len();
        let number = match place {
            Place::Register(at) => at,
            Place::Scalar(at) => self.registers + at,
            Place::Leaf(at) => leaves + at,
            Place::Output(at) => leaves + self.direct.len() + at,
        };
        number as kernel::Place
    }
}
