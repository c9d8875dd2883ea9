"""Where Keras keeps each variable in a ``.weights.h5`` file, asked of Keras itself.

The layout goes by the attributes of the live model's layers, the classes of what lies in lists, and the order
in which a layer made its variables: only the model knows it. Keras walks the model as it does when it saves,
and hands what it would write to a store that only takes notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.targets.keras_nodes import check_built, nodes, variables_of

__all__ = ["KerasFile", "layout_of"]


@dataclass(frozen=True, slots=True)
class KerasFile:
    """The layout of a file.

    Attributes:
        places: The dataset of each leaf, by the leaf's path.
        groups: The attributes that Keras gives its groups.
        rest: What else Keras writes, with its value in the model: states of random generators.
    """

    places: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rest: Mapping[str, Any] = field(default_factory=dict)


def layout_of(model: Any) -> KerasFile:
    """Return the layout that ``model.save_weights`` would give a file.

    Raises:
        UsageError: The model is not built, a layer writes its variables in a way of its own, or this Keras
            saves models in a way that is not known.
    """
    import keras

    found = nodes(model)
    check_built(found)
    noted, groups = _walk(model)
    paths = {id(variable): path for path, variable in variables_of(model, found).items()}
    places: dict[str, str] = {}
    rest: dict[str, Any] = {}
    for dataset, value in noted.items():
        path = paths.get(id(value))
        if path is not None:
            places.setdefault(path, dataset)
        if path is None or places[path] != dataset:
            rest[dataset] = keras.ops.convert_to_numpy(value)
    lost = sorted(set(paths.values()) - set(places))
    if lost:
        raise UsageError(
            f"{len(lost)} variables of the Keras model are written by their own layer's save_own_variables,"
            f" whose layout is not known: {', '.join(lost[:10])}. Write another format, and use load_into."
        )
    return KerasFile(places, groups, rest)


def _walk(model: Any) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """Let Keras save the model into notes: what goes to each dataset, and the attributes of groups."""
    import keras

    try:
        from keras.src.saving import saving_lib
    except ImportError as error:
        raise _unknown(keras.__version__) from error
    noted: dict[str, Any] = {}
    groups: dict[str, dict[str, str]] = {}

    class Notes(saving_lib.H5IOStore):  # type: ignore[misc]
        """Looks to Keras like a file."""

        def __init__(self) -> None:
            self._path = ""

        def __bool__(self) -> bool:
            return True

        def make(self, path: str, metadata: Mapping[str, str] | None = None) -> Notes:
            self._path = f"{path}/vars".lstrip("/")
            if metadata:
                groups[self._path] = dict(metadata)
            return self

        def __setitem__(self, key: str, value: Any) -> None:
            noted[f"{self._path}/{key}"] = value

    try:
        saving_lib._save_state(
            model, weights_store=Notes(), assets_store=None, inner_path="", visited_saveables=set()
        )
    except (AttributeError, TypeError) as error:
        raise _unknown(keras.__version__) from error
    return noted, groups


def _unknown(version: str) -> UsageError:
    return UsageError(
        f"Keras {version} saves models in a way that is not known; write another format, and use load_into"
    )
