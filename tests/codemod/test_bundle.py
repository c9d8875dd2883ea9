"""The text of KeyMapper holds what is called, and nothing else."""

import ast

import numpy as np
import pytest

from ml_switcheroo.codemod.bundle import PUBLIC, module_of, source_of
from ml_switcheroo.targets import TARGETS


def members(text):
    """Return the members of every class of a text."""
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    return {each.name for node in classes for each in node.body if isinstance(each, ast.FunctionDef)}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("entry", ["from_torch", "load_into", "copy_into", "to_torch", "read"])
def test_every_name_that_a_method_uses_is_there(target, entry):
    text = source_of(target, [entry])
    namespace = {}
    exec(text, namespace)
    mapper = namespace["KeyMapper"]
    assert callable(getattr(mapper, entry))
    used = {
        node.attr
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cls"
    }
    assert [name for name in used if not hasattr(mapper, name)] == []


def test_what_nothing_leads_to_is_left_out():
    assert "to_torch" not in members(source_of("nnx", ["load_into"]))
    assert members(source_of("nnx", ["from_torch"])) < members(source_of("nnx", PUBLIC))
    assert "_write" not in members(source_of("nnx", ["from_torch"]))


def test_a_class_without_members_is_left_out_and_its_bases_take_its_place():
    text = source_of("keras", ["load_into"])
    assert "class LiveNnx" not in text
    assert "class Copying" not in text
    namespace = {}
    exec(text, namespace)
    assert namespace["KeyMapper"].Report(([], []))


def test_a_docstring_is_its_first_paragraph():
    text = source_of("nnx", ["from_torch"])
    assert '"""Return ``{Flax-style name: array}`` for every tensor of a PyTorch state dict."""' in text
    assert "Args:" not in text
    assert "# noqa" not in text


def test_all_of_it_computes_what_the_package_does():
    state = {"fc.weight": np.arange(6.0).reshape(2, 3), "fc.bias": np.ones(2)}
    namespace = {}
    exec(source_of("jax", ["from_torch"]), namespace)
    found = namespace["KeyMapper"].from_torch(state)
    assert {key: value.tolist() for key, value in found.items()} == {
        "fc.kernel": state["fc.weight"].T.tolist(),
        "fc.bias": [1.0, 1.0],
    }


def test_a_target_is_imported_from_its_own_module():
    assert module_of("haiku") == "ml_switcheroo.runtime.into_haiku"
    assert module_of("nnx") == module_of("jax") == "ml_switcheroo.runtime"
