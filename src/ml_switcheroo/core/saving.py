"""What goes into ``torch.save``: state dicts of models, directly or through a variable."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ml_switcheroo.core.index import File
from ml_switcheroo.core.sites import Site, find_sites, scope_of, walk_scope

__all__ = ["find_saved", "find_saves", "whole_model"]


def find_saves(nodes: list[ast.AST]) -> list[ast.Call]:
    """Return the calls of ``torch.save`` that show what they save."""
    return [
        node
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "save"
        and ast.unparse(node.func.value) == "torch"
        and _content(node) is not None
    ]


def find_saved(file: File) -> Iterator[tuple[Site, ast.Call]]:
    """Yield each ``model.state_dict()`` that is saved, with the ``torch.save`` it goes into.

    It stands in the call itself, or in what a variable of the same scope is set to.
    """
    sites = {id(site.call): site for site in find_sites(file, "state_dict")}
    if not sites:
        return
    saves = find_sites(file, "save")
    known = {id(call) for call in find_saves([site.call for site in saves])}
    for save in (site for site in saves if id(site.call) in known):
        for content in _contents(save):
            for node in ast.walk(content):
                if id(node) in sites:
                    yield sites[id(node)], save.call


def whole_model(call: ast.Call) -> ast.expr | None:
    """Return what ``torch.save(model, path)`` may save whole: a name, and nothing made of it."""
    content = _content(call)
    return content if isinstance(content, ast.Name | ast.Attribute) else None


def _content(call: ast.Call) -> ast.expr | None:
    given = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "obj")]
    return given[0] if given and not isinstance(given[0], ast.Starred) else None


def _contents(save: Site) -> Iterator[ast.expr]:
    """Yield what is saved, and what the variable is set to that is saved."""
    content = _content(save.call)
    assert content is not None
    yield content
    if not isinstance(content, ast.Name):
        return
    for node in walk_scope(scope_of(save)):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                inner = target.value if isinstance(target, ast.Subscript) else target
                if isinstance(inner, ast.Name) and inner.id == content.id:
                    yield node.value
