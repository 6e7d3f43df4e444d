"""Resizing, cropping and resampling of images.

Grids follow the formulas of Apple's documentation (`resize_bilinear`), as exact fractions; what documentation leaves open
follows the values that coremltools' own tests expect of Core ML. Where PyTorch has the same op (`interpolate`,
`grid_sample`, `affine_grid`), its result must be the same.
"""

import math
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

from case import Family, Tensor, f32, i32
from windows import size

MODES = ["STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "UNALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS"]


def close(a, b):
    return torch.allclose(a, b, rtol=1e-9 if a.dtype == torch.float64 else 1e-3, atol=1e-9 if a.dtype == torch.float64 else 1e-4)


# -- dimensions resized one by one ------------------------------------------------------------------------------------


def grid_points(mode, before, after):
    """Points on [0, before - 1], as fractions."""
    last = Fraction(before - 1)
    if mode == "ALIGN_CORNERS" and after == 1:
        points = [last / 2]
    elif mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        points = [i * last / max(after - 1, 1) for i in range(after)]
    elif mode == "DEFAULT":
        points = [Fraction(i * before, after) for i in range(after)]
    elif mode == "UNALIGN_CORNERS":
        points = [Fraction(i * before, after) + Fraction(before, 2 * after) - Fraction(1, 2) for i in range(after)]
    else:
        delta = max(Fraction(1), last) / after
        points = [delta / 2 + i * delta for i in range(after)]
    return [min(last, max(Fraction(0), point)) for point in points]


def linear(mode):
    def matrix(before, after):
        m = np.zeros((after, before))
        for i, point in enumerate(grid_points(mode, before, after)):
            low = math.floor(point)
            m[i, low] += float(1 - (point - low))
            if point > low:
                m[i, low + 1] += float(point - low)
        return m

    return matrix


def picking(index):
    def matrix(before, after):
        m = np.zeros((after, before))
        for i in range(after):
            m[i, index(before, after, i)] = 1.0
        return m

    return matrix


floor_nearest = picking(lambda before, after, i: i * before // after)


def nearest(mode):
    if mode == "DEFAULT":
        # The element in which the middle of the output element falls.
        return picking(lambda before, after, i: (2 * i + 1) * before // (2 * after))
    return picking(lambda before, after, i: math.floor(grid_points(mode, before, after)[i] + Fraction(1, 2)))


def apply(x, sizes, matrix):
    """`x` with its last dimensions resized to `sizes`."""
    for i, after in enumerate(sizes):
        axis = x.dim() - len(sizes) + i
        m = torch.tensor(matrix(x.shape[axis], after)).to(x.dtype)
        x = torch.movedim(torch.tensordot(m, x, dims=([1], [axis])), 0, axis)
    return x


def same_as_interpolate(x, y, sizes, mode, nearest_mode=None):
    """Compares with PyTorch where it has the grid."""
    flat = x.detach().reshape(1, -1, *x.shape[-2:])
    if nearest_mode:
        want = F.interpolate(flat, sizes, mode=nearest_mode)
    elif mode in ("STRICT_ALIGN_CORNERS", "UNALIGN_CORNERS"):
        want = F.interpolate(flat, sizes, mode="bilinear", align_corners=mode == "STRICT_ALIGN_CORNERS")
    else:
        return
    assert close(want.reshape(y.shape), y.detach()), (mode, nearest_mode, x.shape, sizes)


SIZES = [
    ((1, 2, 3, 4), (6, 5)),
    ((1, 3, 5), (7, 3)),
    ((1, 1, 6, 7), (3, 2)),
    ((1, 2, 4), (1, 1)),
    ((2, 1, 1, 1), (3, 2)),
    ((1, 4, 3), (4, 5)),
]


def resize_bilinear(fam):
    for mode in MODES:
        for shape, sizes in SIZES:

            def fn(x, sizes=sizes, mode=mode):
                y = apply(x, sizes, linear(mode))
                same_as_interpolate(x, y, sizes, mode)
                return y

            consts = {"target_size_height": sizes[0], "target_size_width": sizes[1], "sampling_mode": mode}
            fam.add("resize_bilinear", f"{mode.lower()}_{size(shape)}_{size(sizes)}", [("x", fam.normal(*shape))], fn, consts)
    fam.add("resize_bilinear", "defaults", [("x", fam.normal(1, 3, 4))], lambda x: apply(x, (1, 1), linear("DEFAULT")))


def resize_nearest(fam):
    for shape, sizes in [*SIZES, ((1, 2, 3, 4), (3, 4)), ((1, 3, 7), (11, 5))]:

        def fn(x, sizes=sizes):
            y = apply(x, sizes, floor_nearest)
            same_as_interpolate(x, y, sizes, None, "nearest")
            return y

        consts = {"target_size_height": sizes[0], "target_size_width": sizes[1]}
        fam.add("resize_nearest_neighbor", f"{size(shape)}_{size(sizes)}", [("x", fam.normal(*shape))], fn, consts)


FACTORS = [
    ("integer", (1, 2, 3, 4), (2, 3)),
    ("one", (1, 3, 4), (1, 1)),
    ("fraction", (2, 4, 5), (2.5, 1.7)),
    ("less", (1, 1, 6, 7), (0.5, 0.75)),
    ("same_size", (1, 3, 3), (1.12, 1.3)),
    ("nearly", (1, 10, 2), (0.7, 1.0)),
]


def upsample(fam):
    for tag, shape, factors in FACTORS:
        sizes = [int(np.floor(np.float32(n) * np.float32(factor))) for n, factor in zip(shape[-2:], factors)]
        scale = dict(zip(["scale_factor_height", "scale_factor_width"], factors))

        def fn(x, sizes=sizes):
            y = apply(x, sizes, floor_nearest)
            same_as_interpolate(x, y, sizes, None, "nearest")
            return y

        fam.add("upsample_nearest_neighbor", tag, [("x", fam.normal(*shape))], fn, scale)
        for flags, mode in [
            ({"align_corners": True}, "STRICT_ALIGN_CORNERS"),
            ({"align_corners": False}, "UNALIGN_CORNERS"),
            ({"align_corners": False, "half_pixel_centers": False}, "DEFAULT"),
            ({}, "STRICT_ALIGN_CORNERS"),
        ]:

            def bilinear(x, sizes=sizes, mode=mode):
                y = apply(x, sizes, linear(mode))
                same_as_interpolate(x, y, sizes, mode)
                return y

            name = f"{tag}_{mode.lower()}" if flags else f"{tag}_defaults"
            fam.add("upsample_bilinear", name, [("x", fam.normal(*shape))], bilinear, scale | flags)


def resize(fam):
    table = [
        ("plane", (1, 3, 4), [1, 5, 6], 2, (5, 6)),
        ("kept", (2, 3, 4), [5, 0], 2, (5, 4)),
        ("last", (2, 3, 4), [9, 9, 5], 1, (5,)),
        ("line", (7,), [3], 1, (3,)),
        ("volume", (1, 2, 2, 3), [3, 4, 2], 3, (3, 4, 2)),
        ("less", (1, 7, 5), [3, 4], 2, (3, 4)),
        ("one", (1, 1, 6), [3, 1], 2, (3, 1)),
        ("none", (2, 3), [4], 0, ()),
    ]
    for mode in MODES:
        for interpolation, matrix in [("LINEAR", linear(mode)), ("NEAREST_NEIGHBOR", nearest(mode))]:
            # What does not depend on the mode is shown in one.
            for tag, shape, target, count, sizes in table if mode == "DEFAULT" else table[:1] + table[3:7]:

                def fn(x, sizes=sizes, matrix=matrix, mode=mode, interpolation=interpolation):
                    y = apply(x, sizes, matrix)
                    if len(sizes) == 2 and interpolation == "LINEAR":
                        same_as_interpolate(x, y, sizes, mode)
                    if len(sizes) == 2 and interpolation != "LINEAR" and mode in ("DEFAULT", "UNALIGN_CORNERS"):
                        same_as_interpolate(x, y, sizes, mode, "nearest-exact")
                    return y

                consts = {
                    "shape": target,
                    "resized_dims": count,
                    "interpolation_mode": interpolation,
                    "sampling_mode": mode,
                }
                name = f"{interpolation.split('_')[0].lower()}_{mode.lower()}_{tag}"
                fam.add("resize", name, [("x", fam.normal(*shape))], fn, consts)
        exact = lambda x, mode=mode: apply(torch.as_tensor(x).double(), (4, 6), linear(mode))
        while True:
            # Halves could go either way by the last bit of a weight.
            integers = fam.integers(-50, 50, 1, 3, 4)
            if ((exact(integers) % 1 - 0.5).abs() > 0.01).all():
                break
        whole = lambda x, exact=exact: torch.round(exact(x)).to(torch.int32)
        consts = {"shape": [4, 6], "resized_dims": 2, "sampling_mode": mode}
        fam.add("resize", f"integers_{mode.lower()}", [("x", i32(integers))], whole, consts)
    fam.add(
        "resize",
        "defaults",
        [("x", fam.normal(3, 4))],
        lambda x: apply(x, (5,), linear("DEFAULT")),
        {"shape": [5], "resized_dims": 1},
    )


def crop(fam):
    for tag, shape, (top, bottom), (left, right) in [
        ("all_sides", (1, 2, 6, 7), (1, 2), (3, 1)),
        ("nothing", (2, 3, 4), (0, 0), (0, 0)),
        ("one_left", (2, 3, 4), (2, 0), (0, 3)),
        ("volume", (1, 2, 2, 4, 5), (1, 1), (0, 2)),
    ]:

        def fn(x, top=top, bottom=bottom, left=left, right=right):
            return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]

        fam.add("crop", tag, [("x", fam.normal(*shape))], fn, {"crop_height": [top, bottom], "crop_width": [left, right]})


# -- points -----------------------------------------------------------------------------------------------------------


def pixels(x, row, column, value):
    """`x[:, row, column]` `[C, ...]` at integer positions, `value` outside."""
    height, width = x.shape[-2:]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    taken = x[:, row.clamp(0, height - 1), column.clamp(0, width - 1)]
    return torch.where(inside, taken, torch.full_like(taken, value))


def bilinear_at(x, y, column, value=0.0):
    """`x` `[C, H, W]` between four pixels; differentiable by the positions."""
    top, left = torch.floor(y).long(), torch.floor(column).long()
    down, right = y - torch.floor(y).detach(), column - torch.floor(column).detach()
    return (
        pixels(x, top, left, value) * (1 - down) * (1 - right)
        + pixels(x, top, left + 1, value) * (1 - down) * right
        + pixels(x, top + 1, left, value) * down * (1 - right)
        + pixels(x, top + 1, left + 1, value) * down * right
    )


def mirrored(p, low, high):
    """Positions folded into [low, high]."""
    span = high - low
    if span == 0:
        return torch.full_like(p, low) + 0 * p
    turn = torch.remainder(p - low, 2 * span)
    return low + torch.where(turn <= span, turn, 2 * span - turn)


def padded(p, count, mode):
    if mode == "constant":
        return p
    if mode == "reflection":
        p = mirrored(p, 0, count - 1)
    elif mode == "symmetric":
        p = mirrored(p, -0.5, count - 0.5)
    return p.clamp(0, count - 1)


def to_pixels(c, count, mode, align):
    if mode == "unnormalized":
        return c
    if mode == "normalized_minus_one_to_one":
        c = (c + 1) / 2
    return c * (count - 1) if align else c * count - 0.5


def resample_at(x, coordinates, sampling, padding, value, mode, align):
    planes = []
    for image, points in zip(x, coordinates.to(x.dtype)):
        y = padded(to_pixels(points[..., 1], x.shape[2], mode, align), x.shape[2], padding)
        column = padded(to_pixels(points[..., 0], x.shape[3], mode, align), x.shape[3], padding)
        if sampling == "bilinear":
            planes.append(bilinear_at(image, y, column, value))
        else:
            planes.append(pixels(image, torch.round(y).long(), torch.round(column).long(), value))
    return torch.stack(planes)


TORCH_PADDING = {
    ("constant", True): "zeros",
    ("constant", False): "zeros",
    ("border", True): "border",
    ("border", False): "border",
    ("reflection", True): "reflection",
    ("symmetric", False): "reflection",
}


def same_as_grid_sample(x, coordinates, y, sampling, padding, value, mode, align):
    own = TORCH_PADDING.get((padding, align))
    if own is None or mode != "normalized_minus_one_to_one" or (padding == "constant" and value != 0.0):
        return False
    grid = coordinates.detach().to(x.dtype)
    want = F.grid_sample(x.detach(), grid, mode=sampling, padding_mode=own, align_corners=align)
    assert close(want, y.detach()), (sampling, padding, align)
    return True


def resample(fam):
    compared = 0
    for sampling in ["bilinear", "nearest"]:
        for padding in ["constant", "border", "reflection", "symmetric"]:
            for mode in ["unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"]:
                for align in [True, False]:
                    for value in [0.0, 1.5] if padding == "constant" else [-1.0]:
                        args = (sampling, padding, value, mode, align)
                        # Points up to twice the image away, so that mirrors mirror again.
                        low, high = {"unnormalized": (-6, 9), "normalized_minus_one_to_one": (-3.5, 3.5)}.get(mode, (-1.7, 2.7))
                        x = fam.normal(2, 1, 3, 4)
                        points = fam.uniform(low, high, 2, 2, 2, 2)

                        def fn(x, coordinates, args=args):
                            nonlocal compared
                            y = resample_at(x, coordinates, *args)
                            compared += same_as_grid_sample(x, coordinates, y, *args)
                            return y

                        name = f"{sampling}_{padding}_{mode}_{'aligned' if align else 'edges'}"
                        name += "_value" if value == 1.5 else ""
                        consts = dict(
                            zip(["sampling_mode", "padding_mode", "padding_value", "coordinates_mode", "align_corners"], args)
                        )
                        fam.add("resample", name, [("x", x), ("coordinates", points)], fn, consts)
    assert compared >= 12, compared
    # A single row and column; whole coordinates.
    for padding in ["border", "reflection", "symmetric"]:
        args = ("bilinear", padding, 0.0, "normalized_minus_one_to_one", padding != "symmetric")
        consts = {"sampling_mode": args[0], "padding_mode": args[1], "padding_value": 0.0, "coordinates_mode": args[3]}
        fam.add(
            "resample",
            f"one_pixel_{padding}",
            [("x", fam.normal(1, 2, 1, 1)), ("coordinates", fam.uniform(-3, 3, 1, 2, 2, 2))],
            lambda x, c, args=args: resample_at(x, c, *args),
            consts | {"align_corners": args[4]},
        )
    for sampling in ["bilinear", "nearest"]:
        args = (sampling, "constant", 2.5, "unnormalized", False)
        consts = {"sampling_mode": sampling, "padding_mode": "constant", "padding_value": 2.5}
        fam.add(
            "resample",
            f"integers_{sampling}",
            [("x", fam.normal(1, 2, 3, 4)), ("coordinates", i32(fam.integers(-1, 5, 1, 3, 3, 2)))],
            lambda x, c, args=args: resample_at(x, c, *args),
            consts | {"coordinates_mode": "unnormalized", "align_corners": False},
        )


def affine(fam):
    for align in [True, False]:
        for tag, shape, matrices, (height, width) in [
            ("each", (2, 3, 3, 4), 2, (4, 3)),
            ("all", (2, 1, 4, 3), 1, (2, 5)),
            ("one_pixel", (1, 2, 3, 3), 1, (1, 1)),
            ("column", (1, 1, 1, 4), 1, (3, 1)),
        ]:

            def fn(x, matrix, height=height, width=width, align=align):
                theta = matrix.reshape(-1, 2, 3).expand(x.shape[0], 2, 3)
                grid = F.affine_grid(theta, [x.shape[0], 1, height, width], align_corners=align)
                y = resample_at(x, grid, "bilinear", "constant", 0.0, "normalized_minus_one_to_one", align)
                assert same_as_grid_sample(x, grid, y, "bilinear", "constant", 0.0, "normalized_minus_one_to_one", align)
                return y

            matrix = np.tile(np.array([0.8, 0.1, 0.05, -0.1, 0.9, -0.05]), (matrices, 1)) + fam.uniform(-0.4, 0.4, matrices, 6)
            consts = {
                "output_height": height,
                "output_width": width,
                "sampling_mode": "bilinear",
                "padding_mode": "constant",
                "padding_value": 0.0,
                "coordinates_mode": "normalized_minus_one_to_one",
                "align_corners": align,
            }
            name = f"{tag}_{'aligned' if align else 'edges'}"
            fam.add("affine", name, [("x", fam.normal(*shape)), ("transform_matrix", matrix)], fn, consts)


# -- boxes ------------------------------------------------------------------------------------------------------------


def in_box(start, end, mode, count):
    """Positions `[N, count]` of boxes from `start` to `end` (`[N]`): the documented grid over `|end - start| + 1` elements,
    walked from `start`."""
    length = (end - start).abs()[:, None]
    i = torch.arange(count, dtype=start.dtype)[None, :]
    if mode == "ALIGN_CORNERS" and count == 1:
        way = length / 2
    elif mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        way = i * length / max(count - 1, 1)
    elif mode == "DEFAULT":
        way = i * (length + 1) / count
    elif mode == "UNALIGN_CORNERS":
        way = (i + 0.5) * (length + 1) / count - 0.5
    else:
        way = (i + 0.5) * torch.clamp(length, min=1.0) / count
    way = torch.minimum(torch.clamp(way, min=0.0), length)
    return start[:, None] + torch.sign(end - start)[:, None] * way


def crops(x, boxes, images, options):
    """`[N, C, h, w]`; `boxes` `[N, 4]`, `images` their images."""
    height, width = x.shape[-2:]
    rows, columns = options.get("target_height", 1), options.get("target_width", 1)
    layout = options.get("box_coordinate_mode", "CORNERS_HEIGHT_FIRST")
    mode = options.get("sampling_mode", "DEFAULT")
    boxes = boxes.to(x.dtype) * options.get("spatial_scale", 1.0)
    a, b, c, d = boxes.unbind(1)
    if layout.endswith("WIDTH_FIRST"):
        a, b, c, d = b, a, d, c
    if layout.startswith("CENTER"):
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    if options.get("normalized_coordinates", False):
        a, b, c, d = a * (height - 1), b * (width - 1), c * (height - 1), d * (width - 1)
    y = in_box(a, c, mode, rows)[:, :, None].expand(-1, rows, columns)
    p = in_box(b, d, mode, columns)[:, None, :].expand(-1, rows, columns)
    inside = (y >= 0) & (y <= height - 1) & (p >= 0) & (p <= width - 1)
    pad = options.get("pad_value", 0.0)
    results = []
    for n, image in enumerate(images):
        y_n, p_n = y[n].clamp(0, height - 1), p[n].clamp(0, width - 1)
        value = bilinear_at(x[image], y_n, p_n)
        results.append(torch.where(inside[n], value, torch.full_like(value, pad)))
    return torch.stack(results)


def roi_of(boxes, images=None):
    """Boxes in the form before iOS17."""
    if images is not None:
        boxes = np.concatenate([np.array(images, np.float32)[:, None], boxes], axis=1)
    return boxes.reshape(boxes.shape[0], 1, -1, 1, 1)


def crop_resize(fam):
    def boxes_for(layout, normalized, height, width, count):
        h = np.sort(fam.uniform(0.02, 0.95, count, 2), axis=1)
        w = np.sort(fam.uniform(0.02, 0.95, count, 2), axis=1)
        # One is read backwards.
        h[-1] = h[-1][::-1]
        if not normalized:
            h, w = h * (height - 1), w * (width - 1)
        if layout.startswith("CENTER"):
            h = np.stack([h.mean(1), h[:, 1] - h[:, 0]], axis=1)
            w = np.stack([w.mean(1), w[:, 1] - w[:, 0]], axis=1)
        first, second = (h, w) if layout.endswith("HEIGHT_FIRST") else (w, h)
        return np.stack([first[:, 0], second[:, 0], first[:, 1], second[:, 1]], axis=1).astype(np.float32)

    layouts = ["CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST", "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST"]
    shape = (2, 1, 4, 5)
    case = 0
    for mode in MODES:
        for layout in layouts:
            for normalized in [False, True]:
                case += 1
                target = [(2, 3), (1, 1), (3, 4)][case % 3]
                options = {
                    "target_height": target[0],
                    "target_width": target[1],
                    "normalized_coordinates": normalized,
                    "box_coordinate_mode": layout,
                    "sampling_mode": mode,
                }
                boxes = boxes_for(layout, normalized, *shape[2:], 2)
                images = [1, 0]
                x = fam.normal(*shape)
                name = f"{mode.lower()}_{layout.lower()}_{'normalized' if normalized else 'pixels'}"
                fam.add(
                    "crop_resize",
                    f"{name}_boxes",
                    [("x", x), ("boxes", boxes), ("box_indices", i32(images))],
                    lambda x, b, n, o=options: crops(x, b, n.tolist(), o),
                    options,
                )
                numbered = lambda x, roi, o=options: crops(
                    x, roi.reshape(-1, 5)[:, 1:], [round(float(n.detach())) for n in roi.reshape(-1, 5)[:, 0]], o
                ).unsqueeze(1)
                every = lambda x, roi, o=options: torch.stack(
                    [crops(x, roi.reshape(-1, 4), [image] * 2, o) for image in range(2)], dim=1
                )
                old = [("numbered_roi", roi_of(boxes, images), numbered), ("roi", roi_of(boxes), every)][case // 2 % 2]
                # The number of an image is no quantity: its gradient is 0, and a step changes nothing.
                fam.add("crop_resize", f"{name}_{old[0]}", [("x", x), ("roi", old[1])], old[2], options, opset="ios16")
    outside = np.array([[0.1, 0.3, 1.3, 1.0], [0.5, 1.8, 1.0, 0.3], [-0.4, 0.4, 0.6, 0.7]])
    for value in [0.0, 10.0]:
        options = {
            "target_height": 2,
            "target_width": 3,
            "normalized_coordinates": True,
            "sampling_mode": "ALIGN_CORNERS",
            "pad_value": value,
            "spatial_scale": f32(0.9),
        }
        fam.add(
            "crop_resize",
            f"outside_{int(value)}",
            [("x", fam.normal(1, 2, 4, 4)), ("boxes", outside), ("box_indices", i32([0, 0, 0]))],
            lambda x, b, n, o=options: crops(x, b, n.tolist(), o),
            options,
        )
    fam.add(
        "crop_resize",
        "defaults",
        [("x", fam.normal(3, 2, 4, 4)), ("boxes", fam.uniform(0.1, 2.9, 2, 4))],
        lambda x, b: crops(x, b, [0, 1], {}),
    )
    options = {"target_height": 3, "target_width": 2, "spatial_scale": 0.5, "sampling_mode": "OFFSET_CORNERS"}
    fam.add(
        "crop_resize",
        "small_scaled",
        [("x", fam.normal(1, 1, 5, 5)), ("boxes", Tensor(np.array([[1.3, 2.1, 2.2, 7.7]])))],
        lambda x, b: crops(x, b, [0], options),
        options,
    )


def family():
    fam = Family("image_resizing", 113)
    resize_bilinear(fam)
    resize_nearest(fam)
    upsample(fam)
    resize(fam)
    crop(fam)
    resample(fam)
    affine(fam)
    crop_resize(fam)
    return fam
