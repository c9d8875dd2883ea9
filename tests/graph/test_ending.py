"""A program that is not followed to its end differs from another one in nothing that was not read."""

import jax.numpy as jnp
import numpy as np

import ml_switcheroo as ms

SOURCE = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.first = nn.Linear(6, 5)
        self.last = nn.Linear(5, 4)

    def forward(self, x, y):
        x = self.first(self.words(x))
        {CONDITION}
        return self.last(x), self.first(self.words(y))
"""
SHAPES = {
    "words.weight": (11, 6),
    "first.weight": (5, 6),
    "first.bias": (5,),
    "last.weight": (4, 5),
    "last.bias": (4,),
}
LIKE = {
    "params": {
        "words": {"embedding": jnp.zeros((11, 6))},
        "first": {"kernel": jnp.zeros((6, 5)), "bias": jnp.zeros(5)},
        "last": {"kernel": jnp.zeros((5, 4)), "bias": jnp.zeros(4)},
    }
}


def port(variables, x, y, gain=1.0):
    p = variables["params"]

    def first(tokens):
        return p["words"]["embedding"][tokens] @ p["first"]["kernel"] + p["first"]["bias"]

    return (first(x) * gain) @ p["last"]["kernel"] + p["last"]["bias"], first(y)


def plan_of(tmp_path, condition, call=port):
    path = tmp_path / "model.py"
    path.write_text(SOURCE.replace("{CONDITION}", condition))
    state = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
    inputs = "int64[2,7] int64[2,5]"
    return ms.make_plan(state, to="linen", like=LIKE, layers=f"{path}:Net", inputs=inputs, target_call=call)


UNKNOWN = "if x.sum() > 0:\n            x = x * 2"


def test_what_was_not_read_is_no_difference(tmp_path):
    """One output where it ended, and a table that is used once so far: neither is a fact of the program."""
    plan = plan_of(tmp_path, UNKNOWN)
    assert plan.differences == ()
    assert "is not followed all the way" in "\n".join(plan.notes)
    plan.check()  # names decide
    assert len(plan.outputs) == 5


def test_what_was_read_is_still_one(tmp_path):
    def other(variables, x, y):
        found, _ = port(variables, x, y)
        return found

    assert "gives 2 outputs, the target's 1" in "\n".join(plan_of(tmp_path, "pass", other).differences)
