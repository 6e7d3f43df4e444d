"""Resizing, cropping and resampling of images, with every sampling, padding and coordinate mode.

Where a nearest neighbour is asked for, no sample lies half way between two pixels: which of them is taken there is not
specified. Boxes outside the image occur only where the opset says what is seen there (`pad_value`, iOS 16).
"""

import numpy as np

from judge.draw import Draw, lit, normal, scalar, uniform
from judge.tolerance import CHAIN, EXACT

EVERY = "15 16 17 18 26"
FLOATS = "fp16 fp32"
SAMPLING = ("DEFAULT", "STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "OFFSET_CORNERS", "UNALIGN_CORNERS")


def grid(mode, size, count):
    """Where `count` samples of an axis of `size` pixels lie; `size` need not be whole (a box)."""
    i = np.arange(count, dtype=np.float64)
    if mode == "UNALIGN_CORNERS":
        points = (i + 0.5) * (size / count) - 0.5
    elif mode == "OFFSET_CORNERS":
        points = (i + 0.5) * (max(1.0, size - 1.0) / count)
    elif mode == "DEFAULT":
        points = i * (size / count)
    elif count == 1:
        points = np.array([(size - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0])
    else:
        points = i * ((size - 1) / (count - 1))
    return np.clip(points, 0, size - 1)


def linear_along(x, axis, points):
    """`x` sampled linearly at `points` (within its bounds) along `axis`."""
    low = np.clip(np.floor(points).astype(int), 0, x.shape[axis] - 1)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    weight = (points - low).reshape([-1] + [1] * (x.ndim - 1 - axis % x.ndim))
    return np.take(x, low, axis=axis) * (1 - weight) + np.take(x, high, axis=axis) * weight


def nearest_along(x, axis, points):
    off = points - np.floor(points)
    assert not np.any(np.abs(off - 0.5) < 1e-6), "a sample half way between two pixels"
    return np.take(x, np.rint(points).astype(int), axis=axis)


def bilinear(x, height, width):
    return linear_along(linear_along(x, x.ndim - 2, height), x.ndim - 1, width)


def resize_bilinear(x, target_size_height=1, target_size_width=1, sampling_mode="DEFAULT"):
    return bilinear(x, grid(sampling_mode, x.shape[-2], target_size_height), grid(sampling_mode, x.shape[-1], target_size_width))


def floor_nearest(x, height, width):
    """The older nearest-neighbour ops round the source position down."""
    for axis, count in ((x.ndim - 2, height), (x.ndim - 1, width)):
        x = np.take(x, np.arange(count) * x.shape[axis] // count, axis=axis)
    return x


def scaled(x, height, width):
    return int(np.floor(np.float32(height) * x.shape[-2])), int(np.floor(np.float32(width) * x.shape[-1]))


def upsample_bilinear(x, scale_factor_height=1, scale_factor_width=1, align_corners=True, half_pixel_centers=None):
    """The scale is computed again from the whole output size, as PyTorch's `recompute_scale_factor` does."""
    half = not align_corners if half_pixel_centers is None else half_pixel_centers
    mode = "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS" if half else "DEFAULT"
    height, width = scaled(x, scale_factor_height, scale_factor_width)
    return bilinear(x, grid(mode, x.shape[-2], height), grid(mode, x.shape[-1], width))


def resize(x, shape, resized_dims, interpolation_mode="LINEAR", sampling_mode="DEFAULT"):
    """Of the nearest-neighbour modes, "DEFAULT" takes the pixel that the middle of the output pixel falls in: Apple's tests
    expect 0, 1, 1 of 2 pixels in 3 and 0, 0, 0, 1, ... of 20 in 60, which no rounding of the documented points gives."""
    if interpolation_mode == "NEAREST_NEIGHBOR" and sampling_mode == "DEFAULT":
        sampling_mode = "UNALIGN_CORNERS"
    sizes = [int(n) for n in np.asarray(shape).reshape(-1)][-int(resized_dims) :]
    along = {"LINEAR": linear_along, "NEAREST_NEIGHBOR": nearest_along}[interpolation_mode]
    for axis, count in zip(range(x.ndim - len(sizes), x.ndim), sizes):
        x = along(x, axis, grid(sampling_mode, x.shape[axis], count or x.shape[axis]))
    return x


def crop_one(image, box, height, width, normalized, scale, coordinates, sampling, pad_value):
    """One box of one [C, H, W] image. The sampling mode's axis is the box: its size is `end - start + 1`."""
    a, b, c, d = box
    if coordinates.endswith("WIDTH_FIRST"):
        a, b, c, d = b, a, d, c
    if coordinates.startswith("CENTER"):
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    result = np.full((image.shape[0], height, width), float(pad_value))
    points = []
    for start, end, size, count in ((a, c, image.shape[1], height), (b, d, image.shape[2], width)):
        factor = scale * ((size - 1) if normalized else 1)
        start, end = start * factor, end * factor
        # A box given backwards is read backwards.
        sign = 1 if end >= start else -1
        points.append(start + sign * grid(sampling, abs(end - start) + 1, count))
    inside = [(p >= -1e-9) & (p <= n - 1 + 1e-9) for p, n in zip(points, image.shape[1:])]
    sample = bilinear(image, *[np.clip(p, 0, n - 1) for p, n in zip(points, image.shape[1:])])
    keep = inside[0][:, None] & inside[1][None, :]
    return np.where(keep, sample, result)


def crop_resize(x, roi, target_height=1, target_width=1, normalized_coordinates=False, spatial_scale=1.0,
                box_coordinate_mode="CORNERS_HEIGHT_FIRST", sampling_mode="DEFAULT", pad_value=0.0):  # fmt: skip
    rest = (target_height, target_width, normalized_coordinates, float(spatial_scale), box_coordinate_mode, sampling_mode, pad_value)
    boxes = roi.reshape(roi.shape[0], -1)
    if boxes.shape[1] == 5:
        return np.stack([crop_one(x[int(b[0])], b[1:], *rest)[None] for b in boxes])
    return np.stack([np.stack([crop_one(image, b, *rest) for image in x]) for b in boxes])


def crop_resize17(x, boxes, box_indices=None, target_height=1, target_width=1, normalized_coordinates=False, spatial_scale=1.0,
                  box_coordinate_mode="CORNERS_HEIGHT_FIRST", sampling_mode="DEFAULT", pad_value=0.0):  # fmt: skip
    rest = (target_height, target_width, normalized_coordinates, float(spatial_scale), box_coordinate_mode, sampling_mode, pad_value)
    indices = range(len(boxes)) if box_indices is None else box_indices
    return np.stack([crop_one(x[int(i)], b, *rest) for i, b in zip(indices, boxes)])


def padded_index(index, size, mode):
    """(index within the image, whether there is a pixel at all) of the conceptually endless padded axis."""
    if mode == "constant":
        return np.clip(index, 0, size - 1), (index >= 0) & (index < size)
    if mode == "border":
        index = np.clip(index, 0, size - 1)
    elif mode == "reflection":
        period = max(1, 2 * (size - 1))
        index = index % period
        index = np.minimum(index, period - index) if size > 1 else index * 0
    else:
        index = index % (2 * size)
        index = np.minimum(index, 2 * size - 1 - index)
    return index, np.ones_like(index, dtype=bool)


def resample(x, coordinates, sampling_mode, padding_mode, padding_value, coordinates_mode, align_corners):
    result = np.empty(x.shape[:2] + coordinates.shape[1:3])
    places = []
    for axis, size in ((0, x.shape[3]), (1, x.shape[2])):
        c = coordinates[..., axis].astype(np.float64)
        if coordinates_mode != "unnormalized":
            c = (c + 1) / 2 if coordinates_mode == "normalized_minus_one_to_one" else c
            c = c * (size - 1) if align_corners else c * size - 0.5
        places.append(c)
    for b in range(x.shape[0]):
        px, py = places[0][b], places[1][b]
        if sampling_mode == "nearest":
            for p in (px, py):
                assert not np.any(np.abs(p - np.floor(p) - 0.5) < 1e-6), "a sample half way between two pixels"
            taps = [(np.rint(py), np.rint(px), 1.0)]
        else:
            y0, x0 = np.floor(py), np.floor(px)
            wy, wx = py - y0, px - x0
            taps = [(y0, x0, (1 - wy) * (1 - wx)), (y0, x0 + 1, (1 - wy) * wx), (y0 + 1, x0, wy * (1 - wx)), (y0 + 1, x0 + 1, wy * wx)]
        total = 0
        for y, xx, weight in taps:
            iy, has_y = padded_index(y.astype(int), x.shape[2], padding_mode)
            ix, has_x = padded_index(xx.astype(int), x.shape[3], padding_mode)
            total = total + weight * np.where(has_y & has_x, x[b][:, iy, ix], padding_value)
        result[b] = total
    return result


def affine(x, transform_matrix, output_height, output_width):
    """Output pixels have coordinates from -1 to 1; the matrix says where in the input each of them looks."""
    y, xx = np.meshgrid(np.linspace(-1, 1, output_height), np.linspace(-1, 1, output_width), indexing="ij")
    matrix = np.broadcast_to(transform_matrix, (x.shape[0], 6)).reshape(-1, 2, 3)
    places = np.einsum("bij,hwj->bhwi", matrix, np.stack([xx, y, np.ones_like(y)], axis=-1))
    return resample(x, places, "bilinear", "constant", 0.0, "normalized_minus_one_to_one", True)


def cases(f):
    x = normal(2, 3, 5, 7, scale=3)
    older(f, x)
    for mode in SAMPLING:
        f.op("resize_bilinear", EVERY, FLOATS, resize_bilinear, CHAIN, mode, x=x, target_size_height=8, target_size_width=4,
             sampling_mode=mode)  # fmt: skip
        f.op("resize_bilinear", "15 18", FLOATS, resize_bilinear, CHAIN, f"{mode}_one", x=x, target_size_height=1,
             target_size_width=9, sampling_mode=mode)  # fmt: skip
        f.op("resize", "17 18 26", FLOATS, resize, CHAIN, f"linear_{mode}", x=x, shape=[8, 4], resized_dims=np.uint32(2),
             interpolation_mode="LINEAR", sampling_mode=mode)  # fmt: skip
        f.op("resize", "17 18", "fp16 fp32 int32", resize, EXACT, f"nearest_{mode}", x=normal(2, 5, 5), shape=[7, 3],
             resized_dims=np.uint32(2), interpolation_mode="NEAREST_NEIGHBOR", sampling_mode=mode)  # fmt: skip
    f.op("resize", "17", "fp32", resize, CHAIN, "one_axis", x=x, shape=[2, 3, 5, 11], resized_dims=np.uint32(1))
    f.op("resize", "18", "fp32", resize, CHAIN, "keep", x=x, shape=[1, 8, 0], resized_dims=np.uint32(2))
    f.op("resize", "17", "fp32", resize, CHAIN, "rank3", x=normal(3, 4, 5), shape=[6, 3], resized_dims=np.uint32(2))
    for dtype in ("int32", "int16", "uint16", "uint32"):
        f.op("resize", "17", f"fp32/{dtype}", resize, CHAIN, "shape_type", x=x, shape=lit([1, 6, 10], "U").const,
             resized_dims=np.uint32(2))  # fmt: skip
    f.op("resize", "17", "fp32", resize, CHAIN, "runtime", x=x, shape=lit([1, 1, 8, 3], "int32"), resized_dims=np.uint32(2),
         foldable=False)  # fmt: skip
    crops(f)
    resamples(f)


def older(f, x):
    nearest = lambda x, target_size_height, target_size_width: floor_nearest(x, target_size_height, target_size_width)  # noqa: E731
    f.op("resize_nearest_neighbor", EVERY, FLOATS, nearest, EXACT, x=x, target_size_height=8, target_size_width=4)
    f.op("resize_nearest_neighbor", "15 18", FLOATS, nearest, EXACT, "rank3", x=normal(3, 4, 5), target_size_height=4,
         target_size_width=13)  # fmt: skip

    def upsample(x, scale_factor_height=1, scale_factor_width=1):
        return floor_nearest(x, *scaled(x, scale_factor_height, scale_factor_width))

    f.op("upsample_nearest_neighbor", EVERY, FLOATS, upsample, EXACT, x=x, scale_factor_height=2, scale_factor_width=3)
    f.op("upsample_nearest_neighbor", "15 18", FLOATS, upsample, EXACT, "fraction", x=x, scale_factor_height=np.float32(1.5),
         scale_factor_width=np.float32(0.6))  # fmt: skip
    f.op("upsample_nearest_neighbor", "16", "fp32", upsample, EXACT, "default", x=x)

    for align in (True, False):
        for label, height, width in (("", 2, 3), ("fraction", np.float32(1.5), np.float32(0.6))):
            opsets = EVERY if not label else "15 18"
            f.op("upsample_bilinear", opsets, FLOATS, upsample_bilinear, CHAIN, f"{label}{'aligned' if align else 'centred'}", x=x,
                 scale_factor_height=height, scale_factor_width=width, align_corners=align)  # fmt: skip
    f.op("upsample_bilinear", "16 17 18", FLOATS, upsample_bilinear, CHAIN, "half_pixel", x=x, scale_factor_height=2,
         scale_factor_width=3, align_corners=False, half_pixel_centers=True)  # fmt: skip
    f.op("upsample_bilinear", "16 17 18", FLOATS, upsample_bilinear, CHAIN, "neither", x=x, scale_factor_height=2,
         scale_factor_width=3, align_corners=False, half_pixel_centers=False)  # fmt: skip
    f.op("upsample_bilinear", "15", "fp32", upsample_bilinear, CHAIN, "wide", x=x, scale_factor_height=3, scale_factor_width=1)
    f.op("upsample_bilinear", "15 18", FLOATS, upsample_bilinear, CHAIN, "rank3", x=normal(2, 3, 4), scale_factor_height=2,
         scale_factor_width=2, align_corners=False)  # fmt: skip

    def crop(x, crop_height, crop_width):
        height, width = x.shape[-2:]
        return x[..., crop_height[0] : height - crop_height[1], crop_width[0] : width - crop_width[1]]

    f.op("crop", EVERY, FLOATS, crop, EXACT, x=x, crop_height=[1, 0], crop_width=[2, 3])
    f.op("crop", "15 18", FLOATS, crop, EXACT, "rank3", x=normal(3, 4, 5), crop_height=[0, 2], crop_width=[1, 1])

    numbers = uniform(-0.8, 0.8, 2, 6)
    rest = dict(sampling_mode="bilinear", padding_mode="constant", padding_value=scalar(0.0),
                coordinates_mode="normalized_minus_one_to_one", align_corners=True)  # fmt: skip
    reference = lambda x, transform_matrix, output_height, output_width: affine(x, transform_matrix, output_height, output_width)  # noqa: E731
    f.op("affine", EVERY, FLOATS, reference, CHAIN, x=x, transform_matrix=numbers, output_height=4, output_width=6, **rest)
    f.op("affine", "15 18", FLOATS, reference, CHAIN, "shared", x=x, transform_matrix=uniform(-0.8, 0.8, 1, 6), output_height=5,
         output_width=7, **rest)  # fmt: skip
    f.op("affine", "15", "fp32", reference, CHAIN, "identity", x=x, transform_matrix=lit([[1.0, 0, 0, 0, 1, 0]]), output_height=5,
         output_width=7, **rest)  # fmt: skip
    f.op("affine", "17", "fp32", reference, CHAIN, "constant", x=x, transform_matrix=numbers.const, output_height=3, output_width=3,
         **rest)  # fmt: skip


# Height first, corners, within 5 x 7, and not so near its edge that rounding a coordinate could leave it.
BOXES = [[0.5, 1.0, 3.5, 5.0], [1.0, 0.25, 2.0, 4.5], [0.25, 2.0, 3.75, 5.5]]


def box(mode, normalized=False):
    """`BOXES` in the given convention."""
    result = []
    for a, b, c, d in BOXES:
        if normalized:
            a, b, c, d = a / 4, b / 6, c / 4, d / 6
        if mode.startswith("CENTER"):
            a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
        result.append([b, a, d, c] if mode.endswith("WIDTH_FIRST") else [a, b, c, d])
    return np.array(result)


def crops(f):
    x = normal(2, 3, 5, 7, scale=3)
    conventions = ("CORNERS_HEIGHT_FIRST", "CORNERS_WIDTH_FIRST", "CENTER_SIZE_HEIGHT_FIRST", "CENTER_SIZE_WIDTH_FIRST")
    common = dict(target_height=4, target_width=3)
    for mode in SAMPLING:
        roi = lit(box("CORNERS_HEIGHT_FIRST").reshape(3, 1, 4, 1, 1))
        f.op("crop_resize", "15 16", FLOATS, crop_resize, CHAIN, mode, x=x, roi=roi, sampling_mode=mode, **common)
        # coremltools' default pad_value is an fp32 constant, which it then refuses beside fp16.
        f.op("crop_resize", "17 18", FLOATS, crop_resize17, CHAIN, mode, x=x, boxes=lit(BOXES), box_indices=lit([0, 1, 0], "int32"),
             sampling_mode=mode, pad_value=scalar(0.0), **common)  # fmt: skip
    for convention in conventions:
        normalized = convention.endswith("WIDTH_FIRST")
        boxes = box(convention, normalized)
        rest = dict(box_coordinate_mode=convention, normalized_coordinates=normalized, sampling_mode="ALIGN_CORNERS", **common)
        f.op("crop_resize", "15 16", FLOATS, crop_resize, CHAIN, convention, x=x, roi=lit(boxes.reshape(3, 1, 4, 1, 1)), **rest)
        f.op("crop_resize", "17 18", FLOATS, crop_resize17, CHAIN, convention, x=x, boxes=lit(boxes),
             box_indices=lit([1, 1, 0], "int32"), pad_value=scalar(0.0), **rest)  # fmt: skip
    one = normal(1, 2, 5, 7)
    indexed = np.concatenate([np.zeros((3, 1)), BOXES], axis=1).reshape(3, 1, 5, 1, 1)
    f.op("crop_resize", "15 16", FLOATS, crop_resize, CHAIN, "indexed", x=one, roi=lit(indexed), sampling_mode="ALIGN_CORNERS",
         **common)  # fmt: skip
    f.op("crop_resize", "15 16", "fp32", crop_resize, CHAIN, "scale", x=x, roi=lit(2 * box(conventions[0]).reshape(3, 1, 4, 1, 1)),
         spatial_scale=0.5, sampling_mode="OFFSET_CORNERS", **common)  # fmt: skip
    f.op("crop_resize", "15 16", "fp32", crop_resize, CHAIN, "single", x=x, roi=lit(box(conventions[0]).reshape(3, 1, 4, 1, 1)),
         sampling_mode="ALIGN_CORNERS")  # fmt: skip
    f.op("crop_resize", "15", "fp32", crop_resize, CHAIN, "backwards", x=one, roi=lit(np.reshape([3.0, 5, 1, 2], (1, 1, 4, 1, 1))),
         sampling_mode="ALIGN_CORNERS", **common)  # fmt: skip
    # Partly outside: what is seen there is pad_value.
    outside = np.array([[0.25, 0.5, 1.5, 1.0], [-0.25, 0.0, 0.75, 1.25]])
    f.op("crop_resize", "16", FLOATS, crop_resize, CHAIN, "outside", x=one, roi=lit(outside.reshape(2, 1, 4, 1, 1)),
         normalized_coordinates=True, sampling_mode="ALIGN_CORNERS", pad_value=scalar(10.0), target_height=3, target_width=3)  # fmt: skip
    f.op("crop_resize", "17 18", FLOATS, crop_resize17, CHAIN, "outside", x=one, boxes=lit(outside),
         box_indices=lit([0, 0], "int32"), normalized_coordinates=True, sampling_mode="ALIGN_CORNERS", pad_value=scalar(10.0),
         target_height=3, target_width=3)  # fmt: skip
    f.op("crop_resize", "17 18", "fp32/fp16/int32 fp32/uint16/uint16 fp16/fp32/int32", crop_resize17, CHAIN, "types", x=x,
         boxes=lit([[0, 1, 3, 5], [1, 2, 4, 6]], "U"), box_indices=lit([1, 0], "V"), sampling_mode="ALIGN_CORNERS", pad_value=scalar(0.0), **common)  # fmt: skip
    f.op("crop_resize", "17 26", "fp32", crop_resize17, CHAIN, "default_indices", x=x, boxes=lit(BOXES[:2]),
         sampling_mode="STRICT_ALIGN_CORNERS", **common)  # fmt: skip


def resamples(f):
    x = normal(2, 3, 5, 7, scale=3)
    # Multiples of 1/8 that never fall half way between pixels in any of the modes below.
    near = Draw((2, 3, 4, 2), lambda rng, s, d: (rng.integers(-1, 7, s) + rng.choice([-0.375, -0.125, 0.25], s)) / 4, "U")
    wide = Draw((2, 3, 4, 2), lambda rng, s, d: rng.integers(-6, 11, s) + rng.choice([-0.375, -0.125, 0.25], s), "U")
    whole = Draw((2, 3, 4, 2), lambda rng, s, d: rng.integers(0 if d.startswith("u") else -4, 9, s), "U")
    for i, padding in enumerate(("constant", "border", "reflection", "symmetric")):
        for sampling in ("bilinear", "nearest"):
            rest = dict(sampling_mode=sampling, padding_mode=padding, padding_value=scalar(1.5))
            f.op("resample", "15", "fp32/fp32 fp16/fp32", resample, CHAIN, f"{sampling}_{padding}", x=x, coordinates=wide,
                 coordinates_mode="unnormalized", align_corners=i % 2 == 0, **rest)  # fmt: skip
            f.op("resample", "16", "fp16/fp32", resample, CHAIN, f"{sampling}_{padding}_wide", x=x, coordinates=wide,
                 coordinates_mode="unnormalized", align_corners=True, **rest)  # fmt: skip
            f.op("resample", "16 17 18", "fp32/fp16 fp16/fp16 fp32/fp32", resample, CHAIN, f"{sampling}_{padding}", x=x,
                 coordinates=wide, coordinates_mode="unnormalized", align_corners=True, **rest)  # fmt: skip
    for coordinates in ("normalized_minus_one_to_one", "normalized_zero_to_one"):
        for align in (True, False):
            for padding in ("constant", "reflection"):
                f.op("resample", "15 17", "fp32", resample, CHAIN, f"{coordinates}_{padding}_{'aligned' if align else 'edges'}", x=x,
                     coordinates=near, sampling_mode="bilinear", padding_mode=padding, padding_value=scalar(-1.0),
                     coordinates_mode=coordinates, align_corners=align)  # fmt: skip
    rest = dict(sampling_mode="bilinear", padding_mode="border", padding_value=scalar(0.0), coordinates_mode="unnormalized",
                align_corners=True)  # fmt: skip
    f.op("resample", "15", "fp32/int32", resample, EXACT, "whole", x=x, coordinates=whole, **rest)
    f.op("resample", "16", "fp32/int32", resample, EXACT, "whole", x=x, coordinates=whole, **rest)
    f.op("resample", "17 18 26", "fp32/int8 fp32/uint8 fp16/int16 fp16/uint16 fp32/int32", resample, EXACT, "whole", x=x,
         coordinates=whole, **rest)  # fmt: skip
