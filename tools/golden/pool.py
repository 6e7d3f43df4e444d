"""Pooling. Windows may overhang the padded input only where ceil_mode says so."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from case import Family
from windows import paddings, size


def geometry(sizes, kernel, strides, pads, ceil_mode):
    """Per axis: first and last element (exclusive) of every window, in coordinates of the unpadded input."""
    result = []
    for n, k, s, (low, high) in zip(sizes, kernel, strides, pads):
        span = n + low + high - k
        count = (math.ceil(span / s) if ceil_mode else span // s) + 1
        # PyTorch: the last window must begin inside the input or its leading padding.
        if ceil_mode and (count - 1) * s >= n + low:
            count -= 1
        result.append([(i * s - low, min(i * s - low + k, n + high)) for i in range(count)])
    return result


def windows(x, spans):
    """Every window's elements inside the input, and the window's volume with padding."""
    spatial = len(spans)
    grid = np.ndindex(*[len(axis) for axis in spans])
    for index in grid:
        chosen = [spans[a][index[a]] for a in range(spatial)]
        inside = tuple(slice(max(lo, 0), min(hi, n)) for (lo, hi), n in zip(chosen, x.shape[2:]))
        yield x[(slice(None), slice(None)) + inside].flatten(2), math.prod(hi - lo for lo, hi in chosen)


def pooled(x, spans, reduce):
    values = torch.stack([reduce(w, volume) for w, volume in windows(x, spans)], dim=-1)
    return values.reshape(*x.shape[:2], *[len(axis) for axis in spans])


def first_max(w, _):
    # argmax takes the first of equal values, so the gradient goes to that one.
    return w.gather(2, w.argmax(2, keepdim=True)).squeeze(2)


REDUCE = {
    "max_pool": first_max,
    "avg_pool": lambda w, volume: w.sum(2) / volume,
    "avg_pool_exclude": lambda w, _: w.mean(2),
    "l2_pool": lambda w, _: w.square().sum(2).sqrt(),
}

# (tag, x, kernel_sizes, options)
TABLE = [
    ("apart", (1, 2, 4, 4), [2, 2], {"strides": [2, 2]}),
    ("overlap", (1, 2, 4, 5), [3, 3], {"strides": [1, 1]}),
    ("default_stride", (1, 1, 3, 4), [2, 2], {}),
    ("overlap_stride", (2, 1, 5, 5), [3, 3], {"strides": [2, 2]}),
    ("gaps", (1, 1, 7, 7), [2, 2], {"strides": [3, 3]}),
    ("rest_unused", (1, 1, 5, 5), [2, 2], {"strides": [2, 2]}),
    ("global", (2, 3, 3, 4), [3, 4], {}),
    ("narrow", (1, 1, 4, 6), [1, 3], {"strides": [2, 1]}),
    ("custom", (1, 1, 4, 4), [3, 3], {"strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 1, 1]}),
    ("custom_uneven", (1, 1, 4, 5), [3, 2], {"strides": [2, 2], "pad_type": "custom", "pad": [1, 0, 0, 1]}),
    ("same", (1, 1, 5, 4), [3, 3], {"strides": [2, 2], "pad_type": "same"}),
    ("same_even", (1, 1, 4, 5), [2, 2], {"strides": [1, 1], "pad_type": "same"}),
    ("same_lower", (1, 1, 4, 5), [2, 2], {"strides": [1, 1], "pad_type": "same_lower"}),
    ("ceil", (1, 1, 5, 6), [2, 3], {"strides": [2, 2], "ceil_mode": True}),
    (
        "ceil_custom",
        (1, 1, 5, 6),
        [3, 3],
        {"strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 1, 1], "ceil_mode": True},
    ),
    (
        "ceil_dropped",
        (1, 1, 5, 5),
        [2, 2],
        {"strides": [3, 3], "pad_type": "custom", "pad": [1, 1, 1, 1], "ceil_mode": True},
    ),
    ("line", (2, 2, 8), [2], {"strides": [2]}),
    ("line_overlap", (1, 2, 7), [3], {"strides": [1]}),
    ("line_custom", (1, 1, 7), [3], {"strides": [2], "pad_type": "custom", "pad": [1, 0]}),
    ("line_same", (1, 1, 7), [4], {"strides": [3], "pad_type": "same"}),
    ("volume", (1, 1, 3, 4, 3), [2, 2, 2], {"strides": [1, 2, 1]}),
]


def check_against_torch(op, x, kernel, strides, pads, ceil_mode, y):
    """PyTorch's own pooling covers symmetric padding; the window walk above must agree with it."""
    if any(low != high for low, high in pads):
        return
    padding = [low for low, _ in pads]
    spatial = len(kernel)
    if op == "max_pool":
        own = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[spatial]
        want = own(x, kernel, strides, padding, ceil_mode=ceil_mode)
    elif op.startswith("avg_pool"):
        own = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[spatial]
        want = own(x, kernel, strides, padding, ceil_mode=ceil_mode, count_include_pad=op == "avg_pool")
    else:
        return
    assert torch.allclose(want, y, rtol=1e-12 if x.dtype == torch.float64 else 1e-4), (op, kernel, strides, pads)


def pool_case(fam, op, tag, x_data, kernel, options, convention=None):
    pad_type = options.get("pad_type", "valid")
    strides = options.get("strides", [1] * len(kernel))
    exclude = options.get("exclude_padding_from_average", False)
    ceil_mode = options.get("ceil_mode", False)
    pads = paddings(pad_type, options.get("pad"), x_data.shape[2:], kernel, strides)
    key = "avg_pool_exclude" if exclude else op

    def fn(x):
        y = pooled(x, geometry(x.shape[2:], kernel, strides, pads, ceil_mode), REDUCE[key])
        check_against_torch(key, x.detach(), kernel, strides, pads, ceil_mode, y.detach())
        return y

    consts = {"kernel_sizes": kernel, "pad_type": pad_type} | options
    fam.add(op, tag, [("x", x_data)], fn, consts, convention=convention)


def family():
    fam = Family("pool", 108)
    for tag, x, kernel, options in TABLE:
        name = f"{tag}_{size(x)}"
        pool_case(fam, "max_pool", name, fam.distinct(*x), kernel, options)
        pool_case(fam, "avg_pool", name, fam.normal(*x), kernel, options)
        if options.get("pad_type", "valid") != "valid" or options.get("ceil_mode"):
            pool_case(
                fam,
                "avg_pool",
                f"{name}_exclude",
                fam.normal(*x),
                kernel,
                options | {"exclude_padding_from_average": True},
            )
        if len(x) < 5:
            pool_case(fam, "l2_pool", name, fam.away_from_zero(*x), kernel, options)
    first = "the first of equal maxima in row-major order takes the gradient"
    tied = np.array([[[[1.0, 1.0, 0.0, 2.0], [1.0, 1.0, 2.0, 2.0], [0.0, 0.0, 3.0, 3.0], [0.0, 0.0, 3.0, 3.0]]]])
    pool_case(fam, "max_pool", "apart_tie", tied, [2, 2], {"strides": [2, 2]}, convention=first)
    pool_case(fam, "max_pool", "overlap_tie", tied, [3, 3], {"strides": [1, 1]}, convention=first)
    pool_case(
        fam,
        "max_pool",
        "padded_negative",
        -np.abs(fam.distinct(1, 1, 3, 3)) - 1,
        [3, 3],
        {"strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 1, 1]},
    )
    return fam
