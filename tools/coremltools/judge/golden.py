"""What a network gave, kept beside its package: `models.py --golden` writes it, `replay.py` needs no PyTorch to judge by it."""

import json
import os
from types import SimpleNamespace

import numpy as np

from . import engine


def save(place, case, steps, expected):
    """Inputs and expected outputs of every call. `float32` keeps seven digits, which no tolerance asks for."""
    arrays = {}
    for i, (step, outputs) in enumerate(zip(steps, expected)):
        arrays.update({f"{i}/input/{name}": value for name, value in step.items()})
        for name, value in zip(case.outputs, outputs):
            value = np.asarray(value)
            arrays[f"{i}/output/{name}"] = value.astype(np.float32) if value.dtype == np.float64 else value
    np.savez_compressed(os.path.join(place, "values.npz"), **arrays)
    with open(os.path.join(place, "case.json"), "w") as file:
        json.dump(vars(case), file, indent=1)
        file.write("\n")


def load(place):
    """(case, inputs of every call, expected outputs of every call) as saved."""
    with open(os.path.join(place, "case.json")) as file:
        case = SimpleNamespace(**json.load(file))
    steps, expected = [], []
    with np.load(os.path.join(place, "values.npz")) as archive:
        for i in range(1 + max(int(name.split("/")[0]) for name in archive.files)):
            named = {name.split("/", 2)[2]: archive[name] for name in archive.files if name.startswith(f"{i}/input/")}
            steps.append(named)
            expected.append([archive[f"{i}/output/{name}"] for name in case.outputs])
    return case, steps, expected


def judge(anemone, path, case, steps, expected, place):
    """(complaint or None, largest error as a part of the largest value of its output, number of tokens chosen)"""
    try:
        got = engine.run(anemone, path, steps, place, timeout=600)
    except engine.Failure as failure:
        return str(failure), None, 0
    worst, tokens = 0.0, []
    for i, (outputs, want) in enumerate(zip(got, expected)):
        if case.unordered:
            want = reordered(want, outputs[case.outputs[0]])
        for name, value in zip(case.outputs, want):
            if name not in outputs:
                return f"no output {name}; there are {', '.join(outputs) or 'none'}", worst, 0
            found = outputs[name].astype(np.float64)
            if found.size != value.size or [n for n in found.shape if n > 1] != [n for n in value.shape if n > 1]:
                return f"{name}: shape {found.shape}, expected {value.shape}", worst, 0
            error = float(np.abs(found.reshape(-1) - value.reshape(-1)).max() / max(np.abs(value).max(), 1e-30)) if value.size else 0.0
            if not error <= case.bound:
                return f"{name} of call {i}: off by {error:.2e} of the largest value, allowed {case.bound:g}", worst, 0
            worst = max(worst, error)
        if case.chosen is not None:
            tokens.append(int(np.argmax(outputs[case.outputs[0]])))
    # The tokens fed are those the source model chose, so equal choices at every step are equal texts.
    if case.chosen is not None and tokens != case.chosen:
        at = next(i for i, (a, b) in enumerate(zip(tokens, case.chosen)) if a != b)
        return f"token {at} is {tokens[at]}, the source model says {case.chosen[at]}", worst, 0
    return None, worst, len(tokens)


def reordered(want, got):
    """The rows of every output of `want`, in the order that the rows of its first have in `got`."""
    if want[0].shape != got.shape:
        return want
    order, free = [], np.ones(len(got), dtype=bool)
    for row in got:
        distance = np.where(free, np.abs(want[0] - row).max(axis=1), np.inf)
        order.append(int(distance.argmin()))
        free[order[-1]] = False
    return [w[order] for w in want]
