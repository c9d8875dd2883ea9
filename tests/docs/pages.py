"""Perform a page: write its files, run its code and its commands, and compare what they print."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\w+\.py)\n")


def blocks_of(text):
    """Return the fenced blocks of a page, each with its language."""
    return [(found[1], found[2]) for found in _BLOCK.finditer(text)]


def perform(blocks, folder, scope):
    """Carry out blocks in order, in a folder; return what was printed otherwise than the page says.

    A block of Python that begins with ``# name.py`` is a file; another one is run, and a block of text right
    behind it is what it prints. A block of the console is commands with what they print.
    """
    wrong, printed = [], ""
    with contextlib.chdir(folder):
        for language, text in blocks:
            if language == "python" and (file := _FILE.match(text)):
                Path(file[1]).write_text(text, encoding="utf-8")
            elif language == "python":
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(compile(text, "<page>", "exec"), scope)
                printed = out.getvalue()
            elif language == "text" and printed != text:
                wrong.append((text, printed))
            elif language == "console":
                found = _console(text)
                wrong += [(text, found)] if found != text else []
    return wrong


def _console(text):
    lines = []
    for command in re.findall(r"^\$ ml-switcheroo (.*)$", text, re.MULTILINE):
        whole = [sys.executable, "-m", "ml_switcheroo", *shlex.split(command)]
        done = subprocess.run(whole, capture_output=True, text=True, check=False, env=os.environ)
        lines.append(f"$ ml-switcheroo {command}\n{done.stdout}{done.stderr}")
    return "".join(lines)
