"""All cases, by family."""

import importlib

from .case import Family

FAMILIES = [
    "activation",
    "conv",
    "elementwise_binary",
    "elementwise_unary",
    "image_resizing",
    "linear",
    "normalization",
    "pool",
    "reduction",
    "scatter_gather",
    "tensor_operation",
    "tensor_transformation",
]


def collect(families):
    """The cases of `families`, in order; the same list each time."""
    result = []
    for name in families:
        family = Family(name)
        importlib.import_module(f"cases.{name}").cases(family)
        result.extend(family.cases)
    return result
