"""Where the leaves of a module go by its name: as the target writes it, or as the template spells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.match.paths.spelling import Spelling, segments
from ml_switcheroo.planning.options.moving import Locate
from ml_switcheroo.recipes import Target
from ml_switcheroo.rules import Rename, Rule, renamed
from ml_switcheroo.sources.findings import Knowledge
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template

__all__ = ["ByName"]


class ByName:
    """Where the leaves of a module go: by the target's naming, or to the leaf of the template."""

    def __init__(
        self,
        target: Target,
        template: Template | None,
        rules: Iterable[Rule],
        knowledge: Sequence[Knowledge],
    ) -> None:
        self._naming = target.naming
        self._inner = {wrapper.inner for wrapper in target.wrappers.values()}
        self._rules = [rule for rule in rules if isinstance(rule, Rename)]
        self._template = template
        self._spelling = Spelling(template, self._naming) if template else None
        live = template.attributes if template else {}
        containers = template.containers if template else {}
        self._shown = {
            segments(path, self._naming.sequential, containers): found for path, found in live.items()
        }
        self._containers: dict[str, str] = {}
        for known in reversed(knowledge):
            self._containers.update(known.containers)

    def knows(self, module: str) -> bool:
        """Tell whether the template has anything spelled like a module."""
        new = renamed(module, self._rules)
        if self._spelling is None or self._spelling.knows(new, self._containers if new == module else {}):
            return True
        return any(rule.source.startswith(f"{module}.") for rule in self._rules)

    def shown(self, module: str) -> Mapping[str, Any]:
        """Return the attributes of the live module spelled like one of PyTorch, and of one it wraps."""
        path = segments(renamed(module, self._rules))
        paths = [*((*path, inner) for inner in self._inner), path]
        return {name: value for at in paths for name, value in self._shown.get(at, {}).items()}

    def of(self, module: str) -> Locate:
        """Return the function that places the leaves of one module."""
        new = renamed(module, self._rules)
        containers = self._containers if new == module else {}

        def locate(leaf: str, collection: str) -> tuple[str, TensorSpec | None]:
            layer, _, rest = leaf.partition(".")
            own = f"{module}.{layer}"  # a layer of a recurrent module may be a module in the target
            alone = renamed(own, self._rules) if layer.isdecimal() else own
            if alone not in (own, f"{new}.{layer}"):
                return self._find(alone, rest, collection, {})
            return self._find(new, leaf, collection, containers)

        return locate

    def _find(
        self, new: str, leaf: str, collection: str, containers: Mapping[str, str]
    ) -> tuple[str, TensorSpec | None]:
        written = self._naming.path(new, leaf, collection=collection, containers=containers)
        if self._spelling is None or self._template is None:
            return written, None
        found = self._spelling.find(new, leaf, collection, containers)
        if found is None:
            raise UsageError(f"the target has no leaf {written}")
        return found, self._template.specs[found]
