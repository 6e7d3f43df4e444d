"""Compressed constants of both generations: `python tools/golden/constexpr.py` writes tests/golden/values/constexpr.json.gz."""

import numpy as np
from coremltools.optimize import _utils as optimize_utils
from mil_text import BITS, Family, Value

FLOATS = ["fp16", "fp32"]
VALUES = ["int8", "uint8", "fp16", "fp32"]
LEVELS = ["int4", "uint4"] + VALUES
INDICES = ["uint1", "uint2", "uint3", "uint4", "uint6", "uint8"]


def size(shape):
    return "x".join(str(n) for n in shape) or "scalar"


def bits_of(dtype):
    return BITS.get(dtype, 8)


def affine(fam):
    zero_points = ["int8", "uint8", "fp32"]
    for data in ["int8", "uint8"]:
        for zero in zero_points:
            for scale in FLOATS:
                for shape, axis, vectors in [((7,), 0, "sz"), ((3, 5), 1, "s"), ((2, 3, 2, 2), -3, "z"), ((4, 6), -2, "sz"), ((2, 3), 0, "")]:
                    count = shape[axis]
                    p = fam.program(f"affine_{data}_{zero}_{scale}_{size(shape)}_{axis}_{vectors}".replace("-", "m"), "ios16")
                    y = p.op(
                        "constexpr_affine_dequantize",
                        quantized_data=fam.values(data, *shape),
                        zero_point=fam.values(zero, *([count] if "z" in vectors else [])),
                        scale=fam.scales(scale, *([count] if "s" in vectors else [])),
                        axis=axis,
                    )
                    p.done(y)
    # Beyond the range of fp16, below its normal numbers, and in a later opset.
    for name, scale in [("overflow", 1000.0), ("subnormal", 3e-6), ("underflow", 1e-8)]:
        p = fam.program(f"affine_{name}", "ios18")
        every = Value("int8", np.arange(-128, 128))
        p.done(p.op("constexpr_affine_dequantize", quantized_data=every, zero_point=Value("int8", -3), scale=Value("fp16", scale), axis=0))


def cast(fam):
    for opset in ["ios16", "ios18"]:
        for shape in [(), (5,), (2, 3)]:
            p = fam.program(f"cast_{size(shape)}_{opset}", opset)
            p.done(p.op("constexpr_cast", source_val=fam.values("fp16", *shape), output_dtype="fp32"))
    p = fam.program("cast_edges")
    edges = [0.0, -0.0, np.inf, -np.inf, 65504.0, 6e-8, -6e-8, 6.1e-5, 1.0]
    p.done(p.op("constexpr_cast", source_val=Value("fp16", edges), output_dtype="fp32"))


def flat_lut(fam):
    """The generation of ios16: packed bytes and a shape."""
    for entries in [2, 4, 16, 64, 256]:
        bits = entries.bit_length() - 1
        for dtype in VALUES:
            for shape in [(5,), (3, 7), (2, 3, 1, 5)]:
                count = int(np.prod(shape))
                indices = fam.rng.integers(0, entries, size=count).astype(np.uint8)
                packed = optimize_utils.pack_elements_into_bits(indices, bits)
                p = fam.program(f"flat_lut_{entries}_{dtype}_{size(shape)}", "ios17" if entries == 16 else "ios16")
                y = p.op("constexpr_lut_to_dense", indices=Value("uint8", packed), lut=fam.values(dtype, entries), shape=Value("uint32", shape))
                p.done(y)


def flat_sparse(fam):
    for dtype in VALUES:
        for shape, density in [((5,), 0.4), ((3, 7), 0.5), ((2, 3, 1, 5), 0.1), ((8,), 1.0), ((9,), 0.0)]:
            mask = fam.rng.uniform(size=int(np.prod(shape))) < density
            packed = np.packbits(mask, bitorder="little")
            p = fam.program(f"flat_sparse_{dtype}_{size(shape)}_{density}".replace(".", "_"), "ios16")
            y = p.op("constexpr_sparse_to_dense", nonzero_data=fam.values(dtype, int(mask.sum())), mask=Value("uint8", packed), shape=Value("uint32", shape))
            p.done(y)


def lut(fam):
    for indices in INDICES:
        entries = 1 << bits_of(indices)
        for dtype in VALUES:
            shapes = [((6, 2), (2, 1), 1, None), ((4, 6), (4, 3), 1, -1), ((2, 3, 2), (1, 3, 1), 3, 1)]
            for shape, tables, vector, axis in shapes:
                p = fam.program(f"lut_{indices}_{dtype}_{size(shape)}_{size(tables)}_v{vector}")
                p.done(p.op("constexpr_lut_to_dense", indices=fam.values(indices, *shape), lut=fam.values(dtype, *tables, entries, vector), vector_axis=axis))
    # Every axis, with tables along every dimension.
    for shape, tables in [((4, 2, 6), (2, 2, 3)), ((4, 2, 6), (1, 1, 1)), ((3, 2, 2, 4), (3, 1, 2, 4)), ((8,), (4,))]:
        for axis in range(-len(shape), len(shape)):
            p = fam.program(f"lut_axis_{size(shape)}_{size(tables)}_{axis}".replace("-", "m"))
            p.done(p.op("constexpr_lut_to_dense", indices=fam.values("uint2", *shape), lut=fam.values("fp16", *tables, 4, 2), vector_axis=axis))
    # Larger than what is computed at a time, in runs that do not divide it.
    p = fam.program("lut_long")
    p.done(p.op("constexpr_lut_to_dense", indices=fam.values("uint3", 7, 900), lut=fam.values("fp16", 1, 4, 8, 1)))
    p = fam.program("lut_long_vectors")
    p.done(p.op("constexpr_lut_to_dense", indices=fam.values("uint4", 30, 100), lut=fam.values("int8", 3, 1, 16, 4), vector_axis=0))


def mask_of(fam, *shape, density=0.5):
    return Value("uint1", fam.rng.uniform(size=shape) < density)


def ones(mask):
    return int(np.count_nonzero(mask.data))


def sparse(fam):
    for dtype in LEVELS:
        for shape, density in [((9,), 0.4), ((3, 7), 0.6), ((2, 3, 1, 5), 0.1), ((4, 4), 1.0), ((5, 3), 0.0)]:
            mask = mask_of(fam, *shape, density=density)
            p = fam.program(f"sparse_{dtype}_{size(shape)}_{density}".replace(".", "_"))
            p.done(p.op("constexpr_sparse_to_dense", nonzero_data=fam.values(dtype, ones(mask)), mask=mask))


def blockwise(fam):
    layouts = [((4, 8), (4, 2)), ((4, 8), (1, 1)), ((6, 4), (3, 4)), ((2, 3, 2, 2), (2, 1, 1, 1)), ((12,), (4,)), ((4, 6), (2, 3))]
    for data in LEVELS:
        for scale in FLOATS:
            for offset in [None, data, "fp16", "fp32"]:
                for shape, blocks in layouts if offset != data else layouts[:3]:
                    name = f"blockwise_{data}_{scale}_{offset}_{size(shape)}_{size(blocks)}"
                    if any(case["name"] == name for case in fam.cases):
                        continue  # float data has float offsets anyway
                    p = fam.program(name)
                    shift = None if offset is None else fam.values(offset, *blocks)
                    p.done(p.op("constexpr_blockwise_shift_scale", data=fam.values(data, *shape), scale=fam.scales(scale, *blocks), offset=shift))
    # Larger than what is computed at a time.
    p = fam.program("blockwise_long")
    p.done(p.op("constexpr_blockwise_shift_scale", data=fam.values("int4", 48, 96), scale=fam.scales("fp16", 48, 3), offset=fam.values("int4", 48, 3)))
    # fp32 data that fp16 does not hold, and beyond its range.
    p = fam.program("blockwise_edges")
    data = Value("fp32", [1e6, -1e6, 1e-7, 2049.0, 1.00048828125, 65519.0, 65520.0, 3e38])
    p.done(p.op("constexpr_blockwise_shift_scale", data=data, scale=Value("fp16", [1.5]), offset=Value("fp16", [0.1])))


def sparse_blockwise(fam):
    for data in LEVELS:
        for scale in FLOATS:
            for offset in [None, data, "fp32"]:
                for shape, blocks in [((4, 6), (4, 3)), ((4, 6), (1, 6)), ((9,), (1,))]:
                    name = f"sparse_blockwise_{data}_{scale}_{offset}_{size(shape)}_{size(blocks)}"
                    if any(case["name"] == name for case in fam.cases):
                        continue
                    p, mask = fam.program(name), mask_of(fam, *shape)
                    shift = None if offset is None else fam.values(offset, *blocks)
                    found = p.op(
                        "constexpr_sparse_blockwise_shift_scale",
                        data_mask=mask,
                        nonzero_data=fam.values(data, ones(mask)),
                        scale=fam.scales(scale, *blocks),
                        offset=shift,
                    )
                    p.done(*found, p.op("constexpr_sparse_to_dense", nonzero_data=found[1], mask=found[0]))


def lut_sparse(fam):
    for indices in INDICES:
        entries = 1 << bits_of(indices)
        for dtype in VALUES:
            for shape, tables, vector, axis in [((4, 6), (2, 1), 1, None), ((4, 6), (1, 3), 2, 0), ((3, 4), (1, 1), 3, 1)]:
                p, mask = fam.program(f"lut_sparse_{indices}_{dtype}_{size(shape)}_{size(tables)}_v{vector}"), mask_of(fam, *shape)
                found = p.op(
                    "constexpr_lut_to_sparse",
                    indices_mask=mask,
                    indices_nonzero_data=fam.values(indices, ones(mask)),
                    lut=fam.values(dtype, *tables, entries, vector),
                    vector_axis=axis,
                )
                p.done(*found, p.op("constexpr_sparse_to_dense", nonzero_data=found[1], mask=found[0]))
    for axis in range(-3, 3):
        p, mask = fam.program(f"lut_sparse_axis_{axis}".replace("-", "m")), mask_of(fam, 2, 4, 3)
        found = p.op(
            "constexpr_lut_to_sparse",
            indices_mask=mask,
            indices_nonzero_data=fam.values("uint2", ones(mask)),
            lut=fam.values("fp16", 2, 2, 3, 4, 2),
            vector_axis=axis,
        )
        p.done(*found, p.op("constexpr_sparse_to_dense", nonzero_data=found[1], mask=found[0]))
    for density in [0.0, 1.0]:
        p, mask = fam.program(f"lut_sparse_density_{int(density)}"), mask_of(fam, 3, 5, density=density)
        found = p.op(
            "constexpr_lut_to_sparse",
            indices_mask=mask,
            indices_nonzero_data=fam.values("uint4", ones(mask)),
            lut=fam.values("int8", 1, 1, 16, 1),
        )
        p.done(*found)


def joint(fam):
    """Operations that feed each other."""
    for scale in FLOATS:
        # A palette of int8, scaled: the table of a palette is itself quantized.
        p = fam.program(f"joint_lut_scaled_{scale}")
        levels = p.op("constexpr_lut_to_dense", indices=fam.values("uint4", 6, 8), lut=fam.values("int8", 3, 1, 16, 1))
        p.done(p.op("constexpr_blockwise_shift_scale", data=levels, scale=fam.scales(scale, 6, 1), offset=fam.values("int8", 6, 1)))
        p = fam.program(f"joint_scaled_table_{scale}")
        table = p.op("constexpr_blockwise_shift_scale", data=fam.values("int8", 1, 2, 4, 1), scale=fam.scales(scale, 1, 2, 1, 1))
        p.done(p.op("constexpr_lut_to_dense", indices=fam.values("uint2", 3, 4), lut=table))
        # Sparse, palettized, quantized, then dense.
        p, mask = fam.program(f"joint_sparse_lut_scaled_{scale}"), mask_of(fam, 4, 6)
        found = p.op(
            "constexpr_lut_to_sparse",
            indices_mask=mask,
            indices_nonzero_data=fam.values("uint3", ones(mask)),
            lut=fam.values("uint8", 2, 1, 8, 2),
            vector_axis=1,
        )
        found = p.op(
            "constexpr_sparse_blockwise_shift_scale",
            data_mask=found[0],
            nonzero_data=found[1],
            scale=fam.scales(scale, 4, 3),
            offset=fam.values("uint8", 4, 3),
        )
        p.done(*found, p.op("constexpr_sparse_to_dense", nonzero_data=found[1], mask=found[0]))
    # Scales that are compressed, and a sparse int4 weight that is quantized afterwards.
    p = fam.program("joint_compressed_scale")
    scale = p.op("constexpr_cast", source_val=fam.scales("fp16", 4, 1), output_dtype="fp32")
    mask = mask_of(fam, 4, 8)
    data = p.op("constexpr_sparse_to_dense", nonzero_data=fam.values("int4", ones(mask)), mask=mask)
    p.done(p.op("constexpr_blockwise_shift_scale", data=data, scale=scale))


def family():
    fam = Family("constexpr", 20)
    for fill in [affine, cast, flat_lut, flat_sparse, lut, sparse, blockwise, sparse_blockwise, lut_sparse, joint]:
        fill(fam)
    return fam


if __name__ == "__main__":
    family().write()
