import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint

import pytest

import ml_switcheroo.core.hooks as core_hooks
from ml_switcheroo.codemod import hooks, operations
from ml_switcheroo.codemod.hooks import HookContext, find_hook, register_hook
from ml_switcheroo.codemod.rewriter import rewrite
from ml_switcheroo.errors import UsageError


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    find_hook("checkpoint_loader")  # the hooks that come along are imported once
    monkeypatch.setattr(hooks, "_HOOKS", dict(hooks._HOOKS))
    monkeypatch.setattr(operations, "_REGISTERED", {})
    monkeypatch.setattr(operations, "_load_offered", cache(operations._load_offered.__wrapped__))


def keep(node, ctx):
    return node


def test_a_registered_hook_is_found():
    assert register_hook("keep")(keep) is keep
    assert find_hook("keep") is keep


def test_a_name_is_taken_once():
    register_hook("keep")(keep)
    register_hook("keep")(keep)
    with pytest.raises(UsageError, match=r"hook 'keep' is .*keep already"):
        register_hook("keep")(find_hook)


def test_an_unknown_hook_is_an_error_that_names_the_known_ones():
    with pytest.raises(
        UsageError, match=r"no hook is called 'nothing'.*checkpoint_loader, checkpoint_mapper"
    ):
        find_hook("nothing")


def offered(monkeypatch, value):
    point = EntryPoint("other", value, hooks.ENTRY_POINTS)
    monkeypatch.setattr(hooks, "entry_points", lambda **wanted: [point] if wanted["name"] == "other" else [])


def test_another_package_offers_a_hook(monkeypatch):
    offered(monkeypatch, "ml_switcheroo.codemod.hooks:find_hook")
    assert find_hook("other") is find_hook


@pytest.mark.parametrize(
    "value", ["no_such_package.hooks:rewrite", "ml_switcheroo.codemod.hooks:no_such_hook"]
)
def test_a_hook_that_cannot_be_imported_is_an_error_that_names_it(monkeypatch, value):
    offered(monkeypatch, value)
    with pytest.raises(UsageError, match=f"hook 'other' cannot be loaded from {value}: .*no_such"):
        find_hook("other")


PACKAGE = """
import libcst as cst
from ml_switcheroo.codemod.hooks import HookContext
from ml_switcheroo.codemod.operations import Operation

def tell(node, ctx):
    ctx.inject_import("from other_port import load")
    ctx.note(f"{ctx.target}, {ctx.receiver}, {ctx.scope}, {ctx.settings['runtime']}")
    return node.with_changes(func=cst.Name("load"))

ROWS = [
    Operation("restore_weights", "other.Model", "live", requires_plugin="other"),
    Operation("load_state_dict", "torch.nn.Module", "keras", requires_plugin="other"),
]
NOT_A_ROW = ["restore_weights"]
"""


def install(folder, value, operations=""):
    """Install a package in a folder, as pip does: the code, and what it offers."""
    (folder / "other_hooks.py").write_text(PACKAGE)
    info = folder / "other_hooks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-hooks\nVersion: 1.0\n")
    rows = operations and f"[ml_switcheroo.operations]\nrows = {operations}\n"
    (info / "entry_points.txt").write_text(f"[ml_switcheroo.hooks]\nother = {value}\n{rows}")


def test_an_installed_package_rewrites_calls(monkeypatch, tmp_path):
    install(tmp_path, "other_hooks:tell")
    monkeypatch.syspath_prepend(tmp_path)
    row = operations.Operation("load_state_dict", "torch.nn.Module", "live", requires_plugin="other")
    monkeypatch.setattr(operations, "OPERATIONS", (row,))
    code = "import torch\ndef f(net):\n    net.load_state_dict(a)\n    net.load_state_dict(b)\n"
    result = rewrite(code)
    assert result.code == (
        "import torch\nfrom other_port import load\ndef f(net):\n    load(a)\n    load(b)\n"
    )
    assert [str(note) for note in result.notes] == [
        "<source>:3: nnx, module, f, inject",
        "<source>:4: nnx, module, f, inject",
    ]


def test_an_installed_package_brings_calls_of_its_own(monkeypatch, tmp_path):
    install(tmp_path, "other_hooks:tell", "other_hooks:ROWS")
    monkeypatch.syspath_prepend(tmp_path)
    code = "def f(path):\n    port = make()\n    port.restore_weights(path, device=0)\n    return port\n"
    result = rewrite(code)
    assert "    load(path, device=0)\n" in result.code
    assert result.code.startswith("from other_port import load\n")
    assert [str(note) for note in result.notes] == ["<source>:3: nnx, , f, inject"]
    assert rewrite(code, "jax").code == code, "the row is for live targets"


def test_a_row_for_one_target_goes_before_those_for_all(monkeypatch, tmp_path):
    install(tmp_path, "other_hooks:tell", "other_hooks:ROWS")
    monkeypatch.syspath_prepend(tmp_path)
    code = "import torch\ndef f(net: torch.nn.Module):\n    net.load_state_dict(a)\n"
    assert "    load(a)\n" in rewrite(code, "keras").code
    assert "KeyMapper.load_into(net, a)" in rewrite(code, "nnx").code


def test_files_with_such_calls_alone_are_found_by_the_command(tmp_path):
    install(tmp_path, "other_hooks:tell", "other_hooks:ROWS")
    (tmp_path / "run.py").write_text("port.restore_weights(path)\n")
    command = [sys.executable, "-m", "ml_switcheroo", "rewrite", "run.py", "--to", "nnx", "--write"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run.py").read_text() == "from other_port import load\nload(path)\n"


def test_a_row_is_registered_once_and_never_in_place_of_another():
    row = operations.Operation("restore", "other.Model", "live", requires_plugin="other")
    assert operations.register_operation(row) is row
    operations.register_operation(row)
    assert operations.methods_of_others() == ("restore",)
    for taken in (row, operations.OPERATIONS[0]):
        with pytest.raises(UsageError, match=r"goes to the hook '\w+' already, not to 'more'"):
            operations.register_operation(replace(taken, requires_plugin="more"))
    with pytest.raises(UsageError, match="nothing"):
        operations.register_operation(replace(row, targets="nothing"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("other_hooks:ABSENT", "cannot be loaded from other_hooks:ABSENT"),
        ("other_hooks:NOT_A_ROW", "a str is no Operation"),
    ],
)
def test_rows_that_are_none_are_an_error_that_names_the_package(monkeypatch, tmp_path, value, text):
    install(tmp_path, "other_hooks:tell", value)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=f"operations 'rows'.*{text}"):
        rewrite("net.load_state_dict(state)\n")


@pytest.mark.parametrize("value", ["other_hooks:absent", "absent_hooks:tell"])
def test_an_installed_package_that_fails_to_import_is_named(monkeypatch, tmp_path, value):
    install(tmp_path, value)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=f"hook 'other' cannot be loaded from {value}: .*absent"):
        find_hook("other")


def test_what_a_context_is_asked_for_twice_is_there_once():
    ctx = HookContext(file="run.py", line=7)
    for _ in range(2):
        ctx.inject_preamble("class A: ...")
        ctx.inject_import("import numpy")
    ctx.note("left")
    assert list(ctx.preambles) == ["class A: ..."]
    assert list(ctx.imports) == ["import numpy"]
    assert [str(note) for note in ctx.notes] == ["run.py:7: left"]


def test_the_specifications_address_has_the_same_hooks():
    assert {name: getattr(core_hooks, name) for name in hooks.__all__} == {
        name: getattr(hooks, name) for name in hooks.__all__
    }
