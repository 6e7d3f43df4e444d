"""Convolutions: 1, 2 and 3 spatial axes, every way to pad, strides, dilations, groups; weights given or computed."""

import numpy as np

from judge.draw import Draw, normal, scalar
from judge.tolerance import SUM

from .spatial import pads

EVERY = "15 16 17 18 26"
FLOATS = "fp16 fp32"


def conv(x, weight, bias=None, strides=None, pad_type="valid", pad=None, dilations=None, groups=1):
    axes = x.ndim - 2
    strides, dilations = strides or [1] * axes, dilations or [1] * axes
    x = np.pad(x, [(0, 0), (0, 0), *pads(pad_type, x.shape[2:], weight.shape[2:], strides, dilations, pad)])
    extents = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations)]
    # [n, channels, *positions, *kernel]
    windows = np.lib.stride_tricks.sliding_window_view(x, extents, axis=tuple(range(2, x.ndim)))
    windows = windows[(slice(None), slice(None), *(slice(None, None, s) for s in strides), *(slice(None, None, d) for d in dilations))]
    parts = []
    for part, kernel in zip(np.split(windows, groups, axis=1), np.split(weight, groups, axis=0)):
        kernel_axes = tuple(range(2, 2 + axes))
        product = np.tensordot(part, kernel, axes=((1, *(a + axes for a in kernel_axes)), (1, *kernel_axes)))
        parts.append(np.moveaxis(product, -1, 1))
    result = np.concatenate(parts, axis=1)
    return result if bias is None else result + bias.reshape([1, -1] + [1] * axes)


def conv_transpose(x, weight, bias=None, strides=None, pad_type="valid", pad=None, dilations=None, groups=1, output_shape=None):
    """The full transposed convolution, of which padding keeps a part; beyond its end there is only the bias."""
    axes = x.ndim - 2
    strides, dilations = strides or [1] * axes, dilations or [1] * axes
    sizes = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(x.shape[2:], strides, weight.shape[2:], dilations)]
    parts = []
    for part, kernel in zip(np.split(x, groups, axis=1), np.split(weight, groups, axis=0)):
        full = np.zeros((x.shape[0], weight.shape[1], *sizes))
        for place in np.ndindex(*weight.shape[2:]):
            # Every input value times this cell of the kernel, spread by the strides.
            target = [slice(p * d, p * d + (n - 1) * s + 1, s) for p, d, n, s in zip(place, dilations, x.shape[2:], strides)]
            full[(slice(None), slice(None), *target)] += np.moveaxis(
                np.tensordot(part, kernel[(slice(None), slice(None), *place)], axes=((1,), (0,))), -1, 1
            )
        parts.append(full)
    full = np.concatenate(parts, axis=1)
    for i in range(axes):
        size = full.shape[2 + i]
        if pad_type == "custom":
            begin = pad[2 * i]
            length = size - pad[2 * i] - pad[2 * i + 1]
        else:
            length = x.shape[2 + i] * strides[i] if pad_type == "same" else size
            if output_shape is not None:
                length = output_shape[2 + i]
            begin = max(0, size - length) // 2 if pad_type == "same" else 0
        missing = max(0, begin + length - size)
        widths = [(0, 0)] * full.ndim
        widths[2 + i] = (0, missing)
        full = np.take(np.pad(full, widths), range(begin, begin + length), axis=2 + i)
    return full if bias is None else full + bias.reshape([1, -1] + [1] * axes)


def cases(f):
    w = normal(4, 3, 3, 3, scale=0.5)
    x = normal(2, 3, 7, 8)
    f.op("conv", EVERY, FLOATS, conv, SUM, x=x, weight=w.const, bias=normal(4).const)
    for pad_type in ("valid", "same", "same_lower", "custom"):
        pad = {"pad": [1, 2, 0, 1]} if pad_type == "custom" else {}
        opsets = "16 17" if pad_type == "same_lower" else "15 17"
        f.op("conv", opsets, FLOATS, conv, SUM, pad_type, x=x, weight=w.const, pad_type=pad_type, **pad)
        f.op("conv", opsets.split()[-1] + " 18", FLOATS, conv, SUM, f"{pad_type}_strided",
             x=x, weight=w.const, pad_type=pad_type, strides=[2, 3], dilations=[2, 1], **pad)  # fmt: skip
    f.op("conv", "15 18", FLOATS, conv, SUM, "even_kernel", x=x, weight=normal(4, 3, 2, 4).const, pad_type="same")
    f.op("conv", "15 18", FLOATS, conv, SUM, "groups", x=normal(1, 4, 5, 5), weight=normal(6, 2, 3, 3).const, groups=2)
    f.op("conv", "15 18", FLOATS, conv, SUM, "depthwise", x=normal(1, 4, 6, 6), weight=normal(4, 1, 3, 3).const, groups=4,
         pad_type="same")  # fmt: skip
    f.op("conv", "16 18", FLOATS, conv, SUM, "multiplier", x=normal(1, 3, 6, 6), weight=normal(6, 1, 3, 3).const, groups=3)
    f.op("conv", "15 18", FLOATS, conv, SUM, "pointwise", x=normal(1, 5, 4, 4), weight=normal(6, 5, 1, 1).const)
    f.op("conv", "15 17 18", FLOATS, conv, SUM, "1d", x=normal(2, 3, 9), weight=normal(4, 3, 3).const, bias=normal(4).const,
         pad_type="custom", pad=[2, 1], strides=[2])  # fmt: skip
    f.op("conv", "15 17 18", FLOATS, conv, SUM, "3d", x=normal(1, 2, 4, 5, 6), weight=normal(3, 2, 2, 3, 2).const,
         bias=normal(3).const, pad_type="same", strides=[1, 2, 2])  # fmt: skip
    f.op("conv", "15 18", FLOATS, conv, SUM, "1d_dilated", x=normal(1, 2, 12), weight=normal(2, 2, 3).const, dilations=[3])
    # The weight may be computed by the program; from iOS 17 the bias too, and both in a width of their own.
    f.op("conv", "15 16 17 18", FLOATS, conv, SUM, "runtime_weight", x=x, weight=w)
    f.op("conv", "17 18", FLOATS, conv, SUM, "runtime_bias", x=x, weight=w, bias=normal(4))
    f.op("conv", "17 18", "fp16/fp32 fp32/fp16", conv, SUM, "mixed", x=x, weight=w.of("U").const, bias=normal(4).of("U").const)
    f.op("conv", "18", "fp32", conv, SUM, "one", x=normal(1, 1, 1, 1), weight=normal(1, 1, 1, 1).const)
    f.op("conv", "18", "fp16", conv, SUM, "deep", x=normal(1, 96, 5, 5, scale=0.3), weight=normal(8, 96, 3, 3, scale=0.2).const)

    def quantized(x, weight, quant_scale, quant_bias, pad_type="valid"):
        return conv(x, weight * quant_scale + quant_bias, pad_type=pad_type)

    levels = Draw((4, 3, 3, 3), lambda rng, s, d: rng.integers(0, 256, s), "uint8", True)
    f.op("conv_quantized", "15", FLOATS, quantized, SUM, x=x, weight=levels, quantization_type="linear", nbits=8,
         quant_scale=scalar(1 / 128), quant_bias=scalar(-1.0), pad_type="same")  # fmt: skip
    f.op("conv_quantized", "15 16", "fp32", quantized, SUM, "valid", x=x, weight=levels, quantization_type="linear", nbits=8,
         quant_scale=scalar(1 / 64), quant_bias=scalar(-2.0))  # fmt: skip

    w = normal(3, 4, 3, 3, scale=0.5)
    x = normal(2, 3, 4, 5)
    f.op("conv_transpose", EVERY, FLOATS, conv_transpose, SUM, x=x, weight=w.const, bias=normal(4).const)
    for label, rest in {
        "strided": dict(strides=[2, 3]),
        "dilated": dict(dilations=[2, 1], strides=[1, 2]),
        "custom": dict(pad_type="custom", pad=[1, 0, 1, 2], strides=[2, 2]),
        "same": dict(pad_type="same", strides=[2, 2]),
        "same_one": dict(pad_type="same"),
    }.items():
        f.op("conv_transpose", "15 17", FLOATS, conv_transpose, SUM, label, x=x, weight=w.const, **rest)
    f.op("conv_transpose", "15 18", FLOATS, conv_transpose, SUM, "output_shape", x=x, weight=w.const, strides=[2, 2],
         pad_type="same", output_shape=[2, 4, 7, 9])  # fmt: skip
    f.op("conv_transpose", "15 18", FLOATS, conv_transpose, SUM, "groups", x=normal(1, 4, 4, 4), weight=normal(4, 3, 3, 3).const,
         groups=2, strides=[2, 2])  # fmt: skip
    f.op("conv_transpose", "15 17 18", FLOATS, conv_transpose, SUM, "1d", x=normal(2, 3, 6), weight=normal(3, 2, 4).const,
         bias=normal(2).const, strides=[2], pad_type="custom", pad=[1, 1])  # fmt: skip
    f.op("conv_transpose", "15 17 18", FLOATS, conv_transpose, SUM, "3d", x=normal(1, 2, 2, 3, 2),
         weight=normal(2, 3, 2, 2, 3).const, strides=[2, 1, 2])  # fmt: skip
    f.op("conv_transpose", "17 18", "fp16/fp32 fp32/fp16", conv_transpose, SUM, "mixed", x=x, weight=w.of("U").const,
         bias=normal(4).of("U").const)  # fmt: skip
    f.op("conv_transpose", "17 18", FLOATS, conv_transpose, SUM, "runtime_weight", x=x, weight=w, strides=[2, 2])
