"""The trees of files: every node is met, names are written as ``ast.unparse`` does, nothing is kept."""

import ast
import gc
import sys
from pathlib import Path

import pytest

from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.rewriter import rewrite
from ml_switcheroo.codemod.trees import spelled, uncollected
from ml_switcheroo.errors import RewriteError

EVERYTHING = """
import os, sys as system
from . import a as b
@decorated(1)
class Net(Base, metaclass=Meta):
    x: int = 1
    def __init__(self, a, /, b=2, *args, c: int = 3, **words) -> None:
        global g
        self.net[1:2, ...] = lambda x: x if not x else -x
        a += 1
        del b
async def run(y):
    nonlocal_ = [i async for i in y if i] + [*y] + list({k: v for k, v in y} | {**y})
    async with y as z, z: await z
    async for one in y: break
    else: raise Error from None
for i, in range(3):
    try: assert i < 1 <= 2, f"{i!r:>{10}}"
    except (A, B) as error: pass
    finally: continue
while (n := f(*args, k=1, **words)): yield_ = {1, 2}
match g:
    case {"a": 1, **rest} | [1, *_] | Point(x=0, y=None) as p if p: return_ = b"x"
    case 1 | "a": pass
def gen(): x = yield 1; yield from x; return not x
with open(x) as f: f.net.fc.weight = "a" "b"
"""


def file_of(code: str) -> File:
    return File(Path("x.py"), ast.parse(code), code)


@pytest.mark.parametrize("code", [EVERYTHING, "type Pair[T: int] = tuple[T, T]\ndef f[T](x: T): pass\n"])
def test_every_node_of_a_file_is_met_with_what_is_around_it(code):
    if code.startswith("type") and sys.version_info < (3, 12):
        pytest.skip("newer syntax")
    file = file_of(code)
    shared = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
    around = {child: node for node in ast.walk(file.tree) for child in ast.iter_child_nodes(node)}
    around = {child: node for child, node in around.items() if not isinstance(child, shared)}
    assert file.around == around
    assert file.nodes == [node for node in ast.walk(file.tree) if not isinstance(node, shared)]


def test_nodes_of_a_class_and_calls_of_a_name_keep_the_order_of_the_file():
    file = file_of("import a\nload(save(1))\nif a:\n    from b import c\n    load(2)\nimport d\n")
    assert [ast.unparse(node) for node in file.of(ast.Import, ast.ImportFrom)] == [
        "import a",
        "import d",
        "from b import c",
    ]
    assert list(map(ast.unparse, file.calls("load".__eq__))) == ["load(save(1))", "load(2)"]
    assert list(map(ast.unparse, file.calls({"load", "save"}.__contains__))) == [
        "load(save(1))",
        "save(1)",
        "load(2)",
    ]
    assert file.of(ast.While) == []


def test_what_is_found_in_a_file_is_looked_for_once():
    asked = []

    def find(file: File, *about: object) -> int:
        asked.append(about)
        return len(asked)

    file = file_of("x = 1")
    assert [file.once(find), file.once(find), file.once(find, file.tree), file.once(find)] == [1, 1, 2, 1]
    assert file_of("x = 1").once(find) == 3


@pytest.mark.parametrize(
    "code", ["net", "self.net.fc", "a.b().c", "nets[0].fc", "(a + b).c", "1 .real", "f(x)", "a[b.c:1]"]
)
def test_a_name_is_written_as_unparse_writes_it(code):
    node = ast.parse(code, mode="eval").body
    assert spelled(node) == ast.unparse(node)


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_afterwards_as_it_was_before(on):
    (gc.enable if on else gc.disable)()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() is on
        with pytest.raises(RewriteError):
            rewrite("load_state_dict(")
        assert gc.isenabled() is on
    finally:
        gc.enable()


def test_nothing_of_a_file_is_kept_for_the_collector():
    code = "import torch\nclass Net(torch.nn.Module): pass\nnet = Net()\nnet.load_state_dict(torch.load(p))\n"
    code += "torch.save(net.state_dict(), p)\nnet.fc.weight.copy_(p)\n"
    rewrite(code)
    with uncollected():
        gc.collect()
        # By their types: other objects may answer isinstance with code of their own.
        before = sum(issubclass(type(one), ast.AST) for one in gc.get_objects())
        rewrite(code)
        assert sum(issubclass(type(one), ast.AST) for one in gc.get_objects()) == before
