"""The arguments of a network of timm's: each is read once, and what is not served is named."""

from collections.abc import Mapping
from typing import Any

# Arguments of timm's that no network here has, in words.
_WORDS = {
    "aa_layer": "anti-aliased downsampling (aa_layer)",
    "attn_layer": "attention of this kind (attn_layer)",
    "block_fn": "blocks of this kind (block_fn)",
    "block_reduce_first": "narrower first convolutions (block_reduce_first)",
    "bottle_ratio": "bottlenecks (bottle_ratio)",
    "channels": "widths of its own (channels)",
    "down_kernel_size": "wider convolutions in shortcuts (down_kernel_size)",
    "embed_norm_layer": "norm of patches (embed_norm_layer)",
    "force_in_chs": "EdgeTPU blocks (force_in_chs)",
    "group_size": "grouped convolutions (group_size)",
    "head_hidden_size": "hidden layer in the head (head_hidden_size)",
    "head_norm_first": "head that normalises before it pools (head_norm_first)",
    "kernel_sizes": "kernels of several sizes (kernel_sizes)",
    "linear_out": "linear outputs of blocks (linear_out)",
    "mlp_layer": "gated MLPs (mlp_layer)",
    "num_experts": "conditional convolutions (num_experts)",
    "preact": "norms before convolutions (preact)",
    "proj_bias": "projections without bias (proj_bias)",
    "pruned": "pruned channels",
    "qk_norm": "norm of queries and keys (qk_norm)",
    "s2d": "space-to-depth blocks (s2d)",
    "scale_attn_norm": "norm inside the attention (scale_attn_norm)",
    "scale_mlp_norm": "norm inside the MLP (scale_mlp_norm)",
    "se_layer": "gates of this kind (se_layer)",
}


class NotServed(Exception):
    """A feature that the networks here do not have, in words."""


class Features:
    """Arguments by name, each of which is to be read."""

    def __init__(self, arguments: Mapping[str, Any]):
        self._left = dict(arguments)

    def read(self, name: str, default: Any = None) -> Any:
        """The argument of that name, or the default of timm's class."""
        return self._left.pop(name, default)

    def choose(self, name: str, default: Any, allowed: Mapping[Any, Any]) -> Any:
        """What `allowed` has for the argument, and NotServed for another one."""
        value = self.read(name, default)
        if isinstance(value, list | dict) or value not in allowed:
            raise NotServed(in_words(name, value))
        return allowed[value]

    def check_all_read(self) -> None:
        """Raises NotServed where an argument was not read: it asks for something that is not built."""
        for name, value in self._left.items():
            raise NotServed(in_words(name, value))


def in_words(name: str, value: Any) -> str:
    """An argument as a feature: `gated MLPs (mlp_layer)`."""
    return _WORDS.get(name, f"{name}={value}")
