"""What ``forward`` does to a parameter: carried out where it is exact, asked or said where it is not."""

import sys
import types
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.errors import PlanError
from ml_switcheroo.ops import Scale, Shift
from ml_switcheroo.rule_lines import parse_rules

HEAD = """
import math
import torch
import torch.nn as nn
import torch.nn.functional as F

def third(layer, x):
    return F.linear(x, layer.weight / 3, layer.bias)

class Turn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        return x @ weight + bias

class Net(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.m = layer
    def forward(self, x):
        return self.m(x)
"""
BODY = """
class Own({base}):
{body}

def net():
    return Net(Own({args}))
"""
BASES = {
    "linear": ("nn.Linear", "5, 5", lambda: nnx.Linear(5, 5, rngs=nnx.Rngs(0)), (3, 5)),
    "conv": (
        "nn.Conv2d",
        "3, 5, 3",
        lambda: nnx.Conv(3, 5, (3, 3), padding="VALID", rngs=nnx.Rngs(0)),
        (2, 3, 6, 6),
    ),
    "embedding": ("nn.Embedding", "7, 5", lambda: nnx.Embed(7, 5, rngs=nnx.Rngs(0)), (2, 4)),
    "layer_norm": ("nn.LayerNorm", "5", lambda: nnx.LayerNorm(5, epsilon=1e-5, rngs=nnx.Rngs(0)), (3, 5)),
    "rms_norm": ("nn.RMSNorm", "5, eps=1e-6", lambda: nnx.RMSNorm(5, epsilon=1e-6, rngs=nnx.Rngs(0)), (3, 5)),
}
OWN_NORM = """
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.eps = eps
    def normed(self, x):
        return x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.eps)
    def forward(self, x):
        y = self.normed(x)
        return {use}
"""


def forward(line, *more):
    """Write a ``forward`` of one line, behind other lines of the class."""
    return "\n".join([*(f"    {one}" for one in more), "    def forward(self, x):", f"        return {line}"])


RIGHT = {
    "called as it is": ("linear", forward("super().forward(x.float()).type_as(x)")),
    "called on the class": ("linear", forward("nn.Linear.forward(self, x)")),
    "written out": ("linear", forward("F.linear(x, self.weight.to(x.dtype), self.bias)")),
    "written with an operator": ("linear", forward("x @ self.weight.T + self.bias")),
    "written with einsum": ("linear", forward("torch.einsum('bi,oi->bo', x, self.weight) + self.bias")),
    "the other way round": ("linear", forward("x @ self.weight + self.bias")),
    "turned in einsum": ("linear", forward("torch.einsum('bi,io->bo', x, self.weight) + self.bias")),
    "turned before": ("linear", forward("F.linear(x, self.weight.t(), self.bias)")),
    "turned in a function of autograd": ("linear", forward("Turn.apply(x, self.weight, self.bias)")),
    "times a number": ("linear", forward("F.linear(x, 2 * self.weight, self.bias)")),
    "negative": ("linear", forward("F.linear(x, -self.weight, self.bias)")),
    "the bias alone": ("linear", forward("F.linear(x, self.weight, self.bias * 0.1)")),
    "times an attribute": (
        "linear",
        forward("F.linear(x, self.weight * (1 / math.sqrt(self.in_features)), self.bias)"),
    ),
    "in a property": (
        "linear",
        forward(
            "F.linear(x, self.w, self.bias)", "@property", "def w(self):", "    return self.weight.div(4)"
        ),
    ),
    "in place": (
        "linear",
        "    def forward(self, x):\n        w = self.weight.clone()\n        w.mul_(0.5)\n"
        "        return F.linear(x, w, self.bias)",
    ),
    "in an inner step": (
        "conv",
        "    def _conv_forward(self, x, weight, bias):\n"
        "        return super()._conv_forward(x, weight * 0.5, bias)",
    ),
    "asleep outside of training": (
        "conv",
        forward("F.conv2d(x, F.dropout(self.weight, 0.5, self.training), self.bias)"),
    ),
    "a table that is looked up": ("embedding", forward("self.weight[x]")),
    "a table times a number": ("embedding", forward("F.embedding(x, self.weight * 3)")),
    "one plus": ("rms_norm", forward("F.rms_norm(x, self.normalized_shape, 1 + self.weight, self.eps)")),
    "plus one": (
        "layer_norm",
        forward("F.layer_norm(x, self.normalized_shape, self.weight.add(1.0), self.bias, self.eps)"),
    ),
    "a norm of its own": ("own norm", OWN_NORM.format(use="self.weight * y.to(x.dtype)")),
    "a norm of its own, one plus": ("own norm", OWN_NORM.format(use="y * (1.0 + self.weight.float())")),
    "a norm of its own, halved": ("own norm", OWN_NORM.format(use="y * ((self.weight + 1) / 2)")),
}
ASKED = {
    "masked": ("linear", forward("F.linear(x, torch.tril(self.weight), self.bias)")),
    "rectified": ("linear", forward("F.linear(input=x, weight=self.weight.abs(), bias=self.bias)")),
    "normalised": ("linear", forward("F.linear(F.normalize(x), F.normalize(self.weight), self.bias)")),
    "centred": ("conv", forward("F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), True), self.bias)")),
    "flipped": ("conv", forward("F.conv2d(x, self.weight.flip(2, 3), self.bias)")),
    "its axes of space in another order": (
        "conv",
        forward("F.conv2d(x, self.weight.transpose(2, 3), self.bias)"),
    ),
    "subtracted": ("linear", forward("F.linear(x, self.weight) - self.bias")),
    "clamped": ("embedding", forward("F.embedding(x, self.weight.clamp(-1, 1))")),
    "times another parameter": (
        "linear",
        forward(
            "F.linear(x, self.weight * self.gain, self.bias)",
            "def __init__(self, i, o):",
            "    super().__init__(i, o)",
            "    self.gain = nn.Parameter(torch.ones(o, 1))",
        ),
    ),
    "a logarithm": ("own norm", OWN_NORM.format(use="y * self.weight.exp()")),
    "its rows in another order": ("linear", forward("F.linear(x, self.weight[[1, 0, 2, 3, 4]], self.bias)")),
    "its halves swapped": (
        "linear",
        forward("F.linear(x, torch.cat([self.weight[2:], self.weight[:2]]), self.bias)"),
    ),
    "its axes turned behind a view": (
        "linear",
        forward("F.linear(x, self.weight.view(25, 1).t().reshape(5, 5), self.bias)"),
    ),
    "rounded down": (
        "linear",
        forward("F.linear(x, torch.div(self.weight, 0.3, rounding_mode='floor'), self.bias)"),
    ),
    "set anew": (
        "linear",
        "    def forward(self, x):\n        kept, self.weight = self.weight, nn.Parameter(self.weight * 2)\n"
        "        y, self.weight = super().forward(x), kept\n        return y",
    ),
    "divided by": ("own norm", OWN_NORM.format(use="y / self.weight")),
    "added to what it scales": ("own norm", OWN_NORM.format(use="y + y * self.weight")),
}
SAID = {
    "its output scaled": ("linear", forward("super().forward(x) * 2"), "gives its output times a constant"),
    "its input scaled": ("linear", forward("super().forward(x * 0.5)"), "takes its input times a constant"),
    "an activation behind it": ("conv", forward("F.relu(super().forward(x))"), "does more than nn.Conv2d"),
    "another row": ("embedding", forward("super().forward((x + 1) % 7)"), "does more than nn.Embedding"),
    "handed to what nobody knows": (
        "linear",
        forward("torch.ops.mine.linear(x, self.weight, self.bias)"),
        "own forward of Own uses weight",
    ),
}


class Port(nnx.Module):
    def __init__(self, layer):
        self.m = layer

    def __call__(self, x):
        return self.m(x)


def made(folder, case):
    """Return a torch model with random tensors, its source, and an input."""
    base, args, _, shape = BASES.get(case[0], ("nn.Module", *BASES["rms_norm"][1:]))
    path = folder / "model.py"
    path.write_text(HEAD + BODY.format(base=base, body=case[1], args=args.replace("eps=", "")
                                       if base == "nn.Module" else args))  # fmt: skip
    module = types.ModuleType(f"own_forward_{abs(hash(str(path)))}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    model = module.net().eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    x = torch.arange(8).reshape(shape) % 7 if case[0] == "embedding" else torch.randn(shape)
    return model, f"{path}:net", x


def port(case):
    return Port(BASES.get(case[0], BASES["rms_norm"])[2]())


def plan_of(folder, case, way, **more):
    model, source, _ = made(folder, case)
    layers = model if way == "live" else source
    return ms.make_plan(model.state_dict(), to="nnx", like=port(case), layers=layers, **more)


both = pytest.mark.parametrize("way", ["live", "source"])


@both
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_exact_is_carried_out(name: str, way: str, tmp_path: Path) -> None:
    case = RIGHT[name]
    model, source, x = made(tmp_path, case)
    loaded = port(case)
    report = ms.load_into(loaded, model.state_dict(), layers=model if way == "live" else source)
    last = (lambda a: np.moveaxis(a, 1, -1)) if case[0] == "conv" else np.asarray
    want = (
        last(model(x).detach().numpy())
        if not name.endswith("autograd")
        else x @ model.m.weight + model.m.bias
    )
    np.testing.assert_allclose(loaded(jnp.asarray(last(x.numpy()))), np.asarray(want.detach())
                               if isinstance(want, torch.Tensor) else want, rtol=1e-4, atol=1e-4)  # fmt: skip
    assert not [note for note in report.notes if "own forward" in note]


@both
@pytest.mark.parametrize("name", ASKED)
def test_what_is_not_exact_is_asked_with_a_rule_that_works(name: str, way: str, tmp_path: Path) -> None:
    case = ASKED[name]
    plan = plan_of(tmp_path, case, way)
    ours = [entry for entry in plan.ambiguous if "own forward of Own" in entry.candidates[0]]
    assert len(ours) == 1
    assert "model.py:" in ours[0].candidates[0]
    with pytest.raises(PlanError, match="own forward of Own"):
        plan.check()
    again = plan_of(tmp_path, case, way, rules=parse_rules(ours[0].rules[0]))
    assert not [entry for entry in again.ambiguous if "own forward" in entry.candidates[0]]
    assert set(ours[0].names) <= set(again.inputs)


@both
@pytest.mark.parametrize("name", SAID)
def test_what_is_around_the_layer_is_said(name: str, way: str, tmp_path: Path) -> None:
    case = SAID[name]
    plan = plan_of(tmp_path, case, way)
    plan.check()
    (note,) = [note for note in plan.notes if case[2] in note]
    assert note.startswith("m: ")
    assert "model.py:" in note


OWN_LINEAR = """
class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(5, 5))
        self.bias = nn.Parameter(torch.zeros(5))
    def forward(self, x):
        return {use}

def net():
    return Net(Own())
"""
WRITTEN = {
    "F.linear(x, self.weight, self.bias)": "linear",
    "x @ self.weight.T + self.bias": "linear",
    "x @ self.weight + self.bias": "linear_in_out",
    "torch.addmm(self.bias, x, self.weight)": "linear_in_out",
}


@pytest.mark.parametrize("use", WRITTEN)
def test_a_layer_that_is_written_out_is_that_layer_where_the_target_has_one(use: str, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEAD + OWN_LINEAR.format(use=use))
    state = {
        "m.weight": np.random.default_rng(0).standard_normal((5, 5)).astype("f"),
        "m.bias": np.ones(5, "f"),
    }
    plan = ms.make_plan(state, to="nnx", like=port(("linear",)), layers=f"{path}:net")
    plan.check()
    assert {move.kind for move in plan.moves} == {WRITTEN[use]}
    weight = state["m.weight"]
    turned = WRITTEN[use] == "linear"
    np.testing.assert_array_equal(plan.apply(state)["m.kernel"], weight.T if turned else weight)
    assert (
        "m.weight" in ms.make_plan(state, to="nnx", layers=f"{path}:net").outputs
    )  # a class of its own, there


def test_what_a_written_out_layer_does_more_is_said(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEAD + OWN_LINEAR.format(use="F.linear(x, self.weight, self.bias) * 2"))
    state = {"m.weight": np.ones((5, 5), "f"), "m.bias": np.ones(5, "f")}
    plan = ms.make_plan(state, to="nnx", like=port(("linear",)), layers=f"{path}:net")
    assert any("m: the own forward of Own does more than a layer" in note for note in plan.notes)


def test_many_modules_of_one_class_make_one_note_and_one_rule(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    norm = OWN_NORM.format(use="y * self.weight.exp()")
    path.write_text(
        f"{HEAD}\nclass Own(nn.Module):\n{norm}\n\ndef net():\n"
        "    return nn.ModuleDict({'m': nn.Sequential(*[Own(5, 1e-6) for _ in range(3)])})\n"
    )
    state = {f"m.{i}.weight": np.ones(5, "f") for i in range(3)}
    like = nnx.Dict(m=nnx.Sequential(*(nnx.RMSNorm(5, rngs=nnx.Rngs(0)) for _ in range(3))))
    plan = ms.make_plan(state, to="nnx", like=like, layers=f"{path}:net")
    with pytest.raises(PlanError, match=r'Kind\("m\.\{i\}", "rms_norm"\)'):
        plan.check()
    rules = parse_rules('Kind("m.{i}", "rms_norm")')
    ms.make_plan(state, to="nnx", like=like, layers=f"{path}:net", rules=rules).check()
    state = {name: value.astype("f") for name, value in state.items()}
    (note,) = ms.make_plan(state, to="nnx", layers=_shifted(tmp_path, path)).notes
    assert note.startswith("m.0 and 2 more: the own forward of Own uses weight as self.weight + 1")


def _shifted(folder: Path, path: Path) -> str:
    (folder / "shifted.py").write_text(path.read_text().replace("self.weight.exp()", "(self.weight + 1)"))
    return f"{folder / 'shifted.py'}:net"


PARENT = """
class Parent(nn.Module):
    def __init__(self):
        super().__init__()
        self.m = nn.Linear(5, 5)
    def forward(self, x):
        return {use}

def net():
    return Parent()
"""
AROUND = {
    "a function": "third(self.m, x)",
    "a function, by name": "third(x=x, layer=self.m)",
    "an operator": "F.linear(x, self.m.weight / 3, self.m.bias)",
    "its state": "F.linear(x, self.m.state_dict()['weight'] / 3, self.m.bias)",
    "a list": "[F.linear(x, one.weight / 3, one.bias) for one in [self.m]][0]",
    "its parameters": "F.linear(x, dict(self.m.named_parameters())['weight'] / 3, self.m.bias)",
    "getattr": "F.linear(x, getattr(self.m, 'weight') / 3, self.m.bias)",
}


def parent(folder, use):
    path = folder / "parent.py"
    path.write_text(HEAD + PARENT.format(use=use))
    return f"{path}:net", torch.nn.ModuleDict({"m": torch.nn.Linear(5, 5)}).state_dict()


@pytest.mark.parametrize("way", AROUND)
def test_what_a_parent_does_to_the_weight_of_a_child_is_asked(way: str, tmp_path: Path) -> None:
    source, state = parent(tmp_path, AROUND[way])
    plan = ms.make_plan(state, to="nnx", like=port(("linear",)), layers=source)
    (asked,) = plan.ambiguous
    assert "the forward of Parent uses weight" in asked.candidates[0]
    for rule, factor in zip(asked.rules, (1, 1 / 3), strict=True):
        done = ms.make_plan(state, to="nnx", like=port(("linear",)), layers=source, rules=parse_rules(rule))
        done.check()
        np.testing.assert_allclose(
            done.apply(state)["m.kernel"], state["m.weight"].numpy().T * factor, rtol=1e-6
        )


def test_a_parent_that_uses_a_child_as_the_layer_would_is_nothing_special(tmp_path: Path) -> None:
    source, state = parent(tmp_path, "F.linear(x, self.m.weight, self.m.bias)")
    plan = ms.make_plan(state, to="nnx", like=port(("linear",)), layers=source)
    plan.check()
    assert not plan.notes


@pytest.mark.parametrize("how", ["hook", "forward"])
@both
def test_what_hooks_and_patches_do_is_said(how: str, way: str, tmp_path: Path) -> None:
    path = tmp_path / "hooked.py"
    line = {
        "hook": "net.m.register_forward_hook(lambda module, given, out: out * 2)",
        "forward": "net.m.forward = lambda x: x @ net.m.weight",
    }[how]
    path.write_text(f"{HEAD}\ndef net():\n    net = Net(nn.Linear(5, 5))\n    {line}\n    return net\n")
    module = types.ModuleType(f"hooked_{how}")
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    model = module.net()
    layers = model if way == "live" else f"{path}:net"
    plan = ms.make_plan(model.state_dict(), to="nnx", like=port(("linear",)), layers=layers)
    (note,) = [note for note in plan.notes if "forward" in note]
    assert note.startswith("m: ")


class Zeroed(nnx.Module):
    """A norm of the target's own, which adds one as well."""

    def __init__(self, size):
        self.scale = nnx.Param(jnp.zeros(size))

    def __call__(self, x):
        return x * (1 + self.scale)


class Scaled(nnx.RMSNorm):
    def __call__(self, x):
        return super().__call__(x) * 2


@both
@pytest.mark.parametrize("layer", [lambda: Zeroed(5), lambda: Scaled(5, rngs=nnx.Rngs(0))])
def test_a_class_of_the_targets_own_gets_the_tensor_as_it_is_and_both_sides_are_named(
    layer: object, way: str, tmp_path: Path
) -> None:
    model, source, _ = made(tmp_path, RIGHT["a norm of its own, one plus"])
    like = Port(layer())
    name = type(like.m).__name__
    plan = ms.make_plan(model.state_dict(), to="nnx", like=like, layers=model if way == "live" else source)
    plan.check()
    (move,) = plan.moves
    assert not move.ops
    (note,) = [note for note in plan.notes if "1.0 + self.weight" in note]
    assert f"a class of its own, {name}" in note


def test_without_a_target_model_the_frameworks_own_layer_is_meant(tmp_path: Path) -> None:
    model, source, _ = made(tmp_path, RIGHT["one plus"])
    plan = ms.make_plan(model.state_dict(), to="nnx", layers=source)
    (move,) = plan.moves
    assert move.ops == (Shift(1.0),)
    assert "1 + self.weight in Own, model.py:" in move.notes[0]
    back = (~plan).apply(plan.apply(model.state_dict()))
    np.testing.assert_allclose(back["m.weight"], model.m.weight.detach().numpy(), rtol=1e-6, atol=1e-6)


def test_a_tree_without_classes_does_not_tell_and_is_asked(tmp_path: Path) -> None:
    model, source, _ = made(tmp_path, RIGHT["one plus"])
    state = model.state_dict()
    like = {"m.weight": (5,)}
    (asked,) = ms.make_plan(state, to="mlx", like=like, layers=source).ambiguous
    ops = [ms.make_plan(state, to="mlx", like=like, layers=source, rules=parse_rules(rule)).moves[0].ops
           for rule in asked.rules]  # fmt: skip
    assert ops == [(), (Shift(1.0),)]


def test_what_is_not_exact_is_said_where_nothing_shows_the_port(tmp_path: Path) -> None:
    model, source, _ = made(tmp_path, ASKED["masked"])
    plan = ms.make_plan(model.state_dict(), to="nnx", layers=source)
    plan.check()
    assert any("torch.tril(self.weight)" in note and note.startswith("m: ") for note in plan.notes)


def test_a_factor_goes_behind_the_fold_of_a_weight_norm(tmp_path: Path) -> None:
    model, _, x = made(tmp_path, RIGHT["times a number"])
    torch.nn.utils.parametrizations.weight_norm(model.m)
    loaded = port(("linear",))
    plan = ms.make_plan(model.state_dict(), to="nnx", like=loaded, layers=model)
    kernel = next(move for move in plan.moves if move.leaves == ("m.kernel",))
    assert Scale(2.0) in kernel.ops
    ms.load_into(loaded, model.state_dict(), layers=model)
    np.testing.assert_allclose(loaded(jnp.asarray(x)), model(x).detach(), rtol=1e-4, atol=1e-5)


def test_a_class_inside_of_a_function_is_read_and_one_without_source_is_said() -> None:
    class Inner(torch.nn.Linear):
        def forward(self, x):
            return torch.nn.functional.linear(x, self.weight * 0.5, self.bias)

    module = types.ModuleType("written_nowhere")
    exec(
        "import torch\nclass Unseen(torch.nn.Linear):\n    def forward(self, x):\n        return x",
        vars(module),
    )
    plans = [
        ms.make_plan(model.state_dict(), to="nnx", like=port(("linear",)), layers=model)
        for model in (torch.nn.ModuleDict({"m": cls(5, 5)}) for cls in (Inner, module.Unseen))
    ]
    assert Scale(0.5) in next(move.ops for move in plans[0].moves if move.leaves == ("m.kernel",))
    assert any("own forward of Unseen" in note and "could not be followed" in note for note in plans[1].notes)
