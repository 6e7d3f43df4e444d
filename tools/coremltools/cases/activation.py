"""Activations. Before iOS 17 the parameters of an activation have the dtype of `x`; from then on one of their own."""

import math

import numpy as np

from judge.draw import normal, scalar, uniform
from judge.tolerance import EXACT, FUNCTION, ROUNDED

EVERY = "15 16 17 18 26"
FLOATS = "fp16 fp32"
MIXED = "fp16 fp32 fp16/fp32 fp32/fp16"


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.logaddexp(0, x)


def gelu_exact(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def channels(parameter, x):
    """A per-channel parameter against `x` of at least three axes, channels at axis 1."""
    return parameter.reshape([-1] + [1] * (x.ndim - 2))


PLAIN = {
    "relu": (lambda x: np.maximum(x, 0), EXACT),
    "relu6": (lambda x: np.clip(x, 0, 6), EXACT),
    "sigmoid": (sigmoid, FUNCTION),
    "silu": (lambda x: x * sigmoid(x), FUNCTION),
    "softplus": (softplus, FUNCTION),
    "softsign": (lambda x: x / (1 + np.abs(x)), FUNCTION),
}

# op: (reference, parameters, tolerance)
PARAMETRIC = {
    "clamped_relu": (
        lambda x, alpha, beta: np.minimum(np.where(x >= 0, x, alpha * x), beta),
        dict(alpha=0.25, beta=1.5),
        ROUNDED,
    ),
    "elu": (lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)), dict(alpha=0.7), FUNCTION),
    "leaky_relu": (lambda x, alpha: np.where(x >= 0, x, alpha * x), dict(alpha=0.1), ROUNDED),
    "linear_activation": (lambda x, alpha, beta: alpha * x + beta, dict(alpha=1.7, beta=-0.3), FUNCTION),
    "scaled_tanh": (lambda x, alpha, beta: alpha * np.tanh(beta * x), dict(alpha=1.7, beta=0.6), FUNCTION),
    "sigmoid_hard": (lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1), dict(alpha=0.3, beta=0.4), FUNCTION),
    "thresholded_relu": (lambda x, alpha: np.where(x >= alpha, x, 0), dict(alpha=0.5), EXACT),
}


def cases(f):
    x = normal(2, 3, 4, scale=3)
    for op, (reference, tolerance) in PLAIN.items():
        f.op(op, EVERY, FLOATS, reference, tolerance, x=x)
        f.op(op, "15 18", "fp32 fp16", reference, tolerance, "edges", x=uniform(-12, 12, 70))
        f.op(op, "16", "fp16", reference, tolerance, "one", x=normal(1))
    f.op("softplus", "17", "fp32", softplus, FUNCTION, "large", x=uniform(-80, 80, 40))
    f.op("sigmoid", "17", "fp32", sigmoid, FUNCTION, "large", x=uniform(-80, 80, 40))

    for op, (reference, values, tolerance) in PARAMETRIC.items():
        f.op(op, "15 16", FLOATS, reference, tolerance, x=x, **{k: scalar(v) for k, v in values.items()})
        f.op(op, "17 18", MIXED, reference, tolerance, x=x, **{k: scalar(v, "U") for k, v in values.items()})
    f.op("leaky_relu", "18", "fp32", PARAMETRIC["leaky_relu"][0], ROUNDED, "negative", x=x, alpha=scalar(-0.5))
    f.op("elu", "26", "fp32", PARAMETRIC["elu"][0], FUNCTION, "near_zero", x=normal(50, scale=1e-3), alpha=scalar(1.0))

    f.op("gelu", EVERY, FLOATS, gelu_exact, FUNCTION, x=x)
    f.op("gelu", "15 17", FLOATS, gelu_exact, FUNCTION, "exact", x=x, mode="EXACT")
    f.op("gelu", "16 18", FLOATS, gelu_tanh, FUNCTION, "tanh", x=x, mode="TANH_APPROXIMATION")
    f.op("gelu", "15 18", FLOATS, lambda x: x * sigmoid(1.702 * x), FUNCTION, "sigmoid", x=x, mode="SIGMOID_APPROXIMATION")

    f.op("softmax", EVERY, FLOATS, softmax, FUNCTION, x=x)
    for axis in (0, 1, -2):
        f.op("softmax", "15 18", FLOATS, softmax, FUNCTION, f"axis{axis}", x=normal(3, 5, 2, scale=4), axis=axis)
    f.op("softmax", "17", "fp32", softmax, FUNCTION, "large", x=uniform(-1000, 1000, 3, 7))
    f.op("softmax", "17", "fp16", softmax, FUNCTION, "single", x=normal(4, 1))
    f.op("softmax", "17", "fp32", softmax, FUNCTION, "long", x=normal(2, 1000, scale=2))

    prelu = lambda x, alpha: np.where(x > 0, x, channels(alpha, x) * x)  # noqa: E731
    softplus_parametric = lambda x, alpha, beta: channels(alpha, x) * softplus(channels(beta, x) * x)  # noqa: E731
    four = normal(2, 3, 4, 5, scale=2)
    f.op("prelu", "15 16", FLOATS, prelu, ROUNDED, x=four, alpha=normal(3).const)
    f.op("prelu", "17 18", MIXED, prelu, ROUNDED, x=four, alpha=normal(3).of("U").const)
    # Core ML runs ranks 3 and 5 only where all alphas are equal.
    f.op("prelu", "15", "fp32", prelu, ROUNDED, "rank3", x=normal(2, 3, 4), alpha=scalar([0.25] * 3))
    f.op("prelu", "17", "fp16", prelu, ROUNDED, "rank5", x=normal(2, 3, 4, 1, 2), alpha=scalar([0.25] * 3))
    positive = uniform(0.3, 2.0, 3)
    f.op("softplus_parametric", "15 16", FLOATS, softplus_parametric, FUNCTION, x=four, alpha=positive.const, beta=positive.const)
    f.op("softplus_parametric", "17 18", MIXED, softplus_parametric, FUNCTION,
         x=four, alpha=positive.of("U").const, beta=positive.of("U").const)  # fmt: skip
