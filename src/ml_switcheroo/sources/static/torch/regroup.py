"""Reshapes of tensors whose axes are known: atoms are merged, divided and kept in their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ml_switcheroo.sources.static.python.values import Repeat, Value
from ml_switcheroo.sources.static.torch.atoms import Atom, Axis
from ml_switcheroo.sources.static.torch.uses import count_of
from ml_switcheroo.sources.static.torch.values import Size

__all__ = ["collapsed", "einstein", "merged", "regroup", "same_size"]


def same_size(left: Axis, right: Axis) -> bool:
    """Tell whether two axes are certainly of one length."""
    if left == right:
        return True
    mine, other = (tuple(atom for atom in axis if atom.role != "one") for axis in (left, right))
    if len(mine) != len(other):
        return False
    return all(_same(a, b) for a, b in zip(mine, other, strict=True))


def _same(left: Atom, right: Atom) -> bool:
    if left == right or left.role == right.role == "batch":
        return True
    if {left.role, right.role} == {"batch", "lead"}:
        return left.place == right.place == 0  # the first axis of what the model is given
    count = count_of(left)
    if count is not None and count == count_of(right):
        return True
    return left.role == right.role and left.key is not None and left.key == right.key


def regroup(axes: Sequence[Axis], sizes: Sequence[Value]) -> tuple[Axis, ...] | None:
    """Return the axes of a reshape to these sizes; None where they do not tell."""
    found = _regrouped(axes, sizes)
    return None if found is None else tuple(map(collapsed, found))


def merged(axes: Sequence[Axis]) -> Axis:
    """Return the axis that several become.

    Where channels and places are one axis already, a port has them the other way round inside of it, and
    what else is merged with it comes in another place: nobody knows the order.
    """
    axis = tuple(atom for one in axes for atom in one)
    roles = [{atom.role for atom in one} for one in axes]
    images = [bool(one & {"channel", "group"}) and "space" in one for one in roles]
    others = [bool(one & {"channel", "group", "space"}) for one in roles]
    if any(images) and sum(others) > 1:
        return (Atom("lost"), *axis)
    return collapsed(axis)


def collapsed(axis: Axis) -> Axis:
    """Take channels that were divided, and are one axis again, as channels."""
    if len(axis) < 2 or any(atom.role not in ("channel", "group") for atom in axis):
        return axis
    counts = [count_of(atom) for atom in axis]
    size = None if None in counts else math.prod(count for count in counts if count is not None)
    makers = {id(atom.of): atom.of for atom in axis}
    whole = [atom.role for atom in axis] == ["group", "channel"] and len(makers) == 1
    return (Atom("channel", axis[0].of if whole else None, size=size),)


def _regrouped(axes: Sequence[Axis], sizes: Sequence[Value]) -> tuple[Axis, ...] | None:
    """Return the axes of a reshape to these sizes; None where they do not tell.

    From both ends, each size takes the atoms that make it up; one size that is not known takes what is left.
    """
    if any(isinstance(size, Repeat) for size in sizes):
        return None
    atoms = [atom for axis in axes for atom in axis if atom.role != "one"]
    if sum(bool({"channel", "group"} & {atom.role for atom in axis}) for axis in axes) and _folded(
        axes, sizes
    ):
        return None
    if any(atom.role in ("rest", "lost", "input", "joined", "mixed") for atom in atoms):
        return None
    left: list[Axis] = []
    wanted = list(sizes)
    while wanted and (taken := _taken(atoms, wanted[0])) is not None:
        axis, atoms = taken
        left.append(axis)
        wanted.pop(0)
    right: list[Axis] = []
    while wanted and (taken := _taken(atoms[::-1], wanted[-1], backwards=True)) is not None:
        axis, rest = taken
        atoms = rest[::-1]
        right.insert(0, axis)
        wanted.pop()
    if not wanted:
        # All sizes are taken: what is left, of lengths that nobody knows, can only be 1 long.
        single = all(atom.role in _PLACES and count_of(atom) is None for atom in atoms)
        return (*left, *right) if single else None
    return _middle(axes, sizes, left, atoms, wanted, right)


def _middle(
    axes: Sequence[Axis],
    sizes: Sequence[Value],
    left: list[Axis],
    atoms: list[Atom],
    wanted: list[Value],
    right: list[Axis],
) -> tuple[Axis, ...] | None:
    """Give what is left in the middle to the sizes that nobody knows."""
    if len(wanted) == 1:
        return (*left, tuple(atoms) or (Atom("one"),), *right)
    if len(wanted) > 1 and left and atoms and all(atom.role in _PLACES for atom in atoms):
        counts = [size if isinstance(size, int) and size > 0 else None for size in wanted]
        return (*left, *((Atom("space", size=count),) for count in counts), *right)
    if len(wanted) == len(sizes) == 2 and len(axes) > 2:  # the batch, and all the rest
        if axes[0][0].role == "frames":
            return ((Atom("batch"),), (Atom("step"), *atoms[len(axes[0]) :]))
        if axes[0][0].role == "batch" and not isinstance(sizes[0], Size):
            return (axes[0], tuple(atoms[len(axes[0]) :]))
    return None


def _folded(axes: Sequence[Axis], sizes: Sequence[Value]) -> bool:
    """Tell whether places are folded into the channels, and a reshape changes more than it keeps."""
    folds = [axis for axis in axes if {"channel", "space"} <= {atom.role for atom in axis}]
    kept = [size for size in sizes if isinstance(size, Size)]
    return (
        bool(folds) and len(axes) > 2 and not all(any(size.atoms == axis for size in kept) for axis in folds)
    )


_PLACES = frozenset({"space", "step"})


def _taken(atoms: list[Atom], size: Value, backwards: bool = False) -> tuple[Axis, list[Atom]] | None:
    """Take the atoms that make up a size off the front; None where it is not known which do."""
    if isinstance(size, bool):
        return None
    if isinstance(size, Size):
        wanted = tuple(atom for atom in (size.atoms[::-1] if backwards else size.atoms) if atom.role != "one")
        if any(atom.role == "quotient" for atom in wanted):
            return _quotient(atoms, wanted, backwards)
        front = atoms[: len(wanted)]
        if len(front) == len(wanted) and all(map(_same, front, wanted)):
            return tuple(front[::-1] if backwards else front), atoms[len(wanted) :]
        return None
    if not isinstance(size, int) or size <= 0:
        return None
    if size == 1:
        return (Atom("one"),), atoms
    return _counted(atoms, size, backwards)


def _counted(atoms: list[Atom], size: int, backwards: bool) -> tuple[Axis, list[Atom]] | None:
    axis: list[Atom] = []
    left = size
    for place, atom in enumerate(atoms):
        count = count_of(atom)
        if count is not None and left % count == 0:
            axis.append(atom)
            left //= count
            if left == 1:
                return tuple(axis[::-1] if backwards else axis), atoms[place + 1 :]
            continue
        alone = count is not None or len(atoms) == 1  # of several, nobody knows how many make it up
        parts = divide(atom, left, backwards) if alone else None
        if parts is None:
            return None
        axis.append(parts[0])
        return tuple(axis[::-1] if backwards else axis), [parts[1], *atoms[place + 1 :]]
    return None


def divide(atom: Atom, size: int, last: bool) -> tuple[Atom, Atom] | None:
    """Divide an atom into a part of a size, the first or the last, and the rest; that part comes first."""
    count = count_of(atom)
    if count is not None and count % size:
        return None
    rest = None if count is None else count // size
    key = None if atom.key is None else ("part", atom.key, size)
    if atom.role in ("space", "step", "batch"):
        return Atom(atom.role, size=size), Atom(atom.role, size=rest, key=key)
    if atom.role in ("channel", "group") and count is not None:
        outer, inner = (rest, size) if last else (size, rest)
        pair = Atom("group", atom.of, size=outer), Atom("channel", atom.of, size=inner)
        return pair[::-1] if last else pair
    return None


def _quotient(atoms: list[Atom], wanted: Axis, backwards: bool) -> tuple[Axis, list[Atom]] | None:
    """Take the first part of an atom: ``h // p`` of the axis that is ``h`` long."""
    if len(wanted) != 1 or not atoms or backwards:
        return None
    whole, by = wanted[0].parts[0], wanted[0].place
    if len(whole) != 1 or not _same(whole[0], atoms[0]) or atoms[0].role not in ("space", "step", "channel"):
        return None
    parts = divide(atoms[0], by, True)
    return None if parts is None else ((parts[1],), [parts[0], *atoms[1:]])


Dividing = Callable[[Axis, list[Value]], "tuple[Axis, ...] | None"]


def einstein(
    axes: Sequence[Axis], pattern: str, sizes: dict[str, int], divided: Dividing, *, drops: bool = False
) -> tuple[Axis, ...] | None:
    """Return the axes of ``einops.rearrange``; None where the pattern does not tell.

    Args:
        axes: The axes.
        pattern: The pattern.
        sizes: The sizes that are given by name.
        divided: Divides the output of a linear.
        drops: Whether axes may be left out on the right, as ``einops.reduce`` does.
    """
    given, wanted = (_groups(side) for side in pattern.split("->"))
    if given is None or wanted is None:
        return None
    given = _spelled(given, len(axes))
    wanted = _spelled(wanted, len(axes), given) if given is not None else None
    if given is None or wanted is None or len(given) != len(axes):
        return None
    held: dict[str, Axis] = {}
    for names, axis in zip(given, axes, strict=True):
        parts = _divided(names, axis, sizes, divided)
        if parts is None:
            return None
        held.update(parts)
    names = sorted(name for group in wanted for name in group)
    if names != sorted(held) and not (drops and set(names) <= held.keys()):
        return None
    return tuple(merged([held[name] for name in group]) or (Atom("one"),) for group in wanted)


def _groups(side: str) -> list[list[str]] | None:
    found: list[list[str]] = []
    inside = False
    for word in side.replace("(", " ( ").replace(")", " ) ").replace("...", " ... ").split():
        if word in ("(", ")"):
            if inside == (word == "("):
                return None
            inside = word == "("
            found += [[]] if inside else []
        elif word != "1" and word != "..." and not word.isidentifier():
            return None
        elif word == "..." and not inside:
            found.append(["*"])
        elif inside:
            found[-1].append(word)
        else:
            found.append([word])
    return [[word for word in group if word != "1"] for group in found]


def _spelled(
    groups: list[list[str]], rank: int, other: list[list[str]] | None = None
) -> list[list[str]] | None:
    """Write an ellipsis out; on the left it stands for whole axes."""
    inside = any("..." in group for group in groups)
    if ["*"] not in groups and not inside:
        return groups
    if other is None and inside:
        return None
    count = rank - len(groups) + 1
    if other is not None:
        count = sum(group[:1] == [f"_{at}"] for at in range(rank) for group in other)
    names = [f"_{at}" for at in range(count)]
    found: list[list[str]] = []
    for group in groups:
        if group == ["*"]:
            found += [[name] for name in names]
        else:
            found.append([one for word in group for one in (names if word == "..." else [word])])
    return found


def _divided(
    names: list[str], axis: Axis, sizes: dict[str, int], divided: Dividing
) -> dict[str, Axis] | None:
    """Divide an axis into the parts that a pattern names."""
    if len(names) == 1:
        return {names[0]: axis}
    if not names:
        return {}
    known = [sizes.get(name) for name in names]
    atoms = [atom for atom in axis if atom.role != "one"]
    if len(atoms) == len(names) and all(
        size is None or size == count_of(atom) for size, atom in zip(known, atoms, strict=True)
    ):
        return {name: (atom,) for name, atom in zip(names, atoms, strict=True)}
    counts: list[Value] = [-1 if size is None else size for size in known]
    parts = divided(axis, counts) or regroup([axis], counts)
    return None if parts is None else dict(zip(names, parts, strict=True))
