"""Turn ``model.load_state_dict(state)`` into a call of ``KeyMapper``, and bring ``KeyMapper`` along."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import libcst as cst

from ml_switcheroo.core.hooks import HookContext, register_hook

__all__ = [
    "COPIES_SOURCE",
    "KEY_MAPPER_SOURCE",
    "source_for",
    "transform_checkpoint_copy",
    "transform_checkpoint_keys",
    "transform_checkpoint_load",
    "transform_checkpoint_save",
]

_PARTS = ("tensors.py", "kinds.py", "key_mapper.py")
_MORE_PARTS: Mapping[str, tuple[str, ...]] = {
    **{target: (f"into_{target}.py",) for target in ("equinox", "keras", "linen", "mlx")},
    "haiku": ("into_linen.py", "into_haiku.py"),
}
"""What a target's live models need beside ``KeyMapper`` itself."""


def _join_parts(names: Sequence[str]) -> str:
    """Join modules of ``ml_switcheroo.runtime`` into one text that needs only NumPy.

    On top stands the docstring of ``KeyMapper``'s module (or of the only one) as a comment, then the imports
    from outside, then the rest; ``from ml_switcheroo... import A as B`` becomes ``B = A``.
    """
    heading, imports, bodies = "", list[str](), list[str]()
    for name in names:
        text = files("ml_switcheroo.runtime").joinpath(name).read_text("utf-8")
        tree = ast.parse(text)
        if name == _PARTS[-1] or len(names) == 1:
            heading = "\n".join(f"# {line}".rstrip() for line in str(ast.get_docstring(tree)).split("\n"))
        heads = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        for node in heads:
            if not ast.unparse(node).startswith("from ml_switcheroo"):
                imports.append(ast.unparse(node))
            else:
                bodies += [f"{alias.asname} = {alias.name}" for alias in node.names if alias.asname]
        bodies.append("\n".join(text.splitlines()[heads[-1].end_lineno :]).strip("\n"))
    head = "\n\n".join([heading, *sorted(set(imports), reverse=True)])
    return "\n\n\n".join([head, *bodies]) + "\n"


KEY_MAPPER_SOURCE: str = _join_parts(_PARTS)
"""The text of ``ml_switcheroo.runtime.key_mapper`` with what it builds on: runs with NumPy alone."""

COPIES_SOURCE: str = _join_parts(["copying.py"])
"""The text that adds ``KeyMapper.copy_into`` to what ``source_for`` gives: for files that copy in memory."""


@cache
def source_for(target: str) -> str:
    """Return the text that a file of a target gets: ``KeyMapper``, and what its live models need."""
    return _join_parts([*_PARTS, *_MORE_PARTS.get(target, ())])


@register_hook("checkpoint_mapper")
def transform_checkpoint_keys(node: cst.Call, ctx: HookContext) -> cst.CSTNode:
    """Return ``KeyMapper.from_torch(state)`` for ``model.load_state_dict(state, strict=...)``.

    The state is the first argument or ``state_dict=``. A call whose state cannot be seen (no argument,
    ``*args``, ``**kwargs``) is returned as it is.
    """
    state = _state(node.args)
    if state is None:
        return node
    _bring_along(ctx)
    argument = state.with_changes(
        keyword=None, equal=cst.MaybeSentinel.DEFAULT, comma=cst.MaybeSentinel.DEFAULT
    )
    return node.with_changes(func=_member("from_torch"), args=[argument])


@register_hook("checkpoint_loader")
def transform_checkpoint_load(node: cst.Call, ctx: HookContext) -> cst.CSTNode:
    """Return ``KeyMapper.load_into(model, state, strict=...)`` for ``model.load_state_dict(...)``.

    Every argument stays as it is written: an object with a ``load_state_dict`` of its own gets them all.
    """
    if not isinstance(node.func, cst.Attribute) or not (_state(node.args) or _is_starred(node.args)):
        return node
    _bring_along(ctx)
    args = [_first(node.func.value), *node.args]
    return node.with_changes(func=_member("load_into"), args=_reporting(args, ctx))


@register_hook("checkpoint_copier")
def transform_checkpoint_copy(node: cst.Call, ctx: HookContext) -> cst.CSTNode:
    """Return ``KeyMapper.copy_into(target, online, ...)`` for ``target.load_state_dict(online.state_dict())``.

    Any other call is returned as it is.
    """
    state = _state(node.args)
    if state is None or not isinstance(node.func, cst.Attribute):
        return node
    match state.value:
        case cst.Call(func=cst.Attribute(value=online, attr=cst.Name(value="state_dict")), args=[]):
            _bring_along(ctx)
        case _:
            return node
    if ctx.settings.get("runtime") != "import":
        ctx.inject_preamble(COPIES_SOURCE)
    source = state.with_changes(value=online, keyword=None, equal=cst.MaybeSentinel.DEFAULT)
    rest = [arg for arg in node.args if arg is not state]
    if rest and state is node.args[-1]:
        source, rest[-1] = source.with_changes(comma=rest[-1].comma), rest[-1].with_changes(comma=state.comma)
    args = [_first(node.func.value), source, *rest]
    return node.with_changes(func=_member("copy_into"), args=_reporting(args, ctx))


@register_hook("checkpoint_saver")
def transform_checkpoint_save(node: cst.Call, ctx: HookContext) -> cst.CSTNode:
    """Return ``KeyMapper.to_torch(model)`` for ``model.state_dict()``; a call with arguments as it is."""
    if not isinstance(node.func, cst.Attribute) or node.args:
        return node
    _bring_along(ctx)
    return node.with_changes(func=_member("to_torch"), args=[cst.Arg(node.func.value)])


def _first(model: cst.BaseExpression) -> cst.Arg:
    return cst.Arg(model, comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")))


def _reporting(args: Sequence[cst.Arg], ctx: HookContext) -> list[cst.Arg]:
    """Ask for the report beside the model, where ``with_report`` is set and both are bound."""
    if not ctx.settings.get("with_report"):
        return list(args)
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    last = args[-1]
    kept = last if isinstance(last.comma, cst.Comma) else last.with_changes(comma=comma)
    asked = cst.parse_expression("f(with_report=True)")
    assert isinstance(asked, cst.Call)
    return [*args[:-1], kept, asked.args[0]]


def _state(args: Sequence[cst.Arg]) -> cst.Arg | None:
    if args and not args[0].star and args[0].keyword is None:
        return args[0]
    named = [arg for arg in args if arg.keyword is not None and arg.keyword.value == "state_dict"]
    return named[0] if named else None


def _is_starred(args: Sequence[cst.Arg]) -> bool:
    return any(arg.star for arg in args)


def _member(name: str) -> cst.Attribute:
    return cst.Attribute(cst.Name("KeyMapper"), cst.Name(name))


def _bring_along(ctx: HookContext) -> None:
    """Ask for ``KeyMapper``, and for the kinds of the model's layers where they are known."""
    kinds = ctx.settings.get("kinds")
    table = "".join(f"    {json.dumps(path)}: {json.dumps(kind)},\n" for path, kind in (kinds or {}).items())
    table = f"KeyMapper.KINDS = {{\n{table}}}\n" if kinds else ""
    if ctx.settings.get("runtime") == "import":
        more = _MORE_PARTS.get(ctx.target)
        module = f".{more[-1].removesuffix('.py')}" if more else ""
        ctx.inject_import(f"from ml_switcheroo.runtime{module} import KeyMapper")
        if table:
            ctx.inject_preamble(table)
    else:
        ctx.inject_preamble(source_for(ctx.target) + (f"\n\n{table}" if table else ""))
