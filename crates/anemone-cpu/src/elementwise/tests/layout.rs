//! Broadcasting against plain index arithmetic, and sizes around the borders of blocks and chunks.

use super::{Tensor, levels, run};
use crate::elementwise::compile::compile_for;
use crate::elementwise::{Code, ElementOp, Group, Instruction, Source};
use mil::{DataType, Shape, TensorType};
use smallvec::smallvec;

/// `x + y` on every instruction set.
fn add(shape: &Shape, x: &Tensor, y: &Tensor) -> Vec<Vec<u32>> {
    let dtype = x.ty.dtype;
    let group = Group {
        shape: shape.clone(),
        leaves: vec![x.ty.clone(), y.ty.clone()],
        instructions: vec![Instruction {
            op: ElementOp::new(Code::Add),
            args: smallvec![Source::Leaf(0), Source::Leaf(1)],
            dtype,
        }],
        outputs: vec![0],
    };
    let all = levels()
        .into_iter()
        .map(|level| run(&compile_for(&group, level), &group, &[x.clone(), y.clone()], &[]));
    all.map(|outputs| outputs[0].lanes()).collect()
}

/// The element of `leaf` that stands at `position` of `shape`.
fn element(leaf: &Shape, shape: &Shape, position: usize) -> usize {
    let (strides, own) = (shape.strides(), leaf.strides());
    let skipped = shape.rank() - leaf.rank();
    (0..leaf.rank())
        .filter(|&axis| leaf[axis] != 1)
        .map(|axis| position / strides[axis + skipped] % shape[axis + skipped] * own[axis])
        .sum()
}

#[test]
fn broadcasting_is_that_of_index_arithmetic() {
    let shapes: [[&[usize]; 2]; 14] = [
        [&[7, 5], &[5]],
        [&[7, 5], &[7, 1]],
        [&[7, 1], &[1, 5]],
        [&[300, 70], &[70]],
        [&[300, 70], &[300, 1]],
        [&[3, 1100], &[1100]],
        [&[3, 1100], &[3, 1]],
        [&[2, 3, 4, 5], &[3, 1, 1]],
        [&[2, 3, 4, 5], &[2, 1, 4, 1]],
        [&[2, 3, 40, 50], &[1, 3, 1, 50]],
        [&[2, 1, 4, 1, 3], &[1, 5, 1, 2, 1]],
        [&[40, 1], &[1, 2000]],
        [&[], &[9, 11]],
        [&[2, 1, 2, 1, 2, 1], &[1, 3, 1, 3, 1, 3]],
    ];
    for [a, b] in shapes {
        let shape = mil::shape::broadcast(a, b).unwrap();
        for dtype in [DataType::Fp32, DataType::Fp16, DataType::Int32] {
            let tensor = |dims: &[usize], factor: i32| {
                let ty = TensorType::new(dtype, dims);
                let value = |i: usize| (i as i32 % 500 + 1) * factor;
                let lane = |i| if dtype.is_float() { (value(i) as f32).to_bits() } else { value(i) as u32 };
                let lanes: Vec<u32> = (0..ty.shape.count()).map(lane).collect();
                Tensor::new(&ty, lanes)
            };
            let (x, y) = (tensor(a, 1), tensor(b, -3));
            let value = |lane: u32| if dtype.is_float() { f32::from_bits(lane) as i32 } else { lane as i32 };
            for found in add(&shape, &x, &y) {
                for (i, found) in found.into_iter().enumerate() {
                    let left = value(x.lanes()[element(&x.ty.shape, &shape, i)]);
                    let right = value(y.lanes()[element(&y.ty.shape, &shape, i)]);
                    assert_eq!(value(found), left + right, "{dtype} {a:?} + {b:?} at {i}");
                    if i > 2500 {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn every_size_around_the_borders() {
    let sizes = (0..=130).chain([191, 192, 193, 1023, 1024, 1025, 4095, 4096, 4097, 8200]);
    for size in sizes {
        for dtype in [DataType::Fp32, DataType::Fp16] {
            let ty = TensorType::new(dtype, [size]);
            let x = Tensor::floats(&ty, (0..size).map(|i| (i % 1009) as f32));
            let y = Tensor::floats(&ty, (0..size).map(|i| (i % 7) as f32));
            for found in add(&ty.shape, &x, &y) {
                assert_eq!(found.len(), size);
                for (i, lane) in found.into_iter().enumerate() {
                    assert_eq!(f32::from_bits(lane), (i % 1009 + i % 7) as f32, "{dtype} {size} at {i}");
                }
            }
        }
    }
}

#[test]
fn coefficients_per_channel() {
    for dims in [&[2, 3, 4, 5][..], &[1, 3, 7], &[2, 3, 1, 1, 1], &[1, 1, 4], &[5, 4, 4, 4]] {
        let (ty, channels) = (TensorType::fp32(dims), TensorType::fp32([dims[1]]));
        let group = Group {
            shape: ty.shape.clone(),
            leaves: vec![ty.clone(), channels.clone()],
            instructions: vec![Instruction {
                op: ElementOp::new(Code::Prelu),
                args: smallvec![Source::Leaf(0), Source::Leaf(1)],
                dtype: DataType::Fp32,
            }],
            outputs: vec![0],
        };
        let x = Tensor::floats(&ty, (0..ty.shape.count()).map(|i| i as f32 - 11.0));
        let alpha = Tensor::floats(&channels, (0..dims[1]).map(|i| i as f32 + 2.0));
        let inner: usize = dims[2..].iter().product();
        let y = run(&group.clone().compile(), &group, &[x.clone(), alpha], &[]);
        for (i, (x, y)) in x.lanes().into_iter().zip(y[0].lanes()).enumerate() {
            let (x, alpha) = (f32::from_bits(x), (i / inner % dims[1]) as f32 + 2.0);
            assert_eq!(f32::from_bits(y), if x >= 0.0 { x } else { alpha * x });
        }
    }
}
