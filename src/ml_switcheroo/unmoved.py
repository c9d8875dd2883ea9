"""Tensors and leaves that no move touches: left for a reason, or ambiguous."""

from __future__ import annotations

from dataclasses import dataclass

from ml_switcheroo.tensors import TensorSpec

__all__ = ["Ambiguity", "Unmoved"]


@dataclass(frozen=True, slots=True)
class Unmoved:
    """A tensor or leaf that no move touches, and why.

    Attributes:
        spec: Its shape and dtype.
        why: The reason, as the report prints it.
    """

    spec: TensorSpec
    why: str


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """Tensors for which several answers fit equally.

    Attributes:
        names: The source tensors.
        candidates: Each answer, with the evidence for it.
        rules: The rule to write for each answer.
        specs: The shapes and dtypes of the tensors; empty where nobody has said them.
    """

    names: tuple[str, ...]
    candidates: tuple[str, ...]
    rules: tuple[str, ...]
    specs: tuple[TensorSpec, ...] = ()
