"""What is computed and kept of every record."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ..._checks import check_probe, shape_of_output
from ..._errors import choose
from ..._explain import map_of
from ..._request import Options, Request, bind
from ...files._labels import top_of
from ...metrics._registry import NEED_NOTHING
from ...probes._probe import Probe
from ...targets._several import Top
from ..store._columns import MAPS_DTYPES, STORED, Column, columns


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which maps are computed of every image, and what is kept of them.

    Attributes:
        targets: the k most likely classes; or classes, the same for every record; or None: each record's own.
        stored: "image" and "layer", maps for display at `size` or the layer's size; "raw", signed ones.
        size: the images' spatial size, such as `(H, W)`, and that of maps that are stored as "image".
        channels: of the images.
        metrics: of the maps as they are displayed over the images: some of `NEED_NOTHING`.

    Raises ValueError for a word that is none of those listed above.
    """

    targets: Top | tuple[int, ...] | None
    stored: str
    size: tuple[int, ...]
    maps_dtype: str
    logits: bool
    metrics: tuple[str, ...] = ()
    channels: int = 3

    def __post_init__(self):
        choose("stored", self.stored, STORED)
        choose("maps_dtype", self.maps_dtype, MAPS_DTYPES)
        for name in self.metrics:
            choose("metric", name, NEED_NOTHING)

    @property
    def count(self) -> int:
        """Number of targets of each record."""
        if isinstance(self.targets, Top):
            return self.targets.k
        return 1 if self.targets is None else len(self.targets)

    def targets_of(self, labels: Array | np.ndarray) -> Top | Array | np.ndarray:
        """The targets `(B, T)` of a batch, for its records' own classes `(B,)`."""
        if isinstance(self.targets, Top):
            return self.targets
        if self.targets is None:
            return labels[:, None]
        return np.tile(np.asarray(self.targets), (len(labels), 1))

    def bind(self, probe: Probe, *, batch: int, method: Callable | str, options: Options) -> Request:
        """The request of the raw maps of a batch of images.

        Raises:
            ValueError: an unknown method; a model that does not fit the plan: its output is not a vector of logits, it
                lacks a class, or it cannot take such images.
            TypeError: an option that the method does not have.
        """
        check_probe(probe)
        images = jax.ShapeDtypeStruct((batch, *self.size, self.channels), jnp.float32)
        output = shape_of_output(probe, images)
        if getattr(output, "ndim", 0) != 1:
            raise ValueError(f"a data set's run needs a model that returns a vector of logits; got {output}")
        own = np.zeros(batch, np.int32)  # any classes: a record's own is checked when it is read
        targets = self.targets_of(own)
        return bind(probe, images, targets, method=method, options=options, raw=True)

    def columns(self, shape: "Shape") -> tuple[Column, ...]:
        """The arrays of the store."""
        return columns(
            size=self.size if self.stored == "image" else shape.size,
            maps_dtype=self.maps_dtype,
            targets=self.count,
            classes=shape.classes,
            logits=self.logits,
            metrics=self.metrics,
        )


class Shape(NamedTuple):
    """Number of classes of the model, and size of the layer's maps."""

    classes: int
    size: tuple[int, ...]


def shape_of(request: Request) -> Shape:
    image = jax.ShapeDtypeStruct(request.images.shape[1:], request.images.dtype)
    raw = jax.eval_shape(
        lambda probe, image, arrays: map_of(request.static, probe, image, 0, arrays),
        request.probe,
        image,
        request.arrays,
    )
    return Shape(request.output.shape[0], raw.shape)


def parse_targets(given: PyTree) -> Top | tuple[int, ...] | None:
    """The targets of a `Plan`: "label", "top-1" or "predicted", `jaxcam.top(k)`, a class or several.

    Raises ValueError or TypeError for anything else.
    """
    if isinstance(given, Top):
        return given
    if isinstance(given, str):
        if given.strip().casefold() == "label":
            return None
        if count := top_of(given):
            return Top(count)
        raise ValueError(f"targets are 'label', 'top-1', 'top-K' or classes by number; got {given!r}")
    several = given if isinstance(given, (list, tuple)) else [given]
    if not several or not all(isinstance(each, int) and not isinstance(each, bool) for each in several):
        raise TypeError(f"targets are 'label', 'top-1', 'top-K' or classes by number; got {given!r}")
    return tuple(several)
