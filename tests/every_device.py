"""Every method over four devices of one process, against the plain result. Run as a script, it ends with "same".

python every_device.py core|full
"""

import functools
import os
import sys
from pathlib import Path

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
sys.path.insert(0, str(Path(__file__).parent))

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from nets import images, small
from selection import CORE

import jaxcam

TARGETS = np.array([0, 4, 2, 1], np.int32)
BATCH = images(4)
CROSSING = ("all-gather", "all-reduce", "collective-permute", "all-to-all", "reduce-scatter")
KINDS = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}
# Means of clusters and roots of conceptors are summed in another order for one image than for four.
TOLERANCE = {"clustercam": 1e-5, "conceptorcam": 1e-5}
OPTIONS = {"clustercam": {"clusters": 3, "restarts": 2, "iterations": 4}}


def each(name, probe, batch, targets):
    method = functools.partial(jaxcam.METHODS[name], **OPTIONS.get(name, {}))
    return jax.vmap(method, (None, 0, 0))(probe, batch, targets)


def explained(name, probe, batch, targets):
    return jaxcam.explain(probe, batch, targets, method=name, raw=True, **OPTIONS.get(name, {}))


def same(name, found, expected, how):
    tolerance = TOLERANCE.get(name, 1e-6)
    error = np.abs(np.asarray(found) - expected).max() / max(1, np.abs(expected).max())
    assert np.isfinite(error), f"{name} by {how}: not finite"
    assert error <= tolerance, f"{name} by {how}: {error}"


def apart(program, *arguments):
    text = program.lower(*arguments).compile().as_text()
    assert not [word for word in CROSSING if word in text], [word for word in CROSSING if word in text]


def check(name, full):
    probe = small()
    expected = np.asarray(jax.jit(functools.partial(each, name))(probe, BATCH, TARGETS))
    for kind in KINDS if full else ("explicit",):
        mesh = jax.make_mesh((4,), ("b",), axis_types=(KINDS[kind],))
        along = NamedSharding(mesh, P("b"))
        batch, targets = jax.device_put((BATCH, TARGETS), along)
        for inside in (False, True) if full else (False,):
            how = f"{kind}, {'inside' if inside else 'outside'} set_mesh"
            with jax.set_mesh(mesh) if inside else contextlib.nullcontext():
                for vma in (True, False) if full else (True,):
                    program = jax.jit(
                        jax.shard_map(
                            functools.partial(each, name),
                            mesh=mesh,
                            in_specs=(P(), P("b"), P("b")),
                            out_specs=P("b"),
                            check_vma=vma,
                        )
                    )
                    same(name, program(probe, batch, targets), expected, f"shard_map, {how}, check_vma={vma}")
                found = explained(name, probe, batch, TARGETS)
                assert found.sharding.spec[0] in ("b", ("b",)), found.sharding
                same(name, found, expected, f"explain, {how}")
                if kind == "explicit":
                    inner = jax.jit(functools.partial(explained, name))
                    same(name, inner(probe, batch, targets), expected, f"explain inside jit, {how}")
                    apart(inner, probe, batch, targets)
                else:
                    apart_in_explain(name, probe, batch)
    if full:
        parts = BATCH[:, None], TARGETS[:, None]
        found = jax.pmap(functools.partial(each, name), in_axes=(None, 0, 0))(probe, *parts)
        same(name, found[:, 0], expected, "pmap")


def apart_in_explain(name, probe, batch):
    """As `explain` calls its program."""
    from jaxcam import _explain

    seen = {}

    def kept(*arguments, **static):
        seen["text"] = program.lower(*arguments, **static).compile().as_text()
        return program(*arguments, **static)

    program, _explain._explain = _explain._explain, kept
    try:
        explained(name, probe, batch, TARGETS)
    finally:
        _explain._explain = program
    assert not [word for word in CROSSING if word in seen["text"]], name


def others():
    """Shared targets, several classes, keys and arrays among the options, chunks, and meshes of two axes."""
    probe, mesh = small(), jax.make_mesh((2, 2), ("b", "m"))
    batch = jax.device_put(BATCH, NamedSharding(mesh, P("b")))
    cases = {
        "one class": (2, {}),
        "most likely": (None, {}),
        "several": (jaxcam.top(2), {}),
        "chunk": (TARGETS, {"chunk": 1}),
        "key": (1, {"method": "clustercam", "clusters": 3, "key": jax.random.key(1)}),
        "target": ([jaxcam.difference(c, 3) for c in (0, 1, 2, 4)], {}),
    }
    for how, (targets, options) in cases.items():
        expected = jaxcam.explain(probe, BATCH, targets, **options)
        same("clustercam", jaxcam.explain(probe, batch, targets, **options), np.asarray(expected), how)
    both = jax.device_put(BATCH, NamedSharding(mesh, P(("b", "m"))))
    plain = np.asarray(jaxcam.explain(probe, BATCH, 1))
    same("gradcam", jaxcam.explain(probe, both, 1), plain, "both axes")
    wide = jax.device_put(probe.parameters, NamedSharding(mesh, P()))
    wide["fc/kernel"] = jax.device_put(wide["fc/kernel"], NamedSharding(mesh, P("b")))
    spread = jax.tree.unflatten(jax.tree.structure(probe), jax.tree.leaves(wide))
    same("gradcam", jaxcam.explain(spread, batch, 1), plain, "parameters along the images' axis")
    slope = jax.jit(jax.grad(lambda p, x: jnp.sum(jaxcam.explain(p, x, 1, raw=True) ** 2)))
    for a, b in zip(jax.tree.leaves(slope(probe, batch)), jax.tree.leaves(slope(probe, BATCH)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="put on 1 of the 4 devices"):
        jaxcam.explain(jax.device_put(probe, jax.devices()[1]), batch, 1)


if __name__ == "__main__":
    full = sys.argv[1] == "full"
    for name in sys.argv[2:] or CORE:
        check(name, full)
        print(name, flush=True)
    if not sys.argv[2:]:
        others()
    print("same")
