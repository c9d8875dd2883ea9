"""Operations of one layer or one call are one step; a step takes only from steps before it."""

import torch
from torch import nn

from ml_switcheroo.graph.graph import Draft
from ml_switcheroo.graph.inputs import given
from ml_switcheroo.graph.nodes import Line
from ml_switcheroo.graph.programs import draw_model
from ml_switcheroo.graph.sketching import sketch_of
from ml_switcheroo.planning.planner import specs_of


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        return x + torch.relu(self.norm(self.conv(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block())
        self.fc = nn.Linear(3, 5)

    def forward(self, x):
        return self.fc(self.blocks(x).mean((2, 3)))


def drawn(net, shape):
    net = net.eval()
    return sketch_of(draw_model(net, specs_of(net.state_dict()), given(torch.zeros(shape))))


def test_a_layer_is_one_step_with_all_its_tensors():
    sketch = drawn(Net(), (2, 3, 4, 4))
    block = ["conv", "norm", "relu", "add"]
    assert [step.what.split(".")[-1] for step in sketch.steps] == ["input 0", *block, *block, "mean", "fc"]
    norm = sketch.steps[2]
    assert {leaf.rpartition(".")[2] for leaf in norm.leaves} == {
        "weight",
        "bias",
        "running_mean",
        "running_var",
    }
    assert sketch.steps[-1].shape == (2, 5)
    assert sketch.gives == (len(sketch.steps) - 1,)


def test_a_sum_takes_both_of_its_branches():
    sketch = drawn(Net(), (2, 3, 4, 4))
    assert sketch.steps[4].takes == (0, 3)
    assert sketch.steps[8].takes == (4, 7)


def test_steps_come_after_those_they_take():
    sketch = drawn(Net(), (2, 3, 4, 4))
    assert all(one < number for number, step in enumerate(sketch.steps) for one in step.takes)


def test_what_no_program_names_is_called_by_its_leaves_or_else_by_what_it_does():
    draft = Draft()
    x = draft.input((2, 3), "float32")
    draft.line = Line("port.py", 4)
    product = draft.add("mul", x, draft.leaf("one.scale", (3,), "float32"))
    shifted = draft.add("add", product, draft.leaf("one.bias", (3,), "float32"))
    draft.line = Line("port.py", 5)
    other = draft.add("add", shifted, draft.leaf("two.bias", (3,), "float32"))
    draft.line = Line("port.py", 6)
    sketch = sketch_of(draft.finished([draft.add("tanh", draft.add("exp", other))]))
    assert [step.what for step in sketch.steps] == ["input 0", "one", "two", "exp, tanh"]
    assert [step.line for step in sketch.steps] == ["", "port.py:4", "port.py:5", "port.py:6"]
    assert sketch.steps[1].ops == ("mul", "add")
