"""Elementwise ops of two operands, with broadcasting."""

import numpy as np

from judge.draw import Draw, away, bools, lit, normal, scalar, uniform
from judge.tolerance import EXACT, FUNCTION, ROUNDED

EVERY = "15 16 17 18 26"
NUMBERS = "fp16 fp32 int32"


def real_div(x, y):
    """Integers divide towards zero, as Core ML does."""
    quotient = x / y
    return quotient if x.dtype == np.float64 else np.trunc(quotient).astype(np.int64)


TABLE = {
    "add": (np.add, ROUNDED),
    "sub": (np.subtract, ROUNDED),
    "mul": (np.multiply, ROUNDED),
    "real_div": (real_div, ROUNDED),
    "floor_div": (np.floor_divide, EXACT),
    "mod": (np.mod, ROUNDED),
    "maximum": (np.maximum, EXACT),
    "minimum": (np.minimum, EXACT),
    "equal": (np.equal, EXACT),
    "not_equal": (np.not_equal, EXACT),
    "greater": (np.greater, EXACT),
    "greater_equal": (np.greater_equal, EXACT),
    "less": (np.less, EXACT),
    "less_equal": (np.less_equal, EXACT),
}
LOGICAL = {"logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor}

# How two shapes meet; each op gets two of these, so that all occur often without every op running all.
BROADCASTS = [
    ("row", (2, 3, 4), (4,)),
    ("column", (2, 3, 4), (3, 1)),
    ("both", (2, 1, 4), (3, 1)),
    ("left", (1,), (2, 3)),
    ("rank5", (2, 1, 2, 1, 2), (1, 3, 1, 2, 1)),
]


def cases(f):
    for i, (op, (reference, tolerance)) in enumerate(TABLE.items()):
        comparison = tolerance is EXACT and op not in ("maximum", "minimum", "floor_div")
        # Few different values, so that equal ones occur; divisors stay away from zero.
        draw = few if comparison else (lambda *s: normal(*s, scale=3))
        divisor = away if "div" in op or op == "mod" else draw
        f.op(op, EVERY, NUMBERS, reference, tolerance, x=draw(2, 3, 4), y=divisor(2, 3, 4))
        f.op(op, "15 17 18", NUMBERS, reference, tolerance, "scalar", x=draw(2, 3), y=scalar(2))
        f.op(op, "16", NUMBERS.split()[i % 3], reference, tolerance, "scalar_left", x=scalar(3), y=divisor(2, 3))
        for label, a, b in (BROADCASTS[i % 5], BROADCASTS[(i + 2) % 5]):
            f.op(op, "17", NUMBERS.split()[(i + 1) % 3], reference, tolerance, label, x=draw(*a), y=divisor(*b))
    for op, reference in LOGICAL.items():
        f.op(op, EVERY, "bool", reference, EXACT, x=bools(2, 3, 4), y=bools(2, 3, 4))
        f.op(op, "17", "bool", reference, EXACT, "column", x=bools(2, 3, 4), y=bools(3, 1))
        f.op(op, "15", "bool", reference, EXACT, "constant", x=bools(2, 3), y=bools(3).const)

    f.op("pow", EVERY, "fp16 fp32", np.power, FUNCTION, x=uniform(0.2, 3, 2, 3, 4), y=normal(2, 3, 4))
    f.op("pow", "15 18", "fp32 fp16", np.power, FUNCTION, "square", x=normal(2, 3), y=scalar(2))
    f.op("pow", "15 18", "fp32 fp16", np.power, FUNCTION, "root", x=uniform(0, 9, 2, 3), y=scalar(0.5))
    f.op("pow", "17", "fp32", np.power, FUNCTION, "negative_base", x=normal(5), y=scalar(3))
    f.op("pow", "16 17", "int32", np.power, EXACT, "int", x=uniform(-4, 5, 2, 3), y=uniform(0, 5, 2, 3))
    f.op("pow", "17", "fp32", np.power, FUNCTION, "column", x=uniform(0.2, 3, 2, 3, 4), y=normal(3, 1))
    signs = dict(x=lit([7, -7, 7, -7, 6, -6]), y=lit([2, 2, -2, -2, 3, -3]))
    for op in ("floor_div", "mod", "real_div"):
        f.op(op, "15 17 18", NUMBERS, TABLE[op][0], ROUNDED, "signs", **signs)
    f.op("add", "18", "fp16", np.add, ROUNDED, "overflow", x=lit([65504.0, -65504.0, 1.0]), y=lit([65504.0, -1.0, 1.0]))
    f.op("mul", "18", "fp32", np.multiply, ROUNDED, "one", x=normal(1, 1), y=normal(1))
    f.op("maximum", "18", "fp32", np.maximum, EXACT, "empty", x=normal(0, 3), y=normal(3))


def few(*shape):
    """Whole numbers from -2 to 2, in any dtype."""
    draw = uniform(-2, 3, *shape)
    return Draw(shape, lambda rng, s, d: np.floor(draw.recipe(rng, s, d)))
