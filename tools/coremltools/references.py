"""A second opinion on the cases: their NumPy references against PyTorch, both in float64.

    python tools/coremltools/references.py
"""

import itertools
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cases import activation, conv, image_resizing, pool, recurrent, tensor_transformation, transformers  # noqa: E402

T = torch.tensor
BOUND = 1e-9  # both sides compute in float64


def convolutions(rng):
    for axes, stride, dilation, groups, pad in itertools.product((1, 2, 3), (1, 2), (1, 2), (1, 2), (0, 1)):
        x, bias = rng.normal(size=(2, 4, *(7, 6, 5)[:axes])), rng.normal(size=6)
        rest = [stride] * axes, "custom", [pad] * 2 * axes, [dilation] * axes, groups
        weight = rng.normal(size=(6, 4 // groups, *(2, 3, 2)[:axes]))
        function = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
        yield "conv", conv.conv(x, weight, bias, *rest), function(T(x), T(weight), T(bias), stride, pad, dilation, groups)
        weight = rng.normal(size=(4, 6 // groups, *(2, 3, 2)[:axes]))
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
        want = function(T(x), T(weight), T(bias), stride, pad, 0, groups, dilation)
        yield "conv_transpose", conv.conv_transpose(x, weight, bias, *rest), want


def pools(rng):
    x = rng.normal(size=(1, 2, 7, 6))
    for kernel, stride, pad, ceil, exclude in itertools.product((2, 3), (1, 2), (0, 1), (False, True), (False, True)):
        rest = [kernel] * 2, [stride] * 2, "custom", [pad] * 4, ceil
        want = F.avg_pool2d(T(x), kernel, stride, pad, ceil, not exclude)
        yield "avg_pool", pool.TABLE["avg_pool"][0](x, *rest, exclude), want
        yield "max_pool", pool.TABLE["max_pool"][0](x, *rest), F.max_pool2d(T(x), kernel, stride, pad, 1, ceil)


def pictures(rng):
    x, matrix = rng.normal(size=(2, 3, 5, 7)), rng.uniform(-0.9, 0.9, (2, 6))
    places = F.affine_grid(T(matrix.reshape(2, 2, 3)), [2, 3, 4, 6], align_corners=True)
    yield "affine", image_resizing.affine(x, matrix, 4, 6), F.grid_sample(T(x), places, align_corners=True)
    places = rng.uniform(-1.4, 1.4, (2, 3, 4, 2))
    for align, mode in itertools.product((True, False), ("bilinear", "nearest")):
        for ours, theirs in (("constant", "zeros"), ("border", "border"), ("reflection" if align else "symmetric", "reflection")):
            got = image_resizing.resample(x, places, mode, ours, 0.0, "normalized_minus_one_to_one", align)
            yield f"resample {mode} {ours}", got, F.grid_sample(T(x), T(places), mode, theirs, align_corners=align)
    for height, width in ((8, 4), (5, 14), (3, 3)):
        for mode, align in (("STRICT_ALIGN_CORNERS", True), ("UNALIGN_CORNERS", False)):
            got = image_resizing.resize_bilinear(x, height, width, mode)
            yield f"resize {mode}", got, F.interpolate(T(x), (height, width), mode="bilinear", align_corners=align)
        yield "nearest", image_resizing.floor_nearest(x, height, width), F.interpolate(T(x), (height, width), mode="nearest")
    y = rng.normal(size=(2, 8, 4, 6))
    yield "pixel_shuffle", tensor_transformation.pixel_shuffle(y, 2), F.pixel_shuffle(T(y), 2)
    yield "pixel_unshuffle", tensor_transformation.pixel_unshuffle(y, 2), F.pixel_unshuffle(T(y), 2)
    yield "gelu", activation.gelu_exact(y), F.gelu(T(y))
    yield "gelu tanh", activation.gelu_tanh(y), F.gelu(T(y), approximate="tanh")


def gates(weight, order):
    """PyTorch's gates in MIL's order."""
    parts = np.split(weight, len(order))
    return np.concatenate([parts[i] for i in order])


def recurrences(rng):
    features, hidden, x = 3, 5, rng.normal(size=(4, 2, 3))
    for directions in (1, 2):
        module = torch.nn.LSTM(features, hidden, bidirectional=directions == 2).double()
        h, c = rng.normal(size=(2, directions, 2, hidden))
        w = {k: gates(v.detach().numpy(), (0, 1, 3, 2)) for k, v in module.named_parameters()}
        more = {}
        if directions == 2:
            more = dict(weight_ih_back=w["weight_ih_l0_reverse"], weight_hh_back=w["weight_hh_l0_reverse"],
                        bias_back=w["bias_ih_l0_reverse"] + w["bias_hh_l0_reverse"], direction="bidirectional")  # fmt: skip
        got = recurrent.lstm(x, np.concatenate(list(h), 1), np.concatenate(list(c), 1), w["weight_ih_l0"], w["weight_hh_l0"],
                             w["bias_ih_l0"] + w["bias_hh_l0"], output_sequence=True, **more)  # fmt: skip
        want, (last_h, last_c) = module(T(x), (T(h), T(c)))
        yield "lstm", got[0], want.detach()
        yield "lstm h", got[1], torch.cat(list(last_h.detach()), 1)
        yield "lstm c", got[2], torch.cat(list(last_c.detach()), 1)
    h = rng.normal(size=(1, 2, hidden))
    module = torch.nn.GRU(features, hidden).double()
    w = {k: gates(v.detach().numpy(), (0, 2, 1)) for k, v in module.named_parameters()}
    got = recurrent.gru(x, h[0], w["weight_ih_l0"], w["weight_hh_l0"], w["bias_hh_l0"], w["bias_ih_l0"], output_sequence=True,
                        reset_after=True)  # fmt: skip
    yield "gru", got[0], module(T(x), T(h))[0].detach()
    module = torch.nn.RNN(features, hidden).double()
    w = {k: v.detach().numpy() for k, v in module.named_parameters()}
    got = recurrent.rnn(x, h[0], w["weight_ih_l0"], w["weight_hh_l0"], w["bias_ih_l0"] + w["bias_hh_l0"], output_sequence=True)
    yield "rnn", got[0], module(T(x), T(h))[0].detach()
    q, k, v, mask = *(rng.normal(size=(2, 3, 5, 4)) for _ in range(3)), rng.normal(size=(5, 5))
    want = F.scaled_dot_product_attention(T(q), T(k), T(v), T(mask))
    yield "attention", transformers.attention(q, k, v, mask), want


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    passed = failed = 0
    worst = 0.0
    for name, got, want in itertools.chain(convolutions(rng), pools(rng), pictures(rng), recurrences(rng)):
        want = want.numpy()
        error = float(np.abs(got - want).max()) if got.shape == want.shape else np.inf
        if error <= BOUND:
            passed, worst = passed + 1, max(worst, error)
        else:
            failed += 1
            print(f"FAIL {name}: shapes {got.shape} and {want.shape}, off by {error:.2e}")
    print(f"NumPy references and PyTorch differ by at most {worst:.1e}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
