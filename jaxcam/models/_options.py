"""What every layer is told, whatever it does: its dtypes, and where the keys of its parameters come from."""

from typing import TypedDict

import jax
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array


class Keys:
    """One key for each parameter, from one of the caller's.

    An `nnx.Rngs` counts in a variable, which costs seconds for a deep model under `nnx.eval_shape`.
    """

    def __init__(self, key: Array):
        self.key, self.count = key, 0

    def params(self) -> Array:
        self.count += 1
        return jax.random.fold_in(self.key, self.count)


class Options(TypedDict):
    """Keyword options of a layer, a block and a model.

    Flax declares `rngs` as `nnx.Rngs` and asks it for `params()` alone, which `Keys` gives as well.

    Attributes:
        dtype: of the computation.
        param_dtype: of the stored parameters.
        rngs: seeds the parameters.
    """

    dtype: DTypeLike
    param_dtype: DTypeLike
    rngs: Keys | nnx.Rngs
