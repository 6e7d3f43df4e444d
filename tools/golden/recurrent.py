"""Recurrent networks. Weights are constants in MIL, yet carry gradients here.

Where PyTorch has the op (`lstm` with its usual activations, `rnn`, `gru` with `reset_after`) PyTorch's own kernel is the
reference, and the loops below must agree with it; everything else is the loops, whose oddities come from the tests of
coremltools 9.0 (`mil/ops/tests/iOS14/test_recurrent.py`, `iOS18/test_recurrent.py`):

* order of gates: input, forget, output, cell (`lstm`), reset, new, update (`gru`);
* `gru` resets the state before the product; `reset_after` after it, `bias` then being the recurrent one;
* `clip` limits the cell state, and the output gate's peephole sees the limited one;
* "reverse" leaves the output sequence in the order of processing, "bidirectional" does not;
* `scaled_tanh` is `tanh`, and the hard sigmoid is `min(max(0.2 x + 0.5, 0), 1)`.
"""

import torch

from case import Family, f32, weight

ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
    "sigmoid_hard": lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
    "tanh": torch.tanh,
    "scaled_tanh": torch.tanh,
}


def walk(x, step, state):
    """`h` after each step, and the last state; `state` is a tuple that begins with `h`."""
    outputs = []
    for x_t in x:
        state = step(x_t, state)
        outputs.append(state[0])
    return torch.stack(outputs), state


def rnn_loop(x, h, w, r, b, activation):
    act = ACTIVATIONS[activation]
    return walk(x, lambda x_t, s: (act(x_t @ w.T + s[0] @ r.T + b),), (h,))


def gru_loop(x, h, w, r, b, b_in, recurrent, activation, after):
    gate, act = ACTIVATIONS[recurrent], ACTIVATIONS[activation]
    (w_r, w_o, w_z), (r_r, r_o, r_z) = w.chunk(3), r.chunk(3)
    (b_r, b_o, b_z), (i_r, i_o, i_z) = b.chunk(3), b_in.chunk(3)

    def step(x_t, state):
        (h,) = state
        reset = gate(x_t @ w_r.T + i_r + h @ r_r.T + b_r)
        update = gate(x_t @ w_z.T + i_z + h @ r_z.T + b_z)
        if after:
            new = act(x_t @ w_o.T + i_o + reset * (h @ r_o.T + b_o))
        else:
            new = act(x_t @ w_o.T + i_o + (reset * h) @ r_o.T + b_o)
        return ((1 - update) * new + update * h,)

    return walk(x, step, (h,))


def lstm_loop(x, h, c, w, r, b, p, recurrent, cell, activation, clip):
    gate, new, out = ACTIVATIONS[recurrent], ACTIVATIONS[cell], ACTIVATIONS[activation]
    p_i, p_f, p_o = p.chunk(3)

    def step(x_t, state):
        h, c = state
        i, f, o, z = (x_t @ w.T + h @ r.T + b).chunk(4, dim=1)
        c = gate(f + p_f * c) * c + gate(i + p_i * c) * new(z)
        if clip is not None:
            c = torch.clamp(c, -clip, clip)
        return gate(o + p_o * c) * out(c), c

    return walk(x, step, (h, c))


def reorder(value, order):
    parts = value.chunk(len(order))
    return torch.cat([parts[i] for i in order])


def pytorch(name, x, state, w, r, b, b_in):
    """PyTorch's kernel with weights in its own order of gates (`lstm`: i f z o, `gru`: r z o)."""
    order = {"lstm": [0, 1, 3, 2], "gru": [0, 2, 1]}.get(name, [0])
    weights = [reorder(v, order) for v in (w, r, b_in, b)]
    state = tuple(s[None] for s in state)
    state = state if name == "lstm" else state[0]
    found = getattr(torch, name)(x, state, weights, True, 1, 0.0, False, False, False)
    return found[0], tuple(s[0] for s in found[1:])


def same(a, b):
    assert torch.allclose(a[0], b[0], atol=1e-5), "a loop differs from PyTorch"
    assert all(torch.allclose(u, v, atol=1e-5) for u, v in zip(a[1], b[1])), "a loop differs from PyTorch"


def direction_of(x, reverse, run):
    return run(torch.flip(x, [0]) if reverse else x)


def results(sequence, state, whole):
    return [sequence if whole else sequence[-1:], *state]


def size(steps, batch, features, hidden):
    return f"s{steps}_b{batch}_i{features}_h{hidden}"


class Call:
    """A call of one op: operands are drawn as they are named, in order."""

    def __init__(self, fam, op, sizes, gates, directions=1):
        steps, batch, features, hidden = sizes
        self.fam, self.op, self.hidden, self.rows = fam, op, hidden, gates * hidden
        self.features = features
        self.tag = size(*sizes)
        self.inputs = [("x", fam.normal(steps, batch, features))]
        self.inputs.append(("initial_h", fam.normal(batch, directions * hidden)))
        self.batch, self.directions = batch, directions
        self.consts = {}

    def state(self, name):
        self.inputs.append((name, self.fam.normal(self.batch, self.directions * self.hidden)))

    def weights(self, suffix=""):
        scale = 0.7
        self.inputs.append(("weight_ih" + suffix, weight(self.fam.normal(self.rows, self.features, scale=scale))))
        self.inputs.append(("weight_hh" + suffix, weight(self.fam.normal(self.rows, self.hidden, scale=scale))))

    def vector(self, name, length):
        self.inputs.append((name, weight(self.fam.normal(length, scale=0.5))))

    def const(self, **values):
        """Constants that are not the default; also a part of the name."""
        for name, value in values.items():
            self.consts[name] = value
            short = "" if value is True else "_" + str(value).replace(".", "p")
            self.tag += f"_{name}{short}"

    def add(self, run):
        names = [name for name, _ in self.inputs]
        for name in names:
            if name in ("bias", "peephole", "input_bias", "bias_back", "peephole_back"):
                self.tag += f"_{name}"
        self.fam.add(self.op, self.tag, self.inputs, lambda *v: run(dict(zip(names, v))), self.consts)


def zeros(like, length):
    return torch.zeros(length, dtype=like.dtype)


def add_rnn(fam, sizes, bias=True, activation="tanh", direction="forward", whole=False):
    call = Call(fam, "rnn", sizes, 1)
    call.weights()
    if bias:
        call.vector("bias", call.rows)
    if activation != "tanh":
        call.const(activation=activation)
    if direction != "forward":
        call.const(direction=direction)
    if whole:
        call.const(output_sequence=True)

    def run(v):
        b = v.get("bias", zeros(v["x"], call.rows))

        def one(x):
            found = rnn_loop(x, v["initial_h"], v["weight_ih"], v["weight_hh"], b, activation)
            if activation in ("tanh", "relu"):
                kernel = "rnn_" + activation
                args = (x, (v["initial_h"],), v["weight_ih"], v["weight_hh"], b, torch.zeros_like(b))
                torchs = pytorch(kernel, *args)
                same(found, torchs)
                return torchs
            return found

        return results(*direction_of(v["x"], direction == "reverse", one), whole)

    call.add(run)


def add_gru(
    fam,
    sizes,
    bias=True,
    input_bias=False,
    after=False,
    recurrent="sigmoid",
    activation="tanh",
    direction="forward",
    whole=False,
):
    call = Call(fam, "gru", sizes, 3)
    call.weights()
    if bias:
        call.vector("bias", call.rows)
    if input_bias:
        call.vector("input_bias", call.rows)
    if after:
        call.const(reset_after=True)
    if recurrent != "sigmoid":
        call.const(recurrent_activation=recurrent)
    if activation != "tanh":
        call.const(activation=activation)
    if direction != "forward":
        call.const(direction=direction)
    if whole:
        call.const(output_sequence=True)

    def run(v):
        b, b_in = (v.get(name, zeros(v["x"], call.rows)) for name in ("bias", "input_bias"))

        def one(x):
            args = (x, v["initial_h"], v["weight_ih"], v["weight_hh"], b, b_in)
            found = gru_loop(*args, recurrent, activation, after)
            if after and (recurrent, activation) == ("sigmoid", "tanh"):
                torchs = pytorch("gru", x, (v["initial_h"],), v["weight_ih"], v["weight_hh"], b, b_in)
                same(found, torchs)
                return torchs
            return found

        return results(*direction_of(v["x"], direction == "reverse", one), whole)

    call.add(run)


USUAL = ("sigmoid", "tanh", "tanh")


def add_lstm(fam, sizes, bias=True, peephole=False, activations=USUAL, clip=None, direction="forward", whole=False):
    both = direction == "bidirectional"
    call = Call(fam, "lstm", sizes, 4, 2 if both else 1)
    call.state("initial_c")
    for suffix in ["", "_back"] if both else [""]:
        call.weights(suffix)
        if bias:
            call.vector("bias" + suffix, call.rows)
        if peephole:
            call.vector("peephole" + suffix, 3 * call.hidden)
    for name, value, default in zip(("recurrent_activation", "cell_activation", "activation"), activations, USUAL):
        if value != default:
            call.const(**{name: value})
    if clip is not None:
        call.const(clip=f32(clip))
    if direction != "forward":
        call.const(direction=direction)
    if whole:
        call.const(output_sequence=True)
    n = call.hidden

    def half(v, x, suffix, columns):
        b = v.get("bias" + suffix, zeros(x, call.rows))
        p = v.get("peephole" + suffix, zeros(x, 3 * n))
        w, r = v["weight_ih" + suffix], v["weight_hh" + suffix]
        state = (v["initial_h"][:, columns], v["initial_c"][:, columns])
        found = lstm_loop(x, *state, w, r, b, p, *activations, None if clip is None else f32(clip))
        if not peephole and clip is None and activations == USUAL:
            torchs = pytorch("lstm", x, state, w, r, b, torch.zeros_like(b))
            same(found, torchs)
            return torchs
        return found

    def run(v):
        if not both:
            one = lambda x: half(v, x, "", slice(None))
            return results(*direction_of(v["x"], direction == "reverse", one), whole)
        ahead, state = half(v, v["x"], "", slice(0, n))
        back, state_back = half(v, torch.flip(v["x"], [0]), "_back", slice(n, None))
        # Without a sequence, each direction gives the state after its own last step.
        pair = (ahead, torch.flip(back, [0])) if whole else (ahead[-1:], back[-1:])
        states = [torch.cat(s, dim=1) for s in zip(state, state_back)]
        return [torch.cat(pair, dim=2), *states]

    call.add(run)


SIZES = [(1, 1, 1, 1), (1, 2, 3, 2), (3, 1, 2, 3), (4, 2, 3, 2)]
# Enough rows and columns for whole vectors of lanes.
LARGE = (2, 5, 4, 7)


def fill(fam, add, directions, **options):
    for sizes in SIZES:
        for whole in (False, True):
            add(fam, sizes, whole=whole, **options)
    add(fam, LARGE, whole=True, **options)
    for direction in directions:
        for sizes in SIZES[1:]:
            for whole in (False, True):
                add(fam, sizes, direction=direction, whole=whole, **options)


def fill_rnn(fam):
    fill(fam, add_rnn, ["reverse"])
    add_rnn(fam, (3, 2, 2, 3), bias=False, whole=True)
    for activation in ACTIVATIONS:
        if activation != "tanh":
            add_rnn(fam, (3, 2, 2, 3), activation=activation)
            add_rnn(fam, (3, 2, 2, 3), activation=activation, whole=True)


def fill_gru(fam):
    fill(fam, add_gru, ["reverse"])
    fill(fam, add_gru, ["reverse"], after=True, input_bias=True)
    for after in (False, True):
        for bias, input_bias in [(False, False), (True, False), (False, True), (True, True)]:
            add_gru(fam, (2, 2, 3, 2), bias=bias, input_bias=input_bias, after=after, whole=not bias)
        for recurrent in ACTIVATIONS:
            if recurrent != "sigmoid":
                add_gru(fam, (3, 2, 2, 2), recurrent=recurrent, after=after, whole=True)
        for activation in ACTIVATIONS:
            if activation != "tanh":
                add_gru(fam, (3, 2, 2, 2), activation=activation, after=after, whole=True)


def fill_lstm(fam):
    fill(fam, add_lstm, ["reverse", "bidirectional"])
    for direction in ("forward", "reverse", "bidirectional"):
        add_lstm(fam, (3, 2, 2, 3), bias=False, direction=direction, whole=True)
        for whole in (False, True):
            add_lstm(fam, (3, 2, 2, 3), peephole=True, direction=direction, whole=whole)
            add_lstm(fam, (3, 2, 2, 3), clip=0.5, direction=direction, whole=whole)
    for clip in (50.0, 0.3):
        add_lstm(fam, (4, 2, 2, 2), peephole=True, clip=clip, whole=True)
        add_lstm(fam, (1, 2, 2, 2), peephole=True, clip=clip)
    add_lstm(fam, (3, 2, 2, 3), bias=False, peephole=True)
    for place in range(3):
        for name in ACTIVATIONS:
            chosen = list(USUAL)
            # coremltools knows the hard sigmoid of this op under one of its two names.
            if name not in (chosen[place], "sigmoid_hard"):
                chosen[place] = name
                add_lstm(fam, (3, 2, 2, 2), activations=tuple(chosen), whole=True)
                add_lstm(fam, (2, 1, 2, 3), activations=tuple(chosen), peephole=True)
    add_lstm(fam, (3, 2, 2, 2), activations=("relu", "linear", "hard_sigmoid"), peephole=True, clip=0.7, whole=True)


def family():
    fam = Family("recurrent", 113)
    fill_rnn(fam)
    fill_gru(fam)
    fill_lstm(fam)
    return fam
