"""ConvNeXt."""

import itertools

import jax.numpy as jnp
from flax import nnx

from ported.scrambled import Scrambled

DEPTHS, WIDTHS, CLASSES = (1, 2, 1, 1), (8, 12, 20, 28), 13


class Block(Scrambled):
    """A convolution of each channel, then a small network of each place, scaled."""

    def __init__(self, width, rngs):
        self.scale = nnx.Param(jnp.ones(width))
        self.narrow, self.wide = (nnx.Linear(*s, rngs=rngs) for s in ((4 * width, width), (width, 4 * width)))
        self.norm = nnx.LayerNorm(width, epsilon=1e-6, rngs=rngs)
        self.mix = nnx.Conv(width, width, (7, 7), feature_group_count=width, padding=3, rngs=rngs)

    def __call__(self, x):
        y = self.narrow(nnx.gelu(self.wide(self.norm(self.mix(x))), approximate=False))
        return x + y * self.scale


class Port(Scrambled):
    """The classifier; images are ``(batch, height, width, channels)``."""

    def __init__(self, rngs):
        self.head = nnx.Linear(WIDTHS[-1], CLASSES, rngs=rngs)
        self.last = nnx.LayerNorm(WIDTHS[-1], epsilon=1e-6, rngs=rngs)
        self.blocks = nnx.List(
            [nnx.List([Block(w, rngs) for _ in range(d)]) for w, d in zip(WIDTHS, DEPTHS, strict=True)]
        )
        self.halves = nnx.List(
            [nnx.Conv(a, b, (2, 2), strides=2, rngs=rngs) for a, b in itertools.pairwise(WIDTHS)]
        )
        self.norms = nnx.List([nnx.LayerNorm(w, epsilon=1e-6, rngs=rngs) for w in (WIDTHS[0], *WIDTHS[:-1])])
        self.stem = nnx.Conv(3, WIDTHS[0], (4, 4), strides=4, rngs=rngs)

    def __call__(self, images):
        x = self.norms[0](self.stem(images))
        for stage, blocks in enumerate(self.blocks):
            if stage:
                x = self.halves[stage - 1](self.norms[stage](x))
            for block in blocks:
                x = block(x)
        return self.head(self.last(jnp.mean(x, (1, 2))))
