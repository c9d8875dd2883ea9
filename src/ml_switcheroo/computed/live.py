"""What a live model of any framework computes: its modules' attributes, and the source of its classes."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import CellType, FunctionType, MappingProxyType
from typing import Any, Literal

from ml_switcheroo.computed.code import called
from ml_switcheroo.computed.source import tree_of
from ml_switcheroo.computed.words import LIBRARIES, Computed, attention_scale, is_attention, named, scale_of

__all__ = ["computed_in"]

Words = tuple[Computed, ...]

_ATTENTIONS = ("MultiheadAttention", "MultiHeadAttention")
_MODULES = ("Module", "Layer")

# The activations of a recurrent layer belong to it: a table of its own compares them.
_RECURRENT = ("Cell", "RNN", "LSTM", "GRU")
NOTHING: Mapping[str, Any] = MappingProxyType({})


def computed_in(nodes: Iterable[tuple[str, Any]]) -> dict[str, Words]:
    """Return what each module of a live model computes by itself, by its path.

    A module counts with its attributes (a function, a partial) and with what the methods of its class call,
    where the source of the class can be read. Nothing is called.

    Args:
        nodes: Path and module of each module of the model.
    """
    reader = _Reader()
    words = ((path, tuple(dict.fromkeys(reader.of_node(node)))) for path, node in nodes)
    return {path: found for path, found in words if found}


class _Reader:
    """Reads each class and function once."""

    def __init__(self) -> None:
        self._classes: dict[type, Words] = {}
        self._functions: dict[FunctionType, Words] = {}

    def of_node(self, node: Any) -> Iterator[Computed]:
        cls = type(node)
        if not _of_library(cls):
            yield from self.of_class(cls)
            yield from attention_scale(_attributes(node)) if is_attention(cls.__name__) else ()
        elif cls.__name__.endswith(_RECURRENT):
            return
        else:
            known = named(f"{cls.__module__}.{cls.__name__}", _attributes(node))
            yield from [known] if known is not None else ()
            yield from scale_of(_head_size(node)) if cls.__name__ in _ATTENTIONS else ()
        for value in _attributes(node).values():
            for item in value if isinstance(value, list | tuple) else (value,):
                if callable(item) and not isinstance(item, type) and not _is_module(item):
                    yield from self.of_function(item)

    def of_function(self, function: Any, args: Mapping[str, Any] = NOTHING) -> Iterator[Computed]:
        if isinstance(function, partial):
            yield from self.of_function(function.func, {**function.keywords, **args})
            return
        name = _qualified(function)
        if name:
            found = named(name, args)
            yield from [found] if found is not None else ()
        elif isinstance(function, FunctionType):
            yield from self.of_source(function)

    def of_class(self, cls: type) -> Words:
        """Read the methods of a class and of its bases that are no framework's."""
        if cls not in self._classes:
            found: list[Computed] = []
            seen: set[str] = set()
            for one in cls.__mro__:
                for name, method in vars(one).items() if one is not object and not _of_library(one) else ():
                    function = inspect.unwrap(method) if callable(method) else None
                    if isinstance(function, FunctionType) and name not in seen:
                        found += self.of_source(function)
                    seen.add(name)
            self._classes[cls] = tuple(dict.fromkeys(found))
        return self._classes[cls]

    def of_source(self, function: FunctionType) -> Words:
        """Read a function in its source."""
        if function not in self._functions:
            self._functions[function] = ()  # of one that calls itself
            tree = _tree(function)
            names = {**function.__globals__, **_closure(function)}
            if tree is not None:
                found = called(tree, lambda dotted: _qualified(_looked_up(names, dotted)))
                self._functions[function] = tuple(dict.fromkeys(found))
        return self._functions[function]


def _attributes(node: Any) -> dict[str, Any]:
    """Return the attributes of a module by the names that its constructor has for them."""
    items = dict(node) if isinstance(node, Mapping) else {}
    own = vars(node) if hasattr(node, "__dict__") else {}
    return {str(name).lstrip("_"): value for name, value in {**items, **own}.items()}


def _is_module(value: Any) -> bool:
    """Tell whether a value is a node of the model, which comes by itself."""
    return any(cls.__name__ in _MODULES and _of_library(cls) for cls in type(value).__mro__)


def _of_library(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in LIBRARIES


def _qualified(function: Any) -> str:
    """Return the qualified name of a function of a framework; empty for any other."""
    module = getattr(function, "__module__", None) or ""
    name = getattr(function, "__name__", None) or ""
    return f"{module}.{name}" if name and module.partition(".")[0] in LIBRARIES else ""


def _looked_up(names: Mapping[str, Any], dotted: str) -> Any:
    head, *parts = dotted.split(".")
    value = names.get(head)
    for part in parts:
        value = getattr(value, part, None) if inspect.ismodule(value) else None
    return value


def _closure(function: FunctionType) -> dict[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells if _is_set(cell)}


def _is_set(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a name that its function has not bound yet
        return False


def _tree(function: FunctionType) -> ast.AST | None:
    """Parse the source of a function; of a lambda, what of its lines is one."""
    try:
        if function.__name__ == "<lambda>":
            return _lambda_in(textwrap.dedent(inspect.getsource(function)), function)
        return tree_of(function)[0]
    except (OSError, SyntaxError, TypeError):  # made at run time, or in a session
        return None


def _lambda_in(text: str, function: FunctionType) -> ast.AST | None:
    """Parse the lambda of some lines that a function is; where several can be meant, none."""
    starts = [found.start() for found in re.finditer(r"\blambda\b", text)]
    found = [tree for start in starts if (tree := _longest(text[start:])) is not None]
    if len(found) > 1:
        found = [tree for tree in found if _compiles_to(tree, function)]
    return found[0] if len(found) == 1 else None


def _longest(text: str) -> ast.Expression | None:
    """Parse as much from the start of a text as is one expression."""
    ends = range(len(text), 0, -1)
    tree = next((tree for end in ends if (tree := _parsed(text[:end], "eval")) is not None), None)
    return tree if isinstance(tree, ast.Expression) and isinstance(tree.body, ast.Lambda) else None


def _compiles_to(tree: ast.Expression, function: FunctionType) -> bool:
    code = compile(tree, "", "eval").co_consts[0]
    same = ("co_code", "co_consts", "co_names")
    return all(getattr(code, name) == getattr(function.__code__, name) for name in same)


def _parsed(text: str, mode: Literal["exec", "eval"]) -> ast.AST | None:
    try:
        return ast.parse(text, mode=mode)
    except SyntaxError:
        return None


def _head_size(node: Any) -> int | None:
    """Return the size of a head of an attention layer of a framework."""
    attributes = _attributes(node)
    for name in ("head_dim", "qk_size", "key_dim"):
        if isinstance(attributes.get(name), int):
            return int(attributes[name])
    weight = getattr(attributes.get("query_proj"), "weight", None)
    heads = attributes.get("num_heads")
    return int(weight.shape[0]) // heads if weight is not None and isinstance(heads, int) else None
