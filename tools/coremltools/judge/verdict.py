"""What a case is worth: the package is written, read and run, and the outputs are compared."""

import contextlib
import os

import numpy as np

from . import engine, package, tolerance


def prepare(case, place):
    """(path, specification, output names, output dtypes) of the package written for `case`."""
    program, outputs = package.program(case)
    path = os.path.join(place, "model.mlpackage")
    if case.merged is not None:
        with contextlib.redirect_stderr(package.QUIET):
            path = case.merged(case, place)
        return path, package.ct.utils.load_spec(path), [name for name, _ in outputs], [dtype for _, dtype in outputs]
    spec = package.convert(program, case, path)
    named = [f.name for f in spec.description.output]
    names = case.outputs or [name for name, _ in outputs]
    if case.outputs is None and names != named:
        if len(names) != len(named):
            raise ValueError(f"the program gives {names}, the model {named}")
        names = named
    # What the converter makes of an output (a classifier's) is as precise as the fp32 it is made of.
    return path, spec, names, [dtype for _, dtype in outputs] if case.outputs is None else ["fp32"] * len(names)


def expected(case):
    """One list of outputs per step."""
    values = case.reference()
    steps = values if case.steps else [values]
    return [[np.asarray(v) for v in step] for step in steps]


def against_anemone(case, place, anemone):
    path, spec, names, dtypes = prepare(case, place)
    steps = package.features(spec, case)
    got = engine.run(anemone, path, steps, place, case.function)
    if case.check is not None:
        again = engine.run(anemone, path, steps, place)
        return 0.0, 0.0, case.check([[step[n] for n in names] for step in (got[0], again[0])])
    worst, largest = 0.0, 0.0
    for i, (step, want) in enumerate(zip(got, expected(case))):
        np.savez(os.path.join(place, f"expected{i}.npz"), **dict(zip(names, want)))
        for name, value, dtype in zip(names, want, dtypes):
            if name not in step:
                return np.inf, np.inf, f"no output {name}; there are {', '.join(step) or 'none'}"
            ratio, difference = tolerance.error(step[name], value, dtype, case.tolerance)
            worst, largest = max(worst, ratio), max(largest, difference)
            if ratio > 1:
                return worst, largest, describe(name, step[name], value, dtype, difference, case)
    return worst, largest, None


def against_coremltools(case, place):
    """The package must read back, and where coremltools folds constants, the fold must agree with the reference."""
    path, spec, _, dtypes = prepare(case, place)
    package.reload(spec, path)
    if case.check is not None or case.reference is None:
        return 0.0, 0.0, None
    want = expected(case)
    for array in (a for step in want for a in step):
        if array.dtype.kind not in "biufUS":
            return np.inf, np.inf, f"the reference gives {array.dtype}"
    if case.constant is None or case.steps:
        return 0.0, 0.0, None
    got = package.folded(case)
    if got is None:
        return shapes(case, want[0])
    worst, largest = 0.0, 0.0
    for i, (value, dtype) in enumerate(zip(want[0], dtypes)):
        if dtype == "fp16":  # NumPy rounds after every step of a formula there, so it overflows and drifts sooner
            got[i], slack = np.where(np.isfinite(got[i]), got[i], value.astype(np.float16)), 16
        else:
            slack = 1
        ratio, difference = tolerance.error(got[i], value, dtype, case.tolerance)
        worst, largest = max(worst, ratio / slack), max(largest, difference)
        if ratio > slack:
            return worst, largest, "coremltools folds to another value: " + describe(str(i), got[i], value, dtype, difference, case)
    return worst, largest, None


def shapes(case, want):
    """Without values, the inferred shapes must at least allow the reference's."""
    program, _ = package.program(case)
    for var, value in zip(program.functions["main"].outputs, want):
        shape = getattr(var, "shape", None)
        if shape is None or value.dtype.kind in "US":
            continue
        known = [isinstance(d, (int, np.integer)) for d in shape]
        if len(shape) != value.ndim or any(k and d != v for k, d, v in zip(known, shape, value.shape)):
            return np.inf, np.inf, f"inferred shape {tuple(shape)}, the reference has {value.shape}"
    return 0.0, 0.0, None


def describe(name, got, want, dtype, difference, case):
    got = np.asarray(got)
    if got.shape != want.shape and not (want.shape == () and got.shape == (1,)):
        return f"{name}: shape {got.shape}, expected {want.shape}"
    flat_got, flat_want = got.reshape(-1), want.reshape(-1)
    if flat_want.dtype.kind in "US":
        return f"{name}: {flat_got}, expected {flat_want}"
    with np.errstate(invalid="ignore"):
        off = np.abs(flat_got.astype(np.float64) - flat_want.astype(np.float64))
    at = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
    rtol, atol = case.tolerance.pair(dtype)
    return (
        f"{name}[{at}] of {want.shape} {dtype}: {flat_got[at]!r}, expected {flat_want[at]!r}; largest error {difference:.3g}, "
        f"allowed {atol:.2g} + {rtol:.2g} * |x| ({case.tolerance.name})"
    )
