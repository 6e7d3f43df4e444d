"""Training speed of the Llama presets in PyTorch on the CPU, for a side-by-side comparison.

One step is forward, backward and an AdamW update in fp32 on a fresh batch of random tokens. PyTorch is used at its
best: fused attention and loss, fused AdamW, and `torch.compile` where there is a C++ compiler (`--compile auto`
measures both ways and keeps the faster one). Prints one JSON object. Example:

    python benches/torch_train.py --preset 15m --batch 4 --seq 256 --steps 10 --threads 2
"""

import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

# dim, hidden, layers, heads, key/value heads, vocabulary, sequence
PRESETS = {
    "stories260k": (64, 172, 5, 8, 4, 512, 512),
    "15m": (288, 768, 6, 6, 6, 32000, 256),
    "42m": (512, 1376, 8, 8, 8, 32000, 1024),
    "110m": (768, 2048, 12, 12, 12, 32000, 1024),
}


class Block(nn.Module):
    def __init__(self, dim, hidden, heads, kv_heads):
        super().__init__()
        self.heads, self.kv_heads, self.head = heads, kv_heads, dim // heads
        self.attention_norm, self.ffn_norm = nn.RMSNorm(dim, 1e-5), nn.RMSNorm(dim, 1e-5)
        self.wq = nn.Linear(dim, heads * self.head, bias=False)
        self.wk = nn.Linear(dim, kv_heads * self.head, bias=False)
        self.wv = nn.Linear(dim, kv_heads * self.head, bias=False)
        self.wo = nn.Linear(heads * self.head, dim, bias=False)
        self.w1, self.w3 = nn.Linear(dim, hidden, bias=False), nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)

    def forward(self, x, cos, sin):
        h = self.attention_norm(x)
        q = rotate(self.wq(h).unflatten(-1, (self.heads, self.head)), cos, sin).transpose(1, 2)
        k = rotate(self.wk(h).unflatten(-1, (self.kv_heads, self.head)), cos, sin).transpose(1, 2)
        v = self.wv(h).unflatten(-1, (self.kv_heads, self.head)).transpose(1, 2)
        if self.kv_heads != self.heads:
            share = self.heads // self.kv_heads
            k, v = k.repeat_interleave(share, 1), v.repeat_interleave(share, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.wo(mixed.transpose(1, 2).flatten(-2))
        h = self.ffn_norm(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


def rotate(x, cos, sin):
    """Turns neighbouring pairs of x: [batch, sequence, heads, head] by cos, sin: [sequence, 1, head / 2]."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class Llama(nn.Module):
    def __init__(self, dim, hidden, layers, heads, kv_heads, vocab, sequence):
        super().__init__()
        self.embedding = nn.Embedding(vocab, dim)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(dim, hidden, heads, kv_heads) for _ in range(layers))
        self.norm = nn.RMSNorm(dim, 1e-5)
        head = dim // heads
        rates = 10000.0 ** (-torch.arange(0, head, 2) / head)
        angles = torch.outer(torch.arange(sequence), rates)[:, None, :]
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens, targets):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.norm(x) @ self.embedding.weight.T
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def measure(preset, batch, sequence, steps, warmup, compiled):
    """Wall and CPU milliseconds of each timed step, the last loss, and the number of parameters."""
    torch.manual_seed(0)
    dim, hidden, layers, heads, kv_heads, vocab, _ = PRESETS[preset]
    model = Llama(dim, hidden, layers, heads, kv_heads, vocab, sequence)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    forward = torch.compile(model) if compiled else model
    times, cpu_times = [], []
    for step in range(warmup + steps):
        tokens = torch.randint(vocab, (batch, sequence + 1))
        start, cpu_start = time.perf_counter(), time.process_time()
        loss = forward(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step >= warmup:
            times.append((time.perf_counter() - start) * 1e3)
            cpu_times.append((time.process_time() - cpu_start) * 1e3)
    return times, cpu_times, loss.item(), sum(p.numel() for p in model.parameters())


def report(arguments, sequence, compiled):
    times, cpu_times, loss, parameters = measure(
        arguments.preset, arguments.batch, sequence, arguments.steps, arguments.warmup, compiled
    )
    best = min(times)
    return {
        "engine": f"torch {torch.__version__}",
        "preset": arguments.preset,
        "parameters": parameters,
        "batch": arguments.batch,
        "seq": sequence,
        "threads": torch.get_num_threads(),
        "compiled": compiled,
        "steps": arguments.steps,
        "best_ms": round(best, 2),
        "median_ms": round(statistics.median(times), 2),
        # All threads together: the figure to trust with --threads 1 on a machine that others use too.
        "best_cpu_ms": round(min(cpu_times), 2),
        "tokens_per_s": round(arguments.batch * sequence / best * 1e3, 1),
        "loss": round(loss, 4),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="15m")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seq", type=int, help="tokens per sequence (default: the preset's)")
    parser.add_argument("--steps", type=int, default=10, help="timed steps")
    parser.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", choices=["auto", "yes", "no"], default="auto")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sequence = arguments.seq or PRESETS[arguments.preset][6]

    results = []
    if arguments.compile != "yes":
        results.append(report(arguments, sequence, False))
    if arguments.compile != "no":
        try:
            results.append(report(arguments, sequence, True))
        except Exception as error:
            if arguments.compile == "yes":
                raise
            print(f"torch.compile is not usable here ({type(error).__name__}); eager only", file=sys.stderr)
    print(json.dumps(min(results, key=lambda r: r["best_ms"])))


if __name__ == "__main__":
    main()
