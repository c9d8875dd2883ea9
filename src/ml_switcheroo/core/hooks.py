"""The hooks, under the name that the specification gives them."""

from ml_switcheroo.codemod.hooks import ENTRY_POINTS, Hook, HookContext, Note, find_hook, register_hook

__all__ = ["ENTRY_POINTS", "Hook", "HookContext", "Note", "find_hook", "register_hook"]
