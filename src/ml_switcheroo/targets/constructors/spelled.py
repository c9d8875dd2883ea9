"""What the tables of several frameworks share: values written otherwise, and what decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_switcheroo.recipes import Aside, Constructor, Difference, Joint, Lack, Needs, Spelled, Unsupported

__all__ = [
    "AFFINE_BIAS",
    "BATCH_FIRST",
    "BATCH_NORM",
    "CELL",
    "EMBEDDING",
    "INSTANCE_NORM",
    "KEEPS",
    "LINEAR_NORM_BIAS",
    "MHA",
    "NOT_MADE",
    "NO_SLOPE",
    "ONE_AXIS",
    "ZEROS",
    "affine_bias",
    "behind_each_other",
    "both",
    "compared",
    "compared_norms",
    "elementwise_bias",
    "nothing_cut",
    "pairs",
    "spelled",
    "spread",
    "words",
]

NOT_MADE: Mapping[str, Unsupported] = {
    "class_weights": Unsupported("a loss is a function here: its weights are arguments of it"),
    "parameter": Unsupported("a tensor that a class keeps itself is no layer"),
    "buffer": Unsupported("a tensor that a class keeps itself is no layer"),
}
"""Kinds that are no layers of any framework."""


def spelled(**names: str) -> tuple[Difference, ...]:
    """Return arguments that have the same value under another name: PyTorch's name, and the target's.

    >>> spelled(eps="epsilon")[0].attribute
    'epsilon'
    """
    return tuple(Difference(arg, name) for arg, name in names.items())


def compared(constructor: Constructor | Unsupported, *args: str) -> tuple[Difference, ...]:
    """Return what a live layer is compared by: what its constructor says of some arguments of PyTorch's.

    Raises:
        KeyError: It says nothing of one, or not that it has the same meaning there.

    >>> row = Constructor("acme.Norm", spelled(eps="epsilon", momentum="momentum"))
    >>> [one.attribute for one in compared(row, "eps")]
    ['epsilon']
    """
    said = constructor.spelled if isinstance(constructor, Constructor) else ()
    rows = {one.arg: one for one in said if isinstance(one, Difference)}
    return tuple(rows[arg] for arg in args)


_OF_NORMS: Mapping[str, tuple[str, ...]] = {
    "batch_norm": ("eps", "momentum"),
    "group_norm": ("eps", "num_groups"),
    "layer_norm": ("eps",),
    "rms_norm": ("eps",),
}


def compared_norms(
    constructors: Mapping[str, Constructor | Unsupported],
) -> dict[str, tuple[Difference, ...]]:
    """Return what the live norms of a target are compared by, by kind."""
    return {kind: compared(constructors[kind], *args) for kind, args in _OF_NORMS.items()}


def pairs(padding: Any) -> Any:
    """Write a padding as numbers before and behind each axis; a word in capitals.

    >>> pairs((1, 2)), pairs("same")
    ([(1, 1), (2, 2)], 'SAME')
    """
    return words(padding) if isinstance(padding, str) else [(size, size) for size in padding]


def words(padding: Any) -> Any:
    """Write a word in capitals; numbers as they are."""
    return padding.upper() if isinstance(padding, str) else padding


def spread(
    kernel: tuple[int, ...], dilation: tuple[int, ...], padding: tuple[int, ...], extra: tuple[int, ...]
) -> list[tuple[int, int]]:
    """Write the padding of a transposed convolution as that of its spread-out input, for each axis.

    >>> spread((3,), (1,), (1,), (0,))
    [(1, 1)]
    """
    per_axis = zip(kernel, dilation, padding, extra, strict=True)
    full = [(d * (size - 1) - p, more) for size, d, p, more in per_axis]
    return [(before, before + more) for before, more in full]


def nothing_cut(padding: tuple[int, ...]) -> bool:
    """Tell whether a padding is none."""
    return not any(padding)


def behind_each_other(shape: Any) -> tuple[int, ...]:
    """Return the axes of a shape, counted from the last."""
    return tuple(range(-len(shape) if isinstance(shape, tuple | list) else -1, 0))


def _one(shape: Any) -> bool:
    return isinstance(shape, int) or len(shape) == 1


ZEROS = Lack("padding_mode", "zeros", beside="padding")
# A weight of -1 in a row, how gradients are made, values at first: none of it is in the output.
EMBEDDING: tuple[Spelled, ...] = (
    Needs(
        ("mode",), lambda mode: mode is None, "a bag is an embedding and a sum or mean of its rows behind it"
    ),
    Lack("max_norm", None),
    Aside(("padding_idx", "norm_type", "scale_grad_by_freq", "sparse", "_weight", "_freeze")),
    Aside(("include_last_offset",)),
)
NO_SLOPE: tuple[Spelled, ...] = (
    Needs(
        ("num_parameters",),
        lambda slopes: slopes == 1,
        "it has one slope here for all channels: keep the slopes as a parameter of your own and write"
        " jnp.where(x < 0, slopes * x, x)",
    ),
    Aside(("init",)),
)
AFFINE_BIAS = ("affine", "bias")
LINEAR_NORM_BIAS = ("elementwise_affine", "bias")
KEEPS = Difference("momentum", "momentum", lambda share: 1 - share)
BATCH_NORM: tuple[Spelled, ...] = (
    Lack("track_running_stats", True),
    Needs(("momentum",), lambda share: share is not None, "momentum is None, an average of all batches"),
    Aside(("process_group",), "the statistics are those of all devices", lambda group: group is None),
)
INSTANCE_NORM: tuple[Spelled, ...] = (
    Needs(
        ("track_running_stats",),
        lambda tracked: not tracked,
        "a norm of instances with running statistics is, outside training, one of batches: make that",
    ),
    Aside(("momentum",)),
)
ONE_AXIS = Needs(("normalized_shape",), _one, "it is over one axis here, and normalized_shape has several")
BATCH_FIRST = Aside(
    ("batch_first",),
    "the batch is the first axis here: swap the first two axes before and behind it",
    lambda first: bool(first),
)
MHA: tuple[Spelled, ...] = (Lack("add_bias_kv", False), Lack("add_zero_attn", False), BATCH_FIRST)
# One layer in one direction is made at a time; dropout is between them.
CELL: tuple[Spelled, ...] = (BATCH_FIRST, Aside(("num_layers", "bidirectional", "dropout")))


def both(*values: bool) -> bool:
    """Tell whether all switches are on."""
    return all(values)


def affine_bias(name: str) -> Joint:
    """Return the switch of a norm's bias, which is on where both of PyTorch's are."""
    return Joint(AFFINE_BIAS, name, both)


def elementwise_bias(name: str) -> Joint:
    """Return the switch of the bias of a norm over axes."""
    return Joint(LINEAR_NORM_BIAS, name, both)
