//! The inputs that output positions read, gathered into the panels of a matrix product (`im2col` without the matrix).
//!
//! Lines are output positions, `k` runs over channels, then taps. Two ways to fill a panel, the faster one by shape:
//!
//! * along lines: output positions of one row are neighbours, so are the inputs that one tap reads (at stride 1);
//! * along taps: where rows of taps are longer than rows of outputs (gradients of weights), the panel's lines each keep
//!   an address, and taps walk on from there.

use super::Reach;
use crate::gemm::Pack;
use smallvec::SmallVec;
use std::ops::Range;

/// Sizes and offsets of the gathering.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Sizes of the input.
    pub(super) input: [usize; 3],
    pub(super) reach: [Reach; 3],
    pub(super) batch: usize,
    pub(super) groups: usize,
    /// Channels of one group.
    pub(super) channels: usize,
    /// Whether all items of the batch are lines of one product; otherwise each is a product of its own.
    pub(super) folded: bool,
}

impl Layout {
    /// Output positions of one item.
    pub(super) fn positions(&self) -> usize {
        self.reach.iter().map(|reach| reach.output).product()
    }

    pub(super) fn taps(&self) -> usize {
        self.reach.iter().map(|reach| reach.offsets.len()).product()
    }

    fn plane(&self) -> usize {
        self.input.iter().product()
    }
}

/// The columns of one group.
pub(super) struct Columns<'a> {
    pub(super) layout: &'a Layout,
    /// `[N, groups * channels, *input]`.
    pub(super) x: &'a [f32],
    pub(super) group: usize,
}

/// Neighbouring lines of a panel whose positions stand in one row of outputs.
struct Segment {
    /// First line in the panel.
    at: usize,
    len: usize,
    /// First element of the item's group.
    item: usize,
    /// Input positions of tap offset 0.
    depth: isize,
    height: isize,
    column: isize,
}

type Segments = SmallVec<[Segment; 16]>;

impl Columns<'_> {
    fn segments(&self, item: usize, lines: Range<usize>) -> Segments {
        let layout = self.layout;
        let [_, height, width] = layout.reach.each_ref().map(|reach| reach.output);
        let positions = layout.positions();
        let (mut at, mut line) = (0, lines.start);
        let mut segments = Segments::new();
        while line < lines.end {
            let item = if layout.folded { line / positions } else { item };
            let position = line % positions;
            let (row, column) = (position / width, position % width);
            let len = (width - column).min(lines.end - line);
            let start = |i: usize, output: usize| (output * layout.reach[i].stride) as isize;
            segments.push(Segment {
                at,
                len,
                item: (item * layout.groups + self.group) * layout.channels * layout.plane(),
                depth: start(0, row / height),
                height: start(1, row % height),
                column: start(2, column),
            });
            at += len;
            line += len;
        }
        segments
    }

    /// The row of the input that a segment reads for a row of taps; `None` in the padding.
    #[inline(always)]
    fn line(&self, segment: &Segment, channel: usize, offsets: [isize; 2]) -> Option<&[f32]> {
        let [input_d, input_h, input_w] = self.layout.input;
        let (z, y) = (segment.depth + offsets[0], segment.height + offsets[1]);
        if z < 0 || z >= input_d as isize || y < 0 || y >= input_h as isize {
            return None;
        }
        let row = (channel * input_d + z as usize) * input_h + y as usize;
        Some(&self.x[segment.item + row * input_w..][..input_w])
    }

    /// Row `k` of a panel, for all lines: one tap of one channel.
    #[inline(always)]
    fn tap(&self, segments: &[Segment], tap: &Position<'_>, out: &mut [f32]) {
        let stride = self.layout.reach[2].stride;
        for segment in segments {
            let out = &mut out[segment.at..][..segment.len];
            let Some(line) = self.line(segment, tap.channel, tap.outer) else {
                out.fill(0.0);
                continue;
            };
            let first = segment.column + tap.column();
            if stride == 1 && first >= 0 && first as usize + out.len() <= line.len() {
                out.copy_from_slice(&line[first as usize..][..out.len()]);
            } else {
                for (i, out) in out.iter_mut().enumerate() {
                    let column = first + (i * stride) as isize;
                    *out = usize::try_from(column)
                        .ok()
                        .and_then(|column| line.get(column))
                        .copied()
                        .unwrap_or(0.0);
                }
            }
        }
    }

    fn along_lines(&self, segments: &[Segment], k: Range<usize>, width: usize, panel: &mut [f32]) {
        let mut position = Position::at(self.layout, k.start);
        for out in panel.chunks_exact_mut(width).take(k.len()) {
            self.tap(segments, &position, out);
            position.advance();
        }
    }

    fn along_taps(&self, segments: &[Segment], k: Range<usize>, width: usize, panel: &mut [f32]) {
        let reach = &self.layout.reach[2];
        let taps = reach.offsets.len();
        let mut position = Position::at(self.layout, k.start);
        let mut done = 0;
        while done < k.len() {
            let count = (taps - position.tap).min(k.len() - done);
            let offsets = &reach.offsets[position.tap..][..count];
            let rows = &mut panel[done * width..][..count * width];
            for segment in segments {
                let line = self.line(segment, position.channel, position.outer);
                for at in 0..segment.len {
                    let first = segment.column + (at * reach.stride) as isize;
                    walk(line, first, offsets, &mut rows[segment.at + at..], width);
                }
            }
            done += count;
            position.skip(count);
        }
    }
}

/// One line of a panel along a row of taps: `out[i * width] = line[first + offsets[i]]`, zero beyond the line.
#[inline(always)]
fn walk(line: Option<&[f32]>, first: isize, offsets: &[isize], out: &mut [f32], width: usize) {
    let line = line.unwrap_or_default();
    let (Some(low), Some(high)) = (offsets.first(), offsets.last()) else { return };
    let (low, high) = (first + low, first + high);
    // Offsets of a row are evenly spaced.
    let step = (high - low) / (offsets.len() as isize - 1).max(1);
    if low >= 0 && high >= low && high < line.len() as isize {
        let values = line[low as usize..].iter().step_by(step.max(1) as usize);
        for (out, value) in out.iter_mut().step_by(width).zip(values).take(offsets.len()) {
            *out = *value;
        }
        return;
    }
    for (out, offset) in out.iter_mut().step_by(width).zip(offsets) {
        *out = usize::try_from(first + offset).ok().and_then(|at| line.get(at)).copied().unwrap_or(0.0);
    }
}

/// A place along `k`: channel, then tap in depth, height, width.
struct Position<'a> {
    reach: &'a [Reach; 3],
    channel: usize,
    depth: usize,
    height: usize,
    tap: usize,
    /// Offsets of depth and height.
    outer: [isize; 2],
}

impl<'a> Position<'a> {
    fn at(layout: &'a Layout, k: usize) -> Position<'a> {
        let [_, height, width] = layout.reach.each_ref().map(|reach| reach.offsets.len());
        let taps = layout.taps();
        let mut position = Position {
            reach: &layout.reach,
            channel: k / taps,
            depth: k % taps / (height * width),
            height: k / width % height,
            tap: k % width,
            outer: [0, 0],
        };
        position.set_outer();
        position
    }

    fn set_outer(&mut self) {
        self.outer = [self.reach[0].offsets[self.depth], self.reach[1].offsets[self.height]];
    }

    fn column(&self) -> isize {
        self.reach[2].offsets[self.tap]
    }

    fn advance(&mut self) {
        self.skip(1);
    }

    /// Goes on by `count` taps, at most to the end of the row of taps.
    fn skip(&mut self, count: usize) {
        self.tap += count;
        if self.tap < self.reach[2].offsets.len() {
            return;
        }
        self.tap = 0;
        self.height += 1;
        if self.height == self.reach[1].offsets.len() {
            self.height = 0;
            self.depth += 1;
            if self.depth == self.reach[0].offsets.len() {
                self.depth = 0;
                self.channel += 1;
            }
        }
        self.set_outer();
    }
}

impl Pack for Columns<'_> {
    fn lines(&self) -> usize {
        self.layout.positions() * if self.layout.folded { self.layout.batch } else { 1 }
    }

    fn depth(&self) -> usize {
        self.layout.channels * self.layout.taps()
    }

    fn pack(&self, item: usize, lines: Range<usize>, k: Range<usize>, width: usize, dst: &mut [f32]) {
        let row = &self.layout.reach[2];
        let along_taps = row.offsets.len() > row.output;
        for (index, panel) in dst.chunks_exact_mut(width * k.len().max(1)).enumerate() {
            let first = lines.start + index * width;
            let segments = self.segments(item, first..lines.end.min(first + width));
            match along_taps {
                true => self.along_taps(&segments, k.clone(), width, panel),
                false => self.along_lines(&segments, k.clone(), width, panel),
            }
        }
    }
}
