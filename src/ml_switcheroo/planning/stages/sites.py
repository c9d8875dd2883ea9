"""The places of a target that a whole module can fill."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ml_switcheroo.errors import UsageError
from ml_switcheroo.match.paths.spelling import segments
from ml_switcheroo.match.paths.vocabulary import LEAF_SLOTS
from ml_switcheroo.planning.options.moving import Locate
from ml_switcheroo.recipes import Naming
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template

__all__ = ["Site", "free_sites"]


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the target where a module can stand.

    Attributes:
        path: Its path as it is written there.
        leaves: The leaves below it, by the segments of their names.
    """

    path: str
    leaves: Mapping[tuple[str, ...], str]

    @property
    def is_leaf(self) -> bool:
        """Whether it is a leaf by itself: a module of PyTorch may be a bare weight in the target."""
        return () in self.leaves

    def locate(self, specs: Mapping[str, TensorSpec]) -> Locate:
        """Return the function that places the leaves of a module here."""

        def find(leaf: str, _: str) -> tuple[str, TensorSpec | None]:
            path = self.leaves.get(segments(leaf) if leaf else ())
            if path is None:
                raise UsageError(f"{self.path or 'the model'} has no leaf {leaf}")
            return path, specs[path]

        return find


def free_sites(template: Template, naming: Naming, taken: Collection[str]) -> list[Site]:
    """Return every place whose leaves are all still free; a leaf with a name of its own is one, too."""
    found: dict[tuple[str, ...], dict[tuple[str, ...], str]] = {}
    written: dict[tuple[str, ...], str] = {}
    full: set[tuple[str, ...]] = set()
    for path in template.specs:
        parts = path.split(naming.separator)
        key = segments(path, naming.sequential, template.containers)
        for count in range(1 if naming.collections else 0, len(parts)):
            module = naming.separator.join(parts[:count])
            end = len(segments(module, naming.sequential, template.containers)) if module else 0
            start = 1 if naming.collections else 0
            if path in taken:
                full.add(key[start:end])
            found.setdefault(key[start:end], {})[key[end:]] = path
            written.setdefault(key[start:end], naming.separator.join(parts[start:count]))
    modules = [Site(written[key], leaves) for key, leaves in found.items() if key not in full]
    names = {path: path.split(naming.separator)[-1] for path in template.specs if path not in taken}
    return modules + [Site(path, {(): path}) for path, name in names.items() if name not in LEAF_SLOTS]
