"""Flax Linen: variable trees with collections, ``params/layers_0/fc1/kernel``.

Source: https://flax.readthedocs.io/en/stable/api_reference/flax.linen/layers.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ml_switcheroo.ops import Array, Concat, GateSum, Sum
from ml_switcheroo.recipes import Files, Live, Mapper, Naming, Recipe, Target, Wrapper, part
from ml_switcheroo.targets.constructors.linen import CONSTRUCTORS
from ml_switcheroo.targets.flax_kinds import KINDS, NO_PROJECTION, ONCE_MORE, POOLS
from ml_switcheroo.targets.jax_arrays import placed
from ml_switcheroo.tree import Template, flatten, template_of_tree

__all__ = ["NO_CALL", "TARGET", "mapped"]

NO_CALL = "a tree of variables does not run by itself: pass target_call=module.apply"
"""What is said where a model is to run, and nothing says how."""

# A layer of several is an item of a list, a direction is a child of nn.Bidirectional; each is an nn.RNN
# that was made in setup (or under the name of PyTorch's module).
_RNN = "{layer}.{way:forward_rnn|backward_rnn}.cell."
_LAYERED = "_l{layer}{way}"


def _rnn(suffix: str, at: str) -> Recipe:
    return (
        part(f"weight_ih{suffix}", f"{at}i.kernel", "in (gate hidden)"),
        part(f"weight_hh{suffix}", f"{at}h.kernel", "state (gate hidden)"),
        part((f"bias_ih{suffix}", f"bias_hh{suffix}"), f"{at}i.bias", None, Sum(), absent=0.0),
    )


def _leaves(at: str, dense: str, gates: str, leaf: str) -> tuple[str, ...]:
    """Return the leaves of a Dense for each gate: ``cell.hi.kernel``, ``cell.hf.kernel`` ..."""
    return tuple(f"{at}{dense}{gate}.{leaf}" for gate in gates)


def _lstm(suffix: str, at: str) -> Recipe:
    biases = (f"bias_ih{suffix}", f"bias_hh{suffix}")
    return (
        part(f"weight_ih{suffix}", _leaves(at, "i", "ifgo", "kernel"), "gate in hidden"),
        part(f"weight_hh{suffix}", _leaves(at, "h", "ifgo", "kernel"), "gate state hidden"),
        part(biases, _leaves(at, "h", "ifgo", "bias"), "gate hidden", Sum(), absent=0.0),
        NO_PROJECTION,
    )


def _gru(suffix: str, at: str) -> Recipe:
    biases = (f"bias_ih{suffix}", f"bias_hh{suffix}")
    leaves = (*_leaves(at, "i", "rzn", "bias"), f"{at}hn.bias")
    return (
        part(f"weight_ih{suffix}", _leaves(at, "i", "rzn", "kernel"), "gate in hidden"),
        part(f"weight_hh{suffix}", _leaves(at, "h", "rzn", "kernel"), "gate state hidden"),
        # The new gate's recurrent bias is scaled by the reset gate: it stays by itself.
        part(biases, leaves, "gate hidden", GateSum(3, 2), Concat(0), absent=0.0),
    )


RECURRENT: Mapping[str, Recipe] = {
    "rnn": _rnn(_LAYERED, _RNN),
    "lstm": _lstm(_LAYERED, _RNN),
    "gru": _gru(_LAYERED, _RNN),
    "rnn_cell": _rnn("", ""),
    "lstm_cell": _lstm("", ""),
    "gru_cell": _gru("", ""),
}


def _owns(model: Any) -> bool:
    """Tell whether this is a tree of variables: collections, ``params`` among them."""
    return _accepts(model) and "params" in model


def _accepts(model: Any) -> bool:
    """Tell whether this can be one: a model of norms without scales has statistics alone."""
    return isinstance(model, Mapping) and all(isinstance(part, Mapping) for part in model.values())


def _template(model: Any) -> Template:
    return template_of_tree({path: _unboxed(leaf) for path, leaf in flatten(model, "/")}, "/")


def _unboxed(leaf: Any) -> Any:
    """Return the array of a leaf that Flax keeps in a box with its partitioning."""
    return leaf.unbox() if hasattr(leaf, "unbox") else leaf


def _write(model: Any, leaves: Mapping[str, Array]) -> Any:
    new = placed({path: _unboxed(leaf) for path, leaf in flatten(model, "/")}, leaves)

    def put(path: str, leaf: Any) -> Any:
        array = new.get(path, leaf)
        return leaf.replace_boxed(array) if path in new and hasattr(leaf, "replace_boxed") else array

    return mapped(model, put)


def mapped(tree: Any, put: Callable[[str, Any], Any], path: str = "") -> Any:
    """Return a tree of the same containers with each leaf put anew."""
    if not isinstance(tree, Mapping):
        return put(path, tree)
    below = {key: mapped(value, put, f"{path}/{key}".lstrip("/")) for key, value in tree.items()}
    return type(tree)(below)  # type: ignore[call-arg]


def _read(model: Any) -> Mapping[str, Array]:
    return {path: np.asarray(_unboxed(leaf)) for path, leaf in flatten(model, "/")}


TARGET = Target(
    name="linen",
    summary="Flax Linen variables",
    kinds={**KINDS, **RECURRENT},
    naming=Naming("/", join_digits=True, sequential="layers", collections=True),
    channels="last",
    differences=POOLS,
    # A wrapper that was made in setup; the variables do not show its feature_axes.
    wrappers={
        "weight_norm": Wrapper(
            "layer_instance",
            {"g": "layer_instance.{leaf}.scale"},
            note="kept as by WeightNorm(feature_axes=-1), Flax's default: no variable shows it",
        ),
        "spectral_norm": Wrapper(
            "layer_instance",
            {"u": "layer_instance.{leaf}.u", "sigma": "layer_instance.{leaf}.sigma"},
            collection="batch_stats",
            note=ONCE_MORE,
        ),
    },
    constructors=CONSTRUCTORS,
    live=Live(_owns, _template, _write, _read, immutable=True, tree=True, accepts=_accepts),
    mapper=Mapper("ml_switcheroo.runtime.into_linen", "ml_switcheroo.runtime.live_linen"),
    observer="ml_switcheroo.verification.observers.linen",
    drawer="ml_switcheroo.graph.drawers.linen",
    files=Files(("orbax",), words=("flax",)),
)
