"""Where a live port has the channels of its images: it says so, or its code shows that it moves no axis."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ml_switcheroo.computed.source import tree_of
from ml_switcheroo.computed.words import LIBRARIES
from ml_switcheroo.errors import UsageError
from ml_switcheroo.recipes import Target

__all__ = ["LAYOUTS", "Shown", "layout_shown", "with_layout"]

LAYOUTS = ("first", "last")

_FRAMEWORKS = LIBRARIES.union(
    """jaxlib numpy optax chex einops builtins functools typing abc dataclasses collections math operator
    itertools nnx linen jaxtyping enum""".split()
)
_MOVING = frozenset(
    """transpose moveaxis swapaxes permute permute_dims rollaxis rearrange einsum einops reduce
    matrix_transpose swapdims movedim vmap Permute Transpose Moveaxis Swapaxes Einsum Rearrange
    xmap einsum_dense""".split()
)
_TO_LAST = frozenset({(0, 2, 1), (0, 2, 3, 1), (0, 2, 3, 4, 1), (1, 2, 0), (1, -1)})
_LISTS = frozenset({"List", "Dict"})  # of Flax
_FIRST = ("NCHW", "NCW", "NCDHW", "channels_first", "NCL")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a port shows of its layout.

    Attributes:
        layout: ``first`` or ``last``; empty where nothing shows it.
        why: What shows it, or why nothing does.
    """

    layout: str
    why: str


def with_layout(target: Target, layout: str | None) -> Target:
    """Return a target whose images have their channels where the user says.

    Raises:
        UsageError: It is neither ``first`` nor ``last``.
    """
    if layout is None:
        return target
    if layout == "first":
        return replace(target, channels="first")
    if layout == "last":
        return replace(target, channels="last")
    raise UsageError(f'layout={layout!r}: say "first" or "last": where the port has its channels')


def layout_shown(model: Any) -> Shown:
    """Return where a live model has its channels, as far as it shows that.

    A model says so itself by an attribute ``channels`` of it or its class, ``"first"`` or ``"last"``.
    Otherwise the layers of Keras say it, or the model's code: where no axis is moved, the channels are where
    the framework's layers have them.
    """
    said = getattr(model, "channels", None)
    if isinstance(said, str) and said in LAYOUTS:
        return Shown(said, f"{type(model).__name__}.channels says so")
    reader = _Reader()
    formats: dict[str, str] = {}
    for value in _parts(model, {}):
        stated = getattr(value, "data_format", None)
        if isinstance(stated, str) and type(value).__name__ != "Flatten":
            formats.setdefault(stated, f"{type(value).__name__} has data_format {stated}")
        reader.read(value)
    if list(formats) == ["channels_first"]:
        return Shown("first", formats["channels_first"])
    if "channels_first" in formats:
        return Shown("", " and ".join(formats.values()))
    if reader.unread:
        return Shown("", f"the source of {reader.unread[0]} cannot be read")
    ways = {way for way, _ in reader.moves}
    if ways <= {"last"}:
        return Shown("last", f"no axis is moved to the front in {type(model).__name__}")
    return Shown("", next(place for way, place in reader.moves if way != "last"))


def _parts(value: Any, seen: dict[int, Any], depth: int = 0) -> Iterator[Any]:
    """Yield a model, its modules, and the functions that it keeps; what was seen lives on, as its id does."""
    if id(value) in seen or depth > 40 or isinstance(value, str | bytes | int | float | types.ModuleType):
        return
    seen[id(value)] = value
    if callable(value) and not isinstance(value, functools.partial):
        yield value
    for child in _held(value):
        yield from _parts(child, seen, depth + 1)


def _held(value: Any) -> list[Any]:
    """Return what a model, a container or a partial function holds."""
    if isinstance(value, list | tuple | set):
        return list(value)
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    held = list(value.values()) if isinstance(value, Mapping) else []
    plain = isinstance(value, types.FunctionType | types.MethodType | type)
    if (callable(value) and not plain) or type(value).__name__ in _LISTS:
        own = getattr(value, "__dict__", {})
        held += [*own.values(), *own.get("_modules", {}).values()]
    return held


class _Reader:
    """Reads the source of classes and functions, and of what they use."""

    def __init__(self) -> None:
        self.moves: list[tuple[str, str]] = []
        self.unread: list[str] = []
        self._seen: set[int] = set()

    def read(self, value: Any) -> None:
        """Read what an object runs: its classes, or the function itself."""
        function = getattr(value, "__wrapped__", value)
        if isinstance(function, types.MethodType):
            function = function.__func__
        if isinstance(function, types.FunctionType | type):
            self._code(function)
        elif isinstance(function, types.BuiltinFunctionType) or not _is_own(type(function)):
            self._named(getattr(function, "__name__", type(function).__name__), "the model")
        else:
            for cls in type(function).__mro__:
                self._code(cls)

    def _named(self, name: str, where: str) -> None:
        if name in _MOVING:
            self.moves.append(("other", f"{where} moves axes ({name})"))

    def _code(self, thing: Any) -> None:
        if id(thing) in self._seen or len(self._seen) > 400:
            return
        self._seen.add(id(thing))
        name = getattr(thing, "__qualname__", str(thing))
        if not _is_own(thing):
            self._named(name.rpartition(".")[2], "the model")
            return
        try:
            trees, start, file = _source(thing)
        except (OSError, TypeError, SyntaxError, ValueError):
            # A class of a file that no module of that name stands for: its methods know where they are from.
            methods = [one for one in vars(thing).values() if isinstance(one, types.FunctionType)]
            for method in methods if isinstance(thing, type) else ():
                self._code(method)
            if not methods or not isinstance(thing, type):
                self.unread.append(name)
            return
        place = sys.modules.get(thing.__module__)
        names = vars(place) if place is not None else getattr(thing, "__globals__", {})
        for tree in trees:
            self._walk(tree, f"{file}:", start, names)

    def _walk(self, tree: ast.AST, file: str, start: int, names: Mapping[str, Any]) -> None:
        for node in ast.walk(tree):
            where = f"{file}{start + getattr(node, 'lineno', 1) - 1}"
            if isinstance(node, ast.Call):
                word = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if word in _MOVING:
                    way = "last" if _to_last(node) else "other"
                    self.moves.append((way, f"{where} moves axes ({ast.unparse(node)[:60]})"))
            elif isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
                self.moves.append(("other", f"{where} moves axes (.{node.attr})"))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 40:
                if any(word in node.value for word in _FIRST):
                    self.moves.append(("other", f"{where} says {node.value!r}"))
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used = names.get(node.id)
                if isinstance(used, type | types.FunctionType) and _is_own(used):
                    self._code(used)


def _source(thing: Any) -> tuple[list[ast.AST], int, str]:
    """Return the code of a class or function, the line that it starts in, and the name of its file."""
    path = Path(inspect.getsourcefile(thing) or "")
    if getattr(thing, "__name__", "") == "<lambda>":
        line = thing.__code__.co_firstlineno
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        return [node for node in nodes if isinstance(node, ast.Lambda) and node.lineno == line], 1, path.name
    tree, behind = tree_of(thing)
    return [tree], behind + 1, path.name


def _to_last(call: ast.Call) -> bool:
    """Tell whether a call moves the channels of PyTorch's layout behind all other axes."""
    numbers: list[int] = []
    for node in [*call.args, *(keyword.value for keyword in call.keywords)]:
        try:
            value = ast.literal_eval(node)
        except ValueError:
            continue
        numbers += value if isinstance(value, list | tuple) else [value]
    return tuple(numbers) in _TO_LAST


def _is_own(thing: Any) -> bool:
    """Tell whether a class or function is the user's own: of no framework."""
    return (getattr(thing, "__module__", "") or "").partition(".")[0] not in _FRAMEWORKS
