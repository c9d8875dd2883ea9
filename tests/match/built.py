"""Units and candidates made from names and shapes, one stage at a time."""

from ml_switcheroo.match.assignment.field import lay_out
from ml_switcheroo.match.paths.repeats import positions
from ml_switcheroo.match.units.kinds_by_name import kinds_of_leaf, kinds_of_words
from ml_switcheroo.match.units.norms import with_standings
from ml_switcheroo.match.units.roles import with_roles
from ml_switcheroo.match.units.unit import units
from ml_switcheroo.tensors import TensorSpec


def specs_of(shapes):
    return {path: TensorSpec(tuple(shape), "float32") for path, shape in shapes.items()}


def units_of(shapes, kinds=None):
    """Group tensors into units with roles and standings; kinds by their names unless they are given."""
    specs, tree = specs_of(shapes), positions(shapes)

    def kinds_of(path, role):
        if kinds is not None:
            return frozenset(kinds)
        known = kinds_of_leaf if "/" in path else kinds_of_words
        return known(path, len(specs[path].shape))

    return with_standings(with_roles(units(specs, kinds_of, tree)), tree)


def unit_of(shapes, kinds=None):
    (unit,) = units_of(shapes, kinds)
    return unit


def named(units, text):
    """Return the one unit of a pattern."""
    (found,) = [unit for unit in units if str(unit) == text]
    return found


def field_of(tensors, leaves, forced=None):
    """Lay out two sides whose matrices are kept as (out, in)."""
    sources, targets = units_of(tensors), units_of(leaves)
    return lay_out(sources, targets, ["oi"] * len(sources), forced or {})
