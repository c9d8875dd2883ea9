"""The source of live classes and functions: the right one, with its own lines."""

import ast
import importlib.util
import inspect
import os
import sys

import pytest

from ml_switcheroo.computed.source import tree_of

TEXT = '''import functools

if True:
    class Plain:
        def one(self):
            return 1
        class Inner:
            def one(self):
                return 2
else:
    class Other:
        pass

def make():
    class Plain:
        """In a function."""
        def one(self):
            return 3
    return Plain

@functools.lru_cache(
    maxsize=3,
)
def decorated(x):
    return x

def twice():
    return "first"

first = twice

def twice():
    return "second"

class Twice:
    name = "first"

class Twice:
    name = "second"
'''


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "written.py"
    path.write_text(TEXT, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("written", path)
    made = importlib.util.module_from_spec(spec)
    sys.modules["written"] = made
    spec.loader.exec_module(made)
    yield made
    del sys.modules["written"]


def test_each_gets_its_own_source(module):
    things = {
        "class Plain:\n    def one(self):\n        return 1": module.Plain,
        "def one(self):\n    return 1": module.Plain.one,
        "def one(self):\n    return 2": module.Plain.Inner.one,
        "def one(self):\n    return 3": module.make().one,
        "def twice():\n    return 'first'": module.first,
        "def twice():\n    return 'second'": module.twice,
    }
    for text, thing in things.items():
        tree, behind = tree_of(thing)
        assert ast.unparse(tree).replace("\n\n", "\n").startswith(text)
        _, start = inspect.getsourcelines(thing)
        assert tree.body[0].lineno + behind == start


def test_decorators_belong_to_it(module):
    tree, _ = tree_of(module.decorated.__wrapped__)
    assert ast.unparse(tree).startswith("@functools.lru_cache(maxsize=3)")


def test_of_two_classes_of_one_name_it_is_the_one_that_inspect_takes(module):
    tree, behind = tree_of(module.Twice)
    lines, start = inspect.getsourcelines(module.Twice)
    assert ast.unparse(tree) == ast.unparse(ast.parse("".join(lines)))
    assert tree.body[0].lineno + behind == start


def test_a_file_that_was_written_again_is_read_again(module, tmp_path):
    tree_of(module.Plain)
    changed = tmp_path / "written.py"
    changed.write_text(TEXT.replace("return 1", "return 7"), encoding="utf-8")
    os.utime(changed, ns=(1, 1))
    assert "return 7" in ast.unparse(tree_of(module.Plain)[0])


def test_what_has_no_source_is_an_error():
    namespace = {}
    exec("def made(): pass\nclass Made: pass", namespace)
    with pytest.raises(OSError, match=r".*"):
        tree_of(namespace["made"])
    with pytest.raises((OSError, TypeError)):
        tree_of(int)
