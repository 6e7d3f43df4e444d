"""Pooling: average, maximum and the root of the sum of squares."""

import math

import numpy as np

from judge.draw import normal
from judge.tolerance import CHAIN, EXACT, SUM

from .spatial import pads

EVERY = "15 16 17 18 26"
FLOATS = "fp16 fp32"


def windows(x, kernel_sizes, strides, pad_type, pad, ceil_mode):
    """For each output position: its index, the input values under the window, how many of its cells are inside the
    input or its padding."""
    axes = x.ndim - 2
    strides = strides or [1] * axes
    before_after = pads(pad_type, x.shape[2:], kernel_sizes, strides, [1] * axes, pad)
    counts = []
    for size, kernel, stride, (before, after) in zip(x.shape[2:], kernel_sizes, strides, before_after):
        room = size + before + after - kernel
        count = (math.ceil(room / stride) if ceil_mode else room // stride) + 1
        # PyTorch's rule: the last window may not begin in the padding at the end.
        if ceil_mode and (count - 1) * stride >= size + before and before + after > 0:
            count -= 1
        counts.append(count)
    for position in np.ndindex(*counts):
        slices, cells = [], 1
        for p, size, kernel, stride, (before, after) in zip(position, x.shape[2:], kernel_sizes, strides, before_after):
            begin = p * stride - before
            slices.append(slice(max(0, begin), min(size, begin + kernel)))
            cells *= min(size + after, begin + kernel) - begin
        yield position, counts, x[(slice(None), slice(None), *slices)], cells


def pool(combine):
    def reference(x, kernel_sizes, strides=None, pad_type="valid", pad=None, ceil_mode=False, exclude_padding_from_average=False):
        result = None
        for position, counts, window, cells in windows(x, kernel_sizes, strides, pad_type, pad, ceil_mode):
            if result is None:
                result = np.zeros(x.shape[:2] + tuple(counts))
            inside = math.prod(window.shape[2:])
            axes = tuple(range(2, x.ndim))
            result[(slice(None), slice(None), *position)] = combine(window, axes, inside if exclude_padding_from_average else cells)
        return result

    return reference


TABLE = {
    "avg_pool": (pool(lambda w, axes, n: w.sum(axis=axes) / n), SUM),
    "max_pool": (pool(lambda w, axes, n: w.max(axis=axes)), EXACT),
    "l2_pool": (pool(lambda w, axes, n: np.sqrt((w * w).sum(axis=axes))), CHAIN),
}


def cases(f):
    x = normal(2, 3, 7, 8)
    for op, (reference, tolerance) in TABLE.items():
        f.op(op, EVERY, FLOATS, reference, tolerance, x=x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="valid")
        f.op(op, "15 18", FLOATS, reference, tolerance, "same", x=x, kernel_sizes=[3, 2], strides=[2, 3], pad_type="same")
        f.op(op, "16 18", FLOATS, reference, tolerance, "same_lower", x=x, kernel_sizes=[2, 4], strides=[1, 2],
             pad_type="same_lower")  # fmt: skip
        f.op(op, "15 17", FLOATS, reference, tolerance, "custom", x=x, kernel_sizes=[3, 3], strides=[2, 1], pad_type="custom",
             pad=[1, 0, 1, 1])  # fmt: skip
        f.op(op, "15 17", FLOATS, reference, tolerance, "unit_stride", x=x, kernel_sizes=[2, 3], pad_type="valid")
        f.op(op, "15 18", FLOATS, reference, tolerance, "1d", x=normal(2, 3, 9), kernel_sizes=[3], strides=[2], pad_type="same")
        f.op(op, "16 17", FLOATS, reference, tolerance, "global", x=normal(1, 2, 4, 5), kernel_sizes=[4, 5], pad_type="valid")
        if op != "l2_pool":
            f.op(op, "15 18", FLOATS, reference, tolerance, "3d", x=normal(1, 2, 4, 5, 6), kernel_sizes=[2, 2, 3],
                 strides=[2, 1, 2], pad_type="custom", pad=[0, 0, 1, 0, 1, 1])  # fmt: skip
            f.op(op, "15 17 18", FLOATS, reference, tolerance, "ceil", x=normal(1, 2, 6, 7), kernel_sizes=[3, 2], strides=[2, 2],
                 pad_type="custom", pad=[1, 1, 0, 0], ceil_mode=True)  # fmt: skip
            f.op(op, "15 18", FLOATS, reference, tolerance, "ceil_valid", x=normal(1, 2, 6, 8), kernel_sizes=[3, 3],
                 strides=[2, 2], pad_type="valid", ceil_mode=True)  # fmt: skip
    average = TABLE["avg_pool"][0]
    f.op("avg_pool", EVERY, FLOATS, average, SUM, "exclude", x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="same",
         exclude_padding_from_average=True)  # fmt: skip
    f.op("avg_pool", "15 18", FLOATS, average, SUM, "exclude_custom", x=x, kernel_sizes=[3, 3], strides=[2, 2],
         pad_type="custom", pad=[1, 1, 1, 1], exclude_padding_from_average=True)  # fmt: skip
    f.op("max_pool", "17", "fp32", TABLE["max_pool"][0], EXACT, "negative", x=normal(1, 1, 4, 4, mean=-9), kernel_sizes=[3, 3],
         pad_type="same")  # fmt: skip
