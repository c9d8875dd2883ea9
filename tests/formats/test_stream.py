import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint, stream, strips, write_safetensors
from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.stream import copy_leaves
from ml_switcheroo.tensors import spec_of


class Memory:
    """A sink in memory that sees every byte written once."""

    def __init__(self, nbytes: int) -> None:
        self.content = np.zeros(nbytes, np.uint8)
        self.times = np.zeros(nbytes, np.uint8)
        self.lock = threading.Lock()

    def write(self, content: memoryview, offset: int) -> None:
        with self.lock:
            self.content[offset : offset + len(content)] = content
            self.times[offset : offset + len(content)] += 1


@pytest.fixture
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small arrays take the ways of large ones."""
    for name, value in {
        "STRIP": 2**12,
        "WIDE": 2**14,
        "LARGE": 2**15,
        "_PIECE": 2**9,
        "_GROUP": 2**12,
    }.items():
        monkeypatch.setattr(strips, name, value)
    monkeypatch.setattr(stream, "STRIP", 2**12)
    monkeypatch.setattr(stream, "_SMALL", 2**8)


@pytest.mark.usefixtures("_narrow")
@pytest.mark.parametrize("threads", [1, 2])
def test_leaves_of_all_shapes_arrive(threads: int) -> None:
    rng = np.random.default_rng(0)
    square = rng.integers(0, 2**16, (300, 301), np.uint16)
    cube = rng.integers(0, 2**16, (5, 70, 90), np.uint16)
    leaves = {
        "plain": square,
        "transposed": square.T,
        "wide": rng.integers(0, 2**16, (3000, 40), np.uint16).T,
        "tall": rng.integers(0, 2**16, (40, 3000), np.uint16).T,
        "cube": cube.transpose(0, 2, 1),
        "turned": cube.transpose(2, 1, 0),
        "flipped": square[::-1, ::-1].T,
        "scalar": np.array(7, np.int8),
        "empty": np.zeros((0, 5), np.float32),
        "joined": np.concatenate([Deferred.of(square).T, Deferred.of(square[:7]).T], axis=1),
        "stacked": np.stack([Deferred.of(square).T] * 3),
        "cast": Deferred.of(square).T.astype(np.float32),
        "merged": Deferred.of(cube).transpose(2, 1, 0).reshape(-1),
        "big-endian": square.astype(">u2"),
    } | {f"small{i}": rng.integers(0, 9, i, np.uint8) for i in range(40)}
    offsets, end = {}, 5
    for name, leaf in leaves.items():
        offsets[name], end = end, end + leaf.nbytes
    sink, finished = Memory(end), []
    copy_leaves(
        ((name, leaf, sink, offsets[name]) for name, leaf in leaves.items()),
        threads=threads,
        finished=finished.append,
    )
    assert sorted(finished) == sorted(leaves)
    assert (sink.times[5:] == 1).all()
    for name, leaf in leaves.items():
        expected = np.asarray(leaf)
        expected = (
            expected.astype(expected.dtype.newbyteorder("<")) if expected.dtype.str[0] == ">" else expected
        )
        found = sink.content[offsets[name] : offsets[name] + leaf.nbytes]
        assert found.tobytes() == expected.tobytes(), name


def test_small_leaves_are_written_together_where_they_follow_one_another() -> None:
    leaves = {f"w{i}": np.full((i, 3), i, np.int16).T for i in range(50)}
    sinks, finished, pieces = [Memory(20_000), Memory(20_000)], [], []

    class Watched:
        def __init__(self, sink: Memory) -> None:
            self.sink = sink

        def write(self, content: memoryview, offset: int) -> None:
            pieces.append((offset, len(content)))
            self.sink.write(content, offset)

    places, ends = {}, [0, 0]
    for index, (name, leaf) in enumerate(leaves.items()):
        file = index // 20 % 2
        ends[file] += 8 if index == 30 else 0  # a gap
        places[name] = (file, ends[file])
        ends[file] += leaf.nbytes
    watched = [Watched(sink) for sink in sinks]
    copy_leaves(
        [(name, leaf, watched[places[name][0]], places[name][1]) for name, leaf in leaves.items()],
        finished=finished.append,
    )
    assert sorted(finished) == sorted(leaves)
    assert len(pieces) == 4  # the first file, the second before and after the gap, the first again
    for name, leaf in leaves.items():
        file, offset = places[name]
        assert sinks[file].content[offset : offset + leaf.nbytes].tobytes() == leaf.tobytes(), name


def test_what_a_thread_raises_comes_out() -> None:
    class Full:
        def write(self, content: memoryview, offset: int) -> None:
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        copy_leaves([("w", np.zeros((1000, 1000)), Full(), 0)])


def test_a_source_that_shrinks_on_the_way_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "source"
    array = np.ones((3000, 1000), np.float32)
    write_safetensors(source, {"w": spec_of(array)}, [("w", array)])
    with open_checkpoint(source) as checkpoint:
        view = checkpoint["w"].read().T
        with source.open("r+b") as file:
            file.truncate(5000)
        with pytest.raises(CheckpointError, match="changed while it was read"):
            write_safetensors(tmp_path / "out", {"w": spec_of(view)}, [("w", view)])
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_memory_does_not_grow_with_the_leaf(tmp_path: Path) -> None:
    array = np.zeros((4096, 4096), np.float32)  # 64 MiB
    write_safetensors(tmp_path / "source", {"w": spec_of(array)}, [("w", array)])
    del array
    with open_checkpoint(tmp_path / "source") as checkpoint:
        leaf = np.concatenate([Deferred.of(checkpoint["w"].read()).T] * 2, axis=1).astype(np.float16)
        tracemalloc.start()
        try:
            write_safetensors(tmp_path / "out", {"w": spec_of(leaf)}, [("w", leaf)])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 2**25
    assert (tmp_path / "out").stat().st_size > 2**26
