"""Everything known about one tensor or leaf: who said what, what was weighed, and the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ml_switcheroo.errors import UsageError, did_you_mean
from ml_switcheroo.match.trace import accounts
from ml_switcheroo.plan import Plan
from ml_switcheroo.planning.drawing import draw
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.planner import Prepared, prepare
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.left_open import why_open
from ml_switcheroo.planning.trace import Trace
from ml_switcheroo.report import account_text, columns
from ml_switcheroo.sources.classify import classify
from ml_switcheroo.sources.findings import PRIORITY, Finding, Knowledge

__all__ = ["explain"]


def explain(name: str, state: Mapping[str, Any], **options: Any) -> str:
    """Write everything known about one tensor or leaf, what was weighed for it, and the outcome.

    For a tensor it tells what every source says, and which one is believed. If the structure of the target
    was asked, it lists the candidates with their scores, the margin, and what each stage said.

    Args:
        name: The tensor's name in the checkpoint, or the path of a leaf of the target.
        state: The checkpoint or state dict.
        options: The arguments of :func:`make_plan`.

    Raises:
        UsageError: There is neither; the error names those with a similar spelling.
    """
    prepared = prepare(state, **options)
    template = prepared.request.template
    if name in prepared.specs:
        return "\n".join([f"{name} {prepared.specs[name]}", *_tensor(name, prepared)])
    if template is not None and name in template.specs:
        return "\n".join([f"{name} {template.specs[name]}", *_leaf(name, prepared)])
    known = [*prepared.specs, *(template.specs if template is not None else ())]
    kinds = "no tensor" if template is None else "no tensor and no leaf"
    raise UsageError(f"{kinds} is called {name}{did_you_mean(name, known)}")


def _tensor(name: str, prepared: Prepared) -> list[str]:
    if name in prepared.dropped:
        return [f"  dropped: {prepared.dropped[name].why}"]
    inner = {outer: inside for inside, outer in prepared.peeled.names.items()}.get(name)
    if inner is None:
        return [f"  unexpected: outside of {prepared.peeled.prefix!r}"]
    lines = [f"  peeled to {inner}"] if inner != name else []
    lines += columns([row for knowledge in prepared.request.knowledge for row in _said(inner, knowledge)])
    lines += _believed(inner, prepared)
    trace = Trace()
    plan, ledger = draw(replace(prepared.request, trace=trace))
    stages = _stages(inner, trace, plan, prepared.request)
    return [*lines, *stages, *_said_by_stages(inner, ledger), *_outcome(inner, plan)]


def _leaf(path: str, prepared: Prepared) -> list[str]:
    trace = Trace()
    plan, ledger = draw(replace(prepared.request, trace=trace))
    lines = [*_weighed(path, trace), *_left_over(path, trace), *_said_by_stages(path, ledger)]
    for move in plan.moves:
        if path in move.leaves:
            how = f"{', '.join(move.sources)}, {move.what}"
            return [*lines, f"  filled: {how}", f"  because: {move.reason}"]
    for word in ("kept", "missing"):
        left = getattr(plan, word)
        if path in left:
            lines.append(f"  {word}: {left[path].why}")
    return lines


def _said_by_stages(name: str, ledger: Ledger) -> Iterator[str]:
    """Yield what each stage did with a tensor or a leaf, from the first to the last."""
    for entry in ledger.history(name):
        yield f"  {entry.stage}: {entry.what}{entry.why and f', {entry.why}'}"


def _stages(name: str, trace: Trace, plan: Plan, request: Request) -> Iterator[str]:
    yield from _asked(name, trace, plan, request)
    yield from _weighed(name, trace)
    yield from _left_over(name, trace)


def _asked(name: str, trace: Trace, plan: Plan, request: Request) -> Iterator[str]:
    """Say whether the structure was asked for a tensor, and why; or that its name settled where it goes."""
    for owner, options in trace.asked.values():
        if name in owner.tensors.values():
            yield f"  asked of the structure: {why_open(owner, options, request)}"
            return
    moved = next((move for move in plan.moves if name in move.sources), None)
    if request.template is not None and moved is not None and not any(_left_over(name, trace)):
        yield "  not asked of the structure: a rule or its name settles where it goes"


def _left_over(name: str, trace: Trace) -> Iterator[str]:
    """Say which places were left for a module, or which modules for a leaf, when all else was placed."""
    for exclusion in trace.excluded:
        for path, options in exclusion.fits.items():
            moves = [move for option in options.values() for move in option.moves]
            if not any(name in (*move.sources, *move.leaves) for move in moves):
                continue
            yield f"  left over: {path} fits {', '.join(options)}"
            if path in exclusion.unvouched:
                yield "    nothing else speaks for it, and being left over proves nothing"


def _weighed(name: str, trace: Trace) -> Iterator[str]:
    for weighing in trace.weighed:
        for account in accounts(weighing, name):
            yield from account_text(account)


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
