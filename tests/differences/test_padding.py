"""Convolutions of the same weights that stand, step or pad otherwise."""

import equinox
import jax
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from mlx import nn

from ml_switcheroo import recipes
from ml_switcheroo.differences import is_difference
from ml_switcheroo.differences.padding import said_of_padding
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.sources.findings import Finding


def notes(torch_layer, live, to):
    holder = torch.nn.ModuleDict({"m": torch_layer})
    return make_plan(holder.state_dict(), to=to, layers=holder, like=live).notes


def of_nnx(torch_layer, channels=(4, 6), size=(3, 3), cls=nnx.Conv, **made):
    live = nnx.eval_shape(lambda: nnx.Dict(m=cls(*channels, size, rngs=nnx.Rngs(0), **made)))
    return notes(torch_layer, live, "nnx")


def of_mlx(torch_layer, module):
    model = nn.Module()
    model.m = module
    return notes(torch_layer, model, "mlx")


class Held(equinox.Module):
    m: equinox.Module


def of_equinox(torch_layer, cls=equinox.nn.Conv2d, **made):
    return notes(torch_layer, Held(cls(4, 6, 3, key=jax.random.key(0), **made)), "equinox")


def of_keras(torch_layer, layer):
    x = keras.Input((8, 8, 4))
    return notes(torch_layer, keras.Model(x, layer(x)), "keras")


def test_another_stride_is_said_in_every_target_that_shows_it():
    layer = torch.nn.Conv2d(4, 6, 3, stride=2)
    (note,) = of_nnx(layer, padding="VALID")
    assert note == "conv: strides is 1 in the target, stride is (2, 2) in PyTorch: m"
    assert not of_nnx(layer, strides=2, padding="VALID")
    assert not of_nnx(layer, strides=(2, 2), padding=0)
    (note,) = of_mlx(layer, nn.Conv2d(4, 6, 3))
    assert "stride is (1, 1) in the target, stride is (2, 2) in PyTorch" in note
    assert not of_mlx(layer, nn.Conv2d(4, 6, 3, stride=2))
    (note,) = of_equinox(layer)
    assert "stride is (1, 1) in the target" in note
    assert not of_equinox(layer, stride=2)
    (note,) = of_keras(layer, keras.layers.Conv2D(6, 3, name="m"))
    assert "strides is (1, 1) in the target, stride is (2, 2) in PyTorch" in note
    assert not of_keras(layer, keras.layers.Conv2D(6, 3, strides=2, name="m"))


def test_another_dilation_and_number_of_groups_are_said():
    layer = torch.nn.Conv2d(4, 6, 3, dilation=2, padding=2)
    (note,) = of_nnx(layer, padding=2)
    assert "kernel_dilation is 1 in the target, dilation is (2, 2) in PyTorch" in note
    assert not of_nnx(layer, kernel_dilation=2, padding="SAME")
    grouped = torch.nn.Conv2d(4, 6, 3, groups=2)
    (note,) = of_nnx(grouped, channels=(2, 6), padding="VALID")
    assert "feature_group_count is 1 in the target, groups is 2 in PyTorch" in note
    assert not of_nnx(grouped, feature_group_count=2, padding="VALID")


@pytest.mark.parametrize("step", ["1", "2"])
def test_a_step_is_compared_where_the_code_is_read_and_nowhere_else(step, tmp_path):
    code = (
        "from torch import nn\nclass Net(nn.Module):\n"
        "    def __init__(self, s):\n        super().__init__()\n"
    )
    state = {"m.weight": np.ones((6, 4, 3, 3), np.float32), "m.bias": np.ones(6, np.float32)}
    live = nnx.eval_shape(
        lambda: nnx.Dict(m=nnx.Conv(4, 6, (3, 3), strides=2, padding="VALID", rngs=nnx.Rngs(0)))
    )

    def of(argument):
        path = tmp_path / f"model{len(argument)}.py"
        path.write_text(f"{code}        self.m = nn.Conv2d(4, 6, 3{argument})\n")
        return make_plan(state, to="nnx", layers=f"{path}:Net", like=live).notes

    differs = any(
        "strides is 2 in the target, stride is 1 in PyTorch" in note for note in of(f", stride={step}")
    )
    assert differs == (step == "1")
    assert any("strides is 2 in the target, stride is 1 in PyTorch" in note for note in of(""))
    assert not any("stride" in note for note in of(",stride=s"))
    assert not make_plan(state, to="nnx", like=live).notes
    assert not make_plan(state, to="nnx", layers={"m": "Conv2d"}, like=live).notes


def test_numbers_on_both_sides_are_compared_pair_by_pair():
    layer = torch.nn.Conv2d(4, 6, 3, padding=(1, 2))
    for same in ([(1, 1), (2, 2)], (1, 2)):
        assert not of_nnx(layer, padding=same)
    assert not of_mlx(layer, nn.Conv2d(4, 6, 3, padding=(1, 2)))
    assert not of_equinox(layer, padding=(1, 2))
    found = (*of_nnx(layer, padding=(2, 1)), *of_nnx(layer, padding=[(1, 1), (1, 2)]))
    assert len(found) == 2
    for note in found:
        assert "padding is (1, 2) in PyTorch" in note
        assert is_difference(note)
    assert len(of_mlx(layer, nn.Conv2d(4, 6, 3, padding=1))) == 1


def test_a_port_may_pad_before_its_layer_so_this_is_a_question():
    layer = torch.nn.Conv2d(4, 6, 3, padding=1)
    (note,) = of_keras(layer, keras.layers.Conv2D(6, 3, name="m"))
    assert note == (
        "conv: padding is valid in the target, padding is (1, 1) in PyTorch"
        " (right where the port pads before this layer): m"
    )
    assert not is_difference(note)
    (note,) = of_nnx(torch.nn.Conv2d(4, 6, 3))
    assert "padding is SAME in the target, padding is (0, 0) in PyTorch" in note
    assert "PyTorch's model pads before" in note
    assert not is_difference(note)


def test_same_is_pytorchs_padding_at_step_one_and_not_for_every_size_at_step_two():
    assert not of_keras(
        torch.nn.Conv2d(4, 6, 3, padding=1), keras.layers.Conv2D(6, 3, padding="same", name="m")
    )
    assert not of_keras(
        torch.nn.Conv2d(4, 6, 4, padding="same"), keras.layers.Conv2D(6, 4, padding="same", name="m")
    )
    layer = keras.layers.Conv2D(6, 3, strides=2, padding="same", name="m")
    (note,) = of_keras(torch.nn.Conv2d(4, 6, 3, padding=1, stride=2), layer)
    assert "the same only for inputs whose sizes leave 1 when divided by the stride" in note
    assert is_difference(note)
    assert not of_keras(
        torch.nn.Conv2d(4, 6, 1, stride=2), keras.layers.Conv2D(6, 1, strides=2, padding="same", name="m")
    )


def test_a_patch_is_as_long_as_its_step_and_no_difference_for_whole_images():
    layer = keras.layers.Conv2D(6, 2, strides=2, padding="same", name="m")
    (note,) = of_keras(torch.nn.Conv2d(4, 6, 2, stride=2), layer)
    assert "right where the sizes of the input are multiples of the stride" in note
    assert not is_difference(note)


def test_the_words_stand_for_the_rows_that_the_frameworks_pad():
    for size in (6, 7, 8, 9):
        for stride, padding, kernel in ((1, 1, 3), (2, 1, 3), (2, 3, 7), (3, 1, 3), (2, 0, 2)):
            theirs = torch.nn.Conv1d(1, 1, kernel, stride=stride, padding=padding, bias=False)
            ours = jax.lax.conv_general_dilated(
                np.arange(1.0, size + 1, dtype=np.float32)[None, None],
                theirs.weight.detach().numpy(),
                (stride,),
                "SAME",
            )
            expected = theirs(torch.arange(1.0, size + 1)[None, None]).detach().numpy()
            agree = expected.shape == ours.shape and np.allclose(expected, ours, atol=1e-5)
            args = {"kernel_size": kernel, "stride": stride, "padding": padding}
            attributes = {"strides": stride, "padding": "SAME"}
            said = said_of_padding(
                recipes.Padding("strides", "d"), Finding("conv", "live", "", args=args), attributes
            )
            if agree:
                assert (
                    not said
                    or f"leave {size % stride}" in said
                    or (size % stride == 0 and "multiples" in said)
                )
            else:
                assert said
                assert f"leave {size % stride}" not in said
                assert size % stride or "multiples" not in said


def test_something_else_to_pad_with_is_said():
    layer = torch.nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular")
    for found in (
        of_nnx(layer, padding=1),
        of_keras(layer, keras.layers.Conv2D(6, 3, padding="same", name="m")),
    ):
        (note,) = found
        assert "pads with zeros in the target, padding_mode is circular in PyTorch" in note
    assert not of_nnx(layer, padding="CIRCULAR")
    assert not of_equinox(layer, padding=1, padding_mode="CIRCULAR")
    (note,) = of_nnx(torch.nn.Conv2d(4, 6, 3, padding=1), padding="REFLECT")
    assert "pads with reflect in the target, padding_mode is zeros in PyTorch" in note


@pytest.mark.parametrize(("kernel", "stride", "padding", "extra"), [(3, 2, 1, 1), (4, 2, 1, 0), (3, 1, 0, 0)])
def test_a_transposed_convolution_is_compared_by_the_rows_that_it_cuts_off(kernel, stride, padding, extra):
    layer = torch.nn.ConvTranspose2d(4, 4, kernel, stride, padding, output_padding=extra)
    made = {"stride": stride, "padding": padding, "output_padding": extra}
    assert not of_mlx(layer, nn.ConvTranspose2d(4, 4, kernel, **made))
    held = Held(equinox.nn.ConvTranspose2d(4, 4, kernel, key=jax.random.key(0), **made))
    assert not notes(layer, held, "equinox")
    spread = {"strides": stride, "cls": nnx.ConvTranspose, "channels": (4, 4), "size": (kernel, kernel)}
    rows = (kernel - 1 - padding, kernel - 1 - padding + extra)
    assert not [note for note in of_nnx(layer, padding=[rows, rows], **spread) if "padding" in note]
    found = of_nnx(layer, padding=[(rows[0] + 1, rows[1] + 1)] * 2, **spread)
    assert any("padding is" in note for note in found)
    if padding:
        cut = of_keras(layer, keras.layers.Conv2DTranspose(4, kernel, strides=stride, name="m"))
        assert any("right where the port cuts the output as much" in note for note in cut)


def test_the_words_of_transposed_convolutions_stand_for_the_rows_that_the_frameworks_cut_off():
    x = np.arange(1.0, 6, dtype=np.float32)
    for kernel, stride, padding, extra in (
        (4, 2, 1, 0),
        (3, 2, 1, 1),
        (3, 2, 0, 1),
        (3, 1, 1, 0),
        (2, 3, 0, 1),
    ):
        layer = torch.nn.ConvTranspose1d(1, 1, kernel, stride, padding, output_padding=extra, bias=False)
        expected = layer(torch.from_numpy(x)[None, None]).detach().numpy().ravel()
        weight = layer.weight.detach().numpy().transpose(2, 1, 0)
        args = {"kernel_size": kernel, "stride": stride, "padding": padding, "output_padding": extra}
        finding = Finding("conv_transpose", "live", "", args=args)
        for word in ("same", "valid"):
            spread = jax.lax.conv_transpose(
                x[None, :, None],
                weight[::-1],
                (stride,),
                word.upper(),
                dimension_numbers=("NHC", "HIO", "NHC"),
            )
            cut = keras.ops.conv_transpose(x[None, :, None], weight, stride, word)
            for found, counts in ((spread, "spread"), (cut, "cut")):
                found = np.asarray(found).ravel()
                agree = found.shape == expected.shape and np.allclose(found, expected, atol=1e-5)
                said = said_of_padding(
                    recipes.Padding("strides", "d", transposed=counts),
                    finding,
                    {"strides": stride, "padding": word},
                )
                assert agree == (not said), (kernel, stride, padding, extra, word, counts, said)


class PaddingPort(nnx.Module):
    """Pads by itself, as PyTorch's layer does."""

    def __init__(self, rngs):
        self.m = nnx.Conv(4, 6, (3, 3), padding="VALID", rngs=rngs)

    def __call__(self, x):
        return self.m(jax.numpy.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))


class Padded(torch.nn.Module):
    """Pads by itself, as the port's layer does."""

    def __init__(self):
        super().__init__()
        self.m = torch.nn.Sequential(torch.nn.ZeroPad2d(1), torch.nn.Conv2d(4, 6, 3))


def test_nothing_is_asked_beside_something_that_pads():
    live = nnx.eval_shape(lambda: PaddingPort(nnx.Rngs(0)))
    assert not notes(torch.nn.Conv2d(4, 6, 3, padding=1), live, "nnx")
    model = Padded()
    live = nnx.eval_shape(lambda: nnx.Dict(m=nnx.List([None, nnx.Conv(4, 6, (3, 3), rngs=nnx.Rngs(0))])))
    assert not make_plan(model.state_dict(), to="nnx", layers=model, like=live).notes
