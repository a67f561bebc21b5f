"""Explain a batch: one compiled program that maps a method over images and classes."""

import functools
from typing import Literal, overload

import jax
import jax.core
import numpy as np
from jaxtyping import Array, PyTree

from . import _targets
from ._checks import Later, check_images, check_probe, shape_of_output
from ._display import display
from ._dtypes import ArrayLike
from ._request import check_misnamed, method_of, options_of, size_of, targets_of
from ._targets import Targets
from .devices._mesh import check_devices, on_each, split_of
from .methods import gradcam
from .methods._of_probe import Method
from .probes._blank import warn_of_blank
from .probes._probe import Probe


@overload
def explain(
    probe: Probe,
    images: ArrayLike,
    targets: Targets = None,
    *,
    method: Method | str = gradcam,
    raw: bool = False,
    size: int | tuple[int, int] | None = None,
    chunk: int | None = None,
    with_output: Literal[False] = False,
    **options: object,
) -> Array: ...
@overload
def explain(
    probe: Probe,
    images: ArrayLike,
    targets: Targets = None,
    *,
    method: Method | str = gradcam,
    raw: bool = False,
    size: int | tuple[int, int] | None = None,
    chunk: int | None = None,
    with_output: Literal[True],
    **options: object,
) -> tuple[Array, PyTree]: ...
def explain(
    probe: Probe,
    images: ArrayLike,
    targets: Targets = None,
    *,
    method: Method | str = gradcam,
    raw: bool = False,
    size: int | tuple[int, int] | None = None,
    chunk: int | None = None,
    with_output: bool = False,
    **options: object,
) -> Array | tuple[Array, PyTree]:
    """Maps for a batch of images, in one compiled program.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        images: `(B, H, W, C)` of floating point, preprocessed for the model. An array that is sharded over
            devices along B is explained where it lies: each device computes its own images with the whole model,
            and nothing crosses between them but the parameters that are themselves sharded over the same axes of
            the mesh. (Inside a `jax.jit` of yours that is known for axes of type Explicit; for others, and for
            images that are sharded along another axis, XLA decides what crosses.)
        targets: what to explain. None: the most likely class. An integer, or a callable `output -> scalar`: the
            same for every image. Integers `(B,)`: one class per image. Integers `(B, T)`, or `jaxcam.top(T)`: T
            classes per image from one forward pass. A sequence of B targets made by one maker
            (`jaxcam.similarity(...)` and kin): one per image.
        method: a function of `jaxcam.METHODS`, its name, or any function of the same signature.
        raw: return the raw signed maps at the layer's size, which can be compared between images, instead of maps
            for display.
        size: `(H, W)` of the displayed maps, in pixels; the images' own size by default.
        chunk: how much is computed at once: masks of each image, for a method that has a `chunk` option; images,
            for the others. By default all images are taken together, and masks by the device: on a CPU 16 of 224 x
            224 pixels in all; on an accelerator up to 512, as many as a quarter of its memory holds for this model;
            at least one an image. The maps are the same.
        with_output: also return the model's output for each image, from the same forward pass.
        **options: keyword options of the method. Arrays are arguments of the compiled program; anything else is
            part of it, so a new value compiles anew.

    Returns:
        Maps `(B, H, W)`, or `(B, T, H, W)`, in [0, 1] (`raw`: signed, `(B, h, w)`, `(B, T, h, w)`), at least
        float32. A displayed map that is made of a NaN or an infinity is NaN everywhere; a raw map is NaN or infinite
        at those places at least. With `with_output`, a pair of the maps and the outputs, each with a leading axis B.

    Raises:
        ValueError: images, targets or sizes of the wrong shape, a class out of range, images that are not finite,
            an unknown method, images that the model rejects, parameters that were put on one device where the
            images are on several.
        TypeError: images or targets of the wrong type, a model instead of a probe, an option that the method does not
            have.

    Warns:
        MapWarning: maps that are not finite; or that are zero everywhere because no gradient reaches the layer, with
            the layer to take. The first call of a program looks for them, and waits for its maps; those that follow
            return while the device computes. Inside `jax.jit` there is no warning.

    Example:
        >>> import jax, jaxcam
        >>> from jaxcam import models
        >>> probe = jaxcam.probe(models.build("cifar_resnet20"), "layer3")
        >>> images = jax.random.normal(jax.random.key(0), (4, 32, 32, 3))
        >>> jaxcam.explain(probe, images, [3, 1, 4, 1], method=jaxcam.hirescam).shape
        (4, 32, 32)
    """
    check_probe(probe)
    method = method_of(method)
    later: Later = []
    images = check_images(images, later)
    check_misnamed(method, options)
    options = options_of(method, options, chunk, images, probe=probe)
    output = shape_of_output(probe, images)
    targets, axis = targets_of(targets, images.shape[0], output, later)
    size = size_of(size, raw, images.shape[1:3])
    split = split_of(images)
    if split is not None:
        check_devices(probe, images)
    chunk = None if "chunk" in options else chunk
    arrays = {name: value for name, value in options.items() if isinstance(value, jax.Array | np.ndarray)}
    static = tuple((name, options[name]) for name in sorted(options.keys() - arrays.keys()))
    first = _First()
    maps, outputs = _explain(
        probe,
        images,
        targets,
        arrays,
        first=first,
        axis=axis,
        method=method,
        static=static,
        size=size,
        chunk=chunk,
        split=split,
    )
    for check in later:  # now that the device has work, the host may wait for it
        check()
    if first.traced and not isinstance(maps, jax.core.Tracer) and maps.is_fully_addressable:
        warn_of_blank(probe, images, targets, axis, maps)
    return (maps, outputs) if with_output else maps


class _First:
    """Tells whether a call traces its program, which only the first one does: all are equal as static arguments."""

    traced = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _First)

    def __hash__(self) -> int:
        return 0


@functools.partial(jax.jit, static_argnames=("first", "axis", "method", "static", "size", "chunk", "split"))
def _explain(probe, images, targets, arrays, *, first, split, axis, **fixed):
    first.traced = True
    function = functools.partial(_maps, axis=axis, **fixed)
    arguments = probe, images, targets, arrays
    if split is None:
        return function(*arguments)
    return on_each(function, split, arguments, (False, True, axis == 0, False))


def _maps(probe, images, targets, arrays, *, axis, method, static, size, chunk):
    call = functools.partial(method, **dict(static), **arrays)

    def one(image, target):
        raw = call(probe, image, target)
        return raw if size is None else display(raw, size=size)

    def each(image, target):
        output, _ = probe(image)  # the compiler merges this with the method's own forward pass
        if isinstance(target, _targets.Top):
            target = jax.lax.top_k(output, target.k)[1]
        several = getattr(target, "ndim", 0) == 1
        maps = jax.vmap(one, in_axes=(None, 0))(image, target) if several else one(image, target)
        return maps, output

    if chunk is None:
        return jax.vmap(each, in_axes=(0, axis))(images, targets)
    if axis is None:
        return jax.lax.map(lambda image: each(image, targets), images, batch_size=chunk)
    return jax.lax.map(lambda pair: each(*pair), (images, targets), batch_size=chunk)
