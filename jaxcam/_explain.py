"""Explain a batch: one compiled program that maps a method over images and classes."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from . import _targets
from ._display import display
from ._explain_arguments import method_of, options_of, size_of, targets_of
from ._inputs import Later, check_images, shape_of_output
from ._probe import Probe
from .methods import gradcam


def explain(
    probe: Probe,
    images: Any,
    targets: Any = None,
    *,
    method: Callable | str = gradcam,
    raw: bool = False,
    size: int | tuple[int, int] | None = None,
    chunk: int | None = None,
    with_output: bool = False,
    **options: Any,
) -> Any:
    """Maps for a batch of images, in one compiled program.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        images: `(B, H, W, C)` of floating point, preprocessed for the model. An array that is sharded over
            devices along B is explained where it lies.
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
        float32. With `with_output`, a pair of the maps and the outputs, each with a leading axis B.

    Raises:
        ValueError: images, targets or sizes of the wrong shape, a class out of range, images that are not finite,
            an unknown method, images that the model rejects.
        TypeError: images or targets of the wrong type, an option that the method does not have.

    Example:
        >>> import jax, jaxcam
        >>> from jaxcam import models
        >>> probe = jaxcam.probe(models.build("cifar_resnet20"), "layer3")
        >>> images = jax.random.normal(jax.random.key(0), (4, 32, 32, 3))
        >>> jaxcam.explain(probe, images, [3, 1, 4, 1], method=jaxcam.hirescam).shape
        (4, 32, 32)
    """
    method = method_of(method)
    later: Later = []
    images = check_images(images, later)
    options = options_of(method, options, chunk, images, probe=probe)
    output = shape_of_output(probe, images)
    targets, axis = targets_of(targets, images.shape[0], output, later)
    size = size_of(size, raw, images.shape[1:3])
    chunk = None if "chunk" in options else chunk
    arrays = {name: value for name, value in options.items() if isinstance(value, jax.Array | np.ndarray)}
    static = tuple(sorted((name, value) for name, value in options.items() if name not in arrays))
    maps, outputs = _explain(
        probe, images, targets, arrays, axis=axis, method=method, static=static, size=size, chunk=chunk
    )
    for check in later:  # now that the device has work, the host may wait for it
        check()
    return (maps, outputs) if with_output else maps


@functools.partial(jax.jit, static_argnames=("axis", "method", "static", "size", "chunk"))
def _explain(probe, images, targets, arrays, *, axis, method, static, size, chunk):
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
