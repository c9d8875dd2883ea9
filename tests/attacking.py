"""A network in PyTorch and a port of it under other names, filled as its programs say, and both run."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ml_switcheroo as ms
from ml_switcheroo.errors import SwitcherooError
from ml_switcheroo.targets import owner_of

TOLERANCE = 1e-4
KINDS = ("attention", "convolutions", "recurrent", "lies", "namesakes", "wrong")


@dataclass(frozen=True)
class Pair:
    """A network and its port.

    Attributes:
        net: The class of the PyTorch network, made without arguments.
        make: What makes the port.
        inputs: What the network is given: ``f2,8`` or, whole numbers below 7, ``i7:2,5``, or arrays.
        turned: Of each input, the axes in the order in which the port takes them.
        call: What runs the port, where it is not called by itself.
        to: The target, where the port does not show it.
        right: Whether the port computes what the network does.
        named: What has to be said of a port that computes something else.
        tied: Whether a symmetry leaves a choice.
        open: Why the plan cannot be complete although both compute the same; empty where it must be.
    """

    net: type[torch.nn.Module]
    make: Callable[[], Any]
    inputs: str
    turned: tuple[tuple[int, ...], ...] = ()
    call: Callable[..., Any] | None = None
    to: str | None = None
    right: bool = True
    named: str = ""
    tied: bool = False
    open: str = ""

    @property
    def layers(self) -> str:
        """Where the class of the network is."""
        return f"{inspect.getfile(self.net)}:{self.net.__name__}"

    def given(self) -> tuple[np.ndarray, ...]:
        """Return what the network is given."""
        random = np.random.default_rng(3)
        return tuple(_array(word, random) for word in self.inputs.split())

    def ported(self) -> tuple[np.ndarray, ...]:
        """Return what the port is given."""
        if not self.turned:
            return self.given()
        return tuple(
            np.ascontiguousarray(one.transpose(axes))
            for one, axes in zip(self.given(), self.turned, strict=True)
        )

    def options(self) -> dict[str, Any]:
        """Return what lets the library read both programs."""
        asked = {
            "to": self.to or owner_of(self.make()).name,
            "layers": self.layers,
            "inputs": self.given(),
            "target_call": self.call,
        }
        if self.turned:
            asked["target_inputs"] = self.ported()
        return asked


@dataclass(frozen=True)
class Outcome:
    """What became of a pair: right, loud, SILENT or CRASH, and why."""

    word: str
    why: str = ""
    notes: tuple[str, ...] = ()


def net_of(pair: Pair) -> torch.nn.Module:
    """Return the network with random numbers in every tensor."""
    torch.manual_seed(0)
    net = pair.net()
    dice = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                spread = torch.randn(tensor.shape, generator=dice)
                positive = name.endswith(("running_var", "original0")) or (
                    tensor.ndim == 1 and name.endswith("weight")
                )
                fan_in = tensor[0].numel() if tensor.ndim > 1 else 4
                tensor.copy_(1 + 0.3 * torch.tanh(spread) if positive else spread / max(fan_in, 1) ** 0.5)
    return net.eval()


def outcome_of(pair: Pair) -> Outcome:
    """Fill the port by what both programs compute, run both, and compare what they give."""
    net = net_of(pair)
    state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    port = pair.make()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = ms.load_into(port, state, **pair.options())
    except SwitcherooError as error:
        return Outcome("loud", str(error))
    port = port if isinstance(loaded, tuple) and hasattr(loaded, "missing_keys") else loaded
    error = distance(pair, net, port)
    notes = getattr(loaded, "notes", ())
    return Outcome("right" if error <= TOLERANCE else "SILENT", f"off by {error:.1e}", notes)


def distance(pair: Pair, net: torch.nn.Module, port: Any) -> float:
    """Return how far the outputs of both are apart, over the largest."""
    with torch.no_grad():
        mine = list(arrays_of(net(*map(torch.as_tensor, pair.given()))))
    theirs = list(arrays_of(ran(pair, port)))
    if len(mine) != len(theirs):
        return float("inf")
    return max(_apart(one, other, bool(pair.turned)) for one, other in zip(mine, theirs, strict=True))


def ran(pair: Pair, port: Any) -> Any:
    """Run a port in the way of its framework."""
    import equinox
    import jax

    arrays = [jax.numpy.asarray(one) for one in pair.ported()]
    if pair.call is not None:
        return pair.call(port, *arrays)
    return jax.vmap(port)(*arrays) if isinstance(port, equinox.Module) else port(*arrays)


def plan_of(pair: Pair) -> ms.Plan:
    """Return the plan for a pair."""
    state = {name: tensor.numpy() for name, tensor in net_of(pair).state_dict().items()}
    return ms.make_plan(state, like=pair.make(), **pair.options())


def arrays_of(output: Any) -> Iterator[np.ndarray]:
    """Yield the arrays in what a program gives, those of a dictionary by name."""
    if isinstance(output, Mapping):
        for name in sorted(output):
            yield from arrays_of(output[name])
    elif isinstance(output, tuple | list):
        for one in output:
            yield from arrays_of(one)
    elif output is not None:
        yield np.asarray(output)


def tree(**shapes: tuple[int, ...]) -> Callable[[], Any]:
    """Return what makes a tree of variables of Linen."""
    import jax

    return lambda: {"params": {name: jax.numpy.zeros(shape) for name, shape in shapes.items()}}


def of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of variables, from one of their params."""
    return lambda variables, *args: function(variables["params"], *args)


def pairs_of(kind: str) -> dict[str, Pair]:
    """Return the pairs of a kind, by name."""
    import importlib.util

    path = Path(__file__).parent / "graph" / "attacks" / f"{kind}.py"
    spec = importlib.util.spec_from_file_location(f"attack_{kind}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.PAIRS


def _array(word: str, random: np.random.Generator) -> np.ndarray:
    kind, _, shape = word.rpartition(":") if ":" in word else (word[0], "", word[1:])
    sizes = tuple(map(int, shape.split(",")))
    if kind == "f":
        return random.normal(size=sizes).astype(np.float32)
    if kind == "b":
        return random.random(size=sizes) < 0.7
    return random.integers(0, int(kind[1:]), size=sizes)


def _apart(one: np.ndarray, other: np.ndarray, turned: bool) -> float:
    if turned and one.ndim >= 3:
        other = np.moveaxis(other, -1, 1)
    if one.shape != other.shape:
        return float("inf")
    found = float(np.abs(one - other).max() / max(np.abs(one).max(), 1e-6))
    return found if np.isfinite(found) else float("inf")
