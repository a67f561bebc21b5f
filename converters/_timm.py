"""timm's spelling of torchvision's networks, and its checkpoints on the Hugging Face Hub.

timm's ResNets, ResNeXts, Wide ResNets, DenseNets and Inception v3 have torchvision's names; its VGGs and RegNets have
their own. Its EfficientNets, MobileNets and others of the same titles are other implementations, and do not fit.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

# what timm calls the weights that it has from torchvision
ENTRIES = {
    "tv_in1k": "IMAGENET1K_V1",
    "tv2_in1k": "IMAGENET1K_V2",
    "swag_ft_in1k": "IMAGENET1K_SWAG_E2E_V1",
    "swag_lc_in1k": "IMAGENET1K_SWAG_LINEAR_V1",
}
_VGG = {"pre_logits.fc1.": "classifier.0.", "pre_logits.fc2.": "classifier.3.", "head.fc.": "classifier.6."}
_REGNET = {"stem.conv.": "stem.0.", "stem.bn.": "stem.1.", "head.fc.": "fc."}
_REGNET_BLOCK = {
    **{f"conv{n}.conv.": f"f.{letter}.0." for n, letter in enumerate("abc", 1)},
    **{f"conv{n}.bn.": f"f.{letter}.1." for n, letter in enumerate("abc", 1)},
    "se.": "f.se.",
    "downsample.conv.": "proj.0.",
    "downsample.bn.": "proj.1.",
}


def respell(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`arrays` under torchvision's names and in its shapes where they are timm's VGG or RegNet, else as they are."""
    if "pre_logits.fc1.weight" in arrays:
        return {_renamed(key, _VGG): _flat(key, value) for key, value in arrays.items()}
    if "s1.b1.conv1.conv.weight" in arrays:
        return {_regnet(key): value for key, value in arrays.items()}
    return dict(arrays)


def hub_file(repository: str) -> Path:
    """`model.safetensors` of a repository on the Hub, downloaded once into the Hub's own cache.

    Raises:
        ImportError: huggingface_hub is not installed.
        ConnectionError: it cannot be had: no such repository or file, no access, or no network.
    """
    try:
        import huggingface_hub
        from huggingface_hub.errors import EntryNotFoundError
    except ModuleNotFoundError as error:
        raise ImportError(
            f"hf://{repository} needs huggingface_hub: pip install 'jaxcam[hub]'. "
            "Or download model.safetensors and pass its path"
        ) from error
    try:
        return Path(huggingface_hub.hf_hub_download(repository, "model.safetensors"))
    except (OSError, EntryNotFoundError) as error:
        raise ConnectionError(
            f"hf://{repository} could not be downloaded: {str(error).rstrip('.')}. Without a network, pass the "
            "path of its model.safetensors"
        ) from error


def _renamed(key: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def _regnet(key: str) -> str:
    if found := re.fullmatch(r"s(\d)\.b(\d+)\.(.+)", key):
        stage, number, rest = found[1], int(found[2]) - 1, found[3]
        return f"trunk_output.block{stage}.block{stage}-{number}.{_renamed(rest, _REGNET_BLOCK)}"
    return _renamed(key, _REGNET)


def _flat(key: str, value: np.ndarray) -> np.ndarray:
    """timm's VGGs end in convolutions that cover the whole map: torchvision's matrices, not yet flattened."""
    flat = key in ("pre_logits.fc1.weight", "pre_logits.fc2.weight") and value.ndim == 4
    return value.reshape(len(value), math.prod(value.shape[1:])) if flat else value
