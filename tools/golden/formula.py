"""Weights and batches from a counter-based hash, so that no tensor need be stored: see `HOW` for the exact arithmetic."""

import numpy as np

HOW = [
    "splitmix64(x): z = x + 0x9E3779B97F4A7C15; z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9; "
    "z = (z ^ (z >> 27)) * 0x94D049BB133111EB; return z ^ (z >> 31); all modulo 2^64.",
    "hash(seed, t, i) = splitmix64(seed + t * 2^32 + i); unit(seed, t, i) = (hash(seed, t, i) >> 40) / 2^24, in [0, 1).",
    "symmetric(seed, t, i, scale) = ((unit - 0.5) * 2) * scale in float32 (only the last product rounds).",
    "Parameter t (its place in `parameters`), element i in row-major order: offset + symmetric(weight_seed, t, i, scale), "
    "in float32; offset is 1 for norm weights and 0 elsewhere.",
]

MASK = (1 << 64) - 1


def splitmix64(x):
    """Elementwise on a uint64 array."""
    z = x + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hashes(seed, stream, count):
    start = (seed + stream * (1 << 32)) & MASK
    return splitmix64(np.arange(count, dtype=np.uint64) + np.uint64(start))


def symmetric(seed, stream, shape, scale):
    unit = (hashes(seed, stream, int(np.prod(shape))) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
    return (((unit - np.float32(0.5)) * np.float32(2)) * np.float32(scale)).reshape(shape)


class Parameter:
    """What the file says about one tensor."""

    def __init__(self, name, shape, scale, offset=0.0):
        self.name, self.shape, self.scale, self.offset = name, list(shape), float(np.float32(scale)), offset

    def values(self, seed, index):
        return np.float32(self.offset) + symmetric(seed, index, self.shape, self.scale)

    def json(self):
        return {"name": self.name, "shape": self.shape, "scale": self.scale, "offset": self.offset}
