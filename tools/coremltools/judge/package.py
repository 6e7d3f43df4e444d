"""From a case to an `.mlpackage`, through coremltools' own builder and converter with every graph pass off.

Passes would fold and fuse the very op a case is about. Two of the converter's steps stay, as they do in every file that
coremltools writes: inputs and outputs of types that Core ML has no feature type for (`bool`, 8 and 16 bit integers, and
`fp16` before iOS 16) become `fp32` or `int32` with a `cast` inside.
"""

import contextlib
import gc
import logging
import os
import warnings

# Before the first import of coremltools: it announces on standard error what only a Mac has.
logging.getLogger("coremltools").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore")
os.environ.setdefault("TQDM_DISABLE", "1")

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

# Never closed: loggers made under it keep it.
QUIET = open(os.devnull, "w")

with contextlib.redirect_stderr(QUIET):
    import coremltools as ct
    from coremltools.converters.mil import Builder as mb
    from coremltools.converters.mil.frontend.milproto.load import load as load_milproto
    from coremltools.converters.mil.mil import Function, Program, get_new_symbol, types

# ct.convert calls the garbage collector each time, and what the imports left is most of what it walks.
gc.collect()
gc.freeze()

import numpy as np  # noqa: E402

TARGETS = {
    15: ct.target.iOS15,
    16: ct.target.iOS16,
    17: ct.target.iOS17,
    18: ct.target.iOS18,
    26: ct.target.iOS26,
}

BUILTIN = {
    "fp16": types.fp16,
    "fp32": types.fp32,
    "int8": types.int8,
    "uint8": types.uint8,
    "int16": types.int16,
    "uint16": types.uint16,
    "int32": types.int32,
    "bool": types.bool,
}
FROM_NUMPY = {
    np.dtype(np.float16): "fp16",
    np.dtype(np.float32): "fp32",
    np.dtype(np.int8): "int8",
    np.dtype(np.uint8): "uint8",
    np.dtype(np.int16): "int16",
    np.dtype(np.uint16): "uint16",
    np.dtype(np.int32): "int32",
    np.dtype(np.bool_): "bool",
}
# ArrayFeatureType.ArrayDataType: what a feature of that type is fed with.
FEATURE = {65568: np.float32, 65600: np.float64, 131104: np.int32, 65552: np.float16, 131080: np.int8}


def program(case):
    """(PyMIL program, [(output name, dtype)]): built, not yet converted."""
    placeholders = {}
    for name, array in case.inputs.items():
        if name in case.shapes:
            placeholders[name] = mb.placeholder(shape=case.shapes[name], dtype=types.fp32)
            continue
        # A model input has at least one axis; a scalar comes in as one element and is squeezed.
        shape = array.shape or (1,)
        shape = tuple(get_new_symbol() if i in case.symbolic.get(name, ()) else n for i, n in enumerate(shape))
        placeholders[name] = mb.placeholder(shape=shape, dtype=BUILTIN[FROM_NUMPY[array.dtype]])
    for name, (shape, dtype) in case.states.items():
        placeholders[name] = mb.state_tensor_placeholder(shape=shape, dtype=BUILTIN[dtype])
    if not placeholders:
        raise ValueError(f"{case.name}: a Core ML model has at least one input")
    with Function(placeholders, opset_version=TARGETS[case.opset]) as function:
        variables = dict(function.inputs)
        for name, array in case.inputs.items():
            if name not in case.shapes and array.shape == ():
                variables[name] = mb.squeeze(x=variables[name], axes=[0], name=f"{name}_scalar")
        outputs = case.build(mb, variables)
        outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
        function.set_outputs(outputs)
    result = Program()
    result.add_function("main", function)
    dtypes = []
    for var in function.outputs:
        dtype = var.dtype if types.is_tensor(var.sym_type) or types.is_scalar(var.sym_type) else None
        dtypes.append((var.name, types.builtin_to_string(dtype) if dtype is not None else ""))
    return result, dtypes


def operations(mil_program):
    """Every operation of a PyMIL program, nested blocks included."""

    def walk(block):
        for op in block.operations:
            yield op
            for nested in op.blocks:
                yield from walk(nested)

    for function in mil_program.functions.values():
        yield from walk(function)


def convert(mil_program, case, path):
    """Writes the package; returns its specification."""
    with contextlib.redirect_stderr(QUIET), contextlib.redirect_stdout(QUIET):
        model = ct.convert(
            mil_program,
            convert_to="mlprogram",
            pass_pipeline=ct.PassPipeline.EMPTY,
            minimum_deployment_target=TARGETS[case.opset],
            skip_model_load=True,
            **case.convert,
        )
        model.save(path)
    return model.get_spec()


def reload(spec, path):
    """Reads the package back into PyMIL, with type inference of every op."""
    weights = os.path.join(path, "Data", "com.apple.CoreML", "weights")
    return load_milproto(spec, specification_version=spec.specificationVersion, file_weights_dir=weights)


def features(spec, case):
    """The inputs of each step, in the dtypes that the model's features have."""
    steps = case.steps or [case.inputs]
    if case.shapes:
        return steps
    described = list(spec.description.input) + [i for f in spec.description.functions for i in f.input]
    wanted = {f.name: FEATURE[f.type.multiArrayType.dataType] for f in described}
    return [{k: np.atleast_1d(v).astype(wanted[k]) for k, v in step.items() if k in wanted} for step in steps]


def value(var):
    """What coremltools makes of a constant: folded, or for a compressed weight, decompressed."""
    if var.val is None and var.op is not None and var.op.op_type in ("identity", "cast"):
        source = var.op.x.op
        if source is not None and source.op_type.startswith("constexpr_"):
            return source.materialized_val_inference()
    return var.val


def folded(case):
    """The outputs as coremltools itself infers them when every input is a constant; None where it cannot."""
    with Function({}, opset_version=TARGETS[case.opset]):
        outputs = case.constant(mb)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    values = [value(var) for var in outputs]
    return None if any(v is None for v in values) else [np.asarray(v) for v in values]
