"""Turn ``model.load_state_dict(state)`` into a call of ``KeyMapper``, and bring ``KeyMapper`` along."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from ml_switcheroo.codemod.bundle import PUBLIC, source_of
from ml_switcheroo.codemod.hooks import HookContext, register_hook
from ml_switcheroo.codemod.parts import ModelPart

__all__ = [
    "KEY_MAPPER_SOURCE",
    "transform_checkpoint_copy",
    "transform_checkpoint_keys",
    "transform_checkpoint_load",
    "transform_checkpoint_save",
]

KEY_MAPPER_SOURCE: str = source_of("nnx", PUBLIC)
"""The text of ``ml_switcheroo.runtime.key_mapper`` with what it builds on: runs with NumPy alone."""


@register_hook("checkpoint_mapper")
def transform_checkpoint_keys(node: cst.Call, ctx: HookContext) -> cst.CSTNode:
    """Return ``KeyMapper.from_torch(state)`` for ``model.load_state_dict(state, strict=...)``.

    The state is the first argument or ``state_dict=``. A call whose state cannot be seen (no argument,
    ``*args``, ``**kwargs``) is returned as it is.
    """
    state = _state(node.args)
    if state is None:
        return node
    _bring_along(ctx, "from_torch")
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
    part = ctx.settings.get("part")
    method = "load_part" if part else "load_into"
    _bring_along(ctx, method)
    args = [*(_parts(part) if part else [_first(node.func.value)]), *node.args]
    return node.with_changes(func=_member(method), args=_reporting(args, ctx))


@register_hook("checkpoint_copier")
def transform_checkpoint_copy(node: cst.Call, ctx: HookContext) -> cst.CSTNode:
    """Return ``KeyMapper.copy_into(to, of, ...)`` for ``to.load_state_dict(of.state_dict(), ...)``.

    Any other call is returned as it is.
    """
    state = _state(node.args)
    if state is None or not isinstance(node.func, cst.Attribute):
        return node
    match state.value:
        case cst.Call(func=cst.Attribute(value=online, attr=cst.Name(value="state_dict")), args=[]):
            pass
        case _:
            return node
    source = state.with_changes(value=online, keyword=None, equal=cst.MaybeSentinel.DEFAULT)
    rest = [arg for arg in node.args if arg is not state]
    if rest and state is node.args[-1]:
        source, rest[-1] = source.with_changes(comma=rest[-1].comma), rest[-1].with_changes(comma=state.comma)
    part, method = ctx.settings.get("part"), "copy_into"
    first = [_first(node.func.value)]
    if part:
        method, first = "copy_part", _parts(part)
        model, path = _parts(ctx.settings["source"])
        first, source = [*first, model], source.with_changes(value=path.value)
    _bring_along(ctx, method)
    return node.with_changes(func=_member(method), args=_reporting([*first, source, *rest], ctx))


@register_hook("checkpoint_saver")
def transform_checkpoint_save(node: cst.Call, ctx: HookContext) -> cst.CSTNode:
    """Return ``KeyMapper.to_torch(model)`` for ``model.state_dict()``; a call with arguments as it is."""
    if not isinstance(node.func, cst.Attribute) or node.args:
        return node
    _bring_along(ctx, "to_torch")
    return node.with_changes(func=_member("to_torch"), args=[cst.Arg(node.func.value)])


def _parts(part: ModelPart) -> list[cst.Arg]:
    """Return the arguments that say which part of which model is meant."""
    return [_first(cst.parse_expression(text)) for text in part]


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


def _bring_along(ctx: HookContext, method: str) -> None:
    """Ask for a method of ``KeyMapper``; a hook that is called by itself brings all of it along."""
    if "runtime" in ctx.settings:
        ctx.need(method)
    else:
        ctx.inject_preamble(source_of(ctx.target, PUBLIC))
