"""Seeded data for the cases: a table row says what to draw, and this module draws it.

A `Draw` knows a shape and a recipe, not yet an element type: the same row serves every dtype an op allows, so the
recipe is asked for an array of a given dtype when the case is made. What an integer, an unsigned or a boolean version
of "normal numbers" is stands here, once.
"""

import numpy as np

NUMPY = {
    "fp16": np.float16,
    "fp32": np.float32,
    "int8": np.int8,
    "uint8": np.uint8,
    "int16": np.int16,
    "uint16": np.uint16,
    "int32": np.int32,
    "uint32": np.uint32,
    "bool": np.bool_,
    # Narrower than a byte: constants only, held in bytes here.
    "int4": np.int8,
    "uint1": np.uint8,
    "uint2": np.uint8,
    "uint3": np.uint8,
    "uint4": np.uint8,
    "uint6": np.uint8,
}

SUB_BYTE = ("int4", "uint1", "uint2", "uint3", "uint4", "uint6")

FLOAT = ("fp16", "fp32")


def is_float(dtype):
    return dtype in FLOAT


def bounds(dtype):
    """The least and the greatest integer of a dtype."""
    if dtype in SUB_BYTE:
        return (-8, 7) if dtype == "int4" else (0, 2 ** int(dtype[4:]) - 1)
    info = np.iinfo(NUMPY[dtype])
    return info.min, info.max


class Draw:
    """A tensor yet to be drawn.

    `domain` is the type variable it follows (`T` unless `of` says otherwise) or a dtype of its own; `is_const` makes
    it a constant of the program instead of a model input.
    """

    def __init__(self, shape, recipe, domain="T", is_const=False):
        self.shape = tuple(shape)
        self.recipe = recipe
        self.domain = domain
        self.is_const = is_const

    def of(self, domain):
        """The same data in another dtype (`"int32"`) or following another type variable (`"U"`)."""
        return Draw(self.shape, self.recipe, domain, self.is_const)

    @property
    def const(self):
        """The same data as a constant of the program."""
        return Draw(self.shape, self.recipe, self.domain, True)

    def array(self, rng, dtypes):
        """The array, in the dtype that its domain has in `dtypes` (`{"T": "fp16", ...}`)."""
        dtype = dtypes.get(self.domain, self.domain)
        value = np.asarray(self.recipe(rng, self.shape, dtype))
        # A recipe gives numbers; what does not fit an integer type is a mistake in the table, not a wrap-around.
        if dtype not in FLOAT and dtype != "bool" and value.dtype != np.bool_:
            low, high = bounds(dtype)
            assert value.size == 0 or (value.min() >= low and value.max() <= high), (dtype, value)
        return value.astype(NUMPY[dtype]).reshape(self.shape)


def _spread(value, dtype):
    """Floats as they are; integers with a few units of spread, not negative where the type cannot be."""
    if is_float(dtype):
        return value
    if dtype == "bool":
        return value > 0
    value = np.rint(4 * value)
    return np.abs(value) if dtype.startswith("u") else value


def normal(*shape, scale=1.0, mean=0.0):
    """Normally distributed numbers."""
    return Draw(shape, lambda rng, s, d: _spread(rng.normal(mean, scale, s), d))


def uniform(low, high, *shape):
    """Numbers in [low, high); integers from that range where the dtype is one."""

    def recipe(rng, s, dtype):
        value = rng.uniform(low, high, s)
        return value if is_float(dtype) else np.floor(value)

    return Draw(shape, recipe)


def away(*shape, low=0.3, high=2.0):
    """Numbers of both signs whose size lies in [low, high]; 1 to 4 for integers. For divisors."""

    def recipe(rng, s, dtype):
        if is_float(dtype):
            size = rng.uniform(low, high, s)
        else:
            size = rng.integers(1, 5, s)
        return size if dtype.startswith("u") else size * rng.choice([-1, 1], s)

    return Draw(shape, recipe)


def ints(low, high, *shape):
    """Integers in [low, high), `int32` unless `of` says otherwise."""
    return Draw(shape, lambda rng, s, d: rng.integers(low, high, s), "int32")


def bools(*shape):
    return Draw(shape, lambda rng, s, d: rng.integers(0, 2, s).astype(bool), "bool")


def distinct(*shape):
    """Values that keep their order through rounding: gaps of at least 1/8, exact in `fp16`."""

    def recipe(rng, s, dtype):
        count = int(np.prod(s))
        value = rng.permutation(count) - (0 if dtype.startswith("u") else count // 2)
        return value / 8.0 if is_float(dtype) else value

    return Draw(shape, recipe)


def lit(value, domain="T"):
    """These very numbers."""
    value = np.asarray(value)
    return Draw(value.shape, lambda rng, s, d: value, domain)


def scalar(value, domain="T"):
    """A constant scalar in the case's own dtype: MIL wants `alpha` to be as wide as `x`."""
    return lit(value, domain).const


def levels(*shape):
    """Integers over the whole range of the dtype (up to 8 bits), normal numbers where it is a float."""

    def recipe(rng, s, dtype):
        if is_float(dtype):
            return rng.normal(0, 1, s)
        low, high = bounds(dtype)
        return rng.integers(low, high + 1, s)

    return Draw(shape, recipe)
