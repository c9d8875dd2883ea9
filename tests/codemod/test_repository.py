import os

import pytest

from ml_switcheroo.codemod.repository import find_files, rewrite_paths
from ml_switcheroo.errors import RewriteError, UnknownTarget


@pytest.fixture
def folder(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    write.root = tmp_path
    return write


def run(folder, to="nnx", **settings):
    settings.setdefault("runtime", "import")
    return {
        str(done.path.relative_to(folder.root)): done for done in rewrite_paths([folder.root], to, **settings)
    }


def test_files_are_found_sorted_and_hidden_folders_left_out(folder):
    for name in ("b.py", "a/x.py", "a/x.txt", "n.ipynb", "s.pyi", ".venv/lib.py", "a/__pycache__/x.py"):
        folder(name, "")
    found = [str(path.relative_to(folder.root)) for path in find_files([folder.root])]
    assert found == ["b.py", "n.ipynb", "s.pyi", "a/x.py"]
    assert list(find_files([folder.root / "b.py"])) == [folder.root / "b.py"]
    with pytest.raises(RewriteError, match="no such file"):
        list(find_files([folder.root / "c.py"]))


def test_only_files_with_something_to_say_come_back(folder):
    folder("a.py", "net.load_state_dict(sd)\n")
    folder("b.py", "x = 1\n")
    folder("c.py", "optimizer.load_state_dict(sd)\n")
    done = run(folder)
    assert sorted(done) == ["a.py", "c.py"]
    assert done["a.py"].changed
    assert not done["c.py"].changed


def test_what_others_define_is_known(folder):
    folder("pkg/__init__.py", "from .nets import Net\n")
    folder(
        "pkg/nets.py",
        "import torch\nclass Base(torch.nn.Module): pass\nclass Net(Base): pass\ndef make(): return Net()\n",
    )
    folder(
        "pkg/tools.py",
        "import torch\nclass Averager:\n    def load_state_dict(self, s): ...\nold = torch.optim.SGD(p)\n",
    )
    folder(
        "run.py",
        "import pkg.nets as nets\nfrom pkg import Net, tools\nfrom pkg.tools import Averager, old\n"
        "x = Net()\nx.load_state_dict(a)\n"
        "y = nets.make()\ny.load_state_dict(a)\n"
        "z = Averager()\nz.load_state_dict(a)\n"
        "old.load_state_dict(a)\n"
        "tools.load_state_dict(a)\n",
    )
    done = run(folder, "linen")["run.py"]
    assert "x = KeyMapper.load_into(x, a)\n" in done.rewrite.code
    assert "y = KeyMapper.load_into(y, a)\n" in done.rewrite.code
    assert [(note.line, note.text.partition(": ")[2].split(",")[0]) for note in done.rewrite.notes] == [
        (9, "the class of z is no torch.nn.Module and has a load_state_dict of its own"),
        (10, "old is an optimizer"),
        (11, "tools is imported"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252"])
def test_the_encoding_is_kept(folder, encoding):
    head = "" if encoding.startswith("utf") else f"# -*- coding: {encoding} -*-\n"
    path = folder("a.py", f"{head}s = 'é'\r\nnet.load_state_dict(sd)\r\n".encode(encoding))
    before = path.read_bytes()
    (done,) = rewrite_paths([path], "nnx", runtime="import")
    done.write()
    after = path.read_bytes()
    assert "s = 'é'\r\n".encode(encoding.removesuffix("-sig")) in after
    assert after.startswith(b"\xef\xbb\xbf") == before.startswith(b"\xef\xbb\xbf")
    assert b"KeyMapper.load_into(net, sd)\r\n" in after
    assert list(rewrite_paths([path], "nnx", runtime="import")) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"# coding: none\nload_state_dict\n", "cannot be read"),
        (b"s = '\xff'  # load_state_dict\n", "cannot be read"),
        (b"x = 1\nprint 'load_state_dict'\n", "a.py:2: left as it is: this is no Python"),
        (b"load_state_dict\x00", "this is no Python"),
    ],
)
def test_what_cannot_be_read_is_a_note(folder, content, why):
    folder("a.py", content)
    done = run(folder)["a.py"]
    assert not done.changed
    assert done.unreadable
    assert why in str(done.rewrite.notes[0])


def test_a_diff_applies_to_the_file(folder):
    folder("a.py", "import torch\nnet.load_state_dict(sd)")
    diff = run(folder)["a.py"].diff()
    assert "-net.load_state_dict(sd)\n\\ No newline at end of file\n" in diff
    assert "+from ml_switcheroo.runtime import KeyMapper\n" in diff


def test_a_file_is_written_in_one_piece(folder):
    path = folder("a.py", "net.load_state_dict(sd)\n")
    path.chmod(0o755)
    done = run(folder)["a.py"]
    done.write()
    assert path.read_text() == done.rewrite.code
    assert path.stat().st_mode & 0o777 == 0o755
    assert list(folder.root.iterdir()) == [path]


def test_a_file_that_changed_meanwhile_is_not_written(folder):
    path = folder("a.py", "net.load_state_dict(sd)\n")
    done = run(folder)["a.py"]
    path.write_text("other = 1\n")
    with pytest.raises(RewriteError, match="changed since it was read"):
        done.write()
    assert path.read_text() == "other = 1\n"


def test_a_link_stays_a_link(folder):
    path = folder("real/a.py", "net.load_state_dict(sd)\n")
    link = folder.root / "link.py"
    link.symlink_to(path)
    (done,) = rewrite_paths([link], "nnx", runtime="import")
    done.write()
    assert link.is_symlink()
    assert "KeyMapper" in path.read_text()


def test_a_read_only_file_is_not_written(folder):
    path = folder("a.py", "net.load_state_dict(sd)\n")
    path.chmod(0o444)
    with pytest.raises(RewriteError, match="read-only"):
        run(folder)["a.py"].write()
    assert path.read_text() == "net.load_state_dict(sd)\n"


def test_links_and_pipes_in_a_folder_are_left_out(folder, tmp_path_factory):
    path = folder("a.py", "net.load_state_dict(sd)\n")
    elsewhere = tmp_path_factory.mktemp("other") / "b.py"
    elsewhere.write_text("net.load_state_dict(sd)\n")
    (folder.root / "c.py").symlink_to(elsewhere)
    (folder.root / "d.py").symlink_to(path)
    (folder.root / "e.py").symlink_to("nowhere")
    (folder.root / "loop").symlink_to(folder.root)
    os.mkfifo(folder.root / "f.py")
    assert list(find_files([folder.root])) == [path]


def test_a_file_that_is_named_twice_is_rewritten_once(folder):
    path = folder("a/b.py", "net.load_state_dict(sd)\n")
    assert list(find_files([path, folder.root, folder.root / "a", path.parent / ".." / "a" / "b.py"])) == [
        path
    ]


def test_a_wrong_target_is_said_before_anything_is_read(folder):
    folder("a.py", "(\n# load_state_dict")
    with pytest.raises(UnknownTarget):
        run(folder, "caffe")
