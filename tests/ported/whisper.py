"""The encoder of Whisper: two convolutions over sound, then a transformer."""

import jax
import jax.numpy as jnp
from flax import nnx

from ported.scrambled import Scrambled

BANDS, WIDTH, INSIDE, LAYERS, HEADS, PLACES = 11, 24, 40, 2, 3, 15


class Layer(Scrambled):
    """One layer, each part behind its norm; keys have no bias."""

    def __init__(self, rngs):
        self.wide, self.narrow = (nnx.Linear(*s, rngs=rngs) for s in ((WIDTH, INSIDE), (INSIDE, WIDTH)))
        self.out, self.values, self.queries = (nnx.Linear(WIDTH, WIDTH, rngs=rngs) for _ in range(3))
        self.keys = nnx.Linear(WIDTH, WIDTH, use_bias=False, rngs=rngs)
        self.second, self.first = (nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs) for _ in range(2))

    def attend(self, x):
        """Let every place read every other."""
        q, k, v = (f(x).reshape(*x.shape[:2], HEADS, -1) for f in (self.queries, self.keys, self.values))
        return self.out(jax.nn.dot_product_attention(q, k, v).reshape(x.shape))

    def __call__(self, x):
        x = x + self.attend(self.first(x))
        return x + self.narrow(nnx.gelu(self.wide(self.second(x)), approximate=False))


class Port(Scrambled):
    """The encoder; sound is ``(batch, time, bands)``."""

    def __init__(self, rngs):
        self.norm = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)
        self.layers = nnx.List([Layer(rngs) for _ in range(LAYERS)])
        self.places = nnx.Param(jnp.zeros((PLACES, WIDTH)))
        self.halve = nnx.Conv(WIDTH, WIDTH, (3,), strides=2, padding=1, rngs=rngs)
        self.lift = nnx.Conv(BANDS, WIDTH, (3,), padding=1, rngs=rngs)

    def __call__(self, sound):
        x = nnx.gelu(self.lift(sound), approximate=False)
        x = nnx.gelu(self.halve(x), approximate=False) + self.places[...]
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)
