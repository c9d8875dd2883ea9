"""What load_into promises for the live models of every target: all or nothing, and each object stays."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import keras
import mlx.core as mx
import numpy as np
import pytest
import torch
from flax import linen, nnx
from mlx import nn as mlx
from safetensors.numpy import save_file

import ml_switcheroo as ms
from ml_switcheroo.errors import CheckpointError, LoadError, UsageError
from ml_switcheroo.targets import TARGETS
from ml_switcheroo.tensors import spec_of

KEY = jax.random.key(0)


class NnxNet(nnx.Module):
    def __init__(self, dtype):
        self.fc = nnx.Linear(4, 6, param_dtype=dtype, rngs=nnx.Rngs(0))
        self.norm = nnx.LayerNorm(6, param_dtype=dtype, rngs=nnx.Rngs(0))


class LinenNet(linen.Module):
    dtype: Any

    @linen.compact
    def __call__(self, x):
        x = linen.Dense(6, param_dtype=self.dtype, name="fc")(x)
        return linen.LayerNorm(param_dtype=self.dtype, name="norm")(x)


class EqxNet(eqx.Module):
    fc: eqx.nn.Linear
    norm: eqx.nn.LayerNorm


def equinox_net(dtype):
    return EqxNet(eqx.nn.Linear(4, 6, dtype=dtype, key=KEY), eqx.nn.LayerNorm(6, dtype=dtype))


def haiku_net(dtype):
    def function(x):
        return hk.LayerNorm(-1, True, True, name="norm")(hk.Linear(6, name="fc")(x))

    return hk.transform(function).init(KEY, jnp.zeros((1, 4), dtype))


def keras_net(dtype):
    x = keras.Input((4,))
    more = {"dtype": jnp.dtype(dtype).name}
    hidden = keras.layers.Dense(6, name="fc", **more)(x)
    return keras.Model(x, keras.layers.LayerNormalization(name="norm", epsilon=1e-5, **more)(hidden))


class MlxNet(mlx.Module):
    def __init__(self, dtype):
        super().__init__()
        self.fc, self.norm = mlx.Linear(4, 6), mlx.LayerNorm(6)
        self.set_dtype(mx.bfloat16 if dtype == jnp.bfloat16 else mx.float32)


@dataclass(frozen=True)
class Framework:
    """How a model of a target is made, and what in it must stay the same object."""

    make: Callable[[Any], Any]
    objects: Callable[[Any], list[Any]] = lambda _: []


FRAMEWORKS = {
    "nnx": Framework(
        NnxNet, lambda m: [node for _, node in nnx.iter_graph(m) if isinstance(node, nnx.Variable)]
    ),
    "linen": Framework(lambda dtype: LinenNet(dtype).init(KEY, jnp.zeros((1, 4)))),
    "equinox": Framework(equinox_net),
    "haiku": Framework(haiku_net),
    "keras": Framework(keras_net, lambda m: list(m.variables)),
    "mlx": Framework(MlxNet, lambda m: [m.fc, m.norm]),
}
everywhere = pytest.mark.parametrize("to", FRAMEWORKS)


def net():
    made = torch.nn.Sequential()
    made.add_module("fc", torch.nn.Linear(4, 6))
    made.add_module("norm", torch.nn.LayerNorm(6))
    for tensor in made.parameters():
        torch.nn.init.normal_(tensor)
    return made


def bits(to, model):
    return {
        path: (spec_of(leaf), np.array(leaf).tobytes()) for path, leaf in TARGETS[to].live.read(model).items()
    }


def loaded(to, model, state, layers, **more):
    """Load, and return the model that has the weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an epsilon that differs
        new = ms.load_into(model, state, to=to, layers=layers, **more)
    return new if TARGETS[to].live.immutable else model


@everywhere
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_objects_and_dtypes_are_the_models_own_and_the_old_tree_stays(to, dtype):
    made, model = net(), FRAMEWORKS[to].make(dtype)
    objects, before = FRAMEWORKS[to].objects(model), bits(to, model)
    new = loaded(to, model, made.state_dict(), made)
    after = bits(to, new)
    assert {path: spec for path, (spec, _) in after.items()} == {
        path: spec for path, (spec, _) in before.items()
    }
    assert all(after[path] != before[path] for path in after)
    back = ms.to_torch(new, like=made.state_dict(), to=to, layers=made)
    stored = {
        name: tensor.to(getattr(torch, jnp.dtype(dtype).name)) for name, tensor in made.state_dict().items()
    }
    assert all(torch.equal(back[name], tensor.float()) for name, tensor in stored.items())
    if TARGETS[to].live.immutable:
        assert bits(to, model) == before
        assert type(new) is type(model)
        assert jax.tree.structure(new) == jax.tree.structure(model)
    else:
        assert objects
        assert all(one is other for one, other in zip(FRAMEWORKS[to].objects(model), objects, strict=True))


@everywhere
def test_a_loaded_model_shares_no_memory_with_what_it_was_loaded_from(to):
    made, model = net(), FRAMEWORKS[to].make(jnp.float32)
    new = loaded(to, model, made.state_dict(), made)
    before = bits(to, new)
    with torch.no_grad():
        for tensor in made.parameters():
            tensor.fill_(7)
    assert bits(to, new) == before


@everywhere
@pytest.mark.parametrize("strict", [True, False])
def test_every_shape_is_checked_before_anything_is_written(to, strict):
    made, model = net(), FRAMEWORKS[to].make(jnp.float32)
    state, before = made.state_dict(), bits(to, model)
    state["norm.bias"] = torch.zeros(7)  # the last one
    if strict:
        with pytest.raises(LoadError, match=r"norm.bias float32\[7\]: .* is 7, expected 6"):
            loaded(to, model, state, made)
    else:
        model = loaded(to, model, state, made, strict=False)
        name = next(path for path in before if path.endswith(("norm.bias", "norm/bias", "beta", "offset")))
        assert [path for path, found in bits(to, model).items() if found == before[path]] == [name]
        return
    assert bits(to, model) == before


class Unreadable:
    """A tensor of a checkpoint whose file has gone."""

    shape, dtype = (6,), "float32"

    def read(self):
        raise OSError("the file is no longer there")


@everywhere
def test_a_failure_halfway_leaves_every_leaf_as_it_was(to):
    made, model = net(), FRAMEWORKS[to].make(jnp.float32)
    objects, before = FRAMEWORKS[to].objects(model), bits(to, model)
    for name in ("fc.bias", "norm.weight", "norm.bias"):
        state = {**made.state_dict(), name: Unreadable()}
        with pytest.raises(OSError, match="no longer there"):
            loaded(to, model, state, made)
        assert bits(to, model) == before
    assert all(one is other for one, other in zip(FRAMEWORKS[to].objects(model), objects, strict=True))


@everywhere
def test_a_file_that_is_cut_off_while_it_is_loaded_changes_nothing(to, tmp_path):
    made, model = net(), FRAMEWORKS[to].make(jnp.float32)
    before, path = bits(to, model), tmp_path / "net.pt"
    torch.save(made.state_dict(), path)
    with ms.open_checkpoint(path) as checkpoint:
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(CheckpointError):
            loaded(to, model, checkpoint, made)
    assert bits(to, model) == before


def test_an_unbuilt_keras_model_is_a_clear_error():
    made, model = net(), keras.Sequential([keras.layers.Dense(6, name="fc")])
    with pytest.raises(
        UsageError, match=r"not built, so without variables: .*fc \(Dense\).*call the Keras model"
    ):
        ms.load_into(model, made.state_dict(), layers=made)


SHARDED = """
import warnings
import sys
sys.path[:0] = {paths!r}
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import jax.numpy as jnp
import equinox as eqx
from flax import nnx
import ml_switcheroo as ms
from test_load_guarantees import FRAMEWORKS, TARGETS, loaded, net

warnings.simplefilter("ignore")
assert len(jax.devices()) == 2
mesh = Mesh(np.array(jax.devices()), ("x",))
rows = NamedSharding(mesh, P("x"))
for to in ("nnx", "linen", "equinox", "haiku"):
    model = FRAMEWORKS[to].make(jnp.bfloat16)
    if to == "nnx":
        for variable in (model.fc.kernel, model.fc.bias):
            variable.set_value(jax.device_put(variable.get_value(), rows))
    else:
        model = jax.tree.map(lambda leaf: jax.device_put(leaf, rows), model)
    made = net()
    new = loaded(to, model, made.state_dict(), made)
    kernel = {{
        "nnx": lambda: new.fc.kernel.get_value(),
        "linen": lambda: new["params"]["fc"]["kernel"],
        "equinox": lambda: new.fc.weight.T,
        "haiku": lambda: new["fc"]["w"],
    }}[to]()
    leaf = new.fc.weight if to == "equinox" else kernel
    assert leaf.sharding == rows and leaf.dtype == jnp.bfloat16, (to, leaf.sharding)
    assert len({{shard.device for shard in leaf.addressable_shards}}) == 2
    expected = made.fc.weight.detach().bfloat16().float().numpy().T
    np.testing.assert_array_equal(np.asarray(kernel.astype("f4")), expected)
    print("OK", to)
"""


def test_the_sharding_over_two_devices_is_kept():
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    code = SHARDED.format(paths=[str(Path(__file__).parent), *sys.path])
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["OK", "nnx", "OK", "linen", "OK", "equinox", "OK", "haiku"]


@everywhere
def test_progress_ends_with_the_bytes_of_all_leaves(to):
    made, model, seen = net(), FRAMEWORKS[to].make(jnp.bfloat16), []
    loaded(to, model, made.state_dict(), made, progress=lambda *now: seen.append(now))
    total = sum(spec.nbytes for spec, _ in bits(to, model).values())
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (total, total)


WIDE = {"a": (300, 500), "b": (500, 300), "c": (300, 500), "one": (500, 1), "last": (1, 900)}
"""The width of what comes in and goes out: large enough for threads, or of a single row or column."""


class NnxWide(nnx.Module):
    def __init__(self):
        for name, (size_in, size_out) in WIDE.items():
            setattr(self, name, nnx.Linear(size_in, size_out, rngs=nnx.Rngs(0)))


class MlxWide(mlx.Module):
    def __init__(self):
        super().__init__()
        for name, sizes in WIDE.items():
            self[name] = mlx.Linear(*sizes)


def keras_wide():
    layers = {name: (keras.Input((size,)), out) for name, (size, out) in WIDE.items()}
    outputs = [keras.layers.Dense(out, name=name)(x) for name, (x, out) in layers.items()]
    return keras.Model([x for x, _ in layers.values()], outputs)


def equinox_wide():
    return {name: eqx.nn.Linear(*sizes, key=KEY) for name, sizes in WIDE.items()}


LARGE = {
    "nnx": NnxWide,
    "nnx without values": lambda: nnx.eval_shape(NnxWide),
    "equinox": lambda: EqxNet(equinox_wide(), None),
    "keras": keras_wide,
    "mlx": MlxWide,
}


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_a_loaded_model_has_no_part_of_the_file_or_of_what_it_was_read_through(case, kind, tmp_path):
    to, path = case.partition(" ")[0], tmp_path / f"net.{kind}"
    prefix = "fc." if to == "equinox" else ""
    draw = np.random.default_rng(0)
    state = {}
    for name, (size_in, size_out) in WIDE.items():
        state[f"{prefix}{name}.weight"] = draw.standard_normal((size_out, size_in), "f4")
        state[f"{prefix}{name}.bias"] = draw.standard_normal(size_out, "f4")
    if kind == "pt":
        torch.save({name: torch.from_numpy(array) for name, array in state.items()}, path)
    else:
        save_file(state, path)
    new = loaded(to, LARGE[case](), path, None)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    back = ms.to_torch(new, like=state, to=to)
    assert all(np.array_equal(back[name], array) for name, array in state.items())


TENSORFLOW = """
import os
import sys
import warnings
os.environ["KERAS_BACKEND"] = "tensorflow"
sys.path[:0] = {paths!r}
import keras
import numpy as np
import ml_switcheroo as ms

assert keras.backend.backend() == "tensorflow"
draw = np.random.default_rng(0)
for dtype in ("float32", "bfloat16", "float16"):
    layers = [keras.layers.Dense(500, dtype=dtype, name=name) for name in "abc"]
    layers += [keras.layers.Conv2D(70, 3, dtype=dtype, name="conv"), keras.layers.Dense(1, name="one")]
    shapes = {{**dict.fromkeys("abc", (300,)), "conv": (8, 8, 30), "one": (900,)}}
    inputs = [keras.Input(shapes[layer.name]) for layer in layers]
    model = keras.Model(inputs, [layer(x) for layer, x in zip(layers, inputs)])
    state = {{
        f"{{layer.name}}.{{slot}}": draw.standard_normal(shape, "f4").astype("f2").astype("f4")
        for layer in layers
        for slot, shape in (
            ("weight", layer.kernel.shape[::-1] if layer.name != "conv" else (70, 30, 3, 3)),
            ("bias", layer.bias.shape),
        )
    }}
    seen, variables = [], [layer.kernel for layer in layers]
    ms.load_into(model, {{n: np.array(a) for n, a in state.items()}}, progress=lambda *now: seen.append(now))
    assert seen[-1][0] == seen[-1][1] > 0
    for layer, variable in zip(layers, variables):
        weight = state[f"{{layer.name}}.weight"]
        turned = weight.transpose(2, 3, 1, 0) if layer.name == "conv" else weight.T
        assert layer.kernel is variable
        expected = keras.ops.cast(keras.ops.convert_to_tensor(turned), layer.kernel.dtype)
        assert np.array_equal(keras.ops.cast(layer.kernel, "float32"), keras.ops.cast(expected, "float32"))
    print("OK", dtype)
"""


def test_keras_on_tensorflow_is_filled():
    pytest.importorskip("tensorflow")
    code = TENSORFLOW.format(paths=list(sys.path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["OK", "float32", "OK", "bfloat16", "OK", "float16"]
