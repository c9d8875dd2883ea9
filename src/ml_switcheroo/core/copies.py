"""Whether ``target.load_state_dict(online.state_dict())`` copies between models of one class."""

from __future__ import annotations

import ast
import re

from ml_switcheroo.core.arguments import copied_from
from ml_switcheroo.core.index import File
from ml_switcheroo.core.naming import named_kind
from ml_switcheroo.core.notes import Said, said
from ml_switcheroo.core.receivers import Place, Receivers
from ml_switcheroo.core.sites import Site, scope_of, walk_scope
from ml_switcheroo.core.trees import spelled

__all__ = ["why_no_copy"]

_ALTERS = re.compile(r"quanti[sz]|qconfig|fuse_|prune")


def why_no_copy(site: Site, place: Place, receivers: Receivers) -> Said | None:
    """Return why a copy in memory is not shown to be one between two modules of the same class."""
    sides = (site.receiver, copied_from(site.call))
    written = [spelled(side) for side in sides]
    origins = [receivers.origins(side, place) for side in sides]
    for side, found in zip(written, origins, strict=True):
        if "overriding" in {origin.kind for origin in found}:
            return said("copy-own", receiver=side)
    kinds = {origin.kind for found in origins for origin in found if origin.kind}
    named = {named_kind(side) for side in sides} if not kinds else {"module"}
    made = [{origin.made for origin in found} for found in origins]
    shown = kinds <= {"module"} and named - {""} == {"module"}
    if not shown or not made[0] or made[0] != made[1] or "" in made[0]:
        return said("copy-unlike", receiver=written[0], source=written[1])
    for side in written:
        line = _altered(side, site, place.file)
        if line:
            return said("copy-altered", line=line, receiver=side)
    return None


def _altered(written: str, site: Site, file: File) -> int:
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
