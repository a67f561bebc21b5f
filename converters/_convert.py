"""A torch state_dict into a model, and back."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Sharding

from ._fit import fit, message, weights
from ._layout import Leaf, buffers, leaves
from ._mistakes import check_model, check_state_dict
from ._names import state_dict as plain
from ._rename import recipe, renamed

Model = TypeVar("Model", bound=nnx.Module)
# one for all arrays, or (name in torch's spelling, shape in the model) -> one
Shardings = Sharding | Callable[[str, tuple[int, ...]], Sharding]


def from_torch(
    model: Model,
    state_dict: Mapping[str, object],
    *,
    sharding: Shardings | None = None,
    rename: Mapping[str, str] | None = None,
) -> Model:
    """A copy of `model` that holds the weights of `state_dict`.

    Every array of the model must be in the state_dict, once and in its shape, and the state_dict must be used
    up. What torch keeps though it follows from the architecture (`relative_position_index`) is not an array of the
    model's, but must be there too, and agree. Batch counters, and auxiliary heads that the model was built
    without, are the exceptions.

    Args:
        model: any nnx module whose paths are the names of the torch module; abstract (from `nnx.eval_shape`)
            will do. It is left as it is.
        state_dict: names in torch's spelling; numpy, jax or torch arrays in torch's layout. As in `read`, it
            may lie in a training script's dict and have the prefixes `module.`, `model.` or `_orig_mod.`.
        sharding: where the arrays go, by default the default device: a `jax.sharding.Sharding` for all, or a
            function (name as in the state_dict, shape as in the model) -> one for each. A device gets its own part
            of an array alone.
        rename: prefixes of names and what to replace them by, `{"backbone.": ""}`; each name is changed once, by the
            longest that it begins with. Where no more is needed, the error says which.

    Returns:
        A new model, its arrays in the dtypes of `model`'s.

    Raises:
        ValueError: the names or shapes differ (one error lists all that do), or an array holds values that
            are not finite, do not fit the model's dtype or are not what follows from the architecture; or an
            array does not divide as its sharding says.
        TypeError: `model` is not an nnx model, such as its name, or `state_dict` does not map names to arrays.
    """
    check_model("from_torch", model)
    check_state_dict("from_torch", state_dict)
    targets = {leaf.key: leaf for leaf in leaves(model)}
    fixed = buffers(model)
    wanted = {key: each.shape for key, each in (targets | fixed).items()}
    named = plain(state_dict)
    named = plain(renamed(named, rename)) if rename is not None else named
    arrays = weights(named, wanted)
    given = {key: value.shape for key, value in arrays.items()}
    found = fit(wanted, given)
    if any(found):
        raise ValueError(message(found, given, recipe(arrays, wanted)))
    for key, value in fixed.items():
        if not np.array_equal(arrays[key], value):
            raise ValueError(f"{key} differs from the one that follows from the architecture")
    values = {
        leaf.path: _placed(key, _value(key, leaf, arrays[key]), sharding) for key, leaf in targets.items()
    }
    return _filled(model, values)


def to_torch(model: nnx.Module) -> dict[str, np.ndarray]:
    """The weights of `model` as torch names and lays them out: the inverse of `from_torch`, bit for bit.

    Batch counters, which these models do not keep, are zero: `load_state_dict(strict=True)` asks for them.
    Raises TypeError where `model` is not an nnx model.
    """
    check_model("to_torch", model)
    arrays = buffers(model)
    for leaf in leaves(model):
        # an owned copy: a model's arrays never change, a state_dict's may
        arrays[leaf.key] = np.array(leaf.to_torch(np.asarray(leaf.variable.get_value())), order="C")
        if isinstance(leaf.layer, nnx.BatchNorm) and leaf.path[-1] == "mean":
            arrays[leaf.key.removesuffix("running_mean") + "num_batches_tracked"] = np.zeros((), np.int64)
    return arrays


def _value(key: str, leaf: Leaf, x: np.ndarray) -> np.ndarray:
    dtype = leaf.variable.dtype
    if jnp.issubdtype(dtype, jnp.floating) and not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"{key} is of {x.dtype}, the model's of {dtype}: is the checkpoint quantised?")
    with np.errstate(over="ignore"):
        y = leaf.from_torch(x).astype(dtype)
    if not np.isfinite(y).all():
        count = int((~np.isfinite(x)).sum())
        raise ValueError(
            f"{key} holds {count} values that are not finite" if count else f"{key} overflows {dtype}"
        )
    return y


def _placed(key: str, y: np.ndarray, sharding: Shardings | None) -> jax.Array:
    """`y` on its devices; it may share y's memory, which is no longer the caller's: astype copied."""
    if sharding is None:
        return jnp.asarray(y)
    where = sharding(key, y.shape) if callable(sharding) else sharding
    if not isinstance(where, Sharding):
        raise TypeError(f"the sharding of {key} must be a jax.sharding.Sharding, got {type(where).__name__}")
    try:
        return jax.make_array_from_callback(y.shape, where, lambda index: y[index])
    except ValueError as error:
        raise ValueError(f"{key}, {y.shape}, does not divide as its sharding says: {error}") from error


def _filled(model: Model, values: Mapping[tuple, jax.Array]) -> Model:
    """A copy of `model` with `values` at their paths."""
    graph, state = nnx.split(model)
    flat = []
    for number, (path, variable) in enumerate(nnx.to_flat_state(state)):
        value = values[path] if path in values else _generator(variable.get_value(), number)
        flat.append((path, variable.replace(value)))
    return nnx.merge(graph, nnx.from_flat_state(flat))


def _generator(value: jax.Array | jax.ShapeDtypeStruct, number: int) -> jax.Array:
    """The key or counter of a random number generator; an abstract model has none yet."""
    if not isinstance(value, jax.ShapeDtypeStruct):
        return value
    if not jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return jnp.zeros(value.shape, value.dtype)
    return jax.random.fold_in(jax.random.key(0), number)
