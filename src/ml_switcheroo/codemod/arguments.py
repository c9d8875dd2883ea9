"""What the arguments of a ``load_state_dict`` call say."""

from __future__ import annotations

import ast

from ml_switcheroo.codemod.notes import Said, said

__all__ = ["copied_from", "is_copy", "is_strict", "loaded", "why_foreign"]

_OWN = ("state_dict", "strict", "assign")


def why_foreign(call: ast.Call) -> Said | None:
    """Return why a call cannot be one of ``torch.nn.Module.load_state_dict``, if it cannot.

    >>> why_foreign(ast.parse("m.load_state_dict(sd, cfg=1)", mode="eval").body).text
    "left as it is: cfg= is no argument of PyTorch's load_state_dict: the method is the object's own"
    """
    foreign = sorted(word.arg for word in call.keywords if word.arg and word.arg not in _OWN)
    if foreign:
        named = ", ".join(f"{name}=" for name in foreign)
        verb = "is no argument" if len(foreign) == 1 else "are no arguments"
        return said("foreign-arguments", what=f"{named} {verb} of PyTorch's load_state_dict")
    if len(call.args) > len(_OWN):
        return said("foreign-arguments", what="PyTorch's load_state_dict takes no more than three arguments")
    return None


def loaded(call: ast.Call) -> ast.expr | None:
    """Return the state that is loaded, where the call shows it."""
    states = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "state_dict")]
    return states[0] if states and not isinstance(states[0], ast.Starred) else None


def is_strict(call: ast.Call) -> bool:
    """Tell whether the call certainly asks for every name: ``strict`` is absent or True."""
    given = [*call.args[1:2], *(word.value for word in call.keywords if word.arg in ("strict", None))]
    return all(isinstance(value, ast.Constant) and value.value is True for value in given)


def is_copy(call: ast.Call) -> bool:
    """Tell whether all that is loaded is the state of another live object."""
    state = loaded(call)
    return (
        isinstance(state, ast.Call)
        and isinstance(state.func, ast.Attribute)
        and state.func.attr == "state_dict"
        and not state.args
        and not state.keywords
    )


def copied_from(call: ast.Call) -> ast.expr:
    """Return the object whose state is loaded (see ``is_copy``)."""
    state = loaded(call)
    assert isinstance(state, ast.Call)
    assert isinstance(state.func, ast.Attribute)
    return state.func.value
