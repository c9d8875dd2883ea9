"""Perform the pages: ``python tests/docs/pages.py [PAGE...]`` writes what their code prints into them anew.

A block of a page is one of these; anything else is an error, so that no block goes untried:

- ``python`` (or ``toml``, ``yaml``) whose first line is ``# name.ext``: a file.
- ``python``: code, run in the namespace of the page; a block of ``text`` right behind it is what it prints.
- ``toml`` or ``yaml`` that is no file: it is parsed, and rules are read as rules.
- ``sh``: commands that take too long for a test; their scripts, verbs and options are there.
- ``console``: commands behind ``$``, each with what it prints.
- a comment ``<!-- before`` ... ``-->``: code that is run and not shown.
"""

import contextlib
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import yaml

from ml_switcheroo import load_rules
from ml_switcheroo.cli import cli
from ml_switcheroo.layers import known

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$|^<!-- before\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w./-]+\.\w+)\n")
_OPERATORS = dict.fromkeys(("nms", "qnms"), "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_DEFINED = []  # keeps the library alive
# What rounding leaves of a difference is another number on another processor.
_ROUNDING = re.compile(r"\b(?:\d\.\d+e-(?:0[7-9]|[1-9]\d)|0\.0e\+00)(?!\w)")
_EXTRA = re.compile(r"ml-switcheroo\[([\w,]+)\]")


def blocks_of(text):
    """Return the blocks of a page in order, each with its language."""
    return [(language, block) for language, block, _ in _found(text)]


def _found(text):
    for found in _BLOCK.finditer(text):
        yield (found[1], found[2], found.span(2)) if found[3] is None else ("before", found[3], found.span(3))


def perform(blocks, folder, scope):
    """Carry out blocks in a folder; return those that print something else, with what they print."""
    said = printed(blocks, folder, scope)
    return [(block, found) for (_, block), found in zip(blocks, said, strict=True) if found != block]


def printed(blocks, folder, scope):
    """Carry out blocks in a folder; return each as it is to be.

    What is no output stays as it is, and so does output in which only numbers below 1e-6 are others.
    """
    folder = Path(folder)
    made = []
    out = None
    with contextlib.chdir(folder):
        for language, block in blocks:
            made.append(block)
            if language in ("python", "toml", "yaml") and (file := _FILE.match(block)):
                (folder / file[1]).parent.mkdir(parents=True, exist_ok=True)
                (folder / file[1]).write_text(block, encoding="utf-8")
            elif language in ("python", "before"):
                with contextlib.redirect_stdout(io.StringIO()) as stream:
                    exec(compile(block, f"<a block of {language}>", "exec"), scope)
                out = stream.getvalue()
            elif language in ("toml", "yaml"):
                _parse(language, block)
            elif language == "sh":
                _exists(block)
            elif language == "text" and out is not None:
                made[-1] = _kept(block, out)
            elif language == "console":
                made[-1] = _kept(block, _console(block))
            else:
                raise ValueError(f"a block of {language or 'no language'} that nothing performs:\n{block}")
    return made


def _exists(block):
    """See that scripts of this repository, verbs and options are there."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        program, *rest = words or [""]
        if program == "python" and not (ROOT / rest[0]).is_file():
            raise ValueError(f"{line}: there is no {rest[0]}")
        if program == "ml-switcheroo":
            verb = cli.commands[rest[0]]
            known = {option for parameter in verb.params for option in parameter.opts}
            unknown = {word for word in rest if word.startswith("-")} - known
            if unknown:
                raise ValueError(f"{line}: {rest[0]} has no {', '.join(unknown)}")


def _kept(shown, said):
    """Return what is said, or what is shown where both differ in nothing but what rounding leaves."""
    return shown if _ROUNDING.sub("tiny", shown) == _ROUNDING.sub("tiny", said) else said


def _parse(language, block):
    """See that a piece of a file is what its language allows, and rules are rules."""
    if language == "yaml":
        yaml.safe_load(block)
    elif "rules" in tomllib.loads(block):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(block)
            file.flush()
            load_rules(file.name)


def _console(block):
    commands = re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, re.MULTILINE)
    return "".join(f"$ {command}\n{_run(command)}" for command in commands)


def _run(command):
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    if words[:2] == ["pip", "install"]:
        _installable(words[2:])
        return ""
    program = {"ml-switcheroo": ["-m", "ml_switcheroo"], "python": []}[words[0]]
    whole = [sys.executable, *program, *words[1:]]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(whole, capture_output=True, text=True, check=False, env=environment)
    return done.stdout + done.stderr


def _installable(words):
    """See that what a page installs of this package is there to be installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for word in words:
        extras = _EXTRA.match(word)
        unknown = set(extras[1].split(",")) - set(project["optional-dependencies"]) if extras else set()
        if unknown:
            raise ValueError(f"pip install {word}: there is no extra {', '.join(unknown)}")


@contextlib.contextmanager
def performing(folder):
    """Let code of a page import from its folder, and forget the modules afterwards."""
    import ml_switcheroo as ms

    _define_operators()
    tables = [(table, dict(table)) for table in (known._LAYERS, known._KINDS, known._BASES, known._OWN)]
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield {"ms": ms, "__name__": "__main__"}
    finally:
        sys.path.remove(str(folder))
        for table, old in tables:
            table.clear()
            table.update(old)
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]


def _define_operators():
    """Define the operators without which torchvision, and so transformers, cannot be imported here."""
    import torch

    if _DEFINED or importlib.util.find_spec("torchvision") is None:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, arguments in _OPERATORS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + arguments)
    _DEFINED.append(library)


def written(page, folder):
    """Return the text of a page with what its code prints now."""
    text = Path(page).read_text(encoding="utf-8")
    found = list(_found(text))
    with performing(folder) as scope:
        made = printed([(language, block) for language, block, _ in found], folder, scope)
    for (_, _, (start, end)), block in reversed(list(zip(found, made, strict=True))):
        text = text[:start] + block + text[end:]
    return text


if __name__ == "__main__":
    for page in [Path(name).resolve() for name in sys.argv[1:]] or PAGES:
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(written(page, Path(folder).resolve()), encoding="utf-8")
