"""A framework of another package, installed as pip does it: what CONTRIBUTING says, performed."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import ml_switcheroo
from ml_switcheroo.errors import UnknownTarget, UsageError
from ml_switcheroo.recipes import Naming, Target
from ml_switcheroo.targets import TARGETS, all_targets, find_target, offered, register_target

FILES = {
    "__init__.py": "",
    # Arrays by path, channels last: the framework.
    "model.py": """
        import numpy as np

        class Model:
            def __init__(self, **shapes):
                self.arrays = {path: np.zeros(shape, "f4") for path, shape in shapes.items()}
        """,
    "target.py": """
        import sys

        from ml_switcheroo.recipes import REFUSED, Constructor, Difference, Live, Mapper, Naming, Target, part
        from ml_switcheroo.tensors import spec_of
        from ml_switcheroo.tree import Template

        def owns(model):
            framework = sys.modules.get("acme_port.model")
            return framework is not None and isinstance(model, framework.Model)

        def template(model):
            return Template({path: spec_of(array) for path, array in model.arrays.items()})

        def write(model, leaves):
            model.arrays.update(leaves)
            return model

        TARGET = Target(
            name="acme",
            summary="Acme models",
            kinds={**REFUSED, "linear": (part("weight", "kernel", "in out"), part("bias", "bias"))},
            naming=Naming("/"),
            channels="last",
            aliases=("ac",),
            constructors={
                "linear": Constructor(
                    "acme.Dense", (Difference("out_features", "units"), Difference("bias", "bias"))
                )
            },
            live=Live(owns, template, write, lambda model: model.arrays),
            mapper=Mapper("acme_port.into_acme", "acme_port.live_acme"),
            drawer="acme_port.drawer",
        )
        """,
    # What a model computes: a single layer.
    "drawer.py": """
        from ml_switcheroo.graph.graph import Draft

        def draw(model, call, inputs):
            draft = Draft()
            (spec,) = inputs.specs
            x = draft.input(spec.shape, spec.dtype)
            kernel, bias = (draft.leaf(path, array.shape, "float32") for path, array in model.arrays.items())
            made = draft.add("dot", x, kernel, contract=((1,), (0,)), batch=((), ()))
            return draft.finished([draft.add("add", made, bias)])
        """,
    "network.py": """
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(3, 2)

            def forward(self, x):
                return self.fc(x)
        """,
    "live_acme.py": '''
        """The arrays of an Acme model."""


        class LiveAcme:
            """Find and write the arrays of a model."""

            @staticmethod
            def _owns(model: object) -> bool:
                return type(model).__module__ == "acme_port.model"

            @classmethod
            def _live(cls, model: object) -> dict:
                found = model.arrays.items()
                return {tuple(path.split("/")): (array.shape, (path, array)) for path, array in found}

            @staticmethod
            def _dtype(leaf: object) -> object:
                return leaf[1].dtype

            @classmethod
            def _write(cls, model: object, values: list) -> None:
                model.arrays.update({path: array for (path, _), array in values})
        ''',
    "into_acme.py": '''
        """Load PyTorch state dicts into Acme models."""

        from acme_port.live_acme import LiveAcme
        from ml_switcheroo.runtime.key_mapper import KeyMapper as BaseMapper


        class KeyMapper(LiveAcme, BaseMapper):
            """Carry PyTorch weights over to Acme."""

            @classmethod
            def _leaves(cls, model: object) -> tuple:
                live = cls._live(model)
                layers = {cls._join(path[:-1]): [("linear", "all are")] for path in live}
                leaves = {}
                for path, (shape, leaf) in live.items():
                    slot = {"kernel": "weight"}.get(path[-1], path[-1])
                    leaves[cls._join(path)] = (".".join([*path[:-1], slot]), shape, leaf)
                return leaves, layers
        ''',
}
STEPS = """
import os

import acme_port
import numpy as np
import ml_switcheroo as ms
from acme_port.model import Model
from ml_switcheroo.targets import all_targets, construct, find_target

assert [*all_targets()][-1] == "acme" and find_target("ac").name == "acme"
state = {"fc.weight": np.arange(6, dtype="f4").reshape(2, 3), "fc.bias": np.ones(2, "f4")}
plan = ms.make_plan(state, to="acme", layers={"fc": "linear"})
assert sorted(plan.outputs) == ["fc/bias", "fc/kernel"]
model = Model(**{"fc/kernel": (3, 2), "fc/bias": (2,)})
assert ms.load_into(model, state, layers={"fc": "linear"}) == ([], [])
assert model.arrays["fc/kernel"].tolist() == state["fc.weight"].T.tolist()
made = construct(find_target("acme"), "Linear", {"in_features": 3, "out_features": 2})
assert (made.cls, dict(made.arguments)) == ("acme.Dense", {"units": 2, "bias": True})
code = ms.rewrite("import torch\\nnet = make()\\nnet.load_state_dict(torch.load('a'))\\n", to="acme").code
assert "class LiveAcme" in code and "from acme_port" not in code
other = Model(**{"mine/table": (3, 2), "mine/shift": (2,)})
network = os.path.join(os.path.dirname(acme_port.__file__), "network.py")
assert ms.load_into(other, state, layers=network + ":Net", inputs="float32[4,3]") == ([], [])
assert other.arrays["mine/table"].tolist() == state["fc.weight"].T.tolist()
names = {}
exec(code[code.index("# fmt: off"):code.index("# fmt: on")], names)
fresh = Model(**{"fc/kernel": (3, 2), "fc/bias": (2,)})
assert names["KeyMapper"].load_into(fresh, state) == ([], [])
assert fresh.arrays["fc/kernel"].tolist() == state["fc.weight"].T.tolist()
"""


@pytest.fixture
def package(tmp_path):
    """Write an installed package; return a function that runs code beside it."""

    def install(value="acme_port.target:TARGET"):
        folder = tmp_path / "acme_port"
        folder.mkdir()
        for name, text in FILES.items():
            (folder / name).write_text(textwrap.dedent(text).lstrip("\n"))
        info = tmp_path / "acme_port-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-port\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[ml_switcheroo.targets]\nacme = {value}\n")

    def run(code):
        source = Path(ml_switcheroo.__file__).parent.parent
        paths = os.pathsep.join([str(tmp_path), str(source)])
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )

    return install, run


def test_an_installed_target_plans_loads_makes_layers_and_rewrites(package):
    install, run = package
    install()
    done = run(STEPS)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("acme_port.target:ABSENT", "target 'acme' cannot be loaded from acme_port.target:ABSENT: .*ABSENT"),
        (
            "no_such_port.target:TARGET",
            "target 'acme' cannot be loaded from no_such_port.target:TARGET: .*no_such",
        ),
        ("acme_port.target:owns", r"target 'acme' \(acme_port.target:owns\): a function is no Target"),
    ],
)
def test_a_package_that_offers_no_target_is_named(package, value, said):
    install, run = package
    install(value)
    code = f"""
import re
from ml_switcheroo.errors import UsageError
from ml_switcheroo.targets import find_target
assert find_target("nnx").name == "nnx"  # those that come along do not need it
try:
    find_target("acme")
except UsageError as error:
    assert re.search({said!r}, str(error)), error
else:
    raise SystemExit("nothing was said")
"""
    done = run(code)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_name_is_taken_once(monkeypatch):
    monkeypatch.setattr(offered, "_REGISTERED", {})
    row = Target("acme", "Acme models", {}, Naming(), "last", aliases=("ac",))
    assert register_target(row) is row
    assert register_target(row) is row
    assert find_target("ac") is row
    assert list(all_targets()) == [*TARGETS, "acme"]
    with pytest.raises(UsageError, match=r"target other: ac is a name of Acme models \(acme\)"):
        register_target(Target("other", "", {}, Naming(), "last", aliases=("ac",)))
    with pytest.raises(UsageError, match=r"target flax: flax is a name of Flax NNX modules \(nnx\)"):
        register_target(Target("flax", "", {}, Naming(), "last"))
    with pytest.raises(UnknownTarget, match="acme"):
        find_target("nothing")
