"""Real architectures with seeded random weights, in a small form for CI and at full size.

An `Architecture` is a PyTorch module, the inputs it is traced with, and which forms of it are judged. The module is the
reference: it runs in float64, on the weights that the package holds.
"""

from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Variant:
    """One package made of an architecture: precision, opset, compression."""

    name: str
    precision: str  # "fp16" or "fp32"
    opset: int
    compression: str = ""  # a key of judge.compress.METHODS


@dataclass
class Architecture:
    name: str
    module: torch.nn.Module
    inputs: dict  # name -> tensor, in the order of forward()
    outputs: list  # names
    variants: list
    states: dict = field(default_factory=dict)  # name -> shape
    steps: list = None  # for stateful models: the inputs of every call after the first
    unordered: bool = False  # rows of the outputs may come in another order: thousands of scores lie closer than rounding
    extra: Any = None

    def __post_init__(self):
        """New networks have biases of 0 and gains of 1, which hide mistakes and which the converter merges: these have not."""
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in self.module.parameters():
                if parameter.ndim == 1:
                    parameter += 0.1 * torch.randn(parameter.shape, generator=generator)


def plain(opset_fp32=15, opset_fp16=17):
    """The two forms that every architecture is judged in."""
    return [Variant("fp32", "fp32", opset_fp32), Variant("fp16", "fp16", opset_fp16)]


def settle(module, *shape, seed=0, rounds=4):
    """Gives batch norms the statistics of random inputs, so that activations keep a size that fp16 can hold."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.reset_running_stats()
            layer.momentum = None  # a plain average over the rounds
    module.train()
    for layer in module.modules():
        if isinstance(layer, torch.nn.Dropout) or type(layer).__name__ == "StochasticDepth":
            layer.eval()
    with torch.no_grad():
        for _ in range(rounds):
            module(torch.randn(shape, generator=generator))
    return module.eval()


def images(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tokens(high, *shape, seed=2):
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.int32)
