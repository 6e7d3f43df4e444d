"""The two models of train.py, written as plain functions of named tensors."""

import math

import torch
import torch.nn.functional as F

from formula import Parameter


class Llama:
    """The Llama family of llama2.c: RMSNorm, interleaved RoPE, SwiGLU, grouped queries, tied embedding."""

    DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB = 64, 172, 3, 4, 2, 96
    HEAD = DIM // HEADS

    @classmethod
    def parameters(cls):
        kv = cls.KV_HEADS * cls.HEAD
        matrix = lambda name, out, inner: Parameter(name, [out, inner], 1 / math.sqrt(inner))
        norm = lambda name: Parameter(name, [cls.DIM], 0.1, offset=1.0)
        result = [Parameter("tok_embeddings.weight", [cls.VOCAB, cls.DIM], 0.1)]
        for i in range(cls.LAYERS):
            layer = f"layers.{i}."
            result += [
                norm(layer + "attention_norm.weight"),
                matrix(layer + "attention.wq.weight", cls.DIM, cls.DIM),
                matrix(layer + "attention.wk.weight", kv, cls.DIM),
                matrix(layer + "attention.wv.weight", kv, cls.DIM),
                matrix(layer + "attention.wo.weight", cls.DIM, cls.DIM),
                norm(layer + "ffn_norm.weight"),
                matrix(layer + "feed_forward.w1.weight", cls.HIDDEN, cls.DIM),
                matrix(layer + "feed_forward.w2.weight", cls.DIM, cls.HIDDEN),
                matrix(layer + "feed_forward.w3.weight", cls.HIDDEN, cls.DIM),
            ]
        return result + [norm("norm.weight")]

    def __init__(self, weights, dtype):
        self.w, self.dtype = weights, dtype

    def rms(self, x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.w[name]

    def rope(self, x):
        """x: [batch, heads, sequence, head]."""
        steps = torch.arange(x.shape[2], dtype=torch.float64)[:, None]
        rates = 10000.0 ** (-torch.arange(0, self.HEAD, 2, dtype=torch.float64) / self.HEAD)
        cos, sin = ((f(steps * rates)).to(torch.float32).to(self.dtype) for f in (torch.cos, torch.sin))
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)

    def heads(self, x, count):
        return x.unflatten(-1, (count, self.HEAD)).transpose(1, 2)

    def attention(self, x, layer):
        project = lambda name: x @ self.w[f"{layer}attention.{name}.weight"].T
        q = self.rope(self.heads(project("wq"), self.HEADS))
        k = self.rope(self.heads(project("wk"), self.KV_HEADS))
        v = self.heads(project("wv"), self.KV_HEADS)
        share = self.HEADS // self.KV_HEADS
        k, v = k.repeat_interleave(share, 1), v.repeat_interleave(share, 1)
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.HEAD)
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        mixed = torch.softmax(scores.masked_fill(later, -math.inf), -1) @ v
        return mixed.transpose(1, 2).flatten(-2) @ self.w[f"{layer}attention.wo.weight"].T

    def feed_forward(self, x, layer):
        w1, w2, w3 = (self.w[f"{layer}feed_forward.w{i}.weight"] for i in (1, 2, 3))
        return (F.silu(x @ w1.T) * (x @ w3.T)) @ w2.T

    def forward(self, tokens):
        x = self.w["tok_embeddings.weight"][tokens]
        for i in range(self.LAYERS):
            layer = f"layers.{i}."
            x = x + self.attention(self.rms(x, layer + "attention_norm.weight"), layer)
            x = x + self.feed_forward(self.rms(x, layer + "ffn_norm.weight"), layer)
        return self.rms(x, "norm.weight") @ self.w["tok_embeddings.weight"].T

    def running(self):
        return {}


class Cnn:
    """Five 3x3 convolutions with batch normalization, two max-pools, a global mean and a linear layer."""

    CHANNELS = [(3, 16), (16, 16), (16, 32), (32, 32), (32, 64)]
    POOL_AFTER = (1, 3)

    @classmethod
    def parameters(cls):
        result = []
        for i, (inner, out) in enumerate(cls.CHANNELS):
            result += [
                Parameter(f"conv{i}.weight", [out, inner, 3, 3], math.sqrt(6 / (inner * 9))),
                Parameter(f"bn{i}.weight", [out], 0.1, offset=1.0),
                Parameter(f"bn{i}.bias", [out], 0.1),
            ]
        return result + [Parameter("linear.weight", [10, 64], 1 / 8), Parameter("linear.bias", [10], 1 / 8)]

    def __init__(self, weights, dtype):
        self.w = weights
        self.mean = [torch.zeros(out, dtype=dtype) for _, out in self.CHANNELS]
        self.variance = [torch.ones(out, dtype=dtype) for _, out in self.CHANNELS]

    def forward(self, x):
        for i in range(len(self.CHANNELS)):
            x = F.conv2d(x, self.w[f"conv{i}.weight"], padding=1)
            gamma, beta = self.w[f"bn{i}.weight"], self.w[f"bn{i}.bias"]
            x = F.batch_norm(x, self.mean[i], self.variance[i], gamma, beta, training=True, momentum=0.1, eps=1e-5)
            x = torch.relu(x)
            if i in self.POOL_AFTER:
                x = F.max_pool2d(x, 2)
        return F.linear(x.mean((2, 3)), self.w["linear.weight"], self.w["linear.bias"])

    def running(self):
        pairs = zip(self.mean, self.variance)
        return {f"bn{i}.running_{k}": v for i, pair in enumerate(pairs) for k, v in zip(("mean", "var"), pair)}
