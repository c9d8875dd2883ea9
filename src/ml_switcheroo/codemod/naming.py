"""What the names in an expression say it is, where the code around it says nothing."""

from __future__ import annotations

import ast
import re

from ml_switcheroo.codemod.known import kind_of_name

__all__ = ["named_kind", "words_of"]


def named_kind(node: ast.expr) -> str:
    """Return what an expression is called: ``optimizer`` for ``self.optimizers[0].module``.

    A part of what is called a model is one, unless its own name says other.

    >>> named_kind(ast.parse("unet.mid_block.proj", mode="eval").body)
    'module'
    """
    if isinstance(node, ast.IfExp):
        kinds = {named_kind(node.body), named_kind(node.orelse)}
        return kinds.pop() if len(kinds) == 1 else ""
    kind = kind_of_name(_word(node))
    if kind or not isinstance(node, ast.Attribute | ast.Subscript):
        return kind
    return "module" if named_kind(node.value) == "module" else ""


def _word(node: ast.expr) -> str:
    """Return the word that says what an expression is."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr="module" | "_orig_mod"):
            return _word(value)
        case ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
            return key if kind_of_name(key) else _word(value)
        case ast.Subscript(value=value) | ast.Call(func=value) | ast.Await(value=value):
            return _word(value)
    return ""


def words_of(name: str) -> set[str]:
    """Return the words of a name, in small letters.

    >>> sorted(words_of("self.netG_state"))
    ['g', 'net', 'self', 'state']
    """
    return set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
