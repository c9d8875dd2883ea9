"""A PyTorch model gets the tensors of a checkpoint, or the error says which file does not fit."""

import numpy as np
import pytest
import torch

from ml_switcheroo.errors import UsageError
from ml_switcheroo.verification.filling import filled


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}, path)
    return path


def test_the_model_has_the_tensors_of_the_checkpoint(checkpoint):
    model = torch.nn.Linear(3, 2)
    assert filled(model, checkpoint) is model
    assert np.array_equal(model.weight.detach().numpy(), np.arange(6.0).reshape(2, 3))
    assert model.bias.tolist() == [1.0, 1.0]


def test_a_checkpoint_of_another_model_is_named(checkpoint):
    with pytest.raises(UsageError, match=r"weights\.pt does not fit the PyTorch model"):
        filled(torch.nn.Linear(4, 2), checkpoint)


def test_what_is_no_module_is_refused(checkpoint):
    with pytest.raises(UsageError, match=r"a list is not a torch\.nn\.Module"):
        filled([], checkpoint)
