"""One key_mapper.py per package: where it lies, and how files import it."""

import subprocess
import sys

import pytest

from ml_switcheroo.codemod.block import Carried, compose, find_block
from ml_switcheroo.codemod.repository import rewrite_paths
from rewriting import check_unchanged

LOAD = "net.load_state_dict(sd)\n"


def made(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def rewritten(root, to="nnx", **settings):
    results = list(rewrite_paths([root], to, **{"runtime": "module", **settings}))
    for done in results:
        if done.changed:
            done.write()
    return {done.path.relative_to(root).as_posix(): done for done in results}


PLACES = {
    "relative imports": (
        {
            "pkg/__init__.py": "",
            "pkg/sub/__init__.py": "",
            "pkg/sub/run.py": f"from ..net import Net\n{LOAD}",
        },
        *("pkg/sub/run.py", "pkg/key_mapper.py", "from ..key_mapper import KeyMapper"),
    ),
    "absolute imports of the package": (
        {"pkg/__init__.py": "", "pkg/net.py": "", "pkg/run.py": f"from pkg.net import Net\n{LOAD}"},
        *("pkg/run.py", "pkg/key_mapper.py", "from pkg.key_mapper import KeyMapper"),
    ),
    "a package under src": (
        {
            "pyproject.toml": "",
            "src/pkg/__init__.py": "",
            "src/pkg/net.py": "",
            "src/pkg/run.py": f"import pkg.net\n{LOAD}",
        },
        *("src/pkg/run.py", "src/pkg/key_mapper.py", "from pkg.key_mapper import KeyMapper"),
    ),
    "a package whose file imports nothing": (
        {"pkg/__init__.py": "", "pkg/run.py": f"def f(net, sd):\n    {LOAD}"},
        *("pkg/run.py", "pkg/key_mapper.py", "from pkg.key_mapper import KeyMapper"),
    ),
    "a file of a package that is run from its folder": (
        {"pkg/__init__.py": "", "pkg/net.py": "", "pkg/run.py": f"from net import Net\n{LOAD}"},
        *("pkg/run.py", "pkg/key_mapper.py", "from key_mapper import KeyMapper"),
    ),
    "scripts beside each other": (
        {"net.py": "", "train.py": f"from net import Net\n{LOAD}"},
        *("train.py", "key_mapper.py", "from key_mapper import KeyMapper"),
    ),
    "a script alone": (
        {"tools/run.py": f"def f(net, sd):\n    {LOAD}if __name__ == '__main__':\n    pass\n"},
        *("tools/run.py", "tools/key_mapper.py", "from key_mapper import KeyMapper"),
    ),
    "a script that just runs": (
        {"tools/run.py": LOAD},
        *("tools/run.py", "tools/key_mapper.py", "from key_mapper import KeyMapper"),
    ),
    "folders that are no packages": (
        {"models/net.py": "", "train/run.py": f"from models.net import Net\n{LOAD}"},
        *("train/run.py", "key_mapper.py", "from key_mapper import KeyMapper"),
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_the_module_lies_where_its_files_can_import_it(tmp_path, name):
    files, file, home, statement = PLACES[name]
    results = rewritten(made(tmp_path, files))
    assert list(results) == [home, file], "the module comes first"
    text = (tmp_path / file).read_text()
    assert f"{statement}\n" in text
    assert "KeyMapper.load_into(net, sd)" in text
    assert find_block((tmp_path / home).read_text()).carried.target == "nnx"
    assert rewritten(tmp_path) == {}


UNSURE = {
    "nothing shows from where": {"sub/net.py": f"def f(net, sd):\n    {LOAD}"},
    "imports from several folders": {"a.py": "", "sub/b.py": "", "sub/run.py": f"import a\nimport b\n{LOAD}"},
}


@pytest.mark.parametrize("name", UNSURE)
def test_where_nothing_shows_it_the_file_has_its_own(tmp_path, name):
    results = rewritten(made(tmp_path, UNSURE[name]))
    ((file, done),) = results.items()
    assert [note.code for note in done.rewrite.notes] == ["SW607"]
    assert find_block((tmp_path / file).read_text()) is not None


def test_somebody_elses_module_stays(tmp_path):
    results = rewritten(
        made(tmp_path, {"key_mapper.py": "x = 1\n", "data.py": "", "run.py": f"import data\n{LOAD}"})
    )
    assert list(results) == ["run.py"]
    assert (tmp_path / "key_mapper.py").read_text() == "x = 1\n"
    assert find_block((tmp_path / "run.py").read_text()) is not None


def test_the_module_of_another_target_is_not_called(tmp_path):
    made(tmp_path, {"key_mapper.py": compose(Carried("mlx", ("load_into",))), "data.py": ""})
    code = f"import data\n{LOAD}"
    (tmp_path / "run.py").write_text(code)
    check_unchanged(
        code, file=tmp_path / "run.py", runtime="module", notes=["2: this file has the KeyMapper for mlx"]
    )


def test_a_module_that_lacks_a_method_gets_it(tmp_path):
    made(tmp_path, {"data.py": "", "run.py": f"import data\n{LOAD}"})
    rewritten(tmp_path)
    with (tmp_path / "run.py").open("a") as stream:
        stream.write("import torch\ntorch.save(net.state_dict(), p)\n")
    results = rewritten(tmp_path, save=True)
    assert list(results) == ["key_mapper.py", "run.py"]
    assert "def to_torch" in (tmp_path / "key_mapper.py").read_text()


def test_a_project_that_depends_on_the_package_imports_it(tmp_path):
    files = {
        "pyproject.toml": '[project]\ndependencies = ["numpy", "ml-switcheroo>=0.1"]\n',
        "a/run.py": LOAD,
    }
    rewritten(made(tmp_path, files), "keras", runtime="auto")
    assert (tmp_path / "a/run.py").read_text().startswith("from ml_switcheroo.runtime.into_keras import")


def test_one_that_only_has_settings_for_it_does_not(tmp_path):
    files = {"pyproject.toml": "[tool.ml-switcheroo]\nto = 'nnx'\n", "run.py": LOAD}
    results = rewritten(made(tmp_path, files), runtime="auto")
    assert list(results) == ["key_mapper.py", "run.py"]


def test_a_file_that_was_named_has_its_own(tmp_path):
    made(tmp_path, {"run.py": LOAD})
    (done,) = rewrite_paths([tmp_path / "run.py"], "nnx", runtime="auto")
    assert find_block(done.rewrite.code) is not None


def test_a_package_that_was_rewritten_runs(tmp_path):
    files = {
        "pkg/__init__.py": "from .load import restore\n",
        "pkg/load.py": "from . import other\n\n\ndef restore(net, sd):\n    net.load_state_dict(sd)\n",
        "pkg/other.py": "",
        "main.py": "import torch\nfrom pkg import restore\n\nnet = torch.nn.Linear(2, 3)\n"
        "restore(net, {name: value * 0 for name, value in net.state_dict().items()})\n"
        "print(float(net.weight.abs().sum()))\n",
    }
    results = rewritten(made(tmp_path, files))
    assert list(results) == ["pkg/key_mapper.py", "pkg/load.py"]
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0.0\n"
