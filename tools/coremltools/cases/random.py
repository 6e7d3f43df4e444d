"""Random ops. No reference can give their values: shape, range, moments, and that a seed gives the same numbers again."""

import numpy as np

from judge.draw import lit, normal, scalar
from judge.tolerance import STATISTIC

EVERY = "15 16 17 18 26"
FLOATS = "fp16 fp32"
SHAPE = [4, 50, 25]
COUNT = 5000


def judged(shape, moments, inside, seeded):
    """A check of the first output: `moments` is [(power, value, standard deviation of one draw)]."""

    def check(runs):
        first, again = runs[0][0].astype(np.float64), runs[1][0].astype(np.float64)
        if first.shape != tuple(shape):
            return f"shape {first.shape}, expected {tuple(shape)}"
        if not np.all(np.isfinite(first)) or not np.all(inside(first)):
            return f"values from {first.min()} to {first.max()}"
        for power, value, deviation in moments:
            found = float(np.mean(first**power))
            # Six standard errors: one in 5e8 by chance, and seeded cases never change.
            if abs(found - value) > 6 * deviation / np.sqrt(first.size):
                return f"mean of x^{power} is {found:.4f}, expected {value:.4f}"
        if np.unique(first).size < 2:
            return "all values are equal"
        # Neighbours must not depend on one another.
        flat = first.reshape(-1) - first.mean()
        correlation = float(np.mean(flat[1:] * flat[:-1]) / max(np.mean(flat * flat), 1e-30))
        if abs(correlation) > 6 / np.sqrt(first.size):
            return f"neighbours correlate by {correlation:.4f}"
        if seeded and not np.array_equal(first, again):
            return "the same seed gave other numbers in a second run"
        return None

    return check


def cases(f):
    def program(op, opsets, dtypes, label, shape, moments, inside, /, **params):
        seeded = params.get("seed", -1) >= 0
        opsets, dtypes = opsets.split(), dtypes.split()
        for i in range(max(len(opsets), len(dtypes))):
            # The input is there because a model must have one.
            def build(mb, v, op=op):
                x = v.pop("unused", None)
                return [getattr(mb, op)(**v, name="out"), mb.identity(x=x)] if x is not None else getattr(mb, op)(**v, name="out")

            f.program(op, opsets[i % len(opsets)], dtypes[i % len(dtypes)], build, None, STATISTIC, label,
                      check=judged(shape, moments, inside, seeded), **params)  # fmt: skip

    one = normal(1)
    for seed in (-1, 7):
        label = "seeded" if seed >= 0 else ""
        # The parameters are exact in fp16.
        program("random_uniform", EVERY, FLOATS, label, SHAPE, [(1, 1.0, 1.74), (2, 4.0, 4.4)], lambda x: (x >= -2) & (x <= 4),
                shape=SHAPE, low=scalar(-2.0), high=scalar(4.0), seed=seed, unused=one)  # fmt: skip
        program("random_normal", EVERY, FLOATS, label, SHAPE, [(1, 1.5, 0.5), (2, 2.5, 1.6)], lambda x: np.abs(x - 1.5) < 4,
                shape=SHAPE, mean=scalar(1.5), stddev=scalar(0.5), seed=seed, unused=one)  # fmt: skip
        program("random_bernoulli", EVERY, FLOATS, label, SHAPE, [(1, 0.25, 0.434)], lambda x: (x == 0) | (x == 1), shape=SHAPE,
                prob=scalar(0.25), seed=seed, unused=one)  # fmt: skip
        table = np.log([[0.125, 0.5, 0.25, 0.125]])
        moments = [(1, 1.375, 0.86), (2, 2.625, 2.8)]
        program("random_categorical", EVERY, FLOATS, label, [1, COUNT], moments, lambda x: np.isin(x, range(4)), x=lit(table),
                size=COUNT, seed=seed)  # fmt: skip
        program("random_categorical", "15 18", FLOATS, f"probs{label}", [1, COUNT], moments, lambda x: np.isin(x, range(4)),
                x=lit(np.exp(table)), mode="probs", size=COUNT, seed=seed)  # fmt: skip
    program("random_uniform", "15 18", "fp32", "default", SHAPE, [(1, 0.5, 0.29)], lambda x: (x >= 0) & (x < 1), shape=SHAPE,
            unused=one)  # fmt: skip
    program("random_normal", "15 18", "fp32", "default", SHAPE, [(1, 0.0, 1.0), (2, 1.0, 1.42)], lambda x: np.abs(x) < 7, shape=SHAPE,
            unused=one)  # fmt: skip
    program("random_bernoulli", "15 18", "fp32", "default", SHAPE, [(1, 0.5, 0.5)], lambda x: (x == 0) | (x == 1), shape=SHAPE,
            unused=one)  # fmt: skip
    program("random_normal", "17", "fp32", "runtime_shape", SHAPE, [(1, 0.0, 1.0), (2, 1.0, 1.42)], lambda x: np.abs(x) < 7,
            shape=lit(SHAPE, "int32"), seed=3)  # fmt: skip
