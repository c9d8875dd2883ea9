"""Draw what a person sees in a terminal, anew: python docs/captures.py.

Each capture is a command that is run as it stands, in a terminal of 100 columns, on files that are made here
or come from examples/digits. Rich draws what it printed, with its colours.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
CAPTURES = ROOT / "docs" / "captures"
COLUMNS = 100
PACE = re.compile(r"\d+%.*? MB(?= )")
BROKEN = """from port import Net


def make():
    return Net(widht=16)
"""
COMMANDS = {
    "ambiguous": "plan weights.pt --to nnx",
    "clean": "plan weights.pt --to nnx --layers model.py:Net",
    "convert": "convert weights.pt weights.nnx.safetensors --to nnx --layers model.py:Net --progress",
    "your_code": "plan weights.pt --to nnx --layers model.py:Net --like broken.py:make",
}


def seen(command: str, folder: Path) -> str:
    """Return what a terminal gets from a command."""
    import pty

    leader, follower = pty.openpty()
    words = [sys.executable, "-m", "ml_switcheroo", *command.split()]
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    env |= {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(words, cwd=folder, env=env, stdout=follower, stderr=follower):
        os.close(follower)
        pieces = []
        try:
            while piece := os.read(leader, 4096):
                pieces.append(piece)
        except OSError:  # how Linux says that nobody writes any more
            pass
        os.close(leader)
    return b"".join(pieces).decode()


def settled(text: str) -> str:
    """Return what stays of a line that is written over."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return (
        "\n".join(line for line in lines)
        .replace("\x1b[2K", "")
        .replace("\x1b[?25l", "")
        .replace("\x1b[?25h", "")
    )


def drawn(name: str, command: str, folder: Path) -> str:
    """Return the picture of a command and what it printed."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="256")
    console.print(Text(f"$ ml-switcheroo {command}", style="bold"), soft_wrap=True)
    console.print(Text.from_ansi(settled(seen(command, folder)).rstrip("\n")), soft_wrap=True)
    picture = console.export_svg(title="ml-switcheroo", unique_id=name)
    return re.sub(r"@font-face \{.*?\}\n", "", picture, flags=re.DOTALL)  # a picture loads nothing


def lay_out(folder: Path) -> None:
    """Make the files that the commands speak of."""
    for name in ("weights.pt", "model.py", "port.py"):
        shutil.copy(ROOT / "examples" / "digits" / name, folder)
    (folder / "broken.py").write_text(BROKEN, encoding="utf-8")


def words_of(picture: str) -> list[str]:
    """Return the words of a picture, apart from how fast it was."""
    texts = [
        element.text or "" for element in ElementTree.fromstring(picture).iter() if "text" in element.tag
    ]
    return PACE.sub("", " ".join(texts).replace("\xa0", " ")).split()


def main() -> None:
    CAPTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        lay_out(Path(made))
        for name, command in COMMANDS.items():
            picture, file = drawn(name, command, Path(made)), CAPTURES / f"{name}.svg"
            if not file.exists() or words_of(file.read_text(encoding="utf-8")) != words_of(picture):
                file.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
