"""Imports point downwards; modules are small; importing the package is cheap."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ml_switcheroo
from ml_switcheroo.layers.table import TABLE

PACKAGE = Path(ml_switcheroo.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

HOUSE = Path(__file__).parents[1] / "CONTRIBUTING.md"


def order_of(text):
    """Return the names in each line of the house's order: the words before two spaces, the lowest first."""
    block = text.partition("## The house")[2].partition("```\n")[2].partition("```")[0]
    lines = [line for line in block.splitlines() if not line.startswith(" ")]
    return [[name.rstrip("/") for name in line.partition("  ")[0].split()] for line in lines]


LAYERS = order_of(HOUSE.read_text(encoding="utf-8"))
# The shelves of the reader, the lowest first: Python alone, what torch means, what that says of a model.
SHELVES = ["python", "torch", "reading"]
READER = PACKAGE / "sources" / "static"
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
KINDS = set(TABLE)
FRAMEWORKS = {"torch", "jax", "flax", "keras", "tensorflow", "mlx", "haiku", "equinox"}


def test_the_order_has_a_place_for_every_module_and_names_no_other():
    there = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} - {"__init__"}
    named = [name for line in LAYERS for name in line]
    assert sorted(named) == sorted(there)


def test_the_order_is_read_line_by_line():
    text = "## The house\n\n```\nlow/ lower  what it is\n            more of it\nhigh  what that is\n```\n"
    assert order_of(text) == [["low", "lower"], ["high"]]


def part_of(module):
    """Return the layer's name of a dotted module."""
    return module.removeprefix("ml_switcheroo").strip(".").partition(".")[0]


def imports(path, *, nested):
    """Yield the dotted names that a file imports, of this package resolved to modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    nodes = ast.walk(tree) if nested else tree.body
    for node in nodes:
        if node in guarded:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                dotted = f"{node.module}.{alias.name}"
                is_module = (PACKAGE.parent / dotted.replace(".", "/")).with_suffix(".py").exists() or (
                    PACKAGE.parent / dotted.replace(".", "/")
                ).is_dir()
                yield dotted if is_module else str(node.module)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    own = parts[0]
    if own == "__init__":
        pytest.skip("the public names come from everywhere, when they are asked for")
    assert own in RANK, f"{own} has no place in the order"
    for name in imports(path, nested=True):
        if name.startswith("ml_switcheroo."):
            other = part_of(name)
            if other == own:
                continue
            assert RANK[other] < RANK[own], f"{own} imports {name}, which stands above it"


def mentioned(path):
    """Yield every module of the package that a file imports, also for type checkers alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_in(root):
    """Return the files of the modules below a folder, by dotted name."""
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def edges(modules):
    """Return the modules that each module names in an import, also one for type checkers or in a function."""
    found = {}
    for name, path in modules.items():
        named = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                inner = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                named |= {dotted if dotted in modules else str(node.module) for dotted in inner.values()}
        found[name] = named & modules.keys() - {name}
    return found


def circles(graph):
    """Return the modules in a circle, or between two of them: whatever begins or ends a way is taken out."""
    left = {name: set(named) for name, named in graph.items()}
    while True:
        used = set().union(*left.values()) if left else set()
        ends = {name for name, named in left.items() if not named or name not in used}
        if not ends:
            return sorted(left)
        left = {name: named - ends for name, named in left.items() if name not in ends}


def test_no_imports_go_in_a_circle_not_even_those_for_type_checkers():
    assert circles(edges(modules_in(PACKAGE.parent))) == []


def test_a_circle_of_imports_is_seen_wherever_they_stand(tmp_path):
    package = tmp_path / "p"
    package.mkdir()
    for name, code in {
        "__init__": "from p.a import A\n",
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.b import B\n",
        "b": "def run():\n    from p import c\n",
        "c": "import p.a\n",
        "d": "from p import b\nfrom p import e\n",
        "e": "import os\n",
    }.items():
        (package / f"{name}.py").write_text(code)
    assert circles(edges(modules_in(tmp_path))) == ["p.a", "p.b", "p.c"]
    (package / "c.py").write_text("")
    assert circles(edges(modules_in(tmp_path))) == []


@pytest.mark.parametrize(
    "path", sorted(READER.glob("*/**/*.py")), ids=lambda path: str(path.relative_to(READER))
)
def test_the_shelves_of_the_reader_know_nothing_of_those_above(path):
    own = path.relative_to(READER).parts[0]
    for name in mentioned(path):
        shelf = name.removeprefix("ml_switcheroo.sources.static.").partition(".")[0]
        if name.startswith("ml_switcheroo.sources.static."):
            assert SHELVES.index(shelf) <= SHELVES.index(own), f"{own} imports {name}"


@pytest.mark.parametrize("path", sorted((READER / "python").glob("*.py")), ids=lambda path: path.stem)
def test_the_shelf_of_python_knows_no_layers(path):
    assert not any(name.startswith("ml_switcheroo.layers") for name in mentioned(path))


OF_TORCH = set(
    """torch nn einops Tensor tensor tensors Size Parameter Module ModuleDict ModuleList ParameterDict
    ParameterList Sequential Conv Linear forward""".split()
)
# Classes of Python itself, whose names are words of torch, too.
OF_PYTHON = ("inspect.Parameter", "ast.Module")


def words_of_torch(text):
    """Return the words of torch in a text, also as a part of a longer name: ``_holds_tensors``."""
    for name in OF_PYTHON:
        text = text.replace(name, "")
    return sorted(OF_TORCH.intersection(re.findall(r"[A-Za-z]+", text)))


@pytest.mark.parametrize("path", sorted((READER / "python").glob("*.py")), ids=lambda path: path.stem)
def test_the_shelf_of_python_knows_no_torch(path):
    assert words_of_torch(path.read_text(encoding="utf-8")) == []


def test_a_word_of_torch_is_seen_in_code_and_in_prose():
    assert words_of_torch('def _holds_tensors(x):\n    """Of torch.nn."""\n') == ["nn", "tensors", "torch"]
    assert words_of_torch("x: inspect.Parameter, tree: ast.Module, parameters, modules") == []


MATCHED = {"linear", "conv", "embedding", "parameter"}
ROLES = {"parameter", "buffer"}
# Words that are spelled like kinds, and are something else: where they stand, which they are, and what.
OTHER_WORDS = {
    "layers targets runtime": (
        set(KINDS),
        "the tables themselves; runtime is copied into other people's files",
    ),
    "graph": (set(KINDS), "what each kind computes, which is a table of its own"),
    "operations": (set(KINDS), "functions of torch, and what their parameters are for"),
    "match": (MATCHED, "what a tree is matched by, and words in names"),
    "planning/stages/vouching.py": ({"conv"}, "a word in names"),
    "sources/static/torch sources/static/reading/from_live.py sources/live.py": (
        ROLES,
        "what a tensor is to the module that keeps it",
    ),
    "sources/static/torch/trail_steps.py sources/static/torch/use_verdicts.py": (
        {"linear", "embedding"},
        "what a parameter is for in an operation",
    ),
    "sources/evidence.py": ({"linear"}, "a reading of runtime.kinds"),
    "moves.py": ({"parameter"}, "the kind of a move that a person writes"),
    "codemod": ({"quantised"}, "what is said of a model"),
    "formats/pages.py": ({"buffer"}, "bytes in memory"),
}


def is_named(node, parents):
    """Tell whether a string is compared with what a row says, such as ``row.matched == "embedding"``."""
    parent = parents.get(node)
    return isinstance(parent, ast.Compare) and getattr(parent.left, "attr", "") in ("matched", "role")


def literals(path):
    """Yield the kinds that stand as strings in a module, each with its line; docstrings do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not is_named(node, parents):
            words = node.value.split()
            if words and KINDS.issuperset(words) and not isinstance(parents[node], ast.Expr):
                yield from ((word, node.lineno) for word in words)


def test_a_kind_is_named_in_its_tables_alone():
    found = []
    for path in MODULES:
        place = path.relative_to(PACKAGE).as_posix()
        others = set()
        for places, (words, _) in OTHER_WORDS.items():
            if any(place == one or place.startswith(f"{one}/") for one in places.split()):
                others |= words
        found += [f"{place}:{line} {word}" for word, line in literals(path) if word not in others]
    assert not found, "a fact of a kind belongs into its row: layers/table.py"


def test_no_list_of_other_words_is_longer_than_needed():
    there = {(p.relative_to(PACKAGE).as_posix(), word) for p in MODULES for word, _ in literals(p)}
    for places, (words, why) in OTHER_WORDS.items():
        if words == KINDS:
            continue
        for one in places.split():
            used = {word for place, word in there if place == one or place.startswith(f"{one}/")}
            assert used & words, f"{one} has none of {sorted(words)}: {why}"


def test_a_kind_that_a_module_names_is_seen(tmp_path):
    path = tmp_path / "new.py"
    path.write_text('"""linear"""\nA = frozenset("rnn lstm".split())\nif kind == "mha":\n    pass\n')
    assert sorted(literals(path)) == [("lstm", 2), ("mha", 3), ("rnn", 2)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_framework_is_imported_before_it_is_needed(path):
    assert not {name.partition(".")[0] for name in imports(path, nested=False)} & FRAMEWORKS


def test_importing_the_package_is_cheap_and_imports_no_framework():
    code = (
        "import sys, time; start = time.perf_counter(); import ml_switcheroo;"
        "seconds = time.perf_counter() - start;"
        "print(seconds, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    times = []
    for _ in range(3):
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        seconds, *modules = out.split()
        times.append(float(seconds))
        assert not set(modules) & (FRAMEWORKS | {"numpy", "libcst", "rich", "click"})
    assert min(times) < 0.3
