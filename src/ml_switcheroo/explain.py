"""Everything that is known about one tensor: which source said what, which won, what comes of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from ml_switcheroo.draw import draw_plan
from ml_switcheroo.errors import UsageError
from ml_switcheroo.plan import Plan
from ml_switcheroo.planner import Prepared, prepare
from ml_switcheroo.report import columns
from ml_switcheroo.sources.classify import classify
from ml_switcheroo.sources.findings import PRIORITY, Finding, Knowledge

__all__ = ["explain_tensor"]


def explain_tensor(name: str, state: Mapping[str, Any], **options: Any) -> str:
    """Write down what every source says of one tensor, which of them is believed, and the outcome.

    Args:
        name: The tensor's name in the checkpoint.
        state: The checkpoint or state dict.
        options: The arguments of :func:`make_plan`.

    Raises:
        UsageError: There is no such tensor; the error names those that are spelled alike.
    """
    prepared = prepare(state, **options)
    if name not in prepared.specs:
        alike = difflib.get_close_matches(name, prepared.specs, n=3)
        hint = f"; did you mean {', '.join(alike)}?" if alike else ""
        raise UsageError(f"no tensor is called {name}{hint}")
    lines = [f"{name} {prepared.specs[name]}"]
    if name in prepared.dropped:
        return "\n".join([*lines, f"  dropped: {prepared.dropped[name].why}"])
    inner = {outer: inside for inside, outer in prepared.peeled.names.items()}.get(name)
    if inner is None:
        return "\n".join([*lines, f"  unexpected: outside of {prepared.peeled.prefix!r}"])
    if inner != name:
        lines.append(f"  peeled to {inner}")
    lines += columns([row for knowledge in prepared.request.knowledge for row in _said(inner, knowledge)])
    lines += _believed(inner, prepared)
    return "\n".join([*lines, *_outcome(inner, draw_plan(prepared.request))])


def _said(name: str, knowledge: Knowledge) -> Iterator[tuple[str, ...]]:
    """Yield what one source says of the tensor and of the modules above it."""
    segments = name.split(".")
    for count in range(len(segments), -1, -1):
        path = ".".join(segments[:count])
        if path in knowledge.findings:
            yield _row("is", path, knowledge.findings[path])
        for finding in knowledge.candidates.get(path, ()):
            yield _row("can be", path, finding)


def _row(verb: str, path: str, finding: Finding) -> tuple[str, ...]:
    where = f"({finding.where})" if finding.where else ""
    flatten = finding.flatten
    if flatten is not None and flatten.channels > 1:
        where += f" behind a Flatten of {flatten.channels} channels {flatten.where}".rstrip()
    if finding.unflatten is not None and finding.unflatten.channels > 1:
        where += (
            f" before an image of {finding.unflatten.channels} channels {finding.unflatten.where}".rstrip()
        )
    kind = f"{path or 'the model'} {verb} {finding.kind}"
    return (f"{PRIORITY.index(finding.origin) + 1}. {finding.origin}", kind, finding.reason, where)


def _believed(name: str, prepared: Prepared) -> list[str]:
    owners = classify(prepared.peeled.specs, prepared.request.knowledge)
    owner = next(owner for owner in owners if name in owner.tensors.values())
    slot = next(slot for slot, tensor in owner.tensors.items() if tensor == name)
    if not owner.possible:
        return ["  believed: nothing shows what it is"]
    kinds = " or ".join(f"{finding.kind} ({finding.origin})" for finding in owner.possible)
    return [f"  believed: {slot or 'itself'} of {owner.path or 'the model'}, {kinds}"]


def _outcome(name: str, plan: Plan) -> list[str]:
    for move in plan.moves:
        if name in move.sources:
            outputs = ", ".join(f"{p} {s}" for p, s in zip(move.leaves, move.outputs, strict=True))
            return [f"  moved: {move.what} -> {outputs}", *(f"  note: {note}" for note in move.notes)]
    for word in ("dropped", "unexpected"):
        left = getattr(plan, word)
        if name in left:
            return [f"  {word}: {left[name].why}"]
    lines = []
    for entry in plan.ambiguous:
        if name in entry.names:
            lines += ["  ambiguous:", *columns(list(zip(entry.candidates, entry.rules, strict=True)), "    ")]
    return lines
