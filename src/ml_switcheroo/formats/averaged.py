"""``--ema``: the averaged weights of a checkpoint, under the names of the model that they are the average of.

Who averages weights keeps them beside the model: as a second state dict (``state_dict_ema`` of timm,
``ema_model.`` of ema_pytorch), under names without their dots (``LitEma`` of Stable Diffusion), or as a list
in the order of the parameters (``shadow_params`` of torch_ema). What is not averaged, such as the statistics
of a batch norm, is the model's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Checkpoint, LazyTensor
from ml_switcheroo.formats.derived import with_tensors

__all__ = ["averaged"]

_WORDS = frozenset(
    {
        "ema",
        "ema_model",
        "ema_params",
        "ema_state_dict",
        "ema_weights",
        "model_ema",
        "model_ema_state_dict",
        "net_ema",
        "params_ema",
        "state_dict_ema",
    }
)
"""What the place of averaged weights is called."""

_INSIDE = ("shadow", "module", "model", "ema_model", "state_dict")
"""What the average itself may be called, where more lies beside it."""

_LIST = "shadow_params"
_COUNTERS = frozenset(
    {"decay", "num_updates", "optimization_step", "initted", "step", "n_averaged", "updates"}
)
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_DEEPEST = 4  # segments of a name that may come before those of the model


def averaged(opened: Checkpoint, *, whole: bool) -> Checkpoint:
    """Return a checkpoint with its averaged weights in the place of the others.

    Args:
        opened: The checkpoint.
        whole: Whether it is all of a file with several state dicts; then the one that was averaged is taken.

    Raises:
        CheckpointError: Nothing in it is an average, several parts are, or it is none of what lies beside it:
            a name or a shape differs, several models fit, or names are the same without their dots.
    """
    state = dict(opened)
    place = _place(opened.path, state)
    inner = {name.removeprefix(place): tensor for name, tensor in state.items() if name.startswith(place)}
    inner = {name: one for name, one in inner.items() if name not in _COUNTERS or one.shape not in ((), (1,))}
    beside = {name: tensor for name, tensor in state.items() if not name.startswith(place)}
    counters = [name for name in beside if name in _COUNTERS and beside[name].shape in ((), (1,))]
    for name in counters:
        del beside[name]
    if not beside:  # nothing else is there
        return with_tensors(opened, inner, selected=place.rstrip("."))
    prefix, replaced = _counterpart(opened.path, place, inner, beside)
    kept = {name: one for name, one in beside.items() if not whole or name.startswith(prefix)}
    found = {name: replaced.get(name, one) for name, one in kept.items()}
    if whole:
        found = {name.removeprefix(prefix): one for name, one in found.items()}
    return with_tensors(opened, found, selected=place.rstrip("."))


def _place(path: object, state: Mapping[str, LazyTensor]) -> str:
    """Return the prefix of the averaged weights, with its dot."""
    found: dict[str, None] = {}
    for name in state:
        segments = name.split(".")
        for depth, segment in enumerate(segments[:_DEEPEST]):
            if segment in _WORDS or segment == _LIST:
                found.setdefault(".".join(segments[: depth + 1]) + ".")
                break
    if not found:
        words = ", ".join(sorted(_WORDS))
        raise CheckpointError(
            str(path),
            "no averaged weights are in it",
            cure=f"They are looked for under {words}; --select another.",
        )
    if len(found) > 1:
        listed = ", ".join(found)
        raise CheckpointError(
            str(path), f"several averages are in it: {listed}", cure="--select the one to take."
        )
    return next(iter(found))


Tensors = Mapping[str, LazyTensor]
Replaced = dict[str, LazyTensor]


def _counterpart(path: object, place: str, inner: Tensors, beside: Tensors) -> tuple[str, Replaced]:
    """Return the prefix of the model that was averaged, and its tensors that are replaced."""
    listed = {name: one for name, one in inner.items() if name.rpartition(".")[0] in (_LIST, "")}
    numbered = [name.rpartition(".")[2] for name in listed]
    if place.endswith(f"{_LIST}.") or any(name.startswith(f"{_LIST}.") for name in inner):
        order = sorted(zip(numbered, listed.values(), strict=True), key=lambda pair: int(pair[0]))
        return _only(
            path, place, beside, lambda prefix: _by_order([one for _, one in order], beside, prefix), _ORDER
        )
    readings = [inner]
    for word in _INSIDE:
        if all(name.startswith(f"{word}.") for name in inner):
            readings.append({name.removeprefix(f"{word}."): one for name, one in inner.items()})
    for names in readings:
        for match in (_by_name, _by_dotless):
            found = {
                prefix: replaced
                for prefix in _prefixes(beside)
                if (replaced := match(path, names, beside, prefix)) is not None
            }
            if found:
                return _single(path, place, found)
    raise CheckpointError(str(path), f"{place}* is the average of nothing that lies beside it", cure=_NAMES)


_NAMES = (
    "The names and shapes of one model in the file have to be those of the average. Or --select it as it is."
)
_ORDER = (
    "A list says nothing of names: as many parameters have to lie beside it, in its order and of its shapes."
    " Buffers of one's own and frozen parameters are not in it. Save averaged weights by name."
)


def _only(
    path: object, place: str, beside: Tensors, match: Callable[[str], Replaced | None], cure: str
) -> tuple[str, Replaced]:
    found = {prefix: replaced for prefix in _prefixes(beside) if (replaced := match(prefix)) is not None}
    if not found:
        raise CheckpointError(str(path), f"{place}* is the average of nothing that lies beside it", cure=cure)
    return _single(path, place, found)


def _single(path: object, place: str, found: Mapping[str, Replaced]) -> tuple[str, Replaced]:
    """Return the one model that fits; of several prefixes of the same tensors the longest."""
    distinct = {
        tuple(replaced): prefix for prefix, replaced in sorted(found.items(), key=lambda one: len(one[0]))
    }
    if len(distinct) > 1:
        listed = ", ".join(repr(prefix) for prefix in distinct.values())
        raise CheckpointError(str(path), f"{place}* fits several models in the file: {listed}", cure=_NAMES)
    prefix = next(iter(distinct.values()))
    return prefix, found[prefix]


def _prefixes(beside: Tensors) -> Iterator[str]:
    found = {"": None}
    for name in beside:
        segments = name.split(".")
        for depth in range(1, min(len(segments), _DEEPEST)):
            found.setdefault(".".join(segments[:depth]) + ".")
    yield from found


def _by_name(_: object, inner: Tensors, beside: Tensors, prefix: str) -> Replaced | None:
    """Match an average whose names are those of the model."""
    found: Replaced = {}
    for name, tensor in inner.items():
        own = beside.get(prefix + name)
        if own is None or own.shape != tensor.shape:
            return None
        found[prefix + name] = tensor
    return found


def _by_dotless(path: object, inner: Tensors, beside: Tensors, prefix: str) -> Replaced | None:
    """Match an average whose names have lost their dots.

    Raises:
        CheckpointError: Two names of the model are the same without their dots.
    """
    if any("." in name for name in inner):
        return None
    names: dict[str, list[str]] = {}
    for name in beside:
        if name.startswith(prefix):
            names.setdefault(name.removeprefix(prefix).replace(".", ""), []).append(name)
    found: Replaced = {}
    unclear = []
    for name, tensor in inner.items():
        fitting = names.get(name, [])
        if not fitting or any(beside[one].shape != tensor.shape for one in fitting):
            return None
        if len(fitting) > 1:
            unclear.append(f"{name}: {' or '.join(fitting)}")
        found[fitting[0]] = tensor
    if unclear:
        lines = "\n  ".join(unclear[:10])
        raise CheckpointError(
            str(path), f"names that are the same without their dots:\n  {lines}", cure=_NAMES
        )
    return found


def _by_order(listed: Sequence[LazyTensor], beside: Tensors, prefix: str) -> Replaced | None:
    """Match an average that is a list in the order of the parameters; a tied one counts once."""
    names: list[str] = []
    seen: set[tuple[object, ...]] = set()
    for name, tensor in beside.items():
        if name.startswith(prefix) and not name.endswith(_STATISTICS) and tensor.place not in seen:
            seen.add(tensor.place)
            names.append(name)
    if len(names) != len(listed):
        return None
    if any(beside[name].shape != one.shape for name, one in zip(names, listed, strict=True)):
        return None
    return dict(zip(names, listed, strict=True))
