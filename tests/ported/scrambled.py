"""Modules whose attributes are kept under names that say nothing."""

import hashlib
from typing import Any

from flax import nnx


class Scrambled(nnx.Module):
    """A module whose code reads as usual, and whose paths are made of random letters."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(_scrambled(name), value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == _scrambled(name):
            raise AttributeError(name)
        return object.__getattribute__(self, _scrambled(name))


def _scrambled(name: str) -> str:
    own = name.startswith("_") or (len(name) == 7 and name[0] == "x")
    return name if own else f"x{hashlib.sha256(name.encode()).hexdigest()[:6]}"
