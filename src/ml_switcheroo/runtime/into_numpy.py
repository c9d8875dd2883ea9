"""Make NumPy arrays of a PyTorch state dict: names and layouts stay as they are."""

import numpy as np

from ml_switcheroo.runtime.key_mapper import KeyMapper as BaseMapper


class KeyMapper(BaseMapper):
    """Carry PyTorch weights over to a flat dictionary with PyTorch's names and layouts."""

    TABLE = {kind: ("weight", ranks, "") for kind, (_, ranks, _) in BaseMapper.TABLE.items()}  # noqa: RUF012
    SLOTS = {"bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}  # noqa: RUF012
    CHANNELS_LAST = False

    @classmethod
    def _owns(cls, model: object) -> bool:
        return False

    @classmethod
    def map_name(cls, name: str, kind: str = "") -> str:
        """Return the name as it is."""
        return name

    @classmethod
    def map_value(cls, key: str, value: object, kind: str = "") -> np.ndarray:
        """Return the array as it lies."""
        return cls._to_numpy(value)

    @classmethod
    def from_torch(cls, state_dict: dict, strict: bool = False, kinds: dict | None = None) -> dict:
        """Return ``{name: array}`` for every tensor of a PyTorch state dict.

        A weight that torch's weight norm or spectral norm keeps in pieces becomes the one that it stands for.

        Args:
            state_dict: Names to torch tensors or arrays.
            strict: Nothing is open where nothing is moved.
            kinds: Kinds by module, for the axis of a spectral norm.

        Raises:
            TypeError: A value is no tensor.
        """
        cls._shapes(state_dict)
        whole = cls.folded(state_dict, {**cls.KINDS, **(kinds or {})})
        return {name: cls._to_numpy(value) for name, value in whole.items()}
