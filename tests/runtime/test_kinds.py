"""What shapes and siblings prove, and what they leave open."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_switcheroo.runtime.kinds import KeyKinds

nn = torch.nn


def shapes_of(module):
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def kinds(shapes, path, **given):
    return [kind for kind, _ in KeyKinds.possible_kinds(shapes, **given)[path]]


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.Linear(3, 5), "linear"),
        (nn.Linear(4, 4), "linear"),
        (nn.Conv2d(3, 8, 3), "conv"),
        (nn.Conv2d(6, 4, 3, groups=1), "conv"),
        (nn.ConvTranspose2d(8, 3, 2), "conv_transpose"),
        (nn.LayerNorm((1, 3)), "layer_norm"),
    ],
)
def test_a_proof_leaves_one_kind(layer, kind):
    assert kinds(shapes_of(nn.ModuleDict({"x": layer})), "x") == [kind]


@pytest.mark.parametrize(
    ("layer", "possible"),
    [
        (nn.Linear(3, 5, bias=False), {"linear", "embedding", "parameter"}),
        (nn.Embedding(3, 5), {"linear", "embedding", "parameter"}),
        (nn.Conv2d(4, 8, 3, bias=False), {"conv", "conv_transpose"}),
        (nn.Conv2d(4, 8, 3), {"conv", "conv_transpose"}),
        (nn.Conv2d(1, 8, 3), {"conv", "conv_transpose"}),
        (nn.ConvTranspose2d(8, 8, 3, groups=8), {"conv", "conv_transpose"}),
        (nn.ConvTranspose2d(8, 4, 3, bias=False), {"conv", "conv_transpose"}),
        (nn.Conv1d(3, 8, 3), {"conv", "bilinear"}),
        (nn.BatchNorm2d(3), {"batch_norm", "instance_norm"}),
        (nn.BatchNorm2d(3, affine=False), {"batch_norm", "instance_norm"}),
        (nn.RMSNorm(3), {"rms_norm", "layer_norm"}),
        (nn.PReLU(3), {"prelu", "layer_norm"}),
        (nn.GroupNorm(1, 3), {"group_norm", "layer_norm"}),
        (nn.LayerNorm((2, 3)), {"layer_norm", "layer_norm(c=2)"}),
    ],
)
def test_what_looks_alike_stays_open(layer, possible):
    assert possible <= set(kinds(shapes_of(nn.ModuleDict({"x": layer})), "x"))


LAYERS = st.sampled_from(
    [
        ("linear", lambda i, o, g, b: nn.Linear(i * g, o, bias=b)),
        ("embedding", lambda i, o, **_: nn.Embedding(i, o)),
        ("conv", lambda i, o, g, b: nn.Conv1d(i * g, o * g, 3, groups=g, bias=b)),
        ("conv", lambda i, o, g, b: nn.Conv2d(i * g, o * g, (3, 2), groups=g, bias=b)),
        ("conv_transpose", lambda i, o, g, b: nn.ConvTranspose1d(i * g, o * g, 2, groups=g, bias=b)),
        ("conv_transpose", lambda i, o, g, b: nn.ConvTranspose2d(i * g, o * g, 2, groups=g, bias=b)),
        ("bilinear", lambda i, o, g, b: nn.Bilinear(i, g, o, bias=b)),
        ("batch_norm", lambda i, b, **_: nn.BatchNorm1d(i, affine=b)),
        ("batch_norm", lambda i, **_: nn.BatchNorm1d(i, track_running_stats=False)),
        ("instance_norm", lambda i, b, **_: nn.InstanceNorm2d(i, affine=True, track_running_stats=b)),
        ("layer_norm", lambda i, o, b, **_: nn.LayerNorm((i, o)[: 1 + b], bias=b)),
        ("group_norm", lambda i, g, **_: nn.GroupNorm(g, i * g)),
        ("rms_norm", lambda i, o, b, **_: nn.RMSNorm((i, o)[: 1 + b])),
        ("prelu", lambda i, **_: nn.PReLU(i)),
    ]
)
SIZES = st.integers(1, 6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(LAYERS, SIZES, SIZES, SIZES, st.booleans()), min_size=1, max_size=4))
def test_the_kind_of_a_layer_is_always_among_the_possible_ones(drawn):
    made = [(kind, make(i=i, o=o, g=g, b=b)) for (kind, make), i, o, g, b in drawn]
    shapes = shapes_of(nn.ModuleList(layer for _, layer in made))
    found = KeyKinds.possible_kinds(shapes)
    for i, (kind, layer) in enumerate(made):
        if layer.state_dict():
            assert kind in [word.partition("(")[0] for word, _ in found[str(i)]]


def test_a_transposed_copy_of_a_linear_is_no_linear():
    # Hugging Face's Conv1D: weight (in, out), bias (out).
    shapes = {"c_attn.weight": (4, 12), "c_attn.bias": (12,), "c_proj.weight": (4, 4), "c_proj.bias": (4,)}
    assert kinds(shapes, "c_attn") == ["linear_in_out"]
    assert kinds(shapes, "c_proj") == ["linear", "linear_in_out"]


def test_a_tensor_of_a_class_of_its_own_stands_by_its_name():
    assert kinds({"pos_embed": (1, 5, 4), "cls.token": (4,)}, "pos_embed") == ["parameter", "buffer"]


# ---- the Flatten before a Linear --------------------------------------------------------------


def test_a_linear_behind_a_convolution_may_stand_behind_a_flatten():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(32, 5), nn.Linear(5, 32)
    )
    shapes = shapes_of(net)
    assert kinds(shapes, "3") == ["linear", "linear(c=8)"]
    assert kinds(shapes, "4") == ["linear"]


def test_a_linear_on_pooled_channels_is_no_suspect():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 32), nn.Linear(32, 5)
    )
    assert kinds(shapes_of(net), "3") == ["linear"]
    assert kinds(shapes_of(net), "4") == ["linear"]


def test_as_many_inputs_as_a_convolution_has_channels_need_no_flatten():
    patches = nn.Conv2d(3, 12, 4, bias=False)  # by its shape it may also be a transposed one, of 3 channels
    shapes = shapes_of(nn.Sequential(patches, nn.Linear(12, 12), nn.Linear(12, 5)))
    assert kinds(shapes, "1") == ["linear"]
    behind_all_of_it = shapes_of(nn.Sequential(patches, nn.Flatten(), nn.Linear(48, 5)))
    assert set(kinds(behind_all_of_it, "2")) >= {"linear(c=12)", "linear(c=3)"}


def test_the_order_of_definition_does_not_hide_a_flatten():
    net = nn.ModuleDict({"head": nn.Linear(32, 5), "conv": nn.Conv2d(3, 8, 3)})
    assert kinds(shapes_of(net), "head") == ["linear", "linear(c=8)"]


def test_gates_and_joint_projections_put_out_nothing_of_their_size():
    shapes = {
        "conv.weight": (12, 3, 3, 3),
        "proj.weight": (12, 24),
        "rnn.weight_ih_l0": (48, 12),
        "rnn.weight_hh_l0": (48, 12),
        "rnn.bias_ih_l0": (48,),
        "attn.in_proj_weight": (36, 12),
        "attn.in_proj_bias": (36,),
        "head.weight": (5, 48),
        "other.weight": (5, 36),
    }
    assert "linear(c=12)" in kinds(shapes, "head")
    assert "linear(c=12)" in kinds(shapes, "other")
    shapes = {"conv.weight": (4, 3, 3, 3), "proj.weight": (12, 24), "head.weight": (5, 48)}
    rnn = {"rnn.weight_hh_l0": (96, 24), "rnn.weight_hh_l0_reverse": (96, 24)}
    assert "linear(c=4)" in kinds(shapes, "head")
    assert "linear(c=4)" not in kinds(shapes | rnn, "head")


def test_two_heads_on_one_flatten_are_both_suspects():
    net = nn.ModuleDict({"conv": nn.Conv2d(3, 8, 3), "mu": nn.Linear(32, 5), "var": nn.Linear(32, 5)})
    net["back"] = nn.Linear(5, 32)
    assert kinds(shapes_of(net), "mu") == kinds(shapes_of(net), "var") == ["linear", "linear(c=8)"]


def test_a_norm_between_flatten_and_linear_is_a_suspect_too():
    net = nn.ModuleDict({"conv": nn.Conv2d(3, 8, 3), "norm": nn.BatchNorm1d(32), "fc": nn.Linear(32, 5)})
    shapes = shapes_of(net)
    assert "batch_norm(c=8)" in kinds(shapes, "norm")
    assert "batch_norm(c=8)" in kinds(shapes, "norm", kinds={"fc": "linear(c=8)"})
    assert "batch_norm(c=8)" not in kinds(shapes, "norm", kinds={"fc": "linear"})


def test_a_transformer_has_no_suspects():
    net = nn.ModuleDict({"patch": nn.Conv2d(3, 16, 4), "blocks": nn.ModuleList()})
    for _ in range(2):
        layers = {
            "norm": nn.LayerNorm(16),
            "qkv": nn.Linear(16, 48),
            "up": nn.Linear(16, 64),
            "down": nn.Linear(64, 16),
        }
        net["blocks"].append(nn.ModuleDict(layers))
    found = KeyKinds.possible_kinds(shapes_of(net))
    assert not [path for path, readings in found.items() if any("(" in kind for kind, _ in readings)]


# ---- the table --------------------------------------------------------------------------------


def test_a_pattern_settles_only_what_is_open():
    shapes = {"a.weight": (4, 3), "b.weight": (4, 3), "b.bias": (4,), "c.tok.weight": (4, 3)}
    found = KeyKinds.possible_kinds(shapes, {"*.tok": "linear", "*": "embedding"})
    assert {path: readings[0][0] for path, readings in found.items()} == {
        "a": "embedding",
        "b": "linear",
        "c.tok": "linear",
    }


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"fc": "lineal"}, "fc: 'lineal' is none of: linear, conv"),
        ({"fc": "conv(c=3)"}, "'conv\\(c=3\\)' is none of"),
        ({"fc": "linear(c=0)"}, "is none of"),
        ({"fc.weight": "linear"}, "no such module"),
        ({"fc": "conv"}, r"a weight \(4, 6\) is no conv's"),
        ({"fc": "linear(c=4)"}, "6 is no multiple of 4 channels"),
    ],
)
def test_kinds_that_cannot_be_are_refused(table, message):
    with pytest.raises(ValueError, match=message):
        KeyKinds.possible_kinds({"fc.weight": (4, 6)}, table)


def test_all_that_cannot_be_is_listed_sorted():
    with pytest.raises(ValueError, match=r"(?s)a: no such.*b: no such"):
        KeyKinds.possible_kinds({"fc.weight": (4, 6)}, {"b": "linear", "a": "linear"})


def test_repeated_blocks_are_folded_into_one_line():
    readings = KeyKinds.possible_kinds({f"layers.{i}.q.weight": (4, 4) for i in range(24)})
    (text,) = KeyKinds._say_open(readings, strict=True)
    assert text.count("\n") == 1
    assert '"layers.*.q" (24): "linear"' in text


def test_sizes_of_numpy_are_sizes():
    shapes = {"fc.weight": tuple(np.zeros((4, 6)).shape), "fc.bias": (np.int64(4),)}
    assert kinds(shapes, "fc") == ["linear"]
