"""Gradients inside `jax.shard_map` are each device's own. In a process of its own, which has four CPU devices."""

import os
import subprocess
import sys

PROGRAM = """
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P

from nets import Small, images, small
import jaxcam

mesh = jax.make_mesh((4,), ("b",))
several, one = P("b"), P()
probe, batch, classes = small(), images(4), np.arange(4, dtype=np.int32)


def put(arrays, spec):
    return jax.tree.map(lambda array: jax.device_put(array, NamedSharding(mesh, spec)), arrays)


integrated = jaxcam.integrated(jaxcam.hirescam, steps=2, chunk=2)
for method in (jaxcam.hirescam, jaxcam.gradcam, integrated, jaxcam.shapleycam, jaxcam.liftcam):
    for axis, shown, spec in ((0, batch, several), (None, batch[0], one)):  # images; classes of one image
        maps = jax.vmap(method, (None, axis, 0))
        expected = jax.jit(maps)(probe, shown, classes)
        for check in (True, False):
            mapped = jax.shard_map(
                maps, mesh=mesh, in_specs=(one, spec, several), out_specs=several, check_vma=check
            )
            found = jax.jit(mapped)(put(probe, one), put(shown, spec), put(classes, several))
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
            print("equal", flush=True)

several_layers = jaxcam.probe(Small(), (jaxcam.INPUT, "stem", "blocks.0"))
gradients = jax.vmap(lambda probe, image, c: probe.look(image, c).gradient, (None, None, 0))
expected = jax.jit(gradients)(several_layers, batch[0], classes)
for check in (True, False):
    mapped = jax.shard_map(
        gradients, mesh=mesh, in_specs=(one, one, several), out_specs=several, check_vma=check
    )
    found = jax.jit(mapped)(put(several_layers, one), put(batch[0], one), put(classes, several))
    for layer in several_layers.layers:
        np.testing.assert_allclose(found[layer], expected[layer], rtol=1e-5, atol=1e-6)
    print("equal", flush=True)

def total(probe, image, c):
    look = probe.look(image, c)
    return sum(jax.numpy.sum(look.gradient[layer] * look.activation[layer]) for layer in probe.layers)

auto = jax.make_mesh((4,), ("b",), axis_types=(jax.sharding.AxisType.Auto,))
sharded = jax.device_put(batch, NamedSharding(auto, several))
on_mesh = jax.jit(jax.vmap(total, (None, 0, 0)))(several_layers, sharded, classes)
alone = jax.jit(jax.vmap(total, (None, 0, 0)))(several_layers, batch, classes)
np.testing.assert_allclose(on_mesh, alone, rtol=1e-5, atol=1e-6)
print("equal", flush=True)
"""


def test_gradients_are_each_devices_own():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"} | paths,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("equal") == 23
