"""What becomes of what the structure is asked, and of what it leaves open."""

from ml_switcheroo.planning.options import Option
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.by_structure import by_structure
from ml_switcheroo.planning.trace import Trace
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.targets import find_target
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template


def spec(*shape):
    return TensorSpec(shape, "float32")


def owner(path="fc", kind="linear", origin="static", shape=(4, 6), **said):
    finding = Finding(kind, origin, "said", **said)
    return Owner(path, (finding,), {"weight": f"{path}.weight"}), {f"{path}.weight": spec(*shape)}


def request(specs, leaves=None, target="linen", **more):
    template = (
        Template({path: spec(*shape) for path, shape in leaves.items()}) if leaves is not None else None
    )
    return Request(specs, find_target(target), [], template, **more)


def settled(one):
    return [Option(one.possible[0], ())]


def asked(pending, specs, leaves, **more):
    return by_structure(request(specs, leaves, **more), pending, [], [], settled)


def test_what_is_matched_moves_and_what_is_not_is_unexpected():
    one, specs = owner("enc.query")
    other, more = owner("enc.zorp", shape=(9, 9))
    found = asked([(one, []), (other, [])], {**specs, **more}, {"params/enc/q_proj/kernel": (6, 4)})
    assert [move.leaves for move in found.moves] == [("params/enc/q_proj/kernel",)]
    assert found.unexpected["enc.zorp.weight"] == "nothing in the target answers to it"


def test_a_doubt_is_neither_moved_nor_unexpected():
    one, specs = owner("t.fc")
    found = asked([(one, [])], specs, {"params/t/x/fc/kernel": (6, 4), "params/t/y/fc/kernel": (6, 4)})
    assert (found.moves, found.unexpected) == ([], {})
    assert [doubt.names for doubt in found.doubts] == [("t.fc.weight",)]


def test_the_trace_keeps_who_was_asked_and_what_was_weighed():
    one, specs = owner("enc.query")
    trace = Trace()
    asked([(one, [])], specs, {"params/enc/q_proj/kernel": (6, 4)}, trace=trace)
    assert list(trace.asked) == ["enc.query"]
    assert len(trace.weighed) == 1
    assert asked([], specs, {}).moves == []
