import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ml_switcheroo.errors import UsageError
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import flatten, template_of_tree


def test_flatten_walks_mappings_and_sequences_in_order():
    tree = {"b": [1, (2, {"c": 3})], "a": 4}
    assert list(flatten(tree, "/")) == [("b/0", 1), ("b/1/0", 2), ("b/1/1/c", 3), ("a", 4)]


def test_a_template_of_arrays_structs_and_shapes():
    template = template_of_tree(
        {
            "array": np.zeros((2, 3), "f2"),
            "struct": jax.ShapeDtypeStruct((4,), jnp.bfloat16),
            "shape": (5, 6),
            "scalar": (),
        }
    )
    assert dict(template.specs) == {
        "array": TensorSpec((2, 3), "float16"),
        "struct": TensorSpec((4,), "bfloat16"),
        "shape": TensorSpec((5, 6), "float32"),
        "scalar": TensorSpec((), "float32"),
    }
    assert template.untyped == {"shape", "scalar"}


def test_a_leaf_without_a_shape_is_an_error_that_names_it():
    with pytest.raises(UsageError, match=r"like=: a\.0 is a str"):
        template_of_tree({"a": ["text"]})
