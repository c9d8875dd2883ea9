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

def tell(node, ctx):
    ctx.inject_import("from other_port import load")
    ctx.note(f"{ctx.target}, {ctx.receiver}, {ctx.scope}, {ctx.settings['runtime']}")
    return node.with_changes(func=cst.Name("load"))
"""


def install(folder, value):
    """Install a package in a folder, as pip does: the code, and what it offers."""
    (folder / "other_hooks.py").write_text(PACKAGE)
    info = folder / "other_hooks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-hooks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ml_switcheroo.hooks]\nother = {value}\n")


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
