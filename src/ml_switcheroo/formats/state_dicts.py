"""Find the state dict in what a pickle holds, and name its tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ml_switcheroo.errors import did_you_mean
from ml_switcheroo.formats.checkpoint import LazyTensor
from ml_switcheroo.formats.inert import Foreign, PickleFault, Unreadable
from ml_switcheroo.formats.pickled_values import PickledArray, PickledTensor

__all__ = ["WHOLE", "Choice", "Selectable", "choose", "find_parts"]

WHOLE = "."
"""What ``select`` says for everything in the file."""

_MAX_DEPTH = 100
_MAX_VISITS = 200_000
_MAX_EXTRAS = 10_000
_CONTAINERS = (dict, list, tuple, Foreign)
_LEAVES = (PickledTensor, PickledArray, LazyTensor, Unreadable)


@dataclass(frozen=True, slots=True)
class Selectable:
    """A part of the file that could be the state dict.

    Attributes:
        path: What ``select`` says for it.
        node: The dict, list or module.
        tensors: Number of tensors below it.
        nbytes: Their size.
        scalars: Whether all of them are single numbers (metrics, counters).
    """

    path: str
    node: Any
    tensors: int
    nbytes: int
    scalars: bool

    def __str__(self) -> str:
        plural = "" if self.tensors == 1 else "s"
        return f"{self.path:<24} {self.tensors} tensor{plural}, {self.nbytes} bytes"


@dataclass(frozen=True, slots=True)
class Choice:
    """What was taken as the state dict.

    Attributes:
        path: Where it lies; :data:`WHOLE` for the whole file.
        tensors: By dotted name, in file order.
        extras: Everything else by dotted path; a tensor shows as its spec.
    """

    path: str
    tensors: dict[str, Any]
    extras: dict[str, Any]


@dataclass(slots=True)
class _Walk:
    """Bounds a walk: shared parts may make a small file endless to walk, and parts may hold themselves."""

    fertile: set[int]
    visits: int = 0
    inside: set[int] = field(default_factory=set)

    def leads_to_tensors(self, node: Any) -> bool:
        """Tell whether a value is a container with a tensor somewhere below it."""
        return isinstance(node, _CONTAINERS) and id(node) in self.fertile

    def children(self, node: Any, depth: int) -> Iterator[tuple[Any, Any]]:
        """Yield the keys and values of a container; a module yields what its state dict names."""
        if depth > _MAX_DEPTH:
            raise PickleFault(f"nested deeper than {_MAX_DEPTH} levels")
        if id(node) in self.inside:
            return
        self.visits += 1
        if self.visits > _MAX_VISITS:
            raise PickleFault(f"more than {_MAX_VISITS} containers: one that is shared counts each time")
        self.inside.add(id(node))
        yield from _items(node)
        self.inside.discard(id(node))


def _items(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, dict):
        yield from node.items()
    elif isinstance(node, list | tuple):
        yield from enumerate(node)
    elif isinstance(node, Foreign):
        attributes = node.attributes
        if not _is_module(node):
            yield from attributes.items()
            yield from node.entries.items()
            yield from enumerate(node.items)
            return
        hidden = attributes.get("_non_persistent_buffers_set", ())
        yield from _dict(attributes["_parameters"]).items()
        yield from (
            (name, value) for name, value in _dict(attributes["_buffers"]).items() if name not in hidden
        )
        yield from _dict(attributes["_modules"]).items()


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _is_module(node: Any) -> bool:
    return isinstance(node, Foreign) and all(
        name in node.attributes for name in ("_parameters", "_buffers", "_modules")
    )


def _fertile(root: Any) -> set[int]:
    """Return the ids of the containers below ``root`` that lead to a tensor; each is looked at once."""
    parents: dict[int, list[int]] = {}
    seen, todo, found = {id(root)}, [root], []
    while todo:
        node = todo.pop()
        for _, child in _items(node):
            if isinstance(child, _LEAVES):
                found.append(id(node))
            elif isinstance(child, _CONTAINERS):
                parents.setdefault(id(child), []).append(id(node))
                if id(child) not in seen:
                    seen.add(id(child))
                    todo.append(child)
    fertile: set[int] = set()
    while found:
        one = found.pop()
        if one not in fertile:
            fertile.add(one)
            found += parents.get(one, ())
    return fertile


def find_parts(root: Any) -> list[Selectable]:
    """List the parts of a file that could be its state dict, in file order.

    A part is a dict (list, module) that holds tensors itself. What is left out by its structure: optimizer
    states (``state`` beside ``param_groups``), states of random generators, and, where there are others,
    parts that hold single numbers only.
    """
    parts = list(_parts(root, "", _Walk(_fertile(root)), 0))
    real = [part for part in parts if not part.scalars]
    return real or parts


def _parts(node: Any, path: str, walk: _Walk, depth: int) -> Iterator[Selectable]:
    if isinstance(node, dict) and {"state", "param_groups"} <= node.keys():
        return
    if _is_module(node):
        yield _part(node, path, walk, depth)
        return
    own: list[Any] = []
    below: list[Selectable] = []
    for key, child in walk.children(node, depth):
        if _is_generator_state(key, child):
            continue
        if isinstance(child, _LEAVES):
            own.append(child)
        elif walk.leads_to_tensors(child):
            below += _parts(child, f"{path}.{_name(key)}" if path else _name(key), walk, depth + 1)
    if own and (not below or not all(map(_is_scalar, own))):
        yield _part(node, path, walk, depth)
    yield from below


def _part(node: Any, path: str, walk: _Walk, depth: int) -> Selectable:
    tensors: dict[str, Any] = {}
    _flatten(node, "", tensors, {}, walk, depth)
    sizes = [leaf.spec.nbytes for leaf in tensors.values() if getattr(leaf, "spec", None)]
    return Selectable(path or WHOLE, node, len(tensors), sum(sizes), all(map(_is_scalar, tensors.values())))


def _is_scalar(leaf: Any) -> bool:
    spec = getattr(leaf, "spec", None)
    return spec is not None and not spec.shape


def _is_generator_state(key: Any, node: Any) -> bool:
    if "rng" not in str(key if isinstance(key, str) else "").lower():
        return False
    leaves = node if isinstance(node, list | tuple) else node.values() if isinstance(node, dict) else [node]
    return all(
        isinstance(leaf, PickledTensor) and leaf.spec.dtype == "uint8" and len(leaf.spec.shape) == 1
        for leaf in leaves
    )


def _name(key: Any) -> str:
    return key if isinstance(key, str) else str(key) if isinstance(key, int) else f"<{type(key).__name__}>"


def choose(root: Any, select: str | None) -> Choice:
    """Take the part that ``select`` names, or the only one that could be the state dict.

    Raises:
        PickleFault: There is none, there are several, or what was selected is not there or holds no tensor.
    """
    path, node = (WHOLE, root) if select == WHOLE else _selected(root, select) if select else _only(root)
    tensors: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    _flatten(node, "", tensors, extras, _Walk(_fertile(node)), 0)
    if not tensors:
        raise PickleFault(f"{path!r} holds no tensor", cure=_listing(find_parts(root)))
    bad = sorted(f"{name}: {leaf.what}" for name, leaf in tensors.items() if isinstance(leaf, Unreadable))
    bad += sorted(
        f"{name}: an array of objects, text or records"
        for name, leaf in tensors.items()
        if isinstance(leaf, PickledArray) and leaf.spec is None
    )
    if bad:
        more = f"\n  and {len(bad) - 20} more" if len(bad) > 20 else ""
        lines = "".join(f"\n  {line}" for line in bad[:20]) + more
        raise PickleFault(f"{len(bad)} of {len(tensors)} tensors cannot be read:{lines}")
    if node is not root:
        _collect(root, "", extras, _Walk(set(), inside={id(node)}), 0)
    return Choice(path, tensors, extras)


def _only(root: Any) -> tuple[str, Any]:
    parts = find_parts(root)
    if len(parts) == 1:
        return parts[0].path, parts[0].node
    if isinstance(root, _LEAVES):
        cure = "Save it under a name: torch.save({'weight': tensor}, path)."
        raise PickleFault("the file holds one tensor without a name", cure=cure)
    if not parts:
        cure = "Save the weights with torch.save(model.state_dict(), path)."
        raise PickleFault("the file holds no state dict: no dict of tensors is in it", cure=cure)
    raise PickleFault(f"{len(parts)} parts of the file could be the state dict", cure=_listing(parts))


def _listing(parts: list[Selectable]) -> str:
    lines = [f"  {part}" for part in parts[:20]]
    if len(parts) > 20:
        lines.append(f"  and {len(parts) - 20} more")
    if all(part.path != WHOLE for part in parts):
        lines.append(f"  {WHOLE:<24} everything, each tensor named by its place")
    return "\n".join(["Choose one with select= (--select on the command line):", *lines])


def _selected(root: Any, select: str) -> tuple[str, Any]:
    node = _descend(root, select, 0)
    if node is None:
        parts = find_parts(root)
        meant = did_you_mean(select, [part.path for part in parts])
        raise PickleFault(f"there is no {select!r} in the file{meant}", cure=_listing(parts))
    return select, node


def _descend(node: Any, rest: str, depth: int) -> Any:
    """Follow a dotted path; keys may hold dots themselves."""
    for key, child in _Walk(set()).children(node, depth):
        name = _name(key)
        if rest == name:
            return child
        if rest.startswith(f"{name}."):
            found = _descend(child, rest[len(name) + 1 :], depth + 1)
            if found is not None:
                return found
    return None


def _flatten(
    node: Any, prefix: str, tensors: dict[str, Any], extras: dict[str, Any], walk: _Walk, depth: int
) -> None:
    for key, child in walk.children(node, depth):
        if not isinstance(key, str | int):
            raise PickleFault(f"a key that is no text below {prefix or WHOLE!r}: a {type(key).__name__}")
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(child, _LEAVES):
            if name in tensors:
                raise PickleFault(f"two tensors have the name {name!r}")
            if not name.isprintable():
                raise PickleFault(f"a tensor's name is not printable: {ascii(name)[:80]}")
            tensors[name] = child
        elif walk.leads_to_tensors(child):
            _flatten(child, name, tensors, extras, walk, depth + 1)
        else:
            _collect({key: child}, prefix, extras, walk, depth + 1)


def _collect(node: Any, prefix: str, extras: dict[str, Any], walk: _Walk, depth: int) -> None:
    """Add what lies below a container as plain values by dotted path, as long as there is room."""
    for key, child in walk.children(node, depth):
        path = f"{prefix}.{_name(key)}" if prefix else _name(key)
        if len(extras) >= _MAX_EXTRAS:
            return
        if isinstance(child, _CONTAINERS):
            _collect(child, path, extras, walk, depth + 1)
        else:
            extras.setdefault(path, _shown(child))


def _shown(value: Any) -> Any:
    if isinstance(value, _LEAVES):
        return getattr(value, "spec", None) or getattr(value, "what", "an array")
    return value
