"""What is asked of a target stands in its row, and a fact that is missing is an error that names both."""

import subprocess
import sys
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

import ml_switcheroo as ms
from ml_switcheroo import targets
from ml_switcheroo.codemod.bundle import planned_of, source_of
from ml_switcheroo.codemod.known_plan import plan_of
from ml_switcheroo.codemod.operations import find_operation
from ml_switcheroo.errors import UsageError
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.outputs import choose_output
from ml_switcheroo.recipes import Target, Unsupported
from ml_switcheroo.targets import TARGETS
from ml_switcheroo.verification.observers import observer_of

LOAD = "import torch\nnet = torch.nn.Linear(2, 3)\nnet.load_state_dict(torch.load('a.pt'))\n"


@pytest.fixture
def new(monkeypatch):
    """Add a target as CONTRIBUTING says: a file with its row, and its name in the list."""

    def add(**facts) -> Target:
        plain = {"aliases": (), "mapper": None, "observer": ""}
        row = replace(TARGETS["nnx"], name="new", **{**plain, **facts})
        monkeypatch.setattr(targets, "TARGETS", {**TARGETS, "new": row})
        return row

    return add


def test_a_target_without_a_mapper_plans_and_is_refused_by_the_rewrite(new):
    new()
    assert set(ms.make_plan({"fc.weight": np.ones((2, 3))}, to="new", layers={"fc": "linear"}).outputs) == {
        "fc.kernel"
    }
    with pytest.raises(
        UsageError, match=r"^target new: no code is .*: its row in ml_switcheroo.targets has no mapper$"
    ):
        ms.rewrite(LOAD, to="new")
    with pytest.raises(UsageError, match=r"^target new: .* has no mapper$"):
        ms.rewrite("x = 1\n", to="new")


def test_a_target_gets_the_mapper_of_its_row_and_its_idiom(new):
    row = new(mapper=TARGETS["mlx"].mapper)
    code = ms.rewrite(LOAD, to="new").code
    assert "class LiveMlx" in code
    assert "KeyMapper.load_into(net, torch.load('a.pt'))" in code
    new(mapper=row.mapper, live=replace(row.live, immutable=True))
    assert "net = KeyMapper.load_into(" in ms.rewrite(LOAD, to="new").code
    new(mapper=row.mapper, live=None)
    assert find_operation("load_state_dict", "new").requires_plugin == "checkpoint_mapper"
    assert "net_params = KeyMapper.from_torch(" in ms.rewrite(LOAD, to="new").code


def test_a_mapper_for_live_models_needs_the_class_that_writes_them(new):
    new(mapper=replace(TARGETS["mlx"].mapper, live=""))
    table = plan_of({"fc.weight": np.ones((2, 3))}, {"fc": "linear"}, "new")
    assert "class KeyMapper(PlannedMapper)" in planned_of("new", ["from_torch"], table)
    with pytest.raises(UsageError, match=r"^target new: .* has no mapper\.live$"):
        planned_of("new", ["load_into"], table)


def test_a_mapper_that_cannot_be_read_is_named(new):
    new(mapper=replace(TARGETS["mlx"].mapper, module="no_such_package.into_new"))
    with pytest.raises(
        UsageError, match=r"the module no_such_package\.into_new of a KeyMapper cannot be read"
    ):
        source_of("new", ["from_torch"])


def test_a_target_without_an_observer_is_refused_by_verify(new):
    with pytest.raises(UsageError, match=r"^target new: .*its row in ml_switcheroo.targets has no observer$"):
        observer_of(new())
    assert observer_of(new(observer=TARGETS["mlx"].observer)).__name__.endswith(".mlx")


def test_a_target_is_written_to_the_formats_of_its_row(new, tmp_path):
    new()
    assert choose_output(tmp_path / "folder", None, "new").format == "orbax"
    new(files=TARGETS["mlx"].files)
    with pytest.raises(
        UsageError, match="only trees of nnx, linen, jax are written as an Orbax folder, not those of new"
    ):
        choose_output(tmp_path / "folder", "orbax", "new")


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_target_has_every_kind_or_says_why_not(target):
    lacking, unknown = sorted(set(LAYERS) - set(target.kinds)), sorted(set(target.kinds) - set(LAYERS))
    assert not lacking, f"targets.{target.name}.TARGET.kinds has no row for {', '.join(lacking)}"
    assert not unknown, f"targets.{target.name}.TARGET.kinds has {', '.join(unknown)}, which no layer is"
    for kind, recipe in target.kinds.items():
        if isinstance(recipe, Unsupported):
            assert recipe.why, f"targets.{target.name}.TARGET.kinds[{kind!r}] does not say why"


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_target_says_all_that_is_asked_of_it(target):
    assert target.mapper is not None
    assert import_module(target.mapper.module).KeyMapper
    assert (target.live is not None) == bool(target.observer)
    if target.live is not None:
        assert import_module(target.mapper.live)
        assert observer_of(target).run


def test_what_a_mapper_is_made_of_is_read_and_not_imported():
    code = "from ml_switcheroo.codemod.bundle import source_of; import sys; source_of('mlx', ['load_into'])"
    code += "; print('ml_switcheroo.runtime.into_mlx' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "False\n"


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 2), torch.nn.BatchNorm2d(4))
        self.up = torch.nn.ConvTranspose2d(4, 4, 3)
        self.rnn = torch.nn.LSTM(3, 4)
        self.head = torch.nn.Linear(4, 4)
        self.scale = torch.nn.Parameter(torch.ones(3, 3))


@pytest.mark.parametrize("normed", [False, True])
def test_numpy_means_the_same_in_a_plan_and_in_rewritten_code(normed):
    net = Net()
    if normed:
        torch.nn.utils.parametrizations.weight_norm(net.head)
        torch.nn.utils.parametrizations.spectral_norm(net.up)
    state = net.state_dict()
    leaves = dict(ms.make_plan(state, to="numpy", layers=net).apply(state))
    code = ms.rewrite(LOAD, to="numpy").code
    assert "class KeyMapper" in code
    namespace: dict = {}
    exec(source_of("numpy", ["from_torch"]), namespace)
    kinds = {"up": "conv_transpose"}
    found = namespace["KeyMapper"].from_torch(state, kinds=kinds)
    assert found.keys() == leaves.keys()
    for name, array in leaves.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, err_msg=name)
        assert found[name].dtype == array.dtype
    if not normed:
        assert found.keys() == state.keys()
        assert all(found[name].tobytes() == array.tobytes() for name, array in leaves.items())


def test_a_file_with_the_mapper_of_one_flat_target_is_not_rewritten_for_the_other():
    there = ms.rewrite(LOAD, to="jax").code + "other = torch.nn.Linear(2, 3)\nother.load_state_dict(state)\n"
    again = ms.rewrite(there, to="numpy")
    assert again.code == there
    assert "jax" in again.notes[-1].text
