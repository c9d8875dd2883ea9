"""Copy the weights of one live model into another, as torch's ``load_state_dict(state_dict())`` does."""

from ml_switcheroo.runtime.key_mapper import KeyMapper as PlainMapper


class KeyCopies(PlainMapper):
    """Copy between live models, too."""

    @classmethod
    def copy_into(
        cls, target: object, online: object, *given: object, with_report: bool = False, **words: object
    ) -> tuple:
        """Write the values of ``online`` into ``target``: all of them, or nothing.

        Values are copied, not shared, and cast to the dtypes of ``target``; the state of random streams stays
        as it is. Objects that are no converted models do it with their own ``load_state_dict`` and
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
            RuntimeError: A shape differs; or (``strict``) a name is missing or unexpected. Everything is
                listed, and nothing was written.
        """
        if not cls._owns(online):
            state = getattr(online, "state_dict")()  # noqa: B009
            return cls.load_into(target, state, *given, with_report=with_report, **words)
        if not cls._owns(target):
            return cls.load_into(target, cls.to_torch(online), *given, with_report=with_report, **words)
        _, strict = cls._asked({}, *given, **words)
        leaves, sources = cls._leaves(target)[0], cls._leaves(online)[0]
        absent = [leaf[0] for key, leaf in leaves.items() if key not in sources]
        surplus = [leaf[0] for key, leaf in sources.items() if key not in leaves]
        cls._check_copy(type(target).__name__, leaves, sources, (absent, surplus) if strict else ())
        both = [key for key in leaves if key in sources]
        values = {key: cls._value(sources[key][-1]) for key in both}
        # Both have the layout of this target: nothing is transposed.
        made = cls._write(target, leaves, {key: (key, "parameter") for key in both}, values)
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


KeyMapper = KeyCopies
