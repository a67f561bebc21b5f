"""Maps without information, zero everywhere or not finite, and the reason why."""

import warnings

import jax
import numpy as np
from jaxtyping import Array, PyTree

from ..targets._score import Target
from ..targets._several import Above, Ranked, ranked
from ._nearby import nearby
from ._nnx import Submodule
from ._paths import layers, resolve
from ._probe import Image, Look, Probe

ZERO = "the map is zero everywhere"
LOOKS = 8  # blank maps of a run whose cause is looked for


class MapWarning(UserWarning):
    """A map without information: not finite, or zero everywhere because no gradient reaches the layer."""


class Blank:
    """Notes which maps of a run are zero everywhere, and why. To find the reason it looks at the first few again."""

    def __init__(self, probe: Probe):
        self.probe = probe
        self._causes: list[str] = []

    def note(self, raw: np.ndarray, image: Image, target: Target) -> str:
        """The note on a map, empty for a map that has a value other than zero."""
        if raw.any():
            return ""
        if len(self._causes) < LOOKS:
            self._causes.append(why_blank(self.probe, image, target))
            cause = self._causes[-1]
        else:
            cause = self._causes[0] if len(set(self._causes)) == 1 else ""
        return f"{ZERO}: {cause}" if cause else ZERO


def why_blank(probe: Probe, image: Image, target: Target) -> str:
    """Why the map of an image is zero everywhere, and the layer to take instead.

    Empty where the layer has an activation and a gradient: then there is no evidence for the target. It costs a forward
    pass and the backward pass of what follows the layer. Of a probe of several layers it is empty.
    """
    if len(probe.layers) > 1:
        return ""
    try:
        look = jax.device_get(_look(probe, image, target))
    except (TypeError, ValueError):  # a head that cannot be differentiated, which not every method asks for
        return ""
    layer = f"layer {str(probe.anatomy)!r}"
    if not all(np.isfinite(each).all() for each in (look.activation, look.gradient)):
        return f"the activation or the gradient of {layer} is not finite"
    if not look.activation.any():
        return f"the activation of {layer} is zero at every position"
    if not look.gradient.any():
        advice = _instead(probe, image, target)
        return f"the gradient of {layer} is zero at every position, so that nothing there counts: {advice}"
    return ""


def warn_of_blank(
    probe: Probe, images: Array, targets: PyTree, axis: int | None, maps: Array, outputs: PyTree
) -> None:
    """Warns of maps `(B, *space)` or `(B, T, *space)` that are not finite, or zero everywhere for want of a gradient.

    It waits for the maps. One image is looked at again where a map is zero everywhere.
    """
    values = np.asarray(maps)
    space = tuple(range(-(images.ndim - 2), 0))
    unsound = ~np.isfinite(values).all(axis=space)
    if isinstance(targets, Above):  # NaN is what it gives in place of a class that is not there
        unsound &= np.asarray(targets.present(outputs))
    wrong = np.argwhere(unsound)
    if len(wrong):
        warnings.warn(
            f"{_which(wrong, len(values))} not finite: activations, gradient or output hold NaN or infinity, or the "
            "output has nothing that the target asks for",
            MapWarning,
            stacklevel=3,
        )
    blank = np.argwhere(~values.any(axis=space))
    if not len(blank):
        return
    image, *place = blank[0].tolist()
    target = jax.tree.map(lambda each: np.asarray(each)[image], targets) if axis == 0 else targets
    if isinstance(target, Ranked):
        target = np.asarray(ranked(target, outputs[image]))
    if place:
        target = target[place[0]]
    if cause := why_blank(probe, np.asarray(images[image]), target):
        warnings.warn(f"{_which(blank, len(values))} zero everywhere: {cause}", MapWarning, stacklevel=3)


def _which(found: np.ndarray, images: int) -> str:
    count = len(np.unique(found[:, 0]))
    others = f" (and of {count - 1} more of {images})" if count > 1 else ""
    return f"the map of image {found[0, 0]}{others} is"


def _instead(probe: Probe, image: Image, target: Target) -> str:
    layer = getattr(probe.anatomy, "default", None)
    if layer == str(probe.anatomy):
        return "it is the model's default layer, so what follows it gives no gradient at all"
    if layer is not None:
        return f"take layer {layer!r}, the model's default"
    if found := _with_gradient(probe, image, target):
        return f"take layer {found!r}, which has one"
    return "take the block before it, or that block's first norm"


def _with_gradient(probe: Probe, image: Image, target: Target) -> str | None:
    """A layer near the probe's whose gradient is not zero; None where none is found, or the model's layers have no
    names."""
    anatomy = probe.anatomy
    if not isinstance(anatomy, Submodule):
        return None
    model = anatomy.module.model(probe.parameters)
    for path in nearby(layers(model), str(anatomy)):
        other = Probe(probe.parameters, anatomy.only(resolve(model, path)), probe.inputs, probe.read)
        try:
            look = _look(other, image, target)
        except (TypeError, ValueError):  # not a map, or not run
            continue
        if np.asarray(look.gradient).any():
            return path
    return None


@jax.jit
def _look(probe: Probe, image: Image, target: Target) -> Look:
    return probe.look(image, target)
