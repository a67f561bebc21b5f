"""Keys of jax.random for the draws of each image."""

import jax
import jax.numpy as jnp
from jaxtyping import Array


def owned(key: Array) -> bool:
    """Whether there is a key for each image, rather than one for all."""
    return jnp.ndim(key) > (0 if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else 1)


def keys_of(key: Array, count: int) -> Array:
    """A key for each of `count` images: those given, or made of the one that is given."""
    if not owned(key):
        return jax.vmap(lambda image: jax.random.fold_in(key, image))(jnp.arange(count, dtype=jnp.int32))
    if len(key) != count:
        raise ValueError(f"{count} images need one key or one each; got {len(key)} keys")
    return key
