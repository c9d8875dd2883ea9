"""Scripts as people write them: run with PyTorch, rewritten, and run with the port; the outputs agree."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import textwrap
import warnings

import equinox as eqx
import jax
import numpy as np
import pytest
import torch
from flax import nnx
from mlx import core as mx
from mlx import nn as mnn

from ml_switcheroo.core.rewriter import rewrite

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras


class TorchNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = torch.nn.Linear(3, 4)
        self.norm = torch.nn.LayerNorm(4)
        self.fc2 = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.fc2(self.norm(self.fc1(x)))


class NnxNet(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.fc1 = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.LayerNorm(4, epsilon=1e-5, rngs=rngs)
        self.fc2 = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        return self.fc2(self.norm(self.fc1(x)))


class KerasNet(keras.Model):
    def __init__(self):
        super().__init__()
        self.fc1 = keras.layers.Dense(4)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.fc2 = keras.layers.Dense(2)
        self(np.zeros((1, 3), np.float32))

    def call(self, x):
        return self.fc2(self.norm(self.fc1(x)))


class MlxNet(mnn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = mnn.Linear(3, 4)
        self.norm = mnn.LayerNorm(4)
        self.fc2 = mnn.Linear(4, 2)

    def __call__(self, x):
        return self.fc2(self.norm(self.fc1(x)))


class EqxNet(eqx.Module):
    fc1: eqx.nn.Linear
    norm: eqx.nn.LayerNorm
    fc2: eqx.nn.Linear

    def __init__(self):
        keys = jax.random.split(jax.random.key(0))
        self.fc1 = eqx.nn.Linear(3, 4, key=keys[0])
        self.norm = eqx.nn.LayerNorm(4)
        self.fc2 = eqx.nn.Linear(4, 2, key=keys[1])

    def __call__(self, x):
        return jax.vmap(lambda row: self.fc2(self.norm(self.fc1(row))))(x)


PORTS = {
    "nnx": (NnxNet, np.asarray),
    "keras": (KerasNet, np.asarray),
    "mlx": (MlxNet, lambda x: mx.array(x)),
    "equinox": (EqxNet, np.asarray),
}

SCRIPTS = {
    "load": """
        import torch
        model = Net()
        model.load_state_dict(torch.load(plain, map_location="cpu"))
        y = model(x)
    """,
    "part of a checkpoint": """
        import torch
        ckpt = torch.load(whole)
        model = Net()
        model.load_state_dict(ckpt["model"], strict=True)
        y = model(x)
    """,
    "prefixes stripped, head renamed": """
        import torch
        model = Net()
        state = {k.replace("module.", ""): v for k, v in torch.load(wrapped).items()}
        state["fc2.weight"] = state.pop("head.weight")
        state["fc2.bias"] = state.pop("head.bias")
        model.load_state_dict(state)
        y = model(x)
    """,
    "trainer": """
        import torch
        class Trainer:
            def __init__(self, model):
                self.model = model
            def resume(self, path):
                self.model.load_state_dict(torch.load(path))
        trainer = Trainer(Net())
        trainer.resume(plain)
        y = trainer.model(x)
    """,
    "factory": """
        import torch
        def build(path):
            model = Net()
            model.load_state_dict(torch.load(path), False)
            return model
        y = build(plain)(x)
    """,
    "mended": """
        import torch
        model = Net()
        model = model.load_state_dict(torch.load(plain))
        y = model(x)
    """,
    "target network": """
        import torch
        model = Net()
        model.load_state_dict(torch.load(plain))
        target = Net()
        target.load_state_dict(model.state_dict())
        y = target(x)
    """,
    "report": """
        import torch
        model = Net()
        state = torch.load(plain)
        state["extra.weight"] = state["fc1.weight"] * 1
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert missing == [] and unexpected == ["extra.weight"], (missing, unexpected)
        try:
            model.load_state_dict(state)
        except RuntimeError:
            failed = True
        assert failed
        y = model(x)
    """,
    "both kinds side by side": """
        import torch
        ckpt = torch.load(whole)
        model = Net()
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        for name in ("model", "optimizer"):
            if name == "model":
                model.load_state_dict(ckpt[name])
            else:
                optimizer.load_state_dict(ckpt[name])
        assert optimizer.param_groups[0]["lr"] == 0.5
        y = model(x)
    """,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("checkpoints")
    state = TorchNet().state_dict()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    wrapped = {f"module.{name.replace('fc2', 'head')}": value for name, value in state.items()}
    saved = {
        "plain": state,
        "whole": {"model": state, "optimizer": optimizer.state_dict()},
        "wrapped": wrapped,
    }
    for name, value in saved.items():
        torch.save(value, folder / f"{name}.pt")
    return {name: folder / f"{name}.pt" for name in saved}


def run(code, net, x, files):
    names = {"Net": net, "x": x, **files}
    exec(compile(code, "<script>", "exec"), names)
    return np.asarray(names["y"].detach() if hasattr(names["y"], "detach") else names["y"])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on JAX
@pytest.mark.parametrize("to", PORTS)
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_rewritten_script_gives_the_outputs_of_the_old_one(name, to, files):
    before = textwrap.dedent(SCRIPTS[name])
    after = rewrite(before, to)
    assert after.code != before
    if to == "equinox" and name == "report":
        assert "the result of this call is used" in after.notes[0].text
        return
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    source = before.replace("model = model.load", "model.load")  # what it means
    expected = run(source, TorchNet, torch.from_numpy(x), files)
    port, convert = PORTS[to]
    assert np.allclose(run(after.code, port, convert(x), files), expected, atol=1e-5)


@pytest.mark.parametrize("to", PORTS)
@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in ("target network", "report")])
def test_the_rewritten_script_still_runs_before_the_port(name, to, files):
    before = textwrap.dedent(SCRIPTS[name])
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    source = before.replace("model = model.load", "model.load")
    expected = run(source, TorchNet, x, files)
    assert np.array_equal(run(rewrite(before, to).code, TorchNet, x, files), expected)
