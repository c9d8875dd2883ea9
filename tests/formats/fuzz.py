"""Damage good files at random and open them: each must open, or be refused with a CheckpointError.

Run ``PYTHONPATH=tests python -m formats.fuzz 100000`` from the root of the repository for a long run; the
tests make a short one. A run is repeated exactly by its seed.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from formats.early_torch import archive
from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats import open_checkpoint, write_npz, write_safetensors
from ml_switcheroo.tensors import spec_of

MOST_BYTES = 2**24  # of a tensor that is read to see whether it can be

_NUMBERS = (0, 1, 7, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
_WORDS = (
    b"cos\nsystem\n",
    b"R",
    b"\x93",
    b"q\x00",
    b"h\x00",
    b".",
    b"(",
    b"}",
    b"]",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"\xff" * 4,
)


SAMPLES = Path(__file__).parent / "samples"


@dataclass(frozen=True)
class Seed:
    """A good checkpoint.

    Attributes:
        files: Its files by name; the one called ``""`` is the checkpoint itself, the others make a folder.
        parts: Whether a part of it can be selected.
    """

    files: dict[str, bytes]
    parts: bool = False


def seeds(folder: Path) -> dict[str, Seed]:
    """Return a good checkpoint of each kind; what is damaged of those in folders is any of their files."""
    state = {
        "a.weight": torch.arange(6.0).view(2, 3).t(),
        "b": torch.ones(2).bfloat16(),
        "n": torch.tensor(1),
    }
    arrays = {"w": np.arange(6.0).reshape(2, 3), "b": np.ones(2, np.int8)}
    specs = {name: spec_of(array) for name, array in arrays.items()}

    def saved(content: object, **options: bool) -> bytes:
        buffer = io.BytesIO()
        torch.save(content, buffer, **options)
        return buffer.getvalue()

    def written(name: str, write: Callable[[Path], object]) -> bytes:
        write(folder / name)
        return (folder / name).read_bytes()

    packed = written(
        "seed.safetensors", lambda path: write_safetensors(path, specs, arrays.items(), {"a": "b"})
    )
    index = json.dumps({"metadata": {}, "weight_map": dict.fromkeys(arrays, "one.safetensors")}).encode()
    parts, zero = SAMPLES / "fsdp" / "parts", SAMPLES / "deepspeed"
    found = {
        "zip": Seed({"": saved(state)}, parts=True),
        "nested": Seed({"": saved({"model": state, "epoch": 1, "lr": [0.1]})}, parts=True),
        "legacy": Seed({"": saved(state, _use_new_zipfile_serialization=False)}, parts=True),
        "tar": Seed({"": written("seed.tar", archive)}, parts=True),
        "pickle": Seed({"": pickle.dumps(state)}, parts=True),
        "arrays": Seed({"": pickle.dumps(arrays)}, parts=True),
        "safetensors": Seed({"": packed}),
        "npz": Seed({"": written("a.npz", lambda path: write_npz(path, specs, arrays.items(), {"a": "b"}))}),
        "npz-compressed": Seed({"": written("b.npz", lambda path: np.savez_compressed(path, **arrays))}),
        "npy": Seed({"": written("c.npy", lambda path: np.save(path, arrays["w"]))}),
        "index": Seed({"model.safetensors.index.json": index, "one.safetensors": packed}),
        "distributed": Seed({file.name: file.read_bytes() for file in parts.iterdir()}, parts=True),
        "zero2": Seed({file.name: file.read_bytes() for file in (zero / "zero2" / "step2").iterdir()}),
        "zero3": Seed({file.name: file.read_bytes() for file in (zero / "zero3-bf16" / "step2").iterdir()}),
    }
    for kind, seed in found.items():
        with open_checkpoint(put(folder, kind, seed)) as opened:
            assert len(opened) > 0
    return found


def put(folder: Path, kind: str, seed: Seed, **changes: bytes) -> Path:
    """Write a checkpoint, with other bytes for some of its files; return its path."""
    path = folder / f"damaged-{kind}"
    for name, content in {**seed.files, **changes}.items():
        place = path / name if name else path
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
    return path


def damage(content: bytes, chance: random.Random) -> bytes:
    """Change some bytes, cut, repeat or insert."""
    raw = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(raw)) if raw else 0
        match chance.randrange(7):
            case 0 if raw:
                raw[at] = chance.randrange(256)
            case 1 if raw:
                raw[at] ^= 1 << chance.randrange(8)
            case 2:
                form = chance.choice(("<B", "<H", "<I", "<Q"))
                number = chance.choice(_NUMBERS) & (2 ** (8 * struct.calcsize(form)) - 1)
                raw[at : at + struct.calcsize(form)] = struct.pack(form, number)
            case 3:
                del raw[at : at + chance.choice((1, 2, 8, 100, 10**6))]
            case 4:
                raw[at:at] = raw[at : at + chance.choice((1, 4, 40))] * chance.choice((1, 2, 50))
            case 5:
                raw[at:at] = chance.choice(_WORDS)
            case _:
                end = min(len(raw), at + chance.choice((2, 8, 32)))
                raw[at:end] = bytes(chance.sample(sorted(raw[at:end]), end - at))
    return bytes(raw)


def within_archive(content: bytes, chance: random.Random) -> bytes:
    """Damage a member and pack the archive again, so that what reads the member sees the damage."""
    if not content.startswith(b"PK"):
        return within_tar(content, chance)
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    name = chance.choice([name for name in members if name.endswith((".pkl", ".npy", "byteorder"))])
    members[name] = damage(members[name], chance)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        for name, part in members.items():
            new.writestr(name, part)
    return buffer.getvalue()


def within_tar(content: bytes, chance: random.Random) -> bytes:
    """Damage a member of a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(content)) as old:
        members = {info.name: old.extractfile(info).read() for info in old}  # type: ignore[union-attr]
    name = chance.choice(list(members))
    members[name] = damage(members[name], chance)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as new:
        for member, part in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(part)
            new.addfile(info, io.BytesIO(part))
    return buffer.getvalue()


def run(count: int, seed: int, folder: Path, say: Callable[[str], object] = str) -> Counter[str]:
    """Open ``count`` damaged files; return how many of each kind opened or were refused.

    Raises:
        Exception: Whatever a reader raised that is no CheckpointError; its note says how to repeat it.
    """
    good = seeds(folder)
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for number in range(count):
        chance = random.Random(seed * 10**9 + number)
        kind = chance.choice(list(good))
        seed_of = good[kind]
        name = chance.choice(sorted(seed_of.files))
        is_archive = kind == "tar" or seed_of.files[name].startswith(b"PK")
        change = within_archive if is_archive and chance.random() < 0.7 else damage
        path = put(folder, kind, seed_of, **{name: change(seed_of.files[name], chance)})
        begin = time.perf_counter()
        try:
            select = chance.choice((None, None, ".")) if seed_of.parts else None
            with open_checkpoint(path, select=select) as opened:
                for tensor in opened.values():
                    if tensor.nbytes < MOST_BYTES:
                        tensor.read().tobytes()
            outcome = "opened"
        except (CheckpointError, UsageError) as error:  # damage may make another format of it
            outcome = "refused"
            if len(str(error)) > 5000:
                raise AssertionError("an error that is endless to read") from error
        except BaseException as error:
            error.add_note(f"input {number} of seed {seed} ({kind})")
            raise
        outcomes[f"{kind} {outcome}"] += 1
        slowest = max(slowest, time.perf_counter() - begin)
        if number % 10_000 == 9_999:
            say(f"{number + 1} inputs, the slowest took {slowest:.2f} s")
    return outcomes


if __name__ == "__main__":
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        totals = run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, Path(place), print)
    for name, total in sorted(totals.items()):
        print(f"{name:<28} {total:>7}")
    print(f"{'in all':<28} {totals.total():>7}")
