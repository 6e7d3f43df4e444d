//! Devices: where a program runs, and why there.

use anemone_cpu::CpuBackend;
use anemone_runtime::{Backend, CompileError};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Where programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The CPU of this machine.
    Cpu,
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
#[error("there is no device `{found}`; devices: cpu")]
pub struct DeviceError {
    /// What was asked for.
    pub found: String,
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
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
        }
    }
}

impl FromStr for Device {
    type Err = DeviceError;
    fn from_str(name: &str) -> Result<Device, DeviceError> {
        match name {
            "cpu" => Ok(Device::Cpu),
            _ => Err(DeviceError { found: name.to_string() }),
        }
    }
}
