"""Elementwise unary ops: random shapes inside each domain, then edge values."""

import numpy as np
import torch

from case import Family, boolean, f32, i32

SHAPES = [(), (6,), (2, 3), (2, 1, 4), (1, 2, 3, 2)]


def spread(fam, op, fn, low, high, edges=(), flat_edges=(), consts=None, prefix=""):
    """Random shapes in (low, high); `edges` with gradient, `flat_edges` for the value alone."""
    for shape in SHAPES:
        fam.add(op, f"{prefix}rank{len(shape)}", [("x", fam.uniform(low, high, *shape))], fn, consts)
    if len(edges):
        fam.add(op, f"{prefix}edges", [("x", np.array(edges))], fn, consts)
    if len(flat_edges):
        fam.add(op, f"{prefix}value_edges", [("x", np.array(flat_edges))], fn, consts, grad=False)


def fill_smooth(fam):
    inf = np.inf
    spread(fam, "acos", torch.acos, -0.95, 0.95, [0.0, 0.99, -0.99, 1e-20], [1.0, -1.0, 2.0])
    spread(fam, "asin", torch.asin, -0.95, 0.95, [0.0, 0.99, -0.99, 1e-20], [1.0, -1.0, -2.0])
    spread(fam, "atan", torch.atan, -4, 4, [0.0, 1e6, -1e6, 1e-20], [inf, -inf])
    spread(fam, "atanh", torch.atanh, -0.9, 0.9, [0.0, 0.99, 1e-4, -1e-4], [1.0, -1.0, 1.5])
    spread(fam, "cos", torch.cos, -6, 6, [0.0, 3.1415927, 100.0, -1e-20], [1e4])
    spread(fam, "sin", torch.sin, -6, 6, [0.0, 3.1415927, 100.0, -1e-20], [1e4])
    spread(fam, "tan", torch.tan, -1.2, 1.2, [0.0, 1.5, -1.5, 10.0])
    spread(fam, "cosh", torch.cosh, -3, 3, [0.0, 80.0, -80.0], [88.0, 100.0])
    spread(fam, "sinh", torch.sinh, -3, 3, [0.0, 80.0, -80.0, 1e-4], [88.0, -100.0])
    spread(fam, "tanh", torch.tanh, -3, 3, [0.0, 88.0, -88.0, 1e-4, -1e-20, 9.0], [inf, -inf])
    spread(fam, "erf", torch.erf, -3, 3, [0.0, 5.0, -5.0, 1e-4, -1e-20, 0.5], [inf, -inf])
    spread(fam, "exp", torch.exp, -3, 3, [0.0, 30.0, -30.0, -88.0, 1e-4], [88.0, 89.0, -200.0, inf, -inf])
    spread(fam, "exp2", torch.exp2, -4, 4, [0.0, 30.0, -30.0, 1.0, 0.5], [127.0, 128.0, -200.0])
    spread(fam, "sqrt", torch.sqrt, 0.05, 4, [1e-4, 1.0, 1e10], [0.0, -1.0, inf])
    fam.add("sqrt", "zero_kink", [("x", np.array([0.0, 4.0]))], torch.sqrt, convention="infinite slope at 0")
    spread(fam, "square", torch.square, -3, 3, [0.0, 1e10, -1e-10])
    fam.add("square", "int", [("x", i32([-3, 0, 12, 1000]))], torch.square)
    fam.add("exp2", "int", [("x", i32([0, 1, 5, 10]))], lambda x: torch.pow(2, x))


def fill_epsilon(fam):
    """`inverse`, `log` and `rsqrt` add epsilon to x first; the defaults are float32 numbers."""
    table = [
        ("inverse", lambda x, e: 1.0 / (x + e), 1e-4, (0.3, 3.0), (0.0, 1e-3)),
        ("log", lambda x, e: torch.log(x + e), 1e-45, (0.1, 5.0), (1e-6, 1e-2)),
        ("rsqrt", lambda x, e: torch.rsqrt(x + e), 1e-12, (0.1, 5.0), (0.0, 1e-5)),
    ]
    for op, fn, default, (low, high), others in table:
        e = f32(default)
        spread(fam, op, lambda x: fn(x, e), low, high, [1e-3, 1.0, 1e6], consts=None, prefix="default_")
        for i, epsilon in enumerate(others):
            e2 = f32(epsilon)
            spread(fam, op, lambda x: fn(x, e2), low, high, [1e-2, 2.0], consts={"epsilon": e2}, prefix=f"eps{i}_")
    spread(fam, "inverse", lambda x: 1.0 / (x + f32(1e-3)), -3, -0.3, consts={"epsilon": f32(1e-3)}, prefix="negative_")
    fam.add("inverse", "zero_default_epsilon", [("x", np.array([0.0]))], lambda x: 1.0 / (x + f32(1e-4)), check=False)
    fam.add(
        "log",
        "zero_epsilon1e3",
        [("x", np.array([0.0, 1e-3]))],
        lambda x: torch.log(x + f32(1e-3)),
        {"epsilon": f32(1e-3)},
        check=False,
    )
    fam.add(
        "rsqrt",
        "zero_epsilon1e3",
        [("x", np.array([0.0, 1e-3]))],
        lambda x: torch.rsqrt(x + f32(1e-3)),
        {"epsilon": f32(1e-3)},
        check=False,
    )


def fill_steps(fam):
    """Piecewise constant ops: the gradient is zero."""
    grid = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, -0.4999, 0.4999, 3.0, -3.0, 0.0, 1e6, 8388609.0])
    for op, fn in [("ceil", torch.ceil), ("floor", torch.floor), ("round", torch.round)]:
        spread(fam, op, fn, -5, 5)
        note = "gradient 0 everywhere" + ("; halves go to the even neighbour" if op == "round" else "")
        fam.add(op, "halves_kink", [("x", grid)], fn, convention=note)
    spread(fam, "sign", torch.sign, -2, 2)
    fam.add("sign", "zero_kink", [("x", np.array([0.0, -0.0, 1e-30, -1e-30]))], torch.sign, convention="gradient 0")
    fam.add("sign", "int", [("x", i32([-3, 0, 5]))], torch.sign)


def fill_piecewise(fam):
    spread(fam, "abs", torch.abs, -2, 2, [1e-20, -1e20])
    fam.add("abs", "zero_kink", [("x", np.array([0.0, -0.0, 1.0, -1.0]))], torch.abs, convention="derivative 0 at 0")
    fam.add("abs", "int", [("x", i32([-3, 0, 5, -2147483647]))], torch.abs)
    for i, (low, high) in enumerate([(-1.0, 1.0), (0.0, 0.5), (-2.0, -0.25)]):
        fn = lambda x: torch.clamp(x, low, high)
        spread(fam, "clip", fn, -3, 3, consts={"alpha": f32(low), "beta": f32(high)}, prefix=f"v{i}_")
    fam.add(
        "clip",
        "bounds_kink",
        [("x", np.array([-1.0, 1.0, 0.0, -1.5, 2.0]))],
        lambda x: torch.clamp(x, -1.0, 1.0),
        {"alpha": -1.0, "beta": 1.0},
        convention="derivative 0 at both bounds",
    )
    for i, alpha in enumerate([0.0, -0.7, 1.2]):
        fn = lambda x: torch.clamp(x, min=f32(alpha))
        spread(fam, "threshold", fn, -3, 3, consts={"alpha": f32(alpha)}, prefix=f"v{i}_")
    fam.add(
        "threshold",
        "bound_kink",
        [("x", np.array([0.5, 0.25, 1.0]))],
        lambda x: torch.clamp(x, min=0.5),
        {"alpha": 0.5},
        convention="derivative 0 at the bound",
    )
    fam.add("threshold", "int", [("x", i32([-3, 0, 5]))], lambda x: torch.clamp(x, min=2), {"alpha": 2})


def fill_logical_and_cast(fam):
    for shape in SHAPES:
        fam.add("logical_not", f"rank{len(shape)}", [("x", boolean(fam.bools(*shape)))], torch.logical_not)
    numbers = np.array([0.0, -0.0, 0.9, -0.9, 1.5, -1.5, 7.0, -123.75, 16777216.0, 1e-30])
    fam.add("cast", "fp32_to_int32", [("x", numbers)], lambda x: x.to(torch.int32), {"dtype": "int32"}, grad=False)
    fam.add("cast", "fp32_to_bool", [("x", numbers)], lambda x: x != 0, {"dtype": "bool"}, grad=False)
    fam.add("cast", "fp32_to_fp32", [("x", fam.normal(2, 3))], lambda x: x * 1.0, {"dtype": "fp32"})
    ints = i32([0, 1, -1, 255, -32768, 16777216])
    fam.add("cast", "int32_to_fp32", [("x", ints)], lambda x: x.to(torch.float64), {"dtype": "fp32"})
    fam.add("cast", "int32_to_bool", [("x", ints)], lambda x: x != 0, {"dtype": "bool"})
    fam.add("cast", "bool_to_fp32", [("x", boolean([True, False]))], lambda x: x.to(torch.float64), {"dtype": "fp32"})
    fam.add(
        "cast", "bool_to_int32", [("x", boolean([[True], [False]]))], lambda x: x.to(torch.int32), {"dtype": "int32"}
    )


def family():
    fam = Family("elementwise_unary", 103)
    fill_smooth(fam)
    fill_epsilon(fam)
    fill_steps(fam)
    fill_piecewise(fam)
    fill_logical_and_cast(fam)
    return fam
