"""What the findings say of the rows of a unit: its parts, and what a whole layer is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ml_switcheroo.layers import attends
from ml_switcheroo.match.paths.repeats import Numeral
from ml_switcheroo.match.units.unit import Unit, above_and_last
from ml_switcheroo.sources.findings import Finding, Part, Parts

__all__ = ["Findings", "reader_of", "roles_read"]

Findings = Mapping[str, Sequence[Finding]]
"""What is known of a tensor's module, by the name of the tensor."""

_TOGETHER = ({"gate", "up"}, {"q", "k"})
"""Roles that prove each other."""
_SPELLED = frozenset({"q", "k", "v", "o", "qkv", "kv", "mixed", "gate", "up", "down"})


def reader_of(findings: Findings) -> Callable[[Unit], tuple[Parts, str] | None]:
    """Return what gives the parts of a unit, and what shows them; None where that is not known."""
    return lambda unit: _read(unit, findings) or _documented(unit, findings) or _published(unit, findings)


def _read(unit: Unit, findings: Findings) -> tuple[Parts, str] | None:
    """Return what forward says of all repetitions of a unit."""
    slot = unit.slots.get("weight") or unit.slots.get("parameter")
    if slot is None:
        return None
    found: Parts | None = None
    for name in slot.paths.values():
        said = findings.get(name, ())
        parts = said[0].parts if said else None
        if parts is None or any(one.parts is None or one.parts.parts != parts.parts for one in said):
            return None
        if found is not None and (_sizes(found), found.axis) != (_sizes(parts), parts.axis):
            return None
        found = found or parts
    if found is None:
        return None
    return found, f"cut as forward says, {found.where}" if found.where else "cut as forward says"


def _sizes(parts: Parts) -> dict[str, int]:
    return {part.role: part.size for part in parts.parts}


def _documented(unit: Unit, findings: Findings) -> tuple[Parts, str] | None:
    """Return the parts of ``in_proj_weight``, where a module is known to be torch's own attention.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html, ``_in_proj`` of
    ``torch.nn.functional``: queries, keys and values one after another.
    """
    slot = unit.slots.get("weight")
    names = list(slot.paths.values()) if slot is not None else []
    said = [findings.get(name, ()) for name in names]
    known = all(one and all(attends(f.kind) and f.origin != "evidence" for f in one) for one in said)
    shapes = {spec.shape for spec in slot.specs.values()} if slot is not None else set()
    if not known or len(shapes) != 1 or not all(name.endswith("in_proj_weight") for name in names):
        return None
    size = shapes.pop()[0] // 3
    parts = tuple(Part(role, number * size, ((size, 1),)) for number, role in enumerate("qkv"))
    return Parts(parts), "in_proj of torch.nn.MultiheadAttention"


def _published(unit: Unit, findings: Findings) -> tuple[Parts, str] | None:
    """Return the parts of GPT-2's ``c_attn``, a layer of transformers that keeps its matrix as (in, out).

    Source: https://github.com/huggingface/transformers, ``models/gpt2/modeling_gpt2.py``:
    ``self.c_attn(hidden_states).split(self.split_size, dim=2)`` gives queries, keys and values.
    """
    slot = unit.slots.get("weight")
    if slot is None or unit.role != "qkv" or unit.pattern[-2:] != ("c", "attn"):
        return None
    said = [finding for name in slot.paths.values() for finding in findings.get(name, ())]
    shapes = {spec.shape for spec in slot.specs.values()}
    if any(one.origin in ("live", "static") for one in said) or len(shapes) != 1:
        return None
    shape = shapes.pop()
    if len(shape) != 2 or shape[1] != 3 * shape[0]:
        return None
    size = shape[0]
    parts = tuple(Part(role, number * size, ((size, 1),)) for number, role in enumerate("qkv"))
    return Parts(parts, axis=1), "c_attn of the Conv1D of transformers"


def roles_read(units: Sequence[Unit], others: Sequence[Unit], findings: Findings) -> list[Unit]:
    """Give each unit the role that forward says, where its own name says none.

    A number says nothing of what a layer is for: where forward says it of one of them, the others are none.
    """
    there = {unit.role for unit in others}
    said: dict[int, str] = {}
    beside: dict[object, set[str]] = {}
    for unit in units:
        known = _read(unit, findings)
        if known is not None and len(known[0].parts) == 1:
            said[id(unit)] = known[0].parts[0].role
            beside.setdefault(above_and_last(unit.pattern)[0], set()).add(said[id(unit)])
    read: dict[int, str] = {}
    for unit in units:
        role = said.get(id(unit), "")
        whole = any(pair <= beside.get(above_and_last(unit.pattern)[0], set()) for pair in _TOGETHER)
        if role in there and role and whole and (not _spelled(unit) or unit.role == role):
            read[id(unit)] = role
    told = set(read.values())
    found = []
    for unit in units:
        if id(unit) in read:
            unit = replace(unit, role=read[id(unit)])
        elif told and not _spelled(unit) and unit.role in told:
            unit = replace(unit, role="")
        found.append(unit)
    return found


def _spelled(unit: Unit) -> bool:
    """Tell whether a name says a role by a word of its own: ``fc1`` is only counted."""
    numbered = any(isinstance(token, Numeral) for token in above_and_last(unit.pattern)[1])
    return bool(_SPELLED & unit.said) and not numbered
