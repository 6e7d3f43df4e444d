"""Ops that build, join, split, order and pad tensors."""

import math

import numpy as np
import torch

from case import Family, boolean, f32, fixed, i32
from windows import size

SHAPES = [(3,), (2, 3), (2, 3, 2), (1, 2, 3, 2)]


def word(value):
    return str(value).replace("-", "m")


def fill_band_part(fam):
    for shape in [(3, 3), (2, 4), (4, 2), (2, 3, 4)]:
        for lower, upper in [(-1, 0), (0, -1), (0, 0), (1, 1), (-1, -1), (2, 0)]:
            rows, columns = np.indices(shape[-2:])
            keep = ((lower < 0) | (rows - columns <= lower)) & ((upper < 0) | (columns - rows <= upper))
            mask = torch.tensor(keep)
            tag = f"{size(shape)}_{word(lower)}_{word(upper)}"
            consts = {"lower": lower, "upper": upper}
            fn = lambda x: torch.where(mask, x, torch.zeros_like(x))
            fam.add("band_part", tag, [("x", fam.normal(*shape))], fn, consts)
    fam.add("band_part", "default", [("x", fam.normal(2, 3))], lambda x: x * 1)
    fam.add(
        "band_part", "int", [("x", i32(fam.integers(-9, 9, 3, 3)))], lambda x: torch.tril(x), {"lower": -1, "upper": 0}
    )
    fam.add("band_part", "bool", [("x", boolean(np.ones((3, 3))))], lambda x: torch.triu(x), {"lower": 0, "upper": -1})


def fill_joins(fam):
    for tag, shapes, axis in [
        ("two", [(2, 3), (2, 3)], 0),
        ("uneven", [(2, 3), (1, 3), (3, 3)], 0),
        ("last", [(2, 1), (2, 3)], -1),
        ("vectors", [(2,), (3,), (1,)], 0),
        ("middle", [(2, 1, 2), (2, 3, 2)], 1),
        ("negative", [(1, 2, 3), (1, 1, 3)], -2),
        ("one", [(2, 2)], 1),
        ("rank4", [(1, 2, 2, 2), (1, 1, 2, 2)], 1),
    ]:
        fn = lambda *values: torch.cat(values, axis)
        fam.add("concat", tag, [("values", fam.normal(*s)) for s in shapes], fn, {"axis": axis})
        fam.add("concat", f"{tag}_int", [("values", i32(fam.integers(-9, 9, *s))) for s in shapes], fn, {"axis": axis})
    for tag, shape, count, axis in [("rows", (3, 2), 2, 0), ("columns", (2, 3), 3, 1), ("deep", (1, 2, 2), 2, -2)]:
        a = axis % len(shape)
        fn = lambda *values: torch.stack(values, a + 1).flatten(a, a + 1)
        fam.add(
            "concat",
            f"interleave_{tag}",
            [("values", fam.normal(*shape)) for _ in range(count)],
            fn,
            {"axis": axis, "interleave": True},
        )
    for tag, shape, count, axis in [
        ("first", (2, 3), 2, 0),
        ("middle", (2, 3), 3, 1),
        ("last", (2, 3), 2, -1),
        ("scalars", (), 3, 0),
        ("vectors", (4,), 2, 1),
        ("negative", (2, 1, 2), 2, -3),
    ]:
        fn = lambda *values: torch.stack(values, axis)
        fam.add("stack", tag, [("values", fam.normal(*shape)) for _ in range(count)], fn, {"axis": axis})
    fam.add(
        "stack",
        "bool",
        [("values", boolean(fam.bools(3))) for _ in range(2)],
        lambda *v: torch.stack(v, 0),
        {"axis": 0},
    )


def fill_splits(fam):
    for shape, count, axis in [((4,), 2, 0), ((2, 6), 3, 1), ((4, 3), 2, -2), ((2, 4, 3), 4, 1), ((1, 2, 2, 4), 2, -1)]:
        fn = lambda x: torch.split(x, shape[axis] // count, axis)
        fam.add(
            "split",
            f"{size(shape)}_into{count}_axis{word(axis)}",
            [("x", fam.normal(*shape))],
            fn,
            {"num_splits": count, "axis": axis},
        )
    for shape, sizes, axis in [
        ((5,), [2, 3], 0),
        ((2, 6), [1, 2, 3], 1),
        ((4, 3), [4], -2),
        ((2, 5, 2), [1, 3, 1], -2),
    ]:
        fn = lambda x: torch.split(x, sizes, axis)
        tag = f"{size(shape)}_sizes_{'_'.join(map(str, sizes))}_axis{word(axis)}"
        fam.add("split", tag, [("x", fam.normal(*shape))], fn, {"split_sizes": sizes, "axis": axis})
        fam.add(
            "split",
            f"{tag}_both",
            [("x", fam.normal(*shape))],
            fn,
            {"num_splits": len(sizes), "split_sizes": sizes, "axis": axis},
        )
    fam.add(
        "split",
        "int",
        [("x", i32(fam.integers(-9, 9, 2, 4)))],
        lambda x: torch.split(x, 2, 1),
        {"num_splits": 2, "axis": 1},
    )


def cumsum(x, axis, exclusive, reverse):
    x = x.flip(axis) if reverse else x
    y = torch.cumsum(x, axis).to(x.dtype)
    y = y - x if exclusive else y
    return y.flip(axis) if reverse else y


def fill_cumsum(fam):
    for shape, axis in [((5,), 0), ((2, 4), 1), ((3, 2), 0), ((2, 3, 2), 1), ((2, 3, 4), -1)]:
        for exclusive, reverse in [(False, False), (True, False), (False, True), (True, True)]:
            consts = (
                {"axis": axis} | ({"exclusive": True} if exclusive else {}) | ({"reverse": True} if reverse else {})
            )
            tag = (
                f"{size(shape)}_axis{word(axis)}"
                + ("_exclusive" if exclusive else "")
                + ("_reverse" if reverse else "")
            )
            fn = lambda x: cumsum(x, axis, exclusive, reverse)
            fam.add("cumsum", tag, [("x", fam.normal(*shape))], fn, consts)
    fam.add("cumsum", "default", [("x", fam.normal(3, 2))], lambda x: cumsum(x, 0, False, False))
    fam.add("cumsum", "int", [("x", i32(fam.integers(-5, 5, 2, 4)))], lambda x: cumsum(x, 1, False, False), {"axis": 1})


def fill_constants(fam):
    zeros = lambda shape, value: torch.full(shape, value, dtype=torch.float64)
    for shape in SHAPES:
        fam.add("fill", size(shape), [], lambda: zeros(shape, f32(-1.7)), {"shape": list(shape), "value": f32(-1.7)})
        fam.add(
            "fill_like",
            size(shape),
            [("ref_tensor", fam.normal(*shape))],
            lambda x: torch.full_like(x, 0.25),
            {"value": 0.25},
        )
    fam.add("fill", "default", [], lambda: zeros((2, 2), 0.0), {"shape": [2, 2]})
    fam.add("fill", "int", [], lambda: torch.full((3,), 7, dtype=torch.int32), {"shape": [3], "value": 7})
    fam.add("fill", "bool", [], lambda: torch.full((2,), True), {"shape": [2], "value": True})
    fam.add("fill_like", "default", [("ref_tensor", fam.normal(2, 2))], torch.zeros_like)
    fam.add(
        "fill_like",
        "int_from_float",
        [("ref_tensor", fixed(fam.normal(2, 2)))],
        lambda x: torch.full(x.shape, 3, dtype=torch.int32),
        {"value": 3},
    )
    for tag, start, end, step in [("plain", 0, 5, 1), ("step", 2, 11, 3), ("down", 5, -3, -2), ("single", 1, 2, 5)]:
        count = math.ceil((end - start) / step)
        consts = {"end": end, "start": start, "step": step}
        fam.add("range_1d", f"int_{tag}", [], lambda: (torch.arange(count) * step + start).to(torch.int32), consts)
        fam.add(
            "range_1d",
            f"fp32_{tag}",
            [],
            lambda: (torch.arange(count) * step + start).to(torch.float64),
            {k: float(v) for k, v in consts.items()},
        )
    fam.add(
        "range_1d",
        "fp32_fraction",
        [],
        lambda: torch.arange(4).to(torch.float64) * 0.25 + 0.5,
        {"end": 1.5, "start": 0.5, "step": 0.25},
    )


def one_hot(k, depth, axis, on, off, dtype):
    places = torch.arange(depth)
    hit = k.unsqueeze(-1) == places
    return torch.where(hit, torch.tensor(on, dtype=dtype), torch.tensor(off, dtype=dtype)).movedim(-1, axis)


def fill_one_hot(fam):
    for shape, depth, axis in [
        ((3,), 4, -1),
        ((3,), 4, 0),
        ((2, 2), 3, 1),
        ((2, 3), 5, -1),
        ((2, 2), 2, -3),
        ((), 3, 0),
    ]:
        indices = i32(fam.integers(0, depth, *shape))
        tag = f"{size(shape) or 'scalar'}_of{depth}_axis{word(axis)}"
        base = {"one_hot_vector_size": depth, "axis": axis}
        fam.add(
            "one_hot",
            f"int_{tag}",
            [("indices", indices)],
            lambda k: one_hot(k, depth, axis, 1, 0, torch.int32),
            base | {"on_value": 1, "off_value": 0},
        )
        fam.add(
            "one_hot",
            f"fp32_{tag}",
            [("indices", indices)],
            lambda k: one_hot(k, depth, axis, 0.75, -0.5, torch.float64),
            base | {"on_value": 0.75, "off_value": -0.5},
        )
    fam.add(
        "one_hot",
        "default_values",
        [("indices", i32([1, 0, 2]))],
        lambda k: one_hot(k, 3, -1, 1, 0, torch.int32),
        {"one_hot_vector_size": 3},
    )
    fam.add(
        "one_hot",
        "out_of_range",
        [("indices", i32([1, 7]))],
        lambda k: one_hot(k, 3, -1, 1.0, 0.0, torch.float64),
        {"one_hot_vector_size": 3, "on_value": 1.0, "off_value": 0.0},
    )


def padded(x, pad, mode, value):
    """Pads the last len(pad)/2 axes; every output element is looked up by its source position."""
    count = len(pad) // 2
    for i in range(count):
        axis = x.dim() - count + i
        low, high = pad[2 * i], pad[2 * i + 1]
        if mode == "constant":
            shape = list(x.shape)
            before, after = shape.copy(), shape.copy()
            before[axis], after[axis] = low, high
            x = torch.cat([x.new_full(before, value), x, x.new_full(after, value)], axis)
        else:
            numpy_mode = "edge" if mode == "replicate" else "reflect"
            source = np.pad(np.arange(x.shape[axis]), (low, high), numpy_mode)
            x = x.index_select(axis, torch.tensor(source))
    return x


def fill_pad(fam):
    for mode in ("constant", "reflect", "replicate"):
        for shape, pad in [
            ((4,), [1, 2]),
            ((2, 3), [1, 2]),
            ((3, 3), [1, 0, 2, 1]),
            ((2, 3, 4), [0, 1, 2, 2]),
            ((1, 2, 3, 3), [1, 1, 2, 0]),
            ((2, 2), [0, 0, 0, 0]),
            ((2, 2, 3, 2), [0, 0, 1, 1, 1, 2, 0, 1]),
        ]:
            if mode == "reflect" and len(pad) // 2 > 2:
                pad = pad[-4:]
            value = f32(0.7) if mode == "constant" else 0.0
            consts = {"pad": pad, "mode": mode} | ({"constant_val": value} if value else {})
            tag = f"{mode}_{size(shape)}_{'_'.join(map(str, pad))}"
            pad = fit(shape, pad) if mode == "reflect" else pad
            consts["pad"] = pad
            fam.add("pad", tag, [("x", fam.normal(*shape))], lambda x: padded(x, pad, mode, value), consts)
    fam.add(
        "pad",
        "default",
        [("x", fam.normal(2, 2))],
        lambda x: padded(x, [1, 1, 0, 1], "constant", 0.0),
        {"pad": [1, 1, 0, 1]},
    )
    fam.add(
        "pad",
        "minus_infinity",
        [("x", fixed(fam.normal(1, 2)))],
        lambda x: padded(x, [0, 1], "constant", -np.inf),
        {"pad": [0, 1], "mode": "constant", "constant_val": np.float32(-np.inf)},
    )


def fit(shape, pad):
    """Reflection can reach at most one less than the axis is long."""
    limits = [n - 1 for n in shape[len(shape) - len(pad) // 2 :] for _ in range(2)]
    return [min(p, limit) for p, limit in zip(pad, limits)]


def fill_select(fam):
    for c, a, b in [
        ((3,), (3,), (3,)),
        ((2, 3), (2, 3), (2, 3)),
        ((), (2, 2), (2, 2)),
        ((3,), (2, 3), (2, 1)),
        ((2, 1, 2), (3, 1), (2,)),
        ((2, 3), (), ()),
        ((2, 2), (2, 2), ()),
    ]:
        tag = "_".join(size(s) or "scalar" for s in (c, a, b))
        fam.add(
            "select", tag, [("cond", boolean(fam.bools(*c))), ("a", fam.normal(*a)), ("b", fam.normal(*b))], torch.where
        )
    fam.add("select", "int", [("cond", boolean([True, False])), ("a", i32([1, 2])), ("b", i32([3, 4]))], torch.where)
    fam.add(
        "select",
        "infinite_other",
        [("cond", boolean([True, False])), ("a", np.array([1.0, np.inf])), ("b", np.array([np.nan, 2.0]))],
        torch.where,
        check=False,
    )


def fill_simple(fam):
    for shape in SHAPES:
        fam.add("identity", size(shape), [("x", fam.normal(*shape))], lambda x: x * 1)
        fam.add(
            "shape", size(shape), [("x", fixed(fam.normal(*shape)))], lambda x: torch.tensor(x.shape, dtype=torch.int32)
        )
    fam.add("identity", "int", [("x", i32([1, 2]))], lambda x: x * 1)
    for shape, axis in [
        ((3,), -1),
        ((3,), 1),
        ((4, 3), -1),
        ((2, 3, 2), -1),
        ((2, 3, 2), 1),
        ((2, 3, 2), 2),
        ((1, 2, 3, 2), -2),
        ((2, 2), 0),
    ]:
        rows = math.prod(shape[:axis])
        consts = {"axis": axis}
        fam.add(
            "flatten2d",
            f"{size(shape)}_axis{word(axis)}",
            [("x", fam.normal(*shape))],
            lambda x: x.reshape(rows, -1),
            consts,
        )
    fam.add("flatten2d", "default", [("x", fam.normal(2, 3, 2))], lambda x: x.reshape(2, 6))
    for shape, reps in [
        ((3,), [2]),
        ((2, 3), [1, 2]),
        ((2, 1), [3, 2]),
        ((1, 2, 2), [2, 1, 3]),
        ((2,), [1]),
        ((1, 2, 1, 2), [2, 2, 2, 1]),
    ]:
        fn = lambda x: x.repeat(*reps)
        tag = f"{size(shape)}_{'_'.join(map(str, reps))}"
        fam.add("tile", tag, [("x", fam.normal(*shape))], fn, {"reps": reps})
        fam.add("tile", f"{tag}_int", [("x", i32(fam.integers(-9, 9, *shape)))], fn, {"reps": reps})
    for data in [np.array([0.0, 1.0, 0.0, -2.0]), np.array([[1.0, 0.0], [0.0, 3.0]])]:
        fam.add("non_zero", size(data.shape), [("x", fixed(data))], lambda x: torch.nonzero(x).to(torch.int32))


def fill_order(fam):
    """Values are distinct: Apple leaves the order of equal values open."""
    for shape, axis in [((6,), 0), ((2, 5), -1), ((4, 3), 0), ((2, 4, 2), 1)]:
        for ascending in (None, True, False):
            flag = {} if ascending is None else {"ascending": ascending}
            tag = f"{size(shape)}_axis{word(axis)}" + {None: "", True: "_ascending", False: "_descending"}[ascending]
            fn = lambda x: torch.argsort(x, axis, descending=not ascending).to(torch.int32)
            fam.add("argsort", tag, [("x", fixed(fam.distinct(*shape)))], fn, {"axis": axis} | flag)

            for k in (1, 2, shape[axis]):

                def top(x):
                    values, indices = torch.topk(x, k, axis, largest=not ascending, sorted=True)
                    return values, indices.to(torch.int32)

                fam.add("topk", f"{tag}_k{k}", [("x", fam.distinct(*shape))], top, {"k": k, "axis": axis} | flag)
    top1 = lambda x: tuple(t.to(torch.int32) if t.dtype == torch.int64 else t for t in torch.topk(x, 1, -1))
    fam.add("topk", "default", [("x", fam.distinct(2, 4))], top1)
    fam.add(
        "topk",
        "values_only",
        [("x", fam.distinct(2, 4))],
        lambda x: torch.topk(x, 2, -1).values,
        {"k": 2, "axis": -1, "return_indices": False},
    )
    fam.add(
        "topk",
        "int",
        [("x", i32([[3, 9, -4], [7, 0, 5]]))],
        lambda x: tuple(t.to(torch.int32) for t in torch.topk(x, 2, -1)),
        {"k": 2},
    )
    fam.add(
        "argsort",
        "int",
        [("x", i32([[3, 9, -4], [7, 0, 5]]))],
        lambda x: torch.argsort(x, -1, descending=True).to(torch.int32),
    )


def family():
    fam = Family("tensor_operation", 110)
    for fill in (
        fill_band_part,
        fill_joins,
        fill_splits,
        fill_cumsum,
        fill_constants,
        fill_one_hot,
        fill_pad,
        fill_select,
        fill_simple,
        fill_order,
    ):
        fill(fam)
    return fam
