import pickle
import pickletools
import struct
from collections import Counter, OrderedDict, defaultdict
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml_switcheroo.formats import pickle_opcodes
from ml_switcheroo.formats.inert import Foreign, PickleFault
from ml_switcheroo.formats.pickle_opcodes import OPCODES, read_pickle
from ml_switcheroo.formats.pickled_values import CONSTRUCTORS

REFUSED = {"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER", "STOP"}

keys = st.text() | st.integers(-(2**70), 2**70) | st.booleans() | st.none() | st.binary(max_size=9)
values = st.recursive(
    keys | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False),
    lambda inner: (
        st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner) | st.sets(keys, max_size=4)
    ),
    max_leaves=30,
)


def read(content: bytes) -> Any:
    return read_pickle(content, CONSTRUCTORS, repr).value


def test_every_opcode_is_run_or_refused() -> None:
    known = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
    assert {name for name, code in known.items() if code not in OPCODES} == REFUSED
    assert set(OPCODES) <= set(known.values())


@given(values, st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_plain_values_as_python_reads_them(value: object, protocol: int) -> None:
    content = pickle.dumps(value, protocol)
    assert read(content) == value
    assert read(pickletools.optimize(content)) == value
    assert read_pickle(content + b"rest", CONSTRUCTORS, repr).end == len(content)


@given(st.binary(max_size=200))
@example(b"\x88r")
@settings(max_examples=300, deadline=None)
def test_any_bytes_end_in_a_value_or_a_fault(content: bytes) -> None:
    found: Any
    try:
        found = read_pickle(content, CONSTRUCTORS, repr)
    except PickleFault as fault:
        found = fault
    if isinstance(found, PickleFault):
        assert found.offset in range(len(content) + 1)
    else:
        assert content[found.end - 1 : found.end] == b"."


@pytest.mark.parametrize("protocol", range(6))
def test_harmless_containers_become_plain_ones(protocol: int) -> None:
    content = {
        "ordered": OrderedDict(a=1),
        "default": defaultdict(int, b=2),
        "counter": Counter("aab"),
        "range": range(3),
        "frozen": frozenset({1, 2}),
        "bytes": b"\x00\xff",
        "array": bytearray(b"ab"),
    }
    assert read(pickle.dumps(content, protocol)) == {
        "ordered": {"a": 1},
        "default": {"b": 2},
        "counter": {"a": 2, "b": 1},
        "range": ("range", 0, 3, 1),
        "frozen": {1, 2},
        "bytes": b"\x00\xff",
        "array": b"ab",
    }


class Thing:
    def __init__(self) -> None:
        self.a = 1


@pytest.mark.parametrize("protocol", range(6))
def test_foreign_objects_are_records(protocol: int) -> None:
    pickled = read_pickle(pickle.dumps([Thing()], protocol), CONSTRUCTORS, repr)
    (thing,) = pickled.value
    assert isinstance(thing, Foreign)
    assert thing.kind.path == f"{Thing.__module__}.Thing"
    assert thing.attributes == {"a": 1}
    assert list(pickled.foreign) == [f"{Thing.__module__}.Thing"]


def test_values_that_hold_themselves() -> None:
    loop: list[Any] = []
    loop.append(loop)
    found = read(pickle.dumps(loop))
    assert found[0] is found


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "ends without STOP"),
        (b".", "holds nothing"),
        (b"N", "ends without STOP"),
        (b"0.", "damaged"),
        (b"\x82\x01.", "opcode 0x82"),
        (b"X\xff\xff\xff\xffab.", "ends inside a value"),
        (b"\x8d" + b"\xff" * 8 + b".", "ends inside a value"),
        (b"\x8b" + struct.pack("<I", 100) + bytes(100) + b".", "an integer of 100 bytes"),
        (b"I" + b"9" * 60_000 + b"\n.", "damaged"),
        (b"c" + b"a" * 70_000 + b"\nb\n.", "line that does not end"),
        (b"h\x05.", "damaged"),
        (b"(.", "holds nothing"),
        (b"NNR.", "damaged"),
        (b"N)R.", "calls a NoneType"),
        (b"]Nb.", "list takes no state"),
        (b"})Ns.", None),
        (b"}))\x86Ns.", "a tuple as a key"),
        (b"}]Ns.", "a list as a key"),
        (b"ctorch\nfloat32\n)R.", "a call of a constant"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(NNNNt.", None),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR.", "without a storage"),
        (b"\x8c\x01aN\x93.", "name is not text"),
    ],
)
def test_damaged_and_hostile_pickles(content: bytes, problem: str | None) -> None:
    if problem is None:
        read(content)
        return
    with pytest.raises(PickleFault, match=problem):
        read(content)


def test_a_memo_index_out_of_all_proportion_costs_nothing() -> None:
    assert read(b"Nr\xff\xff\xff\xff.") is None


def test_the_number_of_opcodes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_opcodes, "MAX_STEPS", 1000)
    with pytest.raises(PickleFault, match="more than 1000 opcodes"):
        read(b"N0" * 1000 + b"N.")


def test_nested_tuples_are_never_hashed() -> None:
    """Hashing 60 levels of (x, x) would take 2**60 steps, and 100,000 levels of (x,) the C stack."""
    doubling = b")" + b"2\x86" * 60
    deep = b")" + b"\x85" * 100_000
    for content in (b"}" + doubling + b"Ns.", b"}" + deep + b"Ns.", b"\x8f(" + doubling + b"\x90."):
        with pytest.raises(PickleFault, match="a tuple as a key"):
            read(content)
    for call in (
        b"cbuiltins\nset\n",
        b"ccollections\nOrderedDict\n",
        b"ctorch\ndevice\n",
        b"cpathlib\nPath\n",
    ):
        with pytest.raises(PickleFault):
            read(call + b"(]" + doubling + b"atR" + b"." * 0 + doubling + b"\x86R.")
