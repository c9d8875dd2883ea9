"""What ``forward`` takes each row of a fused projection for: read from source and from the live module."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest

from ml_switcheroo.sources.findings import Parts
from ml_switcheroo.sources.live import read_module
from ml_switcheroo.sources.static import read_layers
from ml_switcheroo.tensors import TensorSpec

HEAD = """
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange
from einops.layers.torch import Rearrange

ORDER = "vkq"
ACT = {"swish": nn.SiLU(), "gelu": F.gelu}


def attend(queries, keys, values):
    return torch.softmax(queries @ keys.transpose(-2, -1), dim=-1) @ values


class Base(nn.Module):
    def __init__(self, dim=10, heads=5):
        super().__init__()
        self.heads, self.dim = heads, dim // heads
        self.inner = nn.Linear(dim, 3 * dim)
        self.back = nn.Linear(dim, dim)

    def heads_of(self, t):
        b, n, _ = t.shape
        return t.view(b, n, self.heads, self.dim).transpose(1, 2)

    def joined(self, y):
        b, _, n, _ = y.shape
        return self.back(y.transpose(1, 2).reshape(b, n, -1))

"""
ATTENTION = """
class Net(Base):
    def forward(self, x):
        b, n, e = x.shape
{body}
        return self.joined(F.scaled_dot_product_attention(q, k, v))
"""
BLOCKS = {"q": (0, ((5, 2), (2, 1))), "k": (10, ((5, 2), (2, 1))), "v": (20, ((5, 2), (2, 1)))}
KEYS_FIRST = {"k": BLOCKS["q"], "q": BLOCKS["k"], "v": BLOCKS["v"]}
BY_HEAD = {"q": (0, ((5, 6), (2, 1))), "k": (2, ((5, 6), (2, 1))), "v": (4, ((5, 6), (2, 1)))}
BY_ROW = {"q": (0, ((5, 6), (2, 3))), "k": (1, ((5, 6), (2, 3))), "v": (2, ((5, 6), (2, 3)))}
DIMS_FIRST = {"q": (0, ((5, 1), (2, 15))), "k": (5, ((5, 1), (2, 15))), "v": (10, ((5, 1), (2, 15)))}

CUTS = {
    "blocks": ("q, k, v = (self.heads_of(t) for t in self.inner(x).chunk(3, -1))", BLOCKS),
    "keys first": ("k, q, v = map(self.heads_of, self.inner(x).split(e, -1))", KEYS_FIRST),
    "a swap behind the cut": (
        """q, k, v = [self.heads_of(t) for t in self.inner(x).tensor_split(3, dim=-1)]
        q, k = k, q""",
        KEYS_FIRST,
    ),
    "through a dictionary": (
        """named = dict(zip(ORDER, self.inner(x).chunk(3, -1)))
        q, k, v = (self.heads_of(named[c]) for c in "qkv")""",
        {"v": BLOCKS["q"], "k": BLOCKS["k"], "q": BLOCKS["v"]},
    ),
    "through an attribute": (
        """self.last = self.inner(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        k, q, v = self.last[0], self.last[1], self.last[2]""",
        KEYS_FIRST,
    ),
    "an index of each": (
        """t = self.inner(x).reshape(b, n, 3, self.heads, e // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = (t[i] for i in (1, 0, 2))""",
        KEYS_FIRST,
    ),
    "by head": (
        "q, k, v = self.inner(x).view(b, n, self.heads, -1).transpose(1, 2).chunk(3, -1)",
        BY_HEAD,
    ),
    "by head, unflattened": (
        "q, k, v = self.inner(x).unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)",
        BY_HEAD,
    ),
    "by head, in the batch": (
        """t = self.inner(x).transpose(1, 2).reshape(b * self.heads, -1, n)
        q, k, v = (z.reshape(b, self.heads, -1, n).transpose(2, 3) for z in t.chunk(3, 1))""",
        BY_HEAD,
    ),
    "by row": ("q, k, v = (self.heads_of(self.inner(x)[..., i::3]) for i in range(3))", BY_ROW),
    "einops": (
        'q, k, v = rearrange(self.inner(x), "b n (h p d) -> p b h n d", p=3, h=self.heads)',
        BY_HEAD,
    ),
    "einops, the dims first": (
        'q, k, v = rearrange(self.inner(x), "b n (d p h) -> p b h n d", p=3, h=self.heads)',
        DIMS_FIRST,
    ),
    "the weight is sliced": (
        """w, c = self.inner.weight, self.inner.bias
        q, k, v = (self.heads_of(F.linear(x, w[i : i + e], c[i : i + e])) for i in (e, 0, 2 * e))""",
        KEYS_FIRST,
    ),
    "the weight is multiplied with": (
        """y = x @ self.inner.weight.t() + self.inner.bias
        k, q, v = (self.heads_of(t) for t in y.chunk(3, -1))""",
        KEYS_FIRST,
    ),
    "rotated": (
        """k, q, v = (self.heads_of(t) for t in self.inner(x).chunk(3, -1))
        cos, sin = torch.ones(n, self.dim), torch.zeros(n, self.dim)
        q, k = (t * cos + torch.cat((-t[..., 1:], t[..., :1]), -1) * sin for t in (q, k))""",
        KEYS_FIRST,
    ),
    "norms of queries and keys": (
        """k, q, v = (self.heads_of(t) for t in self.inner(x).chunk(3, -1))
        q, k = F.normalize(q, dim=-1) * 2.0, F.layer_norm(k, (self.dim,))""",
        KEYS_FIRST,
    ),
}
UNKNOWN = {
    "rows in no order": "q, k, v = map(self.heads_of, self.inner(x)[..., torch.randperm(30)].chunk(3, -1))",
    "changed in place": """q, k, v = (self.heads_of(t).clone() for t in self.inner(x).chunk(3, -1))
        q.copy_(k)""",
    "stored in place": """t = self.inner(x).view(b, n, 3, self.heads, -1).clone()
        t[:, :, 0] = t[:, :, 1]
        q, k, v = t.permute(2, 0, 3, 1, 4)""",
    "tokens among the heads": """parts = self.inner(x).chunk(3, -1)
        q, k, v = (t.reshape(b, self.heads, n, -1) for t in parts)""",
    "names against the computation": """q, k, v = (self.heads_of(t) for t in self.inner(x).chunk(3, -1))
        return self.joined(F.scaled_dot_product_attention(k, q, v))""",
    "both ways": """q, k, v = (self.heads_of(t) for t in self.inner(x).chunk(3, -1))
        if x.sum() > 0:
            q, k = k, q""",
    "a function that nobody knows": """import elsewhere
        q, k, v = elsewhere.cut(self.inner(x))""",
}
numbers = itertools.count()


def read(code: str, folder: Path, *, live: bool) -> dict[str, Parts]:
    path = folder / f"rows_{next(numbers)}.py"
    path.write_text(HEAD + code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
        net: Any = module.Net()
        specs = {name: TensorSpec(tuple(t.shape), "float32") for name, t in net.state_dict().items()}
        known = read_module(net, specs) if live else read_layers(f"{path}:Net", specs)
    finally:
        del sys.modules[path.stem]
    return {path: found.parts for path, found in known.findings.items() if found.parts is not None}


def told(parts: Parts | None) -> dict[str, tuple[int, tuple[tuple[int, int], ...]]] | None:
    return None if parts is None else {part.role: (part.start, part.axes) for part in parts.parts}


both = pytest.mark.parametrize("live", [False, True], ids=["source", "live"])


@both
@pytest.mark.parametrize("case", CUTS)
def test_the_rows_of_each_part_are_read(case: str, live: bool, tmp_path: Path) -> None:
    body, wanted = CUTS[case]
    found = read(ATTENTION.format(body=f"        {body}"), tmp_path, live=live)
    assert told(found["inner"]) == wanted
    assert {part.heads for part in found["inner"].parts} == {5}
    assert found["inner"].where.endswith(
        f":{1 + (HEAD + ATTENTION).split('scaled_dot')[0].count(chr(10)) + body.count(chr(10))}"
    )


@both
@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_understood_is_unknown(case: str, live: bool, tmp_path: Path) -> None:
    found = read(ATTENTION.format(body=f"        {UNKNOWN[case]}"), tmp_path, live=live)
    assert "inner" not in found


WRITTEN = {
    "softmax of the last axis": "attend(b_, c_, a_)",
    "keys to the left": "(c_ @ b_.mT).softmax(dim=-2).mT @ a_",
    "scaled, masked and dropped": """F.dropout(
            torch.where(torch.ones(n, n) > 0, b_ @ c_.mT / math.sqrt(2), -1e9).float().softmax(-1), 0.1
        ) @ a_""",
    "einsum": 'torch.einsum("bhij,bhjd->bhid", torch.einsum("bhid,bhjd->bhij", b_, c_).softmax(-1), a_)',
}


@both
@pytest.mark.parametrize("case", WRITTEN)
def test_an_attention_that_is_written_out_tells_its_operands(case: str, live: bool, tmp_path: Path) -> None:
    code = f"""
class Net(Base):
    def forward(self, x):
        n = x.shape[1]
        a_, b_, c_ = (self.heads_of(t) for t in self.inner(x).chunk(3, -1))
        return self.joined({WRITTEN[case]})
"""
    values_first = {"v": BLOCKS["q"], "q": BLOCKS["k"], "k": BLOCKS["v"]}
    assert told(read(code, tmp_path, live=live)["inner"]) == values_first


GROUPS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.back = nn.Linear(10, 24), nn.Linear(12, 10)

    def forward(self, x):
        b, n, _ = x.shape
        {cut}
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        k, v = (t.repeat_interleave(2, 1) for t in (k, v))
        return self.back(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, -1))
"""


@both
def test_grouped_queries_are_read_group_by_group(live: bool, tmp_path: Path) -> None:
    cut = """t = self.inner(x).view(b, n, 2, 4, 3)
        q, k, v = t[:, :, :, :2].flatten(2, 3), t[:, :, :, 2], t[..., 3, :]"""
    wanted = {
        "q": (0, ((2, 12), (2, 3), (3, 1))),
        "k": (6, ((2, 12), (3, 1))),
        "v": (9, ((2, 12), (3, 1))),
    }
    found = read(GROUPS.format(cut=cut), tmp_path, live=live)
    assert told(found["inner"]) == wanted
    assert [part.heads for part in found["inner"].parts] == [4, 2, 2]


@both
def test_grouped_queries_are_read_in_blocks(live: bool, tmp_path: Path) -> None:
    cut = "k, q, v = (t.view(b, n, -1, 3) for t in self.inner(x).split([6, 12, 6], -1))"
    found = told(read(GROUPS.format(cut=cut), tmp_path, live=live)["inner"])
    assert found == {"k": (0, ((2, 3), (3, 1))), "q": (6, ((4, 3), (3, 1))), "v": (18, ((2, 3), (3, 1)))}


GATED = """
class Net(nn.Module):
    def __init__(self, act="swish"):
        super().__init__()
        self.inner, self.back = nn.Linear(6, 16), nn.Linear(8, 6)
        self.act, self.glu = ACT[act], nn.GLU(-1)

    def forward(self, x):
        {body}
"""
GATE_FIRST = {"gate": (0, ((8, 1),)), "up": (8, ((8, 1),))}
UP_FIRST = {"up": (0, ((8, 1),)), "gate": (8, ((8, 1),))}
GATES = {
    "silu of the first": ("a, b = self.inner(x).chunk(2, -1); return self.back(F.silu(a) * b)", GATE_FIRST),
    "sigmoid of the second": (
        "a, b = self.inner(x).chunk(2, -1); return self.back(a * torch.sigmoid(b))",
        UP_FIRST,
    ),
    "gelu of what is called gate": (
        "x, gate = self.inner(x).chunk(2, -1); return self.back(x * F.gelu(gate))",
        UP_FIRST,
    ),
    "glu": ("return self.back(F.glu(self.inner(x)))", UP_FIRST),
    "a layer of it": ("return self.back(self.glu(self.inner(x)))", UP_FIRST),
    "an activation from a table": (
        "a, b = self.inner(x).split(8, -1); return self.back(torch.mul(b, self.act(a)))",
        GATE_FIRST,
    ),
    "written out": (
        "a, b = self.inner(x).chunk(2, -1); return self.back(a * torch.sigmoid(1.7 * a) * (b + 1))",
        GATE_FIRST,
    ),
    "in turns": (
        "t = self.inner(x); return self.back(F.silu(t[..., 1::2]) * t[..., ::2])",
        {"up": (0, ((8, 2),)), "gate": (1, ((8, 2),))},
    ),
}


@both
@pytest.mark.parametrize("case", GATES)
def test_the_gate_is_what_goes_through_the_activation(case: str, live: bool, tmp_path: Path) -> None:
    body, wanted = GATES[case]
    found = read(GATED.format(body=body), tmp_path, live=live)
    assert told(found["inner"]) == wanted
    assert told(found["back"]) == {"down": (0, ((6, 1),))}


@both
@pytest.mark.parametrize(
    "body",
    [
        "a, b = self.inner(x).chunk(2, -1); return self.back(torch.tanh(a) * torch.sigmoid(b))",
        "a, b = F.silu(self.inner(x)).chunk(2, -1); return self.back(a * b)",
        "up, gate = self.inner(x).chunk(2, -1); return self.back(F.silu(up) * gate)",
        "import odd; gate, b = odd.cut(self.inner(x)); return self.back(F.silu(gate) * b)",
    ],
    ids=["both are activated", "activated before the cut", "named otherwise", "cut elsewhere"],
)
def test_a_gate_that_does_not_show_is_unknown(body: str, live: bool, tmp_path: Path) -> None:
    assert "inner" not in read(GATED.format(body=body), tmp_path, live=live)


@both
def test_layers_of_their_own_are_told_by_what_is_done_with_them(live: bool, tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 6)

    def forward(self, x):
        return self.fc3(self.fc1(x) * F.silu(self.fc2(x)))
"""
    found = read(code, tmp_path, live=live)
    assert [found[name].parts[0].role for name in ("fc1", "fc2", "fc3")] == ["up", "gate", "down"]


CALLED = """
class Block(Base):
    def forward(self, x, turned=False):
        q, k, v = (self.heads_of(t) for t in self.inner(x).chunk(3, -1))
        if turned:
            return self.joined(attend(k, q, v))
        return self.joined(attend(q, k, v))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 10, 4, 4), Block()

    def forward(self, x):
        {before}
        return self.block(x{given})
"""


@both
@pytest.mark.parametrize(
    "before", ["x = self.stem(x).flatten(2).mT", "import odd; x = odd.tokens(self.stem(x))"]
)
def test_what_a_module_is_called_with_counts(before: str, live: bool, tmp_path: Path) -> None:
    plain = read(CALLED.format(before=before, given=""), tmp_path, live=live)
    assert told(plain["block.inner"]) == BLOCKS
    turned = read(CALLED.format(before=before, given=", turned=True"), tmp_path, live=live)
    assert told(turned["block.inner"]) == KEYS_FIRST  # the names follow the values into the call


@both
def test_names_tell_where_the_attention_is_not_seen(live: bool, tmp_path: Path) -> None:
    code = """
class Net(Base):
    def forward(self, x):
        import odd
        key_states, query_states, value_states = (self.heads_of(t) for t in self.inner(x).chunk(3, -1))
        return odd.interface(self, query_states, key_states, value_states)
"""
    assert told(read(code, tmp_path, live=live)["inner"]) == KEYS_FIRST


@both
def test_a_layer_of_einops_cuts_in_a_sequential(live: bool, tmp_path: Path) -> None:
    code = """
class Net(Base):
    def __init__(self):
        super().__init__()
        self.cut = nn.Sequential(nn.Linear(10, 30), Rearrange("b n (h p d) -> p b h n d", p=3, h=5))

    def forward(self, x):
        q, k, v = self.cut(self.inner(x)[..., :10])
        return self.joined(attend(q, k, v))
"""
    assert told(read(code, tmp_path, live=live)["cut.0"]) == BY_HEAD


@both
def test_a_parameter_and_a_convolution_are_cut_as_a_linear(live: bool, tmp_path: Path) -> None:
    code = """
class Net(Base):
    def __init__(self):
        super().__init__()
        self.own = nn.Parameter(torch.zeros(10, 30))
        self.conv = nn.Conv1d(10, 30, 1)

    def forward(self, x):
        k, q, v = (self.heads_of(t) for t in (x @ self.own).chunk(3, -1))
        x = x + self.joined(attend(q, k, v))
        k, q, v = (self.heads_of(t.mT) for t in self.conv(x.mT).chunk(3, 1))
        return self.joined(attend(q, k, v))
"""
    found = read(code, tmp_path, live=live)
    assert told(found["own"]) == told(found["conv"]) == KEYS_FIRST
    assert (found["own"].axis, found["conv"].axis) == (1, 0)
