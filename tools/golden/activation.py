"""Activations. Where the derivative at a kink is a convention it is PyTorch's, and the case says so."""

import numpy as np
import torch
import torch.nn.functional as F

from case import Family, f32, weight

SHAPES = [(7,), (2, 3), (2, 3, 4), (1, 4, 3, 2), (2, 2, 3, 2, 2)]
EDGES = [-88.0, -30.0, -10.0, -3.5, -1.0, -0.25, -1e-4, -1e-20, 1e-20, 1e-4, 0.25, 1.0, 2.0, 3.5, 10.0, 30.0, 88.0]


def smooth(fam, op, fn, consts=None, tag="", shapes=SHAPES, edges=True):
    """Random shapes, then a row of edge values without the points in `EDGES` that overflow."""
    for shape in shapes:
        fam.add(op, f"{tag}rank{len(shape)}", [("x", fam.normal(*shape, scale=2.0))], fn, consts)
    if edges:
        fam.add(op, f"{tag}edges", [("x", np.array(EDGES))], fn, consts)
        fam.add(op, f"{tag}zero", [("x", np.array([0.0, -0.0]))], fn, consts, grad=False)


def kink(fam, op, name, x, fn, convention, consts=None):
    fam.add(op, f"{name}_kink", [("x", np.array(x))], fn, consts, convention=convention)


def fill_plain(fam):
    smooth(fam, "relu", torch.relu)
    kink(fam, "relu", "zero", [0.0, -0.0, 1.0, -1.0], torch.relu, "derivative 0 at 0")
    smooth(fam, "relu6", F.relu6)
    kink(fam, "relu6", "zero_and_six", [0.0, 6.0, 3.0, 7.0], F.relu6, "derivative 0 at 0 and at 6")
    smooth(fam, "sigmoid", torch.sigmoid)
    smooth(fam, "silu", F.silu)
    smooth(fam, "softplus", lambda x: torch.clamp(x, min=0) + torch.log1p(torch.exp(-x.abs())))
    fam.add(
        "softplus", "grad_at_zero", [("x", np.array([0.0, 0.5]))], lambda x: torch.logaddexp(x, torch.zeros_like(x))
    )
    smooth(fam, "softsign", F.softsign)
    fam.add("softsign", "grad_at_zero", [("x", np.array([0.0, 0.5]))], F.softsign)
    for mode, fn in [
        ("EXACT", F.gelu),
        ("TANH_APPROXIMATION", lambda x: F.gelu(x, approximate="tanh")),
        ("SIGMOID_APPROXIMATION", lambda x: x * torch.sigmoid(1.702 * x)),
    ]:
        smooth(fam, "gelu", fn, {"mode": mode}, tag=f"{mode.split('_')[0].lower()}_")
    fam.add("gelu", "default_mode", [("x", fam.normal(5))], F.gelu)
    fam.add("gelu", "grad_at_zero", [("x", np.array([0.0, -0.5, 0.5]))], F.gelu)


def fill_with_alpha(fam):
    for alpha in (0.1, 0.3, 0.0, -0.5):
        a, tag = f32(alpha), f"alpha{str(alpha).replace('.', 'p').replace('-', 'm')}_"
        shapes = SHAPES if alpha == 0.1 else SHAPES[1:2]
        smooth(fam, "leaky_relu", lambda x: F.leaky_relu(x, a), {"alpha": a}, tag, shapes, alpha == 0.1)
    kink(
        fam,
        "leaky_relu",
        "zero",
        [0.0, 1.0],
        lambda x: F.leaky_relu(x, f32(0.2)),
        "slope alpha at 0",
        {"alpha": f32(0.2)},
    )
    for alpha in (1.0, 0.5, 1.7):
        a, tag = f32(alpha), f"alpha{str(alpha).replace('.', 'p')}_"
        shapes = SHAPES if alpha == 1.0 else SHAPES[1:2]
        smooth(fam, "elu", lambda x: F.elu(x, a), {"alpha": a}, tag, shapes, alpha == 1.0)
    kink(fam, "elu", "zero", [0.0, 1.0], lambda x: F.elu(x, 0.5), "slope alpha at 0", {"alpha": 0.5})
    for alpha in (1.0, 0.3):
        a, tag = f32(alpha), f"alpha{str(alpha).replace('.', 'p')}_"
        fn = lambda x: torch.where(x >= a, x, torch.zeros_like(x))
        smooth(fam, "thresholded_relu", fn, {"alpha": a}, tag, SHAPES[:3], False)
        fam.add(
            "thresholded_relu", f"{tag}at_threshold", [("x", np.array([a, a - 1, a + 1]))], fn, {"alpha": a}, grad=False
        )
    for shape in [(2, 3, 2, 2), (1, 4, 3, 1), (3, 2, 4, 2)]:
        channels = shape[1]
        bias = [1, channels] + [1] * (len(shape) - 2)
        fam.add(
            "prelu",
            f"channels{channels}",
            [("x", fam.normal(*shape)), ("alpha", weight(fam.normal(channels)))],
            lambda x, alpha: torch.where(x > 0, x, alpha.reshape(bias) * x),
        )
    for shape in [(2, 3, 4), (1, 2, 2, 2, 2)]:
        bias = [1, shape[1]] + [1] * (len(shape) - 2)
        fam.add(
            "prelu",
            f"equal_alpha_rank{len(shape)}",
            [("x", fam.normal(*shape)), ("alpha", weight(np.full(shape[1], 0.25)))],
            lambda x, alpha: torch.where(x > 0, x, alpha.reshape(bias) * x),
        )
    fam.add(
        "prelu",
        "zero_kink",
        [("x", np.zeros((1, 2, 1, 1))), ("alpha", weight(np.array([0.5, -2.0])))],
        F.prelu,
        convention="slope alpha at 0",
    )


def fill_with_alpha_and_beta(fam):
    def both(op, fn, pairs, edges):
        for i, (alpha, beta) in enumerate(pairs):
            a, b = f32(alpha), f32(beta)
            shapes = SHAPES if i == 0 else SHAPES[1:2]
            smooth(fam, op, lambda x: fn(x, a, b), {"alpha": a, "beta": b}, f"v{i}_", shapes, edges and i == 0)

    both("linear_activation", lambda x, a, b: x * a + b, [(1.5, -0.25), (-0.3, 2.0), (0.0, 1.0)], True)
    both("scaled_tanh", lambda x, a, b: a * torch.tanh(b * x), [(1.7159, 0.6667), (0.5, -2.0)], True)
    both("sigmoid_hard", lambda x, a, b: torch.clamp(a * x + b, 0.0, 1.0), [(0.2, 0.5), (1 / 6, 0.5), (0.6, 0.1)], True)

    def clamped(x, a, b):
        return torch.where(x >= 0, torch.clamp(x, max=b), torch.clamp(a * x, max=b))

    both("clamped_relu", clamped, [(0.1, 1.2), (-0.5, 0.6), (0.3, 6.0)], True)

    for shape in [(2, 3, 4), (1, 4, 3, 2), (2, 2, 3, 2)]:
        channels = shape[1]
        bias = [1, channels] + [1] * (len(shape) - 2)
        fam.add(
            "softplus_parametric",
            f"rank{len(shape)}_channels{channels}",
            [
                ("x", fam.normal(*shape)),
                ("alpha", weight(fam.uniform(0.2, 2, channels))),
                ("beta", weight(fam.normal(channels))),
            ],
            lambda x, alpha, beta: alpha.reshape(bias) * torch.logaddexp(beta.reshape(bias) * x, torch.zeros_like(x)),
        )
    fam.add(
        "softplus_parametric",
        "large",
        [
            ("x", np.array([[[-80.0, 80.0]], [[40.0, -40.0]]])),
            ("alpha", weight(np.array([1.5]))),
            ("beta", weight(np.array([1.0]))),
        ],
        lambda x, alpha, beta: alpha.reshape(1, 1, 1) * torch.logaddexp(beta.reshape(1, 1, 1) * x, torch.zeros_like(x)),
    )


def fill_softmax(fam):
    for shape, axis in [
        ((5,), 0),
        ((2, 3), -1),
        ((2, 3), 0),
        ((2, 3, 4), 1),
        ((2, 3, 4), -3),
        ((1, 2, 3, 4), 3),
        ((2, 2, 3, 2), -2),
        ((2, 1, 3), 1),
        ((1,), 0),
        ((2, 30), 1),
    ]:
        name = "x".join(map(str, shape)) + f"_axis{str(axis).replace('-', 'm')}"
        fam.add("softmax", name, [("x", fam.normal(*shape))], lambda x: torch.softmax(x, axis), {"axis": axis})
    fam.add("softmax", "default_axis", [("x", fam.normal(3, 4))], lambda x: torch.softmax(x, -1))
    fam.add(
        "softmax",
        "large",
        [("x", np.array([[88.0, -88.0, 87.0], [1e4, 1e4, -1e4], [-1e4, -1e4, -1e4 + 1]]))],
        lambda x: torch.softmax(x, -1),
        {"axis": -1},
        check=False,
    )
    fam.add("softmax", "equal", [("x", np.full((2, 4), 3.0))], lambda x: torch.softmax(x, -1), {"axis": -1})
    fam.add("softmax", "masked", [("x", fixed_mask())], lambda x: torch.softmax(x, -1), {"axis": -1}, grad=False)


def fixed_mask():
    return np.array([[0.5, -np.inf, 1.0], [-np.inf, -np.inf, 2.0]])


def family():
    fam = Family("activation", 101)
    fill_plain(fam)
    fill_with_alpha(fam)
    fill_with_alpha_and_beta(fam)
    fill_softmax(fam)
    return fam
