"""Pools: layers without weights whose arguments decide the output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Pool", "pool_of", "pools_in"]

_CLASS = re.compile(r"(Max|Avg|Average)Pool(?:ing)?([123])[dD]")
_KINDS = {"Max": "max_pool", "Avg": "avg_pool", "Average": "avg_pool"}

# Source: https://docs.pytorch.org/docs/stable/nn.html#pooling-layers
_TORCH: Mapping[str, Mapping[str, Any]] = {
    "max_pool": {"padding": 0, "dilation": 1, "ceil_mode": False},
    "avg_pool": {"padding": 0, "ceil_mode": False, "count_include_pad": True, "divisor_override": None},
}


@dataclass(frozen=True, slots=True)
class Pool:
    """A layer that pools.

    Attributes:
        kind: ``max_pool`` or ``avg_pool``.
        rank: How many axes it pools over.
        attributes: Its plain attributes (in PyTorch its arguments); none where a class of the user's own may
            compute with them as it likes.
    """

    kind: str
    rank: int
    attributes: Mapping[str, Any]


def pool_of(name: str, args: Mapping[str, Any]) -> Pool | None:
    """Return the pool that a class of a framework is; None where it is none.

    Args:
        name: The name of the class: PyTorch's with ``torch.nn.`` before it.
        args: Its arguments or attributes; PyTorch's that are not there have the default.

    >>> pool_of("torch.nn.MaxPool2d", {"kernel_size": 3}).attributes["stride"]
    3
    >>> pool_of("torch.nn.AdaptiveAvgPool2d", {"output_size": 1}) is None
    True
    """
    package, _, last = name.rpartition(".")
    found = _CLASS.fullmatch(last)
    if found is None:
        return None
    kind = _KINDS[found[1]]
    if package == "torch.nn":
        args = {**_TORCH[kind], **args}
        if args.get("stride") is None and "kernel_size" in args:
            args = {**args, "stride": args["kernel_size"]}
    return Pool(kind, int(found[2]), {key: value for key, value in args.items() if _is_plain(value)})


def pools_in(nodes: Iterable[tuple[str, Any]], library: str) -> dict[str, Pool]:
    """Return the pools of a live model, by path and in order; one with several paths by the first.

    Args:
        nodes: Path and module of each module of the model.
        library: The package of the pools' classes.
    """
    seen: set[int] = set()
    found: dict[str, Pool] = {}
    for path, node in nodes:
        pool = _live(node, library) if id(node) not in seen else None
        seen.add(id(node))
        if pool is not None:
            found[path] = pool
    return found


def _live(node: Any, library: str) -> Pool | None:
    own = False
    for cls in type(node).__mro__:
        if cls.__module__.partition(".")[0] == library:
            name = f"torch.nn.{cls.__name__}" if library == "torch" else cls.__name__
            pool = pool_of(name, _attributes(node))
            return Pool(pool.kind, pool.rank, {}) if pool is not None and own else pool
        own = own or not {"forward", "call", "__call__"}.isdisjoint(vars(cls))
    return None


def _attributes(node: Any) -> dict[str, Any]:
    items = dict(node) if isinstance(node, Mapping) else {}  # of MLX
    return {str(name).lstrip("_"): value for name, value in {**items, **vars(node)}.items()}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(one, int | list | tuple) and _is_plain(one) for one in value)
    return value is None or isinstance(value, int | str)
