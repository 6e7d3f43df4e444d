//! Scattering slices: which updates go to which slot, as linked lists.
//!
//! Sorting updates by slot first lets each slot be computed on its own: in parallel, every element in the order of its
//! updates whatever the number of threads, and rounded once.

use super::{Combine, Mode, Slices};
use crate::kernels::fold::{Arithmetic, Number};
use crate::kernels::parallel;

/// No further update.
const END: u32 = u32::MAX;
/// Elements accumulated beside each other.
const CHUNK: usize = 64;

/// Scratch bytes needed, `None` when there are more places than a chain can name.
pub(super) fn scratch(slots: usize, count: usize) -> Option<usize> {
    (slots < END as usize && count < END as usize).then(|| (slots + count) * 4)
}

/// For each slot its updates, in order.
pub(super) struct Chains<'a> {
    /// First update of each slot.
    heads: &'a [u32],
    /// The update after each update.
    next: &'a [u32],
}

impl<'a> Chains<'a> {
    pub(super) fn build(
        scratch: &'a mut [u8],
        slots: usize,
        count: usize,
        slot: impl Fn(usize) -> usize,
    ) -> Chains<'a> {
        let (heads, next) = bytemuck::cast_slice_mut::<u8, u32>(scratch).split_at_mut(slots);
        heads.fill(END);
        // From the back, so that chains run forwards.
        for place in (0..count).rev() {
            next[place] = std::mem::replace(&mut heads[slot(place)], place as u32);
        }
        Chains { heads, next }
    }

    /// Combines the updates into `output`, which holds the data.
    pub(super) fn scatter<N: Number>(&self, slices: Slices, updates: &[N], output: &mut [N])
    where
        N::Wide: Combine,
    {
        match slices.mode {
            // Each mode is a copy of the loops, so that the choice is not made per element.
            Mode::Update => self.with(slices, updates, output, |a, b| a.combined(Mode::Update, b)),
            Mode::Add => self.with(slices, updates, output, |a, b| a.combined(Mode::Add, b)),
            Mode::Sub => self.with(slices, updates, output, |a, b| a.combined(Mode::Sub, b)),
            Mode::Mul => self.with(slices, updates, output, |a, b| a.combined(Mode::Mul, b)),
            Mode::Div => self.with(slices, updates, output, |a, b| a.combined(Mode::Div, b)),
            Mode::Max => self.with(slices, updates, output, |a, b| a.combined(Mode::Max, b)),
            Mode::Min => self.with(slices, updates, output, |a, b| a.combined(Mode::Min, b)),
        }
    }

    fn with<N: Number>(
        &self,
        slices: Slices,
        updates: &[N],
        output: &mut [N],
        combine: impl Fn(N::Wide, N::Wide) -> N::Wide + Sync,
    ) where
        N::Wide: Combine,
    {
        let Slices { slots, count, inner, .. } = slices;
        let per_slot = 1 + count / slots.max(1);
        parallel::rows(output, inner, per_slot, |row, out| {
            let (outer, head) = (row / slots, self.heads[row % slots]);
            if head == END {
                return;
            }
            for (chunk, out) in out.chunks_mut(CHUNK).enumerate() {
                let mut sums = [N::Wide::ZERO; CHUNK];
                for (sum, value) in sums.iter_mut().zip(out.iter()) {
                    *sum = value.wide();
                }
                let mut place = head;
                while place != END {
                    let start = (outer * count + place as usize) * inner + chunk * CHUNK;
                    for (sum, update) in sums.iter_mut().zip(&updates[start..][..out.len()]) {
                        *sum = combine(*sum, update.wide());
                    }
                    place = self.next[place as usize];
                }
                for (value, sum) in out.iter_mut().zip(sums) {
                    *value = N::narrow(sum);
                }
            }
        });
    }
}
