//! The CPU engine: runs any verified MIL program, as reference and as fast path.
//!
//! [`Mode::Strict`] runs one operation at a time with exactly specified rounding; it is the reference semantics.
//! [`Mode::Fused`] groups elementwise operations and is held, bit for bit, to the same results.
//!
//! Rounding: `fp32` operations compute in `fp32`; `fp16` operations take `fp16`, compute and accumulate in `fp32` and
//! round once to nearest-even. Results do not depend on the number of threads, nor on the instruction set: the fastest that
//! the CPU has is used, or the one that the environment variable `ANEMONE_ISA` names.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod audit;
mod elementwise;
mod engine;
pub mod gemm;
mod isa;
mod kernels;
mod numerics;

pub use engine::{CpuExecutable, StepTime, Support, fold_constants, specialize, support};
pub use numerics::{AneGeneration, Grade, Numerics, OpCase, Provenance, provenance};

use anemone_runtime::{Backend, CompileError, CompileOptions, Executable};
use mil::{Function, Verified};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;

/// How a program is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One operation at a time.
    Strict,
    /// Elementwise operations in groups; the same results, faster.
    #[default]
    Fused,
}

/// How programs are compiled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) numerics: Numerics,
}

/// The CPU back end: a thread pool, a mode, and the numbers to compute.
#[derive(Clone, Debug)]
pub struct CpuBackend {
    settings: Settings,
    pool: Arc<ThreadPool>,
}

impl CpuBackend {
    /// A back end on all cores, in fused mode.
    ///
    /// # Errors
    /// As [`CpuBackend::with_threads`].
    pub fn new() -> Result<CpuBackend, CompileError> {
        CpuBackend::with_threads(0)
    }

    /// A back end with this many threads; 0 for one per core.
    ///
    /// # Errors
    /// When the system refuses to start threads, or `ANEMONE_ISA` names an instruction set that the CPU lacks.
    pub fn with_threads(threads: usize) -> Result<CpuBackend, CompileError> {
        gemm::Isa::requested().map_err(|error| CompileError::Pass(error.to_string()))?;
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("anemone-cpu-{index}"))
            .build()
            .map_err(|error| CompileError::Pass(format!("the thread pool could not be started: {error}")))?;
        Ok(CpuBackend { settings: Settings::default(), pool: Arc::new(pool) })
    }

    /// The same threads in another mode.
    pub fn mode(mut self, mode: Mode) -> CpuBackend {
        self.settings.mode = mode;
        self
    }

    /// The same threads with other numbers in `fp16`: those of a generation of the Neural Engine, as far as they are known.
    pub fn numerics(mut self, numerics: Numerics) -> CpuBackend {
        self.settings.numerics = numerics;
        self
    }

    /// Compiles to the concrete executable, which can profile itself.
    ///
    /// # Errors
    /// As [`Backend::compile`], and when the function is not static: that one is interpreted.
    pub fn compile_cpu(
        &self,
        program: &Verified,
        options: &CompileOptions,
    ) -> Result<CpuExecutable, CompileError> {
        let function = engine::bind(find(program, options)?, options, &self.pool)?;
        function.require_static().map_err(|error| CompileError::Pass(error.to_string()))?;
        engine::compile(function, self.settings, &options.states, Arc::clone(&self.pool))
    }
}

fn find<'p>(program: &'p Verified, options: &CompileOptions) -> Result<&'p Function, CompileError> {
    let function = match &options.function {
        Some(name) => program.function(name),
        None => program.functions.first(),
    };
    function.ok_or_else(|| CompileError::NoFunction {
        name: options.function.clone().unwrap_or_default(),
        available: program.functions.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", "),
    })
}

impl Backend for CpuBackend {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn compile(
        &self,
        program: &Verified,
        options: &CompileOptions,
    ) -> Result<Box<dyn Executable>, CompileError> {
        engine::compile_any(find(program, options)?, self.settings, options, Arc::clone(&self.pool))
    }
}
