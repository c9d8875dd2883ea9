"""What a rewrite leaves of a file: everything but the calls."""

import subprocess
import sys

import pytest

from ml_switcheroo.codemod.rewriter import rewrite
from ml_switcheroo.errors import RewriteError, UnknownTarget
from rewriting import check_rewritten, check_unchanged


def test_everything_else_stays_byte_for_byte():
    check_rewritten(
        """
        import torch


        def load( net,opt ):   # odd spacing
            net.load_state_dict(
                torch.load('x.pt',  map_location = "cpu"),  # the weights
                strict=False,
            )
            return  net ;
        """,
        """
        import torch
        #KEYMAPPER

        def load( net,opt ):   # odd spacing
            KeyMapper.load_into(
                net, torch.load('x.pt',  map_location = "cpu"),  # the weights
                strict=False,
            )
            return  net ;
        """,
    )


LINES = {
    "semicolons": ("a = 1; net.load_state_dict(sd); b = 2", "a = 1; KeyMapper.load_into(net, sd); b = 2"),
    "one-line suite": ("if ok: net.load_state_dict(sd)", "if ok: KeyMapper.load_into(net, sd)"),
    "lambda": ("f = lambda m: m.load_state_dict(sd)", "f = lambda m: KeyMapper.load_into(m, sd)"),
    "comprehension": (
        "r = [net.load_state_dict(s) for s in sds]",
        "r = [KeyMapper.load_into(net, s) for s in sds]",
    ),
    "conditional receiver": (
        "(m.module if ddp else m).load_state_dict(sd)",
        "KeyMapper.load_into((m.module if ddp else m), sd)",
    ),
    "two receivers": (
        "r = a.load_state_dict(s) if x else b.load_state_dict(s)",
        "r = KeyMapper.load_into(a, s) if x else KeyMapper.load_into(b, s)",
    ),
    "call in a call": (
        "a.load_state_dict(b.load_state_dict(s))",
        "KeyMapper.load_into(a, KeyMapper.load_into(b, s))",
    ),
    "walrus": ("if (r := net.load_state_dict(sd)): pass", "if (r := KeyMapper.load_into(net, sd)): pass"),
    "unpacked": ("m, u = net.load_state_dict(sd, False)", "m, u = KeyMapper.load_into(net, sd, False)"),
    "printed": ("print(net.load_state_dict(sd))", "print(KeyMapper.load_into(net, sd))"),
    "asserted": (
        "assert not net.load_state_dict(sd).missing_keys",
        "assert not KeyMapper.load_into(net, sd).missing_keys",
    ),
    "strict expression": (
        "net.load_state_dict(sd, strict=not args.loose)",
        "KeyMapper.load_into(net, sd, strict=not args.loose)",
    ),
    "star arguments": ("net.load_state_dict(*a, **k)", "KeyMapper.load_into(net, *a, **k)"),
    "keys worked on": (
        "net.load_state_dict({k[7:]: v for k, v in sd.items()})",
        "KeyMapper.load_into(net, {k[7:]: v for k, v in sd.items()})",
    ),
    "hub": (
        "net.load_state_dict(model_zoo.load_url(urls['r18']))",
        "KeyMapper.load_into(net, model_zoo.load_url(urls['r18']))",
    ),
    "subscript": ("nets['G'].load_state_dict(sd)", "KeyMapper.load_into(nets['G'], sd)"),
    "unknown": ("thing.load_state_dict(sd)", "KeyMapper.load_into(thing, sd)"),
    "type comment": (
        "x = net.load_state_dict(sd)  # type: Any",
        "x = KeyMapper.load_into(net, sd)  # type: Any",
    ),
    "not ascii": ("s = 'é'; net.load_state_dict(sd[ 'ü' ])", "s = 'é'; KeyMapper.load_into(net, sd[ 'ü' ])"),
    "backslash": (
        "net.load_state_dict(sd, \\\n  strict=False)",
        "KeyMapper.load_into(net, sd, \\\n  strict=False)",
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_one_call_in_one_call_out(name):
    before, after = LINES[name]
    check_rewritten(f"import torch\n{before}\n", f"import torch\n#KEYMAPPER{after}\n")


def test_a_receiver_over_several_lines():
    check_rewritten(
        """
        (model
            .module
            .load_state_dict(sd))
        """,
        """
        #KEYMAPPER(KeyMapper.load_into(model
            .module, sd))
        """,
    )


BLOCKS = """
import torch

class Trainer:
    @torch.no_grad()
    @retry(lambda: net.load_state_dict(sd))
    async def load(self):
        try:
            self.model.load_state_dict(sd)
        except RuntimeError:
            self.model.load_state_dict(sd, strict=False)
        match kind:
            case "a":
                net.load_state_dict(sd)
        with open(p) as f: net.load_state_dict(torch.load(f))
"""


def test_calls_in_every_kind_of_block():
    after = BLOCKS
    for receiver in ("self.model", "net"):
        after = after.replace(f"{receiver}.load_state_dict(", f"KeyMapper.load_into({receiver}, ")
    check_rewritten(BLOCKS, after)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", "\n", "\n   ", "\n\t\n", "  # c", "\f", "\n\f\n# x"])
@pytest.mark.parametrize("head", ["", "\ufeff", "\f"])
def test_ends_and_line_ends_are_kept(newline, end, head):
    check_rewritten(
        f"{head}import torch\nif 1:\n\tnet.load_state_dict(\n\tsd){end}".replace("\n", newline),
        f"{head}import torch\n#KEYMAPPERif 1:\n\tKeyMapper.load_into(\n\tnet, sd){end}".replace(
            "\n", newline
        ),
        dedent=False,
    )


def test_a_file_of_one_line_without_an_end():
    check_rewritten("net.load_state_dict(sd)", "#KEYMAPPERKeyMapper.load_into(net, sd)")


def test_import_in_place_of_injection():
    result = rewrite("import torch\nnet.load_state_dict(sd)\n", runtime="import")
    assert result.code == (
        "import torch\nfrom ml_switcheroo.runtime import KeyMapper\nKeyMapper.load_into(net, sd)\n"
    )
    result = rewrite("import torch\nnet.load_state_dict(sd)\n", "mlx", runtime="import")
    assert "from ml_switcheroo.runtime.into_mlx import KeyMapper\n" in result.code


@pytest.mark.parametrize("runtime", ["inject", "import"])
def test_known_kinds_come_along(runtime):
    code = "import torch\nnet.load_state_dict(sd)\n"
    result = rewrite(code, runtime=runtime, kinds={"tok": "embedding", "fc": "linear(c=64)"})
    assert 'KeyMapper.KINDS = {\n    "tok": "embedding",\n    "fc": "linear(c=64)",\n}\n' in result.code
    again = rewrite(result.code, runtime=runtime, kinds={"tok": "embedding", "fc": "linear(c=64)"})
    assert again.code == result.code


def test_a_second_call_in_a_file_that_was_rewritten():
    first = rewrite("import torch\nnet.load_state_dict(sd)\n").code
    second = rewrite(first + "other.load_state_dict(sd)\n")
    assert second.code == first + "KeyMapper.load_into(other, sd)\n"


@pytest.mark.parametrize(
    "code",
    [
        "x = 1\n",
        "print('net.load_state_dict(sd)')  # net.load_state_dict(sd)\n",
        '"""net.load_state_dict(sd)"""\n',
        "load_state_dict(sd)\n",
        "net.load_state_dicts(sd)\n",
        "x = torch.load(p)\n",
        "class A:\n    load_state_dict: int\n",
        "def load_state_dict(path): ...\n",
    ],
)
def test_mentions_are_no_calls(code):
    check_unchanged(code)


def test_stubs_stay():
    check_unchanged(
        """
        class Net(torch.nn.Module):
            def load_state_dict(self, state_dict: dict, strict: bool = ...) -> object: ...
        """,
        notes=["2: Net overrides load_state_dict"],
        file="net.pyi",
    )


def test_a_sum_of_many_terms():
    terms = " + ".join(["1"] * 600)
    check_rewritten(
        f"x = {terms}\nnet.load_state_dict(sd)\n", f"#KEYMAPPERx = {terms}\nKeyMapper.load_into(net, sd)\n"
    )


def test_what_is_nested_too_deeply_is_an_error():
    with pytest.raises(RewriteError, match=r"run\.py:1: "):
        rewrite(f"x = {'(' * 5000}net.load_state_dict(sd){')' * 5000}\n", file="run.py")


def test_f_strings_are_rewritten_or_left_with_a_note():
    result = rewrite('print(f"{net.load_state_dict(sd)}")\n')
    if result.edits:
        assert 'print(f"{KeyMapper.load_into(net, sd)}")\n' in result.code
    else:
        assert "cannot be told" in result.notes[0].text


def test_what_is_no_python_is_an_error():
    with pytest.raises(RewriteError, match=r"run\.py:2: this is no Python"):
        rewrite("x = 1\nprint 'load_state_dict'\n", file="run.py")
    with pytest.raises(UnknownTarget):
        rewrite("x = 1\n", "caffe")


def test_no_framework_is_imported_by_a_rewrite():
    code = (
        "import sys; from ml_switcheroo.codemod.rewriter import rewrite;"
        "assert rewrite('net.load_state_dict(sd)', 'nnx').edits;"
        "print({'torch', 'jax', 'flax', 'numpy.random'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "torch" not in out
    assert "jax" not in out
