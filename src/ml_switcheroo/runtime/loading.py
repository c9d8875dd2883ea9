"""What loading answers, and what it does with an object that is no converted model."""


class Loading:
    """Report what did not line up; hand an object that is no converted model to its own method."""

    CHANGES = True  # whether a live model of the target changes in place

    class Report(tuple):
        """What did not line up: ``(missing_keys, unexpected_keys)``, in PyTorch's names."""

        missing_keys = property(lambda self: self[0])
        unexpected_keys = property(lambda self: self[1])

        def __repr__(self) -> str:
            return f"Report(missing_keys={self[0]}, unexpected_keys={self[1]})"

    @classmethod
    def _load_itself(cls, model: object, state_dict: dict, strict: bool) -> tuple:
        own = getattr(model, "load_state_dict", None)
        if own is None:
            raise TypeError(f"cannot load into {type(model).__qualname__}: it is no model of this target")
        words: dict = {} if strict is True else {"strict": strict}
        parameters = getattr(model, "parameters", tuple)
        if hasattr(model, "named_modules") and any(p.is_meta for p in parameters()):
            words["assign"] = True  # nothing can be copied into what has no memory yet
        answers: list = [own(state_dict, **words), model]
        return answers[not cls.CHANGES]  # a torch module did change: the name stays bound to it
