"""Where the leaves of a module go by its name: as the target writes it, or as the template spells it."""

import pytest

from ml_switcheroo.errors import UsageError
from ml_switcheroo.planning.stages.by_name import ByName
from ml_switcheroo.rules import Rename
from ml_switcheroo.sources.findings import Knowledge
from ml_switcheroo.targets import find_target
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template

SPEC = TensorSpec((4,), "float32")
LINEN = find_target("linen")


def by_name(*paths, rules=(), target=LINEN, containers=None, **template):
    known = [Knowledge({}, containers=containers or {})]
    made = Template(dict.fromkeys(paths, SPEC), **template) if paths else None
    return ByName(target, made, rules, known)


def test_without_a_template_the_target_says_how_a_path_is_written():
    path, spec = by_name().of("layers.0.fc")("kernel", "params")
    assert (path, spec) == ("params/layers_0/fc/kernel", None)
    assert by_name().knows("anything")


def test_with_one_the_leaf_that_is_spelled_so_is_found_with_its_spec():
    found = by_name("params/layers_0/fc/kernel")
    assert found.of("layers.0.fc")("kernel", "params") == ("params/layers_0/fc/kernel", SPEC)
    assert found.knows("layers.0.fc")
    assert not found.knows("layers.1.fc")
    with pytest.raises(UsageError, match="no leaf params/layers_0/fc/bias"):
        found.of("layers.0.fc")("bias", "params")


def test_a_rename_goes_before_the_name():
    found = by_name("params/out/kernel", rules=[Rename("head", "out")])
    assert found.of("head")("kernel", "params")[0] == "params/out/kernel"
    assert found.knows("head")


def test_a_rename_of_what_lies_below_makes_a_module_known():
    found = by_name("params/out/kernel", rules=[Rename("head.fc", "out")])
    assert found.knows("head")
    assert not by_name("params/out/kernel").knows("head")


def test_a_layer_of_a_recurrent_module_may_be_renamed_by_itself():
    rules = [Rename("rnn.1", "second")]
    found = by_name("params/rnn/0/kernel", "params/second/kernel", rules=rules)
    assert found.of("rnn")("1.kernel", "params")[0] == "params/second/kernel"


def test_the_attributes_of_the_live_module_are_shown():
    found = by_name("params/fc/kernel", attributes={"fc": {"use_bias": False}})
    assert found.shown("fc") == {"use_bias": False}
    assert found.shown("other") == {}
