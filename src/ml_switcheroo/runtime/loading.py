"""What loading answers, and what it does with an object that is no converted model."""

import numpy as np


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
    def _asked(state_dict: object, strict: object = True, assign: object = False) -> tuple:
        """Return what a call of torch's ``load_state_dict`` asks for."""
        return state_dict, strict, assign

    @staticmethod
    def _load_itself(model: object, *given: object, **words: object) -> tuple:
        """Call an object's own ``load_state_dict`` with the arguments as they were written."""
        own = getattr(model, "load_state_dict", None)
        if own is None:
            raise TypeError(f"cannot load into {type(model).__qualname__}: it is no model of this target")
        parameters = getattr(model, "parameters", tuple)
        if hasattr(model, "named_modules") and len(given) < 3 and any(p.is_meta for p in parameters()):
            words.setdefault("assign", True)  # nothing can be copied into what has no memory yet
        answer: tuple = own(*given, **words)
        return answer

    @classmethod
    def _answer(cls, model: object, made: object, report: tuple, with_report: bool) -> tuple:
        """Return what a caller binds: the report; or the model where those of the target never change.

        What is no converted model changed in place, and its name stays bound to it.
        """
        answers: list = [model if made is None else made, report]
        return tuple(answers) if with_report else answers[cls.CHANGES]

    @staticmethod
    def _empty(leaves: dict, keys: dict | set, tied: bool = True) -> list:
        """Name the leaves that no key fills; where they are ``tied``, one of the keys of a leaf fills it."""
        filled = {id(leaves[key][-1]) for key in keys if key in leaves} if tied else ()
        return [row[0] for key, row in leaves.items() if key not in keys and id(row[-1]) not in filled]

    @staticmethod
    def _say_untied(leaves: dict, new: dict) -> None:
        """Warn where two names of one leaf come with two values; the last is taken, as PyTorch does."""
        import warnings

        first: dict[int, str] = {}
        for key, array in new.items():
            other = first.setdefault(id(leaves[key][-1]), key)
            if other != key and new[other].tobytes() != array.tobytes():
                warnings.warn(
                    f"{other} and {key} are one leaf, and their values differ: that of {key} is taken",
                    stacklevel=4,
                )

    @staticmethod
    def read(path: str, part: str | None = None) -> dict:
        """Return the state dict in a checkpoint file as arrays; no torch is needed, and no code of it runs.

        This needs ml_switcheroo installed. ``part`` is the key of the state dict in a file of several.
        """
        from ml_switcheroo import open_checkpoint

        file = getattr(path, "name", path) if hasattr(path, "read") else path  # an open file
        with open_checkpoint(file, select=part) as checkpoint:
            arrays = {name: np.array(tensor.read()) for name, tensor in checkpoint.items()}
            return arrays | {name: arrays[tied[0]] for tied in checkpoint.tied for name in tied}
