"""Values decide where structure cannot, with the real frameworks; what outputs do not show stays open."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import ml_switcheroo as ms
from verification.ports import NETS, Net, images, seeded

WIDTH = 6


class Kept(nnx.Module):
    """A layer of somebody's own: a matrix under a name that says nothing."""

    def __init__(self, way, *shape):
        self.zorp = nnx.Param(jnp.ones(shape or (WIDTH, WIDTH)))
        self.way = way

    def __call__(self, x):
        return self.way(x, self.zorp.get_value())


def rows(*shape):
    return np.random.default_rng(0).normal(size=shape or (3, WIDTH)).astype("f4")


def linears(*names):
    model = torch.nn.Sequential()
    for name in names:
        model.add_module(name, torch.nn.Linear(WIDTH, WIDTH, bias=False))
    return seeded(lambda: model)


class Chain(nnx.Module):
    def __init__(self, **layers):
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.order = tuple(layers)

    def __call__(self, x):
        for name in self.order:
            x = getattr(self, name)(x)
        return x


TURNED = {"as PyTorch": lambda x, w: x @ w.T, "the other way": lambda x, w: x @ w}


@pytest.mark.parametrize("first", TURNED)
@pytest.mark.parametrize("second", TURNED)
def test_square_linears_are_settled_one_after_the_other(first, second):
    source = linears("a", "b")
    target = Chain(a=Kept(TURNED[first]), b=Kept(TURNED[second]))
    before = np.asarray(target.a.zorp.get_value())
    plan = ms.make_plan(source.state_dict(), to="nnx", layers=source, like=target, rules=[])
    assert {name for entry in plan.ambiguous for name in entry.names} == {"a.weight", "b.weight"}
    settled = ms.settle(plan, source_model=source, target_model=target, inputs=rows(), layers=source)
    settled.check()
    assert {move.origin for move in settled.moves} == {"settled"}
    assert all("the next best" in move.reason for move in settled.moves)
    leaves = settled.apply(source.state_dict())
    for name, way in (("a", first), ("b", second)):
        weight = source.get_submodule(name).weight.detach().numpy()
        expected = weight if way == "as PyTorch" else weight.T
        np.testing.assert_array_equal(leaves[f"{name}.zorp"], expected)
    np.testing.assert_array_equal(np.asarray(target.a.zorp.get_value()), before)
    assert ms.verify(settled, source_model=source, target_model=target, inputs=rows(), load=True).agrees


@pytest.mark.parametrize("kind", ["embedding", "linear"])
def test_whether_a_square_weight_is_a_table_or_a_matrix_is_settled(kind):
    """Nobody says what it is: the port looks its rows up, or multiplies by it."""
    table = kind == "embedding"
    layer = torch.nn.Embedding(WIDTH, WIDTH) if table else torch.nn.Linear(WIDTH, WIDTH, bias=False)
    model = torch.nn.Sequential()
    model.add_module("a", layer)
    source = seeded(lambda: model)
    target = Chain(a=Kept((lambda x, w: w[x]) if table else TURNED["the other way"]))
    inputs = np.arange(WIDTH) if table else rows()
    plan = ms.make_plan(source.state_dict(), to="nnx", like=target)
    assert [entry.names for entry in plan.ambiguous] == [("a.weight",)]
    settled = ms.settle(plan, source_model=source, target_model=target, inputs=inputs)
    settled.check()
    weight = source.get_submodule("a").weight.detach().numpy()
    np.testing.assert_array_equal(settled.apply(source.state_dict())["a.zorp"], weight if table else weight.T)


class SeveralAxes(nnx.Module):
    """A layer norm over rows, columns and channels, the channels first or last in its weights."""

    def __init__(self, *, channels_last):
        self.scale = nnx.Param(jnp.ones((WIDTH,) * 3))
        self.bias = nnx.Param(jnp.zeros((WIDTH,) * 3))
        self.order = (0, 1, 2) if channels_last else (1, 2, 0)

    def __call__(self, x):
        x = (x - x.mean((1, 2, 3), keepdims=True)) / jnp.sqrt(x.var((1, 2, 3), keepdims=True) + 1e-5)
        scale, bias = (one.get_value().transpose(self.order) for one in (self.scale, self.bias))
        return x * scale + bias


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_the_axes_of_norms_over_several_are_settled(first, second):
    model = torch.nn.Sequential()
    for name in ("a", "b"):
        model.add_module(name, torch.nn.LayerNorm((WIDTH,) * 3))
    source = seeded(lambda: model)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.normal_()
    target = Chain(a=SeveralAxes(channels_last=first), b=SeveralAxes(channels_last=second))
    plan = ms.make_plan(source.state_dict(), to="nnx", like=target)
    names = {name for entry in plan.ambiguous for name in entry.names}
    assert names == {f"{module}.{slot}" for module in "ab" for slot in ("weight", "bias")}
    settled = ms.settle(
        plan,
        source_model=source,
        target_model=target,
        inputs=rows(2, WIDTH, WIDTH, WIDTH),
        input_axes="n c h w -> n h w c",
        output_axes="n c h w -> n h w c",
    )
    settled.check()
    leaves = settled.apply(source.state_dict())
    for name, last in (("a", first), ("b", second)):
        for slot, leaf in (("weight", "scale"), ("bias", "bias")):
            kept = getattr(source.get_submodule(name), slot).detach().numpy()
            np.testing.assert_array_equal(leaves[f"{name}.{leaf}"], kept.transpose(1, 2, 0) if last else kept)


def test_a_symmetric_matrix_is_not_settled():
    source = linears("a")
    with torch.no_grad():
        source.a.weight.copy_(source.a.weight + source.a.weight.T)
    target = Chain(a=Kept(TURNED["as PyTorch"]))
    settled = ms.settle(source_model=source, target_model=target, inputs=rows())
    assert [entry.names for entry in settled.ambiguous] == [("a.weight",)]
    assert any("do not distinguish" in note for note in settled.notes)


def test_a_port_that_is_wrong_in_any_case_is_not_settled():
    source = linears("a")
    target = Chain(a=Kept(lambda x, w: x @ w + 1))
    settled = ms.settle(source_model=source, target_model=target, inputs=rows())
    assert settled.ambiguous
    assert any("no candidate agrees" in note for note in settled.notes)


@pytest.mark.parametrize("framework", ["linen", "keras", "mlx", "haiku"])
def test_the_order_of_a_flatten_is_settled(framework):
    source = seeded(Net)
    model, call = NETS[framework]("")
    plan = ms.make_plan(source.state_dict(), to=framework, like=model)
    if not plan.ambiguous:
        pytest.fail(f"nothing to settle\n{plan}")
    settled = ms.settle(plan, source_model=source, target_model=model, target_call=call, inputs=images())
    settled.check(allow_unexpected=True)
    report = ms.verify(
        settled, source_model=source, target_model=model, target_call=call, inputs=images(), load=True
    )
    assert report.agrees, f"{settled}\n{report}"


class Fused(torch.nn.Module):
    """Queries, keys and values in one Linear, by thirds or head by head."""

    def __init__(self, *, mixed):
        super().__init__()
        self.query_key_value = torch.nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.o = torch.nn.Linear(WIDTH, WIDTH, bias=False)
        self.mixed = mixed

    def forward(self, x):
        rows = self.query_key_value(x)
        q, k, v = rows.unflatten(-1, (WIDTH, 3)).unbind(-1) if self.mixed else rows.chunk(3, -1)
        return self.o(q * torch.tanh(k) + torch.relu(v))


class Split(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.q, self.k, self.v, self.o = (
            nnx.Linear(WIDTH, WIDTH, use_bias=False, rngs=rngs) for _ in range(4)
        )

    def __call__(self, x):
        return self.o(self.q(x) * jnp.tanh(self.k(x)) + nnx.relu(self.v(x)))


@pytest.mark.parametrize("mixed", [False, True])
def test_the_order_of_fused_projections_is_settled(mixed):
    source = torch.nn.ModuleDict({"attn": seeded(lambda: Fused(mixed=mixed))})
    target = nnx.Dict(attn=Split())
    options = {
        "source_model": source,
        "target_model": target,
        "inputs": rows(),
        "source_call": lambda model, x: model["attn"](x),
        "target_call": lambda model, x: model["attn"](x),
    }
    plan = ms.make_plan(source.state_dict(), to="nnx", like=target)
    assert plan.ambiguous, str(plan)
    settled = ms.settle(plan, **options)
    settled.check()
    kernel = settled.apply(source.state_dict())["attn.k.kernel"]
    weight = source["attn"].query_key_value.weight.detach().numpy()
    expected = weight[1::3] if mixed else weight[WIDTH : 2 * WIDTH]
    np.testing.assert_array_equal(kernel, expected.T)


class Both(torch.nn.Module):
    def __init__(self, *, alike):
        super().__init__()
        self.foo = torch.nn.Linear(WIDTH, 4, bias=False)
        self.bar = torch.nn.Linear(WIDTH, 4, bias=False)
        self.alike = alike

    def forward(self, x):
        foo, bar = self.foo(x), self.bar(x)
        return foo + bar if self.alike else foo - bar


class BothPort(nnx.Module):
    def __init__(self, *, alike):
        self.foo_bar = nnx.Linear(WIDTH, 4, use_bias=False, rngs=nnx.Rngs(0))
        self.bar_foo = nnx.Linear(WIDTH, 4, use_bias=False, rngs=nnx.Rngs(1))
        self.alike = alike

    def __call__(self, x):
        foo, bar = self.bar_foo(x), self.foo_bar(x)
        return foo + bar if self.alike else foo - bar


def test_two_that_can_stand_for_each_other_stay_open_and_others_do_not():
    for alike in (True, False):
        source = torch.nn.ModuleDict({"x": seeded(lambda alike=alike: Both(alike=alike))})
        target = nnx.Dict(x=BothPort(alike=alike))
        options = {
            "source_model": source,
            "target_model": target,
            "inputs": rows(),
            "source_call": lambda model, x: model["x"](x),
            "target_call": lambda model, x: model["x"](x),
        }
        plan = ms.make_plan(source.state_dict(), to="nnx", like=target)
        assert plan.ambiguous
        settled = ms.settle(plan, **options)
        if alike:
            assert settled.ambiguous, str(settled)
            assert not settled.moves
        else:
            settled.check()
            leaves = settled.apply(source.state_dict())
            np.testing.assert_array_equal(
                leaves["x.bar_foo.kernel"], source["x"].foo.weight.detach().numpy().T
            )


def test_runs_are_bounded():
    source = linears("a", "b")
    target = Chain(a=Kept(TURNED["as PyTorch"]), b=Kept(TURNED["as PyTorch"]))
    settled = ms.settle(source_model=source, target_model=target, inputs=rows(), runs=1)
    assert len(settled.ambiguous) == 2
    assert any("runs" in note for note in settled.notes)


def test_a_plan_without_ambiguities_is_returned_as_it_is():
    source, (model, _) = seeded(Net), NETS["nnx"]("")
    plan = ms.make_plan(source.state_dict(), to="nnx", layers=source, like=model)
    assert ms.settle(plan, source_model=source, target_model=model, inputs=images()) is plan


class OneProjection(torch.nn.Module):
    """One projection for keys, queries and values, of which nothing but the values says how it is cut."""

    def __init__(self, cut):
        super().__init__()
        self.qkv, self.out = torch.nn.Linear(WIDTH, 3 * WIDTH), torch.nn.Linear(WIDTH, WIDTH)
        self.cut = cut

    def forward(self, x):
        q, k, v = self.cut(self.qkv(x))
        return self.out(torch.softmax(q @ k.transpose(-1, -2), -1) @ v)


class Apart(nnx.Module):
    def __init__(self):
        for name in ("query", "key", "value", "out"):
            setattr(self, name, nnx.Linear(WIDTH, WIDTH, rngs=nnx.Rngs(0)))

    def __call__(self, x):
        scores = jax.nn.softmax(self.query(x) @ self.key(x).mT)
        return self.out(scores @ self.value(x))


CUTS = {
    "k, q, v one after another": lambda t: (t.chunk(3, -1)[1], t.chunk(3, -1)[0], t.chunk(3, -1)[2]),
    "q, k, v in turns, row by row": lambda t: tuple(t[..., i::3] for i in range(3)),
    "q, k, v in turns, head by head of 2 rows": lambda t: tuple(
        t.unflatten(-1, (3, 3, 2))[..., i, :].flatten(-2) for i in range(3)
    ),
}


@pytest.mark.parametrize("words", CUTS)
def test_values_decide_how_a_fused_projection_is_cut(words):
    source = seeded(lambda: OneProjection(CUTS[words]))
    table = {"qkv": "linear", "out": "linear"}
    plan = ms.make_plan(source.state_dict(), to="nnx", layers=table, like=Apart())
    assert {name for entry in plan.ambiguous for name in entry.names} == {"qkv.weight", "qkv.bias"}
    settled = ms.settle(
        plan,
        source_model=source,
        target_model=Apart(),
        inputs=np.random.default_rng(0).normal(size=(2, 5, WIDTH)).astype("f4"),
        layers=table,
    )
    settled.check()
    assert words in next(move.reason for move in settled.moves if "qkv.weight" in move.sources)


class GatedNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_up_proj, self.down_proj = torch.nn.Linear(WIDTH, 16), torch.nn.Linear(8, WIDTH)
        self.act = torch.nn.SiLU()

    def forward(self, x):
        up, gate = self.gate_up_proj(x).chunk(2, -1)
        return self.down_proj(self.act(gate) * up)


class GatedPort(nnx.Module):
    def __init__(self):
        for name, shape in {"gate": (WIDTH, 8), "up": (WIDTH, 8), "down_proj": (8, WIDTH)}.items():
            setattr(self, f"{name.removesuffix('_proj')}_proj", nnx.Linear(*shape, rngs=nnx.Rngs(0)))

    def __call__(self, x):
        return self.down_proj(jax.nn.silu(self.gate_proj(x)) * self.up_proj(x))


def test_values_tell_a_gate_from_the_way_up():
    source = seeded(GatedNet)
    table = dict.fromkeys(("gate_up_proj", "down_proj"), "linear")
    settled = ms.settle(source_model=source, target_model=GatedPort(), inputs=rows(), layers=table, to="nnx")
    settled.check()
    reason = next(move.reason for move in settled.moves if "gate_up_proj.weight" in move.sources)
    assert "up, gate one after another" in reason
