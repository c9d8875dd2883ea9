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

    @staticmethod
    def _asked(state_dict: object, strict: object = True, assign: object = False) -> tuple:  # noqa: ARG004
        """Return what a call of torch's ``load_state_dict`` asks of a converted model."""
        return state_dict, strict

    @classmethod
    def _load_itself(cls, model: object, given: tuple, words: dict, with_report: bool) -> tuple:
        """Call an object's own ``load_state_dict`` with the arguments as they were written."""
        own = getattr(model, "load_state_dict", None)
        if own is None:
            raise TypeError(f"cannot load into {type(model).__qualname__}: it is no model of this target")
        parameters = getattr(model, "parameters", tuple)
        if hasattr(model, "named_modules") and len(given) < 3 and any(p.is_meta for p in parameters()):
            words = {"assign": True, **words}  # nothing can be copied into what has no memory yet
        return cls._answer(model, own(*given, **words), with_report)

    @classmethod
    def _answer(cls, model: object, report: tuple, with_report: bool) -> tuple:
        """Return what the caller binds: the report, or the model where a load makes a new one; or both."""
        both: tuple = (model, report)
        return both if with_report else both[cls.CHANGES]
