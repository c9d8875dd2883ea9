"""The text that goes into files, for every target: the same arrays as a plan for that target."""

import re

import numpy as np
import pytest
import torch
from ml_switcheroo.planner import make_plan
from torch import nn

from ml_switcheroo.codemod.bundle import source_of
from ml_switcheroo.recipes import Unsupported
from ml_switcheroo.rules import Kind
from ml_switcheroo.runtime.kinds import KeyKinds
from ml_switcheroo.targets import TARGETS

LAYERS = {
    "linear": nn.Linear(3, 4),
    "linear without bias": nn.Linear(3, 3, bias=False),
    "linear_in_out": {"weight": torch.randn(3, 4), "bias": torch.randn(4)},
    "conv": nn.Conv2d(4, 6, (2, 3), groups=2),
    "conv 1d": nn.Conv1d(4, 6, 2, bias=False),
    "conv 3d": nn.Conv3d(1, 2, (2, 3, 4)),
    "conv_transpose": nn.ConvTranspose2d(3, 5, (2, 3)),
    "conv_transpose square": nn.ConvTranspose1d(3, 3, 3),
    "batch_norm": nn.BatchNorm2d(3),
    "instance_norm": nn.InstanceNorm2d(3, affine=True),
    "layer_norm": nn.LayerNorm(3),
    "group_norm": nn.GroupNorm(1, 3),
    "rms_norm": nn.RMSNorm(3),
    "embedding": nn.Embedding(4, 3),
    "bilinear": nn.Bilinear(2, 3, 4),
    "prelu": nn.PReLU(),
    "class_weights": nn.CrossEntropyLoss(torch.arange(3.0)),
    "parameter": {"weight": torch.randn(3, 4)},
}

# What a mapper has no word for; load_into lists it as missing and unexpected.
WITHOUT = {
    **dict.fromkeys(
        [(to, "prelu") for to in ("nnx", "linen", "equinox", "keras")], "the slope has a name of its own"
    ),
    ("haiku", "batch_norm"): "the statistics are in the state, which is no part of the parameters",
}


def joined(path, naming):
    """Write a path as ``KeyMapper`` does: dotted, an index joined to the word before, no collection."""
    parts = path.split(naming.separator)[naming.collections :]
    words = [part for part in parts if part != "~"]
    if naming == TARGETS["numpy"].naming:
        return path
    return re.sub(r"\.(\d+)(?=\.|$)", r"_\1", ".".join(words))


def mapper_of(target):
    namespace: dict = {}
    exec(source_of(target, ["from_torch"]), namespace)
    return namespace["KeyMapper"]


def held():
    """Yield each layer with each target that holds it."""
    for to, target in TARGETS.items():
        for name in LAYERS:
            kind = name.split()[0]
            if not isinstance(target.kinds[kind], Unsupported) and (to, kind) not in WITHOUT:
                yield to, name


@pytest.mark.parametrize(("to", "name"), list(held()))
def test_from_torch_agrees_with_the_plan(to, name):
    made, kind = LAYERS[name], name.split()[0]
    target = TARGETS[to]
    tensors = made if isinstance(made, dict) else made.state_dict()
    state = {f"net.0.{slot}": value for slot, value in tensors.items()}
    known = {"rules": [Kind("net.0.weight" if kind == "parameter" else "net.0", kind)]}
    if not isinstance(made, dict):
        known = {"layers": nn.ModuleDict({"net": nn.ModuleList([made])})}
    leaves = dict(make_plan(state, to=to, **known).apply(state))
    found = mapper_of(to).from_torch(state, kinds={"net.0": kind})
    wanted = {joined(path, target.naming): array for path, array in leaves.items()}
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        # A live leaf may have axes of size 1 beside, such as a bias (out, 1, 1): load_into gives them.
        assert found[key].squeeze().shape == array.squeeze().shape, key
        assert np.array_equal(found[key].squeeze(), array.squeeze()), key


@pytest.mark.parametrize("to", TARGETS)
def test_the_words_of_a_mapper_are_kinds_of_the_table(to):
    words = set(mapper_of(to).TABLE) if hasattr(mapper_of(to), "TABLE") else set(KeyKinds.TABLE)
    assert words - {"linear_to_image"} <= set(TARGETS[to].kinds)
