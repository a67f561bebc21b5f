"""Explainers that `jaxcam.export` wrote: they run without the model's code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload

import jax
import jax.core
import jax.export
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .._checks import check_images, whole_numbers
from .._dtypes import ArrayLike
from .._errors import foreign
from ..targets import _score
from ._archive import Archive, read_archive
from ._vetting import check_shapes, vet

MOST_LIKELY = -1  # what the program takes for it


class Explainer:
    """A model and a method as one compiled program and its weights, made by `jaxcam.restore`."""

    def __init__(self, archive: Archive, *, shaped: bool = False):
        self._metadata = archive.metadata
        with foreign("its program is damaged"):
            program = jax.export.deserialize(bytearray(archive.program))
        _check_signature(program, archive)
        self._weights = [jnp.asarray(leaf) for leaf in archive.weights.values()]
        self._run = jax.jit(program.call)
        # batches whose programs were looked at; None where there is nothing to look at
        self._checked: set[int] | None = set() if shaped else None

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata: method, options, layer, image, dtype, maps, classes, platforms, versions, about."""
        return dict(self._metadata)

    @overload
    def __call__(
        self, images: ArrayLike, targets: ArrayLike | None = None, *, with_output: Literal[False] = False
    ) -> Array: ...
    @overload
    def __call__(
        self, images: ArrayLike, targets: ArrayLike | None = None, *, with_output: Literal[True]
    ) -> tuple[Array, PyTree]: ...
    def __call__(
        self, images: ArrayLike, targets: ArrayLike | None = None, *, with_output: bool = False
    ) -> Array | tuple[Array, PyTree]:
        """Maps for a batch of images. A batch of another size compiles anew.

        Args:
            images: `(B, *space, C)`, of the shape and dtype in the metadata, preprocessed for the model.
            targets: None: the most likely class. An integer: the same for every image. Integers `(B,)`: one each.
                An explainer of a fixed target takes none.
            with_output: also return the model's output for each image, from the same forward pass.

        Returns:
            Maps `(B, *space)` in [0, 1], or raw ones, as it was exported. With `with_output`, a pair of the maps and
            the outputs, each with a leading axis B.

        Raises:
            ValueError: images or targets of the wrong shape, a class out of range, images that are not finite, or a
                device that the explainer was not exported for.
            TypeError: images or targets of the wrong type.
        """
        _check_platform(self._metadata["platforms"])
        images = check_images(images)
        shape, dtype = tuple(self._metadata["image"]), self._metadata["dtype"]
        if images.shape[1:] != shape:
            hint = ". Add a batch axis: images[None]" if images.shape == shape else ""
            raise ValueError(
                f"this explainer takes images (B, {', '.join(map(str, shape))}); got {images.shape}{hint}"
            )
        if images.dtype != dtype:
            raise TypeError(f"this explainer takes images of {dtype}; got {images.dtype}")
        classes = self._targets(targets, images.shape[0])
        if self._checked is not None and images.shape[0] not in self._checked:
            self._check_shapes(images, classes)
        try:
            maps, outputs = self._run(self._weights, images, classes)
        except jax.errors.JaxRuntimeError as error:
            if not str(error).startswith(("INVALID_ARGUMENT", "UNIMPLEMENTED")):
                raise  # of the machine
            raise ValueError(f"the program of this explainer does not compile: {error}") from error
        return (maps, outputs) if with_output else maps

    def _check_shapes(self, images: Array, targets: Array) -> None:
        shapes = (jax.ShapeDtypeStruct(each.shape, each.dtype) for each in (images, targets))
        check_shapes(self._run.lower(self._weights, *shapes).compile().as_text() or "")
        assert self._checked is not None
        self._checked.add(images.shape[0])

    def _targets(self, targets: ArrayLike | None, batch: int) -> Array:
        if targets is None:
            return jnp.full(batch, MOST_LIKELY, jnp.int32)
        classes = self._metadata["classes"]
        if classes is None:
            raise ValueError("this explainer was exported with a target of its own: leave targets out")
        if isinstance(targets, bool | str | float) or callable(targets):
            raise TypeError(f"a restored explainer takes class indices or None; got {targets!r}")
        indices = whole_numbers(targets)
        if indices.shape not in ((), (batch,)):
            raise ValueError(
                f"{batch} images need {batch} targets (B,), or one for all; got shape {indices.shape}"
            )
        if not isinstance(indices, jax.core.Tracer):
            _score.check_classes(indices, classes)
        return jnp.broadcast_to(jnp.asarray(indices, jnp.int32), (batch,))

    def __repr__(self) -> str:
        known: Mapping[str, Any] = self._metadata
        return f"Explainer({known['method']} of {known['layer']}, images {tuple(known['image'])} of {known['dtype']})"


def restore(path: str | Path, *, trusted: bool = False) -> Explainer:
    """An explainer from a file that `jaxcam.export` wrote.

    A file may be a stranger's: its program is read by a process of its own first, which takes a second or two, and is
    refused where it calls anything outside of StableHLO that no method of jaxcam's calls. What is left can compute
    wrong maps, for long, and use much memory; it cannot read or write files, start programs or use the network.

    Args:
        path: of the file.
        trusted: the file is your own, or of somebody whom you would trust with running code: its program is not looked
            at. One with kernels of your own (Pallas, `jax.ffi`) is read only so.

    Returns:
        A function `(images, targets) -> maps` with `.metadata`. It passes through `jax.jit`; it has no gradient.

    Raises:
        ValueError: a file that `jaxcam.export` did not write, a damaged one, one of a later release, or a program that
            calls what no method of jaxcam's does.
        OSError: a file that cannot be read, or no process that can be started to look at it.
    """
    archive = read_archive(Path(path))
    try:
        shaped = () if trusted else vet(archive.program)
        return Explainer(archive, shaped=bool(shaped))
    except ValueError as error:
        raise ValueError(f"{path} is damaged, or was not written by jaxcam.export: {error}") from error


def weights_of(explainer: Explainer) -> list[Array]:
    """The model's parameters, in the order in which the program takes them."""
    return explainer._weights


def call(explainer: Explainer, weights: list[Array], images: Array, targets: Array) -> tuple[Array, PyTree]:
    """Maps and outputs of images `(B, H, W, C)` and targets `(B,)`, while a program is traced: no value is checked, and
    images are converted to the explainer's dtype.

    Raises ValueError for a device that the explainer was not exported for.
    """
    _check_platform(explainer._metadata["platforms"])
    images = images.astype(explainer._metadata["dtype"])
    if explainer._checked is not None and images.shape[0] not in explainer._checked:
        explainer._check_shapes(images, targets)
    return explainer._run(weights, images, targets)


def _check_signature(program: jax.export.Exported, archive: Archive) -> None:
    """Raises ValueError for a program that takes or gives something else than the metadata says."""
    known, weights = archive.metadata, list(archive.weights.values())
    *parameters, images, targets = program.in_avals if len(program.in_avals) > 1 else (None, None)
    structure = jax.tree.structure((([*range(len(weights))], 0, 0), {}))
    fits = (
        images is not None
        and targets is not None
        and program.in_tree == structure
        and [(each.shape, each.dtype) for each in parameters]
        == [(each.shape, each.dtype) for each in weights]
        and (images.shape[1:], images.dtype) == (tuple(known["image"]), known["dtype"])
        and targets.dtype == np.int32
        and list(program.platforms) == known["platforms"]
        and len(program.out_tree.children()) == 2
        and program.out_avals[0].shape[1:] == tuple(known["maps"])
    )
    if not fits:
        raise ValueError("its program does not take or give what its metadata says")


def _check_platform(platforms: list[str]) -> None:
    backend = jax.default_backend()
    if not {"gpu": {"cuda", "rocm"}}.get(backend, {backend}) & set(platforms):
        raise ValueError(
            f"this explainer was exported for {', '.join(platforms)}, and this is a {backend}: export it with "
            "platforms= that name it"
        )
