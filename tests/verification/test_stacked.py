"""Blocks that the target runs in a loop over one stacked leaf: each turn is compared with its block."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen

import ml_switcheroo as ms
from verification.ports import seeded


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = torch.nn.Linear(8, 12), torch.nn.Linear(12, 8)

    def forward(self, x):
        return x + self.fc2(torch.relu(self.fc1(x)))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([Block() for _ in range(3)])
        self.head = torch.nn.Linear(8, 4)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


class BlockPort(linen.Module):
    forgotten: bool

    @linen.compact
    def __call__(self, x, _):
        hidden = linen.Dense(12, name="fc1")(x)
        return x + linen.Dense(8, name="fc2")(hidden if self.forgotten else linen.relu(hidden)), None


class Port(linen.Module):
    forgotten: bool

    @linen.compact
    def __call__(self, x):
        blocks = linen.scan(BlockPort, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = blocks(self.forgotten, name="layers")(x, None)
        return linen.Dense(4, name="head")(x)


@pytest.mark.parametrize("forgotten", [False, True])
def test_each_turn_of_a_scan_is_a_block(forgotten):
    port = Port(forgotten)
    report = ms.verify(
        source_model=seeded(Net),
        target_model=port.init(jax.random.key(0), jnp.zeros((2, 8))),
        target_call=port.apply,
        inputs=np.random.default_rng(0).normal(size=(2, 8)).astype("f4"),
        load=True,
    )
    assert [layer.source for layer in report.layers] == [
        *(f"layers.{i}.{name}" for i in range(3) for name in ("fc1", "fc2")),
        "head",
    ]
    assert report.agrees is not forgotten
    if forgotten:
        assert (report.first.where, report.first.layer.source) == ("before", "layers.0.fc2")
