"""Gathers and scatters. Since iOS 17 negative indices are undefined; before, they count from the end."""

import numpy as np
import torch

from case import Family, i32, positive
from windows import size

# How one update meets one old value.
COMBINE = {
    "update": lambda old, new: new,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "max": torch.maximum,
    "min": torch.minimum,
}


def gather(x, indices, axis, batch_dims=0):
    """Looks every element up by coordinates, so that batch dimensions need no special case."""
    axis = positive(axis, x.dim())
    k = indices.to(torch.int64)
    free = k.shape[batch_dims:]
    out = list(x.shape[:axis]) + list(free) + list(x.shape[axis + 1 :])
    coordinates = torch.meshgrid(*[torch.arange(n) for n in out], indexing="ij") if out else ()
    middle = coordinates[axis : axis + len(free)]
    at = k[tuple(coordinates[:batch_dims]) + tuple(middle)] if k.dim() else k
    before, after = coordinates[:axis], coordinates[axis + len(free) :]
    return x[tuple(before) + (at,) + tuple(after)]


def fill_gather(fam):
    table = [
        ((5,), (3,), 0, 0),
        ((5,), (), 0, 0),
        ((4, 3), (2,), 0, 0),
        ((4, 3), (2,), 1, 0),
        ((4, 3), (2, 2), 0, 0),
        ((2, 3, 4), (2,), -1, 0),
        ((2, 3, 4), (3, 2), 1, 0),
        ((2, 3, 4), (), 1, 0),
        ((2, 3, 4), (5,), -2, 0),
        ((10, 3), (2, 4), 0, 0),
        ((2, 5), (2, 3), 1, 1),
        ((2, 5, 3), (2, 3), 1, 1),
        ((2, 2, 4), (2, 2, 3), 2, 2),
        ((2, 3, 4), (2, 2), 2, 1),
        ((3, 4), (3,), 1, 1),
    ]
    for x, k, axis, batch_dims in table:
        depth = x[axis]
        consts = {"axis": axis} | ({"batch_dims": batch_dims} if batch_dims else {})
        tag = f"{size(x)}_by_{size(k) or 'scalar'}_axis{str(axis).replace('-', 'm')}_batch{batch_dims}"
        indices = i32(fam.integers(0, depth, *k))
        fn = lambda x, k: gather(x, k, axis, batch_dims)
        fam.add("gather", tag, [("x", fam.normal(*x)), ("indices", indices)], fn, consts)
        fam.add("gather", f"int_{tag}", [("x", i32(fam.integers(-9, 9, *x))), ("indices", indices)], fn, consts)
    fam.add(
        "gather",
        "default_axis_repeated",
        [("x", fam.normal(4, 2)), ("indices", i32([2, 2, 2, 0]))],
        lambda x, k: gather(x, k, 0),
    )
    for x, k, axis in [
        ((4,), (6,), 0),
        ((3, 2), (2, 2), 0),
        ((2, 5), (2, 3), 1),
        ((2, 3, 4), (2, 1, 4), 1),
        ((2, 3, 4), (2, 3, 2), -1),
        ((2, 3, 2, 2), (4, 3, 2, 2), 0),
    ]:
        tag = f"{size(x)}_by_{size(k)}_axis{str(axis).replace('-', 'm')}"
        fam.add(
            "gather_along_axis",
            tag,
            [("x", fam.normal(*x)), ("indices", i32(fam.integers(0, x[axis], *k)))],
            lambda x, k: torch.gather(x, axis, k.to(torch.int64)),
            {"axis": axis},
        )
    fam.add(
        "gather_along_axis",
        "default_axis",
        [("x", fam.normal(3, 2)), ("indices", i32([[2, 0]]))],
        lambda x, k: torch.gather(x, 0, k.to(torch.int64)),
    )


def draw_nd(fam, limits, shape):
    """Index tuples below `limits`, stored in the last axis."""
    return np.stack([fam.integers(0, n, *shape) for n in limits], axis=-1)


def gather_nd(x, k, batch_dims=0):
    k = k.to(torch.int64)
    batch = torch.meshgrid(*[torch.arange(n) for n in k.shape[:-1]], indexing="ij")[:batch_dims] if batch_dims else ()
    return x[tuple(batch) + tuple(k.unbind(-1))]


def fill_gather_nd(fam):
    for x, shape, depth, batch in [
        ((5,), (3,), 1, 0),
        ((3, 4), (2,), 1, 0),
        ((3, 4), (4,), 2, 0),
        ((2, 3, 4), (2, 2), 2, 0),
        ((2, 3, 4), (3,), 3, 0),
        ((2, 3, 4), (2, 2), 1, 1),
        ((2, 3, 4), (2, 3), 2, 1),
        ((2, 3, 2, 2), (2, 3), 1, 2),
    ]:
        indices = i32(draw_nd(fam, x[batch : batch + depth], shape))
        tag = f"{size(x)}_by_{size(shape)}_depth{depth}_batch{batch}"
        fam.add(
            "gather_nd",
            tag,
            [("x", fam.normal(*x)), ("indices", indices)],
            lambda x, k: gather_nd(x, k, batch),
            {"batch_dims": batch} if batch else {},
        )


def scatter(data, at, updates, mode):
    """`at`: a tuple of index tensors that together name each updated element, each at most once."""
    flat = torch.zeros(data.shape, dtype=torch.int64)
    flat[at] = torch.arange(1, updates.numel() + 1).reshape(updates.shape)
    touched = flat > 0
    placed = torch.where(touched, updates.reshape(-1)[(flat - 1).clamp(min=0)], torch.ones_like(data))
    return torch.where(touched, COMBINE[mode](data, placed), data)


def scatter_duplicates(data, at, updates, sign):
    return data.index_put(at, sign * updates, accumulate=True)


def apply(data, at, updates, mode, unique):
    if unique:
        return scatter(data, at, updates, mode)
    return scatter_duplicates(data, at, updates, -1 if mode == "sub" else 1)


def axis_coordinates(updates_shape, axis, indices):
    """Coordinates of each update when `indices` runs along `axis`."""
    grids = list(torch.meshgrid(*[torch.arange(n) for n in updates_shape], indexing="ij"))
    grids[axis] = indices.to(torch.int64)[grids[axis]] if indices.dim() == 1 else indices.to(torch.int64)
    return tuple(grids)


def scatter_case(fam, op, tag, data, indices, updates_shape, locate, mode, unique, consts, dtype="fp32"):
    if dtype == "int32":
        d, u = i32(fam.integers(-9, 10, *data)), i32(fam.integers(1, 10, *updates_shape))
    else:
        # Distinct and away from zero: no ties for max and min, no small divisor.
        both = fam.distinct(int(np.prod(data)) + int(np.prod(updates_shape))) * 1.0
        both = both + np.where(both >= 0, 0.5, -0.5)
        d, u = both[: int(np.prod(data))].reshape(data), both[int(np.prod(data)) :].reshape(updates_shape)
    fam.add(
        op,
        f"{mode}_{tag}{'' if unique else '_duplicates'}{'_int' if dtype == 'int32' else ''}",
        [("data", d), ("indices", i32(indices)), ("updates", u)],
        lambda d, k, u: apply(d, locate(k), u, mode, unique),
        consts | {"mode": mode},
    )


def fill_scatter(fam):
    for mode in COMBINE:
        for data, count, axis in [((5,), 3, 0), ((4, 3), 2, 0), ((3, 4), 2, -1), ((2, 4, 3), 3, 1)]:
            a = positive(axis, len(data))
            updates = data[:a] + (count,) + data[a + 1 :]
            indices = fam.rng.permutation(data[a])[:count]
            tag = f"{size(data)}_axis{str(axis).replace('-', 'm')}"
            scatter_case(
                fam,
                "scatter",
                tag,
                data,
                indices,
                updates,
                lambda k: axis_coordinates(updates, a, k),
                mode,
                True,
                {"axis": axis},
            )
        if mode in ("add", "sub"):
            for data, indices, axis in [((3, 2), [1, 1, 0, 1], 0), ((2, 4), [3, 0, 3], 1)]:
                updates = data[:axis] + (len(indices),) + data[axis + 1 :]
                locate = lambda k: axis_coordinates(updates, axis, k)
                scatter_case(fam, "scatter", size(data), data, indices, updates, locate, mode, False, {"axis": axis})
        if mode in ("add", "update", "max"):
            locate = lambda k: axis_coordinates((2, 3), 0, k)
            scatter_case(fam, "scatter", "4x3", (4, 3), [3, 1], (2, 3), locate, mode, True, {"axis": 0}, "int32")


def fill_scatter_along_axis(fam):
    for mode in COMBINE:
        for data, count, axis in [((5,), 3, 0), ((4, 3), 2, 0), ((3, 4), 3, -1), ((2, 4, 2), 2, 1)]:
            a = positive(axis, len(data))
            updates = data[:a] + (count,) + data[a + 1 :]
            # Each line along the axis gets its own distinct indices.
            order = np.argsort(fam.rng.random(data), axis=a)
            indices = np.take(order, np.arange(count), axis=a)
            tag = f"{size(data)}_axis{str(axis).replace('-', 'm')}"
            scatter_case(
                fam,
                "scatter_along_axis",
                tag,
                data,
                indices,
                updates,
                lambda k: axis_coordinates(updates, a, k),
                mode,
                True,
                {"axis": axis},
            )
        if mode in ("add", "sub"):
            indices = np.array([[0, 2, 1], [0, 2, 2], [0, 0, 2]])
            scatter_case(
                fam,
                "scatter_along_axis",
                "3x3",
                (3, 3),
                indices,
                (3, 3),
                lambda k: axis_coordinates((3, 3), 0, k),
                mode,
                False,
                {"axis": 0},
            )


def fill_scatter_nd(fam):
    nd = lambda k, rest: tuple(k.to(torch.int64).unbind(-1))
    for mode in COMBINE:
        for data, indices in [
            ((5,), [[3], [0]]),
            ((4, 3), [[2], [0]]),
            ((3, 4), [[0, 1], [2, 3], [1, 1]]),
            ((2, 3, 2), [[[0, 1], [1, 2]], [[0, 0], [1, 0]]]),
            ((2, 2, 3), [[1, 0, 2]]),
        ]:
            indices = np.array(indices)
            depth = indices.shape[-1]
            updates = indices.shape[:-1] + data[depth:]
            scatter_case(
                fam,
                "scatter_nd",
                f"{size(data)}_depth{depth}",
                data,
                indices,
                updates,
                lambda k: nd(k, data),
                mode,
                True,
                {},
            )
        if mode in ("add", "sub"):
            for data, indices in [((3, 2), [[1], [1], [2]]), ((2, 3), [[0, 1], [0, 1], [1, 2], [0, 1]])]:
                indices = np.array(indices)
                updates = indices.shape[:-1] + data[indices.shape[-1] :]
                scatter_case(
                    fam,
                    "scatter_nd",
                    f"{size(data)}_depth{indices.shape[-1]}",
                    data,
                    indices,
                    updates,
                    lambda k: nd(k, data),
                    mode,
                    False,
                    {},
                )
    fam.add(
        "scatter_nd",
        "default_mode",
        [("data", fam.normal(4)), ("indices", i32([[1], [3], [1]])), ("updates", fam.normal(3))],
        lambda d, k, u: d.index_put((k.to(torch.int64)[:, 0],), u, accumulate=True),
    )


def fill_old_opsets(fam):
    x, k = ("x", fam.normal(2, 4)), ("indices", i32([-1, 0, -4, 3]))
    fam.add("gather", "negative_ios16", [x, k], lambda x, k: x[:, k.to(torch.int64)], {"axis": 1}, opset="ios16")
    d, k, u = ("data", fam.normal(4, 3)), ("indices", i32([-2, 0])), ("updates", fam.normal(2, 3))
    fn = lambda d, k, u: d.index_put((k.to(torch.int64),), u, accumulate=True)
    fam.add("scatter", "negative_default_mode_ios15", [d, k, u], fn, {"axis": 0}, opset="ios15")


def family():
    fam = Family("scatter_gather", 109)
    fill_gather(fam)
    fill_gather_nd(fam)
    fill_scatter(fam)
    fill_scatter_along_axis(fam)
    fill_scatter_nd(fam)
    fill_old_opsets(fam)
    return fam
