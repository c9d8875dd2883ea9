"""Draw a function of JAX, from what it is traced to: no array is made and no weight is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Draft, Graph, Line
from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.graph.lines import line_of
from ml_switcheroo.graph.of_jax.lowering import LOWERED
from ml_switcheroo.tensors import TensorSpec

__all__ = ["draw_jax"]

Drawn = Sequence[int]

_MOST_ROUNDS = 4096


def draw_jax(function: Callable[..., Any], leaves: Mapping[str, TensorSpec], inputs: Given) -> Graph:
    """Draw ``function({path: leaf}, *inputs)``, or with the inputs by their names.

    Args:
        function: Any function of JAX; it is called with tracers alone.
        leaves: The specs of the leaves, by path.
        inputs: The inputs.
    """
    import jax

    paths = list(leaves)
    names: list[str] = []

    def flat(*arrays: Any) -> Any:
        values = dict(zip(paths, arrays, strict=False))
        made = jax.tree_util.tree_leaves_with_path(inputs.call(function, arrays[len(paths) :], values))
        names[:] = [_called(path) for path, _ in made]
        return [leaf for _, leaf in made]

    def struct(spec: TensorSpec) -> Any:
        return jax.ShapeDtypeStruct(spec.shape, jax.dtypes.canonicalize_dtype(spec.dtype))

    closed = jax.make_jaxpr(flat)(*map(struct, leaves.values()), *map(struct, inputs.specs))
    draft = Draft()
    given = [draft.leaf(path, spec.shape, spec.dtype) for path, spec in leaves.items()]
    given += [draft.input(spec.shape, spec.dtype) for spec in inputs.specs]
    return draft.finished(_Drawing(draft).closed(closed, given), names)


def _called(path: Any) -> str:
    """Return what an output is called; empty where only its place says which one it is."""
    words = [str(getattr(one, "key", getattr(one, "name", getattr(one, "idx", "")))) for one in path]
    return ".".join(words) if any(hasattr(one, "key") or hasattr(one, "name") for one in path) else ""


class _Drawing:
    """One function that is being drawn."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def closed(self, closed: Any, given: Drawn) -> list[int]:
        """Draw a closed jaxpr; return its results."""
        if not hasattr(closed, "consts"):
            return self._jaxpr(closed, [], given)
        return self._jaxpr(closed.jaxpr, [self._constant(one) for one in closed.consts], given)

    def _constant(self, value: Any) -> int:
        if _is_key(value):
            return self._draft.gap("random numbers", (), "key")
        return self._draft.constant(np.asarray(value), str(getattr(value, "dtype", "")))

    def _jaxpr(self, jaxpr: Any, consts: Drawn, given: Drawn) -> list[int]:
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *given], strict=True))

        def read(atom: Any) -> int:
            return self._constant(atom.val) if hasattr(atom, "val") else known[atom]

        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            outside = self._draft.line, self._draft.word
            line, word = _place(equation)
            self._draft.line, self._draft.word = line or outside[0], word or outside[1]
            known.update(zip(equation.outvars, self._equation(equation, operands), strict=True))
            self._draft.line, self._draft.word = outside
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, operands: Drawn) -> list[int]:
        name, params = equation.primitive.name, equation.params
        if name in _LOOPS:
            return _LOOPS[name](self, equation, operands)
        inner = next((params[key] for key in _INNER if key in params), None)
        if inner is not None and name not in _REDUCING:
            outside, called = self._draft.word, str(params.get("name", ""))
            self._draft.word = called if called and not called.startswith("_") else outside
            inside = self.closed(inner, operands[len(operands) - _taken(inner) :])
            self._draft.word = outside
            return inside
        lowered = LOWERED.get(name)
        made = lowered(self._draft, operands, params) if lowered is not None else None
        if made is None:
            return self._called(equation, operands)
        return made if isinstance(made, list) else [made]

    def _called(self, equation: Any, operands: Drawn) -> list[int]:
        """Draw what has no primitive as a call of JAX itself."""
        primitive, params = equation.primitive, equation.params
        specs = [atom.aval for atom in equation.invars]
        results = [variable.aval for variable in equation.outvars]
        shapes = [getattr(one, "shape", ()) for one in results]
        if any(_is_key(one) for one in [*specs, *results]) or primitive.name.startswith("random"):
            return [
                self._draft.gap(f"{primitive.name}: random numbers", shape, "key", *operands)
                for shape in shapes
            ]

        def run(place: int) -> Callable[..., Any]:
            def call(*arrays: Any) -> Any:
                values = [_as(array, spec) for array, spec in zip(arrays, specs, strict=True)]
                made = primitive.bind(*values, **params)
                return np.asarray(made[place] if primitive.multiple_results else made)

            return call

        return [
            self._draft.add(
                "call",
                *operands,
                dtype=str(spec.dtype),
                shape=spec.shape,
                name=primitive.name,
                number=place,
                run=run(place),
            )
            for place, spec in enumerate(results)
        ]

    def while_loop(self, equation: Any, operands: Drawn) -> list[int]:
        """Draw each round of a loop whose number of rounds nothing that is given decides."""
        params = equation.params
        count, other = params["cond_nconsts"], params["body_nconsts"]
        outer, inner = operands[:count], operands[count : count + other]
        carried = list(operands[count + other :])
        for _ in range(_MOST_ROUNDS):
            asked = self._draft.known(self.closed(params["cond_jaxpr"], [*outer, *carried])[0])
            if asked is None:
                break
            if not asked:
                return carried
            carried = self.closed(params["body_jaxpr"], [*inner, *carried])
        return self._unfollowed("a while loop without a fixed count", equation, operands)

    def scan(self, equation: Any, operands: Drawn) -> list[int]:
        """Draw each step of a scan."""
        params, draft = equation.params, self._draft
        consts, carries = params["num_consts"], params["num_carry"]
        if params["length"] > _MOST_ROUNDS:
            return self._unfollowed(f"a scan of {params['length']} steps", equation, operands)
        fixed, carried = operands[:consts], list(operands[consts : consts + carries])
        stacked = operands[consts + carries :]
        places = range(params["length"])
        kept: list[list[int]] = []
        for place in reversed(places) if params["reverse"] else places:
            rows = [_row(draft, one, place) for one in stacked]
            made = self.closed(params["jaxpr"], [*fixed, *carried, *rows])
            carried = list(made[:carries])
            kept.append(list(made[carries:]))
        if params["reverse"]:
            kept.reverse()
        outs = equation.outvars[carries:]
        whole = [_stacked(draft, [row[place] for row in kept], out.aval) for place, out in enumerate(outs)]
        return [*carried, *whole]

    def cond(self, equation: Any, operands: Drawn) -> list[int]:
        """Draw the branch that is taken, where nothing that is given decides it."""
        index = self._draft.known(operands[0])
        if index is None:
            return self._unfollowed("a branch that depends on values", equation, operands)
        branches = equation.params["branches"]
        return self.closed(branches[int(np.clip(index, 0, len(branches) - 1))], operands[1:])

    def _unfollowed(self, why: str, equation: Any, operands: Drawn) -> list[int]:
        where = f"{self._draft.line}: " if self._draft.line else ""
        return [
            self._draft.gap(where + why, out.aval.shape, str(out.aval.dtype), *operands)
            for out in equation.outvars
        ]


_INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_REDUCING = frozenset({"reduce", "reduce_window", "scatter", "scatter-add", "custom_root", "pallas_call"})
_LOOPS: Mapping[str, Callable[[_Drawing, Any, Drawn], list[int]]] = {
    "while": _Drawing.while_loop,
    "scan": _Drawing.scan,
    "cond": _Drawing.cond,
}


def _is_key(value: Any) -> bool:
    return str(getattr(value, "dtype", "")).startswith("key<")


def _taken(inner: Any) -> int:
    return len(getattr(inner, "jaxpr", inner).invars)


def _as(array: Any, spec: Any) -> Any:
    import jax

    return jax.numpy.asarray(array, spec.dtype)


def _place(equation: Any) -> tuple[Line | None, str]:
    """Return the innermost line of the program that no package has, and the function of jax.nn it calls."""
    import jax

    trace, word = equation.source_info.traceback, ""
    for frame in trace.frames if trace is not None else ():
        line = line_of([(frame.file_name, frame.line_num)])
        if line is not None:
            return line, word
        if callable(getattr(jax.nn, frame.function_name, None)):
            word = frame.function_name
    return None, ""


def _row(draft: Draft, stacked: int, place: int) -> int:
    shape = draft.shape(stacked)
    rest = len(shape) - 1
    row = draft.add(
        "slice",
        stacked,
        start=(place, *[0] * rest),
        stop=(place + 1, *shape[1:]),
        step=(1,) * len(shape),
    )
    return draft.add("reshape", row, shape=shape[1:])


def _stacked(draft: Draft, rows: Sequence[int], spec: Any) -> int:
    if not rows:
        return draft.constant(np.zeros(spec.shape), str(spec.dtype))
    return draft.add(
        "concat", *(draft.add("reshape", row, shape=(1, *draft.shape(row))) for row in rows), axis=0
    )
