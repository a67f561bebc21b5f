"""Explain a batch: one compiled program that maps a method over images and classes."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array

from . import _targets
from ._display import display
from ._errors import choose, unknown
from ._inputs import check_images, shape_of_output, whole_numbers
from ._masks import default_chunk
from ._probe import Probe
from .methods import METHODS, gradcam


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
            for the others. By default all images are taken together, with as many masks of each as keeps memory flat:
            16 of 224 x 224 pixels in all, and at least one an image.
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
    method = _method(method)
    images = check_images(images)
    options = _options(method, options, chunk, images)
    output = shape_of_output(probe, images)
    targets, axis = _targets_of(targets, images.shape[0], output)
    size = _size(size, raw, images.shape[1:3])
    chunk = None if "chunk" in options else chunk
    arrays = {name: value for name, value in options.items() if isinstance(value, jax.Array | np.ndarray)}
    static = tuple(sorted((name, value) for name, value in options.items() if name not in arrays))
    maps, outputs = _explain(
        probe, images, targets, arrays, axis=axis, method=method, static=static, size=size, chunk=chunk
    )
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


def _method(method: Callable | str) -> Callable:
    return method if callable(method) else choose("method", method, METHODS, show=99)


def _options(method: Callable, options: dict[str, Any], chunk: int | None, images: Array) -> dict[str, Any]:
    """The method's keyword options, `chunk` among them where the method has it: masks at once for every image, so the
    more images there are the fewer."""
    if chunk is not None and (not isinstance(chunk, int) or isinstance(chunk, bool) or chunk < 1):
        raise ValueError(f"chunk is a whole number of at least 1; got {chunk!r}")
    if "chunk" not in check_options(method, options):
        return options
    return options | {"chunk": chunk or default_chunk(images.shape[1:], images.shape[0])}


def check_options(method: Callable, options: Iterable[str]) -> tuple[str, ...]:
    """The names of the method's options; TypeError for one that it does not have, none for a method that takes any."""
    accepted = inspect.signature(method).parameters
    if any(each.kind is each.VAR_KEYWORD for each in accepted.values()):
        return ()
    names = tuple(name for name, each in accepted.items() if each.kind is each.KEYWORD_ONLY)
    for name in options:
        if name not in names:
            raise TypeError(f"{getattr(method, '__name__', method)}: {unknown('option', name, names)}")
    return names


def _targets_of(targets: Any, batch: int, output: Any) -> tuple[Any, int | None]:
    """Targets as a pytree for the compiled program, and the axis that runs over images."""
    if targets is None or isinstance(targets, _targets.Top):
        if getattr(output, "ndim", 0) != 1:
            _targets.score(output, None)  # says what to pass instead
        if targets is not None and targets.k > output.shape[0]:
            raise ValueError(f"top({targets.k}) of a model with {output.shape[0]} classes")
        return targets, None
    if callable(targets):
        return (targets if isinstance(targets, Partial) else Partial(targets)), None
    if isinstance(targets, Sequence) and not isinstance(targets, str) and any(map(callable, targets)):
        return _stack(targets, batch), 0
    if isinstance(targets, bool | str | float):
        raise TypeError(f"a target is a class index, None or a callable; got {targets!r}")
    indices = whole_numbers(targets)
    if indices.ndim > 2 or (indices.ndim > 0 and indices.shape[0] != batch):
        raise ValueError(
            f"{batch} images need {batch} targets, (B,) or (B, T), or one for all of them; got shape "
            f"{tuple(indices.shape)}"
        )
    if indices.size == 0:
        raise ValueError(f"targets of shape {tuple(indices.shape)} name no class")
    if not isinstance(indices, jax.core.Tracer):
        if getattr(output, "ndim", 0) != 1:
            _targets.score(output, int(indices.ravel()[0]))  # says what to pass instead
        _targets.check_classes(indices, output.shape[0])
    return jnp.asarray(indices, dtype=jnp.int32), None if indices.ndim == 0 else 0


def _stack(targets: Sequence, batch: int) -> Partial:
    if len(targets) != batch:
        raise ValueError(f"{batch} images need {batch} targets; got {len(targets)}")
    structures = {jax.tree.structure(target) for target in targets}
    if not all(isinstance(target, Partial) for target in targets) or len(structures) > 1:
        raise TypeError(
            "the targets of one batch must come from one maker, such as jaxcam.similarity, so that they compile to "
            "one program; explain images with different functions in calls of their own"
        )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *targets)


def _size(size: Any, raw: bool, image: tuple[int, int]) -> tuple[int, int] | None:
    if raw:
        if size is not None:
            raise ValueError("raw maps come at the layer's size: pass raw=True or size=, not both")
        return None
    if size is None:
        return image[0], image[1]
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(side, int) and side >= 1 for side in pair):
        raise ValueError(f"size is (height, width) in pixels, each at least 1; got {size!r}")
    return pair[0], pair[1]
