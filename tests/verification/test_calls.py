"""What is recorded of a run: the first array of each call, once, and nothing is left behind."""

from dataclasses import dataclass

import numpy as np
import pytest

from ml_switcheroo.verification.calls import Recorder, arrays_in, first_array, replaced


@dataclass
class Output:
    logits: object
    state: object = None


def test_arrays_are_found_in_all_that_a_call_may_give():
    one, two, three = (np.full(2, n) for n in range(3))
    nested = {"a": [one, "text", None], "b": Output((two,), {"c": three})}
    assert [int(array[0]) for array in arrays_in(nested)] == [0, 1, 2]
    assert first_array(nested) is one
    assert first_array(["text", 3]) is None


def test_a_call_keeps_copies_of_the_first_arrays():
    given = np.zeros(2)
    call = Recorder().add("fc", (given, np.ones(3)), {"y": np.ones(2)})
    given[:] = 7
    assert [array.tolist() for array in (*call.inputs, *call.outputs)] == [[0.0, 0.0], [1.0, 1.0]]


def test_a_call_without_arrays_has_none():
    recorder = Recorder()
    call = recorder.add("drop", "text", None)
    assert (call.inputs, call.outputs) == ([], [])
    assert recorder.calls == [call]


def test_a_class_that_calls_its_parents_call_is_one_call():
    recorder = Recorder()
    with (
        recorder.entered("fc") as outer,
        recorder.entered("fc") as inner,
        recorder.entered("fc.sub") as other,
    ):
        assert (outer, inner, other) == (True, False, True)
    with recorder.entered("fc") as again:
        assert again


def test_a_method_is_put_back_whether_it_was_the_class_own_or_inherited():
    class Parent:
        def call(self):
            return "parent"

    class Child(Parent):
        pass

    def fail():
        with replaced([Parent, Child], "call", lambda function: lambda self: f"<{function(self)}>"):
            assert Parent().call() == "<parent>"
            assert "call" in vars(Child)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert Parent().call() == Child().call() == "parent"
    assert "call" not in vars(Child)
