"""Files laid out by the live model, against what Keras itself writes and loads."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats.hdf5_writer import Hdf5Layout, write_hdf5
from ml_switcheroo.targets.keras_file import layout_of
from ml_switcheroo.targets.keras_nodes import variables_of
from ml_switcheroo.tensors import spec_of

keras = pytest.importorskip("keras")

# Keras's own, where it saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Block(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.fc = keras.layers.Dense(4)
        self.many = [keras.layers.Dense(4), [keras.layers.Dense(4)], keras.layers.BatchNormalization()]
        self.named = {"b": keras.layers.Dense(4, use_bias=False), "a": keras.layers.LayerNormalization()}
        self.drop = keras.layers.Dropout(0.5)
        self.table = keras.layers.Embedding(5, 4, dtype="bfloat16")
        self.both = keras.layers.Bidirectional(keras.layers.LSTM(3, dropout=0.1))
        self.attention = keras.layers.MultiHeadAttention(2, 2)

    def call(self, x: Any) -> Any:
        x = self.fc(x) + self.table(keras.ops.zeros((2, 3), "int32"))
        for layer in (self.many[0], self.many[1][0], self.many[2], *self.named.values(), self.drop):
            x = layer(x)
        return self.both(self.attention(x, x))


def functional() -> Any:
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(4, 3, name="stem")(x)
    y = keras.Sequential(
        [keras.layers.SeparableConv2D(5, 3), keras.layers.BatchNormalization()], name="body"
    )(y)
    return keras.Model(x, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(y)))


def block() -> Any:
    model = Block()
    model(np.ones((2, 3, 4), np.float32))
    return model


def contents(path: Path) -> dict[str, Any]:
    """Return every group and dataset with its attributes and bytes, without our own attribute."""
    found: dict[str, Any] = {}

    def note(name: str, item: Any) -> None:
        attributes = {key: value for key, value in item.attrs.items() if not key.startswith("ml_switcheroo")}
        is_data = isinstance(item, h5py.Dataset)
        found[name] = (attributes, (item.shape, item.dtype, item[()].tobytes()) if is_data else None)

    with h5py.File(path) as file:
        file.visititems(note)
    return found


@pytest.mark.parametrize("make", [block, functional])
def test_the_file_is_the_one_that_keras_writes(tmp_path: Path, make: Any) -> None:
    model = make()
    model.save_weights(tmp_path / "real.weights.h5")
    leaves = {
        path: np.asarray(keras.ops.convert_to_numpy(leaf.value)) for path, leaf in variables_of(model).items()
    }
    layout = layout_of(model)
    write_hdf5(
        tmp_path / "our.weights.h5",
        {path: spec_of(leaf) for path, leaf in leaves.items()},
        leaves.items(),
        layout=Hdf5Layout(layout.places, layout.groups, layout.rest),
    )
    assert contents(tmp_path / "our.weights.h5") == contents(tmp_path / "real.weights.h5")
    for variable in variables_of(model).values():
        variable.assign(np.full(variable.shape, 7))
    model.load_weights(tmp_path / "our.weights.h5")
    for path, variable in variables_of(model).items():
        np.testing.assert_array_equal(np.asarray(variable.value), leaves[path])


def test_what_keras_keeps_beside_the_weights_comes_from_the_model() -> None:
    model = functional()
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    rest = layout_of(model).rest
    assert {name.partition("/")[0] for name in rest} == {"optimizer"}
    assert len(rest) == len(model.optimizer.variables)


def test_a_layer_that_writes_in_its_own_way_is_refused() -> None:
    class Own(keras.layers.Dense):
        def save_own_variables(self, store: Any) -> None:
            store["mine"] = np.asarray(self.kernel) * 2

    model = keras.Sequential([keras.Input((3,)), Own(2)])
    with pytest.raises(UsageError, match=r"2 variables .* save_own_variables.*: own/bias, own/kernel|0/"):
        layout_of(model)


def test_a_model_that_is_not_built_is_refused() -> None:
    with pytest.raises(UsageError, match="not built"):
        layout_of(Block())
