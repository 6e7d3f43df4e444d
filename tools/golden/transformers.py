"""scaled_dot_product_attention, with and without a mask."""

import numpy as np
import torch.nn.functional as F

from case import Family, boolean, fixed
from windows import size


def family():
    fam = Family("transformers", 112)
    # (batch axes, query length, key length, embedding, value embedding)
    table = [
        ((1,), 3, 3, 2, 2),
        ((2,), 2, 4, 3, 2),
        ((1, 2), 3, 3, 4, 4),
        ((2, 2), 2, 3, 2, 3),
        ((1, 1), 1, 5, 4, 4),
        ((1, 2), 4, 1, 2, 2),
        ((1, 1, 2), 2, 2, 2, 2),
    ]
    for batch, l, s, e, ev in table:
        qkv = [
            ("query", fam.normal(*batch, l, e)),
            ("key", fam.normal(*batch, s, e)),
            ("value", fam.normal(*batch, s, ev)),
        ]
        tag = f"{size(batch)}_{l}_{s}_{e}_{ev}"
        plain = lambda q, k, v, m=None: F.scaled_dot_product_attention(q, k, v, attn_mask=m)
        fam.add("scaled_dot_product_attention", tag, qkv, plain)
        for name, shape in [("full", (*batch, l, s)), ("matrix", (l, s)), ("row", (1, s))]:
            fam.add(
                "scaled_dot_product_attention", f"{tag}_float_{name}", qkv + [("attn_mask", fam.normal(*shape))], plain
            )
            mask = fam.bools(*shape)
            mask[..., 0] = True  # rows that may attend to nothing: see below
            fam.add("scaled_dot_product_attention", f"{tag}_bool_{name}", qkv + [("attn_mask", boolean(mask))], plain)
    causal = np.tril(np.ones((4, 4), dtype=np.bool_))
    qkv = [(p, fam.normal(1, 2, 4, 3)) for p in ("query", "key", "value")]
    plain = lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m)
    fam.add("scaled_dot_product_attention", "causal_bool", qkv + [("attn_mask", boolean(causal))], plain)
    fam.add(
        "scaled_dot_product_attention",
        "large_scores",
        [(p, d * (20 if p != "value" else 1)) for p, d in qkv] + [("attn_mask", boolean(causal))],
        plain,
        check=False,
    )
    # A row that may attend to nothing gives zeros, as in PyTorch; Apple does not say.
    dead = causal.copy()
    dead[1] = False
    infinite = np.where(dead, fam.normal(4, 4), -np.inf)
    fam.add("scaled_dot_product_attention", "dead_row_bool", qkv + [("attn_mask", boolean(dead))], plain)
    fam.add("scaled_dot_product_attention", "dead_row_float", qkv + [("attn_mask", fixed(infinite))], plain)
    return fam
