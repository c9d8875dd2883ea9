"""Eight virtual devices, and two processes with four each; XLA reads its flags once, so in processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.formats import write_safetensors
from ml_switcheroo.tensors import spec_of

ROWS, COLUMNS = 4096, 2048
STATE = {
    "fc.weight": np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS),
    "fc.bias": np.arange(ROWS, dtype=np.float32),
}

LOAD = """
import os, re, sys
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import ml_switcheroo as ms
from ml_switcheroo.sharded import load_sharded

ROWS, COLUMNS = 4096, 2048
folder, processes, rank, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if processes > 1:
    jax.distributed.initialize(f"127.0.0.1:{port}", processes, rank)
assert len(jax.devices()) == 8
mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("a", "b"))
source = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
read = []
with ms.open_checkpoint(os.path.join(folder, "model.safetensors")) as checkpoint:
    plan = ms.make_plan(checkpoint, to="jax", layers={"fc": "linear"})
    shardings = {"fc.kernel": P(None, ("a", "b")), "fc.bias": P("b")}
    shardings = {path: NamedSharding(mesh, spec) for path, spec in shardings.items()}
    loaded = load_sharded(checkpoint, plan, shardings, progress=read.append)
    maps = open("/proc/self/smaps").read()
    mapped = re.search(r"model\\.safetensors\\n.*?Rss: +(\\d+) kB", maps, re.S)
    kernel = loaded["fc.kernel"]
    assert kernel.shape == (COLUMNS, ROWS)
    for shard in kernel.addressable_shards:
        assert shard.data.shape == (COLUMNS, ROWS // 8)
        np.testing.assert_array_equal(np.asarray(shard.data), source.T[shard.index])
    for shard in loaded["fc.bias"].addressable_shards:
        expected = np.arange(ROWS, dtype=np.float32)[shard.index]
        np.testing.assert_array_equal(np.asarray(shard.data), expected)
print("READ", sum(read), int(mapped[1]) * 1024 if mapped else 0)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    specs = {name: spec_of(array) for name, array in STATE.items()}
    write_safetensors(folder / "model.safetensors", specs, STATE.items())
    (folder / "load.py").write_text(LOAD)
    return folder


def run(folder: Path, processes: int) -> list[tuple[int, int]]:
    """Return for each process the bytes it asked for, and the bytes of the file that were mapped in then."""
    env = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={8 // processes}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    port = str(20000 + os.getpid() % 20000)
    command = [sys.executable, str(folder / "load.py"), str(folder), str(processes)]
    running = [
        subprocess.Popen([*command, str(rank), port], env=env, stdout=subprocess.PIPE, text=True)
        for rank in range(processes)
    ]
    outputs = [process.communicate(timeout=180)[0] for process in running]
    assert [process.returncode for process in running] == [0] * processes
    found = [line.split() for output in outputs for line in output.splitlines() if line.startswith("READ")]
    return [(int(asked), int(mapped)) for _, asked, mapped in found]


def test_eight_devices(folder: Path) -> None:
    ((asked, _),) = run(folder, 1)
    kernel = STATE["fc.weight"].nbytes
    # The bias has four parts, each on two devices.
    assert asked in (kernel + ROWS * 4, kernel + 2 * ROWS * 4)


def test_two_processes_read_half_each(folder: Path) -> None:
    kernel = STATE["fc.weight"].nbytes
    readings = run(folder, 2)
    assert len(readings) == 2
    for asked, mapped in readings:
        assert asked in (kernel // 2 + ROWS * 4, kernel // 2 + 2 * ROWS * 4)
        assert mapped < 0.75 * kernel  # pages of the other half that were never touched


def test_a_leaf_without_a_sharding_is_named(folder: Path) -> None:
    from ml_switcheroo.sharded import load_sharded

    with ms.open_checkpoint(folder / "model.safetensors") as checkpoint:
        plan = ms.make_plan(checkpoint, to="jax", layers={"fc": "linear"})
        with pytest.raises(ms.errors.LoadError, match=r"1 leaves have no sharding: fc\.bias"):
            load_sharded(checkpoint, plan, {"fc.kernel": None})
