"""Finds the state_dict inside a checkpoint and gives its keys their plain names."""

import re
from collections.abc import Mapping
from typing import Protocol, cast

import ml_dtypes
import numpy as np

from ._damage import short
from ._tensors import shown
from ._timm_names import once, respell

_DEPTH = 8  # of dicts in one another, and of prefixes
_NESTS = ("state_dict", "model_state_dict", "model", "net")
PREFIXES = ("module.", "model.", "_orig_mod.")  # of DataParallel, of a trainer's class, of torch.compile
_DENSENET = re.compile(
    r"(\.denselayer\d+\.(?:norm|conv))\.([12]\.)"
)  # as DenseNets were spelled before torch 0.4
# as torchvision first spelled the MLPs of vision transformers, and still does in the weights it publishes
_VIT = re.compile(r"(\.encoder_layer_\d+\.mlp\.)linear_([12])\.")


def state_dict(checkpoint: object) -> dict[str, np.ndarray]:
    """The arrays of `checkpoint` under their plain names.

    A training script's dict (`{"state_dict": ..., "epoch": ...}`) is opened; what stands beside the
    state_dict is dropped. A prefix that all keys share (`module.`, `model.`, `_orig_mod.`) is taken off. What timm
    spells in its own way gets torchvision's names.

    Raises ValueError when there is no state_dict, more than one, or something in it that is not an array.
    """
    for _ in range(_DEPTH):
        if not isinstance(checkpoint, Mapping):
            break
        nests = [key for key in _NESTS if isinstance(checkpoint.get(key), Mapping)]
        if not nests:
            break
        if len(nests) > 1:
            raise ValueError(f"holds several state_dicts: {', '.join(nests)}; pass on the one you mean")
        checkpoint = checkpoint[nests[0]]
    else:
        raise ValueError(f"holds dicts in one another, {_DEPTH} deep and more")
    if not isinstance(checkpoint, Mapping):
        raise ValueError(f"holds a {type(checkpoint).__name__}, not a state_dict (names of arrays)")
    if not checkpoint:
        raise ValueError("holds an empty state_dict")
    if odd := [key for key in checkpoint if not isinstance(key, str)]:
        raise ValueError(f"holds a dict whose keys are not names: {shown(odd[0])}")
    found = {key: as_array(key, value) for key, value in checkpoint.items()}
    for _ in range(_DEPTH):
        prefix = next((p for p in PREFIXES if all(key.startswith(p) for key in found)), "")
        found = {key.removeprefix(prefix): value for key, value in found.items()}
    return respell(once((_today(key), value) for key, value in found.items()))


def _today(key: str) -> str:
    key = _DENSENET.sub(r"\1\2", key)
    return _VIT.sub(lambda found: f"{found[1]}{'0' if found[2] == '1' else '3'}.", key)


class _Tensor(Protocol):
    """torch's, as far as it is asked; torch is not imported."""

    dtype: object

    def detach(self) -> "_Tensor": ...

    def cpu(self) -> "_Tensor": ...

    def float(self) -> "_Tensor": ...


def as_array(key: str, value: object) -> np.ndarray:
    """`value`, a numpy, jax or torch array, as a numpy array. torch is not imported."""
    if hasattr(value, "detach"):
        try:
            tensor = cast(_Tensor, value).detach().cpu()
            # numpy has no bfloat16, so torch does not convert it; the way through float32 is exact
            if str(tensor.dtype) == "torch.bfloat16":
                return np.asarray(tensor.float()).astype(ml_dtypes.bfloat16)
            return np.asarray(tensor)
        except (TypeError, NotImplementedError, RuntimeError) as error:  # sparse, quantised, without memory
            raise ValueError(f"torch does not give {short(key)!r} as an array: {short(error)}") from error
    if not hasattr(value, "__array__"):
        raise ValueError(f"holds a {type(value).__name__} under {short(key)!r} where an array should be")
    return np.asarray(value)
