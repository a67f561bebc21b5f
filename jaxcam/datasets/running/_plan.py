"""What is computed and kept of every record."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._errors import choose
from ..._request import check_options
from ..._targets import Top, check_classes
from ...metrics._registry import NEED_NOTHING
from ...probes._probe import Probe
from ..store._columns import MAPS_DTYPES, STORED, Column, columns


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to compute of every image.

    Attributes:
        options: of the method, by name, but for those that are arrays.
        arrays: those; a compiled program takes them as arguments.
        targets: the k most likely classes; or classes, the same for every record; or None: each record's own.
        stored: "image" and "layer", maps for display at `size` or the layer's size; "raw", signed ones.
        size: `(H, W)` of the images, and of maps that are stored as "image".
        metrics: of the maps as they are displayed over the images: some of `NEED_NOTHING`.
    """

    method: Callable
    options: tuple[tuple[str, Any], ...] = ()
    arrays: Mapping[str, Any] = field(default_factory=dict, compare=False)
    targets: Top | tuple[int, ...] | None
    stored: str
    size: tuple[int, int]
    maps_dtype: str
    logits: bool
    metrics: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Targets of each record."""
        if isinstance(self.targets, Top):
            return self.targets.k
        return 1 if self.targets is None else len(self.targets)

    def shape(self, probe: Probe) -> "Shape":
        """What the model and the method give for an image.

        Raises ValueError where the model does not fit the plan: its output is not a vector of logits, it lacks a class,
        or it cannot take such images.
        """
        choose("stored", self.stored, STORED)
        choose("maps_dtype", self.maps_dtype, MAPS_DTYPES)
        for name in self.metrics:
            choose("metric", name, NEED_NOTHING)
        image = jax.ShapeDtypeStruct((*self.size, 3), jnp.float32)
        call = functools.partial(self.method, **dict(self.options), **self.arrays)
        output, raw = jax.eval_shape(lambda p, image: (p(image)[0], call(p, image, 0)), probe, image)
        if getattr(output, "ndim", 0) != 1:
            raise ValueError(f"a data set's run needs a model that returns a vector of logits; got {output}")
        (classes,) = output.shape
        if isinstance(self.targets, Top) and self.targets.k > classes:
            raise ValueError(f"top({self.targets.k}) of a model with {classes} classes")
        if isinstance(self.targets, tuple):
            check_classes(self.targets, classes)
        return Shape(classes, *raw.shape)

    def columns(self, shape: "Shape") -> tuple[Column, ...]:
        """The arrays of the store."""
        height, width = self.size if self.stored == "image" else (shape.height, shape.width)
        return columns(
            height=height,
            width=width,
            maps_dtype=self.maps_dtype,
            targets=self.count,
            classes=shape.classes,
            logits=self.logits,
            metrics=self.metrics,
        )


def split_options(method: Callable, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a method as a `Plan` takes them; TypeError for one that the method does not have."""
    check_options(method, options)
    arrays = {name: each for name, each in options.items() if isinstance(each, jax.Array | np.ndarray)}
    rest = sorted((name, each) for name, each in options.items() if name not in arrays)
    return {"options": tuple(rest), "arrays": arrays}


class Shape(NamedTuple):
    """How many classes the model has, and the size of the layer's maps."""

    classes: int
    height: int
    width: int


def parse_targets(given: Any) -> Top | tuple[int, ...] | None:
    """The targets of a `Plan`: "label", "top-1" or "predicted", `jaxcam.top(k)`, a class or several.

    Raises ValueError or TypeError for anything else.
    """
    if isinstance(given, Top):
        return given
    if isinstance(given, str):
        word = given.strip().casefold()
        kind, _, number = word.partition("-")
        if word == "label":
            return None
        if word == "predicted":
            return Top(1)
        if kind == "top" and number.isdecimal() and int(number) > 0:
            return Top(int(number))
        raise ValueError(f"targets are 'label', 'top-1', 'top-K' or classes by number; got {given!r}")
    several = given if isinstance(given, (list, tuple)) else [given]
    if not several or not all(isinstance(each, int) and not isinstance(each, bool) for each in several):
        raise TypeError(f"targets are 'label', 'top-1', 'top-K' or classes by number; got {given!r}")
    return tuple(several)


def describe_targets(targets: Top | tuple[int, ...] | None) -> str:
    """In a word for the store: `label`, `top-5` or `3 7`."""
    if targets is None:
        return "label"
    return f"top-{targets.k}" if isinstance(targets, Top) else " ".join(map(str, targets))
