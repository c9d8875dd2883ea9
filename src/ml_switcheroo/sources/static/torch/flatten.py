"""The flattens before linears: ``forward`` is followed once, with the layers the checkpoint chose."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.layers import Layer as Row
from ml_switcheroo.sources.findings import NO_FLATTEN, Finding, Flatten, Parts, flattened_steps
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.values import (
    Instance,
    Site,
)
from ml_switcheroo.sources.static.torch.alike import ALIKE, FOLDED, INPUT, OWN, RAW, ROWS, TURNED
from ml_switcheroo.sources.static.torch.atoms import Axis
from ml_switcheroo.sources.static.torch.merged import Answer, answer_of
from ml_switcheroo.sources.static.torch.rows.reading import Read
from ml_switcheroo.sources.static.torch.uses import OwnUse, noted
from ml_switcheroo.sources.static.torch.uses import used as used_by

__all__ = ["WEIGHTS", "Layer", "Use", "known", "steps_flattened", "used", "used_as", "with_parts"]

_MOST = 12
WEIGHTS = ("weight", "weight_ih_l0", "weight_ih")
"""The slots whose shape shows what a layer takes and gives, the first that is there."""


@dataclass(frozen=True, slots=True)
class Use:
    """What ``forward`` does before and behind one layer.

    Attributes:
        flatten: What is flattened before it, where that is certain.
        unflatten: What its output becomes, where that is certain.
        flattens: What may be flattened before it, where that is open.
        unflattens: What its output may become, where that is open.
    """

    flatten: Flatten | None = None
    unflatten: Flatten | None = None
    flattens: tuple[Flatten, ...] = ()
    unflattens: tuple[Flatten, ...] = ()
    parts: Parts | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of the model as the reader has made it, and what the checkpoint or the live module shows.

    Attributes:
        made: As it was made; several, where the code leaves open which it is.
        path: Its path.
        kind: Its kind; empty where it is none of the table.
        shape: The shape of its weight.
        groups: The groups of a convolution.
    """

    made: tuple[Instance, ...]
    path: str
    kind: str
    shape: tuple[int, ...]
    groups: int = 1

    @property
    def row(self) -> Row:
        """Its row in the table; an empty one where it has none."""
        return LAYERS[self.kind] if self.kind else _NONE

    @property
    def channels(self) -> int:
        """How many channels a convolution, or a norm, puts out; 0 for anything else."""
        if self.row.spatial:
            out = self.row.place("out")
            groups = self.groups if out else 1  # with the groups in it, where it is the first axis
            return self.shape[out] * groups if len(self.shape) > out else 0
        return self.shape[0] if self.row.matched == "norm" and self.shape else 0

    @property
    def taken(self) -> int:
        """How long the axis is that it takes in; 0 where a flatten cannot be seen there."""
        if self.row.spatial:
            whole = len(self.shape) > 2 and self.groups == 1
            return self.shape[self.row.place("in")] if whole else 0
        axis = self.row.place("in") if self.row.dense and len(self.shape) == 2 else -1
        return self.shape[axis] if len(self.shape) in (1, 2) else 0

    @property
    def given(self) -> int:
        """How long the axis is that it puts out."""
        if self.row.spatial:
            return self.channels
        axis = self.row.place("out") if self.row.dense else -1 if self.row.matched == "embedding" else 0
        return self.shape[axis] if self.shape else 0


_NONE = Row("", (), {})


def with_parts(found: Mapping[str, Use], read: Read) -> dict[str, Use]:
    """Add what the rows of each weight are for: to its module, or to a tensor of the model's own."""
    result = dict(found)
    for name, parts in read.parts.items():
        path, _, slot = name.rpartition(".")
        key = path if slot == "weight" and path in found else name
        result[key] = replace(result.get(key, Use()), parts=parts)
    return result


def known(layers: Iterable[Layer]) -> None:
    """Note on each layer how many channels and features the checkpoint has of it."""
    for layer in layers:
        for made in layer.made:
            uses = used_by(made)
            uses.sizes |= {layer.given} - {0}
            uses.counts |= {layer.channels} - {0}


def used(
    layers: Sequence[Layer], machine: Machine, own: Mapping[int, tuple[str, tuple[int, ...]]]
) -> dict[str, Use]:
    """Return the uses that ``forward`` has shown, by path; of the model's own tensors by their names.

    Args:
        layers: The layers.
        machine: The machine that has followed it.
        own: Name and shape of each tensor of the model's own, by the id of what it is read as.
    """
    model = _Model(layers, machine, [shape for _, shape in own.values() if len(shape) > 2])
    found = {}
    uses_of: dict[int, list[OwnUse]] = {}
    for use in noted(machine).own:
        uses_of.setdefault(id(use.tensor), []).append(use)
    for key, seen in uses_of.items():
        if key in own:
            name, shape = own[key]
            answer = _together([model.own(use, shape) for use in seen])
            found[name] = Use(answer.flatten, flattens=answer.choices)
    for layer in layers:
        flatten = model.before(layer)
        if layer.row.matched == "norm" and flatten.flatten in (None, NO_FLATTEN):
            flatten = model.between(layer, flatten)
        unflatten = model.behind(layer)
        found[layer.path] = Use(flatten.flatten, unflatten.flatten, flatten.choices, unflatten.choices)
    return found


class _Model:
    """What is known of all layers of a model."""

    def __init__(self, layers: Sequence[Layer], machine: Machine, own: Iterable[tuple[int, ...]]) -> None:
        self._paths = {id(made): layer.path for layer in layers for made in layer.made}
        self._layers = {id(made): layer for layer in layers for made in layer.made}
        makers: dict[int, str] = {}
        for layer in layers:
            if layer.row.spatial and len(layer.shape) > 2:
                makers.setdefault(layer.channels, layer.path)
        given = {
            layer.shape[layer.row.place("in")] * layer.groups
            for layer in layers
            if layer.row.spatial and len(layer.shape) > 2
        }
        self._given_channels = given - makers.keys()  # as the model's own input has them
        for layer in layers:
            if layer.row.takes == "channel" and makers:
                makers.setdefault(layer.channels, layer.path)
        for count in noted(machine).channels:
            makers.setdefault(count, "")
        if noted(machine).convolves:
            for shape in own:
                makers.update({count: makers.get(count, "") for count in shape[:2]})
        self._makers = makers

    def possible(self, size: int, where: str = "", *, folded: bool = False) -> Answer:
        """Return what may be flattened to a size, where nothing is known but the sizes.

        Args:
            size: The size.
            where: ``file:line`` of the flatten.
            folded: Whether axes are known to be merged: then it may be the model's own input, too.
        """
        counts = {**self._makers, **(dict.fromkeys(sorted(self._given_channels), "") if folded else {})}
        found = [
            Flatten(count, of, where)
            for count, of in counts.items()
            if 1 < count < size and size % count == 0
        ]
        return Answer(None, (NO_FLATTEN, *found) if found else ())

    def before(self, layer: Layer) -> Answer:
        """Return what is flattened before a layer."""
        if not layer.taken or not (layer.row.takes or layer.row.recurrent):
            return Answer()
        inputs = [given for made in layer.made for given in used_by(made).inputs]
        if not inputs:
            return (
                Answer() if layer.row.spatial or layer.row.matched == "norm" else self.possible(layer.taken)
            )
        return _together([self._given(layer, *given) for given in inputs])

    def _given(self, layer: Layer, axis: Axis | None, site: Site | None, layout: str) -> Answer:
        where = site.where if site is not None else ""
        if axis is not None and len(axis) == 1 and axis[0].role == "out" and axis[0].of is not None:
            made = used_by(axis[0].of)
            if made.gates or made.images:
                return self._behind(axis[0].of)  # in the order that its maker's output has
        if axis is not None:
            found = answer_of(axis, layer.taken, self._paths, where)
            if found.flatten is not None or found.choices:
                return found
        if layout in (ALIKE, TURNED, OWN):
            return Answer(NO_FLATTEN)
        if layer.row.spatial and (layout not in (FOLDED, RAW) or axis is not None):
            return Answer(NO_FLATTEN)
        found = self.possible(layer.taken, where, folded=layout in (ROWS, RAW))
        return self._beside(layer.taken, found, where) if layout == ROWS else found

    def _beside(self, size: int, found: Answer, where: str) -> Answer:
        """Return also what may be beside a flattened image, whose size then says nothing."""
        ways = []
        for count, of in self._makers.items():
            for side in range(math.isqrt(size // count) if count > 1 else 0, 1, -1):
                parts = ((1, count, side**2), (1, 1, size - count * side**2))
                if parts[1][2]:
                    ways += [Flatten(count, of, where, parts), Flatten(count, of, where, parts[::-1])]
        return Answer(None, (NO_FLATTEN, *found.choices[1:], *ways[:_MOST]))

    def behind(self, layer: Layer) -> Answer:
        """Return the image that the output of a layer becomes, or is put together with."""
        if not (layer.row.dense or layer.row.spatial):
            return Answer()
        return _together([self._behind(made) for made in layer.made]) if layer.made else Answer()

    def _behind(self, made: Instance) -> Answer:
        size = used_by(made).size or 0
        answers = [self._image(count, layer) for count, layer in used_by(made).images]
        for axis, site in used_by(made).gates:
            answers.append(answer_of(axis, size, self._paths, site.where if site is not None else ""))
        for count, site in used_by(made).shuffles:
            where = site.where if site is not None else ""
            answers.append(
                Answer(None, (NO_FLATTEN, Flatten(count, "", where)) if count and count > 1 else ())
            )
        return _together(answers) if answers else Answer()

    def _image(self, count: int | None, layer: Instance) -> Answer:
        """Return the image that a convolution takes."""
        taker = self._layers.get(id(layer))
        if count is None and taker is not None:
            whole = taker.row.spatial and len(taker.shape) > 2 and taker.groups
            count = taker.shape[taker.row.place("in")] * taker.groups if whole else None
        if count is None:
            return Answer()
        where = layer.site.where if layer.site is not None else ""
        return Answer(Flatten(count, self._paths.get(id(layer), ""), where) if count > 1 else NO_FLATTEN)

    def between(self, layer: Layer, otherwise: Answer) -> Answer:
        """Return the image that a norm belongs to between a linear and an Unflatten, as what is before it."""
        makers = [made for norm in layer.made for made in used_by(norm).behind]
        found = _together([self._behind(made) for made in makers]) if makers else Answer()
        return found if found != Answer() and found.flatten != NO_FLATTEN else otherwise

    def own(self, use: OwnUse, shape: tuple[int, ...]) -> Answer:
        """Return how an axis of a tensor of the model's own lies."""
        if len(shape) < -use.place:
            return Answer(NO_FLATTEN)
        size, where = shape[use.place], use.site.where if use.site is not None else ""
        found = answer_of(use.axis, size, self._paths, where) if use.axis is not None else Answer()
        if found == Answer() and use.layout in (ALIKE, TURNED, OWN, INPUT):
            return Answer(NO_FLATTEN)
        found = found if found != Answer() else self.possible(size, where, folded=use.layout == RAW)
        return Answer(
            None if found.flatten is None else _in_full(found.flatten, size),
            tuple(_in_full(one, size) for one in found.choices),
        )


def _in_full(flatten: Flatten, size: int) -> Flatten:
    """Say how long an axis is, too: nothing else tells which axis of the tensor is meant."""
    if flatten.parts or flatten.channels == 1 or size % flatten.channels:
        return flatten
    return replace(flatten, parts=((1, flatten.channels, size // flatten.channels),))


def _together(answers: Sequence[Answer]) -> Answer:
    """Return what holds for all uses of a layer: where they differ, each is possible."""
    if len(set(answers)) == 1:
        return answers[0]
    bare = {one.flatten.bare if one.flatten is not None else None for one in answers}
    if len(bare) == 1 and None not in bare:
        return answers[0]
    found = [
        one for answer in answers for one in (*answer.choices, *([answer.flatten] if answer.flatten else []))
    ]
    return Answer(None, tuple(dict.fromkeys((NO_FLATTEN, *found))) if found else ())


def used_as(finding: Finding, use: Use) -> tuple[Finding, ...]:
    """Return a finding with what ``forward`` shows of its module; several where that leaves a choice."""
    finding = replace(finding, parts=use.parts) if use.parts is not None else finding
    row = LAYERS[finding.kind]
    if row.dense:
        known = replace(finding, flatten=use.flatten, unflatten=use.unflatten)
    elif row.alone:
        known = replace(finding, flatten=use.flatten if use.flatten != NO_FLATTEN else None)
    elif row.takes:
        moved = use.flatten if use.flatten is not None and use.flatten.channels > 1 else None
        known = replace(finding, flatten=moved)
        if row.spatial and use.unflatten is not None and use.unflatten.channels > 1:
            known = replace(known, unflatten=use.unflatten)
    else:
        return (finding,)
    both = [replace(known, flatten=one) for one in use.flattens] or [known]
    return tuple(replace(one, unflatten=to) for one in both for to in use.unflattens or (one.unflatten,))


def steps_flattened(path: str, kind: str, use: Use) -> list[str]:
    """Say that a recurrent layer takes a flattened image: no recipe permutes its columns."""
    flattens = use.flattens or ((use.flatten,) if use.flatten is not None else ())
    seen = [flatten for flatten in flattens if flatten.channels > 1]
    return [flattened_steps(path, seen[0])] if LAYERS[kind].recurrent and seen else []
