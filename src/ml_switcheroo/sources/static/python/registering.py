"""What importing a file changes elsewhere: classes that are put into a registry of another file.

A module's statements are read when a name that they bind is asked for. One that registers something in
another file binds nothing that anybody asks for there, so it is found ahead: in the files that the model
imports, each statement that may change an object of another file waits until that object is asked for.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ml_switcheroo.code.library import Library, Source
from ml_switcheroo.code.outline import bound_names

__all__ = ["Registrations"]

_MOST_FILES = 300
_DEEPEST = 8  # imports that lead to where an object is made

Place = tuple[Path, str]  # a file, and the name of an object in it


@dataclass(slots=True)
class Registrations:
    """The statements that wait for an object to be asked for.

    Attributes:
        library: Where the files come from.
        waiting: By object, the statements that may change it, in the order they run.
        reached: The files whose imports have been followed.
        asked: The objects that somebody has asked for.
        busy: The files whose own code is being read, the innermost last.
        late: What such a file registers, to be run behind the statement that is being read.
    """

    library: Library
    waiting: dict[Place, list[tuple[Source, int]]] = field(default_factory=dict)
    reached: set[Path] = field(default_factory=set)
    asked: set[Place] = field(default_factory=set)
    busy: list[Source] = field(default_factory=list)
    late: list[tuple[Source, int]] = field(default_factory=list)

    def reach(self, source: Source) -> None:
        """Follow the imports of a file, and note what each file that is imported changes elsewhere."""
        if source.path in self.reached or len(self.reached) >= _MOST_FILES:
            return
        if not self.library.is_near(source.path):
            return
        self.reached.add(source.path)
        for index, statement in enumerate(source.tree.body):
            for node in _imports(statement):
                for one in self._led_to(source, node):
                    self.reach(one)
            for parts in _changed(statement):
                for place in self._objects(source, parts, _DEEPEST):
                    self.waiting.setdefault(place, []).append((source, index))

    def due(self, source: Source, name: str) -> list[tuple[Source, int]]:
        """Return, once, the statements that have to run before an object is used."""
        place = (source.path, name)
        self.asked.add(place)
        return self.waiting.pop(place, [])

    def overdue(self) -> list[tuple[Source, int]]:
        """Return, once, those that change objects which have been asked for before."""
        late = [place for place in self.waiting if place in self.asked]
        return [one for place in late for one in self.waiting.pop(place)]

    def _led_to(self, source: Source, node: ast.Import | ast.ImportFrom) -> Iterator[Source]:
        """Yield the files that an import runs, the packages around a module before it."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from self._on_the_way(alias.name)
            return
        if not node.level:
            yield from self._on_the_way(node.module or "")
        paths = [self.library.place(source, node)]
        for alias in node.names:
            inner = ast.ImportFrom(f"{node.module or ''}.{alias.name}".strip("."), [], node.level)
            paths.append(self.library.place(source, inner))
        yield from (self.library.file(path) for path in paths if path is not None)

    def _on_the_way(self, dotted: str) -> Iterator[Source]:
        parts = dotted.split(".")
        found = (self.library.module(".".join(parts[:end])) for end in range(1, len(parts) + 1))
        yield from (one for one in found if one is not None)

    def _objects(self, source: Source, parts: tuple[str, ...], depth: int) -> Iterator[Place]:
        """Yield the objects of other files that using ``a.b.c`` at module level may change."""
        home, name = self._home(source, parts, depth)
        if home is None or home is source:
            return
        for index in home.bindings.get(name, ()):
            node = home.tree.body[index]
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield from ((home.path, one) for one in _touched(node) if one in home.bindings)
            if isinstance(node, ast.ClassDef):
                for base in node.bases:
                    yield from self._objects(home, _dotted(base), depth - 1)
        yield home.path, name

    def _home(self, source: Source, parts: tuple[str, ...], depth: int) -> tuple[Source | None, str]:
        """Return the file that makes what ``a.b`` stands for, and its name there."""
        if not parts or not depth or not self.library.is_near(source.path):
            return None, ""
        name, *rest = parts
        for node in _binding(source, name):
            module, inner = self._import(source, node, name)
            if module is not None:
                return self._home(module, (inner, *rest) if inner else tuple(rest), depth - 1)
        if name in source.bindings:
            return source, name
        inside = self.library.relative(source, 1, name) if source.path.name == "__init__.py" else None
        if inside is not None:
            return self._home(self.library.file(inside), tuple(rest), depth - 1)
        for star in source.stars:
            module = self.library.imported(source, star)
            found = self._home(module, parts, depth - 1) if module is not None else (None, "")
            if found[0] is not None:
                return found
        return None, ""

    def _import(
        self, source: Source, node: ast.Import | ast.ImportFrom, name: str
    ) -> tuple[Source | None, str]:
        """Return the module that an import binds ``name`` to, or takes it from, and its name there."""
        for alias in node.names:
            if name != (alias.asname or alias.name.partition(".")[0]):
                continue
            if isinstance(node, ast.Import):
                return self.library.module(alias.name if alias.asname else name), ""
            module = self.library.imported(source, node)
            if module is not None:
                return module, alias.name
            inner = ast.ImportFrom(f"{node.module or ''}.{alias.name}".strip("."), [], node.level)
            return self.library.imported(source, inner), ""
        return None, ""


def _binding(source: Source, name: str) -> Iterator[ast.Import | ast.ImportFrom]:
    for index in source.bindings.get(name, ()):
        yield from _imports(source.tree.body[index])


@functools.lru_cache(maxsize=4096)
def _imports(statement: ast.stmt) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Return the imports that run when a module-level statement does."""
    return tuple(one for one in _running(statement) if isinstance(one, ast.Import | ast.ImportFrom))


def _running(statement: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements within a statement that run with it; what only a type checker sees does not."""
    yield statement
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    hidden = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)
    for inner in ast.iter_child_nodes(statement):
        if isinstance(inner, ast.stmt | ast.ExceptHandler) and not (
            hidden and isinstance(statement, ast.If) and inner in statement.body
        ):
            yield from _running(inner)


@functools.lru_cache(maxsize=4096)
def _changed(statement: ast.stmt) -> tuple[tuple[str, ...], ...]:
    """Return the names, dotted, of what a module-level statement may change."""
    found = (_dotted(place) for node in _running(statement) for place in _places(node))
    return tuple(dict.fromkeys(parts for parts in found if parts))


def _places(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.ClassDef():
            yield from node.decorator_list
            yield from node.bases
        case ast.FunctionDef():
            yield from node.decorator_list
        case ast.Expr(value=ast.Call(func=called)):
            yield called
        case ast.Assign(targets=targets):
            yield from (one for one in targets if isinstance(one, ast.Subscript))
        case ast.AugAssign(target=target):
            yield target


def _dotted(node: ast.expr) -> tuple[str, ...]:
    """Return the names of ``a.b``, also under calls and items: ``a.b(x)[0].c`` has a, b and c."""
    match node:
        case ast.Name(id=name):
            return (name,)
        case ast.Attribute(value=inner, attr=name):
            before = _dotted(inner)
            return (*before, name) if before else ()
        case ast.Call(func=inner) | ast.Subscript(value=inner):
            return _dotted(inner)
    return ()


@functools.lru_cache(maxsize=4096)
def _touched(node: ast.FunctionDef | ast.ClassDef) -> frozenset[str]:
    """Return the names that the code of a function or class may change something of."""
    names = {name for one in ast.walk(node) if isinstance(one, ast.Global) for name in one.names}
    inside = (one for one in ast.walk(node) if isinstance(one, ast.Assign | ast.AugAssign | ast.Expr))
    return frozenset(names.union(*(bound_names(one) for one in inside)))
