"""The last stage: modules that neither spelling nor structure has placed go where nothing else fits.

A module fits a site of the target where its recipe fills every leaf there. Modules that fit the same sites
are told apart by the words that only some of them share with some of the sites, and then by the numbers in
their names, counted in order. ``vouching`` has the last word: being left over proves nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.match.paths.vocabulary import KNOWN
from ml_switcheroo.match.paths.words import meaning, segment_tokens
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.options.option import Option, option_for
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.by_structure import ByStructure
from ml_switcheroo.planning.stages.exclusion import Exclusion
from ml_switcheroo.planning.stages.fitting import Fits, fits_of
from ml_switcheroo.planning.stages.series import ranked
from ml_switcheroo.planning.stages.sites import Site, free_sites
from ml_switcheroo.planning.stages.vouching import Vouching, nameless, words_of
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template

__all__ = ["by_exclusion", "exclude"]

_STAGE = "by exclusion"
_NUMBERS = re.compile(r"\d+")


def exclude(
    request: Request,
    owners: Sequence[Owner],
    found: ByStructure,
    tied: Sequence[tuple[str, ...]],
    ledger: Ledger,
) -> None:
    """Place the modules that are left where they fit and nothing else does."""
    for option in by_exclusion(request, owners, ledger.moves, found, tied).placed.values():
        ledger.move(_STAGE, option.moves)
        ledger.drop(_STAGE, option.dropped)
        own = [*option.dropped, *(name for move in option.moves for name in move.sources)]
        ledger.admit(_STAGE, own, "it fits a place that nothing else does")


def by_exclusion(
    request: Request,
    owners: Sequence[Owner],
    moves: Sequence[Move],
    found: ByStructure,
    tied: Sequence[tuple[str, ...]],
) -> Exclusion:
    """Place the modules that are left.

    Args:
        request: The request.
        owners: The modules that are not placed by their names.
        moves: The moves that were found so far.
        found: What the structure has settled.
        tied: The names that are one tensor.
    """
    template = request.template
    if template is None:
        return Exclusion()
    left = _left(request, owners, moves, found, tied)
    if not left:
        return Exclusion()
    free = free_sites(template, request.target.naming, {path for move in moves for path in move.leaves})
    if not free:
        return Exclusion()

    def option_at(owner: Owner, site: Site | None) -> Option:
        naming = request.target.naming
        if site is not None and site.is_leaf:
            return _bare(owner, site.leaves[()], request, template)
        locate = (
            site.locate(template.specs) if site else lambda leaf, _: (naming.path(owner.path, leaf), None)
        )
        shown = template.attributes.get(site.path, {}) if site else {}
        return option_for(owner, owner.possible[0], request.specs, request.target, locate, shown)

    made = _placed(left, free, template, request.specs, option_at, moves)
    if request.trace is not None:
        request.trace.excluded.append(made)
    return made


def _left(
    request: Request,
    owners: Sequence[Owner],
    moves: Sequence[Move],
    found: ByStructure,
    tied: Sequence[tuple[str, ...]],
) -> list[Owner]:
    """Return the modules of one known kind that have no place yet."""
    # A doubt that a Rename settles is about the place: that may still be found here. All other doubts are
    # about the layout, and filling the same leaf would hide them.
    layouts = {
        name for doubt in found.doubts for name in doubt.names if not doubt.rules[0].startswith("Rename")
    }
    settled = layouts.union(*(move.sources for move in moves))
    others = {name for group in tied for name in group[1:]}
    left = [
        owner
        for owner in owners
        if len(owner.possible) == 1
        and settled.isdisjoint(owner.tensors.values())
        and not others.issuperset(owner.tensors.values())
    ]
    odd = _unlike_the_framework(request, moves) | found.odd if left else frozenset()
    modules = {_NUMBERS.sub("#", name.rpartition(".")[0]) for name in request.specs}
    # A recipe lays a kernel out as the framework does: it is no help in a tree that does otherwise.
    return [o for o in left if o.possible[0].kind not in odd and not _says_more(o.path, modules)]


def _says_more(path: str, modules: Set[str]) -> bool:
    """Tell whether a name is another module's and an unknown word: ``extra_q_proj`` beside ``q_proj``."""
    head, dot, last = path.rpartition(".")
    words = last.split("_")
    known = [
        word
        for word in words
        if KNOWN.issuperset(map(str, meaning(segment_tokens(word)))) or word.isdecimal()
    ]
    return len(known) < len(words) and _NUMBERS.sub("#", f"{head}{dot}{'_'.join(known)}") in modules


def _bare(owner: Owner, path: str, request: Request, template: Template) -> Option:
    """Make the move of a module's only tensor to a leaf that no layer of the framework holds.

    Such a leaf has no recipe that says how it lies; two sizes that differ show it.
    """
    finding, names = owner.possible[0], tuple(owner.tensors.values())
    have, want = request.specs[names[0]].shape, template.specs[path].shape
    table = LAYERS[finding.kind].matched == "embedding"
    plain = (table or LAYERS[finding.kind].dense) and len(names) == 1 and len(set(have)) == len(have) == 2
    turned = have != want
    if not plain or want not in (have, have[::-1]) or (turned and table):
        return Option(finding, (), {}, dict.fromkeys(names, f"{path} is {want}, {names[0]} is {have}"))
    move = Move(names, (path,), (Axes("out in -> in out"),) if turned else ()).bind(request.specs)
    told = replace(move, kind=finding.kind, origin="target", reason=finding.reason, where=finding.where)
    return Option(finding, (told,))


def _unlike_the_framework(request: Request, moves: Sequence[Move]) -> set[str]:
    """Return the kinds whose kernels this tree keeps otherwise than the framework's layers do.

    Only a kernel with sizes that all differ shows it. Where one does, recipes cannot place the square ones.
    """
    found = set()
    for move in moves:
        shape = move.inputs[0].shape if len(move.inputs) == len(move.outputs) == 1 else ()
        if len(shape) < 2 or len(set(shape)) < len(shape) or move.kind not in LAYERS:
            continue
        path, _, slot = move.sources[0].rpartition(".")
        if LAYERS[move.kind].slot(slot) is None:
            continue
        finding = Finding(move.kind, "target", "")
        owner = Owner(path, (finding,), {slot: move.sources[0]})
        option = option_for(owner, finding, request.specs, request.target, lambda leaf, _: (leaf, None))
        mine = [made for made in option.moves if move.sources[0] in made.sources]
        usual = {spec.shape for made in mine for spec in made.outputs}
        alike = {one for one in usual if len(one) == len(move.outputs[0].shape)}
        if alike and move.outputs[0].shape not in alike:
            found.add(move.kind)
    return found


def _placed(
    owners: Sequence[Owner],
    free: Sequence[Site],
    template: Template,
    sources: Mapping[str, TensorSpec],
    option_at: Callable[[Owner, Site | None], Option],
    filled: Collection[Move],
) -> Exclusion:
    """Give each module the one site that nothing else fits, if that is vouched for.

    Args:
        owners: The modules, each known to be of one kind.
        free: The sites that are left.
        template: The target.
        sources: The specs of the source tensors.
        option_at: Makes the moves of a module at a site; without one, where it would be by its name.
        filled: The moves that are certain already.
    """
    by_path = {owner.path: owner for owner in owners}
    placed: dict[str, Option] = {}
    unvouched: dict[str, Option] = {}
    vouching = Vouching.of(sources, template.specs, list(filled), by_path)
    fits = fits_of(owners, free, template, sources, option_at)
    kept = _same_names(fits, vouching)
    for group, sites in _groups(kept):
        for path, site, why in _settled([by_path[path] for path in group], sites, kept):
            option = _because(kept[path][site], why)
            certain = vouching.speaks_for(path, site, option.moves)
            (placed if certain else unvouched)[path] = option
    # Where nothing is left on either side, nothing contradicts a layer that is called Dense_1.
    if _complete(owners, free, {**placed, **unvouched}):
        placed |= {path: option for path, option in unvouched.items() if nameless(path, option.moves)}
    return Exclusion(fits, placed, {path: option for path, option in unvouched.items() if path not in placed})


def _same_names(fits: Mapping[str, Fits], vouching: Vouching) -> dict[str, Fits]:
    """Keep a site for the module of its name, where that fits."""
    named = {
        site: path for path, options in fits.items() for site in options if vouching.same_name(path, site)
    }
    at = {path: site for site, path in named.items()}
    kept = {
        path: options.at(
            {site for site in options if named.get(site, path) == path and at.get(path, site) == site}
        )
        for path, options in fits.items()
    }
    return {path: options for path, options in kept.items() if options}


def _complete(owners: Sequence[Owner], free: Sequence[Site], placed: Mapping[str, Option]) -> bool:
    """Tell whether all that is left has a place, and nothing is left to be filled."""
    filled = {path for option in placed.values() for move in option.moves for path in move.leaves}
    wanted = {path for site in free for path in site.leaves.values()}
    return wanted <= filled and all(owner.path in placed for owner in owners)


def _groups(fits: Mapping[str, Fits]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the modules and sites that hang together: those that fit one another, directly or not."""
    left = dict(fits)
    while left:
        group: list[str] = []
        sites: set[str] = set()
        reach = [next(iter(left))]
        while reach:
            path = reach.pop()
            options = left.pop(path, None)
            if options is None:
                continue
            group.append(path)
            sites |= options.keys()
            reach += [other for other, known in left.items() if not sites.isdisjoint(known)]
        yield sorted(group), sorted(sites)


def _settled(
    owners: Sequence[Owner], sites: Sequence[str], fits: Mapping[str, Fits]
) -> Iterator[tuple[str, str, str]]:
    """Yield what is certain of a group that hangs together: module, site and reason."""
    # One more on either side is left over, and nobody knows which one.
    if len(owners) != len(sites):
        return
    if len(owners) == 1:
        if sites[0] in fits[owners[0].path]:
            yield owners[0].path, sites[0], "nothing else fits there, and it fits nowhere else"
        return
    divided = _divided(owners, sites)
    if len(divided) > 1:
        for mine, there in divided:
            yield from _settled(mine, there, fits)
        return
    own, other = ranked([owner.path for owner in owners]), ranked(sites)
    complete = all(site in fits[owner.path] for owner in owners for site in sites)
    if own is not None and other is not None and own.lines_up(other) and complete:
        at = {other.ranks[site]: site for site in sites}
        for owner in owners:
            why = "alike but for the numbers in their names, counted in order"
            yield owner.path, at[own.ranks[owner.path]], why


def _divided(owners: Sequence[Owner], sites: Sequence[str]) -> list[tuple[list[Owner], list[str]]]:
    """Divide a group by the words that as many of its modules have as of its sites."""
    mine = {owner.path: words_of(owner.path) for owner in owners}
    there = {site: words_of(site) for site in sites}
    counts = [Counter(word for words in side.values() for word in words) for side in (mine, there)]
    telling = {word for word, count in counts[0].items() if count == counts[1][word] < len(owners)}
    groups: dict[frozenset[str], tuple[list[Owner], list[str]]] = {}
    for owner in owners:
        groups.setdefault(frozenset(mine[owner.path] & telling), ([], []))[0].append(owner)
    for site in sites:
        groups.setdefault(frozenset(there[site] & telling), ([], []))[1].append(site)
    even = all(len(left) == len(right) for left, right in groups.values())
    return list(groups.values()) if even else []


def _because(option: Option, why: str) -> Option:
    moves = (
        replace(move, origin="target", reason="; ".join(filter(None, (move.reason, why))))
        for move in option.moves
    )
    return replace(option, moves=tuple(moves))
