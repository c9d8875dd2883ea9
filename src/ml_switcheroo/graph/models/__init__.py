"""Live models as functions of their leaves: one module a framework, named in its row of ``targets``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ml_switcheroo.recipes import Target
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Function", "function_of"]

Function = Callable[..., Any]
"""``function({path: leaf}, *args, **kwargs)``, in evaluation mode; it changes nothing."""


def function_of(
    target: Target, model: Any, call: Callable[..., Any] | None = None
) -> tuple[Function, Mapping[str, TensorSpec]]:
    """Return a live model as a function of its leaves, and the specs of those.

    Args:
        target: Its target.
        model: The model.
        call: What runs it, with the model and its inputs; without it the model is called.

    Raises:
        UsageError: A tree of variables does not run by itself, or the target has no such function.
    """
    if not target.function:
        raise target.lacking("function", "its models cannot be traced")
    found: tuple[Function, Mapping[str, TensorSpec]] = import_module(target.function).function_of(model, call)
    return found
