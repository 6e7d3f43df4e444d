"""One golden case: inputs, parameters, and the outputs and gradients PyTorch finds for them in float64.

A family script fills a `Family` by calling `add`. Every case is checked three ways before it is kept:

* the gradient against central finite differences in float64 (except at points marked as conventions);
* the float64 result against the same computation in float32, which sets the tolerance of ill-conditioned cases;
* integer and bool results must not depend on the precision.
"""

import gzip
import json
import os
import re

import numpy as np
import torch

FORMAT = 1
# What a well-conditioned case may differ by; see `_tolerance`.
RTOL, ATOL = 1e-5, 1e-6
GRAD_RTOL, GRAD_ATOL = 2e-5, 2e-6
# A float32 engine may round in another order than PyTorch does: allow this many times PyTorch's own float32 error.
SLACK = 16.0

TORCH_DTYPE = {"int32": torch.int32, "bool": torch.bool}


class Tensor:
    """An operand: `data` is a numpy array; fp32 data is rounded to float32 here, once."""

    def __init__(self, data, dtype="fp32", grad=None, mil_const=False):
        numpy_dtype = {"fp32": np.float32, "int32": np.int32, "bool": np.bool_}[dtype]
        self.data = np.asarray(data).astype(numpy_dtype)
        self.dtype = dtype
        self.grad = (dtype == "fp32") if grad is None else grad
        self.mil_const = mil_const

    def torch(self, float_dtype):
        if self.dtype == "fp32":
            tensor = torch.tensor(self.data.astype(np.float64)).to(float_dtype)
            return tensor.requires_grad_(self.grad)
        return torch.tensor(self.data, dtype=TORCH_DTYPE[self.dtype])


def i32(data):
    """An int32 operand."""
    return Tensor(data, "int32")


def boolean(data):
    """A bool operand."""
    return Tensor(data, "bool")


def fixed(data):
    """An fp32 operand without a gradient."""
    return Tensor(data, "fp32", grad=False)


def weight(data):
    """An fp32 operand which MIL wants constant but which has a useful gradient."""
    return Tensor(data, "fp32", mil_const=True)


def f32(value):
    """The float32 nearest to `value`, as a Python float: scalar parameters are float32 in MIL."""
    return float(np.float32(value))


def const_json(value):
    """A const parameter in the file's form; the dtype follows from the Python or numpy type."""
    if isinstance(value, str):
        return {"dtype": "string", "shape": [], "data": [value]}
    array = np.asarray(value)
    if array.dtype == np.bool_:
        dtype = "bool"
    elif np.issubdtype(array.dtype, np.integer):
        dtype = "int32"
    else:
        dtype, array = "fp32", array.astype(np.float32)
    return {"dtype": dtype, "shape": list(array.shape), "data": numbers(array)}


def numbers(array):
    """Flat list of shortest decimals (fp32), integers or booleans."""
    array = np.asarray(array)
    if array.dtype == np.bool_:
        return [bool(v) for v in array.ravel()]
    if np.issubdtype(array.dtype, np.integer):
        return [int(v) for v in array.ravel()]
    with np.errstate(over="ignore"):  # beyond float32's range means infinity
        return [_shortest(v) for v in array.astype(np.float32).ravel()]


def _shortest(value):
    if np.isnan(value):
        return "nan"
    if np.isinf(value):
        return "inf" if value > 0 else "-inf"
    decimal = float(str(value))
    assert np.float32(decimal) == value
    return decimal


class Family:
    """The cases of one MIL op family, written to one file."""

    def __init__(self, name, seed):
        self.name = name
        self.rng = np.random.default_rng(seed)
        self.cases = []
        self.names = set()
        self.checked = 0
        self.failures = []

    # -- random data ---------------------------------------------------------------------------------------------

    def normal(self, *shape, scale=1.0):
        return self.rng.normal(size=shape).astype(np.float32) * np.float32(scale)

    def uniform(self, low, high, *shape):
        return self.rng.uniform(low, high, size=shape).astype(np.float32)

    def away_from_zero(self, *shape, low=0.3, high=2.0):
        return self.uniform(low, high, *shape) * self.rng.choice([-1.0, 1.0], size=shape).astype(np.float32)

    def distinct(self, *shape):
        """Values with gaps of at least 0.05, so that order does not hang on rounding."""
        count = int(np.prod(shape))
        return ((self.rng.permutation(count) - count / 2) * 0.1 + self.uniform(-0.02, 0.02, count)).reshape(shape)

    def integers(self, low, high, *shape):
        return self.rng.integers(low, high, size=shape).astype(np.int32)

    def bools(self, *shape):
        return self.rng.integers(0, 2, size=shape).astype(np.bool_)

    # -- cases ---------------------------------------------------------------------------------------------------

    def add(self, op, name, inputs, fn, consts=None, convention=None, grad=True, check=True, opset="ios18"):
        """Adds a case.

        `inputs`: list of (parameter, Tensor or array). `fn(*operands)` computes the outputs with PyTorch from the
        operands in that order, in whatever float precision they have. `convention` names the rule that an edge
        follows where mathematics leaves the derivative open; such a case skips the finite-difference check, as do
        cases with `check=False` (functions too steep for a step of 1e-6). `opset` matters where a parameter came or went.
        """
        inputs = [(p, t if isinstance(t, Tensor) else Tensor(t)) for p, t in inputs]
        if not grad:
            for _, tensor in inputs:
                tensor.grad = False
        name = f"{op}_{name}"
        assert re.fullmatch(r"[a-z0-9_]+", name), name
        assert name not in self.names, name
        self.names.add(name)

        outputs, cotangents, grads = self._evaluate(inputs, fn, name, torch.float64)
        single_outputs, _, single_grads = self._evaluate(inputs, fn, name, torch.float32, cotangents)
        if grads and check and convention is None:
            self._check_finite_differences(inputs, fn, cotangents, grads, name)

        case = {"name": name, "op": op, "opset": opset, "inputs": []}
        for param, tensor in inputs:
            entry = {
                "param": param,
                "dtype": tensor.dtype,
                "shape": list(tensor.data.shape),
                "data": numbers(tensor.data),
            }
            if tensor.grad:
                entry["grad"] = True
            if tensor.mil_const:
                entry["mil_const"] = True
            case["inputs"].append(entry)
        case["consts"] = {k: const_json(v) for k, v in (consts or {}).items()}
        case["outputs"] = [
            {"dtype": _mil_dtype(o), "shape": list(o.shape), "data": numbers(o.numpy())} for o in outputs
        ]
        case["cotangents"] = [None if c is None else numbers(c.numpy()) for c in cotangents]
        case["grads"] = {k: numbers(v.numpy()) for k, v in grads.items()}
        _tolerance(case, "tolerance", outputs, single_outputs, RTOL, ATOL)
        _tolerance(case, "grad_tolerance", grads.values(), single_grads.values(), GRAD_RTOL, GRAD_ATOL)
        if convention is not None:
            case["convention"] = convention
        self.cases.append(case)

    def _evaluate(self, inputs, fn, name, float_dtype, cotangents=None):
        operands = [t.torch(float_dtype) for _, t in inputs]
        outputs = fn(*operands)
        outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
        keys = _grad_keys(inputs)
        wanted = [(k, o) for k, o, (_, t) in zip(keys, operands, inputs) if t.grad]
        if cotangents is None:
            cotangents = []
            for output in outputs:
                draw = wanted and output.is_floating_point()
                value = torch.tensor(self.normal(*output.shape).astype(np.float64)) if draw else None
                cotangents.append(value)
        grads = {}
        if wanted:
            total = sum(
                (o * c.to(float_dtype)).sum() for o, c in zip(outputs, cotangents) if c is not None and o.requires_grad
            )
            if torch.is_tensor(total) and total.requires_grad:
                found = torch.autograd.grad(total, [o for _, o in wanted], allow_unused=True)
            else:
                found = [None] * len(wanted)
            for (key, operand), grad in zip(wanted, found):
                grads[key] = (torch.zeros_like(operand) if grad is None else grad).detach()
        outputs = [o.detach().contiguous() for o in outputs]
        if float_dtype == torch.float64:
            for output in outputs:
                assert output.dtype in (torch.float64, torch.int32, torch.bool), (name, output.dtype)
        return outputs, cotangents, grads

    def _check_finite_differences(self, inputs, fn, cotangents, grads, name):
        """Central differences in float64; a failure means that the reference itself is wrong."""
        plain = [Tensor(t.data, t.dtype, grad=False) for _, t in inputs]

        def loss(index, flat, delta):
            operands = [t.torch(torch.float64) for t in plain]
            operands[index].view(-1)[flat] += delta
            outputs = fn(*operands)
            outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
            return sum(float((o * c).sum()) for o, c in zip(outputs, cotangents) if c is not None)

        for index, (key, (_, tensor)) in enumerate(zip(_grad_keys(inputs), inputs)):
            if not tensor.grad:
                continue
            want = grads[key].reshape(-1)
            for flat in range(want.numel()):
                value = abs(float(tensor.data.ravel()[flat]))
                if 0.0 < value < 1e-5:
                    continue  # a step would cross zero, where many ops have a kink
                step = 1e-6 * max(1.0, value)
                found = (loss(index, flat, step) - loss(index, flat, -step)) / (2 * step)
                scale = max(1.0, abs(float(want[flat])), abs(loss(index, flat, 0.0)))
                if not abs(found - float(want[flat])) <= 2e-6 * scale:
                    self.failures.append(f"{name}: d{key}[{flat}] is {float(want[flat])}, differences say {found}")
                self.checked += 1

    def write(self, folder):
        if self.failures:
            raise SystemExit("\n".join(self.failures))
        document = {
            "format": FORMAT,
            "family": self.name,
            "generator": "tools/golden/ops.py",
            "default_tolerance": {"rtol": RTOL, "atol": ATOL},
            "default_grad_tolerance": {"rtol": GRAD_RTOL, "atol": GRAD_ATOL},
            "how": f"PyTorch {torch.__version__.split('+')[0]} autograd in float64, results rounded to float32",
            "cases": self.cases,
        }
        path = os.path.join(folder, f"{self.name}.json.gz")
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        # mtime=0 and no file name: the same cases give the same bytes.
        with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
            file.write(text.encode())
        loose = [c["name"] for c in self.cases if "tolerance" in c or "grad_tolerance" in c]
        ops = len({c["op"] for c in self.cases})
        print(
            f"{self.name}: {len(self.cases)} cases, {ops} ops, {os.path.getsize(path)} bytes, "
            f"{self.checked} gradient entries checked by finite differences, {len(loose)} with their own tolerance"
        )


def _grad_keys(inputs):
    """Gradient names: the parameter, or `values.<i>` for tuple operands."""
    params = [p for p, _ in inputs]
    seen = {}
    keys = []
    for param in params:
        index = seen.get(param, 0)
        seen[param] = index + 1
        is_tuple = param == "values" or params.count(param) > 1
        keys.append(f"{param}.{index}" if is_tuple else param)
    return keys


def _mil_dtype(output):
    return {torch.float64: "fp32", torch.int32: "int32", torch.bool: "bool"}[output.dtype]


def _tolerance(case, key, exact, single, rtol, atol):
    """Stores a tolerance when float32 arithmetic itself cannot meet the default one."""
    need = 0.0
    for want, got in zip(exact, single):
        if not want.is_floating_point():
            assert torch.equal(want, got.to(want.dtype)), (case["name"], "depends on the precision")
            continue
        want32 = want.to(torch.float32).to(torch.float64)
        finite = torch.isfinite(want32)
        if not finite.any():
            continue
        error = (want - got.to(torch.float64)).abs()[finite]
        excess = SLACK * error - rtol * want.abs()[finite]
        excess = excess[torch.isfinite(excess)]
        if excess.numel():
            need = max(need, float(excess.max()))
    if need > atol:
        case[key] = {"rtol": rtol, "atol": float(f"{need * 1.05:.2g}")}


def positive(axis, rank):
    """A negative axis counted from the end."""
    return axis + rank if axis < 0 else axis
