"""Reductions: over one axis, several, all; kept or dropped; and the positions of extremes."""

import numpy as np

from judge.draw import distinct, lit, normal, uniform
from judge.tolerance import CHAIN, EXACT, FUNCTION, SUM

EVERY = "15 16 17 18 26"
NUMBERS = "fp16 fp32 int32"


def over(function):
    """`function(x, axis, keepdims)` under MIL's parameter names."""

    def reference(x, axes=None, keep_dims=False):
        axis = None if axes is None else tuple(axes)
        return function(x, axis, keep_dims)

    return reference


def log_sum_exp(x, axis, keep):
    top = np.max(x, axis=axis, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=axis, keepdims=keep)) + (top if keep else np.squeeze(top, axis=axis))


anything = normal(2, 3, 4)
positive = uniform(0.2, 3, 2, 3, 4)

# op: (reference, operand, tolerance)
TABLE = {
    "reduce_l1_norm": (over(lambda x, a, k: np.sum(np.abs(x), axis=a, keepdims=k)), anything, SUM),
    "reduce_l2_norm": (over(lambda x, a, k: np.sqrt(np.sum(x * x, axis=a, keepdims=k))), anything, SUM),
    "reduce_log_sum": (over(lambda x, a, k: np.log(np.sum(x, axis=a, keepdims=k))), positive, SUM),
    "reduce_log_sum_exp": (over(log_sum_exp), normal(2, 3, 4, scale=3), SUM),
    "reduce_max": (over(lambda x, a, k: np.max(x, axis=a, keepdims=k)), anything, EXACT),
    "reduce_mean": (over(lambda x, a, k: np.mean(x, axis=a, keepdims=k)), anything, SUM),
    "reduce_min": (over(lambda x, a, k: np.min(x, axis=a, keepdims=k)), anything, EXACT),
    "reduce_prod": (over(lambda x, a, k: np.prod(x, axis=a, keepdims=k)), uniform(0.5, 1.5, 2, 3, 4), CHAIN),
    "reduce_sum": (over(lambda x, a, k: np.sum(x, axis=a, keepdims=k)), anything, SUM),
    "reduce_sum_square": (over(lambda x, a, k: np.sum(x * x, axis=a, keepdims=k)), anything, CHAIN),
}

# Integers for which the result is a whole number, so that no rounding rule is tested by accident.
WHOLE = {
    "reduce_l1_norm": [[1, -2, 3], [-4, 5, -6]],
    "reduce_l2_norm": [[3, 4, 0], [6, 8, 0]],
    "reduce_log_sum": [[1, 0, 0], [0, 3, -2]],
    "reduce_log_sum_exp": [[5, -90, -80], [7, -100, -70]],
    "reduce_max": [[1, -2, 3], [-4, 5, -6]],
    "reduce_mean": [[1, 2, 3], [-4, 8, -7]],
    "reduce_min": [[1, -2, 3], [-4, 5, -6]],
    "reduce_prod": [[1, -2, 3], [-4, 5, -6]],
    "reduce_sum": [[1, -2, 3], [-4, 5, -6]],
    "reduce_sum_square": [[1, -2, 3], [-4, 5, -6]],
}


def cases(f):
    for op, (reference, x, tolerance) in TABLE.items():
        f.op(op, EVERY, "fp16 fp32", reference, tolerance, x=x, axes=[-1], keep_dims=True)
        f.op(op, "15 18", "fp32 fp16", reference, tolerance, "dropped", x=x, axes=[1], keep_dims=False)
        f.op(op, "15 17", "fp16 fp32", reference, tolerance, "two", x=x, axes=[0, -1], keep_dims=False)
        f.op(op, "16 18", "fp32 fp16", reference, tolerance, "all", x=x)
        f.op(op, "17", "fp32", reference, tolerance, "all_kept", x=x, keep_dims=True)
        f.op(op, "17", "fp16", reference, tolerance, "single", x=uniform(0.5, 2, 3, 1), axes=[1], keep_dims=False)
        f.op(op, "15 18", "int32", reference, EXACT, "int", x=lit(WHOLE[op]), axes=[1], keep_dims=False)
    f.op("reduce_sum", "18", "fp32", TABLE["reduce_sum"][0], CHAIN, "long", x=uniform(0, 1, 2, 4096), axes=[1])
    f.op("reduce_mean", "18", "fp16", TABLE["reduce_mean"][0], SUM, "long", x=uniform(0, 1, 2, 4096), axes=[1])
    # A sum beyond fp16's range whose mean is within: the accumulator has to be wider than the result.
    f.op("reduce_mean", "16", "fp16", TABLE["reduce_mean"][0], FUNCTION, "wide", x=uniform(800, 1000, 1, 512), axes=[1])
    f.op("reduce_log_sum_exp", "18", "fp32", TABLE["reduce_log_sum_exp"][0], SUM, "large", x=uniform(500, 1000, 2, 9), axes=[1])

    for op, function in (("reduce_argmax", np.argmax), ("reduce_argmin", np.argmin)):
        reference = lambda x, axis=-1, keep_dims=False, fn=function: fn(x, axis=axis, keepdims=keep_dims)  # noqa: E731
        x = distinct(3, 4, 5)
        f.op(op, EVERY, NUMBERS, reference, EXACT, x=x)
        f.op(op, "15 17", "fp32 fp16", reference, EXACT, "axis0", x=x, axis=0, keep_dims=True)
        f.op(op, "15 18", "int32", reference, EXACT, "int", x=x, axis=1)
        f.op(op, "16 18", "fp32 int32", reference, EXACT, "axis-2", x=x, axis=-2)
        f.op(op, "17 18", "fp32 fp16", reference, EXACT, "int32", x=x, axis=1, output_dtype="int32")
        f.op(op, "17 18", "fp32 int32", reference, EXACT, "uint16", x=x, axis=1, output_dtype="uint16")
