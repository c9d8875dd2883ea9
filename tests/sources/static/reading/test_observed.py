"""What each expression of ``forward`` is, in small models: tensors with axes, sizes, modules, constants."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ml_switcheroo.sources.static.reading.entry import observe_forward
from ml_switcheroo.sources.static.reading.observed import NO_CONSTANT, Expression
from ml_switcheroo.tensors import TensorSpec
from sources.reading import HEAD

CODE = """
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.act = "relu"

    def forward(self, x):
        return getattr(F, self.act)(self.norm(x))

class Net(nn.Module):
    def __init__(self, width=8, parts=("a", "b")):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList([Block(width), Block(width)])
        self.scale = nn.Parameter(torch.ones(1))
        self.head = nn.Linear(width * 64, 10)
        self.parts = list(parts)

    def forward(self, x, factor=2):
        n, c = x.shape[:2]
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        half = x.shape[2] // 2
        name = f"part {self.parts[0]}"
        y = x.flatten(1)
        mask = None if factor else x.mean(dim=1)
        return self.head(y) * self.scale, {"mask": mask, "half": half}, name
"""


@pytest.fixture
def seen(tmp_path):
    """Return what an expression of the model is, by its text."""
    return observer_of(tmp_path, CODE, inputs=[(2, 3, 8, 8)])


def observer_of(folder: Path, code: str, *, inputs=(), specs=None):
    path = folder / "model.py"
    path.write_text(HEAD + code)
    observed, notes = observe_forward("model.py:Net", specs or {}, inputs=inputs, root=folder)
    assert notes == ()
    forwards = {
        cls.name: next(node for node in cls.body if getattr(node, "name", "") == "forward")
        for cls in ast.parse(path.read_text()).body
        if isinstance(cls, ast.ClassDef)
    }

    def of(text: str, cls: str = "Net") -> Expression:
        found = [
            observed.of(node, path)
            for node in ast.walk(forwards[cls])
            if isinstance(node, ast.expr) and ast.unparse(node) == text
        ]
        (one,) = [expression for expression in found if expression is not None][:1]
        return one

    of.observed, of.path, of.forwards = observed, path, forwards
    return of


def test_a_tensor_has_its_axes_and_sizes(seen):
    stem = seen("self.stem(x)")
    assert (stem.kind, stem.rank, stem.axes) == ("tensor", 4, ("batch", "channel", "space", "space"))
    assert stem.shape == (2, None, 8, 8)
    flat = seen("x.flatten(1)")
    assert (flat.rank, flat.axes) == (2, ("batch", "channel space space"))
    assert seen("self.head(y)").axes == ("batch", "out")


def test_the_checkpoint_shows_how_many_channels_a_layer_puts_out(tmp_path):
    shapes = {"stem.weight": (8, 3, 3, 3), "stem.bias": (8,), "head.weight": (10, 512), "head.bias": (10,)}
    shapes["scale"] = (1,)
    for block in ("blocks.0.norm", "blocks.1.norm"):
        for slot in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{block}.{slot}"] = (8,)
        shapes[f"{block}.num_batches_tracked"] = ()
    specs = {name: TensorSpec(shape, "float32") for name, shape in shapes.items()}
    seen = observer_of(tmp_path, CODE, inputs=[(2, 3, 8, 8)], specs=specs)
    assert seen("self.stem(x)").shape == (2, 8, 8, 8)
    assert seen("self.head(y)").shape == (2, 10)


def test_without_a_shape_the_rank_is_that_of_the_layers(tmp_path):
    seen = observer_of(tmp_path, CODE)
    assert seen("x", "Net").rank is None
    assert seen("self.stem(x)").rank == 4
    assert seen("self.stem(x)").shape == (None, None, None, None)


@pytest.mark.parametrize(
    ("text", "kind", "constant"),
    [
        ("x.shape[2] // 2", "number", 4),
        ("x.shape[2]", "size", 8),
        ("2", "number", 2),
        ("factor", "number", 2),
        ("self.parts[0]", "string", "a"),
        ("f'part {self.parts[0]}'", "string", "part a"),
        ("self.parts", "list", ["a", "b"]),
        ("None if factor else x.mean(dim=1)", "none", None),
        ("x.shape[:2]", "tuple", NO_CONSTANT),
        ("self.blocks", "module", NO_CONSTANT),
        ("self.head", "module", NO_CONSTANT),
        ("self", "module", NO_CONSTANT),
        ("self.scale", "tensor", NO_CONSTANT),
        ("x.flatten", "function", NO_CONSTANT),
        ("{'mask': mask, 'half': half}", "dict", {"mask": None, "half": 4}),
    ],
)
def test_what_is_no_tensor_has_a_kind_and_may_be_a_constant(seen, text, kind, constant):
    found = seen(text)
    assert found.kind == kind
    assert found.constant is constant or found.constant == constant


def test_modules_go_by_their_classes(seen):
    assert seen("self.stem").modules == {"Conv2d"}
    assert seen("block").modules == {"Block"}
    assert seen("self.head(y)").modules == frozenset()


def test_what_is_called_from_forward_is_observed_too(seen):
    norm = seen("self.norm(x)", "Block")
    assert (norm.kind, norm.axes) == ("tensor", ("batch", "channel", "space", "space"))
    assert seen("getattr(F, self.act)", "Block").kind == "function"
    assert seen("self.act", "Block").constant == "relu"


def test_each_expression_that_is_read_is_seen(seen):
    for cls, forward in seen.forwards.items():
        untold = {
            ast.unparse(node)
            for statement in forward.body
            for node in ast.walk(statement)
            if isinstance(node, ast.expr)
            and not isinstance(getattr(node, "ctx", None), ast.Store)
            and seen.observed.of(node, seen.path) is None
        }
        not_taken = {"x.mean(dim=1)", "x.mean", "1", "x"}  # the branch of a test that is known
        assert untold == (not_taken if cls == "Net" else set())


def test_what_is_one_of_two_things_says_so(tmp_path):
    seen = observer_of(
        tmp_path,
        """
class Net(nn.Module):
    def __init__(self, deep):
        super().__init__()
        self.a, self.b, self.deep = nn.Linear(4, 4), nn.Conv1d(4, 4, 1), deep

    def forward(self, x):
        layer = self.a if self.deep else self.b
        size = 3 if self.deep else None
        return layer(x), size
""",
    )
    assert seen("layer").modules == {"Linear", "Conv1d"}
    assert seen("size").kinds == {"number", "none"}
    assert seen("size").kind == "unknown"
    assert seen("size").constant is NO_CONSTANT


def test_places_are_given_in_the_order_of_the_file(seen):
    places = [(line, column) for line, column, _ in seen.observed.of_file(seen.path)]
    assert places == sorted(places)
    assert len(places) > 40
