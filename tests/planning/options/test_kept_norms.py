"""A norm of a weight that the target has as well is kept, and the outputs agree."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import linen, nnx
from torch.nn.utils import parametrizations

import ml_switcheroo as ms
from ml_switcheroo.errors import LoadError, UsageError
from ml_switcheroo.targets import TARGETS

KEY = jax.random.key(0)


def old(wrap):
    def made(layer, **more):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return wrap(layer, **more)

    return made


WEIGHT_NORMS = {"new": parametrizations.weight_norm, "old": old(torch.nn.utils.weight_norm)}
SPECTRAL_NORMS = {"new": parametrizations.spectral_norm, "old": old(torch.nn.utils.spectral_norm)}


def holder(layer, *, iterations=0, shape=(3, 5)):
    """Hold a torch layer under the name m, its tensors random, its spectral norm iterated so many times."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in layer.named_parameters():
            positive = name.endswith(("original0", "weight_g"))
            tensor.copy_(torch.rand_like(tensor) + 0.5 if positive else torch.randn_like(tensor) * 0.4)
    for _ in range(iterations):
        layer.train()(torch.zeros(shape))
    return torch.nn.ModuleDict({"m": layer}).eval()


class Linen(linen.Module):
    wrap: object
    layer: object

    def setup(self):
        self.m = self.wrap(self.layer())

    def __call__(self, x, **more):
        return self.m(x, **more)


class Holder(eqx.Module):
    m: object


def port(to, norm, layer):
    """Return the live model of a Linear(5, 7) or a Conv1d(4, 6, 3) in a wrapper, and how it is run."""
    conv = isinstance(layer, torch.nn.Conv1d)
    spectral = norm == "spectral_norm"
    if to == "nnx":
        rngs = nnx.Rngs(0)
        inner = nnx.Conv(4, 6, 3, padding="VALID", rngs=rngs) if conv else nnx.Linear(5, 7, rngs=rngs)
        wrap = nnx.SpectralNorm if spectral else nnx.WeightNorm
        model = nnx.Dict(m=wrap(inner, rngs=rngs))
        return model, lambda model, x: model.m(x, **({"update_stats": False} if spectral else {}))
    if to == "linen":
        inner = (lambda: linen.Conv(6, 3, padding="VALID")) if conv else (lambda: linen.Dense(7))
        module = Linen(linen.SpectralNorm if spectral else linen.WeightNorm, inner)
        more = {"update_stats": False} if spectral else {}
        model = module.init(KEY, jnp.zeros((1, 9, 4) if conv else (1, 5)), **more)
        return model, lambda model, x: module.apply(model, x, **more)
    if to == "equinox":
        inner = eqx.nn.Conv1d(4, 6, 3, key=KEY) if conv else eqx.nn.Linear(5, 7, key=KEY)
        if not spectral:
            return Holder(eqx.nn.WeightNorm(inner)), lambda model, x: jax.vmap(model.m)(x)
        pair = eqx.nn.make_with_state(lambda: Holder(eqx.nn.SpectralNorm(inner, "weight", key=KEY)))()

        def run(pair, x):
            wrapper = eqx.nn.inference_mode(pair[0].m)
            return jax.vmap(wrapper, in_axes=(0, None), out_axes=(0, None), axis_name="b")(x, pair[1])[0]

        return pair, run
    inner = keras.layers.Conv1D(6, 3) if conv else keras.layers.Dense(7)
    x = keras.Input((9, 4) if conv else (5,))
    return keras.Model(x, keras.layers.SpectralNormalization(inner, name="m")(x)), lambda model, x: model(x)


def loaded(to, model, net):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        new = ms.load_into(model, net.state_dict(), layers=net)
    if TARGETS[to].live.immutable:
        return new, "\n".join(str(warning.message) for warning in caught)
    assert tuple(new) == ([], [])
    return model, "\n".join(new.notes)


def error(to, run, model, net, shape=(3, 5)):
    x = np.random.default_rng(0).normal(size=shape).astype("f4")
    with torch.no_grad():
        expected = net["m"](torch.from_numpy(x)).numpy()
    last = len(shape) == 3 and TARGETS[to].channels == "last"
    found = np.asarray(run(model, np.moveaxis(x, 1, -1) if last else x))
    found = np.moveaxis(found, -1, 1) if last else found
    return float(np.abs(found - expected).max() / np.abs(expected).max())


LAYERS = {
    "linear": (lambda: torch.nn.Linear(5, 7), (3, 5)),
    "conv": (lambda: torch.nn.Conv1d(4, 6, 3), (3, 4, 9)),
}


@pytest.mark.parametrize("way", WEIGHT_NORMS)
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("to", ["nnx", "linen", "equinox"])
def test_a_weight_norm_stays_one_with_its_lengths_and_directions(to, kind, way):
    make, shape = LAYERS[kind]
    net = holder(WEIGHT_NORMS[way](make()))
    model, run = port(to, "weight_norm", make())
    plan = ms.make_plan(net.state_dict(), to=to, layers=net, like=model)
    plan.check()
    assert all(move.exact for move in plan.moves)
    new, _ = loaded(to, model, net)
    assert error(to, run, new, net, shape) < 1e-5
    if to != "nnx":  # whose wrapper writes the normalised weight into the layer when it is called
        back = ms.to_torch(new, like=net.state_dict(), layers=net)
        assert all(torch.equal(back[name], tensor) for name, tensor in net.state_dict().items())


def test_nnx_gives_the_same_bits_back_before_it_is_called():
    net = holder(parametrizations.weight_norm(torch.nn.Linear(5, 7)))
    model, _ = port("nnx", "weight_norm", torch.nn.Linear(5, 7))
    loaded("nnx", model, net)
    back = ms.to_torch(model, like=net.state_dict(), layers=net)
    assert all(torch.equal(back[name], tensor) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("way", SPECTRAL_NORMS)
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("to", ["equinox", "keras"])
def test_a_spectral_norm_is_that_of_pytorchs_evaluation_mode(to, kind, way):
    make, shape = LAYERS[kind]
    net = holder(SPECTRAL_NORMS[way](make()), iterations=2, shape=shape)
    model, run = port(to, "spectral_norm", make())
    new, said = loaded(to, model, net)
    assert error(to, run, new, net, shape) < 1e-5
    assert ("keeps the normalised weight" in said) == (to == "keras")


@pytest.mark.parametrize("way", SPECTRAL_NORMS)
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("to", ["nnx", "linen"])
def test_flaxs_spectral_norm_is_pytorchs_once_it_has_converged(to, kind, way):
    make, shape = LAYERS[kind]
    net = holder(SPECTRAL_NORMS[way](make()), iterations=100, shape=shape)
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    model, run = port(to, "spectral_norm", make())
    new, said = loaded(to, model, net)
    assert "iterates once more at every call: the same output as far as the iteration has converged" in said
    sigma = next(leaf for path, leaf in TARGETS[to].live.read(new).items() if path.endswith("sigma"))
    name = next(name for name in state if name.endswith(("weight_orig", "weight.original")))
    assert sigma == pytest.approx(np.linalg.norm(state[name].flatten(1).numpy(), 2), rel=1e-4)
    back = ms.to_torch(new, like=state, layers=net)
    for name, tensor in state.items():
        torch.testing.assert_close(back[name], tensor, rtol=1e-3, atol=1e-4)
    assert error(to, run, new, net, shape) < 1e-5


@pytest.mark.parametrize("to", ["nnx", "linen"])
def test_before_that_it_is_one_iteration_of_pytorchs_training(to):
    net = holder(SPECTRAL_NORMS["old"](torch.nn.Linear(5, 7)), iterations=2)
    model, run = port(to, "spectral_norm", torch.nn.Linear(5, 7))
    new, _ = loaded(to, model, net)
    assert error(to, run, new, net) > 1e-4
    model, run = port(to, "spectral_norm", torch.nn.Linear(5, 7))
    new, _ = loaded(to, model, net)
    net["m"].train()
    assert error(to, run, new, net) < 1e-5


def conv_transpose(to):
    if to == "nnx":
        return nnx.Dict(m=nnx.WeightNorm(nnx.ConvTranspose(4, 4, 3, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0)))
    return Holder(eqx.nn.WeightNorm(eqx.nn.ConvTranspose1d(4, 4, 3, key=KEY)))


@pytest.mark.parametrize("to", ["nnx", "equinox"])
def test_a_norm_over_other_axes_is_refused_although_the_shapes_agree(to):
    # PyTorch has a length for each input channel of a transposed convolution, the target for each output.
    net = holder(parametrizations.weight_norm(torch.nn.ConvTranspose1d(4, 4, 3)))
    with pytest.raises(LoadError, match=r"which lies otherwise|has a length for each"):
        ms.load_into(conv_transpose(to), net.state_dict(), layers=net)
    square = holder(parametrizations.weight_norm(torch.nn.Linear(5, 5), dim=1))
    model = {
        "nnx": lambda: nnx.Dict(m=nnx.WeightNorm(nnx.Linear(5, 5, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))),
        "equinox": lambda: Holder(eqx.nn.WeightNorm(eqx.nn.Linear(5, 5, key=KEY))),
    }[to]
    with pytest.raises(LoadError, match='a length for each "in" of the weight, the target\'s for each "out"'):
        ms.load_into(model(), square.state_dict(), layers=square)


def test_a_transposed_kernel_has_pytorchs_axis_last():
    layer = torch.nn.ConvTranspose1d(4, 4, 3)
    net = holder(parametrizations.weight_norm(layer))
    inner = nnx.ConvTranspose(4, 4, 3, padding="VALID", transpose_kernel=True, rngs=nnx.Rngs(0))
    model, _ = loaded("nnx", nnx.Dict(m=nnx.WeightNorm(inner, rngs=nnx.Rngs(0))), net)
    assert error("nnx", lambda model, x: model.m(x), model, net, (2, 4, 7)) < 1e-5


def test_axes_that_are_told_are_followed():
    net = holder(parametrizations.weight_norm(torch.nn.Linear(5, 5), dim=1))
    wrapper = nnx.WeightNorm(nnx.Linear(5, 5, rngs=nnx.Rngs(0)), feature_axes=0, rngs=nnx.Rngs(0))
    model, _ = loaded("nnx", nnx.Dict(m=wrapper), net)
    assert error("nnx", lambda model, x: model.m(x), model, net) < 1e-5
    model, _ = loaded("equinox", Holder(eqx.nn.WeightNorm(eqx.nn.Linear(5, 5, key=KEY), axis=1)), net)
    assert error("equinox", lambda model, x: jax.vmap(model.m)(x), model, net) < 1e-5
    net = holder(parametrizations.weight_norm(torch.nn.Linear(5, 5), dim=None))
    model, _ = loaded("equinox", Holder(eqx.nn.WeightNorm(eqx.nn.Linear(5, 5, key=KEY), axis=None)), net)
    assert error("equinox", lambda model, x: jax.vmap(model.m)(x), model, net) < 1e-5
    wrapper = nnx.WeightNorm(nnx.Linear(5, 5, rngs=nnx.Rngs(0)), feature_axes=None, rngs=nnx.Rngs(0))
    model, _ = loaded("nnx", nnx.Dict(m=wrapper), net)
    assert error("nnx", lambda model, x: model.m(x), model, net) < 1e-5


@pytest.mark.parametrize("to", ["nnx", "linen", "equinox"])
def test_a_plain_weight_does_not_fill_a_wrapper_silently(to):
    net = holder(torch.nn.Linear(5, 7))
    model, _ = port(to, "weight_norm", torch.nn.Linear(5, 7))
    with pytest.raises(
        LoadError, match=r"missing +(m\.scales\.kernel|m\.g|params/m/layer_instance/kernel/scale)"
    ):
        ms.load_into(model, net.state_dict(), layers=net)


def test_a_wrapper_without_lengths_is_refused():
    net = holder(parametrizations.weight_norm(torch.nn.Linear(5, 7)))
    wrapper = nnx.WeightNorm(nnx.Linear(5, 7, rngs=nnx.Rngs(0)), use_scale=False, rngs=nnx.Rngs(0))
    with pytest.raises(UsageError, match=r"m is a WeightNorm\(use_scale=False\)"):
        ms.load_into(nnx.Dict(m=wrapper), net.state_dict(), layers=net)


def test_the_kept_norm_goes_through_json(tmp_path):
    net = holder(parametrizations.spectral_norm(torch.nn.Linear(5, 7)), iterations=2)
    model, _ = port("keras", "spectral_norm", torch.nn.Linear(5, 7))
    plan = ms.make_plan(net.state_dict(), to="keras", layers=net, like=model)
    plan.save(tmp_path / "plan.json")
    again = ms.Plan.load(tmp_path / "plan.json")
    leaves = [dict(one.apply(net.state_dict())) for one in (plan, again)]
    assert leaves[0].keys() == leaves[1].keys()
    assert all(leaves[0][path].tobytes() == leaves[1][path].tobytes() for path in leaves[0])
