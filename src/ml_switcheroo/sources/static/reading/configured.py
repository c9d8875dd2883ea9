"""``--layers FOLDER/config.json``: the model that a configuration describes, as the source that makes it.

What saves a model beside its weights names the class and the arguments in ``config.json``; the class is in a
package that is installed, or in a file beside it (``auto_map``). From both a function of three lines is made,
which is read as any other source, and never run:

    from transformers.models.llama.modeling_llama import LlamaForCausalLM as Model
    from transformers.models.llama.configuration_llama import LlamaConfig as Config
    def LlamaForCausalLM(): return Model(Config(hidden_size=4096, ...))
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ml_switcheroo.code.parsing import parse
from ml_switcheroo.errors import SourceError, cannot_read, did_you_mean

__all__ = ["CONFIG", "Configured", "base_class", "configured", "is_config"]

CONFIG = "config.json"
"""How the file is named."""

_LARGEST = 8 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Configured:
    """The source that makes a model as its configuration says.

    Attributes:
        name: The function that makes it, named as its class.
        package: Where the class is: an installed package with its version, or ``auto_map``.
        path: Where the source would lie, beside the configuration.
        tree: The source.
        roots: Where its imports are looked up first.
    """

    name: str
    package: str
    path: Path
    tree: ast.Module
    roots: tuple[Path, ...]


def is_config(place: str) -> bool:
    """Tell whether what ``layers=`` names is a configuration, or a folder with one."""
    return place.endswith(".json") or (Path(place) / CONFIG).is_file()


def configured(path: Path, name: str = "") -> Configured:
    """Return the source of the model that a configuration describes.

    Args:
        path: The ``config.json`` of transformers, diffusers or timm, or its folder.
        name: The class; without one the configuration names it.

    Raises:
        SourceError: It cannot be read or names no class, or its package is not installed or lacks the class.
    """
    path = path / CONFIG if path.is_dir() else path
    config = _read(path)
    for said, make in _LIBRARIES:
        if any(word in config for word in said):
            return make(path, config, name)
    words = ", ".join(said[0] for said, _ in _LIBRARIES)
    raise SourceError(str(path), f"names no model: it has none of {words}", cure=_SAY)


_SAY = "Say what the model is: layers= (--layers), as model.py:Net."


def base_class(path: Path) -> str:
    """Return the class of the bare model of a configuration, without a head; empty where there is none."""
    config = _read(path)
    found = _installed("transformers")
    if not found or "_class_name" in config or "auto_map" in config:
        return ""
    try:
        return _base_class(path, found[0] / "transformers", str(config.get("model_type", "")))
    except SourceError:
        return ""


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise SourceError(str(path), f"larger than {_LARGEST >> 20} MB; this is no configuration")
        config = json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(str(path), cannot_read(path, error)) from error
    except (ValueError, RecursionError) as error:
        raise SourceError(str(path), f"no JSON: {str(error)[:200]}") from error
    if not isinstance(config, dict):
        raise SourceError(str(path), "no configuration: a JSON object is expected")
    return config


# transformers -----------------------------------------------------------------------------


def _of_transformers(path: Path, config: dict[str, Any], name: str) -> Configured:
    own = _own_code(path, config)
    named = config.get("architectures") or []
    cls = name or next((one for one in named if isinstance(one, str)), "") or own.get("AutoModel", "")
    cls = cls.rpartition(".")[2]
    beside = next((place for place in own.values() if cls and place.endswith(f".{cls}")), "")
    if beside:
        model, settings = f".{beside.rpartition('.')[0]}", own.get("AutoConfig", "")
        if settings:
            return _source(
                path,
                cls,
                f"from {model} import {cls} as Model\n"
                f"from .{settings.rpartition('.')[0]} import {settings.rpartition('.')[2]} as Config\n"
                f"def {cls}(): return Model(Config())\n",
                config,
                (path.parent.resolve(), *_installed("transformers")),
            )
        raise SourceError(str(path), f'"auto_map" names {cls}, but no AutoConfig', cure=_SAY)
    package = _package(path, "transformers", cls or str(config.get("model_type", "")))
    kind = str(config.get("model_type") or "")
    settings_file, settings_class = _config_class(path, package, kind)
    cls = cls or _base_class(path, package, kind)
    model_file = _defining(package, cls, settings_file.parent)
    if model_file is None:
        meant = did_you_mean(cls, _classes(settings_file.parent))
        raise SourceError(str(path), f"the installed transformers has no class {cls}{meant}", cure=_NEWER)
    return _source(
        path,
        cls,
        f"from {_dotted(model_file, package)} import {cls} as Model\n"
        f"from {_dotted(settings_file, package)} import {settings_class} as Config\n"
        f"def {cls}(): return Model(Config())\n",
        config,
        (package.parent,),
    )


_NEWER = "Install the version that the model was saved with, or say what the model is: layers= (--layers)."


def _own_code(path: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """Return the classes in ``auto_map``, as ``file.Class``, by ``AutoConfig``, ``AutoModel`` ..."""
    table = config.get("auto_map")
    found: dict[str, str] = {}
    for word, place in table.items() if isinstance(table, dict) else ():
        place = place[0] if isinstance(place, list) and place else place
        if isinstance(place, str) and re.fullmatch(r"\w+\.\w+", place):
            if not (path.parent / f"{place.partition('.')[0]}.py").is_file():
                raise SourceError(
                    str(path),
                    f'"auto_map" names {place}, and {place.partition(".")[0]}.py is not beside it',
                    cure="Download it too.",
                )
            found[word] = place
    return found


def _config_class(path: Path, package: Path, kind: str) -> tuple[Path, str]:
    """Return the file and the class of the configuration of a model type."""
    if not kind:
        raise SourceError(str(path), 'has no "model_type"', cure=_SAY)
    said = re.compile(rf"""^    model_type(?::[^=\n]*)? = ["']{re.escape(kind)}["']""".encode(), re.MULTILINE)
    likely = package / "models" / kind.replace("-", "_")
    for file in _files([likely, package / "models"], "configuration_*.py"):
        if not said.search(file.read_bytes()):
            continue
        for node in parse(file).body:
            if isinstance(node, ast.ClassDef) and any(_sets(line, "model_type", kind) for line in node.body):
                return file, node.name
    raise SourceError(str(path), f'the installed transformers has no model type "{kind}"', cure=_NEWER)


def _sets(line: ast.stmt, name: str, value: str) -> bool:
    match line:
        case (
            ast.Assign(targets=[ast.Name(id=to)], value=ast.Constant(value=found))
            | ast.AnnAssign(target=ast.Name(id=to), value=ast.Constant(value=found))
        ):
            return to == name and found == value
    return False


def _base_class(path: Path, package: Path, kind: str) -> str:
    """Return the class that ``AutoModel`` takes for a model type."""
    file = package / "models" / "auto" / "modeling_auto.py"
    for node in parse(file).body if file.is_file() else ():
        match node:
            case ast.Assign(
                targets=[ast.Name(id="MODEL_MAPPING_NAMES")],
                value=ast.Call(args=[ast.List(elts=pairs)]),
            ):
                for pair in pairs:
                    match pair:
                        case ast.Tuple(elts=[ast.Constant(value=word), ast.Constant(value=str(cls))]):
                            if word == kind:
                                return cls
    reason = f'has no "architectures", and AutoModel has no single class for "{kind}"'
    raise SourceError(str(path), reason, cure=f"Name the class: {path}:Class")


# diffusers and timm -----------------------------------------------------------------------


def _of_diffusers(path: Path, config: dict[str, Any], name: str) -> Configured:
    cls = name or str(config["_class_name"])
    package = _package(path, "diffusers", cls)
    file = _defining(package, cls, package / "models")
    if file is None:
        raise SourceError(str(path), f"the installed diffusers has no class {cls}", cure=_NEWER)
    taken = _parameters(file, cls)
    given = {key: value for key, value in config.items() if key in taken}
    text = f"from {_dotted(file, package)} import {cls} as Model\ndef {cls}(): return Model()\n"
    return _source(path, cls, text, given, (package.parent,))


def _parameters(file: Path, cls: str) -> frozenset[str]:
    """Return what the constructor of a class takes by name; what else a configuration says is passed over."""
    for node in parse(file).body:
        if isinstance(node, ast.ClassDef) and node.name == cls:
            for function in node.body:
                if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                    said = function.args
                    return frozenset(one.arg for one in [*said.args[1:], *said.kwonlyargs])
    return frozenset()


def _of_timm(path: Path, config: dict[str, Any], name: str) -> Configured:
    function = name or str(config["architecture"])
    package = _package(path, "timm", function)
    said = re.compile(rf"^def {re.escape(function)}\(".encode(), re.MULTILINE)
    files = (file for file in _files([package / "models"], "*.py") if said.search(file.read_bytes()))
    file = next(files, None)
    if file is None:
        raise SourceError(str(path), f"the installed timm has no model {function}", cure=_NEWER)
    given = dict(config["model_args"]) if isinstance(config.get("model_args"), dict) else {}
    given |= {word: config[word] for word in ("num_classes", "global_pool") if word in config}
    text = f"from {_dotted(file, package)} import {function} as Model\ndef {function}(): return Model()\n"
    return _source(path, function, text, given, (package.parent,))


_LIBRARIES: tuple[tuple[tuple[str, ...], Callable[[Path, dict[str, Any], str], Configured]], ...] = (
    (("_class_name",), _of_diffusers),
    (("architectures", "model_type", "auto_map"), _of_transformers),
    (("architecture",), _of_timm),
)
"""What a configuration has by the library that wrote it, and how the source is made."""


# The source -------------------------------------------------------------------------------


def _source(
    path: Path, name: str, text: str, config: Mapping[str, Any], roots: tuple[Path, ...]
) -> Configured:
    """Put the configuration into the innermost call of the last line."""
    if not name.isidentifier():
        raise SourceError(str(path), f"names {name!r}, which is no name of a class")
    tree = ast.parse(text)
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call) and not node.args)
    call.keywords = [ast.keyword(value=_written(dict(config)))]
    ast.fix_missing_locations(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.stmt):
            node.lineno = node.end_lineno = 1
    module = next(node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom))
    package = module.partition(".")[0]
    try:
        where = f"{package} {version(package)}" if package else "its own code"
    except PackageNotFoundError:
        where = package
    return Configured(name, where, path.parent.resolve() / path.name, tree, roots)


def _written(value: Any) -> ast.expr:
    """Return a value of JSON as an expression."""
    if isinstance(value, dict):
        return ast.Dict([ast.Constant(key) for key in value], [_written(one) for one in value.values()])
    if isinstance(value, list):
        return ast.List([_written(one) for one in value], ast.Load())
    return ast.Constant(value)


def _installed(package: str) -> tuple[Path, ...]:
    """Return the folder that an installed package lies in; nothing is imported."""
    spec = importlib.util.find_spec(package)
    return tuple(Path(place).parent for place in (spec.submodule_search_locations or ())[:1]) if spec else ()


def _package(path: Path, package: str, model: str) -> Path:
    """Return the folder of an installed package.

    Raises:
        SourceError: It is not installed.
    """
    found = _installed(package)
    if not found:
        reason = f"{model} is a class of {package}, which is not installed"
        cure = f"pip install --no-deps {package} (its source is read, nothing of it runs), or say layers=."
        raise SourceError(str(path), reason, cure=cure)
    return found[0] / package


def _files(folders: list[Path], pattern: str) -> Iterator[Path]:
    """Yield the files of some folders, each once."""
    seen: set[Path] = set()
    for folder in folders:
        for file in sorted(folder.rglob(pattern)):
            if file not in seen:
                seen.add(file)
                yield file


def _defining(package: Path, cls: str, first: Path) -> Path | None:
    """Return the file of a package that defines a class, looking into one folder first."""
    said = re.compile(rf"^class {re.escape(cls)}\b".encode(), re.MULTILINE)
    for file in _files([first, package / "models"], "*.py"):
        if not file.name.startswith("modular_") and said.search(file.read_bytes()):
            return file
    return None


def _classes(folder: Path) -> list[str]:
    return [
        node.name
        for file in _files([folder], "modeling_*.py")
        for node in parse(file).body
        if isinstance(node, ast.ClassDef)
    ]


def _dotted(file: Path, package: Path) -> str:
    """Return the dotted name that a file of a package is imported by."""
    parts = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
