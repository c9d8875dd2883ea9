"""Map a PyTorch state dict to Flax-style names and layouts, with NumPy alone.

``layers.0.fc1.weight`` becomes ``layers_0.fc1.kernel``, its axes ``out in`` become ``in out``. The kind of
a layer decides what happens to a tensor, never its name: the kind is given (``kinds=``, ``KINDS``), shown
by the live model, or proved by shapes and siblings. What nothing shows is said, not guessed.
"""

import numpy as np

from ml_switcheroo.runtime.copying import Copying
from ml_switcheroo.runtime.kinds import KeyKinds
from ml_switcheroo.runtime.live_nnx import LiveNnx


class KeyMapper(LiveNnx, KeyKinds, Copying):
    """Carry PyTorch weights over to Flax-style trees.

    ``kinds=``, and ``KINDS`` for the model of this file, are tables as ``KeyKinds`` describes them.
    """

    @classmethod
    def map_name(cls, name: str, kind: str = "") -> str:
        """Return the Flax-style name: whole segments only, an integer joins the segment before it.

        Without a kind the name alone must do: ``weight`` of something called a norm or an embedding takes
        that slot, any other is a ``kernel``. ``from_torch`` sees shapes and goes by them instead.

        >>> KeyMapper.map_name("layers.0.fc1.weight")
        'layers_0.fc1.kernel'
        >>> KeyMapper.map_name("downsample.1.weight", "batch_norm")
        'downsample_1.scale'
        """
        path, _, slot = name.rpartition(".")
        word = cls.parse_kind(kind or cls._kind_by_name(path) or "linear")[0]
        leaf = cls._leaf(word, slot)
        return cls._join([*path.split("."), leaf] if path else [leaf])

    @classmethod
    def map_value(cls, key: str, value: object, kind: str = "") -> np.ndarray:
        """Return the array in Flax's layout: linear ``in out``, conv ``*space in out``, others as they are.

        Args:
            key: The PyTorch name, or the one ``map_name`` gives.
            value: A torch tensor (any device, ``requires_grad``, bf16) or an array.
            kind: The kind of the layer. Without one, a ``weight`` or ``kernel`` of two axes is a linear's
                and one of three to five a convolution's, unless its name says embedding.
        """
        array = cls._to_numpy(value)
        path, _, slot = key.rpartition(".")
        weight = slot in ("weight", "kernel")
        if not kind and weight:
            by_name = cls._kind_by_name(path) if array.ndim == 2 else ""
            kind = by_name or {2: "linear", 3: "conv", 4: "conv", 5: "conv"}.get(array.ndim, "parameter")
        word, channels = cls.parse_kind(kind or "parameter")
        if channels and cls.CHANNELS_LAST and word == "linear_to_image":
            # (c h w) -> (h w c) on the first axis, of the weight and the bias: a linear's ``out``.
            array = array.reshape(channels, -1, *array.shape[1:]).swapaxes(0, 1).reshape(array.shape)
        elif channels and cls.CHANNELS_LAST and word in cls.NORMS and array.ndim > 1:
            array = np.array(np.moveaxis(array, 0, -1), order="C")  # of a norm over c, h and w
        elif channels and cls.CHANNELS_LAST and (weight or word != "linear"):
            # (c h w) -> (h w c) on the last axis: a linear's ``in``, a norm's ``channel``.
            split = array.reshape(*array.shape[:-1], channels, -1)
            array = split.swapaxes(-1, -2).reshape(array.shape)
        if not weight or not cls.TABLE[word][2]:
            return array
        if "mirrored" in cls.TABLE[word][2]:  # PyTorch's is the kernel of the gradient
            array = np.flip(array, tuple(range(2, array.ndim)))
        return np.array(array.transpose(cls._axes(word, array.ndim)), order="C")

    @classmethod
    def from_torch(cls, state_dict: dict, strict: bool = False, kinds: dict | None = None) -> dict:
        """Return ``{Flax-style name: array}`` for every tensor of a PyTorch state dict.

        Args:
            state_dict: Names to torch tensors or arrays.
            strict: Whether a layer whose kind nothing can show is an error instead of a warning.
            kinds: Kinds by module, such as ``{"tok": "embedding", "fc1": "linear(c=64)"}``.

        Raises:
            ValueError: Two tensors map onto one name; ``kinds`` names what is not there or cannot be; or
                (``strict``) something is open. Everything is listed.
            TypeError: A value is no tensor.
        """
        cls._shapes(state_dict)
        state_dict = cls.folded(state_dict, {**cls.KINDS, **(kinds or {})})
        readings = cls.possible_kinds(cls._shapes(state_dict), kinds)
        problems = cls._say_open(readings, strict)
        moves = cls._moves(state_dict, readings, problems)
        if problems:
            raise ValueError("\n".join(problems))
        return {key: cls.map_value(name, state_dict[name], kind) for key, (name, kind) in moves.items()}

    @classmethod
    def load_into(
        cls,
        model: object,
        *given: object,
        kinds: dict | None = None,
        with_report: bool = False,
        **words: object,
    ) -> tuple:
        """Write a PyTorch state dict into a live Flax NNX model: all of it, or nothing.

        Leaves keep their dtype, sharding and ``Param`` objects. An object that is no converted model (a
        torch module, an optimizer) is handed to its own ``load_state_dict``, with what was given and no more.

        Args:
            model: The model.
            given: ``state_dict, strict=True, assign=False``, by place or by name. What ``assign`` asks for
                is nothing to a model of this target: its leaves are written where they are.
            kinds: Kinds by module, as for ``from_torch``.
            with_report: Whether to return ``(model, report)``, which is the same for every target.
            words: The rest of ``given``, by name.

        Returns:
            ``(missing_keys, unexpected_keys)`` in PyTorch's names, as a named tuple. Of two names of one leaf
            the one that lacks is missing unless ``strict``, for which the other will do; a second name of a
            tensor that was taken is not unexpected.

        Raises:
            RuntimeError: A shape differs, the kind of a layer is open, the dtype of a leaf would swallow
                values, or (``strict``) a name is missing or unexpected. Everything is listed, and nothing
                was written.
        """
        if not cls._owns(model):
            return cls._answer(model, None, cls._load_itself(model, *given, **words), with_report)
        state_dict, strict, _ = cls._asked(*given, **words)
        leaves, layers = cls._leaves(model)
        cls._shapes(state_dict)
        state_dict = cls.folded(state_dict, {**cls.KINDS, **(kinds or {})})
        moves, absent, surplus = cls._line_up(type(model).__name__, leaves, layers, state_dict, strict, kinds)
        made = cls._fill(model, leaves, moves, state_dict)
        return cls._answer(model, made, cls.Report((absent, surplus)), with_report)

    @classmethod
    def to_torch(cls, model: object, kinds: dict | None = None) -> dict:
        """Return the weights of a live model as a PyTorch state dict: the way back of ``load_into``.

        Torch tensors where torch is imported, arrays where it is not. Of an object that is no converted
        model it is that object's own ``state_dict()``.

        Raises:
            RuntimeError: Nothing shows what a tensor is to PyTorch. Everything is listed.
        """
        if not cls._owns(model):
            own: dict = getattr(model, "state_dict")()  # noqa: B009
            return own
        leaves, layers = cls._leaves(model)
        arrays: dict[str, np.ndarray] = {}
        live, problems, table = {}, [], {**cls.KINDS, **(kinds or {})}
        for key, (name, shape, leaf) in leaves.items():
            path, _, slot = name.rpartition(".")
            owner = cls._join(path.split("."))
            live.update({path: layers[owner]} if owner in layers else {})
            shown = layers[owner][0][0] if owner in layers else ""
            word = table.get(name) or table.get(path) or shown
            if not word and slot != "weight" and slot in {row[0] for row in cls.TABLE.values()}:
                problems.append(
                    f"{key}: nothing shows what {slot} is to PyTorch; say kinds={{{path!r}: ...}}"
                )
            elif word and slot == cls._leaf(cls.parse_kind(word)[0], "weight"):
                name, slot = f"{path}.weight".lstrip("."), "weight"
            arrays[name] = cls._back(cls._value(leaf).reshape(shape), word, slot == "weight")
            if slot == "weight" and arrays[name].dtype.kind not in "fcV":
                problems.append(f"{key}: {arrays[name].dtype} values are quantized, PyTorch's are not")
        readings = cls.possible_kinds(cls._shapes(arrays), kinds, live)
        problems += cls._say_open(readings, strict=True)
        if problems:
            lines = "\n\t".join(problems)
            raise RuntimeError(f"cannot name the tensors of {type(model).__name__} for PyTorch:\n\t{lines}")
        for name, array in arrays.items():
            kind = (readings.get(name) or readings[name.rpartition(".")[0]])[0][0]
            arrays[name] = cls._unflattened(array, kind, name.endswith("weight"))
        return {name: cls._as_tensor(array) for name, array in arrays.items()}

    # ---- small steps ---------------------------------------------------------------------------

    @classmethod
    def _moves(cls, names: dict, readings: dict, problems: list) -> dict:
        """Return ``{Flax-style name: (name, kind)}``; two tensors on one name are a problem."""
        moves: dict[str, tuple] = {}
        for name in names:
            path, _, slot = name.rpartition(".")
            if slot != cls.DROPPED:
                kind = (readings.get(name) or readings[path])[0][0]
                key = cls.map_name(name, kind)
                if key in moves:
                    problems.append(f"{moves[key][0]} and {name} both become {key}")
                moves[key] = (name, kind)
        return moves

    @staticmethod
    def _join(parts: list | tuple) -> str:
        joined: list[str] = []
        for part in parts:
            if part.isdecimal() and joined:
                joined[-1] += f"_{part}"
            else:
                joined.append(part)
        return ".".join(joined)

    @classmethod
    def _leaf(cls, word: str, slot: str) -> str:
        """Return what a slot of PyTorch's is called, in a layer of this kind."""
        return cls.TABLE[word][0] if slot == "weight" else cls.SLOTS.get(slot, slot)

    @classmethod
    def _axes(cls, word: str, rank: int) -> tuple:
        """Return the axes that ``np.transpose`` takes for a weight of this kind."""
        before, _, after = cls.TABLE[word][2].partition(",")[0].partition(" -> ")
        axes = before.split()
        space = [str(axis) for axis in range(rank - len(axes) + 1)]
        old = [one for axis in axes for one in (space if axis == "*space" else [axis])]
        new = [one for axis in after.split() for one in (space if axis == "*space" else [axis])]
        return tuple(old.index(axis) for axis in new) if after else tuple(range(rank))

    @classmethod
    def _back(cls, array: np.ndarray, kind: str, weight: bool) -> np.ndarray:
        """Undo what ``map_value`` does to the axes of a weight."""
        row = cls.TABLE[cls.parse_kind(kind or "parameter")[0]]
        if not weight or not row[2]:
            return array
        array = array.transpose(np.argsort(cls._axes(cls.parse_kind(kind)[0], array.ndim)))
        return np.flip(array, tuple(range(2, array.ndim))) if "mirrored" in row[2] else array

    @classmethod
    def _unflattened(cls, array: np.ndarray, kind: str, weight: bool) -> np.ndarray:
        """Undo what ``map_value`` does behind a Flatten: (h w c) -> (c h w) on the last axis."""
        word, channels = cls.parse_kind(kind)
        if channels and cls.CHANNELS_LAST and word in cls.NORMS and array.ndim > 1:
            array = np.moveaxis(array, -1, 0)
        elif channels and cls.CHANNELS_LAST and (weight or word != "linear"):
            split = array.reshape(*array.shape[:-1], -1, channels)
            array = split.swapaxes(-1, -2).reshape(array.shape)
        return np.array(array, order="C")

    @staticmethod
    def _as_tensor(array: np.ndarray) -> object:
        """Return a torch tensor where torch is imported; small floats bit for bit."""
        import sys

        torch = sys.modules.get("torch")
        if torch is None:
            return array
        if array.dtype.isbuiltin == 1:
            return torch.from_numpy(array)
        integers = torch.from_numpy(array.view(f"int{8 * array.dtype.itemsize}"))
        return integers.view(getattr(torch, array.dtype.name))

    @staticmethod
    def _shapes(state_dict: dict) -> dict:
        """Return the shape of each tensor; a checkpoint around the state dict is refused."""
        wrong = [name for name, value in state_dict.items() if not hasattr(value, "shape")]
        if wrong:
            raise TypeError(f"no state dict, these are no tensors: {', '.join(map(repr, wrong))}")
        return {name: tuple(map(int, value.shape)) for name, value in state_dict.items()}

    # ---- into a live model ---------------------------------------------------------------------

    @classmethod
    def _leaves(cls, model: object) -> tuple:
        """Return ``{mapped name: (torch name, shape, leaf)}`` and ``{module: readings}``."""
        from flax import nnx

        kinds = {nnx.Linear: "linear", nnx.Conv: "conv", nnx.ConvTranspose: "conv_transpose"}
        kinds |= {nnx.Embed: "embedding", nnx.BatchNorm: "batch_norm", nnx.LayerNorm: "layer_norm"}
        kinds |= {nnx.GroupNorm: "group_norm", nnx.RMSNorm: "rms_norm"}
        nodes = cls._nodes(model)
        # PyTorch names a Sequential's children after it; Flax puts ``layers`` between.
        bare = {(*path, "layers") for path, node in nodes.items() if isinstance(node, nnx.Sequential)}
        layers = {
            cls._join(cls._without(bare, path)): [(kind, f"the live model's is an nnx.{layer.__name__}")]
            for path, node in nodes.items()
            for layer, kind in kinds.items()
            if isinstance(node, layer)
        }
        leaves = {}
        for path, (shape, leaf) in cls._live(model).items():
            parts = cls._without(bare, path)
            leaves[cls._join(parts)] = (cls._torch_name(parts, layers), shape, leaf)
        return leaves, layers

    @classmethod
    def _named(cls, model: object) -> dict:
        leaves, layers = cls._leaves(model)
        return {
            key: (name, shape, cls._layout(key, len(shape), layers), leaf)
            for key, (name, shape, leaf) in leaves.items()
        }

    @classmethod
    def _layout(cls, key: str, rank: int, layers: dict) -> tuple:
        """Return how a leaf lies, against PyTorch's; nothing where its layer does not show it."""
        path, _, last = key.rpartition(".")
        if rank < 2 or path not in layers:
            return ()
        word = cls.parse_kind(layers[path][0][0])[0]
        if last != cls._leaf(word, "weight"):
            return ()
        last_channels = cls.CHANNELS_LAST and word in cls.NORMS
        return cls._axes(word, rank), "mirrored" in cls.TABLE[word][2], last_channels

    @staticmethod
    def _without(bare: set, path: tuple) -> list:
        """Return the words of a path without those that only the target has."""
        return [word for i, word in enumerate(path) if path[: i + 1] not in bare]

    @classmethod
    def _fill(cls, model: object, leaves: dict, moves: dict, state_dict: dict) -> tuple | None:
        """Put every value into its leaf; return the new model where the old one cannot change."""
        new = {key: cls.map_value(name, state_dict[name], kind) for key, (name, kind) in moves.items()}
        cls._say_untied(leaves, new)
        lost = [
            text for key in new for text in cls._lost(moves[key][0], new[key], cls._dtype(leaves[key][-1]))
        ]
        if lost:
            title, lines = type(model).__name__, "\n\t".join(lost)
            raise RuntimeError(f"cannot load the state dict into {title}, nothing was written:\n\t{lines}")
        return cls._write(model, [(leaves[key][-1], array) for key, array in new.items()])

    @classmethod
    def _torch_name(cls, parts: list, layers: dict) -> str:
        """Return PyTorch's name of a leaf: its slot is PyTorch's where the owner's kind is known."""
        readings = layers.get(cls._join(parts[:-1]), ())
        word = cls.parse_kind(readings[0][0])[0] if readings else ""
        slots = [slot for slot in ("weight", *cls.SLOTS) if word and cls._leaf(word, slot) == parts[-1]]
        return ".".join([*parts[:-1], *(slots or parts[-1:])[:1]])

    @classmethod
    def _line_up(
        cls, title: str, leaves: dict, layers: dict, state_dict: dict, strict: bool, kinds: dict | None
    ) -> tuple:
        """Return ``{leaf: (name, kind)}``, the missing and the unexpected names; or raise."""
        shapes = cls._shapes(state_dict)
        owners = {path: cls._join(path.split(".")) for path in {name.rpartition(".")[0] for name in shapes}}
        live = {path: layers[key] for path, key in owners.items() if key in layers}
        readings = cls.possible_kinds(shapes, kinds, live)

        def lands(name: str, kind: str) -> tuple:
            rank = len(shapes[name])
            word = cls.parse_kind(kind)[0] if name.rpartition(".")[2] == "weight" else "parameter"
            axes = cls._axes(word, rank)
            return leaves.get(cls.map_name(name, kind), ("", None))[1], tuple(shapes[name][i] for i in axes)

        for path, choices in readings.items():
            name = f"{path}.weight".lstrip(".")
            if name in shapes and path not in live:
                # What fits no leaf is no reading; a class of the live model's own may keep PyTorch's names.
                own = ("parameter", "the live model keeps it under PyTorch's name")
                fits = [c for c in [*choices, own] if len(set(lands(name, c[0]))) == 1]
                readings[path] = fits or choices[:1]
        # An open layout is no matter of names, which is all that a loose ``strict`` forgives.
        problems = cls._say_open(readings, strict=True)
        moves = cls._moves(state_dict, readings, problems)
        for name, kind in moves.values():
            live_shape, shape = lands(name, kind)
            if live_shape not in (None, shape):
                problems.append(
                    f"size mismatch for {name}: {shape} after the move, {live_shape} in the model"
                )
        absent = cls._empty(leaves, moves, strict)
        taken = [name for key, (name, _) in moves.items() if key in leaves]
        surplus = [name for key, (name, _) in moves.items() if key not in leaves]
        surplus = cls._untied(surplus, state_dict, taken)
        if strict and absent:
            problems.append(f"missing: {', '.join(sorted(absent))}")
        if strict and surplus:
            problems.append(f"unexpected: {', '.join(sorted(surplus))}")
        if problems:
            lines = "\n\t".join(problems)
            raise RuntimeError(f"cannot load the state dict into {title}, nothing was written:\n\t{lines}")
        return {key: move for key, move in moves.items() if key in leaves}, absent, surplus
