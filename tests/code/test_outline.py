"""What a module's statements bind, import and call."""

import ast

import pytest

from ml_switcheroo.code.outline import bound_names, imported_names, outline, top_level


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import a.b", ["a"]),
        ("import a.b as c", ["c"]),
        ("from a import b as c, d", ["c", "d"]),
        ("x.y[0], (z, *w) = 1", ["x", "z", "w"]),
        ("x.append(1)", ["x"]),
        ("if t:\n    a = 1\nelse:\n    b = 2", ["a", "b"]),
        ("for i in x:\n    y = i", ["i", "y"]),
        ("with f() as g:\n    pass", ["g"]),
        ("try:\n    import a\nexcept ImportError:\n    a = None", ["a", "a"]),
        ("print(1)", []),
    ],
)
def test_the_names_that_a_statement_binds_or_changes(code, names):
    assert list(bound_names(ast.parse(code).body[0])) == names


def test_an_imported_name_knows_its_dots_and_where_it_is_from():
    code = "import a.b\nimport c.d as e\nfrom ..f import g as h\nfrom . import i\n"
    code += "try:\n    import j\nexcept E:\n    pass"
    found = imported_names(top_level(ast.parse(code).body))
    assert found == {"a": (0, "a"), "e": (0, "c.d"), "h": (2, "f.g"), "i": (1, "i"), "j": (0, "j")}


def test_the_outline_has_places_stars_and_what_is_called_for_an_effect():
    code = "from a import *\nx = 1\nregister(x)\nx += 1\n@register\nclass C: pass\n"
    bindings, stars, calls = outline(ast.parse(code))
    assert bindings["x"] == [1, 3]
    assert [star.module for star in stars] == ["a"]
    assert calls == ((2, "register"), (4, "register"))
