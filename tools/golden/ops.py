"""Writes tests/golden/ops/<family>.json.gz: `python tools/golden/ops.py [family ...]` (all when none is named)."""

import importlib
import os
import sys

import torch

FAMILIES = [
    "activation",
    "conv",
    "elementwise_binary",
    "elementwise_unary",
    "image_resizing",
    "linear",
    "normalization",
    "pool",
    "recurrent",
    "reduction",
    "scatter_gather",
    "tensor_operation",
    "tensor_transformation",
    "transformers",
]


def main():
    # One thread and deterministic kernels: the files must come out the same on every run.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    here = os.path.dirname(os.path.abspath(__file__))
    folder = os.path.join(here, "..", "..", "tests", "golden", "ops")
    os.makedirs(folder, exist_ok=True)
    for name in sys.argv[1:] or FAMILIES:
        importlib.import_module(name).family().write(folder)


if __name__ == "__main__":
    main()
