"""Whole networks, as people write them: what is drawn computes what torch does, without a gap."""

from pathlib import Path

import pytest
import torch

from drawing import agrees, made, shown, specs_of, tensor
from ml_switcheroo.graph.of_source.entry import draw_live, draw_source

FOLDER = Path(__file__).parent / "networks"
INPUTS = {
    "resnet": "f2,3,16,16",
    "gpt": "i11:2,6",
    "llama": "i11:2,6",
    "vit": "f2,3,8,8",
    "unet": "f1,2,8,8",
    "vae": "f3,1,8,8",
    "lstm": "i9:3,5",
    "se": "f2,3,8,8",
    "convnext": "f1,3,16,16",
    "translator": "i9:2,6 i9:2,4",
}


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_drawn_of_a_network_computes_what_torch_does(name):
    net, args = there(name)
    specs = specs_of(net.state_dict())
    given = [shown(one) for one in args]
    graph = draw_source(f"{name}.py:Net", specs, given, root=FOLDER)
    agrees(graph, net, args)
    used = {*graph.leaves}
    assert {key for key in specs if key not in used and not key.endswith("num_batches_tracked")} <= {
        "lm_head.weight"
    }


@pytest.mark.parametrize("name", INPUTS)
def test_a_live_module_is_drawn_in_the_same_way(name):
    net, args = there(name)
    specs = specs_of(net.state_dict())
    given = [shown(one) for one in args]
    live = draw_live(net, specs, given)
    agrees(live, net, args)
    read = draw_source(f"{name}.py:Net", specs, given, root=FOLDER)
    assert kinds(live) == kinds(read)


def kinds(graph):
    """Return what a graph does, whatever the order; constants may be worked out or given."""
    return sorted((node.op, node.shape, node.word) for node in graph.nodes if node.op != "constant")


def there(name):
    """Return a network and what it is given."""
    generator = torch.Generator().manual_seed(1)
    return made(FOLDER / f"{name}.py"), [tensor(one, generator) for one in INPUTS[name].split()]
