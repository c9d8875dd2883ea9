"""The opcodes of a pickle, and the loop that runs them."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ml_switcheroo.formats.inert import PickleFault
from ml_switcheroo.formats.pickle_machine import Constructor, PickleMachine, hashable

__all__ = ["MAX_STEPS", "OPCODES", "Pickled", "read_pickle"]

MAX_STEPS = 20_000_000
"""How many opcodes a pickle may have: enough for some 500,000 tensors."""

_MAX_INT_BYTES = 64
_STOP = ord(".")
# What a damaged pickle can raise.
_DAMAGE = (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError, struct.error)


@dataclass(frozen=True, slots=True)
class Pickled:
    """What a pickle holds.

    Attributes:
        value: Its value.
        end: Where it ends in the bytes.
        foreign: Globals without a known constructor, with the offset of their first use.
    """

    value: Any
    end: int
    foreign: Mapping[str, int]


def read_pickle(
    content: bytes | mmap.mmap,
    constructors: Mapping[str, Constructor],
    persistent: Callable[[Any], Any],
    *,
    start: int = 0,
) -> Pickled:
    r"""Run the pickle at ``start`` of ``content`` (see :class:`PickleMachine` for the arguments).

    Raises:
        PickleFault: The pickle is damaged, or uses what this machine refuses.

    >>> import pickle
    >>> read_pickle(pickle.dumps({"a": [1, 2.5]}), {}, repr).value
    {'a': [1, 2.5]}
    >>> read_pickle(b"cos\nsystem\n(S'ls'\ntR.", {}, repr)
    Pickled(value=<os.system>, end=21, foreign={'os.system': 0})
    """
    machine = PickleMachine(content, constructors, persistent, start=start)
    try:
        _run(machine, len(content))
    except _DAMAGE as error:
        reason = f"damaged pickle ({type(error).__name__}: {error})"
        raise PickleFault(reason[:200], machine.position) from error
    return Pickled(machine.stack.pop(), machine.next, machine.foreign)


def _run(machine: PickleMachine, end: int) -> None:
    content, table = machine.content, _TABLE
    for _ in range(MAX_STEPS):
        machine.position = at = machine.next
        if at >= end:
            raise PickleFault("the pickle ends without STOP", end)
        machine.next = at + 1
        code = content[at]
        step = table[code]
        if step is not None:
            step(machine)
        elif code == _STOP:
            if not machine.stack:
                raise PickleFault("the pickle holds nothing", at)
            return
        else:
            raise PickleFault(f"opcode 0x{code:02x} does not belong in a checkpoint", at)
    raise PickleFault(f"more than {MAX_STEPS} opcodes", machine.position)


def _text(raw: bytes) -> str | bytes:
    """Decode a string of a Python 2 pickle; it stays bytes if it is not text."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def _unicode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _decimal(line: bytes) -> int | bool:
    if line in (b"00", b"01"):
        return line == b"01"
    return int(line.rstrip(b"L") or b"0")


def _quoted(line: bytes) -> str | bytes:
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("a string without quotes")
    return _text(line[1:-1].decode("unicode_escape").encode("latin-1"))


_U1, _U2, _U4, _U8 = (struct.Struct(form) for form in ("<B", "<H", "<I", "<Q"))
_I4, _F8 = struct.Struct("<i"), struct.Struct(">d")


def _push(read: Callable[[PickleMachine], Any]) -> Callable[[PickleMachine], None]:
    def step(machine: PickleMachine) -> None:
        machine.stack.append(read(machine))

    return step


def _new(make: Callable[[], Any]) -> Callable[[PickleMachine], None]:
    def step(machine: PickleMachine) -> None:
        machine.stack.append(make())

    return step


def _sized(form: struct.Struct, decode: Callable[[bytes], Any]) -> Callable[[PickleMachine], None]:
    def step(machine: PickleMachine) -> None:
        raw = machine.take(machine.number(form))
        machine.stack.append(decode(raw))

    return step


def _long(raw: bytes) -> int:
    if len(raw) > _MAX_INT_BYTES:
        raise ValueError(f"an integer of {len(raw)} bytes")
    return int.from_bytes(raw, "little", signed=True)


def _binint1(machine: PickleMachine) -> None:
    machine.stack.append(machine.content[machine.next])
    machine.next += 1


def _binput(machine: PickleMachine) -> None:
    machine.memo[machine.content[machine.next]] = machine.stack[-1]
    machine.next += 1


def _binget(machine: PickleMachine) -> None:
    machine.stack.append(machine.memo[machine.content[machine.next]])
    machine.next += 1


def _long_binput(machine: PickleMachine) -> None:
    at = machine.next
    machine.memo[int.from_bytes(machine.content[at : at + 4], "little")] = machine.stack[-1]
    machine.next = at + 4


def _binunicode(machine: PickleMachine) -> None:
    at = machine.next + 4
    stop = at + int.from_bytes(machine.content[at - 4 : at], "little")
    if stop > len(machine.content):
        raise PickleFault("the pickle ends inside a value", machine.position)
    machine.stack.append(_unicode(machine.content[at:stop]))
    machine.next = stop


def _tuple_step(count: int) -> Callable[[PickleMachine], None]:
    return lambda machine: machine.make_tuple(count)


def _dict_of_marked(machine: PickleMachine) -> None:
    items = machine.pop_to_mark()
    machine.stack.append({})
    machine.set_items(items)


def _list_of_marked(machine: PickleMachine) -> None:
    items = machine.pop_to_mark()
    machine.stack.append(items)


def _frozenset_of_marked(machine: PickleMachine) -> None:
    items = machine.pop_to_mark()
    machine.stack.append(frozenset(hashable(item, machine.position) for item in items))


def _dup(machine: PickleMachine) -> None:
    machine.stack.append(machine.stack[-1])


def _append_one(machine: PickleMachine) -> None:
    item = machine.stack.pop()
    machine.add_items([item])


def _append_marked(machine: PickleMachine) -> None:
    items = machine.pop_to_mark()
    machine.add_items(items)


def _set_item(machine: PickleMachine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _set_marked(machine: PickleMachine) -> None:
    items = machine.pop_to_mark()
    machine.set_items(items)


def _global_lines(machine: PickleMachine) -> None:
    module, name = machine.line(), machine.line()
    machine.name_global(_unicode(module), _unicode(name))


def _global_from_stack(machine: PickleMachine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise TypeError("a global whose name is not text")
    machine.name_global(module, name)


def _reduce(machine: PickleMachine) -> None:
    args, what = machine.stack.pop(), machine.stack.pop()
    machine.call(what, args)


def _new_with_names(machine: PickleMachine) -> None:
    named, args, what = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    machine.call(what, args, named)


def _instance(machine: PickleMachine) -> None:
    _global_lines(machine)
    what = machine.stack.pop()
    args = tuple(machine.pop_to_mark())
    machine.call(what, args)


def _object(machine: PickleMachine) -> None:
    what, *args = machine.pop_to_mark()
    machine.call(what, tuple(args))


def _persistent_line(machine: PickleMachine) -> None:
    machine.stack.append(machine.persistent(_unicode(machine.line())))


def _persistent_from_stack(machine: PickleMachine) -> None:
    machine.stack.append(machine.persistent(machine.stack.pop()))


OPCODES: dict[int, Callable[[PickleMachine], Any]] = {
    # protocol and framing
    0x80: lambda machine: machine.take(1),  # PROTO
    0x95: lambda machine: machine.take(8),  # FRAME
    # constants
    ord("N"): _new(lambda: None),
    0x88: _new(lambda: True),
    0x89: _new(lambda: False),
    # numbers
    ord("I"): _push(lambda machine: _decimal(machine.line())),
    ord("L"): _push(lambda machine: _decimal(machine.line())),
    ord("F"): _push(lambda machine: float(machine.line())),
    ord("J"): _push(lambda machine: machine.number(_I4)),
    ord("K"): _binint1,
    ord("M"): _push(lambda machine: machine.number(_U2)),
    ord("G"): _push(lambda machine: machine.number(_F8)),
    0x8A: _sized(_U1, _long),
    0x8B: _sized(_U4, _long),
    # text and bytes
    ord("S"): _push(lambda machine: _quoted(machine.line())),
    ord("T"): _sized(_U4, _text),
    ord("U"): _sized(_U1, _text),
    ord("V"): _push(lambda machine: machine.line().decode("raw_unicode_escape")),
    ord("X"): _binunicode,
    0x8C: _sized(_U1, _unicode),
    0x8D: _sized(_U8, _unicode),
    ord("B"): _sized(_U4, bytes),
    ord("C"): _sized(_U1, bytes),
    0x8E: _sized(_U8, bytes),
    0x96: _sized(_U8, bytes),  # BYTEARRAY8
    # containers
    ord("("): PickleMachine.mark,
    ord(")"): _new(lambda: ()),
    ord("]"): _new(list),
    ord("}"): _new(dict),
    0x8F: _new(set),
    ord("t"): PickleMachine.make_marked_tuple,
    0x85: _tuple_step(1),
    0x86: _tuple_step(2),
    0x87: _tuple_step(3),
    ord("l"): _list_of_marked,
    ord("d"): _dict_of_marked,
    0x91: _frozenset_of_marked,
    ord("a"): _append_one,
    ord("e"): _append_marked,
    0x90: _append_marked,  # ADDITEMS
    ord("s"): _set_item,
    ord("u"): _set_marked,
    # stack and memo
    ord("0"): PickleMachine.pop,
    ord("1"): PickleMachine.pop_to_mark,
    ord("2"): _dup,
    ord("p"): lambda machine: machine.memoize(int(machine.line())),
    ord("q"): _binput,
    ord("r"): _long_binput,
    0x94: lambda machine: machine.memoize(len(machine.memo)),
    ord("g"): lambda machine: machine.recall(int(machine.line())),
    ord("h"): _binget,
    ord("j"): lambda machine: machine.recall(machine.number(_U4)),
    # globals and objects
    ord("c"): _global_lines,
    0x93: _global_from_stack,
    ord("R"): _reduce,
    0x81: _reduce,  # NEWOBJ
    0x92: _new_with_names,
    ord("i"): _instance,
    ord("o"): _object,
    ord("b"): PickleMachine.build,
    ord("P"): _persistent_line,
    ord("Q"): _persistent_from_stack,
}

_TABLE: tuple[Callable[[PickleMachine], Any] | None, ...] = tuple(map(OPCODES.get, range(256)))
