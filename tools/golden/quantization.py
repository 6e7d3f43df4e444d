"""quantize and dequantize: `python tools/golden/quantization.py` writes tests/golden/values/quantization.json.gz."""

import numpy as np
from mil_text import Family, Value

FLOATS = ["fp16", "fp32"]
BYTES = ["int8", "uint8"]
LAYOUTS = [((), None), ((7,), 0), ((3, 5), 1), ((3, 5), -2), ((2, 3, 2, 2), 1), ((2, 2, 3), -1)]


def quantize(fam):
    for dtype in FLOATS:
        for output in BYTES:
            for shape, axis in LAYOUTS:
                for zero in [False, True]:
                    for vector in [False, True] if axis is not None else [False]:
                        count = [shape[axis]] if vector else []
                        name = f"quantize_{dtype}_{output}_{len(shape)}d_{axis}_{'z' if zero else 'n'}{'v' if vector else 's'}"
                        p = fam.program(name.replace("-", "m"), "ios17")
                        x = p.input(dtype, fam.rng.normal(size=shape) * 40)
                        y = p.op(
                            "quantize",
                            input=x,
                            scale=fam.scales(dtype, *count),
                            zero_point=fam.values(output, *count) if zero else None,
                            output_dtype=output,
                            axis=axis if vector else None,
                        )
                        p.done(y)
            # Halves, the limits and beyond, infinities, and numbers that fp16 rounds to halves.
            steps = np.arange(-300, 300) / 2
            edges = [np.inf, -np.inf, 65504.0, -65504.0, 127.49, 127.5, 128.5, 254.5, 255.5, -0.5, -0.0, 2.4998, 2.5002, 0.4999]
            for zero in [None, 3]:
                p = fam.program(f"quantize_edges_{dtype}_{output}_{zero}", "ios17")
                point = None if zero is None else Value(output, zero)
                p.done(p.op("quantize", input=p.input(dtype, np.concatenate([steps, edges])), scale=Value(dtype, 1.0), zero_point=point, output_dtype=output))
            p = fam.program(f"quantize_thirds_{dtype}_{output}", "ios17")
            p.done(p.op("quantize", input=p.input(dtype, steps / 3), scale=Value(dtype, 1 / 3), output_dtype=output))
            # A scale of 0 among others: infinities.
            p = fam.program(f"quantize_by_zero_{dtype}_{output}", "ios17")
            p.done(p.op("quantize", input=p.input(dtype, [[1.0, -2.0], [3.0, 4.0]]), scale=Value(dtype, [0.0, 0.5]), axis=0, output_dtype=output))
    # Longer than what is computed at a time.
    p = fam.program("quantize_long")
    p.done(p.op("quantize", input=p.input("fp16", fam.rng.normal(size=(3, 3001)) * 9), scale=fam.scales("fp16", 3), axis=0, output_dtype="int8"))


def dequantize(fam):
    for dtype in FLOATS:
        for source in BYTES:
            for shape, axis in LAYOUTS:
                if shape == ():
                    continue  # coremltools holds a scalar that is no array
                for zero in [False, True]:
                    for vector in [False, True]:
                        count = [shape[axis]] if vector else []
                        name = f"dequantize_{dtype}_{source}_{len(shape)}d_{axis}_{'z' if zero else 'n'}{'v' if vector else 's'}"
                        p = fam.program(name.replace("-", "m"), "ios17")
                        y = p.op(
                            "dequantize",
                            input=p.input(source, fam.values(source, *shape).data),
                            scale=fam.scales(dtype, *count),
                            zero_point=fam.values(source, *count) if zero else None,
                            axis=axis if vector else None,
                        )
                        p.done(y)
            for name, scale in [("large", 1000.0), ("small", 3e-6)]:
                p = fam.program(f"dequantize_{name}_{dtype}_{source}", "ios18")
                every = np.arange(-128, 128) if source == "int8" else np.arange(256)
                p.done(p.op("dequantize", input=p.input(source, every), scale=Value(dtype, scale)))
    p = fam.program("dequantize_long")
    p.done(p.op("dequantize", input=p.input("uint8", fam.values("uint8", 3, 3001).data), scale=fam.scales("fp16", 3), axis=-2))


def family():
    fam = Family("quantization", 21)
    quantize(fam)
    dequantize(fam)
    return fam


if __name__ == "__main__":
    family().write()
