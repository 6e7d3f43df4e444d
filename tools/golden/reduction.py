"""Reductions over chosen axes. Ties of reduce_max/reduce_min share the gradient equally, as torch.amax does."""

import numpy as np
import torch

from case import Family, i32

# (shape, axes); None: the parameter is left out, which means all axes.
AXES = [
    ((5,), [0]),
    ((5,), None),
    ((2, 3), [0]),
    ((2, 3), [-1]),
    ((2, 3), None),
    ((2, 3, 4), [1]),
    ((2, 3, 4), [0, 2]),
    ((2, 3, 4), [-1, -2]),
    ((2, 3, 4), None),
    ((1, 3, 2, 2), [2, 3]),
    ((2, 3, 1, 4), [1, 2]),
    ((2, 1, 3, 2), [-3]),
    ((2, 2, 3, 1, 2), [0, 2, 4]),
    ((1, 1), [0]),
    ((40,), [0]),
]


def name_of(shape, axes, keep):
    axes_word = "all" if axes is None else "_".join(str(a).replace("-", "m") for a in axes)
    return f"{'x'.join(map(str, shape))}_axes_{axes_word}" + {None: "", True: "_keep", False: "_drop"}[keep]


def each(fam, op, fn, draw, dtype_tag="", keeps=(None, True, False)):
    """`fn(x, dims, keep)` over all axes variants; `keep_dims` is left out, true, and (sometimes) false."""
    for i, (shape, axes) in enumerate(AXES):
        for keep in keeps:
            if keep is False and i % 4:
                continue
            consts = {}
            if axes is not None:
                consts["axes"] = axes
            if keep is not None:
                consts["keep_dims"] = keep
            dims = list(range(len(shape))) if axes is None else axes
            fam.add(
                op,
                dtype_tag + name_of(shape, axes, keep),
                [("x", draw(shape))],
                lambda x: fn(x, dims, bool(keep)),
                consts,
            )


def product(x, dims, keep):
    for dim in sorted((d % x.dim() for d in dims), reverse=True):
        x = torch.prod(x, dim, keepdim=keep)
    return x


def fill_float(fam):
    normal = lambda shape: fam.normal(*shape)
    each(fam, "reduce_sum", lambda x, d, k: x.sum(d, keepdim=k), normal)
    each(fam, "reduce_mean", lambda x, d, k: x.mean(d, keepdim=k), normal)
    each(fam, "reduce_max", lambda x, d, k: x.amax(d, keepdim=k), lambda shape: fam.distinct(*shape))
    each(fam, "reduce_min", lambda x, d, k: x.amin(d, keepdim=k), lambda shape: fam.distinct(*shape))
    each(fam, "reduce_prod", product, lambda shape: fam.away_from_zero(*shape, low=0.6, high=1.4))
    each(fam, "reduce_l1_norm", lambda x, d, k: x.abs().sum(d, keepdim=k), lambda shape: fam.away_from_zero(*shape))
    each(fam, "reduce_l2_norm", lambda x, d, k: x.square().sum(d, keepdim=k).sqrt(), lambda s: fam.away_from_zero(*s))
    each(fam, "reduce_log_sum", lambda x, d, k: x.sum(d, keepdim=k).log(), lambda shape: fam.uniform(0.2, 2, *shape))
    each(fam, "reduce_log_sum_exp", lambda x, d, k: torch.logsumexp(x, d, keepdim=k), normal)
    each(fam, "reduce_sum_square", lambda x, d, k: x.square().sum(d, keepdim=k), normal)


def fill_edges(fam):
    shared = "equal extremes share the gradient equally"
    tied = np.array([[1.0, 3.0, 3.0, -1.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -1.0, -2.0, -2.0]])
    fam.add("reduce_max", "tie", [("x", tied)], lambda x: x.amax(1), {"axes": [1]}, convention=shared)
    fam.add("reduce_min", "tie", [("x", tied)], lambda x: x.amin(1), {"axes": [1]}, convention=shared)
    fam.add("reduce_max", "all_tie", [("x", tied)], lambda x: x.amax((0, 1)), convention=shared)
    zeros = np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 4.0], [1.0, 2.0, 5.0]])
    fam.add("reduce_prod", "with_zeros", [("x", zeros)], lambda x: x.prod(1), {"axes": [1]})
    fam.add(
        "reduce_l1_norm",
        "zero_kink",
        [("x", np.array([0.0, -1.0, 2.0]))],
        lambda x: x.abs().sum(0),
        {"axes": [0]},
        convention="derivative of |x| at 0 is 0",
    )
    fam.add(
        "reduce_l2_norm", "zero", [("x", np.zeros(3))], lambda x: x.square().sum(0).sqrt(), {"axes": [0]}, grad=False
    )
    fam.add(
        "reduce_l2_norm",
        "large",
        [("x", np.array([3e10, 4e10]))],
        lambda x: x.square().sum(0).sqrt(),
        {"axes": [0]},
        grad=False,
    )
    fam.add(
        "reduce_log_sum_exp",
        "large",
        [("x", np.array([[1000.0, 1000.0, 999.0], [-1000.0, -1001.0, -999.0]]))],
        lambda x: torch.logsumexp(x, 1),
        {"axes": [1]},
        check=False,
    )
    fam.add(
        "reduce_log_sum_exp",
        "edges",
        [("x", np.array([88.0, -88.0, 0.0]))],
        lambda x: torch.logsumexp(x, 0),
        {"axes": [0]},
    )
    fam.add("reduce_sum", "cancelling", [("x", np.array([1e4, 1.0, -1e4]))], lambda x: x.sum(0), {"axes": [0]})
    fam.add(
        "reduce_max",
        "infinite",
        [("x", np.array([[-np.inf, -np.inf], [np.inf, 0.0]]))],
        lambda x: x.amax(1),
        {"axes": [1]},
        grad=False,
    )


def fill_int(fam):
    draw = lambda shape: i32(fam.integers(-5, 6, *shape))
    each(fam, "reduce_sum", lambda x, d, k: x.sum(d, keepdim=k).to(torch.int32), draw, "int_", (None,))
    each(fam, "reduce_max", lambda x, d, k: x.amax(d, keepdim=k), draw, "int_", (None,))
    each(fam, "reduce_min", lambda x, d, k: x.amin(d, keepdim=k), draw, "int_", (None,))


def fill_arg(fam):
    for op, fn in [("reduce_argmax", torch.argmax), ("reduce_argmin", torch.argmin)]:
        for shape, axis in [((5,), 0), ((2, 3), 0), ((2, 3), -1), ((2, 3, 4), 1), ((2, 3, 4), -3), ((1, 2, 3, 2), 3)]:
            for keep in (None, True):
                consts = {"axis": axis} | ({} if keep is None else {"keep_dims": keep})
                tag = f"{'x'.join(map(str, shape))}_axis{str(axis).replace('-', 'm')}" + ("_keep" if keep else "")
                compute = lambda x: fn(x, axis, keepdim=bool(keep)).to(torch.int32)
                fam.add(op, tag, [("x", fam.distinct(*shape))], compute, consts, grad=False)
                fam.add(
                    op,
                    f"int_{tag}",
                    [("x", i32(fam.rng.permutation(int(np.prod(shape))).reshape(shape)))],
                    compute,
                    consts,
                )
        fam.add(op, "default_axis", [("x", fam.distinct(3, 4))], lambda x: fn(x, -1).to(torch.int32), grad=False)
        # Apple leaves ties open; PyTorch and NumPy both take the first.
        fam.add(
            op,
            "first_tie",
            [("x", np.array([[1.0, 2.0, 2.0, 1.0]]))],
            lambda x: fn(x, -1).to(torch.int32),
            {"axis": -1},
            grad=False,
            convention="the first of equal extremes",
        )


def family():
    fam = Family("reduction", 104)
    fill_float(fam)
    fill_edges(fam)
    fill_int(fam)
    fill_arg(fam)
    return fam
