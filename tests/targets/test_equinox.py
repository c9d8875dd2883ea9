import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import ml_switcheroo as ms
from ml_switcheroo.errors import LoadError, PlanError, UsageError
from ml_switcheroo.targets import TARGETS, owner_of, template_of
from targets.moved import Net, assert_close, image, moved, output_of, plan_for, randomised

LIVE = TARGETS["equinox"].live
KEY = jax.random.key(0)


def batch_norm(layer, mode):
    return eqx.nn.make_with_state(eqx.nn.BatchNorm)(
        layer.num_features, "batch", channelwise_affine=layer.affine, momentum=0.9, mode=mode
    )


def run(model, x, *, inference=True):
    """Run a layer on a batch; return the output, and the state where it has one."""
    if isinstance(model, tuple):
        layer, state = model
        layer = eqx.nn.inference_mode(layer, inference)
        return jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(
            jnp.asarray(x), state
        )
    return jax.vmap(model)(jnp.asarray(x)), None


@pytest.mark.parametrize("mode", ["batch", "ema"])
def test_the_statistics_of_a_batch_norm_go_on_where_torch_left_them(mode):
    module = randomised(torch.nn.BatchNorm2d(4, momentum=0.1)).train()
    model = moved(module, batch_norm(module, mode), "equinox")
    x = image(8, 4, 5, 3)
    _, state = run(model, x, inference=False)
    output_of(module, x)
    found = LIVE.read((model[0], state))
    assert_close(found["running_mean"], module.running_mean.numpy())
    # torch's running variance is the unbiased one: n / (n - 1) of Equinox's, n = 8 * 5 * 3.
    assert_close(found["running_var"], module.running_var.numpy(), tolerance=1e-2)
    module.eval()
    assert_close(run((model[0], state), x)[0], output_of(module, x), tolerance=1e-2)


def test_the_model_and_the_state_that_were_given_stay_as_they_are():
    layer, state = batch_norm(torch.nn.BatchNorm2d(4), "batch")
    moved(randomised(torch.nn.BatchNorm2d(4)), (layer, state), "equinox")
    assert LIVE.read((layer, state))["running_mean"].tolist() == [0.0] * 4
    assert layer.weight.tolist() == [1.0] * 4


def test_a_model_without_its_state_is_an_error_that_names_the_pair():
    layer, _ = batch_norm(torch.nn.BatchNorm2d(4), "batch")
    with pytest.raises(UsageError, match=r"pass the pair \(model, state\) that eqx\.nn\.make_with_state"):
        template_of(layer, TARGETS["equinox"])


def test_a_model_that_was_not_split_holds_its_statistics_itself():
    layer = eqx.nn.BatchNorm(4, "batch", mode="ema")
    module = randomised(torch.nn.BatchNorm2d(4))
    model, state = eqx.nn.make_with_state(lambda: moved(module, layer, "equinox"))()
    x = image(2, 4, 5, 3)
    assert_close(run((model, state), x)[0], output_of(module, x))


class Port(eqx.Module):
    net: eqx.nn.Sequential
    blocks: list
    scale: jax.Array
    key: jax.Array
    activation: object

    def __init__(self):
        self.net = eqx.nn.Sequential(
            [
                eqx.nn.Linear(3, 4, key=KEY),
                eqx.nn.Lambda(jax.nn.relu),
                eqx.nn.Linear(4, 2, key=KEY),
            ]
        )
        self.blocks = [eqx.nn.Linear(2, 2, key=KEY)]
        self.scale = jnp.ones(2)
        self.key = KEY
        self.activation = jnp.tanh

    def __call__(self, x):
        return self.blocks[0](self.net(x)) * self.scale


def test_a_model_computes_what_torch_computes():
    module = randomised(Net())
    model = moved(module, Port(), "equinox")
    x = image(5, 3)
    assert_close(run(model, x)[0], output_of(module, x))


def test_the_paths_without_a_model_are_those_of_the_model():
    template = LIVE.template(Port())
    assert set(plan_for(Net(), "equinox").outputs) == set(template.specs)
    assert template.kinds == {"net.layers.0": "linear", "net.layers.2": "linear", "blocks.0": "linear"}
    assert template.containers == {"net": "sequential"}


def test_the_bias_of_a_convolution_needs_no_model_to_get_its_shape():
    plan = plan_for(torch.nn.Conv2d(4, 6, 3), "equinox")
    assert plan.outputs["bias"].shape == (6, 1, 1)
    assert (~plan).outputs["bias"].shape == (6,)


def test_what_is_read_is_what_was_written():
    module = randomised(Net())
    model = moved(module, Port(), "equinox")
    back = (~plan_for(module, "equinox", model)).apply(LIVE.read(model))
    for name, tensor in module.state_dict().items():
        assert back[name].tobytes() == tensor.numpy().tobytes()


def test_the_dtype_and_the_sharding_of_the_model_are_kept():
    mesh = jax.make_mesh((1,), ("x",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    layer = eqx.nn.Linear(2, 2, key=KEY, dtype=jnp.bfloat16)
    layer = eqx.tree_at(lambda tree: tree.weight, layer, jax.device_put(layer.weight, sharding))
    new = LIVE.write(layer, {"weight": np.eye(2, dtype="f4")})
    assert new.weight.dtype == jnp.bfloat16
    assert new.weight.sharding == sharding
    assert new.weight.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_model_of_shapes_alone_is_filled():
    module = randomised(torch.nn.Linear(6, 4))
    shapes = eqx.filter_eval_shape(eqx.nn.Linear, 6, 4, key=KEY)
    x = image(3, 6)
    assert_close(run(moved(module, shapes, "equinox"), x)[0], output_of(module, x))


def test_a_leaf_of_another_shape_is_named():
    with pytest.raises(PlanError, match='axis "in" is 3, expected 5'):
        moved(torch.nn.Linear(3, 2), eqx.nn.Linear(5, 2, key=KEY), "equinox")


def test_load_into_returns_the_new_model_and_says_what_it_did_not_get():
    module, model = randomised(Net()), Port()
    x = image(5, 3)
    assert_close(run(ms.load_into(model, module.state_dict(), layers=module), x)[0], output_of(module, x))
    assert model.scale.tolist() == [1.0, 1.0]
    state = module.state_dict()
    del state["scale"]
    with pytest.raises(LoadError, match="Port was not changed"):
        ms.load_into(model, state, layers=module)
    with pytest.warns(UserWarning, match=r"loaded in part\n  missing     scale float32\[2\]: no source"):
        new = ms.load_into(model, state, layers=module, strict=False)
    assert new.scale.tolist() == [1.0, 1.0]
    assert new.blocks[0].bias.tolist() == module.blocks[0].bias.tolist()


def test_it_owns_equinox_modules_and_their_pairs_only():
    layer = eqx.nn.Linear(2, 2, key=KEY)
    assert owner_of(layer) is TARGETS["equinox"]
    assert owner_of((layer, eqx.nn.State(layer))) is TARGETS["equinox"]
    assert owner_of((layer, layer)) is None
    assert owner_of({"weight": layer.weight}) is None
