"""What a person is told: the sources' doubts, where only evidence speaks of a module."""

from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.remarks import remark
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding, Knowledge
from ml_switcheroo.targets import TARGETS


def told(origin):
    known = Knowledge(doubts={"fc": "fc may be flattened"})
    owners = [Owner("fc", (Finding("linear", origin, "said"),), {"weight": "fc.weight"})]
    ledger = Ledger({}, None)
    remark(Request({}, TARGETS["nnx"], [known]), owners, ledger)
    return ledger.notes


def test_a_doubt_of_names_counts_only_where_no_other_source_speaks():
    assert told("evidence") == ("fc may be flattened",)
    assert told("live") == ()
