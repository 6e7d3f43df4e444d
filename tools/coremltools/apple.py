"""Apple's own op tests as judge: coremltools ships them, with expected values that were checked on Apple's hardware.

    python tools/coremltools/apple.py --anemone target/release/anemone [--limit N] [-k EXPRESSION]

Off a Mac those tests convert and stop, for there is nothing to predict with. Here Anemone predicts in Core ML's place: pytest
runs the installed tests, and this file answers where they would call Core ML. Nothing of them is copied.
"""

import argparse
import hashlib
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter

os.environ["PYMIL_TEST_TARGETS"] = "mlprogram"
# The tests' tolerance for fp16 is 0.5; only fp32 says something.
os.environ["INCLUDE_MIL_FP32_UNIT_TESTS"] = "1"
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# Many expected values are written with four digits, and some are of models that compute in fp16; on a Mac the tests mostly run with
# a tolerance of 0.5.
LEAST = 1e-3

UNDEFINED = "without validation indices that are out of range are undefined, and with it an error is expected; here they are an error"

# Tests whose expectation Anemone does not follow, each with its reason.
KNOWN = {
    "iOS14/test_tensor_operation.py::TestFill::test_builder_to_backend_symbolic": "a tensor of which not even the number of "
    "dimensions is known is refused by the reader",
    **{f"iOS17/test_scatter_gather.py::{op}::test_ios17_invalid_indices": UNDEFINED for op in ("TestScatter", "TestScatterAlongAxis", "TestScatterNd")},
    "iOS14/test_normalization.py::TestNormalizationBatchNorm::test_builder_to_backend_smoke": "with fp16 parameters coremltools writes "
    "a program that is wrong by the op's own rules: `x` is fp32, the parameters and the recorded result fp16",
    "iOS15/test_image_resizing.py::TestCropResize::test_builder_to_backend_smoke": "a box outside the image in normalized coordinates, "
    "which the op forbids, is expected to give the whole image; other boxes that leave the image contradict it",
}

PACKAGE = "coremltools.converters.mil.mil.ops.tests"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anemone", metavar="PATH", help="the anemone binary; without it the tests are only converted and counted")
    parser.add_argument("-k", metavar="EXPRESSION", help="pytest's -k")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N distinct models of each test function")
    parser.add_argument("--all-opsets", action="store_true", help="each test in every opset it runs in, not only in its first")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="processes (default 2)")
    arguments = parser.parse_args()
    if arguments.all_opsets:
        os.environ["RUN_BACKWARD_COMPATIBILITY"] = "1"
    from judge import package  # noqa: F401  quiets coremltools before it is first imported

    started = time.monotonic()
    folder = tempfile.mkdtemp(prefix="anemone-apple-")
    work = [(path, arguments.anemone, arguments.k, arguments.limit, folder) for path in modules()]
    totals, failures = Counter(), []
    try:
        with multiprocessing.Pool(arguments.jobs, maxtasksperchild=1) as pool:
            for name, counts, complaints in pool.imap_unordered(run_module, work, chunksize=1):
                totals.update(counts)
                failures += complaints
                print(f"{name:48} {counts['models']:5} models {counts['passed']:5} agree {counts['failed']:5} differ", flush=True)
                for test, complaint in complaints:
                    print(f"  FAIL {short(test)}: {complaint}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{totals['tests']} tests gave {totals['models']} distinct models with expected values in {time.monotonic() - started:.0f} s")
    for test, reason in KNOWN.items():
        print(f"known: {test}: {reason}")
    print(f"{totals['known']} known, {totals['skipped']} without values or with states")
    print(f"{totals['passed']} passed, {totals['failed']} failed")
    sys.exit(1 if failures or not totals["models"] else 0)


def short(test):
    """Without what is the same for all: the compute unit and the kind of back end."""
    return re.sub(r"compute_unit=ComputeUnit.CPU_ONLY-backend=BackendConfig\([^)]*\)-?", "", test)


def modules():
    import importlib

    root = os.path.dirname(importlib.import_module(PACKAGE).__file__)
    found = []
    for folder, _, files in os.walk(root):
        found += [os.path.join(folder, f) for f in files if f.startswith("test_") and f.endswith(".py") and f != "test_utils.py"]
    return sorted(found)


def run_module(item):
    import pytest

    from judge import package  # noqa: F401

    path, anemone, expression, limit, folder = item
    place = tempfile.mkdtemp(dir=folder)
    judge = Judge(anemone, limit, place)
    options = [path, "-q", "-p", "no:cacheprovider", "--no-header", "--no-summary", "-W", "ignore"]
    if expression:
        options += ["-k", expression]
    with open(os.path.join(place, "pytest.log"), "w") as log:
        saved = os.dup(1), os.dup(2)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            pytest.main(options, plugins=[judge])
        finally:
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
    shutil.rmtree(place, ignore_errors=True)
    name = os.path.join(os.path.basename(os.path.dirname(path)), os.path.basename(path))
    return name, judge.counts, judge.complaints


class Judge:
    """The pytest plugin: takes the place of Core ML's prediction."""

    def __init__(self, anemone, limit, place):
        self.anemone, self.limit, self.place = anemone, limit, place
        self.counts, self.complaints = Counter(), []
        self.seen, self.per_function = set(), Counter()
        self.test = None

    def pytest_collection_modifyitems(self, config, items):
        keep = [i for i in items if precision(i) in (None, "fp32")]
        config.hook.pytest_deselected(items=[i for i in items if i not in set(keep)])
        items[:] = keep

    def pytest_collection_finish(self, session):
        from coremltools.converters.mil.mil.ops.tests import testing_utils

        testing_utils.compare_backend = self.compare

    def pytest_runtest_setup(self, item):
        self.test = item
        self.counts["tests"] += 1

    def compare(self, mlmodel, input_key_values, expected_outputs, dtype="fp32", atol=1e-4, rtol=1e-5, state=None, **_):
        """What `compare_backend` does on a Mac. States are not carried here: a stateful test predicts several times."""
        if state is not None or expected_outputs is None or not input_key_values:
            self.counts["skipped"] += 1
            return None
        function = getattr(self.test, "originalname", None) or self.test.name
        if self.limit and self.per_function[(self.test.parent.name, function)] >= self.limit:
            return None
        identity = digest(mlmodel, input_key_values)
        if identity in self.seen:
            return None
        self.seen.add(identity)
        self.per_function[(self.test.parent.name, function)] += 1
        self.counts["models"] += 1
        if self.anemone is None:
            return None
        complaint = verdict(self.anemone, mlmodel, input_key_values, expected_outputs, atol, rtol, self.place)
        place = os.path.join(*str(self.test.path).split(os.sep)[-2:])
        if complaint is not None and f"{place}::{self.test.parent.name}::{function}" in KNOWN:
            self.counts["known"] += 1
            return None
        self.counts["passed" if complaint is None else "failed"] += 1
        if complaint is not None:
            self.complaints.append((f"{self.test.parent.name}::{self.test.name}", complaint))
        return None


def precision(item):
    backend = getattr(item, "callspec", None) and item.callspec.params.get("backend")
    return getattr(backend, "precision", None)


def digest(mlmodel, inputs):
    """A model and its inputs; the tests give the same ones under several names."""
    import numpy as np

    spec = mlmodel.get_spec()
    spec.description.metadata.Clear()
    state = hashlib.sha256(spec.SerializeToString(deterministic=True))
    for name in sorted(inputs):
        value = np.ascontiguousarray(inputs[name])
        state.update(f"{name} {value.shape} {value.dtype}".encode() + value.tobytes())
    weights = os.path.join(mlmodel.package_path or "", "Data", "com.apple.CoreML", "weights", "weight.bin")
    if os.path.exists(weights):
        with open(weights, "rb") as file:
            state.update(file.read())
    return state.digest()


def verdict(anemone, mlmodel, inputs, expected, atol, rtol, place):
    """None, or how Anemone's outputs differ from those the test expects."""
    import numpy as np

    from judge import engine
    from judge.package import FEATURE

    path = os.path.join(place, "model.mlpackage")
    shutil.rmtree(path, ignore_errors=True)
    mlmodel.save(path)
    kinds = {f.name: FEATURE[f.type.multiArrayType.dataType] for f in mlmodel.get_spec().description.input}
    given = {k: np.atleast_1d(np.asarray(v)).astype(kinds[k]) for k, v in inputs.items() if k in kinds}
    try:
        outputs = engine.run(anemone, path, [given], place)[0]
    except engine.Failure as failure:
        return str(failure)
    for name, want in expected.items():
        if name not in outputs:
            return f"no output {name}; there are {', '.join(outputs) or 'none'}"
        got, want = outputs[name].astype(np.float64), np.asarray(want).astype(np.float64)
        if got.shape != want.shape and not (got.size == want.size == 1):
            return f"{name}: shape {got.shape}, expected {want.shape}"
        close = np.isclose(got.reshape(-1), want.reshape(-1), atol=max(atol, LEAST), rtol=max(rtol, LEAST), equal_nan=True)
        if not close.all():
            at = int(np.argmin(close))
            return f"{name}[{at}]: {got.reshape(-1)[at]!r}, expected {want.reshape(-1)[at]!r} (atol {atol:g}, rtol {rtol:g})"
    return None


if __name__ == "__main__":
    main()
