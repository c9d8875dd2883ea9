"""``torch.load`` becomes ``KeyMapper.read`` where its result goes into a rewritten call alone."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

import ml_switcheroo
from ml_switcheroo.codemod.rewriter import rewrite
from ml_switcheroo.runtime import KeyMapper
from rewriting import check_rewritten, check_unchanged


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("net.load_state_dict(torch.load(p))", "KeyMapper.load_into(net, KeyMapper.read(p))"),
        (
            "net.load_state_dict(torch.load(p, map_location='cpu', weights_only=True), strict=False)",
            "KeyMapper.load_into(net, KeyMapper.read(p), strict=False)",
        ),
        (
            "net.load_state_dict(torch.load(f=p)['model'])",
            'KeyMapper.load_into(net, KeyMapper.read(p, "model"))',
        ),
        (
            "sd = torch.load(p)\nnet.load_state_dict(sd)",
            "sd = KeyMapper.read(p)\nKeyMapper.load_into(net, sd)",
        ),
        (
            "sd = torch.load(p)\nsd = {k[7:]: v for k, v in sd.items()}\nnet.load_state_dict(sd)",
            "sd = KeyMapper.read(p)\nsd = {k[7:]: v for k, v in sd.items()}\nKeyMapper.load_into(net, sd)",
        ),
        (
            "sd = torch.load(p)['model']\nnet.load_state_dict(sd)",
            'sd = KeyMapper.read(p, "model")\nKeyMapper.load_into(net, sd)',
        ),
        (
            "sd = torch.load(p)\nfor k in list(sd):\n    sd[k[7:]] = sd.pop(k)\nnet.load_state_dict(sd)",
            "sd = KeyMapper.read(p)\nfor k in list(sd):\n    sd[k[7:]] = sd.pop(k)\n"
            "KeyMapper.load_into(net, sd)",
        ),
        (
            "sd = torch.load(p)\ndel sd['head.weight']\nnet.load_state_dict(sd, strict=False)",
            "sd = KeyMapper.read(p)\ndel sd['head.weight']\nKeyMapper.load_into(net, sd, strict=False)",
        ),
        (
            "with open(p, 'rb') as f:\n    net.load_state_dict(torch.load(f))",
            "with open(p, 'rb') as f:\n    KeyMapper.load_into(net, KeyMapper.read(f))",
        ),
    ],
)
def test_reads_that_feed_a_model(before, after):
    check_rewritten(f"import torch\n{before}\n", f"import torch\n#KEYMAPPER{after}\n", no_torch=True)


STAY = {
    "several parts": "c = torch.load(p)\nnet.load_state_dict(c['model'])",
    "perhaps parts": "c = torch.load(p)\nif 'model' in c:\n    c = c['model']\nnet.load_state_dict(c)",
    "another pickle": "net.load_state_dict(torch.load(p, pickle_module=dill))",
    "from memory": "net.load_state_dict(torch.load(io.BytesIO(content)))",
    "values changed": "c = torch.load(p)\nc = {k: v.float() for k, v in c.items()}\nnet.load_state_dict(c)",
    "values made": "c = torch.load(p)\nc['w'] = torch.cat([c['a'], c['b']])\nnet.load_state_dict(c)",
    "given away": "c = torch.load(p)\ninflate(c)\nnet.load_state_dict(c)",
}


@pytest.mark.parametrize("name", STAY)
def test_reads_that_need_torch_stay(name):
    code = f"import torch\n{STAY[name]}\n"
    head, _, tail = code.rpartition("net.load_state_dict(")
    note = "2: what torch.load reads here goes elsewhere"
    after = f"{head}KeyMapper.load_into(net, {tail}".replace("import torch\n", "import torch\n#KEYMAPPER")
    check_rewritten(code, after, no_torch=True, notes=[note])


def test_what_is_mapped_into_memory_is_read_with_a_note():
    check_rewritten(
        "import torch\nnet.load_state_dict(torch.load(p, mmap=True))\n",
        "import torch\n#KEYMAPPERKeyMapper.load_into(net, KeyMapper.read(p))\n",
        no_torch=True,
        notes=["2: mmap= is dropped"],
    )


@pytest.mark.parametrize(
    "code", ["x = torch.load(p)\nprint(x)", "x = torch.load(p)\nprint(load_state_dict, x)"]
)
def test_other_files_are_read_as_before(code):
    check_unchanged(f"import torch\n{code}\n", no_torch=True, notes=["2: goes elsewhere"])
    check_unchanged(f"import torch\n{code}\n")


def test_a_read_that_feeds_an_optimizer_stays():
    check_unchanged(
        "import torch\noptimizer.load_state_dict(torch.load(p))\n",
        notes=["2: is an optimizer", "2: goes elsewhere"],
        no_torch=True,
    )


def test_read_gives_what_torch_saved(tmp_path):
    state = torch.nn.Linear(2, 3).state_dict()
    torch.save(state, tmp_path / "a.pt")
    torch.save({"model": state, "epoch": 3}, tmp_path / "b.pt")
    with (tmp_path / "a.pt").open("rb") as opened:
        whole = KeyMapper.read(opened)
    for found in (whole, KeyMapper.read(tmp_path / "a.pt"), KeyMapper.read(tmp_path / "b.pt", "model")):
        assert found.keys() == state.keys()
        assert all(np.array_equal(found[name], state[name].numpy()) for name in state)


def test_a_script_runs_without_torch(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(3, 2))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    before = textwrap.dedent(
        """
        import sys
        sys.modules["torch"] = None
        import jax
        from flax import nnx

        net = nnx.Sequential(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
        net.load_state_dict(torch.load("net.pt", map_location="cpu"))
        print(net(jax.numpy.ones((1, 3))).tolist())
        """
    )
    (tmp_path / "run.py").write_text(rewrite(before, no_torch=True).code)
    done = subprocess.run(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(ml_switcheroo.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        assert np.allclose(eval(done.stdout), net(torch.ones(1, 3)).tolist(), atol=1e-6)
