"""Tell what kind of layer each tensor of a PyTorch state dict belongs to, from shapes and siblings alone."""

import re

from ml_switcheroo.runtime.tensors import KeyTensors


class KeyKinds(KeyTensors):
    """Read kinds: what a table gives, what a live model shows, what shapes and siblings prove.

    A kind is a word (``linear``), with an argument where it needs one: ``linear(c=64)`` is a Linear behind
    the Flatten of 64 channels, whose input axis ``(c h w)`` becomes ``(h w c)``; ``linear_to_image(c=64)`` is
    one whose output becomes an image of 64 channels, with its output axis permuted likewise. In a table of
    kinds a key is a module (``encoder.fc1``), a tensor that a class keeps by itself (``pos_embed``), or a
    pattern where ``*`` stands for any characters; a pattern settles only what is open.
    """

    KINDS: dict[str, str] = {}  # noqa: RUF012 - the kinds of this file's own model; ``kinds=`` goes before

    # By kind: what ``weight`` is called, how many axes it has (0: any), how they are moved. A weight of
    # one axis is a scale, whatever its layer; what stays ``weight`` is no layer of Flax's.
    NORMS = ("batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm", "prelu")
    TABLE = {  # noqa: RUF012
        "linear": ("kernel", (2,), "out in -> in out"),
        "conv": ("kernel", (3, 4, 5), "out in *space -> *space in out"),
        "conv_transpose": ("kernel", (3, 4, 5), "in out *space -> *space in out, mirrored"),
        "linear_to_image": ("kernel", (2,), "out in -> in out"),
        "linear_in_out": ("kernel", (2,), ""),  # such as the Conv1D of Hugging Face
        "embedding": ("embedding", (2,), ""),
        "bilinear": ("weight", (3,), ""),
        **dict.fromkeys(NORMS, ("scale", (), "")),
        **dict.fromkeys(("class_weights", "parameter", "buffer"), ("weight", (), "")),
    }
    CHANNELS_LAST = True  # what a Flatten sees: (h w c) where PyTorch has (c h w)
    SLOTS = {"bias": "bias", "running_mean": "mean", "running_var": "var"}  # noqa: RUF012
    DROPPED = "num_batches_tracked"
    BESIDE = "stands beside it, which no layer has"

    @classmethod
    def possible_kinds(cls, shapes: dict, kinds: dict | None = None, live: dict | None = None) -> dict:
        """List the kinds each module can be, the likeliest first: ``{module: [(kind, reason), ...]}``.

        One kind is proved or given; several are possible where a state dict cannot tell them apart. A
        tensor that a class keeps by itself stands under its full name.

        Args:
            shapes: The shape of each tensor, in the order of the state dict.
            kinds: Kinds by module, tensor or pattern, added to ``KINDS``.
            live: Readings by module, from the live model; a Flatten it cannot show.
        """
        modules: dict[str, dict] = {}
        found: dict[str, list] = {}
        beside: dict[str, list] = {}
        for name, shape in shapes.items():
            path, _, slot = name.rpartition(".")
            if slot in ("weight", cls.DROPPED, *cls.SLOTS):
                modules.setdefault(path, {})[slot] = tuple(shape)
                found.setdefault(path, [])
            else:
                found[name] = [(kind, "kept by a class itself") for kind in ("parameter", "buffer")]
                beside.setdefault(path, []).append(slot)
        pairs = [(slots.get("weight", ()), slots.get("bias")) for slots in modules.values()]
        in_out = any(
            len(weight) == 2 and weight[0] != weight[1] and bias == weight[1:] for weight, bias in pairs
        )
        for path, slots in modules.items():
            shown = [r for r in (live or {}).get(path, ()) if cls._has_rank(r[0], slots.get("weight", ()))]
            found[path] = shown or cls._with_others(cls._by_shape(path, slots, in_out), beside.get(path, []))
        table = {
            **(kinds or {}),
            **{key: kind for key, kind in cls.KINDS.items() if key not in (kinds or {})},
        }
        cls._check_table(table, kinds or {}, modules, found)
        cls._settle(found, table)
        if cls.CHANNELS_LAST:
            cls._doubt_flattens(shapes, modules, found, table)
            cls._doubt_images(modules, found, table)
        cls._settle(found, table)
        return found

    @classmethod
    def _with_others(cls, readings: list, beside: list) -> list:
        """Add that a class of its own may keep the tensors, where one stands beside that no layer has."""
        why = f"{beside[0]} {cls.BESIDE}" if beside else ""
        own = [(kind, why) for kind in ("parameter", "buffer") if beside]
        return [reading for reading in readings if not own or reading[0] not in ("parameter", "buffer")] + own

    @classmethod
    def _by_shape(cls, path: str, slots: dict, in_out: bool) -> list:
        """List what the shapes of one module's tensors allow."""
        weight, bias = slots.get("weight", ()), slots.get("bias")
        rank = len(weight)
        if not {"running_mean", "running_var", cls.DROPPED}.isdisjoint(slots):
            return [(kind, "running statistics beside it") for kind in ("batch_norm", "instance_norm")]
        if rank == 1 and bias in (None, weight):
            unbiased = ("rms_norm", "prelu") if bias is None else ("batch_norm", "instance_norm")
            return [(kind, "a weight of one axis") for kind in ("layer_norm", "group_norm", *unbiased)]
        if rank > 1 and bias == weight:
            found = [("layer_norm", "weight and bias of one shape")]
            # Over several axes the first may be that of channels, which is the last in the target.
            first = [(f"layer_norm(c={weight[0]})", "its first axis may be that of channels")]
            return found + (first if cls.CHANNELS_LAST and weight[0] > 1 else [])
        found = cls._matrices(path, weight, bias) if rank == 2 else cls._kernels(weight, bias)
        if bias is None and rank > 1:
            found += [(kind, "without bias it can be one's") for kind in ("layer_norm", "rms_norm")]
        if bias is None or not found:
            found += [(kind, "a class of its own may keep such tensors") for kind in ("parameter", "buffer")]
        elif in_out and rank == 2 and weight[0] == weight[1]:
            found.append(("linear_in_out", "square, and other biases here have the size of axis 1"))
        return found

    @classmethod
    def _matrices(cls, path: str, weight: tuple, bias: tuple | None) -> list:
        linear = ("linear", f"out {weight[0]}, in {weight[1]}")
        embedding = ("embedding", f"{weight[0]} rows of size {weight[1]}")
        if bias is not None:
            in_out = ("linear_in_out", f"in {weight[0]}, out {weight[1]}")
            return [linear] if bias == weight[:1] else [in_out] if bias == weight[1:] else []
        return [embedding, linear] if cls._kind_by_name(path) == "embedding" else [linear, embedding]

    @staticmethod
    def _kernels(weight: tuple, bias: tuple | None) -> list:
        if not 3 <= len(weight) <= 5 or len(bias or (1,)) != 1:
            return []
        found = []
        if bias in (None, weight[:1]):
            found.append(("conv", f"out {weight[0]}, in {weight[1]}"))
        # A transposed convolution is (in, out / groups, *space).
        groups, rest = divmod(bias[0], weight[1] or 1) if bias else (1, 0)
        if groups and not rest and weight[0] % groups == 0:
            found.append(("conv_transpose", f"in {weight[0]}, out {weight[1] * groups}"))
        if len(weight) == 3 and bias in (None, weight[:1]):
            found.append(("bilinear", f"out {weight[0]}, in {weight[1]} and {weight[2]}"))
        return found

    @classmethod
    def _doubt_flattens(cls, shapes: dict, modules: dict, found: dict, table: dict) -> None:
        """Add ``linear(c=...)`` where a Linear may stand behind the Flatten of a convolution.

        Suspected are the first Linear after a convolution (and others of its input size), and one whose
        input size no other tensor puts out; only where the size is a multiple of the channels, and not the
        channels themselves. So are the norms between.
        """
        channels, makers = cls._outputs(shapes, modules, found)
        conv, first = "", 0
        norms: list[str] = []
        for path, slots in modules.items():
            words = [cls.parse_kind(kind)[0] for kind, _ in found[path]]
            if path in channels:
                conv, first, norms = path, 0, []
            elif words[0] in cls.NORMS:
                norms.append(path)
            elif "linear" in words and "weight" in slots:
                size = slots["weight"][1]
                first = first or (size if conv else 0)
                behind = [conv] if conv and size == first else []
                others = makers.get(size, set())
                behind += [] if len(others) > (path in others) else channels
                # Of as many channels as a convolution puts out, it takes them as they are.
                behind = [maker for maker in behind if channels[maker][0] != size]
                sizes = {c: maker for maker in reversed(behind) for c in channels[maker]}
                if path in table:  # what is told of the linear holds for the norms before it
                    sizes = dict.fromkeys([cls.parse_kind(table[path])[1]], conv)
                if not sizes:
                    continue
                for other in [path, *(norm for norm in norms if (size,) in modules[norm].values())]:
                    word = "linear" if other == path else cls.parse_kind(found[other][0][0])[0]
                    found[other] = found[other] + [
                        (f"{word}(c={c})", f"a Flatten of {maker}'s {c} channels may come before it")
                        for c, maker in sizes.items()
                        if 1 < c < size and size % c == 0 and other not in table
                    ]

    @classmethod
    def _doubt_images(cls, modules: dict, found: dict, table: dict) -> None:
        """Add ``linear_to_image(c=...)`` where a convolution may take the output of a Linear as an image.

        Suspected is the last Linear before a convolution, whose output no later Linear takes, where that is
        four times the channels or more: an image of one row and two columns is none.
        """
        rows = list(modules.items())
        linear, size, start = "", 0, 0
        for place, (path, slots) in enumerate(rows):
            words, weight = [cls.parse_kind(kind)[0] for kind, _ in found[path]], slots.get("weight", ())
            if not weight:
                linear = ""
            elif words[0] == "linear":
                linear, size, start = path, weight[0], place
            elif {"conv", "conv_transpose"} & set(words) and linear:
                sizes = [weight[1]] if "conv" in words and weight[1] > 1 else []
                sizes += [weight[0]] if "conv_transpose" in words else []
                later = [other.get("weight", ()) for _, other in rows[start + 1 :]]
                taken = any(len(other) == 2 and other[1] == size for other in later)
                found[linear] = found[linear] + [
                    (f"linear_to_image(c={c})", f"{path} may take its output as an image of {c} channels")
                    for c in dict.fromkeys(sizes)
                    if 1 < c <= size // 4 and size % c == 0 and linear not in table and not taken
                ]
                linear = ""
            elif words[0] not in cls.NORMS:
                linear = ""

    @classmethod
    def _outputs(cls, shapes: dict, modules: dict, found: dict) -> tuple:
        """Tell the channels each convolution may put out, and which modules put out a given size."""
        channels: dict[str, list] = {}
        makers: dict[int, set] = {}
        for path, readings in found.items():
            words = {cls.parse_kind(kind)[0] for kind, _ in readings}
            weight, bias = (modules.get(path, {}).get(slot, ()) for slot in ("weight", "bias"))
            sizes = [] if path in modules else cls._own_sizes(path, shapes)
            if path in modules and not weight:
                continue  # what a layer puts out shows in its weight
            if words & {"conv", "conv_transpose"}:
                sizes = [weight[0]] if "conv" in words else []
                sizes += [*bias, weight[1]][:1] if "conv_transpose" in words else []
                channels[path] = sizes
            elif "linear" in words or words in ({"embedding"}, {"linear_in_out"}):
                sizes = [weight[0 if "linear" in words else 1]]
            for size in sizes:
                makers.setdefault(size, set()).add(path)
        return channels, makers

    @staticmethod
    def _own_sizes(name: str, shapes: dict) -> list:
        """List the sizes that a tensor of its own may give to what is put out.

        Not the rows of all gates, nor those of queries, keys and values together.
        """
        slot = name.rpartition(".")[2]
        if slot.startswith(("weight_hh", "weight_hr")):
            size = shapes[name][0 if slot.startswith("weight_hr") else -1]
            return [size, 2 * size] if f"{name}_reverse" in shapes else [size]
        if slot.startswith("in_proj_weight"):
            return [shapes[name][-1]]
        joint = slot.startswith(("weight_ih", "bias_ih", "bias_hh", "in_proj_bias"))
        return [] if joint else list(shapes[name])

    @classmethod
    def _check_table(cls, table: dict, asked: dict, modules: dict, found: dict) -> None:
        """Refuse a kind that does not exist or cannot be, and a key of ``kinds`` that names nothing."""
        problems = []
        for key, kind in table.items():
            word, channels = cls.parse_kind(kind)
            weight = modules.get(key, {}).get("weight", ())
            if word not in cls.TABLE or (channels and word not in ("linear", "linear_to_image", *cls.NORMS)):
                problems.append(f"{key}: {kind!r} is none of: {', '.join(cls.TABLE)}, linear(c=64)")
            elif "*" not in key and key in asked and key not in found:
                problems.append(f"{key}: no such module in the state dict (a path without its slot)")
            elif not cls._has_rank(kind, weight):
                problems.append(f"{key}: a weight {weight} is no {word}'s")
            elif weight and channels:
                several = word in cls.NORMS and len(weight) > 1
                size = weight[0 if several or word == "linear_to_image" else -1]
                if size % channels or (several and size != channels):
                    problems.append(f"{key}: {size} is no multiple of {channels} channels")
        if problems:
            raise ValueError("kinds that cannot be:\n  " + "\n  ".join(sorted(problems)))

    @classmethod
    def _settle(cls, found: dict, table: dict) -> None:
        """Take the kinds of the table: exact keys as they are, patterns where they leave a choice."""
        patterns = {key: re.compile(re.escape(key).replace(r"\*", ".*")) for key in table if "*" in key}
        for path, readings in found.items():
            hits = [
                [reading for reading in readings if reading[0] == table[key]]
                for key, pattern in patterns.items()
                if pattern.fullmatch(path)
            ]
            given = [[(table[path], "given")]] if path in table else hits
            found[path] = next(filter(None, given), readings)

    @classmethod
    def is_open(cls, readings: list) -> bool:
        """Tell whether the kinds that are possible would be moved differently."""
        return len({cls._move(kind) for kind, _ in readings}) > 1

    @classmethod
    def _say_open(cls, readings: dict, strict: bool) -> list:
        """Warn of the modules that their possible kinds would move differently; return it if ``strict``."""
        lines: dict[tuple, list] = {}
        for path, choices in readings.items():
            moves = {cls._move(kind): (kind, reason) for kind, reason in reversed(choices)}
            if len(moves) > 1:
                options = "; or ".join(f'"{kind}" ({why})' for kind, why in reversed(moves.values()))
                # Repeated blocks make one line: layers.0.fc, layers.1.fc -> layers.*.fc
                folded = re.sub(r"(?<![^.])\d+(?![^.])", "*", path)
                lines.setdefault((folded, options), []).append(path)
        if not lines:
            return []
        what = "say which it is" if strict else "the first of each was taken; settle it"
        text = f"a state dict cannot show the kind of these modules; {what} with kinds={{module: kind}}:"
        for (folded, options), paths in sorted(lines.items()):
            text += (
                f'\n  "{paths[0]}": {options}'
                if len(paths) == 1
                else f'\n  "{folded}" ({len(paths)}): {options}'
            )
        if not strict:
            import warnings

            warnings.warn(text, stacklevel=3)
        return [text] if strict else []

    @classmethod
    def parse_kind(cls, kind: str) -> tuple:
        """Split ``linear(c=64)`` into the word and the channels, 0 where none are given."""
        if kind in cls.TABLE:
            return kind, 0
        match = re.fullmatch(r"(\w+)(?:\(c=([1-9]\d*)\))?", kind)
        return (match[1], int(match[2] or 0)) if match else ("", 0)

    @classmethod
    def _move(cls, kind: str) -> tuple:
        """Return what decides the outcome: two kinds of one move need no telling apart."""
        word, channels = cls.parse_kind(kind)
        return cls.TABLE[word][0], cls.TABLE[word][2], channels

    @classmethod
    def _has_rank(cls, kind: str, weight: tuple) -> bool:
        ranks = cls.TABLE[cls.parse_kind(kind)[0]][1]
        return not weight or not ranks or len(weight) in ranks

    @staticmethod
    def _kind_by_name(path: str) -> str:
        """Return what the last word of a path suggests: enough for a name, never for a proof."""
        words = set(re.split(r"[^a-z]+", path.rpartition(".")[2].lower()))
        if words & {"norm", "bn", "ln", "layernorm", "batchnorm", "groupnorm", "rmsnorm"}:
            return "layer_norm"
        return "embedding" if words & {"embedding", "embeddings", "embed", "emb", "wte", "wpe"} else ""
