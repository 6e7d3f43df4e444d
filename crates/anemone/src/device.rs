//! Devices: where a program runs, and why there.

use anemone_ane::chips::Chip;
use anemone_ane::simulated::{SimulatedEngine, SimulatedOptions};
use anemone_cpu::CpuBackend;
use anemone_runtime::{Backend, CompileError};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Where programs run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Device {
    /// The CPU of this machine.
    Cpu,
    /// The engine of a chip, simulated: its arithmetic, rules and limits as far as they are published, with estimates of time and
    /// energy. Nothing runs on a device.
    Simulated(&'static Chip),
}

/// A device, and the reason for each better one that was passed over.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The device chosen.
    pub device: Device,
    /// One sentence per device passed over.
    pub passed_over: Vec<String>,
}

/// Not the name of a device.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("there is no device `{found}`; devices: cpu, and simulated:CHIP, where CHIP is one of {chips}")]
pub struct DeviceError {
    /// What was asked for.
    pub found: String,
    /// Names of the chips that can be simulated.
    pub chips: String,
}

impl Device {
    /// The best device there is.
    pub fn best() -> Device {
        Device::choose().device
    }

    /// The best device there is, with the reasons why the others are not.
    pub fn choose() -> Choice {
        let reason = if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
            "the Neural Engine was passed over: this version has no driver for it yet"
        } else {
            "the Neural Engine was passed over: this machine is not Apple silicon"
        };
        Choice { device: Device::Cpu, passed_over: vec![reason.to_string()] }
    }

    /// The back end that drives this device.
    ///
    /// # Errors
    /// When the device refuses to start.
    pub fn backend(self) -> Result<Box<dyn Backend>, CompileError> {
        match self {
            Device::Cpu => Ok(Box::new(CpuBackend::new()?)),
            Device::Simulated(chip) => Ok(Box::new(SimulatedEngine::new(chip, SimulatedOptions::default())?)),
        }
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Device) -> bool {
        match (self, other) {
            (Device::Cpu, Device::Cpu) => true,
            (Device::Simulated(one), Device::Simulated(other)) => one.name == other.name,
            _ => false,
        }
    }
}

impl Eq for Device {}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Simulated(chip) => {
                write!(f, "simulated:{}", chip.name.to_ascii_lowercase().replace(' ', "-"))
            }
        }
    }
}

impl FromStr for Device {
    type Err = DeviceError;
    fn from_str(name: &str) -> Result<Device, DeviceError> {
        if name == "cpu" {
            return Ok(Device::Cpu);
        }
        let chip = name.strip_prefix("simulated:").and_then(|chip| Chip::named(chip).ok());
        chip.map(Device::Simulated).ok_or_else(|| DeviceError {
            found: name.to_string(),
            chips: anemone_ane::chips::CHIPS
                .iter()
                .filter(|chip| anemone_ane::simulated::generation(chip).is_some())
                .map(|chip| chip.name.to_ascii_lowercase().replace(' ', "-"))
                .collect::<Vec<_>>()
                .join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Device;

    #[test]
    fn devices_have_names() {
        for name in ["cpu", "simulated:m1", "simulated:m5-pro"] {
            assert_eq!(name.parse::<Device>().map(|device| device.to_string()).as_deref(), Ok(name));
        }
        let error = "simulated:m99".parse::<Device>().map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("m1, ") && error.contains("`simulated:m99`")));
    }
}
