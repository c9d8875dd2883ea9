"""Make the samples of DeepSpeed ZeRO: two processes train a small model; DeepSpeed itself says what it is.

Needs ``pip install deepspeed`` (the samples: 0.19.8 with torch 2.13), which is no part of the test extra::

    DS_ACCELERATOR=cpu torchrun --nproc-per-node 2 make_deepspeed.py deepspeed/zero3-bf16 3 bf16
    DS_ACCELERATOR=cpu torchrun --nproc-per-node 2 make_deepspeed.py deepspeed/zero2 2 fp32
    DS_ACCELERATOR=cpu torchrun --nproc-per-node 2 make_deepspeed.py deepspeed/zero1-bf16 1 bf16
    DS_ACCELERATOR=cpu torchrun --nproc-per-node 1 make_deepspeed.py deepspeed/zero0 0 fp32
"""

import sys
from pathlib import Path

import deepspeed
import torch
from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint
from torch import nn


class Block(nn.Module):
    """Odd sizes, so that no partition ends where a row does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 3 * width + 1)
        self.fc2 = nn.Linear(3 * width + 1, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fc2(torch.relu(self.fc1(self.norm(x))))


class Net(nn.Module):
    """With a tied head, a frozen layer, and buffers of two dtypes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 5)
        self.blocks = nn.ModuleList(Block(5) for _ in range(2))
        self.frozen = nn.Linear(5, 5).requires_grad_(False)
        self.head = nn.Linear(5, 11, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("shift", torch.randn(5))
        self.register_buffer("steps", torch.tensor(7))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.frozen(x + self.shift.to(x.dtype)))


def main() -> None:
    """Train two steps and save."""
    folder, stage, dtype = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.manual_seed(0)
    model = Net()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in trained if one.ndim > 1], "weight_decay": 0.1},
        {"params": [one for one in trained if one.ndim == 1], "weight_decay": 0.0},
    ]
    config = {
        "train_micro_batch_size_per_gpu": 4,
        "zero_optimization": {"stage": stage, "stage3_param_persistence_threshold": 0, "sub_group_size": 100},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": dtype == "bf16"},
    }
    engine, *_ = deepspeed.initialize(
        model=model, optimizer=torch.optim.AdamW(groups, lr=1e-2), config=config
    )
    for _ in range(2):
        tokens = torch.randint(0, 11, (4,))
        engine.backward(nn.functional.cross_entropy(engine(tokens).float(), tokens))
        engine.step()
    engine.save_checkpoint(str(folder), tag="step2")
    if torch.distributed.get_rank() == 0:
        for script in folder.glob("*.py"):
            script.unlink()
        if stage:
            torch.save(get_fp32_state_dict_from_zero_checkpoint(str(folder)), folder / "whole.pt")


if __name__ == "__main__":
    main()
