"""Files that were made to harm who opens them; each maker writes one into a folder and says what is wrong.

The names of the makers are the rows of the table in docs/formats.md.
"""

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Hostile:
    """A maker.

    Attributes:
        make: Writes the file (or folder) and returns its path.
        problem: A pattern of the reason that must be given.
        offset: Whether an offset can be named.
    """

    make: Callable[[Path], Path]
    problem: str
    offset: bool = True


HOSTILE: dict[str, Hostile] = {}


def hostile(
    problem: str, *, offset: bool = True
) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    def register(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        HOSTILE[make.__name__] = Hostile(make, problem, offset)
        return make

    return register


# Pickles. Each runs `touch canary` if it is unpickled, where it runs anything.


def archive(folder: Path, pickled: bytes, **members: bytes) -> Path:
    """Write a torch archive with this pickle."""
    path = folder / "hostile.pt"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("archive/data.pkl", pickled)
        out.writestr("archive/byteorder", "little")
        for name, content in {"archive/data/0": bytes(16), "archive/version": b"3\n", **members}.items():
            out.writestr(name, content)
    return path


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
)


def with_tensor(value: bytes) -> bytes:
    """Pickle {"w": a tensor, "x": value}, where value is written in opcodes."""
    return b"\x80\x02}(X\x01\x00\x00\x00w" + TENSOR + b"X\x01\x00\x00\x00x" + value + b"u."


def call(module: str, name: str, *args: str) -> bytes:
    texts = b"".join(b"X" + struct.pack("<I", len(arg.encode())) + arg.encode() for arg in args)
    return f"c{module}\n{name}\n".encode() + b"(" + texts + b"tR"


def canary(folder: Path) -> str:
    return f"touch {folder / 'canary'}"


@hostile("os.system, which runs code")
def calls_os_system(folder: Path) -> Path:
    return archive(folder, with_tensor(call("os", "system", canary(folder))))


@hostile("posix.system, which runs code")
def calls_posix_system(folder: Path) -> Path:
    return archive(folder, with_tensor(call("posix", "system", canary(folder))))


@hostile("builtins.eval, which runs code")
def calls_eval(folder: Path) -> Path:
    code = f"__import__('os').system({canary(folder)!r})"
    return archive(folder, with_tensor(call("__builtin__", "eval", code)))


@hostile("builtins.exec, which runs code")
def calls_exec_by_stack_global(folder: Path) -> Path:
    code = f"import os; os.system({canary(folder)!r})".encode()
    value = b"\x8c\x08builtins\x8c\x04exec\x93X" + struct.pack("<I", len(code)) + code + b"\x85R"
    return archive(folder, with_tensor(value))


@hostile("builtins.getattr, builtins.__import__, which runs code")
def chains_getattr(folder: Path) -> Path:
    imported = call("builtins", "__import__", "os")
    command = canary(folder).encode()
    value = b"cbuiltins\ngetattr\n" + imported + b"X\x06\x00\x00\x00system\x86R"
    value += b"X" + struct.pack("<I", len(command)) + command + b"\x85R"
    return archive(folder, with_tensor(value))


@hostile("runpy._run_code, which runs code")
def calls_runpy(folder: Path) -> Path:
    return archive(
        folder, with_tensor(call("runpy", "_run_code", f"import os; os.system({canary(folder)!r})"))
    )


@hostile(r"holds torch\.hub\.load, which does not belong in a state dict")
def uses_torch_hub_as_a_gadget(folder: Path) -> Path:
    return archive(folder, with_tensor(call("torch.hub", "load", str(folder), "entry")))


@hostile(r"holds torch\.utils\.bottleneck\.__main__\.run_prof, which")
def uses_torch_bottleneck_as_a_gadget(folder: Path) -> Path:
    return archive(
        folder, with_tensor(call("torch.utils.bottleneck.__main__", "run_prof", "open('canary','w')"))
    )


@hostile(r"holds torch\.os\.system, which")
def reaches_through_a_module_of_torch(folder: Path) -> Path:
    return archive(folder, with_tensor(call("torch", "os.system", canary(folder))))


@hostile(r"holds torch\.serialization\.os\.system, which")
def nests_a_global(folder: Path) -> Path:
    return archive(
        folder, with_tensor(b"\x8c\x13torch.serialization\x8c\x09os.system\x93X\x01\x00\x00\x00x\x85R")
    )


@hostile("pickle.loads, which runs code")
def unpickles_within_a_pickle(folder: Path) -> Path:
    return archive(folder, with_tensor(call("pickle", "loads", "x")))


@hostile("opcode 0x82")
def uses_an_extension_code(folder: Path) -> Path:
    return archive(folder, with_tensor(b"\x82\x01"))


@hostile("system, which runs code")
def hides_in_a_plain_pickle(folder: Path) -> Path:
    class Bad:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (canary(folder),)

    path = folder / "hostile.pkl"
    path.write_bytes(pickle.dumps({"w": np.ones(2), "x": Bad()}))
    return path


@hostile("system, which runs code")
def hides_in_a_legacy_file(folder: Path) -> Path:
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
    parts = [
        magic,
        pickle.dumps(1001, 2),
        pickle.dumps({}, 2),
        b"\x80\x02" + call("os", "system", "x") + b".",
        b"\x80\x02].",
    ]
    path = folder / "hostile.pt"
    path.write_bytes(b"".join(parts))
    return path


@hostile("system, which runs code")
def runs_code_by_inst(folder: Path) -> Path:
    return archive(folder, with_tensor(b"(S'" + canary(folder).encode() + b"'\nios\nsystem\n"))


@hostile("a tuple as a key")
def hashes_nested_tuples(folder: Path) -> Path:
    return archive(folder, with_tensor(b"})" + b"2\x86" * 200 + b"Ns"))


@hostile("a tuple as a key")
def hashes_deep_tuples(folder: Path) -> Path:
    return archive(folder, with_tensor(b"})" + b"\x85" * 500_000 + b"Ns"))


@hostile("more than .* containers", offset=False)
def laughs_a_billion_times(folder: Path) -> Path:
    levels = b"]q\x00(" + TENSOR + TENSOR + b"e"
    for level in range(1, 12):
        below = b"j" + struct.pack("<I", level - 1)
        levels += b"]r" + struct.pack("<I", level) + b"(" + below * 10 + b"e"
    # All levels go into one list; the last holds the first 10**11 times.
    return archive(folder, with_tensor(b"(" + levels + b"l"))


@hostile("nested deeper than", offset=False)
def nests_lists_without_end(folder: Path) -> Path:
    return archive(folder, with_tensor(b"]" * 100_000 + TENSOR + b"a" * 100_000))


@hostile("damaged pickle")
def asks_for_a_huge_memo(folder: Path) -> Path:
    return archive(folder, with_tensor(b"Nr\xff\xff\xff\xffj\xfe\xff\xff\xff"))


@hostile("an integer of")
def holds_a_huge_integer(folder: Path) -> Path:
    return archive(folder, with_tensor(b"\x8b" + struct.pack("<I", 1_000_000) + b"\x7f" * 1_000_000))


@hostile("ends inside a value")
def announces_a_huge_string(folder: Path) -> Path:
    return archive(folder, with_tensor(b"\x8d" + struct.pack("<Q", 2**62)))


@hostile(r"does not fit")
def makes_a_tensor_beyond_its_storage(folder: Path) -> Path:
    return archive(folder, with_tensor(TENSOR.replace(b"K\x04\x85", b"J\x00\x00\x00\x40\x85")))


@hostile(r"float32\[1152921504606846976\] in 16 bytes")
def expands_a_number_to_a_petabyte(folder: Path) -> Path:
    huge = TENSOR.replace(b"K\x04\x85", b"\x8a\x08" + struct.pack("<q", 2**60) + b"\x85").replace(
        b"K\x01\x85", b"K\x00\x85"
    )
    return archive(folder, with_tensor(huge))


# Archives.


@hostile("decompression bomb")
def is_a_zip_bomb(folder: Path) -> Path:
    path = folder / "hostile.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("archive/data.pkl", bytes(70_000_000))
    return path


@hostile("members overlap")
def overlaps_members(folder: Path) -> Path:
    path = archive(folder, with_tensor(b"N"))
    raw = bytearray(path.read_bytes())
    entries = [i for i in range(len(raw)) if raw[i : i + 4] == b"PK\x01\x02"]
    first = raw[entries[0] + 42 : entries[0] + 46]
    raw[entries[2] + 42 : entries[2] + 46] = first
    path.write_bytes(raw)
    return path


@hostile("two members have this name")
def names_a_member_twice(folder: Path) -> Path:
    path = archive(folder, with_tensor(b"N"), **{"archive/data.pk_": with_tensor(b"N")})
    path.write_bytes(path.read_bytes().replace(b"archive/data.pk_", b"archive/data.pkl"))
    return path


@hostile("leaves the archive")
def leaves_the_archive(folder: Path) -> Path:
    return archive(folder, with_tensor(b"N"), **{"../../etc/passwd": b"x"})


@hostile("leaves the archive")
def names_an_absolute_path(folder: Path) -> Path:
    return archive(folder, with_tensor(b"N"), **{"/etc/passwd": b"x"})


@hostile("checksum is wrong")
def lies_about_a_checksum(folder: Path) -> Path:
    path = archive(folder, with_tensor(b"N"))
    path.write_bytes(path.read_bytes().replace(b"cpuK\x04", b"cpuK\x03"))
    return path


@hostile("encrypted")
def is_encrypted(folder: Path) -> Path:
    path = archive(folder, with_tensor(b"N"))
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    return path


@hostile("zip64 record")
def lies_in_zip64(folder: Path) -> Path:
    path = archive(folder, with_tensor(b"N"))
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\x01\x02")
    raw[at + 24 : at + 28] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    return path


# safetensors.


def safetensors(folder: Path, header: object, content: bytes = b"", nbytes: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "hostile.safetensors"
    path.write_bytes(struct.pack("<Q", len(text) if nbytes is None else nbytes) + text + content)
    return path


def entry(begin: int, end: int, dtype: str = "U8", shape: object = None) -> dict[str, object]:
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


@hostile("header of 9223372036854775807 bytes")
def announces_a_huge_header(folder: Path) -> Path:
    return safetensors(folder, {"a": entry(0, 1)}, b"x", nbytes=2**63 - 1)


@hostile("no JSON")
def nests_json_without_end(folder: Path) -> Path:
    return safetensors(folder, b'{"a":' + b"[" * 1_000_000)


@hostile("overlaps")
def overlaps_tensors(folder: Path) -> Path:
    return safetensors(folder, {"a": entry(0, 4), "b": entry(2, 6)}, bytes(6))


@hostile("leaves a gap")
def hides_bytes_in_a_gap(folder: Path) -> Path:
    return safetensors(folder, {"a": entry(0, 4), "b": entry(8, 12)}, bytes(12))


@hostile("belong to none")
def hides_bytes_at_the_end(folder: Path) -> Path:
    return safetensors(folder, {"a": entry(0, 4)}, bytes(4) + b"#!/bin/sh")


@hostile("a is there twice")
def names_a_tensor_twice(folder: Path) -> Path:
    one = json.dumps(entry(0, 4)).encode()
    return safetensors(folder, b'{"a":' + one + b',"a":' + one + b"}", bytes(4))


@hostile("overflows")
def overflows_a_shape(folder: Path) -> Path:
    return safetensors(folder, {"a": entry(0, 0, shape=[2**62, 2**62, 0])})


@hostile("has 16 bytes, its offsets")
def lies_about_a_dtype(folder: Path) -> Path:
    return safetensors(folder, {"a": entry(0, 4, dtype="F32", shape=[4])}, bytes(4))


# Others.


@hostile("points outside of its folder", offset=False)
def indexes_a_file_elsewhere(folder: Path) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"w": "../../../etc/passwd"}}))
    return path


@hostile("shards are missing", offset=False)
def indexes_a_missing_shard(folder: Path) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"w": "model-00001-of-00001.safetensors"}}))
    return path


@hostile("dtype '.O'")
def holds_an_array_of_objects(folder: Path) -> Path:
    np.savez(folder / "hostile.npz", w=np.array([{"x": 1}], dtype=object))
    return folder / "hostile.npz"


@hostile("regular file", offset=False)
def is_a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "hostile.pt")
    return folder / "hostile.pt"


@hostile("regular file", offset=False)
def links_to_a_device(folder: Path) -> Path:
    (folder / "hostile.pt").symlink_to("/dev/zero")
    return folder / "hostile.pt"


@hostile("symbolic links|[Nn]o such file", offset=False)
def links_to_itself(folder: Path) -> Path:
    (folder / "hostile.pt").symlink_to("hostile.pt")
    return folder / "hostile.pt"
