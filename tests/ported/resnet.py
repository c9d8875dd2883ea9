"""Residual networks of bottlenecks."""

import jax.numpy as jnp
from flax import nnx

from ported.scrambled import Scrambled


class Filter(Scrambled):
    """A convolution and its norm."""

    def __init__(self, inside, outside, size, stride, rngs):
        self.norm = nnx.BatchNorm(outside, use_running_average=True, epsilon=1e-5, rngs=rngs)
        self.mix = nnx.Conv(
            inside, outside, (size, size), strides=stride, padding=size // 2, use_bias=False, rngs=rngs
        )

    def __call__(self, x):
        return self.norm(self.mix(x))


class Bottleneck(Scrambled):
    """Three convolutions, and a way around them."""

    def __init__(self, inside, between, outside, stride, first, rngs):
        self.around = Filter(inside, outside, 1, stride, rngs) if first else None
        self.last = Filter(between, outside, 1, 1, rngs)
        self.middle = Filter(between, between, 3, stride, rngs)
        self.first = Filter(inside, between, 1, 1, rngs)

    def __call__(self, x):
        y = self.last(nnx.relu(self.middle(nnx.relu(self.first(x)))))
        return nnx.relu((x if self.around is None else self.around(x)) + y)


class Port(Scrambled):
    """The classifier; images are ``(batch, height, width, channels)``.

    Args:
        depths: How many blocks each stage has.
        widths: Of each stage, the channels between and behind its convolutions.
        stem: The channels of the first convolution.
        classes: How many classes there are.
        rngs: Random numbers.
    """

    def __init__(self, depths, widths, stem, classes, *, rngs):
        self.head = nnx.Linear(widths[-1][1], classes, rngs=rngs)
        blocks, inside = [], stem
        for stage, (depth, (between, outside)) in enumerate(zip(depths, widths, strict=True)):
            for place in range(depth):
                stride = 2 if stage and not place else 1
                blocks.append(Bottleneck(inside, between, outside, stride, not place, rngs))
                inside = outside
        self.blocks = nnx.List(blocks)
        self.stem = Filter(3, stem, 7, 2, rngs)

    def __call__(self, images):
        x = nnx.relu(self.stem(images))
        x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for block in self.blocks:
            x = block(x)
        return self.head(jnp.mean(x, (1, 2)))
