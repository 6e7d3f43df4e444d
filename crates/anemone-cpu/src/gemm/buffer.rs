//! Working memory that outlives a call: grown once per thread, then reused, so that a product allocates
//! nothing.
#![expect(unsafe_code, reason = "reinterprets cache lines as floats to get 64-byte alignment")]

use std::cell::Cell;

/// One cache line of floats; the element type of [`Buffer`], there for its alignment.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

const LINE: usize = 16;

// SAFETY: 16 floats of 4 bytes fill the 64 bytes without padding, and every bit pattern is valid.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: as above; `Line` is `Copy` and holds no references.
unsafe impl bytemuck::Pod for Line {}

/// Floats aligned to a cache line.
#[derive(Default)]
pub(super) struct Buffer {
    lines: Vec<Line>,
}

impl Buffer {
    /// The first `len` floats, after growing to hold them. Their values are whatever was there before.
    pub(super) fn floats(&mut self, len: usize) -> &mut [f32] {
        let lines = len.div_ceil(LINE);
        if self.lines.len() < lines {
            // Dropped before the larger one is made: contents need not survive, and zeroed pages come for
            // free.
            self.lines = Vec::new();
            self.lines = vec![Line([0.0; LINE]); lines];
        }
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..len]
    }

    /// All floats, for reading.
    pub(super) fn as_floats(&self) -> &[f32] {
        bytemuck::cast_slice(&self.lines)
    }
}

/// What one task needs: a packed block of each operand, and the tile in which an fp16 output is summed.
#[derive(Default)]
pub(super) struct TaskBuffers {
    pub(super) a: Buffer,
    pub(super) b: Buffer,
    pub(super) sums: Buffer,
}

/// What one call needs, shared by its tasks: operands packed once, a bias or vector widened to fp32.
#[derive(Default)]
pub(super) struct CallBuffers {
    pub(super) a: Buffer,
    pub(super) b: Buffer,
    pub(super) extra: Buffer,
}

thread_local! {
    static TASK: Cell<TaskBuffers> = Cell::default();
    static CALL: Cell<CallBuffers> = Cell::default();
}

/// Runs `body` with this thread's task buffers. A nested use gets fresh ones rather than the same ones twice.
pub(super) fn with_task_buffers<R>(body: impl FnOnce(&mut TaskBuffers) -> R) -> R {
    TASK.with(|cell| borrow(cell, body))
}

/// Runs `body` with this thread's call buffers, as [`with_task_buffers`] does. They are separate because the
/// thread that waits for a call's tasks also runs some of them.
pub(super) fn with_call_buffers<R>(body: impl FnOnce(&mut CallBuffers) -> R) -> R {
    CALL.with(|cell| borrow(cell, body))
}

fn borrow<T: Default, R>(cell: &Cell<T>, body: impl FnOnce(&mut T) -> R) -> R {
    let mut value = cell.take();
    let result = body(&mut value);
    cell.set(value);
    result
}
