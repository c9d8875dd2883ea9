"""Put together what all sources say: which module owns each tensor, and of what kind it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ml_switcheroo.layers import LAYERS, base_of
from ml_switcheroo.sources.findings import Finding, Knowledge

__all__ = ["Owner", "classify"]


@dataclass(frozen=True, slots=True)
class Owner:
    """A module (or a tensor by itself) with everything that is possible for it.

    Attributes:
        path: Path of the module; for a tensor that a class keeps itself, the tensor's name.
        possible: What it can be: one finding if that is certain, several if it is open, none if
            nobody knows anything.
        tensors: Its tensors: slot -> name.
    """

    path: str
    possible: tuple[Finding, ...]
    tensors: Mapping[str, str]


def classify(names: Iterable[str], sources: Sequence[Knowledge]) -> tuple[Owner, ...]:
    """Assign every tensor to an owner.

    Args:
        names: The tensors, in the order of the checkpoint.
        sources: What is known, the most believed first.
    """
    tensors: dict[str, dict[str, str]] = {}
    possible: dict[str, tuple[Finding, ...]] = {}
    for name in names:
        path, slot, findings = _owner(name, sources)
        tensors.setdefault(path, {})[slot] = name
        possible.setdefault(path, findings)
    return tuple(
        Owner(path, _with_flattens(path, possible[path], sources), slots) for path, slots in tensors.items()
    )


def _owner(name: str, sources: Sequence[Knowledge]) -> tuple[str, str, tuple[Finding, ...]]:
    splits = list(_splits(name))
    for knowledge in sources:
        for path, slot in splits if knowledge.findings or knowledge.candidates else ():
            if path in knowledge.findings:
                findings: tuple[Finding, ...] = (knowledge.findings[path],)
            else:
                findings = knowledge.candidates.get(path, ())
            fitting = tuple(finding for finding in findings if LAYERS[finding.kind].slot(slot))
            if fitting:
                return path, slot, fitting
    return name, "", ()


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Yield (module path, slot), the outermost module first: an attention owns its out_proj."""
    yield name, ""
    yield "", name
    dot = name.find(".")
    while dot >= 0:
        yield name[:dot], name[dot + 1 :]
        dot = name.find(".", dot + 1)


def _with_flattens(
    path: str, findings: tuple[Finding, ...], sources: Sequence[Knowledge]
) -> tuple[Finding, ...]:
    """Ask the other sources about the Flatten and the Unflatten where the believed one could not tell."""
    for what in ("flatten", "unflatten"):
        if not any(LAYERS[finding.kind].dense for finding in findings):
            break
        findings = tuple(one for finding in findings for one in _told(path, finding, what, sources))
    return tuple(_with_parts(path, finding, sources) for finding in findings)


def _with_parts(path: str, finding: Finding, sources: Sequence[Knowledge]) -> Finding:
    """Take from the source that has read ``forward`` what its rows are for, whoever says the kind."""
    said = [known.findings[path] for known in sources if path in known.findings]
    parts = [one.parts for one in said if one.kind == finding.kind and one.parts is not None]
    return replace(finding, parts=parts[0]) if parts and finding.parts is None else finding


def _told(path: str, finding: Finding, what: str, sources: Sequence[Knowledge]) -> tuple[Finding, ...]:
    if not LAYERS[finding.kind].dense or getattr(finding, what) is not None:
        return (finding,)
    for knowledge in sources:
        said = [knowledge.findings[path]] if path in knowledge.findings else []
        said += knowledge.candidates.get(path, ())
        told = [getattr(other, what) for other in said if base_of(other.kind) == base_of(finding.kind)]
        told = list(dict.fromkeys(one for one in told if one is not None))
        if told:
            return tuple(replace(finding, **{what: one}) for one in told)
    return (finding,)
