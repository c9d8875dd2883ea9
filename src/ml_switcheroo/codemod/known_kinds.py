"""The table of kinds that a rewritten file carries: what its model's source says, as ``KeyMapper.KINDS``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.formats.given import Paths, as_state, is_files
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.planning.planner import Prepared, prepare
from ml_switcheroo.runtime.kinds import KeyKinds
from ml_switcheroo.sources.classify import classify
from ml_switcheroo.sources.findings import Finding

__all__ = ["kinds_of", "known_of"]

_INDEX = re.compile(r"(?<![^.])\d+(?![^.])")


def kinds_of(state: Mapping[str, Any] | Paths, layers: Any) -> dict[str, str]:
    """Return the kinds of all layers that a checkpoint leaves open, by module; repeated blocks by pattern.

    Args:
        state: The checkpoint, its path, or a state dict: only names and shapes are read.
        layers: The model, as for ``make_plan``: ``"model.py:Net"``, a ``torch.nn.Module`` or a table.

    Raises:
        CheckpointError: The checkpoint cannot be read.
        SourceError: The source cannot be read.
    """
    if is_files(state):
        with open_checkpoint(state) as checkpoint:
            return kinds_of(checkpoint, layers)
    request = known_of(as_state(state), layers, to="jax").request
    shapes = {name: spec.shape for name, spec in request.specs.items()}
    said = {
        path: _text(found, shapes.get(f"{path}.weight".lstrip("."), ()))
        for path, found in request.knowledge[1].findings.items()
    }
    open_ones = {
        path for path, readings in KeyKinds.possible_kinds(shapes).items() if KeyKinds.is_open(readings)
    }
    return _folded({path: kind for path, kind in said.items() if kind and path in open_ones}, open_ones)


def known_of(state: Mapping[str, Any], layers: Any, *, to: str, like: Any = None) -> Prepared:
    """Ask what a model's source says of a checkpoint, under the names inside of wrappers.

    Raises:
        UsageError: No tensor of the checkpoint is of the model.
    """
    prepared = prepare(state, to=to, layers=layers, like=like)
    owners = classify(prepared.request.specs, prepared.request.knowledge[1:2])
    if not any(owner.possible for owner in owners):
        told = layers if isinstance(layers, str | Path) else type(layers).__name__
        names, where = ", ".join(list(prepared.specs)[:3]), getattr(state, "path", "the state dict")
        raise UsageError(
            f"nothing of {told} is in {where}, whose tensors are called {names} ...; name their class"
        )
    return prepared


def _text(finding: Finding, weight: tuple[int, ...]) -> str:
    """Write a finding as ``KeyMapper`` reads it; nothing where it has no word for it, or must ask."""
    if finding.kind not in KeyKinds.TABLE:
        return ""
    before, behind = (
        change.channels if change is not None and LAYERS[finding.kind].dense else 1
        for change in (finding.flatten, finding.unflatten)
    )
    if finding.kind in KeyKinds.NORMS and len(weight) > 1:
        channels = finding.flatten.channels if finding.flatten is not None else 0
        return f"{finding.kind}(c={channels})" if channels > 1 else finding.kind if channels else ""
    turned = LAYERS[finding.kind].dense and LAYERS[finding.kind].place("in") == 0
    if (before > 1 and behind > 1) or (turned and max(before, behind) > 1):
        return ""
    if before > 1 or behind > 1:
        return f"linear(c={before})" if before > 1 else f"linear_to_image(c={behind})"
    return finding.kind


def _folded(kinds: Mapping[str, str], open_ones: set[str]) -> dict[str, str]:
    """Write repeated blocks as one pattern, where all that it stands for is of one kind."""
    groups: dict[str, set[str]] = {}
    for path in open_ones:
        groups.setdefault(_INDEX.sub("*", path), set()).add(path)
    table: dict[str, str] = {}
    for path, kind in kinds.items():
        pattern = _INDEX.sub("*", path)
        matching = re.compile(re.escape(pattern).replace(r"\*", ".*"))
        alike = [other for other in open_ones if matching.fullmatch(other)]
        one = len(groups[pattern]) > 1 and all(kinds.get(other) == kind for other in alike)
        table[pattern if one else path] = kind
    return table
