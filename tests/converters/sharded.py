"""Loads a checkpoint onto eight devices in every way; run in a process of its own, since devices are made at its start.

python sharded.py FOLDER     (which holds checkpoints of cifar_resnet20: `folder`, an orbax folder, and file.npz)
"""

import os
import sys
from pathlib import Path

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

import converters

NAME = "cifar_resnet20"
folder = Path(sys.argv[1])
devices = jax.devices()
assert len(devices) == 8
mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
replicated = NamedSharding(mesh, PartitionSpec())
expected = converters.to_torch(converters.load(NAME, folder / "file.npz"))


def arrays(model):
    return [variable.get_value() for _, variable in nnx.to_flat_state(nnx.state(model))]


def assert_equal(model):
    found = converters.to_torch(model)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, key)


def over_outputs(key, shape):
    """Kernels over their last axis, which is that of the outputs in the model; the rest everywhere."""
    asked[key] = shape
    whole = key.endswith("weight") and len(shape) == 4
    return NamedSharding(mesh, PartitionSpec(*[None] * 3, "model") if whole else PartitionSpec())


for path in (folder / "folder", folder / "file.npz"):
    for sharding in (replicated, SingleDeviceSharding(devices[5])):
        model = converters.load(NAME, path, sharding=sharding)
        assert_equal(model)
        assert all(x.sharding == sharding for x in arrays(model))

    asked = {}
    model = converters.load(NAME, path, sharding=over_outputs)
    assert_equal(model)
    assert asked["conv1.weight"] == (3, 3, 3, 16)  # as in the model, not as in torch
    assert asked["linear.weight"] == (64, 10)
    kernel = model.layer1[0].conv1.kernel.get_value()
    assert kernel.sharding.spec == PartitionSpec(None, None, None, "model")
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(3, 3, 16, 4)}
    image = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    alone = converters.load(NAME, path)(image)
    np.testing.assert_allclose(jax.jit(lambda model, x: model(x))(model, image), alone, rtol=1e-4, atol=1e-4)

    with pytest.raises(
        ValueError, match=r"conv1\.weight, \(3, 3, 3, 16\), does not divide as its sharding says"
    ):
        converters.load(NAME, path, sharding=NamedSharding(mesh, PartitionSpec("model")))
    with pytest.raises(TypeError, match=r"must be a jax\.sharding\.Sharding, got str"):
        converters.load(NAME, path, sharding=lambda key, shape: "model")
    with pytest.raises(TypeError, match=r"must be a jax\.sharding\.Sharding, got str"):
        converters.load(NAME, path, sharding="cpu")
print("loaded onto", len(devices))
