"""Say which line of a user's program each primitive of MLX is from: MLX itself does not.

While a function is traced, whatever a user's code calls of MLX marks the arrays that go in and that come out.
A mark is a ``Depends``, which gives its array as it is, on a constant that says which call it was.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ml_switcheroo.graph.graph import Line
from ml_switcheroo.graph.lines import line_of

__all__ = ["Marks"]

Record = Mapping[str, Any]

_SIGN = 0x5EED_3A2C
_OUTSIDE = 0
_OPERATORS = """abs add and eq floordiv ge getitem gt invert le lshift lt matmul mod mul ne neg or pow radd
rdiv rfloordiv rmod rmul rpow rshift rsub rtruediv sub truediv xor""".split()
_METHODS = """abs all any argmax argmin astype cos cummax cummin cumprod cumsum diag diagonal exp flatten log
log10 log1p log2 logcumsumexp logsumexp max mean min moveaxis prod reciprocal reshape round rsqrt sin split
sqrt square squeeze std sum swapaxes transpose var""".split()


class Marks:
    """The calls of one trace."""

    def __init__(self) -> None:
        self._calls: list[tuple[Line | None, str]] = [(None, "")]
        self._numbers: dict[tuple[Line | None, str], int] = {}
        self._signs: dict[int, Any] = {}

    def of(self, records: Sequence[Record]) -> dict[str, tuple[Line | None, str]]:
        """Return the line and the word of each array that was made inside of a call, by its name."""
        signs = {
            name: int(value[1])
            for record in records
            if record["type"] == "constants"
            for name, value in record["constants"]
            if value.shape == (2,) and str(value.dtype) == "mlx.core.int64" and int(value[0]) == _SIGN
        }
        inside: dict[str, int] = {}
        for record in reversed(records):
            if record["type"] != "primitive":
                continue
            first, *more = (name for name, *_ in record["inputs"]) if record["inputs"] else ("",)
            if record["name"] == "Depends" and more and more[0] in signs:
                inside[first] = signs[more[0]]
                continue
            number = inside.get(record["outputs"][0][0], _OUTSIDE)
            for name, *_ in record["inputs"]:
                inside.setdefault(name, number)
        return {name: self._calls[number] for name, number in inside.items() if number != _OUTSIDE}

    @contextmanager
    def made(self) -> Iterator[None]:
        """Mark what is called meanwhile; nothing is compiled, since compiled code keeps its marks."""
        with ExitStack() as undo:
            undo.enter_context(_uncompiled())
            for owner, name, word in _called():
                original = getattr(owner, name)
                setattr(owner, name, self._marking(original, word))
                undo.callback(setattr, owner, name, original)
            yield

    def _marking(self, function: Callable[..., Any], word: str) -> Callable[..., Any]:
        def marking(*args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            line = line_of([(frame.f_code.co_filename, frame.f_lineno)])
            if line is None:
                return function(*args, **kwargs)
            said = type(args[0]).__name__ if function.__name__ == "__call__" else word
            found = function(*self._marked(args, _OUTSIDE), **self._marked(kwargs, _OUTSIDE))
            return self._marked(found, self._number(line, said))

        functools.update_wrapper(marking, function, assigned=("__name__", "__doc__"), updated=())
        return marking

    def _number(self, line: Line, word: str) -> int:
        number = self._numbers.setdefault((line, word), len(self._calls))
        if number == len(self._calls):
            self._calls.append((line, word))
        return number

    def _marked(self, value: Any, number: int) -> Any:
        """Return a value whose arrays are marked; what is no plain container stays as it is."""
        import mlx.core as mx

        if type(value) is mx.array:
            if number not in self._signs:
                self._signs[number] = mx.array([_SIGN, number], mx.int64)
            return mx.depends([value], [self._signs[number]])[0]
        if type(value) in (list, tuple):
            return type(value)(self._marked(one, number) for one in value)
        if type(value) is dict:
            return {name: self._marked(one, number) for name, one in value.items()}
        return value


def _called() -> Iterator[tuple[Any, str, str]]:
    """Yield what code calls of MLX: where it is, its name there, and the word for it."""
    import mlx.core as mx
    from mlx import nn

    for name in _OPERATORS:
        yield mx.array, f"__{name}__", ""
    for name in _METHODS:
        yield mx.array, name, name
    for owner in (mx, mx.fast, mx.linalg, mx.fft, nn):
        for name, value in vars(owner).items():
            if callable(value) and name.islower() and not isinstance(value, type) and name != "depends":
                yield owner, name, name
    classes = [value for value in vars(nn).values() if isinstance(value, type)]
    for owner in dict.fromkeys(base for one in classes for base in one.__mro__ if "__call__" in vars(base)):
        if owner.__module__.startswith("mlx."):
            yield owner, "__call__", ""


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Compile nothing meanwhile. Whether MLX compiles is not said: what it compiles is traced once."""
    import mlx.core as mx

    traced = []

    def noted(array: Any) -> Any:
        traced.append(array)
        return array + 1

    compiled = mx.compile(noted)
    compiled(mx.zeros(1))
    compiled(mx.zeros(1))
    mx.disable_compile()
    try:
        yield
    finally:
        if len(traced) == 1:
            mx.enable_compile()
