"""Normalizations. From iOS 17 the parameters have a dtype of their own.

coremltools cannot build these in fp16 with a default epsilon (its default is an fp32 constant), nor `layer_norm` with its
default axes; rows that leave them out are fp32, or name all axes.
"""

import numpy as np

from judge.draw import normal, scalar, uniform
from judge.tolerance import CHAIN

EVERY = "15 16 17 18 26"
FLOATS = "fp16 fp32"
MIXED = "fp16 fp32 fp16/fp32 fp32/fp16"


def per_channel(value, x, otherwise):
    return otherwise if value is None else value.reshape([1, -1] + [1] * (x.ndim - 2))


def batch_norm(x, mean, variance, gamma=None, beta=None, epsilon=1e-5):
    shaped = per_channel(mean, x, 0), per_channel(variance, x, 1)
    return (x - shaped[0]) / np.sqrt(shaped[1] + epsilon) * per_channel(gamma, x, 1) + per_channel(beta, x, 0)


def instance_norm(x, gamma=None, beta=None, epsilon=1e-5):
    axes = tuple(range(2, x.ndim))
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * per_channel(gamma, x, 1) + per_channel(beta, x, 0)


def layer_norm(x, axes=None, gamma=None, beta=None, epsilon=1e-5):
    axes = tuple(range(x.ndim)) if axes is None else tuple(a % x.ndim for a in axes)
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    shape = [n if i in axes else 1 for i, n in enumerate(x.shape)]
    gamma = 1 if gamma is None else gamma.reshape(shape)
    beta = 0 if beta is None else beta.reshape(shape)
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def l2_norm(x, epsilon=1e-6):
    return x / np.sqrt((x * x).sum(axis=(-3, -2, -1), keepdims=True) + epsilon)


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    """Channels stand at axis -3, also where `x` has only three axes."""
    channels = x.shape[-3]
    result = np.empty_like(x)
    for c in range(channels):
        near = slice(max(0, c - (size - 1) // 2), min(channels, c + size // 2 + 1))
        total = (x[..., near, :, :] ** 2).sum(axis=-3)
        result[..., c, :, :] = x[..., c, :, :] / (k + alpha / size * total) ** beta
    return result


def cases(f):
    for opsets, dtypes, domain in (("15 16", FLOATS, "T"), ("17 18", MIXED, "U")):
        gamma, beta = normal(3, mean=1).of(domain).const, normal(3).of(domain).const
        mean, variance = normal(3).of(domain).const, uniform(0.5, 2, 3).of(domain).const
        epsilon = scalar(0.0625, domain)
        first = opsets.split()[0]
        x = normal(2, 3, 4, 5, scale=2)
        f.op("batch_norm", opsets, dtypes, batch_norm, CHAIN, x=x, mean=mean, variance=variance, gamma=gamma, beta=beta,
             epsilon=epsilon)  # fmt: skip
        f.op("batch_norm", first, "fp32", batch_norm, CHAIN, "plain", x=x, mean=mean, variance=variance)
        for label, shape in (("rank3", (2, 3, 6)), ("rank5", (1, 3, 2, 2, 3))):
            f.op("batch_norm", first, "fp32", batch_norm, CHAIN, label, x=normal(*shape), mean=mean, variance=variance,
                 gamma=gamma, beta=beta)  # fmt: skip
        f.op("instance_norm", opsets, dtypes, instance_norm, CHAIN, x=x, gamma=gamma, beta=beta, epsilon=epsilon)
        f.op("instance_norm", first, "fp32", instance_norm, CHAIN, "plain", x=x)
        f.op("instance_norm", first, "fp32", instance_norm, CHAIN, "rank3", x=normal(2, 3, 6), gamma=gamma, beta=beta)
        f.op("l2_norm", opsets, dtypes, l2_norm, CHAIN, x=x, epsilon=epsilon)
        f.op("l2_norm", first, "fp32", l2_norm, CHAIN, "plain", x=normal(3, 4, 5))
        f.op("layer_norm", opsets, dtypes, layer_norm, CHAIN, x=normal(2, 4, 3, scale=2, mean=1), axes=[-1], gamma=gamma,
             beta=beta, epsilon=epsilon)  # fmt: skip
        f.op("layer_norm", first, "fp32", layer_norm, CHAIN, "plain", x=normal(2, 4, 3), axes=[2])
        f.op("layer_norm", first, "fp32", layer_norm, CHAIN, "two_axes", x=normal(2, 4, 3), axes=[1, 2],
             gamma=normal(4, 3, mean=1).of(domain).const, beta=normal(4, 3).of(domain).const)  # fmt: skip
        f.op("layer_norm", first, "fp32", layer_norm, CHAIN, "middle", x=normal(2, 4, 3), axes=[1],
             gamma=normal(4, mean=1).of(domain).const)  # fmt: skip
        f.op("layer_norm", first, "fp32", layer_norm, CHAIN, "all", x=normal(2, 4, 3), axes=[0, 1, 2])
        small = scalar(0.001, domain)
        f.op("batch_norm", first, "fp16", batch_norm, CHAIN, "rank3", x=normal(2, 3, 6), mean=mean, variance=variance,
             gamma=gamma, beta=beta, epsilon=small)  # fmt: skip
        f.op("batch_norm", first, "fp16", batch_norm, CHAIN, "rank5", x=normal(1, 3, 2, 2, 3), mean=mean, variance=variance,
             epsilon=small)  # fmt: skip
        f.op("instance_norm", first, "fp16", instance_norm, CHAIN, "rank3", x=normal(2, 3, 6), epsilon=small)
        f.op("layer_norm", first, "fp16", layer_norm, CHAIN, "two_axes", x=normal(2, 4, 3), axes=[-2, -1],
             gamma=normal(4, 3, mean=1).of(domain).const, beta=normal(4, 3).of(domain).const, epsilon=small)  # fmt: skip
        f.op("layer_norm", first, "fp16", layer_norm, CHAIN, "middle", x=normal(2, 4, 3), axes=[1], epsilon=small)
        f.op("local_response_norm", opsets, dtypes, local_response_norm, CHAIN, x=normal(2, 6, 3, 4, scale=2), size=3,
             alpha=scalar(0.5, domain), beta=scalar(0.75, domain), k=scalar(2.0, domain))  # fmt: skip
        f.op("local_response_norm", first, "fp32", local_response_norm, CHAIN, "plain", x=normal(2, 6, 3, 4, scale=2), size=5)
        f.op("local_response_norm", first, "fp32", local_response_norm, CHAIN, "rank3", x=normal(6, 3, 4), size=3,
             alpha=scalar(0.5, domain))  # fmt: skip
    # A spread that is small beside the mean: a variance from E[x^2] - E[x]^2 loses it.
    f.op("layer_norm", "18", "fp32", layer_norm, CHAIN, "offset", x=normal(2, 64, mean=100), axes=[1])
    f.op("layer_norm", "16", "fp16", layer_norm, CHAIN, "long", x=normal(2, 2048), axes=[1], epsilon=scalar(1e-3))
    f.op("batch_norm", "26", "fp32", batch_norm, CHAIN, "defaults", x=normal(1, 3, 2, 2), mean=normal(3).const,
         variance=uniform(0.5, 2, 3).const, gamma=normal(3).const)  # fmt: skip
