"""What is saved: state dicts of models, and models whole; directly, through variables and helpers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ml_switcheroo.codemod.flow import Flow, Spot, passed
from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.known import PASSING_CALLS, PASSING_METHODS, kind_of_name
from ml_switcheroo.codemod.naming import words_of
from ml_switcheroo.codemod.receivers import Place, Receivers
from ml_switcheroo.codemod.sites import CallSite, find_sites
from ml_switcheroo.codemod.trees import called, spelled

__all__ = ["Saved", "find_saved", "find_whole"]

_SAVING = re.compile(r"(^|_|(?<=[a-z])(?=[SD]))(save|dump)(?![a-z])", re.IGNORECASE)
"""Functions that save what they are given, by name."""

_PICKLING = re.compile(r"^(torch\.save|(cloudpickle|dill|joblib|pickle)\.dump)$")
_SHARDED = re.compile(r"^torch\.distributed\.checkpoint\b")
_MODULES = frozenset({"module", "overriding"})

_DATA_WORDS = frozenset(
    """
    args cfg checkpoint ckpt class config data dict dim dims embeddings embeds file id ids info input inputs
    kwargs label labels loss losses mask metrics name names out output outputs param params path paths result
    results save score scores sd size state states stats tensor tensors weight weights
    """.split()
)
"""Words in the names of what is made of a model, or belongs to one, and is none."""

# What a dictionary has, and a model has not.
_OF_DICTIONARIES = frozenset({"items", "keys", "values", "pop", "update", "get"})
_DATA = (ast.Dict, ast.DictComp, ast.List, ast.ListComp, ast.Tuple, ast.Constant, ast.BinOp, ast.Compare)
_MAKING_DATA = frozenset("dict OrderedDict state_dict load load_file tensor from_numpy stack cat".split())


@dataclass(frozen=True, slots=True)
class Saved:
    """A ``model.state_dict()`` that is saved.

    Attributes:
        site: The call of ``state_dict``.
        call: The call that saves it.
        by: The function that saves it, as it is known outside this file.
    """

    site: CallSite
    call: ast.Call
    by: str

    @property
    def in_shards(self) -> bool:
        """Whether each process saves its part."""
        return bool(_SHARDED.match(self.by))


def find_saved(file: File, receivers: Receivers) -> Iterator[Saved]:
    """Yield each ``model.state_dict()`` that goes into a function that saves."""
    sites = {id(site.call): site for site in find_sites(file, "state_dict")}
    if not sites:
        return
    flow, seen = file.once(Flow), set[tuple[int, int]]()
    for call in _saving(file, flow):
        for argument in passed(call):
            for source in flow.sources(flow.spot(argument)):
                key = (id(source.node), id(call))
                if id(source.node) in sites and key not in seen:
                    seen.add(key)
                    yield Saved(sites[id(source.node)], call, receivers.dotted(call.func, Place(file)))


def _saving(file: File, flow: Flow) -> list[ast.Call]:
    """Return the calls of what saves: by its name, or because a function of the file hands it on."""
    saving = file.calls(_SAVING.search)
    helpers: set[str] = set()
    for call in saving:
        spots = [flow.spot(argument) for argument in passed(call)]
        function = spots[0].scopes[-1:] if spots else ()
        if function and any(flow.arguments(spot) for spot in spots):
            helpers.add(getattr(function[0], "name", ""))
    more = file.calls(lambda name: name in helpers and not _SAVING.search(name))
    # What a helper is given is told where it is called.
    return [*more, *saving]


def find_whole(file: File, receivers: Receivers) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Yield each model that is saved whole, by pickle, with the call that saves it."""
    for node in file.calls(_SAVING.search):
        if _PICKLING.match(receivers.dotted(node.func, Place(file))):
            flow = file.once(Flow)
            given = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "obj")]
            for spot in _contents([flow.spot(one) for one in given], flow):
                if _is_model(spot, file, flow, receivers):
                    yield node, _unwrapped(spot.node)


def _contents(spots: Iterable[Spot], flow: Flow, depth: int = 0) -> Iterator[Spot]:
    """Yield what is saved, and what lies in a dictionary that is."""
    for spot in spots:
        held = flow.held(spot) if isinstance(spot.node, ast.Name) else [spot.node]
        values = [value for one in held if isinstance(one, ast.Dict) for value in one.values]
        values += [
            word.value
            for one in held
            if isinstance(one, ast.Call) and called(one) == "dict"
            for word in one.keywords
        ]
        if values and depth < 3:
            yield from _contents([flow.spot(value) for value in values], flow, depth + 1)
        else:
            yield spot


def _is_model(spot: Spot, file: File, flow: Flow, receivers: Receivers) -> bool:
    """Tell whether an expression is a model: by what it is, or by its name where nothing else is known."""
    kinds = receivers.kinds(spot.node, Place(file, spot.scopes))
    if kinds:
        return bool(kinds & _MODULES) and not kinds - _MODULES
    inner = _unwrapped(spot.node)
    if isinstance(inner, ast.IfExp):
        return all(
            _is_model(Spot(one, spot.scopes), file, flow, receivers) for one in (inner.body, inner.orelse)
        )
    if not isinstance(inner, ast.Name | ast.Attribute):
        return False
    name = inner.attr if isinstance(inner, ast.Attribute) and inner.attr != "module" else spelled(inner)
    if words_of(name) & _DATA_WORDS or kind_of_name(name) != "module":
        return False
    held = flow.held(Spot(inner, spot.scopes))
    return not any(_is_data(value) for value in held) and not _is_dictionary(inner, spot, file)


def _unwrapped(node: ast.expr) -> ast.expr:
    """Return the model in ``deepcopy(model).half()``."""
    while isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in PASSING_METHODS:
            node = node.func.value
        elif PASSING_CALLS.search(spelled(node.func)) and node.args:
            node = node.args[0]
        else:
            break
    return node


def _is_data(value: ast.expr) -> bool:
    return isinstance(value, _DATA) or (isinstance(value, ast.Call) and called(value) in _MAKING_DATA)


def _is_dictionary(node: ast.expr, spot: Spot, file: File) -> bool:
    """Tell whether the scope uses a variable as a dictionary."""
    scope, name = (*spot.scopes, file.tree)[len(spot.scopes) - 1 if spot.scopes else 0], spelled(node)
    for part in ast.walk(scope):
        match part:
            case ast.Subscript(value=value, ctx=ast.Store() | ast.Del()) if spelled(value) == name:
                return True
            case ast.Attribute(value=value, attr=attr) if attr in _OF_DICTIONARIES:
                if spelled(value) == name:
                    return True
            case ast.Call(args=[first, *_]) if called(part) == "save_file" and spelled(first) == name:
                return True
    return False
