//! Packed operands: blocks of panels packed by a task, shared by all tasks of a call, or kept for many calls.

use std::ops::Range;

use rayon::prelude::*;

use super::K_BLOCK;
use super::buffer::Buffer;
use super::drive::Item;
use super::error::GemmError;
use super::isa::Isa;
use super::matrix::{MatRef, Operand, Source};
use super::pack::{Lines, Pack};

/// The side of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `A`: `[M, K]`.
    A,
    /// `B`: `[K, N]`.
    B,
}

impl Side {
    /// 0 or 1.
    pub(super) fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    /// `"A"` or `"B"`.
    pub(super) fn name(self) -> &'static str {
        ["A", "B"][self.index()]
    }

    /// The width of the panels of this side.
    pub(super) fn width(self, isa: Isa) -> usize {
        isa.tile_sides()[self.index()]
    }
}

/// A matrix in the panels that the kernels of this machine read, as fp32. Worth it for an operand that is
/// used again and again unchanged.
pub struct Packed {
    data: Buffer,
    pub(super) side: Side,
    pub(super) isa: Isa,
    pub(super) lines: usize,
    pub(super) depth: usize,
}

impl Packed {
    /// Packs a matrix to be used on `side`: shape `[M, K]` for `A`, `[K, N]` for `B`.
    pub fn new(matrix: MatRef<'_>, side: Side) -> Self {
        Self::from_source(Source::Matrix(matrix), side, Isa::detect())
    }

    /// Packs an operand that makes itself.
    pub fn from_custom(operand: &dyn Pack, side: Side) -> Self {
        Self::from_source(Source::Custom(operand), side, Isa::detect())
    }

    pub(super) fn from_source(source: Source<'_>, side: Side, isa: Isa) -> Self {
        let [lines, depth] = source.lines_and_depth(side);
        let mut data = Buffer::default();
        Block { source, side, isa, item: Item::default(), lines: 0..lines, k: 0..depth }
            .pack_all(&mut data, false);
        Self { data, side, isa, lines, depth }
    }

    /// The shape `[rows, cols]` of the matrix.
    pub fn shape(&self) -> [usize; 2] {
        match self.side {
            Side::A => [self.lines, self.depth],
            Side::B => [self.depth, self.lines],
        }
    }

    /// The bytes that the panels take.
    pub fn bytes(&self) -> usize {
        std::mem::size_of_val(self.data.as_floats())
    }

    pub(super) fn check(&self, used: Side, isa: Isa) -> Result<(), GemmError> {
        if self.side == used && self.isa.name() == isa.name() {
            return Ok(());
        }
        Err(GemmError::PackedSide { packed: self.side.name(), used: used.name() })
    }
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed {{ side: {:?}, shape: {:?}, isa: {:?} }}", self.side, self.shape(), self.isa)
    }
}

/// A part of an operand that is to be packed.
pub(super) struct Block<'a> {
    pub(super) source: Source<'a>,
    pub(super) side: Side,
    pub(super) isa: Isa,
    pub(super) item: Item,
    pub(super) lines: Range<usize>,
    pub(super) k: Range<usize>,
}

/// How many panels one thread packs at a time when an operand is packed for all.
const PANELS_PER_TASK: usize = 8;

impl Block<'_> {
    /// Packs a part that spans any stretch of `k`: the panels of the first [`K_BLOCK`], then those of the
    /// next, and so on.
    fn pack_all<'b>(&self, room: &'b mut Buffer, parallel: bool) -> &'b [f32] {
        let width = self.side.width(self.isa);
        let padded = self.lines.len().next_multiple_of(width);
        let dst = room.floats(padded * self.k.len());
        if dst.is_empty() {
            return dst;
        }
        let pack_k = |k: Range<usize>, dst: &mut [f32]| {
            let step = PANELS_PER_TASK * width;
            let pack_lines = |i: usize, dst: &mut [f32]| {
                let start = self.lines.start + i * step;
                self.pack(start..self.lines.end.min(start + step), k.clone(), dst);
            };
            for_each_chunk(dst, step * k.len(), parallel, pack_lines);
        };
        for_each_chunk(dst, padded * K_BLOCK, parallel, |i, dst| pack_k(self.k_block(i), dst));
        dst
    }

    fn k_block(&self, index: usize) -> Range<usize> {
        let start = self.k.start + index * K_BLOCK;
        start..self.k.end.min(start + K_BLOCK)
    }

    /// Packs some lines over at most [`K_BLOCK`] values of `k` into exactly the panels they need.
    fn pack(&self, lines: Range<usize>, k: Range<usize>, dst: &mut [f32]) {
        let width = self.side.width(self.isa);
        match self.source {
            Source::Matrix(matrix) => {
                let (strides, offset) = match self.side {
                    Side::A => ([matrix.row_stride, matrix.col_stride], self.item.a),
                    Side::B => ([matrix.col_stride, matrix.row_stride], self.item.b),
                };
                match matrix.data {
                    Operand::F32(data) => {
                        self.isa.pack(&Lines::new(data, offset, strides, lines, k), dst, width)
                    }
                    Operand::F16(data) => {
                        self.isa.pack(&Lines::new(data, offset, strides, lines, k), dst, width)
                    }
                }
            }
            Source::Custom(custom) => custom.pack(self.item.index, lines, k, width, dst),
            Source::Packed(_) => unreachable!("a packed operand is not packed again"),
        }
    }
}

/// Runs `pack` on every chunk of `len` floats.
fn for_each_chunk(dst: &mut [f32], len: usize, parallel: bool, pack: impl Fn(usize, &mut [f32]) + Sync) {
    if parallel {
        dst.par_chunks_mut(len).enumerate().for_each(|(i, dst)| pack(i, dst));
    } else {
        dst.chunks_mut(len).enumerate().for_each(|(i, dst)| pack(i, dst));
    }
}

/// Where a task finds the panels of an operand.
#[derive(Clone, Copy)]
pub(super) enum Panels<'a> {
    /// Packed already, from `line` and `k` on, over `lines` lines (filled up to whole panels).
    Ready { data: &'a [f32], line: usize, lines: usize, k: usize },
    /// To be packed by the task.
    Local(Source<'a>),
}

impl<'a> Panels<'a> {
    /// The panels of an operand that is not packed for all tasks.
    pub(super) fn of(source: Source<'a>) -> Self {
        match source {
            Source::Packed(packed) => {
                let lines = packed.lines.next_multiple_of(packed.side.width(packed.isa));
                Self::Ready { data: packed.data.as_floats(), line: 0, lines, k: 0 }
            }
            source => Self::Local(source),
        }
    }

    /// Packs a part of an operand for all tasks.
    pub(super) fn shared(block: &Block<'_>, parallel: bool, room: &'a mut Buffer) -> Self {
        let lines = block.lines.len().next_multiple_of(block.side.width(block.isa));
        let data = block.pack_all(room, parallel);
        Self::Ready { data, line: block.lines.start, lines, k: block.k.start }
    }

    /// Whether panels are best packed one by one, just before they are used: lines whose elements are
    /// neighbours.
    pub(super) fn is_packed_by_panel(&self) -> bool {
        matches!(self, Self::Local(Source::Matrix(matrix)) if matrix.row_stride != 1)
    }

    /// The panels for `lines`, which begin a panel, and `k`, which begins a block of [`K_BLOCK`]; `room` is
    /// for those that must still be packed.
    pub(super) fn block<'b>(
        &self,
        (side, isa, item): (Side, Isa, Item),
        lines: &Range<usize>,
        k: &Range<usize>,
        room: &'b mut Buffer,
    ) -> &'b [f32]
    where
        'a: 'b,
    {
        match *self {
            Self::Ready { data, line, lines: padded, k: start } => {
                &data[(k.start - start) * padded + (lines.start - line) * k.len()..]
            }
            Self::Local(source) => {
                let dst = room.floats(lines.len().next_multiple_of(side.width(isa)) * k.len());
                Block { source, side, isa, item, lines: lines.clone(), k: k.clone() }.pack(
                    lines.clone(),
                    k.clone(),
                    dst,
                );
                dst
            }
        }
    }
}
