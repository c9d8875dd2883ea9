import re

import numpy as np

import ml_switcheroo as ms


def attentions(count):
    block = {
        "in_proj_weight": (24, 8),
        "in_proj_bias": (24,),
        "out_proj.weight": (8, 8),
        "out_proj.bias": (8,),
    }
    return {
        f"blocks.{i}.attn.{name}": np.ones(shape, "f4") for i in range(count) for name, shape in block.items()
    }


def test_the_rule_in_a_reason_can_be_pasted():
    state = attentions(12)
    said = str(ms.make_plan(state, to="nnx"))
    (rule,) = set(re.findall(r"Kind\(.*?\)$", said, re.MULTILINE))
    plan = ms.make_plan(state, to="nnx", rules=[rule.replace("...", "4")])
    assert not plan.unexpected
    plan.check()


def test_one_more_kind_than_are_named_is_named():
    state = {f"{kind}.weight": np.ones((3, 2), "f4") for kind in ("linear", "embedding")}
    kinds = {"linear": "linear", "embedding": "embedding"}
    for i in range(4):
        state |= {f"norm{i}.weight": np.ones(3, "f4"), f"norm{i}.bias": np.ones(3, "f4")}
    layers = {
        **kinds,
        "norm0": "layer_norm",
        "norm1": "group_norm",
        "norm2": "layer_norm",
        "norm3": "layer_norm",
    }
    summed = str(ms.make_plan(state, to="nnx", layers=layers)).splitlines()[1]
    assert "other kind" not in summed
    assert "1 embedding" in summed
