"""Window arithmetic that convolution and pooling references share."""

import math


def pads(pad_type, sizes, kernels, strides, dilations, custom):
    """[(before, after)] for every spatial axis. "same" is TensorFlow's: out = ceil(in / stride), the odd one at the end."""
    if pad_type == "valid":
        return [(0, 0)] * len(sizes)
    if pad_type == "custom":
        return [(custom[2 * i], custom[2 * i + 1]) for i in range(len(sizes))]
    result = []
    for size, kernel, stride, dilation in zip(sizes, kernels, strides, dilations):
        extent = (kernel - 1) * dilation + 1
        total = max(0, (math.ceil(size / stride) - 1) * stride + extent - size)
        small, large = total // 2, total - total // 2
        result.append((large, small) if pad_type == "same_lower" else (small, large))
    return result

