"""timm's checkpoints on the Hugging Face Hub, and the `config.json` that lies beside each."""

import json
from pathlib import Path
from typing import Any

from jaxcam.models._timm._config import Config

# what timm calls the weights that it has from torchvision
ENTRIES = {
    "tv_in1k": "IMAGENET1K_V1",
    "tv2_in1k": "IMAGENET1K_V2",
    "swag_ft_in1k": "IMAGENET1K_SWAG_E2E_V1",
    "swag_lc_in1k": "IMAGENET1K_SWAG_LINEAR_V1",
}
_CONFIG = "config.json"


def hub_file(repository: str, *, alone: bool) -> Path:
    """`model.safetensors` of a repository on the Hub, downloaded once into the Hub's own cache.

    The repository's `config.json` is downloaded, too, and lies beside it; `alone` allows the checkpoint without it,
    where it is cached and there is no network.

    Raises:
        ImportError: huggingface_hub is not installed.
        ConnectionError: it cannot be had: no such repository or file, no access, or no network.
    """
    try:
        import huggingface_hub
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ModuleNotFoundError as error:
        raise ImportError(
            f"hf://{repository} needs huggingface_hub: pip install 'jaxcam[hub]'. "
            "Or download model.safetensors and pass its path"
        ) from error
    try:
        path = Path(huggingface_hub.hf_hub_download(repository, "model.safetensors"))
        try:
            huggingface_hub.hf_hub_download(repository, _CONFIG)
        except LocalEntryNotFoundError:  # not cached, and out of reach
            if not alone:
                raise
        except EntryNotFoundError:
            pass  # a repository that is not timm's
        return path
    except (OSError, EntryNotFoundError) as error:
        raise ConnectionError(
            f"hf://{repository} could not be downloaded: {str(error).rstrip('.')}. Without a network, pass the "
            "path of its model.safetensors"
        ) from error


def beside(path: Path) -> Config | None:
    """timm's `config.json` in the folder of a checkpoint, or in the folder that it is; None where there is none."""
    file = (path if path.is_dir() else path.parent) / _CONFIG
    try:
        return Config.parse(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def written(config: Config) -> str:
    """A config as the metadata of a converted checkpoint keeps it."""
    about: dict[str, Any] = {
        "architecture": config.name,
        "model_args": dict(config.arguments),
        "pretrained_cfg": {key: config.inputs[key] for key in _KEPT if key in config.inputs},
    }
    return json.dumps(about if config.classes is None else about | {"num_classes": config.classes})


def kept(text: object) -> Config | None:
    """The inverse of `written`; None of anything else."""
    return Config.parse(json.loads(text)) if isinstance(text, str) else None


_KEPT = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")
