import pytest

from ml_switcheroo.core.rewriter import rewrite
from ml_switcheroo.errors import RewriteError
from rewriting import check_rewritten, check_unchanged


def test_everything_else_stays_byte_for_byte():
    check_rewritten(
        """
        import torch


        def load( net,opt ):   # odd spacing
            net.load_state_dict(
                torch.load('x.pt',  map_location = "cpu"),  # the weights
                strict=False,
            )
            return  net ;
        """,
        """
        import torch
        #KEYMAPPER

        def load( net,opt ):   # odd spacing
            KeyMapper.load_into(
                net, torch.load('x.pt',  map_location = "cpu"),  # the weights
                strict=False,
            )
            return  net ;
        """,
    )


def test_a_call_inside_a_call():
    check_rewritten(
        "a.load_state_dict(b.load_state_dict(sd))\n",
        "#KEYMAPPERKeyMapper.load_into(a, KeyMapper.load_into(b, sd))\n",
    )


def test_a_receiver_over_several_lines():
    check_rewritten(
        """
        (model
            .module
            .load_state_dict(sd))
        """,
        """
        #KEYMAPPER(KeyMapper.load_into(model
            .module, sd))
        """,
    )


def test_import_in_place_of_injection():
    result = rewrite("import torch\nnet.load_state_dict(sd)\n", runtime="import")
    assert result.code == (
        "import torch\nfrom ml_switcheroo.runtime import KeyMapper\nKeyMapper.load_into(net, sd)\n"
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", "\n", "\n   ", "\n\t\n", "  # c", "\f"])
def test_ends_and_line_ends_are_kept(newline, end):
    check_rewritten(
        f"import torch\nnet.load_state_dict(\n\tsd){end}".replace("\n", newline),
        f"import torch\n#KEYMAPPERKeyMapper.load_into(\n\tnet, sd){end}".replace("\n", newline),
        dedent=False,
    )


@pytest.mark.parametrize(
    ("code", "note"),
    [
        ("optimizer.load_state_dict(sd)\n", "1: optimizer looks like an optimizer"),
        ("opt = torch.optim.Adam(p)\nx = opt\nopt.load_state_dict(sd)\n", "3: optimizer"),
        ("self.lr_scheduler.load_state_dict(sd)\n", "1: scheduler"),
        ("super().load_state_dict(sd)\n", "1: own class"),
        ("net.load_state_dict()\n", "1: does not show what is loaded"),
    ],
)
def test_what_is_left_has_a_note(code, note):
    check_unchanged(code, notes=[note])


def test_mentions_are_no_calls():
    check_unchanged("f = net.load_state_dict\nprint('net.load_state_dict(sd)')  # net.load_state_dict(sd)\n")


def test_what_is_no_python_is_an_error():
    with pytest.raises(RewriteError, match=r"run\.py:2: this is no Python"):
        rewrite("x = 1\nprint 'load_state_dict'\n", file="run.py")
