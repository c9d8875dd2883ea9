"""The table of the formats that are written: each row says what its function can do."""

import inspect

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.cli.convert import convert
from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats.writing import SUFFIXES, WRITERS
from ml_switcheroo.outputs import choose_output, writer_of_state_dicts
from ml_switcheroo.targets import TARGETS
from ml_switcheroo.tensors import DTYPES


@pytest.mark.parametrize("name", WRITERS)
def test_a_row_names_the_keyword_arguments_of_its_function(name):
    row = WRITERS[name]
    parameters = inspect.signature(row.write).parameters.values()
    assert {each.name for each in parameters if each.kind is each.KEYWORD_ONLY} == set(row.options)
    assert row.write_shards is None or "max_bytes" in inspect.signature(row.write_shards).parameters


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_speaks_of_formats_and_dtypes_that_there_are(name):
    files = TARGETS[name].files
    assert all(WRITERS[form].why_only for form in files.formats)
    assert set(files.unreadable) <= set(WRITERS)
    assert {dtype for dtypes in files.unreadable.values() for dtype in dtypes} <= set(DTYPES)


def test_no_two_formats_have_a_suffix_that_is_the_end_of_another():
    assert not [(a, b) for a in SUFFIXES for b in SUFFIXES if a != b and a.endswith(b)]
    folders = [name for name, row in WRITERS.items() if not row.suffix]
    for target in TARGETS.values():
        assert len(set(folders) & set(target.files.formats)) < 2, "a name without a suffix means one format"


def test_the_command_line_offers_every_format():
    option = next(option for option in convert.params if option.name == "form")
    assert list(option.type.choices) == list(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_format_takes_the_targets_of_its_row_and_refuses_all_others(tmp_path, name, target):
    row, out = WRITERS[name], tmp_path / f"out{WRITERS[name].suffix}"
    if not row.why_only or name in TARGETS[target].files.formats:
        assert choose_output(out, name, target).format == name
    else:
        with pytest.raises(UsageError, match=target):
            choose_output(out, name, target)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_state_dict_goes_into_every_format_that_holds_all_names(tmp_path, suffix):
    out, row = tmp_path / f"out{suffix}", WRITERS[SUFFIXES[suffix]]
    if not row.of_torch:
        with pytest.raises(UsageError, match=r"written as \.safetensors, \.npz or \.pt"):
            writer_of_state_dicts(out)
    else:
        array = np.arange(3, dtype="f4")
        writer_of_state_dicts(out)(out, {"a": ms.TensorSpec((3,), "float32")}, [("a", array)], {})
        with ms.open_checkpoint(out) as checkpoint:
            np.testing.assert_array_equal(checkpoint["a"].read(), array)
