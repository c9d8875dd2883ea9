"""What the uses of a parameter come to: the standard one, an exact operation before it, or something else."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ml_switcheroo.layers import BASE_OF_CLASS, KIND_OF_CLASS, LAYERS, OWN
from ml_switcheroo.ops import Op, Scale, Shift
from ml_switcheroo.sources.findings import Finding, Origin, Usage
from ml_switcheroo.sources.static.python.classes import find
from ml_switcheroo.sources.static.python.frames import Function
from ml_switcheroo.sources.static.python.values import Instance
from ml_switcheroo.sources.static.torch.tracing import is_own
from ml_switcheroo.sources.static.torch.trails import Step
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Judged", "ParameterUses", "Record", "Seen", "Turned", "joined", "turned_as", "written_as"]


@dataclass(frozen=True, slots=True)
class Turned:
    """A matrix that is used the other way round than its class says.

    Attributes:
        code: The code.
        where: ``file:line``.
        by: The class whose ``forward`` it is.
    """

    code: str
    where: str
    by: str


def written_as(found: ParameterUses, origin: Origin) -> dict[str, Finding]:
    """Return what classes of the user's own compute by themselves, as findings."""
    return {
        path: Finding(
            kind, origin, f"its own forward computes {code}", where, MappingProxyType({"written": True})
        )
        for path, (kind, code, where) in found.written.items()
    }


def turned_as(finding: Finding, turned: Turned | None) -> Finding:
    """Return a finding of a linear whose matrix is used the other way round as what it is."""
    other = LAYERS[finding.kind].turned
    if turned is None or not other:
        return finding
    reason = f"{finding.reason}, used as {turned.code} in {turned.by}"
    return replace(finding, kind=other, reason=reason, where=turned.where)


@dataclass(slots=True)
class ParameterUses:
    """What the code does with the parameters of a checkpoint.

    Attributes:
        uses: By tensor name, where something is done to it before the layer's own operation.
        turned: By module path, where a matrix is used the other way round.
        more: By module path, where a class's own ``forward`` does more than the layer that it derives from.
        written: By module path the kind of layer that a class of the user's own computes by itself, the code
            that shows it, and ``file:line``.
        notes: What else a person should know.
    """

    uses: dict[str, Usage] = field(default_factory=dict)
    turned: dict[str, Turned] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)
    written: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Record:
    """A use of a tensor, by its name below the module whose ``forward`` it is."""

    name: str
    steps: tuple[Step, ...]
    word: str
    text: str
    where: str


@dataclass(slots=True)
class Seen:
    """What one ``forward`` shows.

    Attributes:
        records: The uses of parameters.
        called: The layers of torch that are called, by their paths below the module.
        inputs: The constants that its input is multiplied by before its own layer's operation.
        outputs: Those that its output is multiplied by.
        plain: Whether its own layer's operation is all that it does, but for these constants.
    """

    records: list[Record] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    inputs: tuple[Step, ...] = ()
    outputs: tuple[Step, ...] = ()
    plain: bool = True


_SPECIAL = frozenset({"once more", "set"})
_UNSURE = frozenset({"handed over", "einsum", "returned"})


@dataclass(frozen=True, slots=True)
class _Sum:
    """What the steps of a trail come to: ``times * tensor + plus``."""

    times: float = 1.0
    plus: float = 0.0
    turned: bool = False
    odd: Step | None = None
    unsure: Step | None = None

    @property
    def ops(self) -> tuple[Op, ...]:
        """The operations."""
        found: list[Op] = []
        if self.times != 1:
            found.append(Scale(self.times))
        if self.plus:
            found.append(Shift(self.plus))
        return tuple(found)


def _sum(steps: tuple[Step, ...], rank: int) -> _Sum:
    times, plus, turned, shaped = 1.0, 0.0, False, False
    for step in steps:
        if step.word == "times":
            times, plus = times * step.amount, plus * step.amount
        elif step.word == "plus":
            plus += step.amount
        elif step.word == "shaped":
            shaped = True
        elif step.word == "turned":
            turned = not turned
        elif step.word == "unsure":
            return _Sum(unsure=step)
        elif step.word == "other" or (step.word == "arranged" and rank > 1) or not times:
            return _Sum(odd=step)
        if turned and (rank > 2 or (rank == 2 and shaped)):
            return _Sum(odd=step)
    return _Sum(times, plus, turned)


def _lies(word: str, turned: bool) -> str:
    """Return the axes of a matrix that is used so; empty where it is none, or nobody knows."""
    if word == "right of @":
        turned = not turned
    elif word not in ("linear", "left of @"):
        return ""
    return "in out" if turned else "out in"


def _judged(kind: str) -> bool:
    """Tell whether it is known how a layer of a kind uses its weight."""
    return bool(kind) and bool(LAYERS[kind].uses)


def _computed(word: str, own: Set[str]) -> str:
    """Return the kind that uses its weight so, and has these slots; of several the one with the fewest."""
    rows = [
        row
        for row in LAYERS.values()
        if word
        and own <= row.slots.keys()
        and not row.own
        and (row.slots["weight"] if row.dense else "".join(row.uses[:1])) == word
    ]
    return min(rows, key=lambda row: len(row.slots)).kind if rows else ""


class Judged:
    """Puts together what all that was followed says of each tensor."""

    def __init__(self, specs: Mapping[str, TensorSpec]) -> None:
        self.found = ParameterUses()
        self._specs = specs
        self._records: dict[str, list[tuple[Record, str, bool]]] = {}
        self._called: set[str] = set()
        self._constants: dict[str, list[str]] = {}

    def take(self, path: str, made: Instance, seen: Seen) -> None:
        """Take in what the ``forward`` of a module shows."""
        by = _class_of(made)
        for record in seen.records:
            name = joined(path, record.name)
            if name in self._specs:
                own = "." not in record.name
                self._records.setdefault(name, []).append((record, by, own))
        self._called.update(joined(path, below) if below else path for below in seen.called)
        if _judged(BASE_OF_CLASS.get(made.base, "")) and is_own(made):
            if seen.inputs:
                self._note(path, by, "takes its input", seen.inputs)
            if seen.outputs:
                self._note(path, by, "gives its output", seen.outputs)
            if not (seen.plain or seen.inputs or seen.outputs):
                self._more(path, made, _layer_of(made))
        elif not made.base and "weight" in made.attrs and (seen.outputs or not seen.plain):
            self._more(path, made, "a layer")

    def _more(self, path: str, made: Instance, layer: str) -> None:
        text = f"the own forward of {_class_of(made)} does more than {layer} ({_place_of(made)})"
        self.found.more[path] = text

    def _note(self, path: str, by: str, what: str, steps: tuple[Step, ...]) -> None:
        text = f"the own forward of {by} {what} times a constant, {steps[0].text}, {steps[0].where}"
        self._constants.setdefault(text, []).append(path or "the model")

    def said(self) -> ParameterUses:
        """Return what was found, with what else a person should know; once for all modules alike."""
        for text, paths in self._constants.items():
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            note = (
                f"{paths[0]}{more}: {text}; its tensors are copied as they are, so the port must do that too"
            )
            self.found.notes.append(note)
        return self.found

    def module(self, path: str, made: Instance) -> None:
        """Judge the tensors of a module."""
        kind = BASE_OF_CLASS.get(made.base, "")
        if kind and not _judged(kind):
            return
        if kind and (made.marks.hooked is not False or "forward" in made.attrs):
            what = "a hook" if made.marks.hooked is not False else "a forward that is set on it"
            self.found.more[path] = f"{what} does more than the own forward of {_layer_of(made)}"
        if not kind:
            self._written(path, made)
        own_name = LAYERS[KIND_OF_CLASS[made.base]].own_name if kind else str
        for key in ("weight", "bias") if kind else list(made.attrs):
            name = joined(path, own_name(key))
            special = any(record.word in _SPECIAL for record, _, _ in self._records.get(name, ()))
            if name in self._specs and (special or not (kind and path in self._called)):
                self._tensor(name, path, kind, "bias" if key == "bias" else "weight", made)

    def _written(self, path: str, made: Instance) -> None:
        """Note the layer that a class with a weight, and perhaps a bias, computes by itself."""
        own = {key for key in made.attrs if joined(path, key) in self._specs}
        records = [record for record, _, _ in self._records.get(joined(path, "weight"), ())]
        if "weight" not in own or own - {"weight", "bias"} or not records:
            return
        rank = len(self._specs[joined(path, "weight")].shape)
        sums = [_sum(record.steps, rank) for record in records]
        if any(total.unsure for total in sums):
            return
        words = {_lies(one.word, total.turned) or one.word for one, total in zip(records, sums, strict=True)}
        kind = _computed(words.pop(), own) if len(words) == 1 else ""
        ranks = LAYERS[kind].slots["weight"].split() if kind else []
        if kind and (rank == len(ranks) or "*" in ranks[-1]):
            self.found.written[path] = (kind, records[0].text, records[0].where)

    def _tensor(self, name: str, path: str, kind: str, key: str, made: Instance) -> None:
        records = self._records.get(name, [])
        rank = len(self._specs[name].shape)
        sums = [(record, by, own, _sum(record.steps, rank)) for record, by, own in records]
        if not records:
            if kind and key == "weight" and is_own(made):
                self.found.uses[name] = Usage((), "", _place_of(made), _class_of(made), sure=False)
            return
        again = next((one for one in sums if one[0].word in _SPECIAL), None)
        if again is not None:
            self._use(name, again, ())
            return
        fitting = [one for one in sums if self._fits(kind, key, one[0].word, one[3])]
        if any(not one[3].ops for one in fitting):
            return
        lies = {_lies(one[0].word, one[3].turned) for one in sums}
        plain = not any(one[3].ops or one[3].odd or one[3].unsure for one in sums)
        used_as = _computed(next(iter(lies)), {"weight"}) if len(lies) == 1 else ""
        if kind and LAYERS[kind].dense and key == "weight" and used_as and used_as != kind and plain:
            record, by, _, _ = sums[0]
            self.found.turned[path] = Turned(record.text, record.where, by)
            return
        exact = {one[3].ops for one in fitting}
        if len(fitting) == len(sums) and len(exact) == 1:
            self._use(name, fitting[0], exact.pop())
        else:
            odd = next((one for one in sums if one not in fitting and not _vague(one)), None)
            if odd is None and not sums[0][2]:
                return  # what a module around it does, and cannot be followed, is no news of the layer
            self._use(name, odd or sums[0], (), sure=odd is not None)

    def _use(
        self, name: str, one: tuple[Record, str, bool, _Sum], ops: tuple[Op, ...], sure: bool = True
    ) -> None:
        record, by, own, total = one
        steps = [
            step for step in record.steps if step.word in ("plus", "times", "other", "arranged", "unsure")
        ]
        shown = total.odd or total.unsure or (steps[-1] if steps and ops else None)
        text, where = (shown.text, shown.where) if shown else (record.text, record.where)
        self.found.uses[name] = Usage(ops, text, where, by, own, sure)

    def _fits(self, kind: str, key: str, word: str, total: _Sum) -> bool:
        """Tell whether a use is that of a layer of this kind, but for what is exact."""
        if total.odd is not None or total.unsure is not None:
            return False
        if key == "bias":
            return word in ("bias", "joined") or not kind
        if not kind:
            return word != "odd"
        row = LAYERS[kind]
        return word in row.uses or (row.dense and _lies(word, total.turned) == row.slots["weight"])


def _layer_of(made: Instance) -> str:
    """Say what a class derives from, or what a row of your own says that it is."""
    return f"a {KIND_OF_CLASS[made.base]}" if made.base in OWN else f"nn.{made.base}"


def _place_of(made: Instance) -> str:
    """Return where the ``forward`` of a module stands."""
    method, _ = find(made.cls, "forward")
    if isinstance(method, Function):
        return f"{method.source.label}:{method.node.lineno}"
    return ""


def _vague(one: tuple[Record, str, bool, _Sum]) -> bool:
    record, _, _, total = one
    return total.unsure is not None or (record.word in _UNSURE and total.odd is None)


def joined(path: str, part: Any) -> str:
    """Return the name of a part of a module; the model itself has no name."""
    return f"{path}.{part}" if path else str(part)


def _class_of(made: Instance) -> str:
    return str(getattr(made.cls, "name", ""))
