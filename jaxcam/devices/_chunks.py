"""Number of masks of an image, or forward passes of a metric, that are computed at once.

The choice changes time and memory, not the result. A CPU is given little, so that what is computed stays near its
caches. An accelerator is given what a share of its memory holds, up to a bound.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var
from jaxtyping import Array, PyTree

from .._errors import check_count
from ..probes._probe import Image, Probe

PICTURE = 224 * 224  # pixels
ON_CPU = 16 * PICTURE  # of image that is forwarded at once on a CPU, and where the device is not known
ON_ACCELERATOR = 512 * PICTURE  # keeps VGG's activations below 2³¹ elements; not tuned on any device
SHARE = 4  # 1 / SHARE of an accelerator's memory is for what is computed at once


def default_chunk(image: tuple[int, ...], images: int = 1, *, each: Callable[[], int] | None = None) -> int:
    """Number of forward passes at once for each of `images` images `(*space, C)`.

    Args:
        image: shape of one image.
        images: number of images that are computed side by side.
        each: gives the bytes that one forward pass needs, asked for on accelerators. None: the number for a CPU,
            which suits a program that is to run on a device that is not known.
    """
    pixels = math.prod(image[:-1]) * images
    memory = device_memory()
    if each is None or memory is None:
        return max(1, ON_CPU // pixels)
    return max(1, min(memory // (SHARE * images * max(1, each())), ON_ACCELERATOR // pixels))


def over_chunks(function: Callable, inputs: PyTree, chunk: int | None, image: tuple[int, ...]) -> PyTree:
    """`jax.vmap(function)(inputs)`, `chunk` at a time (by default `default_chunk` of one image)."""
    count, chunk = _rounds(function, inputs, chunk, image)
    if count <= chunk:
        return jax.vmap(function)(inputs)
    return jax.lax.map(function, inputs, batch_size=chunk)


def sum_over_chunks(
    function: Callable, inputs: PyTree, chunk: int | None, image: tuple[int, ...], start: PyTree
) -> PyTree:
    """`start` and the sum of `function` over the inputs, `chunk` at a time: one sum is kept, and no chunk's results.

    Args:
        start: of the result's shapes and dtypes, and inside `jax.shard_map` different on the devices on which it is.
    """
    count, chunk = _rounds(function, inputs, chunk, image)

    def add(total: PyTree, group: PyTree) -> tuple[PyTree, None]:
        return jax.tree.map(
            lambda sum, each: sum + jnp.sum(each, axis=0), total, jax.vmap(function)(group)
        ), None

    whole = count - count % chunk
    groups = jax.tree.map(lambda leaf: leaf[:whole].reshape(-1, chunk, *leaf.shape[1:]), inputs)
    total, _ = jax.lax.scan(add, start, groups)
    return total if whole == count else add(total, jax.tree.map(lambda leaf: leaf[whole:], inputs))[0]


def _rounds(function: Callable, inputs: PyTree, chunk: int | None, image: tuple[int, ...]) -> tuple[int, int]:
    """Number of inputs, and how many of them at a time: as many rounds as need be, of sizes as equal as can be."""
    if chunk is None:
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), inputs)
        chunk = default_chunk(image, each=lambda: peak_bytes(jax.make_jaxpr(function)(one).jaxpr))
    else:
        check_count("chunk", chunk)
    count = jax.tree.leaves(inputs)[0].shape[0]
    return count, -(-count // -(-count // chunk))


@contextmanager
def within_memory(batch: int) -> Iterator[None]:
    """Converts XLA's errors about memory into a MemoryError that names the batch."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise MemoryError(f"{batch} pictures at once do not fit into the device's memory") from error


def device_memory() -> int | None:
    """Bytes that JAX may take of the memory of the device that runs by default; None for a CPU."""
    device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if not isinstance(device, jax.Device):
        device = jax.local_devices(backend=device)[0]
    stats = None if device.platform == "cpu" else device.memory_stats()
    return (stats or {}).get("bytes_limit")


def forward_bytes(probe: Probe, images: Array | jax.ShapeDtypeStruct) -> int:
    """Bytes that the activations of one forward pass of a probe need, for one of `images` `(B, *space, C)`."""
    image = jax.ShapeDtypeStruct(images.shape[1:], images.dtype)
    traced = _forward.trace(probe, image).jaxpr.jaxpr  # jit keeps what it has traced once
    return peak_bytes(traced, (False,) * len(jax.tree.leaves(probe)) + (True,))


@jax.jit
def _forward(probe: Probe, image: Image) -> tuple[PyTree, Array]:
    return probe(image)


@functools.lru_cache(maxsize=256)
def peak_bytes(jaxpr: Jaxpr, varying: tuple[bool, ...] | None = None) -> int:
    """The most bytes that are needed at once of everything that depends on a program's arguments.

    Fusion is left out, so a compiled program needs less, but for the scratch memory of its convolutions.

    Args:
        jaxpr: the program of one forward pass.
        varying: which of its arguments differ between forward passes, by default all. What depends on none of these,
            such as parameters in another dtype, is made once and not counted.
    """
    varying = varying or (True,) * len(jaxpr.invars)
    live = {name: _bytes(name) for name, varies in zip(jaxpr.invars, varying, strict=True) if varies}
    last = {name: at for at, step in enumerate(jaxpr.eqns) for name in _names(step.invars)}
    last |= dict.fromkeys(_names(jaxpr.outvars), len(jaxpr.eqns))
    most = sum(live.values())
    for at, step in enumerate(jaxpr.eqns):
        if not any(name in live for name in _names(step.invars)):
            continue
        outside = [not isinstance(name, Literal) and name in live for name in step.invars]
        live |= {name: _bytes(name) for name in step.outvars}
        most = max(most, sum(live.values()) + _inside(step, outside))
        live = {name: size for name, size in live.items() if last.get(name, -1) > at}
    return most


def _inside(step: JaxprEqn, varying: list[bool]) -> int:
    """Bytes within an operation that holds a program of its own, beyond those of its arguments and results."""
    most = 0
    for value in jax.tree.leaves(
        list(step.params.values()), is_leaf=lambda x: isinstance(x, ClosedJaxpr | Jaxpr)
    ):
        program = value.jaxpr if isinstance(value, ClosedJaxpr) else value
        if isinstance(program, Jaxpr):
            same = len(program.invars) == len(varying)
            ends = sum(map(_bytes, {*_names(program.invars), *_names(program.outvars)}))
            most = max(most, peak_bytes(program, tuple(varying) if same else None) - ends)
    return max(0, most)


def _names(values: Iterable[Var | Literal]) -> Iterator[Var]:
    return (value for value in values if not isinstance(value, Literal))


def _bytes(value: Var) -> int:
    shape, dtype = getattr(value.aval, "shape", ()), getattr(value.aval, "dtype", None)
    return math.prod(shape) * (4 if dtype is None else getattr(dtype, "itemsize", 4))
