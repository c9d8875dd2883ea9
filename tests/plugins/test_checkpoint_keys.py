"""The behaviour of the specification, one test for each of its sentences."""

import ast
import subprocess
import sys
import warnings

import libcst as cst
import ml_dtypes
import numpy as np
import pytest
import torch

from ml_switcheroo.codemod.operations import find_operation
from ml_switcheroo.codemod.rewriter import rewrite
from ml_switcheroo.core.hooks import HookContext, find_hook
from ml_switcheroo.plugins.checkpoint_keys import (
    KEY_MAPPER_SOURCE,
    transform_checkpoint_copy,
    transform_checkpoint_keys,
    transform_checkpoint_load,
)
from ml_switcheroo.runtime import KeyMapper
from rewriting import check_rewritten, check_unchanged


def transformed(code, hook=transform_checkpoint_keys, **context):
    node = hook(cst.parse_expression(code), HookContext(**context))
    return cst.Module([]).code_for_node(node)


def pasted():
    """Return KeyMapper as it is in a file that it was injected into."""
    namespace = {}
    exec(KEY_MAPPER_SOURCE, namespace)
    return namespace["KeyMapper"]


@pytest.fixture(params=["imported", "pasted"])
def mapper(request):
    return KeyMapper if request.param == "imported" else pasted()


# ---- the hook ---------------------------------------------------------------------------------


def test_positional_state():
    assert transformed("model.load_state_dict(state)") == "KeyMapper.from_torch(state)"


def test_state_dict_keyword():
    assert transformed("model.load_state_dict(state_dict=sd)") == "KeyMapper.from_torch(sd)"
    assert transformed("model.load_state_dict(strict=False, state_dict=sd)") == "KeyMapper.from_torch(sd)"


@pytest.mark.parametrize("strict", ["strict=True", "strict=False", "True", "False", "strict=args.strict"])
def test_strict_in_either_form_is_dropped(strict):
    assert transformed(f"model.load_state_dict(state, {strict})") == "KeyMapper.from_torch(state)"


def test_a_call_without_arguments_is_unchanged():
    node = cst.parse_expression("model.load_state_dict()")
    ctx = HookContext()
    assert transform_checkpoint_keys(node, ctx) is node
    assert transform_checkpoint_load(node, ctx) is node
    assert not ctx.preambles


@pytest.mark.parametrize("arguments", ["*args", "**kwargs", "strict=False"])
def test_a_call_that_hides_its_state_is_unchanged(arguments):
    node = cst.parse_expression(f"model.load_state_dict({arguments})")
    assert transform_checkpoint_keys(node, HookContext()) is node


def test_the_state_is_kept_as_it_is_written():
    code = 'net.load_state_dict(torch.load(path,  map_location="cpu")["model"], strict=False)'
    assert transformed(code) == 'KeyMapper.from_torch(torch.load(path,  map_location="cpu")["model"])'


@pytest.mark.parametrize(
    "arguments", ["sd", "sd, strict=False", "sd, False", "state_dict=sd", "*args", "**kwargs"]
)
def test_a_live_model_gets_load_into_with_the_same_arguments(arguments):
    after = transformed(f"model.load_state_dict({arguments})", transform_checkpoint_load)
    assert after == f"KeyMapper.load_into(model, {arguments})"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("t.load_state_dict(o.state_dict())", "KeyMapper.copy_into(t, o)"),
        ("t.load_state_dict(o.state_dict(), False)", "KeyMapper.copy_into(t, o, False)"),
        ("a.t.load_state_dict(o[0].state_dict(), strict=s, )", "KeyMapper.copy_into(a.t, o[0], strict=s, )"),
        ("t.load_state_dict(strict=s, state_dict=o.state_dict())", "KeyMapper.copy_into(t, o, strict=s)"),
        ("t.load_state_dict(o.state_dict(), **more)", "KeyMapper.copy_into(t, o, **more)"),
        ("t.load_state_dict(o.state_dict(prefix='a'))", None),
        ("t.load_state_dict(sd)", None),
        ("t.load_state_dict()", None),
        ("load_state_dict(o.state_dict())", None),
    ],
)
def test_a_copy_between_two_live_objects(before, after):
    assert transformed(before, transform_checkpoint_copy) == (after or before)


@pytest.mark.parametrize("arguments", ["sd", "sd, ", "sd, strict=False", "**words", "\n    sd,\n"])
def test_the_report_is_asked_for_where_both_are_bound(arguments):
    ctx = HookContext(target="equinox", settings={"with_report": True})
    node = cst.parse_expression(f"net.load_state_dict({arguments})")
    code = cst.Module([]).code_for_node(transform_checkpoint_load(node, ctx))
    call = ast.parse(code, mode="eval").body
    assert ast.unparse(call.keywords[-1]) == "with_report=True"
    assert "".join(code.split()).startswith(
        "KeyMapper.load_into(net," + "".join(arguments.split()).strip(",")
    )


def test_the_api_table_sends_the_call_to_the_hook():
    assert find_operation("load_state_dict", "jax").requires_plugin == "checkpoint_mapper"
    assert find_hook("checkpoint_mapper") is transform_checkpoint_keys
    assert find_hook("checkpoint_loader") is transform_checkpoint_load


# ---- injection --------------------------------------------------------------------------------


def test_the_source_is_injected_once_after_docstring_future_and_imports():
    check_rewritten(
        '''
        """Load two models."""
        from __future__ import annotations

        import torch
        from net import A, B  # both

        net_a, net_b = A(), B()
        net_a.load_state_dict(torch.load("a.pt"))
        net_b.load_state_dict(state_dict=torch.load("b.pt"), strict=False)
        ''',
        '''
        """Load two models."""
        from __future__ import annotations

        import torch
        from net import A, B  # both
        #KEYMAPPER
        net_a, net_b = A(), B()
        net_a_params = KeyMapper.from_torch(torch.load("a.pt"))
        net_b_params = KeyMapper.from_torch(torch.load("b.pt"))
        ''',
        to="jax",
        notes=["8: the arrays are in net_a_params", "9: the arrays are in net_b_params"],
    )


def test_a_file_without_calls_is_unchanged():
    check_unchanged(
        """
        import torch
        state = model.state_dict()
        """,
        to="jax",
    )


def test_the_injected_source_runs_with_numpy_alone(tmp_path):
    code = rewrite("model.load_state_dict(state)\n", "jax").code
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "for name in ('torch', 'jax', 'flax', 'ml_switcheroo', 'ml_dtypes'):\n"
        "    sys.modules[name] = None\n"
        "import numpy\n"
        "state = {'layers.0.fc1.weight': numpy.ones((2, 3)), 'layers.0.fc1.bias': numpy.ones(2)}\n"
        + code
        + "print({key: value.shape for key, value in model_params.items()})\n"
    )
    done = subprocess.run([sys.executable, "-I", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "{'layers_0.fc1.kernel': (3, 2), 'layers_0.fc1.bias': (2,)}"


# ---- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mapped"),
    [
        ("fc.bias", "fc.bias"),
        ("layers.0.fc1.weight", "layers_0.fc1.kernel"),
        ("blocks.0.1.weight", "blocks_0_1.kernel"),
        ("0.weight", "0.kernel"),
        ("0.1.weight", "0_1.kernel"),
        ("abnormal_weights.weight", "abnormal_weights.kernel"),
        ("weights.bias_net.weight", "weights.bias_net.kernel"),
        ("bn1.running_var", "bn1.var"),
        ("bn1.running_mean", "bn1.mean"),
        ("running_mean.weight", "running_mean.kernel"),
        ("norm1.weight", "norm1.scale"),
        ("tok_embed.weight", "tok_embed.embedding"),
        ("pos_embed", "pos_embed"),
        ("weight", "kernel"),
        ("", ""),
    ],
)
def test_map_name_replaces_whole_segments_only(mapper, name, mapped):
    assert mapper.map_name(name) == mapped
    assert mapper().map_name(name) == mapped


def test_two_tensors_on_one_key_are_an_error_naming_both(mapper):
    state = {name: np.ones(3) for name in ("layers.0.bias", "layers_0.bias", "other.bias")}
    with pytest.raises(ValueError, match=r"layers\.0\.bias and layers_0\.bias both become layers_0\.bias"):
        mapper.from_torch(state)


# ---- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "shape", "moved"),
    [
        ("fc.weight", (2, 3), (3, 2)),
        ("fc.kernel", (2, 3), (3, 2)),
        ("conv.weight", (8, 4, 3, 5), (3, 5, 4, 8)),
        ("conv.kernel", (8, 4, 3), (3, 4, 8)),
        ("conv.weight", (8, 4, 1, 2, 3), (1, 2, 3, 4, 8)),
        ("fc.bias", (2,), (2,)),
        ("tok.embedding", (9, 4), (9, 4)),
        ("embed.weight", (9, 4), (9, 4)),
        ("norm.weight", (4,), (4,)),
        ("pos_embed", (1, 5, 4), (1, 5, 4)),
    ],
)
def test_map_value_moves_axes(mapper, key, shape, moved):
    value = np.arange(np.prod(shape)).reshape(shape)
    result = mapper.map_value(key, value)
    assert result.shape == moved
    assert sorted(result.flat) == sorted(value.flat)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        torch.arange(6.0).reshape(2, 3),
        torch.arange(6.0).reshape(2, 3).requires_grad_(),
        torch.nn.Parameter(torch.arange(6.0).reshape(2, 3)),
        torch.arange(6.0).reshape(3, 2).T.contiguous().T.reshape(2, 3) * 0 + torch.arange(6.0).reshape(2, 3),
        torch.arange(6.0).reshape(2, 3).bfloat16(),
        torch.arange(6).reshape(2, 3),
    ],
    ids=["array", "tensor", "grad", "parameter", "view", "bf16", "int"],
)
def test_tensors_and_arrays_are_accepted(mapper, value):
    state = {"fc.weight": value, "fc.bias": np.zeros(2, np.float32)}
    result = mapper.from_torch(state)
    assert type(result["fc.kernel"]) is np.ndarray
    assert np.array_equal(result["fc.kernel"].astype(np.float32), [[0, 3], [1, 4], [2, 5]])


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_small_floats_pass_bit_for_bit(mapper, name):
    bits = np.arange(256, dtype=np.uint8 if "8_" in name else np.uint16) * (1 if "8_" in name else 257)
    integers = torch.from_numpy(bits.view(np.int8 if "8_" in name else np.int16))
    result = mapper.map_value("fc.bias", integers.view(getattr(torch, name)))
    assert result.dtype == np.dtype(getattr(ml_dtypes, name))
    assert np.array_equal(result.view(bits.dtype), bits)


def test_bfloat16_without_ml_dtypes_is_widened_exactly(mapper, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    tensor = torch.tensor([1.0, -2.5, 3e38], dtype=torch.bfloat16)
    with pytest.warns(UserWarning, match="float32"):
        result = mapper.map_value("fc.bias", tensor)
    assert result.dtype == np.float32
    assert np.array_equal(result, tensor.float().numpy())


def test_what_is_no_tensor_is_refused_by_name(mapper):
    with pytest.raises(TypeError, match=r"'epoch'.*'model'"):
        mapper.from_torch({"epoch": 3, "model": {"fc.weight": np.ones((2, 2))}})


def test_num_batches_tracked_is_dropped(mapper):
    state = torch.nn.BatchNorm2d(3).state_dict(prefix="bn.")
    assert set(mapper.from_torch(state)) == {"bn.scale", "bn.bias", "bn.mean", "bn.var"}


# ---- kinds ------------------------------------------------------------------------------------


def test_an_embedding_is_not_transposed_where_a_kind_is_given(mapper):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = mapper.from_torch({"tok.weight": np.ones((9, 4))}, kinds={"tok": "embedding"})
    assert {key: value.shape for key, value in result.items()} == {"tok.embedding": (9, 4)}


def test_what_nothing_can_show_is_said(mapper):
    with pytest.warns(UserWarning, match=r'(?s)kinds=.*"tok": "linear".*"embedding"'):
        mapper.from_torch({"tok.weight": np.ones((9, 4))})
    with pytest.raises(ValueError, match=r'(?s)kinds=.*"tok": "linear".*"embedding"'):
        mapper.from_torch({"tok.weight": np.ones((9, 4))}, strict=True)


def test_a_table_of_the_file_settles_what_is_open(mapper, monkeypatch):
    monkeypatch.setattr(mapper, "KINDS", {"tok": "embedding", "of.another.model": "linear"})
    assert set(mapper.from_torch({"tok.weight": np.ones((9, 4))}, strict=True)) == {"tok.embedding"}
    given = mapper.from_torch({"tok.weight": np.ones((9, 4))}, strict=True, kinds={"tok": "linear"})
    assert set(given) == {"tok.kernel"}
