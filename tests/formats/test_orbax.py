import json
from pathlib import Path

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import pytest

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint

TREE = {
    "layers": [{"kernel": jnp.ones((4, 3), jnp.bfloat16)}, {"kernel": jnp.arange(6.0).reshape(2, 3)}],
    "step": np.int32(3),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("orbax") / "a"
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, TREE)
    return folder


def test_a_tree_is_read(folder: Path) -> None:
    with open_checkpoint(folder) as checkpoint:
        assert checkpoint.format == "orbax"
        assert set(checkpoint) == {"layers.0.kernel", "layers.1.kernel", "step"}
        assert checkpoint["layers.0.kernel"].read().dtype == ml_dtypes.bfloat16
        assert checkpoint["layers.1.kernel"].read().tolist() == [[0, 1, 2], [3, 4, 5]]
        assert checkpoint["layers.1.kernel"][1, :2].tolist() == [3, 4]
        assert checkpoint["step"].read() == 3


def test_damaged_metadata(tmp_path: Path) -> None:
    keys = [{"key": "../w", "key_type": 2}]
    for text, problem in [
        ("{", "not the metadata"),
        ("[]", "not the metadata"),
        (json.dumps({"tree_metadata": {}}), "names that are none"),
        (json.dumps({"tree_metadata": {"w": {"key_metadata": keys}}}), "names that are none"),
        (json.dumps({"tree_metadata": {"w": {"key_metadata": [{"key": "w"}]}}}), "damaged array"),
    ]:
        (tmp_path / "_METADATA").write_text(text)
        with pytest.raises(CheckpointError, match=problem):
            open_checkpoint(tmp_path)
