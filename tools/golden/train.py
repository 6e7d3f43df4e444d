"""Writes tests/golden/train_llama.json and train_cnn.json: 50 training steps of two small models in PyTorch.

Each model is trained several times from the same float32 weights and batches: in float32, whose curve is recorded; in
float64, which shows how much of that curve is rounding; and in float32 again with the batch in other orders and other
kernels, which shows how far two correct float32 programs drift apart (rounding flips a ReLU or a max-pool winner now and
then; the CNN's learning rate is 0.01 because at 0.05 that drift exceeds 1e-3). Run: `python tools/golden/train.py`.
"""

import json
import math
import os

import numpy as np
import torch

from formula import HOW, hashes, symmetric
from models import Cnn, Llama

STEPS = 50
LLAMA_DATA_SEED, CNN_DATA_SEED = 2002, 4004


def shortest(value):
    """A number (or nested list) that reads back as the same float32."""
    if isinstance(value, list):
        return [shortest(v) for v in value]
    return float(str(np.float32(value)))


class LlamaTask:
    name = "llama"
    weight_seed, batch, sequence = 1001, 4, 32
    model_class = Llama
    how = [
        "Tokens: step s (from 0), row b: start = hash(data_seed, s, 2b) mod vocab, stride = 1 + hash(data_seed, s, 2b + 1) "
        "mod 5, token i = (start + i * stride) mod vocab for i = 0..32; inputs are tokens 0..31, targets 1..32.",
        "Loss: cross-entropy averaged over all 128 positions.",
        "Model: llama2.c. x = embedding[token]; per layer x += wo(attention(rms(x))), x += w2(silu(w1 h) * w3 h) with "
        "h = rms(x); logits = rms(x) @ embedding^T. rms(x) = x * rsqrt(mean(x^2) + 1e-5) * weight. Linear: y = x W^T, no bias.",
        "RoPE on q and k: pair (2j, 2j+1) of each head of 16 turns by position / 10000^(2j/16); (a, b) becomes "
        "(a cos - b sin, a sin + b cos); tables computed in float64, rounded to float32. Scores / sqrt(16), causal. "
        "Query head h uses key/value head h / 2 (integer division).",
        "Optimizer: gradients are clipped to global norm 1 (factor min(1, 1 / (norm + 1e-6))), then AdamW as PyTorch: "
        "p *= 1 - lr * weight_decay, then p -= lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps). Weight decay on "
        "tensors of two dimensions only.",
    ]
    optimizer = {"name": "AdamW", "lr": 1e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "clip_norm": 1.0}

    def make_batch(self, step):
        vocab = Llama.VOCAB
        h = hashes(LLAMA_DATA_SEED, step, 2 * self.batch)
        start, stride = h[0::2] % np.uint64(vocab), np.uint64(1) + h[1::2] % np.uint64(5)
        places = np.arange(self.sequence + 1, dtype=np.uint64)
        tokens = ((start[:, None] + places[None, :] * stride[:, None]) % np.uint64(vocab)).astype(np.int64)
        return torch.tensor(tokens[:, :-1]), torch.tensor(tokens[:, 1:])

    def make_optimizer(self, parameters):
        o = self.optimizer
        decayed = [p for p in parameters if p.dim() >= 2]
        plain = [p for p in parameters if p.dim() < 2]
        groups = [{"params": decayed, "weight_decay": o["weight_decay"]}, {"params": plain, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=o["lr"], betas=tuple(o["betas"]), eps=o["eps"], foreach=False)

    def first_logits(self, logits):
        return logits[0, :2]

    config = {
        "dim": 64,
        "hidden": 172,
        "layers": 3,
        "heads": 4,
        "kv_heads": 2,
        "vocab": 96,
        "sequence": 32,
        "batch": 4,
        "rms_epsilon": 1e-5,
        "rope_theta": 10000,
        "data_seed": LLAMA_DATA_SEED,
    }


class CnnTask:
    name = "cnn"
    weight_seed, batch = 3003, 16
    model_class = Cnn
    how = [
        "Images: step s (from 0), image b: class k = hash(data_seed, 2s, b) mod 10; x[b,c,h,w] = "
        "symmetric(pattern_seed, 0, ((k*3 + c)*4 + h/8)*4 + w/8, 1) + symmetric(data_seed, 2s + 1, ((b*3 + c)*32 + h)*32 + w, "
        "noise), added in float32 (integer divisions).",
        "Loss: cross-entropy averaged over the 16 images.",
        "Model: conv3x3(3,16) BN ReLU conv3x3(16,16) BN ReLU maxpool2 conv3x3(16,32) BN ReLU conv3x3(32,32) BN ReLU maxpool2 "
        "conv3x3(32,64) BN ReLU mean over the 8x8 positions, linear(64,10) with bias. Convolutions: padding 1, no bias, cross-"
        "correlation, weight [out, in, 3, 3]. BN: batch statistics with biased variance, epsilon 1e-5.",
        "Running statistics: momentum 0.1, from mean 0 and variance 1; the running variance takes the unbiased batch variance.",
        "Optimizer: SGD as PyTorch: g += weight_decay * p on all parameters, buffer = g at the first step and "
        "momentum * buffer + g later, p -= lr * buffer. No clipping; the recorded norm is that of the bare gradients.",
    ]
    optimizer = {"name": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
    pattern_seed, noise = 5005, 1.0

    def make_batch(self, step):
        labels = (hashes(CNN_DATA_SEED, 2 * step, self.batch) % np.uint64(10)).astype(np.int64)
        patterns = symmetric(self.pattern_seed, 0, (10, 3, 4, 4), 1.0).repeat(8, axis=2).repeat(8, axis=3)
        noise = symmetric(CNN_DATA_SEED, 2 * step + 1, (self.batch, 3, 32, 32), self.noise)
        return torch.tensor(patterns[labels] + noise), torch.tensor(labels)

    def make_optimizer(self, parameters):
        o = self.optimizer
        return torch.optim.SGD(
            parameters, lr=o["lr"], momentum=o["momentum"], weight_decay=o["weight_decay"], foreach=False
        )

    def first_logits(self, logits):
        return logits[:2]

    @property
    def config(self):
        return {"batch": self.batch, "noise": self.noise, "data_seed": CNN_DATA_SEED, "pattern_seed": self.pattern_seed}


def run(task, dtype, order=None):
    """Trains from the formula's weights; returns everything that the file records. `order` permutes each batch."""
    specification = task.model_class.parameters()
    start = [
        torch.tensor(p.values(task.weight_seed, t)).to(dtype).requires_grad_() for t, p in enumerate(specification)
    ]
    names = [p.name for p in specification]
    model = task.model_class(dict(zip(names, start)), dtype)
    optimizer = task.make_optimizer(start)
    record = {"losses": [], "gradient_norms": []}
    for step in range(STEPS):
        x, target = task.make_batch(step)
        if order is not None:
            x, target = x[order], target[order]
        logits = model.forward(x if x.dtype == torch.int64 else x.to(dtype))
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        gradients = [p.grad for p in start]
        norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients))
        record["losses"].append(loss.item())
        record["gradient_norms"].append(norm)
        if step == 0:
            record["first_logits"] = task.first_logits(logits.detach()).tolist()
            record["first_gradient_abs_mean"] = {n: g.double().abs().mean().item() for n, g in zip(names, gradients)}
        if "clip_norm" in task.optimizer:
            torch.nn.utils.clip_grad_norm_(start, task.optimizer["clip_norm"], foreach=False)
        optimizer.step()
    record["final"] = {
        n: {"mean": p.detach().double().mean().item(), "abs_mean": p.detach().double().abs().mean().item()}
        for n, p in zip(names, start)
    }
    record["running"] = {k: v.tolist() for k, v in model.running().items()}
    return record


def relative(a, b):
    return max(abs(x - y) / abs(y) for x, y in zip(a, b))


def reordered_drift(task, exact):
    """The worst relative difference of six mathematically equal float32 runs from the float64 losses."""
    worst = 0.0
    for seed in range(6):
        order = torch.randperm(task.batch, generator=torch.Generator().manual_seed(seed))
        with torch.backends.mkldnn.flags(enabled=seed % 2 == 0):
            worst = max(worst, relative(run(task, torch.float32, order)["losses"], exact))
    return worst


def write(task, folder):
    single, double = run(task, torch.float32), run(task, torch.float64)
    specification = task.model_class.parameters()
    document = {
        "format": 1,
        "model": task.name,
        "how": HOW + task.how,
        "config": task.config,
        "weight_seed": task.weight_seed,
        "optimizer": task.optimizer,
        "steps": STEPS,
        "parameters": [p.json() for p in specification],
        "losses": shortest(single["losses"]),
        "gradient_norms": shortest(single["gradient_norms"]),
        "first_logits": shortest(single["first_logits"]),
        "first_gradient_abs_mean": {k: shortest(v) for k, v in single["first_gradient_abs_mean"].items()},
        "final": {k: {m: shortest(x) for m, x in v.items()} for k, v in single["final"].items()},
        "float64_losses": double["losses"],
        "float32_vs_float64": {
            "max_relative_loss": relative(single["losses"], double["losses"]),
            "max_relative_loss_of_reordered_runs": reordered_drift(task, double["losses"]),
            "max_relative_gradient_norm": relative(single["gradient_norms"], double["gradient_norms"]),
            "max_relative_final_abs_mean": relative(
                [v["abs_mean"] for v in single["final"].values()], [v["abs_mean"] for v in double["final"].values()]
            ),
        },
    }
    if single["running"]:
        document["running_statistics"] = {k: shortest(v) for k, v in single["running"].items()}
    path = os.path.join(folder, f"train_{task.name}.json")
    with open(path, "w") as file:
        json.dump(document, file, indent=1, allow_nan=False)
        file.write("\n")
    losses = single["losses"]
    print(f"{path}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, {document['float32_vs_float64']}")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden")
    for task in (LlamaTask(), CnnTask()):
        write(task, folder)


if __name__ == "__main__":
    main()
