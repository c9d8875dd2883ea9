"""Ask the structure of the target where the tensors go that neither kind nor spelling has placed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.match.paths.vocabulary import KNOWN
from ml_switcheroo.match.paths.words import meaning, segment_tokens
from ml_switcheroo.match.structure import Doubt, Question, solve
from ml_switcheroo.match.units.fused import FUSED
from ml_switcheroo.match.units.kinds_by_name import plain_kind
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes
from ml_switcheroo.options.by_exclusion import Site, place_rest, sites
from ml_switcheroo.options.option import Option, option_for
from ml_switcheroo.options.request import Request
from ml_switcheroo.plan import Left
from ml_switcheroo.rule_lines import written
from ml_switcheroo.rules import Rename, renamed
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tree import Template

__all__ = ["Matched", "is_open", "matched", "may_ask", "placed_modules"]


def is_open(owner: Owner, options: Sequence[Option], request: Request) -> bool:
    """Tell whether the structure of the target is to be asked where a module's tensors go.

    Everything that is not settled by kind and spelling is asked for; and every square matrix, because its
    layout can only be seen on others like it. A recipe of several tensors, or one behind a Flatten, is not
    for the structure to decide.
    """
    if not may_ask(owner, request) or any(option.final for option in options):
        return False
    if _in_turns(owner) or _spreads(owner, options):
        return True
    if len(options) != 1 or options[0].refused:
        return True
    plain = [finding for finding in owner.possible if plain_kind(finding.kind) is not None]
    shapes = [request.specs[name].shape for slot, name in owner.tensors.items() if slot == "weight"]
    matrix = plain_kind(plain[0].kind) in ("linear", "conv", "embedding")
    return matrix and any(len(set(shape)) < len(shape) for shape in shapes)


def _spreads(owner: Owner, options: Sequence[Option]) -> bool:
    """Tell whether the rows of what is called a fused projection are divided into axes of the leaf."""
    words = set(map(str, meaning(segment_tokens(owner.path.rpartition(".")[2]))))
    fused = not words.isdisjoint(FUSED) or {"gate", "up"} <= words
    moves = [move for option in options for move in option.moves]
    return fused and any(len(move.outputs[0].shape) > len(move.inputs[0].shape) for move in moves)


def _in_turns(owner: Owner) -> bool:
    """Tell whether forward takes the rows of a module for several parts, or not in their order."""
    for finding in owner.possible:
        parts = finding.parts.parts if finding.parts is not None else ()
        strides = [[stride for _, stride in part.axes] for part in parts]
        if len(parts) > 1 or any(one != sorted(one, reverse=True) for one in strides):
            return True
    return False


def may_ask(owner: Owner, request: Request) -> bool:
    """Tell whether a module is of a kind that the structure of the target can decide."""
    plain = [finding for finding in owner.possible if plain_kind(finding.kind) is not None]
    certain = [finding for finding in owner.possible if finding.origin != "evidence"]
    if (owner.possible and not plain) or any(finding not in plain for finding in certain):
        return False
    return not any(_permuted(owner, finding, request) for finding in owner.possible)


def _permuted(owner: Owner, finding: Finding, request: Request) -> bool:
    """Tell whether a Flatten before a module, or an Unflatten behind it, changes an order in the target."""
    shape = request.specs[owner.tensors["weight"]].shape if "weight" in owner.tensors else ()
    conv = len(shape) > 2 and finding.kind.startswith("conv")
    taken = shape[-1:] if not conv else shape[:1] if finding.kind == "conv_transpose" else shape[1:2]
    changes = ((finding.flatten, taken), (finding.unflatten, shape[:1]))
    return request.target.channels == "last" and any(
        change is not None and change.channels != 1 and (change.parts or (change.channels,) != size)
        for change, size in changes
    )


@dataclass(frozen=True)
class Matched:
    """What the structure of the target has settled, and what it has not."""

    moves: list[Move]
    doubts: tuple[Doubt, ...]
    unexpected: dict[str, Left]
    dropped: dict[str, Left]
    odd: frozenset[str] = frozenset()


def matched(
    request: Request,
    pending: Sequence[tuple[Owner, list[Option]]],
    filled: Sequence[Move],
    rivals: Sequence[Owner],
    options_of: Callable[[Owner], list[Option]],
) -> Matched:
    """Ask the structure of the target where the tensors go that nothing else has placed.

    What is in doubt already competes for its leaf, so that nothing else gets it.
    """
    if request.template is None or not pending:
        return Matched([], (), {}, {})
    found = solve(_question(request, pending, filled, rivals))
    asked = {name for owner, _ in pending for name in owner.tensors.values()}
    moves = [move for move in found.moves if asked.issuperset(move.sources)]
    doubts = tuple(doubt for doubt in found.doubts if asked.issuperset(doubt.names))
    placed = {name for move in moves for name in move.sources}
    placed |= {name for doubt in doubts for name in doubt.names}
    unexpected: dict[str, Left] = {}
    dropped: dict[str, Left] = {}
    for owner, options in pending:
        if not options and not placed.issuperset(owner.tensors.values()):
            options = options_of(owner)
        only = options[0] if len(options) == 1 else None
        if only is not None:
            left = [move for move in only.moves if placed.isdisjoint(move.sources)]
            open_ones = [move for move in left if move.kind in found.odd and _either_way_fits(move)]
            doubts += tuple(map(_either_way, open_ones))
            moves += [move for move in left if move not in open_ones]
            dropped.update({n: Left(request.specs[n], why) for n, why in only.dropped.items()})
            placed.update(name for move in only.moves for name in move.sources)
        for name in owner.tensors.values():
            if name not in placed and name not in dropped:
                why = only.refused.get(name) if only is not None else None
                unexpected[name] = Left(request.specs[name], why or "nothing in the target answers to it")
    return Matched(moves, doubts, unexpected, dropped, found.odd)


def _square(move: Move) -> bool:
    shape = move.inputs[0].shape
    return len(move.sources) == len(move.leaves) == 1 and len(shape) == 2 and shape[0] == shape[1]


def _either_way_fits(move: Move) -> bool:
    shape = move.inputs[0].shape
    return _square(move) or (move.kind == "conv" and len(shape) > 2 and shape[0] == shape[1])


def _either_way(move: Move) -> Doubt:
    """Ask how a square matrix or kernel is kept, in a tree that does not keep all as its framework does."""
    conv = move.kind == "conv"
    other = Axes("out in *space -> *space out in" if conv else "out in -> in out")
    kept, turned = replace(move, ops=move.ops if conv else ()), replace(move, ops=(other,))
    return Doubt(
        move.sources,
        (
            "as the framework keeps it" if conv else "as it is",
            "turned: others are not kept as the framework keeps them, and it is square",
        ),
        (written(kept), written(turned)),
    )


def placed_modules(
    request: Request,
    owners: Sequence[Owner],
    moves: Sequence[Move],
    found: Matched,
    tied: Sequence[tuple[str, ...]],
) -> list[Option]:
    """Place whole modules that are left by where they fit.

    That a module fits in one place only proves little by itself, unless everything has its place then: the
    head of another task may have the same shape. Otherwise words must agree.
    """
    template = request.template
    if template is None:
        return []
    placed = {name for move in moves for name in move.sources}
    layouts = {
        name for doubt in found.doubts for name in doubt.names if not doubt.rules[0].startswith("Rename")
    }
    others = {name for group in tied for name in group[1:]}
    settled = placed | layouts
    left = [
        owner
        for owner in owners
        if len(owner.possible) == 1
        and settled.isdisjoint(owner.tensors.values())
        and not others.issuperset(owner.tensors.values())
    ]
    odd = _unlike_the_framework(request, moves) | found.odd if left else frozenset()
    modules = {_NUMBERS.sub("#", name.rpartition(".")[0]) for name in request.specs}
    kinds = ((owner, owner.possible[0].kind) for owner in left)
    left = [owner for owner, kind in kinds if kind not in odd and not _says_more(owner.path, modules)]
    if not left:
        return []
    taken = {path for move in moves for path in move.leaves}
    free = sites(template, request.target.naming, taken)
    if not free:
        return []

    def option_at(owner: Owner, site: Site | None) -> Option:
        naming = request.target.naming
        if site is not None and site.is_leaf:
            return _bare(owner, site.leaves[()], request, template)
        where = site.place(template.specs) if site else lambda leaf, _: (naming.path(owner.path, leaf), None)
        shown = template.attributes.get(site.path, {}) if site else {}
        return option_for(owner, owner.possible[0], request.specs, request.target, where, shown)

    return list(place_rest(left, free, template.specs, request.specs, option_at, moves).values())


_NUMBERS = re.compile(r"\d+")


def _says_more(path: str, modules: Set[str]) -> bool:
    """Tell whether a name is that of another module and a word that nobody knows: it is another one."""
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

    Its sizes must differ: they show how it lies.
    """
    finding, names = owner.possible[0], tuple(owner.tensors.values())
    have, want = request.specs[names[0]].shape, template.specs[path].shape
    plain = finding.kind in ("linear", "embedding") and len(names) == 1 and len(set(have)) == len(have) == 2
    turned = have != want
    if not plain or want not in (have, have[::-1]) or (turned and finding.kind == "embedding"):
        return Option(finding, (), {}, dict.fromkeys(names, f"{path} is {want}, {names[0]} is {have}"))
    move = Move(names, (path,), (Axes("out in -> in out"),) if turned else ()).bind(request.specs)
    told = replace(move, kind=finding.kind, origin="target", reason=finding.reason, where=finding.where)
    return Option(finding, (told,))


def _unlike_the_framework(request: Request, moves: Sequence[Move]) -> set[str]:
    """Return the kinds whose kernels this tree keeps otherwise than the framework's layers do.

    Only a kernel whose sizes all differ shows it. Where one does, the recipe says nothing of the square ones.
    """
    found = set()
    for move in moves:
        shape = move.inputs[0].shape if len(move.inputs) == len(move.outputs) == 1 else ()
        if len(shape) < 2 or len(set(shape)) < len(shape) or move.kind not in request.target.kinds:
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


def _question(
    request: Request,
    pending: Sequence[tuple[Owner, list[Option]]],
    filled: Sequence[Move],
    rivals: Sequence[Owner],
) -> Question:
    template = request.template or Template({})
    rules = [rule for rule in request.rules if isinstance(rule, Rename)]
    owners = [*(owner for owner, _ in pending), *rivals]
    names = {name: owner for owner in owners for name in owner.tensors.values()}
    taken = {path for move in filled for path in move.leaves}
    return Question(
        specs={name: request.specs[name] for name in request.specs if name in names},
        leaves={path: spec for path, spec in template.specs.items() if path not in taken},
        target=request.target,
        findings={name: owner.possible for name, owner in names.items()},
        classes={
            name: known.classes[path]
            for known in reversed(request.knowledge)
            for name in names
            if (path := name.rpartition(".")[0]) in known.classes
        },
        renamed={name: new for name in names if (new := renamed(name, rules)) != name},
        all_names=tuple(request.specs),
        all_leaves=tuple(template.specs),
        kinds=template.kinds,
        filled=filled,
    )
