"""Attention: queries, keys and values fused in every order, of all frameworks, with every sort of position."""

import functools
import math

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F
from flax import nnx
from torch import nn

from attacking import Pair, of, tree

D, H = 12, 3
E = D // H


def attend(q, k, v):  # b h n e
    weights = jax.nn.softmax(q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]), -1)
    return weights @ v


def torch_attend(q, k, v):
    return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1) @ v


class Fused3HD(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(D, 3 * D)
        self.out = nn.Linear(D, D)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, H, E).permute(2, 0, 3, 1, 4)
        return self.out(torch_attend(q, k, v).transpose(1, 2).reshape(b, n, D))


class FusedH3D(nn.Module):
    def __init__(self):
        super().__init__()
        self.query_key_value = nn.Linear(D, 3 * D)
        self.dense = nn.Linear(D, D)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.query_key_value(x).view(b, n, H, 3 * E).transpose(1, 2).chunk(3, -1)
        return self.dense(torch_attend(q, k, v).transpose(1, 2).reshape(b, n, D))


class FusedHD3(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(D, 3 * D)
        self.out = nn.Linear(D, D)

    def forward(self, x):
        b, n, _ = x.shape
        qkv = self.qkv(x).view(b, n, H, E, 3).transpose(1, 2)
        q, k, v = qkv[..., 0], qkv[..., 1], qkv[..., 2]
        return self.out(torch_attend(q, k, v).transpose(1, 2).reshape(b, n, D))


class FusedKVQ(nn.Module):
    def __init__(self):
        super().__init__()
        self.kvq = nn.Linear(D, 3 * D, bias=False)
        self.out = nn.Linear(D, D)

    def forward(self, x):
        b, n, _ = x.shape
        k, v, q = self.kvq(x).split(D, -1)
        q, k, v = (one.view(b, n, H, E).transpose(1, 2) for one in (q, k, v))
        return self.out(torch_attend(q, k, v).transpose(1, 2).reshape(b, n, D))


class Separate(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(D, D)
        self.b = nn.Linear(D, D)
        self.c = nn.Linear(D, D)
        self.d = nn.Linear(D, D)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = (one(x).view(b, n, H, E).transpose(1, 2) for one in (self.c, self.a, self.d))
        return self.b(torch_attend(q, k, v).transpose(1, 2).reshape(b, n, D))


class Grouped(nn.Module):
    """Queries of a group, then its key and value (InternLM, Falcon)."""

    def __init__(self):
        super().__init__()
        self.wqkv = nn.Linear(16, 2 * 4 * 4, bias=False)  # 2 groups of 2 queries, k, v of 4
        self.wo = nn.Linear(16, 16, bias=False)

    def forward(self, x):
        b, n, _ = x.shape
        qkv = self.wqkv(x).view(b, n, 2, 4, 4)
        q = qkv[..., :2, :].reshape(b, n, 4, 4).transpose(1, 2)
        k = qkv[..., 2, :].repeat_interleave(2, dim=2).transpose(1, 2)
        v = qkv[..., 3, :].repeat_interleave(2, dim=2).transpose(1, 2)
        return self.wo(torch_attend(q, k, v).transpose(1, 2).reshape(b, n, 16))


class GroupedSeparate(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Linear(16, 16, bias=False)
        self.k = nn.Linear(16, 8, bias=False)
        self.v = nn.Linear(16, 8, bias=False)
        self.o = nn.Linear(16, 16, bias=False)

    def forward(self, x):
        b, n, _ = x.shape
        q = self.q(x).view(b, n, 4, 4).transpose(1, 2)
        k = self.k(x).view(b, n, 2, 4).transpose(1, 2).repeat_interleave(2, dim=1)
        v = self.v(x).view(b, n, 2, 4).transpose(1, 2).repeat_interleave(2, dim=1)
        return self.o(torch_attend(q, k, v).transpose(1, 2).reshape(b, n, 16))


class TorchMHA(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(D, H, batch_first=True)

    def forward(self, x):
        return self.attn(x, x, x, need_weights=False)[0]


class TorchCross(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(D, H, batch_first=True)

    def forward(self, x, memory):
        return self.attn(x, memory, memory, need_weights=False)[0]


class TorchCrossWide(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(D, H, kdim=8, vdim=8, batch_first=True)

    def forward(self, x, memory):
        return self.attn(x, memory, memory, need_weights=False)[0]


class EncoderPost(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(D, H, 2 * D, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x):
        return self.encoder(x)


class EncoderPre(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(D, H, D, batch_first=True, norm_first=True, activation="gelu")

    def forward(self, x):
        return self.layer(x)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(D, H, D, batch_first=True)

    def forward(self, x, memory):
        return self.layer(x, memory)


# ---- ports


def heads(y):
    return y.reshape(*y.shape[:-1], H, E).swapaxes(-2, -3)


def joined(y):
    y = y.swapaxes(-2, -3)
    return y.reshape(*y.shape[:-2], -1)


def port_separate(p, x):
    q, k, v = (heads(x @ p[f"{n}_w"] + p[f"{n}_b"]) for n in ("one", "two", "three"))
    return joined(attend(q, k, v)) @ p["four_w"] + p["four_b"]


SEPARATE = tree(
    **{f"{n}_w": (D, D) for n in ("four", "three", "two", "one")},
    **{f"{n}_b": (D,) for n in ("four", "three", "two", "one")},
)


def port_kernels(p, x):  # (in, h, e)
    q, k, v = (jnp.einsum("bnd,dhe->bhne", x, p[n]) + p[f"{n}_b"][:, None] for n in ("i", "j", "k"))
    return jnp.einsum("bhne,hed->bnd", attend(q, k, v), p["l"]) + p["l_b"]


KERNELS = tree(
    i=(D, H, E), j=(D, H, E), k=(D, H, E), l=(H, E, D), i_b=(H, E), j_b=(H, E), k_b=(H, E), l_b=(D,)
)


def port_heads_first(p, x):  # (h, in, e)
    q, k, v = (jnp.einsum("bnd,hde->bhne", x, p["w"][n]) + p["b"][n][:, None] for n in (2, 0, 1))
    return jnp.einsum("bhne,hed->bnd", attend(q, k, v), p["l"]) + p["l_b"]


HEADS_FIRST = tree(w=(3, H, D, E), b=(3, H, E), l=(H, E, D), l_b=(D,))


def port_fused_vqk(p, x):
    v, q, k = jnp.split(x @ p["w"] + p["b"], 3, -1)
    return joined(attend(heads(q), heads(k), heads(v))) @ p["o"] + p["o_b"]


FUSED = tree(w=(D, 3 * D), b=(3 * D,), o=(D, D), o_b=(D,))


def port_fused_h3d(p, x):
    y = (x @ p["w"] + p["b"]).reshape(*x.shape[:2], H, 3, E)
    q, k, v = (y[:, :, :, n].swapaxes(1, 2) for n in range(3))
    return joined(attend(q, k, v)) @ p["o"] + p["o_b"]


def port_fused_hd3(p, x):
    y = (x @ p["w"] + p["b"]).reshape(*x.shape[:2], H, E, 3)
    q, k, v = (y[..., n].swapaxes(1, 2) for n in range(3))
    return joined(attend(q, k, v)) @ p["o"] + p["o_b"]


def port_fused_one_leaf(p, x):
    q, k, v = jnp.einsum("bnd,cdhe->cbhne", x, p["w"]) + p["b"][:, None, :, None]
    return jnp.einsum("bhne,hed->bnd", attend(q, k, v), p["o"]) + p["o_b"]


ONE_LEAF = tree(w=(3, D, H, E), b=(3, H, E), o=(H, E, D), o_b=(D,))


def port_kvq(p, x):
    q, k, v = (heads(x @ p[n]) for n in ("x", "y", "z"))
    return joined(attend(q, k, v)) @ p["w"] + p["b"]


KVQ = tree(x=(D, D), y=(D, D), z=(D, D), w=(D, D), b=(D,))


def port_grouped(p, x):
    q = jnp.einsum("bnd,dhe->bhne", x, p["x"]).reshape(x.shape[0], 2, 2, -1, 4)
    k, v = (jnp.einsum("bnd,dhe->bhne", x, p[n]) for n in ("y", "z"))
    w = jax.nn.softmax(jnp.einsum("bgqne,bgme->bgqnm", q, k) / 2, -1)
    mixed = jnp.einsum("bgqnm,bgme->bngqe", w, v).reshape(*x.shape[:2], 16)
    return mixed @ p["o"]


GROUPED = tree(x=(16, 4, 4), y=(16, 2, 4), z=(16, 2, 4), o=(16, 16))


def port_grouped_repeat(p, x):
    b, n, _ = x.shape
    q = (x @ p["x"]).reshape(b, n, 4, 4).swapaxes(1, 2)
    k, v = (jnp.repeat((x @ p[one]).reshape(b, n, 2, 4), 2, axis=2).swapaxes(1, 2) for one in ("y", "z"))
    return attend(q, k, v).swapaxes(1, 2).reshape(b, n, 16) @ p["o"]


GROUPED_FLAT = tree(x=(16, 16), y=(16, 8), z=(16, 8), o=(16, 16))


def port_grouped_qkv(p, x):
    """All queries, then all keys, then all values, in one kernel."""
    b, n, _ = x.shape
    q, k, v = jnp.split(x @ p["w"], [16, 24], -1)
    q = q.reshape(b, n, 4, 4).swapaxes(1, 2)
    k, v = (jnp.repeat(one.reshape(b, n, 2, 4), 2, axis=2).swapaxes(1, 2) for one in (k, v))
    return attend(q, k, v).swapaxes(1, 2).reshape(b, n, 16) @ p["o"]


GROUPED_QKV = tree(w=(16, 32), o=(16, 16))


def nnx_mha():
    return nnx.MultiHeadAttention(num_heads=H, in_features=D, decode=False, rngs=nnx.Rngs(0))


class NnxBlock(nnx.Module):
    def __init__(self, hidden, pre, gelu, rngs):
        self.look = nnx.MultiHeadAttention(num_heads=H, in_features=D, decode=False, rngs=rngs)
        self.n2, self.n1 = (
            nnx.LayerNorm(D, epsilon=1e-5, rngs=rngs),
            nnx.LayerNorm(D, epsilon=1e-5, rngs=rngs),
        )
        self.up, self.down = nnx.Linear(D, hidden, rngs=rngs), nnx.Linear(hidden, D, rngs=rngs)
        self.pre, self.act = pre, (lambda x: jax.nn.gelu(x, approximate=False)) if gelu else jax.nn.relu

    def __call__(self, x):
        if self.pre:
            x = x + self.look(self.n1(x))
            return x + self.down(self.act(self.up(self.n2(x))))
        x = self.n1(x + self.look(x))
        return self.n2(x + self.down(self.act(self.up(x))))


class NnxEncoder(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.first, self.zeroth = NnxBlock(2 * D, False, False, rngs), NnxBlock(2 * D, False, False, rngs)

    def __call__(self, x):
        return self.first(self.zeroth(x))


class NnxDecoder(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        mha = lambda: nnx.MultiHeadAttention(num_heads=H, in_features=D, decode=False, rngs=rngs)
        norm = lambda: nnx.LayerNorm(D, epsilon=1e-5, rngs=rngs)
        self.across, self.own = mha(), mha()
        self.c, self.b, self.a = norm(), norm(), norm()
        self.down, self.up = nnx.Linear(D, D, rngs=rngs), nnx.Linear(D, D, rngs=rngs)

    def __call__(self, x, memory):
        x = self.a(x + self.own(x))
        x = self.b(x + self.across(x, memory))
        return self.c(x + self.down(jax.nn.relu(self.up(x))))


def eqx_mha():
    import equinox as eqx

    return eqx.nn.MultiheadAttention(
        H,
        D,
        use_query_bias=True,
        use_key_bias=True,
        use_value_bias=True,
        use_output_bias=True,
        key=jax.random.key(0),
    )


def call_eqx_mha(model, x):
    return jax.vmap(lambda one: model(one, one, one))(x)


def call_eqx_cross(model, x, memory):
    return jax.vmap(lambda one, two: model(one, two, two))(x, memory)


def keras_mha():
    import keras

    x = keras.Input((5, D))
    return keras.Model(x, keras.layers.MultiHeadAttention(H, E, name="looking")(x, x))


def keras_cross():
    import keras

    x, m = keras.Input((5, D)), keras.Input((4, 8))
    made = keras.Model([x, m], keras.layers.MultiHeadAttention(H, E, output_shape=D, name="looking")(x, m))
    return made


def call_keras(model, *args):
    return model(list(args) if len(args) > 1 else args[0])


# ---- positions


class Rotary(nn.Module):
    half = True

    def __init__(self):
        super().__init__()
        self.q = nn.Linear(16, 16, bias=False)
        self.k = nn.Linear(16, 16, bias=False)
        self.v = nn.Linear(16, 16, bias=False)
        self.o = nn.Linear(16, 16, bias=False)

    def turned(self, x):
        angles = torch.arange(x.shape[2])[:, None] / 100.0 ** (torch.arange(4) / 4)
        cos, sin = angles.cos(), angles.sin()
        if self.half:
            a, b = x[..., :4], x[..., 4:]
            return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
        a, b = x[..., ::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = (one(x).view(b, n, 2, 8).transpose(1, 2) for one in (self.q, self.k, self.v))
        mask = torch.tril(torch.ones(n, n, dtype=torch.bool))
        y = F.scaled_dot_product_attention(self.turned(q), self.turned(k), v, attn_mask=mask)
        return self.o(y.transpose(1, 2).reshape(b, n, 16))


class RotaryInterleaved(Rotary):
    half = False


def port_rotary(half):
    def run(p, x):
        b, n, _ = x.shape
        angles = jnp.arange(n)[:, None] / 100.0 ** (jnp.arange(4) / 4)
        cos, sin = jnp.cos(angles), jnp.sin(angles)

        def turned(y):
            if half:
                a, c = y[..., :4], y[..., 4:]
                return jnp.concatenate([a * cos - c * sin, c * cos + a * sin], -1)
            a, c = y[..., ::2], y[..., 1::2]
            return jnp.stack([a * cos - c * sin, c * cos + a * sin], -1).reshape(y.shape)

        q, k, v = ((x @ p[one]).reshape(b, n, 2, 8).swapaxes(1, 2) for one in ("a", "b", "c"))
        scores = turned(q) @ turned(k).swapaxes(-1, -2) / math.sqrt(8)
        scores = jnp.where(jnp.tril(jnp.ones((n, n), bool)), scores, -1e30)
        return (jax.nn.softmax(scores, -1) @ v).swapaxes(1, 2).reshape(b, n, 16) @ p["d"]

    return of(run)


ROTARY = tree(a=(16, 16), b=(16, 16), c=(16, 16), d=(16, 16))


class Alibi(Separate):
    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = (one(x).view(b, n, H, E).transpose(1, 2) for one in (self.c, self.a, self.d))
        slopes = torch.tensor([2.0 ** -(i + 1) for i in range(H)])
        away = torch.arange(n)[None, :] - torch.arange(n)[:, None]
        scores = q @ k.transpose(-2, -1) / math.sqrt(E) + slopes[:, None, None] * away
        scores = scores.masked_fill(away > 0, float("-inf"))
        return self.b((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, D))


def port_alibi(p, x):
    n = x.shape[1]
    q, k, v = (heads(x @ p[f"{o}_w"] + p[f"{o}_b"]) for o in ("one", "two", "three"))
    slopes = 2.0 ** -jnp.arange(1, H + 1)
    away = -(jnp.arange(n)[:, None] - jnp.arange(n)[None, :])
    scores = jnp.einsum("bhne,bhme->bhnm", q, k) * E**-0.5 + slopes.reshape(-1, 1, 1) * away
    scores = scores + jnp.where(away > 0, -1e9, 0.0)
    return joined(jax.nn.softmax(scores) @ v) @ p["four_w"] + p["four_b"]


class Relative(nn.Module):
    """T5: no scale, and a table of biases by the bucket of the distance."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(8, 2)
        self.q = nn.Linear(16, 16, bias=False)
        self.k = nn.Linear(16, 16, bias=False)
        self.v = nn.Linear(16, 16, bias=False)
        self.o = nn.Linear(16, 16, bias=False)

    def buckets(self, n):
        away = torch.arange(n)[None, :] - torch.arange(n)[:, None]
        found = (away > 0).long() * 4
        away = away.abs()
        large = 2 + (torch.log(away.float().clamp(min=1) / 2) / math.log(16 / 2) * 2).long()
        large = torch.min(large, torch.full_like(large, 3))
        return found + torch.where(away < 2, away, large)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = (one(x).view(b, n, 2, 8).transpose(1, 2) for one in (self.q, self.k, self.v))
        bias = self.table(self.buckets(n)).permute(2, 0, 1)[None]
        scores = q @ k.transpose(-1, -2) + bias
        return self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, 16))


def port_relative(p, x):
    b, n, _ = x.shape
    away = jnp.arange(n)[None, :] - jnp.arange(n)[:, None]
    base, far = jnp.where(away > 0, 4, 0), jnp.abs(away)
    large = 2 + (jnp.log(jnp.maximum(far, 1) / 2) / math.log(8) * 2).astype(int)
    bucket = base + jnp.where(far < 2, far, jnp.minimum(large, 3))
    bias = p["e"][:, bucket]
    q, k, v = ((x @ p[one]).reshape(b, n, 2, 8).swapaxes(1, 2) for one in ("a", "b", "c"))
    scores = q @ k.swapaxes(-1, -2) + bias
    return (jax.nn.softmax(scores, -1) @ v).swapaxes(1, 2).reshape(b, n, 16) @ p["d"]


RELATIVE = tree(a=(16, 16), b=(16, 16), c=(16, 16), d=(16, 16), e=(2, 8))


class Swin(nn.Module):
    """Windows with a table of relative positions, kept as an index of their own."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(9, 2))
        line = torch.arange(2)
        grid = torch.stack(torch.meshgrid(line, line, indexing="ij")).flatten(1)
        away = (grid[:, :, None] - grid[:, None]).permute(1, 2, 0) + 1
        self.register_buffer("index", away[..., 0] * 3 + away[..., 1])
        self.qkv = nn.Linear(8, 24)
        self.proj = nn.Linear(8, 8)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[self.index.view(-1)].view(n, n, 2).permute(2, 0, 1)
        scores = (q * 0.5) @ k.transpose(-2, -1) + bias[None]
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, c))


class SwinConstant(Swin):
    def __init__(self):
        super().__init__()
        index = self.index
        del self.index
        self.register_buffer("index", index, persistent=False)


def port_swin(p, x, turned=False):
    b, n, _ = x.shape
    line = jnp.arange(2)
    grid = jnp.stack(jnp.meshgrid(line, line, indexing="ij")).reshape(2, -1)
    away = grid[:, None] - grid[:, :, None] if turned else grid[:, :, None] - grid[:, None]
    away = away + 1
    bias = p["bias"][away[0], away[1]].transpose(2, 0, 1)
    q, k, v = ((x @ p[o] + p[f"{o}b"]).reshape(b, n, 2, 4).swapaxes(1, 2) for o in "qkv")
    scores = q @ k.swapaxes(-1, -2) / 2 + bias
    return (jax.nn.softmax(scores) @ v).swapaxes(1, 2).reshape(b, n, 8) @ p["o"] + p["ob"]


SWIN = tree(bias=(3, 3, 2), q=(8, 8), k=(8, 8), v=(8, 8), o=(8, 8), qb=(8,), kb=(8,), vb=(8,), ob=(8,))


class Learned(nn.Module):
    """Tables of tokens and of positions, of one shape; the head is tied to the first."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(8, 8)
        self.wpe = nn.Embedding(8, 8)
        self.ln = nn.LayerNorm(8)
        self.lm_head = nn.Linear(8, 8, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        return self.lm_head(self.ln(x))


def port_learned(p, ids):
    x = p["pos"][: ids.shape[1]] + p["tok"][ids]
    mean = x.mean(-1, keepdims=True)
    x = (x - mean) / jnp.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-5)
    return (x * p["g"] + p["h"]) @ p["tok"].T


def port_learned_untied(p, ids):
    x = p["pos"][: ids.shape[1]] + p["tok"][ids]
    mean = x.mean(-1, keepdims=True)
    x = (x - mean) / jnp.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-5)
    return (x * p["g"] + p["h"]) @ p["out"]


class Sinusoid(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(7, 8)
        pos = torch.arange(10)[:, None] * torch.exp(torch.arange(0, 8, 2) * -(math.log(10000.0) / 8))
        table = torch.zeros(10, 8)
        table[:, 0::2] = pos.sin()
        table[:, 1::2] = pos.cos()
        self.register_buffer("table", table, persistent=False)
        self.l = nn.Linear(8, 8)

    def forward(self, ids):
        return self.l(self.emb(ids) * math.sqrt(8) + self.table[: ids.shape[1]])


def port_sinusoid(p, ids):
    n = ids.shape[1]
    angle = jnp.arange(n)[:, None] / 10000.0 ** (jnp.arange(4) * 2 / 8)
    table = jnp.stack([jnp.sin(angle), jnp.cos(angle)], -1).reshape(n, 8)
    return (p["t"][ids] * 8**0.5 + table) @ p["w"] + p["b"]


class ClassToken(nn.Module):
    """Positions with a row more for a token of their own."""

    def __init__(self):
        super().__init__()
        self.cls = nn.Parameter(torch.zeros(1, 1, 6))
        self.pos = nn.Parameter(torch.zeros(1, 5, 6))
        self.l = nn.Linear(6, 6)

    def forward(self, x):
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        return torch.tanh(self.l(x)).mean(1)


def port_class_split(p, x):
    """The port keeps the position of the token by itself."""
    own = jnp.broadcast_to(p["own"] + p["own_at"], (len(x), 1, 6))
    x = jnp.concatenate([own, x + p["at"]], 1)
    return jnp.tanh(x @ p["w"] + p["b"]).mean(1)


def port_class(p, x):
    x = jnp.concatenate([jnp.tile(p["own"], (len(x), 1, 1)), x], 1) + p["at"]
    return jnp.tanh(x @ p["w"] + p["b"]).mean(1)


class Mask(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(D, H, batch_first=True)

    def forward(self, x, keep):
        return self.attn(x, x, x, key_padding_mask=~keep, need_weights=False)[0]


def port_mask(p, x, keep):
    q, k, v = (heads(x @ p[f"{n}_w"] + p[f"{n}_b"]) for n in ("one", "two", "three"))
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(E)
    scores = jnp.where(keep[:, None, None], scores, -1e30)
    return joined(jax.nn.softmax(scores) @ v) @ p["four_w"] + p["four_b"]


X = "f2,5,12"
G = "f2,5,16"


def linen(net, shapes, function, inputs=X, **more):
    return Pair(
        net, shapes, inputs, call=function if more.pop("raw", False) else of(function), to="linen", **more
    )


PAIRS = (
    {
        f"{net.__name__} into {word}": linen(net, shapes, port)
        for net in (Fused3HD, FusedH3D, FusedHD3, Separate, TorchMHA)
        for word, shapes, port in (
            ("separate", SEPARATE, port_separate),
            ("(in, h, d) kernels", KERNELS, port_kernels),
            ("(3, h, in, d) leaf", HEADS_FIRST, port_heads_first),
            ("fused v q k", FUSED, port_fused_vqk),
            ("fused (h 3 d)", FUSED, port_fused_h3d),
            ("fused (h d 3)", FUSED, port_fused_hd3),
            ("(3, in, h, d) leaf", ONE_LEAF, port_fused_one_leaf),
        )
    }
    | {
        f"{net.__name__} into {word}": Pair(net, make, X, call=call)
        for net in (Fused3HD, Separate, TorchMHA)
        for word, make, call in (
            ("nnx.MultiHeadAttention", nnx_mha, None),
            ("eqx.nn.MultiheadAttention", eqx_mha, call_eqx_mha),
            ("keras MultiHeadAttention", keras_mha, None),
        )
    }
    | {
        "FusedKVQ into separate": linen(FusedKVQ, KVQ, port_kvq),
        **{
            f"{net.__name__} into {word}": linen(net, shapes, port, G)
            for net in (Grouped, GroupedSeparate)
            for word, shapes, port in (
                ("(in, h, d) grouped", GROUPED, port_grouped),
                ("repeated", GROUPED_FLAT, port_grouped_repeat),
                ("fused q k v", GROUPED_QKV, port_grouped_qkv),
            )
        },
        "TorchCross into eqx": Pair(TorchCross, eqx_mha, "f2,5,12 f2,4,12", call=call_eqx_cross),
        "TorchCross into nnx": Pair(TorchCross, nnx_mha, "f2,5,12 f2,4,12", call=lambda m, x, y: m(x, y)),
        "TorchCrossWide into keras": Pair(TorchCrossWide, keras_cross, "f2,5,12 f2,4,8", call=call_keras),
        "TransformerEncoder into nnx": Pair(EncoderPost, NnxEncoder, X),
        "TransformerEncoderLayer, norms first, into nnx": Pair(
            EncoderPre, lambda: NnxBlock(D, True, True, nnx.Rngs(0)), X
        ),
        "TransformerDecoderLayer into nnx": Pair(Decoder, NnxDecoder, "f2,5,12 f2,4,12"),
        "rotary, halves": linen(Rotary, ROTARY, port_rotary(True), G, raw=True),
        "rotary, interleaved": linen(RotaryInterleaved, ROTARY, port_rotary(False), G, raw=True),
        "rotary, other convention": linen(
            Rotary, ROTARY, port_rotary(False), G, raw=True, open="heads turned"
        ),
        "rotary, other convention, back": linen(
            RotaryInterleaved, ROTARY, port_rotary(True), G, raw=True, open="heads turned"
        ),
        "ALiBi": linen(Alibi, SEPARATE, port_alibi),
        "T5 buckets": linen(Relative, RELATIVE, port_relative, G),
        "Swin table": linen(Swin, SWIN, port_swin, "f2,4,8"),
        "Swin table, constant index": linen(SwinConstant, SWIN, port_swin, "f2,4,8"),
        "Swin table, constant index from the end": linen(
            SwinConstant,
            SWIN,
            functools.partial(port_swin, turned=True),
            "f2,4,8",
            open="the table is turned",
        ),
        "learned positions, tied": linen(
            Learned, tree(tok=(8, 8), pos=(8, 8), g=(8,), h=(8,)), port_learned, "i8:2,8"
        ),
        "learned positions, fewer used": linen(
            Learned, tree(tok=(8, 8), pos=(8, 8), g=(8,), h=(8,)), port_learned, "i8:2,5"
        ),
        "learned positions, untied": linen(
            Learned, tree(tok=(8, 8), pos=(8, 8), g=(8,), h=(8,), out=(8, 8)), port_learned_untied, "i8:2,8"
        ),
        "sinusoids": linen(Sinusoid, tree(t=(7, 8), w=(8, 8), b=(8,)), port_sinusoid, "i7:2,6"),
        "class token": linen(ClassToken, tree(own=(6,), at=(5, 6), w=(6, 6), b=(6,)), port_class, "f2,4,6"),
        "class token with its own position": linen(
            ClassToken, tree(own=(6,), own_at=(6,), at=(4, 6), w=(6, 6), b=(6,)), port_class_split, "f2,4,6"
        ),
        "padding mask": linen(Mask, SEPARATE, port_mask, "f2,5,12 b2,5"),
    }
)
