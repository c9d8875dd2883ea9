"""Classes that a row of your own speaks of: what their own code makes is held against the row."""

from __future__ import annotations

from collections.abc import Iterable

from ml_switcheroo.errors import UsageError
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS, OWN
from ml_switcheroo.sources.static.python.classes import lineage
from ml_switcheroo.sources.static.python.frames import Class
from ml_switcheroo.sources.static.python.values import ABSENT, External, Instance, Value, known, options
from ml_switcheroo.sources.static.torch.nn import name_of
from ml_switcheroo.sources.static.torch.tracing import is_own
from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = ["check_base", "is_written", "lacking_slots", "refuse_base", "refuse_row", "take_written"]


def is_written(made: Instance) -> bool:
    """Tell whether a class has a row of your own, and makes all its tensors in its own code."""
    bases = (one.name for one in lineage(made.cls) if isinstance(one, External))
    return (
        made.base in OWN
        and isinstance(made.cls, Class)
        and all(name_of(base) in ("", "Module") for base in bases)
    )


def take_written(made: Instance, path: str) -> set[str]:
    """Take the tensors of a module for those of its row, and its attributes for the arguments of its kind.

    Returns:
        The slots that it has, or may have.

    Raises:
        UsageError: The row has a slot that the class does not make.
    """
    there = [key for key, one in made.attrs.items() if isinstance(key, str) and one is not ABSENT]
    lacking = lacking_slots(made.base, there)
    if lacking and not made.open and all(isinstance(key, str) for key in made.attrs):
        refuse_row(made.base, path, lacking, [key for key, one in made.attrs.items() if _is_tensor(one)])
    layer = LAYERS[KIND_OF_CLASS[made.base]]
    found = {
        name: [one for one in options(made.attrs[name]) if isinstance(one, Tensor)]
        for name in there
        if layer.slot(name) is not None
    }
    for one in (one for tensors in found.values() for one in tensors):
        one.of = one.of or made
    told = {name: made.attrs[name] for name in layer.args if name in made.attrs}
    made.args = {name: value for name, value in told.items() if known(value)}
    return {slot for slot, tensors in found.items() if tensors}


def lacking_slots(cls: str, names: Iterable[str]) -> list[str]:
    """Return the slots that the row of a class has, and none of the names is."""
    layer = LAYERS[KIND_OF_CLASS[cls]]
    found = {slot.pattern for name in names if (slot := layer.slot(name)) is not None}
    return [slot for slot in OWN[cls].slots if slot not in found]


def check_base(made: Instance, path: str) -> None:
    """Hold a row against the layer of torch that its class derives from and computes.

    Raises:
        UsageError: They are of two kinds.
    """
    if made.base in OWN and not is_own(made):
        bases = (name_of(one.name) for one in lineage(made.cls) if isinstance(one, External))
        refuse_base(made.base, path, next((name for name in bases if name in KIND_OF_CLASS), ""))


def refuse_base(cls: str, path: str, base: str) -> None:
    """Raise where a class computes what a layer of torch does, and has a row of another kind.

    Raises:
        UsageError: It names both.
    """
    kind = LAYERS[OWN[cls].kind].base
    if base and KIND_OF_CLASS[base] != kind:
        raise UsageError(
            f"the row of {cls} says {OWN[cls].kind}; {path or 'the model'} is of that class; it derives from"
            f" nn.{base} and has no forward of its own: it is a {KIND_OF_CLASS[base]}. Delete the row"
        )


def refuse_row(cls: str, path: str, lacking: list[str], there: list[str]) -> None:
    """Raise for a row with slots that its class does not have.

    Raises:
        UsageError: Always; it names both.
    """
    row = OWN[cls]
    missing = [slot for slot in lacking if slot not in row.left_out]
    if missing:
        raise UsageError(
            f"the row of {cls} ({row.kind}) has the slots {', '.join(row.slots)}; {path or 'the model'} is of"
            f" that class and has no {', '.join(missing)}: its tensors are {', '.join(there) or 'none'}."
            " Correct the row, or name the slots that may be missing in left_out="
        )


def _is_tensor(value: Value) -> bool:
    return any(isinstance(one, Tensor) and bool(one.role) for one in options(value))
