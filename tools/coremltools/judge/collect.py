"""All cases, by family."""

import importlib

from .case import Family

FAMILIES = [
    "activation",
    "classify",
    "constexpr",
    "control_flow",
    "conv",
    "elementwise_binary",
    "elementwise_unary",
    "features",
    "image_resizing",
    "linear",
    "normalization",
    "pool",
    "quantization",
    "random",
    "recurrent",
    "reduction",
    "scatter_gather",
    "state",
    "tensor_operation",
    "tensor_transformation",
    "transformers",
]


def collect(families):
    """The cases of `families`, in order; the same list each time."""
    result = []
    for name in families:
        family = Family(name)
        importlib.import_module(f"cases.{name}").cases(family)
        result.extend(family.cases)
    return result
