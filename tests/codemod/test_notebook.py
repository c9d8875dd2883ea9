import json

import pytest

from ml_switcheroo.codemod.notebook import rewrite_notebook
from ml_switcheroo.errors import RewriteError


def notebook(*cells, indent=1, ascii_only=False, lines=True, end="\n"):
    made = {
        "cells": [{"cell_type": "markdown", "metadata": {}, "source": ["net.load_state_dict(sd) é"]}],
        "metadata": {"x": 0.1},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    for code in cells:
        source = code.splitlines(keepends=True) if lines else code
        cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}
        made["cells"].append(cell)
    return json.dumps(made, indent=indent, ensure_ascii=ascii_only) + end


def cells(text):
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]


def run(*codes, **style):
    before = notebook(*codes, **style)
    result = rewrite_notebook(before, "nnx", runtime="import")
    again = rewrite_notebook(result.code, "nnx", runtime="import")
    assert again.code == result.code
    return before, result


@pytest.mark.parametrize("indent", [1, 2, None])
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("end", ["", "\n"])
def test_only_the_calls_change(indent, ascii_only, lines, end):
    style = {"indent": indent, "ascii_only": ascii_only, "lines": lines, "end": end}
    _, result = run("import torch\n", "net.load_state_dict(sd)  # é", **style)
    expected = notebook(
        "import torch\nfrom ml_switcheroo.runtime import KeyMapper\n",
        "KeyMapper.load_into(net, sd)  # é",
        **style,
    )
    assert result.code == expected


def test_magics_stay():
    codes = [
        "%matplotlib inline\n!pip install torch\nimport torch\nnet?",
        "%%bash\nnet.load_state_dict(sd)",
        "%%time\nif ok:\n    !ls\nnet.load_state_dict(sd)",
        "files = !ls\nnet.load_state_dict(sd)",
    ]
    _, result = run(*codes)
    found = cells(result.code)
    assert found[0] == codes[0].replace("net?", "from ml_switcheroo.runtime import KeyMapper\nnet?")
    assert found[1] == codes[1]
    assert found[2] == "%%time\nif ok:\n    !ls\nKeyMapper.load_into(net, sd)"
    assert found[3] == "files = !ls\nKeyMapper.load_into(net, sd)"
    assert [f"{note.line}: {note.code}" for note in result.notes] == ["6: SW609"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("%%time\n@", "%%time\nIMPORT\n@"),
        ("%%capture out\nimport torch\n@", "%%capture out\nimport torch\nIMPORT\n@"),
        ("files = !ls\n@", "IMPORT\nfiles = !ls\n@"),
        ("a, b = !ls -l {x}\n@", "IMPORT\na, b = !ls -l {x}\n@"),
        ("t = %timeit -o f()\n@", "IMPORT\nt = %timeit -o f()\n@"),
        ("y = (a\n  % b)\n@", "IMPORT\ny = (a\n  % b)\n@"),
        ('s = """\n%d\n!x\n"""\n@', 'IMPORT\ns = """\n%d\n!x\n"""\n@'),
        ("if ok:\n    x = !ls\n@", "IMPORT\nif ok:\n    x = !ls\n@"),
    ],
)
def test_a_cell_with_a_magic_is_read_and_the_magic_stays_where_it_is(before, after):
    _, result = run(before.replace("@", "net.load_state_dict(sd)"))
    after = after.replace("IMPORT", "from ml_switcheroo.runtime import KeyMapper")
    assert cells(result.code) == [after.replace("@", "KeyMapper.load_into(net, sd)")]
    assert result.notes == ()


@pytest.mark.parametrize("head", ["%%timeit -n 3", "%%prun", "%%bash", "%%javascript", "this is no python"])
def test_a_cell_that_is_not_read_stays_and_has_a_note(head):
    before, result = run(f"{head}\nnet.load_state_dict(sd)")
    assert result.code == before
    assert [f"{note.line}: {note.code}" for note in result.notes] == ["2: SW609"]


def test_nothing_is_put_into_a_cell_that_is_not_read():
    _, result = run("%%bash\nls", "net.load_state_dict(sd)")
    assert cells(result.code) == [
        "%%bash\nls",
        "from ml_switcheroo.runtime import KeyMapper\nKeyMapper.load_into(net, sd)",
    ]


def test_what_one_cell_defines_the_next_one_knows():
    before, result = run("opt_ = 1\nx = torch.optim.SGD(p)", "x.load_state_dict(sd)")
    assert result.code == before
    assert "x is an optimizer" in result.notes[0].text


def test_odd_ways_of_writing_stay():
    before = notebook("x = 1\n", "net.load_state_dict(sd)  # é\ny = 'ü'\n").replace(
        '"nbformat": 4', '"nbformat":   4.0'
    )
    before = before.replace("ü", "\\u00fc").replace(
        '"metadata": {}', '"metadata": {"source": ["net.load_state_dict(sd)"]}'
    )
    result = rewrite_notebook(before, "nnx", runtime="import")
    after = before.replace(
        '"x = 1\\n"\n', '"from ml_switcheroo.runtime import KeyMapper\\n",\n    "x = 1\\n"\n'
    )
    place = after.rindex('"source": [\n    "net.load_state_dict')
    after = after[:place] + after[place:].replace("net.load_state_dict(", "KeyMapper.load_into(net, ", 1)
    assert result.code == after


def test_what_is_no_notebook_is_an_error():
    with pytest.raises(RewriteError, match="no notebook"):
        rewrite_notebook("{}", "nnx")
