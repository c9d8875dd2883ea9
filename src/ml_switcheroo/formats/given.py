"""What people give where a checkpoint is taken: a path, the paths of all shards, a state dict, a module."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

from ml_switcheroo.errors import UsageError, described
from ml_switcheroo.formats.checkpoint import Array, Checkpoint, LazyTensor
from ml_switcheroo.formats.opening import Paths, open_checkpoint
from ml_switcheroo.tensors import as_numpy, place_of, spec_of

__all__ = ["Paths", "as_state", "is_files", "layers_of", "opened"]


def is_files(given: object) -> TypeGuard[Paths]:
    """Tell whether a checkpoint is given by its path, or by the paths of its shards.

    >>> is_files("a.pt"), is_files(["a-1.bin", "a-2.bin"]), is_files({}), is_files([])
    (True, True, False, False)
    """
    if isinstance(given, list | tuple):
        return bool(given) and all(isinstance(one, str | Path) for one in given)
    return isinstance(given, str | Path)


def as_state(given: Any) -> Mapping[str, Any]:
    """Return what was given as a state dict; a module gives its own.

    Raises:
        UsageError: It is neither a checkpoint or state dict nor a module.
    """
    if isinstance(given, Mapping):
        return given
    if callable(getattr(given, "state_dict", None)):
        return given.state_dict()  # type: ignore[no-any-return]
    if hasattr(given, "items"):
        return given  # type: ignore[no-any-return]
    if is_files(given):
        raise UsageError("the tensors are read from an open checkpoint: with open_checkpoint(path) as state")
    raise UsageError(
        f"{described(given)} is no checkpoint: give its path (of several files, that of the index or of"
        " the folder, or all of them), a state dict or a module"
    )


def layers_of(given: Any, layers: Any) -> Any:
    """Return what the layers are; a module that is given for a checkpoint says it, if nothing else does."""
    is_module = not isinstance(given, Mapping) and callable(getattr(given, "state_dict", None))
    return given if layers is None and is_module else layers


@contextmanager
def opened(given: Any, **reading: Any) -> Iterator[Checkpoint]:
    """Open what was given as a checkpoint; one that is open already stays so.

    Args:
        given: What was given.
        reading: How a file is read, as :func:`open_checkpoint` takes it.

    Raises:
        CheckpointError: A file cannot be read.
        UsageError: It is no checkpoint, or no file, and something is asked of how it is read.
    """
    if is_files(given):
        with open_checkpoint(given, **reading) as checkpoint:
            yield checkpoint
        return
    if asked := [f"{word}=" for word, value in reading.items() if value]:
        raise UsageError(f"{', '.join(asked)} says what is read of a file; {described(given)} is none")
    yield given if isinstance(given, Checkpoint) else _held(given)


class _HeldTensor(LazyTensor):
    """A tensor in memory."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        super().__init__(spec_of(value))
        self.value = value

    @property
    def place(self) -> tuple[object, ...]:
        """Where its bytes lie."""
        return place_of(self.value) or super().place

    def read(self) -> Array:
        """Return the tensor: a read-only view, where NumPy can have one."""
        array = as_numpy(self.value).view()
        array.flags.writeable = False
        return array


class _Held:
    """What a state dict in memory has in the place of a file; no other one has its stamp."""

    def __init__(self) -> None:
        self.stamp = secrets.token_hex(8)

    def check(self) -> None:
        """Memory does not change unseen."""

    def close(self) -> None:
        """There is nothing to close."""


def _held(given: Any) -> Checkpoint:
    state = as_state(given)
    odd = [f"{name} ({type(value).__name__})" for name, value in state.items() if not hasattr(value, "shape")]
    if odd:
        raise UsageError(f"not a state dict; these entries are no tensors: {', '.join(odd)}")
    tensors = {name: _HeldTensor(value) for name, value in state.items()}
    return Checkpoint(type(given).__name__, "memory", tensors, files=[_Held()])
