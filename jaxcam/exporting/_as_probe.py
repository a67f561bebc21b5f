"""An exported explainer as a probe and a method, so that what takes those takes it too."""

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float, PyTree

from .._method import Method
from ..probes._layers import INPUT, Layer
from ..probes._marks import varying
from ..probes._probe import Image, Probe
from ..probes._walk import Inputs, Steps, Walk
from ..targets._score import Target, whole_number
from ._restore import MOST_LIKELY, Explainer, call, weights_of


class Exported:
    """The anatomy of an exported explainer: its layer is the input, and it has no gradient."""

    tokens = None

    def __init__(self, explainer: Explainer):
        self.explainer = explainer
        self.layers = (Layer(explainer.metadata["layer"], INPUT),)

        @custom_vmap
        def run(weights, images, targets):
            return call(explainer, weights, images, targets)

        @run.def_vmap
        def _(size, batched, weights, images, targets):
            # An exported program has no rule of its own for jax.vmap, but takes any number of images.
            if any(jax.tree.leaves(batched[0])):
                raise ValueError("an exported explainer is not mapped over its weights")
            several = [
                each if mapped else jnp.broadcast_to(each[None], (size, *each.shape))
                for each, mapped in zip((images, targets), batched[1:], strict=True)
            ]
            flat = [each.reshape(-1, *each.shape[2:]) for each in several]
            found = run(weights, *flat)
            found = jax.tree.map(lambda leaf: leaf.reshape(size, -1, *leaf.shape[1:]), found)
            return found, jax.tree.map(lambda _: True, found)

        self.run = run

    def __repr__(self) -> str:
        return self.layers[0].label

    def only(self, layer: Layer) -> "Exported":
        return self

    def walk(self, parameters: list[Array], inputs: Inputs, images: Array, axes: frozenset[str]) -> Walk:
        if missing := axes - varying(images):
            images = jax.lax.pcast(images, tuple(sorted(missing)), to="varying")
        targets = jnp.full(images.shape[0], MOST_LIKELY, jnp.int32)

        def steps() -> Steps:
            changed = yield self.layers[0], images
            return self.run(parameters, changed, targets)[1]

        return Walk({}, steps())


def as_probe(explainer: Explainer) -> tuple[Probe, Method]:
    """A probe whose output is that of the model, and the method that the explainer was exported with.

    Maps are as the explainer gives them: raw, or for display where it was exported so.
    """
    anatomy = Exported(explainer)

    def method(probe: Probe, image: Image, target: Target = None) -> Float[Array, "h w"]:
        if callable(target):
            raise TypeError(f"an exported explainer takes a class index or None; got {target!r}")
        index = MOST_LIKELY if target is None else whole_number(target).astype(jnp.int32)
        images, targets = jnp.asarray(image)[None], jnp.full(1, index, jnp.int32)
        maps: PyTree = anatomy.run(probe.parameters, images, targets)[0]
        return maps[0]

    method.__name__ = explainer.metadata["method"]
    return Probe(weights_of(explainer), anatomy), method
