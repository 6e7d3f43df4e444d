"""A case: one program, its inputs, and what must come out, computed without coremltools and without Anemone.

A family file (`cases/<family>.py`) is a table of rows; `Family.op` makes a case of a row for every dtype and opset the
row names. The reference of a row is NumPy on `float64` copies of the very inputs the program gets.
"""

import inspect
import zlib
from dataclasses import dataclass, field
from typing import Callable, Optional

import numpy as np

from .draw import SUB_BYTE, Draw
from .tolerance import EXACT, Tolerance


class Picture:
    """An image input: it goes to Anemone as a PNG file."""

    def __init__(self, pixels):
        self.pixels = pixels  # [height, width, 3] or [height, width], uint8


@dataclass
class Case:
    family: str
    name: str
    opset: int  # 15, 16, 17, 18 or 26 (specification version 10)
    inputs: dict  # feature name -> array, in the dtype the program sees
    build: Callable  # (mb, {name: Var}) -> Var or list of Var
    reference: Optional[Callable]  # () -> list of arrays
    tolerance: Tolerance
    check: Optional[Callable] = None  # ([arrays]) -> complaint or None, where values are not determined
    states: dict = field(default_factory=dict)  # name -> (shape, dtype)
    steps: Optional[list] = None  # inputs of further calls that share the states
    constant: Optional[Callable] = None  # (mb) -> the same outputs from constants alone, for coremltools to fold
    convert: dict = field(default_factory=dict)  # further arguments of ct.convert
    symbolic: dict = field(default_factory=dict)  # input -> axes whose size the model leaves open
    shapes: dict = field(default_factory=dict)  # image input -> shape in the program
    function: Optional[str] = None  # which function of a package with several
    merged: Optional[Callable] = None  # (case, folder) -> path of that package
    outputs: Optional[list] = None  # feature names of the outputs, where the converter and not the program names them


class Family:
    """Collects the cases of one MIL op family."""

    def __init__(self, name):
        self.name = name
        self.cases = []
        self.names = set()

    def op(self, op, opsets, dtypes, reference, tolerance=EXACT, label="", /, *, outputs=None, foldable=True, **params):
        """A row: `op` called with `params`, for each of the `dtypes` and `opsets`.

        `opsets` is `"15 17"`, `dtypes` is `"fp16 fp32"`; the two lists are walked side by side, the shorter one again and
        again, so that every opset and every dtype occurs. `"fp32/fp16"` sets the type variable `T` to fp32 and `U` to
        fp16 (a third part is `V`). A `Draw` among the parameters is a model input, or a constant if it says so; a
        list of draws is a tuple parameter. Anything else goes to the builder and to the reference as it stands.
        `reference` takes the parameters it names; a NumPy ufunc takes them all, in order. `outputs` picks some of several outputs by index.
        """

        def build(mb, values):
            result = getattr(mb, op)(**values, name="out")
            return result if outputs is None else [result[i] for i in outputs]

        for opset, dtype in pairs(opsets, dtypes):
            self.program(op, opset, dtype, build, reference, tolerance, label, foldable=foldable, **params)

    def program(self, op, opset, dtype, build, reference, tolerance=EXACT, label="", /, *, check=None, convert=None,
                outputs=None, foldable=True, **params):  # fmt: skip
        """One case with a builder function of its own: `build(mb, {parameter: Var or value})`."""
        name = "/".join(part for part in (op, label, dtype.replace("/", "-"), f"ios{opset}") if part)
        assert name not in self.names, name
        self.names.add(name)
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        dtypes = dict(zip("TUV", dtype.split("/")))
        dtypes.setdefault("U", dtypes["T"])
        dtypes.setdefault("V", dtypes["U"])

        inputs, values, narrow = {}, {}, {}
        for param, value in params.items():
            if isinstance(value, Draw):
                array = value.array(rng, dtypes)
                values[param] = array
                if not value.is_const:
                    inputs[param] = array
                elif dtypes.get(value.domain, value.domain) in SUB_BYTE:
                    narrow[param] = dtypes.get(value.domain, value.domain)
            elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Draw):
                arrays = [v.array(rng, dtypes) for v in value]
                values[param] = arrays
                for i, (draw, array) in enumerate(zip(value, arrays)):
                    if not draw.is_const:
                        inputs[f"{param}_{i}"] = array
            else:
                values[param] = value

        def bound(mb, variables):
            call = {}
            for param, value in values.items():
                if param in inputs:
                    call[param] = variables[param]
                elif isinstance(params[param], (list, tuple)) and isinstance(value, list) and f"{param}_0" in inputs:
                    call[param] = tuple(variables.get(f"{param}_{i}", v) for i, v in enumerate(value))
                elif isinstance(value, list) and value and isinstance(value[0], np.ndarray):
                    call[param] = tuple(value)
                else:
                    call[param] = value
                if param in narrow:
                    call[param] = packed(call[param], narrow[param])
                # The builder takes a NumPy scalar for a scalar constant, not an array without axes.
                if isinstance(call[param], np.ndarray) and call[param].shape == ():
                    call[param] = call[param][()]
            return build(mb, call)

        def compute():
            given = {k: exact(v) for k, v in values.items()}
            # NumPy's own functions take no names.
            result = reference(*given.values()) if isinstance(reference, np.ufunc) else reference(**accepted(reference, given))
            return list(result) if isinstance(result, (tuple, list)) else [result]

        self.cases.append(
            Case(
                family=self.name,
                name=name,
                opset=int(opset),
                inputs=inputs,
                build=bound,
                reference=None if reference is None else compute,
                tolerance=tolerance,
                check=check,
                constant=(lambda mb: bound(mb, inputs)) if foldable and reference is not None else None,
                convert=convert or {},
                outputs=outputs,
            )
        )
        return self.cases[-1]

    def stateful(self, name, opset, states, steps, build, reference, tolerance=EXACT):
        """A program with states, called once per element of `steps` (dicts of arrays); `reference()` gives a list of
        outputs for each step."""
        full = f"{name}/ios{opset}"
        assert full not in self.names, full
        self.names.add(full)
        self.cases.append(
            Case(self.name, full, int(opset), steps[0], build, reference, tolerance, states=states, steps=steps)
        )


def pairs(opsets, dtypes):
    """Every opset and every dtype at least once, in max(len, len) pairs."""
    opsets, dtypes = opsets.split(), dtypes.split()
    count = max(len(opsets), len(dtypes))
    return [(opsets[i % len(opsets)], dtypes[i % len(dtypes)]) for i in range(count)]


def exact(value):
    """A parameter as the reference sees it: floats widened to float64, integers to int64."""
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        return [exact(v) for v in value]
    if isinstance(value, np.ndarray):
        if value.dtype in (np.float16, np.float32):
            return value.astype(np.float64)
        if value.dtype != np.bool_ and value.dtype.kind in "iu":
            return value.astype(np.int64)
    return value


def accepted(function, values):
    """Those of `values` that `function` names."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return values
    return {k: v for k, v in values.items() if k in parameters}



def packed(array, dtype):
    """The array marked as holding numbers narrower than a byte, the way coremltools does it."""
    from .package import types

    return array.astype(types.nptype_from_builtin(types.string_to_builtin(dtype)))
