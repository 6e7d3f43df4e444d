//! What one process may hold of the engine, and what it has spent.

use crate::chips::PROCESS;
use crate::cost::{Path, Range};
use crate::facts::Figure;
use anemone_runtime::{CompileError, Meter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The process that the engine is driven from.
#[derive(Debug)]
pub(super) struct Process {
    meter: Meter,
    /// Programs that are loaded.
    loaded: usize,
    /// Programs among them whose function is still being compiled.
    pending: usize,
}

impl Process {
    pub(super) fn new(device: &str) -> Process {
        Process { meter: Meter { device: device.to_string(), ..Meter::default() }, loaded: 0, pending: 0 }
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn meter_mut(&mut self) -> &mut Meter {
        &mut self.meter
    }
}

/// The process. A panic of another thread leaves figures only, which are still what was counted.
pub(super) fn lock(process: &Mutex<Process>) -> MutexGuard<'_, Process> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What compiling a function came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compiled {
    pub(super) seconds: Range,
    pub(super) on_engine: usize,
    pub(super) on_host: usize,
}

/// Programs that are loaded; dropping this unloads them.
#[derive(Debug)]
pub(super) struct Slots {
    process: Arc<Mutex<Process>>,
    count: usize,
    pending: bool,
}

impl Slots {
    /// Room for so many programs, before anything is compiled.
    ///
    /// # Errors
    /// When the engine holds as many as it can; and on the in-memory route when the process has compiled as many as it can, for there
    /// programs that are unloaded were seen to be counted still. The real one fails too, without a reason.
    pub(super) fn reserve(
        process: &Arc<Mutex<Process>>,
        count: usize,
        path: Path,
    ) -> Result<Slots, CompileError> {
        let mut held = lock(process);
        let most = |figure: &Figure| figure.value.unwrap_or(f64::INFINITY);
        let (compiles, programs) = (most(&PROCESS.compiles), most(&PROCESS.programs));
        if (held.loaded + count) as f64 > programs {
            return Err(CompileError::Limit(format!(
                "the simulated engine holds {} programs and this function needs {count} more, but {programs} fit into a process; {}",
                held.loaded,
                if count as f64 > programs {
                    "split the function, so that what is not needed can be dropped"
                } else {
                    "drop executables that are not needed"
                }
            )));
        }
        let compiled = held.meter.compiled + held.pending as u64;
        if path == Path::Direct && (compiled + count as u64) as f64 > compiles {
            return Err(CompileError::Limit(format!(
                "this process has compiled {compiled} programs for the simulated engine and this function needs {count} more, but the \
                 real one fails after about {compiles}; start another process, or keep executables instead of compiling them again",
            )));
        }
        held.loaded += count;
        held.pending += count;
        drop(held);
        Ok(Slots { process: Arc::clone(process), count, pending: true })
    }

    /// The programs were compiled.
    pub(super) fn compiled(&mut self, compiled: Compiled) {
        let mut process = lock(&self.process);
        process.pending = process.pending.saturating_sub(if self.pending { self.count } else { 0 });
        self.pending = false;
        let meter = &mut process.meter;
        meter.compiled += self.count as u64;
        meter.compile_seconds += compiled.seconds.mid;
        meter.compile_seconds_low += compiled.seconds.low;
        meter.compile_seconds_high += compiled.seconds.high;
        meter.on_device += compiled.on_engine as u64;
        meter.on_host += compiled.on_host as u64;
    }

    pub(super) fn process(&self) -> MutexGuard<'_, Process> {
        lock(&self.process)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let mut process = lock(&self.process);
        process.loaded = process.loaded.saturating_sub(self.count);
        if self.pending {
            process.pending = process.pending.saturating_sub(self.count);
        }
    }
}
