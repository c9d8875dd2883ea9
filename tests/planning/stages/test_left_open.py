"""Which modules the structure is asked about, with the reason."""

import pytest

from ml_switcheroo.planning.options import Option
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.left_open import may_ask, why_open
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding, Flatten, Part, Parts
from ml_switcheroo.targets import find_target
from ml_switcheroo.tensors import TensorSpec


def owner(path="fc", kind="linear", shape=(4, 6), **said):
    finding = Finding(kind, "static", "said", **said)
    specs = {f"{path}.weight": TensorSpec(shape, "float32")}
    return Owner(path, (finding,), {"weight": f"{path}.weight"}), specs


def request(specs, target="linen"):
    return Request(specs, find_target(target), [])


def settled(one):
    return [Option(one.possible[0], ())]


def test_what_its_name_settles_is_not_asked():
    one, specs = owner()
    assert why_open(one, settled(one), request(specs)) == ""


@pytest.mark.parametrize("shape", [(4, 4), (3, 3, 5, 5), (4, 6, 6)])
def test_a_shape_with_equal_sizes_is_always_asked(shape):
    one, specs = owner(kind="conv" if len(shape) > 2 else "linear", shape=shape)
    assert "does not show its layout" in why_open(one, settled(one), request(specs))


def test_what_its_name_leaves_open_is_asked_with_the_reason():
    one, specs = owner()
    assert why_open(one, [], request(specs)) == "nothing in the target is spelled like it"
    assert why_open(one, settled(one) * 2, request(specs)) == "its name fits in several ways"
    refused = [Option(one.possible[0], (), {}, {"fc.weight": "no such leaf"})]
    assert why_open(one, refused, request(specs)) == "no such leaf"


def test_rows_that_forward_takes_in_turns_are_asked():
    turns = Parts((Part("q", 0, ((2, 1), (2, 2))),))
    one, specs = owner(parts=turns)
    assert "another order" in why_open(one, settled(one), request(specs))
    straight = Parts((Part("q", 0, ((4, 1),)),))
    one, specs = owner(parts=straight)
    assert why_open(one, settled(one), request(specs)) == ""


def test_what_has_a_recipe_of_its_own_is_never_asked():
    one, specs = owner(kind="lstm")
    assert not may_ask(one, request(specs))
    assert why_open(one, [], request(specs)) == ""
    final = [Option(one.possible[0], (), final=True)]
    one, specs = owner()
    assert why_open(one, final, request(specs)) == ""


def test_what_stands_behind_a_flatten_is_for_its_recipe():
    one, specs = owner(flatten=Flatten(3), shape=(4, 12))
    assert not may_ask(one, request(specs))
    assert may_ask(one, request(specs, target="equinox"))
    whole, specs = owner(flatten=Flatten(3), shape=(4, 3))
    assert may_ask(whole, request(specs)), "one place for each channel: there is no other order"
