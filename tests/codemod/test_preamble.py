import pytest

from ml_switcheroo.codemod.preamble import place_preamble
from ml_switcheroo.codemod.text import Text, apply_edits

BLOCK = "import re\n\n\nclass K:\n    pass\n"


def placed(code, *, imports=(), blocks=(BLOCK,), before=None):
    text = Text(code)
    edit = place_preamble(text, imports, blocks, len(code) if before is None else code.index(before))
    result = apply_edits(code, [edit] if edit else [])
    return result.replace(f"\n\n{BLOCK}\n\n", "<K>").replace(f"\n\n{BLOCK}\n", "<K>\n")


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("f()\n", "<K>f()\n"),
        ('"""Doc."""\nf()\n', '"""Doc."""\n<K>f()\n'),
        (
            '"""Doc."""\nfrom __future__ import annotations\nf()\n',
            '"""Doc."""\nfrom __future__ import annotations\n<K>f()\n',
        ),
        ("import a\nimport b  # b\n\nf()\n", "import a\nimport b  # b\n<K>f()\n"),
        ("import a\nx = 1\nimport b\nf()\n", "import a\nx = 1\nimport b\n<K>f()\n"),
        (
            "import a\n\ndef g():\n    import c\n\nimport b\nf()\n",
            "import a\n<K>def g():\n    import c\n\nimport b\nf()\n",
        ),
        (
            "try:\n    import a\nexcept ImportError:\n    a = None\nf()\n",
            "try:\n    import a\nexcept ImportError:\n    a = None\n<K>f()\n",
        ),
        (
            "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\nf()\n",
            "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n<K>f()\n",
        ),
        ("from a import (\n    b,\n    c,\n)\nf()\n", "from a import (\n    b,\n    c,\n)\n<K>f()\n"),
    ],
)
def test_a_block_stands_behind_the_imports(code, result):
    assert placed(code, before="f()") == result


def test_it_stands_before_the_first_edit():
    assert placed("import a\nf()\nimport b\n", before="f()") == "import a\n<K>f()\nimport b\n"


def test_a_line_with_an_import_and_an_edit_comes_after_it():
    assert placed("import a; f()\n", before="f()") == "<K>import a; f()\n"


def test_what_is_there_is_not_asked_for_again():
    assert place_preamble(Text(BLOCK), (), (BLOCK,), 0) is None
    assert place_preamble(Text("from m import K\nf()\n"), ("from m import K",), (), 16) is None


def test_an_import_is_one_line():
    assert (
        placed("import a\n\nf()\n", imports=["from m import K"], blocks=())
        == "import a\nfrom m import K\n\nf()\n"
    )


def test_the_files_line_ends_are_kept():
    result = apply_edits(
        "import a\r\nf()\r\n", [place_preamble(Text("import a\r\nf()\r\n"), (), (BLOCK,), 10)]
    )
    assert result.replace("\r\n", "").count("\n") == 0
