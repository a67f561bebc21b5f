"""How much is computed at once: masks of an image, pictures of a batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

_PIXELS = 16 * 224 * 224  # of masked image that are forwarded at once, unless a caller says otherwise


def default_chunk(image: tuple[int, ...], images: int = 1) -> int:
    """Masks that are forwarded at once for each of `images` images `(H, W, C)`: 16 of 224 x 224 pixels in all."""
    return max(1, _PIXELS // (image[0] * image[1] * images))


def over_chunks(function: Callable, inputs: Any, chunk: int | None, image: tuple[int, ...]) -> Any:
    """`jax.vmap(function)(inputs)`, `chunk` at a time (by default `default_chunk(image)`)."""
    if chunk is None:
        chunk = default_chunk(image)
    elif isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise ValueError(f"chunk is a whole number of at least 1; got {chunk!r}")
    count = jax.tree.leaves(inputs)[0].shape[0]
    if count <= chunk:
        return jax.vmap(function)(inputs)
    chunk = -(-count // -(-count // chunk))  # as many rounds, of sizes as equal as can be
    return jax.lax.map(function, inputs, batch_size=chunk)


@contextmanager
def within_memory(batch: int) -> Iterator[None]:
    """Turns what XLA says of memory into a MemoryError that names the batch."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise MemoryError(f"{batch} pictures at once do not fit into the device's memory") from error
