"""Which names hold a tensor with the same storage, held against what torch does to them."""

from __future__ import annotations

import ast
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ml_switcheroo.sources.static.reading.entry import observe_forward
from sources.reading import HEAD

MODEL = """
def change(t):
    return t.add_(1)

class Inner(nn.Module):
    def forward(self, z):
        return z.mul_(2)

class Net(nn.Module):
    def __init__(self, flag):
        super().__init__()
        self.relu, self.inplace = nn.ReLU(), nn.ReLU(inplace=True)
        self.flat, self.same, self.norm = nn.Flatten(), nn.Identity(), nn.BatchNorm1d(4)
        self.both = nn.Sequential(nn.ReLU(), nn.Identity())
        self.inner = Inner()
        self.flag, self.kept = flag, None

    def forward(self, x):
{}
        return target
"""


def held(folder, code, text="target", cls="Net"):
    """Return the names that may hold the storage of an expression at the end."""
    path = folder / "model.py"
    path.write_text(HEAD + MODEL.format("\n".join(f"        {line}" for line in code.splitlines())))
    observed, notes = observe_forward("model.py:Net", inputs=[(2, 4, 6)], root=folder)
    assert notes == ()
    found = [
        observed.of(node, path)
        for part in ast.parse(path.read_text()).body
        if getattr(part, "name", "") == cls
        for node in ast.walk(part)
        if isinstance(node, ast.expr)
        and ast.unparse(node) == text
        and not isinstance(getattr(node, "ctx", None), ast.Store)
    ]
    return set(found[-1].held_by)


# Statements that bind target, with y beside it.
CASES = [
    "y = x\ntarget = x",
    "y = x\ntarget = x + 1",
    "y = x\ntarget = F.relu(x)",
    "y = x\ntarget = F.relu(x, True)",
    "y = x\ntarget = F.relu(x, inplace=True)",
    "y = x\ntarget = x.relu_()",
    "y = x\ntarget = -x",
    "y = x\ntarget = x.clone()",
    "y = x\ntarget = x.detach()",
    "y = x.view(2, 24)\ntarget = x",
    "y = x.transpose(1, 2)\ntarget = x",
    "y = x.mean(1)\ntarget = x",
    "y = x[0]\ntarget = x",
    "y = x.chunk(2, 1)\ntarget = x",
    "y, z = x.chunk(2, 1)\ntarget = y",
    "y = [x, 1]\ntarget = x",
    "y = {'a': (x,)}\ntarget = x",
    "y = torch.cat([x, x])\ntarget = x",
    "y = x.T if x.dim() == 2 else x.permute(2, 1, 0)\ntarget = x",
    "y = x\nx = x + 1\ntarget = x",
    "y = x\nx += 1\ntarget = x",
    "y = x\nx += x * 2\ntarget = x",
    "y = x\ntarget = x * 1\ntarget += 1",
    "y = x\ntarget = self.relu(x)",
    "y = x\ntarget = self.inplace(x)",
    "y = x\ntarget = self.same(x)",
    "y = x\ntarget = self.flat(x)",
    "y = x\ntarget = self.norm(x)",
    "y = x\ntarget = self.both(x)",
    "y = x\ntarget = change(x)",
    "y = x\ntarget = self.inner(x)",
    "y = x\nfor i in range(3):\n    x = x * 2\ntarget = x",
    "y = x\nfor i in range(3):\n    x *= 2\ntarget = x",
    "y = x\ntarget = x.to(torch.float32)",
    "y = torch.zeros_like(x)\ntarget = x",
    "y = x.unsqueeze(0).expand(3, -1, -1, -1)\ntarget = x",
    "y = x.max(1)[0]\ntarget = x",
]


def shares(code):
    """Tell whether torch has y in the storage of target."""
    body = "\n".join(f"    {line}" for line in code.splitlines())
    names = {"torch": torch, "F": F, "nn": nn}
    names["change"] = lambda t: t.add_(1)
    exec(f"def run(self, x):\n{body}\n    return target, y", names)
    own = type("Own", (), {})()
    own.relu, own.inplace = nn.ReLU(), nn.ReLU(inplace=True)
    own.flat, own.same, own.norm = nn.Flatten(), nn.Identity(), nn.BatchNorm1d(4).eval()
    own.both, own.inner = nn.Sequential(nn.ReLU(), nn.Identity()), lambda z: z.mul_(2)
    target, y = names["run"](own, torch.rand(2, 4, 6))

    def tensors(value):
        if isinstance(value, torch.Tensor):
            return [value]
        held = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        return list(itertools.chain.from_iterable(map(tensors, held)))

    places = {one.untyped_storage().data_ptr() for one in tensors(y)}
    return target.untyped_storage().data_ptr() in places


@pytest.mark.parametrize("code", CASES)
def test_another_name_holds_the_storage_exactly_where_torch_shares_it(tmp_path, code):
    assert ("y" in held(tmp_path, code)) == shares(code)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("self.kept = x\ntarget = x", {"x", "self.kept"}),
        ("target = x.flatten(1) if self.flag else x * 2", {"x"}),
        ("y = x * 2 if self.flag else x.flatten(1)\ntarget = x", {"x", "y"}),
        ("y = torch.ops.mine.some(x)\ntarget = x", {"x", "y"}),  # whatever that does
    ],
)
def test_what_may_share_is_said_to(tmp_path, code, names):
    assert held(tmp_path, code) == names


def test_the_names_of_a_caller_are_said_as_such(tmp_path):
    found = held(tmp_path, "y = x\ntarget = self.inner(x * 1)\ntarget = self.inner(x)", "z", "Inner")
    assert found == {"x of forward", "y of forward"}


def test_two_inputs_are_two_tensors(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(HEAD + "class Net(nn.Module):\n    def forward(self, a, b):\n        return a\n")
    observed, _ = observe_forward("model.py:Net", root=tmp_path)
    (node,) = [one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Return)]
    assert observed.of(node.value, path).held_by == frozenset()
