"""Ops that move elements about: reshapes, slices, reversals, space and depth."""

import numpy as np
import torch
import torch.nn.functional as F

from case import Family, boolean, i32
from windows import size


def word(values):
    return "_".join(str(v) for v in values).replace("-", "m") or "none"


def fill_shapes(fam):
    def both(op, tag, shape, fn, consts):
        fam.add(op, tag, [("x", fam.normal(*shape))], fn, consts)
        fam.add(op, f"{tag}_int", [("x", i32(fam.integers(-9, 9, *shape)))], fn, consts)

    for shape, axes in [
        ((3,), [0]),
        ((3,), [-1]),
        ((2, 3), [1]),
        ((2, 3), [0, 3]),
        ((2, 3), [0, -1]),
        ((2,), [2, 0, 1]),
        ((), [0]),
    ]:
        target = list(shape)
        for a in sorted(a + len(shape) + len(axes) if a < 0 else a for a in axes):
            target.insert(a, 1)
        both(
            "expand_dims", f"{size(shape) or 'scalar'}_{word(axes)}", shape, lambda x: x.reshape(target), {"axes": axes}
        )
    for shape, axes in [
        ((1, 3), [0]),
        ((3, 1), [-1]),
        ((1, 2, 1, 3), [0, 2]),
        ((1, 2, 1), None),
        ((2, 1, 3, 1), [1]),
        ((2, 1, 3, 1), [-1, 1]),
    ]:
        gone = range(len(shape)) if axes is None else [a % len(shape) for a in axes]
        target = [n for i, n in enumerate(shape) if not (i in gone and n == 1)]
        both(
            "squeeze",
            f"{size(shape)}_{'all' if axes is None else word(axes)}",
            shape,
            lambda x: x.reshape(target),
            {} if axes is None else {"axes": axes},
        )
    for shape, target in [
        ((6,), [2, 3]),
        ((2, 3), [6]),
        ((2, 3, 4), [4, 6]),
        ((2, 3, 4), [-1, 4]),
        ((2, 3, 4), [2, -1]),
        ((2, 3, 4), [0, -1, 2]),
        ((1, 4), [4]),
        ((4,), [1, 2, 1, 2]),
        ((2, 3), [3, 2]),
        ((1, 1), [1]),
        ((2, 3, 4), [-1, 0]),
        ((2, 3, 4), [0, 0, 0, 1, -1]),
    ]:
        resolved = [copied(shape, i - len(target)) if n == 0 else n for i, n in enumerate(target)]
        both("reshape", f"{size(shape)}_to_{word(target)}", shape, lambda x: x.reshape(resolved), {"shape": target})
    for shape, perm in [
        ((3,), [0]),
        ((2, 3), [1, 0]),
        ((2, 3), [0, 1]),
        ((2, 3, 4), [2, 0, 1]),
        ((2, 3, 4), [0, 2, 1]),
        ((2, 3, 4), [-1, -2, -3]),
        ((1, 2, 3, 4), [0, 2, 3, 1]),
        ((2, 2, 3, 2), [0, 2, 1, 3]),
        ((2, 1, 2, 3, 2), [4, 2, 0, 1, 3]),
    ]:
        both("transpose", f"{size(shape)}_{word(perm)}", shape, lambda x: x.permute(perm), {"perm": perm})


def copied(shape, from_end):
    """What a 0 of `reshape` stands for since iOS 17: places are counted from the last one, and 1 is what `x` lacks."""
    return shape[from_end] if -from_end <= len(shape) else 1


def fill_blocks(fam):
    """`depth_to_space` walks block positions in the outer part of the channel axis, `pixel_shuffle` in the inner."""
    for shape, b in [((1, 4, 1, 1), 2), ((1, 8, 2, 1), 2), ((2, 4, 1, 3), 2), ((1, 9, 1, 2), 3), ((1, 12, 2, 2), 2)]:
        n, c, h, w = shape
        x = fam.normal(*shape)
        outer = lambda x: (
            x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // (b * b), h * b, w * b)
        )
        fam.add("depth_to_space", f"{size(shape)}_b{b}", [("x", x)], outer, {"block_size": b})
        fam.add(
            "pixel_shuffle", f"{size(shape)}_f{b}", [("x", x)], lambda x: F.pixel_shuffle(x, b), {"upscale_factor": b}
        )
    for shape, b in [((1, 1, 2, 2), 2), ((1, 2, 4, 2), 2), ((2, 1, 2, 6), 2), ((1, 1, 3, 6), 3), ((1, 3, 4, 4), 2)]:
        n, c, h, w = shape
        x = fam.normal(*shape)
        outer = lambda x: (
            x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)
        )
        fam.add("space_to_depth", f"{size(shape)}_b{b}", [("x", x)], outer, {"block_size": b})
        fam.add(
            "pixel_unshuffle",
            f"{size(shape)}_f{b}",
            [("x", x)],
            lambda x: F.pixel_unshuffle(x, b),
            {"downscale_factor": b},
        )

    for shape, (bh, bw), pads in [
        ((1, 1, 2, 2), (2, 2), ((0, 0), (0, 0))),
        ((2, 1, 2, 4), (2, 2), ((0, 0), (2, 0))),
        ((1, 2, 3, 2), (2, 1), ((1, 0), (0, 0))),
        ((1, 1, 3, 4), (3, 2), ((0, 0), (1, 1))),
        ((2, 2, 2, 3), (1, 3), ((0, 0), (0, 0))),
    ]:
        n, c, h, w = shape
        rows, columns = (h + sum(pads[0])) // bh, (w + sum(pads[1])) // bw

        def to_batch(x):
            x = F.pad(x, [*pads[1], *pads[0]])
            return (
                x.reshape(n, c, rows, bh, columns, bw).permute(3, 5, 0, 1, 2, 4).reshape(bh * bw * n, c, rows, columns)
            )

        def to_space(y):
            x = y.reshape(bh, bw, n, c, rows, columns).permute(2, 3, 4, 0, 5, 1).reshape(n, c, rows * bh, columns * bw)
            return x[:, :, pads[0][0] : pads[0][0] + h, pads[1][0] : pads[1][0] + w]

        tag = f"{size(shape)}_{bh}x{bw}_{word(sum(pads, ()))}"
        fam.add(
            "space_to_batch", tag, [("x", fam.normal(*shape))], to_batch, {"block_shape": [bh, bw], "paddings": pads}
        )
        fam.add(
            "batch_to_space",
            tag,
            [("x", fam.normal(bh * bw * n, c, rows, columns))],
            to_space,
            {"block_shape": [bh, bw], "crops": pads},
        )


def fill_reversals(fam):
    for shape, axes in [
        ((4,), [0]),
        ((2, 3), [1]),
        ((2, 3), [0, 1]),
        ((2, 3), None),
        ((2, 3, 2), [-1]),
        ((2, 3, 2), [0, -1]),
        ((1, 2, 3, 2), [1, 2]),
    ]:
        dims = list(range(len(shape))) if axes is None else axes
        fam.add(
            "reverse",
            f"{size(shape)}_{'all' if axes is None else word(axes)}",
            [("x", fam.normal(*shape))],
            lambda x: torch.flip(x, dims),
            {} if axes is None else {"axes": axes},
        )
    fam.add("reverse", "int", [("x", i32([[1, 2, 3]]))], lambda x: torch.flip(x, [1]), {"axes": [1]})
    for shape, lengths, seq, batch in [
        ((4, 8), [7, 2, 3, 5], 1, 0),
        ((5, 3), [0, 5, 2], 0, 1),
        ((2, 4, 3), [1, 3], 1, 0),
        ((2, 3, 4), [4, 2, 3], 2, 1),
    ]:
        source = np.indices(shape)
        inside = source[seq] < np.array(lengths)[source[batch]]
        source[seq] = np.where(inside, np.array(lengths)[source[batch]] - 1 - source[seq], source[seq])
        at = tuple(torch.tensor(s) for s in source)
        fam.add(
            "reverse_sequence",
            f"{size(shape)}_seq{seq}_batch{batch}",
            [("x", fam.normal(*shape)), ("lengths", i32(lengths))],
            lambda x, _: x[at],
            {"seq_axis": seq, "batch_axis": batch},
        )


def source_indices(shape, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    """Which elements a slice names, per axis, by Python's own slice rules; and which axes vanish."""
    rank = len(shape)
    none = [False] * rank
    stride, begin_mask, end_mask = stride or [1] * rank, begin_mask or none, end_mask or none
    squeeze_mask = squeeze_mask or none
    axes = []
    for i, n in enumerate(shape):
        places = np.arange(n)
        if squeeze_mask[i]:
            axes.append(places[[begin[i]]])
        else:
            axes.append(places[slice(None if begin_mask[i] else begin[i], None if end_mask[i] else end[i], stride[i])])
    return axes, [i for i in range(rank) if squeeze_mask[i]]


# (tag, shape, parameters)
SLICES = [
    ("plain", (5,), {"begin": [1], "end": [4]}),
    ("whole", (2, 3), {"begin": [0, 0], "end": [2, 3]}),
    ("inner", (4, 5), {"begin": [1, 2], "end": [3, 5]}),
    ("one_row", (3, 2), {"begin": [1, 0], "end": [2, 2]}),
    ("stride", (6, 5), {"begin": [0, 1], "end": [6, 5], "stride": [2, 3]}),
    ("stride_uneven_end", (7,), {"begin": [1], "end": [6], "stride": [2]}),
    ("negative_indices", (4, 5), {"begin": [-3, -4], "end": [-1, -1]}),
    ("negative_begin", (5,), {"begin": [-2], "end": [5]}),
    ("end_beyond", (4,), {"begin": [2], "end": [100]}),
    ("backwards", (5,), {"begin": [4], "end": [1], "stride": [-1]}),
    ("backwards_all", (5,), {"begin": [0], "end": [0], "stride": [-1], "begin_mask": [True], "end_mask": [True]}),
    ("backwards_stride", (7, 2), {"begin": [6, 0], "end": [0, 2], "stride": [-2, 1]}),
    ("backwards_to_start", (4, 3), {"begin": [3, 2], "end": [0, 0], "stride": [-2, -1], "end_mask": [True, True]}),
    ("begin_mask", (4, 3), {"begin": [2, 1], "end": [3, 3], "begin_mask": [True, False]}),
    ("end_mask", (4, 3), {"begin": [2, 1], "end": [0, 2], "end_mask": [True, False]}),
    (
        "both_masks",
        (2, 3, 4),
        {"begin": [0, 1, 0], "end": [0, 2, 0], "begin_mask": [True, False, True], "end_mask": [True, False, True]},
    ),
    ("squeeze", (4, 3), {"begin": [2, 0], "end": [3, 3], "squeeze_mask": [True, False]}),
    ("squeeze_negative", (4, 3), {"begin": [-1, 0], "end": [0, 3], "squeeze_mask": [True, False]}),
    ("squeeze_two", (2, 3, 4), {"begin": [1, 0, 2], "end": [2, 3, 3], "squeeze_mask": [True, False, True]}),
    (
        "squeeze_and_stride",
        (2, 3, 5),
        {"begin": [0, 1, 0], "end": [1, 2, 5], "stride": [1, 1, 2], "squeeze_mask": [False, True, False]},
    ),
    ("rank4", (1, 3, 4, 2), {"begin": [0, 1, 0, 1], "end": [1, 3, 4, 2], "stride": [1, 1, 2, 1]}),
]


def fill_slices(fam):
    for tag, shape, options in SLICES:
        axes, gone = source_indices(shape, **options)
        at = torch.meshgrid(*[torch.tensor(a.copy()) for a in axes], indexing="ij")

        def fn(x):
            y = x[at]
            return y.reshape([n for i, n in enumerate(y.shape) if i not in gone])

        fam.add("slice_by_index", tag, [("x", fam.normal(*shape))], fn, options)
        result = [len(a) for i, a in enumerate(axes) if i not in gone]
        if result:
            fam.add(
                "slice_update",
                tag,
                [("x", fam.normal(*shape)), ("update", fam.normal(*result))],
                lambda x, u: x.index_put(at, u.reshape([len(a) for a in axes])),
                options,
            )
    fam.add(
        "slice_by_index",
        "to_scalar",
        [("x", fam.normal(2, 3))],
        lambda x: x[1, 2],
        {"begin": [1, 2], "end": [2, 3], "squeeze_mask": [True, True]},
    )
    fam.add("slice_by_index", "int", [("x", i32([1, 2, 3, 4]))], lambda x: x[1:3], {"begin": [1], "end": [3]})
    fam.add(
        "slice_by_index", "bool", [("x", boolean([True, False, True]))], lambda x: x[1:], {"begin": [1], "end": [3]}
    )
    fam.add(
        "slice_update",
        "int",
        [("x", i32([1, 2, 3, 4])), ("update", i32([8, 9]))],
        lambda x, u: torch.cat([x[:1], u, x[3:]]),
        {"begin": [1], "end": [3]},
    )
    for shape, begin, length in [
        ((5,), [1], [3]),
        ((3, 4), [0, 1], [2, 2]),
        ((3, 4), [1, 2], [-1, -1]),
        ((2, 3, 4), [0, 1, 2], [2, -1, 1]),
        ((1, 2, 3, 2), [0, 1, 0, 0], [1, 1, 2, 2]),
        ((4,), [-2], [2]),
    ]:
        window = tuple(slice(b % n, n if s == -1 else b % n + s) for b, s, n in zip(begin, length, shape))
        fam.add(
            "slice_by_size",
            f"{size(shape)}_{word(begin)}_{word(length)}",
            [("x", fam.normal(*shape))],
            lambda x: x[window],
            {"begin": begin, "size": length},
        )


def fill_sliding_windows(fam):
    for shape, axis, length, stride in [
        ((5,), 0, 2, None),
        ((6,), 0, 3, 2),
        ((2, 5), 1, 3, 1),
        ((4, 3), 0, 2, 2),
        ((2, 5, 2), -2, 2, None),
        ((1, 4, 1, 2), 1, 2, 1),
        ((2, 3), -1, 3, 1),
    ]:
        a = axis % len(shape)
        fn = lambda x: x.unfold(a, length, stride or 1).movedim(-1, a + 1)
        consts = {"axis": axis, "size": length} | ({} if stride is None else {"stride": stride})
        fam.add(
            "sliding_windows",
            f"{size(shape)}_axis{word([axis])}_size{length}_stride{stride or 'default'}",
            [("x", fam.normal(*shape))],
            fn,
            consts,
        )


def family():
    fam = Family("tensor_transformation", 111)
    for fill in (fill_shapes, fill_blocks, fill_reversals, fill_slices, fill_sliding_windows):
        fill(fam)
    return fam
