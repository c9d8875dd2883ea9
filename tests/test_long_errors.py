"""No error is longer than a screen; ``error.full`` and ``error.problems`` have all of it."""

import numpy as np
import pytest
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.errors import shortened

MANY = 1000
STATE = {f"model.encoder.layers.{n}.attention.query.weight": np.zeros((4, 4), "f4") for n in range(MANY)}
LAYERS = {name.removesuffix(".weight"): "linear" for name in STATE}
OTHER = {f"x{n}.with.a.rather.long.name": np.zeros((4, 4), "f4") for n in range(MANY)}


class Port(nnx.Module):
    def __init__(self):
        for number in range(60):
            name = f"a_layer_with_quite_a_long_name_{number}"
            setattr(self, name, nnx.Linear(3, 4, rngs=nnx.Rngs(0)))


def plan(**options):
    return ms.make_plan(STATE, **{"to": "nnx", "layers": LAYERS, **options})


def turned():
    return {name: np.zeros((3, 3), "f4") for name in STATE}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: plan(layers=None).check(),
        lambda: plan(like={f"encoder.layers_{n}.attention.q.kernel": (5, 4) for n in range(MANY)}).check(),
        lambda: plan().apply(OTHER),
        lambda: plan().apply({}),
        lambda: plan().apply(turned()),
        lambda: plan(layers=dict.fromkeys(LAYERS, "liner")),
        lambda: plan(rules=[ms.Kind(f"nowhere{n}", "linear") for n in range(MANY)]),
        lambda: plan(rules=[ms.Kind("*.query", "linear"), ms.Kind("*.query", "embedding")]),
        lambda: ms.make_plan(dict.fromkeys(STATE, 1), to="nnx"),
        lambda: ms.load_into(Port(), OTHER),
        lambda: ms.to_torch(Port(), like=OTHER),
    ],
)
def test_an_error_is_no_longer_than_a_screen(wrong):
    with pytest.raises(ms.SwitcherooError) as failed:
        wrong()
    error = failed.value
    assert len(str(error)) <= 4000
    assert str(error).count("\n") < 40
    assert "x" * 1100 not in str(error)
    assert len(error.full) >= len(str(error)) - 100
    if len(error.full) > 4000:
        assert "(--full; error.full)" in str(error)


def test_the_cure_and_every_sort_of_problem_stay():
    with pytest.raises(ms.LoadError) as failed:
        ms.load_into(Port(), OTHER)
    assert str(failed.value).splitlines()[-1].startswith("Add Rename, Drop or Keep rules")
    assert len(failed.value.problems) == MANY + 120
    assert all(name in failed.value.full for name in OTHER)


def test_what_is_short_is_left_as_it_is():
    for text in ("", "a", "a\n", "a\n  b\nc", "x" * 999, "\n".join("abc" * 13)):
        assert shortened(text) == text


def test_a_list_in_a_line_is_cut_behind_an_entry():
    said = shortened("odd: " + ", ".join(f"name{number}" for number in range(5000)))
    assert said.endswith(", ... (--full; error.full)")
    assert len(said) < 1100
    assert said.removesuffix(", ... (--full; error.full)").split(", ")[-1].startswith("name")
