"""An observer is told each expression that is evaluated, with its value, and only while it observes."""

from __future__ import annotations

import ast

from ml_switcheroo.code.library import Library
from ml_switcheroo.sources.static.python.frames import module_frame
from ml_switcheroo.sources.static.python.observing import observing
from ml_switcheroo.sources.static.torch.interpreter import new_machine

CODE = """
def double(x):
    return x * 2

a = double(3)
b = [i for i in (1, a)]
c = "even" if b[1] % 2 == 0 else "odd"
"""


def test_each_expression_is_told_with_its_value(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    machine = new_machine(Library([tmp_path]))
    source = machine.library.file(tmp_path / "code.py")
    told = {}
    depths = []

    def observer(node, value):
        told.setdefault(ast.unparse(node), []).append(value)
        depths.append(len(frames))

    with observing(machine, observer) as frames:
        machine.run(source.tree.body, module_frame(source))
    assert told["x * 2"] == told["double(3)"] == [6]
    assert told["x"] == told["3"] == [3]
    assert told["i"] == [1, 6]
    assert told["b[1] % 2 == 0"] == [True]
    assert told["'even' if b[1] % 2 == 0 else 'odd'"] == told["'even'"] == ["even"]
    assert "'odd'" not in told
    assert max(depths) == 2  # what calls is live as well
    assert frames == []


def test_nothing_is_told_afterwards_and_the_tables_are_as_they_were(tmp_path):
    (tmp_path / "code.py").write_text("a = 1\nb = a + 1\n")
    machine = new_machine(Library([tmp_path]))
    source = machine.library.file(tmp_path / "code.py")
    tables, told = machine.tables, []
    with observing(machine, lambda _, value: told.append(value)):
        machine.run(source.tree.body[:1], module_frame(source))
    assert told == [1]
    assert machine.tables is tables
    machine.run(source.tree.body[1:], module_frame(source))
    assert told == [1]
    assert source.values["b"] == 2
