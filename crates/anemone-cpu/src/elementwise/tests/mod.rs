//! Tests of the machine; those of the functions are in `math`.

mod groups;
mod layout;
mod ops;

use super::{Group, Kernel};
use crate::isa::{self, Level};
use half::f16;
use mil::{DataType, TensorType};

/// The instruction sets of this CPU.
pub(super) fn levels() -> Vec<Level> {
    let best = isa::level();
    let all = [
        Level::Baseline,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512,
    ];
    let end = all.iter().position(|&level| level == best).unwrap();
    all[..=end].to_vec()
}

/// A tensor with guard bytes behind it.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) ty: TensorType,
    /// Words, for alignment.
    words: Vec<u64>,
}

const GUARD: u64 = 0xa5a5_5a5a_c3c3_3c3c;

impl Tensor {
    pub(super) fn empty(ty: &TensorType) -> Tensor {
        Tensor { ty: ty.clone(), words: vec![GUARD; ty.bytes().div_ceil(8) + 4] }
    }

    /// From lanes: bits of `f32` for floats, integers otherwise.
    pub(super) fn new(ty: &TensorType, lanes: impl IntoIterator<Item = u32>) -> Tensor {
        let mut tensor = Tensor::empty(ty);
        let size = ty.dtype.size();
        let bytes = bytemuck::cast_slice_mut::<u64, u8>(&mut tensor.words);
        for (element, lane) in bytes[..ty.bytes()].chunks_exact_mut(size).zip(lanes) {
            match ty.dtype {
                DataType::Fp16 => element.copy_from_slice(&f16::from_f32(f32::from_bits(lane)).to_le_bytes()),
                DataType::Bool => element[0] = (lane & 1) as u8,
                _ => element.copy_from_slice(&lane.to_le_bytes()[..size]),
            }
        }
        tensor
    }

    pub(super) fn floats(ty: &TensorType, values: impl IntoIterator<Item = f32>) -> Tensor {
        Tensor::new(ty, values.into_iter().map(f32::to_bits))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.ty.bytes()]
    }

    /// Elements as lanes, every `NaN` the same.
    pub(super) fn lanes(&self) -> Vec<u32> {
        let quiet = |x: f32| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() };
        let element = |bytes: &[u8]| match self.ty.dtype {
            DataType::Fp16 => quiet(f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()),
            DataType::Fp32 => quiet(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
            DataType::Int8 => bytes[0] as i8 as i32 as u32,
            DataType::Int16 => i16::from_le_bytes([bytes[0], bytes[1]]) as i32 as u32,
            _ => bytes.iter().rev().fold(0, |lane, &byte| lane << 8 | byte as u32),
        };
        self.bytes().chunks_exact(self.ty.dtype.size()).map(element).collect()
    }

    pub(super) fn check_guard(&self) {
        let guard = GUARD.to_le_bytes();
        let bytes = bytemuck::cast_slice::<u64, u8>(&self.words);
        let intact = (self.ty.bytes()..bytes.len()).all(|at| bytes[at] == guard[at % 8]);
        assert!(intact, "bytes behind {} were written", self.ty);
    }
}

/// Types of a group's outputs.
pub(super) fn output_types(group: &Group) -> Vec<TensorType> {
    let ty = |&at: &usize| TensorType::new(group.instructions[at].dtype, group.shape.clone());
    group.outputs.iter().map(ty).collect()
}

/// Runs a kernel; `in_place` gives, for each output, the leaf in whose memory it stands.
#[expect(unsafe_code, reason = "kernels take addresses")]
pub(super) fn run(
    kernel: &Kernel,
    group: &Group,
    leaves: &[Tensor],
    in_place: &[Option<usize>],
) -> Vec<Tensor> {
    let mut leaves = leaves.to_vec();
    let mut outputs: Vec<Tensor> = output_types(group).iter().map(Tensor::empty).collect();
    let inputs: Vec<*const u8> = leaves.iter_mut().map(|leaf| leaf.words.as_mut_ptr() as *const u8).collect();
    let targets: Vec<*mut u8> = outputs
        .iter_mut()
        .zip(in_place.iter().chain(std::iter::repeat(&None)))
        .map(|(output, leaf)| leaf.map_or(output.words.as_mut_ptr().cast(), |leaf| inputs[leaf].cast_mut()))
        .collect();
    // SAFETY: memory of the types that the group was made for; outputs share it with leaves only as allowed.
    unsafe { kernel.run(&inputs, &targets) };
    leaves.iter().for_each(Tensor::check_guard);
    for (output, leaf) in outputs.iter_mut().zip(in_place) {
        if let Some(leaf) = *leaf {
            *output = Tensor { ty: output.ty.clone(), words: leaves[leaf].words.clone() };
        }
        output.check_guard();
    }
    outputs
}
