"""The arguments in the table are those of the installed classes: names, order, defaults, sizes."""

import importlib
import inspect
import math
import typing

import pytest
import torch
from torch import nn

from ml_switcheroo.axes import parse
from ml_switcheroo.layers import LAYERS, kind_of
from ml_switcheroo.layers.argument import Argument
from ml_switcheroo.layers.layer import Layer

# Tensors, not layers; losses, which take what they take; one that torch makes for itself.
WITHOUT = {"parameter", "buffer", "class_weights"}
CLASSES = [
    (layer, name)
    for layer in LAYERS.values()
    if layer.kind not in WITHOUT
    for name in layer.classes
    if name != "NonDynamicallyQuantizableLinear"
]
SMALL = {
    **dict.fromkeys(("kernel_size", "num_layers", "num_groups", "num_parameters"), 1),
    **dict.fromkeys(("in_channels", "out_channels", "embed_dim"), 8),
    "normalized_shape": (5, 6),
    "num_heads": 2,
    "groups": 2,
    "affine": True,
}


def class_of(layer, name):
    return getattr(importlib.import_module(layer.package), name)


def signature(cls):
    """Return a constructor's parameters without the places and types of its tensors."""
    init = cls.__init__
    overloads = typing.get_overloads(init) if inspect.isfunction(init) else []
    parameters = inspect.signature(overloads[0] if overloads else init).parameters.values()
    return [one for one in parameters if one.name not in ("self", "device", "dtype")]


@pytest.mark.parametrize(("layer", "name"), CLASSES, ids=[name for _, name in CLASSES])
def test_names_order_and_defaults_are_those_of_the_class(layer, name):
    found = [
        (one.name, "no default" if one.required else one.default, one.keyword)
        for one in layer.of_class(name).values()
    ]
    assert found == [
        (one.name, "no default" if one.default is one.empty else one.default, one.kind is one.KEYWORD_ONLY)
        for one in signature(class_of(layer, name))
    ]


def test_every_class_of_a_row_is_in_the_package_that_the_row_says():
    elsewhere = {"NonDynamicallyQuantizableLinear"}  # torch.nn.modules.linear has it alone
    for layer in LAYERS.values():
        for name in set(layer.classes) - elsewhere:
            assert class_of(layer, name)


def sample(layer):
    """Return arguments for a layer, each axis of another size."""
    sizes = {one.name: 4 + 3 * at for at, one in enumerate(layer.arguments)}
    given = {one.name: SMALL.get(one.name, sizes[one.name]) for one in layer.arguments if one.required}
    return given | {name: SMALL[name] for name in layer.args.keys() & {"groups", "affine"}}


MADE = [layer for layer in LAYERS.values() if layer.classes and layer.kind not in WITHOUT]


@pytest.mark.parametrize("layer", MADE, ids=lambda layer: layer.kind)
def test_the_sizes_that_arguments_state_are_those_of_the_tensors(layer):
    args = sample(layer)
    made = class_of(layer, layer.classes[0])(**args)
    for name, tensor in made.state_dict().items():
        groups = [
            group for group in parse(layer.slot(name).axes).groups if group and not group[0].startswith("*")
        ]
        for group, size in zip(groups, tensor.shape, strict=False):
            stated = [layer.size(axis, args) for axis in group]
            if all(stated):
                assert math.prod(stated) == size, (name, group)
    stars = [one for one in layer.arguments if one.size.startswith("*")]
    for one in stars:
        slots = [slot for slot, axes in layer.slots.items() if one.size in axes.split()]
        assert slots, f"{one.name} states {one.size}, which no slot has"


@pytest.mark.parametrize("layer", MADE, ids=lambda layer: layer.kind)
def test_a_switch_takes_its_slots_away_and_nothing_else(layer):
    args = sample(layer)
    cls = class_of(layer, layer.classes[0])
    on = {one.name: 2 if one.name == "proj_size" else True for one in layer.arguments if one.switches}
    if "hidden_size" in args:
        args["hidden_size"] = 5
    whole = set(cls(**{**on, **args}).state_dict())
    for one in layer.arguments:
        if one.switches:
            off = {**on, **args, one.name: 0 if one.name == "proj_size" else False}
            gone = {layer.slot(name).pattern for name in whole - set(cls(**off).state_dict())}
            assert gone == set(one.switches), one.name


def test_a_row_of_another_package_is_a_row_like_any_other():
    layer = Layer(
        "dyt",
        ("DyT",),
        {"alpha": "1", "weight": "channel", "bias": "channel"},
        (
            Argument("num_features", "features", size="channel"),
            Argument("alpha_init_value", "alpha at first", 0.5),
        ),
        package="acme.layers",
    )
    assert layer.size("channel", {"num_features": 7}) == 7
    assert list(layer.of_class("DyT")) == ["num_features", "alpha_init_value"]


def test_what_a_kind_takes_and_where_its_channels_lie_fit_its_tensors():
    for layer in LAYERS.values():
        axes = {
            axis for slot in layer.slots.values() for axis in slot.replace("(", " ").replace(")", " ").split()
        }
        assert not layer.takes or layer.takes in axes, layer.kind
        assert layer.channels != "first" or axes & {"*space", "channel"}, layer.kind
        assert layer.alone == (layer.slots.keys() == {""}), layer.kind
        assert not layer.alone or layer.matched == "parameter", layer.kind
    assert {kind for kind, layer in LAYERS.items() if layer.matched == "norm"} == {
        kind for kind in LAYERS if kind.endswith("_norm")
    }


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Conv2d(3, 5, 1), (2, 3, 4, 4)),
        (lambda: nn.ConvTranspose2d(3, 5, 1), (2, 3, 4, 4)),
        (lambda: nn.BatchNorm2d(3), (2, 3, 4, 4)),
        (lambda: nn.InstanceNorm2d(3, affine=True), (2, 3, 4, 4)),
        (lambda: nn.GroupNorm(3, 3), (2, 3, 4, 4)),
        (lambda: nn.PReLU(3), (2, 3, 4, 4)),
        (lambda: nn.Linear(3, 5), (2, 4, 4, 3)),
    ],
)
def test_the_channels_are_where_the_row_says(make, shape):
    layer = make()
    channels = LAYERS[kind_of(type(layer).__name__)].channels
    assert shape[1 if channels == "first" else -1] == 3
    out = layer(torch.zeros(shape))
    with pytest.raises((RuntimeError, ValueError)):
        layer(torch.zeros(shape).transpose(1, -1))
    assert out.shape[1 if channels == "first" else -1] in (3, 5)
