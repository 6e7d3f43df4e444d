"""`rnn`, `gru`, `lstm`: every direction, activation and optional weight.

Conventions that Apple's tests pin down: `direction="reverse"` leaves the outputs in the order they were computed in; the
backward half of a bidirectional `lstm` stands in the order of time; `gru` applies the reset gate before its matrix
product unless `reset_after` says otherwise.
"""

import numpy as np

from judge.draw import normal, scalar
from judge.tolerance import CHAIN

ACTIVATIONS = {
    "tanh": np.tanh,
    "scaled_tanh": np.tanh,  # alpha and beta are 1 here
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "sigmoid_hard": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "relu": lambda x: np.maximum(x, 0),
    "linear": lambda x: x,
}


def ordered(x, direction):
    return x[::-1] if direction == "reverse" else x


def collected(outputs, output_sequence):
    stacked = np.stack(outputs)
    return stacked if output_sequence else stacked[-1:]


def rnn(x, initial_h, weight_ih, weight_hh, bias=0, direction="forward", output_sequence=False, activation="tanh"):
    h, outputs = initial_h, []
    for step in ordered(x, direction):
        h = ACTIVATIONS[activation](step @ weight_ih.T + h @ weight_hh.T + bias)
        outputs.append(h)
    return collected(outputs, output_sequence), h


def gru(x, initial_h, weight_ih, weight_hh, bias=None, input_bias=None, direction="forward", output_sequence=False,
        recurrent_activation="sigmoid", activation="tanh", reset_after=False):  # fmt: skip
    gate, act = ACTIVATIONS[recurrent_activation], ACTIVATIONS[activation]
    zero = np.zeros(weight_hh.shape[0])
    (i_r, i_o, i_z), (h_r, h_o, h_z) = np.split(weight_ih, 3), np.split(weight_hh, 3)
    (b_r, b_o, b_z), (a_r, a_o, a_z) = (np.split(zero if b is None else b, 3) for b in (bias, input_bias))
    h, outputs = initial_h, []
    for step in ordered(x, direction):
        r = gate(step @ i_r.T + a_r + h @ h_r.T + b_r)
        z = gate(step @ i_z.T + a_z + h @ h_z.T + b_z)
        hidden = r * (h @ h_o.T + b_o) if reset_after else (r * h) @ h_o.T + b_o
        h = (1 - z) * act(step @ i_o.T + a_o + hidden) + z * h
        outputs.append(h)
    return collected(outputs, output_sequence), h


def lstm_one(x, h, c, weight_ih, weight_hh, bias, peephole, gate, cell, act, clip):
    i_i, i_f, i_o, i_z = np.split(weight_ih, 4)
    h_i, h_f, h_o, h_z = np.split(weight_hh, 4)
    b_i, b_f, b_o, b_z = np.split(np.zeros(weight_ih.shape[0]) if bias is None else bias, 4)
    p_i, p_f, p_o = np.split(np.zeros(3 * weight_hh.shape[1]) if peephole is None else peephole, 3)
    outputs = []
    for step in x:
        i = gate(step @ i_i.T + h @ h_i.T + b_i + p_i * c)
        f = gate(step @ i_f.T + h @ h_f.T + b_f + p_f * c)
        c = f * c + i * cell(step @ i_z.T + h @ h_z.T + b_z)
        if clip is not None:
            c = np.clip(c, -clip, clip)
        h = gate(step @ i_o.T + h @ h_o.T + b_o + p_o * c) * act(c)
        outputs.append(h)
    return outputs, h, c


def lstm(x, initial_h, initial_c, weight_ih, weight_hh, bias=None, peephole=None, weight_ih_back=None, weight_hh_back=None,
         bias_back=None, peephole_back=None, direction="forward", output_sequence=False, recurrent_activation="sigmoid",
         cell_activation="tanh", activation="tanh", clip=None):  # fmt: skip
    functions = [ACTIVATIONS[n] for n in (recurrent_activation, cell_activation, activation)]
    if direction != "bidirectional":
        outputs, h, c = lstm_one(ordered(x, direction), initial_h, initial_c, weight_ih, weight_hh, bias, peephole, *functions, clip)
        return collected(outputs, output_sequence), h, c
    h0, h1 = np.split(initial_h, 2, axis=1)
    c0, c1 = np.split(initial_c, 2, axis=1)
    forward, h0, c0 = lstm_one(x, h0, c0, weight_ih, weight_hh, bias, peephole, *functions, clip)
    backward, h1, c1 = lstm_one(x[::-1], h1, c1, weight_ih_back, weight_hh_back, bias_back, peephole_back, *functions, clip)
    h, c = np.concatenate([h0, h1], axis=1), np.concatenate([c0, c1], axis=1)
    if not output_sequence:
        return h[None], h, c
    return np.concatenate([np.stack(forward), np.stack(backward[::-1])], axis=2), h, c


S, B, I, H = 4, 2, 3, 5


def cases(f):
    for opsets, dtypes in (("15 16", "fp32"), ("17 18 26", "fp16 fp32")):
        simple(f, opsets, dtypes)
        long(f, opsets, dtypes)
    after = dict(reset_after=True, output_sequence=True, input_bias=normal(3 * H).const, bias=normal(3 * H).const)
    f.op("gru", "18 26", "fp16 fp32", gru, CHAIN, "reset_after", **inputs(3), **after)
    f.op("gru", "18", "fp16 fp32", gru, CHAIN, "input_bias", **inputs(3), input_bias=normal(3 * H).const, output_sequence=True)
    f.op("gru", "18", "fp32", gru, CHAIN, "reset_after_reverse", **inputs(3), direction="reverse", **after)


def inputs(gates):
    return dict(x=normal(S, B, I), initial_h=normal(B, H), weight_ih=normal(gates * H, I, scale=0.5).const,
                weight_hh=normal(gates * H, H, scale=0.5).const)  # fmt: skip


def simple(f, opsets, dtypes):
    """`rnn` and `gru`."""
    first = opsets.split()[0]
    for op, reference, gates in (("rnn", rnn, 1), ("gru", gru, 3)):
        common = inputs(gates)
        bias = normal(gates * H).const
        f.op(op, opsets, dtypes, reference, CHAIN, **common, bias=bias)
        f.op(op, opsets, dtypes, reference, CHAIN, "sequence", **common, bias=bias, output_sequence=True)
        f.op(op, first, dtypes, reference, CHAIN, "reverse", **common, bias=bias, output_sequence=True, direction="reverse")
        f.op(op, first, dtypes, reference, CHAIN, "reverse_last", **common, direction="reverse")
        f.op(op, first, dtypes, reference, CHAIN, "no_bias", **common, output_sequence=True)
        hard = "sigmoid_hard" if op == "rnn" else "hard_sigmoid"
        for activation in ("relu", "sigmoid", "linear", "scaled_tanh", hard):
            f.op(op, first, dtypes.split()[0], reference, CHAIN, activation, **common, bias=bias, output_sequence=True,
                 activation=activation)  # fmt: skip
    for activation in ("tanh", "relu", "hard_sigmoid", "linear", "scaled_tanh"):
        f.op("gru", first, dtypes.split()[-1], gru, CHAIN, f"gates_{activation}", **inputs(3), output_sequence=True,
             recurrent_activation=activation)  # fmt: skip
    one = dict(x=normal(1, 1, I), initial_h=normal(1, H), weight_ih=normal(H, I).const, weight_hh=normal(H, H).const)
    f.op("rnn", first, dtypes.split()[0], rnn, CHAIN, "one_step", **one, output_sequence=True)


def long(f, opsets, dtypes):
    """`lstm`."""
    first = opsets.split()[0]
    common = dict(inputs(4), initial_c=normal(B, H))
    bias, peephole = normal(4 * H).const, normal(3 * H, scale=0.5).const
    f.op("lstm", opsets, dtypes, lstm, CHAIN, **common, bias=bias)
    f.op("lstm", opsets, dtypes, lstm, CHAIN, "sequence", **common, bias=bias, output_sequence=True)
    f.op("lstm", first, dtypes, lstm, CHAIN, "no_bias", **common, output_sequence=True)
    f.op("lstm", first, dtypes, lstm, CHAIN, "reverse", **common, bias=bias, output_sequence=True, direction="reverse")
    f.op("lstm", first, dtypes, lstm, CHAIN, "reverse_last", **common, bias=bias, direction="reverse")
    f.op("lstm", first, dtypes, lstm, CHAIN, "peephole", **common, bias=bias, output_sequence=True, peephole=peephole)
    f.op("lstm", first, dtypes, lstm, CHAIN, "clip", **common, bias=bias, output_sequence=True, clip=scalar(0.25))
    f.op("lstm", first, dtypes, lstm, CHAIN, "clip_peephole", **common, bias=bias, output_sequence=True, clip=scalar(0.25),
         peephole=peephole)  # fmt: skip
    for activation in ("relu", "sigmoid", "linear", "scaled_tanh", "hard_sigmoid"):
        for which in ("activation", "cell_activation", "recurrent_activation"):
            if (which, activation) != ("recurrent_activation", "sigmoid"):
                f.op("lstm", first, dtypes.split()[-1], lstm, CHAIN, f"{which}_{activation}", **common, bias=bias,
                     output_sequence=True, **{which: activation})  # fmt: skip
    both = dict(common, initial_h=normal(B, 2 * H), initial_c=normal(B, 2 * H), weight_ih_back=normal(4 * H, I, scale=0.5).const,
                weight_hh_back=normal(4 * H, H, scale=0.5).const, direction="bidirectional")  # fmt: skip
    f.op("lstm", opsets, dtypes, lstm, CHAIN, "bidirectional", **both, bias=bias, bias_back=normal(4 * H).const, output_sequence=True)
    f.op("lstm", first, dtypes, lstm, CHAIN, "bidirectional_last", **both, bias=bias, bias_back=normal(4 * H).const)
    f.op("lstm", first, dtypes, lstm, CHAIN, "bidirectional_no_bias", **both, output_sequence=True)
    f.op("lstm", first, dtypes, lstm, CHAIN, "bidirectional_peephole", **both, output_sequence=True, peephole=peephole,
         peephole_back=normal(3 * H, scale=0.5).const, bias=bias, bias_back=normal(4 * H).const)  # fmt: skip
