"""What a state dict itself proves: kinds from shapes and siblings, and what stays possible.

The reading is that of :class:`ml_switcheroo.runtime.KeyMapper`, so that a plan and rewritten code never
disagree on what a checkpoint shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ml_switcheroo.layers import LAYERS, load_offered_layers
from ml_switcheroo.runtime.kinds import KeyKinds
from ml_switcheroo.sources.by_rows import read_rows
from ml_switcheroo.sources.findings import NO_FLATTEN, Finding, Flatten, Knowledge, flattened_steps
from ml_switcheroo.tensors import TensorSpec, place_of

__all__ = ["read_names", "tied_in"]

# Slots that belong to layers of torch.nn: no tensors that a class of the user's own keeps.
_OF_LAYERS = re.compile(
    r"in_proj_(weight|bias)|[qkv]_proj_weight|bias_[kv]|weight_[gv]|original\d?"
    r"|(weight|bias)_(ih|hh|hr)(_l\d+)?(_reverse)?|weight_(orig|u|v|mask)"
)
_STAYS = tuple(kind for kind, layer in LAYERS.items() if layer.alone)
_OF_ATTENTION = next(kind for kind, layer in LAYERS.items() if layer.attends)


def read_names(specs: Mapping[str, TensorSpec]) -> Knowledge:
    """Return what names, shapes and siblings prove, and all that remains possible where they do not.

    Args:
        specs: The specs of the tensors, in the order of the checkpoint.

    >>> specs = {"fc.weight": TensorSpec((2, 3), "float32"), "fc.bias": TensorSpec((2,), "float32")}
    >>> read_names(specs).findings["fc"].reason
    'out 2, in 3'
    """
    load_offered_layers()
    shapes = {name: spec.shape for name, spec in specs.items()}
    findings: dict[str, Finding] = {}
    candidates: dict[str, tuple[Finding, ...]] = {}
    doubts: dict[str, str] = {}
    listed = KeyKinds.possible_kinds(_in_one(shapes))
    doubts.update(_beside(listed, specs))
    for path, readings in listed.items():
        behind = [text for text, _ in readings if "(" in text and not text.startswith("linear")]
        if behind:
            doubts[path] = (
                f"{path}: where a Flatten comes before this norm, its channels are to be permuted too"
            )
            readings = [reading for reading in readings if reading[0] not in behind]
        possible = _possible(tuple(readings))
        if path not in specs and all(finding.kind in _STAYS for finding in possible):
            for name in specs:
                if name.rpartition(".")[0] == path and name.rpartition(".")[2] in _slots():
                    candidates[name] = possible
            continue
        alone = path in specs or not _not_alone(readings)
        possible = tuple(
            f for f in possible if f.kind in LAYERS and (path in specs or (alone and f.kind not in _STAYS))
        )
        if _OF_LAYERS.fullmatch(path.rpartition(".")[2]) or not possible:
            continue
        if len(possible) == 1:
            findings[path] = possible[0]
        else:
            candidates[path] = possible
    for path, kind, reason in _by_slots(shapes):
        findings[path] = Finding(kind, "evidence", reason)
        if LAYERS[kind].recurrent and (flatten := _before_steps(path, shapes)):
            doubts[path] = flattened_steps(path, flatten)
    _add_rows(shapes, findings, candidates, doubts)
    return Knowledge(findings, candidates, doubts=doubts)


def _add_rows(
    shapes: Mapping[str, tuple[int, ...]],
    findings: dict[str, Finding],
    candidates: dict[str, tuple[Finding, ...]],
    doubts: dict[str, str],
) -> None:
    """Add what rows of your own say of modules that can be nothing else."""
    rows = read_rows(shapes)
    for path, finding in rows.findings.items():
        if path in findings or path in candidates:
            continue
        findings[path] = finding
        for slot in LAYERS[finding.kind].slots:
            name = f"{path}.{slot}" if path else slot
            candidates.pop(name, None)
            doubts.pop(name, None)
    for name, text in rows.doubts.items():
        if name.rpartition(".")[0] not in {**findings, **candidates}:
            doubts[name] = text


def _beside(listed: Mapping[str, list[tuple[str, str]]], specs: Mapping[str, TensorSpec]) -> dict[str, str]:
    """Say which modules are of a class of the user's own: a tensor that no layer has shows it."""
    found = {
        path: why for path, readings in listed.items() if path not in specs and (why := _not_alone(readings))
    }
    said: dict[str, str] = {}
    for name in specs if found else ():
        why = found.pop(name.rpartition(".")[0], "")
        if why:
            path = name.rpartition(".")[0] or "the model"
            said[name] = f"{path}: {why}; say what it is by a rule, or name the model's source"
    return said


def _not_alone(readings: Sequence[tuple[str, str]]) -> str:
    """Say what stands beside the tensors of a layer that no layer of torch.nn has; empty for nothing."""
    own = [reason for kind, reason in readings if kind in _STAYS and reason.endswith(KeyKinds.BESIDE)]
    return own[0] if own and len(own) < len(readings) else ""


def tied_in(state: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """Return the names of a checkpoint or state dict that are the very same view of the same bytes.

    >>> import numpy as np
    >>> table = np.zeros((2, 3))
    >>> tied_in({"embed.weight": table, "head.weight": table, "other.weight": table.copy()})
    (('embed.weight', 'head.weight'),)
    """
    known = getattr(state, "tied", None)
    if known is not None:
        return tuple(map(tuple, known))
    places: dict[object, list[str]] = {}
    for name, value in state.items():
        place = place_of(value)
        if place is not None:
            places.setdefault(place, []).append(name)
    return tuple(tuple(names) for names in places.values() if len(names) > 1)


def _in_one(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Put the weight in the place of the pieces that stand for it, such as ``weight_g`` and ``weight_v``."""
    weights: dict[str, tuple[str, tuple[int, ...]]] = {}
    for group in KeyKinds.PIECES:
        whole = group[len(group) == 2]  # the piece that is shaped as the weight is
        for name, shape in shapes.items():
            path = name.removesuffix(whole)
            pieces = [path + piece for piece in group]
            if path != name and path[-1:] in ("", ".") and all(piece in shapes for piece in pieces):
                weights.update(dict.fromkeys(pieces, (f"{path}weight", shape)))
    return dict(weights.get(name, (name, shape)) for name, shape in shapes.items())


def _by_slots(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, str, str]]:
    """Yield the modules whose tensors have names that one layer of torch.nn alone gives, with its kind.

    The recurrent weight of a layer is ``(gates hidden, state)``: four gates are an LSTM's, three a GRU's.
    """
    for name, shape in shapes.items():
        path, dot, slot = name.rpartition(".")
        if slot in ("in_proj_weight", "q_proj_weight") and f"{path}{dot}out_proj.weight" in shapes:
            yield path, _OF_ATTENTION, f"{slot} beside out_proj"
        projection = shapes.get(f"{path}{dot}weight_hr_l0")
        if slot in ("weight_hh_l0", "weight_hh") and len(shape) == 2:
            hidden = projection[1] if projection is not None else shape[1]
            gates, rest = divmod(shape[0], hidden or 1)
            kind = _recurrent(slot, gates) if not rest else None
            if kind is not None and (projection is None or LAYERS[kind].slot("weight_hr_l0") is not None):
                yield path, kind, f"{slot} has {gates} times {hidden} rows"


def _recurrent(slot: str, gates: int) -> str | None:
    """Return the kind with a recurrent weight of that name and so many gates."""
    found = (
        row.kind for row in LAYERS.values() if row.more.get("gate") == gates and row.slot(slot) is not None
    )
    return next(found, None)


def _before_steps(path: str, shapes: Mapping[str, tuple[int, ...]]) -> Flatten | None:
    """Return a Flatten that a recurrent layer may stand behind: nothing else puts out what it takes in."""
    dot = "." if path else ""
    inward = (shapes.get(f"{path}{dot}{slot}", ()) for slot in ("weight_ih_l0", "weight_ih"))
    size = next((shape[-1] for shape in inward if shape), 0)
    if any(size in shape[:1] for name, shape in shapes.items() if name.endswith("weight")):
        return None
    for name, shape in shapes.items():
        if name.endswith(".weight") and len(shape) in (4, 5) and 1 < shape[0] < size and size % shape[0] == 0:
            return Flatten(shape[0], name.rpartition(".")[0])
    return None


def _slots() -> tuple[str, ...]:
    return ("weight", *KeyKinds.SLOTS, KeyKinds.DROPPED)


@lru_cache(10_000)  # the modules of a large checkpoint are of a few shapes
def _possible(readings: tuple[tuple[str, str], ...]) -> tuple[Finding, ...]:
    """Turn ``linear(c=64)`` into a finding of kind linear behind a Flatten of 64 channels, and so on."""
    parsed = [KeyKinds.parse_kind(text) for text, _ in readings]
    doubted = {word for word, size in parsed if size}
    return tuple(
        _finding(kind, channels, reason, doubted)
        for (kind, channels), (_, reason) in zip(parsed, readings, strict=True)
    )


def _finding(kind: str, channels: int, reason: str, doubted: set[str]) -> Finding:
    before, behind = (NO_FLATTEN if word in doubted else None for word in ("linear", "linear_to_image"))
    if kind == "linear_to_image":
        return Finding("linear", "evidence", reason, flatten=before, unflatten=Flatten(channels))
    if kind != "linear":
        return Finding(kind, "evidence", reason)
    before = Flatten(channels) if channels else before
    return Finding(kind, "evidence", reason, flatten=before, unflatten=behind)
