"""Folders of Hugging Face: config.json names the class and its arguments, what is installed is its source."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from ml_switcheroo import make_plan, open_checkpoint
from ml_switcheroo.errors import SourceError
from ml_switcheroo.sources.static import read_layers
from ml_switcheroo.sources.static.reading.entry import reading
from ported.suites import transformers

SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
}
MODELS = {
    "llama": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**SMALL, num_key_value_heads=1, tie_word_embeddings=False)
    ),
    "bert": lambda: transformers.BertModel(transformers.BertConfig(**SMALL)),
    "gpt2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=31, n_embd=12, n_layer=2, n_head=3, bos_token_id=0, eos_token_id=0)
    ),
    "t5": lambda: transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=31, d_model=12, d_kv=4, d_ff=20, num_layers=1, num_heads=3)
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for name, model in MODELS.items():
        made[name] = tmp_path_factory.mktemp(name)
        live = model()
        state = {key: value.numpy() for key, value in live.state_dict().items()}
        tied = set(getattr(live, "all_tied_weights_keys", {}))
        safetensors.numpy.save_file(
            {key: np.ascontiguousarray(value) for key, value in state.items() if key not in tied},
            made[name] / "model.safetensors",
        )
        live.config.architectures = [type(live).__name__]
        live.config.save_pretrained(made[name])
    return made


@pytest.mark.parametrize("name", MODELS)
def test_a_folder_says_what_its_layers_are(folders, name) -> None:
    with open_checkpoint(folders[name]) as checkpoint:
        plan = make_plan(checkpoint, to="mlx")
    plan.check()
    assert {move.origin for move in plan.moves} == {"static"}
    assert any(f"{type(MODELS[name]()).__name__} of transformers" in note for note in plan.notes)


def test_the_values_of_the_configuration_are_read(folders) -> None:
    with (
        open_checkpoint(folders["llama"]) as checkpoint,
        reading(str(folders["llama"]), checkpoint.specs) as found,
    ):
        assert found.exact
        config = found.value.attrs["config"]
        assert config.attrs["num_key_value_heads"] == 1
        assert config.attrs["head_dim"] == 4  # computed in its constructor
        assert config.attrs["mlp_bias"] is False  # its default


def test_a_class_by_its_package(folders) -> None:
    """The package imports it lazily; without a configuration its sizes are those of the tensors."""
    with open_checkpoint(folders["llama"]) as checkpoint:
        found = read_layers("transformers:LlamaForCausalLM", checkpoint.specs).findings
        assert found["model.layers.1.mlp.up_proj"].kind == "linear"
        assert found["model.embed_tokens"].kind == "embedding"
        plan = make_plan(checkpoint, to="mlx", layers="transformers:LlamaForCausalLM")
    plan.check()


def test_the_bare_model_beside_the_configuration_of_one_with_a_head(folders, tmp_path: Path) -> None:
    """gpt2 is published so: config.json names GPT2LMHeadModel, the names begin inside of it."""
    with open_checkpoint(folders["gpt2"]) as checkpoint:
        state = {name.removeprefix("transformer."): tensor.read() for name, tensor in checkpoint.items()}
    safetensors.numpy.save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folders["gpt2"] / "config.json").read_text())
    plan = make_plan(tmp_path, to="mlx")
    plan.check()
    assert {move.origin for move in plan.moves} == {"static"}
    turned = {move.sources[0] for move in plan.moves if move.kind == "linear_in_out"}
    assert "h.0.attn.c_proj.weight" in turned  # square, and laid out as "in out"


def test_a_configuration_without_architectures(folders, tmp_path: Path) -> None:
    config = json.loads((folders["bert"] / "config.json").read_text())
    del config["architectures"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with open_checkpoint(folders["bert"]) as checkpoint, reading(str(tmp_path), checkpoint.specs) as found:
        assert found.name == "BertModel"
        assert found.exact


OWN = {
    "configuration_own.py": """
from transformers import PretrainedConfig
class OwnConfig(PretrainedConfig):
    model_type = "own"
    def __init__(self, width=8, depth=1, **kwargs):
        self.width, self.depth = width, depth
        super().__init__(**kwargs)
""",
    "modeling_own.py": """
import torch.nn as nn
from transformers import PreTrainedModel
from .configuration_own import OwnConfig
open("RAN", "w")
class Own(PreTrainedModel):
    config_class = OwnConfig
    def __init__(self, config):
        super().__init__(config)
        self.up = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.depth))
        self.table = nn.Embedding(config.width, config.width)
""",
}


def _own(folder: Path) -> Path:
    for name, text in OWN.items():
        (folder / name).write_text(text)
    state = {"table.weight": np.ones((6, 6), "float32")}
    for n in range(3):
        state |= {f"up.{n}.weight": np.ones((6, 6), "float32"), f"up.{n}.bias": np.ones(6, "float32")}
    safetensors.numpy.save_file(state, folder / "model.safetensors")
    table = {"AutoConfig": "configuration_own.OwnConfig", "AutoModel": "modeling_own.Own"}
    config = {"architectures": ["Own"], "auto_map": table, "model_type": "own", "width": 6, "depth": 3}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_code_beside_the_configuration_is_read_and_never_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make_plan(_own(tmp_path), to="nnx")
    plan.check()
    assert {move.kind for move in plan.moves} == {"linear", "embedding"}
    assert {move.origin for move in plan.moves} == {"static"}
    assert not (tmp_path / "RAN").exists()


def test_code_in_a_cache_of_links(tmp_path: Path) -> None:
    """The cache of the hub keeps files by their checksums, and links to them."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "1"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(_own(tmp_path).iterdir())):
        if file.is_file():
            file.rename(blobs / str(number))
            (snapshot / file.name).symlink_to(blobs / str(number))
    plan = make_plan(snapshot, to="nnx")
    plan.check()
    assert {move.origin for move in plan.moves} == {"static"}


def test_a_package_that_is_not_installed(folders, monkeypatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "transformers" else found(name, *rest),
    )
    plan = make_plan(folders["llama"], to="mlx")
    note = next(note for note in plan.notes if "config.json" in note)
    assert "LlamaForCausalLM is a class of transformers, which is not installed" in note
    assert all(move.origin == "evidence" for move in plan.moves)
    with pytest.raises(SourceError, match="not installed"):
        make_plan(folders["llama"], to="mlx", layers=str(folders["llama"] / "config.json"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "a JSON object is expected"),
        ('{"hidden_size": 3}', "names no model"),
        ('{"architectures": ["LlamaForCausalLm"], "model_type": "llama"}', "did you mean 'LlamaForCausalLM'"),
        ('{"architectures": ["X"], "model_type": "llamma"}', 'no model type "llamma"'),
        ('{"architectures": ["X"]}', 'has no "model_type"'),
        ('{"architectures": ["X"], "auto_map": {"AutoModel": "gone.X"}}', "gone.py is not beside it"),
        ('{"_class_name": "UNet2DModel"}', "diffusers, which is not installed"),
        ('{"architecture": "resnet99"}', "timm has no model resnet99"),
    ],
)
def test_configurations_that_name_no_model(folders, tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with open_checkpoint(folders["bert"]) as checkpoint, pytest.raises(SourceError, match=problem):
        read_layers(str(tmp_path / "config.json"), checkpoint.specs)


def test_a_configuration_of_something_else_says_nothing(folders, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folders["llama"] / "config.json").read_text())
    safetensors.numpy.save_file({"fc.weight": np.ones((3, 2), "float32")}, tmp_path / "model.safetensors")
    plan = make_plan(tmp_path, to="mlx")
    assert any("which makes none of the tensors" in note for note in plan.notes)
    safetensors.numpy.save_file({"fc.weight": np.ones((3, 2), "float32")}, tmp_path / "mine.safetensors")
    assert not make_plan(tmp_path / "mine.safetensors", to="mlx").notes


def test_a_package_that_is_imported_under_a_condition(tmp_path: Path) -> None:
    """As transformers imports torch: whoever uses it has it."""
    (tmp_path / "model.py").write_text(
        "import torch.nn as nn\n"
        "try:\n    import not_installed\n    import torch\nexcept ImportError:\n    pass\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.steps = torch.arange(3)\n"
        "        self.fc = nn.Linear(2, 3)\n"
    )
    state = {"fc.weight": np.ones((3, 2), "float32"), "fc.bias": np.ones(3, "float32")}
    plan = make_plan(state, to="nnx", layers=f"{tmp_path / 'model.py'}:Net")
    plan.check()
    assert {move.origin for move in plan.moves} == {"static"}
