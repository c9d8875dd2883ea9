"""The recipe of a kind in a target, also of a kind that a row of your own has added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.recipes.parts import Entry, Form, Part, Recipe, Unsupported, part
from ml_switcheroo.recipes.target import Target

__all__ = ["recipe_of"]


def recipe_of(target: Target, kind: str) -> Recipe:
    """Return where the slots of a kind go in a target.

    A kind of your own that is like one of the table goes where that goes, under its own slots; any other is
    moved slot by slot, as it lies.

    >>> from ml_switcheroo.targets import find_target
    >>> [part.leaves for part in recipe_of(find_target("nnx"), "embedding")]
    [('embedding',)]
    """
    if kind in target.kinds:
        return target.kinds[kind]
    layer = LAYERS[kind]
    if layer.base in target.kinds and layer.base != kind:
        return _renamed(target.kinds[layer.base], layer.own_name)
    if layer.own:
        return tuple(part(slot, slot) for slot in layer.slots)
    return Unsupported(f"the row of target {target.name} has no such kind")


def _renamed(recipe: Recipe, own_name: Callable[[str], str]) -> Recipe:
    """Return a recipe whose slots have other names."""
    if isinstance(recipe, Unsupported):
        return recipe
    forms = [one for one in recipe if isinstance(one, Form)]
    if forms:
        return tuple(replace(form, entries=_entries(form.entries, own_name)) for form in forms)
    return _entries(tuple(one for one in recipe if not isinstance(one, Form)), own_name)


def _entries(entries: tuple[Entry, ...], own_name: Callable[[str], str]) -> tuple[Entry, ...]:
    return tuple(
        replace(one, slots=tuple(map(own_name, one.slots)))
        if isinstance(one, Part)
        else replace(one, slot=own_name(one.slot))
        for one in entries
    )
