"""What the types of a live target's modules prove about the source's modules."""

from __future__ import annotations

from collections.abc import Iterable

from ml_switcheroo.match.spelling import segments
from ml_switcheroo.recipes import Naming
from ml_switcheroo.rules import Rename, Rule, renamed
from ml_switcheroo.sources.findings import Finding, Knowledge
from ml_switcheroo.sources.stated import module_paths
from ml_switcheroo.tree import Template

__all__ = ["from_template"]


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
