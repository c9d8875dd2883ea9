"""What is not known is a gap that says why and where, and never a guess."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from drawing import HEAD, agrees, made, shown, specs_of
from ml_switcheroo.errors import SourceError
from ml_switcheroo.graph.graph import Line
from ml_switcheroo.graph.of_source.entry import draw_live, draw_source
from ml_switcheroo.tensors import TensorSpec

IMAGE = ((2, 3), "float32")


def draw(folder, forward, inputs=(IMAGE,), init="pass", more="", specs=None, words=None):
    text = f"class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {init}\n\n"
    text += textwrap.indent(textwrap.dedent(forward).strip() + "\n", "    ")
    (folder / "model.py").write_text(HEAD + textwrap.dedent(more) + "\n\n" + text, encoding="utf-8")
    return draw_source("model.py:Net", specs or {}, list(inputs), words or {}, root=folder)


GAPS = [
    ("if x.sum() > 0:\n    return x\nreturn -x", "x.sum() > 0"),
    ("return x if x.mean() > 0 else -x", "x.mean() > 0"),
    ("while x.sum() < 3:\n    x = x * 2\nreturn x", "x.sum() < 3"),
    ("for i in range(int(x.sum())):\n    x = x + 1\nreturn x", "int of what depends on the input"),
    ("return x[x > 0]", "a mask that chooses elements depends on the input"),
    ("return torch.nonzero(x)", "nonzero"),
    ("return x + torch.randn(3)", "randn draws at random"),
    ("return F.dropout(x, 0.5)", "dropout in training draws at random"),
    ("return torch.fft.rfft(x)", "torch.fft.rfft is not known"),
    ("return torch.linalg.svd(x)[0]", "torch.linalg.svd is not known"),
    ("return x.not_a_method()", "not_a_method of a tensor is not known"),
    ("return self.missing(x)", "AttributeError"),
    ("raise ValueError('never')", "ValueError"),
    ("return x @ x", "product of (2, 3) and (2, 3)"),
    ("return x.view(4, 2)", "(4, 2)"),
    ("y = x.t()\ny.add_(1)\nreturn x + 1", "changed through another tensor"),
    ("y = x.flatten()\nx.mul_(2)\nreturn y", "changed through another tensor"),
    ("return x.topk(int(x.max()))[0]", "int of what depends on the input"),
    ("return unknown_function(x)", "unknown"),
    ("return torch.zeros(x.shape[0], int(x[0, 0]))", "int of what depends on the input"),
    ("return hasattr(x, 'strange') and x", "is not known"),
    ("return F.one_hot(x.long())", "how many classes there are depends on the input"),
    ("return (x.long() & 3)", "bits"),
    ("", "gives no tensor"),
]


@pytest.mark.parametrize(("body", "why"), GAPS)
def test_what_nobody_knows_is_a_gap(tmp_path, body, why):
    graph = draw(tmp_path, f"def forward(self, x):\n{textwrap.indent(body or 'pass', '    ')}")
    assert any(why in gap for gap in graph.gaps), graph.gaps
    assert depends(graph, graph.outputs[0])


def depends(graph, number):
    """Tell whether a node comes from a gap."""
    node = graph.nodes[number]
    gap = node.op == "call" and node.params["run"] is None
    return gap or any(depends(graph, one) for one in node.operands)


def test_a_gap_says_where(tmp_path):
    graph = draw(tmp_path, "def forward(self, x):\n    y = x + 1\n    return torch.fft.fft(y)")
    line = (tmp_path / "model.py").read_text().splitlines().index("        return torch.fft.fft(y)") + 1
    assert graph.gaps == (f"model.py:{line}: torch.fft.fft is not known",)


def test_what_is_behind_a_gap_of_a_known_shape_is_drawn(tmp_path):
    graph = draw(tmp_path, "def forward(self, x):\n    return (x + torch.randn_like(x)).sum(1)")
    assert len(graph.gaps) == 1
    assert graph.nodes[graph.outputs[0]].shape == (2,)


def test_what_does_not_depend_on_a_gap_is_drawn(tmp_path):
    graph = draw(tmp_path, "def forward(self, x):\n    return x + 1, torch.fft.fft(x)")
    assert graph.nodes[graph.outputs[0]].op == "add"
    assert len(graph.outputs) == 2


def test_what_was_drawn_before_the_end_stays(tmp_path):
    graph = draw(
        tmp_path, "def forward(self, x):\n    x = x * 2\n    if x.sum() > 0:\n        x = -x\n    return x"
    )
    (last,) = graph.outputs
    assert graph.nodes[last].op == "call"
    assert any(graph.nodes[one].op == "gt" for one in graph.nodes[last].operands)


def test_hooks_of_the_program_are_a_gap(tmp_path):
    forward = "def forward(self, x):\n    return self.layer(x)"
    init = "self.layer = nn.ReLU(); self.layer.register_forward_hook(lambda module, args, out: out * 2)"
    assert any("hooks" in gap for gap in draw(tmp_path, forward, init=init).gaps)


def test_a_parameter_that_the_checkpoint_lacks_is_a_gap(tmp_path):
    init = "self.weight = nn.Parameter(torch.ones(3))"
    graph = draw(tmp_path, "def forward(self, x):\n    return x * self.weight", init=init)
    assert any("the checkpoint lacks" in gap for gap in graph.gaps)


def test_a_loop_over_layers_that_nobody_can_count_is_a_gap(tmp_path):
    init = "self.layers = nn.ModuleList([nn.ReLU() for _ in range(elsewhere.count())])"
    graph = draw(
        tmp_path,
        "def forward(self, x):\n    for one in self.layers:\n        x = one(x)\n    return x",
        init=init,
        more="import elsewhere",
    )
    assert any("a loop over what is not known" in gap for gap in graph.gaps)


def test_a_file_without_the_class_is_an_error(tmp_path):
    (tmp_path / "model.py").write_text(HEAD)
    with pytest.raises(SourceError, match="has no class Net"):
        draw_source("model.py:Net", {}, [IMAGE], root=tmp_path)


def test_each_node_says_where_it_stands_and_what_it_is_called(tmp_path):
    init = "self.stem = nn.Sequential(nn.Linear(3, 3), nn.ReLU())"
    specs = {
        f"stem.0.{name}": TensorSpec(shape, "float32") for name, shape in (("weight", (3, 3)), ("bias", (3,)))
    }
    graph = draw(tmp_path, "def forward(self, x):\n    return self.stem(x).tanh()", init=init, specs=specs)
    words = {node.op: node.word for node in graph.nodes if node.op in ("dot", "max", "tanh")}
    assert words == {"dot": "stem.0", "max": "stem.1", "tanh": "tanh"}
    text = (tmp_path / "model.py").read_text().splitlines()
    line = Line("model.py", text.index("        return self.stem(x).tanh()") + 1)
    assert {node.line for node in graph.nodes if node.op in words} == {line}


def test_inputs_may_be_dictionaries_and_come_by_name(tmp_path):
    forward = """
        def forward(self, batch, mask=None, scale=2.0, deep=False):
            x = batch["a"] * scale + batch["b"]["c"][0]
            if mask is not None:
                x = x.masked_fill(mask, 0.0)
            return {"x": x, "y": [x + 1]} if deep else x
    """
    args = [{"a": torch.ones(2, 3), "b": {"c": [torch.ones(3)]}}]
    words = {"mask": torch.tensor([True, False, True]), "deep": True}
    given = {"words": {name: shown(value) for name, value in words.items()}}
    graph = draw(tmp_path, forward, [shown(one) for one in args], **given)
    assert len(graph.outputs) == 2
    assert [graph.nodes[one].shape for one in graph.inputs] == [(2, 3), (3,), (3,)]
    net = made(tmp_path / "model.py")
    values = {**words}
    assert graph.gaps == ()
    agrees(graph, net, args, {"mask": values["mask"], "deep": True})


def test_outputs_may_be_attributes_of_a_dataclass(tmp_path):
    more = """
        from dataclasses import dataclass


        @dataclass
        class Out:
            logits: torch.Tensor
            hidden: torch.Tensor = None
    """
    graph = draw(tmp_path, "def forward(self, x):\n    return Out(x + 1, hidden=x * 2)", more=more)
    agrees(graph, made(tmp_path / "model.py"), [torch.ones(2, 3)])
    assert [graph.nodes[one].op for one in graph.outputs] == ["add", "mul"]


def test_arguments_of_the_constructor_are_those_of_the_checkpoint(tmp_path):
    text = """
        class Net(nn.Module):
            def __init__(self, width=4, depth=1, heads=2):
                super().__init__()
                self.width = width
                self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])

            def forward(self, x):
                for layer in self.layers:
                    x = layer(x) * self.width
                return x
    """
    (tmp_path / "model.py").write_text(HEAD + textwrap.dedent(text))
    net = made(tmp_path / "model.py", width=6, depth=3)
    x = torch.ones(2, 6)
    agrees(draw_source("model.py:Net", specs_of(net.state_dict()), [shown(x)], root=tmp_path), net, [x])


def test_a_buffer_that_no_state_dict_has_is_what_the_constructor_makes_of_it(tmp_path):
    init = 'self.register_buffer("scale", torch.arange(3).float() ** 2 / 7, persistent=False)'
    graph = draw(tmp_path, "def forward(self, x):\n    return x * self.scale", init=init)
    assert not graph.leaves
    agrees(graph, made(tmp_path / "model.py"), [torch.ones(2, 3)])


def test_a_buffer_of_a_live_module_is_what_it_holds(tmp_path):
    init = 'self.register_buffer("scale", torch.rand(3), persistent=False); self.plain = torch.rand(3)'
    draw(tmp_path, "def forward(self, x):\n    return x * self.scale + self.plain", init=init)
    net, x = made(tmp_path / "model.py"), torch.ones(2, 3)
    agrees(draw_live(net, {}, [shown(x)]), net, [x])


def test_wrappers_of_torch_are_seen_through(tmp_path):
    draw(tmp_path, "def forward(self, x):\n    return self.layer(x)", init="self.layer = nn.Linear(3, 2)")
    net, x = made(tmp_path / "model.py"), torch.ones(2, 3)
    graph = draw_live(torch.nn.DataParallel(net), specs_of(net.state_dict()), [shown(x)])
    agrees(graph, net, [x])


def test_tied_parameters_are_one_leaf(tmp_path):
    text = """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.table, self.out = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
                self.out.weight = self.table.weight

            def forward(self, x):
                return self.out(self.table(x))
    """
    (tmp_path / "model.py").write_text(HEAD + textwrap.dedent(text))
    net, x = made(tmp_path / "model.py"), torch.tensor([[1, 4]])
    for specs in (specs_of(net.state_dict()), {"table.weight": TensorSpec((5, 3), "float32")}):
        graph = draw_source("model.py:Net", specs, [shown(x)], root=tmp_path)
        assert [*graph.leaves] == ["table.weight"]
        agrees(graph, net, [x])
        assert [*draw_live(net, specs, [shown(x)]).leaves] == ["table.weight"]


def test_control_flow_by_shapes_and_modes_is_decided(tmp_path):
    forward = """
        def forward(self, x, y=None):
            assert x.dim() == 2, f"{x.shape}"
            if self.training or torch.jit.is_scripting():
                raise RuntimeError("not here")
            if y is None and len(x) == 2 and isinstance(x, torch.Tensor):
                y = x.new_zeros(x.size(-1))
            with torch.no_grad(), torch.autocast("cpu"):
                n, d = x.shape
                x = x.to(x.device, dtype=x.dtype) + y
            return x / math.sqrt(d) if x.dtype == torch.float32 and x.device.type == "cpu" else x
    """
    graph = draw(tmp_path, forward)
    agrees(graph, made(tmp_path / "model.py"), [torch.ones(2, 3)])


def test_functions_of_autograd_and_checkpoints_are_entered(tmp_path):
    more = """
        from torch.utils.checkpoint import checkpoint


        class Twice(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, y):
                ctx.save_for_backward(x)
                return x * 2 + y

            @staticmethod
            def backward(ctx, grad):
                return grad * 2, grad
    """
    forward = "def forward(self, x):\n    return checkpoint(self.inner, x, use_reentrant=False)\n\n"
    forward += "def inner(self, x):\n    return Twice.apply(x, x)"
    graph = draw(tmp_path, forward, more=more)
    agrees(graph, made(tmp_path / "model.py"), [torch.ones(2, 3)])


def test_parameters_are_those_of_the_checkpoint_without_its_buffers(tmp_path):
    init = "self.norm = nn.BatchNorm1d(3); self.register_buffer('shift', torch.ones(3))"
    forward = "def forward(self, x):\n    x = self.norm(x + self.shift).to(next(self.parameters()).dtype)\n"
    forward += "    return x, sum(p.sum() for p in self.parameters()), [b.sum() for b in self.buffers()][0]"
    draw(tmp_path, forward, init=init)
    net, x = made(tmp_path / "model.py"), torch.ones(2, 3)
    specs = specs_of(net.state_dict())
    agrees(draw_source("model.py:Net", specs, [shown(x)], root=tmp_path), net, [x])
    agrees(draw_live(net, specs, [shown(x)]), net, [x])


def test_a_dictionary_of_layers_may_have_attributes_of_its_own(tmp_path):
    more = """
        class Block(nn.ModuleDict):
            def __init__(self):
                super().__init__()
                self.scale = 2.0
                for i in range(2):
                    self.add_module(f"layer{i}", nn.Linear(3, 3))

            def forward(self, x):
                for name, layer in self.items():
                    x = layer(x) * self.scale
                return x
    """
    draw(tmp_path, "def forward(self, x):\n    return self.block(x)", init="self.block = Block()", more=more)
    net, x = made(tmp_path / "model.py"), torch.ones(2, 3)
    specs = specs_of(net.state_dict())
    agrees(draw_source("model.py:Net", specs, [shown(x)], root=tmp_path), net, [x])
    agrees(draw_live(net, specs, [shown(x)]), net, [x])


def test_nothing_of_torch_is_imported():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['einops'] = None;"
        "from ml_switcheroo.graph.of_source.entry import draw_source;"
        "from ml_switcheroo.tensors import TensorSpec;"
        "specs = {'layer.weight': TensorSpec((2, 3), 'float32')};"
        "graph = draw_source('plain.py:Net', specs, [((4, 3), 'float32')]);"
        "print(graph.gaps, graph.nodes[graph.outputs[0]].shape)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER
    )
    assert found.stdout == "() (4, 2)\n"


FOLDER = Path(__file__).parent / "networks"
