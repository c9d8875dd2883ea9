"""Load PyTorch state dicts into Equinox modules: each load makes a new module."""

import numpy as np

from ml_switcheroo.runtime.copying import KeyMapper as BaseMapper


class KeyMapper(BaseMapper):
    """Carry PyTorch weights over to Equinox: PyTorch's names and layouts, channels first."""

    TABLE = {  # noqa: RUF012
        **{kind: ("weight", ranks, "") for kind, (_, ranks, _) in BaseMapper.TABLE.items()},
        "linear_in_out": ("weight", (2,), "in out -> out in"),
        "conv_transpose": ("weight", (3, 4, 5), "in out *space -> out in *space, mirrored"),
    }
    SLOTS = {"bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}  # noqa: RUF012
    CHANNELS_LAST = False

    @staticmethod
    def _owns(model: object) -> bool:
        return any(base.__module__.startswith("equinox") for base in type(model).__mro__)

    @staticmethod
    def _answer(model: object, made: object, report: tuple, with_report: bool) -> tuple:
        # What is no converted model changed in place: the name stays bound to it.
        return BaseMapper._answer(model, model if made is None else made, report, with_report)

    @classmethod
    def _leaves(cls, model: object) -> tuple:
        import equinox as eqx
        import jax

        kinds = {eqx.nn.Linear: "linear", eqx.nn.ConvTranspose: "conv_transpose", eqx.nn.Conv: "conv"}
        kinds |= {eqx.nn.Embedding: "embedding", eqx.nn.LayerNorm: "layer_norm", eqx.nn.RMSNorm: "rms_norm"}
        kinds |= {eqx.nn.GroupNorm: "group_norm", eqx.nn.BatchNorm: "batch_norm"}
        leaves: dict[str, tuple] = {}
        layers: dict[str, list] = {}
        for at, (path, value) in enumerate(jax.tree_util.tree_leaves_with_path(model)):
            owners, words = cls._follow(model, path)
            if not eqx.is_array(value) or jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
                continue
            # PyTorch names a Sequential's children after it; Equinox puts ``layers`` between.
            inner = [isinstance(owner, eqx.nn.Sequential) for owner in owners]
            parts = [
                word for word, bare in zip(words, inner, strict=False) if not (bare and word == "layers")
            ]
            for known, kind in kinds.items():
                if isinstance(owners[-1], known):
                    reason = f"the live model's is an eqx.nn.{known.__name__}"
                    layers[cls._join(parts[:-1])] = [(kind, reason)]
            shape = tuple(value.shape)
            if isinstance(owners[-1], eqx.nn.Conv | eqx.nn.ConvTranspose) and parts[-1] == "bias":
                shape = shape[:1]  # (out, 1, 1) holds PyTorch's (out)
            leaves[cls._join(parts)] = (".".join(parts), shape, (at, value))
        return leaves, layers

    @staticmethod
    def _follow(model: object, path: tuple) -> tuple:
        """Return the object before each step of a path, and the step as a word."""
        owners, words = [], []
        for key in path:
            owners.append(model)
            name = getattr(key, "name", None)
            place = getattr(key, "idx", getattr(key, "key", name))
            words.append(str(place))
            holder: list = [model]
            model = getattr(model, name) if name is not None else holder[0][place]
        return owners, words

    @staticmethod
    def _value(leaf: object) -> np.ndarray:
        pair: list = [leaf]
        return np.asarray(pair[0][1])

    @classmethod
    def _write(cls, model: object, leaves: dict, moves: dict, state_dict: dict) -> tuple:
        import jax

        values, tree = jax.tree_util.tree_flatten(model)
        for key, (name, kind) in moves.items():
            at, old = leaves[key][-1]
            array = np.array(cls.map_value(name, state_dict[name], kind), dtype=old.dtype)
            values[at] = jax.device_put(array.reshape(old.shape), getattr(old, "sharding", None))
        return jax.tree_util.tree_unflatten(tree, values)
