"""Scales of norms around 0: the one thing that values say of a plan."""

import flax.nnx as nnx
import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.rule_lines import parse_rules
from ml_switcheroo.scales import said_of_values

RNG = np.random.default_rng(0)
AROUND = {
    "zero": 0.1 * RNG.standard_normal(64),
    "zero, of few bits": (0.1 * RNG.standard_normal(64)).astype("float16"),
    "nothing": np.zeros(64),
}
ELSEWHERE = {
    "one": 1 + 0.1 * RNG.standard_normal(64),
    "small, of one sign": 0.2 + 0.05 * RNG.random(64),
    "random": RNG.standard_normal(64),
    "few": np.array([0.1, -0.1]),
    "no number": np.full(64, np.nan),
}


def plan_of(values, **more):
    state = {"norm.weight": values}
    return state, ms.make_plan(state, to="nnx", rules=[ms.Kind("norm", "rms_norm")], **more)


@pytest.mark.parametrize("name", AROUND)
def test_scales_around_zero_are_said(name):
    state, plan = plan_of(AROUND[name])
    (note,) = said_of_values(plan.moves, state)
    assert note.startswith("norm.weight: ")
    rule = note[note.index("Move(") :].replace(", leaf,", ', "norm.scale",')
    assert not said_of_values(ms.make_plan(state, to="nnx", rules=parse_rules(rule)).moves, state)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_scales_are_not(name):
    state, plan = plan_of(ELSEWHERE[name])
    assert not said_of_values(plan.moves, state)


def test_biases_and_batch_norms_that_start_from_zero_are_not():
    state = {"bn.weight": np.zeros(8), "bn.bias": np.zeros(8), "bn.running_mean": np.zeros(8)}
    state |= {"bn.running_var": np.ones(8), "ln.weight": np.ones(8), "ln.bias": AROUND["zero"][:8]}
    assert not said_of_values(ms.make_plan(state, to="nnx").moves, state)


class Port(nnx.Module):
    def __init__(self):
        self.norm, self.other = (nnx.RMSNorm(64, rngs=nnx.Rngs(0)) for _ in range(2))


def test_it_is_said_when_loading_and_converting_once_for_all(tmp_path):
    state = {
        "norm.weight": AROUND["zero"].astype("float32"),
        "other.weight": AROUND["zero"].astype("float32"),
    }
    (note,) = [one for one in ms.load_into(Port(), state).notes if "around 0" in one]
    assert note.startswith("norm.weight and 1 more: ")
    np.savez(tmp_path / "in.npz", **state)
    said = []
    ms.convert(tmp_path / "in.npz", tmp_path / "out.npz", to="nnx", like=Port(), say=said.append)
    assert said == [note]
