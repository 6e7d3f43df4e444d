"""`scaled_dot_product_attention`."""

import numpy as np

from judge.draw import Draw, normal
from judge.tolerance import CHAIN


def attention(query, key, value, attn_mask=None):
    scores = query @ np.swapaxes(key, -1, -2) / np.sqrt(query.shape[-1])
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True) @ value


def some(*shape):
    """A boolean mask that leaves at least one key to every query."""

    def recipe(rng, s, dtype):
        mask = rng.integers(0, 2, s).astype(bool)
        mask[..., 0] = True
        return mask

    return Draw(shape, recipe, "bool")


def cases(f):
    q, k, v = normal(2, 3, 4, 8), normal(2, 3, 6, 8), normal(2, 3, 6, 5)
    op = "scaled_dot_product_attention"
    f.op(op, "18 26", "fp16 fp32", attention, CHAIN, query=q, key=k, value=v)
    f.op(op, "18 26", "fp16 fp32", attention, CHAIN, "bool_mask", query=q, key=k, value=v, attn_mask=some(2, 3, 4, 6))
    f.op(op, "18", "fp16 fp32", attention, CHAIN, "mask", query=q, key=k, value=v, attn_mask=normal(2, 3, 4, 6))
    f.op(op, "18", "fp16 fp32", attention, CHAIN, "broadcast_mask", query=q, key=k, value=v, attn_mask=normal(1, 1, 4, 6))
    f.op(op, "18", "fp16 fp32", attention, CHAIN, "mask_rank2", query=q, key=k, value=v, attn_mask=normal(4, 6))
    f.op(op, "18", "fp16 fp32", attention, CHAIN, "rank3", query=normal(2, 4, 8), key=normal(2, 6, 8), value=normal(2, 6, 8))
    f.op(op, "18", "fp16 fp32", attention, CHAIN, "rank5", query=normal(1, 2, 2, 3, 4), key=normal(1, 2, 2, 3, 4),
         value=normal(1, 2, 2, 3, 4), attn_mask=some(1, 2, 2, 3, 3))  # fmt: skip
    f.op(op, "18", "fp16 fp32", attention, CHAIN, "one_query", query=normal(1, 2, 1, 8), key=normal(1, 2, 9, 8),
         value=normal(1, 2, 9, 8))  # fmt: skip
    f.op(op, "18", "fp32", attention, CHAIN, "large", query=normal(1, 1, 3, 4, scale=30), key=normal(1, 1, 5, 4, scale=30),
         value=normal(1, 1, 5, 4))  # fmt: skip
