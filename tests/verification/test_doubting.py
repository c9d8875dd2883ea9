"""Outputs that agree and show little are not said to agree."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.verification.comparing import measured

SOFT, HARD = "agree so far as this shows", "agree"


class Source(torch.nn.Module):
    def __init__(self, last, eps=1e-5):
        super().__init__()
        self.a = torch.nn.Linear(6, 7)
        self.norm = torch.nn.LayerNorm(7, eps=eps)
        self.b = torch.nn.Linear(7, 5)
        self.last = last

    def forward(self, x):
        return self.last(self.b(torch.relu(self.norm(self.a(x)))), torch)


class Port(nnx.Module):
    def __init__(self, last, activation=nnx.relu, eps=1e-5):
        rngs = nnx.Rngs(0)
        self.a = nnx.Linear(6, 7, rngs=rngs)
        self.norm = nnx.LayerNorm(7, epsilon=eps, rngs=rngs)
        self.b = nnx.Linear(7, 5, rngs=rngs)
        self.last, self.activation = last, activation

    def __call__(self, x):
        return self.last(self.b(self.activation(self.norm(self.a(x)))), jnp)


def plain(y, lib):
    return y


def masked(value):
    return lambda y, lib: lib.where(lib.arange(5) == 2, value, y)


def verify(last, activation=nnx.relu, eps=1e-5, port=None):
    torch.manual_seed(0)
    source = Source(last).eval()
    port = Port(last, activation, eps) if port is None else port
    return ms.verify(source_model=source, target_model=port, inputs=torch.randn(4, 6), load=True)


CASES = [
    ("plain", plain, HARD, "differ"),
    ("a mask of -1e9", masked(-1e9), HARD, "differ"),
    ("the least number", masked(float(np.finfo("float32").min)), HARD, "differ"),
    ("a mask of -inf", masked(-float("inf")), HARD, "differ"),
    ("zeros", lambda y, _: y * 0, SOFT, SOFT),
    ("ones", lambda y, _: y * 0 + 1, SOFT, SOFT),
    ("nothing but NaN", lambda y, _: y * float("nan"), SOFT, SOFT),
    ("argmax", lambda y, lib: lib.argmax(y, -1) * 0, SOFT, SOFT),
    ("bools", lambda y, _: y > -1e6, SOFT, SOFT),
    ("an offset", lambda y, _: y + 100, HARD, "differ"),
    ("an offset that hides all", lambda y, _: y + 1e6, SOFT, None),
    ("logits beside their argmax", lambda y, lib: (y, lib.argmax(y, -1)), HARD, "differ"),
]


@pytest.mark.parametrize(
    ("last", "right", "wrong"), [row[1:] for row in CASES], ids=[row[0] for row in CASES]
)
def test_what_outputs_hold_decides_what_agreement_shows(last, right, wrong):
    found = verify(last)
    assert found.verdict == right
    assert found.agrees is (right == HARD)
    assert ("because" in str(found).splitlines()[1]) is (right == SOFT)
    if wrong is not None:
        assert verify(last, nnx.gelu).verdict == wrong


def test_a_known_difference_is_the_cause_on_the_second_line():
    found = verify(plain, eps=1.001e-5)
    assert found.verdict == SOFT
    assert "epsilon is 1.001e-05 in the target" in str(found).splitlines()[1]
    assert found.to_json()["verdict"] == SOFT


class Other(nnx.Module):
    def __init__(self):
        self.zorp = nnx.Linear(6, 5, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.zorp(x)


def test_a_plan_that_fills_nothing_is_said_first():
    found = verify(plain, port=Other())
    assert str(found).startswith("the plan fills 0 of 2 leaves of the port")
    assert found.verdict == "differ"


def test_values_of_a_mask_do_not_set_the_scale():
    mine = np.array([-1e9, 1.0, 2.0, 3.0])
    assert measured(mine, mine + np.array([0, 0.5, 0, 0])).error == 0.25
    assert measured(mine, mine + np.array([1e8, 0, 0, 0])).error > 0.05  # no mask: it is not the same
    # One large value among others is no mask, and neither is one that is not far from them.
    assert measured(np.array([2e4, 1.5e4, 1.0]), np.array([2e4, 1.5e4, 1.2])).error < 1e-4
