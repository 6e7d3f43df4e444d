//! A simulated engine: its numbers, its rules, its limits, and a clock and an energy meter that run on estimates.
//!
//! [`SimulatedEngine`] is a back end like any other. Programs compute on the CPU with the engine's arithmetic
//! ([`Numerics::Ane`](anemone_cpu::Numerics)); what the chip would refuse goes to the host, as those who drive the
//! engine directly do it (optimizers and losses in `fp32`), or is an error; every call costs what the cost model says,
//! every program the time to compile it. What the host copies to and from the engine has a clock of its own; the time
//! of what it computes between programs is in no figure: the meter counts its operations and bytes instead. None of it
//! was run on a device.

mod executable;
mod process;
mod stages;

pub use stages::Stages;

use crate::chips::{Chip, PROCESS};
use crate::cost::{EstimateOptions, Range, compile_time, estimate_parts};
use crate::rules::refused_ports;
use anemone_cpu::{AneGeneration, CpuBackend, Numerics, specialize};
use anemone_runtime::{Backend, CompileError, CompileOptions, Executable, Meter};
use executable::{CallCost, SimulatedExecutable};
use mil::{Function, Verified};
use process::{Compiled, Process, Slots};
use std::sync::{Arc, Mutex};

/// What becomes of operations that the engine does not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostWork {
    /// The host computes them, between programs of the engine. Their time is in no estimate; [`Meter`] says how many
    /// they were and what they moved.
    #[default]
    Allowed,
    /// A function that is not the engine's as a whole is refused when it is compiled, for an operation or for the type
    /// of a port. States are taken for buffers that are passed from call to call.
    Refused,
}

/// How an engine is simulated.
#[derive(Clone, Debug, Default)]
pub struct SimulatedOptions {
    /// What becomes of operations that the engine does not take.
    pub host: HostWork,
    /// What estimates assume.
    pub estimate: EstimateOptions,
    /// Threads that compute; 0 for one per core.
    pub threads: usize,
}

/// A chip's engine, simulated on the CPU.
#[derive(Clone, Debug)]
pub struct SimulatedEngine {
    chip: &'static Chip,
    cpu: CpuBackend,
    options: SimulatedOptions,
    process: Arc<Mutex<Process>>,
}

impl SimulatedEngine {
    /// An engine in a process that has compiled nothing yet.
    ///
    /// # Errors
    /// When no compiler makes programs for the chip, or the CPU back end does not start.
    pub fn new(chip: &'static Chip, options: SimulatedOptions) -> Result<SimulatedEngine, CompileError> {
        let generation = generation(chip).ok_or_else(|| {
            CompileError::Pass(format!(
                "the engine of {} cannot be simulated: no MIL program was ever compiled for its target {}",
                chip.name, chip.target
            ))
        })?;
        let cpu = CpuBackend::with_threads(options.threads)?.numerics(Numerics::Ane(generation));
        let process = Arc::new(Mutex::new(Process::new(chip.name)));
        Ok(SimulatedEngine { chip, cpu, options, process })
    }

    /// The chip.
    pub fn chip(&self) -> &'static Chip {
        self.chip
    }

    fn compile_function(
        &self,
        program: &Verified,
        function: &Function,
        options: &CompileOptions,
    ) -> Result<Box<dyn Executable>, CompileError> {
        let bound = specialize(function, &options.shapes)?;
        let stages = Stages::new(&bound, self.chip);
        if self.options.host == HostWork::Refused {
            self.whole(&bound, &stages)?;
        }
        let (cost, seconds) = self.price(&bound, &stages)?;
        // Whether there is room is asked first: a compilation that fails changes nothing, least of all the caller's states.
        let mut slots = Slots::reserve(&self.process, stages.parts().len(), self.options.estimate.path)?;
        let inner = self.cpu.compile(program, options)?;
        slots.compiled(Compiled { seconds, on_engine: stages.on_engine(), on_host: stages.on_host() });
        tracing::info!(
            chip = self.chip.name,
            function = function.name,
            programs = stages.parts().len(),
            on_engine = stages.on_engine(),
            on_host = stages.on_host(),
            milliseconds = cost.seconds * 1e3,
            compile_seconds = seconds.mid,
            "compiled for the simulated engine"
        );
        Ok(Box::new(SimulatedExecutable::new(inner, cost, slots)))
    }

    /// What a call costs, and what compiling does.
    fn price(&self, function: &Function, stages: &Stages) -> Result<(CallCost, Range), CompileError> {
        let (parts, options) = (stages.parts(), &self.options.estimate);
        let mut cost = CallCost {
            dispatches: parts.len() as u64,
            host_operations: stages.on_host() as u64,
            host_bytes: stages.host_bytes(function, options.unknown_dim) as u64,
            ..CallCost::default()
        };
        let mut seconds = Range { low: 0.0, mid: 0.0, high: 0.0 };
        let refused = PROCESS.constants_refused.value.unwrap_or(f64::INFINITY);
        for (part, estimate) in parts.iter().zip(estimate_parts(function, parts, self.chip, options)) {
            if estimate.weight_bytes >= refused {
                return Err(CompileError::Limit(format!(
                    "a program of function `{}` has {:.2} GB of constants, but from {:.1} GB on the real compiler fails; \
                     split the function (`cost::plan` says where), or compress its weights",
                    function.name,
                    estimate.weight_bytes / 1e9,
                    refused / 1e9
                )));
            }
            cost.seconds += estimate.latency_ms.mid / 1e3;
            cost.seconds_low += estimate.latency_ms.low / 1e3;
            cost.seconds_high += estimate.latency_ms.high / 1e3;
            cost.millijoules += estimate.energy_mj.mid;
            let compile = compile_time(self.chip, part.len(), estimate.weight_bytes);
            seconds.low += compile.low;
            seconds.mid += compile.mid;
            seconds.high += compile.high;
        }
        let copied = EstimateOptions { host_copy: true, ..*options };
        for part in estimate_parts(function, parts, self.chip, &copied) {
            cost.copy_seconds += part.terms.host_copy_us / 1e6;
        }
        Ok((cost, seconds))
    }

    /// Refuses what is not the engine's as a whole: operations, and types of what goes in and out, which no host converts.
    fn whole(&self, function: &Function, stages: &Stages) -> Result<(), CompileError> {
        let ports = refused_ports(function, self.chip);
        match stages.reasons().chain(&ports).next() {
            None => Ok(()),
            Some(refused) => Err(CompileError::Unsupported {
                backend: "simulated",
                op: refused.op,
                value: refused.value.clone(),
                reason: Some(format!(
                    "{} would not run it on its engine ({}): {}",
                    self.chip.name, refused.rule, refused.why
                )),
            }),
        }
    }
}

/// The arithmetic of a chip's engine, as far as it is known; `None` where no MIL program reaches it.
pub fn generation(chip: &Chip) -> Option<AneGeneration> {
    chip.family().limits()?;
    match chip.target.get(..3) {
        Some("h13" | "m11") => Some(AneGeneration::H13),
        Some("h14") => Some(AneGeneration::H14),
        Some("h15") => Some(AneGeneration::H15),
        Some("h16") => Some(AneGeneration::H16),
        Some("h17" | "h18" | "h19" | "m12") => Some(AneGeneration::H17),
        _ if chip.target == "t1" => Some(AneGeneration::H13),
        _ => None,
    }
}

impl Backend for SimulatedEngine {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn compile(
        &self,
        program: &Verified,
        options: &CompileOptions,
    ) -> Result<Box<dyn Executable>, CompileError> {
        let function = match &options.function {
            Some(name) => program.function(name),
            None => program.functions.first(),
        };
        match function {
            Some(function) => self.compile_function(program, function, options),
            // The CPU says what there is.
            None => self.cpu.compile(program, options),
        }
    }

    fn meter(&self) -> Option<Meter> {
        Some(process::lock(&self.process).meter().clone())
    }
}
