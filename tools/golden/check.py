"""A second opinion on the op cases: Apple's coremltools infers each case's output type, and folds it where it can.

Run with `pip install coremltools==9.0` in an environment of its own: `python tools/golden/check.py`. Prints every
disagreement and how many cases were compared. Nothing is written.
"""

import collections
import glob
import gzip
import json
import os

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, types

NUMPY = {"fp32": np.float32, "int32": np.int32, "bool": np.bool_}
MIL = {"fp32": types.fp32, "int32": types.int32, "bool": types.bool}
OPSETS = {"ios16": ct.target.iOS16, "ios18": ct.target.iOS18}
TUPLES = ("values",)
# MIL wants these constant, or can infer nothing without their values.
CONST_OPERANDS = {"weight", "bias", "mean", "variance", "gamma", "beta", "alpha", "lengths"}


def array(entry):
    if entry["dtype"] == "string":
        return entry["data"][0]
    # JSON has no infinities: they are the strings that float() reads.
    data = [float(v) if isinstance(v, str) else v for v in entry["data"]]
    value = np.array(data, dtype=NUMPY[entry["dtype"]]).reshape(entry["shape"])
    if entry["shape"]:
        return value
    return bool(value) if entry["dtype"] == "bool" else value[()]


def build(case, fold):
    """The case as one op in a program; with `fold` every operand is a constant, so that coremltools evaluates it."""
    specs, fixed = {}, []
    for i, entry in enumerate(case["inputs"]):
        constant = fold or entry["param"] in CONST_OPERANDS or entry.get("mil_const")
        if constant:
            fixed.append(array(entry))
        else:
            shape = tuple(entry["shape"])
            if not shape:
                return None  # a program input must have rank 1 or more
            specs[f"in{i}"] = mb.placeholder(shape=shape, dtype=MIL[entry["dtype"]])
            fixed.append(None)
    if not specs:
        specs["unused"] = mb.placeholder(shape=(1,), dtype=types.fp32)
    with Function(specs, opset_version=OPSETS[case["opset"]]) as function:
        arguments = collections.defaultdict(list)
        for i, entry in enumerate(case["inputs"]):
            value = function.inputs[f"in{i}"] if fixed[i] is None else fixed[i]
            arguments[entry["param"]].append(value)
        arguments = {k: v if k in TUPLES else v[0] for k, v in arguments.items()}
        for name, entry in case["consts"].items():
            arguments[name] = array(entry)
        for name in {"downscale_factor", "resized_dims"} & arguments.keys():
            arguments[name] = np.uint32(arguments[name])
        out = getattr(mb, case["op"])(**arguments)
    return list(out) if isinstance(out, (tuple, list)) else [out]


def check_types(case, outputs):
    found = [(tuple(int(n) for n in o.shape), types.builtin_to_string(o.dtype)) for o in outputs]
    wanted = [(tuple(o["shape"]), o["dtype"]) for o in case["outputs"]]
    # coremltools reports full reductions as scalars without a shape.
    return None if found == wanted else f"types {found}, the file says {wanted}"


def check_values(case, outputs):
    for want, out in zip(case["outputs"], outputs):
        if out.val is None:
            return None, False
        expected = np.asarray(array(want))
        got = np.asarray(out.val)
        if got.shape != expected.shape:
            return f"value of shape {got.shape}, the file says {expected.shape}", True
        if expected.dtype == np.float32:
            same = np.allclose(got, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
        else:
            same = np.array_equal(got, expected)
        if not same:
            return f"value {got.ravel()[:6]}, the file says {expected.ravel()[:6]}", True
    return None, True


def main():
    np.seterr(all="ignore")
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden", "ops")
    typed = folded = 0
    skipped = collections.Counter()
    for path in sorted(glob.glob(os.path.join(folder, "*.json.gz"))):
        for case in json.load(gzip.open(path))["cases"]:
            for fold in (False, True):
                try:
                    outputs = build(case, fold)
                    if outputs is None:
                        continue
                    problem = None if fold else check_types(case, outputs)
                    typed += not fold
                    if fold:
                        problem, compared = check_values(case, outputs)
                        folded += compared
                except Exception as error:  # coremltools raises many kinds; each is a disagreement to look at
                    problem = f"{type(error).__name__}: {str(error)[:160]}"
                    skipped[case["op"]] += 1
                if problem:
                    print(f"{case['name']} ({'value' if fold else 'type'}): {problem}")
    print(f"{typed} output types and {folded} values compared; refused: {dict(skipped)}")


if __name__ == "__main__":
    main()
