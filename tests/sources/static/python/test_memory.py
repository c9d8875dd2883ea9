"""Constructors that are not read again: what they make is the same as if they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ml_switcheroo.sources.static.python import classes, memory
from sources.reading import read_and_compare


@pytest.fixture
def hits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Remember every constructor, however short, and note the classes of those that are not read again."""
    found = []

    def noted(machine: Any, key: Any) -> Any:
        made = memory.again(machine, key)
        if made is not None:
            found.append(made.cls.name)
        return made

    monkeypatch.setattr(memory, "_FEWEST", 0)
    monkeypatch.setattr(classes, "again", noted)
    return found


NET = """
class Net(nn.Module):
    def __init__(self, flag=False):
        super().__init__()
        self.flag = flag
        self.blocks = nn.Sequential(*[Block(4) for _ in range(4)])
"""


def test_blocks_with_the_same_arguments_are_read_once_and_are_modules_of_their_own(
    tmp_path: Path, hits: list[str]
) -> None:
    knowledge = read_and_compare(
        tmp_path,
        """
class Block(nn.Module):
    def __init__(self, width, layer=nn.Linear):
        super().__init__()
        self.inner = layer(width, width)
        self.both = nn.ModuleList([self.inner, nn.LayerNorm(width)])
        self.table = nn.Parameter(torch.zeros(width, width))
"""
        + NET,
    )
    assert hits.count("Block") == 7  # four in each of two readings; the first one is read
    groups = {name for names in knowledge.tied for name in names if name.endswith("weight")}
    assert groups == {f"blocks.{i}.{part}.weight" for i in range(4) for part in ("inner", "both.0")}
    assert all(len({name.split(".")[1] for name in names}) == 1 for names in knowledge.tied)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(
            """
class Block(nn.Module):
    made = 0

    def __init__(self, width):
        super().__init__()
        Block.made += 1
        self.layer = nn.Linear(width, width, bias=False) if Block.made % 2 else nn.Embedding(width, width)
""",
            id="counts-on-its-class",
        ),
        pytest.param(
            """
LEFT = [nn.Linear, nn.Embedding, nn.Linear, nn.Embedding]

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = LEFT.pop()(width, width)
""",
            id="takes-from-a-list",
        ),
        pytest.param(
            """
MADE = 0

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        global MADE
        MADE = MADE + 1
        self.layer = nn.Embedding(width, width) if MADE > 2 else nn.Linear(width, width)
""",
            id="sets-a-global-name",
        ),
        pytest.param(
            """
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = Block.kind(width, width)
        Block.kind = nn.Embedding

Block.kind = nn.Linear
""",
            id="sets-what-the-next-one-takes",
        ),
        pytest.param(
            """
class Settings:
    kind = nn.Linear

SETTINGS = Settings()

class Part(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = SETTINGS.kind(width, width)

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.part = Part(width)
        SETTINGS.kind = nn.Embedding
""",
            id="sets-what-another-class-takes",
        ),
    ],
)
def test_a_constructor_that_changes_something_is_read_each_time(
    tmp_path: Path, hits: list[str], code: str
) -> None:
    read_and_compare(tmp_path, code + NET)
    assert "Block" not in hits


def test_a_layer_of_the_module_is_the_same_in_every_block(tmp_path: Path, hits: list[str]) -> None:
    code = """
SHARED = nn.Linear(4, 4, bias=False)

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.shared = SHARED
        self.own = nn.Linear(width, width, bias=False)
"""
    knowledge = read_and_compare(tmp_path, code + NET)
    assert "Block" in hits
    assert knowledge.tied == (tuple(f"blocks.{i}.shared.weight" for i in range(4)),)


def test_a_block_that_is_changed_after_it_was_made_changes_no_other(tmp_path: Path, hits: list[str]) -> None:
    code = """
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width)])
        self.last = nn.Linear(width, width)

class Net(nn.Module):
    def __init__(self, flag=False):
        super().__init__()
        self.blocks = nn.ModuleList()
        for i in range(4):
            block = Block(4)
            if i % 2:
                block.last = nn.Embedding(4, 4)
                block.layers.append(nn.LayerNorm(4))
            self.blocks.append(block)
"""
    read_and_compare(tmp_path, code)
    assert "Block" in hits


@pytest.mark.parametrize(
    ("change", "read_once"),
    [
        pytest.param("", True, id="leaves-it"),
        pytest.param("config.kind = nn.Embedding", False, id="changes-it"),
        pytest.param("config.sizes.append(4)", False, id="changes-what-it-holds"),
    ],
)
def test_a_config_stands_for_what_it_holds(
    tmp_path: Path, hits: list[str], change: str, read_once: bool
) -> None:
    code = f"""
class Config:
    def __init__(self):
        self.kind = nn.Linear
        self.sizes = [4, 4]
        self.itself = None

class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.layer = config.kind(4, 4)
        self.rest = nn.ModuleList(nn.LayerNorm(size) for size in config.sizes)
        {change}

class Net(nn.Module):
    def __init__(self, flag=False):
        super().__init__()
        config = Config()
        self.blocks = nn.Sequential(*[Block(config) for _ in range(3)])
        self.last = Block(config)
        config.kind = nn.Embedding
        self.other = nn.ModuleList(Block(config) for _ in range(2))
"""
    read_and_compare(tmp_path, code)
    assert ("Block" in hits) is read_once


def test_a_config_that_holds_itself_is_read_as_ever(tmp_path: Path, hits: list[str]) -> None:
    code = """
class Config:
    pass

class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer = config.kind(4, 4)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        config = Config()
        config.itself, config.kind = config, nn.Linear
        self.blocks = nn.Sequential(*[Block(config) for _ in range(3)])
"""
    read_and_compare(tmp_path, code)
    assert "Block" not in hits
