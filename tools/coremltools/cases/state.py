"""States: read, written, carried from call to call, starting at zero.

coremltools writes its `coreml_update_state` as `write_state` followed by `read_state`.
"""

import numpy as np

from judge.tolerance import EXACT, ROUNDED, SUM


def drawn(seed, count, **shapes):
    """`count` steps of inputs; a shape stands with its dtype."""
    rng = np.random.default_rng(seed)
    return [{k: rng.normal(0, 1, shape).astype(dtype) for k, (shape, dtype) in shapes.items()} for _ in range(count)]


def cases(f):
    for opset in (18, 26):
        # Core ML has fp16 states only.
        for name, dtype in (("fp16", np.float16),):
            steps = [{"x": np.round(s["x"] * 8).astype(dtype) / dtype(8)} for s in drawn(1, 4, x=((2, 3), np.float64))]

            def accumulate(mb, v, steps=steps):
                total = mb.add(x=mb.read_state(input=v["total"]), y=v["x"])
                return mb.coreml_update_state(state=v["total"], value=total)

            def totals(steps=steps):
                return [[sum(s["x"].astype(np.float64) for s in steps[: i + 1])] for i in range(len(steps))]

            f.stateful(f"read_state/accumulate/{name}", opset, {"total": ((2, 3), name)}, steps, accumulate, totals, EXACT)

            def previous(mb, v):
                """What is read before the write is the old value, whatever happens after."""
                old = mb.read_state(input=v["last"])
                mb.coreml_update_state(state=v["last"], value=v["x"])
                return mb.identity(x=old)

            def delayed(steps=steps):
                return [[steps[i - 1]["x"] if i else np.zeros((2, 3))] for i in range(len(steps))]

            f.stateful(f"read_state/previous/{name}", opset, {"last": ((2, 3), name)}, steps, previous, delayed, EXACT)

    steps = drawn(2, 3, x=((4,), np.float16), y=((4,), np.float16))

    def two(mb, v):
        """Two states written crosswise: each gets what the other held, plus an input."""
        a, b = mb.read_state(input=v["a"]), mb.read_state(input=v["b"])
        new_a = mb.coreml_update_state(state=v["a"], value=mb.add(x=b, y=v["x"]))
        new_b = mb.coreml_update_state(state=v["b"], value=mb.sub(x=a, y=v["y"]))
        return [new_a, new_b]

    def crossed():
        a = b = np.zeros(4)
        result = []
        for s in steps:
            a, b = b + s["x"].astype(float), a - s["y"].astype(float)
            a, b = a.astype(np.float16).astype(float), b.astype(np.float16).astype(float)
            result.append([a, b])
        return result

    f.stateful("write_state/crossed/fp16", 18, {"a": ((4,), "fp16"), "b": ((4,), "fp16")}, steps, two, crossed, ROUNDED)

    def several(mb, v):
        """Written several times within one call."""
        value = mb.read_state(input=v["n"])
        for _ in range(3):
            value = mb.coreml_update_state(state=v["n"], value=mb.add(x=value, y=v["x"]))
        return mb.read_state(input=v["n"])

    ones = [{"x": np.full((2,), 1, np.float16)} for _ in range(3)]
    counted = lambda: [[np.full(2, 3.0 * (i + 1))] for i in range(3)]  # noqa: E731
    f.stateful("write_state/several/fp16", 18, {"n": ((2,), "fp16")}, ones, several, counted)

    rng = np.random.default_rng(3)
    cache_steps = [
        {"row": rng.normal(0, 1, (1, 2, 1, 4)).astype(np.float16), "at": np.array([i], np.int32), "next": np.array([i + 1], np.int32)}
        for i in (0, 1, 2, 3)
    ]

    def cache(mb, v):
        """A key cache: one row written at a running position, then a product with all of it."""
        keys = mb.read_state(input=v["keys"])
        zero = np.array([0, 0], np.int32)
        begin = mb.concat(values=(zero, v["at"], zero[:1]), axis=0)
        end = mb.concat(values=(zero, v["next"], zero[:1]), axis=0)
        keys = mb.slice_update(x=keys, update=v["row"], begin=begin, end=end, begin_mask=[True, True, False, True],
                               end_mask=[True, True, False, True])  # fmt: skip
        keys = mb.coreml_update_state(state=v["keys"], value=keys)
        return [mb.matmul(x=v["row"], y=keys, transpose_y=True), mb.identity(x=keys)]

    def cached():
        keys, result = np.zeros((1, 2, 6, 4)), []
        for s in cache_steps:
            keys = keys.copy()
            keys[:, :, s["at"][0]] = s["row"][:, :, 0]
            result.append([s["row"].astype(float) @ keys.swapaxes(-1, -2), keys])
        return result

    for opset in (18, 26):
        f.stateful("write_state/cache/fp16", opset, {"keys": ((1, 2, 6, 4), "fp16")}, cache_steps, cache, cached, SUM)

    def ring(mb, v):
        """A shift register: concat and slice."""
        window = mb.concat(values=(mb.read_state(input=v["window"]), v["x"]), axis=0)
        window = mb.slice_by_index(x=window, begin=[1, 0], end=[5, 2])
        return mb.reduce_mean(x=mb.coreml_update_state(state=v["window"], value=window), axes=[0], keep_dims=False)

    ring_steps = drawn(4, 6, x=((1, 2), np.float16))

    def means():
        window, result = np.zeros((4, 2)), []
        for s in ring_steps:
            window = np.concatenate([window[1:], s["x"].astype(float)])
            result.append([window.mean(axis=0)])
        return result

    f.stateful("read_state/ring/fp16", 18, {"window": ((4, 2), "fp16")}, ring_steps, ring, means, SUM)
