"""An encoder and a decoder with masks of padding."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Positions(nn.Module):
    def __init__(self, d, longest=20):
        super().__init__()
        pe = torch.zeros(longest, d)
        position = torch.arange(0, longest, dtype=torch.float).unsqueeze(1)
        div = torch.exp(torch.arange(0, d, 2).float() * (-math.log(10000.0) / d))
        pe[:, 0::2] = torch.sin(position * div)
        pe[:, 1::2] = torch.cos(position * div)
        self.register_buffer("pe", pe.unsqueeze(0), persistent=False)

    def forward(self, x):
        return x + self.pe[:, : x.size(1)]


class Attention(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        assert d % h == 0
        self.h, self.dk = h, d // h
        self.linears = nn.ModuleList([nn.Linear(d, d) for _ in range(4)])

    def forward(self, query, key, value, mask=None):
        if mask is not None:
            mask = mask.unsqueeze(1)
        n = query.size(0)
        query, key, value = [
            lin(x).view(n, -1, self.h, self.dk).transpose(1, 2)
            for lin, x in zip(self.linears, (query, key, value))
        ]
        scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(self.dk)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        x = torch.matmul(scores.softmax(dim=-1), value)
        return self.linears[-1](x.transpose(1, 2).contiguous().view(n, -1, self.h * self.dk))


class Layer(nn.Module):
    def __init__(self, d, h, cross):
        super().__init__()
        self.attn = Attention(d, h)
        self.cross = Attention(d, h) if cross else None
        self.ff = nn.Sequential(nn.Linear(d, 2 * d), nn.ReLU(), nn.Dropout(0.1), nn.Linear(2 * d, d))
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(3 if cross else 2))

    def forward(self, x, mask, memory=None, memory_mask=None):
        x = self.norms[0](x + self.attn(x, x, x, mask))
        if self.cross is not None:
            x = self.norms[1](x + self.cross(x, memory, memory, memory_mask))
        return self.norms[-1](x + self.ff(x))


class Net(nn.Module):
    def __init__(self, d=8, vocabulary=9):
        super().__init__()
        self.src, self.tgt, self.pos = nn.Embedding(vocabulary, d), nn.Embedding(vocabulary, d), Positions(d)
        self.encoder = nn.ModuleList(Layer(d, 2, False) for _ in range(2))
        self.decoder = nn.ModuleList(Layer(d, 2, True) for _ in range(2))
        self.out, self.d = nn.Linear(d, vocabulary), d

    def forward(self, src, tgt):
        src_mask = (src != 0).unsqueeze(-2)
        tgt_mask = (tgt != 0).unsqueeze(-2)
        tgt_mask = tgt_mask & (
            torch.triu(torch.ones(1, tgt.size(-1), tgt.size(-1)), diagonal=1).type(torch.uint8) == 0
        )
        memory = self.pos(self.src(src) * math.sqrt(self.d))
        for layer in self.encoder:
            memory = layer(memory, src_mask)
        x = self.pos(self.tgt(tgt) * math.sqrt(self.d))
        for layer in self.decoder:
            x = layer(x, tgt_mask, memory, src_mask)
        return F.log_softmax(self.out(x), dim=-1)
