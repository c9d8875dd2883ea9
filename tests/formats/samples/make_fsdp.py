"""Write what two ranks of FSDP save, and the same state whole: ``python make_fsdp.py FOLDER PORT``."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard


def main(rank: int, folder: str, port: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, RANK=str(rank), WORLD_SIZE="2")
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 3, dtype=torch.bfloat16))
    if rank == 0:
        torch.save(model.state_dict(), Path(folder) / "whole.pt")
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    state = {"model": model.state_dict(), "step": torch.tensor(3)}
    dcp.save(state, checkpoint_id=Path(folder) / "parts")
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.multiprocessing.spawn(main, (sys.argv[1], sys.argv[2]), nprocs=2)
