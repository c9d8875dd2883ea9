"""Measure how loading grows with the number of blocks: `python benchmarks/load_growth.py [--blocks 100 200]`.

A block is a Linear, a LayerNorm and another Linear, all small: what grows is what a load does for each leaf.
Timed are the CPU seconds of `load_into`; the least of the rounds. The last column is the exponent: 1 where
twice the blocks take twice as long.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from typing import Any

import numpy as np

import ml_switcheroo as ms

WIDTH = 4


def state_of(blocks: int) -> dict[str, Any]:
    """Return the state dict, and the kinds of its modules."""
    state: dict[str, Any] = {}
    for i in range(blocks):
        for name, shape in (("up", (WIDTH, WIDTH)), ("norm", (WIDTH,)), ("down", (WIDTH, WIDTH))):
            state[f"blocks.{i}.{name}.weight"] = np.ones(shape, "f4")
            state[f"blocks.{i}.{name}.bias"] = np.ones(WIDTH, "f4")
    return state


def nnx_model(blocks: int) -> Any:
    """Make the model in NNX."""
    from flax import nnx

    rngs = nnx.Rngs(0)

    class Block(nnx.Module):
        def __init__(self) -> None:
            self.up = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
            self.norm = nnx.LayerNorm(WIDTH, rngs=rngs)
            self.down = nnx.Linear(WIDTH, WIDTH, rngs=rngs)

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.blocks = nnx.List([Block() for _ in range(blocks)])

    return Net()


def keras_model(blocks: int) -> Any:
    """Make the model in Keras."""
    import keras

    class Block(keras.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.up = keras.layers.Dense(WIDTH)
            self.norm = keras.layers.LayerNormalization(epsilon=1e-5)
            self.down = keras.layers.Dense(WIDTH)

        def build(self, shape: Any) -> None:
            for layer in (self.up, self.norm, self.down):
                layer.build((None, WIDTH))
            self.built = True

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [Block() for _ in range(blocks)]
            for block in self.blocks:
                block.build((None, WIDTH))
            self.built = True

    return Net()


MODELS = {"keras": keras_model, "nnx": nnx_model}


def main() -> None:
    """Print CPU seconds for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, nargs="+", default=[100, 200, 400, 800])
    parser.add_argument("--targets", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "jax")
    for target in args.targets:
        before: tuple[int, float] | None = None
        ms.load_into(MODELS[target](1), state_of(1))  # imports
        for blocks in args.blocks:
            model, state, times = MODELS[target](blocks), state_of(blocks), []
            for _ in range(args.rounds):
                start = time.process_time()
                ms.load_into(model, state)
                times.append(time.process_time() - start)
            least = min(times)
            grown = math.log(least / before[1]) / math.log(blocks / before[0]) if before else math.nan
            print(f"{target:6} {blocks:5} blocks  {least:7.2f} s  exponent {grown:4.2f}", flush=True)
            before = blocks, least


if __name__ == "__main__":
    main()
