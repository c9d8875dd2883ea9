"""The account of a tensor as lines: the best first, vetoes by their reason, nothing that says nothing."""

import math

from ml_switcheroo.match.trace import Account, Considered
from ml_switcheroo.report import account_text


def considered(name, score=None, *, taken=False, why="", terms=()):
    stage = "assignment" if score is not None else "candidates"
    return Considered(name, stage, taken, why, score, tuple(terms))


def test_candidates_stand_in_columns_with_what_spoke_for_them():
    terms = [("words in both (a)", 1.0), ("numbers", -1.5), ("the path", 3.0), ("other blocks", 0.001)]
    best = considered("enc/long_name", 2.5, taken=True, why="the same path", terms=terms)
    lines = account_text(Account("encoder", "", (best, considered("enc/x", -10.25))))
    assert lines == [
        "  weighed: encoder",
        "    2.50    enc/long_name  taken (assignment: the same path)"
        "  the path +3.00, words in both (a) +1.00, numbers -1.50",
        "    -10.25  enc/x          not taken (assignment)",
    ]


def test_what_is_ruled_out_stands_together_by_its_reason():
    names = [considered(f"m{i}", why="another kind") for i in range(11)]
    lines = account_text(Account("x", "queries", (*names, considered("y", why="repeated in other blocks"))))
    assert lines == [
        "  weighed: x, taken for the queries",
        "    ruled out, another kind: m0, m1, m2, m3, m4, m5, m6, m7 and 3 more",
        "    ruled out, repeated in other blocks: y",
    ]


def test_many_candidates_are_cut():
    lines = account_text(Account("x", "", tuple(considered(f"m{i}", 20.0 - i) for i in range(10))))
    assert lines[-2:] == ["    13.00  m7  not taken (assignment)", "    ... and 2 more candidates"]


def test_margins_and_layouts_are_said():
    layouts = (("weight", "io", "as the framework keeps a kernel"), ("bias", None, "its shape fits several"))
    account = Account("x", "", (), 0.1, 0.25, "y", "another pair is nearly as good", layouts)
    assert account_text(account)[1:] == [
        "    margin 0.10, needed 0.25; else y; in doubt: another pair is nearly as good",
        "    weight: laid out as io: as the framework keeps a kernel",
        "    bias: in doubt: its shape fits several",
    ]
    open_end = Account("x", "", (), 2.0, math.inf)
    assert account_text(open_end)[1] == "    margin 2.00, needed more than words can give; else nothing"
