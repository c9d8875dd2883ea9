import jax
import keras
import ml_dtypes
import numpy as np
import pytest
import torch
from keras import layers

import ml_switcheroo as ms
from ml_switcheroo.errors import PlanError, UsageError
from ml_switcheroo.graph.drawers.keras import draw
from ml_switcheroo.graph.inputs import given
from ml_switcheroo.graph.running import run
from ml_switcheroo.targets import TARGETS, keras_nodes, owner_of, template_of
from ml_switcheroo.targets import keras as keras_target
from ml_switcheroo.targets.keras_nodes import called, variables_of
from targets.moved import (
    Net,
    assert_close,
    channels_last,
    image,
    moved,
    output_of,
    plan_for,
    randomised,
)

LIVE = TARGETS["keras"].live


@pytest.mark.parametrize("multiplier", [1, 2])
def test_a_depthwise_convolution_is_one_in_keras_too(multiplier):
    module = randomised(torch.nn.Conv2d(4, 4 * multiplier, 3, groups=4))
    model = layers.DepthwiseConv2D(3, depth_multiplier=multiplier)
    model.build((None, 9, 8, 4))
    x = image(2, 4, 9, 8)
    found = moved(module, model, "keras")(channels_last(x))
    assert_close(np.moveaxis(found, -1, 1), output_of(module, x))


def test_a_projection_to_heads_and_back_is_an_einsum_dense():
    there, back = randomised(torch.nn.Linear(6, 8)), randomised(torch.nn.Linear(8, 6))
    x = image(2, 3, 6)
    heads = layers.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="de")
    heads.build(x.shape)
    merge = layers.EinsumDense("abde,dec->abc", (None, 6), bias_axes="c")
    merge.build((2, 3, 2, 4))
    found = moved(back, merge, "keras")(moved(there, heads, "keras")(x))
    assert_close(found, output_of(torch.nn.Sequential(there, back), x))


class Port(keras.Model):
    def __init__(self):
        super().__init__()
        self.net = keras.Sequential([layers.Dense(4), layers.ReLU(), layers.Dense(2)])
        self.blocks = [layers.Dense(2)]
        self.drop = layers.Dropout(0.5)
        self.scale = self.add_weight(shape=(2,), initializer="ones")

    def call(self, x):
        return self.drop(self.blocks[0](self.net(x))) * self.scale


def built(model=None):
    model = model or Port()
    model(np.zeros((1, 3), "f4"))
    return model


def test_a_model_computes_what_torch_computes_and_keeps_its_variables():
    module, model = randomised(Net()), built()
    variables = model.variables
    assert moved(module, model, "keras") is model
    assert all(new is old for new, old in zip(model.variables, variables, strict=True))
    x = image(5, 3)
    assert_close(model(x), output_of(module, x))


def test_the_paths_without_a_model_are_those_of_the_model():
    template = LIVE.template(built())
    assert set(plan_for(Net(), "keras").outputs) == set(template.specs)
    assert template.kinds == {"net/0": "linear", "net/2": "linear", "blocks/0": "linear"}
    assert template.containers == {"net": "sequential"}


def test_the_paths_do_not_depend_on_what_was_made_before():
    assert LIVE.template(built()).specs == LIVE.template(built()).specs


def test_names_that_were_given_are_the_paths_where_there_are_no_attributes():
    x = keras.Input((3,))
    inner = keras.Sequential([layers.Dense(4, name="fc1"), layers.Dense(2)], name="body")
    model = keras.Model(x, layers.Dense(2, name="head")(inner(x)))
    assert set(LIVE.template(model).specs) == {
        f"{path}/{name}" for path in ("body/fc1", "body/1", "head") for name in ("kernel", "bias")
    }


def test_the_layers_inside_a_layer_of_keras_have_their_names():
    model = layers.MultiHeadAttention(2, 4)
    model.build((None, 3, 8), (None, 3, 8))
    assert {path.split("/")[0] for path in LIVE.template(model).specs} == {
        "query",
        "key",
        "value",
        "attention_output",
    }


def test_every_variable_has_a_path():
    class Hidden(layers.Layer):
        def __init__(self):
            super().__init__()
            self._parts = [layers.Dense(2)]

        def call(self, x):
            return self._parts[0](x)

    model = built(Hidden())
    assert len(LIVE.template(model).specs) == len(model.variables) == 2


def test_a_model_that_is_not_built_is_an_error_that_names_its_layers():
    model = keras.Sequential([layers.Dense(3), keras.Sequential([layers.Dense(2)], name="body")])
    with pytest.raises(
        UsageError, match=r"not built.*0 \(Dense\).*body/0 \(Dense\).*call the Keras model once"
    ):
        template_of(model, TARGETS["keras"])


def test_what_is_read_is_what_was_written():
    module = randomised(Net())
    model = moved(module, built(), "keras")
    back = (~plan_for(module, "keras", model)).apply(LIVE.read(model))
    for name, tensor in module.state_dict().items():
        assert back[name].tobytes() == tensor.numpy().tobytes()


def test_the_dtype_of_the_variables_is_kept_and_its_bits_are():
    model = layers.Dense(2, dtype="bfloat16")
    model.build((None, 2))
    bits = np.array([0x7F81, 0x0001, 0x8000, 0x3F80], "u2").view(ml_dtypes.bfloat16).reshape(2, 2)
    LIVE.write(model, {"kernel": bits, "bias": np.array([1.5, 2.0], "f4")})
    assert model.kernel.dtype == "bfloat16"
    assert LIVE.read(model)["kernel"].tobytes() == bits.tobytes()
    assert LIVE.read(model)["bias"].astype("f4").tolist() == [1.5, 2.0]


def test_a_leaf_of_another_shape_is_named():
    model = layers.Dense(2)
    model.build((None, 5))
    with pytest.raises(PlanError, match='axis "in" is 3, expected 5'):
        moved(torch.nn.Linear(3, 2), model, "keras")


def test_it_owns_keras_layers_and_models_only():
    assert owner_of(layers.Dense(2)) is TARGETS["keras"]
    assert owner_of(Port()) is TARGETS["keras"]
    assert owner_of(torch.nn.Linear(2, 2)) is None
    assert owner_of(jax.numpy.ones(2)) is None


def chain(count):
    """Make a model of many layers, of which one has a state that is no weight."""
    model = keras.Sequential([layers.Dense(2) for _ in range(count)] + [layers.Dropout(0.5, seed=1)])
    model.build((None, 2))
    return model


@pytest.mark.parametrize("make", [built, lambda: chain(3)])
def test_a_template_holds_the_variables_that_writing_would_look_for(make):
    model = make()
    held, found = LIVE.template(model).held, variables_of(model)
    assert list(held) == list(found)
    assert all(held[path] is variable for path, variable in found.items())


def test_a_load_walks_the_model_once(monkeypatch):
    model, walks = chain(3), []
    state = {f"{i}.{name}": np.full(shape, i, "f4") for i in range(3) for name, shape in SHAPES.items()}
    walk = keras_nodes.nodes
    monkeypatch.setattr(keras_nodes, "nodes", lambda layer: walks.append(layer) or walk(layer))
    monkeypatch.setattr(keras_target, "nodes", keras_nodes.nodes)
    assert ms.load_into(model, state, layers={str(i): "linear" for i in range(3)}) == ([], [])
    assert walks == [model]
    assert [float(layer.bias[0]) for layer in model.layers[:3]] == [0.0, 1.0, 2.0]


SHAPES = {"weight": (2, 2), "bias": (2,)}


def test_what_cannot_be_filled_whole_is_left_as_it_was():
    model = chain(2)
    held = LIVE.template(model).held
    before = {path: np.array(variable.value) for path, variable in held.items()}
    leaves = {path: np.full(array.shape, 7, "f4") for path, array in before.items()}
    leaves[list(leaves)[-1]] = np.zeros((3, 3, 3), "f4")
    with pytest.raises(ValueError, match="shape"):
        LIVE.fill(held, leaves)
    for path, variable in held.items():
        np.testing.assert_array_equal(np.array(variable.value), before[path])


@pytest.mark.parametrize("together", [list, lambda inputs: {one.name: one for one in inputs}])
def test_a_functional_model_of_several_inputs_is_drawn_and_run_as_one_of_several_arguments(together):
    inputs = [keras.Input((4,), name=name) for name in ("one", "two")]
    model = keras.Model(together(inputs), inputs[0] - 2 * inputs[1])
    arrays = [np.full((2, 4), number, "float32") for number in (5, 2)]
    for args, names in ((arrays, {}), ([], dict(zip(("two", "one"), arrays[::-1], strict=True)))):
        assert np.array_equal(called(model, args, names), np.ones((2, 4)))
        graph = draw(model, None, given(names or args))
        values = run(graph, dict(zip(graph.inputs, names.values() or args, strict=True)), graph.outputs)
        assert np.array_equal(values[graph.outputs[0]], np.ones((2, 4)))
