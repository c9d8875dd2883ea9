"""Models that nobody here wrote go into ports whose paths say nothing, as both programs say."""

import jax
import numpy as np
import pytest
import torch
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.errors import PlanError

pytestmark = pytest.mark.filterwarnings("ignore")  # of other people's models


@pytest.fixture(scope="module")
def published():
    from ported import published

    return published


def bottlenecks(depths, widths, stem, classes):
    from ported.resnet import Port

    return Port(depths, widths, stem, classes, rngs=nnx.Rngs(0))


def case(published, name):
    """Return a model, its port, what the model is given by name, and what the port is given."""
    import importlib

    texts = {"bert": (7,), "gpt2": (7,), "llama": (7,), "t5": (7, 5)}
    if name in texts:
        given = published.tokens(*texts[name])
        named = dict(zip(("input_ids", "decoder_input_ids"), given, strict=False))
    else:
        given = [published.sound() if name == "whisper" else published.images(32 if name == "vit" else 64)]
        named = {"input_features" if name == "whisper" else "x": given[0]}
    if name == "resnet":
        port = bottlenecks((2, 2, 2, 2), [(64 * 2**n, 256 * 2**n) for n in range(4)], 64, 13)
    else:
        port = importlib.import_module(f"ported.{name}").Port(nnx.Rngs(0))
    turned = [np.moveaxis(one, 1, -1) if one.dtype.kind == "f" else one for one in given]
    return published.trained(getattr(published, f"made_{name}")()), port, named, turned


def state_of(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def error(model, port, named, turned):
    with torch.no_grad():
        expected = model(**{name: torch.as_tensor(one) for name, one in named.items()})
    expected = expected if isinstance(expected, torch.Tensor) else expected[0]
    found = port(*map(jax.numpy.asarray, turned))
    found = np.asarray(found[0] if isinstance(found, tuple) else found)
    return np.abs(found - expected.numpy()).max() / np.abs(expected.numpy()).max()


# The imports of a suite take longest: the first of each pays for all.
MORE = ("gpt2", "llama", "t5", "whisper", "resnet", "convnext")


@pytest.mark.parametrize("name", ["bert", "vit", *(pytest.param(n, marks=pytest.mark.slow) for n in MORE)])
def test_a_published_model_goes_into_a_port_with_scrambled_paths(published, name):
    model, port, named, turned = case(published, name)
    loaded = ms.load_into(port, state_of(model), layers=model, inputs=named, target_inputs=tuple(turned))
    assert tuple(loaded) == ([], [])
    assert error(model, port, named, turned) < 1e-5


def loud(published, name, change):
    """Return what is said of a port that is wrong in one place."""
    model, port, named, turned = case(published, name)
    change(port)
    with pytest.raises(PlanError):
        ms.load_into(port, state_of(model), layers=model, inputs=named, target_inputs=tuple(turned))
    plan = ms.make_plan(
        state_of(model), to="nnx", like=port, layers=model, inputs=named, target_inputs=tuple(turned)
    )
    return "\n".join(plan.differences)


def narrow_epsilon(port):
    port.norm.epsilon = 1e-3


def shifted(port):
    port.halve.padding = ((2, 0),)


WRONG = {
    "epsilon": ("bert", narrow_epsilon, "1e-12"),
    "padding": ("whisper", shifted, "padding"),
}


@pytest.mark.parametrize(
    "wrong", ["epsilon", *(pytest.param(n, marks=pytest.mark.slow) for n in WRONG if n != "epsilon")]
)
def test_a_port_that_is_wrong_in_one_place_is_refused(published, wrong):
    name, change, said = WRONG[wrong]
    assert said in loud(published, name, change)


def test_a_resnet_of_one_width_goes_into_a_port_with_scrambled_paths(published):
    check_even(published, (1, 2, 1, 1), 8)


@pytest.mark.slow
def test_a_resnet_50_of_one_width_goes_into_a_port_with_scrambled_paths(published):
    assert check_even(published, (3, 4, 6, 3), 64) == 267


def check_even(published, depths, width):
    model = published.trained(published.Even(depths, width, 11))
    port = bottlenecks(depths, [(width, width)] * 4, width, 11)
    image = published.images(64)
    plan = ms.make_plan(state_of(model), to="nnx", like=port, layers=model, inputs=image)
    plan.check()
    ms.load_into(port, state_of(model), layers=model, inputs=image)
    assert error(model, port, {"x": image}, [np.moveaxis(image, 1, -1)]) < 1e-5
    return len(plan.outputs)


@pytest.mark.slow
def test_the_resnet_50_of_torchvision_goes_into_a_port_with_scrambled_paths(published):
    model = published.trained(published.made_resnet50())
    port = bottlenecks((3, 4, 6, 3), [(64 * 2**n, 256 * 2**n) for n in range(4)], 64, 1000)
    image = published.images(64)
    ms.load_into(port, state_of(model), layers=model, inputs=image)
    assert error(model, port, {"x": image}, [np.moveaxis(image, 1, -1)]) < 1e-5
