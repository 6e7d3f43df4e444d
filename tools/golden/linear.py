"""linear, matmul and einsum."""

import torch

from case import Family, i32, weight


def size(shape):
    return "x".join(map(str, shape))


def fill_matmul(fam):
    # (x, y, transpose_x, transpose_y)
    table = [
        ((2, 3), (3, 4), 0, 0),
        ((3, 2), (3, 4), 1, 0),
        ((2, 3), (4, 3), 0, 1),
        ((3, 2), (4, 3), 1, 1),
        ((1, 1), (1, 1), 0, 0),
        ((1, 5), (5, 1), 0, 0),
        ((5, 1), (1, 5), 0, 0),
        ((2, 2, 3), (2, 3, 2), 0, 0),
        ((2, 2, 3), (3, 4), 0, 0),
        ((2, 3), (4, 3, 2), 0, 0),
        ((2, 1, 2, 3), (3, 3, 2), 0, 0),
        ((2, 3, 2), (1, 3, 4), 1, 0),
        ((2, 1, 3, 2), (1, 3, 4, 2), 0, 1),
        ((1, 2, 3, 2), (2, 1, 3, 3), 1, 0),
        ((2, 2, 2, 3), (2, 2, 3, 2), 0, 0),
        ((2, 2, 3, 4), (2, 2, 3, 4), 0, 1),
        ((2, 1, 2, 1, 3), (3, 1, 3, 2), 0, 0),
        ((8, 12), (12, 8), 0, 0),
        ((1, 17), (17, 7), 0, 0),
        ((3, 7), (5, 7), 0, 1),
        ((9, 11), (9, 3), 1, 0),
        ((4,), (4, 3), 0, 0),
        ((4,), (2, 4, 3), 0, 0),
        ((4,), (3, 4), 0, 1),
    ]
    for x, y, tx, ty in table:

        def fn(a, b):
            a = a.mT if tx else a
            b = b.mT if ty else b
            return torch.matmul(a, b)

        consts = {k: True for k, used in (("transpose_x", tx), ("transpose_y", ty)) if used}
        tag = f"{size(x)}_{size(y)}" + ("_tx" if tx else "") + ("_ty" if ty else "")
        fam.add("matmul", tag, [("x", fam.normal(*x)), ("y", fam.normal(*y))], fn, consts)
    # Apple's text allows a 1-D y; coremltools' own shape check does not accept it.
    for x, y in [((4,), (4,)), ((2, 4), (4,)), ((2, 3, 4), (4,))]:
        fam.add("matmul", f"vector_{size(x)}_{size(y)}", [("x", fam.normal(*x)), ("y", fam.normal(*y))], torch.matmul)
    fam.add(
        "matmul",
        "explicit_false",
        [("x", fam.normal(2, 3)), ("y", fam.normal(3, 2))],
        torch.matmul,
        {"transpose_x": False, "transpose_y": False},
    )
    fam.add(
        "matmul", "int", [("x", i32(fam.integers(-5, 6, 2, 3))), ("y", i32(fam.integers(-5, 6, 3, 4)))], torch.matmul
    )


def fill_linear(fam):
    for x, out in [((3,), 2), ((2, 3), 4), ((1, 5), 1), ((2, 3, 4), 3), ((1, 1, 1), 2), ((4, 9), 7)]:
        x_data = ("x", fam.normal(*x))
        w = ("weight", weight(fam.normal(out, x[-1])))
        b = ("bias", weight(fam.normal(out)))
        fam.add("linear", f"{size(x)}_to{out}", [x_data, w], lambda x, w: torch.nn.functional.linear(x, w))
        fam.add("linear", f"{size(x)}_to{out}_bias", [x_data, w, b], torch.nn.functional.linear)


def fill_einsum(fam):
    """Apple accepts one contraction, of axis -1 with axis -3, at rank 4 and rank 3 under any letters."""
    rank4 = [
        ((2, 3, 2, 4), (2, 4, 2, 3)),
        ((1, 2, 3, 2), (2, 2, 3, 4)),
        ((2, 2, 1, 3), (2, 3, 2, 2)),
        ((2, 2, 3, 2), (1, 2, 1, 3)),
        ((1, 1, 1, 1), (1, 1, 1, 1)),
    ]
    rank3 = [((3, 2, 4), (4, 2, 3)), ((2, 1, 3), (3, 4, 2)), ((2, 3, 2), (2, 1, 5))]

    def fn(a, b):
        return torch.einsum("...chw,...whu->...chu", *spread(a, b))

    def spread(a, b):
        heads = max(a.shape[-2], b.shape[-2])
        a, b = a.expand(*a.shape[:-2], heads, a.shape[-1]), b.expand(*b.shape[:-2], heads, b.shape[-1])
        return a, b

    for pairs, equations in [
        (rank4, ["nchw,nwhu->nchu", "abcd,adce->abce"]),
        (rank3, ["chw,whr->chr", "abc,cbd->abd"]),
    ]:
        for i, (x, y) in enumerate(pairs):
            equation = equations[i % 2]
            fam.add(
                "einsum",
                f"{size(x)}_{size(y)}",
                [("values", fam.normal(*x)), ("values", fam.normal(*y))],
                fn,
                {"equation": equation},
            )
    beyond = "not in Apple's list of equations"
    for tag, equation, x, y in [
        ("scores", "bnqd,bnkd->bnqk", (2, 2, 3, 2), (2, 2, 4, 2)),
        ("matrix", "ij,jk->ik", (2, 3), (3, 4)),
        ("mix", "bnqk,bnkd->bnqd", (1, 2, 3, 2), (1, 2, 2, 3)),
        ("outer", "i,j->ij", (3,), (2,)),
    ]:
        fam.add(
            "einsum",
            f"beyond_{tag}",
            [("values", fam.normal(*x)), ("values", fam.normal(*y))],
            lambda a, b: torch.einsum(equation, a, b),
            {"equation": equation},
        )
        fam.cases[-1]["convention"] = beyond


def family():
    fam = Family("linear", 105)
    fill_matmul(fam)
    fill_linear(fam)
    fill_einsum(fam)
    return fam
