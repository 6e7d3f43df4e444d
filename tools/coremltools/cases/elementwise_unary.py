"""Elementwise ops of one operand, `cast`, and those with an epsilon inside."""

import math

import numpy as np

from judge.draw import away, lit, normal, scalar, uniform
from judge.tolerance import EXACT, FUNCTION, ROUNDED

EVERY = "15 16 17 18 26"
FLOATS = "fp16 fp32"
NUMBERS = "fp16 fp32 int32"

anything = normal(2, 3, 4, scale=2)
unit = uniform(-0.95, 0.95, 2, 3, 4)
positive = uniform(0.05, 20, 2, 3, 4)


# op: (reference, operand, dtypes, tolerance)
TABLE = {
    "abs": (np.abs, anything, NUMBERS, EXACT),
    "acos": (np.arccos, unit, FLOATS, FUNCTION),
    "asin": (np.arcsin, unit, FLOATS, FUNCTION),
    "atan": (np.arctan, normal(2, 3, 4, scale=4), FLOATS, FUNCTION),
    "atanh": (np.arctanh, unit, FLOATS, FUNCTION),
    "ceil": (np.ceil, anything, FLOATS, EXACT),
    "cos": (np.cos, normal(2, 3, 4, scale=5), FLOATS, FUNCTION),
    "cosh": (np.cosh, anything, FLOATS, FUNCTION),
    "erf": (lambda x: np.vectorize(math.erf)(x), anything, FLOATS, FUNCTION),
    "exp": (np.exp, anything, FLOATS, FUNCTION),
    "exp2": (np.exp2, uniform(0, 8, 2, 3, 4), NUMBERS, FUNCTION),
    "floor": (np.floor, anything, FLOATS, EXACT),
    "round": (np.rint, anything, FLOATS, EXACT),
    "sign": (np.sign, anything, NUMBERS, EXACT),
    "sin": (np.sin, normal(2, 3, 4, scale=5), FLOATS, FUNCTION),
    "sinh": (np.sinh, anything, FLOATS, FUNCTION),
    "sqrt": (np.sqrt, positive, FLOATS, ROUNDED),
    "square": (np.square, anything, NUMBERS, ROUNDED),
    "tan": (np.tan, uniform(-1.4, 1.4, 2, 3, 4), FLOATS, FUNCTION),
    "tanh": (np.tanh, anything, FLOATS, FUNCTION),
}


def cases(f):
    for op, (reference, x, dtypes, tolerance) in TABLE.items():
        f.op(op, EVERY, dtypes, reference, tolerance, x=x)
        f.op(op, "16", "fp32", reference, tolerance, "one", x=uniform(0.1, 0.9, 1))
    halves = lit([-2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5, 3.5])
    for op in ("ceil", "floor", "round", "sign"):
        f.op(op, "15 18", "fp32 fp16", TABLE[op][0], EXACT, "halves", x=halves)
    f.op("sqrt", "17", "fp32", np.sqrt, ROUNDED, "edges", x=lit([0.0, 1.0, 4.0, 1e-30, 1e30]))
    f.op("exp", "17", "fp16", np.exp, FUNCTION, "overflow", x=lit([-20.0, -1.0, 0.0, 11.0, 12.0]))
    f.op("tanh", "17", "fp32", np.tanh, FUNCTION, "edges", x=lit([-100.0, -1e-4, 0.0, 1e-4, 100.0]))
    f.op("exp2", "18", "fp32", np.exp2, FUNCTION, "negative", x=uniform(-20, 0, 20))
    f.op("exp2", "17", "int32", np.exp2, EXACT, "powers", x=lit([0, 1, 2, 10, 30]))

    # From iOS 17 the epsilon may be wider or narrower than x.
    mixed = "fp16 fp32 fp16/fp32 fp32/fp16"
    with_epsilon = {
        "inverse": (lambda x, epsilon=1e-4: 1 / (x + epsilon), away(2, 3, 4), 0.01),
        "log": (lambda x, epsilon=0.0: np.log(x + epsilon), positive, 0.25),
        "rsqrt": (lambda x, epsilon=0.0: 1 / np.sqrt(x + epsilon), positive, 0.25),
    }
    for op, (reference, x, epsilon) in with_epsilon.items():
        # The sum is rounded before the function where the engine computes in x's own width.
        f.op(op, EVERY, FLOATS, reference, FUNCTION, x=x)
        f.op(op, "15 16", FLOATS, reference, FUNCTION, "epsilon", x=x, epsilon=scalar(epsilon))
        f.op(op, "17 18", mixed, reference, FUNCTION, "epsilon", x=x, epsilon=scalar(epsilon, "U"))
    zero = lit([0.0, 1.0, 2.0])
    f.op("log", "17", "fp32", with_epsilon["log"][0], FUNCTION, "zero", x=zero, epsilon=scalar(0.5))
    f.op("rsqrt", "17", "fp32", with_epsilon["rsqrt"][0], FUNCTION, "zero", x=zero, epsilon=scalar(0.25))
    f.op("inverse", "17", "fp32", with_epsilon["inverse"][0], FUNCTION, "zero", x=zero, epsilon=scalar(0.5))

    clip = lambda x, alpha, beta: np.minimum(np.maximum(x, alpha), beta)  # noqa: E731
    f.op("clip", EVERY, FLOATS, clip, EXACT, x=anything, alpha=scalar(-1.5), beta=scalar(0.75))
    f.op("clip", "15 18", FLOATS, clip, EXACT, "narrow", x=anything, alpha=scalar(0.5), beta=scalar(0.5625))
    threshold = lambda x, alpha: np.maximum(x, alpha)  # noqa: E731
    f.op("threshold", EVERY, "fp16 fp32", threshold, EXACT, x=anything, alpha=scalar(0.25))
    f.op("threshold", "15 18", "int32", threshold, EXACT, "int", x=anything, alpha=scalar(1))
    f.op("logical_not", EVERY, "bool", np.logical_not, EXACT, x=normal(2, 3, 4))

    casts(f)


def casts(f):
    """Every pair of dtypes that `cast` allows, with values that both can hold: what does not fit is undefined."""
    narrow = ["fp16", "fp32", "int32", "bool"]
    wide = narrow + ["int8", "uint8", "int16", "uint16"]
    for opset, dtypes in (("15", narrow), ("17", wide)):
        for source in dtypes:
            for target in dtypes:
                signed = not (source.startswith("u") or target.startswith("u"))
                x = uniform(-100 if signed else 0, 100, 3, 7)
                if source == "bool" or target == "bool":
                    x = uniform(-2.9 if signed else 0, 3, 3, 7) if source != "bool" else normal(3, 7)
                f.op("cast", opset, source, converted(target), ROUNDED, f"to_{target}", x=x, dtype=target)
    f.op("cast", "18", "fp32", converted("int32"), EXACT, "halves", x=lit([-2.5, -0.5, 0.5, 1.5, 2.5]), dtype="int32")
    f.op("cast", "26", "fp32", converted("fp16"), ROUNDED, "overflow", x=lit([1e5, -1e6, 65519.0, 1e-9]), dtype="fp16")
    f.op("cast", "16", "int32", converted("fp16"), ROUNDED, "large", x=lit([2047, 2049, 2051, -4099]), dtype="fp16")


def converted(target):
    """The value in `target`: floats lose their fraction towards zero in an integer, and anything but 0 is true."""
    if target == "bool":
        return lambda x: np.asarray(x) != 0
    if target in ("fp16", "fp32"):
        return lambda x: np.asarray(x, dtype=np.float64)
    return lambda x: np.trunc(x).astype(np.int64)
