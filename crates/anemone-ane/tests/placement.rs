//! How Core ML would share programs out, as far as published observations tell.

#![allow(clippy::unwrap_used, reason = "test code")]
#![allow(dead_code, reason = "each test file uses a part of what is common")]

mod common;

use anemone_ane::chips::Chip;
use anemone_ane::placement::{Device, Split, split};
use mil::{Constant, FunctionBuilder, Opset, Program, TensorType, Verified};

fn convolution(channels: usize) -> Verified {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp16([1, channels, 32, 32])).unwrap();
    let weight = Constant::splat(&TensorType::fp16([channels, channels, 3, 3]), 0.5).unwrap();
    let y = f.op("conv").arg("x", x).constant("weight", weight).string("pad_type", "same").one().unwrap();
    common::verified(Program::single(f.finish(&[y]).unwrap()))
}

fn on(program: &Verified, chip: &str) -> Split {
    split(program, None, Chip::named(chip).unwrap()).unwrap().remove(0)
}

/// Where ANEForge's audit of 451 programs saw convolutions change sides.
#[test]
fn small_convolutions_stay_on_the_cpu_and_large_ones_do_not() {
    for chip in ["M1", "M4", "M5 Pro"] {
        assert_eq!(on(&convolution(128), chip).on(Device::Engine), 0, "{chip}");
        assert_eq!(on(&convolution(256), chip).on(Device::Engine), 1, "{chip}");
    }
}

#[test]
fn what_the_engine_refuses_goes_elsewhere() {
    let split = on(&common::program_of("gather"), "M4");
    assert!(split.on(Device::Cpu) + split.on(Device::GpuOrCpu) > 0);
    assert_eq!(split.on(Device::Engine), 0);
    assert!(split.basis.contains("estimated"));
    // No MIL, nothing to share out.
    assert!(on(&common::program_of("relu"), "A12").segments.is_empty());
}
