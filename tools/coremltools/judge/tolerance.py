"""How far a result may be from the reference, and why.

An error counts as `|got - want| / (atol + rtol * |want|)`, which must not exceed 1. The reference is computed in
`float64` and never rounded, so every bound covers the rounding of the result itself.
"""

from dataclasses import dataclass

import numpy as np

HALF = 2.0**-10  # one unit in the last place of a normal fp16 number, relative
SINGLE = 2.0**-23
TINY = 2.0**-24  # the step of subnormal fp16 numbers


@dataclass(frozen=True)
class Tolerance:
    name: str
    why: str
    fp32: tuple  # (rtol, atol)
    fp16: tuple

    def pair(self, dtype):
        return {"fp32": self.fp32, "fp16": self.fp16}.get(dtype, (0.0, 0.0))


EXACT = Tolerance("exact", "nothing is computed, or only integers and booleans", (0.0, 0.0), (0.0, 0.0))
ROUNDED = Tolerance(
    "rounded",
    "one operation, rounded once; the last bit is left open",
    (SINGLE, 0.0),
    (HALF, TINY),
)
FUNCTION = Tolerance(
    "function",
    "an elementary function: a few units in the last place, and as much of 1 where the result cancels",
    (32 * SINGLE, 8 * SINGLE),
    (2 * HALF, HALF / 8),
)
SUM = Tolerance(
    "sum",
    "a sum whose order is not specified: its error follows the terms, not the result",
    (64 * SINGLE, 64 * SINGLE),
    (2 * HALF, 2 * HALF),
)
CHAIN = Tolerance(
    "chain",
    "several roundings in a row (a norm, a recurrent step, an attention): each stage adds its own",
    (256 * SINGLE, 128 * SINGLE),
    (6 * HALF, 6 * HALF),
)
STATISTIC = Tolerance("statistic", "random numbers: moments and range, never values", (0.0, 0.0), (0.0, 0.0))


def error(got, want, dtype, tolerance):
    """(largest error in units of the tolerance, largest absolute error); infinite where NaN or infinities differ."""
    got = np.asarray(got)
    want = np.asarray(want)
    # Core ML hands a rank-0 result out as one element; both forms are right.
    if want.shape == () and got.shape == (1,):
        got = got.reshape(())
    if got.shape != want.shape:
        return np.inf, np.inf
    if want.size == 0:
        return 0.0, 0.0
    if want.dtype.kind in "US":
        return (0.0, 0.0) if np.array_equal(got.astype(str), want.astype(str)) else (np.inf, np.inf)
    got = got.astype(np.float64)
    want = want.astype(np.float64)
    if dtype == "fp16":  # what rounds to infinity is infinity in fp16
        with np.errstate(over="ignore"):
            want = np.where(np.abs(want) >= 65520.0, want.astype(np.float16), want)
    odd = ~(np.isfinite(want) & np.isfinite(got))
    same = np.where(np.isnan(want), np.isnan(got), got == want)
    if not np.all(same[odd]):
        return np.inf, np.inf
    rtol, atol = tolerance.pair(dtype)
    with np.errstate(invalid="ignore"):
        difference = np.where(odd, 0.0, np.abs(got - want))
        bound = atol + rtol * np.abs(np.where(odd, 0.0, want))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(difference == 0.0, 0.0, difference / bound)
    return float(ratio.max()), float(difference.max())
