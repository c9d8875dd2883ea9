"""Fitting what the code makes onto the names and shapes of a checkpoint.

The tree of modules that the code can make is walked beside the tree of names. Where the code leaves
several possibilities, those that need a tensor the checkpoint lacks, lack one that it has, or need
another shape are out. What still differs between the rest stays open: candidates, not a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS, STATELESS
from ml_switcheroo.sources.static.python.containers import fits
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    Instance,
    Maybe,
    Repeat,
    Text,
    Unknown,
    Value,
    options,
)
from ml_switcheroo.sources.static.reading.own_rows import check_base, is_written, take_written
from ml_switcheroo.sources.static.torch.composites import MADE_OF
from ml_switcheroo.sources.static.torch.nn import CONTAINERS, reparametrized, slot
from ml_switcheroo.sources.static.torch.shapes import contradicts, expected, mentions
from ml_switcheroo.sources.static.torch.values import Tensor
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Claim", "Fit", "Names", "fit"]


@dataclass(slots=True)
class Names:
    """The names below a prefix, as a tree."""

    below: dict[str, Names] = field(default_factory=dict)
    spec: TensorSpec | None = None

    @classmethod
    def of(cls, specs: Mapping[str, TensorSpec]) -> Names:
        """Build the tree."""
        root = cls()
        for name, spec in specs.items():
            node = root
            for part in name.split("."):
                node = node.below.setdefault(part, cls())
            node.spec = spec
        return root

    def walk(self, prefix: str) -> Iterator[str]:
        """Yield the full names of the tensors below."""
        if self.spec is not None:
            yield prefix
        for part, node in self.below.items():
            yield from node.walk(joined(prefix, part))


@dataclass(frozen=True, slots=True)
class Claim:
    """What the code says of one tensor: the module (or itself) that decides, and the kind.

    Attributes:
        key: The module path, or the full name of the tensor.
        kind: A key of ``LAYERS``; empty where the table has no row for the class.
        maker: The instance, or the tensor of a class of the user's own.
    """

    key: str
    kind: str
    maker: Instance | Tensor


@dataclass(slots=True)
class Fit:
    """How something the code makes fits the names below one path.

    Attributes:
        claims: By tensor name, everything it may be.
        open: Names under something nobody could read.
        extra: Names the code does not make.
        missing: Names the code makes and the checkpoint lacks.
        wrong: Names whose shape contradicts the code.
        misfits: Those of them that have another rank: what the code makes there is something else.
        containers: By module path: ``sequential``, ``list`` or ``dict``.
        chosen: What each OneOf came down to, by path.
        sizes: What the unknowns of the code must be for the shapes and the number of items to fit,
            by symbol.
        makers: The tensor object behind each name, to see which are one, with the path of the item
            of a repeated pattern it belongs to.
    """

    claims: dict[str, tuple[Claim, ...]] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    containers: dict[str, str] = field(default_factory=dict)
    modules: dict[str, tuple[Instance, ...]] = field(default_factory=dict)
    makers: dict[str, tuple[int, str]] = field(default_factory=dict)

    sizes: dict[str, set[int]] = field(default_factory=dict)

    @property
    def contradictions(self) -> int:
        """How much speaks against it."""
        return len(self.extra) + len(self.missing) + len(self.wrong)

    def add(self, other: Fit) -> None:
        """Take in what was found below another path."""
        self.claims.update(other.claims)
        self.containers.update(other.containers)
        self.modules.update(other.modules)
        self.makers.update(other.makers)
        for symbol, sizes in other.sizes.items():
            self.sizes.setdefault(symbol, set()).update(sizes)
        self.open += other.open
        self.extra += other.extra
        self.missing += other.missing
        self.wrong += other.wrong
        self.misfits += other.misfits


def joined(prefix: str, part: str) -> str:
    """Return ``prefix.part``; the root has no name."""
    return f"{prefix}.{part}" if prefix else part


def fit(value: Value, names: Names, path: str) -> Fit:
    """Fit a value (a module, one of several, or nothing) onto the names below a path."""
    return _merge([_fit_one(one, names, path) for one in options(value)])


def _merge(fits_: list[Fit]) -> Fit:
    """Keep the possibilities that nothing speaks against; where none is left, the least bad ones."""
    least = min(one.contradictions for one in fits_)
    kept = [one for one in fits_ if one.contradictions == least]
    if least and len(fits_) > 1:  # all of them are wrong somewhere: nothing is ruled out for sure
        kept = [one for one in fits_ if one.claims or one.contradictions == least]
    if len(kept) == 1:
        return kept[0]
    return _both(kept)


def _both(kept: list[Fit]) -> Fit:
    """Return what several possibilities say together, each tensor with all its claims."""
    result = Fit()
    for one in kept:
        for name, claims in one.claims.items():
            before = result.claims.get(name, ())
            result.claims[name] = before + tuple(claim for claim in claims if not _listed(claim, before))
        for path, modules in one.modules.items():
            result.modules[path] = result.modules.get(path, ()) + modules
        result.makers.update(one.makers)
        for symbol, sizes in one.sizes.items():
            result.sizes.setdefault(symbol, set()).update(sizes)
        for path, container in one.containers.items():
            if all(other.containers.get(path, container) == container for other in kept):
                result.containers[path] = container
    best = min(kept, key=lambda one: one.contradictions)
    result.extra, result.missing = best.extra, best.missing
    result.wrong, result.misfits = best.wrong, best.misfits
    result.open = sorted({name for one in kept for name in one.open})
    for name in result.open:
        result.claims.pop(name, None)
    return result


def _listed(claim: Claim, claims: tuple[Claim, ...]) -> bool:
    return any(claim.maker is other.maker and claim.key == other.key for other in claims)


def _fit_one(value: Value, names: Names, path: str) -> Fit:
    if isinstance(value, Instance):
        return _fit_module(value, names, path)
    if isinstance(value, Tensor):
        return _fit_tensor(value, names, path)
    if isinstance(value, Unknown):
        return Fit(open=list(names.walk(path)))
    return Fit(extra=list(names.walk(path)))  # None, a number, nothing: no state dict has it


def _fit_tensor(value: Tensor, names: Names, path: str) -> Fit:
    result = Fit()
    saved = value.role == "parameter" or (value.role == "buffer" and value.persistent)
    if not saved:
        result.extra.extend(names.walk(path))
        return result
    result.extra.extend(name for part, node in names.below.items() for name in node.walk(joined(path, part)))
    if names.spec is None:
        result.missing.append(path)
        return result
    _check(path, value.shape, names.spec.shape, result)
    _solve(value.shape, names.spec.shape, result)
    result.claims[path] = (Claim(path, value.role, value),)
    result.makers[path] = (id(value), "")
    return result


def _fit_module(made: Instance, names: Names, path: str) -> Fit:
    result = Fit()
    if names.spec is not None:
        result.extra.append(path)
    taken: set[str] = set()
    result.modules[path] = (made,)
    if made.base in CONTAINERS:
        result.containers[path] = CONTAINERS[made.base]
    elif made.base:
        _fit_layer(made, names, path, result, taken)
    if made.items is not None:
        _fit_items(made.items, names, path, result, taken)
    _fit_attributes(made, names, path, result, taken)
    for part, node in names.below.items():
        if part not in taken:
            rest = list(node.walk(joined(path, part)))
            (result.open if made.open or _opaque(made) else result.extra).extend(rest)
    return result


def _opaque(made: Instance) -> bool:
    """Tell whether a torch layer may own tensors the table does not say."""
    return (
        bool(made.base)
        and made.base not in CONTAINERS
        and made.base not in STATELESS
        and made.base not in MADE_OF
        and (made.base not in KIND_OF_CLASS or bool(reparametrized(made)))
    )


def _fit_layer(made: Instance, names: Names, path: str, result: Fit, taken: set[str]) -> None:
    kind = KIND_OF_CLASS.get(made.base)
    if kind is None:
        return
    moved = reparametrized(made)
    check_base(made, path)
    written = take_written(made, path) if is_written(made) else None
    for name in _slots(made, kind, names):
        own = isinstance(made.attrs.get(name), Tensor)
        if not own and (name in made.attrs if written is None else name not in written):
            continue
        taken.add(name.split(".")[0])
        if name in moved and name not in names.below:
            result.claims.update(_reparametrized(made, kind, names, path, name, taken))
        else:
            _fit_slot(made, kind, name, names, path, result)


def _slots(made: Instance, kind: str, names: Names) -> Iterator[str]:
    """Yield the slots that a layer has by its arguments, and those it may have that the checkpoint shows."""
    layer = LAYERS[kind]
    if not any("{" in pattern for pattern in layer.slots):
        yield from layer.slots
        return
    counted = {name: value for name, value in made.args.items() if isinstance(value, int)}
    sure = not made.args_open and all(
        name in counted for name in ("num_layers", "bidirectional") if name in made.args
    )
    named = tuple(layer.names(counted)) if sure else ()
    yield from named
    for name in names.below:
        slot = layer.slot(name)
        if not sure and slot is not None and slot.whole:
            yield name


def _fit_slot(made: Instance, kind: str, name: str, names: Names, path: str, result: Fit) -> None:
    node = names
    for part in name.split("."):
        node = node.below.get(part, Names())
    full, wanted = joined(path, name), mentions(made, kind, name)
    tensor = slot(made, name)
    if isinstance(tensor, Tensor) and wanted is not False:
        # Also where the checkpoint lacks it: a tied name is stored once.
        result.makers[full] = (id(tensor), "")
    if node.spec is None:
        if wanted is True:
            result.missing.append(full)
        return
    if wanted is False:
        result.extra.append(full)
        return
    shape = tensor.shape if is_written(made) and isinstance(tensor, Tensor) else expected(made, kind, name)
    _check(full, shape, node.spec.shape, result)
    _solve(shape, node.spec.shape, result)
    result.claims[full] = (Claim(path, kind, made),)


def _check(name: str, wanted: tuple[Value, ...] | None, found: tuple[int, ...], result: Fit) -> None:
    if wanted is not None and contradicts(wanted, found):
        result.wrong.append(name)
        if len(wanted) != len(found):
            result.misfits.append(name)


def _solve(wanted: tuple[Value, ...] | None, found: tuple[int, ...], result: Fit) -> None:
    if wanted is None or len(wanted) != len(found):
        return
    for size, real in zip(wanted, found, strict=True):
        if isinstance(size, Unknown) and size.symbol:
            result.sizes.setdefault(size.symbol, set()).add(real)


def _reparametrized(
    made: Instance, kind: str, names: Names, path: str, name: str, taken: set[str]
) -> dict[str, tuple[Claim, ...]]:
    """Return the claims of ``weight_g``, ``weight_v`` and the like: the layer they make up."""
    found: dict[str, tuple[Claim, ...]] = {}
    for part, node in names.below.items():
        if part.startswith(f"{name}_") or part == "parametrizations":
            taken.add(part)
            found.update({full: (Claim(path, kind, made),) for full in node.walk(joined(path, part))})
    return found


def _fit_items(items: list[Value], names: Names, path: str, result: Fit, taken: set[str]) -> None:
    first_vague = next((i for i, item in enumerate(items) if isinstance(item, Maybe | Repeat)), len(items))
    for place, item in enumerate(items[:first_vague]):
        part = str(place)
        taken.add(part)
        result.add(fit(item, names.below.get(part, Names()), joined(path, part)))
    rest = items[first_vague:]
    if not rest:
        return
    _count(items, names, result)
    for part in sorted((p for p in names.below if p.isdigit() and int(p) >= first_vague), key=int):
        possible = _possible(rest, int(part) - first_vague)
        if possible:
            taken.add(part)
            below = joined(path, part)
            result.add(
                _repeated(_merge([_fit_one(one, names.below[part], below) for one in possible]), below)
            )


def _count(items: list[Value], names: Names, result: Fit) -> None:
    """Note how many rounds of a loop make as many items as the checkpoint has."""
    repeats = [item for item in items if isinstance(item, Repeat)]
    counts = {item.count for item in repeats}
    here = [int(part) for part in names.below if part.isdigit()]
    if len(counts) == 1 and here and not any(isinstance(item, Maybe) for item in items):
        rounds = -(-(max(here) + 1 - (len(items) - len(repeats))) // len(repeats))
        result.sizes.setdefault(counts.pop(), set()).add(rounds)


def _possible(rest: list[Value], place: int) -> list[Value]:
    """Return what may lie at a position of a list whose items may be missing or many."""
    found: list[Value] = []
    least, most = 0, 0  # positions the next item may have; most is -1 where there is no limit
    for item in rest:
        bare = item.value if isinstance(item, Maybe | Repeat) else item
        here = least <= place and (most < 0 or place <= most)
        if here or (isinstance(item, Repeat) and least <= place):
            found.extend(one for one in options(bare) if one is not ABSENT)
        if isinstance(item, Repeat):
            most = -1
        elif isinstance(item, Maybe):
            most = most + 1 if most >= 0 else -1
        else:
            least, most = least + 1, most + 1 if most >= 0 else -1
    return found


def _fit_attributes(made: Instance, names: Names, path: str, result: Fit, taken: set[str]) -> None:
    vague: list[tuple[Text, Value]] = []
    for key, value in made.attrs.items():
        if isinstance(key, Text):
            vague.append((key, value))
        elif isinstance(key, str) and key not in taken and "." not in key and _stateful(value):
            taken.add(key)
            result.add(fit(value, names.below.get(key, Names()), joined(path, key)))
    for pattern, value in vague:
        if not _stateful(value):
            continue
        for part, node in names.below.items():
            if part not in taken and fits(pattern, part):
                taken.add(part)
                result.add(_repeated(fit(value, node, joined(path, part)), joined(path, part)))


def _repeated(found: Fit, path: str) -> Fit:
    """Mark what one item of a pattern makes: the next item makes its own."""
    found.makers = {name: (maker, path) for name, (maker, _) in found.makers.items()}
    return found


def _stateful(value: Value) -> bool:
    """Tell whether an attribute may put tensors into the state dict."""
    return any(
        isinstance(one, Instance | Unknown) or (isinstance(one, Tensor) and one.role)
        for one in options(value)
    )
