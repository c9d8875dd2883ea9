"""Every stateful layer of torch.nn, in every target: both run on the same input, and the outputs agree."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import ml_switcheroo
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.plugins.checkpoint_keys import KEY_MAPPER_SOURCE
from ml_switcheroo.targets import TARGETS
from ml_switcheroo.tensors import as_numpy
from parity import FRAMEWORKS, ports
from parity.cases import CASES, randomised
from parity.run import outcome, planned

DOCS = Path(ml_switcheroo.__file__).parents[2] / "docs"
CELLS = runpy.run_path(str(DOCS / "layers.py"))["read"]((DOCS / "layers.md").read_text(encoding="utf-8"))

PASTED = {}
exec(KEY_MAPPER_SOURCE, PASTED)
KeyMapper = PASTED["KeyMapper"]

by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@by_name
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_layer_of_the_framework_gives_the_same_output(framework, case):
    found = outcome(framework, case)
    assert found.error < case.tolerance
    said = CELLS.get((framework, case.name), "no such cell")
    assert said == found.cell, f"docs/layers.md is old: python docs/layers.py {framework}"


@by_name
def test_numpy_keeps_names_and_bits(case):
    state, plan = planned(case, randomised(case), "numpy")
    plan.check()
    leaves = plan.apply(state)
    folded = {name for move in plan.moves if move.ops for name in move.sources}
    for name in set(state) - folded:
        assert leaves[name].tobytes() == as_numpy(state[name]).tobytes()
    pieces = {n for n in state if "parametrizations" in n or n.endswith(("_g", "_v", "_orig", "_u"))}
    assert folded == pieces - {"m.bias_v"}
    assert {path: np.asarray(leaf).tobytes() for path, leaf in leaves.stream()} == {
        path: leaf.tobytes() for path, leaf in leaves.items()
    }


@by_name
def test_the_flat_tree_is_that_of_key_mapper_in_an_empty_namespace(case):
    state, plan = planned(case, randomised(case), "jax")
    plan.check()
    kinds = {}
    for move in plan.moves:
        for name in move.sources:
            whole, norm, _ = name.partition(".parametrizations")
            path = whole if norm else name.rpartition(".")[0]
            key = name if move.kind in ("parameter", "buffer") else path
            kinds[key] = "linear" if path.endswith("out_proj") else move.kind
    kinds = {key: kind for key, kind in kinds.items() if kind in KeyMapper.TABLE}
    for rule in case.rules:
        kinds[rule.pattern] = rule.kind if rule.flatten == 1 else f"{rule.kind}(c={rule.flatten})"
    expected = KeyMapper.from_torch(state, kinds=kinds)
    leaves = dict(plan.apply(state))
    found, wanted = ({path: array.tobytes() for path, array in tree.items()} for tree in (leaves, expected))
    assert found == wanted


def test_every_kind_has_a_case_and_a_port():
    tested = {case.port for case in CASES}
    known = {kind for kind, layer in LAYERS.items() if not layer.refused} - {"parameter", "buffer"}
    assert known <= tested
    for framework in FRAMEWORKS:
        recipes = {kind: TARGETS[framework].kinds.get(kind) for kind in tested & set(LAYERS)}
        supported = {kind for kind, recipe in recipes.items() if isinstance(recipe, tuple)}
        assert supported <= set(ports(framework)), f"{framework}: no layer to compare with"
