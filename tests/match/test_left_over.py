"""That something is left over fills no leaf: names, numbers of a series or shapes must say that it is it."""

import pytest
import torch
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.rules import Rename

RNGS = nnx.Rngs(0)
TORCH = {
    "linear": torch.nn.Linear,
    "norm": torch.nn.LayerNorm,
    "table": torch.nn.Embedding,
    "conv": lambda i, o, k=3: torch.nn.Conv2d(i, o, k, bias=False),
    "batch": torch.nn.BatchNorm2d,
}
FLAX = {
    "linear": lambda i, o: nnx.Linear(i, o, rngs=RNGS),
    "norm": lambda n: nnx.LayerNorm(n, rngs=RNGS),
    "table": lambda n, d: nnx.Embed(n, d, rngs=RNGS),
    "conv": lambda i, o, k=3: nnx.Conv(i, o, (k, k), use_bias=False, rngs=RNGS),
    "batch": lambda n: nnx.BatchNorm(n, rngs=RNGS),
}


class Source(torch.nn.Module):
    pass


class Port(nnx.Module):
    pass


def built(layers, make, node, many):
    tree = {}
    for path, (word, *sizes) in layers.items():
        *above, last = path.split(".")
        place = tree
        for name in above:
            place = place.setdefault(name, {})
        place[last] = make[word](*sizes)

    def grown(children):
        found = {name: grown(c) if isinstance(c, dict) else c for name, c in children.items()}
        if all(name.isdecimal() for name in found):
            return many([found[name] for name in sorted(found, key=int)])
        module = node()
        for name, child in found.items():
            setattr(module, name, child)
        return module

    return grown(tree)


def plan_of(source, port, rules=(), given=True):
    net = built(source, TORCH, Source, torch.nn.ModuleList)
    like = built(port, FLAX, Port, nnx.List)
    return ms.make_plan(net.state_dict(), to="nnx", layers=net if given else None, like=like, rules=rules)


def places(plan):
    return {
        move.sources[0].rpartition(".")[0]: move.leaves[0].rpartition(".")[0]
        for move in plan.moves
        if len(move.inputs[0].shape) > 1 or move.kind == "layer_norm"
    }


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(
    ("mine", "other", "layer"),
    [
        ("ln_in", "ln_out", ("norm", 5)),
        ("norm_before", "post_norm", ("norm", 5)),
        ("depth", "density", ("linear", 4, 3)),
        ("aux_head", "head", ("linear", 4, 3)),
        ("head", "aux_head", ("linear", 4, 3)),
        ("word", "position", ("table", 9, 4)),
        ("user", "item", ("table", 9, 4)),
        ("down", "up", ("linear", 4, 3)),
    ],
)
def test_the_last_tensor_does_not_fill_the_last_leaf(mine, other, layer, given):
    body = {"body": ("linear", 6, 6)}
    plan = plan_of(body | {mine: layer}, body | {other: layer}, given=given)
    assert mine not in places(plan)
    assert any(path.startswith(other) for path in plan.missing)
    named = plan_of(body | {mine: layer}, body | {other: layer}, [Rename(mine, other)])
    assert places(named)[mine] == other


@pytest.mark.parametrize(
    ("mine", "other", "layer"),
    [
        ("final_head", "head.final", ("linear", 4, 3)),
        ("decoder.0", "decoder.dense", ("linear", 4, 3)),
        ("fc_mean", "mean", ("linear", 4, 3)),
        ("encoder_0_proj", "encoder.0.proj", ("linear", 4, 3)),
    ],
)
def test_names_that_say_the_same_do(mine, other, layer):
    body = {"body": ("linear", 6, 6)}
    assert places(plan_of(body | {mine: layer}, body | {other: layer}))[mine] == other


BLOCK = {"attn.q": ("linear", 4, 4), "attn.k": ("linear", 4, 4), "attn.v": ("linear", 4, 4)}


def network(top, norms=("norm1", "norm2")):
    inside = {norms[0]: ("norm", 4), **BLOCK, norms[1]: ("norm", 4), "mlp.fc1": ("linear", 4, 6)}
    inside |= {"mlp.fc2": ("linear", 6, 4)}
    layers = {f"blocks.{i}.{name}": layer for i in range(2) for name, layer in inside.items()}
    return layers | {top: ("norm", 4), "head": ("linear", 4, 3)}


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(
    ("mine", "other"),
    [("norm", "embed_norm"), ("norm", "stem_norm"), ("norm", "input_norm"), ("pre_norm", "final_norm")],
)
def test_the_norm_at_one_end_of_a_network_is_not_the_one_at_the_other(mine, other, given):
    plan = plan_of(network(mine), network(other), given=given)
    assert mine not in places(plan)


@pytest.mark.parametrize(
    ("mine", "other"), [("norm", "final_norm"), ("norm", "ln_f"), ("embeddings.LayerNorm", "embed_norm")]
)
def test_the_norm_at_the_same_end_is(mine, other):
    assert places(plan_of(network(mine), network(other)))[mine] == other


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("swapped", [True, False])
def test_an_index_stays_with_the_word_of_what_it_counts(swapped, given):
    pairs = [(a, b) for a in range(2) for b in range(2)]
    inner = {"fc1": ("linear", 4, 6), "fc2": ("linear", 6, 4)}
    source = {f"stages.{a}.branches.{b}.{n}": x for a, b in pairs for n, x in inner.items()}
    port = {
        (f"branches.{b}.stages.{a}.{n}" if swapped else f"stages.{a}.branches.{b}.{n}"): x
        for a, b in pairs
        for n, x in {"up": inner["fc1"], "down": inner["fc2"]}.items()
    }
    for mine, other in places(plan_of(source, port, given=given)).items():
        numbers = [int(part) for part in mine.split(".") if part.isdecimal()]
        there = [int(part) for part in other.split(".") if part.isdecimal()]
        assert there == (numbers[::-1] if swapped else numbers), (mine, other)


def convs(names):
    return dict.fromkeys(names, ("conv", 4, 4))


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        (("conv1", "conv2", "skip"), ("Conv_0", "Conv_1", "Conv_2")),
        (("scales.0", "scales.1", "scales.2"), ("scale_4.conv", "scale_2.conv", "scale_1.conv")),
        (("d.0", "d.1", "d.2"), ("d1", "d2", "d4")),
    ],
)
def test_numbers_that_count_otherwise_say_nothing(mine, other):
    assert places(plan_of(convs(mine), convs(other))) == {}


def residual(numbers, shortcut, kernel):
    layers = {}
    for place, number in enumerate((*numbers, shortcut)):
        layers[f"Conv_{number}"] = ("conv", 4, 4, kernel if place == 2 else 3)
        layers[f"BatchNorm_{number}"] = ("batch", 4)
    return dict(sorted(layers.items()))


SOURCE = {"conv1": ("conv", 4, 4), "bn1": ("batch", 4), "conv2": ("conv", 4, 4), "bn2": ("batch", 4)}


@pytest.mark.parametrize("first", [True, False])
def test_norms_follow_the_convolutions_that_shapes_line_up(first):
    numbers, shortcut = ((1, 2), 0) if first else ((0, 1), 2)
    source = SOURCE | {"shortcut.0": ("conv", 4, 4, 1), "shortcut.1": ("batch", 4)}
    plan = plan_of(source, residual(numbers, shortcut, 1))
    norms = {m.sources[0].rpartition(".")[0]: m.leaves[0].partition(".")[0] for m in plan.moves}
    for name, other in {**places(plan), **norms}.items():
        wanted = {"1": numbers[0], "2": numbers[1], "0": shortcut}
        number = shortcut if name.startswith("shortcut") else wanted[name[-1]]
        assert other == f"{'Conv' if 'conv' in name or name.endswith('.0') else 'BatchNorm'}_{number}"
    same = plan_of(
        SOURCE | {"shortcut.0": ("conv", 4, 4), "shortcut.1": ("batch", 4)}, residual((0, 1), 2, 3)
    )
    assert not [move for move in same.moves if "conv" in move.sources[0]]


@pytest.mark.parametrize("given", [True, False])
def test_counted_norms_of_a_block_in_another_order_are_asked(given):
    inside = {"norm1": ("norm", 4), "mlp.fc1": ("linear", 4, 6), "mlp.fc2": ("linear", 6, 4)}
    inside |= {"norm2": ("norm", 4), **BLOCK}
    source = {f"blocks.{i}.{name}": layer for i in range(2) for name, layer in inside.items()}
    port = {path.replace("norm1", "ffn_norm").replace("norm2", "attn_norm"): x for path, x in source.items()}
    found = places(plan_of(source, port, given=given))
    assert all("norm1" not in name or "ffn_norm" in other for name, other in found.items())


def test_counted_norms_that_are_written_down_in_order_are_not():
    port = {
        path.replace("norm1", "attn_norm").replace("norm2", "ffn_norm"): x for path, x in network("n").items()
    }
    found = places(plan_of(network("n"), port))
    assert found["blocks.1.norm1"] == "blocks.1.attn_norm"


def test_a_shared_word_above_says_little_of_a_square_matrix():
    source = {"cls.predictions.decoder": ("linear", 6, 6), "body.zorp": ("linear", 6, 4)}
    port = {"cls.predictions.transform.dense": ("linear", 6, 6), "body.zorp": ("linear", 6, 4)}
    assert "cls.predictions.decoder" not in places(plan_of(source, port))
