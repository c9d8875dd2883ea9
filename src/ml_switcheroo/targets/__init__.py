"""The frameworks that weights can be moved to: data first, no framework imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_switcheroo.errors import UnknownTarget, UsageError
from ml_switcheroo.recipes import Target
from ml_switcheroo.targets import equinox, haiku, jax, keras, linen, mlx, nnx, numpy
from ml_switcheroo.tree import Template, template_of_tree

__all__ = ["TARGETS", "find_target", "owner_of", "template_of"]

TARGETS: Mapping[str, Target] = {
    module.TARGET.name: module.TARGET for module in (nnx, linen, equinox, haiku, keras, mlx, jax, numpy)
}


def find_target(name: str) -> Target:
    """Return the target of that name or alias.

    >>> find_target("flax").name
    'nnx'

    Raises:
        UnknownTarget: There is none; the error names those that exist.
    """
    for target in TARGETS.values():
        if name in (target.name, *target.aliases):
            return target
    raise UnknownTarget(name, sorted(TARGETS))


def owner_of(model: Any) -> Target | None:
    """Return the target whose live model this is; None where it is nobody's."""
    return next((t for t in TARGETS.values() if t.live is not None and t.live.owns(model)), None)


def template_of(like: Any, target: Target) -> Template | None:
    """Return the template of a live model or a tree; None for None.

    Raises:
        UsageError: It is the live model of another target, or a leaf of it has no shape.
    """
    if like is None or isinstance(like, Template):
        return like
    owner = owner_of(like)
    if owner is not None and owner.live is not None:
        if owner is not target:
            raise UsageError(f"like= is a model of {owner.name}, the target is {target.name}")
        return owner.live.template(like)
    return template_of_tree(like, target.naming.separator)
