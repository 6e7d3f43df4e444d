//! Choosing where to run, and saying why.

use crate::args::DeviceArgs;
use crate::error::CliError;
use anemone::Device;
use anemone::ane::simulated::{SimulatedEngine, SimulatedOptions};
use anemone::cpu::CpuBackend;
use anemone::runtime::Backend;
use std::thread;

/// A device that has been started.
pub(crate) struct Running {
    /// What runs programs.
    pub(crate) backend: Box<dyn Backend>,
    /// Where, and why there, for people.
    pub(crate) description: String,
}

/// Which device to use, and the words for it.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    device: Device,
    threads: usize,
    description: String,
}

/// Chooses the device that was asked for, or the best.
pub(crate) fn choose(args: &DeviceArgs) -> Result<Chosen, CliError> {
    let threads = args.threads.unwrap_or(0);
    let (device, why) = match &args.device {
        Some(name) => {
            let device: Device = name.parse().map_err(|error: anemone::DeviceError| {
                CliError::usage(error.to_string(), "--device cpu, or --device simulated:m1")
            })?;
            (device, "asked for".to_string())
        }
        None => {
            let choice = Device::choose();
            (choice.device, choice.passed_over.join("; "))
        }
    };
    let count = match threads {
        0 => thread::available_parallelism().map_or(1, |count| count.get()),
        threads => threads,
    };
    let plural = if count == 1 { "" } else { "s" };
    let what = match device {
        Device::Simulated(chip) => format!("the engine of {}, simulated by the CPU", chip.name),
        other => other.to_string(),
    };
    let description = format!("{what}, {count} thread{plural}; {why}");
    Ok(Chosen { device, threads, description })
}

impl Chosen {
    /// Starts the device.
    pub(crate) fn start(&self) -> Result<Running, CliError> {
        let backend: Box<dyn Backend> = match self.device {
            Device::Cpu => Box::new(CpuBackend::with_threads(self.threads)?),
            Device::Simulated(chip) => {
                let options = SimulatedOptions { threads: self.threads, ..SimulatedOptions::default() };
                Box::new(SimulatedEngine::new(chip, options)?)
            }
            other => other.backend()?,
        };
        Ok(Running { backend, description: self.description.clone() })
    }
}
