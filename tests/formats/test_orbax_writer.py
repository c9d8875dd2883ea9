import json
import os
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.orbax_writer import write_orbax
from ml_switcheroo.tensors import TensorSpec, spec_of

ocp = pytest.importorskip("orbax.checkpoint")

LEAVES = {
    "a.kernel": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "a.bias": np.arange(4).astype(ml_dtypes.bfloat16),
    "layers.0.empty": np.zeros((0, 3), np.float32),
    "step": np.asarray(3, np.int32),
    "mask": np.array([True, False]),
}


def write(path: Path, leaves: dict[str, np.ndarray], **options: object) -> Path:
    write_orbax(path, {name: spec_of(leaf) for name, leaf in leaves.items()}, leaves.items(), **options)  # type: ignore[arg-type]
    return path


def test_orbax_restores_what_was_written(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", LEAVES, metadata={"note": "ü"})
    target = {
        "a": {"kernel": jnp.zeros((4, 3)), "bias": jnp.zeros(4, jnp.bfloat16)},
        "layers": {"0": {"empty": jnp.zeros((0, 3))}},
        "step": jnp.int32(0),
        "mask": jnp.zeros(2, bool),
    }
    with ocp.StandardCheckpointer() as checkpointer:
        restored = checkpointer.restore(folder, target)
        metadata = checkpointer.metadata(folder).item_metadata
    flat = {
        ".".join(k.key for k in path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(restored)
    }
    assert set(flat) == set(LEAVES)
    for name, leaf in LEAVES.items():
        assert flat[name].dtype == leaf.dtype
        np.testing.assert_array_equal(np.asarray(flat[name]), leaf)
    assert metadata["a"]["kernel"].shape == (4, 3)


def test_our_reader_reads_it_with_its_paths_and_stamp(tmp_path: Path) -> None:
    leaves = {name.replace(".", "/"): leaf for name, leaf in LEAVES.items()}
    folder = write(tmp_path / "a", leaves, metadata={"note": "ü"}, separator="/")
    with open_checkpoint(folder) as checkpoint:
        assert dict(checkpoint.metadata) == {"note": "ü"}
        assert dict(checkpoint.specs) == {name: spec_of(leaf) for name, leaf in leaves.items()}
        for name, leaf in leaves.items():
            np.testing.assert_array_equal(checkpoint[name].read(), leaf)


def test_an_nnx_model_restores_a_converted_checkpoint(tmp_path: Path) -> None:
    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.fc = nnx.Linear(3, 4, rngs=rngs)
            self.norm = nnx.BatchNorm(4, rngs=rngs)
            self.blocks = nnx.List([nnx.Linear(4, 4, rngs=rngs), nnx.Linear(4, 2, rngs=rngs)])

    rng = np.random.default_rng(0)
    shapes = {"fc": (4, 3), "blocks.0": (4, 4), "blocks.1": (2, 4)}
    state = {f"{name}.weight": rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    state |= {f"{name}.bias": rng.standard_normal(shape[0], np.float32) for name, shape in shapes.items()}
    norm = ("weight", "bias", "running_mean", "running_var")
    state |= {f"norm.{slot}": rng.random(4, np.float32) for slot in norm}
    source = tmp_path / "model.npz"
    np.savez(source, **state)
    model = Net(nnx.Rngs(0))
    ms.convert(source, tmp_path / "out", to="nnx", like=model)

    pure = nnx.to_pure_dict(nnx.state(model))
    with ocp.StandardCheckpointer() as checkpointer:
        restored = checkpointer.restore(tmp_path / "out", pure)
    nnx.update(model, restored)
    np.testing.assert_array_equal(np.asarray(model.fc.kernel), state["fc.weight"].T)
    np.testing.assert_array_equal(np.asarray(model.blocks[1].kernel), state["blocks.1.weight"].T)
    np.testing.assert_array_equal(np.asarray(model.norm.var), state["norm.running_var"])

    other = Net(nnx.Rngs(1))
    ms.load_into(other, tmp_path / "out")
    for path, leaf in nnx.to_flat_state(nnx.state(model)):
        same = dict(nnx.to_flat_state(nnx.state(other)))[path]
        np.testing.assert_array_equal(np.asarray(leaf.get_value()), np.asarray(same.get_value()))


def test_a_large_leaf_in_chunks(tmp_path: Path) -> None:
    large = np.arange(3 * 2**22, dtype=np.uint32).reshape(3 * 2**10, 2**12).T
    folder = write(tmp_path / "a", {"w": large, "b": np.ones(3)})
    with open_checkpoint(folder) as checkpoint:
        np.testing.assert_array_equal(checkpoint["w"].read(), large)
        np.testing.assert_array_equal(checkpoint["w"][5, 7:9], large[5, 7:9])


def test_memory_does_not_grow_with_the_leaves(tmp_path: Path) -> None:
    row = np.broadcast_to(np.arange(2**12, dtype=np.float32), (2**13, 2**12))  # 128 MiB that are 16 KiB
    leaves = {f"w{i}": Deferred.of(row) for i in range(4)}
    base, peak, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    specs = dict.fromkeys(leaves, TensorSpec(row.shape, "float32"))
    write_orbax(tmp_path / "a", specs, leaves.items())
    done.set()
    watcher.join()
    assert peak[0] - base < 2**28  # of 2**29 in all


def resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def test_an_older_checkpoint_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "a", {"w": np.zeros(2)})
    write(tmp_path / "a", {"v": np.ones(2)})
    with open_checkpoint(tmp_path / "a") as checkpoint:
        assert list(checkpoint) == ["v"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("1")
    with pytest.raises(CheckpointError, match="exists and is no checkpoint of this format"):
        write(tmp_path / "thesis", {"w": np.zeros(2)})
    assert (tmp_path / "thesis" / "chapter").read_text() == "1"


def test_an_interrupted_run_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "a", {"w": np.zeros(2)})
    with pytest.raises(UsageError, match="did not come"):
        write_orbax(tmp_path / "a", {"w": TensorSpec((2,), "float64")}, [])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with open_checkpoint(tmp_path / "a") as checkpoint:
        assert checkpoint["w"].read().tolist() == [0, 0]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["a", "a.b"], "a leaf and a branch"),
        (["a..b"], "an empty key"),
        (["a/b"], "with a slash"),
    ],
)
def test_paths_that_are_no_tree(tmp_path: Path, names: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        write(tmp_path / "a", {name: np.zeros(1) for name in names})
    assert list(tmp_path.iterdir()) == []


def test_the_library_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorstore", None)
    with pytest.raises(CheckpointError, match="tensorstore; it is not installed") as caught:
        write(tmp_path / "a", {"w": np.zeros(1)})
    assert caught.value.cure == "pip install 'ml-switcheroo[orbax]'"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "_METADATA").write_text(json.dumps({}))
    with pytest.raises(CheckpointError, match="which is read through tensorstore"):
        open_checkpoint(tmp_path / "b")


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be written: there is no such folder"):
        write(tmp_path / "absent" / "a", {"w": np.zeros(1)})
