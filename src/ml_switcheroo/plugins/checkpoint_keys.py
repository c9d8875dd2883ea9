"""Turn ``model.load_state_dict(state)`` into a call of ``KeyMapper``, and bring ``KeyMapper`` along."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import libcst as cst

from ml_switcheroo.core.bundle import PUBLIC, module_of, source_of
from ml_switcheroo.core.hooks import HookContext, register_hook
from ml_switcheroo.core.notes import said

__all__ = [
    "KEY_MAPPER_SOURCE",
    "transform_checkpoint_keys",
    "transform_checkpoint_load",
    "transform_checkpoint_save",
]

_ASSIGN = 2  # the place of ``assign`` among the positional arguments
_DROPPED: Mapping[str, str] = {
    "assign": "the values are written into the variables that the model has",
    "mmap": "nothing is read from a file here",
}


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
    _bring_along(ctx)
    argument = state.with_changes(
        keyword=None, equal=cst.MaybeSentinel.DEFAULT, comma=cst.MaybeSentinel.DEFAULT
    )
    return node.with_changes(func=_member("from_torch"), args=[argument])


@register_hook("checkpoint_loader")
def transform_checkpoint_load(node: cst.Call, ctx: HookContext) -> cst.CSTNode:
    """Return ``KeyMapper.load_into(model, state, strict=...)`` for ``model.load_state_dict(...)``.

    Every argument stays as it is written, but ``assign``: the leaves of a live model are always written
    into the variables it has.
    """
    if not isinstance(node.func, cst.Attribute) or not (_state(node.args) or _is_starred(node.args)):
        return node
    kept = _without_dropped(node.args, ctx)
    _bring_along(ctx)
    space = cst.SimpleWhitespace(" ")
    model = cst.Arg(node.func.value, comma=cst.Comma(whitespace_after=space))
    return node.with_changes(func=_member("load_into"), args=[model, *kept])


@register_hook("checkpoint_saver")
def transform_checkpoint_save(node: cst.Call, ctx: HookContext) -> cst.CSTNode:
    """Return ``KeyMapper.to_torch(model)`` for ``model.state_dict()``; a call with arguments as it is."""
    if not isinstance(node.func, cst.Attribute) or node.args:
        return node
    _bring_along(ctx)
    return node.with_changes(func=_member("to_torch"), args=[cst.Arg(node.func.value)])


def _without_dropped(args: Sequence[cst.Arg], ctx: HookContext) -> list[cst.Arg]:
    """Return the arguments that are carried over, spaced as they were; each other one gets a note."""
    kept: list[cst.Arg] = []
    for place, arg in enumerate(args):
        name = arg.keyword.value if arg.keyword else ""
        if not arg.star and not name and place == _ASSIGN and not _is_starred(args[:place]):
            name = "assign"
        if name in _DROPPED:
            ctx.note(*said("dropped", name=name, why=_DROPPED[name]))
        else:
            kept.append(arg)
    if kept and kept[-1] is not args[-1]:
        last = args[-1]
        kept[-1] = kept[-1].with_changes(comma=last.comma, whitespace_after_arg=last.whitespace_after_arg)
    return kept


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
        ctx.inject_import(f"from {module_of(ctx.target)} import KeyMapper")
        if table:
            ctx.inject_preamble(table)
    else:
        ctx.inject_preamble(source_of(ctx.target, PUBLIC) + (f"\n\n{table}" if table else ""))
