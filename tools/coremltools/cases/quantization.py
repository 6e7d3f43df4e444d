"""`quantize` and `dequantize`: per tensor and per channel, with and without a zero point."""

import numpy as np

from judge.draw import levels, lit, normal, scalar, uniform
from judge.tolerance import EXACT, ROUNDED


def along(value, x, axis):
    """A vector parameter beside `x`, on `axis`."""
    if value is None or np.ndim(value) == 0:
        return 0 if value is None else value
    return np.reshape(value, [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


def quantize(input, scale, output_dtype, zero_point=None, axis=None):
    low, high = (-128, 127) if output_dtype == "int8" else (0, 255)
    return np.clip(np.rint(input / along(scale, input, axis)) + along(zero_point, input, axis), low, high).astype(int)


def dequantize(input, scale, zero_point=None, axis=None):
    return along(scale, input, axis) * (input - along(zero_point, input, axis) + 0.0)


def cases(f):
    # Scales are powers of two, and values lie off the half steps: rounding decides nothing here that is not specified.
    def off(draw):
        inner = draw.recipe
        draw.recipe = lambda rng, s, d: np.round(inner(rng, s, d) * 64) / 64 + 1 / 256
        return draw

    vector = lit([1 / 32, 1 / 64, 1 / 128]).const
    for target in ("int8", "uint8"):
        opsets, dtypes = "17 18 26", f"fp16/{target} fp32/{target}"
        rest = dict(output_dtype=target)
        point = 3 if target == "int8" else 130
        points = [3, -5, 0] if target == "int8" else [130, 90, 128]
        f.op("quantize", opsets, dtypes, quantize, EXACT, input=off(uniform(-0.9, 0.9, 2, 3, 4)), scale=scalar(1 / 64),
             zero_point=scalar(point, "U"), **rest)  # fmt: skip
        f.op("quantize", "17 18", dtypes, quantize, EXACT, "no_zero", input=off(uniform(-0.9, 0.9, 2, 3, 4)),
             scale=scalar(1 / 64), **rest)  # fmt: skip
        f.op("quantize", "17 18", dtypes, quantize, EXACT, "channel", input=off(uniform(-0.9, 0.9, 2, 3, 4)), scale=vector,
             zero_point=scalar(points, "U"), axis=1, **rest)  # fmt: skip
        f.op("quantize", "17 18", dtypes, quantize, EXACT, "saturates", input=off(normal(2, 3, scale=8)), scale=scalar(1 / 16),
             zero_point=scalar(point, "U"), **rest)  # fmt: skip
        q = levels(2, 3, 4)
        pairs = f"{target}/fp16 {target}/fp32"
        f.op("dequantize", opsets, pairs, dequantize, ROUNDED, input=q, scale=scalar(0.03, "U"), zero_point=scalar(point))
        f.op("dequantize", "17 18", pairs, dequantize, ROUNDED, "no_zero", input=q, scale=scalar(0.03, "U"))
        f.op("dequantize", "17 18", pairs, dequantize, ROUNDED, "channel", input=q, scale=scalar([0.03, 0.1, 0.5], "U"),
             zero_point=scalar(points), axis=-2)  # fmt: skip
    # Halves go to the even neighbour.
    f.op("quantize", "17", "fp32/int8", quantize, EXACT, "halves", input=lit([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]), scale=scalar(1.0),
         output_dtype="int8")  # fmt: skip
