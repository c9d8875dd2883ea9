"""Injected code joins a file only where its names are free, or the same thing."""

import pytest

from rewriting import check_rewritten, check_unchanged

CALL = "net.load_state_dict(sd)\n"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import jax.numpy as np\n", "np"),
        ("from autograd import numpy as np\n", "np"),
        ("re = 5\n", "re"),
        ("class KeyMapper: ...\n", "KeyMapper"),
        ("from .mapping import KeyMapper\n", "KeyMapper"),
        ("def f():\n    global np\n    np = 1\n", "np"),
        ("for re in x: pass\n", "re"),
    ],
)
def test_a_file_that_means_something_else_is_left(code, name):
    line = code.count("\n") + 1
    check_unchanged(code + CALL, notes=[f"{line}: {name} is another thing in this file"])


@pytest.mark.parametrize(
    "code",
    [
        "import numpy as np\n",
        "try:\n    import numpy as np\nexcept ImportError:\n    np = None\n",
        "import re, numpy as np\n",
    ],
)
def test_the_same_thing_is_no_clash(code):
    check_rewritten(code + CALL, f"{code}#KEYMAPPERKeyMapper.load_into(net, sd)\n")


def test_names_of_functions_are_their_own():
    code = "def f(np):\n    re = 3\n    import jax.numpy as np\n"
    check_rewritten(code + CALL, f"#KEYMAPPER{code}KeyMapper.load_into(net, sd)\n")


@pytest.mark.parametrize("code", ["re = 5\n", "import jax.numpy as np\n"])
def test_an_import_takes_no_other_name(code):
    from ml_switcheroo.codemod.rewriter import rewrite

    assert "KeyMapper.load_into(net, sd)" in rewrite(code + CALL, runtime="import").code


def test_every_call_that_is_given_up_has_the_note_and_no_other():
    code = "import jax.numpy as np\nnet.load_state_dict(sd)\nmodel.load_state_dict(sd)\n"
    check_unchanged(code, notes=["2: np is another", "3: np is another"])
