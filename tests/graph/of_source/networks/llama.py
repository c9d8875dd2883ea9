"""A decoder with rotary positions as complex numbers, shared keys and norms of 1 + w."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        dtype = x.dtype
        x = x.float()
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return (x * (1 + self.weight.float())).to(dtype)


def freqs_cis(dim, end, theta=10000.0):
    freqs = 1.0 / (theta ** (torch.arange(0, dim, 2)[: dim // 2].float() / dim))
    return torch.polar(torch.ones(end, dim // 2), torch.outer(torch.arange(end).float(), freqs))


def rotated(x, freqs):
    x_ = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(x_ * freqs.view(1, x_.shape[1], 1, x_.shape[3])).flatten(3).type_as(x)


def repeat_kv(x, n_rep):
    bs, slen, heads, dim = x.shape
    if n_rep == 1:
        return x
    return x[:, :, :, None, :].expand(bs, slen, heads, n_rep, dim).reshape(bs, slen, heads * n_rep, dim)


class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        self.heads, self.kv, self.hd = heads, kv_heads, dim // heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, freqs, mask):
        b, t, _ = x.shape
        q, k, v = (
            self.wq(x).view(b, t, -1, self.hd),
            self.wk(x).view(b, t, -1, self.hd),
            self.wv(x).view(b, t, -1, self.hd),
        )
        q, k = rotated(q, freqs), rotated(k, freqs)
        k, v = repeat_kv(k, self.heads // self.kv), repeat_kv(v, self.heads // self.kv)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(self.hd)
        if mask is not None:
            scores = scores + mask
        out = torch.einsum("bhqk,bkhd->bqhd", F.softmax(scores.float(), dim=-1).type_as(q), v)
        return self.wo(out.reshape(b, t, -1))


class Block(nn.Module):
    def __init__(self, dim, heads, kv):
        super().__init__()
        self.attention, self.n1, self.n2 = Attention(dim, heads, kv), RMSNorm(dim), RMSNorm(dim)
        self.w1, self.w2, self.w3 = (
            nn.Linear(dim, 12, bias=False),
            nn.Linear(12, dim, bias=False),
            nn.Linear(dim, 12, bias=False),
        )

    def forward(self, x, freqs, mask):
        h = x + self.attention(self.n1(x), freqs, mask)
        y = self.n2(h)
        return h + self.w2(F.silu(self.w1(y)) * self.w3(y))


class Net(nn.Module):
    def __init__(self, dim=8, heads=4, kv=2, depth=2):
        super().__init__()
        self.tok = nn.Embedding(11, dim)
        self.layers = nn.ModuleList(Block(dim, heads, kv) for _ in range(depth))
        self.norm = RMSNorm(dim)
        self.freqs = freqs_cis(dim // heads, 32)

    def forward(self, tokens, start=0):
        _, t = tokens.shape
        h, freqs, mask = self.tok(tokens), self.freqs[start : start + t], None
        if t > 1:
            mask = torch.full((t, t), float("-inf"), device=tokens.device)
            mask = torch.triu(mask, diagonal=1)
        for layer in self.layers:
            h = layer(h, freqs, mask)
        return F.linear(self.norm(h), self.tok.weight).float()
