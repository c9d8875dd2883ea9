"""Where the one ``key_mapper.py`` of a package lies, and how a file of it imports that."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml_switcheroo.codemod.index import File, Index

__all__ = ["Home", "find_home", "runtime_of"]

_NAME = "key_mapper"
_DEPENDENCIES = ("pyproject.toml", "setup.cfg", "setup.py", "requirements.txt", "environment.yml")
_OURS = re.compile(r"ml[-_]switcheroo\b(?!\s*\])")  # a table of settings is no dependency
_ROOT_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")


@dataclass(frozen=True, slots=True)
class Home:
    """The module of ``KeyMapper`` for some files.

    Attributes:
        path: Where it lies.
        statement: How a file imports ``KeyMapper`` from it.
    """

    path: Path
    statement: str


def runtime_of(asked: str, path: Path, named: bool) -> str:
    """Return how a file gets ``KeyMapper``, where ``auto`` is asked for.

    Args:
        asked: What was asked for.
        path: The file.
        named: Whether it was named by itself, and not found in a folder.
    """
    if asked != "auto":
        return asked
    return "import" if _depends(path.resolve().parent) else "inject" if named else "module"


def _depends(folder: Path) -> bool:
    """Tell whether a project lists this package among what it needs."""
    for name in _DEPENDENCIES:
        file = folder / name
        if file.is_file() and _OURS.search(file.read_text("utf-8", errors="replace")):
            return True
    root = folder.parent == folder or (folder / ".git").exists()
    return not root and _depends(folder.parent)


def find_home(file: File, index: Index) -> Home | str:
    """Find where ``KeyMapper`` of a file is kept, from what imports show; or say why nothing does.

    A relative import works only in a package, and the file's own absolute imports show the folder that they
    start from. A file that shows neither and is no script can be imported from anywhere.
    """
    package = _package(file.path)
    relative, bases = False, set[Path]()
    for level, dotted in _imports(file):
        relative = relative or level > 0
        base = None if level else _base(file, dotted, index)
        bases.update([base] if base else [])
    folder = file.path.parent
    if package is not None and relative:
        dots = "." * (len(folder.relative_to(package).parts) + 1)
        return Home(package / f"{_NAME}.py", f"from {dots}{_NAME} import KeyMapper")
    if len(bases) > 1:
        return "its imports start from several folders"
    if not bases and package is not None and not _is_script(file):
        bases = {package.parent}
    if not bases and (_is_script(file) or any((folder / mark).exists() for mark in _ROOT_MARKS)):
        bases = {folder}
    if not bases:
        return "nothing shows from where it is imported"
    (base,) = bases
    home = package if package is not None and package != base and package.is_relative_to(base) else base
    dotted = ".".join([*home.relative_to(base).parts, _NAME])
    return Home(home / f"{_NAME}.py", f"from {dotted} import KeyMapper")


def _package(path: Path) -> Path | None:
    """Return the outermost package that a file lies in."""
    found = None
    for folder in path.parents:
        if not (folder / "__init__.py").is_file():
            break
        found = folder
    return found


def _imports(file: File) -> Iterator[tuple[int, str]]:
    """Yield each import as dots and the dotted name of a module."""
    for node in file.of(ast.Import, ast.ImportFrom):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        else:
            yield node.level, node.module or ""


def _base(file: File, dotted: str, index: Index) -> Path | None:
    """Return the folder that an absolute import of the repository starts from."""
    found, rest = index.find(file, 0, dotted)
    if found is None or rest:
        return None
    place = found.path.parent if found.path.name == "__init__.py" else found.path
    return place.parents[dotted.count(".")]


def _is_script(file: File) -> bool:
    """Tell whether a file is run by itself: it asks for its ``__name__``, or acts where it is imported."""
    return file.path.suffix == ".ipynb" or any(
        (isinstance(node, ast.If) and "__name__" in ast.unparse(node.test))
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        for node in file.tree.body
    )
