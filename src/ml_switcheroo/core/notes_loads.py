"""What a kind of note is, and the kinds on loads that are left: codes that begin with 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["CONSEQUENCES", "LOADS", "Consequence", "Row"]

Consequence = Literal["may differ", "by hand", "done", "none"]

CONSEQUENCES: Mapping[Consequence, str] = {
    "may differ": "the code runs on and may do something else than before",
    "by hand": "weights of a model go through here, and a person must look at it before the port runs",
    "done": "rewritten, and nothing is left to do",
    "none": "no weights of a model go through here",
}
"""What follows from a note where nobody does anything; the worst first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of note.

    Attributes:
        code: What it is selected by, such as ``SW101``.
        name: What the code that makes it calls it.
        title: What it is about, in a few words.
        text: What it says of a place, with ``{fields}``.
        cure: What to do about it.
        consequence: What follows where nobody does anything.
        left: Whether the place stays as it is.
    """

    code: str
    name: str
    title: str
    text: str
    cure: str
    consequence: Consequence = "by hand"
    left: bool = True


_OWN = "call what its class does to the state dict, then KeyMapper.load_into"
_BIND = "return the loaded model, and bind it where it is used: net = KeyMapper.load_into(net, ...)"
_COPY = "copy the arrays of the one port into the other by hand"

LOADS = (
    # ---- loads that are left -------------------------------------------------------------------
    Row(
        *("SW101", "super", "a call of super()"),
        "super() speaks to a load_state_dict of this class's own",
        _OWN,
    ),
    Row(
        *("SW102", "on-class", "a call on the class"),
        "the method is called on the class {receiver}; the model is an argument",
        "call it on the model",
    ),
    Row(
        *("SW103", "own-load", "a model with a load_state_dict of its own"),
        "the class of {receiver} has a load_state_dict of its own",
        _OWN,
    ),
    Row(
        *("SW104", "foreign-arguments", "arguments that PyTorch's method does not have"),
        "{what}: the method is the object's own",
        _OWN,
    ),
    Row(
        *("SW105", "inside-load", "the inside of a load_state_dict"),
        "this is the inside of a load_state_dict: what it does stays yours",
        "keep it as long as a PyTorch model uses it",
    ),
    Row(
        *("SW106", "state-unseen", "a call that does not show its state dict"),
        "the call does not show what is loaded",
        "pass the state dict as the first argument",
    ),
    Row(
        *("SW107", "either", "a model or something else"),
        "{receiver} can be a model and can be {other}",
        "split the line: the model by KeyMapper.load_into, the other as it is",
    ),
    Row(
        *("SW108", "unknown-self", "self of an unknown class"),
        "nothing shows that the class of self is a model",
        "write KeyMapper.load_into(self, ...) where it is one",
    ),
    Row(
        *("SW109", "sharded", "a model in shards"),
        "{receiver} is sharded over processes, and its own method loads the shards",
        "gather the state dict first, and shard the port by its framework's own means",
    ),
    Row(
        *("SW110", "copy-unneeded", "a copy in memory, for a target without state dicts"),
        "a copy in memory, for which {target} needs no state dict",
        "copy the tree: target = online",
    ),
    Row(
        *("SW111", "copy-unlike", "a copy in memory between objects of unknown classes"),
        "a copy in memory, and nothing shows that {receiver} and {source} are models of one class",
        "write KeyMapper.copy_into(target, online) where they are",
    ),
    Row(
        *("SW112", "copy-own", "a copy in memory of models that change their state dict"),
        "a copy in memory, and {receiver} overrides or hooks what goes into its state dict",
        _COPY,
    ),
    Row(
        *("SW113", "copy-altered", "a copy in memory of models that were quantised, fused or pruned"),
        "a copy in memory, and line {line} changes which tensors {receiver} has",
        _COPY,
    ),
    Row(
        *("SW114", "copy-nested", "a copy in memory with another call inside"),
        "a copy in memory with another call inside",
        "give the inner call a line of its own, then rewrite again",
    ),
    Row(
        *("SW115", "copy-comment", "a copy in memory with a comment inside"),
        "a comment stands inside this copy in memory, and would be lost",
        "move the comment above the call, then rewrite again",
    ),
    Row(
        *("SW120", "no-model-shown", "an unknown object, for a target where a load makes something new"),
        "nothing shows that this is a model, and a load for {target} makes something new",
        "annotate the variable with its class, or " + _BIND,
    ),
    Row(
        *("SW121", "result-used", "a used result, for a target whose models never change"),
        "the models of this target never change, and the result of this call is used",
        _BIND,
    ),
    Row(
        *("SW122", "part", "a part of a model, for a target whose models never change"),
        "the models of this target never change, and this is a part of one",
        "make the whole model anew with the loaded part",
    ),
    Row(
        *("SW123", "held-by-object", "a model that another object of the class has too"),
        "line {line} gives {receiver} to another object, too",
        _BIND,
    ),
    Row(
        *("SW124", "unassignable", "an expression that cannot be bound anew"),
        "the models of this target never change, and this expression cannot be assigned to",
        _BIND,
    ),
    Row(
        *("SW125", "outer-variable", "a variable of the code around the function"),
        "{receiver} belongs to the code around this function; binding it here would make another",
        _BIND,
    ),
    Row(
        *("SW126", "callers", "an argument that is not returned"),
        "{receiver} is the caller's, who would keep the old model: return it and bind it there",
        _BIND,
    ),
    Row(
        *("SW127", "held", "a model that something else has too"),
        "line {line} keeps the old model, or gives it another name",
        _BIND,
    ),
    Row(
        *("SW128", "self-fixed", "self, for a target whose models never change"),
        "the models of this target never change, and self is one",
        "load where the object is made",
    ),
    Row(
        *("SW129", "giver-keeps", "a model that came from outside the object"),
        "{place} gave {receiver} to this object, and may keep the old one",
        "take the model back from the object after loading",
    ),
    Row(
        *("SW130", "read-elsewhere", "a torch.load that something else uses too"),
        "what torch.load reads here goes elsewhere than into a rewritten call",
        "read it with ml_switcheroo.open_checkpoint, or keep torch",
    ),
    Row(
        *("SW131", "pickled", "a whole pickled model"),
        "{receiver} is a whole pickled model: save its state_dict() with PyTorch first",
        "save its state_dict() with PyTorch, and load that",
    ),
    Row(
        *("SW132", "loaded-by", "a function of a library that loads by itself"),
        "{function} loads into the model by itself",
        "read the file with KeyMapper.read, and load it with KeyMapper.load_into",
    ),
    Row(
        *("SW133", "loaded-in-shards", "a load of a checkpoint in shards"),
        "{function} reads a checkpoint in shards into what is there",
        "read the folder with ml_switcheroo.open_checkpoint, then KeyMapper.load_into",
    ),
    Row(
        *("SW134", "no-callers", "an argument that is returned to nobody"),
        "no call of {name} shows that who calls it takes the model that it returns",
        _BIND,
    ),
    Row(
        *("SW135", "caller-keeps", "an argument that a caller goes on with"),
        "{place} calls {name} and goes on with the model that it handed in",
        "bind what the function returns there, then rewrite again",
    ),
    Row(
        *("SW136", "quantised", "a quantised model"),
        "{receiver} is quantised, and no port has such tensors",
        "load the model before it is quantised",
    ),
    Row(
        *("SW137", "flat-used", "a used result, for a target of dictionaries"),
        "{target} gets a dictionary of arrays, and the report of this call is used",
        "write params = KeyMapper.from_torch(state), and compare its names with your tree's",
    ),
    Row(
        *("SW138", "flat-unnamed", "a load, for a target of dictionaries, that has no name to go to"),
        "{target} gets a dictionary of arrays, which {name} cannot be the name of here: {why}",
        "write params = KeyMapper.from_torch(state) under a name of your own",
    ),
)
