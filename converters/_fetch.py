"""Finds a checkpoint: a file, or a published one by name, which is downloaded once."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from jaxcam.files._cache import cache_folder
from jaxcam.models._published import entry, files_of, folder_of
from jaxcam.models._registry import find

from ._download import download, is_verified
from ._metadata import entry_of
from ._mistakes import check_path
from ._read import spelled
from ._timm import ENTRIES, hub_file

_HUB = re.compile(r"hf://([\w.-]+/[\w.-]+)")
_ENTRY = re.compile(r"[A-Z][A-Z0-9_]*")


class Checkpoint(NamedTuple):
    """A checkpoint that is here.

    Attributes:
        path: its file or folder.
        entry: the published entry that it is, or was converted from, for `jaxcam.models.preprocess(name,
            weights=entry)`; None where that is not known.
    """

    path: Path
    entry: str | None


def fetch(name: str, weights: str | os.PathLike[str], *, url: str | None = None) -> Checkpoint:
    """The checkpoint `weights` of the architecture `name`, downloaded unless it is here.

    A published checkpoint is looked for in the cache (`$JAXCAM_CACHE`, else `$XDG_CACHE_HOME/jaxcam`, else
    `~/.cache/jaxcam`; there in `weights/`), then among what torch has downloaded (`$TORCH_HOME/hub/checkpoints`).
    Found there, it needs no network. Otherwise it is downloaded into the cache. Either way its sha256 is compared with
    the digits that its name ends in (a second for each gigabyte), and a cached file that differs is downloaded again. A
    download that was cut goes on where it ended.

    Args:
        name: one of `jaxcam.models.names()`, or timm's name of a network.
        weights: a path; or "DEFAULT" or another of torchvision's entries, such as "IMAGENET1K_V2" (a file of that
            name goes first); or "hf://timm/resnet50.a1_in1k", a repository on the Hugging Face Hub with a
            `model.safetensors` (it needs `pip install 'jaxcam[hub]'` and has a cache of its own), or a folder with one.
            Its `config.json` comes with it, and says which network it is of and what preprocessing it has.
        url: the folder to download from instead of the publisher's, by default `$JAXCAM_WEIGHTS_URL`.

    Returns:
        Where it is. A path is given back unchecked.

    Raises:
        ValueError: no such architecture or entry, another file came than its name says, or no http url.
        ConnectionError: it cannot be downloaded; the message says where to put it by hand.
        OSError: the cache cannot be written.
        ImportError: it is on the Hub, and huggingface_hub is not installed.
    """
    find(name)
    check_path("fetch", weights)
    path, text, files = Path(weights), spelled(weights), files_of(name)
    if path.is_dir() and (path / "model.safetensors").is_file():
        path = path / "model.safetensors"  # a repository of the Hub's, on this machine
    if path.exists():
        return Checkpoint(path, entry_of(name, path))
    if found := _HUB.fullmatch(text):
        tagged = ENTRIES.get(found[1].rpartition(".")[2])
        tagged = tagged if tagged in files else None
        return Checkpoint(hub_file(found[1], alone=tagged is not None), tagged)
    if text.startswith("hf:"):
        raise ValueError(f"a repository on the Hub is given as hf://OWNER/NAME, got {text!r}")
    if not _ENTRY.fullmatch(text):
        if text.upper() in ("DEFAULT", *files):
            raise ValueError(f"no file {text!r}; the published checkpoint is called {text.upper()!r}")
        return Checkpoint(path, None)
    chosen = entry(name, text)
    return Checkpoint(
        _published(files[chosen], url or os.environ.get("JAXCAM_WEIGHTS_URL") or folder_of(chosen)), chosen
    )


def _published(file: str, base: str) -> Path:
    target = cache_folder() / "weights" / file
    sha256 = file.rpartition("-")[2].partition(".")[0]
    others = []
    for path in (target, cache_folder("TORCH_HOME", "torch") / "hub" / "checkpoints" / file):
        if is_verified(path, sha256):
            return path
        if path.is_file():
            others.append(str(path))
    if not base.startswith(("http://", "https://")):
        raise ValueError(f"checkpoints are downloaded over http or https, got {base!r}")
    source = f"{base.rstrip('/')}/{file}"
    found = f" ({' and '.join(others)} is not that file: its sha256 differs)" if others else ""
    try:
        download(source, target, sha256=sha256)
    except ConnectionError as error:
        raise ConnectionError(
            f"{source} could not be downloaded: {error}{found}. Without a network, put that file at {target}, or name "
            "a mirror in JAXCAM_WEIGHTS_URL"
        ) from error
    except OSError as error:
        raise OSError(
            error.errno,
            f"{source} could not be kept at {target}: {error.strerror or error}. JAXCAM_CACHE names another folder",
        ) from error
    return target
