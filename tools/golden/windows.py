"""Padding arithmetic that conv and pooling share."""

import math


def paddings(pad_type, custom, sizes, kernel, strides, dilations=None):
    """`[(before, after), ...]` per spatial axis. `same` puts the odd element after, `same_lower` before."""
    dilations = dilations or [1] * len(kernel)
    result = []
    for i, n in enumerate(sizes):
        if pad_type == "valid":
            result.append((0, 0))
        elif pad_type == "custom":
            result.append((custom[2 * i], custom[2 * i + 1]))
        else:
            extent = (kernel[i] - 1) * dilations[i] + 1
            total = max(0, (math.ceil(n / strides[i]) - 1) * strides[i] + extent - n)
            low, high = total // 2, total - total // 2
            result.append((low, high) if pad_type == "same" else (high, low))
    return result


def flat(pads):
    """The order of torch.nn.functional.pad: last axis first."""
    return [p for pair in reversed(pads) for p in pair]


def size(shape):
    return "x".join(map(str, shape))
