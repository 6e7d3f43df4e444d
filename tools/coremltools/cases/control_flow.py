"""Blocks within blocks, lists, `select` and plain constants."""

import numpy as np

from judge.draw import bools, lit, normal, uniform
from judge.tolerance import CHAIN, EXACT, ROUNDED, SUM

EVERY = "15 16 17 18 26"
FLOATS = "fp16 fp32"
ALL15 = "fp16 fp32 int32 bool"


def each(f, op, opsets, dtypes, build, reference, tolerance=EXACT, label="", **params):
    opsets, dtypes = opsets.split(), dtypes.split()
    for i in range(max(len(opsets), len(dtypes))):
        f.program(op, opsets[i % len(opsets)], dtypes[i % len(dtypes)], build, reference, tolerance, label, foldable=False,
                  **params)  # fmt: skip


def cases(f):
    f.op("select", EVERY, ALL15, lambda cond, a, b: np.where(cond, a, b), EXACT, cond=bools(2, 3), a=normal(2, 3), b=normal(2, 3))
    f.op("select", "15 18", ALL15, lambda cond, a, b: np.where(cond, a, b), EXACT, "constant", cond=bools(2, 3), a=normal(2, 3).const,
         b=normal(2, 3))  # fmt: skip
    f.op("select", "15 18", "fp32 fp16", lambda cond, a, b: np.where(cond, a, b), EXACT, "scalars", cond=bools(2, 3), a=lit(1.5).const,
         b=normal(2, 3))  # fmt: skip
    constants(f)
    branches(f)
    loops(f)
    lists(f)


def constants(f):
    """`const` of every element type a file can hold, small (written in place) and large (in the weight file)."""
    for label, shape in (("small", (2, 3)), ("large", (7, 11)), ("empty", (0, 3)), ("scalar", ())):
        def build(mb, v):
            return mb.add(x=v["x"], y=mb.const(val=v["c"]))

        c = normal(*shape)
        each(f, "const", EVERY, "fp16 fp32 int32", build, lambda x, c: x + c, ROUNDED, label, x=normal(*(shape or (3,))), c=c.const)
    for label, shape in (("small", (2, 3)), ("large", (7, 11))):
        def widened(mb, v):
            return [mb.cast(x=mb.const(val=v["c"]), dtype="int32"), mb.identity(x=v["x"])]

        for dtype in ("int8", "uint8", "int16", "uint16"):
            wide = uniform(0, 120, *shape)
            f.program("const", "17", dtype, widened, lambda x, c: [c, x], EXACT, label, x=normal(2).of("fp32"), c=wide.const)
            f.program("const", "18", dtype, widened, lambda x, c: [c, x], EXACT, label, x=normal(2).of("fp32"), c=wide.const)
        each(f, "const", "15 17", "bool", lambda mb, v: mb.logical_and(x=v["x"], y=mb.const(val=v["c"])), lambda x, c: x & c, EXACT,
             label, x=bools(*shape), c=bools(*shape).const)  # fmt: skip
    each(f, "const", "15 18", "fp32", lambda mb, v: mb.maximum(x=v["x"], y=mb.const(val=v["c"])),
         lambda x, c: np.maximum(x, c), EXACT, "special", x=lit(np.full(11, -3e38)), c=odd_values().const)  # fmt: skip


def odd_values():
    """Infinities, signed zero, extremes."""
    return lit([np.inf, -np.inf, -0.0, 1e-30, 3.4e38, -3.4e38, 6e-8, 65504.0, 1.0, -1.0, 0.5])


def branches(f):
    # fp16 from iOS 16 on: before, coremltools turns fp16 inputs into fp32 with a cast behind them, but leaves the blocks of a
    # `cond` reading the uncast input, and the file contradicts itself.
    for pred in (True, False):
        label = str(pred).lower()
        p = lit(pred, "bool")

        def simple(mb, v):
            return mb.cond(pred=v["p"], _true_fn=lambda: mb.add(x=v["x"], y=v["y"]), _false_fn=lambda: mb.sub(x=v["x"], y=v["y"]))

        each(f, "cond", EVERY, "fp32 fp16", simple, lambda p, x, y: x + y if p else x - y, ROUNDED, label, p=p, x=normal(2, 3),
             y=normal(2, 3))  # fmt: skip

        def several(mb, v):
            return mb.cond(pred=v["p"], _true_fn=lambda: (mb.relu(x=v["x"]), mb.abs(x=v["x"])),
                           _false_fn=lambda: (mb.square(x=v["x"]), mb.identity(x=v["x"])))  # fmt: skip

        each(f, "cond", "15 18", "fp32 fp16", several, lambda p, x: [np.maximum(x, 0), np.abs(x)] if p else [x * x, x], ROUNDED,
             f"two_{label}", p=p, x=normal(2, 3))  # fmt: skip

        def nested(mb, v):
            def inner():
                positive = mb.greater(x=mb.reduce_sum(x=v["x"], axes=[0], keep_dims=False), y=v["zero"])
                return mb.cond(pred=positive, _true_fn=lambda: mb.exp(x=v["x"]), _false_fn=lambda: mb.sin(x=v["x"]))

            return mb.cond(pred=v["p"], _true_fn=inner, _false_fn=lambda: mb.cos(x=v["x"]))

        each(f, "cond", "15 17", "fp32 fp16", nested, lambda p, x: (np.exp(x) if x.sum() > 0 else np.sin(x)) if p else np.cos(x), CHAIN,
             f"nested_{label}", p=p, x=normal(5), zero=lit(0.0).const)  # fmt: skip

    def outside(mb, v):
        """The branches see values of the enclosing block; the result goes on being used there."""
        doubled = mb.add(x=v["x"], y=v["x"])
        chosen = mb.cond(pred=v["p"], _true_fn=lambda: mb.mul(x=doubled, y=v["x"]), _false_fn=lambda: mb.identity(x=doubled))
        return [mb.sub(x=chosen, y=v["x"]), mb.identity(x=doubled)]

    each(f, "cond", "15 18", "fp32", outside, lambda p, x: [2 * x * x - x if p else x, 2 * x], SUM, "outer_values",
         p=lit(True, "bool"), x=normal(4))  # fmt: skip

    def empty(mb, v):
        """Which branch runs depends on the data, and each constant-only branch gives the same type."""
        return mb.cond(pred=v["p"], _true_fn=lambda: mb.const(val=v["a"]), _false_fn=lambda: mb.const(val=v["b"]))

    each(f, "cond", "15 18", "fp32 int32", empty, lambda p, a, b: a if p else b, EXACT, "constants", p=lit(False, "bool"),
         a=normal(3).const, b=normal(3).const)  # fmt: skip


def loops(f):
    def doubling(mb, v):
        """x doubled while its sum is below a bound."""
        def cond(x):
            return mb.less(x=mb.reduce_sum(x=x, axes=[0], keep_dims=False), y=v["bound"])

        return mb.while_loop(_cond=cond, _body=lambda x: mb.add(x=x, y=x), loop_vars=(v["x"],))

    def doubled(x, bound):
        while x.sum() < bound:
            x = x + x
        return x

    each(f, "while_loop", EVERY, FLOATS, doubling, doubled, SUM, x=lit([0.25, 1.0, 0.5]), bound=lit(100.0).const)
    each(f, "while_loop", "15 18", FLOATS, doubling, doubled, EXACT, "never", x=lit([60.0, 61.0]), bound=lit(100.0).const)

    def counted(mb, v):
        """A counter and two carried values that change places."""
        def body(i, a, b):
            return mb.add(x=i, y=1), mb.add(x=a, y=b), mb.identity(x=a)

        return mb.while_loop(_cond=lambda i, a, b: mb.less(x=i, y=v["n"]), _body=body, loop_vars=(v["i"], v["a"], v["b"]))

    def fibonacci(i, n, a, b):
        while i < n:
            i, a, b = i + 1, a + b, a
        return [i, a, b]

    each(f, "while_loop", "15 16 17 18", "fp32 fp16", counted, fibonacci, SUM, "swap", i=lit(0, "int32"), n=lit(6, "int32").const,
         a=normal(3), b=normal(3))  # fmt: skip
    each(f, "while_loop", "17", "fp32", counted, fibonacci, SUM, "runtime_count", i=lit(0, "int32"), n=lit(5, "int32"), a=normal(3),
         b=normal(3))  # fmt: skip

    def nested(mb, v):
        """The inner loop runs i times in the i-th turn of the outer."""
        def outer(i, total):
            def inner(j, t):
                return mb.add(x=j, y=1), mb.add(x=t, y=v["x"])

            # A start of its own: with the outer one, coremltools would give both counters one name.
            start = mb.const(val=np.int32(0))
            _, total = mb.while_loop(_cond=lambda j, t: mb.less(x=j, y=i), _body=inner, loop_vars=(start, total))
            return mb.add(x=i, y=1), total

        return mb.while_loop(_cond=lambda i, t: mb.less(x=i, y=v["n"]), _body=outer, loop_vars=(v["zero"], v["start"]))

    each(f, "while_loop", "15 18", "fp32", nested, lambda zero, n, x, start: [n, start + x * (n * (n - 1) // 2)], SUM, "nested",
         zero=lit(0, "int32"), n=lit(4, "int32").const, x=normal(3), start=normal(3))  # fmt: skip

    def branching(mb, v):
        """A `cond` in the body: Collatz."""
        def body(n, count):
            even = mb.equal(x=mb.mod(x=n, y=2), y=0)
            n = mb.cond(pred=even, _true_fn=lambda: mb.floor_div(x=n, y=2), _false_fn=lambda: mb.add(x=mb.mul(x=n, y=3), y=1))
            return n, mb.add(x=count, y=1)

        return mb.while_loop(_cond=lambda n, c: mb.not_equal(x=n, y=1), _body=body, loop_vars=(v["n"], v["count"]))

    def collatz(n, count):
        n, count = int(n), int(count)
        while n != 1:
            n, count = (n // 2 if n % 2 == 0 else 3 * n + 1), count + 1
        return [n, count]

    each(f, "while_loop", "15 17", "int32", branching, collatz, EXACT, "collatz", n=lit(27), count=lit(0))

    def newton(mb, v):
        """Until it converges: a loop whose end depends on values alone."""
        def cond(x):
            return mb.greater(x=mb.reduce_max(x=mb.abs(x=mb.sub(x=mb.mul(x=x, y=x), y=v["a"])), axes=[0], keep_dims=False), y=v["eps"])

        return mb.while_loop(_cond=cond, _body=lambda x: mb.mul(x=v["half"], y=mb.add(x=x, y=mb.real_div(x=v["a"], y=x))),
                             loop_vars=(v["x"],))  # fmt: skip

    each(f, "while_loop", "16 18", "fp32", newton, lambda x, a: np.sqrt(a), CHAIN, "newton", x=lit([1.0, 1.0, 1.0]),
         a=uniform(1, 9, 3), eps=lit(1e-4).const, half=lit(0.5).const)  # fmt: skip


def lists(f):
    def written(mb, v):
        ls = mb.make_list(init_length=2, elem_shape=(2,), dtype=v["dtype"])
        start = mb.list_read(ls=ls, index=0)
        ls = mb.list_write(ls=ls, index=0, value=v["a"])
        ls = mb.list_write(ls=ls, index=4, value=v["b"])
        ls = mb.list_scatter(ls=ls, indices=np.array([2, 1], dtype=np.int32), value=v["c"])
        indices = np.array([4, 2, 3], dtype=np.int32)
        results = [start, mb.list_read(ls=ls, index=0), mb.list_gather(ls=ls, indices=indices), mb.list_length(ls=ls)]
        return [mb.cast(x=r, dtype="int32") for r in results] if v["dtype"] == "bool" else results

    def values(a, b, c):
        """Writing beyond the end lengthens the list; what was never written is zero."""
        return [np.zeros_like(a), a, np.stack([b, c[0], np.zeros_like(a)]), np.array(5)]

    names = ("make_list", "list_read", "list_write", "list_gather", "list_scatter", "list_length")
    for i, name in enumerate(names):
        for j, dtype in enumerate(ALL15.split()):
            opset = ("15", "16", "17", "18", "26")[(i + j) % 5]
            f.program(name, opset, dtype, written, values, EXACT, a=normal(2), b=normal(2), c=normal(2, 2), dtype=dtype, foldable=False)

    def fixed(mb, v):
        ls = mb.make_list(init_length=3, dynamic_length=False, elem_shape=(2, 2), dtype="fp32")
        for i in range(3):
            ls = mb.list_write(ls=ls, index=i, value=mb.mul(x=v["x"], y=float(i + 1)))
        return [mb.list_gather(ls=ls, indices=v["indices"]), mb.list_length(ls=ls)]

    each(f, "make_list", "15 18", "fp32", fixed, lambda x, indices: [np.stack([x * (i + 1) for i in indices]), np.array(3)], ROUNDED,
         "fixed", x=normal(2, 2), indices=lit([2, 0], "int32"))  # fmt: skip

    def in_loop(mb, v):
        """A loop fills a list, as a converted recurrent network does."""
        def body(i, ls):
            row = mb.gather(x=v["x"], indices=i, axis=0)
            return mb.add(x=i, y=1), mb.list_write(ls=ls, index=i, value=mb.tanh(x=row))

        ls = mb.make_list(init_length=1, elem_shape=(3,), dtype="fp32")
        _, ls = mb.while_loop(_cond=lambda i, ls: mb.less(x=i, y=v["n"]), _body=body, loop_vars=(v["zero"], ls))
        return mb.list_gather(ls=ls, indices=mb.range_1d(start=0, end=mb.list_length(ls=ls), step=1))

    each(f, "list_write", "15 17", "fp32", in_loop, lambda x, n: np.tanh(x[:n]), CHAIN, "loop", x=normal(5, 3), n=lit(4, "int32"),
         zero=lit(0, "int32"))  # fmt: skip
    each(f, "list_read", "15 18", "fp32", lambda mb, v: mb.list_read(
        ls=mb.list_scatter(ls=mb.make_list(init_length=4, elem_shape=(3,), dtype="fp32"), indices=v["where"], value=v["x"]),
        index=v["i"]), lambda x, where, i: x[list(where).index(int(i))], EXACT, "runtime", x=normal(2, 3),
        where=lit([3, 1], "int32"), i=lit(1, "int32"))  # fmt: skip
