"""Golden gradients of control flow: whole MIL programs with blocks and lists, and what PyTorch's autograd (float64) gives for the
same computation written with Python's `if`, `while` and lists.

Every case is one function of MIL text with a scalar output `loss`; the gradients are those of `loss` by the inputs listed in `grads`.
Each is compared with central differences before it is kept.
"""

import gzip
import json
import os

import numpy as np
import torch

RNG = np.random.default_rng(20)
CASES = []


def floats(*shape, scale=1.0):
    return (RNG.normal(size=shape) * scale).astype(np.float32)


def numbers(array):
    return [float(str(v)) if array.dtype == np.float32 else v.item() for v in np.asarray(array).ravel()]


def add(name, text, inputs, fn):
    """`inputs`: name -> array; floats are differentiated by. `fn` takes torch tensors by name and returns the loss."""
    wrt = [key for key, value in inputs.items() if value.dtype == np.float32]

    def tensors(values):
        return {
            key: torch.tensor(value.astype(np.float64), requires_grad=True) if key in wrt else torch.tensor(value)
            for key, value in values.items()
        }

    leaves = tensors(inputs)
    loss = fn(**leaves)
    grads = torch.autograd.grad(loss, [leaves[key] for key in wrt], allow_unused=True)
    grads = {key: torch.zeros_like(leaves[key]) if g is None else g for key, g in zip(wrt, grads)}
    for key in wrt:
        step = 1e-6
        for at in np.ndindex(inputs[key].shape):
            ends = []
            for sign in (1, -1):
                moved = {k: v.astype(np.float64) if k in wrt else v for k, v in inputs.items()}
                moved[key] = moved[key].copy()
                moved[key][at] += sign * step
                with torch.no_grad():
                    ends.append(fn(**tensors(moved)).item())
            slope = (ends[0] - ends[1]) / (2 * step)
            found = grads[key][at].item()
            assert abs(slope - found) <= 1e-5 * max(1.0, abs(found)), (name, key, at, slope, found)
    dtypes = {"float32": "fp32", "int32": "int32", "bool": "bool"}
    CASES.append(
        {
            "name": name,
            "text": "program(1.3) {{ func main<ios18>{} }}".format(" ".join(text.split())),
            "inputs": [
                {"name": k, "dtype": dtypes[v.dtype.name], "shape": list(v.shape), "data": numbers(v)}
                for k, v in inputs.items()
            ],
            "loss": float(np.float32(loss.item())),
            "grads": {k: numbers(g.numpy().astype(np.float32)) for k, g in grads.items()},
        }
    )


SUM = "keep_dims = bool(false)"

# -- choice -----------------------------------------------------------------------------------------------------------

CHOICE = f"""(bool p, tensor<fp32, [2, 3]> x, tensor<fp32, [3]> w, tensor<fp32, [2, 3]> b) {{
    tensor<fp32, [2, 3]> square = mul(x = x, y = x);
    tensor<fp32, [2, 3]> y, tensor<fp32, [3]> z, tensor<fp32, [2, 3]> k = cond(pred = p)
        () {{
            tensor<fp32, [2, 3]> t = tanh(x = square);
            tensor<fp32, [2, 3]> u = mul(x = t, y = w);
            tensor<fp32, [3]> v = reduce_sum(x = u, axes = tensor<int32, [1]>([0]), {SUM});
        }} -> (u, v, b)
        () {{
            tensor<fp32, [2, 3]> u = sub(x = b, y = square);
        }} -> (u, w, u);
    tensor<fp32, [2, 3]> m = mul(x = y, y = z);
    tensor<fp32, [2, 3]> n = mul(x = m, y = k);
    fp32 loss = reduce_sum(x = n, axes = tensor<int32, [2]>([0, 1]), {SUM});
}} -> (loss);"""


def choice(p, x, w, b):
    square = x * x
    if p:
        y = torch.tanh(square) * w
        z, k = y.sum(0), b
    else:
        y = b - square
        z, k = w, y
    return (y * z * k).sum()


for p in (True, False):
    add(
        f"choice_{p}",
        CHOICE,
        {"p": np.array(p), "x": floats(2, 3), "w": floats(3), "b": floats(2, 3)},
        choice,
    )

NESTED_CHOICE = f"""(bool p, bool q, tensor<fp32, [4]> x, tensor<fp32, [4]> w) {{
    tensor<fp32, [4]> y = cond(pred = p)
        () {{
            tensor<fp32, [4]> t = mul(x = x, y = w);
            tensor<fp32, [4]> inner = cond(pred = q)
                () {{ tensor<fp32, [4]> u = mul(x = t, y = x); }} -> (u)
                () {{ tensor<fp32, [4]> u = sin(x = t); }} -> (u);
            tensor<fp32, [4]> twice = add(x = inner, y = t);
        }} -> (twice)
        () {{ tensor<fp32, [4]> k = const()[val = tensor<fp32, [4]>([1, 2, 3, 4])]; }} -> (k);
    tensor<fp32, [4]> z = mul(x = y, y = y);
    fp32 loss = reduce_sum(x = z, axes = tensor<int32, [1]>([0]), {SUM});
}} -> (loss);"""


def nested_choice(p, q, x, w):
    if p:
        t = x * w
        y = t + (t * x if q else torch.sin(t))
    else:
        y = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64) + 0 * x
    return (y * y).sum()


for p, q in ((True, True), (True, False), (False, True)):
    add(
        f"nested_choice_{p}_{q}",
        NESTED_CHOICE,
        {"p": np.array(p), "q": np.array(q), "x": floats(4), "w": floats(4)},
        nested_choice,
    )

# -- loops ------------------------------------------------------------------------------------------------------------

RECURRENT = f"""(int32 n, tensor<fp32, [2, 3]> h0, tensor<fp32, [3, 3]> w, tensor<fp32, [3]> b) {{
    int32 c, tensor<fp32, [2, 3]> h = while_loop(loop_vars = (n, h0))
        (int32 i, tensor<fp32, [2, 3]> s) {{ bool go = greater(x = i, y = int32(0)); }} -> (go)
        (int32 j, tensor<fp32, [2, 3]> t) {{
            int32 next = sub(x = j, y = int32(1));
            fp32 weight = cast(x = j, dtype = string("fp32"));
            tensor<fp32, [2, 3]> p = matmul(x = t, y = w, transpose_x = bool(false), transpose_y = bool(false));
            tensor<fp32, [2, 3]> q = add(x = p, y = b);
            tensor<fp32, [2, 3]> r = mul(x = q, y = weight);
            tensor<fp32, [2, 3]> u = tanh(x = r);
        }} -> (next, u);
    tensor<fp32, [2, 3]> z = mul(x = h, y = h);
    fp32 loss = reduce_sum(x = z, axes = tensor<int32, [2]>([0, 1]), {SUM});
}} -> (loss);"""


def recurrent(n, h0, w, b):
    h = h0
    for i in range(int(n), 0, -1):
        h = torch.tanh((h @ w + b) * i)
    return (h * h).sum()


for n in (0, 1, 5):
    add(
        f"recurrent_{n}",
        RECURRENT,
        {"n": np.array(n, np.int32), "h0": floats(2, 3), "w": floats(3, 3, scale=0.4), "b": floats(3, scale=0.4)},
        recurrent,
    )

# The number of turns depends on the values; variables change places; one never changes and begins as a value that the
# body uses as well.
GROWING = f"""(tensor<fp32, [3]> x, tensor<fp32, [3]> w) {{
    tensor<fp32, [3]> a, tensor<fp32, [3]> b, tensor<fp32, [3]> k = while_loop(loop_vars = (x, w, x))
        (tensor<fp32, [3]> a1, tensor<fp32, [3]> b1, tensor<fp32, [3]> k1) {{
            tensor<fp32, [3]> s = mul(x = a1, y = a1);
            fp32 t = reduce_sum(x = s, axes = tensor<int32, [1]>([0]), {SUM});
            bool go = less(x = t, y = fp32(50));
        }} -> (go)
        (tensor<fp32, [3]> a2, tensor<fp32, [3]> b2, tensor<fp32, [3]> k2) {{
            tensor<fp32, [3]> p = mul(x = a2, y = fp32(1.5));
            tensor<fp32, [3]> q = mul(x = b2, y = x);
            tensor<fp32, [3]> r = add(x = p, y = k2);
            tensor<fp32, [3]> u = sub(x = q, y = w);
        }} -> (u, r, k2);
    tensor<fp32, [3]> y = mul(x = a, y = b);
    tensor<fp32, [3]> z = sub(x = y, y = k);
    fp32 loss = reduce_sum(x = z, axes = tensor<int32, [1]>([0]), {SUM});
}} -> (loss);"""


def growing(x, w):
    a, b, k = x, w, x
    while (a * a).sum() < 50:
        a, b = b * x - w, a * 1.5 + k
    return (a * b - k).sum()


add(
    "growing",
    GROWING,
    {"x": np.array([1.25, 0.5, -1.5], np.float32), "w": np.array([0.5, -0.25, 1.0], np.float32)},
    growing,
)

# A loop in a loop with a choice in it; the outer count comes into the inner one from outside.
LOOP_IN_LOOP = f"""(int32 n, tensor<fp32, [2]> x, tensor<fp32, [2]> w) {{
    int32 c, tensor<fp32, [2]> y = while_loop(loop_vars = (n, x))
        (int32 i, tensor<fp32, [2]> s) {{ bool go = greater(x = i, y = int32(0)); }} -> (go)
        (int32 j, tensor<fp32, [2]> t) {{
            int32 next = sub(x = j, y = int32(1));
            int32 d, tensor<fp32, [2]> inner = while_loop(loop_vars = (int32(0), t))
                (int32 i2, tensor<fp32, [2]> s2) {{ bool go2 = less(x = i2, y = j); }} -> (go2)
                (int32 j2, tensor<fp32, [2]> t2) {{
                    int32 next2 = add(x = j2, y = int32(1));
                    bool even = equal(x = j2, y = int32(1));
                    tensor<fp32, [2]> u = cond(pred = even)
                        () {{ tensor<fp32, [2]> v = mul(x = t2, y = w); }} -> (v)
                        () {{
                            tensor<fp32, [2]> v1 = sin(x = t2);
                            tensor<fp32, [2]> v = add(x = v1, y = t);
                        }} -> (v);
                }} -> (next2, u);
            tensor<fp32, [2]> o = mul(x = inner, y = w);
        }} -> (next, o);
    tensor<fp32, [2]> z = mul(x = y, y = y);
    fp32 loss = reduce_sum(x = z, axes = tensor<int32, [1]>([0]), {SUM});
}} -> (loss);"""


def loop_in_loop(n, x, w):
    y = x
    for j in range(int(n), 0, -1):
        t = inner = y
        for i in range(j):
            inner = inner * w if i == 1 else torch.sin(inner) + t
        y = inner * w
    return (y * y).sum()


add("loop_in_loop", LOOP_IN_LOOP, {"n": np.array(3, np.int32), "x": floats(2), "w": floats(2)}, loop_in_loop)

LOOP_IN_CHOICE = f"""(bool p, tensor<fp32, [2]> x, tensor<fp32, [2]> w) {{
    tensor<fp32, [2]> y = cond(pred = p)
        () {{
            int32 c, tensor<fp32, [2]> l = while_loop(loop_vars = (int32(4), x))
                (int32 i, tensor<fp32, [2]> s) {{ bool go = greater(x = i, y = int32(0)); }} -> (go)
                (int32 j, tensor<fp32, [2]> t) {{
                    int32 next = sub(x = j, y = int32(1));
                    tensor<fp32, [2]> u = mul(x = t, y = w);
                    tensor<fp32, [2]> v = add(x = u, y = x);
                }} -> (next, v);
        }} -> (l)
        () {{ tensor<fp32, [2]> r = exp(x = w); }} -> (r);
    fp32 loss = reduce_sum(x = y, axes = tensor<int32, [1]>([0]), {SUM});
}} -> (loss);"""


def loop_in_choice(p, x, w):
    y = torch.exp(w)
    if p:
        y = x
        for _ in range(4):
            y = y * w + x
    return y.sum()


for p in (True, False):
    add(f"loop_in_choice_{p}", LOOP_IN_CHOICE, {"p": np.array(p), "x": floats(2), "w": floats(2)}, loop_in_choice)

# -- lists ------------------------------------------------------------------------------------------------------------

# Reads of a list before and after it was written, elements that were never written, places read twice.
LISTS = f"""(int32 at, tensor<fp32, [2]> x, tensor<fp32, [2]> w) {{
    LIST e = make_list(init_length = int32(3), dynamic_length = bool(DYNAMIC), elem_shape = (int32(2)));
    LIST a = list_write(ls = e, index = at, value = x);
    LIST b = list_write(ls = a, index = int32(0), value = w);
    tensor<fp32, [2]> old = list_read(ls = a, index = int32(0));
    tensor<fp32, [2]> new = list_read(ls = b, index = int32(0));
    tensor<fp32, [2]> again = list_read(ls = b, index = int32(0));
    tensor<fp32, [2]> kept = list_read(ls = b, index = at);
    tensor<fp32, [2]> never = list_read(ls = b, index = int32(1));
    tensor<fp32, [2]> s = add(x = old, y = new);
    tensor<fp32, [2]> t = mul(x = again, y = kept);
    tensor<fp32, [2]> u = add(x = t, y = never);
    tensor<fp32, [2]> v = mul(x = s, y = u);
    tensor<fp32, [4, 2]> all = list_gather(ls = b, indices = tensor<int32, [4]>([0, 2, 0, 1]));
    tensor<fp32, [4, 2]> f = mul(x = all, y = tensor<fp32, [4, 1]>([1, 2, 3, 4]));
    tensor<fp32, [4, 2]> g = mul(x = f, y = all);
    fp32 l1 = reduce_sum(x = v, axes = tensor<int32, [1]>([0]), {SUM});
    fp32 l2 = reduce_sum(x = g, axes = tensor<int32, [2]>([0, 1]), {SUM});
    fp32 loss = add(x = l1, y = l2);
}} -> (loss);"""


def lists(at, x, w):
    zero = torch.zeros(2, dtype=torch.float64)
    a = [zero] * 3
    a[int(at)] = x
    b = [w] + a[1:]
    v = (a[0] + b[0]) * (b[0] * b[int(at)] + b[1])
    g = sum(factor * b[i] * b[i] for factor, i in ((1, 0), (2, 2), (3, 0), (4, 1)))
    return v.sum() + g.sum()


FIXED, GROWS = "list<tensor<fp32, [2]>, 3>", "list<tensor<fp32, [2]>, ?>"
for kind, dynamic, name in ((FIXED, "false", "fixed"), (GROWS, "true", "growing")):
    text = LISTS.replace("LIST", kind).replace("DYNAMIC", dynamic)
    for at in (0, 2):
        values = {"at": np.array(at, np.int32), "x": floats(2), "w": floats(2)}
        add(f"lists_{name}_{at}", text, values, lists)

# Several writes to one place: the last counts.
SCATTER = f"""(tensor<int32, [4]> at, tensor<fp32, [4, 2]> x, tensor<fp32, [2, 2]> w) {{
    LIST e = make_list(init_length = int32(3), dynamic_length = bool(DYNAMIC), elem_shape = (int32(2)));
    LIST a = list_scatter(ls = e, indices = tensor<int32, [2]>([2, 0]), value = w);
    LIST b = list_scatter(ls = a, indices = at, value = x);
    tensor<fp32, [4, 2]> y = list_gather(ls = b, indices = at);
    tensor<fp32, [2, 2]> z = list_gather(ls = b, indices = tensor<int32, [2]>([0, 2]));
    tensor<fp32, [4, 2]> p = mul(x = y, y = tensor<fp32, [4, 1]>([1, -2, 3, 0.5]));
    tensor<fp32, [4, 2]> q = mul(x = p, y = x);
    tensor<fp32, [2, 2]> r = mul(x = z, y = z);
    fp32 l1 = reduce_sum(x = q, axes = tensor<int32, [2]>([0, 1]), {SUM});
    fp32 l2 = reduce_sum(x = r, axes = tensor<int32, [2]>([0, 1]), {SUM});
    fp32 loss = add(x = l1, y = l2);
}} -> (loss);"""


def scatter(at, x, w):
    a = [torch.zeros(2, dtype=torch.float64)] * 3
    a[2], a[0] = w[0], w[1]
    for i, place in enumerate(at):
        a[int(place)] = x[i]
    q = sum(factor * a[int(place)] * x[i] for i, (factor, place) in enumerate(zip((1, -2, 3, 0.5), at)))
    return q.sum() + (a[0] * a[0] + a[2] * a[2]).sum()


for kind, dynamic, name in ((FIXED, "false", "fixed"), (GROWS, "true", "growing")):
    for at in ([1, 1, 2, 1], [0, 0, 0, 0]):
        text = SCATTER.replace("LIST", kind).replace("DYNAMIC", dynamic)
        values = {"at": np.array(at, np.int32), "x": floats(4, 2), "w": floats(2, 2)}
        add(f"scatter_{name}_{at[0]}", text, values, scatter)

# As converted recurrent networks do it: one list is read step by step, another written.
SEQUENCE = f"""(int32 n, tensor<fp32, [3, 2]> x, tensor<fp32, [2]> h0, tensor<fp32, [2]> w) {{
    LIST e = make_list(init_length = int32(3), dynamic_length = bool(DYNAMIC), elem_shape = (int32(2)));
    LIST xs = list_scatter(ls = e, indices = tensor<int32, [3]>([0, 1, 2]), value = x);
    int32 c, tensor<fp32, [2]> h, LIST read, LIST written = while_loop(loop_vars = (int32(0), h0, xs, e))
        (int32 i, tensor<fp32, [2]> s, LIST l1, LIST l2) {{ bool go = less(x = i, y = n); }} -> (go)
        (int32 j, tensor<fp32, [2]> t, LIST l3, LIST l4) {{
            int32 next = add(x = j, y = int32(1));
            tensor<fp32, [2]> now = list_read(ls = l3, index = j);
            tensor<fp32, [2]> p = mul(x = t, y = w);
            tensor<fp32, [2]> q = add(x = p, y = now);
            tensor<fp32, [2]> u = tanh(x = q);
            LIST l5 = list_write(ls = l4, index = j, value = u);
        }} -> (next, u, l3, l5);
    tensor<fp32, [3, 2]> ys = list_gather(ls = written, indices = tensor<int32, [3]>([0, 1, 2]));
    tensor<fp32, [3, 2]> y = mul(x = ys, y = tensor<fp32, [3, 1]>([1, 2, 3]));
    fp32 l = reduce_sum(x = y, axes = tensor<int32, [2]>([0, 1]), {SUM});
    fp32 k = reduce_prod(x = h, axes = tensor<int32, [1]>([0]), {SUM});
    fp32 loss = add(x = l, y = k);
}} -> (loss);"""


def sequence(n, x, h0, w):
    h, ys = h0, [torch.zeros(2, dtype=torch.float64)] * 3
    for i in range(int(n)):
        h = torch.tanh(h * w + x[i])
        ys[i] = h
    return sum((i + 1) * y.sum() for i, y in enumerate(ys)) + h.prod()


for kind, dynamic, name in ((FIXED, "false", "fixed"), (GROWS, "true", "growing")):
    for n in (2, 3):
        text = SEQUENCE.replace("LIST", kind).replace("DYNAMIC", dynamic)
        values = {"n": np.array(n, np.int32), "x": floats(3, 2), "h0": floats(2), "w": floats(2)}
        add(f"sequence_{name}_{n}", text, values, sequence)

# A list that the turns both read and write: what a turn began with is not what the loop ends with.
BOTH = f"""(int32 n, tensor<fp32, [2]> x, tensor<fp32, [2]> w) {{
    LIST e = make_list(init_length = int32(2), dynamic_length = bool(DYNAMIC), elem_shape = (int32(2)));
    LIST a = list_write(ls = e, index = int32(0), value = x);
    LIST b = list_write(ls = a, index = int32(1), value = w);
    int32 c, LIST l = while_loop(loop_vars = (int32(0), b))
        (int32 i, LIST l1) {{ bool go = less(x = i, y = n); }} -> (go)
        (int32 j, LIST l2) {{
            int32 next = add(x = j, y = int32(1));
            tensor<fp32, [2]> p = list_read(ls = l2, index = int32(0));
            tensor<fp32, [2]> q = list_read(ls = l2, index = int32(1));
            tensor<fp32, [2]> r = mul(x = p, y = q);
            tensor<fp32, [2]> s = sin(x = r);
            tensor<fp32, [2]> t = add(x = q, y = w);
            LIST l3 = list_write(ls = l2, index = int32(0), value = t);
            LIST l4 = list_write(ls = l3, index = int32(1), value = s);
            GROW
        }} -> (next, LAST);
    tensor<fp32, [2]> y = list_read(ls = l, index = int32(0));
    tensor<fp32, [2]> z = list_read(ls = l, index = int32(1));
    tensor<fp32, [2]> v = mul(x = y, y = z);
    OUT
    fp32 loss = reduce_sum(x = o, axes = tensor<int32, [1]>([0]), {SUM});
}} -> (loss);"""
GROW = "int32 len = list_length(ls = l4); LIST l5 = list_write(ls = l4, index = len, value = r);"
GROWN = (
    "int32 length = list_length(ls = l); int32 last = sub(x = length, y = int32(1));"
    "tensor<fp32, [2]> end = list_read(ls = l, index = last); tensor<fp32, [2]> o = add(x = v, y = end);"
)


def both(n, x, w, grows=False):
    p, q, end = x, w, w
    for _ in range(int(n)):
        p, q, end = q + w, torch.sin(p * q), p * q
    return (p * q + (end if grows else 0)).sum()


for n in (1, 4):
    values = {"n": np.array(n, np.int32), "x": floats(2), "w": floats(2)}
    text = BOTH.replace("GROW", "").replace("LAST", "l4").replace("OUT", "tensor<fp32, [2]> o = identity(x = v);")
    text = text.replace("LIST", FIXED.replace("3>", "2>")).replace("DYNAMIC", "false")
    add(f"both_fixed_{n}", text, values, both)
    text = BOTH.replace("GROW", GROW).replace("LAST", "l5").replace("OUT", GROWN)
    text = text.replace("LIST", GROWS).replace("DYNAMIC", "true")
    add(f"both_growing_{n}", text, values, lambda n, x, w: both(n, x, w, True))

if __name__ == "__main__":
    path = os.path.join(os.path.dirname(__file__), "../../tests/golden/programs/control_flow.json.gz")
    how = f"tools/golden/control_flow.py, PyTorch {torch.__version__.split('+')[0]}, float64"
    document = {"format": 1, "how": how, "cases": CASES}
    with open(path, "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:
        packed.write(json.dumps(document, separators=(",", ":")).encode())
    print(f"{len(CASES)} cases, each checked by central differences")
