"""Read the folders that DeepSpeed ZeRO writes, stages 0 to 3, without DeepSpeed and without torch.

Layout (``deepspeed/runtime/engine.py``, ``save_checkpoint``, and the ``zero_to_fp32.py`` beside each
such folder). Every rank keeps a slice of the float32 parameters in its optimizer file,
``*_optim_states.pt``. Shapes, buffers and frozen parameters are in ``*_model_states.pt``. In stages 1
and 2 the parameters of a group form one vector, which is cut into one slice for each rank. In stage 3
each parameter is padded to a multiple of the ranks and cut. In stage 0 the model file has everything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Checkpoint, LazyTensor
from ml_switcheroo.formats.files import SourceFile
from ml_switcheroo.formats.inert import Foreign
from ml_switcheroo.formats.pickled_values import PickledTensor
from ml_switcheroo.formats.runs import Run, find_runs, is_flat, join_runs
from ml_switcheroo.formats.torch_zip import TorchArchive
from ml_switcheroo.tensors import TensorSpec

__all__ = ["is_zero", "open_zero"]

_FILE = re.compile(
    r"(?:bf16_)?(?:zero_pp_rank_(?P<rank>\d+)_)?mp_rank_(?P<model>\d+)_(?P<what>model|optim)_states\.pt"
)
_ELSEWHERE = ("layer_*-model_*states.pt", "*expert_*_states.pt")
"""Files of pipelines and experts, with parameters that the files above lack."""
_WHOLE = "Turn it into one file with the zero_to_fp32.py beside it, then open that file."
_FACTS = ("global_steps", "global_samples", "skipped_steps", "dp_world_size", "ds_version")


def is_zero(folder: Path) -> bool:
    """Tell whether DeepSpeed wrote a folder: that of one step, or the one whose ``latest`` names a step."""
    return any(_FILE.fullmatch(path.name) for path in _step(folder).glob("*_states.pt"))


def _step(folder: Path) -> Path:
    """Return the folder of the step that ``latest`` names; the folder itself if there is no such file."""
    latest = folder / "latest"
    if not latest.is_file() or latest.stat().st_size > 1000:
        return folder
    name = latest.read_text(errors="replace").strip()
    inside = name.isprintable() and Path(name).name == name and name not in ("", ".", "..")
    return folder / name if inside else folder


def open_zero(folder: Path) -> Checkpoint:
    """Open a folder of DeepSpeed: the tensors of its ``zero_to_fp32.py``, with buffers in their own dtype.

    Trained parameters are the float32 ones of the optimizer. In stages 1 and 2 the file
    ``mp_rank_00_model_states.pt`` has them in the model's own dtype.

    Args:
        folder: The folder with the file ``latest``, or the folder of one step.

    Raises:
        CheckpointError: Ranks are missing, slices do not add up to the parameters, or the model was cut by
            more than ZeRO: tensor parallelism, pipelines, experts.
    """
    files: list[SourceFile] = []
    try:
        step = _step(folder)
        reader = _Zero(step, _ranks(step, files))
        return Checkpoint(
            folder, "deepspeed", reader.tensors(), extras=reader.facts(), selected="module", files=files
        )
    except BaseException:
        for file in files:
            file.close()
        raise


def _ranks(folder: Path, files: list[SourceFile]) -> dict[str, list[TorchArchive]]:
    """Open the files of the model and the optimizer, ordered by rank."""
    for pattern in _ELSEWHERE:
        for path in folder.glob(pattern):
            raise CheckpointError(
                path, "a DeepSpeed checkpoint of a pipeline or of experts, which is not supported"
            )
    found: dict[str, dict[int, Path]] = {"model": {}, "optim": {}}
    for path in folder.glob("*_states.pt"):
        match = _FILE.fullmatch(path.name)
        if match is None:
            continue
        if int(match["model"]):
            raise CheckpointError(path, "a DeepSpeed checkpoint with tensor parallelism: not supported")
        if path != found[match["what"]].setdefault(int(match["rank"] or 0), path):
            raise CheckpointError(
                path, "a second file of the same rank", cure="Keep only the files of one run."
            )
    archives: dict[str, list[TorchArchive]] = {}
    for what, paths in found.items():
        missing = sorted(set(range(len(paths))) - paths.keys())
        if missing:
            raise CheckpointError(folder, f"the {what} states of rank {missing[0]} are missing", cure=_WHOLE)
        archives[what] = []
        for rank in range(len(paths)):
            files.append(SourceFile(paths[rank]))
            archives[what].append(TorchArchive(files[-1]))
    return archives


class _Zero:
    """What the files of all ranks hold together."""

    def __init__(self, folder: Path, archives: Mapping[str, list[TorchArchive]]) -> None:
        self._folder = folder
        if not archives["model"]:
            raise CheckpointError(
                folder, "a DeepSpeed checkpoint without the states of its model", cure=_WHOLE
            )
        self._models = [
            _mapping(archive.parts(), archive.path, "states of a model") for archive in archives["model"]
        ]
        self._archives = archives
        self._first = archives["model"][0]
        optimizers = [_mapping(archive.parts(), archive.path, "states") for archive in archives["optim"]]
        self._states = [
            _mapping(states.get("optimizer_state_dict"), archive.path, "states of an optimizer")
            for archive, states in zip(archives["optim"], optimizers, strict=True)
        ]

    def facts(self) -> dict[str, Any]:
        """Return the other facts in the checkpoint."""
        plain = {name: self._models[0].get(name) for name in _FACTS}
        return {name: value for name, value in plain.items() if isinstance(value, int | float | str)}

    def tensors(self) -> dict[str, LazyTensor]:
        """Return the state dict, in the order of the model.

        Raises:
            CheckpointError: Nothing explains a name, or a parameter is incomplete.
        """
        module = self._named(self._first, self._models[0].get("module"))
        if not self._states:
            return module
        trained = self._trained()
        frozen = self._frozen()
        buffers = self._models[0].get("buffer_names")
        buffers = buffers if isinstance(buffers, list) else []
        tied = {name: whole for name, whole in self._texts("shared_params").items() if name not in trained}
        found: dict[str, LazyTensor] = {}
        for name, tensor in module.items():
            whole = tied.get(name, name)
            if whole in trained:
                found[name] = trained[whole]
            elif whole in frozen:
                found[name] = frozen[whole]
            elif tensor.size or name in buffers:
                found[name] = tensor
            else:
                reason = f"{name!r} is neither trained, frozen nor a buffer"
                raise CheckpointError(self._folder, reason, cure=_WHOLE)
        lost = sorted((trained.keys() | frozen.keys()) - found.keys())
        if lost:
            raise CheckpointError(
                self._folder, f"{lost[0]!r} is trained, but not part of the model", cure=_WHOLE
            )
        return found

    def _texts(self, key: str) -> dict[str, str]:
        table = _mapping(self._models[0].get(key) or {}, self._first.path, key)
        return {name: text for name, text in table.items() if type(name) is type(text) is str}

    def _named(self, archive: TorchArchive, leaves: Any) -> dict[str, LazyTensor]:
        """Return the tensors of one file by name."""
        table = _mapping(leaves, archive.path, "tensors")
        if not all(isinstance(leaf, PickledTensor) and _is_name(name) for name, leaf in table.items()):
            raise CheckpointError(archive.path, "model states that are not a dict of tensors", cure=_WHOLE)
        return archive.tensors(table)

    def _shapes(self) -> list[dict[str, tuple[int, ...]]]:
        """Return names and shapes of the trained parameters by group of the optimizer."""
        groups = self._models[0].get("param_shapes")
        groups = [groups] if isinstance(groups, dict) else groups
        if not isinstance(groups, list):
            raise CheckpointError(
                self._first.path, "a DeepSpeed checkpoint without the shapes of its parameters"
            )
        return [self._sizes(group) for group in groups]

    def _sizes(self, shapes: Any) -> dict[str, tuple[int, ...]]:
        table = _mapping(shapes, self._first.path, "shapes")
        for name, shape in table.items():
            sizes = isinstance(shape, tuple | list) and all(type(n) is int and 0 <= n < 2**62 for n in shape)
            if not _is_name(name) or not sizes:
                reason = f"a parameter's shape that cannot be read: {ascii(name)[:80]}"
                raise CheckpointError(self._first.path, reason)
        return {name: tuple(shape) for name, shape in table.items()}

    def _trained(self) -> dict[str, LazyTensor]:
        stage, count = self._stage(), self._count()
        if count != len(self._states):
            reason = f"optimizer states of {len(self._states)} ranks, but the run had {count}"
            raise CheckpointError(self._folder, reason, cure="Copy the files of all ranks.")
        key = "fp32_flat_groups" if stage == 3 else "single_partition_of_fp32_groups"
        ranks = [self._slices(rank, key) for rank in range(count)]
        if len({one.spec.dtype for slices in ranks for one in slices}) != 1:
            raise self._fault(f"{key}: slices of several dtypes")
        return dict(self._cut_each(ranks) if stage == 3 else self._cut_groups(ranks))

    def _stage(self) -> int:
        """Return the stage, which DeepSpeed pickles as an enum."""
        said = self._states[0].get("zero_stage")
        stage: Any = said.args[0] if isinstance(said, Foreign) and said.args else said
        if type(stage) is not int or stage not in (1, 2, 3):
            reason = f"stage {ascii(stage)[:80]} of DeepSpeed ZeRO, which is not supported"
            raise CheckpointError(self._folder, reason, cure=_WHOLE)
        return stage

    def _count(self) -> int:
        said = self._states[0].get("partition_count")
        counts: list[Any] = said if isinstance(said, list) else [said]
        if not counts or not all(type(count) is int for count in counts) or len(set(counts)) != 1:
            reason = f"parameters cut into {ascii(said)[:80]} slices, which is not supported"
            raise CheckpointError(self._folder, reason, cure=_WHOLE)
        return int(counts[0])

    def _slices(self, rank: int, key: str) -> list[LazyTensor]:
        """Return the slice that a rank has of each group."""
        archive, groups = self._archives["optim"][rank], self._states[rank].get(key)
        if not isinstance(groups, list) or not groups:
            raise CheckpointError(archive.path, f"states of an optimizer without {key}", cure=_WHOLE)
        tensors = list(self._named(archive, {str(at): one for at, one in enumerate(groups)}).values())
        if not all(map(is_flat, tensors)):
            raise CheckpointError(archive.path, f"{key}: slices that are not vectors", cure=_WHOLE)
        return tensors

    def _cut_groups(self, ranks: Sequence[Sequence[LazyTensor]]) -> Iterator[tuple[str, LazyTensor]]:
        """Cut the parameters of stages 1 and 2: those of a group are one vector over the ranks."""
        shapes = self._shapes()
        gaps = self._states[0].get("param_alignment_paddings") or [[0] * len(sizes) for sizes in shapes]
        fit = isinstance(gaps, list) and len(gaps) == len(shapes) and all(map(_are_gaps, gaps, shapes))
        if not fit or any(len(rank) != len(shapes) for rank in ranks):
            raise self._fault("groups of the optimizer that differ between the ranks")
        for group, sizes in enumerate(shapes):
            slices = [rank[group] for rank in ranks]
            at = 0
            for (name, shape), gap in zip(sizes.items(), gaps[group], strict=True):
                count = math.prod(shape)
                yield name, self._joined(shape, slices[0], find_runs(slices, at, count))
                at += count + gap
            self._check_end(at, slices, 2 * len(ranks))

    def _cut_each(self, ranks: Sequence[Sequence[LazyTensor]]) -> Iterator[tuple[str, LazyTensor]]:
        """Cut the parameters of stage 3: each is padded and cut; the groups of a rank are one vector."""
        at = 0
        for name, shape in {name: shape for group in self._shapes() for name, shape in group.items()}.items():
            size = math.prod(shape)
            share = -(-size // len(ranks))
            own = (max(0, min(share, size - rank * share)) for rank in range(len(ranks)))
            runs = [
                run for slices, count in zip(ranks, own, strict=True) for run in find_runs(slices, at, count)
            ]
            yield name, self._joined(shape, ranks[0][0], runs)
            at += share
        for slices in ranks:
            self._check_end(at, slices, 1)

    def _frozen(self) -> dict[str, LazyTensor]:
        """Return the frozen parameters: whole in the first file, or one slice in each file."""
        pieces = [
            self._named(archive, model.get("frozen_param_fragments") or {})
            for archive, model in zip(self._archives["model"], self._models, strict=True)
        ]
        found: dict[str, LazyTensor] = {}
        for name, shape in self._sizes(self._models[0].get("frozen_param_shapes") or {}).items():
            slices = [piece[name] for piece in pieces if name in piece]
            if len(slices) == 1 and slices[0].shape == shape:
                found[name] = slices[0]
                continue
            alike = len({one.spec for one in slices}) == 1 and all(map(is_flat, slices))
            if not alike or len(slices) != len(pieces):
                raise self._fault(f"{name!r} is frozen, and its slices do not fit together")
            size = math.prod(shape)
            found[name] = self._joined(shape, slices[0], find_runs(slices, 0, size))
            self._check_end(size, slices, len(slices))
        return found

    def _joined(self, shape: tuple[int, ...], like: LazyTensor, runs: Iterable[Run]) -> LazyTensor:
        runs = list(runs)
        lacking = math.prod(shape) - sum(count for _, _, count in runs)
        if lacking:
            raise self._fault(f"slices that lack {lacking} elements of their parameters")
        return join_runs(TensorSpec(shape, like.spec.dtype), runs)

    def _check_end(self, used: int, slices: Sequence[LazyTensor], multiple: int) -> None:
        """Raise if vectors hold more than the parameters and the padding at their end."""
        there = sum(one.size for one in slices)
        if -(-used // multiple) != -(-there // multiple):
            raise self._fault(f"parameters of {used} elements, but the slices have {there}")

    def _fault(self, reason: str) -> CheckpointError:
        return CheckpointError(self._folder, reason, cure=_WHOLE)


def _mapping(value: Any, path: Path, what: str) -> Mapping[Any, Any]:
    if not isinstance(value, dict):
        raise CheckpointError(path, f"holds no {what} of DeepSpeed", cure=_WHOLE)
    return value


def _is_name(name: Any) -> bool:
    return type(name) is str and name.isprintable() and len(name) <= 1000


def _are_gaps(gaps: Any, sizes: Mapping[str, Any]) -> bool:
    counts = isinstance(gaps, list) and all(type(gap) is int and 0 <= gap < 2**62 for gap in gaps)
    return counts and len(gaps) == len(sizes)
