"""NumPy's standard normal generator, for tests that recompute published measurements from their seeds.

Writes `tests/golden/numerics/numpy_normal.json`: the ziggurat tables that NumPy was built with (read from the compiled module, where
they lie one after the other: `fi`, `wi`, `ki`, 256 entries each), and what `numpy.random.default_rng(seed).standard_normal` gives: the
first values, and the wrapping sum of the bits of the first million, by seed.

    venv/bin/python tools/golden/numpy_normal.py
"""
import glob
import json
import math
import os
import struct

import numpy as np

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
COUNT = 1_000_000


def tables():
    [module] = glob.glob(os.path.join(os.path.dirname(np.__file__), "random", "_generator*.so"))
    with open(module, "rb") as file:
        data = file.read()
    # The last entries of `fi` and `wi` follow from the ziggurat's right edge.
    edge = 3.6541528853610087963519472518
    end_of_fi = data.index(struct.pack("<d", math.exp(-0.5 * edge * edge))) + 8
    read = lambda at: struct.unpack("<256Q", data[at : at + 2048])
    fi, wi, ki = read(end_of_fi - 2048), read(end_of_fi), read(end_of_fi + 2048)
    assert wi[255] == struct.unpack("<Q", struct.pack("<d", edge / 2**52))[0]
    assert ki[1] == 0 and all(k < 2**52 for k in ki)
    return {"fi": fi, "wi": wi, "ki": ki}


def check(seed):
    values = np.random.default_rng(seed).standard_normal(COUNT)
    bits = values.view(np.uint64)
    tail = int(np.argmax(np.abs(values)))
    return {
        "seed": seed,
        "first": [f"{int(b):016x}" for b in bits[:8]],
        "largest": {"at": tail, "bits": f"{int(bits[tail]):016x}"},
        "count": COUNT,
        "sum": f"{int(bits.sum(dtype=np.uint64)):016x}",
    }


out = {
    "how": f"tools/golden/numpy_normal.py, NumPy {np.__version__}",
    "tables": {name: [f"{v:016x}" for v in values] for name, values in tables().items()},
    "checks": [check(seed) for seed in (0, 1, 2, 3, 11, 2**31)],
}
with open(os.path.join(ROOT, "tests", "golden", "numerics", "numpy_normal.json"), "w") as file:
    json.dump(out, file, indent=1)
    file.write("\n")
