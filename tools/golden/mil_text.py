"""Golden programs: MIL text, inputs if there are any, and the bits that coremltools' own value inference (NumPy) gives.

Each operation is built with coremltools' op classes, which check it and infer its types, and is evaluated by
`materialized_val_inference` or `value_inference`; results feed later operations as arrays, because coremltools does not
evaluate every chain itself. The same operation is written as a line of MIL, constants in place.

Needs `pip install coremltools==9.0 "numpy<2.4"`, and no PyTorch.
"""

import gzip
import json
import os

import coremltools as ct
import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, types

FORMAT = 1
OPSETS = {"ios15": ct.target.iOS15, "ios16": ct.target.iOS16, "ios17": ct.target.iOS17, "ios18": ct.target.iOS18}
SUB_BYTE = {
    "int4": types.np_int4_dtype,
    "uint1": types.np_uint1_dtype,
    "uint2": types.np_uint2_dtype,
    "uint3": types.np_uint3_dtype,
    "uint4": types.np_uint4_dtype,
    "uint6": types.np_uint6_dtype,
}
NUMPY = {
    "fp16": np.float16,
    "fp32": np.float32,
    "int8": np.int8,
    "uint8": np.uint8,
    "int32": np.int32,
    "uint32": np.uint32,
    "bool": np.bool_,
}
BITS = {"int4": 4, "uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "uint6": 6}


class Value:
    """A tensor with its MIL element type, and the name of the operation that gave it, if one did."""

    def __init__(self, dtype, data, name=None):
        self.dtype = dtype
        self.data = np.asarray(data).astype(SUB_BYTE.get(dtype) or NUMPY[dtype])
        self.name = name

    def literal(self):
        if self.name is not None:
            return self.name
        elements = ", ".join(_literal(v, self.dtype) for v in self.data.ravel())
        return f"{self.type()}([{elements}])" if self.data.shape else f"{self.dtype}({elements})"

    def type(self):
        dims = ", ".join(str(n) for n in self.data.shape)
        return f"tensor<{self.dtype}, [{dims}]>" if self.data.shape else self.dtype

    def entry(self, name):
        return {"name": name, "dtype": self.dtype, "shape": list(self.data.shape), "bytes": self.bytes().hex()}

    def bytes(self):
        """Little-endian; elements of less than a byte packed, lowest bit first, as weight files hold them."""
        if self.dtype not in BITS:
            return np.ascontiguousarray(self.data).tobytes()
        flat = self.data.ravel().astype(np.int8).view(np.uint8).reshape(-1, 1)
        bits = np.unpackbits(flat, axis=1, bitorder="little")[:, : BITS[self.dtype]]
        return np.packbits(bits.ravel(), bitorder="little").tobytes()


def _literal(value, dtype):
    if dtype in ("fp16", "fp32"):
        value = float(value)
        return str(value) if not np.isfinite(value) else value.hex()
    return ("true" if value else "false") if dtype == "bool" else str(int(value))


class Program:
    """One function under construction."""

    def __init__(self, family, name, opset="ios18"):
        self.family, self.name, self.opset = family, name, opset
        self.lines, self.inputs = [], []

    def input(self, dtype, data):
        value = Value(dtype, data, f"input{len(self.inputs)}")
        self.inputs.append(value)
        return value

    def op(self, op, **arguments):
        """Adds an operation; `arguments` are Values, strings, or integers (int32 scalars). Returns its outputs."""
        arguments = {k: v for k, v in arguments.items() if v is not None}
        given = {k: v.data if isinstance(v, Value) else _scalar(v) for k, v in arguments.items()}
        with Function({}, opset_version=OPSETS[self.opset]):
            built = getattr(mb, op)(**given)
        outputs = list(built) if isinstance(built, (list, tuple)) else [built]
        operation = outputs[0].op
        if op == "quantize":
            found = operation.value_inference()
        else:
            found = operation.materialized_val_inference()
        found = list(found) if isinstance(found, tuple) else [found]
        results = []
        for i, (output, data) in enumerate(zip(outputs, found)):
            dtype = types.builtin_to_string(output.dtype)
            # Where NumPy computed in a wider type than the op declares, the conversion is the last step.
            value = Value(dtype, data, f"v{len(self.lines)}_{i}")
            assert value.data.shape == tuple(output.shape), (self.name, op, value.data.shape, output.shape)
            results.append(value)
        declared = ", ".join(f"{value.type()} {value.name}" for value in results)
        written = ", ".join(f"{k} = {_argument(v)}" for k, v in arguments.items())
        # The first generation of compressed constants has attributes instead of arguments.
        attributes = op.startswith("constexpr_") and (self.opset < "ios18" or op == "constexpr_affine_dequantize")
        call = f"{op}()[{written}]" if attributes else f"{op}({written})"
        self.lines.append(f"{declared} = {call};")
        return results[0] if len(results) == 1 else results

    def done(self, *outputs):
        parameters = ", ".join(f"{value.type()} {value.name}" for value in self.inputs)
        names = ", ".join(value.name for value in outputs)
        body = "\n".join(f"    {line}" for line in self.lines)
        text = f"program(1.3) {{\n  func main<{self.opset}>({parameters}) {{\n{body}\n  }} -> ({names});\n}}\n"
        case = {
            "name": self.name,
            "text": text,
            "inputs": [value.entry(value.name) for value in self.inputs],
            "outputs": [value.entry(value.name) for value in outputs],
        }
        assert all(case["name"] != other["name"] for other in self.family.cases), case["name"]
        self.family.cases.append(case)


def _scalar(value):
    return np.int32(value) if isinstance(value, int) else value


def _argument(value):
    if isinstance(value, Value):
        return value.literal()
    return f'string("{value}")' if isinstance(value, str) else f"int32({value})"


class Family:
    """The programs of one family, written to one file."""

    def __init__(self, name, seed):
        self.name, self.cases = name, []
        self.rng = np.random.default_rng(seed)

    def program(self, name, opset="ios18"):
        return Program(self, name, opset)

    def values(self, dtype, *shape):
        """Random elements over the whole range of an integer type; floats of about size 1."""
        if dtype in ("fp16", "fp32"):
            return Value(dtype, self.rng.normal(size=shape))
        low, high = (-8, 8) if dtype == "int4" else (0, 1 << BITS[dtype]) if dtype in BITS else (None, None)
        if low is None:
            info = np.iinfo(NUMPY[dtype])
            low, high = info.min, info.max + 1
        return Value(dtype, self.rng.integers(low, high, size=shape))

    def scales(self, dtype, *shape):
        return Value(dtype, self.rng.uniform(0.003, 2.0, size=shape))

    def write(self):
        here = os.path.dirname(os.path.abspath(__file__))
        path = os.path.join(here, "..", "..", "tests", "golden", "values", f"{self.name}.json.gz")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        document = {
            "format": FORMAT,
            "family": self.name,
            "how": f"value inference of coremltools {ct.__version__}, NumPy {np.__version__}; outputs compare bit by bit",
            "cases": self.cases,
        }
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        # mtime=0 and no file name: the same cases give the same bytes.
        with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
            file.write(text.encode())
        print(f"{self.name}: {len(self.cases)} programs, {os.path.getsize(path)} bytes")
