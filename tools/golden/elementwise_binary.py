"""Elementwise binary ops over many broadcast shapes. Ties of maximum/minimum split the gradient half and half."""

import numpy as np
import torch

from case import Family, boolean, fixed, i32

BROADCASTS = [
    ((), ()),
    ((4,), ()),
    ((), (3,)),
    ((3,), (3,)),
    ((2, 3), (2, 3)),
    ((2, 3), (3,)),
    ((3,), (2, 3)),
    ((2, 1), (1, 3)),
    ((2, 3), (1,)),
    ((2, 3, 4), (3, 1)),
    ((1, 3, 1), (2, 1, 4)),
    ((2, 3, 4), (2, 1, 4)),
    ((4, 1, 2, 1), (3, 1, 5)),
    ((1, 2, 1, 2, 1), (3, 1, 2, 1, 2)),
    ((1, 1), (5,)),
    ((2, 2, 2), (1, 1, 1)),
]
FEW = [BROADCASTS[i] for i in (0, 4, 5, 10, 12)]


def tag(a, b):
    word = lambda s: "x".join(map(str, s)) or "scalar"
    return f"{word(a)}_{word(b)}"


def fill_arithmetic(fam):
    for op, fn in [("add", torch.add), ("sub", torch.sub), ("mul", torch.mul)]:
        for a, b in BROADCASTS:
            fam.add(op, tag(a, b), [("x", fam.normal(*a)), ("y", fam.normal(*b))], fn)
        fam.add(
            op,
            "zeros_and_large",
            [("x", np.array([0.0, 0.0, 1e30, -1e-30])), ("y", np.array([0.0, -3.0, 2.0, 1e-30]))],
            fn,
        )
        for a, b in FEW:
            fam.add(
                op, f"int_{tag(a, b)}", [("x", i32(fam.integers(-9, 9, *a))), ("y", i32(fam.integers(-9, 9, *b)))], fn
            )
    for a, b in BROADCASTS:
        fam.add("real_div", tag(a, b), [("x", fam.normal(*a)), ("y", fam.away_from_zero(*b))], torch.div)
    fam.add(
        "real_div",
        "by_zero",
        [("x", np.array([1.0, -1.0, 0.0])), ("y", np.array([0.0, 0.0, 0.0]))],
        torch.div,
        grad=False,
    )
    fam.add(
        "real_div",
        "large_ratio",
        [("x", np.array([1e20, -1e-20])), ("y", np.array([1e-10, 1e10]))],
        torch.div,
        grad=False,
    )
    fam.add(
        "real_div",
        "int_exact",
        [("x", i32([6, -8, 0, 9])), ("y", i32([3, 2, 5, -3]))],
        lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    )


def fill_floor(fam):
    """Floor semantics: `floor_div` rounds towards minus infinity, `mod` takes the divisor's sign."""
    floor_div = lambda x, y: torch.div(x, y, rounding_mode="floor")
    mixed_x, mixed_y = [7.5, -7.5, 7.5, -7.5, 6.0, -6.0, 0.0], [2.0, 2.0, -2.0, -2.0, 3.0, 3.0, 5.0]
    whole = "x/y is a whole number at some entries: derivative as if just above"
    for op, fn in [("floor_div", floor_div), ("mod", torch.remainder)]:
        for a, b in BROADCASTS:
            fam.add(op, tag(a, b), [("x", fam.normal(*a, scale=5)), ("y", fam.away_from_zero(*b))], fn)
        fam.add(op, "signs", [("x", np.array(mixed_x)), ("y", np.array(mixed_y))], fn, convention=whole)
        fam.add(op, "int_signs", [("x", i32([7, -7, 7, -7, 6, -6, 0])), ("y", i32([2, 2, -2, -2, 3, 3, 5]))], fn)
        for a, b in FEW:
            y = fam.integers(1, 6, *b) * fam.rng.choice([-1, 1], size=b).astype(np.int32)
            fam.add(op, f"int_{tag(a, b)}", [("x", i32(fam.integers(-20, 20, *a))), ("y", i32(y))], fn)


def fill_pow(fam):
    for a, b in BROADCASTS:
        fam.add("pow", tag(a, b), [("x", fam.uniform(0.3, 2.5, *a)), ("y", fam.normal(*b))], torch.pow)
    base = np.array([-2.0, -1.5, -0.5, 3.0, -2.0])
    exponent = np.array([2.0, 3.0, -2.0, -1.0, 1.0])
    fam.add("pow", "negative_base", [("x", base), ("y", fixed(exponent))], torch.pow)
    fam.add(
        "pow",
        "zero_base_tie",
        [("x", np.zeros(3)), ("y", np.array([2.0, 1.0, 3.0]))],
        torch.pow,
        convention="at x = 0, y > 0: dx = y * x^(y-1), dy = 0",
    )
    fam.add(
        "pow",
        "zero_exponent_tie",
        [("x", np.array([0.0, 2.0, -3.0])), ("y", fixed(np.zeros(3)))],
        torch.pow,
        convention="dx = 0 where y = 0",
    )
    fam.add("pow", "int", [("x", i32([2, -3, 0, 7, 1])), ("y", i32([10, 3, 2, 0, 5]))], torch.pow)


def fill_extremes(fam):
    for op, fn in [("maximum", torch.maximum), ("minimum", torch.minimum)]:
        for a, b in BROADCASTS:
            count = max(int(np.prod(a)), 1) + max(int(np.prod(b)), 1)
            values = fam.distinct(count)
            split = max(int(np.prod(a)), 1)
            fam.add(op, tag(a, b), [("x", values[:split].reshape(a)), ("y", values[split:].reshape(b))], fn)
        half = "equal operands: each gets half of the gradient"
        fam.add(
            op,
            "equal_tie",
            [("x", np.array([1.0, 0.0, -2.0, 3.0])), ("y", np.array([1.0, 0.0, 5.0, 3.0]))],
            fn,
            convention=half,
        )
        fam.add(
            op,
            "broadcast_tie",
            [("x", np.array([[0.0, 1.0, -1.0], [0.0, 0.0, 2.0]])), ("y", np.array(0.0))],
            fn,
            convention=half,
        )
        fam.add(
            op,
            "infinite",
            [("x", np.array([np.inf, -np.inf, 0.0])), ("y", np.array([1.0, 1.0, np.inf]))],
            fn,
            grad=False,
        )
        for a, b in FEW:
            fam.add(
                op, f"int_{tag(a, b)}", [("x", i32(fam.integers(-9, 9, *a))), ("y", i32(fam.integers(-9, 9, *b)))], fn
            )


def fill_comparisons(fam):
    for op, fn in [
        ("equal", torch.eq),
        ("not_equal", torch.ne),
        ("greater", torch.gt),
        ("greater_equal", torch.ge),
        ("less", torch.lt),
        ("less_equal", torch.le),
    ]:
        for a, b in BROADCASTS:
            # Small whole numbers, so that equality really happens.
            fam.add(
                op,
                tag(a, b),
                [("x", fam.integers(-2, 3, *a).astype(np.float32)), ("y", fam.integers(-2, 3, *b).astype(np.float32))],
                fn,
                grad=False,
            )
        fam.add(
            op,
            "special",
            [("x", np.array([0.0, np.inf, np.nan, 1.0, np.nan])), ("y", np.array([-0.0, np.inf, 1.0, np.nan, np.nan]))],
            fn,
            grad=False,
        )
        for a, b in FEW:
            fam.add(
                op, f"int_{tag(a, b)}", [("x", i32(fam.integers(-2, 3, *a))), ("y", i32(fam.integers(-2, 3, *b)))], fn
            )
    for op, fn in [
        ("logical_and", torch.logical_and),
        ("logical_or", torch.logical_or),
        ("logical_xor", torch.logical_xor),
    ]:
        for a, b in BROADCASTS:
            fam.add(op, tag(a, b), [("x", boolean(fam.bools(*a))), ("y", boolean(fam.bools(*b)))], fn)
        fam.add(
            op, "table", [("x", boolean([False, False, True, True])), ("y", boolean([False, True, False, True]))], fn
        )


def family():
    fam = Family("elementwise_binary", 102)
    fill_arithmetic(fam)
    fill_floor(fam)
    fill_pow(fam)
    fill_extremes(fam)
    fill_comparisons(fam)
    return fam
