"""A PyTorch model with the tensors of a checkpoint in it."""

from __future__ import annotations

from typing import Any

from ml_switcheroo.errors import UsageError, described
from ml_switcheroo.formats.given import opened
from ml_switcheroo.tensors import to_tensor

__all__ = ["filled"]


def filled(model: Any, checkpoint: Any) -> Any:
    """Load a checkpoint into a ``torch.nn.Module`` and return it.

    Raises:
        UsageError: The model is not a ``torch.nn.Module``, or the checkpoint does not fit it.
    """
    if not hasattr(model, "load_state_dict"):
        raise UsageError(f"{described(model)} is not a torch.nn.Module")
    with opened(checkpoint) as state_dict:
        state = {name: to_tensor(tensor.read()) for name, tensor in state_dict.items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UsageError(f"{checkpoint} does not fit the PyTorch model: {error}") from error
    return model
