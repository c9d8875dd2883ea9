"""Each row is run on torch and on the target: values, dtype, shape and gradient."""

import ast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from ml_switcheroo.operations import operation
from ml_switcheroo.translate.expressions.row import IMPORTS
from ml_switcheroo.translate.expressions.rows import EXPRESSIONS

CALLS = [(row, draw) for row in EXPRESSIONS.values() for draw in row.draws]


def drawn(call):
    """Return the arguments of a call by name, as text, and the arrays that the text names."""
    random, arrays = np.random.default_rng(0), {}

    class Draw(ast.NodeTransformer):
        def visit_Call(self, node):
            shape = tuple(one.value for one in node.args)
            name = f"x{len(arrays)}"
            values = random.normal(size=shape)
            arrays[name] = values > 0 if node.func.id == "b" else values.astype("float32")
            return ast.Name(name)

    tree = ast.parse(f"_({call})", mode="eval").body
    tree.args = [Draw().visit(one) for one in tree.args]
    tree.keywords = [Draw().visit(one) for one in tree.keywords]
    return tree, arrays


def test_every_row_has_a_call_and_is_an_operation():
    for name, row in EXPRESSIONS.items():
        assert row.draws
        assert row.expressions
        assert operation(name).name == name


@pytest.mark.parametrize(("row", "call"), CALLS, ids=[f"{row.name}({draw})" for row, draw in CALLS])
def test_it_computes_what_torch_computes(row, call):
    tree, arrays = drawn(call)
    known = operation(row.name)
    given = {one.name: repr(one.default) for one in known.parameters}
    given |= {one.name: ast.unparse(node) for one, node in zip(known.parameters, tree.args, strict=False)}
    given |= {one.arg: ast.unparse(one.value) for one in tree.keywords}
    text = row.expressions["nnx"].format(**given)
    home = torch if "torch" in known.homes else torch.nn.functional
    tensors = {name: torch.tensor(one) for name, one in arrays.items()}
    floats = [name for name, one in arrays.items() if one.dtype == np.float32]
    for name in floats:
        tensors[name].requires_grad_()
    tree.func = ast.Name("function")
    expected = eval(ast.unparse(tree), {"function": getattr(home, row.name), **tensors})

    def ours(chosen):
        names = {}
        exec("\n".join(IMPORTS.values()), names)
        return eval(text, {**names, **arrays, **chosen})

    chosen = {name: jnp.asarray(arrays[name]) for name in floats}
    found = ours(chosen)
    assert found.shape == tuple(expected.shape)
    assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    weights = np.random.default_rng(1).normal(size=found.shape).astype("float32")
    (expected * torch.tensor(weights)).sum().backward()
    gradients = jax.grad(lambda chosen: (ours(chosen) * weights).sum())(chosen)
    for name in floats:
        np.testing.assert_allclose(gradients[name], tensors[name].grad.numpy(), rtol=1e-4, atol=1e-5)
