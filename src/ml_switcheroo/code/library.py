"""Source files: found on disk by path or dotted name, parsed once, never imported."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_switcheroo.code.finding import folder_of, module_file
from ml_switcheroo.code.outline import outline
from ml_switcheroo.code.parsing import parse

__all__ = ["OPAQUE", "Library", "Source"]

_PARSERS = frozenset("yaml ruamel toml tomli omegaconf hydra antlr4 pyparsing lark regex".split())
"""What reads text: to follow it takes minutes, and shows nothing of a model."""

_LOADERS = frozenset("huggingface_hub requests httpx urllib3 aiohttp fsspec".split())
"""What fetches files: what a model is does not depend on it."""

OPAQUE = frozenset(sys.stdlib_module_names) | {"torch", "numpy", "einops"} | _PARSERS | _LOADERS
"""Packages that are known by their reference, not by their source."""

_INSTALLED = frozenset({"site-packages", "dist-packages"})


@dataclass(slots=True, eq=False, repr=False)
class Source:
    """One parsed file.

    Attributes:
        path: Where it lies.
        label: How it is named in ``file:line``.
        tree: The parsed module.
        bindings: For each name the module-level statements that bind or change it, in order.
        stars: The modules of ``from x import *``, as ``(level, name)``.
        values: The names that whoever reads the file has worked out.
        ran: The module-level statements that have been read, by index.
        calls: Those that call a function, and its name: ``register("conv", Conv)``, ``@register class Conv``.
    """

    path: Path
    label: str
    tree: ast.Module
    bindings: Mapping[str, Sequence[int]] = field(init=False)
    stars: Sequence[ast.ImportFrom] = field(init=False)
    values: dict[str, Any] = field(default_factory=dict)
    ran: set[int] = field(default_factory=set)
    calls: Sequence[tuple[int, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.bindings, self.stars, self.calls = outline(self.tree)

    @property
    def name(self) -> str:
        """How it is imported, seen from where it was found: ``pkg.layers``."""
        return self.label.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def package(self) -> str:
        """The package that its relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def again(self) -> Source:
        """Return the same file with no name worked out yet."""
        return Source(self.path, self.label, self.tree)

    def settled(self, name: str) -> bool:
        """Tell whether every statement that binds or changes a name has been read."""
        return self.ran.issuperset(self.bindings.get(name, ()))

    @property
    def classes(self) -> tuple[ast.ClassDef, ...]:
        """The classes at module level."""
        return tuple(node for node in self.tree.body if isinstance(node, ast.ClassDef))

    @property
    def functions(self) -> tuple[ast.FunctionDef, ...]:
        """The functions at module level."""
        return tuple(node for node in self.tree.body if isinstance(node, ast.FunctionDef))


class Library:
    """The files that can be reached: below the roots, and what is installed.

    Args:
        roots: Folders that absolute imports are looked up in, before ``sys.path``.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        installed = (Path(entry) for entry in sys.path if entry)
        self._roots = tuple(dict.fromkeys([*(root.resolve() for root in roots), *installed]))
        self._near = len({root.resolve() for root in roots})
        self._sources: dict[Path, Source] = {}
        self._found: dict[str, Path | None] = {}
        self._parsed: dict[Path, ast.Module] = {}
        self._real: dict[Path, Path] = {}
        self._led: dict[tuple[Path, int, str], Path | None] = {}

    def again(self) -> Library:
        """Return a library with the same files, parsed but not read yet."""
        fresh = Library(())
        fresh._roots, fresh._near, fresh._found = self._roots, self._near, self._found
        fresh._sources = {path: source.again() for path, source in self._sources.items()}
        fresh._parsed, fresh._real, fresh._led = self._parsed, self._real, self._led
        return fresh

    def module(self, dotted: str) -> Source | None:
        """Return the source of a module or package, None where it is opaque or not on disk."""
        path = self._path(dotted)
        return self.file(path) if path is not None else None

    def relative(self, source: Source, level: int, dotted: str) -> Path | None:
        """Return the path a relative import leads to, seen from ``source``."""
        key = (source.path, level, dotted)
        if key not in self._led:
            folder = folder_of(source.path, level)
            self._led[key] = module_file(folder, dotted.split(".") if dotted else [])
        return self._led[key]

    def imported(self, source: Source, node: ast.ImportFrom) -> Source | None:
        """Return the module that ``from module import name`` asks, None where it is not read."""
        path = self.place(source, node)
        return self.file(path) if path is not None else None

    def place(self, source: Source, node: ast.ImportFrom) -> Path | None:
        """Return where the module of ``from module import name`` lies, None where it is not read."""
        if not node.level:
            return self._path(node.module or "")
        return self.relative(source, node.level, node.module or "")

    def is_near(self, path: Path) -> bool:
        """Tell whether a file lies below the roots that were named, and not among what is installed."""
        if not _INSTALLED.isdisjoint(path.parts):
            return False
        inside = (number for number, root in enumerate(self._roots) if path.is_relative_to(root))
        deepest = max(inside, key=lambda number: len(self._roots[number].parts), default=self._near)
        return deepest < self._near

    def exists(self, dotted: str) -> bool:
        """Tell whether a module is on disk, or one of those that are known without."""
        top = dotted.partition(".")[0]
        return top in OPAQUE or self._path(dotted) is not None or any(self._folders(top))

    def file(self, path: Path) -> Source:
        """Parse a file once.

        Raises:
            SourceError: The file is not there, too large, or not Python.
        """
        real = self._real.get(path)
        if real is None:
            real = path.resolve()
            if real.suffix != path.suffix:  # a cache keeps files by their checksums
                real = path.parent.resolve() / path.name
            self._real[path] = real
        if real not in self._sources:
            if real not in self._parsed:
                self._parsed[real] = parse(real)
            self._sources[real] = Source(real, self._label(real), self._parsed[real])
        return self._sources[real]

    def add(self, path: Path, tree: ast.Module) -> Source:
        """Take a tree as what lies at a path: a source that somebody has made, and no file."""
        self._real[path], self._parsed[path] = path, tree
        return self.file(path)

    def loaded(self, name: str) -> Source | None:
        """Return the one file that has been read and goes by a name; None where there is none, or more."""
        found = [source for source in self._sources.values() if source.name == name]
        return found[0] if len(found) == 1 else None

    def names(self, source: Source) -> Iterator[str]:
        """Yield how a file is imported, seen from each root that it lies below."""
        for root in self._roots:
            if source.path.is_relative_to(root):
                parts = source.path.relative_to(root).with_suffix("").parts
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _folders(self, top: str) -> Iterator[Path]:
        return (root / top for root in self._roots if (root / top).is_dir())

    def _path(self, dotted: str) -> Path | None:
        if dotted not in self._found:
            self._found[dotted] = self._find(dotted)
        return self._found[dotted]

    def _find(self, dotted: str) -> Path | None:
        parts = dotted.split(".")
        for number, root in enumerate(self._roots):
            if parts[0] in OPAQUE and (number >= self._near or _is_copy(root, parts[0])):
                return None
            if (path := module_file(root, parts)) is not None:
                return path
        return None

    def _label(self, path: Path) -> str:
        for root in self._roots:
            if path.is_relative_to(root):
                return path.relative_to(root).as_posix()
        return path.name


def _is_copy(root: Path, top: str) -> bool:
    """Tell whether a package below a root is the one that is known by its reference, and no namesake."""
    if not _INSTALLED.isdisjoint(root.parts):
        return True
    return top in _INSIDE and (root / top / _INSIDE[top]).is_file()


_INSIDE = {"einops": "_backends.py"}
"""Packages that people keep a copy of beside a model, with a file that only the original has."""
