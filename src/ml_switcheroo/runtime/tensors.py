"""Tensors of a PyTorch state dict as NumPy arrays, with the norms of weights folded in."""

import numpy as np


class KeyTensors:
    """Read the tensors of a state dict, bit for bit; torch is not imported."""

    # The pieces that stand for a weight under torch.nn.utils: of a weight norm g and v, of a spectral norm
    # the weight, u and v.
    PIECES = (
        ("weight_g", "weight_v"),
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
        ("weight_orig", "weight_u", "weight_v"),
        *[tuple(f"parametrizations.weight.{part}" for part in ("original", "0._u", "0._v"))],
    )

    @classmethod
    def folded(cls, state_dict: dict, kinds: dict | None = None) -> dict:
        """Return a state dict in which each weight norm and spectral norm is one weight.

        Args:
            state_dict: Names to torch tensors or arrays.
            kinds: Kinds by module: of a transposed convolution the norm is over the other axis.

        Raises:
            ValueError: Nothing shows over which axis a spectral norm is; or the tensors are those of no norm.
        """
        pieces: dict[str, tuple] = {}
        for name in state_dict:
            for group in cls.PIECES:
                path = name.removesuffix(group[0])
                names = tuple(path + piece for piece in group)
                if path != name and path[-1:] in ("", ".") and all(one in state_dict for one in names):
                    pieces.update(dict.fromkeys(names, (path, names)))
        folded: dict = {}
        for name, value in state_dict.items():
            path, names = pieces.get(name, ("", ()))
            if not names:
                folded[name] = value
            elif f"{path}weight" not in folded:
                arrays = [cls._to_numpy(state_dict[piece]) for piece in names]
                folded[f"{path}weight"] = cls._fold(path[:-1], (kinds or {}).get(path[:-1], ""), *arrays)
        return folded

    @classmethod
    def _fold(cls, path: str, kind: str, first: np.ndarray, *rest: np.ndarray) -> np.ndarray:
        """Compute a weight from its pieces as torch does in evaluation."""
        weight = rest[0] if len(rest) == 1 else first
        wide = weight if weight.dtype.itemsize >= 4 else weight.astype(np.float32)
        if len(rest) == 1:  # (g, v): the norm is over the axes that g lacks
            shape = first.shape
            large = [axis for axis, size in enumerate(shape) if size != 1]
            if len(shape) not in (0, wide.ndim) or large[1:] or any(shape[i] != wide.shape[i] for i in large):
                raise ValueError(
                    f"{path}: {shape} is no length of a weight {wide.shape}, of the whole or of each place of"
                    " one axis, so it is no weight norm; remove the parametrisation in PyTorch and save again"
                )
            axes = tuple(axis for axis in range(wide.ndim) if not shape or shape[axis] == 1)
            norm = np.asarray(np.sqrt(np.sum(wide * wide, axis=axes, keepdims=bool(shape))))
            return (wide * (first.astype(wide.dtype) / norm)).astype(weight.dtype)
        u, v = (piece.astype(wide.dtype) for piece in rest)
        matrices = {
            axis: np.moveaxis(wide, axis, 0).reshape(len(u), -1)
            for axis in (0, 1)
            if wide.shape[axis : axis + 1] == (len(u),)
        }
        if len(matrices) > 1 and (kind or wide.ndim < 3):
            axis = 1 if kind == "conv_transpose" else 0
            matrices = {axis: matrices[axis]}
        if len(matrices) > 1:  # v belongs to u, or u to v, over one of the axes only
            close = {axis: cls._belong(matrix, u, v) for axis, matrix in matrices.items()}
            matrices = {axis: matrix for axis, matrix in matrices.items() if close[axis]}
        if len(matrices) != 1:
            raise ValueError(f"{path}: over which axis is its spectral norm? say kinds={{{path!r}: ...}}")
        ((_, matrix),) = matrices.items()
        return (wide / (u @ (matrix @ v))).astype(weight.dtype)

    @staticmethod
    def _belong(matrix: np.ndarray, u: np.ndarray, v: np.ndarray) -> bool:
        made = ((u @ matrix, v), (matrix @ v, u))
        return any(np.abs(new / np.sqrt(new @ new) - old).max() < 1e-3 for new, old in made)

    @staticmethod
    def _lost(names: str, array: np.ndarray, dtype: object) -> list:
        """Say what of an array a leaf's dtype would swallow: its kind, or finite values."""
        try:
            wanted = np.dtype(str(dtype).rpartition(".")[2])
        except TypeError:  # a dtype that NumPy has not, such as MLX's bfloat16: as wide as float32
            return []
        whole, wide = wanted.kind in "biu", array.dtype.kind not in "biu"
        if (whole and wide) or (array.dtype.kind == "c" != wanted.kind):
            return [f"{names}: {array.dtype} cannot be cast to the leaf's {wanted}"]
        if np.can_cast(array.dtype, wanted):
            return []
        with np.errstate(over="ignore", invalid="ignore"):
            new = array.astype(wanted)
        if whole:
            count = int((new != array).sum())
        else:
            old, now = array.astype(np.float64), new.astype(np.float64)
            count = int((np.isfinite(old) & (~np.isfinite(now) | ((now == 0) & (old != 0)))).sum())
        return [f"{names}: {count} of {array.size} values do not survive as {wanted}"] if count else []

    @classmethod
    def _untied(cls, names: list, state_dict: dict, taken: list) -> list:
        """Leave out the names of tensors that have been taken under another name: tied weights."""
        places = {cls._place(state_dict[name]) for name in taken}
        return [name for name in names if cls._place(state_dict[name]) not in places]

    @staticmethod
    def _place(value: object) -> tuple:
        """Return what two names of one tensor have in common: where it lies, and how."""
        pointer, stride = (getattr(value, name, None) for name in ("data_ptr", "stride"))
        interface = getattr(value, "__array_interface__", None)
        address = pointer() if pointer else interface["data"][0] if interface else id(value)
        return address, tuple(getattr(value, "shape")), stride() if stride else getattr(value, "strides", ())  # noqa: B009

    @staticmethod
    def _to_numpy(value: object) -> np.ndarray:
        """Return a torch tensor or an array as NumPy, bit for bit; torch is not imported."""
        detach = getattr(value, "detach", None)
        if detach is None:
            return np.asarray(value)
        tensor = detach().cpu()
        name = str(tensor.dtype).rpartition(".")[2]
        if not name.startswith(("bfloat16", "float8")):
            return np.asarray(tensor.numpy(force=True))
        try:
            import ml_dtypes
        except ImportError:
            import warnings

            warnings.warn(f"{name} becomes float32, exactly: ml_dtypes is not installed", stacklevel=2)
            return np.asarray(tensor.float().numpy())
        # torch hands no such dtype to NumPy: the same bytes go through as integers.
        empty = tensor.new_empty(0)
        integers = empty.short() if name == "bfloat16" else empty.char()
        return np.asarray(tensor.contiguous().view(integers.dtype).numpy()).view(getattr(ml_dtypes, name))
