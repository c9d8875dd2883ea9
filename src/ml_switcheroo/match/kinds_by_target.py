"""What the types of a live target's modules prove about the source's modules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.match.paths.spelling import segments
from ml_switcheroo.recipes import Naming
from ml_switcheroo.rules import Rename, Rule, renamed
from ml_switcheroo.sources.findings import Finding, Knowledge
from ml_switcheroo.sources.stated import module_paths
from ml_switcheroo.tree import Template

__all__ = ["as_shown", "from_template"]


def from_template(
    template: Template, names: Iterable[str], naming: Naming, rules: Iterable[Rule] = ()
) -> Knowledge:
    """Turn the types of a live target's modules into findings for the modules spelled like them.

    Args:
        template: The template of the live model.
        names: Names of the source tensors.
        naming: How the target writes paths.
        rules: The user's rules; renames count.
    """
    kinds = {
        segments(path, naming.sequential, template.containers) if path else (): (kind, path)
        for path, kind in template.kinds.items()
    }
    renames = [rule for rule in rules if isinstance(rule, Rename)]
    findings = {}
    for path in module_paths(names) if kinds else ():
        new = renamed(path, renames)
        found = kinds.get(segments(new) if new else ())
        if found is not None:
            kind, place = found
            findings[path] = Finding(kind, "target", f"{place or 'the model'} is one in the target")
    return Knowledge(findings)


def as_shown(known: Knowledge, shown: Knowledge) -> Knowledge:
    """Take a class that writes out a layer by itself for that layer, where the target has one in its place.

    Elsewhere its tensors are parameters of its own: the target may keep them in a class of its own, too.

    Args:
        known: What a source says.
        shown: What the target's modules prove.
    """
    written = {
        path: replace(one, kind=kind)
        for path, one in known.written.items()
        if path in shown.findings and (kind := _alike(one.kind, shown.findings[path].kind))
    }
    if not written:
        return known
    own = {f"{path}.{slot}" if path else slot for path in written for slot in ("weight", "bias")}
    findings = {name: one for name, one in known.findings.items() if name not in own}
    return replace(known, findings={**findings, **written})


def _alike(kind: str, shown: str) -> str:
    """Return what a class is that computes one kind where the target has another; empty for neither."""
    if kind == shown or (LAYERS[kind].dense and LAYERS[shown].dense):
        return kind
    if LAYERS[kind].matched == LAYERS[shown].matched == "norm":
        return shown if LAYERS[kind].slots.keys() <= LAYERS[shown].slots.keys() else ""
    return ""
