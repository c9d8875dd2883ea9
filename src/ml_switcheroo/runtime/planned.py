"""Carry out a plan that was made beforehand: a table of moves, and nothing left to decide."""

import re

import numpy as np

from ml_switcheroo.runtime.copying import Copying
from ml_switcheroo.runtime.tensors import KeyTensors


class PlannedMapper(KeyTensors, Copying):
    """Carry the tensors of one PyTorch model over, by its plan.

    A row of ``MOVES`` has tensors, the leaves they become (none: they are dropped), and the steps from the
    ones to the others. ``{}`` stands for a number, the same numbers in the same order on both sides.
    """

    MODEL = ""
    MOVES: tuple = ()

    @classmethod
    def map_name(cls, name: str) -> str:
        """Return the leaf, or the leaves, that a tensor becomes."""
        rows = [leaves for tensors, leaves, _ in cls._rows([name], ()) if name in tensors]
        return ", ".join(rows[0]) if rows else name

    @classmethod
    def map_value(cls, key: str, value: object) -> np.ndarray:
        """Return what becomes of a tensor, by its name; of one that becomes a leaf alone."""
        rows = [row for row in cls._rows([key], ()) if row[0] == [key] and len(row[1]) == 1]
        if not rows:
            raise ValueError(f"{key} becomes no leaf by itself")
        return cls._run(rows[0][2], [cls._to_numpy(value)])[0]

    @classmethod
    def from_torch(cls, state_dict: dict, strict: bool = False) -> dict:
        """Return ``{leaf: array}`` for the tensors of a state dict of this model.

        Raises:
            ValueError: A tensor is not as the plan has it; or (``strict``) a name is missing or unexpected.
        """
        made, _, _, problems = cls._carry(state_dict, None, strict)
        if problems:
            raise ValueError("\n".join(problems))
        return made

    @classmethod
    def load_into(cls, model: object, *given: object, with_report: bool = False, **words: object) -> tuple:
        """Write a PyTorch state dict of this model into a live model of the target: all of it, or nothing.

        Args:
            model: The model. One that is not of the target is handed to its own ``load_state_dict``.
            given: ``state_dict, strict=True, assign=False``, by place or by name.
            with_report: Whether to return ``(model, report)``, which is the same for every target.
            words: The rest of ``given``, by name.

        Returns:
            ``(missing_keys, unexpected_keys)`` in PyTorch's names, as a named tuple.

        Raises:
            RuntimeError: A tensor or a leaf is not as the plan has it, no tensor is of the plan, or
                (``strict``) a name is missing or unexpected. Everything is listed, and nothing was written.
        """
        if not cls._owns(model):
            return cls._answer(model, None, cls._load_itself(model, *given, **words), with_report)
        state_dict, strict, _ = cls._asked(*given, **words)
        live = cls._named(model)
        made, absent, surplus, problems = cls._carry(state_dict, live, strict)
        if state_dict and not made:
            problems.append("no tensor of the state dict becomes a leaf of the model")
        if problems:
            title, lines = type(model).__name__, "\n\t".join(problems)
            plan = f"by the plan of {cls.MODEL}, nothing was written"
            raise RuntimeError(f"cannot load the state dict into {title} {plan}:\n\t{lines}")
        new = cls._write(model, [(live[key][-1], array) for key, array in made.items()])
        return cls._answer(model, new, cls.Report((absent, surplus)), with_report)

    # ---- small steps ---------------------------------------------------------------------------

    @classmethod
    def _carry(cls, state_dict: dict, live: dict | None, strict: bool) -> tuple:
        """Return the leaves, the missing and the unexpected names, and what is wrong."""
        made: dict[str, np.ndarray] = {}
        taken: set[str] = set()
        named: set[str] = set()
        lacked: dict[str, list] = {}
        filled, surplus, problems = [], [], []
        for tensors, leaves, steps in cls._rows(state_dict, live or ()):
            keys = leaves if live is None else [cls._key(leaf) for leaf in leaves]
            here = [key for key in keys if live is None or key in live]
            lacking = [name for name in tensors if name not in state_dict]
            if steps[:1] == ["tied"] and len(lacking) < len(tensors):  # one of the names will do
                lacked.update(dict.fromkeys(lacking, here))
                tensors, lacking = [name for name in tensors if name in state_dict], []
            taken.update(tensors)
            named.update(here)
            if lacking or len(here) < len(keys):
                lacked.update(dict.fromkeys(lacking if here or len(lacking) < len(tensors) else [], here))
                surplus += [name for name in tensors if name in state_dict]
                continue
            try:
                arrays = cls._run(steps, [cls._to_numpy(state_dict[name]) for name in tensors])
            except ValueError as error:
                problems.append(f"{', '.join(tensors)}: {error}")
                continue
            filled += tensors
            for key, array in zip(keys, arrays, strict=False):
                made[key] = array
                problems += cls._misfits(", ".join(tensors), array, live[key]) if live is not None else []
        # Of a leaf, or a tensor, under two names one will do.
        empty = set(cls._empty(live or {}, made))
        absent = [
            name for name, keys in lacked.items() if not (live and strict and keys) or empty & set(keys)
        ]
        absent += cls._empty(live or {}, named)
        surplus += [name for name in state_dict if name not in taken]
        surplus = cls._untied(surplus, state_dict, filled)
        if strict and absent:
            problems.append(f"missing: {', '.join(sorted(absent))}")
        if strict and surplus:
            problems.append(f"unexpected: {', '.join(sorted(surplus))}")
        return made, absent, surplus, problems

    @classmethod
    def _misfits(cls, title: str, array: np.ndarray, row: tuple) -> list:
        """Say why an array does not fit a live leaf."""
        lost: list = cls._lost(title, array, cls._dtype(row[-1]))
        same = tuple(row[1]) == array.shape
        size = f"size mismatch for {title}: {array.shape} after the move, {tuple(row[1])} in the model"
        return lost if same else [size, *lost]

    @classmethod
    def _named(cls, model: object) -> dict:
        named: dict[str, tuple] = {}
        for path, (shape, leaf) in cls._live(model).items():
            key = cls._key(".".join(path))
            if key in named:
                raise RuntimeError(f"two leaves of {type(model).__name__} are called {key}")
            named[key] = (key, shape, (), leaf)
        return named

    @classmethod
    def _live(cls, model: object) -> dict:
        """Return ``{path: (shape, leaf)}`` of a live model of the target."""
        raise NotImplementedError

    @staticmethod
    def _dtype(leaf: object) -> object:
        """Return the dtype of a leaf."""
        raise NotImplementedError

    @classmethod
    def _rows(cls, names: object, keys: object) -> list:
        """Return the rows of the plan with each number that stands in a name or a key for their braces."""
        found = []
        for tensors, leaves, *steps in cls.MOVES:
            numbers = {text for name in tensors.split(", ") for text in cls._numbers(name, names)}
            numbers |= {text for leaf in leaves.split(", ") for text in cls._numbers(cls._key(leaf), keys)}
            for each in sorted(numbers, key=lambda texts: [int(text) for text in texts]):
                both = [text.format(*each).split(", ") if text else [] for text in (tensors, leaves)]
                found.append((*both, steps))
        return found

    @staticmethod
    def _numbers(pattern: str, names: object) -> list:
        """Return the numbers in place of the braces, for each name that the pattern fits."""
        every: list = [names]
        if "{}" not in pattern:
            return [()] if pattern in every[0] else []
        known = re.compile(re.escape(pattern).replace(r"\{\}", r"(\d+)"))
        return [match.groups() for name in every[0] if (match := known.fullmatch(name))]

    @staticmethod
    def _key(path: str) -> str:
        """Return a path with numbers joined on; Flax puts ``layers`` before those of a Sequential."""
        return re.sub(r"[.](?=[\d{])", "_", re.sub(r"(^|[.])layers[._](?=[\d{])", r"\1", path))

    @classmethod
    def _run(cls, steps: list, arrays: list) -> list:
        for step in steps:
            word, *numbers = step.split()
            if "->" in step:
                arrays = [cls._rearranged(step, array) for array in arrays]
            else:
                arrays = getattr(cls, f"_{word}")(
                    arrays, *(float(n) if "." in n else int(n) for n in numbers)
                )
        return arrays

    @staticmethod
    def _rearranged(step: str, array: np.ndarray) -> np.ndarray:
        """Return an array by an axis equation, ``out (c space) -> (space c) out, c=4``."""
        equation, _, told = step.partition(", ")
        left, right = (
            [g.strip("()").split() for g in re.findall(r"\(.*?\)|\S+", side)] for side in equation.split("->")
        )
        left, right = ([[axis for axis in group if axis != "1"] for group in side] for side in (left, right))
        sizes = {axis: int(size) for axis, _, size in (pair.partition("=") for pair in told.split())}
        if len(left) != array.ndim:
            raise ValueError(f"{array.shape} has not the axes of {equation}")
        for group, size in zip(left, array.shape, strict=True):
            known = int(np.prod([sizes[axis] for axis in group if axis in sizes]))
            sizes.update({axis: size // known for axis in group if axis not in sizes})
            if int(np.prod([sizes[axis] for axis in group])) != size:
                raise ValueError(f"{array.shape} has not the sizes of {step}")
        order = [axis for group in left for axis in group]
        whole = array.reshape([sizes[axis] for axis in order])
        turned = whole.transpose([order.index(axis) for group in right for axis in group])
        return turned.reshape([int(np.prod([sizes[axis] for axis in group])) for group in right])

    @staticmethod
    def _flip(arrays: list, *axes: int) -> list:
        return [np.flip(array, axes) for array in arrays]

    @staticmethod
    def _gates(arrays: list, axis: int, *order: int) -> list:
        """Reorder the equal blocks of an axis."""
        blocks = [np.split(array, len(order), axis) for array in arrays]
        return [np.concatenate([parts[i] for i in order], axis) for parts in blocks]

    @staticmethod
    def _add(arrays: list, amount: float, block: int = 0, blocks: int = 1) -> list:
        """Add a constant, to one of the equal blocks of the first axis."""
        made = [np.array(array) for array in arrays]
        for array in made:
            size = len(array) // blocks if blocks > 1 else 0
            where = array[block * size : (block + 1) * size] if size else array
            where += np.asarray(amount, array.dtype)
        return made

    @staticmethod
    def _times(arrays: list, factor: float) -> list:
        wide = [a if a.dtype.itemsize >= 4 else a.astype(np.float32) for a in arrays]
        return [(new * factor).astype(old.dtype) for new, old in zip(wide, arrays, strict=True)]

    @staticmethod
    def _sum(arrays: list) -> list:
        total = arrays[0]
        for array in arrays[1:]:
            total = total + array
        return [total.astype(arrays[0].dtype)]

    @staticmethod
    def _gatesum(arrays: list, blocks: int, added: int) -> list:
        """Add the first blocks of two tensors; what is not added of the second is a tensor of its own."""
        first, second = arrays
        cut = len(first) // blocks * added
        total = (first[:cut] + second[:cut]).astype(first.dtype)
        return [np.concatenate([total, first[cut:]]), second[cut:]]

    @staticmethod
    def _split(arrays: list, axis: int, *sizes: int) -> list:
        if arrays[0].shape[axis] != sum(sizes):
            raise ValueError(f"{arrays[0].shape} is not {sum(sizes)} long on axis {axis}")
        return np.split(arrays[0], np.cumsum(sizes)[:-1], axis)

    @staticmethod
    def _join(arrays: list, axis: int) -> list:
        return [np.concatenate(arrays, axis)]

    @staticmethod
    def _stack(arrays: list, axis: int) -> list:
        return [np.stack(arrays, axis)]

    @staticmethod
    def _unstack(arrays: list, axis: int) -> list:
        return list(np.moveaxis(arrays[0], axis, 0))

    @staticmethod
    def _tied(arrays: list) -> list:
        """Take several names of one tensor as one."""
        if any(np.array(array).tobytes() != np.array(arrays[0]).tobytes() for array in arrays):
            raise ValueError("the plan takes these as one tensor, and they differ")
        return arrays[:1]

    @staticmethod
    def _copied(arrays: list, times: int) -> list:
        return arrays * times

    @staticmethod
    def _without(arrays: list, rows: int) -> list:
        return [array[rows:] for array in arrays]

    @classmethod
    def _normed(cls, arrays: list) -> list:
        """Fold a weight norm."""
        return [cls._fold("weight norm", "", *arrays)]
