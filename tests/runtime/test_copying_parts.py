"""Parts of models that never change: found by PyTorch's path, and put into a new model."""

import equinox as eqx
import jax
import numpy as np
import pytest
import torch

from ml_switcheroo.codemod.bundle import source_of
from ml_switcheroo.runtime import into_equinox, into_haiku, into_linen


def torch_net():
    block = torch.nn.ModuleDict({"fc": torch.nn.Linear(2, 3), "bn": torch.nn.BatchNorm1d(3)})
    net = torch.nn.ModuleDict({"blocks": torch.nn.ModuleList([block, torch.nn.Linear(3, 3)])})
    net["head"] = torch.nn.Linear(3, 2)
    for value in net.parameters():
        torch.nn.init.normal_(value)
    return net


def linen():
    params = {
        "blocks_0": {
            "fc": {"kernel": np.zeros((2, 3), "f"), "bias": np.zeros(3, "f")},
            "bn": {"scale": np.ones(3, "f"), "bias": np.zeros(3, "f")},
        },
        "blocks_1": {"kernel": np.zeros((3, 3), "f"), "bias": np.zeros(3, "f")},
        "head": {"kernel": np.zeros((3, 2), "f"), "bias": np.zeros(2, "f")},
        "head_2": {"kernel": np.zeros((3, 2), "f"), "bias": np.zeros(2, "f")},
    }
    return {
        "params": params,
        "batch_stats": {"blocks_0": {"bn": {"mean": np.zeros(3, "f"), "var": np.ones(3, "f")}}},
    }


def haiku():
    return {
        "net/~/blocks_0/~/fc": {"w": np.zeros((2, 3), "f"), "b": np.zeros(3, "f")},
        "net/~/blocks_0/~/bn": {
            "scale": np.ones(3, "f"),
            "offset": np.zeros(3, "f"),
        },
        "net/~/blocks_1": {"w": np.zeros((3, 3), "f"), "b": np.zeros(3, "f")},
        "net/~/head": {"w": np.zeros((3, 2), "f"), "b": np.zeros(2, "f")},
    }


TREES = {"linen": (into_linen.KeyMapper, linen), "haiku": (into_haiku.KeyMapper, haiku)}


def leaves(mapper, tree):
    return {mapper._join(path): np.asarray(leaf[1]) for path, (_, leaf) in mapper._live(tree).items()}


@pytest.fixture(params=TREES)
def made(request):
    make = TREES[request.param][1]
    names = {}
    exec(compile(source_of(request.param, ["load_part", "copy_part"]), "<injected>", "exec"), names)
    return names["KeyMapper"], make()


def state_of(net, path):
    """Return the state dict of a part, without what Haiku keeps apart from its parameters."""
    given = net.get_submodule(path).state_dict()
    return {name: value for name, value in given.items() if "running" not in name and "num_" not in name}


@pytest.mark.parametrize("path", ["blocks.0.fc", "blocks.1", "head"])
def test_only_the_part_is_new(made, path):
    mapper, tree = made
    before = leaves(mapper, tree)
    net = torch_net()
    mapper.KINDS = {"": "linear"}
    new = mapper.load_part(tree, path, state_of(net, path))
    after = leaves(mapper, new)
    key = mapper._join(path.split("."))
    weight = net.get_submodule(path).weight.detach().numpy()
    assert all(np.array_equal(after[one], before[one]) for one in before if not one.startswith(f"{key}."))
    found = [value for one, value in after.items() if one.startswith(f"{key}.") and value.ndim == 2]
    assert np.array_equal(*found, weight.T)
    assert all(np.array_equal(value, before[one]) for one, value in leaves(mapper, tree).items())
    assert {name: type(value) for name, value in new.items()} == {
        name: type(value) for name, value in tree.items()
    }


def test_a_list_of_parts_is_a_part_with_all_its_collections():
    mapper, tree, net = into_linen.KeyMapper, linen(), torch_net()
    given = net["blocks"].state_dict()
    kinds = {"0.fc": "linear", "0.bn": "batch_norm", "1": "linear"}
    new, report = mapper.load_part(tree, "blocks", given, kinds=kinds, with_report=True)
    assert report == ([], [])
    assert np.array_equal(new["params"]["blocks_1"]["kernel"], net["blocks"][1].weight.detach().numpy().T)
    assert np.array_equal(new["batch_stats"]["blocks_0"]["bn"]["var"], net["blocks"][0]["bn"].running_var)


def test_a_name_that_begins_alike_is_another_part():
    mapper, tree, net = into_linen.KeyMapper, linen(), torch_net()
    new = mapper.load_part(tree, "head", net["head"].state_dict(), kinds={"": "linear"})
    assert not new["params"]["head_2"]["kernel"].any()
    assert new["params"]["head"]["kernel"].any()


@pytest.mark.parametrize("path", ["encoder", "head.fc", "blocks.7", "blocks.-1", "hea"])
def test_a_part_that_is_not_there_is_an_error_with_those_that_are(made, path):
    mapper, tree = made
    with pytest.raises(RuntimeError, match=rf"no part '{path}', nothing was written; there are: .*blocks_1"):
        mapper.load_part(tree, path, {"weight": np.ones((2, 3))}, strict=False)


def test_a_part_that_lacks_a_name_is_an_error(made):
    mapper, tree = made
    mapper.KINDS = {"": "linear"}
    with pytest.raises(RuntimeError, match=r"missing: bias"):
        mapper.load_part(tree, "head", {"weight": np.ones((2, 3))})
    _, report = mapper.load_part(tree, "head", {"weight": np.ones((2, 3))}, strict=False, with_report=True)
    assert report == (["bias"], [])


@pytest.mark.parametrize("pair", [("blocks.1", "blocks.1"), ("blocks", "blocks"), ("head", "head")])
def test_a_part_is_copied_from_a_part(made, pair):
    mapper, target = made
    online = type(target)(target)
    for key, (path, old) in {k: leaf for k, (_, leaf) in mapper._live(target).items()}.items():
        online = mapper._write(online, [((path, old), np.full(old.shape, len(key) + 1.0))])
    new = mapper.copy_part(target, pair[0], online, pair[1])
    key = mapper._join(pair[0].split("."))
    inside = {f"{key}.", f"{key}_0", f"{key}_1"}
    for one, value in leaves(mapper, new).items():
        changed = any(one.startswith(start) for start in inside)
        assert np.array_equal(value, leaves(mapper, online if changed else target)[one])


def test_a_whole_tree_is_copied_from_a_part():
    mapper, online = into_linen.KeyMapper, linen()
    target = {"params": {"kernel": np.ones((3, 2), "f"), "bias": np.ones(2, "f")}}
    new = mapper.copy_part(target, "", online, "head")
    assert not new["params"]["kernel"].any()
    new = mapper.copy_part(online, "head", target, "")
    assert new["params"]["head"]["kernel"].all()


@pytest.mark.parametrize("path", ["layers.0", ""])
def test_a_part_of_an_equinox_module_is_replaced(path):
    mapper = into_equinox.KeyMapper
    one, other = (eqx.nn.MLP(2, 3, 4, 1, key=jax.random.key(seed)) for seed in (0, 1))
    made = mapper.copy_part(one, path, other, path)
    assert np.array_equal(made.layers[0].weight, other.layers[0].weight)
    assert not np.array_equal(one.layers[0].weight, other.layers[0].weight)
    assert np.array_equal(made.layers[1].weight, (one if path else other).layers[1].weight)
    linear = torch.nn.Linear(2, 4)
    made, report = mapper.load_part(one, "layers.0", linear.state_dict(), with_report=True)
    assert np.array_equal(made.layers[0].weight, linear.weight.detach())
    assert report == ([], [])


@pytest.mark.parametrize("mapper", [into_equinox.KeyMapper, into_linen.KeyMapper, into_haiku.KeyMapper])
@pytest.mark.parametrize("path", ["blocks.0.fc", "blocks.-1", "head", "blocks"])
def test_a_part_of_a_torch_module_changes_in_place(mapper, path):
    one, other = torch_net(), torch_net()
    part = other["blocks"][-1] if path == "blocks.-1" else other.get_submodule(path)
    assert mapper.load_part(one, path, part.state_dict()) is one
    mine = one["blocks"][-1] if path == "blocks.-1" else one.get_submodule(path)
    assert all(torch.equal(value, part.state_dict()[name]) for name, value in mine.state_dict().items())
    again = torch_net()
    assert mapper.copy_part(again, path, other, path) is again
    mine = again["blocks"][-1] if path == "blocks.-1" else again.get_submodule(path)
    assert all(torch.equal(value, part.state_dict()[name]) for name, value in mine.state_dict().items())


@pytest.mark.parametrize("mapper", [into_equinox.KeyMapper, into_linen.KeyMapper])
def test_a_part_of_what_is_no_module(mapper):
    class Pipe:
        def __init__(self):
            self.nets = {"a": [torch.nn.Linear(2, 3)]}

    one, linear = Pipe(), torch.nn.Linear(2, 3)
    assert mapper.load_part(one, "nets.a.0", linear.state_dict()) is one
    assert torch.equal(one.nets["a"][0].weight, linear.weight)
