"""Copy the weights of one live model into another, as torch's ``load_state_dict(state_dict())`` does."""

import numpy as np

from ml_switcheroo.runtime.loading import Loading


class Copying(Loading):
    """Copy between live models; what the class builds on is the target's own."""

    @staticmethod
    def _owns(model: object) -> bool:
        """Tell whether an object is a live model of the target."""
        raise NotImplementedError

    @classmethod
    def _named(cls, model: object) -> dict:
        """Return ``{key: (name, shape, layout, leaf)}`` of a live model."""
        raise NotImplementedError

    @staticmethod
    def _value(leaf: object) -> np.ndarray:
        """Return the value of a leaf."""
        raise NotImplementedError

    @classmethod
    def _write(cls, model: object, values: list) -> tuple | None:
        """Put an array into each leaf; return the new model where the old one cannot change."""
        raise NotImplementedError

    @classmethod
    def load_into(
        cls,
        model: object,
        *given: object,
        kinds: dict | None = None,
        with_report: bool = False,
        **words: object,
    ) -> tuple:
        """Write a PyTorch state dict into a live model."""
        raise NotImplementedError

    @classmethod
    def load_part(
        cls, model: object, part: str, *given: object, with_report: bool = False, **words: object
    ) -> tuple:
        """Write a PyTorch state dict into a part of a model, ``blocks.0.head``, as ``load_into`` does.

        Args:
            model: The model.
            part: PyTorch's path of the part.
            given: What ``load_into`` takes behind the model.
            with_report: Whether to return ``(model, report)``.
            words: The rest of ``given``, by name.

        Raises:
            RuntimeError: The model has no such part; or what ``load_into`` says.
        """
        whole: list = [cls.load_into]  # ``words`` may have its ``kinds``
        new, report = whole[0](cls._part(model, part), *given, with_report=True, **words)
        return cls._answer(model, cls._with_part(model, part, new), report, with_report)

    @classmethod
    def copy_part(
        cls,
        target: object,
        part: str,
        online: object,
        source: str,
        *given: object,
        with_report: bool = False,
        **words: object,
    ) -> tuple:
        """Write the values of a part of ``online`` into a part of ``target``, as ``copy_into`` does.

        Args:
            target: The model that is written.
            part: PyTorch's path of its part; empty for the whole.
            online: The model that is read.
            source: The path of its part; empty for the whole.
            given: ``strict=True, assign=False``.
            with_report: Whether to return ``(target, report)``.
            words: The rest of ``given``, by name.
        """
        pair = cls._part(target, part), cls._part(online, source)
        new, report = cls.copy_into(*pair, *given, with_report=True, **words)
        return cls._answer(target, cls._with_part(target, part, new), report, with_report)

    @classmethod
    def _part(cls, model: object, part: str) -> object:
        """Return a part of an object, by attributes and items."""
        for word in filter(None, part.split(".")):
            whole: list = [model]
            if hasattr(model, word) and not isinstance(model, dict):
                model = getattr(model, word)
            else:
                model = whole[0][int(word) if word.lstrip("-").isdecimal() else word]
        return model

    @classmethod
    def _with_part(cls, model: object, part: str, new: object) -> object:
        """Return a model with a new part; one whose part has changed in place as it is."""
        return model if part else new

    @classmethod
    def copy_into(
        cls, target: object, online: object, *given: object, with_report: bool = False, **words: object
    ) -> tuple:
        """Write the values of ``online`` into ``target``: all of them, or nothing.

        Values are copied, not shared, and cast to the dtypes of ``target``; the state of random streams stays
        as it is. Two objects that are no converted models do it with their own ``load_state_dict`` and
        ``state_dict``.

        Args:
            target: The model that is written.
            online: The model that is read.
            given: ``strict=True, assign=False``, as ``load_state_dict`` takes them behind the state dict.
            with_report: Whether to return ``(target, report)``, which is the same for every target.
            words: The rest of ``given``, by name.

        Returns:
            ``(missing_keys, unexpected_keys)`` in PyTorch's names; of a target whose models never change
            the new model.

        Raises:
            TypeError: Only one of both is a converted model.
            RuntimeError: A shape differs, layers of one name are of kinds that lie otherwise; or (``strict``)
                a name is missing or unexpected. Everything is listed, and nothing was written.
        """
        if not (cls._owns(online) or cls._owns(target)):
            state = getattr(online, "state_dict")()  # noqa: B009
            return cls._answer(target, None, cls._load_itself(target, state, *given, **words), with_report)
        if not (cls._owns(online) and cls._owns(target)):
            raise TypeError(
                "only one of both is a model of this target: port both, or write"
                " KeyMapper.load_into(target, online.state_dict()), or the way back with KeyMapper.to_torch"
            )
        _, strict, _ = cls._asked({}, *given, **words)
        leaves, sources = cls._named(target), cls._named(online)
        # Layers of two kinds may call a tensor otherwise that is one to PyTorch: kernel, embedding.
        named = {row[0]: key for key, row in sources.items() if key not in leaves}
        pairs = {key: key if key in sources else named.get(row[0], "") for key, row in leaves.items()}
        pairs = {key: other for key, other in pairs.items() if other}
        absent = cls._empty(leaves, pairs, strict)
        surplus = cls._empty(sources, set(pairs.values()), strict)
        problems = [f"Missing key(s) in state_dict: {', '.join(map(repr, sorted(absent)))}"] if absent else []
        if surplus:
            problems.append(f"Unexpected key(s) in state_dict: {', '.join(map(repr, sorted(surplus)))}")
        problems = problems if strict else []
        for key, other in pairs.items():
            problems += cls._misfit(key, other, leaves[key], sources[other])
        if problems:
            title, lines = type(target).__name__, "\n\t".join(problems)
            raise RuntimeError(f"Error(s) in loading state_dict for {title}, nothing was written:\n\t{lines}")
        # Both have the layout of this target: nothing is transposed.
        values = [(leaves[key][-1], cls._value(sources[other][-1])) for key, other in pairs.items()]
        made = cls._write(target, values)
        return cls._answer(target, made, cls.Report((absent, surplus)), with_report)

    @staticmethod
    def _misfit(key: str, other: str, leaf: tuple, source: tuple) -> list:
        """Say why one leaf cannot take what the other has: layers of two kinds, or of two sizes."""
        name, shape, layout, _ = leaf
        _, found, laid, _ = source
        if len(shape) == len(found) > 1 and (layout != laid if layout and laid else key != other):
            cure = "write KeyMapper.load_into(target, KeyMapper.to_torch(online))"
            return [f"{name}: {other} is of another kind of layer than {key}, and lies otherwise; {cure}"]
        if shape != found:
            cause = f"copying a param with shape {found}, the shape in current model is {shape}"
            return [f"size mismatch for {name}: {cause}"]
        return []
