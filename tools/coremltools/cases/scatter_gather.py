"""Scatter and gather, in every mode.

Before iOS 17 a negative index counts from the end; from then on it is out of range, so the later rows have none. Where two
updates meet in one place their order is not specified, so only modes that do not depend on it see such indices.
"""

import numpy as np

from judge.draw import Draw, away, ints, lit, normal
from judge.tolerance import EXACT, ROUNDED, SUM

NUMBERS = "fp16 fp32 int32"
MODES = ("update", "add", "sub", "mul", "div", "max", "min")


def gather(x, indices, axis=0, batch_dims=0):
    axis %= x.ndim
    if batch_dims == 0:
        return np.take(x, np.where(indices < 0, indices + x.shape[axis], indices), axis=axis)
    return np.stack([gather(a, i, axis - 1, batch_dims - 1) for a, i in zip(x, indices)])


def gather_along_axis(x, indices, axis=0):
    return np.take_along_axis(x, np.where(indices < 0, indices + x.shape[axis], indices), axis=axis)


def gather_nd(x, indices, batch_dims=0):
    if batch_dims > 0:
        return np.stack([gather_nd(a, i, batch_dims - 1) for a, i in zip(x, indices)])
    sizes = np.array(x.shape[: indices.shape[-1]])
    return x[tuple(np.moveaxis(np.where(indices < 0, indices + sizes, indices), -1, 0))]


def combine(old, new, mode):
    if mode == "div":  # integers divide towards zero
        return old / new if old.dtype == np.float64 else np.trunc(old / new).astype(np.int64)
    return {"update": lambda: new, "add": lambda: old + new, "sub": lambda: old - new, "mul": lambda: old * new,
            "max": lambda: np.maximum(old, new), "min": lambda: np.minimum(old, new)}[mode]()  # fmt: skip


def scatter(data, indices, updates, axis=0, mode="add"):
    result = np.moveaxis(data.copy(), axis, 0)
    for index, update in zip(indices, np.moveaxis(updates, axis, 0)):
        result[index] = combine(result[index], update, mode)
    return np.moveaxis(result, 0, axis)


def scatter_along_axis(data, indices, updates, axis=0, mode="add"):
    result = data.copy()
    for place in np.ndindex(*indices.shape):
        target = list(place)
        target[axis] = indices[place]
        result[tuple(target)] = combine(result[tuple(target)], updates[place], mode)
    return result


def scatter_nd(data, indices, updates, mode="add"):
    result = data.copy()
    for place in np.ndindex(*indices.shape[:-1]):
        target = tuple(indices[place])
        result[target] = combine(result[target], updates[place], mode)
    return result


def unique(high, count, signed=False):
    """`count` different indices below `high`, some counted from the end."""

    def recipe(rng, shape, dtype):
        value = rng.permutation(high)[:count]
        return np.where(rng.integers(0, 2, count) == 1, value - high, value) if signed else value

    return Draw((count,), recipe, "int32")


def along(high, rows, count, signed=False):
    """Different indices in each of `rows` rows."""

    def recipe(rng, shape, dtype):
        value = np.stack([rng.permutation(high)[:count] for _ in range(rows)])
        return value - high if signed else value

    return Draw((rows, count), recipe, "int32")


def cases(f):
    gathers(f)
    for mode in MODES:
        tolerance = EXACT if mode in ("update", "max", "min") else ROUNDED
        for signed, opsets in ((True, "15 16"), (False, "17 18")):
            wide = NUMBERS if mode in ("update", "add", "div") else "fp32 int32"
            f.op("scatter", opsets, wide, scatter, tolerance, mode, data=normal(5, 3), indices=unique(5, 3, signed),
                 updates=away(3, 3), axis=0, mode=mode)  # fmt: skip
            f.op("scatter_along_axis", opsets, wide, scatter_along_axis, tolerance, mode, data=normal(3, 6),
                 indices=along(6, 3, 4, signed), updates=away(3, 4), axis=1, mode=mode, foldable=mode == "update")  # fmt: skip
            f.op("scatter_nd", opsets, wide, scatter_nd, tolerance, mode, data=normal(4, 3, 2),
                 indices=lit([[0, 1], [3, 2], [-2, 0] if signed else [2, 0]], "int32"), updates=away(3, 2), mode=mode)  # fmt: skip
    for opsets in ("15 16", "17 18"):
        twice = lit([1, 3, 1, 1], "int32")
        f.op("scatter", opsets, NUMBERS, scatter, SUM, "repeated", data=normal(4, 2), indices=twice, updates=normal(4, 2))
        f.op("scatter", opsets, NUMBERS, scatter, EXACT, "repeated_max", data=normal(4, 2), indices=twice, updates=normal(4, 2),
             mode="max")  # fmt: skip
        f.op("scatter", opsets, NUMBERS, scatter, EXACT, "axis", data=normal(2, 5, 2), indices=unique(5, 2), updates=normal(2, 2, 2),
             axis=-2, mode="update")  # fmt: skip
        f.op("scatter_along_axis", opsets, NUMBERS, scatter_along_axis, SUM, "repeated", data=normal(3, 4),
             indices=lit([[1, 1, 0], [2, 2, 2], [3, 0, 3]], "int32"), updates=normal(3, 3), axis=-1, foldable=False)  # fmt: skip
        f.op("scatter_along_axis", opsets, "fp32", scatter_along_axis, EXACT, "axis0", data=normal(4, 3),
             indices=lit([[0, 1, 2], [3, 0, 1]], "int32"), updates=normal(2, 3), mode="update")  # fmt: skip
        f.op("scatter_nd", opsets, NUMBERS, scatter_nd, SUM, "repeated", data=normal(4, 2), indices=lit([[1], [1], [3]], "int32"),
             updates=normal(3, 2))  # fmt: skip
        f.op("scatter_nd", opsets, "fp32", scatter_nd, EXACT, "elements", data=normal(3, 3),
             indices=lit([[0, 0], [1, 2], [2, 1]], "int32"), updates=normal(3), mode="update")  # fmt: skip
        f.op("scatter_nd", opsets, "fp32", scatter_nd, EXACT, "rank3", data=normal(4, 3),
             indices=lit([[[0], [1]], [[3], [2]]], "int32"), updates=normal(2, 2, 3), mode="update")  # fmt: skip
    for op, reference, params in (
        ("scatter", scatter, dict(data=normal(4, 3), indices=unique(4, 2), updates=normal(2, 3))),
        ("scatter_along_axis", scatter_along_axis, dict(data=normal(3, 4), indices=along(4, 3, 2), updates=normal(3, 2), axis=1)),
        ("scatter_nd", scatter_nd, dict(data=normal(4, 3), indices=lit([[2], [0]], "int32"), updates=normal(2, 3))),
    ):
        f.op(op, "17 26", "fp32", reference, ROUNDED, "validated", validate_indices=True, foldable=False, **params)


def gathers(f):
    narrow_index = "fp32/int32 fp16/uint16 int32/int16"
    any_index = "fp32/int32 fp16/int16 int32/uint16 int8/int8 uint8/uint8 int16/int32 uint16/int32"
    f.op("gather", "15", NUMBERS, gather, EXACT, x=normal(5, 3), indices=ints(-5, 5, 4))
    f.op("gather", "16", narrow_index, gather, EXACT, x=normal(5, 3), indices=ints(0, 5, 4).of("U"))
    f.op("gather", "17 18 26", any_index, gather, EXACT, x=normal(5, 3), indices=ints(0, 5, 4).of("U"))
    f.op("gather", "15 16", NUMBERS, gather, EXACT, "negative", x=normal(2, 5, 3), indices=ints(-5, 0, 2, 2), axis=1)
    for axis in (0, 1, -1):
        f.op("gather", "15 18", "fp32 int32", gather, EXACT, f"axis{axis}", x=normal(3, 3, 3), indices=ints(0, 3, 2, 2), axis=axis)
        f.op("gather", "15 18", "fp32", gather, EXACT, f"scalar{axis}", x=normal(3, 4, 5), indices=lit(2, "int32"), axis=axis)
    f.op("gather", "16 17", "fp32 fp16", gather, EXACT, "batch", x=normal(2, 5, 3), indices=ints(0, 5, 2, 4), axis=1, batch_dims=1)
    f.op("gather", "16 18", "fp32 int32", gather, EXACT, "batch_axis2", x=normal(2, 3, 4), indices=ints(0, 4, 2, 5), axis=2,
         batch_dims=1)  # fmt: skip
    f.op("gather", "17 18", "fp32", gather, EXACT, "validated", x=normal(5, 3), indices=lit([4, 0], "int32"), validate_indices=True)
    f.op("gather", "15 18", "fp32", gather, EXACT, "embedding", x=normal(50, 8).const, indices=ints(0, 50, 2, 7))
    f.op("gather", "15", "fp32", gather, EXACT, "vector_scalar", x=normal(5), indices=lit(3, "int32"))

    f.op("gather_along_axis", "15", NUMBERS, gather_along_axis, EXACT, x=normal(3, 5), indices=ints(-5, 5, 3, 4), axis=1)
    f.op("gather_along_axis", "16", narrow_index, gather_along_axis, EXACT, x=normal(3, 5), indices=ints(0, 5, 3, 4).of("U"), axis=1)
    f.op("gather_along_axis", "17 18 26", any_index, gather_along_axis, EXACT, x=normal(3, 5), indices=ints(0, 5, 3, 4).of("U"),
         axis=-1)  # fmt: skip
    f.op("gather_along_axis", "15 18", "fp32", gather_along_axis, EXACT, "axis0", x=normal(4, 3, 2), indices=ints(0, 4, 5, 3, 2))
    f.op("gather_along_axis", "17", "fp32", gather_along_axis, EXACT, "validated", x=normal(4, 3), indices=ints(0, 4, 2, 3),
         validate_indices=True)  # fmt: skip

    f.op("gather_nd", "15", NUMBERS, gather_nd, EXACT, x=normal(4, 3, 2), indices=lit([[0, 1], [3, -1], [-2, 0]], "int32"))
    f.op("gather_nd", "16", narrow_index, gather_nd, EXACT, x=normal(4, 3, 2), indices=lit([[0, 1], [3, 2]], "U"))
    f.op("gather_nd", "17 18 26", any_index, gather_nd, EXACT, x=normal(4, 3, 2), indices=lit([[0, 1], [3, 2]], "U"))
    f.op("gather_nd", "15 18", "fp32 int32", gather_nd, EXACT, "rows", x=normal(4, 3), indices=lit([[[1], [0]], [[3], [2]]], "int32"))
    f.op("gather_nd", "15 18", "fp32 int32", gather_nd, EXACT, "elements", x=normal(2, 2), indices=lit([[0, 1], [1, 0]], "int32"))
    f.op("gather_nd", "16 17", "fp32 fp16", gather_nd, EXACT, "batch", x=normal(2, 4, 3), indices=ints(0, 3, 2, 5, 1), batch_dims=1)
    f.op("gather_nd", "16 18", "fp32 int32", gather_nd, EXACT, "batch_two", x=normal(2, 3, 4, 2), indices=ints(0, 3, 2, 5, 2),
         batch_dims=1)  # fmt: skip
    f.op("gather_nd", "17", "fp32", gather_nd, EXACT, "validated", x=normal(4, 3), indices=lit([[1], [2]], "int32"),
         validate_indices=True)  # fmt: skip
