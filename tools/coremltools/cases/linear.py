"""Matrix products: `linear`, `matmul`, `einsum`."""

import numpy as np

from judge.draw import lit, normal, uniform
from judge.tolerance import EXACT, SUM

EVERY = "15 16 17 18 26"
NUMBERS = "fp16 fp32 int32"


def linear(x, weight, bias=0):
    return x @ weight.T + bias


def matmul(x, y, transpose_x=False, transpose_y=False):
    return np.matmul(np.swapaxes(x, -1, -2) if transpose_x else x, np.swapaxes(y, -1, -2) if transpose_y else y)


def einsum(values, equation):
    return np.einsum(equation, *values)


def cases(f):
    weight, bias = normal(5, 4), normal(5)
    f.op("linear", EVERY, NUMBERS, linear, SUM, x=normal(3, 4), weight=weight.const, bias=bias.const)
    f.op("linear", "15 17 18", NUMBERS, linear, SUM, "no_bias", x=normal(3, 4), weight=weight.const)
    f.op("linear", "15", "int32", linear, SUM, "int", x=normal(3, 4), weight=weight.const, bias=bias.const)
    f.op("linear", "16 18", "fp32 fp16", linear, SUM, "rank1", x=normal(4), weight=weight.const, bias=bias.const)
    f.op("linear", "15 18", "fp16 fp32", linear, SUM, "rank3", x=normal(2, 3, 4), weight=weight.const, bias=bias.const)
    mixed = "fp16/fp32 fp32/fp16 int32/int32"
    f.op("linear", "17 18", mixed, linear, SUM, "mixed", x=normal(3, 4), weight=weight.of("U").const, bias=bias.of("U").const)
    integers = "fp16/int32 fp32/int32"
    f.op("linear", "17 18", integers, linear, SUM, "of_ints", x=normal(3, 4), weight=weight.of("U").const, bias=bias.of("U").const)
    f.op("linear", "18", "fp16", linear, SUM, "wide", x=normal(2, 300, scale=0.3), weight=normal(7, 300, scale=0.3).const)

    f.op("matmul", EVERY, NUMBERS, matmul, SUM, x=normal(3, 4), y=normal(4, 5))
    for tx in (False, True):
        for ty in (False, True):
            x, y = normal(2, *((4, 3) if tx else (3, 4))), normal(2, *((5, 4) if ty else (4, 5)))
            label = f"batch_{'t' if tx else 'n'}{'t' if ty else 'n'}"
            f.op("matmul", "15 17 18", NUMBERS, matmul, SUM, label, x=x, y=y, transpose_x=tx, transpose_y=ty)
    f.op("matmul", "15", "int32", matmul, SUM, "int", x=normal(3, 4), y=normal(4, 5))
    f.op("matmul", "15 17", "fp32 fp16", matmul, SUM, "broadcast", x=normal(2, 1, 3, 4), y=normal(3, 4, 5))
    f.op("matmul", "16 18", "fp32 fp16", matmul, SUM, "broadcast_right", x=normal(3, 4), y=normal(2, 4, 5))
    f.op("matmul", "16 18", "fp32 fp16", matmul, SUM, "constant", x=normal(2, 3, 4), y=normal(4, 5).const)
    f.op("matmul", "15", "fp32", matmul, SUM, "constant_left", x=normal(3, 4).const, y=normal(4, 5))
    f.op("matmul", "18", "fp32", matmul, SUM, "vector", x=normal(4), y=normal(4, 5))
    f.op("matmul", "17", "fp32", matmul, SUM, "thin", x=normal(1, 1), y=normal(1, 7))
    f.op("matmul", "18", "fp32", matmul, SUM, "rank5", x=normal(1, 2, 1, 3, 4), y=normal(2, 1, 3, 4, 2))
    # From iOS 17 a constant operand may have another width.
    f.op("matmul", "17 18", "fp16/fp32 fp32/fp16", matmul, SUM, "mixed",
         x=normal(3, 4), y=normal(4, 5).of("U").const, foldable=False)  # fmt: skip
    f.op("matmul", "17 18", integers, matmul, SUM, "of_ints", x=normal(3, 4), y=normal(4, 5).of("U").const, foldable=False)
    f.op("matmul", "17 18", "int32/fp16 int32/fp32", matmul, EXACT, "of_floats",
         x=lit([[1, 0, -2], [0.0, 3, 1]], "U").const, y=normal(3, 4), foldable=False)  # fmt: skip
    f.op("matmul", "18", "fp16", matmul, SUM, "long", x=normal(3, 500, scale=0.2), y=normal(500, 2, scale=0.2))
    f.op("matmul", "17", "int32", matmul, EXACT, "int_large", x=uniform(-500, 500, 3, 4), y=uniform(-500, 500, 4, 2))

    pairs = [
        ("nchw,nwhu->nchu", (2, 3, 4, 5), (2, 5, 4, 6)),
        ("chw,whr->chr", (3, 4, 5), (5, 4, 2)),
        ("abcd,adce->abce", (2, 3, 4, 5), (2, 5, 4, 6)),
        ("abc,cbd->abd", (3, 4, 5), (5, 4, 2)),
    ]
    for i, (equation, a, b) in enumerate(pairs):
        label = equation.replace(",", "_").replace("->", "_")
        f.op("einsum", EVERY if i == 0 else "15 18", "fp32 fp16", einsum, SUM, label,
             values=(normal(*a), normal(*b)), equation=equation)  # fmt: skip
