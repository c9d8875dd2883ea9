"""What each kind of layer is, and how PyTorch stores it.

:mod:`layer` says what a row of the table is, :mod:`table` is the table, :mod:`known` adds rows of your own,
:mod:`without` lists the classes of ``torch.nn`` that hold nothing themselves.
"""

from __future__ import annotations

from ml_switcheroo.layers.known import (
    BASE_OF_CLASS,
    ELSEWHERE,
    KIND_OF_CLASS,
    LAYERS,
    OWN,
    attends,
    base_of,
    is_alone,
    layers_from,
    load_offered_layers,
    own_class,
    own_name,
    register_layer,
    tracks,
)
from ml_switcheroo.layers.layer import PARAMETRISATIONS, REPARAMETRISED, Layer, Slot
from ml_switcheroo.layers.without import COMPOSITES, STATELESS

__all__ = [
    "BASE_OF_CLASS",
    "COMPOSITES",
    "ELSEWHERE",
    "KIND_OF_CLASS",
    "LAYERS",
    "OWN",
    "PARAMETRISATIONS",
    "REPARAMETRISED",
    "STATELESS",
    "Layer",
    "Slot",
    "attends",
    "base_of",
    "is_alone",
    "kind_of",
    "layers_from",
    "load_offered_layers",
    "own_class",
    "own_name",
    "register_layer",
    "tracks",
]


def kind_of(qualified: str) -> str | None:
    """Return the kind of a class by its full name, or by its bare name; None where it is no layer.

    The quantised classes of torch have the names of others; their modules tell them apart.

    >>> kind_of("torch.nn.modules.conv.Conv2d"), kind_of("LSTM")
    ('conv', 'lstm')
    >>> kind_of("torch.ao.nn.quantized.modules.linear.Linear")
    'quantised'
    """
    module, _, name = qualified.rpartition(".")
    if "quantized" in module.split("."):
        return "quantised"
    return KIND_OF_CLASS.get(name)
