"""Classes that are not torch's, given as rows: known wherever a class, or what it keeps, decides."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.errors import UsageError
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS, Layer, known, layers_from, own_class, register_layer
from ml_switcheroo.targets import construct, find_target

NORM = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), "channel")
FROZEN = Layer("batch_norm", ("FrozenBatchNorm2d",), NORM, package="acme")
DENSE = Layer(
    "acme_dense",
    ("Dense",),
    {"w": "out in", "b": "out"},
    package="acme",
    like="linear",
    renamed={"weight": "w", "bias": "b"},
)
TURNED = Layer("linear_in_out", ("Linear",), {"weight": "in out", "bias": "out"}, package="acme")
DYT = Layer("dyt", ("DyT",), {"alpha": "1", "weight": "channel", "bias": "channel"}, package="acme")

SOURCE = """
import torch
import torch.nn.functional as F
from torch import nn


class FrozenBatchNorm2d(nn.Module):
    def __init__(self, n, eps=1e-3):
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(n))
        self.register_buffer("bias", torch.zeros(n))
        self.register_buffer("running_mean", torch.zeros(n))
        self.register_buffer("running_var", torch.ones(n))

    def forward(self, x):
        w = self.weight.reshape(1, -1, 1, 1)
        b = self.bias.reshape(1, -1, 1, 1)
        scale = w * (self.running_var.reshape(1, -1, 1, 1) + self.eps).rsqrt()
        return x * scale + b - self.running_mean.reshape(1, -1, 1, 1) * scale


class Dense(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(o, i))
        self.b = nn.Parameter(torch.zeros(o))

    def forward(self, x):
        return F.linear(x, self.w, self.b)


class Linear(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(i, o))
        self.bias = nn.Parameter(torch.zeros(o))

    def forward(self, x):
        return x @ self.weight + self.bias


class DyT(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1))
        self.weight = nn.Parameter(torch.ones(n))
        self.bias = nn.Parameter(torch.zeros(n))

    def forward(self, x):
        return torch.tanh(self.alpha * x) * self.weight + self.bias


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = FrozenBatchNorm2d(4)
        self.fc = Dense(16, 16)
        self.out = Linear(16, 16)
        self.dyt = DyT(16)

    def forward(self, x):
        return self.dyt(self.out(self.fc(torch.flatten(self.bn(self.conv(x)), 1))))
"""
SHAPES = {
    "conv.weight": (4, 3, 3, 3),
    "conv.bias": (4,),
    "bn.weight": (4,),
    "bn.bias": (4,),
    "bn.running_mean": (4,),
    "bn.running_var": (4,),
    "fc.w": (16, 16),
    "fc.b": (16,),
    "out.weight": (16, 16),
    "out.bias": (16,),
    "dyt.alpha": (1,),
    "dyt.weight": (16,),
    "dyt.bias": (16,),
}


def state(shapes=SHAPES):
    return {name: np.zeros(shape, "float32") for name, shape in shapes.items()}


@pytest.fixture
def rows():
    """Take back the rows that a test has added; return the function that adds some."""
    tables = (known._LAYERS, known._KINDS, known._BASES, known._OWN)
    before = [dict(table) for table in tables]
    yield lambda *given: [register_layer(row) for row in given]
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write the classes as a package ``acme``; return its folder."""
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "net.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        del sys.modules[name]


def leaves(plan):
    return {move.sources: (move.kind, move.leaves, [str(op) for op in move.ops]) for move in plan.moves}


def seen_by(package, how):
    """Return what a plan is made of: the source, the live module, or the names of the classes."""
    if how == "static":
        return f"{package / 'net.py'}:Net"
    if how == "live":
        from acme.net import Net

        return Net()
    names = {"bn": "FrozenBatchNorm2d", "fc": "Dense", "out": "acme.net.Linear", "dyt": "DyT"}
    return {"conv": "Conv2d", **names}


@pytest.mark.parametrize("how", ["static", "live", "stated"])
def test_every_reading_knows_the_class(package, rows, how):
    rows(FROZEN, DENSE, TURNED, DYT)
    plan = ms.make_plan(state(), to="nnx", layers=seen_by(package, how))
    found = leaves(plan)
    assert found["bn.running_var",] == ("batch_norm", ("bn.var",), [])
    kind, names, ops = found["fc.w",]
    assert (kind, names) == ("acme_dense", ("fc.kernel",))
    assert found["fc.b",][1] == ("fc.bias",)
    assert found["out.weight",] == ("linear_in_out", ("out.kernel",), [])
    assert found["dyt.alpha",] == ("dyt", ("dyt.alpha",), [])
    if how != "stated":  # where forward is read, so is the Flatten before the Linear
        assert "c" in ops[0]
    plan.check()


@pytest.mark.parametrize("to", ["linen", "equinox", "haiku", "keras", "mlx", "jax", "numpy"])
def test_every_target_takes_a_kind_that_is_like_one_of_the_table(rows, to):
    rows(DENSE)
    shapes = {"fc.w": (2, 3), "fc.b": (2,)}
    plan = ms.make_plan(state(shapes), to=to, layers={"fc": "Dense"})
    same = ms.make_plan(state({"fc.weight": (2, 3), "fc.bias": (2,)}), to=to, layers={"fc": "Linear"})
    if to == "numpy":
        assert [*plan.outputs] == [*shapes]
    else:
        assert dict(plan.outputs) == dict(same.outputs)
    assert dict((~plan).outputs) == {name: plan.moves[n].inputs[0] for n, name in enumerate(shapes)}


def test_without_a_row_the_class_keeps_parameters_of_its_own(package):
    plan = ms.make_plan(state(), to="nnx", layers=seen_by(package, "static"))
    assert leaves(plan)["out.weight",][0] == "parameter"
    assert leaves(plan)["bn.weight",][0] == "buffer"


@pytest.mark.parametrize("how", ["static", "live"])
@pytest.mark.parametrize(
    ("row", "slot", "true"),
    [
        (
            Layer("linear", ("Linear",), {"weight": "out in", "bias": "out"}, package="acme"),
            "out.weight",
            "in",
        ),
        (
            Layer(
                "acme_turned",
                ("Dense",),
                {"w": "in out", "b": "out"},
                package="acme",
                like="linear_in_out",
                renamed={"weight": "w", "bias": "b"},
            ),
            "fc.w",
            "out",
        ),
    ],
)
def test_what_forward_computes_goes_before_a_row_that_lies(package, rows, how, row, slot, true):
    rows(row)
    rows(*(other for other in (TURNED, DENSE) if other.classes != row.classes))
    plan = ms.make_plan(state(), to="nnx", layers=seen_by(package, how))
    move = next(move for move in plan.moves if slot in move.sources)
    assert LAYERS[move.kind].slots[slot.partition(".")[2]].split()[0] == true
    assert "used as" in move.reason
    plan.check()


@pytest.mark.parametrize("how", ["static", "live"])
def test_a_row_that_speaks_against_the_layer_that_its_class_derives_from_is_an_error(package, rows, how):
    (package / "net.py").write_text("from torch import nn\n\n\nclass Net(nn.Linear):\n    pass\n")
    rows(Layer("linear_in_out", ("Net",), package="acme"))
    if how == "static":
        layers = f"{package / 'net.py'}:Net"
    else:
        from acme.net import Net

        layers = Net(3, 3)
    with pytest.raises(
        UsageError, match=r"row of acme.Net says linear_in_out; .* nn.Linear .*: it is a linear"
    ):
        ms.make_plan(state({"weight": (3, 3), "bias": (3,)}), to="nnx", layers=layers)


@pytest.mark.parametrize("how", ["static", "live"])
def test_a_slot_that_the_class_lacks_is_an_error_that_names_both(package, rows, how):
    rows(Layer("batch_norm", ("FrozenBatchNorm2d",), {**NORM, "num_batches_tracked": ""}, package="acme"))
    text = (
        r"row of acme.FrozenBatchNorm2d \(batch_norm\) has the slots .*bn is of that class and has no num_b"
    )
    with pytest.raises(UsageError, match=text):
        ms.make_plan(state(), to="nnx", layers=seen_by(package, how))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            Layer("linear", ("Conv2d",), package=""),
            "row of Conv2d says linear, but Conv2d is of the kind conv",
        ),
        (Layer("linear", ("ReLU",), package=""), "ReLU is one of torch.nn already: say its package"),
        (
            Layer("linear", ("X",), {"weight": "in out"}),
            r"weight \('in out'; there 'out in'\); .* of linear_in_out",
        ),
        (
            Layer("linear", ("X",), {"w": "out in"}),
            r"not those of the kind linear: w \('out in'; there 'none'\)",
        ),
        (Layer("mine", ("X",), {}), "mine is a kind of its own, so the row needs slots"),
        (Layer("mine", ("X",), {"w": "a"}, like="dense"), "like='dense' is no kind of the table: linear,"),
        (Layer("mine", ("X",), {"w": "in out"}, like="linear", renamed={"weight": "w"}), "of linear_in_out"),
        (Layer("mine", ("X",), {"w": "a"}, like="linear", renamed={"weight": "v"}), "its slots are w"),
        (Layer("mine", ("X",), {"w": "a"}, renamed={"weight": "w"}), "renamed= names slots of like=''"),
        (Layer("linear", ("X",), {}, like="linear"), "the kind linear is there already"),
        (Layer("mine", ("X",), {"inner.w": "a"}), "inner.w: a child module is a layer itself"),
        (Layer("two words", ("X",), {"w": "a"}), "a kind, which is one word"),
        (Layer("mine", (), {"w": "a"}), "the row of mine: a row needs"),
    ],
)
def test_a_row_that_clashes_or_says_too_little_is_an_error(rows, row, said):
    with pytest.raises(UsageError, match=said):
        rows(row)


def test_a_class_has_one_row(rows):
    rows(DENSE)
    assert register_layer(DENSE) is DENSE
    with pytest.raises(UsageError, match=r"acme.Dense is of the kind acme_dense already: delete one"):
        rows(Layer("linear", ("Dense",), package="acme"))


def test_a_class_is_known_where_it_is_defined_and_nowhere_else(rows):
    rows(TURNED, FROZEN, Layer("rms_norm", ("Norm",), {"weight": "*channel"}, package=""))
    assert own_class("acme.nn.layers", "Linear") == own_class("acme", "Linear") == "acme.Linear"
    assert own_class("acme_two.nn", "Linear") == own_class("torch.nn.modules.linear", "Linear") == ""
    assert own_class("anywhere", "Norm") == "Norm"
    assert own_class("torch.nn", "Norm") == ""
    assert KIND_OF_CLASS["Linear"] == "linear"
    plan = ms.make_plan(state({"fc.weight": (2, 3), "fc.bias": (2,)}), to="nnx", layers={"fc": "Linear"})
    assert leaves(plan)["fc.weight",][0] == "linear"


def test_a_bare_name_of_two_packages_is_asked_about(rows):
    rows(FROZEN, Layer("batch_norm", ("FrozenBatchNorm2d",), NORM, package="other"))
    with pytest.raises(UsageError, match=r"several rows: acme.FrozenBatchNorm2d, other.FrozenBatchNorm2d"):
        ms.make_plan(state(), to="nnx", layers={"bn": "FrozenBatchNorm2d"})
    plan = ms.make_plan(
        state({"bn.weight": (4,), "bn.bias": (4,)}), to="nnx", layers={"bn": "other.ops.FrozenBatchNorm2d"}
    )
    assert leaves(plan)["bn.weight",][0] == "batch_norm"


def test_a_class_whose_source_is_not_there_is_known_by_the_name_it_is_imported_by(tmp_path, rows):
    rows(Layer("batch_norm", ("FrozenBatchNorm2d",), NORM, package="no_such_package"))
    (tmp_path / "model.py").write_text(
        textwrap.dedent("""
        from torch import nn
        from no_such_package.ops import FrozenBatchNorm2d

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.bn = FrozenBatchNorm2d(4)

            def forward(self, x):
                return self.bn(x)
        """)
    )
    shapes = {name: shape for name, shape in SHAPES.items() if name.startswith("bn.")}
    plan = ms.make_plan(state(shapes), to="nnx", layers=f"{tmp_path / 'model.py'}:Net")
    assert {move.origin for move in plan.moves} == {"static"}
    assert leaves(plan)["bn.running_mean",] == ("batch_norm", ("bn.mean",), [])


BIASED = """
import torch
from torch import nn

class Dense(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(3, 3))
        self.b = nn.Parameter(torch.zeros(3)) if bias else None

    def forward(self, x):
        return nn.functional.linear(x, self.w, self.b)

class Net(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.fc = Dense(bias)
        self.own = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return self.fc(x)
"""


@pytest.mark.parametrize("bias", [True, False])
def test_a_slot_that_may_be_there_is_one_of_the_layer_where_the_checkpoint_has_it(package, rows, bias):
    (package / "net.py").write_text(BIASED)
    rows(DENSE)
    shapes = {"fc.w": (3, 3), **({"fc.b": (3,)} if bias else {}), "own": (2,)}
    plan = ms.make_plan(state(shapes), to="nnx", layers=f"{package / 'net.py'}:Net")
    expected = {"fc.kernel", "own", *(["fc.bias"] if bias else [])}
    assert set(plan.outputs) == expected, str(plan)


LSTM = """
import torch
from torch import nn

class LSTM(nn.Module):
    def __init__(self, i, h):
        super().__init__()
        self.weight_ih_l0 = nn.Parameter(torch.zeros(4 * h, i))
        self.weight_hh_l0 = nn.Parameter(torch.zeros(4 * h, h))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * h))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(4 * h))

    def forward(self, x):
        return torch.ops.acme.lstm(x, self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = LSTM(3, 5)

    def forward(self, x):
        return self.rnn(x)
"""


@pytest.mark.parametrize("how", ["static", "live"])
@pytest.mark.parametrize(
    "slots", [{}, {name: LAYERS["lstm"].slots[name] for name in ("weight_ih_l{layer}{way}",)}]
)
def test_a_row_may_name_slots_that_stand_for_each_layer(package, rows, how, slots):
    (package / "net.py").write_text(LSTM)
    rows(Layer("lstm", ("LSTM",), slots, package="acme"))
    shapes = {"weight_ih_l0": (20, 3), "weight_hh_l0": (20, 5), "bias_ih_l0": (20,), "bias_hh_l0": (20,)}
    given = {f"rnn.{name}": shape for name, shape in shapes.items()}
    if how == "static":
        layers = f"{package / 'net.py'}:Net"
    else:
        from acme.net import Net

        layers = Net()
    plan = ms.make_plan(state(given), to="nnx", layers=layers)
    assert {(move.kind, move.origin) for move in plan.moves} == {("lstm", how)}
    plan.check()


def test_a_class_that_is_named_has_no_defaults_of_torchs(rows):
    from flax import nnx

    rows(FROZEN)
    shapes = {name: shape for name, shape in SHAPES.items() if name.startswith("bn.")}
    port = nnx.Dict(bn=nnx.BatchNorm(4, epsilon=1e-3, rngs=nnx.Rngs(0)))
    notes = [
        ms.make_plan(state(shapes), to="nnx", layers={"bn": named}, like=port).notes
        for named in ("BatchNorm2d", "FrozenBatchNorm2d", ("FrozenBatchNorm2d", {"eps": 1e-5}))
    ]
    said = [any("epsilon is 0.001" in note for note in each) for each in notes]
    assert said == [True, False, True]


def test_a_plan_outlives_the_row(rows, tmp_path):
    rows(DENSE)
    values = {"fc.w": np.arange(6, dtype="f4").reshape(2, 3), "fc.b": np.ones(2, "f4")}
    ms.make_plan(values, to="nnx", layers={"fc": "Dense"}).save(tmp_path / "plan.json")
    for table in (known._LAYERS, known._KINDS, known._BASES, known._OWN):
        table.pop("acme_dense", None)
        table.pop("acme.Dense", None)
    plan = ms.Plan.load(tmp_path / "plan.json")
    assert "acme_dense" in str(plan)
    leaves = plan.apply(values)
    assert leaves["fc.kernel"].tolist() == values["fc.w"].T.tolist()
    assert (~plan).apply(leaves)["fc.w"].tolist() == values["fc.w"].tolist()


def test_a_class_of_your_own_is_made_as_the_layer_that_it_is(rows):
    rows(DENSE, DYT)
    made = construct(find_target("nnx"), "acme.layers.Dense", {"in_features": 3, "out_features": 2})
    assert (made.cls, dict(made.arguments)) == (
        "flax.nnx.Linear",
        {"in_features": 3, "out_features": 2, "use_bias": True},
    )
    assert construct(find_target("nnx"), "DyT", {}).why.startswith("dyt is a kind of your own")


# Without the source ------------------------------------------------------------------------


def test_names_that_a_row_has_decide_where_the_order_of_axes_cannot_matter(rows):
    rows(
        DYT,
        Layer(
            "acme_norm",
            ("Norm",),
            {"g": "*channel", "b": "*channel"},
            like="layer_norm",
            renamed={"weight": "g", "bias": "b"},
        ),
    )
    shapes = {"n.alpha": (1,), "n.weight": (8,), "n.bias": (8,), "m.g": (8,), "m.b": (8,)}
    found = leaves(ms.make_plan(state(shapes), to="nnx"))
    assert found["n.weight",] == ("dyt", ("n.weight",), [])
    assert found["m.g",] == ("acme_norm", ("m.scale",), [])


@pytest.mark.parametrize(
    ("shapes", "kind"),
    [
        ({"fc.w": (3, 2), "fc.b": (3,)}, "acme_dense"),
        ({"fc.w": (3, 3), "fc.b": (3,)}, "parameter"),  # square: may lie either way
        ({"fc.w": (2, 3), "fc.b": (3,)}, "parameter"),  # as no class of the row keeps it
        ({"fc.w": (3, 2), "fc.b": (3,), "fc.s": (3,)}, "parameter"),  # one more
    ],
)
def test_a_matrix_is_taken_for_a_layer_by_its_name_only_where_its_bias_shows_its_axes(rows, shapes, kind):
    rows(DENSE)
    plan = ms.make_plan(state(shapes), to="nnx")
    assert leaves(plan)["fc.w",][0] == kind
    asked = [note for note in plan.notes if 'Kind("fc", "acme_dense")' in note]
    assert bool(asked) == (shapes["fc.w"] == (3, 3))


def test_what_a_row_does_not_say_a_rule_can(rows):
    rows(DENSE)
    shapes = {"fc.w": (3, 3), "fc.b": (3,)}
    plan = ms.make_plan(state(shapes), to="nnx", rules=[ms.Kind("fc", "acme_dense")])
    assert leaves(plan)["fc.w",][1:] == (("fc.kernel",), ["out in -> in out"])


def test_four_tensors_of_a_frozen_norm_are_read_as_without_a_row(rows):
    shapes = {name: shape for name, shape in SHAPES.items() if name.startswith("bn.")}
    before = ms.make_plan(state(shapes), to="nnx")
    rows(FROZEN)
    assert ms.make_plan(state(shapes), to="nnx").to_json() == before.to_json()


# From files --------------------------------------------------------------------------------


def test_rows_are_read_from_a_file():
    record = {
        "kind": "acme_dense",
        "classes": ["Dense"],
        "package": "acme",
        "like": "linear",
        "slots": {"w": "out in", "b": "out"},
        "renamed": {"weight": "w", "bias": "b"},
    }
    assert layers_from([record], "pyproject.toml") == [DENSE]


@pytest.mark.parametrize(
    "record",
    [
        "Dense",
        {"kind": "linear"},
        {"kind": "linear", "classes": "Dense"},
        {"kind": "linear", "classes": [1]},
        {"kind": "linear", "classes": ["Dense"], "slots": ["w"]},
        {"kind": "linear", "classes": ["Dense"], "slots": {"w": 1}},
        {"kind": "linear", "classes": ["Dense"], "axes": "out in"},
        {"kind": 1, "classes": ["Dense"]},
    ],
)
def test_a_record_that_is_no_row_is_named_with_its_file(record):
    with pytest.raises(UsageError, match=r"pyproject.toml: a layer has kind, classes"):
        layers_from([record], "pyproject.toml")


# Of other packages, and of a project ---------------------------------------------------------

ROWS = """
from ml_switcheroo.layers import Layer

ROWS = [
    Layer("acme_dense", ("Dense",), {"w": "out in", "b": "out"}, package="acme", like="linear",
          renamed={"weight": "w", "bias": "b"}),
    Layer("dyt", ("DyT",), {"alpha": "1", "weight": "channel", "bias": "channel"}, package="acme"),
]
"""
STEPS = """
import numpy as np
import ml_switcheroo as ms

state = {"fc.w": np.arange(6.0).reshape(2, 3), "fc.b": np.ones(2), "n.alpha": np.ones(1)}
plan = ms.make_plan(state, to="nnx", layers={"fc": "Dense", "n": "acme.layers.DyT"})
assert plan.apply(state)["fc.kernel"].tolist() == state["fc.w"].T.tolist()
assert {move.kind for move in plan.moves} == {"acme_dense", "dyt"}
"""


def run(folder, *arguments):
    source = Path(ms.__file__).parent.parent
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(source)])},
    )


def install(folder, value):
    """Write a package with rows, as pip installs it."""
    (folder / "acme_rows.py").write_text(ROWS)
    info = folder / "acme_rows-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-rows\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ml_switcheroo.layers]\nacme = {value}\n")


@pytest.mark.parametrize("value", ["acme_rows:ROWS"])
def test_rows_of_an_installed_package_are_known(tmp_path, value):
    install(tmp_path, value)
    done = run(tmp_path, "-c", STEPS)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("acme_rows:ABSENT", "layers 'acme' cannot be loaded from acme_rows:ABSENT"),
        ("acme_rows:Layer", "layers 'acme' (acme_rows:Layer): a type is no Layer"),
    ],
)
def test_a_package_that_offers_no_rows_is_named(tmp_path, value, said):
    install(tmp_path, value)
    done = run(tmp_path, "-c", STEPS)
    assert done.returncode != 0
    assert said in done.stderr


PROJECT = """
[tool.ml-switcheroo]
to = "nnx"

[[tool.ml-switcheroo.layers]]
kind = "acme_dense"
classes = ["Dense"]
package = "acme"
like = "linear"
slots = {w = "out in", b = "out"}
renamed = {weight = "w", bias = "b"}
"""


def test_rows_of_a_project_are_known_to_every_verb(tmp_path):
    np.savez(tmp_path / "dense.npz", **state({"fc.w": (3, 3), "fc.b": (3,)}))
    arguments = ("-m", "ml_switcheroo", "plan", "dense.npz", "--to", "nnx", "--json")
    plain = run(tmp_path, *arguments)
    assert "acme_dense" not in plain.stdout
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    done = run(tmp_path, *arguments)
    assert 'Kind(\\"fc\\", \\"acme_dense\\")' in done.stdout, done.stdout + done.stderr
    (tmp_path / "code.py").write_text("x = 1\n")
    assert run(tmp_path, "-m", "ml_switcheroo", "rewrite", "code.py").returncode == 0


def test_a_row_of_a_project_that_is_none_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[[tool.ml-switcheroo.layers]]\nkind = "linear"\n')
    np.savez(tmp_path / "a.npz", **state({"fc.b": (3,)}))
    done = run(tmp_path, "-m", "ml_switcheroo", "plan", "a.npz", "--to", "nnx")
    assert done.returncode == 2
    assert "pyproject.toml: [[tool.ml-switcheroo.layers]]: a layer has kind, classes" in done.stderr


# What is moved computes the same ---------------------------------------------------------------


@pytest.mark.parametrize("how", ["static", "live"])
def test_moved_as_a_row_says_the_layers_compute_the_same(package, rows, how):
    import torch

    rows(FROZEN, DENSE, TURNED, DYT)
    seen = seen_by(package, how)
    from acme.net import Net

    net = Net()
    generator = torch.Generator().manual_seed(0)
    for tensor in net.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape, generator=generator))
    values = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    new = ms.make_plan(values, to="nnx", layers=seen).apply(values)
    image = torch.rand(2, 4, 2, 2, generator=generator)
    with torch.no_grad():
        expected = net.out(net.fc(torch.flatten(image, 1)))
    rows_last = image.permute(0, 2, 3, 1).reshape(2, -1).numpy()
    found = (rows_last @ new["fc.kernel"] + new["fc.bias"]) @ new["out.kernel"] + new["out.bias"]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


MODEL = """
from torch import nn
from no_such_package import DyT


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.n = DyT(4)

    def forward(self, x):
        return self.n(x)
"""
READ = """
import numpy as np
import ml_switcheroo as ms

state = {"n.alpha": np.ones(1), "n.weight": np.ones(4), "n.bias": np.ones(4)}
plan = ms.make_plan(state, to="nnx", layers="model.py:Net")
assert {(move.kind, move.origin) for move in plan.moves} == {("dyt", "static")}, plan
"""


def test_rows_of_an_installed_package_are_there_before_source_is_read(tmp_path):
    install(tmp_path, "acme_rows:ROWS")
    (tmp_path / "acme_rows.py").write_text(ROWS.replace('"acme"', '"no_such_package"'))
    (tmp_path / "model.py").write_text(MODEL)
    done = run(tmp_path, "-c", READ)
    assert done.returncode == 0, done.stderr
