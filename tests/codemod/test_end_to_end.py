"""Scripts as people write them: run with PyTorch, rewritten, and run with the port; the outputs agree."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect
import json
import shutil
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest
import torch
from flax import nnx
from mlx import core as mx
from mlx import nn as mnn

import ml_switcheroo
from ml_switcheroo.codemod.repository import rewrite_paths
from ml_switcheroo.codemod.rewriter import rewrite

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
    "printed": """
        import torch
        model = Net()
        state = torch.load(plain)
        state["aux.weight"] = state["fc1.weight"] * 2
        print(model.load_state_dict(state, strict=False))
        y = model(x)
    """,
    "key deleted": """
        import torch
        model = Net()
        state = torch.load(plain)
        state["aux.weight"] = state["fc1.weight"] * 2
        for key in list(state):
            if key.startswith("aux"):
                del state[key]
        model.load_state_dict(state)
        y = model(x)
    """,
    "perhaps wrapped": """
        import torch
        parallel = False
        model = Net()
        (model.module if parallel else model).load_state_dict(torch.load(plain))
        y = model(x)
    """,
    "class method": """
        import torch
        class Factory:
            @classmethod
            def from_pretrained(cls, path):
                model = Net()
                model.load_state_dict(torch.load(path), strict=True)
                return model
        y = Factory.from_pretrained(plain)(x)
    """,
    "first try, then loosely": """
        import torch
        model = Net()
        state = torch.load(plain)
        state["aux.weight"] = state["fc1.weight"] * 2
        try:
            model.load_state_dict(state)
        except RuntimeError:
            model.load_state_dict(state, strict=False)
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
    "prefix stripped": """
        import torch
        model = Net()
        state = torch.load(student)
        state = {k.removeprefix("student.backbone."): v for k, v in state.items() if "backbone" in k}
        model.load_state_dict(state, strict=True)
        y = model(x)
    """,
    "head dropped": """
        import torch
        model = Net()
        state = torch.load(plain)
        head = {name: state.pop(name) for name in ("fc2.weight", "fc2.bias")}
        msg = model.load_state_dict(state, strict=False)
        assert set(msg.missing_keys) == {"fc2.weight", "fc2.bias"}, msg
        print("trained anew:", msg.missing_keys)
        rest = model.load_state_dict(head, strict=False)
        assert "fc1.weight" in rest.missing_keys and not rest.unexpected_keys
        y = model(x)
    """,
    "report asserted": """
        import torch
        model = Net()
        state = torch.load(plain)
        state["aux.bias"] = state["fc1.bias"] * 1
        incompatible = model.load_state_dict(state, strict=False)
        assert not incompatible.missing_keys
        assert incompatible.unexpected_keys == ["aux.bias"], incompatible
        del state["aux.bias"]
        assert model.load_state_dict(state) == ([], [])
        y = model(x)
    """,
    "EMA": """
        import torch
        model = Net()
        model.load_state_dict(torch.load(plain))
        ema_model = Net()
        ema_model.load_state_dict(model.state_dict(), strict=True)
        model.load_state_dict(torch.load(other))
        y = ema_model(x)
    """,
    "in a trainer": """
        import torch
        class Trainer:
            def __init__(self, model, path):
                self.model = model
                self.epoch = 0
                if path:
                    self.load(path)
            def load(self, path):
                checkpoint = torch.load(path)
                self.epoch = checkpoint["epoch"]
                missing, unexpected = self.model.load_state_dict(checkpoint["model"], strict=False)
                assert not missing and not unexpected
            def evaluate(self, x):
                return self.model(x)
        trainer = Trainer(Net(), whole)
        assert trainer.epoch == 3
        y = trainer.evaluate(x)
    """,
    "partial load": """
        import torch
        model = Net()
        model.load_state_dict(torch.load(other))
        state = torch.load(plain)
        model.load_state_dict({k: v for k, v in state.items() if k.startswith(("fc1", "norm"))}, strict=False)
        model.load_state_dict({k: v for k, v in state.items() if k.startswith("fc2")}, False)
        y = model(x)
    """,
    "from a URL": """
        import pathlib
        import torch
        model = Net()
        folder = pathlib.Path(plain).parent
        url = pathlib.Path(plain).as_uri()
        state = torch.hub.load_state_dict_from_url(url, model_dir=str(folder / "hub"), progress=False)
        model.load_state_dict(state)
        y = model(x)
    """,
    "in memory": """
        import io
        import torch
        model = Net()
        with open(plain, "rb") as stream:
            buffer = io.BytesIO(stream.read())
        model.load_state_dict(torch.load(buffer, map_location="cpu"))
        y = model(x)
    """,
    "resumed": """
        import torch
        def resume(path, model, optimizer):
            checkpoint = torch.load(path)
            model.load_state_dict(checkpoint["model"])
            optimizer.load_state_dict(checkpoint["optimizer"])
            return model, checkpoint["epoch"] + 1
        model = Net()
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        model, epoch = resume(whole, model, optimizer)
        assert (epoch, optimizer.param_groups[0]["lr"]) == (4, 0.5)
        y = model(x)
    """,
    "guarded": """
        import torch
        import torch.distributed as dist
        rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        model = Net()
        if rank == 0:
            model.load_state_dict(torch.load(plain, map_location=f"cuda:{rank}" if rank else "cpu"))
        if dist.is_available() and dist.is_initialized():
            dist.barrier()
        y = model(x)
    """,
    "resumed by somebody else": """
        import torch
        def restore(path, model):
            model.load_state_dict(torch.load(path))
            return model, 3
        model = Net()
        restore(plain, model)
        y = model(x)
    """,
}

# Models of Equinox never change, and there the new one would not reach who uses the old one.
NOT_ANEW = {
    "perhaps wrapped": "this expression cannot be assigned to",
    "resumed by somebody else": "goes on with the model",
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
        "other": TorchNet().state_dict(),
        "student": {f"student.backbone.{name}": value for name, value in state.items()}
        | {"loss.w": state["norm.bias"]},
        "whole": {"model": state, "optimizer": optimizer.state_dict(), "epoch": 3},
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
    assert (after.code != before) == (to != "equinox" or name not in NOT_ANEW)
    if to == "equinox" and name in NOT_ANEW:
        assert NOT_ANEW[name] in after.notes[0].text
        return
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    source = before.replace("model = model.load", "model.load")  # what it means
    expected = run(source, TorchNet, torch.from_numpy(x), files)
    port, convert = PORTS[to]
    assert np.allclose(run(after.code, port, convert(x), files), expected, atol=1e-5)


@pytest.mark.parametrize("to", PORTS)
@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in NOT_ANEW])
def test_the_rewritten_script_still_runs_before_the_port(name, to, files):
    before = textwrap.dedent(SCRIPTS[name])
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    source = before.replace("model = model.load", "model.load")
    expected = run(source, TorchNet, x, files)
    assert np.array_equal(run(rewrite(before, to).code, TorchNet, x, files), expected)


# ---- as programs: the scripts and the port in files, run by Python ---------------------------------

IMPORTS = {
    "torch": "import torch",
    "nnx": "from flax import nnx",
    "keras": "import keras\nimport numpy as np",
    "mlx": "from mlx import core as mx, nn as mnn",
    "equinox": "import equinox as eqx\nimport jax",
}
INPUT = {"torch": "torch.from_numpy(numpy.load('x.npy'))", "mlx": "mx.array(numpy.load('x.npy'))"}
RUNNER = """
import json, runpy, sys, warnings
import numpy as np
warnings.simplefilter("ignore")

class NoTorch:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is not installed")

if sys.argv[1] == "without torch":
    sys.meta_path.insert(0, NoTorch)
answers = {}
for script in sys.argv[2:]:
    y = runpy.run_path(script)["y"]
    answers[script] = np.asarray(y.detach() if hasattr(y, "detach") else y).tolist()
print("ANSWERS" + json.dumps(answers))
"""
SAVED = """
import torch
model = Net()
model.load_state_dict(torch.load(plain))
torch.save({"model": model.state_dict(), "epoch": 3}, "again.pt")
other_model = Net()
other_model.load_state_dict(torch.load("again.pt")["model"])
y = other_model(x)
"""
TORCHLESS = """
import torch
model = Net()
state = torch.load(wrapped, map_location="cpu")
state = {k.replace("module.", ""): v for k, v in state.items()}
for name in ("weight", "bias"):
    state["fc2." + name] = state.pop("head." + name)
model.load_state_dict(state)
y = model(x)
"""


def write_net(folder, framework, net, files):
    """Write ``net.py``: the model, and what the scripts take from it."""
    code = f"import numpy\n{IMPORTS[framework]}\n\n{inspect.getsource(net)}\nNet = {net.__name__}\n"
    code += f"x = {INPUT.get(framework, 'numpy.load(' + repr('x.npy') + ')')}\n"
    code += "".join(f"{name} = {str(path)!r}\n" for name, path in files.items())
    (folder / "net.py").write_text(code)


def run_scripts(folder, scripts, mode="-"):
    paths = [str(Path(ml_switcheroo.__file__).parents[1]), str(folder)]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, mode, *scripts],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("ANSWERS")[2])


@pytest.fixture(scope="module")
def project(tmp_path_factory, files):
    """Write a repository that uses PyTorch; return it with what its scripts compute."""
    folder = tmp_path_factory.mktemp("project")
    write_net(folder, "torch", TorchNet, files)
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    head = "from net import Net, other, plain, student, whole, wrapped, x\n"
    programs = {**SCRIPTS, "saved": SAVED, "torchless": TORCHLESS}
    for name, code in programs.items():
        (folder / f"{name.replace(' ', '_')}.py").write_text(head + textwrap.dedent(code))
    scripts = sorted(path.name for path in folder.glob("*.py") if path.name not in ("net.py", "mended.py"))
    return folder, run_scripts(folder, scripts)


@pytest.mark.parametrize("to", PORTS)
def test_a_repository_is_rewritten_and_its_programs_run_with_the_port(to, project, files, tmp_path):
    folder, expected = project
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    left = set()
    for done in rewrite_paths([tmp_path], to, save=True):
        done.write()
        left |= {
            done.path.name for note in done.rewrite.notes for why in NOT_ANEW.values() if why in note.text
        }
    reading = (folder / "torchless.py").read_text()
    code = rewrite(reading, to, no_torch=True).code.replace("import torch\n", "")
    (tmp_path / "torchless.py").write_text(code)
    write_net(tmp_path, to, PORTS[to][0], files)
    scripts = sorted(set(expected) - left - {"torchless.py"})
    assert len(scripts) >= 10
    assert bool(left) == (to == "equinox")
    found = run_scripts(tmp_path, scripts) | run_scripts(tmp_path, ["torchless.py"], "without torch")
    for name, answer in found.items():
        assert np.allclose(answer, expected[name], atol=1e-5), name
