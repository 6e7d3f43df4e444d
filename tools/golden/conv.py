"""conv and conv_transpose in one, two and three dimensions."""

import torch.nn.functional as F

from case import Family
from windows import flat, paddings, size

CONV = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}
CONV_TRANSPOSE = {3: F.conv_transpose1d, 4: F.conv_transpose2d, 5: F.conv_transpose3d}


def conv_case(fam, tag, x, w, bias=False, pad_type=None, **options):
    """`options` are MIL parameters, written to the file as they stand; what is absent takes MIL's default."""
    rank, spatial = len(x), len(x) - 2
    strides = options.get("strides", [1] * spatial)
    dilations = options.get("dilations", [1] * spatial)
    groups = options.get("groups", 1)
    pads = paddings(pad_type or "valid", options.get("pad"), x[2:], w[2:], strides, dilations)

    def fn(x, w, b=None):
        return CONV[rank](F.pad(x, flat(pads)), w, b, stride=strides, dilation=dilations, groups=groups)

    consts = dict(options) | ({} if pad_type is None else {"pad_type": pad_type})
    inputs = [("x", fam.normal(*x)), ("weight", fam.normal(*w))]
    if bias:
        inputs.append(("bias", fam.normal(w[0])))
    fam.add("conv", f"{tag}_{size(x)}_{size(w)}", inputs, fn, consts)


def fill_conv(fam):
    one = lambda tag, x, w, **options: conv_case(fam, tag, x, w, **options)
    # Two dimensions.
    one("default", (1, 2, 4, 4), (2, 2, 3, 3))
    one("bias", (2, 1, 4, 3), (3, 1, 2, 2), bias=True)
    one("pointwise", (1, 3, 2, 3), (4, 3, 1, 1), bias=True, pad_type="valid")
    one("stride", (1, 2, 5, 6), (2, 2, 3, 3), strides=[2, 2], pad_type="valid")
    one("stride_mixed", (1, 1, 7, 6), (2, 1, 3, 2), strides=[3, 2], pad_type="custom", pad=[1, 0, 0, 1], bias=True)
    one("stride_unused_edge", (1, 1, 6, 6), (1, 1, 3, 3), strides=[2, 2])
    one("custom", (1, 2, 4, 4), (2, 2, 3, 3), pad_type="custom", pad=[1, 1, 1, 1])
    one("custom_uneven", (1, 1, 4, 5), (2, 1, 3, 3), pad_type="custom", pad=[0, 2, 1, 0])
    one("custom_wide", (1, 1, 2, 2), (1, 1, 3, 3), pad_type="custom", pad=[2, 2, 2, 2])
    one("same", (1, 2, 4, 5), (2, 2, 3, 3), pad_type="same")
    one("same_even_kernel", (1, 1, 4, 5), (2, 1, 2, 4), pad_type="same")
    one("same_stride", (1, 1, 5, 6), (2, 1, 3, 3), pad_type="same", strides=[2, 2])
    one("same_stride_three", (1, 1, 7, 8), (1, 1, 2, 3), pad_type="same", strides=[3, 3])
    one("same_lower", (1, 1, 4, 5), (2, 1, 2, 4), pad_type="same_lower")
    one("same_lower_stride", (1, 1, 5, 6), (1, 1, 2, 3), pad_type="same_lower", strides=[2, 2])
    one("dilated", (1, 1, 6, 6), (2, 1, 2, 3), dilations=[2, 2])
    one("dilated_same", (1, 1, 5, 5), (1, 1, 3, 3), dilations=[2, 1], pad_type="same")
    one(
        "dilated_stride",
        (1, 1, 8, 7),
        (1, 1, 2, 2),
        dilations=[3, 2],
        strides=[2, 1],
        pad_type="custom",
        pad=[1, 1, 0, 1],
    )
    one("groups", (1, 4, 3, 3), (4, 2, 2, 2), groups=2, bias=True)
    one("depthwise", (1, 3, 4, 4), (3, 1, 3, 3), groups=3, pad_type="custom", pad=[1, 1, 1, 1], bias=True)
    one("depthwise_twice", (1, 2, 3, 4), (4, 1, 2, 2), groups=2, strides=[1, 2])
    one("whole_image", (2, 2, 3, 3), (3, 2, 3, 3), bias=True)
    one("batch", (3, 2, 3, 3), (2, 2, 2, 2), pad_type="same", strides=[2, 2], bias=True)
    # One dimension.
    one("line", (2, 3, 6), (2, 3, 3))
    one("line_bias_stride", (1, 2, 9), (3, 2, 4), strides=[2], bias=True, pad_type="custom", pad=[2, 1])
    one("line_dilated", (1, 2, 10), (2, 2, 3), dilations=[3])
    one("line_groups_same", (1, 4, 7), (6, 2, 3), groups=2, pad_type="same")
    # Three dimensions.
    one("volume", (1, 2, 3, 3, 3), (2, 2, 2, 2, 2))
    one("volume_bias_same", (1, 1, 3, 4, 2), (2, 1, 3, 2, 2), bias=True, pad_type="same")
    one(
        "volume_stride_groups",
        (1, 2, 4, 3, 4),
        (2, 1, 2, 3, 2),
        strides=[2, 1, 2],
        groups=2,
        pad_type="custom",
        pad=[1, 0, 1, 1, 0, 1],
    )


def transpose_case(fam, tag, x, w, bias=False, pad_type=None, **options):
    """The full transposed convolution, cropped by the padding; `output_shape` may extend it with zeros at the end."""
    rank, spatial = len(x), len(x) - 2
    strides = options.get("strides", [1] * spatial)
    dilations = options.get("dilations", [1] * spatial)
    groups = options.get("groups", 1)
    full = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(x[2:], strides, w[2:], dilations)]
    if pad_type == "same":
        wanted = [n * s for n, s in zip(x[2:], strides)]
        before = [max(f - n, 0) // 2 for f, n in zip(full, wanted)]
    else:
        pad = options.get("pad", [0] * 2 * spatial) if pad_type == "custom" else [0] * 2 * spatial
        wanted = [f - pad[2 * i] - pad[2 * i + 1] for i, f in enumerate(full)]
        before = [pad[2 * i] for i in range(spatial)]
    if "output_shape" in options:
        wanted = options["output_shape"][2:]

    def fn(x, w, b=None):
        y = CONV_TRANSPOSE[rank](x, w, stride=strides, dilation=dilations, groups=groups)
        # A negative pad crops.
        y = F.pad(y, flat([(-low, low + n - f) for low, n, f in zip(before, wanted, full)]))
        return y if b is None else y + b.reshape([1, -1] + [1] * spatial)

    consts = dict(options) | ({} if pad_type is None else {"pad_type": pad_type})
    inputs = [("x", fam.normal(*x)), ("weight", fam.normal(*w))]
    if bias:
        inputs.append(("bias", fam.normal(w[1] * groups)))
    fam.add("conv_transpose", f"{tag}_{size(x)}_{size(w)}", inputs, fn, consts)


def fill_conv_transpose(fam):
    one = lambda tag, x, w, **options: transpose_case(fam, tag, x, w, **options)
    one("default", (1, 2, 3, 3), (2, 2, 2, 2))
    one("bias", (2, 1, 2, 3), (1, 3, 2, 2), bias=True)
    one("stride", (1, 2, 2, 3), (2, 2, 3, 3), strides=[2, 2], pad_type="valid")
    one("stride_gap", (1, 1, 2, 2), (1, 2, 2, 1), strides=[3, 2], bias=True)
    one("stride_exact", (1, 2, 3, 2), (2, 3, 2, 2), strides=[2, 2], bias=True)
    one("custom", (1, 1, 3, 3), (1, 2, 3, 3), pad_type="custom", pad=[1, 1, 1, 1])
    one("custom_uneven", (1, 1, 3, 3), (1, 1, 3, 3), strides=[2, 2], pad_type="custom", pad=[1, 0, 0, 2])
    one("same", (1, 1, 3, 3), (1, 2, 3, 3), pad_type="same", strides=[2, 2])
    one("same_even_kernel", (1, 1, 3, 2), (1, 1, 4, 2), pad_type="same", strides=[2, 1])
    one("groups", (1, 4, 2, 2), (4, 2, 2, 2), groups=2, bias=True)
    one("depthwise", (1, 3, 2, 3), (3, 1, 3, 2), groups=3, strides=[2, 1])
    one("dilated", (1, 1, 3, 3), (1, 1, 2, 2), dilations=[2, 3])
    one(
        "output_shape",
        (1, 2, 3, 3),
        (2, 1, 3, 3),
        strides=[2, 2],
        pad_type="custom",
        pad=[1, 1, 1, 1],
        output_shape=[1, 1, 6, 6],
        bias=True,
    )
    one("output_shape_valid", (1, 1, 2, 3), (1, 2, 2, 2), strides=[2, 2], output_shape=[1, 2, 4, 6])
    one("line", (2, 2, 4), (2, 3, 3))
    one("line_stride_bias", (1, 2, 4), (2, 2, 3), strides=[2], bias=True, pad_type="custom", pad=[1, 1])
    one("line_groups", (1, 4, 3), (4, 1, 2), groups=4, strides=[3])
    one("volume", (1, 1, 2, 2, 2), (1, 2, 2, 2, 2), strides=[2, 1, 2], bias=True)


def family():
    fam = Family("conv", 107)
    fill_conv(fam)
    fill_conv_transpose(fam)
    return fam
