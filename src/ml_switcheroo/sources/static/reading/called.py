"""``--layers "model.py:Net(Config())"``: a call is not read, but the function that makes it is one line."""

from __future__ import annotations

import ast
from pathlib import Path

from ml_switcheroo.errors import SourceError

__all__ = ["refuse_call"]


def refuse_call(spec: str) -> None:
    """Raise where ``layers=`` names a call instead of a class or a function; the cure is the file to write.

    >>> refuse_call("model.py:Net")
    >>> refuse_call("model.py:Net(Config())")
    Traceback (most recent call last):
        ...
    ml_switcheroo.errors.SourceError: model.py:Net(Config()): is a call; a class or a function is read
    Write a file layers.py and name its function, layers.py:make :
    <BLANKLINE>
        from model import Config, Net
        def make(): return Net(Config())

    Raises:
        SourceError: It is a call.
    """
    place, colon, text = spec.partition(":")
    code = text if colon else spec
    try:
        call = ast.parse(code.strip(), mode="eval").body
    except SyntaxError:
        return
    if not isinstance(call, ast.Call):
        return
    names = sorted({node.id for node in ast.walk(call) if isinstance(node, ast.Name)})
    module = Path(place).with_suffix("").name if place.endswith(".py") else place
    imported = f"from {module} import {', '.join(names)}" if colon else f"import {', '.join(names)}"
    raise SourceError(
        spec,
        "is a call; a class or a function is read",
        cure="Write a file layers.py and name its function, layers.py:make :\n\n"
        f"    {imported}\n    def make(): return {ast.unparse(call)}",
    )
