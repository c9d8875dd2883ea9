"""Whether ``target.load_state_dict(online.state_dict())`` is a copy of tensors between two modules.

``KeyMapper.copy_into`` checks names and shapes when it runs, as PyTorch does, and hands two objects that are
no ported models to their own methods. So a copy that asks for every name needs no proof that both are of one
class: a tensor that is not there, or has another shape, is an error. What the code must show is that both are
modules, and that nothing it shows makes their state dicts other than their tensors by name: a hook, an
override, quantisation. Without ``strict`` names may be missing, so both classes must be known, too.

A layer of another kind that keeps its tensors otherwise is an error, too, where the framework has both. What
no check sees between two classes, a note says: layers of a class's own, or a Linear behind a Flatten in
one of them alone, may have tensors of one shape in two layouts.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from ml_switcheroo.codemod.arguments import copied_from, is_strict
from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.modules import is_module
from ml_switcheroo.codemod.naming import named_kind
from ml_switcheroo.codemod.notes import Said, said
from ml_switcheroo.codemod.receivers import Place, Receivers
from ml_switcheroo.codemod.running import is_set_elsewhere, last_set
from ml_switcheroo.codemod.sites import CallSite, scope_of, walk_scope
from ml_switcheroo.codemod.surroundings import tested_classes
from ml_switcheroo.codemod.trees import spelled

__all__ = ["Copy", "weigh_copy"]

_ALTERS = re.compile(r"quanti[sz]|qconfig|fuse_|prune")
_CLASS = re.compile(r"(.*:)?(\w+\.)*[A-Z]\w*")
"""How ``Origin.made`` names a class; what a call made, or a caller handed in, is named otherwise."""


class Copy(NamedTuple):
    """What is to be said of a copy in memory.

    Attributes:
        left: Why it is not shown to be one of tensors between modules; None where it is.
        catch: What a person should know of it.
    """

    left: Said | None = None
    catch: Said | None = None


def weigh_copy(site: CallSite, place: Place, receivers: Receivers) -> Copy:
    """Return why a copy in memory is left, or what is to be known of it."""
    sides = (site.receiver, copied_from(site.call))
    written = [spelled(side) for side in sides]
    set_to = [last_set(side, site) for side in sides]
    origins = [receivers.origins(side, place) for side in set_to]
    for side, found in zip(written, origins, strict=True):
        if "overriding" in {origin.kind for origin in found}:
            return Copy(said("copy-own", receiver=side))
    for side in written:
        line = _altered(side, site, place.file)
        if line:
            return Copy(said("copy-altered", line=line, receiver=side))
    kinds = {origin.kind for found in origins for origin in found if origin.kind}
    named = {named_kind(side) for side in sides} if not kinds else {"module"}
    made = [{origin.made for origin in found} for found in origins]
    shown = kinds <= {"module"} and named - {""} == {"module"}
    unlike = {"receiver": written[0], "source": written[1]}
    if any(is_set_elsewhere(side, site) for side in sides):
        return Copy(said("copy-unlike", **unlike))
    if shown and made[0] and made[0] == made[1] and "" not in made[0]:
        return Copy()
    if not _are_modules(set_to, site, place, receivers):
        return Copy(said("copy-unlike", **unlike))
    if not is_strict(site.call) and not all(
        _CLASS.fullmatch(name) for found in made for name in found or {""}
    ):
        return Copy(said("copy-loose", **unlike))
    return Copy(catch=said("copy-two", **unlike))


def _are_modules(set_to: list[ast.expr], site: CallSite, place: Place, receivers: Receivers) -> bool:
    classes = list(tested_classes(site))
    tested = set[str]().union(*(receivers.instances(one, place) for one in classes))
    if tested != {"module"} and not is_module(set_to[0], place, receivers):
        return False
    return is_module(set_to[1], place, receivers) or _is_same_part(*set_to)


def _is_same_part(target: ast.expr, online: ast.expr) -> bool:
    """Tell ``net.embed`` and ``transformer.embed``: of a model by its name, what is a module of another."""
    if not isinstance(target, ast.Attribute) or not isinstance(online, ast.Attribute):
        return False
    return target.attr == online.attr and named_kind(online.value) == named_kind(online) == "module"


def _altered(written: str, site: CallSite, file: File) -> int:
    """Return the line where a model is quantised, fused or pruned, in place or not; 0 where none does."""
    if not _ALTERS.search(file.code):
        return 0
    owner = next((node for node in reversed(site.definitions) if isinstance(node, ast.ClassDef)), None)
    own = owner is not None and written.startswith("self.")
    for node in ast.walk(owner) if own and owner else walk_scope(scope_of(site)):
        match node:
            case ast.Call(func=changed) | ast.Assign(targets=[ast.Attribute() as changed]):
                about = [changed, *getattr(node, "args", ())]
                if _ALTERS.search(spelled(changed)) and any(
                    spelled(part) == written for one in about for part in ast.walk(one)
                ):
                    return int(getattr(node, "lineno", 0))
    return 0
