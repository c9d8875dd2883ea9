"""Load PyTorch state dicts into Equinox modules: each load makes a new module."""

from ml_switcheroo.runtime.key_mapper import KeyMapper as BaseMapper
from ml_switcheroo.runtime.live_equinox import LiveEquinox


class KeyMapper(LiveEquinox, BaseMapper):
    """Carry PyTorch weights over to Equinox: PyTorch's names and layouts, channels first."""

    TABLE = {  # noqa: RUF012
        **{kind: ("weight", ranks, "") for kind, (_, ranks, _) in BaseMapper.TABLE.items()},
        "linear_in_out": ("weight", (2,), "in out -> out in"),
        "conv_transpose": ("weight", (3, 4, 5), "in out *space -> out in *space, mirrored"),
    }
    SLOTS = {"bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}  # noqa: RUF012
    CHANNELS_LAST = False

    @classmethod
    def _leaves(cls, model: object) -> tuple:
        import equinox as eqx

        kinds = {eqx.nn.Linear: "linear", eqx.nn.ConvTranspose: "conv_transpose", eqx.nn.Conv: "conv"}
        kinds |= {eqx.nn.Embedding: "embedding", eqx.nn.LayerNorm: "layer_norm", eqx.nn.RMSNorm: "rms_norm"}
        kinds |= {eqx.nn.GroupNorm: "group_norm", eqx.nn.BatchNorm: "batch_norm"}
        leaves: dict[str, tuple] = {}
        layers: dict[str, list] = {}
        for path, (shape, leaf) in cls._live(model).items():
            owners = cls._owners(model, path)
            # PyTorch names a Sequential's children after it; Equinox puts ``layers`` between.
            inner = [isinstance(owner, eqx.nn.Sequential) for owner in owners]
            parts = [word for word, bare in zip(path, inner, strict=True) if not (bare and word == "layers")]
            for known, kind in kinds.items():
                if isinstance(owners[-1], known):
                    reason = f"the live model's is an eqx.nn.{known.__name__}"
                    layers[cls._join(parts[:-1])] = [(kind, reason)]
            if isinstance(owners[-1], eqx.nn.Conv | eqx.nn.ConvTranspose) and parts[-1] == "bias":
                shape = shape[:1]  # (out, 1, 1) holds PyTorch's (out)
            leaves[cls._join(parts)] = (".".join(parts), shape, leaf)
        return leaves, layers

    @classmethod
    def _with_part(cls, model: object, part: str, new: object) -> object:
        import equinox as eqx

        if not part or cls._part(model, part) is new:
            return super()._with_part(model, part, new)
        return eqx.tree_at(lambda m: cls._part(m, part), model, new)

    @staticmethod
    def _owners(model: object, path: tuple) -> list:
        """Return the object before each step of a path."""
        owners: list = []
        for word in path:
            owners.append(model)
            if isinstance(model, dict):
                model = next(value for key, value in model.items() if str(key) == word)
            elif isinstance(model, list | tuple) and word.isdecimal():
                model = model[int(word)]
            else:
                model = getattr(model, word)
        return owners
