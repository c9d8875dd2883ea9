import numpy as np
import pytest

from ml_switcheroo.errors import UsageError
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.planning.prefixes import peel
from ml_switcheroo.rules import Drop
from ml_switcheroo.tensors import TensorSpec

SPEC = TensorSpec((2, 3), "float32")
TABLE = {"net.fc": "Linear", "tok": "Embedding"}
STATE = {"net.fc.weight": np.arange(6, dtype="f4").reshape(2, 3), "tok.weight": np.zeros((4, 2), "f4")}


def specs(*names):
    return dict.fromkeys(names, SPEC)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_forward_module.module."])
def test_wrappers_are_peeled_without_being_told(prefix):
    assert peel(specs(f"{prefix}a.weight", f"{prefix}b"), None).prefix == prefix


@pytest.mark.parametrize("names", [("model.a", "model.b"), ("module.a", "b"), ("modules.a",), ()])
def test_what_may_be_the_models_own_is_not_peeled_unasked(names):
    assert peel(specs(*names), None).prefix == ""


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.", "module._orig_mod.model.", "model.net.backbone.", "encoder_q."]
)
def test_a_prefix_is_peeled_where_the_rest_fits(prefix):
    state = {f"{prefix}{name}": array for name, array in STATE.items()}
    plan = make_plan(state, to="jax", layers=TABLE)
    plan.check()
    assert set(plan.inputs) == set(state)
    assert set(plan.outputs) == {"net.fc.kernel", "tok.embedding"}
    assert any(f"peeled {prefix!r}" in note for note in plan.notes) == bool(prefix)
    np.testing.assert_array_equal(plan.apply(state)["net.fc.kernel"], STATE["net.fc.weight"].T)


def test_what_stands_outside_of_the_prefix_is_accounted_for():
    state = {f"encoder_q.{name}": array for name, array in STATE.items()} | {"queue": np.zeros(3, "f4")}
    plan = make_plan(state, to="jax", layers=TABLE)
    assert plan.unexpected["queue"].why == "outside of 'encoder_q.'"


def test_two_prefixes_that_fit_equally_are_an_error_that_names_both():
    state = {f"{prefix}.{name}": array for prefix in ("student", "teacher") for name, array in STATE.items()}
    with pytest.raises(UsageError, match=r"'student\.', 'teacher\.'.*Drop\(\"teacher\.\*\"\)"):
        make_plan(state, to="jax", layers=TABLE)
    plan = make_plan(state, to="jax", layers=TABLE, rules=[Drop("teacher.*", "the student is wanted")])
    plan.check()
    assert set(plan.dropped) == {"teacher.net.fc.weight", "teacher.tok.weight"}
    assert set(plan.outputs) == {"net.fc.kernel", "tok.embedding"}


@pytest.mark.parametrize("prefix", ["module.", "model."])
def test_a_file_alone_is_enough_under_a_prefix(prefix, tmp_path):
    code = (
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    )
    (tmp_path / "net.py").write_text(code + "        self.tok = nn.Embedding(4, 2)\n")
    state = {f"{prefix}tok.weight": STATE["tok.weight"]}
    plan = make_plan(state, to="nnx", layers=str(tmp_path / "net.py"))
    plan.check()
    assert list(plan.apply(state)) == ["tok.embedding"]
