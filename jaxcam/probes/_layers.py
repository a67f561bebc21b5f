"""The layers that a probe looks at, and how they are named."""

import dataclasses
import re
from collections.abc import Hashable, Sequence
from typing import Final

from .._errors import nearest
from ._mistakes import check_layer

INPUT: Final = "jaxcam.INPUT"
"""The name of the model's input as a layer: there `gradient × activation` is gradient × input."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer that a probe looks at.

    Attributes:
        label: the name that its activation and gradient have, where a probe has several layers.
        name: of its mark in the model's program.
        call: which of its calls, or which slice of a scanned stack; None if it is called once.
        leaf: which leaf of the tuple or dictionary that it returns; None if it is the one that is a map.
        kind: the word for it in errors; empty if the label says it.
    """

    label: str
    name: Hashable
    call: int | None = None
    leaf: str | None = None
    kind: str = "layer"

    @property
    def who(self) -> str:
        if self.name == INPUT:
            return "the input"
        return f"{self.kind} {self.label!r}" if self.kind else self.label


def hash_of(*parts: object) -> int:
    """A hash of what can be hashed, and of the type of what cannot: a configuration that can be changed, for example.

    Parts that are equal have equal hashes.
    """
    return hash(tuple(part if _can_be_hashed(part) else type(part) for part in parts))


def _can_be_hashed(part: object) -> bool:
    try:
        hash(part)
    except TypeError:
        return False
    return True


def input_layer() -> Layer:
    return Layer(INPUT, INPUT)


def labels_of(layer: str | Sequence[str]) -> tuple[str, ...]:
    """The names of the layers, each checked; one name stands for one layer."""
    if isinstance(layer, str) or not isinstance(layer, list | tuple):
        check_layer(layer)
        return (str(layer),)
    if not layer:
        raise ValueError("a probe needs at least one layer; got none")
    for each in layer:
        check_layer(each)
    if len(set(layer)) < len(layer):
        twice = next(each for each in layer if layer.count(each) > 1)
        raise ValueError(f"the layers of a probe must be different; got {twice!r} twice")
    return tuple(layer)


def parsed(label: str) -> tuple[str, int | None, str | None]:
    """`"block[1]:0"` as the path, the call and the leaf: `("block", 1, "0")`."""
    path, _, leaf = label.partition(":")
    match = _CALL.fullmatch(path)
    if match is None:
        return path, None, leaf or None
    return match[1], int(match[2]), leaf or None


_CALL = re.compile(r"(.+)\[(-?\d+)\]")


def no_such(label: str, labels: Sequence[str]) -> str:
    near = nearest(str(label), labels, cutoff=0.5)
    guess = f"; did you mean {near!r}?" if near else "."
    return f"the probe has no layer {label!r}{guess} It has {', '.join(labels)}"
