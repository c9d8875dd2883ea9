"""Choose the layout of each leaf: by its shape, by leaves like it that are not square, by convention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml_switcheroo.match.orders import nearest
from ml_switcheroo.match.pairing import Match
from ml_switcheroo.match.repeats import Token
from ml_switcheroo.recipes import Part, Target

__all__ = ["Chosen", "choose", "conventions"]

# What the axes of a recipe are called here.
_LAYOUTS: Mapping[str, str] = {
    "out in": "oi",
    "in out": "io",
    "out in *space": "oi",
    "*space in out": "io",
    "out *space in": "osi",
}

Key = tuple[str, str, bool]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen for a slot of a match.

    Attributes:
        layout: The layout; None where it is in doubt.
        why: What decided, where the shape alone did not; for a doubt, why it is one.
    """

    layout: str | None
    why: str = ""


def conventions(target: Target) -> dict[tuple[str, str], str]:
    """Return the layout that a framework's own layers give a leaf: (kind, name of the leaf) -> layout."""
    found: dict[tuple[str, str], str] = {}
    for kind in ("linear", "conv"):
        recipe = target.kinds.get(kind)
        for part in recipe if isinstance(recipe, tuple) else ():
            if isinstance(part, Part) and part.slots == ("weight",):
                own = {"linear": "out in", "conv": "out in *space"}[kind]
                layout = _LAYOUTS.get(part.axes or own)
                if layout:
                    found[kind, part.leaves[0]] = layout
    return found


def choose(
    matches: Sequence[Match],
    usual: Mapping[tuple[str, str], str],
    shown: Mapping[tuple[str, str], Mapping[tuple[Token, ...], str]],
) -> list[dict[str, Chosen]]:
    """Choose a layout for each slot of each match.

    A leaf whose shape allows one layout only shows how leaves of its name and kind are kept; the
    nearest of them in the tree decide for a leaf whose shape allows several.

    Args:
        matches: The matches.
        usual: The framework's conventions.
        shown: By kind and name of the leaf, what leaves that are filled already show.
    """
    witnesses: dict[Key, dict[tuple[Token, ...], str]] = {
        (kind, leaf, False): dict(found) for (kind, leaf), found in shown.items()
    }
    for match in matches:
        for role, options in match.link.options.items():
            if len(options) == 1 and not _may_be_table(match):
                witnesses.setdefault(_key(match, role), {})[match.target.pattern] = next(iter(options))
    return [
        {
            role: _choice(match, role, list(options), witnesses, usual)
            for role, options in match.link.options.items()
        }
        for match in matches
    ]


def _may_be_table(match: Match) -> bool:
    """Tell whether what is read as a linear could be an embedding: then it shows nothing of linears."""
    both = match.source.kinds & match.target.kinds
    known = match.source.role or "bias" in match.source.slots
    return match.link.kind == "linear" and "embedding" in both and not known


def _key(match: Match, role: str) -> Key:
    return match.link.kind, leaf_name(match, role), bool(match.link.sizes)


def leaf_name(match: Match, role: str) -> str:
    """Return the name of the leaf; all parameters with names of their own count as one."""
    if role == "parameter":
        return role
    path = next(iter(match.target.slots[role].paths.values()))
    return path.replace(".", "/").rpartition("/")[2]


def _choice(
    match: Match,
    role: str,
    options: list[str],
    witnesses: Mapping[Key, Mapping[tuple[Token, ...], str]],
    usual: Mapping[tuple[str, str], str],
) -> Chosen:
    if len(options) == 1:
        return Chosen(options[0])
    key = _key(match, role)
    fitting = {pattern: layout for pattern, layout in witnesses.get(key, {}).items() if layout in options}
    near = nearest(match.target.pattern, fitting)
    if len(near) > 1:
        return Chosen(None, f"leaves called {key[1]} are kept in several ways: {', '.join(sorted(near))}")
    convention = usual.get((match.link.kind, key[1]), "")
    if near:
        found = Chosen(near.pop(), f"like the leaves called {key[1]} that are not square")
    elif convention in options:
        found = Chosen(convention, f"as the framework keeps a {key[1]}")
    else:
        return Chosen(None, f"its shape fits several layouts: {', '.join(options)}")
    ways = match.link.options[role][str(found.layout)].values()
    if _may_be_table(match) and any(way.ops for way in ways):
        return Chosen(None, "a linear would be turned, an embedding would not")
    return found
