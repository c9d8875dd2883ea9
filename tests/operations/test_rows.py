"""Each row of the operations is held against torch: names, arguments, shapes, storage, elements."""

from __future__ import annotations

import inspect

import einops
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.operations import OPERATIONS, REQUIRED, Axes, Elements, Storage, operation

HOMES = {"torch": torch, "torch.nn.functional": F, "einops": einops}
ROWS = sorted({id(row): row for row in OPERATIONS.values()}.values(), key=lambda row: row.name)

# Other things of torch that go by the name, or the same with other arguments.
NAMESAKES = {
    *(("torch", name) for name in "float half double bfloat16 cuda cpu int long short bool storage".split()),
    *(
        ("torch", name)
        for name in "batch_norm instance_norm embedding embedding_bag get_device adaptive_max_pool1d".split()
    ),
}
ATTRIBUTES = {"device", "dtype", "is_sparse", "storage_offset", "where", "unfold", "real", "imag"}
OF_OTHERS = {"swish"}  # a name that F has had


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_it_is_a_function_where_the_row_says_and_nowhere_else(name):
    row = OPERATIONS[name]
    if name in OF_OTHERS:
        return
    real = {home for home, module in HOMES.items() if hasattr(module, name) and (home, name) not in NAMESAKES}
    if row.name == "Rearrange" or name == "Rearrange":
        return  # einops.layers
    assert real - {"einops"} == set(row.homes) - {"einops"}
    if "einops" in row.homes:
        assert hasattr(einops, name)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_it_is_a_method_where_the_row_says(name):
    if name not in ATTRIBUTES:
        assert hasattr(Tensor, name) == OPERATIONS[name].method


def parameters_of(row):
    """Return the names and defaults of a function of F that is written in Python."""
    function = getattr(F, row.name, None)
    try:
        found = inspect.signature(function).parameters if function is not None else {}
    except (TypeError, ValueError):
        return {}
    return {} if "args" in found else found


@pytest.mark.parametrize("row", [row for row in ROWS if parameters_of(row)], ids=lambda row: row.name)
def test_the_parameters_are_those_of_torch_in_their_order(row):
    real = parameters_of(row)
    for mine, theirs in zip(row.parameters, real.values(), strict=False):
        assert theirs.name in (mine.name, *mine.also)
        if theirs.default is not inspect.Parameter.empty:
            assert mine.default == theirs.default
        else:
            assert mine.default is REQUIRED


SCHEMAS = {
    name: [
        getattr(overloads, overload)._schema
        for overload in overloads.overloads()
        if "Dimname" not in str(getattr(overloads, overload)._schema)
    ]
    for name in OPERATIONS
    if (overloads := getattr(torch.ops.aten, name, None)) is not None
    and not parameters_of(OPERATIONS[name])
    and OPERATIONS[name].axes is not Axes.MADE
}
NO_SCHEMA = {"to", "item", "size", "stride", "all", "any", "linspace", "logspace", "embedding_bag"}


@pytest.mark.parametrize("name", sorted(SCHEMAS.keys() - NO_SCHEMA))
def test_every_parameter_is_one_of_a_schema_of_torch(name):
    row = OPERATIONS[name]
    real = {argument.name for schema in SCHEMAS[name] for argument in schema.arguments}
    for parameter in row.parameters[1:] if row.method else row.parameters:
        words = {parameter.name, *parameter.also, "self" if parameter.name == "input" else parameter.name}
        assert words & (real | {"tensors", "operands"}), (parameter, real)


def test_the_role_of_a_weight_is_the_kind_of_the_layer_that_keeps_it():
    convolving = [row for row in OPERATIONS.values() if row.axes is Axes.CONVOLVED]
    assert len(convolving) > 1
    for row in convolving:
        assert LAYERS[row.role("weight")].transposed is ("transpose" in row.name)
    assert OPERATIONS["relu"].role("input") == ""
    with pytest.raises(KeyError):
        OPERATIONS["relu"].role("weight")


def x():
    torch.manual_seed(0)
    return torch.rand(2, 6, 4) + 0.5


# What a call needs besides a tensor of shape (2, 6, 4); the arguments by name.
GIVEN = {
    "pow": {"exponent": 2},
    "clamp_min": {"min": 0.7},
    "clamp_max": {"max": 0.7},
    "masked_fill": {"mask": torch.tensor(True), "value": 0.0},
    "fill_": {"value": 1.0},
    "prelu": {"weight": torch.tensor([0.2])},
    "threshold": {"threshold": 0.1, "value": 20.0},
    "softmax": {"dim": -1},
    "log_softmax": {"dim": -1},
    "softmin": {"dim": -1},
    "cumsum": {"dim": 1},
    "cumprod": {"dim": 1},
    "logcumsumexp": {"dim": 1},
    **{name: {"p": 0.5, "training": False} for name in ("dropout", "dropout1d", "alpha_dropout")},
    **{name: {"p": 0.5, "training": False} for name in ("feature_dropout", "feature_alpha_dropout")},
    "layer_norm": {"normalized_shape": (4,)},
    "group_norm": {"num_groups": 2},
    "rms_norm": {"normalized_shape": (4,)},
    "batch_norm": {"running_mean": torch.zeros(6), "running_var": torch.ones(6)},
    "local_response_norm": {"size": 2},
    "to": {"target": torch.float32},
    "type": {"dtype": torch.float32},
    "type_as": {"other": torch.zeros(1)},
    "as_subclass": {"cls": Tensor},
    "clamp": {"min": 0.7},
    "logit": {"eps": 0.1},
    "imag": None,  # of complex numbers
    "dropout2d": None,  # of feature maps
    "dropout3d": None,
    "tensor": None,  # warns
    "bitwise_not": None,  # of whole numbers
    "bernoulli": None,  # of probabilities
    "cuda": None,
    "pin_memory": None,
    "coalesce": None,
    "to_dense": None,
    "from_numpy": None,
    "share_memory_": None,
}


def call(row, tensor, given):
    """Call the first function, or the method, that a row names."""
    if row.homes:
        return getattr(HOMES[row.homes[0]], row.name)(tensor, *given.values())
    return getattr(tensor, row.name)(*given.values())


SAME = [row for row in ROWS if row.axes is Axes.SAME and (row.homes or row.method)]


@pytest.mark.parametrize("row", SAME, ids=lambda row: row.name)
def test_each_axis_stays_where_the_row_says_so(row):
    given = GIVEN.get(row.name, {})
    if given is None:
        pytest.skip("needs another tensor, or a device")
    tensor = x()
    before = tensor.clone()
    found = call(row, tensor, given)
    assert found.shape == (2, 6, 4)
    if row.elements is Elements.KEPT:
        assert torch.equal(found, before.to(found.dtype))
    if row.elements in (Elements.EACH, Elements.ACTIVATED) and row.name not in ("tril", "triu"):
        order = torch.randperm(48)  # a function of one number: it does not matter where that stands
        moved = call(row, before.flatten()[order].reshape(2, 6, 4), given).flatten()
        assert torch.allclose(moved.double(), found.flatten()[order].double(), equal_nan=True)
    shares = found.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
    expected = {Storage.NEW: (False,), Storage.VIEW: (True,), Storage.IN_PLACE: (True,)}
    assert shares in expected.get(row.storage, (True, False))


# A call of each other row, and the shape that comes of it; several shapes, where it gives several tensors.
CALLS = [
    ("add", (x(),), (2, 6, 4)),
    ("sub", (x(),), (2, 6, 4)),
    ("mul", (x(),), (2, 6, 4)),
    ("div", (x(),), (2, 6, 4)),
    ("fmod", (x(),), (2, 6, 4)),
    ("remainder", (x(),), (2, 6, 4)),
    ("maximum", (x(),), (2, 6, 4)),
    ("minimum", (x(),), (2, 6, 4)),
    *((name, (1,), (2, 4)) for name in "sum mean nansum nanmean amax amin argmax argmin all any".split()),
    *((name, (1, True), (2, 1, 4)) for name in "sum mean logsumexp prod".split()),
    *((name, (1, False, True), (2, 1, 4)) for name in ("std", "var")),
    ("norm", (2, 1, True), (2, 1, 4)),
    *((name, (1,), [(2, 4), (2, 4)]) for name in ("max", "min", "median", "nanmedian")),
    ("view", (12, 4), (12, 4)),
    ("reshape", ((3, -1),), (3, 16)),
    ("view_as", (torch.zeros(8, 6),), (8, 6)),
    ("reshape_as", (torch.zeros(8, 6),), (8, 6)),
    ("expand_as", (torch.zeros(3, 2, 6, 4),), (3, 2, 6, 4)),
    ("flatten", (1,), (2, 24)),
    ("ravel", (), (48,)),
    ("unflatten", (1, (2, 3)), (2, 2, 3, 4)),
    ("squeeze", (), (2, 6, 4)),
    ("unsqueeze", (1,), (2, 1, 6, 4)),
    ("expand", (5, 2, 6, 4), (5, 2, 6, 4)),
    ("broadcast_to", ((5, 2, 6, 4),), (5, 2, 6, 4)),
    ("repeat", (1, 2, 1), (2, 12, 4)),
    ("tile", ((1, 2, 1),), (2, 12, 4)),
    ("repeat_interleave", (2, 1), (2, 12, 4)),
    ("permute", ((2, 0, 1),), (4, 2, 6)),
    ("transpose", (0, 1), (6, 2, 4)),
    ("movedim", (0, 2), (6, 4, 2)),
    ("adjoint", (), (2, 4, 6)),
    ("roll", (1, 1), (2, 6, 4)),
    ("flip", ((1,),), (2, 6, 4)),
    ("chunk", (2, 1), [(2, 3, 4)] * 2),
    ("split", (4, 1), [(2, 4, 4), (2, 2, 4)]),
    ("split_with_sizes", ((1, 5), 1), [(2, 1, 4), (2, 5, 4)]),
    ("tensor_split", (4, 1), [(2, 2, 4)] * 2 + [(2, 1, 4)] * 2),
    ("unbind", (1,), [(2, 4)] * 6),
    ("narrow", (1, 1, 3), (2, 3, 4)),
    ("select", (1, 0), (2, 4)),
    ("index_select", (1, torch.tensor([0, 2])), (2, 2, 4)),
    ("matmul", (torch.zeros(4, 3),), (2, 6, 3)),
    ("bmm", (torch.zeros(2, 4, 3),), (2, 6, 3)),
    ("inner", (torch.zeros(3, 4),), (2, 6, 3)),
    ("linear", (torch.zeros(3, 4), torch.zeros(3)), (2, 6, 3)),
    ("scaled_dot_product_attention", (torch.zeros(2, 5, 4), torch.zeros(2, 5, 3)), (2, 6, 3)),
    ("conv1d", (torch.zeros(5, 6, 3), None, 1, 1), (2, 5, 4)),
    ("conv_transpose1d", (torch.zeros(6, 5, 2), None, 2), (2, 5, 8)),
    ("max_pool1d", (2,), (2, 6, 2)),
    ("avg_pool1d", (2, 1, 1), (2, 6, 5)),
    ("lp_pool1d", (2, 2), (2, 6, 2)),
    ("adaptive_avg_pool1d", (3,), (2, 6, 3)),
    ("adaptive_max_pool1d", (3,), (2, 6, 3)),
    ("interpolate", (8,), (2, 6, 8)),
    ("pad", ((1, 2),), (2, 6, 7)),
    ("glu", (1,), (2, 3, 4)),
    ("rearrange", ("b c l -> b (c l)",), (2, 24)),
    ("reduce", ("b c l -> b c", "mean"), (2, 6)),
    *((name, (), (2, 6, 4)) for name in "zeros_like ones_like empty_like rand_like randn_like".split()),
    ("full_like", (1.0,), (2, 6, 4)),
]


@pytest.mark.parametrize(("name", "args", "shape"), CALLS)
def test_a_call_by_position_gives_the_same_as_one_by_the_names_of_the_row(name, args, shape):
    row, tensor = operation(name), x()
    owner = HOMES[row.homes[0]] if row.homes else tensor
    first = (tensor,) if row.homes else ()
    function = getattr(owner, name)
    found = function(*first, *args)
    shapes = [tuple(one.shape) for one in found] if isinstance(shape, list) else tuple(found.shape)
    assert shapes == shape
    parts = found if isinstance(shape, list) else [found]
    shares = any(one.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr() for one in parts)
    if row.storage is not Storage.MAYBE:
        assert shares == (row.storage is Storage.VIEW)
    if row.elements in (Elements.KEPT, Elements.ARRANGED):
        values = set(tensor.flatten().tolist())
        assert all(set(one.flatten().tolist()) <= values for one in parts)


def z(*shape):
    return torch.zeros(shape)


# Calls of the others, with all their arguments.
WHOLE_CALLS = [
    ("where", (z(2, 1) > 0, z(2, 3), z(3)), (2, 3)),
    ("addcmul", (z(2, 3), z(2, 3), z(3)), (2, 3)),
    ("addmm", (z(2, 3), z(2, 4), z(4, 3)), (2, 3)),
    ("baddbmm", (z(2, 3, 5), z(2, 3, 4), z(2, 4, 5)), (2, 3, 5)),
    ("atleast_1d", (z(),), (1,)),
    ("atleast_2d", (z(3),), (1, 3)),
    ("bilinear", (z(2, 3), z(2, 4), z(5, 3, 4), z(5)), (2, 5)),
    ("cat", ([z(2, 3), z(4, 3)],), (6, 3)),
    ("hstack", ([z(2, 3), z(2, 4)],), (2, 7)),
    ("column_stack", ([z(2, 3), z(2, 4)],), (2, 7)),
    ("stack", ([z(2, 3), z(2, 3)], 1), (2, 2, 3)),
    ("vstack", ([z(2, 3), z(4, 3)],), (6, 3)),
    ("dstack", ([z(2, 3), z(2, 3)],), (2, 3, 2)),
    ("block_diag", (z(2, 3), z(4, 5)), (6, 8)),
    ("mm", (z(2, 3), z(3, 4)), (2, 4)),
    ("mv", (z(2, 3), z(3)), (2,)),
    ("dot", (z(3), z(3)), ()),
    ("t", (z(2, 3),), (3, 2)),
    ("einsum", ("ab,bc->ac", z(2, 3), z(3, 4)), (2, 4)),
    ("embedding", (torch.tensor([[0, 1, 1]]), z(5, 4)), (1, 3, 4)),
    ("embedding_bag", (torch.tensor([[0, 1, 1]]), z(5, 4)), (1, 4)),
    ("view_as_complex", (z(3, 2),), (3,)),
    ("view_as_real", (z(3).to(torch.complex64),), (3, 2)),
    ("conv2d", (z(2, 4, 8, 6), z(6, 2, 3, 3), z(6), 2, 1, 1, 2), (2, 6, 4, 3)),
    ("conv3d", (z(2, 3, 8, 6, 4), z(5, 3, 3, 3, 3), None, (2, 1, 1)), (2, 5, 3, 4, 2)),
    ("conv_transpose2d", (z(2, 4, 8, 6), z(4, 5, 3, 3), z(5), 2, 1, 1, 1, 2), (2, 5, 18, 14)),
    ("conv_transpose3d", (z(2, 3, 4, 4, 4), z(3, 5, 2, 2, 2), None, 2), (2, 5, 8, 8, 8)),
    ("max_pool2d", (z(2, 3, 8, 6), 3, 2, 1), (2, 3, 4, 3)),
    ("max_pool3d", (z(2, 3, 8, 6, 4), 2), (2, 3, 4, 3, 2)),
    ("avg_pool2d", (z(2, 3, 8, 6), 3, 2, 1), (2, 3, 4, 3)),
    ("avg_pool3d", (z(2, 3, 8, 6, 4), 2), (2, 3, 4, 3, 2)),
    ("lp_pool2d", (z(2, 3, 8, 6), 2, 2), (2, 3, 4, 3)),
    ("lp_pool3d", (z(2, 3, 8, 6, 4), 2, 2), (2, 3, 4, 3, 2)),
    ("adaptive_avg_pool2d", (z(2, 3, 8, 6), 1), (2, 3, 1, 1)),
    ("adaptive_avg_pool3d", (z(2, 3, 8, 6, 4), (1, 2, 3)), (2, 3, 1, 2, 3)),
    ("adaptive_max_pool2d", (z(2, 3, 8, 6), 1), (2, 3, 1, 1)),
    ("adaptive_max_pool3d", (z(2, 3, 8, 6, 4), 1), (2, 3, 1, 1, 1)),
    ("pixel_shuffle", (z(2, 8, 3, 5), 2), (2, 2, 6, 10)),
    ("pixel_unshuffle", (z(2, 2, 6, 10), 2), (2, 8, 3, 5)),
    ("unfold", (z(2, 3, 4, 5), 2), (2, 12, 12)),
    ("fold", (z(2, 12, 12), (4, 5), 2), (2, 3, 4, 5)),
]


@pytest.mark.parametrize(("name", "args", "shape"), WHOLE_CALLS)
def test_a_call_with_all_its_arguments_gives_a_tensor_of_this_shape(name, args, shape):
    row = operation(name)
    many = [parameter.many for parameter in row.parameters]
    assert len(args) <= len(many) or any(many)
    found = getattr(HOMES[row.homes[0]], name)(*args)
    assert tuple(found.shape) == shape
    storages = {one.untyped_storage().data_ptr() for one in args if isinstance(one, Tensor) and one.numel()}
    if row.storage is not Storage.MAYBE:
        assert (found.untyped_storage().data_ptr() in storages) == (row.storage is Storage.VIEW)


def test_every_operation_of_torch_that_has_a_row_is_run_here():
    called = {name for name, _, _ in (*CALLS, *WHOLE_CALLS)} | {row.name for row in SAME}
    nothing = (Axes.NONE, Axes.MADE)  # they have no tensor that could be looked at
    missing = {row.name for row in ROWS if (row.homes or row.method) and row.axes not in nothing} - called
    assert not missing


def test_the_one_that_changes_its_tensor_is_the_same_row():
    assert operation("add_").storage is Storage.IN_PLACE
    assert operation("add_").operator == "+"
    assert operation("nothing_") is None
    assert operation("__add__") is None


def test_what_a_parameter_of_a_model_is_to_a_function_stands_in_its_row():
    roles = {one.name: one.role for one in operation("batch_norm").parameters if one.role}
    assert roles == {"running_mean": "mean", "running_var": "var", "weight": "scale", "bias": "bias"}
    assert operation("addmm").parameters[2].role == "right of @"
