"""Checkpoint files: lazy readers and streaming writers, one module a format."""

from ml_switcheroo.formats.checkpoint import Checkpoint, LazyTensor
from ml_switcheroo.formats.npz_writer import write_npz
from ml_switcheroo.formats.opening import open_checkpoint
from ml_switcheroo.formats.safetensors_writer import write_safetensors, write_shards

__all__ = ["Checkpoint", "LazyTensor", "open_checkpoint", "write_npz", "write_safetensors", "write_shards"]
