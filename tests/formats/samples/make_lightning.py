"""Write what Lightning saves, from one process and from two: ``python make_lightning.py FOLDER``.

Needs ``lightning`` (2.6). Two processes of a model that is sharded write a folder.
"""

import subprocess
import sys
from pathlib import Path

import lightning
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader, TensorDataset


class Net(lightning.LightningModule):
    """Two layers; sharded where there is a mesh."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.fc = torch.nn.Linear(5, width)
        self.head = torch.nn.Linear(width, 3)

    def configure_model(self) -> None:
        mesh = getattr(self, "device_mesh", None)
        for layer in (self.fc, self.head) if mesh is not None else ():
            fully_shard(layer, mesh=mesh["data_parallel"])

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        return self.head(self.fc(batch[0])).pow(2).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters())


def train(path: Path, **options: object) -> None:
    lightning.seed_everything(0)
    batches = DataLoader(TensorDataset(torch.randn(8, 5)), batch_size=4)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", **quiet, **options)
    trainer.fit(Net(), batches)
    trainer.save_checkpoint(path)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if sys.argv[-1] == "two":
        train(folder / "two.ckpt", strategy=ModelParallelStrategy(2, 1), devices=2)
    else:
        train(folder / "one.ckpt")
        subprocess.run([sys.executable, __file__, str(folder), "two"], check=True)
