"""What `explain` and `export` are given, checked and made into what a compiled program takes."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence

import jax
import jax.core
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, PyTree

from . import _targets
from ._checks import Later, whole_numbers
from ._errors import choose, unknown
from .devices._chunks import default_chunk, forward_bytes
from .methods import METHODS
from .methods._of_probe import Method
from .probes._probe import Probe

_LAYER = "a layer belongs to the probe, jaxcam.probe(model, layer)"
_MISNAMED = {
    **dict.fromkeys(("target", "label", "labels", "classes", "class_index"), "did you mean 'targets'?"),
    **dict.fromkeys(("layer", "layers", "target_layer", "target_layers"), _LAYER),
    "model": "the model belongs to the probe, jaxcam.probe(model, layer)",
    **dict.fromkeys(("image", "inputs", "input_tensor"), "did you mean 'images'?"),
    **dict.fromkeys(("methods", "cam"), "did you mean 'method'?"),
    **dict.fromkeys(("batch", "batch_size"), "did you mean 'chunk'?"),
}


def method_of(method: Method | str) -> Callable:
    if callable(method):
        return method
    if not isinstance(method, str):
        several = ": call explain once for each" if isinstance(method, Sequence | set) else ""
        raise TypeError(f"a method is a function or a name, one in a call; got {method!r}{several}")
    return choose("method", method, METHODS, show=99)


def check_misnamed(method: Callable, options: Iterable[str]) -> None:
    """TypeError for a keyword that is none of the method's, and almost one of `explain`'s own."""
    accepted = inspect.signature(method).parameters.values()
    its = {each.name for each in accepted if each.kind is each.KEYWORD_ONLY}
    for name in options:
        if name not in its and (own := _MISNAMED.get(name)):
            raise TypeError(f"explain has no argument {name!r}: {own}")


def options_of(
    method: Callable,
    options: dict[str, object],
    chunk: int | None,
    images: Array | jax.ShapeDtypeStruct,
    *,
    probe: Probe | None = None,
) -> dict[str, object]:
    """The method's keyword options, `chunk` among them where the method has it: masks at once for every image, so the
    more images there are the fewer. Without a probe, the number does not depend on the device."""
    if chunk is not None and (not isinstance(chunk, int) or isinstance(chunk, bool) or chunk < 1):
        raise ValueError(f"chunk is a whole number of at least 1; got {chunk!r}")
    if "chunk" not in check_options(method, options):
        return options
    each = None if probe is None else lambda: forward_bytes(probe, images)
    return options | {"chunk": chunk or default_chunk(images.shape[1:], images.shape[0], each=each)}


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


def targets_of(
    targets: _targets.Targets, batch: int, output: PyTree, later: Later | None = None
) -> tuple[PyTree, int | None]:
    """Targets as a pytree for the compiled program, and the axis that runs over images.

    `later` takes the check of classes that are on a device, as for `check_images`.
    """
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
        check = functools.partial(_targets.check_classes, indices, output.shape[0])
        if later is None or not isinstance(indices, jax.Array):
            check()
        else:
            later.append(check)
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


def size_of(size: int | Sequence[int] | None, raw: bool, image: tuple[int, ...]) -> tuple[int, int] | None:
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
