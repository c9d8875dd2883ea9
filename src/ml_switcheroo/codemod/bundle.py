"""The text of ``KeyMapper`` that goes along with a rewritten file: of the runtime, what the file uses."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ml_switcheroo.errors import UsageError
from ml_switcheroo.recipes import Mapper, Target
from ml_switcheroo.targets import find_target

__all__ = ["PUBLIC", "Table", "bundle", "mapper_of", "module_of", "planned_of", "source_of"]

PUBLIC = (
    *("map_name", "map_value", "from_torch", "load_into", "copy_into", "to_torch", "read"),
    *("KINDS", "possible_kinds", "is_open", "parse_kind", "folded"),
)
"""What ``KeyMapper`` offers from outside, for every target."""

_PLANNED = "ml_switcheroo.runtime.planned"


@dataclass(frozen=True, slots=True)
class _Member:
    """A method, constant or inner class of a class, and its lines."""

    node: ast.stmt
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A module of the runtime: its one class, and what the module imports from outside.

    Attributes:
        name: The name of the class.
        bases: The classes it extends, as the module calls them.
        said: The lines of its docstring.
        members: Its members, by name.
        imports: The import statements.
        needs: The modules that it imports its bases from.
        aliases: What the module calls an earlier ``KeyMapper``.
    """

    name: str
    bases: tuple[str, ...]
    said: tuple[str, ...]
    members: dict[str, _Member]
    imports: tuple[str, ...]
    needs: tuple[str, ...]
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of ``PlannedMapper.MOVES`` for one model.

    Attributes:
        model: What the model is called.
        rows: Tensors, leaves, and the steps between.
    """

    model: str
    rows: tuple[tuple[str, ...], ...]

    @property
    def entries(self) -> tuple[str, ...]:
        """The methods of ``PlannedMapper`` that the steps need."""
        steps = (step for row in self.rows for step in row[2:])
        return tuple(sorted({"_rearranged" if "->" in step else f"_{step.split()[0]}" for step in steps}))


def source_of(target: str, entries: Iterable[str]) -> str:
    """Return the text of a target's ``KeyMapper`` with what some of its methods need.

    Raises:
        UsageError: The row of the target has no mapper.
    """
    return bundle([mapper_of(find_target(target)).module], entries)


def planned_of(target: str, entries: Iterable[str], table: Table) -> str:
    """Return the text of a ``KeyMapper`` that carries out the plan of one model.

    Raises:
        UsageError: The row of the target has no mapper, or none for live models.
    """
    row = find_target(target)
    live = mapper_of(row).live
    is_live = not {"load_into", "copy_into"}.isdisjoint(entries)
    if is_live and not live:
        raise row.lacking("mapper.live", "a rewritten call cannot load into its models")
    text = bundle([_PLANNED, *([live] if live else [])], (*entries, *table.entries))
    bases = f"{_part(live).name}, PlannedMapper" if is_live else "PlannedMapper"
    said = f'"""Carry the tensors of {table.model} over to {target}: its plan, and what carries it out."""'
    rows = "".join(f"        {_literal(row)},\n" for row in table.rows)
    constants = f"    MODEL = {_quoted(table.model)}\n    MOVES = (\n{rows}    )\n"
    return f"{text}\n\nclass KeyMapper({bases}):\n    {said}\n\n{constants}"


def _literal(row: tuple[str, ...]) -> str:
    return f"({', '.join(map(_quoted, row))})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def module_of(target: str) -> str:
    """Return the module to import a target's ``KeyMapper`` from.

    Raises:
        UsageError: The row of the target has no mapper.
    """
    return mapper_of(find_target(target)).module.removesuffix(".key_mapper")


def mapper_of(target: Target) -> Mapper:
    """Return the mapper of a target.

    Raises:
        UsageError: The row of the target has none.
    """
    if target.mapper is None:
        raise target.lacking("mapper", "no code is rewritten for it")
    return target.mapper


def bundle(modules: Iterable[str], entries: Iterable[str]) -> str:
    """Join modules, and those they build on, into one text that needs only NumPy.

    Each module has one class. A member to which no entry leads is left out, and so is of a docstring all but
    its first paragraph: the package has the rest.

    Args:
        modules: Dotted names of the modules, such as ``ml_switcheroo.runtime.key_mapper``.
        entries: Members that are used from outside.

    Raises:
        UsageError: There is no such module.
    """
    chain: dict[str, None] = {}
    for module in modules:
        _add_with_bases(module, chain)
    return _bundled(tuple(chain), tuple(sorted(set(entries))))


def _add_with_bases(module: str, chain: dict[str, None]) -> None:
    """Add a module behind those that its class extends."""
    for base in _part(module).needs:
        _add_with_bases(base, chain)
    chain.setdefault(module)


@cache
def _bundled(modules: tuple[str, ...], entries: tuple[str, ...]) -> str:
    parts = [_part(name) for name in modules]
    reached = _reached(parts, entries)
    texts, instead = list[str](), dict[str, tuple[str, ...]]()
    for depth, part in enumerate(parts):
        kept = [member for name, member in part.members.items() if (depth, name) in reached]
        for alias in part.aliases:  # what the module calls the KeyMapper before it, if there is one yet
            if any(text.startswith("class KeyMapper") for text in texts):
                texts.append(f"{alias} = KeyMapper")
            else:
                instead[alias] = instead["KeyMapper"]
        own = tuple(inner for base in part.bases for inner in instead.get(base, (base,)))
        if not kept and depth < len(parts) - 1:
            instead[part.name] = own  # whoever extends it extends what it does
            continue
        bases = ", ".join(dict.fromkeys(own))
        head = f"class {part.name}({bases}):" if bases else f"class {part.name}:"
        texts.append("\n".join([head, *part.said, *_spaced(kept)]))
    used = {line for part in parts for line in part.imports if _is_used(line, texts)}
    imports = sorted(used, reverse=True)
    return "\n\n\n".join(["\n".join(imports), *texts]) + "\n"


def _spaced(members: Sequence[_Member]) -> Iterator[str]:
    """Yield the lines of members: constants stand together, each method behind an empty line."""
    before: ast.stmt | None = None
    for member in members:
        constants = not isinstance(member.node, ast.FunctionDef) and isinstance(before, type(member.node))
        yield from member.lines if constants and before is not None else ("", *member.lines)
        before = member.node


def _is_used(statement: str, bodies: Iterable[str]) -> bool:
    name = statement.split()[-1]
    return any(f"{name}." in body for body in bodies)


@cache
def _part(name: str) -> _Part:
    package, _, stem = name.rpartition(".")
    try:
        text = files(package).joinpath(f"{stem}.py").read_text("utf-8")
    except (ImportError, OSError) as error:
        raise UsageError(f"the module {name} of a KeyMapper cannot be read: {error}") from error
    lines, tree = text.splitlines(), ast.parse(text)
    (owner,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    bases = tuple(map(ast.unparse, owner.bases))
    ours = [node for node in imports if isinstance(node, ast.ImportFrom) and _brings(node) & {*bases}]
    outside = tuple(ast.unparse(node) for node in imports if node not in ours)
    aliases = tuple(alias.asname for node in ours for alias in node.names if alias.asname)
    needs = tuple(str(node.module) for node in ours)
    first, *body = owner.body
    members, last = {}, first.end_lineno or 0
    for node in body:
        members[_name(node)] = _Member(node, tuple(_text(node, lines, last)))
        last = node.end_lineno or 0
    return _Part(owner.name, bases, tuple(_brief(first, lines)), members, outside, needs, aliases)


def _brings(node: ast.ImportFrom) -> set[str]:
    """Return the names that an import gives to what it imports."""
    return {alias.asname or alias.name for alias in node.names}


def _name(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    assert isinstance(node, ast.Assign | ast.AnnAssign)
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    assert isinstance(target, ast.Name)
    return target.id


def _text(node: ast.stmt, lines: Sequence[str], last: int) -> Iterator[str]:
    """Yield the lines of a member: its comment and decorators, a short docstring, the rest."""
    first = node.body[0] if isinstance(node, ast.FunctionDef | ast.ClassDef) else None
    end = node.end_lineno or 0
    above = [line for line in lines[last : node.lineno - 1] if line and "----" not in line]
    yield from above
    if first is None or not _is_docstring(first):
        yield from (line.partition("  # noqa")[0] for line in lines[node.lineno - 1 : end])
    else:
        yield from lines[node.lineno - 1 : first.lineno - 1]
        yield from _brief(first, lines)
        yield from lines[first.end_lineno or 0 : end]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _brief(node: ast.stmt, lines: Sequence[str]) -> list[str]:
    """Return the first paragraph of a docstring, as a docstring."""
    said = lines[node.lineno - 1 : node.end_lineno]
    blank = next((at for at, line in enumerate(said) if not line.strip()), 0)
    if not blank:
        return list(said)
    return [*said[: blank - 1], said[blank - 1] + '"""']


def _reached(parts: Sequence[_Part], entries: Iterable[str]) -> set[tuple[int, str]]:
    """Return the members that the entries lead to, each with the place of its class."""
    top = len(parts)
    reached = set[tuple[int, str]]()
    todo = [(top, entry) for entry in entries]
    bases = frozenset(alias for part in parts for alias in part.aliases)
    while todo:
        below, name = todo.pop()
        depth = next((i for i in range(below - 1, -1, -1) if name in parts[i].members), None)
        if depth is not None and (depth, name) not in reached:
            reached.add((depth, name))
            todo += [
                (depth if base else top, other)
                for other, base in _mentioned(parts[depth].members[name].node, bases)
            ]
    return reached


@cache
def _mentioned(node: ast.stmt, bases: frozenset[str]) -> tuple[tuple[str, bool], ...]:
    """Return the names that a member may mean, each with whether it is that of a class below."""
    found: list[tuple[str, bool]] = []
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute):
            owner = each.value
            base = isinstance(owner, ast.Call) and ast.unparse(owner) == "super()"
            found.append((each.attr, base or (isinstance(owner, ast.Name) and owner.id in bases)))
        elif isinstance(each, ast.Name) and not isinstance(node, ast.FunctionDef):
            found.append((each.id, False))
    return tuple(found)
