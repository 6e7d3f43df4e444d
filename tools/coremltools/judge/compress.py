"""coremltools' weight compression, and what the compressed weights are worth: the reference runs on those."""

import contextlib

import numpy as np
import torch

from . import package
from .package import QUIET

# Elements of the smallest weight that is compressed. coremltools' default of 2048 would leave the small models almost untouched.
SMALLEST = 256


def optimize():
    with contextlib.redirect_stderr(QUIET):
        import coremltools.optimize.coreml as cto
    return cto


def layers(config):
    """Only the weights of layers: a constant that tracing folded (a position table, say) is no weight of the source."""
    kinds = ("linear", "conv", "matmul", "gather")
    return optimize().OptimizationConfig(op_type_configs={kind: config for kind in kinds})


def linear(model, **options):
    cto = optimize()
    config = cto.OpLinearQuantizerConfig(weight_threshold=SMALLEST, **options)
    return cto.linear_quantize_weights(model, layers(config))


def palette(model, joint=False, **options):
    cto = optimize()
    config = cto.OpPalettizerConfig(mode="uniform", weight_threshold=SMALLEST, **options)
    more = {"joint_compression": True} if joint else {}
    return cto.palettize_weights(model, layers(config), **more)


def prune(model):
    cto = optimize()
    config = cto.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=SMALLEST)
    return cto.prune_weights(model, layers(config))


# name: (function, what must be in the package)
METHODS = {
    "int8_affine": (lambda m: linear(m, mode="linear", dtype="int8"), "constexpr_affine_dequantize"),
    "int8_channels": (
        lambda m: linear(m, mode="linear_symmetric", dtype="int8", granularity="per_channel"),
        "constexpr_blockwise_shift_scale",
    ),
    "int4_blocks": (
        lambda m: linear(m, mode="linear_symmetric", dtype="int4", granularity="per_block", block_size=16),
        "constexpr_blockwise_shift_scale",
    ),
    "palette6": (lambda m: palette(m, nbits=6), "constexpr_lut_to_dense"),
    "palette4_groups": (lambda m: palette(m, nbits=4, granularity="per_grouped_channel", group_size=8), "constexpr_lut_to_dense"),
    "sparse": (prune, "constexpr_sparse_to_dense"),
    "sparse_palette4": (lambda m: palette(prune(m), joint=True, nbits=4), "constexpr_lut_to_sparse"),
}


def compress(model, method):
    function, wanted = METHODS[method]
    with contextlib.redirect_stderr(QUIET):
        smaller = function(model)
    found = {op.op_type for op in package.operations(smaller._mil_program)}
    if wanted not in found:
        raise ValueError(f"{method} left no {wanted} in the package")
    return smaller


def weights(program):
    """The constants of every operation, in order: [(op name, parameter, value, whether it was compressed)]."""
    result = []
    for op in package.operations(program):
        if op.op_type == "const" or op.op_type.startswith("constexpr_"):
            continue
        for parameter, var in op.inputs.items():
            source = getattr(var, "op", None)
            if source is None:
                continue
            if source.op_type.startswith("constexpr_"):
                result.append((op.name, parameter, np.asarray(source.materialized_val_inference()), True))
            elif source.op_type == "const" and isinstance(var.val, np.ndarray) and var.val.dtype.kind == "f" and var.val.size > 1:
                result.append((op.name, parameter, var.val, False))
    return result


def put_back(module, dense, smaller):
    """Sets the parameters of `module` to what the compressed package holds; returns how many.

    A parameter is known by its value: the uncompressed package holds it in the same dtype, as it is or transposed. A
    compressed weight that is no parameter of the module is an error, since the reference would silently not have it.
    """
    known = {}
    for parameter in [*module.parameters(), *module.buffers()]:
        if parameter.is_floating_point() and parameter.numel() > 1:
            for transposed in (False, True) if parameter.ndim == 2 else (False,):
                value = (parameter.T if transposed else parameter).detach()
                known[key(value.contiguous().numpy())] = (parameter, transposed)
    count = 0
    # By name, since compression may rewrite other operations on its way.
    before = {(op, parameter): value for op, parameter, value, _ in weights(dense)}
    for op, name, new, compressed in weights(smaller):
        if not compressed:
            continue
        old = before.get((op, name))
        if old is None:
            raise ValueError(f"{name} of {op} is compressed, and the uncompressed package has no such operation")
        if key(old) not in known:
            raise ValueError(f"{name} of {op}, {old.shape}, is compressed but no parameter of the source model")
        parameter, transposed = known[key(old)]
        value = torch.tensor(np.asarray(new, dtype=np.float64))
        with torch.no_grad():
            parameter.data = (value.T if transposed else value).reshape(parameter.shape).to(parameter.dtype)
        count += 1
    return count


def key(array):
    """Shape and value, rounded to fp16 as the package rounded it; axes of one element do not count."""
    array = np.ascontiguousarray(array, dtype=np.float16)
    return tuple(n for n in array.shape if n > 1), array.tobytes()
