"""A small network with every kind of layer, and a state_dict for it."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcam.models._layers import Linear, Sequential


class Net(nnx.Module):
    def __init__(self, num_classes=5, *, rngs, **options):
        self.token = nnx.Param(jnp.zeros((1, 2, 3)))
        self.features = Sequential(
            [
                nnx.Conv(3, 4, (3, 5), use_bias=False, padding="VALID", rngs=rngs, **options),
                nnx.BatchNorm(4, use_running_average=True, rngs=rngs, **options),
                nnx.Conv(4, 6, (2, 2), feature_group_count=2, padding="VALID", rngs=rngs, **options),
            ]
        )
        self.norm = nnx.LayerNorm(6, rngs=rngs, **options)
        self.dropout = nnx.Dropout(0.5, deterministic=True, rngs=rngs)
        self.fc = Linear(2 * 3 * 6, num_classes, flattened=(2, 3, 6), rngs=rngs, **options)

    def __call__(self, x):
        x = self.features(x)
        return self.fc(self.dropout(self.norm(x)).reshape(x.shape[0], -1))


def abstract(num_classes=5, **options):
    """Without values: what a conversion needs, at no cost."""
    return nnx.eval_shape(lambda: Net(num_classes, rngs=nnx.Rngs(0), **options))


def random_state(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {
        "token": (1, 2, 3),
        "features.0.weight": (4, 3, 3, 5),
        "features.1.weight": (4,),
        "features.1.bias": (4,),
        "features.1.running_mean": (4,),
        "features.1.running_var": (4,),
        "features.2.weight": (6, 2, 2, 2),
        "features.2.bias": (6,),
        "norm.weight": (6,),
        "norm.bias": (6,),
        "fc.weight": (5, 36),
        "fc.bias": (5,),
    }
    state = {key: rng.uniform(0.1, 1, shape).astype(np.float32) for key, shape in shapes.items()}
    return {**state, "features.1.num_batches_tracked": np.array(0)}
