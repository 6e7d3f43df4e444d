//! Running a compiled group.

#![expect(unsafe_code, reason = "operands are bound by address; registers are cut from one buffer")]

use super::access::Walk;
use super::body::{self, Attributes, BLOCK, Body};
use super::{Rounding, half_lanes, memory};
use crate::isa::Level;
use crate::kernels::parallel;
use crate::numerics::rounding;
use mil::DataType;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::ops::Range;

/// Where lanes stand, as an index into a table of addresses: registers, then scalars, then leaves used where they lie,
/// then outputs (their own memory or, when that may not be written yet, their register).
pub(super) type Place = u32;

/// An argument of a loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Argument {
    /// Not used.
    None,
    /// One lane for all elements.
    One(Place),
    /// A lane per element.
    Each(Place),
}

/// A lane known before the first element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    /// The first element of a leaf.
    Leaf(usize),
    /// A constant.
    Lane(u32),
}

/// What is done with each chunk, in order.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Reads a leaf that has an element for each.
    Load { leaf: usize, register: usize },
    /// Reads a leaf that is spread over the shape.
    Fill { leaf: usize, walk: Walk, register: usize },
    /// Computes.
    Compute { body: Body, attributes: Attributes, to: Place, arguments: [Argument; 3] },
    /// Rounds the lanes of a register to `fp16`.
    Round { register: usize, rounding: Rounding },
    /// Writes an output, unless it was computed in place.
    Store { from: Place, output: usize },
}

/// A result that is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// Element type.
    pub(super) dtype: DataType,
    /// The instruction.
    pub(super) from: usize,
    /// The instruction after which it is written.
    pub(super) after: usize,
    /// Whether it may be computed where it belongs.
    pub(super) direct: bool,
    /// The register to compute it in otherwise.
    pub(super) register: usize,
}

/// A compiled group.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(super) level: Level,
    /// Elements in all.
    pub(super) count: usize,
    /// Elements per chunk, a multiple of [`BLOCK`].
    pub(super) chunk: usize,
    /// Work per element, in the unit of [`parallel`].
    pub(super) cost: usize,
    pub(super) registers: usize,
    pub(super) scalars: Vec<Scalar>,
    /// Scalars spread over a register: which, and where.
    pub(super) spread: Vec<(usize, usize)>,
    /// Leaves used where they lie.
    pub(super) direct: Vec<usize>,
    /// Element types of the leaves.
    pub(super) leaves: Vec<DataType>,
    pub(super) outputs: Vec<Output>,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Aligned {
    _lanes: [u32; BLOCK],
}

thread_local! {
    /// The registers of this thread; grows to what the largest group needs.
    static REGISTERS: RefCell<Vec<Aligned>> = const { RefCell::new(Vec::new()) };
}

/// A kernel and the memory it runs on.
struct Bound<'a> {
    kernel: &'a Kernel,
    leaves: &'a [*const u8],
    outputs: &'a [*mut u8],
    /// One lane per scalar.
    scalars: &'a [u32],
    /// For each output, whether its memory is written as soon as it is computed.
    in_place: &'a [bool],
}

// SAFETY: threads read the same operands and write disjoint ranges of the outputs.
unsafe impl Sync for Bound<'_> {}

/// Part of the elements, and where their lanes stand.
struct Chunk<'a> {
    /// First element.
    start: usize,
    /// Elements.
    count: usize,
    /// Lanes to compute: `count` rounded up to whole blocks.
    lanes: usize,
    /// Whether leaves and outputs are used where they lie.
    direct: bool,
    /// By [`Place`].
    addresses: &'a [*mut u32],
}

/// Addresses by [`Place`]; room for groups of usual size.
type Addresses = SmallVec<[*mut u32; 64]>;

impl Kernel {
    /// Computes the outputs. Does not allocate, except that a thread's registers grow when it first meets a group this
    /// large.
    ///
    /// # Safety
    /// There is an address for each leaf and output, in the group's order, aligned for its element type and valid for all
    /// elements of its type. An output may stand exactly on a leaf with the same element type and as many elements;
    /// otherwise outputs overlap nothing, and nobody else touches them during the call.
    pub(crate) unsafe fn run(&self, leaves: &[*const u8], outputs: &[*mut u8]) {
        assert_eq!(
            (leaves.len(), outputs.len()),
            (self.leaves.len(), self.outputs.len()),
            "a group is run on other operands than it was compiled for"
        );
        if self.count == 0 {
            return;
        }
        let mut scalars: SmallVec<[u32; 32]> = SmallVec::from_elem(0, self.scalars.len());
        for (lane, scalar) in scalars.iter_mut().zip(&self.scalars) {
            *lane = match *scalar {
                // SAFETY: the leaf has an element.
                Scalar::Leaf(leaf) => unsafe { self.first(leaf, leaves[leaf]) },
                Scalar::Lane(lane) => lane,
            };
        }
        let mut in_place: SmallVec<[bool; 32]> = SmallVec::from_elem(false, outputs.len());
        for ((in_place, output), &to) in in_place.iter_mut().zip(&self.outputs).zip(outputs) {
            *in_place = output.direct && !leaves.contains(&to.cast_const());
        }
        let bound = Bound { kernel: self, leaves, outputs, scalars: &scalars, in_place: &in_place };
        if self.count == 1 {
            return bound.single();
        }
        let chunks = self.count.div_ceil(self.chunk);
        let cost = self.chunk.min(self.count) * self.cost;
        parallel::ranges(chunks, cost, |range| bound.chunks(range));
    }

    /// The first element of a leaf, as a lane.
    ///
    /// # Safety
    /// There is one.
    unsafe fn first(&self, leaf: usize, from: *const u8) -> u32 {
        let mut lane = [0];
        // SAFETY: the caller's promise; the level is that of this CPU.
        unsafe { memory::load(self.level, self.leaves[leaf], from, 0, &mut lane) };
        lane[0]
    }
}

impl Bound<'_> {
    /// A group of one element: no chunks, no blocks, one lane per register.
    fn single(&self) {
        let mut registers: SmallVec<[u32; 64]> = SmallVec::from_elem(0, self.kernel.registers);
        let addresses = self.addresses(registers.as_mut_ptr(), 1);
        self.steps(&Chunk { start: 0, count: 1, lanes: 1, direct: false, addresses: &addresses });
    }

    fn chunks(&self, range: Range<usize>) {
        let kernel = self.kernel;
        let blocks = kernel.registers * (kernel.chunk / BLOCK) + kernel.direct.len();
        REGISTERS.with_borrow_mut(|file| {
            if file.len() < blocks {
                file.resize(blocks, Aligned { _lanes: [0; BLOCK] });
            }
            let registers = file.as_mut_ptr().cast::<u32>();
            self.spread(registers);
            let mut addresses = self.addresses(registers, kernel.chunk);
            for at in range {
                let start = at * kernel.chunk;
                let count = (kernel.count - start).min(kernel.chunk);
                let whole = count / BLOCK * BLOCK;
                if whole > 0 {
                    self.point_directly(&mut addresses, start);
                    let addresses = addresses.as_slice();
                    self.steps(&Chunk { start, count: whole, lanes: whole, direct: true, addresses });
                }
                if count > whole {
                    let (start, count) = (start + whole, count - whole);
                    self.point_to_copies(&mut addresses, registers, start, count);
                    let addresses = addresses.as_slice();
                    self.steps(&Chunk { start, count, lanes: BLOCK, direct: false, addresses });
                }
            }
        });
    }

    /// Spreads scalars over the registers that hold them from here on.
    fn spread(&self, registers: *mut u32) {
        let kernel = self.kernel;
        let none = Attributes { alpha: 0.0, beta: 0.0 };
        for &(scalar, register) in &kernel.spread {
            // SAFETY: the register's part of the buffer; a loop for this CPU on whole blocks and one lane.
            unsafe {
                let to = registers.add(register * kernel.chunk);
                let to = std::slice::from_raw_parts_mut(to, kernel.chunk);
                (body::splat(kernel.level).wide)(to, &self.scalars[scalar..], &[], &[], none);
            }
        }
    }

    /// Where lanes stand when `stride` of them make a register; outputs in their registers, leaves still missing.
    fn addresses(&self, registers: *mut u32, stride: usize) -> Addresses {
        let kernel = self.kernel;
        let register = |at: usize| registers.wrapping_add(at * stride);
        let count = kernel.registers + self.scalars.len() + kernel.direct.len() + kernel.outputs.len();
        let mut addresses = Addresses::from_elem(registers, count);
        let (own, rest) = addresses.split_at_mut(kernel.registers);
        for (at, address) in own.iter_mut().enumerate() {
            *address = register(at);
        }
        let (scalars, rest) = rest.split_at_mut(self.scalars.len());
        for (address, scalar) in scalars.iter_mut().zip(self.scalars) {
            *address = std::ptr::from_ref(scalar).cast_mut();
        }
        for (address, output) in rest[kernel.direct.len()..].iter_mut().zip(&kernel.outputs) {
            *address = register(output.register);
        }
        addresses
    }

    /// Leaves, and outputs that overwrite none, where they lie.
    fn point_directly(&self, addresses: &mut Addresses, start: usize) {
        let kernel = self.kernel;
        let leaves = kernel.registers + self.scalars.len();
        for (address, &leaf) in addresses[leaves..].iter_mut().zip(&kernel.direct) {
            *address = self.leaves[leaf].cast::<u32>().cast_mut().wrapping_add(start);
        }
        let outputs = leaves + kernel.direct.len();
        for ((address, to), &in_place) in addresses[outputs..].iter_mut().zip(self.outputs).zip(self.in_place)
        {
            if in_place {
                *address = to.cast::<u32>().wrapping_add(start);
            }
        }
    }

    /// Leaves copied behind the registers, where there is room for a whole block; outputs in their registers.
    fn point_to_copies(&self, addresses: &mut Addresses, registers: *mut u32, start: usize, count: usize) {
        let kernel = self.kernel;
        let leaves = kernel.registers + self.scalars.len();
        for (at, &leaf) in kernel.direct.iter().enumerate() {
            let copy = registers.wrapping_add(kernel.registers * kernel.chunk + at * BLOCK);
            addresses[leaves + at] = copy;
            // SAFETY: the buffer has a block for each; the leaf has the elements.
            unsafe {
                let copy = std::slice::from_raw_parts_mut(copy, count);
                memory::load(kernel.level, kernel.leaves[leaf], self.leaves[leaf], start, copy);
            }
        }
        let outputs = leaves + kernel.direct.len();
        for (address, output) in addresses[outputs..].iter_mut().zip(&kernel.outputs) {
            *address = registers.wrapping_add(output.register * kernel.chunk);
        }
    }

    fn steps(&self, chunk: &Chunk<'_>) {
        for step in &self.kernel.steps {
            // SAFETY: compilation gave every step registers and operands of its own; see `step`.
            unsafe { self.step(chunk, step) };
        }
    }

    /// # Safety
    /// `step` is of this kernel, and the chunk is within the elements.
    #[inline(always)]
    unsafe fn step(&self, chunk: &Chunk<'_>, step: &Step) {
        let level = self.kernel.level;
        // SAFETY: a place has room for the lanes of any chunk (a scalar, for one); operands have the elements of the chunk
        // (the contract of `run`); a destination is never the place of an argument, nor memory that a later step reads
        // as a leaf.
        unsafe {
            let read = |place: Place, lanes: usize| {
                std::slice::from_raw_parts(chunk.addresses[place as usize].cast_const(), lanes)
            };
            let write =
                |place: usize, lanes: usize| std::slice::from_raw_parts_mut(chunk.addresses[place], lanes);
            match step {
                Step::Load { leaf, register } => {
                    let to = write(*register, chunk.count);
                    memory::load(level, self.kernel.leaves[*leaf], self.leaves[*leaf], chunk.start, to);
                }
                Step::Fill { leaf, walk, register } => {
                    let to = write(*register, chunk.count);
                    walk.fill(level, self.kernel.leaves[*leaf], self.leaves[*leaf], chunk.start, to);
                }
                Step::Compute { body, attributes, to, arguments } => {
                    let [a, b, c] = arguments.map(|argument| match argument {
                        Argument::None => &[],
                        Argument::One(place) => read(place, 1),
                        Argument::Each(place) => read(place, chunk.lanes),
                    });
                    body(write(*to as usize, chunk.lanes), a, b, c, *attributes);
                }
                Step::Round { register, rounding: Rounding::HalfEven } => {
                    half_lanes::round(level, write(*register, chunk.lanes));
                }
                Step::Round { register, rounding: Rounding::HalfAway } => {
                    rounding::round_lanes(write(*register, chunk.lanes));
                }
                Step::Store { from, output } => {
                    if !(chunk.direct && self.in_place[*output]) {
                        let dtype = self.kernel.outputs[*output].dtype;
                        let from = read(*from, chunk.count);
                        memory::store(level, dtype, from, self.outputs[*output], chunk.start);
                    }
                }
            }
        }
    }
}
