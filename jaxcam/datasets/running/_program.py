"""The compiled program: what a store keeps of a batch of images, on every device of a mesh at once.

The batches of a step lie side by side along the mesh's axis `data`, one on each device, and nothing crosses from
device to device. What is computed of a batch therefore depends neither on how many devices there are nor on the
batches beside it.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from ..._display import display
from ..._explain import maps_of
from ..._request import Request, Static
from ...devices._mesh import Split, on_each
from ...metrics import evaluate
from ...probes._probe import Probe
from ...targets._several import Top
from ..store._columns import SHOWN
from ._plan import Plan

DATA = "data"
Arrays = Mapping[str, Array]
Device = Any  # jax.Device, which is not a type to a type checker


_maps_of = jax.jit(
    maps_of, static_argnums=0
)  # inlined, XLA fuses otherwise, and rounds otherwise than in old stores


def compute(
    plan: Plan, static: Static, probe: Probe, arrays: Arrays, images: Array, labels: Array
) -> dict[str, Array]:
    """The columns that the model gives, for images `(B, *space, C)` and their own classes `(B,)`.

    `static` and `arrays` are those of the plan's request.

    A record's row of `problem` is the place of what is wrong with it in `REASONS`, 0 for nothing; its row of `zero`,
    `(B, T)`, tells which maps are zero everywhere before they are made ready for display. `target`,
    `score`, `maps` and metrics have an axis of targets, which is dropped where there is one.
    """
    # Explain the batch.
    given = plan.targets_of(labels)
    targets = given if isinstance(given, Top) else jnp.asarray(given, jnp.int32)
    raw, outputs = _maps_of(static, probe, images, targets, arrays)

    # Prepare what is kept of it.
    outputs = outputs.astype(jnp.float32)
    top_logit, top_class = jax.lax.top_k(outputs, min(SHOWN, outputs.shape[1]))
    chosen = jax.lax.top_k(outputs, targets.k)[1] if isinstance(targets, Top) else targets
    score = jnp.take_along_axis(outputs, chosen, axis=1)
    rank = len(plan.size)
    size = plan.size if plan.stored == "image" else None
    maps = raw if plan.stored == "raw" else display(raw, size=size, rank=rank)
    stored = maps.astype(plan.maps_dtype)
    found = {
        "maps": stored,
        "target": chosen.astype(jnp.int32),
        "score": score,
        "probability": jnp.exp(score - jax.nn.logsumexp(outputs, axis=1, keepdims=True)),
    }
    if plan.metrics:
        found |= _measured(plan, probe, images, chosen, raw)
    if plan.count == 1:
        found = {name: value[:, 0] for name, value in found.items()}
    if plan.logits:
        found["logits"] = outputs

    # Say what is wrong with a record.
    good = [jnp.isfinite(each).all(axis=tuple(range(1, each.ndim))) for each in (outputs, raw, maps, stored)]
    problem = jnp.select([~good[0], ~(good[1] & good[2]), ~good[3]], [1, 2, 3], 0).astype(jnp.int32)
    top = {"predicted": top_class[:, 0], "top_class": top_class, "top_logit": top_logit}
    return found | top | {"problem": problem, "zero": (raw == 0).all(axis=tuple(range(-rank, 0)))}


def _measured(plan: Plan, probe: Probe, images: Array, targets: Array, raw: Array) -> dict[str, Array]:
    """The metrics, `(B, T)` each, of the maps as they are displayed over the images."""
    shown = display(raw, size=plan.size)
    found = jax.lax.map(  # one target after the other: memory and the program do not grow with their number
        lambda one: evaluate(probe, images, *one, metrics=plan.metrics),
        (targets.T, jnp.moveaxis(shown, 1, 0)),
    )
    return {name: values.T.astype(jnp.float32) for name, values in found.items()}


class Program:
    """`compute` over the devices of this process: the parameters on each of them, a batch for each in a step."""

    def __init__(self, plan: Plan, request: Request, devices: Sequence[Device]):
        mesh = Mesh(np.array(devices), (DATA,))
        self.devices, self.batch = len(devices), request.batch
        self._split = NamedSharding(mesh, PartitionSpec(DATA))
        shared = request.probe, request.arrays
        self._shared = jax.device_put(shared, NamedSharding(mesh, PartitionSpec()))
        count = self.devices * self.batch
        images = jax.ShapeDtypeStruct((count, *plan.size, plan.channels), jnp.float32, sharding=self._split)
        labels = jax.ShapeDtypeStruct((count,), jnp.int32, sharding=self._split)
        self._run = _step.lower(plan, request.static, mesh, *self._shared, images, labels).compile()

    def __call__(self, images: np.ndarray, labels: np.ndarray) -> dict[str, Array]:
        """Starts a step on images `(devices * batch, *space, C)` and labels of as many; gives its results, which may
        not be there yet."""
        return self._run(*self._shared, *jax.device_put((images, labels), self._split))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _step(plan: Plan, static: Static, mesh: Mesh, probe: Probe, arrays: Arrays, images: Array, labels: Array):
    function, split = functools.partial(compute, plan, static), Split(mesh, (DATA,))
    return on_each(function, split, (probe, arrays, images, labels), (False, False, True, True))
