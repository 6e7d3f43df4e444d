"""Text and speech networks: MiniLM/BERT, GPT-2, a Llama-style decoder with its cache in states, an LSTM tagger, Whisper."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import Architecture, Variant, images, plain, tokens


class Bert(nn.Module):
    """Sentence embedding, as the MiniLM models are used: mean over the tokens that count, normalized."""

    def __init__(self, config):
        super().__init__()
        from transformers import BertModel

        self.bert = BertModel(config, add_pooling_layer=False)

    def forward(self, ids, mask):
        # A mask within fp16's range: transformers' own is float32's lowest number, which turns 0 * -inf into NaN there.
        wide = (1.0 - mask.to(self.bert.embeddings.word_embeddings.weight.dtype))[:, None, None, :] * -1e4
        hidden = self.bert.encoder(self.bert.embeddings(input_ids=ids), attention_mask=wide).last_hidden_state
        weight = mask.to(hidden.dtype)[:, :, None]
        return F.normalize((hidden * weight).sum(1) / weight.sum(1), dim=-1), hidden


def bert(full):
    from transformers import BertConfig

    torch.manual_seed(20)
    sizes = dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, vocab_size=30522)
    if not full:
        sizes = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, vocab_size=300)
    config = BertConfig(**sizes, max_position_embeddings=128, attn_implementation="eager")
    length = 64 if full else 12
    mask = torch.ones(1, length, dtype=torch.int32)
    mask[:, length - 4 :] = 0
    inputs = {"ids": tokens(sizes["vocab_size"], 1, length), "mask": mask}
    variants = plain() + [Variant("int8", "fp16", 18, "int8_channels")]
    return Architecture("MiniLM (BERT)", Bert(config).eval(), inputs, ["embedding", "hidden"], variants)


class Gpt2(nn.Module):
    def __init__(self, config):
        super().__init__()
        from transformers import GPT2LMHeadModel

        self.model = GPT2LMHeadModel(config)
        n = config.n_positions
        self.register_buffer("mask", torch.full((1, 1, n, n), -1e4).triu(1))

    def forward(self, ids):
        n = ids.shape[1]
        return self.model(input_ids=ids, attention_mask=self.mask[:, :, :n, :n], use_cache=False).logits


def gpt2(full):
    from transformers import GPT2Config

    torch.manual_seed(21)
    sizes = dict(n_embd=768, n_layer=12, n_head=12, vocab_size=50257) if full else dict(n_embd=64, n_layer=2, n_head=4, vocab_size=300)
    # Not tied: compression may treat the table of words and the last layer differently.
    config = GPT2Config(**sizes, n_positions=64, attn_implementation="eager", tie_word_embeddings=False)
    variants = plain() + [Variant("int4", "fp16", 18, "int4_blocks")]
    return Architecture("GPT-2", Gpt2(config).eval(), {"ids": tokens(sizes["vocab_size"], 1, 48 if full else 10)}, ["logits"], variants)


class LlamaLayer(nn.Module):
    def __init__(self, width, heads, kv_heads, inner):
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, width // heads
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.q, self.o = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.k, self.v = (nn.Linear(width, kv_heads * self.size, bias=False) for _ in range(2))
        self.gate, self.up = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def turned(self, x, cos, sin):
        """Rotary positions, halves against halves."""
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)

    def forward(self, x, keys, values, here, mask, cos, sin):
        """`keys`, `values`: this layer's cache; `here` is one at the current position and zero elsewhere."""
        y = self.norm1(x)
        q = self.turned(self.q(y).reshape(1, 1, self.heads, self.size).transpose(1, 2), cos, sin)
        k = self.turned(self.k(y).reshape(1, 1, self.kv_heads, self.size).transpose(1, 2), cos, sin)
        v = self.v(y).reshape(1, 1, self.kv_heads, self.size).transpose(1, 2)
        keys = keys * (1 - here) + k * here
        values = values * (1 - here) + v * here
        group = self.heads // self.kv_heads
        scores = q @ keys.repeat_interleave(group, 1).transpose(-1, -2) / self.size**0.5 + mask
        y = torch.softmax(scores, dim=-1) @ values.repeat_interleave(group, 1)
        x = x + self.o(y.transpose(1, 2).reshape(1, 1, -1))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y)), keys, values


class Llama(nn.Module):
    """A decoder that sees one token a call; what it saw before is in the buffers `keys` and `values`."""

    def __init__(self, vocabulary, width, layers, heads, kv_heads, inner, context):
        super().__init__()
        self.embed, self.norm = nn.Embedding(vocabulary, width), nn.RMSNorm(width, eps=1e-5)
        self.layers = nn.ModuleList(LlamaLayer(width, heads, kv_heads, inner) for _ in range(layers))
        self.head = nn.Linear(width, vocabulary, bias=False)
        size = width // heads
        angles = torch.arange(context)[:, None] * 10000.0 ** (-torch.arange(0, size, 2) / size)
        self.register_buffer("cos", torch.cos(angles))
        self.register_buffer("sin", torch.sin(angles))
        self.register_buffer("places", torch.arange(context, dtype=torch.int32))
        self.register_buffer("keys", torch.zeros(layers, kv_heads, context, size))
        self.register_buffer("values", torch.zeros(layers, kv_heads, context, size))

    def forward(self, token, position):
        x = self.embed(token)
        here = (self.places == position).to(x.dtype).reshape(1, 1, -1, 1)
        mask = (self.places > position).to(x.dtype).reshape(1, 1, 1, -1) * -1e4
        cos, sin = self.cos[position], self.sin[position]
        old_keys, old_values = self.keys.clone(), self.values.clone()
        keys, values = [], []
        for i, layer in enumerate(self.layers):
            x, k, v = layer(x, old_keys[i : i + 1], old_values[i : i + 1], here, mask, cos, sin)
            keys.append(k)
            values.append(v)
        self.keys[:] = torch.cat(keys)
        self.values[:] = torch.cat(values)
        return self.head(self.norm(x))[0]


def llama(full):
    torch.manual_seed(22)
    if full:
        sizes = dict(vocabulary=32000, width=512, layers=8, heads=8, kv_heads=4, inner=1376, context=64)
    else:
        sizes = dict(vocabulary=200, width=64, layers=2, heads=4, kv_heads=2, inner=128, context=16)
    module = Llama(**sizes).eval()
    nn.init.normal_(module.head.weight, std=0.3)  # apart enough that a rounding does not choose the token
    module.requires_grad_(False)
    shape = tuple(module.keys.shape)
    # The model goes on by itself after a prompt of three tokens.
    given = [int(t) for t in tokens(sizes["vocabulary"], 3)]
    count = 24 if full else 12
    inputs = {"token": torch.tensor([[given[0]]], dtype=torch.int32), "position": torch.tensor([0], dtype=torch.int32)}
    variants = [Variant("fp16", "fp16", 18), Variant("int4", "fp16", 18, "int4_blocks")]
    return Architecture("Llama with KV cache", module, inputs, ["logits"], variants, states={"keys": shape, "values": shape},
                        extra=dict(prompt=given, count=count))  # fmt: skip


class Tagger(nn.Module):
    """Embedding, two bidirectional LSTM layers, a tag for every word."""

    def __init__(self, vocabulary, width, hidden, tags):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.tags = nn.Linear(2 * hidden, tags)

    def forward(self, ids):
        return F.log_softmax(self.tags(self.lstm(self.embed(ids))[0]), dim=-1)


def tagger(full):
    torch.manual_seed(23)
    module = Tagger(20000, 128, 256, 17) if full else Tagger(100, 16, 24, 7)
    return Architecture("LSTM tagger", module.eval(), {"ids": tokens(100, 1, 40 if full else 9)}, ["tags"], plain())


class Whisper(nn.Module):
    def __init__(self, config):
        super().__init__()
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        self.encoder = WhisperEncoder(config)

    def forward(self, mel):
        return self.encoder(mel).last_hidden_state


def whisper(full):
    from transformers import WhisperConfig

    torch.manual_seed(24)
    sizes = dict(d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536, max_source_positions=1500)
    if not full:
        sizes = dict(d_model=48, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=96, max_source_positions=30)
    config = WhisperConfig(**sizes, num_mel_bins=80, attn_implementation="eager")
    return Architecture("Whisper encoder", Whisper(config).eval(), {"mel": images(1, 80, 2 * sizes["max_source_positions"])}, ["hidden"],
                        plain())  # fmt: skip


def generate(module, extra):
    """The source model's own greedy generation: [(token, position)] fed, the logits of every step, the tokens chosen."""
    fed, logits, chosen = [], [], []
    module.keys.zero_()
    module.values.zero_()
    token = extra["prompt"][0]
    with torch.no_grad():
        for i in range(extra["count"]):
            token = extra["prompt"][i] if i < len(extra["prompt"]) else chosen[-1]
            fed.append((token, i))
            out = module(torch.tensor([[token]], dtype=torch.int32), torch.tensor([i], dtype=torch.int32))
            logits.append(out.double().numpy().copy())
            chosen.append(int(np.argmax(logits[-1])))
    return fed, logits, chosen


ALL = {
    "bert": bert,
    "gpt2": gpt2,
    "llama": llama,
    "tagger": tagger,
    "whisper": whisper,
}
