import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import ml_switcheroo as ms
from ml_switcheroo.cli.convert import convert
from ml_switcheroo.conversion import Conversion
from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats import writing
from ml_switcheroo.formats.leaves import LeafCheck
from ml_switcheroo.formats.safetensors_writer import write_safetensors

LAYERS = {f"l{i}": "linear" for i in range(4)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    state = {f"l{i}.weight": torch.randn(300, 200) for i in range(4)}
    state |= {f"l{i}.bias": torch.randn(300) for i in range(4)}
    torch.save(state, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_an_interrupted_run_is_resumed(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, out = source.with_name("whole.safetensors"), source.with_name("out.safetensors")
    ms.convert(source, whole, to="jax", layers=LAYERS)

    def cut_off(path, specs, leaves, *rest, **options):
        def some():
            for number, leaf in enumerate(leaves):
                if number == 5:
                    raise KeyboardInterrupt
                yield leaf

        write_safetensors(path, specs, some(), *rest, **options)

    with monkeypatch.context() as patched:
        row = replace(writing.WRITERS["safetensors"], write=cut_off)
        patched.setitem(writing.WRITERS, "safetensors", row)
        with pytest.raises(KeyboardInterrupt):
            ms.convert(source, out, to="jax", layers=LAYERS, resume=True)
    assert not out.exists()
    said: list[str] = []
    ms.convert(source, out, to="jax", layers=LAYERS, resume=True, say=said.append)
    assert len(said) == 1
    assert said[0].startswith("goes on with an interrupted run")
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in source.parent.iterdir()) == [
        "model.pt",
        "out.safetensors",
        "whole.safetensors",
    ]


def test_another_source_starts_anew(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = source.with_name("out.safetensors")

    def interrupt(self: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LeafCheck, "finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ms.convert(source, out, to="jax", layers=LAYERS, resume=True)
    torch.save(torch.load(source), source)
    said: list[str] = []
    ms.convert(source, out, to="jax", layers=LAYERS, resume=True, say=said.append)
    assert said == ["starts anew: the interrupted run was of another plan, source or version"]


def test_shards(source: Path) -> None:
    whole, folder = source.with_name("whole.safetensors"), source.with_name("folder")
    ms.convert(source, whole, to="jax", layers=LAYERS)
    ms.convert(source, folder, to="jax", layers=LAYERS, max_shard_bytes=300_000)
    with ms.open_checkpoint(folder) as parts, ms.open_checkpoint(whole) as one:
        assert parts.format == "safetensors-sharded"
        assert set(parts) == set(one)
        assert dict(parts.metadata) == dict(one.metadata)
        for name, tensor in one.items():
            np.testing.assert_array_equal(parts[name].read(), tensor.read())


@pytest.mark.parametrize(
    ("out", "options", "problem"),
    [
        ("out.npz", {"resume": True}, "only a run into a .safetensors file"),
        ("out", {"resume": True, "max_shard_bytes": 10}, "cannot be resumed"),
        ("out.safetensors", {"max_shard_bytes": 10}, "go into a folder"),
        ("out.bin", {}, "the suffix is none of"),
    ],
)
def test_what_does_not_go_together(source: Path, out: str, options: dict, problem: str) -> None:
    with pytest.raises(ms.errors.UsageError, match=problem):
        ms.convert(source, source.with_name(out), to="jax", layers=LAYERS, **options)


def test_the_verb_writes_shards_and_resumes(source: Path) -> None:
    folder, out = source.with_name("folder"), source.with_name("out.safetensors")
    runner = CliRunner()
    arguments = [str(source), str(folder), "--to", "numpy", "--max-shard-size", "0.3MB"]
    assert runner.invoke(convert, arguments).exit_code == 0
    assert (folder / "model.safetensors.index.json").exists()
    assert runner.invoke(convert, [str(source), str(out), "--to", "numpy", "--resume"]).exit_code == 0
    assert out.exists()
    wrong = runner.invoke(convert, [*arguments[:-1], "much"])
    assert wrong.exit_code == 2
    assert "'much' is not a size such as 5GB" in wrong.output


def test_the_source_is_not_overwritten(source: Path) -> None:
    before = source.read_bytes()
    (source.parent / "link.safetensors").symlink_to(source)
    for out, options in [
        (source, {}),
        (source.with_name("link.safetensors"), {}),
        (source.parent, {"max_shard_bytes": 10**6}),
    ]:
        with pytest.raises(ms.errors.UsageError, match="is where the input"):
            ms.convert(source, out, to="jax", layers=LAYERS, **options)
    assert source.read_bytes() == before


def parameters(function):
    """Return the parameters of a function with their defaults, without self."""
    found = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in found if each.name != "self"}


def test_convert_has_the_fields_of_a_conversion_and_the_parameters_of_its_method():
    assert parameters(ms.convert) == {**parameters(Conversion), **parameters(Conversion.write)}
    assert all(f"\n        {name}: " in Conversion.__doc__ for name in parameters(Conversion))


def test_one_conversion_writes_and_tells_what_is_up_to_date(source: Path) -> None:
    conversion = Conversion(source, to="jax", layers=LAYERS)
    one, other = source.with_name("out.safetensors"), source.with_name("out.npz")
    assert not conversion.is_up_to_date(one)
    assert conversion.write(one).digest == conversion.write(other).digest
    assert conversion.is_up_to_date(one)
    assert conversion.is_up_to_date(other)
    assert not Conversion(source, to="numpy").is_up_to_date(one)


def test_a_plan_to_another_target_is_not_up_to_date_but_refused(source: Path) -> None:
    conversion = Conversion(source, to="jax", plan=ms.make_plan(source, to="numpy"))
    out = source.with_name("out.npz")
    Conversion(source, to="numpy").write(out)
    for ask in (conversion.write, conversion.is_up_to_date):
        with pytest.raises(UsageError, match="one to numpy, not to jax"):
            ask(out)
