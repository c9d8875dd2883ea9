"""Axis equations: ``"out in *space -> *space in out"``, in einops' grammar.

An equation is parsed once, bound to a shape, and is then three NumPy operations: a reshape that
splits grouped axes, a transpose, and a reshape that merges. Grammar (a subset of
https://einops.rocks, whose ``rearrange`` is the oracle in the tests)::

    pattern  = item*                       "(heads dim) in"
    item     = name | 1 | *1 | *name | ... | "(" (name | 1 | *name)* ")"

``*name`` and ``...`` stand for any number of axes. Inside parentheses ``*name`` is the one axis
that those axes were flattened into. ``*1`` stands for any number of axes of size 1, and may stand
on one side only: a bias of shape (out, 1, 1) is ``"out *1"``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.errors import AxesError

__all__ = ["ONES", "Equation", "Pattern", "View", "equation", "parse"]

ONES = "*1"

Array = np.ndarray[Any, Any]
NO_SIZES: Mapping[str, int] = MappingProxyType({})

_TOKEN = re.compile(r"\s*([()]|\*?1(?!\w)|\.\.\.|\*?[A-Za-z_]\w*)\s*")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed axis string: one tuple of axis names for each dimension.

    Attributes:
        text: The string as it was written.
        groups: For each dimension the axes it is made of; ``()`` is a dimension of size 1.
        loose: Index of the dimension that stands for any number of axes; None if there is none.
    """

    text: str
    groups: tuple[tuple[str, ...], ...]
    loose: int | None

    @property
    def axes(self) -> tuple[str, ...]:
        """All axis names, in order."""
        return tuple(axis for group in self.groups for axis in group)

    @property
    def padded(self) -> bool:
        """Whether it has any number of axes of size 1."""
        return self.loose is not None and self.groups[self.loose] == (ONES,)

    def dimensions(self, rank: int) -> tuple[tuple[str, ...], ...]:
        """Spell the groups out for a tensor of ``rank`` dimensions.

        >>> parse("out *space").dimensions(3)
        (('out',), ('*space.0',), ('*space.1',))

        Raises:
            AxesError: The pattern cannot have that many dimensions.
        """
        extra = rank - len(self.groups)
        if self.loose is None:
            if extra:
                raise AxesError(f'"{self.text}" has {len(self.groups)} dimensions, the tensor has {rank}')
            return self.groups
        if extra < -1:
            raise AxesError(
                f'"{self.text}" has at least {len(self.groups) - 1} dimensions, the tensor has {rank}'
            )
        name = self.groups[self.loose][0]
        spelled = tuple(() if name == ONES else (f"{name}.{i}",) for i in range(extra + 1))
        return self.groups[: self.loose] + spelled + self.groups[self.loose + 1 :]


@cache
def parse(text: str) -> Pattern:
    """Parse an axis string.

    >>> parse("(heads dim) in").groups
    (('heads', 'dim'), ('in',))

    Raises:
        AxesError: The string is not of the grammar, or names an axis twice.
    """
    groups: list[tuple[str, ...]] = []
    starred: list[int] = []
    inside: list[str] | None = None
    for token in _tokens(text):
        if token in ("(", ")"):
            if (token == "(") == (inside is not None):
                raise AxesError(f'"{text}": parentheses do not match')
            if inside is not None:
                groups.append(tuple(inside))
            inside = [] if token == "(" else None
        elif inside is not None:
            if token == ONES:
                raise AxesError(f'"{text}": {ONES} stands for whole axes, not for a part of one')
            inside += [token] if token != "1" else []
        else:
            starred += [len(groups)] if token.startswith("*") else []
            groups.append((token,) if token != "1" else ())
    if inside is not None:
        raise AxesError(f'"{text}": parentheses do not match')
    if len(starred) > 1:
        raise AxesError(f'"{text}": only one axis can stand for any number of axes')
    pattern = Pattern(text, tuple(groups), starred[0] if starred else None)
    twice = {axis for axis in pattern.axes if pattern.axes.count(axis) > 1}
    if twice:
        raise AxesError(f'"{text}": axis {min(twice)} stands twice')
    return pattern


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise AxesError(f'"{text}": cannot read "{text[position:]}"')
        position = token.end()
        yield token[1].replace("...", "*")


@dataclass(frozen=True, slots=True)
class View:
    """An equation bound to a shape.

    Attributes:
        split: Shape with every grouped dimension split into its axes.
        order: Order of the split axes in the result.
        shape: Shape of the result.
        sizes: Size of each axis.
    """

    split: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]
    sizes: Mapping[str, int]

    def __call__(self, array: Array) -> Array:
        """Return the rearranged array: a view where NumPy can make one."""
        return array.reshape(self.split).transpose(self.order).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Equation:
    """Two patterns over the same axes.

    >>> kernel = equation("out in *space", "*space in out")
    >>> kernel.bind((64, 3, 7, 7)).shape
    (7, 7, 3, 64)
    >>> print(~kernel)
    *space in out -> out in *space
    """

    source: Pattern
    target: Pattern

    def __str__(self) -> str:
        return f"{self.source.text} -> {self.target.text}"

    def __invert__(self) -> Equation:
        return equation(self.target.text, self.source.text)

    def bind(
        self,
        shape: tuple[int, ...],
        sizes: Mapping[str, int] = NO_SIZES,
        result: tuple[int, ...] | None = None,
    ) -> View:
        """Bind to a shape; sizes that the shape does not tell come from ``sizes`` or ``result``.

        Args:
            shape: Shape of the tensor on the left.
            sizes: Sizes of axes, such as ``{"heads": 8}``; ``"*1"`` gives the number of such axes.
            result: Shape on the right, where it is known beforehand.

        Raises:
            AxesError: A size is unknown or does not fit; the text names the axis.
        """
        return _bound(self, shape, tuple(sizes.items()), result)

    def _bind(self, shape: tuple[int, ...], sizes: Mapping[str, int], result: tuple[int, ...] | None) -> View:
        left = self.source.dimensions(len(shape))
        known = dict(sizes)
        if self.source.padded:
            known[ONES] = len(left) - len(self.source.groups) + 1
        elif self.target.padded and result is not None:
            known[ONES] = len(result) - len(self.target.groups) + 1
        elif self.target.padded and ONES not in known:
            raise AxesError(f'"{self}" on shape {shape}: how many axes of size 1 there are is not known')
        right = self._right(left, known)
        if result is not None:
            if len(result) != len(right):
                raise AxesError(f'"{self}" gives {len(right)} dimensions, expected {len(result)}')
            _solve(right, result, known, self.target.text)
        _solve(left, shape, known, self.source.text)
        axes = [axis for group in left for axis in group]
        unknown = sorted(axis for axis in axes if axis not in known)
        if unknown:
            raise AxesError(f'"{self}" on shape {shape}: size of axis {", ".join(unknown)} is not known')
        _verify(left, shape, known, self.source.text)
        if result is not None:
            _verify(right, result, known, self.target.text)
        return View(
            split=tuple(known[axis] for axis in axes),
            order=tuple(axes.index(axis) for group in right for axis in group),
            shape=tuple(math.prod(known[axis] for axis in group) for group in right),
            sizes=MappingProxyType({axis: known[axis] for axis in (*axes, ONES) if axis in known}),
        )

    @property
    def told(self) -> frozenset[str]:
        """The axes whose sizes the shape on the left alone may not tell."""
        grouped = {axis for group in self.source.groups if len(group) > 1 for axis in group}
        return frozenset(grouped | ({ONES} if self.target.padded else set()))

    def spelled(self, rank: int) -> Equation:
        """Return the equation for one number of dimensions, with a name for each axis of ``*name``.

        >>> print(equation("*space c", "(*space c)").spelled(3))
        space0 space1 c -> (space0 space1 c)
        """
        if self.source.loose is None or self.source.padded:
            return self
        name = self.source.groups[self.source.loose][0]
        count = len(self.source.dimensions(rank)) - len(self.source.groups) + 1
        names = " ".join(f"{name.strip('*') or 'axis'}{index}" for index in range(count))
        return equation(
            *(side.text.replace("...", "*").replace(name, names) for side in (self.source, self.target))
        )

    def _right(
        self, left: tuple[tuple[str, ...], ...], known: Mapping[str, int]
    ) -> tuple[tuple[str, ...], ...]:
        """Spell out the right side with the axes that the left side has."""
        spelled: dict[str, list[str]] = {}
        for axis in (axis for group in left for axis in group):
            name = axis.partition(".")[0] if axis.startswith("*") else axis
            spelled.setdefault(name, []).append(axis)
        right: list[tuple[str, ...]] = []
        for index, group in enumerate(self.target.groups):
            if index == self.target.loose and group == (ONES,):
                right += [()] * known[ONES]
            elif index == self.target.loose:
                right += [(axis,) for axis in spelled.get(group[0], [])]
            else:
                right.append(tuple(axis for name in group for axis in spelled.get(name, [])))
        return tuple(right)


@lru_cache(maxsize=4096)
def _bound(
    rule: Equation, shape: tuple[int, ...], sizes: tuple[tuple[str, int], ...], result: tuple[int, ...] | None
) -> View:
    """Bind an equation once for all tensors of a shape: a model has few shapes and many tensors."""
    return rule._bind(shape, dict(sizes), result)


@cache
def equation(source: str, target: str) -> Equation:
    """Make the equation ``source -> target``.

    Raises:
        AxesError: A side does not parse, or an axis stands on one side only.
    """
    left, right = parse(source), parse(target)
    odd = sorted((set(left.axes) ^ set(right.axes)) - {ONES})
    if odd:
        raise AxesError(f'"{source} -> {target}": axis {", ".join(odd)} stands on one side only')
    if left.padded and right.padded:
        raise AxesError(f'"{source} -> {target}": {ONES} can stand on one side only')
    if left.loose is None and right.loose is not None and not right.padded:
        raise AxesError(f'"{source} -> {target}": {right.groups[right.loose][0]} is flattened on the left')
    return Equation(left, right)


def _solve(
    groups: tuple[tuple[str, ...], ...], shape: tuple[int, ...], known: dict[str, int], text: str
) -> None:
    """Fill in the one unknown axis of each dimension."""
    for group, size in zip(groups, shape, strict=True):
        unknown = [axis for axis in group if axis not in known]
        if len(unknown) != 1:
            continue
        rest = math.prod(known[axis] for axis in group if axis in known)
        if rest == 0 or size % rest:
            raise AxesError(
                f'"{text}" on shape {shape}: {size} is not a multiple of {rest} ({" ".join(group)})'
            )
        known[unknown[0]] = size // rest


def _verify(
    groups: tuple[tuple[str, ...], ...], shape: tuple[int, ...], known: Mapping[str, int], text: str
) -> None:
    """Compare the product of each dimension's axes with its size."""
    for group, size in zip(groups, shape, strict=True):
        expected = math.prod(known[axis] for axis in group)
        if expected != size:
            name = " ".join(group) or "1"
            raise AxesError(f'"{text}" on shape {shape}: axis "{name}" is {size}, expected {expected}')
