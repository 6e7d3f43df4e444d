//! What one process may hold of the engine, and what it has spent.

use crate::chips::PROCESS;
use crate::cost::Path;
use anemone_runtime::{CompileError, Meter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The process that the engine is driven from.
#[derive(Debug)]
pub(super) struct Process {
    meter: Meter,
    loaded: usize,
}

impl Process {
    pub(super) fn new(device: &str) -> Process {
        Process { meter: Meter { device: device.to_string(), ..Meter::default() }, loaded: 0 }
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn meter_mut(&mut self) -> &mut Meter {
        &mut self.meter
    }

    pub(super) fn placed(&mut self, on_engine: usize, on_host: usize) {
        self.meter.on_device += on_engine as u64;
        self.meter.on_host += on_host as u64;
    }
}

/// The process. A panic of another thread leaves figures only, which are still what was counted.
pub(super) fn lock(process: &Mutex<Process>) -> MutexGuard<'_, Process> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Programs that are loaded; dropping this unloads them.
#[derive(Debug)]
pub(super) struct Slots {
    process: Arc<Mutex<Process>>,
    count: usize,
}

impl Slots {
    pub(super) fn process(&self) -> MutexGuard<'_, Process> {
        lock(&self.process)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        let mut process = lock(&self.process);
        process.loaded = process.loaded.saturating_sub(self.count);
    }
}

/// Compiles and loads so many programs.
///
/// # Errors
/// When the engine holds as many as it can; and on the in-memory route when the process has compiled as many as it can, for there
/// programs that are unloaded were seen to be counted still. The real one fails too, without a reason.
pub(super) fn load(process: &Arc<Mutex<Process>>, count: usize, path: Path) -> Result<Slots, CompileError> {
    let mut held = lock(process);
    let most = |figure: &crate::facts::Figure| figure.value.unwrap_or(f64::INFINITY);
    let (compiles, programs) = (most(&PROCESS.compiles), most(&PROCESS.programs));
    if (held.loaded + count) as f64 > programs {
        return Err(CompileError::Pass(format!(
            "the simulated engine holds {} programs and this function needs {count} more, but {programs} fit into a process; drop \
             executables that are not needed",
            held.loaded
        )));
    }
    if path == Path::Direct && (held.meter.compiled + count as u64) as f64 > compiles {
        return Err(CompileError::Pass(format!(
            "this process has compiled {} programs for the simulated engine and this function needs {count} more, but the real one \
             fails after about {compiles}; start another process, or keep executables instead of compiling them again",
            held.meter.compiled
        )));
    }
    held.loaded += count;
    held.meter.compiled += count as u64;
    drop(held);
    Ok(Slots { process: Arc::clone(process), count })
}
