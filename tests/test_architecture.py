"""Imports point downwards; modules are small; importing the package is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ml_switcheroo

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
