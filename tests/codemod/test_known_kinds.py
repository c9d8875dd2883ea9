import numpy as np
import torch

from ml_switcheroo.codemod.known_kinds import kinds_of
from ml_switcheroo.codemod.rewriter import rewrite
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.runtime import KeyMapper

nn = torch.nn

MODEL = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Linear(6, 6, bias=False)
        self.norm = nn.LayerNorm(6)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.tok = nn.Embedding(7, 6)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(4 * 3 * 3, 5)

    def forward(self, x):
        return self.head(torch.flatten(self.conv(x), 1))
"""


def net():
    namespace = {}
    exec(MODEL, namespace)
    return namespace["Net"]()


def test_the_source_settles_what_a_state_dict_leaves_open(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    state = net().state_dict()
    torch.save(state, tmp_path / "net.pt")
    kinds = kinds_of(tmp_path / "net.pt", f"{tmp_path / 'model.py'}:Net")
    assert kinds == {"conv": "conv", "tok": "embedding", "blocks.*.q": "linear", "head": "linear(c=4)"}
    found = KeyMapper.from_torch(state, strict=True, kinds=kinds)
    plan = make_plan(state, to="jax", layers=f"{tmp_path / 'model.py'}:Net")
    expected = plan.apply(state)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[key], expected[key]) for key in expected)


def test_a_live_module_or_a_table_say_the_same():
    made = nn.ModuleDict({"tok": nn.Embedding(7, 6), "out": nn.Linear(6, 7)})
    assert kinds_of(made.state_dict(), made) == {"tok": "embedding"}
    assert kinds_of(made.state_dict(), {"tok": "Embedding"}) == {"tok": "embedding"}


def test_blocks_that_differ_are_not_folded():
    made = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Embedding(4, 4), nn.Linear(4, 4, bias=False))
    assert kinds_of(made.state_dict(), made) == {"0": "linear", "1": "embedding", "2": "linear"}


def test_a_norm_over_several_axes_is_left_for_the_user_to_say():
    made = nn.ModuleDict({"norm": nn.LayerNorm((3, 4, 4))})
    assert kinds_of(made.state_dict(), made) == {}


def test_a_rewritten_file_carries_the_table():
    made = nn.ModuleDict({"tok": nn.Embedding(7, 6)})
    kinds = kinds_of(made.state_dict(), made)
    code = rewrite("model.load_state_dict(sd)\n", "jax", kinds=kinds).code
    names = {"sd": made.state_dict()}
    exec(code, names)
    assert list(names["model_params"]) == ["tok.embedding"]
