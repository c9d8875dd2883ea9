"""Llama: grouped queries, rotated halves, a gate."""

import jax
import jax.numpy as jnp
from flax import nnx

from ported.scrambled import Scrambled

VOCABULARY, WIDTH, INSIDE, LAYERS, HEADS, GROUPS = 53, 24, 40, 2, 6, 2


def plain(inside, outside, rngs):
    """Return a linear layer without a bias."""
    return nnx.Linear(inside, outside, use_bias=False, rngs=rngs)


def turned(x):
    """Rotate the halves of each head ``(batch, length, heads, size)`` by the place of the token."""
    half = x.shape[-1] // 2
    pace = 1.0 / 10000.0 ** (jnp.arange(half, dtype=jnp.float32) / half)
    angle = jnp.arange(x.shape[1], dtype=jnp.float32)[:, None, None] * pace
    one, other = x[..., :half], x[..., half:]
    return jnp.concatenate(
        [one * jnp.cos(angle) - other * jnp.sin(angle), other * jnp.cos(angle) + one * jnp.sin(angle)], -1
    )


class Attention(Scrambled):
    """Every token reads those before it; three heads share one key and one value."""

    def __init__(self, rngs):
        size = WIDTH // HEADS
        self.out = plain(WIDTH, WIDTH, rngs)
        self.values, self.keys = (plain(WIDTH, GROUPS * size, rngs) for _ in range(2))
        self.queries = plain(WIDTH, WIDTH, rngs)

    def __call__(self, x):
        batch, length, _ = x.shape
        size = WIDTH // HEADS
        q = turned(self.queries(x).reshape(batch, length, HEADS, size))
        q = q.reshape(batch, length, GROUPS, HEADS // GROUPS, size)
        k = turned(self.keys(x).reshape(batch, length, GROUPS, size))
        v = self.values(x).reshape(batch, length, GROUPS, size)
        scores = jnp.einsum("bqghd,bkgd->bghqk", q, k) / jnp.sqrt(size)
        scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -jnp.inf)
        y = jnp.einsum("bghqk,bkgd->bqghd", jax.nn.softmax(scores), v)
        return self.out(y.reshape(batch, length, WIDTH))


class Layer(Scrambled):
    """One layer, each part behind its norm."""

    def __init__(self, rngs):
        self.up, self.gate = plain(WIDTH, INSIDE, rngs), plain(WIDTH, INSIDE, rngs)
        self.down = plain(INSIDE, WIDTH, rngs)
        self.inside, self.before = (nnx.RMSNorm(WIDTH, epsilon=1e-6, rngs=rngs) for _ in range(2))
        self.attention = Attention(rngs)

    def __call__(self, x):
        x = x + self.attention(self.before(x))
        y = self.inside(x)
        return x + self.down(self.up(y) * nnx.silu(self.gate(y)))


class Port(Scrambled):
    """The language model; gives the scores of the next token."""

    def __init__(self, rngs):
        self.head = plain(WIDTH, VOCABULARY, rngs)
        self.norm = nnx.RMSNorm(WIDTH, epsilon=1e-6, rngs=rngs)
        self.layers = nnx.List([Layer(rngs) for _ in range(LAYERS)])
        self.words = nnx.Embed(VOCABULARY, WIDTH, rngs=rngs)

    def __call__(self, tokens):
        x = self.words(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))
