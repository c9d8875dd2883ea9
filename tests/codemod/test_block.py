"""The stamp of an injected KeyMapper: found, read back, extended, renewed, and left where it was edited."""

import subprocess
import sys

import pytest

from ml_switcheroo.codemod.block import Carried, compose, find_block, folded, ours
from ml_switcheroo.codemod.bundle import Table
from ml_switcheroo.codemod.repository import update_paths
from ml_switcheroo.codemod.rewriter import rewrite
from rewriting import check_unchanged

LOAD = "import torch\n\nnet.load_state_dict(torch.load(p))\n"
SAVE = "torch.save(net.state_dict(), p)\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_block_is_read_back(newline):
    carried = Carried("keras", ("load_into", "to_torch"), {"fc": "linear(c=4)"})
    code = f"a = 1\n{compose(carried)}b = 2\n".replace("\n", newline)
    block = find_block(code)
    assert (block.carried, block.edited) == (carried, False)
    assert code[: block.start] == f"a = 1{newline}"
    assert code[block.end :] == f"{newline}b = 2{newline}"
    assert ours(code)[0] == 2
    assert code.split(newline)[ours(code)[-1]] == "b = 2"


@pytest.mark.parametrize(
    "code", ["", "# >>> KeyMapper for nnx: load_into (ml-switcheroo 1, 00000000)\nx = 1\n"]
)
def test_half_a_block_is_none(code):
    assert find_block(code) is None
    assert folded(code) == code


def test_a_changed_block_shows_it():
    code = compose(Carried("nnx", ("load_into",)))
    assert find_block(code.replace("class LiveNnx", "class LiveNNX")).edited


def test_a_folded_text_has_a_line_for_the_block():
    code = "a = 1\n" + compose(Carried("nnx", ("load_into",))) + "b = 2\n"
    lines = folded(code).split("\n")
    assert lines[:2] == ["a = 1", code.split("\n")[1]]
    assert lines[3:] == ["# <<< KeyMapper", "b = 2", ""]
    assert lines[2].startswith("# ... ")
    code = compose(Carried("nnx", ("load_into",), {"fc": "linear(c=4)"}))
    assert '    "fc": "linear(c=4)",' in folded(code).split("\n")


def test_a_second_call_finds_what_it_needs_in_the_block():
    first = rewrite(LOAD, "nnx").code
    again = rewrite(first + "net.load_state_dict(sd)\n", "nnx")
    assert again.code == first + "KeyMapper.load_into(net, sd)\n"


def test_a_block_that_lacks_a_method_gets_it():
    first = rewrite(LOAD, "mlx").code
    assert "def to_torch" not in first
    done = rewrite(first + SAVE, "mlx", save=True)
    block = find_block(done.code)
    assert "to_torch" in block.carried.entries
    assert not block.edited
    assert done.code[block.end :].endswith("torch.save(KeyMapper.to_torch(net), p)\n")
    assert "def to_torch" in done.code
    again = rewrite(done.code, "mlx", save=True)
    assert (again.code, again.edits) == (done.code, ())


def test_a_block_that_was_changed_by_hand_stays():
    first = rewrite(LOAD, "nnx").code.replace("class LiveNnx", "class LiveNNX")
    code = first + SAVE
    line = code.count("\n")
    check_unchanged(
        code,
        save=True,
        dedent=False,
        notes=[f"{line}: its KeyMapper lacks to_torch, and was"],
    )


def test_a_plan_is_extended_by_what_a_plan_can_do():
    table = Table("Net", (("a", "a"),))
    code = rewrite(LOAD, "nnx", table=table).code
    more = rewrite(code + "ema.load_state_dict(sd)\n", "nnx", table=table).code
    assert find_block(more).carried.table == table
    code += SAVE
    note = f"{code.count(chr(10))}: its KeyMapper carries the plan of one model, which has no to_torch"
    check_unchanged(code, save=True, table=table, dedent=False, notes=[note])


@pytest.mark.parametrize("tool", [("ruff", "format"), ("ruff", "check", "--fix", "--select", "I,W,F,UP")])
def test_formatters_and_sorters_of_imports_leave_a_block_whole(tool, tmp_path):
    file = tmp_path / "run.py"
    file.write_text(rewrite(LOAD, "keras").code)
    command = [sys.executable, "-m", *tool, "--isolated", file]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "No module named" not in done.stderr
    assert not find_block(file.read_text()).edited


@pytest.mark.parametrize("other", ["keras", "equinox", "jax"])
def test_the_keymapper_of_another_target_is_not_called(other):
    code = rewrite(LOAD, "mlx").code + "net.load_state_dict(sd)\n"
    line = code.count("\n")
    check_unchanged(code, other, dedent=False, notes=[f"{line}: this file has the KeyMapper for mlx"])


def test_nor_is_one_that_is_imported():
    code = "from ml_switcheroo.runtime.into_keras import KeyMapper\nnet.load_state_dict(sd)\n"
    check_unchanged(code, "mlx", notes=["2: this file has the KeyMapper for ml_switcheroo.runtime.into_"])
    assert rewrite(code, "keras").code.endswith("KeyMapper.load_into(net, sd)\n")


def test_the_flat_targets_and_nnx_have_one():
    code = rewrite(LOAD, "nnx").code + "net.load_state_dict(sd)\n"
    assert "KeyMapper.from_torch(sd)" in rewrite(code, "jax").code


def test_a_block_of_an_older_version_is_renewed_and_nothing_else(tmp_path):
    kinds = {"tok": "embedding"}
    new = "import torch\n" + compose(Carried("nnx", ("load_into",), kinds)) + "f( 1 )\n"
    body = new.replace("class LiveNnx:", "class OldNnx:")
    import hashlib

    old_block = find_block(body)
    inner = body[old_block.start : old_block.end].split("\n")[3:-2]
    text = "\n".join(line for line in inner if not line.startswith("import ")).strip()
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    now = find_block(new)
    stamp = new[now.start : new.index("\n", now.start)]
    old = body.replace(stamp, stamp.replace(now.version, "0.0.1")[:-9] + digest + ")")
    file = tmp_path / "run.py"
    file.write_text(old)
    assert not find_block(old).edited
    (done,) = update_paths([tmp_path])
    done.write()
    assert file.read_text() == new
    assert list(update_paths([tmp_path])) == []


def test_an_import_that_the_file_has_is_not_repeated_and_its_absence_is_no_edit(tmp_path):
    head = "import numpy as np\nimport torch\n"
    code = rewrite(head + "net.load_state_dict(sd)\n").code
    assert code.count("import numpy as np\n") == 1
    assert not find_block(code).edited
    (tmp_path / "run.py").write_text(code)
    assert list(update_paths([tmp_path])) == []
    code = rewrite("try:\n    import numpy as np\nexcept E:\n    np = None\nnet.load_state_dict(sd)\n").code
    assert code.count("\nimport numpy as np\n") == 1


def test_a_block_that_was_edited_is_not_renewed(tmp_path):
    code = compose(Carried("nnx", ("load_into",))).replace("class LiveNnx", "class LiveNNX")
    (tmp_path / "run.py").write_text(code)
    (done,) = update_paths([tmp_path])
    assert not done.changed
    assert [note.code for note in done.rewrite.notes] == ["SW606"]
