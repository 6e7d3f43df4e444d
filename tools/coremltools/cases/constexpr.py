"""Compressed constants of both generations: affine, look-up tables, sparse, blockwise, and their combinations.

The reference decompresses with NumPy from the same bits. A constant that is not a number of its own (an integer look-up
table) feeds the op that makes one of it, as it does in real files.
"""

import numpy as np

from judge.draw import Draw, levels, lit, normal, scalar, uniform
from judge.tolerance import CHAIN, EXACT, ROUNDED, SUM

FLOATS = "fp16 fp32"
BITS = {2: 1, 4: 2, 16: 4, 64: 6, 256: 8}


def bit_stream(numbers, bits):
    """Numbers of `bits` bits in bytes, the least significant bit first."""
    stream = (numbers.reshape(-1, 1) >> np.arange(bits)) & 1
    return np.packbits(stream.reshape(-1).astype(np.uint8), bitorder="little")


def wide(value, x):
    """A blockwise parameter repeated to the shape of `x`."""
    for axis in range(x.ndim):
        value = np.repeat(value, x.shape[axis] // value.shape[axis], axis=axis)
    return value


def blockwise(data, scale, offset=None):
    return wide(scale, data) * (data - (0 if offset is None else wide(offset, data)) + 0.0)


def lookup(indices, lut, vector_axis=None):
    """`lut` is [groups of axis 0, ..., groups of axis K-1, palette, vector]."""
    vector = lut.shape[-1]
    axis = 0 if vector_axis is None else vector_axis % indices.ndim
    result = np.empty([n * (vector if i == axis else 1) for i, n in enumerate(indices.shape)])
    for place in np.ndindex(*indices.shape):
        group = tuple(p // (n // g) for p, n, g in zip(place, indices.shape, lut.shape))
        target = [slice(p, p + 1) for p in place]
        target[axis] = slice(place[axis] * vector, (place[axis] + 1) * vector)
        shape = [vector if i == axis else 1 for i in range(indices.ndim)]
        result[tuple(target)] = lut[group][indices[place]].reshape(shape)
    return result


def rounding(source):
    """Integers are subtracted exactly and scaled with one rounding; a float is first rounded to the scale's own width."""
    return CHAIN if source in ("fp16", "fp32") else ROUNDED


def spread(values, mask):
    """Values set where the mask is, row by row."""
    result = np.zeros(mask.shape)
    result[mask != 0] = values
    return result


def shown(mb, weight, x, dtype):
    """Outputs: the decompressed constant, and the input that a model must have."""
    weight = mb.identity(x=weight) if dtype in ("fp16", "fp32") else mb.cast(x=weight, dtype="int32")
    return [weight, mb.identity(x=x)]


def cases(f):
    first_generation(f)
    blocks(f)
    tables(f)
    sparse(f)
    joint(f)
    in_use(f)


def first_generation(f):
    """iOS 16: parameters are attributes in the file."""

    def build(op):
        def inner(mb, v):
            x = v.pop("x")
            return shown(mb, getattr(mb, op)(**v), x, "fp32")

        return inner

    x = normal(2).of("fp32")
    data = levels(3, 4, 2)
    affine = lambda quantized_data, scale, zero_point, axis, x: [  # noqa: E731
        np.reshape(scale, [-1 if i == axis % 3 and np.ndim(scale) else 1 for i in range(3)])
        * (quantized_data - np.reshape(zero_point, [-1 if i == axis % 3 and np.ndim(zero_point) else 1 for i in range(3)]) + 0.0),
        x,
    ]
    for opset in ("16", "17", "18"):
        for source in ("int8", "uint8"):
            for target in ("fp16", "fp32"):
                dtype = f"{source}/{target}"
                point = [3, -5, 7] if source == "int8" else [130, 90, 128]
                common = dict(x=x, quantized_data=data.const, axis=0)
                f.program("constexpr_affine_dequantize", opset, dtype, build("constexpr_affine_dequantize"), affine, ROUNDED,
                          scale=scalar([0.5, 0.03, 0.1], "U"), zero_point=scalar(point), **common)  # fmt: skip
                if opset == "16":
                    f.program("constexpr_affine_dequantize", opset, dtype, build("constexpr_affine_dequantize"), affine, ROUNDED,
                              "scalar", scale=scalar(0.03, "U"), zero_point=scalar(point[0]), **common)  # fmt: skip
                    f.program("constexpr_affine_dequantize", opset, dtype, build("constexpr_affine_dequantize"), affine, ROUNDED,
                              "axis", x=x, quantized_data=levels(2, 4, 3).const, axis=-1, scale=scalar([0.5, 0.03, 0.1], "U"),
                              zero_point=scalar(point))  # fmt: skip
    f.program("constexpr_affine_dequantize", "16", "int8/fp32/fp32", build("constexpr_affine_dequantize"), affine, ROUNDED,
              "float_zero", x=x, quantized_data=data.const, axis=0, scale=scalar(0.5, "U"), zero_point=scalar(1.5, "V"))  # fmt: skip

    shape = np.array([3, 5], dtype=np.uint32)
    for palette, bits in BITS.items():
        indices = Draw((15,), lambda rng, s, d, n=palette: rng.integers(0, n, s), "uint8", True)

        def lut_build(mb, v, bits=bits):
            packed = bit_stream(v["indices"].astype(np.uint8), bits)
            return shown(mb, mb.constexpr_lut_to_dense(indices=packed, lut=v["lut"], shape=shape), v["x"], "fp32")

        for opset, dtype in (("16", "fp16"), ("17", "fp32")):
            f.program("constexpr_lut_to_dense", opset, dtype, lut_build, lambda indices, lut, x: [lut[indices].reshape(3, 5), x], EXACT,
                      f"{bits}bit", x=x, indices=indices, lut=normal(palette).const)  # fmt: skip

    def lut_bytes(mb, v):
        packed = bit_stream(v["indices"].astype(np.uint8), 4)
        return shown(mb, mb.constexpr_lut_to_dense(indices=packed, lut=v["lut"], shape=shape), v["x"], "int8")

    # iOS 17 still has the first generation, and the first ops that take 8-bit tensors.
    for dtype in ("int8", "uint8"):
        f.program("constexpr_lut_to_dense", "17", dtype, lut_bytes, lambda indices, lut, x: [lut[indices].reshape(3, 5), x], EXACT, x=x,
                  indices=Draw((15,), lambda rng, s, d: rng.integers(0, 16, s), "uint8", True), lut=levels(16).const)  # fmt: skip

    def sparse_bytes(mb, v):
        mask = bit_stream(v["mask"].astype(np.uint8), 1)
        return shown(mb, mb.constexpr_sparse_to_dense(nonzero_data=v["nonzero_data"], mask=mask, shape=shape), v["x"], "int8")

    def sparse_build(mb, v):
        mask = bit_stream(v["mask"].astype(np.uint8), 1)
        return shown(mb, mb.constexpr_sparse_to_dense(nonzero_data=v["nonzero_data"], mask=mask, shape=shape), v["x"], "fp32")

    mask = lit([1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 1, 1], "uint8").const
    for opset, dtype in (("16", "fp16"), ("16", "fp32"), ("17", "fp16"), ("17", "fp32")):
        f.program("constexpr_sparse_to_dense", opset, dtype, sparse_build,
                  lambda nonzero_data, mask, x: [spread(nonzero_data, mask).reshape(3, 5), x], EXACT, x=x, mask=mask,
                  nonzero_data=normal(7).const)  # fmt: skip

    for dtype in ("int8", "uint8"):
        f.program("constexpr_sparse_to_dense", "17", dtype, sparse_bytes,
                  lambda nonzero_data, mask, x: [spread(nonzero_data, mask).reshape(3, 5), x], EXACT, x=x, mask=mask,
                  nonzero_data=levels(7).const)  # fmt: skip

    for opset in ("16", "17", "18", "26"):
        f.program("constexpr_cast", opset, "fp16",
                  lambda mb, v: shown(mb, mb.constexpr_cast(source_val=v["source_val"], output_dtype="fp32"), v["x"], "fp32"),
                  lambda source_val, x: [source_val, x], EXACT, x=normal(2).of("fp32"), source_val=normal(3, 4).const)  # fmt: skip


def blocks(f):
    def build(mb, v):
        x = v.pop("x")
        return shown(mb, mb.constexpr_blockwise_shift_scale(**v), x, "fp32")

    reference = lambda data, scale, x, offset=None: [blockwise(data, scale, offset), x]  # noqa: E731
    x, positive = normal(2).of("fp32"), uniform(0.01, 0.2, 2, 4).of("U").const
    for source in ("int4", "uint4", "int8", "uint8", "fp16", "fp32"):
        for target in ("fp16", "fp32"):
            dtype = f"{source}/{target}"
            tolerance = rounding(source)
            f.program("constexpr_blockwise_shift_scale", "18", dtype, build, reference, tolerance, x=x, data=levels(6, 8).const,
                      scale=positive)  # fmt: skip
            f.program("constexpr_blockwise_shift_scale", "18", dtype, build, reference, tolerance, "offset", x=x, data=levels(6, 8).const,
                      scale=positive, offset=levels(2, 4).const)  # fmt: skip
    for offset in ("fp16", "fp32"):
        f.program("constexpr_blockwise_shift_scale", "26", "int4/fp16", build, reference, CHAIN, f"{offset}_offset", x=x,
                  data=levels(6, 8).const, scale=positive, offset=normal(2, 4).of(offset).const)  # fmt: skip
    for label, shape, groups in (("tensor", (4, 6), (1, 1)), ("channel", (4, 6), (4, 1)), ("rank4", (4, 2, 3, 3), (4, 1, 1, 3)),
                                 ("rank1", (6,), (3,)), ("element", (2, 3), (2, 3))):  # fmt: skip
        f.program("constexpr_blockwise_shift_scale", "18", "int4/fp16", build, reference, ROUNDED, label, x=x,
                  data=levels(*shape).const, scale=uniform(0.01, 0.2, *groups).of("U").const)  # fmt: skip


def tables(f):
    def build(mb, v):
        x, dtype = v.pop("x"), v.pop("dtype", "fp32")
        return shown(mb, mb.constexpr_lut_to_dense(**v), x, dtype)

    reference = lambda indices, lut, x, vector_axis=None: [lookup(indices, lut, vector_axis), x]  # noqa: E731
    x = normal(2).of("fp32")
    for index in ("uint1", "uint2", "uint3", "uint4", "uint6", "uint8"):
        palette = 2 ** int(index[4:])
        for target in ("fp16", "fp32", "int8", "uint8"):
            f.program("constexpr_lut_to_dense", "18", f"{index}/{target}", build, reference, EXACT, x=x,
                      dtype=target, indices=levels(4, 6).const, lut=levels(1, 1, palette, 1).of("U").const)  # fmt: skip
        for axis in (0, 1, -1):
            if palette <= 16:
                f.program("constexpr_lut_to_dense", "18", f"{index}/fp16", build, reference, EXACT, f"vector{axis}", x=x,
                          indices=levels(4, 3).const, lut=normal(1, 1, palette, 2).of("U").const,
                          vector_axis=np.int32(axis))  # fmt: skip
    f.program("constexpr_lut_to_dense", "18", "uint2/fp16", build, reference, EXACT, "groups", x=x, indices=levels(6, 2).const,
              lut=normal(2, 1, 4, 1).of("U").const)  # fmt: skip
    f.program("constexpr_lut_to_dense", "18", "uint4/fp32", build, reference, EXACT, "groups_both", x=x, indices=levels(6, 4).const,
              lut=normal(3, 2, 16, 1).of("U").const)  # fmt: skip
    f.program("constexpr_lut_to_dense", "26", "uint2/fp16", build, reference, EXACT, "groups_vector", x=x, indices=levels(4, 2, 3).const,
              lut=normal(2, 1, 1, 4, 3).of("U").const, vector_axis=np.int32(1))  # fmt: skip
    f.program("constexpr_lut_to_dense", "18", "uint3/fp16", build, reference, EXACT, "rank1", x=x, indices=levels(11).const,
              lut=normal(1, 8, 1).of("U").const)  # fmt: skip


MASK = [[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0]]  # nine are set


def sparse(f):
    def build(mb, v):
        x, dtype = v.pop("x"), v.pop("dtype")
        return shown(mb, mb.constexpr_sparse_to_dense(**v), x, dtype)

    mask = lit(MASK, "uint1").const
    for dtype in ("fp16", "fp32", "int8", "uint8"):
        f.program("constexpr_sparse_to_dense", "18", dtype, build, lambda nonzero_data, mask, x: [spread(nonzero_data, mask), x], EXACT,
                  x=normal(2).of("fp32"), dtype=dtype, nonzero_data=levels(9).const, mask=mask)  # fmt: skip
    for dtype in ("int4", "uint4"):

        def scaled(mb, v):
            dense = mb.constexpr_sparse_to_dense(nonzero_data=v["nonzero_data"], mask=v["mask"])
            return shown(mb, mb.constexpr_blockwise_shift_scale(data=dense, scale=v["scale"]), v["x"], "fp32")

        f.program("constexpr_sparse_to_dense", "18", dtype, scaled,
                  lambda nonzero_data, mask, scale, x: [blockwise(spread(nonzero_data, mask), scale), x], ROUNDED, "scaled",
                  x=normal(2).of("fp32"), nonzero_data=levels(9).const, mask=mask,
                  scale=uniform(0.1, 1, 4, 2).of("fp16").const, foldable=False)  # fmt: skip
    f.program("constexpr_sparse_to_dense", "26", "fp16", build, lambda nonzero_data, mask, x: [spread(nonzero_data, mask), x], EXACT,
              "none", x=normal(2).of("fp32"), dtype="fp16", nonzero_data=normal(1).const,
              mask=lit([[0, 0, 0], [0, 1, 0]], "uint1").const)  # fmt: skip


def joint(f):
    """Two and three kinds of compression on one weight."""
    x = normal(2).of("fp32")
    mask = lit(MASK, "uint1").const

    def sparse_table(indices_mask, indices_nonzero_data, lut, vector_axis=None):
        dense = lookup(spread(indices_nonzero_data, indices_mask).astype(int), lut, vector_axis)
        kept = indices_mask if vector_axis is None else np.repeat(indices_mask, lut.shape[-1], axis=vector_axis)
        return np.where(kept != 0, dense, 0), kept

    def build(mb, v):
        x, dtype = v.pop("x"), v.pop("dtype", "fp32")
        kept, values = mb.constexpr_lut_to_sparse(**v)
        return shown(mb, mb.constexpr_sparse_to_dense(nonzero_data=values, mask=kept), x, dtype)

    reference = lambda indices_mask, indices_nonzero_data, lut, x, vector_axis=None: [  # noqa: E731
        sparse_table(indices_mask, indices_nonzero_data, lut, vector_axis)[0], x]  # fmt: skip
    for index in ("uint1", "uint2", "uint3", "uint4", "uint6", "uint8"):
        palette = 2 ** int(index[4:])
        for target in ("fp16", "fp32") if index != "uint2" else ("fp16", "fp32", "int8", "uint8"):
            f.program("constexpr_lut_to_sparse", "18", f"{index}/{target}", build, reference, EXACT, x=x, dtype=target,
                      indices_mask=mask, indices_nonzero_data=levels(9).const, lut=levels(1, 1, palette, 1).of("U").const)  # fmt: skip
    for axis in (0, 1):
        f.program("constexpr_lut_to_sparse", "18", "uint1/fp16", build, reference, EXACT, f"vector{axis}", x=x, indices_mask=mask,
                  indices_nonzero_data=levels(9).const, lut=normal(1, 1, 2, 2).of("U").const, vector_axis=np.int32(axis))  # fmt: skip
    f.program("constexpr_lut_to_sparse", "18", "uint2/fp16", build, reference, EXACT, "groups", x=x, indices_mask=mask,
              indices_nonzero_data=levels(9).const, lut=normal(2, 1, 4, 1).of("U").const)  # fmt: skip

    def build_scaled(mb, v):
        x = v.pop("x")
        kept, values = mb.constexpr_sparse_blockwise_shift_scale(**v)
        return shown(mb, mb.constexpr_sparse_to_dense(nonzero_data=values, mask=kept), x, "fp32")

    def scaled(data_mask, nonzero_data, scale, x, offset=None):
        return [np.where(data_mask != 0, blockwise(spread(nonzero_data, data_mask), scale, offset), 0), x]

    for source in ("int4", "uint4", "int8", "uint8", "fp16", "fp32"):
        for target in ("fp16", "fp32"):
            common = dict(x=x, data_mask=mask, nonzero_data=levels(9).const, scale=uniform(0.1, 1, 4, 2).of("U").const)
            row = "constexpr_sparse_blockwise_shift_scale", "18", f"{source}/{target}", build_scaled, scaled, rounding(source)
            f.program(*row, **common)
            f.program(*row, "offset", offset=levels(4, 2).const, **common)  # fmt: skip
    f.program("constexpr_sparse_blockwise_shift_scale", "26", "int4/fp16", build_scaled, scaled, ROUNDED, "channel", x=x, data_mask=mask,
              nonzero_data=levels(9).const, scale=uniform(0.1, 1, 1, 6).of("U").const)  # fmt: skip

    # An integer table whose entries are scaled; and the same, sparse.
    def table_scaled(mb, v):
        dense = mb.constexpr_lut_to_dense(indices=v["indices"], lut=v["lut"])
        return shown(mb, mb.constexpr_blockwise_shift_scale(data=dense, scale=v["scale"]), v["x"], "fp32")

    f.program("constexpr_lut_to_dense", "18", "uint4/int8", table_scaled,
              lambda indices, lut, scale, x: [blockwise(lookup(indices, lut), scale), x], ROUNDED, "scaled", x=x,
              indices=levels(4, 6).const, lut=levels(1, 1, 16, 1).of("U").const, scale=uniform(0.1, 1, 4, 1).of("fp16").const,
              foldable=False)  # fmt: skip

    def all_three(mb, v):
        kept, entries = mb.constexpr_lut_to_sparse(indices_mask=v["indices_mask"], indices_nonzero_data=v["indices"], lut=v["lut"])
        kept, values = mb.constexpr_sparse_blockwise_shift_scale(data_mask=kept, nonzero_data=entries, scale=v["scale"])
        return shown(mb, mb.constexpr_sparse_to_dense(nonzero_data=values, mask=kept), v["x"], "fp32")

    f.program("constexpr_lut_to_sparse", "18", "uint4/int8", all_three,
              lambda indices_mask, indices, lut, scale, x: [blockwise(sparse_table(indices_mask, indices, lut)[0], scale), x], ROUNDED,
              "scaled", x=x, indices_mask=mask, indices=levels(9).const, lut=levels(1, 1, 16, 1).of("U").const,
              scale=uniform(0.1, 1, 4, 1).of("fp16").const, foldable=False)  # fmt: skip


def in_use(f):
    """Compressed weights where they are used: in a matrix product and in a convolution."""

    def product(mb, v):
        weight = mb.constexpr_blockwise_shift_scale(data=v["data"], scale=v["scale"])
        return mb.linear(x=v["x"], weight=weight)

    for target in ("fp16", "fp32"):
        f.program("constexpr_blockwise_shift_scale", "18", f"int4/{target}", product,
                  lambda x, data, scale: x @ blockwise(data, scale).T, SUM, "linear", x=normal(3, 8).of("U"), data=levels(6, 8).const,
                  scale=uniform(0.02, 0.1, 6, 2).of("U").const, foldable=False)  # fmt: skip

    def convolution(mb, v):
        weight = mb.constexpr_lut_to_dense(indices=v["indices"], lut=v["lut"])
        return mb.conv(x=v["x"], weight=weight, pad_type="valid")

    def convolved(x, indices, lut):
        weight = lookup(indices, lut)
        view = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
        return np.einsum("nchwij,ocij->nohw", view, weight)

    for target in ("fp16", "fp32"):
        f.program("constexpr_lut_to_dense", "18", f"uint4/{target}", convolution, convolved, SUM, "conv", x=normal(1, 3, 5, 6).of("U"),
                  indices=levels(4, 3, 3, 3).const, lut=normal(2, 1, 1, 1, 16, 1).of("U").const, foldable=False)  # fmt: skip

    def gathered(mb, v):
        table = mb.constexpr_affine_dequantize(quantized_data=v["data"], scale=v["scale"], zero_point=v["zero"], axis=0)
        return mb.gather(x=table, indices=v["indices"], axis=0)

    f.program("constexpr_affine_dequantize", "16", "int8/fp16", gathered,
              lambda data, scale, zero, indices: ((data - zero[:, None]) * scale[:, None])[indices], ROUNDED, "embedding",
              data=levels(9, 4).const, scale=uniform(0.01, 0.1, 9).of("U").const, zero=levels(9).const,
              indices=Draw((2, 3), lambda rng, s, d: rng.integers(0, 9, s), "int32"), foldable=False)  # fmt: skip
