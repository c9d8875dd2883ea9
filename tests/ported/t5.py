"""T5, whole: places are a table of how far tokens are apart; the head is the embedding."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from ported.scrambled import Scrambled

VOCABULARY, WIDTH, SIZE, INSIDE, LAYERS, HEADS, BUCKETS, FAR = 53, 24, 7, 40, 2, 3, 32, 128


def plain(inside, outside, rngs):
    """Return a linear layer without a bias."""
    return nnx.Linear(inside, outside, use_bias=False, rngs=rngs)


def normed(rngs):
    """Return the norm that T5 uses everywhere."""
    return nnx.RMSNorm(WIDTH, epsilon=1e-6, rngs=rngs)


def buckets(length, both):
    """Return the bucket of each pair of places, ``(query, key)``: near ones have one each."""
    apart = jnp.arange(length)[None] - jnp.arange(length)[:, None]
    count = BUCKETS // 2 if both else BUCKETS
    start = jnp.where(apart > 0, count, 0) if both else jnp.zeros_like(apart)
    apart = jnp.abs(apart) if both else jnp.maximum(-apart, 0)
    near = count // 2
    share = jnp.log(jnp.maximum(apart, 1) / near) / math.log(FAR / near)
    far = jnp.minimum(near + (share * (count - near)).astype(jnp.int32), count - 1)
    return start + jnp.where(apart < near, apart, far)


class Attention(Scrambled):
    """Scores are not scaled; ``bias (heads, query, key)`` is added to them."""

    def __init__(self, rngs):
        self.out = plain(HEADS * SIZE, WIDTH, rngs)
        self.values, self.queries, self.keys = (plain(WIDTH, HEADS * SIZE, rngs) for _ in range(3))

    def __call__(self, x, memory, bias):
        q = self.queries(x).reshape(*x.shape[:2], HEADS, SIZE)
        k, v = (f(memory).reshape(*memory.shape[:2], HEADS, SIZE) for f in (self.keys, self.values))
        weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) + bias)
        return self.out(jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(*x.shape[:2], HEADS * SIZE))


class Layer(Scrambled):
    """One layer of a stack; that of the decoder reads the encoder, too."""

    def __init__(self, reads, rngs):
        self.down, self.up = plain(INSIDE, WIDTH, rngs), plain(WIDTH, INSIDE, rngs)
        self.last, self.first = normed(rngs), normed(rngs)
        self.cross = Attention(rngs) if reads else None
        self.between = normed(rngs) if reads else None
        self.attention = Attention(rngs)

    def __call__(self, x, bias, memory=None):
        y = self.first(x)
        x = x + self.attention(y, y, bias)
        if memory is not None:
            x = x + self.cross(self.between(x), memory, 0.0)
        return x + self.down(nnx.relu(self.up(self.last(x))))


class Stack(Scrambled):
    """The encoder, or the decoder."""

    def __init__(self, reads, rngs):
        self.norm = normed(rngs)
        self.layers = nnx.List([Layer(reads, rngs) for _ in range(LAYERS)])
        self.apart = nnx.Embed(BUCKETS, HEADS, rngs=rngs)

    def __call__(self, x, memory=None):
        length = x.shape[1]
        bias = self.apart(buckets(length, memory is None)).transpose(2, 0, 1)
        if memory is not None:
            bias = jnp.where(jnp.tril(jnp.ones((length, length), bool)), bias, jnp.finfo(x.dtype).min)
        for layer in self.layers:
            x = layer(x, bias, memory)
        return self.norm(x)


class Port(Scrambled):
    """Both stacks; gives the scores of the next token, and what the decoder read."""

    def __init__(self, rngs):
        self.decoder, self.encoder = Stack(True, rngs), Stack(False, rngs)
        self.words = nnx.Embed(VOCABULARY, WIDTH, rngs=rngs)

    def __call__(self, tokens, answer):
        memory = self.encoder(self.words(tokens))
        y = self.decoder(self.words(answer), memory)
        return self.words.attend(y * WIDTH**-0.5), memory
