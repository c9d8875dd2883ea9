"""Which places of the target a module fits: where its recipe fills every leaf there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ml_switcheroo.match.paths.vocabulary import apart
from ml_switcheroo.planning.options.option import Option
from ml_switcheroo.planning.stages.sites import Site
from ml_switcheroo.planning.stages.vouching import words_of
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template

__all__ = ["Fits", "fits_of"]

OptionAt = Callable[[Owner, Site | None], Option]


class Fits(Mapping[str, Option]):
    """The moves of one module at each site that it fits; they are made when they are asked for.

    Args:
        sites: The sites.
        made: Makes the moves at one.
    """

    def __init__(self, sites: Iterable[Site], made: Callable[[Site], Option]) -> None:
        self._sites = {site.path: site for site in sites}
        self._made = made
        self._known: dict[str, Option] = {}

    def __getitem__(self, path: str) -> Option:
        if path not in self._known:
            self._known[path] = self._made(self._sites[path])
        return self._known[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    def __contains__(self, path: object) -> bool:
        return path in self._sites

    def at(self, paths: Collection[str]) -> Fits:
        """Return the same of some of the sites only."""
        return Fits((site for path, site in self._sites.items() if path in paths), self._made)


def fits_of(
    owners: Sequence[Owner],
    free: Sequence[Site],
    template: Template,
    sources: Mapping[str, TensorSpec],
    option_at: OptionAt,
) -> dict[str, Fits]:
    """Return the sites that each module fits, by its path.

    Args:
        owners: The modules, each known to be of one kind.
        free: The sites that are left.
        template: The target.
        sources: The specs of the source tensors.
        option_at: Makes the moves of a module at a site; without one, where it would be by its name.
    """
    # Making an option is the costly part: of the sites with as many elements, one of each form is tried.
    by_size: dict[int, dict[Any, list[Site]]] = {}
    ordered: dict[int, list[Site]] = {}
    for site in free:
        size = sum(template.specs[path].size for path in site.leaves.values())
        by_size.setdefault(size, {}).setdefault(_form(site, template), []).append(site)
        ordered.setdefault(size, []).append(site)
    found: dict[str, Fits] = {}
    for owner in owners:
        words, fitting = words_of(owner.path), set[str]()
        size = _size(owner, option_at(owner, None), sources)
        for sites in by_size.get(size, {}).values():
            near = [site for site in sites if not apart(words, words_of(site.path))]
            if near and _fills(option_at(owner, near[0]), near[0]):
                fitting.update(site.path for site in near)
        if fitting:
            known = (site for site in ordered[size] if site.path in fitting)
            found[owner.path] = Fits(known, partial(option_at, owner))
    return found


def _fills(option: Option, site: Site) -> bool:
    filled = {path for move in option.moves for path in move.leaves}
    return not option.refused and filled == set(site.leaves.values())


def _form(site: Site, template: Template) -> Any:
    """Return what two sites have in common at which every module becomes the same."""
    leaves = {
        (words, template.specs[path].shape, template.specs[path].dtype) for words, path in site.leaves.items()
    }
    return frozenset(leaves), repr(sorted(template.attributes.get(site.path, {}).items()))


def _size(owner: Owner, alone: Option, sources: Mapping[str, TensorSpec]) -> int:
    """Count the elements that a module has in the target, or in the source where its recipe refuses it."""
    if not alone.refused:
        return sum(spec.size for move in alone.moves for spec in move.outputs)
    return sum(sources[name].size for name in owner.tensors.values() if sources[name].shape)
