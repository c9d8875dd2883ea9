"""The files of a repository, found by the names they are imported by; parsed when they are asked for."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ml_switcheroo.code.finding import folder_of, module_file
from ml_switcheroo.code.outline import imported_names, top_level
from ml_switcheroo.code.parsing import read
from ml_switcheroo.codemod.layouts import source_folders
from ml_switcheroo.codemod.trees import FIELDS, called
from ml_switcheroo.errors import SourceError

__all__ = ["File", "Index"]

Found = TypeVar("Found")


@dataclass(eq=False)
class File:
    """A parsed file and the names of its top level.

    Attributes:
        path: Where it lies; it need not exist.
        tree: Its tree.
        code: Its text.
        deep: Whether imports inside functions count; what others import from a file is at its top.
    """

    path: Path
    tree: ast.Module = field(repr=False)
    code: str = field(repr=False)
    deep: bool = False
    _known: dict[tuple[Any, ...], Any] = field(default_factory=dict, repr=False)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree, outer ones first."""
        return self._walked[0]

    @cached_property
    def around(self) -> dict[ast.AST, ast.AST]:
        """The node around each node but the first, in the order of ``nodes``."""
        return self._walked[1]

    @cached_property
    def _walked(self) -> tuple[list[ast.AST], dict[ast.AST, ast.AST], dict[type[ast.AST], list[int]]]:
        """The nodes, what is around each, and the places of each class among them: from one walk."""
        # Not recursive: a sum of a thousand terms is a thousand deep.
        around: dict[ast.AST, ast.AST] = {}
        places: dict[type[ast.AST], list[int]] = defaultdict(list)
        todo: list[ast.AST] = [self.tree]
        for place, node in enumerate(todo):
            places[node.__class__].append(place)
            for name in FIELDS[node.__class__]:
                value = getattr(node, name, None)
                if value.__class__ is list:
                    for child in value:
                        if child is not None:
                            around[child] = node
                            todo.append(child)
                elif value is not None:
                    around[value] = node
                    todo.append(value)
        return todo, around, places

    def of(self, *kinds: type[ast.AST]) -> list[Any]:
        """Return the nodes of some classes, outer ones first."""
        return self.once(_of, *kinds)

    def calls(self, wanted: Callable[[str], object]) -> list[ast.Call]:
        """Return the calls of what has a name (see ``called``) that is wanted, outer ones first."""
        names = self.once(_places_called)
        places = sorted(place for name, found in names.items() if wanted(name) for place in found)
        return [self.of(ast.Call)[place] for place in places]

    def once(self, find: Callable[..., Found], *about: Any) -> Found:
        """Return what a function finds in this file, about some nodes of it; for those it is called once."""
        asked = (find, *about)
        if asked not in self._known:
            self._known[asked] = find(self, *about)
        return self._known[asked]  # type: ignore[no-any-return]

    @cached_property
    def imports(self) -> dict[str, tuple[int, str]]:
        """What each imported name stands for: how many dots came first, and the dotted name."""
        return imported_names(self.of(ast.Import, ast.ImportFrom) if self.deep else top_level(self.tree.body))

    @cached_property
    def definitions(self) -> dict[str, ast.stmt]:
        """Classes, functions and assignments of the top level, by name; the last one counts."""
        found: dict[str, ast.stmt] = {}
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found[node.name] = node
            elif isinstance(node, ast.Assign):
                found.update({target.id: node for target in node.targets if isinstance(target, ast.Name)})
        return found

    def definition(self, name: str) -> ast.stmt:
        """Return what a name of ``definitions`` stands for, through ``Net = OldNet``."""
        found, seen = self.definitions[name], {name}
        while isinstance(found, ast.Assign) and isinstance(found.value, ast.Name):
            if found.value.id in seen or found.value.id not in self.definitions:
                break
            seen.add(found.value.id)
            found = self.definitions[found.value.id]
        return found


def _of(file: File, *kinds: type[ast.AST]) -> list[ast.AST]:
    nodes, _, places = file._walked
    return [nodes[place] for place in sorted(place for kind in kinds for place in places.get(kind, ()))]


def _places_called(file: File) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for place, call in enumerate(file.of(ast.Call)):
        found[called(call)].append(place)
    return found


class Index:
    """The files below some folders (and beside the file that is asked about).

    Args:
        known: The files of the project: those that may use what a file defines.
    """

    def __init__(self, known: Iterable[Path] = ()) -> None:
        self._known = tuple(known)
        self._raw: dict[Path, bytes] = {}
        self._files: dict[Path, File | None] = {}
        self._sources: dict[Path, list[Path]] = {}
        self._modules: dict[tuple[Path, tuple[str, ...]], File | None] = {}
        self._found: dict[tuple[Path, int, str], tuple[File | None, str]] = {}

    def read(self, path: Path) -> File | None:
        """Return the parsed file; None where it is not there or no Python."""
        if path not in self._files:
            try:
                code, tree = read(path)
                self._files[path] = File(path, tree, code)
            except SourceError:
                self._files[path] = None
        return self._files[path]

    def mentioning(self, name: str, file: File) -> Iterator[File]:
        """Yield the other files of the project in whose text a name occurs; no notebooks."""
        for path in self._known:
            if path != file.path and path.suffix != ".ipynb" and name.encode() in self._text(path):
                found = self.read(path)
                if found is not None:
                    yield found

    def is_in_notebook(self, name: str, file: File) -> bool:
        """Tell whether another file of the project that is a notebook calls something of that name."""
        call = re.compile(rf"\b{re.escape(name)}\(".encode())
        return any(
            path.suffix == ".ipynb" and path != file.path and call.search(self._text(path))
            for path in self._known
        )

    def function(self, file: File, name: str) -> ast.FunctionDef | None:
        """Return the function of a project that a name in a file stands for."""
        found = file.definitions.get(name)
        first, _, rest = name.partition(".")
        if found is None and first in file.imports:
            level, dotted = file.imports[first]
            there, inner = self.find(file, level, ".".join(part for part in (dotted, rest) if part))
            found = there.definitions.get(inner) if there is not None else None
        return found if isinstance(found, ast.FunctionDef) else None

    def _text(self, path: Path) -> bytes:
        if path not in self._raw:
            try:
                self._raw[path] = path.read_bytes()
            except OSError:
                self._raw[path] = b""
        return self._raw[path]

    def find(self, file: File, level: int, dotted: str) -> tuple[File | None, str]:
        """Find what an import in ``file`` names: the file, and the name in it (empty for the file itself).

        ``(None, "")`` where it is in no file of the repository.
        """
        asked = (file.path, level, dotted)
        if asked not in self._found:
            self._found[asked] = self._find(file, level, dotted)
        return self._found[asked]

    def _find(self, file: File, level: int, dotted: str) -> tuple[File | None, str]:
        parts = dotted.split(".") if dotted else []
        folder = file.path.parent
        folders = [folder_of(file.path, level)] if level else [folder, *folder.parents][:8]
        for base in folders if level else [root for folder in folders for root in self._roots(folder)]:
            for count in (len(parts), len(parts) - 1):
                found = self._module(base, tuple(parts[:count])) if count >= 0 else None
                if found is not None and (count or level) and found is not file:
                    return found, ".".join(parts[count:])
        return None, ""

    def _roots(self, folder: Path) -> list[Path]:
        """Return the folders that the imports of a project in ``folder`` start from: it and its sources."""
        if folder not in self._sources:
            found = [folder, *source_folders(folder)]
            self._sources[folder] = [root for root in dict.fromkeys(found) if root.is_dir()]
        return self._sources[folder]

    def _module(self, folder: Path, parts: tuple[str, ...]) -> File | None:
        asked = (folder, parts)
        if asked not in self._modules:
            path = module_file(folder, parts)
            self._modules[asked] = self.read(path) if path is not None else None
        return self._modules[asked]
