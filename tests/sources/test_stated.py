"""What the user says outright."""

import numpy as np
import pytest
import torch

import ml_switcheroo as ms
from ml_switcheroo.errors import RuleError, UsageError
from ml_switcheroo.rules import Kind
from ml_switcheroo.sources.stated import from_rules, from_table

NAMES = ["bi.weight", "bi.bias", "pos"]


@pytest.mark.parametrize("pattern", ["bi", "bi.*"])
def test_the_tensors_of_a_module_are_kept_as_parameters(pattern):
    found = from_rules([ms.Kind(pattern, "parameter")], NAMES).findings
    assert {name: found[name].kind for name in found} == {"bi.weight": "parameter", "bi.bias": "parameter"}


def test_a_layer_that_a_framework_lacks_goes_to_a_port_that_keeps_its_tensors():
    net = torch.nn.ModuleDict({"bi": torch.nn.Bilinear(3, 4, 5)})
    state = net.state_dict()
    refused = ms.make_plan(state, to="nnx", layers=net).unexpected["bi.weight"].why
    assert 'a port that keeps the tensors: Kind(..., "parameter")' in refused
    leaves = ms.make_plan(state, to="nnx", layers=net, rules=[ms.Kind("bi", "parameter")]).apply(state)
    assert sorted(leaves) == ["bi.bias", "bi.weight"]
    np.testing.assert_array_equal(leaves["bi.weight"], state["bi.weight"].numpy())


def test_a_kind_of_a_tensor_or_a_layer_is_that_of_its_own():
    rules = [ms.Kind("pos", "buffer"), ms.Kind("bi", "Bilinear")]
    found = from_rules(rules, NAMES).findings
    assert {path: finding.kind for path, finding in found.items()} == {"pos": "buffer", "bi": "bilinear"}


def test_a_table_with_words_that_are_no_kinds_names_them_all():
    with pytest.raises(UsageError, match="a: Zorp, b: Gnarl"):
        from_table({"b": "Gnarl", "a": "Zorp", "c": "Linear"})


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        ([Kind("a", "linear"), Kind("a", "embedding")], 'a: Kind("a", "linear"), Kind("a", "embedding")'),
        ([Kind("a", "Linear"), Kind("{p}", "embedding")], 'a: Kind("a", "Linear"), Kind("{p}", "embedding")'),
        ([Kind("a", "linear", flatten=2), Kind("{p}", "linear", flatten=1)], "a: Kind"),
        ([Kind("a", "linear", unflatten=2), Kind("{p}", "linear", unflatten=1)], "a: Kind"),
        ([Kind("a", "mha", args={"num_heads": 2}), Kind("a", "mha", args={"num_heads": 4})], "a: Kind"),
        ([Kind("a", "parameter"), Kind("a.weight", "buffer")], "a.weight: Kind"),
    ],
)
def test_rules_that_contradict_each_other_are_an_error_that_names_them(rules, line):
    with pytest.raises(RuleError, match="rules contradict each other on:") as failed:
        from_rules(rules, ["a.weight", "b.weight"])
    assert line in str(failed.value)


def test_rules_that_agree_are_put_together():
    rules = [Kind("fc", "linear", flatten=4), Kind("{p}", "Linear", args={"bias": True})]
    found = from_rules(rules, ["fc.weight"]).findings["fc"]
    assert (found.kind, found.flatten.channels, dict(found.args)) == ("linear", 4, {"bias": True})
    assert found.reason == 'Kind("fc", "linear", flatten=4), Kind("{p}", "Linear", args={"bias": True})'
