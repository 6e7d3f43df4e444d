//! Rewrites of convolutions and pooling.

use super::pointwise::required;
use super::products::result_shape;
use super::rewriter::{again, of_bytes, permuted};
use super::{Context, Rewrite};
use crate::rules::{Site, conv::patch_size};
use mil::ops::conv::{ConvGeometry, geometry, transpose_geometry};
use mil::ops::pool;
use mil::{BuildError, Constant, FunctionBuilder, Operation, ValueId};

type Results = Result<Vec<ValueId>, BuildError>;

const PARTS: &str = "convolutions with parts of the kernel, added";

pub(super) static REWRITES: &[Rewrite] = &[
    Rewrite {
        rule: "conv-transpose-same",
        ops: &["conv_transpose"],
        into: "the padding written out",
        possible: |site| transpose_geometry(&site.op).is_ok(),
        apply: custom,
    },
    Rewrite {
        rule: "patch-conv",
        ops: &["conv"],
        into: "space_to_depth and a 1x1 convolution",
        possible: |site| patches(site).is_some(),
        apply: patch,
    },
    Rewrite {
        rule: "conv-kernel-width",
        ops: &["conv"],
        into: PARTS,
        possible: |site| divisible(site, 0, site.graph.limits.kernel_width.count()),
        apply: |f, operation, context| parts(f, operation, 0, context.limits.kernel_width.count()),
    },
    Rewrite {
        rule: "conv-kernel-height",
        ops: &["conv"],
        into: PARTS,
        possible: |site| divisible(site, 1, site.graph.limits.kernel_height.count()),
        apply: |f, operation, context| parts(f, operation, 1, context.limits.kernel_height.count()),
    },
    Rewrite {
        rule: "max-pool-window",
        ops: &["max_pool"],
        into: "two poolings in a row",
        possible: |site| {
            let most = site.graph.limits.max_window.count();
            most.is_some_and(|most| most > 1 && in_a_row(site, most))
        },
        apply: |f, operation, context| pools(f, operation, context.limits.max_window.count().unwrap_or(2)),
    },
];

fn ints(values: &[usize]) -> Vec<i32> {
    values.iter().map(|&value| i32::try_from(value).unwrap_or(i32::MAX)).collect()
}

/// Before and after each dimension, as `pad` has it.
fn pads(before: &[usize], after: &[usize]) -> Vec<i32> {
    before.iter().zip(after).flat_map(|(&before, &after)| ints(&[before, after])).collect()
}

fn at_fault(operation: &Operation) -> BuildError {
    BuildError::Missing { op: operation.op.declaration().name, name: None, param: "weight" }
}

fn custom(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let sizes = transpose_geometry(&f.function().view(operation)).map_err(|_| at_fault(operation))?;
    let shape = result_shape(f, operation)?;
    let pad = f.constant(Constant::ints(&pads(&sizes.pad_before, &sizes.pad_after)));
    let kind = f.constant(Constant::string("custom"));
    let shape = f.constant(Constant::ints(&ints(&shape)));
    again(f, operation, &[("pad", Some(pad)), ("pad_type", Some(kind)), ("output_shape", Some(shape))])
}

/// The side of patches that can be cut out: a constant weight, no groups, sizes that are multiples.
fn patches(site: &Site<'_>) -> Option<usize> {
    let sizes = geometry(&site.op).ok()?;
    let size = patch_size(&sizes)?;
    let whole = sizes.input.iter().all(|&dim| dim % size == 0) && sizes.groups == 1;
    let weight = site.op.constant("weight").filter(|weight| weight.ty().dtype.is_float());
    (whole && weight.is_some()).then_some(size)
}

fn patch(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let (x, weight) = (required(f, operation, "x")?, required(f, operation, "weight")?);
    let view = f.function().view(operation);
    let sizes = geometry(&view).map_err(|_| at_fault(operation))?;
    let size = sizes.kernel[0];
    // space_to_depth puts the place in the block before the channel.
    let turned = f.function().constant(weight).and_then(|weight| permuted(weight, &[0, 2, 3, 1]));
    let weight = turned
        .and_then(|weight| weight.reshaped([sizes.out_channels, size * size * sizes.in_channels, 1, 1]).ok())
        .ok_or_else(|| at_fault(operation))?;
    let bias = view.value("bias");
    let blocks = f.op("space_to_depth").arg("x", x).int("block_size", size as i32).one()?;
    Ok(vec![f.op("conv").arg("x", blocks).constant("weight", weight).maybe("bias", bias).one()?])
}

/// Most parts that a kernel is cut into.
const MOST: usize = 64;

/// Whether a kernel can be cut: a constant weight, not too many parts.
fn divisible(site: &Site<'_>, from_end: usize, most: Option<usize>) -> bool {
    let weight = site.op.constant("weight").is_some_and(|weight| weight.ty().dtype.is_float());
    let few = geometry(&site.op).is_ok_and(|sizes| {
        let along = sizes.rank().checked_sub(1 + from_end).and_then(|along| sizes.kernel.get(along));
        along.zip(most).is_some_and(|(&kernel, most)| kernel.div_ceil(most.max(1)) <= MOST)
    });
    weight && few
}

/// A kernel cut along a spatial dimension, counted from the last.
fn parts(f: &mut FunctionBuilder, operation: &Operation, from_end: usize, most: Option<usize>) -> Results {
    let sizes = geometry(&f.function().view(operation)).map_err(|_| at_fault(operation))?;
    let most = most.unwrap_or(1).max(1);
    let along = sizes.rank() - 1 - from_end;
    let mut sum: Option<ValueId> = None;
    for begin in (0..sizes.kernel[along]).step_by(most) {
        let count = most.min(sizes.kernel[along] - begin);
        if let Some(part) = part(f, operation, &sizes, along, begin, count, sum.is_none())? {
            sum = Some(match sum {
                Some(sum) => f.add(sum, part)?,
                None => part,
            });
        }
    }
    sum.map(|sum| vec![sum]).ok_or_else(|| at_fault(operation))
}

/// The convolution with elements `begin..begin + count` of the kernel along a dimension; none when these see padding only.
fn part(
    f: &mut FunctionBuilder,
    operation: &Operation,
    sizes: &ConvGeometry,
    along: usize,
    begin: usize,
    count: usize,
    first: bool,
) -> Result<Option<ValueId>, BuildError> {
    let (x, weight) = (required(f, operation, "x")?, required(f, operation, "weight")?);
    let (input, stride, dilation) = (sizes.input[along], sizes.strides[along], sizes.dilations[along]);
    // Where the first window's first element lies in `x`, and where the last one's last element ends.
    let start = (begin * dilation) as i64 - sizes.pad_before[along] as i64;
    let end = start + ((sizes.output[along] - 1) * stride + (count - 1) * dilation + 1) as i64;
    let (low, high) = (start.max(0), end.min(input as i64));
    if low >= high {
        return Ok(None);
    }
    let (mut before, mut after) = (sizes.pad_before.to_vec(), sizes.pad_after.to_vec());
    before[along] = (low - start) as usize;
    after[along] = (end - high) as usize;
    let mut shape = f.shape(x).to_vec();
    let mut from = vec![0; shape.len()];
    (from[along + 2], shape[along + 2]) = (low as usize, (high - low) as usize);
    let seen = match shape.as_slice() == f.shape(x) {
        true => x,
        false => f.op("slice_by_size").arg("x", x).shape("begin", &from).shape("size", &shape).one()?,
    };
    let weight = f.function().constant(weight).and_then(|weight| cut(weight, along + 2, begin, count));
    let weight = f.constant(weight.ok_or_else(|| at_fault(operation))?);
    let pad = f.constant(Constant::ints(&pads(&before, &after)));
    let kind = f.constant(Constant::string("custom"));
    let bias = f.function().view(operation).value("bias").filter(|_| first);
    let x = Some(seen);
    let but =
        [("x", x), ("weight", Some(weight)), ("bias", bias), ("pad", Some(pad)), ("pad_type", Some(kind))];
    Ok(again(f, operation, &but)?.first().copied())
}

/// Elements `begin..begin + count` along an axis.
fn cut(constant: &Constant, axis: usize, begin: usize, count: usize) -> Option<Constant> {
    let shape = &constant.ty().shape;
    let size = constant.ty().dtype.size();
    let inner: usize = shape.get(axis + 1..)?.iter().product::<usize>() * size;
    let dim = *shape.get(axis)?;
    let mut bytes = Vec::new();
    for outer in constant.bytes().chunks_exact((dim * inner).max(1)) {
        bytes.extend_from_slice(outer.get(begin * inner..(begin + count) * inner)?);
    }
    let mut dims = shape.to_vec();
    dims[axis] = count;
    of_bytes(constant, dims, bytes)
}

/// Whether a pooling can be done by two: no window of the first may see padding only.
fn in_a_row(site: &Site<'_>, most: usize) -> bool {
    let (Ok(sizes), Ok(ceil)) = (pool::geometry(&site.op), site.op.bool("ceil_mode")) else { return false };
    let fits = |pad: &usize, kernel: &usize| *pad < most.min(*kernel);
    // Each round takes off most - 1, and there are not many rounds.
    let few = sizes.kernel.iter().all(|&kernel| kernel <= 8 * most);
    !ceil
        && few
        && sizes.pad_before.iter().zip(&sizes.kernel).all(|(pad, kernel)| fits(pad, kernel))
        && sizes.pad_after.iter().zip(&sizes.kernel).all(|(pad, kernel)| fits(pad, kernel))
}

fn pools(f: &mut FunctionBuilder, operation: &Operation, most: usize) -> Results {
    let x = required(f, operation, "x")?;
    let sizes = pool::geometry(&f.function().view(operation)).map_err(|_| at_fault(operation))?;
    let first: Vec<usize> = sizes.kernel.iter().map(|&kernel| kernel.min(most)).collect();
    let second: Vec<usize> =
        sizes.kernel.iter().zip(&first).map(|(&kernel, &first)| kernel - first + 1).collect();
    let once = f
        .op("max_pool")
        .arg("x", x)
        .ints("kernel_sizes", &ints(&first))
        .string("pad_type", "custom")
        .ints("pad", &pads(&sizes.pad_before, &sizes.pad_after))
        .one()?;
    let twice = f
        .op("max_pool")
        .arg("x", once)
        .ints("kernel_sizes", &ints(&second))
        .ints("strides", &ints(&sizes.strides))
        .string("pad_type", "valid")
        .one()?;
    Ok(vec![twice])
}
