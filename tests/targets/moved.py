"""Move the weights of a torch module into a live model of a target, as a user's call does."""

import numpy as np
import torch
from torch import nn

from ml_switcheroo.layers import KIND_OF_CLASS
from ml_switcheroo.planning.drawing import draw_plan
from ml_switcheroo.planning.request import Request
from ml_switcheroo.sources.findings import Finding, Knowledge
from ml_switcheroo.targets import TARGETS, template_of
from ml_switcheroo.tensors import spec_of


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        self.blocks = nn.ModuleList([nn.Linear(2, 2)])
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return self.blocks[0](self.net(x)) * self.scale


def known(module):
    """Return what the types of a torch module's children say."""
    findings, containers = {}, {}
    for path, child in module.named_modules():
        name = type(child).__name__
        if name in KIND_OF_CLASS:
            args = {key: getattr(child, key) for key in child.__constants__ if hasattr(child, key)}
            findings[path] = Finding(KIND_OF_CLASS[name], "live", f"nn.{name}", args=args)
            continue
        if isinstance(child, nn.Sequential):
            containers[path] = "sequential"
        for kind, tensors in (
            ("parameter", child.named_parameters(recurse=False)),
            ("buffer", child.named_buffers(recurse=False)),
        ):
            for key, _ in tensors:
                full = f"{path}.{key}" if path else key
                findings[full] = Finding(kind, "live", f"nn.{kind.title()}")
    return Knowledge(findings, containers=containers)


def plan_for(module, to, like=None, rules=(), **more):
    specs = {name: spec_of(value) for name, value in module.state_dict().items()}
    target = TARGETS[to]
    return draw_plan(Request(specs, target, [known(module)], template_of(like, target), rules, **more))


def moved(module, model, to, rules=()):
    """Return the model with the module's weights; nothing may be left over on either side."""
    plan = plan_for(module, to, model, rules)
    plan.check()
    return TARGETS[to].live.write(model, plan.apply(module.state_dict()))


def randomised(module, seed=0):
    """Give every tensor of a torch module a value of its own, and switch it to inference."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(3)
        elif tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.5)
            if name.endswith("running_var"):
                tensor.abs_().add_(0.5)
    return module.eval()


def assert_close(found, expected, tolerance=1e-5):
    """Compare with torch's output by the largest error over the largest value."""
    found = np.asarray(found)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("f4")


def output_of(module, x):
    with torch.no_grad():
        return module(torch.from_numpy(x)).numpy()


def channels_last(array):
    return np.moveaxis(np.asarray(array), 1, -1)
