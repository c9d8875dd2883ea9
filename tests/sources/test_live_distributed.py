"""Modules wrapped for training on several devices: real wrappers, in a group of one process."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from ml_switcheroo.sources.live import read_module
from sources.reading import specs_of

EXPECTED = {"body.0": "conv", "body.1": "batch_norm", "embed": "embedding", "head": "linear"}


class Net(nn.Module):
    """A little of everything, and a table that is tied."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        self.embed = nn.Embedding(6, 4)
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.embed.weight


@pytest.fixture(autouse=True)
def group(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def data_parallel(model: nn.Module) -> nn.Module:
    return nn.parallel.DistributedDataParallel(model)


def compiled_data_parallel(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():  # torch's own deprecations, while it loads its compiler
        warnings.simplefilter("ignore")
        return nn.parallel.DistributedDataParallel(torch.compile(model))


def fully_sharded_1(model: nn.Module) -> nn.Module:
    from torch.distributed.fsdp import FullyShardedDataParallel

    with warnings.catch_warnings():  # deprecated by torch, and in every older checkpoint
        warnings.simplefilter("ignore")
        model.body = FullyShardedDataParallel(model.body, device_id=torch.device("cpu"), use_orig_params=True)
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"), use_orig_params=True)


def fully_sharded_2(model: nn.Module) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (1,))
    fully_shard(model.body, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def checkpointed(model: nn.Module) -> nn.Module:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    model.body = checkpoint_wrapper(model.body)
    return model


WRAPPERS = [data_parallel, compiled_data_parallel, fully_sharded_1, fully_sharded_2, checkpointed]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_wrapped_module_says_of_bare_names_what_it_is(wrap: object) -> None:
    specs = specs_of(Net())
    knowledge = read_module(wrap(Net()), specs)  # type: ignore[operator]
    assert {path: one.kind for path, one in knowledge.findings.items()} == EXPECTED


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_wrapped_module_says_of_its_own_names_what_it_is(wrap: object) -> None:
    wrapped = wrap(Net())  # type: ignore[operator]
    knowledge = read_module(wrapped, specs_of(wrapped))
    kinds = sorted(one.kind for one in knowledge.findings.values())
    assert kinds == sorted(EXPECTED.values())
    assert any(
        "embed.weight" in " ".join(names) and "head.weight" in " ".join(names) for names in knowledge.tied
    )
