"""Carry the weights of a model over, run both, and carry them back."""

import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ml_switcheroo.targets import TARGETS
from models import pytorch

SOURCE = Path(pytorch.__file__)


@dataclass(frozen=True)
class Sample:
    """What a model is run on.

    Attributes:
        shape: Shape of the input, in PyTorch's layout.
        vocab: Size of the vocabulary of integer inputs; 0 for images.
        images: Whether the output has a channel axis in second place, too.
    """

    shape: tuple[int, ...]
    vocab: int = 0
    images: bool = False


SAMPLES = {
    "ResNet": Sample((2, 3, 24, 20)),
    "UNet": Sample((2, 3, 8, 12), images=True),
    "ViT": Sample((2, 3, 8, 8)),
    "GPT": Sample((2, 7), vocab=11),
    "LSTMClassifier": Sample((2, 5), vocab=9),
    "VAE": Sample((2, 1, 8, 8), images=True),
    "SeparableNet": Sample((2, 3, 12, 10)),
}


def trained(name):
    """Make the torch model with weights that no symmetry hides: scales off 1, statistics off 0 and 1."""
    torch.manual_seed(sum(map(ord, name)))
    model = getattr(pytorch, name)().eval()
    with torch.no_grad():
        for slot, tensor in model.named_buffers():
            if slot.endswith("num_batches_tracked"):
                tensor.fill_(7)
        for slot, tensor in (*model.named_parameters(), *model.named_buffers()):
            if tensor.is_floating_point():
                positive = tensor.ndim == 1 and not slot.endswith(("bias", "mean"))
                tensor.copy_(torch.rand_like(tensor) + 0.5 if positive else torch.randn_like(tensor) * 0.3)
    return model


def input_of(name):
    """Return the input of a model as an array, in PyTorch's layout."""
    sample, rng = SAMPLES[name], np.random.default_rng(len(name))
    if sample.vocab:
        return rng.integers(0, sample.vocab, sample.shape)
    return rng.normal(size=sample.shape).astype(np.float32)


def port_of(framework, name):
    """Return a fresh model of the framework."""
    x = input_of(name)
    last = TARGETS[framework].channels == "last" and not SAMPLES[name].vocab
    return importlib.import_module(f"models.{framework}").port(name, np.moveaxis(x, 1, -1) if last else x)


def error_of(name, model, port, loaded, *, last):
    """Run both and return the largest difference, relative to the largest output of PyTorch.

    Args:
        name: Which model.
        model: The torch model.
        port: The port.
        loaded: The port's model with the weights.
        last: Whether the port has the channels last.
    """
    sample, x = SAMPLES[name], input_of(name)
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    move = last and not sample.vocab
    found = np.asarray(port.run(loaded, np.moveaxis(x, 1, -1) if move else x))
    if last and sample.images:
        found = np.moveaxis(found, -1, 1)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())
