"""Normalizations. Per-channel parameters are constants in MIL, yet carry gradients here."""

import numpy as np
import torch
import torch.nn.functional as F

from case import Family, f32, weight

EPSILON = f32(1e-5)


def size(shape):
    return "x".join(map(str, shape))


def per_channel(value, rank):
    return value.reshape([1, -1] + [1] * (rank - 2))


def fill_batch_norm(fam):
    for i, shape in enumerate([(2, 3, 4), (1, 2, 3, 2), (2, 4, 2, 2), (2, 2, 2, 2, 2), (1, 1, 1)]):
        channels, rank = shape[1], len(shape)
        x = ("x", fam.normal(*shape))
        moments = [("mean", weight(fam.normal(channels))), ("variance", weight(fam.uniform(0.2, 2, channels)))]
        affine = [("gamma", weight(fam.normal(channels))), ("beta", weight(fam.normal(channels)))]

        def fn(x, mean, variance, gamma=None, beta=None, epsilon=EPSILON):
            y = (x - per_channel(mean, rank)) / torch.sqrt(per_channel(variance, rank) + epsilon)
            return y if gamma is None else y * per_channel(gamma, rank) + per_channel(beta, rank)

        fam.add("batch_norm", size(shape), [x] + moments, fn)
        fam.add("batch_norm", f"{size(shape)}_affine", [x] + moments + affine, fn)
        if i == 0:
            e = f32(1e-2)
            fam.add(
                "batch_norm",
                f"{size(shape)}_epsilon",
                [x] + moments + affine,
                lambda *operands: fn(*operands, epsilon=e),
                {"epsilon": e},
            )


def fill_instance_norm(fam):
    for i, shape in enumerate([(2, 3, 5), (1, 2, 3, 4), (2, 2, 2, 3), (1, 4, 4)]):
        channels = shape[1]
        x = ("x", fam.normal(*shape))
        affine = [("gamma", weight(fam.normal(channels))), ("beta", weight(fam.normal(channels)))]

        def fn(x, gamma=None, beta=None, epsilon=EPSILON):
            return F.instance_norm(x, weight=gamma, bias=beta, eps=epsilon)

        fam.add("instance_norm", size(shape), [x], fn)
        fam.add("instance_norm", f"{size(shape)}_affine", [x] + affine, fn)
        if i == 1:
            e = f32(0.1)
            fam.add(
                "instance_norm", f"{size(shape)}_epsilon", [x] + affine, lambda *o: fn(*o, epsilon=e), {"epsilon": e}
            )


def layer_norm(x, axes, gamma=None, beta=None, epsilon=EPSILON):
    centred = x - x.mean(axes, keepdim=True)
    y = centred / torch.sqrt(centred.square().mean(axes, keepdim=True) + epsilon)
    dims = {a % x.dim() for a in axes}
    shape = [s if i in dims else 1 for i, s in enumerate(x.shape)]
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def fill_layer_norm(fam):
    table = [
        ((2, 6), [-1]),
        ((2, 3, 4), [2]),
        ((2, 3, 4), [1, 2]),
        ((2, 3, 4), [-1, -2]),
        ((2, 3, 4), None),
        ((1, 2, 3, 5), [3]),
        ((2, 3, 2, 2), [1]),
        ((5,), [0]),
        ((2, 4, 1, 3), [1, 3]),
    ]
    for shape, axes in table:
        dims = list(range(len(shape))) if axes is None else axes
        normalized = [s for i, s in enumerate(shape) if i in {a % len(shape) for a in dims}]
        consts = {} if axes is None else {"axes": axes}
        tag = size(shape) + "_axes_" + ("all" if axes is None else "_".join(str(a).replace("-", "m") for a in axes))
        x = ("x", fam.normal(*shape, scale=2.0))
        gamma, beta = ("gamma", weight(fam.normal(*normalized))), ("beta", weight(fam.normal(*normalized)))
        fam.add("layer_norm", tag, [x], lambda x: layer_norm(x, dims), consts)
        fam.add("layer_norm", f"{tag}_affine", [x, gamma, beta], lambda x, g, b: layer_norm(x, dims, g, b), consts)
        fam.add("layer_norm", f"{tag}_gamma", [x, gamma], lambda x, g: layer_norm(x, dims, g), consts)
    e = f32(1e-3)
    x = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [1e-3, -1e-3, 2e-3, 0.0], [1e4, -1e4, 2e4, 0.0]])
    fam.add(
        "layer_norm",
        "constant_rows",
        [("x", x)],
        lambda x: layer_norm(x, [-1], epsilon=e),
        {"axes": [-1], "epsilon": e},
        check=False,
    )
    fam.add(
        "layer_norm", "far_from_zero", [("x", fam.normal(2, 8) + 100)], lambda x: layer_norm(x, [-1]), {"axes": [-1]}
    )


def fill_others(fam):
    for shape in [(2, 3, 2), (1, 2, 3, 2), (3, 2, 2, 2), (2, 2, 1, 2, 3)]:
        for e, consts in [(f32(1e-6), {}), (f32(0.05), {"epsilon": f32(0.05)})]:
            fam.add(
                "l2_norm",
                f"{size(shape)}{'_epsilon' if consts else ''}",
                [("x", fam.normal(*shape))],
                lambda x: x / torch.sqrt(x.square().sum((-3, -2, -1), keepdim=True) + e),
                consts,
            )
    fam.add(
        "l2_norm",
        "zero",
        [("x", np.zeros((1, 1, 3)))],
        lambda x: x / torch.sqrt(x.square().sum() + f32(0.01)),
        {"epsilon": f32(0.01)},
    )
    lrn = [
        ((2, 5, 3), 3, {}),
        ((1, 6, 2, 2), 5, {}),
        ((1, 4, 2, 3), 3, {"alpha": 0.5, "beta": 0.6, "k": 2.0}),
        ((2, 3, 4), 1, {"alpha": 0.25}),
        ((1, 3, 2, 2), 7, {"alpha": 1.0, "beta": 1.0, "k": 0.5}),
        ((1, 5, 2, 2), 4, {"alpha": 0.5}),
        ((4, 2, 3), 2, {"alpha": 1.0}),
    ]
    for shape, window, options in lrn:
        options = {k: f32(v) for k, v in options.items()}
        full = {"alpha": f32(1e-4), "beta": 0.75, "k": 1.0} | options
        fam.add(
            "local_response_norm",
            f"{size(shape)}_size{window}{'_options' if options else ''}",
            [("x", fam.normal(*shape, scale=2.0))],
            lambda x: local_response_norm(x, window, **full),
            {"size": window} | options,
        )


def local_response_norm(x, window, alpha, beta, k):
    """The window is cut off at the ends; its sum is divided by `window` all the same.

    Core ML takes the third axis from the end for the channels, so that a tensor of three axes is one sample. Of an even
    window PyTorch has one channel more before than after; Apple does not say.
    """
    batch = x if x.dim() == 4 else x.unsqueeze(0)
    before, after = window // 2, (window - 1) // 2
    squares = batch.square()
    sums = [squares[:, max(0, c - before) : c + after + 1].sum(1) for c in range(batch.shape[1])]
    y = batch / torch.pow(k + alpha / window * torch.stack(sums, 1), beta)
    assert torch.allclose(y, F.local_response_norm(batch, window, alpha, beta, k))
    return y.reshape(x.shape)


def family():
    fam = Family("normalization", 106)
    fill_batch_norm(fam)
    fill_instance_norm(fam)
    fill_layer_norm(fam)
    fill_others(fam)
    return fam
