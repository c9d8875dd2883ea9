"""The way back: a model of any target as a PyTorch state dict."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import LoadError, UsageError, described
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.formats.given import Paths, as_state, is_files, layers_of
from ml_switcheroo.formats.owned import owned
from ml_switcheroo.ops import Array
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.recipes import Target
from ml_switcheroo.rules import Rule
from ml_switcheroo.sources.evidence import tied_in
from ml_switcheroo.targets import all_targets, find_target, live_target
from ml_switcheroo.tensors import as_numpy, read_array, to_tensor
from ml_switcheroo.tree import flatten

__all__ = ["check_ties", "to_torch"]


def to_torch(
    model: Any,
    *,
    like: Mapping[str, Any] | Paths,
    to: str | None = None,
    layers: Any = None,
    rules: Iterable[Rule] | str | Path = (),
    layout: str | None = None,
    tensors: bool | None = None,
) -> dict[str, Any]:
    """Return the weights of a model with PyTorch's names, layouts and dtypes.

    The plan from ``like`` to the model is made as in :func:`make_plan`, and then inverted. What
    ``torch.nn.Module.load_state_dict(..., strict=True)`` takes has every name of the module's own state dict,
    as torch tensors: it refuses NumPy arrays. Where ``like`` is a module or its state dict, the result is
    that. Where it is a file, nothing imports torch by itself: say ``tensors=True``.

    Args:
        model: A live model of any target, or its leaves as a tree or ``{path: array}`` (then say ``to``).
        like: A PyTorch state dict, module or checkpoint, its path, or the paths of all shards: its names and
            dtypes are those of the result. What the target has no place for (``num_batches_tracked``) is
            copied from it.
        to: Name of the target, if ``model`` does not show it.
        layers: What the PyTorch side is, as in :func:`make_plan`.
        rules: The user's rules.
        layout: Where the model has the channels of its images, as in :func:`make_plan`.
        tensors: True for torch tensors, which imports torch; False for arrays. By default they are what
            ``like`` has: arrays, if it is a file.

    Returns:
        The state dict in the order of ``like``, which shares no memory with it; with its ``_metadata`` (the
        versions of its modules), if it has that. Names that are one tensor in ``like`` have equal values.

    Raises:
        LoadError: A tensor of ``like`` has no leaf, or a leaf has no tensor; or leaves that are one tensor in
            ``like`` differ in the model. All of them are named.
        PlanError: Something is ambiguous.
        UsageError: The target is not known, or a move has no way back (a folded spectral norm).

    >>> import numpy as np
    >>> leaves = {"fc.kernel": np.arange(6.0).reshape(3, 2)}
    >>> to_torch(leaves, like={"fc.weight": np.zeros((2, 3))}, to="jax", layers={"fc": "linear"})["fc.weight"]
    array([[0., 2., 4.],
           [1., 3., 5.]])
    """
    if is_files(like):
        with open_checkpoint(like) as checkpoint:
            return to_torch(
                model, like=checkpoint, to=to, layers=layers, rules=rules, layout=layout, tensors=tensors
            )
    like, layers = as_state(like), layers_of(like, layers)
    owner = live_target(model, to, "the model")
    target = owner or (find_target(to) if to else None)
    if target is None:
        known = ", ".join(sorted(all_targets()))
        raise UsageError(f"to_torch: {described(model)} shows no target; say to= one of {known}")
    plan = make_plan(like, to=target.name, layers=layers, like=model, rules=rules, layout=layout)
    plan.check(allow_missing=True, allow_unexpected=True)
    left = [f"  {name} {entry.spec}: {entry.why}" for name, entry in plan.unexpected.items()]
    left += [
        f"  {path} {entry.spec}: no tensor of like= answers to it" for path, entry in plan.missing.items()
    ]
    if left:
        head = f"{type(model).__name__} is not what the PyTorch state dict describes"
        cure = "Add Rename, Drop or Keep rules."
        raise LoadError("\n".join([head, *sorted(left), cure]), problems=sorted(left))
    back = owned((~plan).apply(_leaves(model, target if owner is not None else None, target)))
    check_ties(tied_in(like), back)
    return _state_dict(like, back, tensors)


def check_ties(tied: Iterable[Sequence[str]], back: Mapping[str, Array]) -> None:
    """Raise if names are one tensor in PyTorch but differ here: PyTorch would keep only the last.

    Raises:
        LoadError: They differ; all of them are named.
    """
    apart = []
    for names in tied:
        first, *others = [name for name in names if name in back] or [""]
        apart += [f"  {first}, {name}" for name in others if not _same(back[first], back[name])]
    if apart:
        head = "one tensor in the PyTorch state dict, but different ones in the model:"
        cure = "Clone one of them in like=, and untie them in the PyTorch model."
        raise LoadError("\n".join([head, *sorted(apart), cure]), problems=sorted(apart))


def _same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def _leaves(model: Any, owner: Target | None, target: Target) -> Mapping[str, Array]:
    if owner is not None and owner.live is not None:
        return owner.live.read(model)
    return {path: as_numpy(leaf) for path, leaf in flatten(model, target.naming.separator)}


def _state_dict(like: Mapping[str, Any], back: Mapping[str, Array], tensors: bool | None) -> dict[str, Any]:
    """Put the tensors into the order of a state dict; what the model has no place for is copied from it."""
    if tensors:
        import torch  # noqa: F401 (to_tensor needs it loaded)
    found: dict[str, Any] = OrderedDict()  # as torch has it: it takes an attribute
    for name, example in like.items():
        array = back[name] if name in back else read_array(example).copy()
        wanted = hasattr(example, "detach") if tensors is None else tensors
        found[name] = to_tensor(array, owned=True) if wanted else array
    if hasattr(like, "_metadata"):
        found._metadata = deepcopy(like._metadata)  # type: ignore[attr-defined]
    return found
