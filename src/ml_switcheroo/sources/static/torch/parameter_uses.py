"""What the code does with each parameter: the standard use, an exact operation before it, or something else.

Every module whose class has code of its own is followed by itself (:mod:`.following`). What it does to its
parameters, and to those of its children, decides what the stored tensors are to a standard layer.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Hashable, Iterable, Iterator, Mapping

from ml_switcheroo.code.library import Library
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS
from ml_switcheroo.sources.static.python.classes import lineage
from ml_switcheroo.sources.static.python.frames import Class, Function
from ml_switcheroo.sources.static.python.values import Instance, Value, known, options
from ml_switcheroo.sources.static.torch.nn import slot
from ml_switcheroo.sources.static.torch.tracing import Follower, is_own
from ml_switcheroo.sources.static.torch.trails import Traced, Used
from ml_switcheroo.sources.static.torch.use_verdicts import Judged, ParameterUses, Record, Seen, joined
from ml_switcheroo.sources.static.torch.values import Tensor
from ml_switcheroo.tensors import TensorSpec

__all__ = ["uses_of"]


def uses_of(
    library: Library,
    modules: Iterable[tuple[str, Instance]],
    specs: Mapping[str, TensorSpec],
    solved: Mapping[str, Value],
) -> ParameterUses:
    """Follow the modules whose classes have code of their own.

    Args:
        library: Where their source comes from.
        modules: Each module with its path.
        specs: The checkpoint.
        solved: What the checkpoint has shown of unknown sizes.
    """
    pairs, specs = list(modules), {**_folded(specs), **specs}
    follower = _Followed(library, pairs, specs, solved)
    judged = Judged(specs)
    for path, made in pairs:
        if _suspect(made):
            judged.take(path, made, follower.of(path, made))
    for path, made in pairs:
        judged.module(path, made)
    return judged.said()


def _folded(specs: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
    """Return the weights that pieces stand for, such as those of a weight norm, by the name it would have."""
    found = {}
    for name, spec in specs.items():
        path, _, last = name.rpartition(".")
        if last in _LARGEST:
            path = path.removesuffix("parametrizations.weight").removesuffix(".")
            found[joined(path, "weight")] = spec
    return found


_LARGEST = ("weight_v", "weight_orig", "original", "original1")


class _Followed:
    """Follows each ``forward`` once for all modules alike."""

    def __init__(
        self,
        library: Library,
        pairs: list[tuple[str, Instance]],
        specs: Mapping[str, TensorSpec],
        solved: Mapping[str, Value],
    ) -> None:
        self._names: dict[int, list[str]] = {}
        self._paths: dict[int, list[str]] = {}
        shapes: dict[int, tuple[int, ...]] = {}
        for path, made in pairs:
            self._paths.setdefault(id(made), []).append(path)
            for name, tensor in _own_tensors(path, made, specs):
                self._names.setdefault(id(tensor), []).append(name)
                shapes[id(tensor)] = specs[name].shape
        self._machine = Follower(library, solved, shapes)
        self._seen: dict[Hashable, Seen] = {}
        self._long: dict[int, Hashable] = {}

    def of(self, path: str, made: Instance) -> Seen:
        """Return what the ``forward`` of a module shows."""
        key = self._long.get(id(made.cls)) or _signature(made)
        if key not in self._seen:
            self._seen[key] = self._follow(path, made)
            if self._machine.writing.long:  # it would be for all of its class
                self._long[id(made.cls)] = key
        return self._seen[key]

    def _follow(self, path: str, made: Instance) -> Seen:
        writing = self._machine.follow(made)
        seen = Seen()
        for used in writing.uses:
            seen.records += self._records(path, used)
        for layer in writing.calls:
            seen.called += _below(path, self._paths.get(id(layer), ()))
        outputs = [one for one in options(writing.returned) if isinstance(one, Traced)]
        seen.inputs = tuple(dict.fromkeys(step for _, steps in writing.entries for step in steps[:1]))
        seen.outputs = tuple(
            dict.fromkeys(step for one in outputs if one.of is made for step in one.scaled[:1])
        )
        alone = bool(outputs) and len(outputs) == len(options(writing.returned))
        seen.plain = (
            alone and all(one.of is made for one in outputs) and all(given for given, _ in writing.entries)
        )
        return seen

    def _records(self, path: str, used: Used) -> Iterator[Record]:
        for name in _below(path, self._names.get(id(used.trail.tensor), ())):
            yield Record(name, used.trail.steps, used.word, used.text, used.where)


def _below(path: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if not path:
            yield name
        elif name == path or name.startswith(f"{path}."):
            yield name[len(path) + 1 :]


def _own_tensors(path: str, made: Instance, specs: Mapping[str, TensorSpec]) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters of a module itself that the checkpoint has."""
    kind = KIND_OF_CLASS.get(made.base)
    for name in LAYERS[kind].slots if kind else ():
        full = joined(path, name)
        if full in specs and name not in made.attrs and isinstance(tensor := slot(made, name), Tensor):
            yield full, tensor
    for key, value in made.attrs.items():
        for one in options(value):
            if isinstance(one, Tensor) and one.role == "parameter" and joined(path, key) in specs:
                yield joined(path, key), one


# Which modules are followed ---------------------------------------------------------------

_SLOTS = frozenset(
    "weight bias in_proj_weight in_proj_bias _parameters parameters named_parameters state_dict".split()
)
_MAKING = frozenset(
    """__init__ reset_parameters _reset_parameters extra_repr init_weights _init_weights _init __repr__
    _load_from_state_dict state_dict load_state_dict __new__""".split()
)


def _suspect(made: Instance) -> bool:
    """Tell whether a module may do something of its own to a parameter of its own, or of a child."""
    if not isinstance(made.cls, Class):
        return False
    if any(isinstance(value, Tensor) and value.role for value in made.attrs.values()):
        return True
    if made.base in KIND_OF_CLASS:
        return is_own(made)
    return any(_mentions(one) for one in lineage(made.cls) if isinstance(one, Class))


@functools.lru_cache(maxsize=4096)
def _mentions_in(node: ast.AST) -> bool:
    """Tell whether code names a weight, or hands a child module to a function."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and inner.attr in _SLOTS:
            return True
        if isinstance(inner, ast.Constant) and inner.value in ("weight", "bias"):
            return True
        if isinstance(inner, ast.Call):
            given = [*inner.args, *(word.value for word in inner.keywords)]
            if any(_is_own_attribute(arg) for arg in given):
                return True
    return False


def _is_own_attribute(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _mentions(cls: Class) -> bool:
    return any(
        _mentions_in(one.node)
        for name, value in cls.attrs.items()
        for one in (value, getattr(value, "owner", None))
        if isinstance(one, Function) and name not in _MAKING
    )


def _signature(made: Instance) -> Hashable:
    """Return what two modules have in common whose ``forward`` does the same to their parameters."""
    plain: list[Hashable] = []
    children: list[Hashable] = []
    for key, value in made.attrs.items():
        if isinstance(value, Instance):
            args = tuple((name, repr(one)) for name, one in value.args.items() if known(one))
            children.append((key, id(value.cls), value.base, args))
        elif known(value):
            plain.append((key, repr(value)))
        else:
            children.append((key, type(value).__name__, id(value.cls) if hasattr(value, "cls") else 0, ()))
    args = tuple((name, repr(value)) for name, value in made.args.items() if known(value))
    if made.items is not None:
        return id(made)
    return id(made.cls), made.base, args, tuple(plain), tuple(children)
