"""The expressions of torch's operations: one row each, with calls that are run on torch and on the target."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ml_switcheroo.translate.expressions.row import Row

__all__ = ["EXPRESSIONS"]

_ROWS = (
    Row("exp", {"nnx": "jnp.exp({input})"}, ("f(2, 3)",)),
    Row("sin", {"nnx": "jnp.sin({input})"}, ("f(2, 3)",)),
    Row("tanh", {"nnx": "jnp.tanh({input})"}, ("f(2, 3)",)),
    Row("relu", {"nnx": "jax.nn.relu({input})"}, ("f(2, 3)",)),
    Row("silu", {"nnx": "jax.nn.silu({input})"}, ("f(2, 3)",)),
    Row(
        # JAX's own default is the approximation by tanh.
        "gelu",
        {"nnx": "jax.nn.gelu({input}, approximate={approximate} == 'tanh')"},
        ("f(2, 3)", "f(2, 3), approximate='tanh'"),
    ),
    Row("softmax", {"nnx": "jax.nn.softmax({input}, axis={dim})"}, ("f(2, 3), dim=1", "f(2, 3, 4), dim=-2")),
    Row("masked_fill", {"nnx": "jnp.where({mask}, {value}, {input})"}, ("f(2, 3), b(2, 3), -1.5",)),
    Row("unsqueeze", {"nnx": "jnp.expand_dims({input}, {dim})"}, ("f(2, 3), 1", "f(2, 3), -1")),
    Row("transpose", {"nnx": "{input}.swapaxes({dim0}, {dim1})"}, ("f(2, 3, 4), 1, 2", "f(2, 3, 4), -1, 0")),
    Row("cat", {"nnx": "jnp.concatenate({tensors}, axis={dim})"}, ("[f(2, 3), f(2, 4)], dim=1",)),
    Row("stack", {"nnx": "jnp.stack({tensors}, axis={dim})"}, ("[f(2, 3), f(2, 3)], dim=1",)),
    Row("matmul", {"nnx": "{input} @ {other}"}, ("f(2, 3), f(3, 4)", "f(5, 2, 3), f(5, 3, 4)")),
)

EXPRESSIONS: Mapping[str, Row] = MappingProxyType({row.name: row for row in _ROWS})
"""By the operation's name."""
