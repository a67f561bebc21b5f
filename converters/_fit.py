"""Compares a state_dict with a model, and describes the differences."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flax import nnx

from ._known import alike
from ._layout import buffers, leaves

Shape = tuple[int, ...]
_SHOWN = 8  # names listed before "and 153 more"
# heads that only training uses: dropped where the model was built without them
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


class Fit(NamedTuple):
    """What keeps a state_dict from filling a model; `misshaped` holds (checkpoint's, model's) shape."""

    missing: list[str]
    unexpected: list[str]
    misshaped: dict[str, tuple[Shape, Shape]]

    @property
    def classes(self) -> tuple[int, int] | None:
        """(checkpoint's, model's) number of classes where that is all they differ in."""
        if self.missing or self.unexpected or not self.misshaped:
            return None
        pairs = {(given[:1], wanted[:1]) for given, wanted in self.misshaped.values()}
        same_inputs = all(given[1:] == wanted[1:] for given, wanted in self.misshaped.values())
        if len(pairs) > 1 or not same_inputs:
            return None
        ((given,), (wanted,)) = pairs.pop()
        return given, wanted


def shapes(model: nnx.Module) -> dict[str, Shape]:
    """Name and shape, in torch's layout, of every array that a checkpoint of `model` holds."""
    return {leaf.key: leaf.shape for leaf in leaves(model)} | {
        key: value.shape for key, value in buffers(model).items()
    }


def weights(state_dict: Mapping, wanted: Iterable[str]) -> dict:
    """`state_dict` without batch counters and without auxiliary heads that the model was built without."""
    unused = [prefix for prefix in _AUXILIARY if not any(key.startswith(prefix) for key in wanted)]
    return {
        key: value
        for key, value in state_dict.items()
        if not key.endswith("num_batches_tracked") and not key.startswith(tuple(unused))
    }


def image_size(model: nnx.Module, state_dict: Mapping) -> int | None:
    """The image size that a vision transformer's checkpoint is for, where `model` is for another."""
    table, patch = state_dict.get("encoder.pos_embedding"), getattr(model, "patch", None)
    if table is None or patch is None or len(table.shape) != 3:
        return None
    # one row for each patch of the square, and one for the class
    side = math.isqrt(max(table.shape[1] - getattr(model, "table_tokens", 1), 0))
    return side * patch if side and side != getattr(model, "image_size", 0) // patch else None


def fit(wanted: Mapping[str, Shape], given: Mapping[str, Shape]) -> Fit:
    return Fit(
        missing=[key for key in wanted if key not in given],
        unexpected=[key for key in given if key not in wanted],
        misshaped={
            key: (given[key], wanted[key]) for key in wanted if key in given and given[key] != wanted[key]
        },
    )


def message(found: Fit, given: Mapping[str, Shape], rename: Mapping[str, str] | None = None) -> str:
    """The three lists and, where one is found, the likely cause; `rename` would make the checkpoint fit."""
    misshaped = [f"{key} (checkpoint {a}, model {b})" for key, (a, b) in found.misshaped.items()]
    lists = {"missing": found.missing, "unexpected": found.unexpected, "misshaped": misshaped}
    lines = ["the checkpoint does not fit the model", *(_listed(*item) for item in lists.items() if item[1])]
    if rename:
        lines.append(f"other names are all that differs: pass rename={dict(rename)}")
    elif found.classes:
        a, b = found.classes
        lines.append(
            f"the checkpoint's head has {a} classes, the model was built with {b}: pass num_classes={a}"
        )
    elif names := alike(weights(given, ())):
        lines.append(f"this looks like {' or '.join(names)}")
    return "\n  ".join(lines)


def _listed(title: str, names: list[str]) -> str:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {title}: {', '.join(names[:_SHOWN])}{more}"
