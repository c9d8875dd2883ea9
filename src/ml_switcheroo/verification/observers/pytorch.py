"""PyTorch: forward hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from ml_switcheroo.verification.calls import Recorder, arrays_in

__all__ = ["run"]


def run(
    model: Any,
    call: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    recorder: Recorder,
) -> Any:
    """Run a ``torch.nn.Module`` in evaluation mode, without gradients; arrays become tensors."""
    import torch

    tensors = [torch.as_tensor(value) if hasattr(value, "shape") else value for value in args]
    named = {
        name: torch.as_tensor(value) if hasattr(value, "shape") else value for name, value in kwargs.items()
    }
    numbers = {id(value): index for index, value in enumerate((*tensors, *named.values()))}
    # Tensors are told apart by their identity, so none may go while the model runs.
    alive: list[Any] = []
    given: dict[int, Any] = {}

    def hook(path: str) -> Callable[..., None]:
        def watch(_: Any, inputs: Any, keywords: Any, made: Any) -> None:
            found = recorder.add(path, (inputs, keywords), made)
            taken, out = list(arrays_in((inputs, keywords))), list(arrays_in(made))
            found.reads = frozenset(numbers[id(value)] for value in taken if id(value) in numbers)
            alive.extend((*taken, *out))
            if out:
                given[id(out[0])] = found

        return watch

    with ExitStack() as stack:
        stack.enter_context(_evaluating(model))
        for path, module in model.named_modules():
            if path:
                handle = module.register_forward_hook(hook(path), with_kwargs=True)
                stack.callback(handle.remove)
        made = (call or _plainly)(model, *tensors, **named)
    last = next(arrays_in(made), None)
    if id(last) in given:
        given[id(last)].gives = True
    return made


def _plainly(model: Any, *args: Any, **kwargs: Any) -> Any:
    return model(*args, **kwargs)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Set evaluation mode; attention runs layer by layer, not in the fused kernel that calls no hooks."""
    import torch

    modes = [(module, module.training) for module in model.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, training in modes:
            module.training = training
