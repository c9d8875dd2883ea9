"""Whatever a forward is made of: no plan is brought down, and what cannot be followed is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

import ml_switcheroo as ms
from ml_switcheroo.sources.static.python.containing import contained
from ml_switcheroo.sources.static.python.machine import Budget
from ml_switcheroo.sources.static.python.values import Raised
from ml_switcheroo.sources.static.reading import forward
from sources.reading import run

HEAD = """
import asyncio
import contextlib
import functools

COUNT = 0

def wrapped(function):
    @functools.wraps(function)
    def inner(self, *args, **kwargs):
        return function(self, *args, **kwargs)
    return inner

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.fc = nn.Linear(96, 5)

    def forward(self, x, *args):
        return self.fc(self.conv(x).flatten(1))

class Net(Base):
"""

FOLLOWED = {
    "any arguments": """def forward(self, x, *args, **kwargs):
        return self.fc(self.conv(x).flatten(1))""",
    "asynchronous": """async def forward(self, x):
        await asyncio.sleep(0)
        return self.fc(self.conv(x).flatten(1))""",
    "a walrus": """def forward(self, x):
        if (y := self.conv(x)).shape[0] and (n := len(y)):
            return self.fc(y.view(n, -1))""",
    "stars": """def forward(self, x):
        b, *rest = self.conv(x).shape
        *_, y = [self.conv(x)]
        return self.fc(y.reshape(b, *[-1]))""",
    "lambdas that call themselves": """def forward(self, x):
        f = lambda n, t: t if n == 0 else f(n - 1, t)
        g = lambda t: g(t)
        h = lambda s: s(s)
        if x.shape[0] > 3:
            g(x), h(h)
        return self.fc(f(3, self.conv(x)).flatten(1))""",
    "a generator": """def parts(self, x):
        yield self.conv(x)
        yield from (self.conv(x) for _ in range(2))

    def forward(self, x):
        for y in self.parts(x):
            z = y
        return self.fc(z.flatten(1))""",
    "try and finally": """def forward(self, x):
        try:
            y = self.conv(x)
        except RuntimeError as error:
            y = self.conv(x[:1])
        finally:
            self.last = 1
        return self.fc(y.flatten(1))""",
    "decorators": """@wrapped
    @torch.no_grad()
    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))""",
    "a global and a class inside": """def forward(self, x):
        global COUNT
        COUNT += 1
        class Inner:
            one = 1
        return self.fc(self.conv(x).flatten(Inner.one))""",
    "checks of types": """def forward(self, x):
        assert isinstance(x, torch.Tensor), "no tensor"
        if not torch.jit.is_scripting() and not isinstance(x, torch.Tensor):
            raise TypeError
        if x.dim() == 3:
            x = x.unsqueeze(0)
        elif x.dim() != 4:
            raise ValueError
        return self.fc(self.conv(x).flatten(1))""",
    "super": "def forward(self, x):\n        return super().forward(x) + super(Net, self).forward(x)",
    "a property": """@property
    def head(self):
        return self.fc

    def forward(self, x):
        return self.head(self.conv(x).flatten(1))""",
    "a name that nobody knows": """def forward(self, x):
        return self.fc(self.conv(unknown(x)).flatten(1))""",
    "mistakes on the way": """def forward(self, x):
        y, d = self.conv(x), {}
        d["a"]["b"] = y
        z = [1][7]
        del q
        return self.fc(y.flatten(1))""",
    "with, and a loop without end": """def forward(self, x):
        with contextlib.ExitStack() as stack, torch.autocast("cuda"):
            y = self.conv(x)
        while True:
            y = F.relu(y)
            if y.sum() > 0:
                break
        return self.fc(y.flatten(1))""",
    "itself, some times": """def forward(self, x, depth=3):
        return self.forward(x, depth - 1) if depth else self.fc(self.conv(x).flatten(1))""",
}

NOT_FOLLOWED = {
    "arguments alone": "def forward(self, *args):\n        return self.fc(self.conv(args[0]).flatten(1))",
    "patterns": """def forward(self, x):
        match x:
            case [first, *rest]:
                y = first
            case {"image": image, **more}:
                y = image
            case str() | int():
                y = x
            case _:
                y = self.conv(x)
        return self.fc(y.flatten(1))""",
    "raises on every side": """def forward(self, x):
        if self.training:
            raise RuntimeError
        else:
            raise ValueError
        return self.fc(self.conv(x).flatten(1))""",
    "itself, for ever": "def forward(self, x):\n        return self.forward(x)",
    "an iterator of its own": """def forward(self, x):
        return self.fc(next(iter(torch.ops.some.where(self.conv(x)))).flatten(1))""",
}


def plans(folder: Path, forward: str) -> list[ms.Plan]:
    model = run(folder, f"{HEAD}    {forward}\n").Net()
    layers = (model, f"{folder}/model.py:Net")
    return [ms.make_plan(model.state_dict(), to="nnx", layers=one) for one in layers]


@pytest.mark.parametrize("name", FOLLOWED)
def test_it_is_followed(tmp_path: Path, name: str) -> None:
    for plan in plans(tmp_path, FOLLOWED[name]):
        (move,) = [move for move in plan.moves if move.sources == ("fc.weight",)]
        assert "c=6" in str(move)


@pytest.mark.parametrize("name", NOT_FOLLOWED)
def test_it_is_asked(tmp_path: Path, name: str) -> None:
    for plan in plans(tmp_path, NOT_FOLLOWED[name]):
        (doubt,) = plan.ambiguous
        assert doubt.rules == ('Kind("fc", "linear", flatten=1)', 'Kind("fc", "linear", flatten=6)')


@pytest.mark.parametrize(
    "error", [KeyError("node"), RecursionError(), Budget(), Raised("ValueError", "size"), IndexError()]
)
def test_a_failure_of_the_reader_is_a_note(tmp_path: Path, monkeypatch, error: Exception) -> None:
    def fail(*args: object) -> bool:
        raise error

    monkeypatch.setattr(forward, "run_forward", fail)
    monkeypatch.setattr("ml_switcheroo.sources.static.reading.from_live.run_forward", fail)
    for plan in plans(tmp_path, FOLLOWED["any arguments"]):
        assert [doubt.names[0] for doubt in plan.ambiguous] == ["fc.weight"]
        assert any("could not be followed" in note and "asked" in note for note in plan.notes)


def test_only_what_fails_is_unknown() -> None:
    notes: list[str] = []
    assert contained("this", lambda: 3, 0, notes) == 3
    assert not notes
    assert contained("this", lambda: 1 // 0, 0, notes) == 0
    assert notes == [
        "this could not be followed: the reader failed (ZeroDivisionError: integer division or modulo by"
        " zero). What depends on it is asked."
    ]
