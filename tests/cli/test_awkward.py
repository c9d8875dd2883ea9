"""What people do by mistake, 60 times: ``benchmarks/awkward.py`` as a test."""

import runpy
from pathlib import Path

import pytest

AWKWARD = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "awkward.py"))
CASES = AWKWARD["CASES"]


def test_there_are_sixty_and_none_is_there_twice():
    assert len(CASES) == len({case.what for case in CASES}) == 60


def test_every_case_says_what_the_answer_has_to_hold():
    silent = [case.what for case in CASES if not (case.words or case.record)]
    assert silent == ["a terminal that was closed"]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_an_awkward_invocation_is_answered(case):
    assert AWKWARD["judged"](case)[1] == []
