"""What a target is: its kinds, its paths, its live models, and what else is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ml_switcheroo.errors import UsageError
from ml_switcheroo.ops import Array
from ml_switcheroo.recipes.compared import Compared, Wrapper
from ml_switcheroo.recipes.constructor import Constructor
from ml_switcheroo.recipes.parts import NOTHING, Recipe, Unsupported
from ml_switcheroo.tree import Template

__all__ = ["Files", "Live", "Mapper", "Naming", "Target"]


@dataclass(frozen=True, slots=True)
class Naming:
    """How a target writes the path of a leaf.

    Attributes:
        separator: Between the segments.
        join_digits: Whether an index is written onto the segment before it (``layers_0``).
        sequential: The attribute under which the target's Sequential keeps its children.
        collections: Whether the path starts with the collection (``params/``).
    """

    separator: str = "."
    join_digits: bool = False
    sequential: str = ""
    collections: bool = False

    def path(
        self, module: str, leaf: str, *, collection: str = "params", containers: Mapping[str, str] = {}
    ) -> str:
        """Write the path of a leaf.

        Args:
            module: Path of the module in PyTorch; ``""`` is the model itself.
            leaf: Name of the leaf, dotted where the target has modules within the module.
            collection: The leaf's collection.
            containers: Which modules are a ``sequential``, by their path in PyTorch.

        >>> Naming(sequential="layers").path("net.0", "bias", containers={"net": "sequential"})
        'net.layers.0.bias'
        >>> Naming("/", join_digits=True, collections=True).path("net.0.fc", "bias")
        'params/net_0/fc/bias'
        """
        segments = f"{module}.{leaf}".strip(".").split(".")
        nested = self.sequential and containers
        written: list[str] = [] if nested or self.join_digits else segments
        walked: list[str] = []
        for segment in segments if nested or self.join_digits else ():
            digits = segment.isdecimal()
            if digits and self.sequential and containers.get(".".join(walked)) == "sequential":
                written.append(self.sequential)
            if digits and self.join_digits and written:
                written[-1] += f"_{segment}"
            else:
                written.append(segment)
            walked.append(segment)
        return self.separator.join([collection, *written] if self.collections else written)


@dataclass(frozen=True, slots=True)
class Live:
    """How the live models of a target are read and written; the functions import the framework.

    Attributes:
        owns: Tells whether an object is surely a model of this target.
        template: Reads paths, shapes, kinds and containers.
        write: Puts arrays (by path, already checked) into the model; returns the model, or the new
            one where models are immutable.
        read: Returns the arrays of the model by path.
        immutable: Whether ``write`` leaves the model as it is and returns a new one.
        tree: Whether a model is a tree of dictionaries, which shows no names of PyTorch's: a part of it has a
            path, and is no attribute.
        accepts: Tells whether a plain tree can be a model of this target, once the target is named; None
            where models are no plain trees.
        fill: Puts arrays into what a template holds (:attr:`Template.held`), as ``write`` does, without
            walking the model again; None where templates hold nothing.
    """

    owns: Callable[[Any], bool]
    template: Callable[[Any], Template]
    write: Callable[[Any, Mapping[str, Array]], Any]
    read: Callable[[Any], Mapping[str, Array]]
    immutable: bool = False
    tree: bool = False
    accepts: Callable[[Any], bool] | None = None
    fill: Callable[[Mapping[str, Any], Mapping[str, Array]], None] | None = None


@dataclass(frozen=True, slots=True)
class Mapper:
    """The ``KeyMapper`` that rewritten code gets.

    Attributes:
        module: The module of the class, dotted: what it imports its bases from goes along with it.
        live: The module of the class that finds, reads and writes the leaves of live models; empty where the
            target has none.
    """

    module: str
    live: str = ""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a target, beside those that every target can be written to.

    Attributes:
        formats: Names of formats that only some targets are written to: ``orbax``, ``keras``.
        loader: The function of the target's library that reads a file, for a person.
        unreadable: The dtypes that this function does not read, by format.
        words: What the metadata of a file of other programs has under ``format`` where its leaves are this
            target's.
    """

    formats: tuple[str, ...] = ()
    loader: str = ""
    unreadable: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NOTHING)
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A framework that weights are moved to.

    Attributes:
        name: Its name on the command line.
        summary: One line for a person.
        kinds: For each kind the parts it is made of, or why there are none.
        naming: How its paths are written.
        channels: Where its convolutions have the channel axis: what a Flatten sees.
        aliases: Other names.
        constructors: How a layer of each kind is made, or why there is nothing to make.
        differences: By kind, what a live module must agree in beside its weights; of ``max_pool`` and
            ``avg_pool`` too, which have none.
        wrappers: Its layers that keep a ``weight_norm`` or ``spectral_norm``, by these words.
        live: How its live models are read and written; None where it has none.
        mapper: The ``KeyMapper`` of rewritten code; None where code cannot be rewritten for it.
        observer: The module that runs its models and records what their modules take and give, dotted; empty
            where there is none (see :mod:`ml_switcheroo.verification.observers`).
        drawer: The module that draws what its live models compute, dotted; empty where there is none (see
            :mod:`ml_switcheroo.graph.drawers`).
        files: What files it has.
    """

    name: str
    summary: str
    kinds: Mapping[str, Recipe]
    naming: Naming
    channels: Literal["first", "last"]
    aliases: tuple[str, ...] = ()
    constructors: Mapping[str, Constructor | Unsupported] = field(default_factory=lambda: NOTHING)
    differences: Mapping[str, tuple[Compared, ...]] = field(default_factory=lambda: NOTHING)
    wrappers: Mapping[str, Wrapper] = field(default_factory=lambda: NOTHING)
    live: Live | None = None
    mapper: Mapper | None = None
    observer: str = ""
    drawer: str = ""
    files: Files = field(default_factory=Files)

    @property
    def immutable(self) -> bool:
        """Whether a load makes a new model and leaves the old one as it is."""
        return self.live is not None and self.live.immutable

    @property
    def tree(self) -> bool:
        """Whether a model is a tree of dictionaries."""
        return self.live is not None and self.live.tree

    def lacking(self, field: str, cannot: str) -> UsageError:
        """Return the error for what cannot be done because the row says nothing of it.

        >>> print(Target("new", "", {}, Naming(), "last").lacking("mapper", "no code is rewritten for it"))
        target new: no code is rewritten for it: its row in ml_switcheroo.targets has no mapper
        """
        return UsageError(f"target {self.name}: {cannot}: its row in ml_switcheroo.targets has no {field}")
