"""Where the weights of a model are written one by one: ``net.fc.weight.data.copy_(array)``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ml_switcheroo.codemod.flow import Flow, Spot, passed
from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.naming import named_kind, words_of
from ml_switcheroo.codemod.receivers import Place, Receivers
from ml_switcheroo.codemod.trees import called, spelled

__all__ = ["find_written"]

_WEIGHT = re.compile(r"(^|_)(weight|bias)(_|$)|^in_proj|^running_(mean|var)$")
"""Attributes of a layer that a checkpoint has."""

_YIELDING = frozenset({"parameters", "named_parameters", "buffers", "named_buffers", "state_dict"})
_VIEWS = frozenset({"data", "detach", "view", "view_as", "narrow", "flatten"})
_MAKING = frozenset(
    "zeros ones empty full eye rand randn zeros_like ones_like randn_like Tensor FloatTensor tensor".split()
)
_LIBRARIES = frozenset({"torch", "th", "math", "np", "nn", "F", "init"})
_FUNCTION = re.compile(rf"\w+$|({'|'.join(sorted(_LIBRARIES))})\.")
_STARTING = frozenset({"__init__", "reset_parameters", "_init_weights", "init_weights", "_reset_parameters"})
_WRITABLE = (ast.Name, ast.Attribute, ast.Subscript)
_MODULES = frozenset({"module", "overriding"})


def find_written(file: File, receivers: Receivers) -> Iterator[tuple[int, int]]:
    """Yield first and last line of what writes weights one by one, in one function; 0 for a single line.

    What a weight is started with, and what is made of the weight itself, is no load.
    """
    lines: dict[ast.AST, list[int]] = {}
    for spot in _weights(file, receivers):
        lines.setdefault((file.tree, *spot.scopes)[-1], []).append(spot.node.lineno)
    for found in lines.values():
        yield min(found), max(found) if max(found) > min(found) else 0


def _weights(file: File, receivers: Receivers) -> Iterator[Spot]:
    for node in (*file.calls("copy_".__eq__), *file.of(ast.Assign)):
        found = _written(node)
        if found is None:
            continue
        flow = file.once(Flow)
        target, value = flow.spot(found[0]), flow.spot(found[1])
        starts = {getattr(scope, "name", "") for scope in target.scopes[-1:]} & _STARTING
        if starts or not _is_weight(target, file, flow, receivers):
            continue
        made = _made(value, spelled(target.node), flow)
        others = (one for one in made.names if _is_weight(one, file, flow, receivers))
        # The weight made over, by numbers alone, is no load; mixed with another weight it is.
        if any(others) if made.own else made.unknown:
            yield target


def _written(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """Return the tensor that a piece of code writes into, and what it writes."""
    match node:
        case ast.Call(func=ast.Attribute(value=target, attr="copy_"), args=[value, *_]):
            return _unviewed(target), value
        case ast.Assign(targets=[ast.Attribute(value=target, attr="data")], value=value):
            return target, value
        case ast.Assign(targets=[ast.Attribute(attr=attr) as target], value=ast.Call() as value):
            if _WEIGHT.search(attr) and called(value) == "Parameter" and value.args:
                return target, value.args[0]
    return None


def _unviewed(node: ast.expr) -> ast.expr:
    """Return the tensor in ``weight.data[:3]``."""
    while True:
        match node:
            case ast.Attribute(value=inner, attr=attr) if attr in _VIEWS:
                node = inner
            case ast.Call(func=ast.Attribute(value=inner, attr=attr)) if attr in _VIEWS:
                node = inner
            case ast.Subscript(value=inner, slice=ast.Slice() | ast.Tuple()):
                node = inner
            case _:
                return node


def _is_weight(spot: Spot, file: File, flow: Flow, receivers: Receivers) -> bool:
    """Tell whether an expression is a parameter or buffer of a model."""
    match spot.node:
        case ast.Attribute(value=layer, attr=attr) if _WEIGHT.search(attr):
            return _is_layer(Spot(layer, spot.scopes), file, receivers)
        case ast.Name() | ast.Subscript():
            yielding = list(_yielding(spot, flow))
            if yielding:
                return any(_is_layer(one, file, receivers) for one in yielding)
            return isinstance(spot.node, ast.Subscript) and _is_called_state(spot.node.value)
    return False


def _yielding(spot: Spot, flow: Flow) -> Iterator[Spot]:
    """Yield the objects whose ``parameters()`` or ``state_dict()`` an expression is an item of."""
    held = flow.held(spot) if isinstance(spot.node, ast.Name) else [spot.node]
    for value in held:
        for source in flow.sources(flow.spot(value)) if not isinstance(value, ast.BinOp) else ():
            match source.node:
                case ast.Call(func=ast.Attribute(value=owner, attr=attr)) if attr in _YIELDING:
                    yield Spot(owner, source.scopes)


def _is_layer(spot: Spot, file: File, receivers: Receivers) -> bool:
    kinds = receivers.kinds(spot.node, Place(file, spot.scopes))
    if kinds:
        return bool(kinds & _MODULES)
    return not named_kind(spot.node) or named_kind(spot.node) == "module"


def _is_called_state(node: ast.expr) -> bool:
    words = words_of(spelled(node))
    return {"state", "dict"} <= words or {"own", "state"} <= words


@dataclass
class _Made:
    """What a value is made from: the weight itself or not, variables, and those that nothing is known of."""

    own: bool = False
    names: list[Spot] = field(default_factory=list)
    unknown: list[Spot] = field(default_factory=list)


def _made(value: Spot, own: str, flow: Flow) -> _Made:
    """Follow a value to what it is made from; new numbers are made from nothing."""
    made, todo, seen = _Made(), [value], set[tuple[str, tuple[ast.AST, ...]]]()
    while todo:
        spot = todo.pop()
        if isinstance(spot.node, ast.Call) and called(spot.node) in _MAKING:
            continue
        for one in _read(spot, own):
            key = spelled(one.node), one.scopes
            if key[0] == own:
                made.own = True
            elif key not in seen:
                seen.add(key)
                held = flow.held(one)
                made.names.append(one)
                made.unknown += [] if held else [one]
                todo += map(flow.spot, held)
    return made


def _read(spot: Spot, own: str) -> Iterator[Spot]:
    """Yield the weight itself and the variables that a value is made from, without what is called."""
    todo: list[ast.AST] = [spot.node]
    while todo:
        node = todo.pop()
        if isinstance(node, _WRITABLE) and spelled(node) == own:
            yield Spot(node, spot.scopes)
        elif isinstance(node, ast.Name):
            # What an object makes of itself is its own business.
            if node.id not in _LIBRARIES and not (node.id == "self" and own.startswith("self.")):
                yield Spot(node, spot.scopes)
        elif isinstance(node, ast.Call) and _FUNCTION.match(spelled(node.func)):
            todo += passed(node)
        else:
            todo += ast.iter_child_nodes(node)
