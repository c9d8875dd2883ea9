"""The frameworks that weights can be moved to: data first, no framework imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import UnknownTarget, UsageError
from ml_switcheroo.recipes import Target
from ml_switcheroo.targets import equinox, haiku, jax, keras, linen, mlx, nnx, numpy
from ml_switcheroo.targets.constructing import construct
from ml_switcheroo.targets.offered import offered_targets, register
from ml_switcheroo.tree import (
    Template,
    is_records,
    template_of_file,
    template_of_records,
    template_of_tree,
)

__all__ = [
    "TARGETS",
    "all_targets",
    "construct",
    "find_target",
    "live_target",
    "owner_of",
    "register_target",
    "template_of",
]

TARGETS: Mapping[str, Target] = {
    module.TARGET.name: module.TARGET for module in (nnx, linen, equinox, haiku, keras, mlx, jax, numpy)
}
"""Those that come along; :func:`all_targets` has those of other packages, too."""


def register_target(row: Target) -> Target:
    """Add a target of your own.

    An installed package offers one by the entry-point group ``ml_switcheroo.targets`` instead.

    Raises:
        UsageError: Another target has its name or one of its aliases.
    """
    return register(row, TARGETS)


def all_targets() -> Mapping[str, Target]:
    """Return all targets by name: those that come along, of installed packages, and registered ones.

    Raises:
        UsageError: A package offers what cannot be imported or is no target.
    """
    return {**TARGETS, **offered_targets(TARGETS)}


def find_target(name: str) -> Target:
    """Return the target of that name or alias.

    >>> find_target("flax").name
    'nnx'

    Raises:
        UnknownTarget: There is none; the error names those that exist.
    """
    found = _named(name, TARGETS) or _named(name, all_targets())
    if found is None:
        known = all_targets()
        raise UnknownTarget(name, sorted(known), [alias for one in known.values() for alias in one.aliases])
    return found


def _named(name: str, known: Mapping[str, Target]) -> Target | None:
    return next((target for target in known.values() if name in (target.name, *target.aliases)), None)


def owner_of(model: Any, target: Target | None = None) -> Target | None:
    """Return the target whose live model this is; None where it is nobody's.

    Args:
        model: A live model; a plain tree is recognised where only one target can have made it.
        target: The target, where the user named it: what it accepts needs not to be recognised.
    """
    owner = _owner(model, TARGETS) or _owner(model, all_targets())
    if owner is None and target is not None and target.live is not None:
        accepts = target.live.accepts
        return target if accepts is not None and accepts(model) else None
    return owner


def live_target(model: Any, name: str | None, word: str) -> Target | None:
    """Return the target of a live model; None where it is nobody's.

    Args:
        model: The model.
        name: Its target, where a person said so.
        word: What the model was given as, for the error.

    Raises:
        UsageError: It is a model of another target.
    """
    named = find_target(name) if name else None
    owner = owner_of(model, named)
    if owner is not None and named is not None and owner is not named:
        meant = f'leave out to=, or say to="{owner.name}"'
        raise UsageError(f"{word} is one of {owner.name}, not of {named.name}: {meant}")
    return owner


def _owner(model: Any, known: Mapping[str, Target]) -> Target | None:
    return next((t for t in known.values() if t.live is not None and t.live.owns(model)), None)


def template_of(like: Any, target: Target) -> Template | None:
    """Return the template of a live model, a tree, a list of leaves or a spec file; None for None.

    Raises:
        UsageError: It is the live model of another target, or a leaf of it has no shape.
    """
    if like is None or isinstance(like, Template):
        return like
    if isinstance(like, str | Path):
        return template_of_file(like, target.naming.separator)
    if is_records(like):
        return template_of_records(like)
    owner = owner_of(like, target)
    if owner is not None and owner.live is not None:
        if owner is not target:
            meant = f'say to="{owner.name}" (--to {owner.name}), or give a model of {target.name}'
            raise UsageError(f"like= is a model of {owner.name}, the target is {target.name}: {meant}")
        return owner.live.template(like)
    return template_of_tree(like, target.naming.separator)
