"""Ops that only move values: shapes, slices, transpositions, blocks of space and depth."""

import numpy as np

from judge.draw import lit, normal
from judge.tolerance import EXACT

EVERY = "15 16 17 18 26"
FLOATS = "fp16 fp32"
ALL15 = "fp16 fp32 int32 bool"
ALL17 = "fp16 fp32 int8 int16 int32 uint8 uint16 bool"


def depth_to_space(x, block_size):
    """Depth-column-row order: the block stands before the channels in the depth axis."""
    n, c, h, w = x.shape
    b = block_size
    return x.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)


def space_to_depth(x, block_size):
    n, c, h, w = x.shape
    b = block_size
    return x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4).reshape(n, c * b**2, h // b, w // b)


def space_to_batch(x, block_shape, paddings):
    x = np.pad(x, [(0, 0), (0, 0), *[tuple(p) for p in paddings]])
    n, c, h, w = x.shape
    p, q = block_shape
    return x.reshape(n, c, h // p, p, w // q, q).transpose(3, 5, 0, 1, 2, 4).reshape(n * p * q, c, h // p, w // q)


def batch_to_space(x, block_shape, crops):
    n, c, h, w = x.shape
    p, q = block_shape
    x = x.reshape(p, q, n // (p * q), c, h, w).transpose(2, 3, 4, 0, 5, 1).reshape(n // (p * q), c, h * p, w * q)
    (top, bottom), (left, right) = crops
    return x[:, :, top : h * p - bottom, left : w * q - right]


def reshape(x, shape, right_aligned=False):
    shape = [int(n) for n in shape]
    offset = x.ndim - len(shape) if right_aligned else 0
    return x.reshape([x.shape[i + offset] if n == 0 else n for i, n in enumerate(shape)])


def reverse_sequence(x, lengths, seq_axis=0, batch_axis=0):
    result = x.copy()
    for i, length in enumerate(lengths):
        part = [slice(None)] * x.ndim
        part[batch_axis] = slice(i, i + 1)
        part[seq_axis] = slice(0, int(length))
        result[tuple(part)] = np.flip(result[tuple(part)], seq_axis)
    return result


def slices(shape, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    result = []
    for i in range(len(shape)):
        step = 1 if stride is None else int(stride[i])
        first, last = int(begin[i]), int(end[i])
        if squeeze_mask is not None and squeeze_mask[i]:
            result.append(first)
            continue
        result.append(slice(None if begin_mask is not None and begin_mask[i] else first,
                            None if end_mask is not None and end_mask[i] else last, step))  # fmt: skip
    return tuple(result)


def slice_by_index(x, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    return x[slices(x.shape, begin, end, stride, begin_mask, end_mask, squeeze_mask)]


def slice_update(x, update, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    result = x.copy()
    result[slices(x.shape, begin, end, stride, begin_mask, end_mask, squeeze_mask)] = update
    return result


def slice_by_size(x, begin, size):
    parts = []
    for n, first, length in zip(x.shape, begin, size):
        first = int(first) % n if first < 0 else int(first)
        parts.append(slice(first, n if length == -1 else first + int(length)))
    return x[tuple(parts)]


def sliding_windows(x, axis, size, stride=1):
    axis %= x.ndim
    view = np.lib.stride_tricks.sliding_window_view(x, size, axis=axis)
    return np.moveaxis(np.take(view, range(0, view.shape[axis], stride), axis=axis), -1, axis + 1)


def pixel_shuffle(x, upscale_factor):
    """Column-row-depth order: the channels stand before the block in the depth axis."""
    n, c, h, w = x.shape
    r = upscale_factor
    return x.reshape(n, c // r**2, r, r, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // r**2, h * r, w * r)


def pixel_unshuffle(x, downscale_factor):
    n, c, h, w = x.shape
    r = int(downscale_factor)
    return x.reshape(n, c, h // r, r, w // r, r).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * r**2, h // r, w // r)


def cases(f):
    both = (("15 16", ALL15), ("17 18", ALL17))
    for opsets, dtypes in both:
        f.op("expand_dims", opsets, dtypes, lambda x, axes: np.expand_dims(x, axes), EXACT, x=normal(2, 3), axes=[0, -1])
        f.op("squeeze", opsets, dtypes, lambda x, axes: np.squeeze(x, tuple(axes)), EXACT, x=normal(1, 2, 1, 3), axes=[0, -2])
        f.op("transpose", opsets, dtypes, lambda x, perm: np.transpose(x, perm), EXACT, x=normal(2, 3, 4), perm=[2, 0, 1])
        f.op("reverse", opsets, dtypes, lambda x, axes: np.flip(x, axes), EXACT, x=normal(2, 3, 4), axes=[0, -1])
        f.op("reverse_sequence", opsets, dtypes, reverse_sequence, EXACT, x=normal(3, 5, 2), lengths=lit([5, 0, 3], "int32"),
             seq_axis=1, batch_axis=0)  # fmt: skip
        f.op("reshape", opsets, dtypes, reshape, EXACT, x=normal(2, 3, 4), shape=[4, 6])
        f.op("slice_by_index", opsets, dtypes, slice_by_index, EXACT, x=normal(4, 5, 6), begin=[1, 0, 2], end=[3, 5, 6])
        f.op("slice_by_size", opsets, dtypes, slice_by_size, EXACT, x=normal(4, 5), begin=[1, 2], size=[2, -1])
    f.op("sliding_windows", "15 16", "fp16 fp32 int32", sliding_windows, EXACT, x=normal(2, 7, 3), axis=1, size=3)
    f.op("sliding_windows", "17 18", ALL17, sliding_windows, EXACT, x=normal(2, 7, 3), axis=1, size=3, stride=2)
    f.op("sliding_windows", "15 18", "fp32", sliding_windows, EXACT, "last", x=normal(2, 9), axis=-1, size=4, stride=3)

    for axes in ([0], [1], [2], [-1], [1, 3], [0, 1, 4]):
        f.op("expand_dims", "15 17", FLOATS, lambda x, axes: np.expand_dims(x, axes), EXACT, "axes" + "_".join(map(str, axes)),
             x=normal(2, 3), axes=axes)  # fmt: skip
    f.op("squeeze", "15 17", FLOATS, lambda x: np.squeeze(x), EXACT, "all", x=normal(1, 3, 1))
    f.op("squeeze", "15 17", FLOATS, lambda x: np.squeeze(x), EXACT, "to_scalar", x=normal(1, 1), foldable=False)
    f.op("squeeze", "16 18", FLOATS, lambda x, axes: np.squeeze(x, tuple(axes)), EXACT, "one", x=normal(2, 1, 1, 3), axes=[-2])
    for perm in ([1, 0], [-1, 0, 1], [0, 2, 3, 1], [0, 3, 1, 2], [4, 3, 2, 1, 0], [0, 1, 2]):
        f.op("transpose", "15 17", FLOATS, lambda x, perm: np.transpose(x, perm), EXACT, "perm" + "_".join(map(str, perm)),
             x=normal(*[2, 3, 4, 2, 3][: len(perm)]), perm=perm)  # fmt: skip
    f.op("transpose", "26", "int8", lambda x, perm: np.transpose(x, perm), EXACT, "int8_features", x=normal(2, 3), perm=[1, 0])
    f.op("reverse", "15 17", FLOATS, lambda x: np.flip(x), EXACT, "all", x=normal(2, 3))
    f.op("reverse", "16 18", FLOATS, lambda x, axes: np.flip(x, axes), EXACT, "middle", x=normal(2, 3, 2), axes=[1])
    f.op("reverse_sequence", "15 18", FLOATS, reverse_sequence, EXACT, "axes", x=normal(4, 2, 3), lengths=lit([1, 4, 2], "int32"),
         seq_axis=0, batch_axis=2)  # fmt: skip
    f.op("reverse_sequence", "17", "fp32/int8 fp32/int16", reverse_sequence, EXACT, "lengths", x=normal(2, 4),
         lengths=lit([3, 2], "U"), seq_axis=1)  # fmt: skip

    for label, shape, from_shape in (
        ("minus_one", [2, -1], (2, 3, 4)), ("copy", [0, -1, 2], (2, 3, 4)), ("ones", [1, 24, 1], (2, 3, 4)), ("flat", [-1], (2, 3)),
    ):  # fmt: skip
        f.op("reshape", "15 17", FLOATS, reshape, EXACT, label, x=normal(*from_shape), shape=shape)
    # Two meanings of 0 where the ranks differ: position from the left before iOS 17 (and refused by coremltools), from the
    # right since.
    f.op("reshape", "17 18", FLOATS, lambda x, shape: reshape(x, shape, True), EXACT, "copy_right", x=normal(2, 3, 4),
         shape=[-1, 0])  # fmt: skip
    f.op("reshape", "17 18", FLOATS, lambda x, shape: reshape(x, shape, True), EXACT, "copy_longer", x=normal(6, 4),
         shape=[2, 3, 0])  # fmt: skip
    f.op("reshape", "15 18", "fp32", reshape, EXACT, "runtime", x=normal(2, 6), shape=lit([3, 4], "int32"))
    f.op("reshape", "17", "fp32/int8 fp32/int16 fp32/int32", reshape, EXACT, "shape_type", x=normal(2, 6), shape=lit([3, 4], "U").const)
    like = lambda x: x.reshape(2, 3, 5, 6)  # noqa: E731
    for opsets, dtypes in (("16", ALL15), ("17 18", ALL17)):
        f.op("reshape_like", opsets, dtypes, like, EXACT, x=normal(6, 30), ref_tensors=(normal(2, 3, 4), normal(1, 5, 6)),
             begins=(0, 1), ends=(2, 0), end_masks=(False, True))  # fmt: skip

    for label, rest in {
        "stride": dict(begin=[0, 4, 0], end=[4, 0, 6], stride=[2, -1, 3]),
        "masks": dict(begin=[1, 1, 1], end=[2, 2, 2], begin_mask=[True, False, False], end_mask=[False, True, True]),
        "negative": dict(begin=[-3, -5, -2], end=[-1, -2, 6]),
        "squeeze": dict(begin=[1, 0, -1], end=[2, 5, 0], squeeze_mask=[True, False, True], end_mask=[False, True, False]),
        "reverse": dict(begin=[0, 0, 0], end=[4, 5, 0], stride=[1, 1, -1], begin_mask=[True, True, True], end_mask=[True] * 3),
        "beyond": dict(begin=[0, 2, 0], end=[9, 99, 6]),
        "empty": dict(begin=[0, 2, 0], end=[4, 2, 6]),
    }.items():
        f.op("slice_by_index", "15 17", FLOATS, slice_by_index, EXACT, label, x=normal(4, 5, 6), **rest)
    f.op("slice_by_index", "15 18", "fp32", slice_by_index, EXACT, "to_scalar", x=normal(4), begin=[2], end=[3], squeeze_mask=[True])
    f.op("slice_by_index", "15 18", "fp32", slice_by_index, EXACT, "runtime", x=normal(4, 5), begin=lit([1, 0], "int32"),
         end=lit([3, 4], "int32"))  # fmt: skip
    f.op("slice_by_index", "17", "fp32/int8 fp32/int16", slice_by_index, EXACT, "index_type", x=normal(4, 5),
         begin=lit([1, 0], "U").const, end=lit([3, 4], "U").const, stride=lit([1, 2], "U").const)  # fmt: skip
    f.op("slice_by_size", "15 18", "fp32", slice_by_size, EXACT, "runtime", x=normal(4, 5), begin=lit([1, 2], "int32"), size=[2, 3])
    f.op("slice_by_size", "15 17 18", "fp32", slice_by_size, EXACT, "rest", x=normal(4, 5), begin=lit([1, 2], "int32"), size=[-1, 2])
    f.op("slice_by_size", "15 18", "fp32", slice_by_size, EXACT, "negative", x=normal(4, 5), begin=[-2, 0], size=[1, -1])
    f.op("slice_by_size", "17", "fp32/int8 fp32/int16", slice_by_size, EXACT, "index_type", x=normal(4, 5),
         begin=lit([1, 0], "U").const, size=lit([3, 4], "U").const)  # fmt: skip

    f.op("slice_update", "18 26", ALL17, slice_update, EXACT, x=normal(4, 5), update=normal(2, 3), begin=[1, 2], end=[3, 5])
    for label, shape, rest in (
        ("stride", (2, 5), dict(begin=[0, 4], end=[4, 0], stride=[2, -1], end_mask=[False, True])),
        ("masks", (2, 4), dict(begin=[1, 1], end=[2, 2], begin_mask=[True, False], end_mask=[False, True])),
        ("squeeze", (5,), dict(begin=[1, 0], end=[2, 5], squeeze_mask=[True, False])),
        ("negative", (2, 2), dict(begin=[-3, -2], end=[-1, 5])),
        ("runtime", (2, 3), dict(begin=lit([1, 2], "int32"), end=lit([3, 5], "int32"))),
    ):
        f.op("slice_update", "18", FLOATS, slice_update, EXACT, label, x=normal(4, 5), update=normal(*shape), **rest)
    f.op("slice_update", "18", "fp32/int8 fp32/int16", slice_update, EXACT, "index_type", x=normal(4, 5), update=normal(2, 2),
         begin=lit([1, 0], "U").const, end=lit([3, 4], "U").const, stride=lit([1, 2], "U").const)  # fmt: skip

    f.op("depth_to_space", EVERY, FLOATS, depth_to_space, EXACT, x=normal(2, 8, 2, 3), block_size=2)
    f.op("depth_to_space", "15 18", FLOATS, depth_to_space, EXACT, "three", x=normal(1, 18, 2, 1), block_size=3)
    f.op("space_to_depth", EVERY, FLOATS, space_to_depth, EXACT, x=normal(2, 3, 4, 6), block_size=2)
    f.op("space_to_depth", "15 18", FLOATS, space_to_depth, EXACT, "three", x=normal(1, 2, 6, 3), block_size=3)
    f.op("pixel_shuffle", EVERY, FLOATS, pixel_shuffle, EXACT, x=normal(2, 8, 2, 3), upscale_factor=2)
    f.op("pixel_shuffle", "15 18", FLOATS, pixel_shuffle, EXACT, "three", x=normal(1, 9, 2, 3), upscale_factor=3)
    f.op("pixel_unshuffle", "16 17 18 26", FLOATS, pixel_unshuffle, EXACT, x=normal(2, 3, 4, 6), downscale_factor=np.uint32(2))
    none, some = [[0, 0], [0, 0]], [[1, 0], [0, 2]]
    f.op("space_to_batch", EVERY, FLOATS, space_to_batch, EXACT, x=normal(2, 3, 4, 6), block_shape=[2, 3], paddings=none)
    f.op("space_to_batch", "15 18", FLOATS, space_to_batch, EXACT, "padded", x=normal(1, 2, 3, 4), block_shape=[2, 2], paddings=some)
    f.op("batch_to_space", EVERY, FLOATS, batch_to_space, EXACT, x=normal(12, 3, 2, 2), block_shape=[2, 3], crops=none)
    f.op("batch_to_space", "15 18", FLOATS, batch_to_space, EXACT, "cropped", x=normal(4, 2, 3, 4), block_shape=[2, 2], crops=some)
