"""Copy the weights of one live model into another, as torch's ``load_state_dict(state_dict())`` does."""

from ml_switcheroo.runtime.key_mapper import KeyMapper as PlainMapper


class KeyMapper(PlainMapper):
    """Carry weights over, and copy them between live models, too."""

    @classmethod
    def copy_into(
        cls, target: object, online: object, *given: object, with_report: bool = False, **words: object
    ) -> tuple:
        """Write the values of a live model into another of its class: all of them, or nothing.

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
            ``(missing_keys, unexpected_keys)`` as the models call them; of a target whose models never
            change the new model.

        Raises:
            RuntimeError: A shape differs; or (``strict``) a name is missing or unexpected. Everything is
                listed, and nothing was written.
            TypeError: Only one of both is a converted model.
        """
        if cls._owns(target) != cls._owns(online):
            pair = f"{type(online).__qualname__} into {type(target).__qualname__}"
            raise TypeError(f"cannot copy {pair}: only one of both is a model of this target")
        if not cls._owns(target):
            state = getattr(online, "state_dict")()  # noqa: B009
            return cls._load_itself(target, (state, *given), words, with_report)
        _, strict = cls._asked({}, *given, **words)
        there, new = (
            {".".join(path): leaf for path, leaf in cls._live(model).items()} for model in (target, online)
        )
        absent, surplus = sorted(there.keys() - new.keys()), sorted(new.keys() - there.keys())
        problems = [
            f"{word} key(s) in state_dict: {', '.join(found)}"
            for word, found in (("Missing", absent), ("Unexpected", surplus))
            if strict and found
        ]
        problems += [
            f"size mismatch for {name}: copying a param with shape {new[name][0]}, the shape in current model"
            f" is {there[name][0]}"
            for name in there
            if name in new and new[name][0] != there[name][0]
        ]
        if problems:
            lines = "\n\t".join([f"loading state_dict for {type(target).__name__}:", *problems])
            raise RuntimeError(f"Error(s), and nothing was written, in {lines}")
        values = [(leaf, cls._value(new[name][1])) for name, (_, leaf) in there.items() if name in new]
        made = cls._write(target, values)
        return cls._answer(target if made is None else made, cls.Report((absent, surplus)), with_report)
