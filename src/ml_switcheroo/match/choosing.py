"""Choose the layout of each leaf: by its shape, by leaves like it that are not square, by convention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ml_switcheroo.match.links import Link
from ml_switcheroo.match.orders import nearest
from ml_switcheroo.match.pairing import Field, Match
from ml_switcheroo.match.repeats import Token
from ml_switcheroo.match.units import Unit
from ml_switcheroo.recipes import Target, parts_of

__all__ = ["Chosen", "choose", "conventions", "narrowed"]

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
    for kind, own in (("linear", "out in"), ("conv", "out in *space")):
        for part in parts_of(target.kinds[kind]) if kind in target.kinds else ():
            layout = _LAYOUTS.get(part.axes or own) if part.slots == ("weight",) and not part.ops else None
            if layout:
                found.setdefault((kind, part.leaves[0]), layout)
    return found


def choose(
    matches: Sequence[Match],
    usual: Mapping[tuple[str, str], str],
    shown: Mapping[tuple[str, str], Mapping[tuple[Token, ...], str]],
    field: Field,
) -> list[dict[str, Chosen]]:
    """Choose a layout for each slot of each match.

    A leaf whose shape allows one layout only shows how leaves of its name and kind are kept; the
    nearest of them in the tree decide for a leaf whose shape allows several.

    Args:
        matches: The matches.
        usual: The framework's conventions.
        shown: By kind and name of the leaf, what leaves that are filled already show.
        field: All units with all links: a leaf that nothing fits under a convention speaks against it.
    """
    against = _contradicted(field, usual)
    usual = {key: layout for key, layout in usual.items() if key not in against}
    witnesses: dict[Key, dict[tuple[Token, ...], str]] = {
        (kind, leaf, False): dict(found) for (kind, leaf), found in shown.items()
    }
    for key, found in witnessed(matches).items():
        witnesses.setdefault(key, {}).update(found)
    return [
        {
            role: _choice(match, role, list(options), witnesses, usual)
            for role, options in match.link.options.items()
        }
        for match in matches
    ]


def _contradicted(field: Field, usual: Mapping[tuple[str, str], str]) -> set[tuple[str, str]]:
    """Return the conventions under which some leaf could be filled by nothing, but otherwise could."""
    fits: dict[tuple[str, str, int], bool] = {}
    for (i, j), link in field.links.items():
        if _may_be_table(field.sources[i], field.targets[j], link):
            continue
        for role, options in link.options.items():
            kind, name, _ = leaf_key(link, field.targets[j], role)
            if role == "weight" and (kind, name) in usual:
                ends = {layout.partition(":")[2] or layout for layout in options}
                key = kind, name, j
                fits[key] = fits.get(key, False) or usual[kind, name] in ends
    return {(kind, name) for (kind, name, _), fit in fits.items() if not fit}


def witnessed(matches: Sequence[Match]) -> dict[Key, dict[tuple[Token, ...], str]]:
    """Return by kind and name what the leaves show whose shapes allow one layout only."""
    found: dict[Key, dict[tuple[Token, ...], str]] = {}
    for match in matches:
        for _, key, layout in _shows(match):
            found.setdefault(key, {})[match.target.pattern] = layout
    return found


def _shows(match: Match) -> Iterator[tuple[str, Key, str]]:
    """Yield role, key and layout of each leaf of a match whose shape allows one layout only."""
    if not _may_be_table(match.source, match.target, match.link):
        for role, options in match.link.options.items():
            if len(options) == 1:
                yield role, leaf_key(match.link, match.target, role), next(iter(options))


def narrowed(field: Field, matches: Sequence[Match]) -> dict[tuple[int, int], Link]:
    """Leave out of the links what contradicts all the leaves that show their layout."""
    seen: dict[tuple[Key, int], list[str]] = {}
    for match in matches:
        for role, key, layout in _shows(match):
            seen.setdefault((key, match.target.slots[role].rank), []).append(layout)
    shown = {key: set(found) for key, found in seen.items() if len(found) > 1 and len(set(found)) == 1}
    result: dict[tuple[int, int], Link] = {}
    for (i, j), link in field.links.items():
        source, target = field.sources[i], field.targets[j]
        if _may_be_table(source, target, link):
            result[i, j] = link
            continue
        options = {}
        for role, layouts in link.options.items():
            only = shown.get((leaf_key(link, target, role), target.slots[role].rank))
            options[role] = {name: ways for name, ways in layouts.items() if not only or name in only}
        if all(options.values()):
            result[i, j] = replace(link, options=options)
    return result


def _may_be_table(source: Unit, target: Unit, link: Link) -> bool:
    """Tell whether what is read as a linear could be an embedding: then it shows nothing of linears."""
    both = source.kinds & target.kinds
    return link.kind == "linear" and "embedding" in both and not source.role and "bias" not in source.slots


def leaf_key(link: Link, target: Unit, role: str) -> Key:
    """Return what leaves are compared by; all parameters with names of their own count as one."""
    path = next(iter(target.slots[role].paths.values()))
    name = role if role == "parameter" else path.replace(".", "/").rpartition("/")[2]
    return link.kind, name, bool(link.sizes)


def _choice(
    match: Match,
    role: str,
    options: list[str],
    witnesses: Mapping[Key, Mapping[tuple[Token, ...], str]],
    usual: Mapping[tuple[str, str], str],
) -> Chosen:
    if len(options) == 1:
        return Chosen(options[0])
    key = leaf_key(match.link, match.target, role)
    fitting = {pattern: layout for pattern, layout in witnesses.get(key, {}).items() if layout in options}
    near = nearest(match.target.pattern, fitting)
    if len(near) > 1:
        return Chosen(None, f"leaves called {key[1]} are kept in several ways: {', '.join(sorted(near))}")
    convention = usual.get((match.link.kind, key[1]), "")
    if match.link.sizes:
        # A stack of matrices is a matrix with one axis more.
        convention = next((layout for layout in options if layout.partition(":")[2] == convention), "")
    if near:
        found = Chosen(near.pop(), f"like the leaves called {key[1]} that are not square")
    elif role == match.link.slots[role] == "parameter" and "same" in options:
        found = Chosen("same", "a tensor with a name of its own is kept as it is")
    elif convention in options:
        found = Chosen(convention, f"as the framework keeps a {key[1]}")
    else:
        return Chosen(None, f"its shape fits several layouts: {', '.join(options)}")
    ways = match.link.options[role][str(found.layout)].values()
    if _may_be_table(match.source, match.target, match.link) and any(way.ops for way in ways):
        return Chosen(None, "a linear would be turned, an embedding would not")
    return found
