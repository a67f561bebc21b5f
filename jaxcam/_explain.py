"""Explain a batch: one compiled program that maps a method over images and classes."""

import functools
from collections.abc import Mapping
from typing import Literal, cast, overload

import jax
import jax.core
from jaxtyping import Array, PyTree

from ._display import display
from ._dtypes import ArrayLike
from ._method import Method
from ._request import BoundTargets, Static, bind
from .devices._mesh import check_devices, on_each, split_of
from .methods import gradcam
from .probes._blank import warn_of_blank
from .probes._probe import Probe
from .targets import _score
from .targets._several import Ranked, Targets, kept, ranked

_LAYER = "a layer belongs to the probe, jaxcam.probe(model, layer)"
_ADVICE = {
    **dict.fromkeys(("target", "label", "labels", "classes", "class_index"), "did you mean 'targets'?"),
    **dict.fromkeys(("layer", "layers", "target_layer", "target_layers"), _LAYER),
    "model": "the model belongs to the probe, jaxcam.probe(model, layer)",
    **dict.fromkeys(("image", "inputs", "input_tensor"), "did you mean 'images'?"),
    **dict.fromkeys(("methods", "cam"), "did you mean 'method'?"),
    **dict.fromkeys(("batch", "batch_size"), "did you mean 'chunk'?"),
}
_MISNAMED = {name: f"explain has no argument {name!r}: {advice}" for name, advice in _ADVICE.items()}


@overload
def explain(
    probe: Probe,
    images: ArrayLike,
    targets: Targets = None,
    *,
    method: Method | str = gradcam,
    raw: bool = False,
    size: int | tuple[int, ...] | None = None,
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
    size: int | tuple[int, ...] | None = None,
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
    size: int | tuple[int, ...] | None = None,
    chunk: int | None = None,
    with_output: bool = False,
    **options: object,
) -> Array | tuple[Array, PyTree]:
    """Maps for a batch of images, in one compiled program.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        images: `(B, H, W, C)` of floating point, preprocessed for the model; signals `(B, L, C)` and volumes
            `(B, D, H, W, C)` likewise. An array that is sharded over
            devices along B is explained where it lies: each device computes its own images with the whole model,
            and nothing crosses between them but the parameters that are themselves sharded over the same axes of
            the mesh. (Inside a `jax.jit` of yours that is known for axes of type Explicit; for others, and for
            images that are sharded along another axis, XLA decides what crosses.)
        targets: what to explain. None: the most likely class. An integer, or a callable `output -> scalar`: the
            same for every image. Integers `(B,)`: one class per image. Integers `(B, T)`, or `jaxcam.top(T)`: T
            classes per image from one forward pass. A sequence of B targets made by one maker
            (`jaxcam.similarity(...)` and kin): one per image. `jaxcam.above(threshold, T)`: those classes of an
            image that are above the threshold, at most T, and maps of NaN in place of the rest.
        method: a function of `jaxcam.METHODS`, its name, or any function of the same signature.
        raw: return the raw signed maps at the layer's size, which can be compared between images, instead of maps
            for display.
        size: `(H, W)` of the displayed maps, in pixels, `(L,)` of signals, `(D, H, W)` of volumes, or one number for
            every side; the images' own size by default.
        chunk: how much is computed at once: masks of each image, for a method that has a `chunk` option; images,
            for the others. By default all images are taken together, and masks by the device: on a CPU 16 of 224 x
            224 pixels in all; on an accelerator up to 512, as many as a quarter of its memory holds for this model;
            at least one an image. The maps are the same.
        with_output: also return the model's output for each image, from the same forward pass.
        **options: keyword options of the method. Arrays are arguments of the compiled program; anything else is
            part of it, so a new value compiles anew.

    Returns:
        Maps `(B, H, W)`, or `(B, T, H, W)`, in [0, 1] (`raw`: signed, `(B, h, w)`, `(B, T, h, w)`), at least
        float32; those of signals have one spatial axis, those of volumes three. A displayed map that is made of a NaN
        or an infinity is NaN everywhere; a raw map is NaN or infinite at those places at least. With `with_output`, a
        pair of the maps and the outputs, each with a leading axis B.

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
    # Check and split what was given.
    request = bind(
        probe,
        images,
        targets,
        method=method,
        options=options,
        raw=raw,
        size=size,
        chunk=chunk,
        misnamed=_MISNAMED,
    )
    batch, axis = cast(Array, request.images), request.static.axis
    if split := split_of(batch):
        check_devices(probe, batch)

    # Start the program.
    first = _First()
    maps, outputs = _explain(
        probe, batch, request.targets, request.arrays, static=request.static, first=first, split=split
    )

    # Now that the device has work, the host may wait for it.
    for check in request.later:
        check()
    if first.traced and not isinstance(maps, jax.core.Tracer) and maps.is_fully_addressable:
        warn_of_blank(probe, batch, request.targets, axis, maps, outputs)
    return (maps, outputs) if with_output else maps


class _First:
    """Tells whether a call traces its program, which only the first one does: all are equal as static arguments."""

    traced = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _First)

    def __hash__(self) -> int:
        return 0


@functools.partial(jax.jit, static_argnames=("static", "first", "split"))
def _explain(probe, images, targets, arrays, *, static, first, split):
    first.traced = True
    function = functools.partial(maps_of, static)
    arguments = probe, images, targets, arrays
    if split is None:
        return function(*arguments)
    return on_each(function, split, arguments, (False, True, static.axis == 0, False))


def maps_of(
    static: Static, probe: Probe, images: Array, targets: BoundTargets, arrays: Mapping[str, Array]
) -> tuple[Array, PyTree]:
    """Maps `(B, *space)` or `(B, T, *space)` and outputs of a batch: what the program of a request computes."""

    def each(image, target):
        output, _ = probe(image)  # the compiler merges this with the method's own forward pass
        one = functools.partial(map_of, static, probe, image, arrays=arrays)
        if isinstance(target, Ranked):
            return kept(target, output, jax.vmap(one)(ranked(target, output))), output
        return jax.vmap(one)(target) if getattr(target, "ndim", 0) == 1 else one(target), output

    axis, chunk = static.axis, static.chunk
    if chunk is None:
        return jax.vmap(each, in_axes=(0, axis))(images, targets)
    if axis is None:
        return jax.lax.map(lambda image: each(image, targets), images, batch_size=chunk)
    return jax.lax.map(lambda pair: each(*pair), (images, targets), batch_size=chunk)


def map_of(
    static: Static, probe: Probe, image: Array, target: _score.Target, arrays: Mapping[str, Array]
) -> Array:
    """The map `(*space)` of one image and one target, made ready for display where the request has a size."""
    raw = static.method(probe, image, target, **dict(static.options), **arrays)
    return raw if static.size is None else display(raw, size=static.size)
