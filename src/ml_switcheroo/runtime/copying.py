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
        """Return ``{key: (name, shape, leaf)}`` of a live model."""
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
            RuntimeError: A shape differs; or (``strict``) a name is missing or unexpected. Everything is
                listed, and nothing was written.
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
        absent = [leaf[0] for key, leaf in leaves.items() if key not in sources]
        surplus = [leaf[0] for key, leaf in sources.items() if key not in leaves]
        cls._check_copy(type(target).__name__, leaves, sources, (absent, surplus) if strict else ())
        # Both have the layout of this target: nothing is transposed.
        values = [(leaf[-1], cls._value(sources[key][-1])) for key, leaf in leaves.items() if key in sources]
        made = cls._write(target, values)
        return cls._answer(target, made, cls.Report((absent, surplus)), with_report)

    @staticmethod
    def _check_copy(title: str, leaves: dict, sources: dict, names: tuple) -> None:
        problems = [
            f"{word} key(s) in state_dict: {', '.join(repr(name) for name in sorted(found))}"
            for word, found in zip(("Missing", "Unexpected"), names, strict=False)
            if found
        ]
        problems += [
            f"size mismatch for {name}: copying a param with shape {sources[key][1]}, the shape in current"
            f" model is {shape}"
            for key, (name, shape, _) in leaves.items()
            if key in sources and sources[key][1] != shape
        ]
        if problems:
            lines = "\n\t".join(problems)
            raise RuntimeError(f"Error(s) in loading state_dict for {title}, nothing was written:\n\t{lines}")
