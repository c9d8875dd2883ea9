"""Programs of a few lines that torch runs, and that are drawn from their source: both compute the same."""

import dataclasses
import importlib.util
import itertools
import sys

import numpy as np
import torch

from ml_switcheroo.graph.of_source.entry import draw_source
from ml_switcheroo.graph.running import run
from ml_switcheroo.tensors import TensorSpec

HEAD = """\
import math

import einops
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


"""
_COUNT = itertools.count()


def tensor(text, generator):
    """Return a tensor of ``f2,3`` (any numbers), ``p2`` (from 0.1 to 0.9), ``i5:2,3`` (below 5) or ``b2``."""
    kind, _, sizes = text[0], *text[1:].rpartition(":")[1:]
    shape = [int(size) for size in sizes.split(",") if size]
    if kind == "i":
        return torch.randint(0, int(text[1:].partition(":")[0]), shape, generator=generator)
    if kind == "b":
        return torch.rand(shape, generator=generator) > 0.4
    if kind == "p":
        return torch.rand(shape, generator=generator) * 0.8 + 0.1
    return torch.randn(shape, generator=generator)


def module_of(path):
    spec = importlib.util.spec_from_file_location(f"drawn_{next(_COUNT)}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def specs_of(state):
    return {
        name: TensorSpec(tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for name, value in state.items()
    }


def made(path, name="Net", **arguments):
    """Return a module of a file in evaluation, its tensors at random."""
    torch.manual_seed(0)
    net = getattr(module_of(path), name)(**arguments).eval()
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if value.is_floating_point() and value.numel():
                noise = (
                    torch.rand_like(value) * 0.5 + 0.5
                    if key.endswith("var")
                    else torch.randn_like(value) * 0.3
                )
                value.copy_(noise if key.endswith(("var", "mean")) else value + noise)
    return net


def shown(given):
    """Return what a graph is drawn for: the shape and dtype of each tensor."""
    if isinstance(given, torch.Tensor):
        return tuple(given.shape), str(given.dtype).removeprefix("torch.")
    if isinstance(given, dict):
        return {key: shown(value) for key, value in given.items()}
    return type(given)(map(shown, given)) if isinstance(given, list | tuple) else given


def flat(value):
    """Return the tensors in a value, in order."""
    if isinstance(value, torch.Tensor):
        return [value.resolve_conj().resolve_neg()]
    if isinstance(value, dict):
        return [one for item in value.values() for one in flat(item)]
    if isinstance(value, list | tuple):
        return [one for item in value for one in flat(item)]
    return flat(vars(value)) if dataclasses.is_dataclass(value) else []


def agrees(graph, net, args, words=None, tolerance=1e-4):
    """Hold a graph against the module that it was drawn from."""
    words = words or {}
    assert graph.gaps == ()
    state = net.state_dict()
    copies = torch.utils._pytree.tree_map_only(torch.Tensor, torch.clone, (args, words))
    with torch.no_grad():
        wanted = flat(net(*copies[0], **copies[1]))
    values = [value.numpy() for value in flat([list(args), words])]
    given = dict(zip(graph.inputs, values, strict=True))
    given |= {node: _array(state[name]) for name, node in graph.leaves.items()}
    found = run(graph, given, graph.outputs)
    assert len(graph.outputs) == len(wanted)
    for node, value in zip(graph.outputs, wanted, strict=True):
        assert graph.nodes[node].shape == tuple(value.shape) == found[node].shape
        assert graph.nodes[node].dtype == str(value.dtype).removeprefix("torch.")
        real = value.numpy()
        scale = max(float(np.nanmax(np.abs(np.where(np.isfinite(real), real, 0)), initial=0)), 1e-6)
        np.testing.assert_allclose(found[node], real, rtol=tolerance, atol=tolerance * scale)


def _array(value):
    array = value.detach().numpy()
    return array.astype(np.float64) if value.is_floating_point() else array


def check(folder, body, inputs, init="pass", *, name="Net", more=""):
    """Write a program, let torch run it, draw it, and hold both against each other; return the graph."""
    path = folder / "model.py"
    lines = [HEAD, more, "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"]
    lines += [f"        {line}\n" for line in init.splitlines()]
    lines += ["\n    def forward(self, x=None, y=None, z=None):\n"]
    body = body if "\n" in body or body.startswith("return") else f"return {body}"
    lines += [f"        {line}\n" for line in body.splitlines()]
    path.write_text("".join(lines), encoding="utf-8")
    generator = torch.Generator().manual_seed(1)
    args = [tensor(text, generator) for text in inputs.split()]
    net = made(path)
    graph = draw_source("model.py:Net", specs_of(net.state_dict()), [shown(one) for one in args], root=folder)
    agrees(graph, net, args)
    return graph
