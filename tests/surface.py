"""What other people's code and files depend on: public names, commands, and the formats of stores and exports.

Functions that describe the code that is imported as JSON, and a small store and export to open later.
"""

import inspect
import json
import types
import zipfile
from pathlib import Path
from typing import Any

import click
import jax
import numpy as np
from flax import nnx
from nets import LAYER, Small
from PIL import Image

import converters
import jaxcam
from jaxcam import datasets
from jaxcam.models import Preprocess

SIDE = 12
MODULES = {
    "jaxcam": jaxcam,
    "jaxcam.conceptor": jaxcam.conceptor,
    "jaxcam.datasets": datasets,
    "jaxcam.methods": jaxcam.methods,
    "jaxcam.metrics": jaxcam.metrics,
    "jaxcam.models": jaxcam.models,
    "converters": converters,
}
PASSING = {"started", "versions", "checksums", "source", "devices"}  # values that differ from run to run
STORES: dict[str, dict[str, Any]] = {
    "top-1": {"metrics": ["average_drop"], "logits": True},
    "raw top-2": {"targets": jaxcam.top(2), "stored": "raw", "maps_dtype": "float32"},
}


def names() -> dict[str, dict[str, Any]]:
    """Of each module: its public names, with their parameters, members or values."""
    return {
        module: {name: _described(getattr(found, name)) for name in sorted(_public(found))}
        for module, found in MODULES.items()
    }


def _public(module: types.ModuleType) -> list[str]:
    """The names that it lists, or else those of what it defines."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    found = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return [
        name for name, each in found.items() if getattr(each, "__module__", "").startswith(module.__name__)
    ]


def commands() -> dict[str, dict[str, Any]]:
    """Of each command: its arguments and options."""
    from jaxcam.cli import main

    return {
        name: {_option_name(each): _option(each) for each in command.params}
        for name, command in sorted({"jaxcam": main, **main.commands}.items())
    }


def stores(folder: Path) -> dict[str, dict[str, Any]]:
    """Of the small stores in a folder: the group's attributes, the layout of each array and the files of chunks."""
    found = {}
    for name in STORES:
        where = folder / name / "store.zarr"
        group = json.loads((where / "zarr.json").read_text())
        found[name] = {
            "attributes": _values(group["attributes"]["jaxcam"]),
            "arrays": {
                each.parent.name: json.loads(each.read_text()) for each in sorted(where.glob("*/zarr.json"))
            },
            "files": sorted(
                each.relative_to(where).as_posix() for each in where.glob("*/c/**/*") if each.is_file()
            ),
        }
    return found


def exports(folder: Path) -> dict[str, Any]:
    """Of the small export in a folder: its parts, and what it says of itself."""
    with zipfile.ZipFile(folder / "explainer.jaxcam") as parts:
        meta = json.loads(parts.read("meta.json"))
        return {"file": {"parts": sorted(parts.namelist())}, "meta": _values(meta)}


def probe() -> jaxcam.Probe:
    """A small network whose weights are the same with every version of every library."""
    model = Small()
    rng = np.random.default_rng(0)
    state = nnx.state(model)
    nnx.update(
        model, jax.tree.map(lambda leaf: (0.5 * rng.normal(size=leaf.shape)).astype(leaf.dtype), state)
    )
    return jaxcam.probe(model, LAYER)


def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)


def image() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(SIDE, SIDE, 3)).astype(np.float32)


def write_store(folder: Path, name: str) -> Path:
    """A store of five pictures, two a batch, listed with labels in a file."""
    folder = folder / name
    folder.mkdir(parents=True)
    for number, each in enumerate(pictures()):
        Image.fromarray(each).save(folder / f"{number}.png")
    lines = ["path,label", *(f"{number}.png,{number % 3}" for number in range(len(pictures())))]
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    run(folder, **STORES[name])
    return folder / "store.zarr"


def run(folder: Path, **settings: Any) -> datasets.Summary:
    return datasets.run(
        folder / "list.csv",
        probe(),
        out=folder / "store.zarr",
        preprocess=Preprocess(resize=SIDE, size=SIDE),
        batch=2,
        **settings,
    )


def write_export(folder: Path) -> Path:
    where = folder / "explainer.jaxcam"
    jaxcam.export(probe(), where, image=(SIDE, SIDE, 3), platforms=("cpu",))
    return where


def _described(value: Any) -> Any:
    if isinstance(value, type):
        members = sorted(name for name in dir(value) if not name.startswith("_"))
        return {"members": members, "parameters": _parameters(value)}
    if callable(value):
        return {"parameters": _parameters(value)}
    if isinstance(value, types.ModuleType):
        return "module"
    return {"value": sorted(value) if isinstance(value, dict) else repr(value)}


def _parameters(function: Any) -> list[list[str]]:
    """Name, kind and default of each."""
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:
        return []
    return [[each.name, each.kind.name, _default(each.default)] for each in found]


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    return getattr(value, "__name__", None) or repr(value)


def _option_name(option: click.Parameter) -> str:
    return " ".join(option.opts) if isinstance(option, click.Option) else f"<{option.name}>"


def _option(option: click.Parameter) -> dict[str, Any]:
    about = option.to_info_dict()
    kind = about["type"]
    limits = {key: kind[key] for key in ("choices", "min", "max") if key in kind}
    limits = {key: list(value) if isinstance(value, tuple) else value for key, value in limits.items()}
    default = option.default
    default = None if callable(default) or "Sentinel" in type(default).__name__ else default
    return {
        "type": "Path" if isinstance(option.type, click.Path) else kind["param_type"],
        "limits": limits,
        "default": list(default) if isinstance(default, tuple) else default,
        "required": option.required,
        "multiple": about["multiple"] if isinstance(option, click.Option) else False,
        "nargs": option.nargs,
    }


def _values(about: dict[str, Any]) -> dict[str, Any]:
    """What a file says of itself; of what differs from run to run, its type."""
    return {key: type(value).__name__ if key in PASSING else value for key, value in sorted(about.items())}
