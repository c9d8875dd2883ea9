"""The notes that a rewrite makes: one row each, with its code, what it says, what follows, and the cure.

The first digit of a code says what it is about: 1 loads that are left, 2 saves that are left, 3 what was
rewritten and a person should know, 4 objects that are no models, 5 code beside the calls, 6 files and
places, 9 hooks of other packages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ml_switcheroo.core.notes_loads import CONSEQUENCES, LOADS, Consequence, Row
from ml_switcheroo.errors import UsageError

__all__ = ["CONSEQUENCES", "FOREIGN", "ROWS", "Consequence", "Row", "Said", "said", "select_codes"]


class Said(NamedTuple):
    """What a note says of one place, and the code of its row."""

    text: str
    code: str


_ROWS = (
    *LOADS,
    # ---- saves that are left -------------------------------------------------------------------
    Row(
        *("SW201", "saved", "a state dict that is saved"),
        "the state dict is saved by {by}; --save takes it from the ported model",
        "rewrite with --save",
    ),
    Row(
        *("SW202", "saved-own", "a state dict that is not PyTorch's own"),
        "its state dict is not PyTorch's own ({receiver}: {kind})",
        "save what KeyMapper.to_torch(net) gives",
    ),
    Row(
        *("SW203", "saved-unnamed", "a save, for a target whose trees do not show PyTorch's names"),
        "what holds the weights in {target} does not show PyTorch's names: use ml_switcheroo.to_torch",
        "save ml_switcheroo.to_torch(tree, like=...)",
    ),
    Row(
        *("SW204", "saved-with-arguments", "a state_dict() with arguments"),
        "the arguments of this state_dict() have no match in the target",
        "drop the arguments",
    ),
    Row(
        *("SW205", "saved-whole", "a model that is saved whole"),
        "{receiver} is saved whole, by pickle: save its state dict",
        "save its state_dict(), then rewrite with --save",
    ),
    Row(
        *("SW206", "saved-by", "a function of a library that takes the weights by itself"),
        "{function} takes the weights of the model by itself",
        "save what KeyMapper.to_torch(net) gives",
    ),
    Row(
        *("SW207", "saved-in-shards", "a save of a checkpoint in shards"),
        "{function} writes a checkpoint in shards",
        "save the port by its framework's own means, or what KeyMapper.to_torch gives",
    ),
    # ---- rewritten, and a person should know ---------------------------------------------------
    Row(
        *("SW301", "dropped", "an argument that was dropped"),
        "{name}= is dropped: {why}",
        "nothing, unless the argument mattered",
        *("done", False),
    ),
    Row(
        *("SW302", "mended", "the result of load_state_dict taken for the model"),
        "the result of load_state_dict was assigned to the model itself, which it is not",
        "nothing: the new line does what was meant",
        *("done", False),
    ),
    Row(
        *("SW305", "overridden", "a model that changes names or values when it loads"),
        "the class of the model changes names or values when it loads: what it does must be done to the"
        " state dict first, once the model is ported",
        "do it to the state dict, before KeyMapper.load_into",
        *("may differ", False),
    ),
    Row(
        *("SW306", "flat", "a state dict that is bound as a dictionary of arrays"),
        "the arrays are in {name} now: hand them to the function that runs the model",
        "pass the dictionary where the port takes its parameters",
        *("by hand", False),
    ),
    # ---- objects that are no models ------------------------------------------------------------
    Row(
        *("SW401", "no-weights", "an optimizer, a scheduler and the like"),
        "{receiver} is {other}, which holds no weights",
        "port it by the target's own means, such as optax",
        "none",
    ),
    Row(
        *("SW402", "imported", "a function of an imported module"),
        "{receiver} is imported, and its load_state_dict may be any function",
        "see what it does: what it loads into a model is rewritten where it stands",
    ),
    Row(
        *("SW403", "own-object", "an object with a load_state_dict of its own"),
        "the class of {receiver} is no torch.nn.Module and has a load_state_dict of its own",
        "nothing: what its method loads into a model is rewritten where it stands",
        "none",
    ),
    Row(
        *("SW404", "loop", "a loop over unknown objects"),
        "{receiver} runs over objects that nothing shows to be models",
        "take the models out of the loop",
    ),
    Row(
        *("SW405", "awaited", "a call that is awaited"),
        "the result is awaited: this is no method of a model",
        "nothing",
        "none",
    ),
    # ---- code beside the calls -----------------------------------------------------------------
    Row(
        *("SW501", "override", "an override of PyTorch's loading"),
        "{receiver} overrides {name}: what it does stays yours",
        "do to the state dict what it does, before KeyMapper.load_into",
    ),
    Row(
        *("SW502", "hook", "a hook on the state dict"),
        "a hook on the state dict: what it does with names and values stays yours",
        "do to the state dict what it does, before KeyMapper.load_into",
    ),
    Row(
        *("SW503", "passed-on", "the method passed on"),
        "{receiver} is passed on as a method",
        "pass lambda state: KeyMapper.load_into(net, state)",
    ),
    Row(
        *("SW504", "by-tensor", "weights written tensor by tensor"),
        "weights are written tensor by tensor{more}",
        "collect them in a state dict, and load that with KeyMapper.load_into",
    ),
    Row(
        *("SW505", "by-name", "the method taken by its name"),
        "{receiver} takes the method by its name",
        "write the call out, then rewrite again",
    ),
    Row(
        *("SW506", "replaced", "the method replaced"),
        "{receiver} is replaced: what the new one does stays yours",
        "do to the state dict what it does, before KeyMapper.load_into",
    ),
    # ---- files and places ----------------------------------------------------------------------
    Row(
        *("SW601", "clash", "a name of the file that KeyMapper needs"),
        "{what}",
        "rewrite with --runtime import, or rename it",
    ),
    Row(
        *("SW602", "other-code", "edits that would have changed other code"),
        "the edits would have changed other code",
        "change the lines by hand, and report the file",
    ),
    Row(
        *("SW603", "place-unknown", "a call whose place in the text cannot be told"),
        "the place of this call in the text cannot be told",
        "move the call out of the f-string",
    ),
    Row(
        *("SW604", "unreadable", "a file that cannot be read"),
        "{why}",
        "mend the file",
    ),
    Row(
        *("SW605", "other-target", "the KeyMapper of another target"),
        "this file has the KeyMapper for {other}",
        "rewrite it for that target, or undo the first rewrite",
    ),
    Row(
        *("SW606", "edited-block", "a KeyMapper that was changed by hand"),
        "its KeyMapper lacks {what}, and was changed by hand",
        "delete the block between its first and its last line, and rewrite again",
    ),
    Row(
        *("SW607", "no-home", "a file that cannot share the KeyMapper of its package"),
        "KeyMapper stands in this file, and not in a module of its own: {why}",
        "nothing; or move it by hand",
        *("none", False),
    ),
    Row(
        *("SW608", "shadowed", "a scope in which KeyMapper is another thing"),
        "KeyMapper is another thing here (line {line})",
        "rename it, then rewrite again",
    ),
    Row(
        *("SW609", "cell", "a cell that is not read"),
        "the code of this cell is not read: {why}",
        "look at the cell",
    ),
    # ---- hooks of other packages ---------------------------------------------------------------
    Row(
        *("SW901", "foreign", "what a hook of another package says"),
        "{text}",
        "see the package's own documentation",
        *("by hand", False),
    ),
)

ROWS: Mapping[str, Row] = {row.code: row for row in _ROWS}
"""Every kind of note, by its code."""

FOREIGN = "SW901"
"""The code of what a hook says without a code."""

_BY_NAME = {row.name: row for row in _ROWS}


def said(name: str, /, **words: object) -> Said:
    """Return what the row of that name says of a place.

    >>> said("hook").code, said("dropped", name="assign", why="it says nothing").text
    ('SW502', 'assign= is dropped: it says nothing')
    """
    row = _BY_NAME[name]
    text = row.text.format_map(words)
    return Said(f"left as it is: {text}" if row.left else text, row.code)


def select_codes(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> frozenset[str]:
    """Return the codes that begin with one of ``select`` (all, where there is none) and none of ``ignore``.

    As with ruff the longer beginning counts: ``SW201`` of ``select`` goes before ``SW2`` of ``ignore``.

    Raises:
        UsageError: Nothing begins with one of them.

    >>> sorted(select_codes(["SW3"], ["SW30"])), sorted(select_codes(["SW2", "SW301"], ["SW20", "SW3"]))
    ([], ['SW301'])
    """
    chosen, dropped = tuple(select) or ("SW",), tuple(ignore)
    for prefix in (*chosen, *dropped):
        if not prefix or not any(code.startswith(prefix) for code in ROWS):
            raise UsageError(
                f"no note has a code that begins with {prefix!r}; known codes: {', '.join(ROWS)}"
            )

    def longest(code: str, prefixes: tuple[str, ...]) -> int:
        return max((len(prefix) for prefix in prefixes if code.startswith(prefix)), default=0)

    return frozenset(code for code in ROWS if longest(code, chosen) > longest(code, dropped))
