"""What other packages offer by entry points: loaded, or an error that names the package's own line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ml_switcheroo.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["load_offered", "offered_as"]

Row = TypeVar("Row")


def load_offered(point: EntryPoint, what: str) -> Any:
    """Load what an entry point names.

    Args:
        point: The entry point.
        what: What it offers, for a person: ``hook``.

    Raises:
        UsageError: It cannot be imported.
    """
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{what} {point.name!r} cannot be loaded from {point.value}: {error}") from error


def offered_as(kind: type[Row], value: object, point: EntryPoint, what: str) -> Row:
    """Return what an entry point has given, if it is of a class.

    Raises:
        UsageError: It is of another class.
    """
    if not isinstance(value, kind):
        found = f"a {type(value).__name__} is no {kind.__name__}"
        raise UsageError(f"{what} {point.name!r} ({point.value}): {found}")
    return value
