"""The same place under its spellings, and no other place."""

import pytest

from match.built import specs_of
from ml_switcheroo.match.paths.spelling import Spelling, segments
from ml_switcheroo.targets import find_target
from ml_switcheroo.tree import Template


@pytest.mark.parametrize(
    "path", ["layers.0.fc.kernel", "layers/0/fc/kernel", "layers_0/fc/kernel", "layers_0.fc.kernel"]
)
def test_one_place_has_one_spelling(path):
    assert segments(path) == ("layers", "0", "fc", "kernel")


def test_haiku_tildes_are_no_part_of_a_place():
    assert segments("net/~/linear/w") == segments("net/~encode/linear/w") == ("net", "linear", "w")


def test_the_children_of_a_sequential_stand_in_it():
    assert segments("net.layers.0.w", "layers", {"net": "sequential"}) == ("net", "0", "w")
    assert segments("net.layers.0.w", "layers", {"net": "list"}) == ("net", "layers", "0", "w")


def spelling(target, *paths):
    target = find_target(target)
    return Spelling(Template(specs_of(dict.fromkeys(paths, (1,)))), target.naming)


def test_a_leaf_is_found_by_the_name_of_its_module():
    found = spelling("linen", "params/layers_0/fc/kernel", "params/head/kernel")
    assert found.find("layers.0.fc", "kernel", "params", {}) == "params/layers_0/fc/kernel"
    assert found.find("layers.1.fc", "kernel", "params", {}) is None
    assert found.find("layers.0.fc", "bias", "params", {}) is None


def test_a_collection_is_part_of_the_spelling():
    found = spelling("linen", "params/norm/mean", "batch_stats/norm/mean")
    assert found.find("norm", "mean", "batch_stats", {}) == "batch_stats/norm/mean"


def test_a_module_is_known_by_any_leaf_below_it():
    found = spelling("linen", "params/layers_0/fc/kernel")
    assert found.knows("layers.0", {})
    assert found.knows("layers.0.fc", {})
    assert not found.knows("layers.1", {})
