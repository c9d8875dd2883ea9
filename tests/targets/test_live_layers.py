"""What the modules of a live model show, with a framework of two classes that stands in this file."""

from __future__ import annotations

from typing import Any

import pytest

from ml_switcheroo.targets.live_layers import Layers, plain_attributes
from ml_switcheroo.tree import Template


class Dense:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    def __call__(self, x: Any) -> Any:
        return x


class Chain:
    def __call__(self, x: Any) -> Any:
        return x


class Named(Dense):
    """Calls its base as it is."""


class Scaled(Dense):
    def __call__(self, x: Any) -> Any:
        return 2 * super().__call__(x)


class Block:
    """Has no base among the layers."""


class Keeping(Dense, dict):  # type: ignore[type-arg]
    pass


LAYERS = Layers(__name__, {"Dense": "linear"})


def test_a_layer_has_its_kind_and_its_attributes_also_where_a_class_derives_from_it() -> None:
    shown = LAYERS.shown([("a", Dense(size=3)), ("b", Named(size=4)), ("c", Scaled(size=5))], Chain)
    assert shown["kinds"] == {"a": "linear", "b": "linear", "c": "linear"}
    assert shown["attributes"] == {"a": {"size": 3}, "b": {"size": 4}, "c": {"size": 5}}


def test_what_computes_in_a_way_of_its_own_is_named() -> None:
    nodes = [("a", Dense()), ("b", Named()), ("c", Scaled()), ("d", Block()), ("e", Chain())]
    assert LAYERS.shown(nodes, Chain)["own"] == {"c": "Scaled", "d": "Block", "e": "Chain"}


def test_a_class_of_the_same_name_in_another_package_is_no_layer() -> None:
    other = Layers("somewhere.else", {"Dense": "linear"})
    shown = other.shown([("a", Dense())], Chain)
    assert shown["kinds"] == {}
    assert shown["own"] == {"a": "Dense"}


def test_sequences_are_containers_and_the_fields_are_those_of_a_template() -> None:
    shown = LAYERS.shown([("", Chain()), ("0", Dense())], Chain)
    template = Template({}, **shown)
    assert template.containers == {"": "sequential"}
    assert template.kinds == {"0": "linear"}


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "same", (1, 2), [(1, 2), (3, 4)]])
def test_plain_values_are_kept(value: Any) -> None:
    assert plain_attributes(Dense(value=value)) == {"value": value}


def test_functions_are_kept_by_name_and_other_things_are_not() -> None:
    assert plain_attributes(Dense(run=max, array=object(), names=["a"])) == {"run": "max"}


def test_a_module_that_is_a_dictionary_keeps_attributes_in_itself() -> None:
    module = Keeping(bias=True)
    module["dims"] = 4
    assert plain_attributes(module) == {"bias": True, "dims": 4}
