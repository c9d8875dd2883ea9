"""What the reader says of the axes behind each operation, beside what torch gives."""

from __future__ import annotations

import ast

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ml_switcheroo.sources.static.reading.entry import observe_forward
from sources.reading import HEAD

# Of an image (2, 3, 8, 6): the number of axes is known, and no size is a wrong one.
RANKED = """
F.conv2d(x, self.kernel, None, 2, 1)
F.conv2d(x, self.kernel, stride=(2, 1), padding=1)
F.conv_transpose2d(x, self.turned, None, 2, 1, 1)
F.max_pool2d(x, 2)
F.max_pool2d(x, 3, 2, 1)
F.avg_pool2d(x, kernel_size=2, stride=1)
F.lp_pool2d(x, 2, 4)
F.adaptive_avg_pool2d(x, 1)
F.adaptive_max_pool2d(x, (2, 3))
F.interpolate(x, scale_factor=2)
F.pad(x, (1, 1, 2, 2))
F.pixel_unshuffle(x, 2)
F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2)
F.unfold(x, 2)
F.normalize(x, dim=1)
F.relu(x, inplace=False)
torch.neg(x)
x.neg().exp_().clamp(min=0)
torch.masked_fill(x, x > 0, 0.0)
x.mean(dim=1)
x.mean((2, 3))
x.mean([2, 3], keepdim=True)
x.sum(-1, keepdim=True)
x.std(1, False, True)
x.var(1, keepdim=True)
x.norm(2, 1)
torch.norm(x, p=2, dim=1, keepdim=True)
x.amax(axis=1)
torch.logsumexp(x, 1)
x.max(1)[0]
torch.max(x, dim=1, keepdim=True)[0]
torch.maximum(x, x)
x.fmod(2)
x.flatten(1)
torch.flatten(x, start_dim=2)
x.ravel()
x.reshape(2, 3, 48)
x.view(-1, 3, 8, 6)
x.permute(0, 2, 3, 1)
x.permute((0, 2, 3, 1))
torch.permute(x, dims=(0, 3, 1, 2))
x.transpose(1, 2)
torch.swapaxes(x, 1, 3)
x.swapdims(0, 1)
x.movedim(1, -1)
torch.moveaxis(x, 1, 3)
x.flatten(1).t()
x.flatten(1).T
x.unsqueeze(1)
torch.unsqueeze(x, dim=-1)
x[:, :1].squeeze(1)
x.mean(1, True).expand(-1, 5, -1, -1)
x.mean(1, True).expand((-1, 5, -1, -1))
torch.broadcast_to(x.mean(1, True), (2, 5, 8, 6))
x.repeat(1, 2, 1, 1)
torch.tile(x, (1, 2, 1, 1))
x.chunk(3, 1)[0]
x.split(2, dim=1)[0]
torch.split(x, [1, 2], 1)[1]
x.narrow(1, 0, 2)
x.roll(1, 2)
torch.flip(x, (3,))
torch.cat([x, x], 1)
torch.cat((x, x), dim=-1)
torch.hstack([x, x])
x.flatten(2) @ x.flatten(2).transpose(1, 2)
torch.bmm(x.flatten(2), x.flatten(2).transpose(1, 2))
torch.einsum("bchw,bchv->bcwv", x, x)
F.scaled_dot_product_attention(x, x, x)
F.glu(torch.cat([x, x], 1), 1)
F.softmax(x, 1)
x.cumsum(1)
x.unfold(3, 2, 2)
x.type_as(x)
x.to(torch.float64)
torch.tril(x)
-x
x * 2 + x
x[:, None]
x[..., 0:2]
"""

# Of these, nothing may be known, and nothing wrong is said.
UNRANKED = """
x.select(1, 0)
torch.stack([x, x])
x.repeat_interleave(2, 1)
x.index_select(1, torch.tensor([0]))
x.view_as(x)
x.unflatten(1, (3, 1))
x.inner(x[0, 0])
x.view(*x.shape)
x.view(*self.unknown)
torch.atleast_2d(x)
F.glu(x.repeat(1, 2, 1, 1), 1)
torch.where(x > 0, x, 0.0)
torch.zeros_like(x)
F.fold(F.unfold(x, 2), (8, 6), 2)
"""

MODEL = """
class Net(nn.Module):
    def __init__(self, unknown):
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(5, 3, 3, 3))
        self.turned = nn.Parameter(torch.zeros(3, 5, 3, 3))
        self.unknown = unknown

    def forward(self, x):
        return {}
"""


class Own:
    kernel, turned, unknown = torch.zeros(5, 3, 3, 3), torch.zeros(3, 5, 3, 3), (2, 3, 48)


def read_and_run(folder, code):
    """Return what the reader says of an expression, and the shape that torch gives."""
    path = folder / "model.py"
    path.write_text(HEAD + MODEL.format(code))
    observed, notes = observe_forward("model.py:Net", inputs=[(2, 3, 8, 6)], root=folder)
    assert notes == ()
    (node,) = [one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Return)]
    torch.manual_seed(0)
    names = {"x": torch.rand(2, 3, 8, 6), "torch": torch, "F": F, "nn": nn, "self": Own}
    return observed.of(node.value, path), tuple(eval(code, names).shape)


@pytest.mark.parametrize("code", RANKED.strip().splitlines())
def test_the_axes_are_as_many_as_those_of_torch_and_as_long_as_far_as_they_are_known(tmp_path, code):
    found, shape = read_and_run(tmp_path, code)
    assert found.kind == "tensor"
    assert found.rank == len(shape)
    wrong = [mine for mine, real in zip(found.shape, shape, strict=False) if mine not in (None, real)]
    assert not wrong, (found.shape, shape)


@pytest.mark.parametrize("code", UNRANKED.strip().splitlines())
def test_what_is_not_known_is_not_said(tmp_path, code):
    found, shape = read_and_run(tmp_path, code)
    assert found.rank in (None, len(shape))
    wrong = [mine for mine, real in zip(found.shape, shape, strict=False) if mine not in (None, real)]
    assert not wrong, (found.shape, shape)
