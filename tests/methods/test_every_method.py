"""What holds for every method, for those that the other tests by reflection do not run for."""

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from nets import attentive, images, small
from ranks import PLACES, SPACES, pointwise
from selection import CORE

import jaxcam
from jaxcam.methods import GROUPS, METHODS

OTHERS = [name for name in METHODS if name not in CORE]
ATTENTION = GROUPS.get("attention", {})
# Few draws, steps and masks: what is held here does not depend on how many.
# Their maps have the size of the image, by their definition.
ENLARGED = {"refinecam", "zoomcam"}
CHEAP: dict[str, dict] = {
    "sscam": {"samples": 2, "sigma": 0.5},
    "iscam": {"steps": 2},
    "groupcam": {"groups": 4, "score": "logit", "baseline": "zero"},
    "opticam": {"steps": 2, "rate": 1e-3},
    "occlusion": {"patch": 2, "stride": 2},
    "rise": {"masks": 12, "cells": 3, "probability": 0.5},
}
BATCH, TARGETS = images(2), jnp.array([0, 3])
pytestmark = pytest.mark.exhaustive


def cheap(name):
    return functools.partial(METHODS[name], **CHEAP.get(name, {}))


def size(name):
    return BATCH.shape[1:3] if name in ENLARGED else (6, 7)


def net(name, **options):
    if name in ATTENTION:
        return attentive(**options)
    return small("deep" if name in FLAT else "pool", **options)


# Gradients by themselves, which a pooled linear head makes the same everywhere.
FLAT = {"saliency", "smoothgrad", "guided_backpropagation"}


@pytest.fixture(autouse=True)
def promotion():
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("name", OTHERS)
def test_a_batch_is_a_loop_and_compiled_is_eager(name):
    probe, method = net(name), cheap(name)
    one = jax.jit(method)
    looped = np.stack([one(probe, *each) for each in zip(BATCH, TARGETS, strict=True)])
    assert looped.shape == (2, *size(name))
    assert looped.dtype == np.float32
    assert np.ptp(looped, axis=(1, 2)).min() > 0
    mapped = jax.jit(jax.vmap(method, in_axes=(None, 0, 0)))(probe, BATCH, TARGETS)
    close = functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-5 * np.abs(looped).max())
    close(mapped, looped)
    close(method(probe, BATCH[0], 0), looped[0])
    shown = jaxcam.explain(probe, BATCH, TARGETS, method=name, **CHEAP.get(name, {}))
    np.testing.assert_allclose(shown, jaxcam.display(looped, size=(12, 14)), atol=1e-4)


@pytest.mark.parametrize("name", OTHERS)
def test_it_can_be_differentiated(name):
    probe, method = net(name), cheap(name)
    slopes = jax.jit(jax.grad(lambda p, x: jnp.sum(method(p, x, 1) ** 2), argnums=(0, 1)))(probe, BATCH[0])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize("name", OTHERS)
def test_it_lowers_for_tpus_in_bfloat16(name):
    probe = net(name, dtype=jnp.bfloat16)
    program = jax.jit(
        lambda probe, batch, targets: jaxcam.explain(
            probe, batch, targets, method=name, **CHEAP.get(name, {})
        )
    )
    traced = program.trace(probe, jnp.asarray(BATCH, jnp.bfloat16), TARGETS)
    assert "bf16" in traced.lower(lowering_platforms=("tpu",)).as_text()
    assert traced.out_info.dtype == jnp.float32


@pytest.mark.parametrize("name", OTHERS)
def test_float64_stays(name, x64):
    maps = jax.eval_shape(
        lambda: cheap(name)(net(name, dtype=jnp.float64), images(1, dtype=np.float64)[0], 1)
    )
    assert maps.dtype == jnp.float64


@pytest.mark.parametrize("name", [name for name in OTHERS if name not in ATTENTION])
def test_maps_in_bfloat16_are_near(name):
    weights = jnp.linspace(-1, 1, 21).reshape(7, 3)

    def probe(dtype):
        return jaxcam.probe(
            split=(lambda x: x, lambda a: jnp.mean(a * jax.nn.relu(a), axis=(1, 2)) @ weights.astype(dtype))
        )

    batch = np.random.default_rng(0).uniform(size=(2, 5, 6, 7)).astype(np.float32)
    shown = functools.partial(jaxcam.explain, method=name, **CHEAP.get(name, {}))
    full = shown(probe(jnp.float32), batch, [0, 2])
    half = shown(probe(jnp.bfloat16), jnp.asarray(batch, jnp.bfloat16), [0, 2])
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, full, atol=0.05)


@pytest.mark.parametrize("name", [name for name in OTHERS if name not in ATTENTION])
@pytest.mark.filterwarnings("ignore::jaxcam.MapWarning")
def test_dead_and_constant_layers_have_maps_of_zeros_and_what_is_not_finite_has_none(name):
    weights = jnp.linspace(-1, 1, 21).reshape(7, 3)
    relu = jax.nn.relu if name.startswith("guided") else lambda a: a  # which those need
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.mean(relu(a), axis=(1, 2)) @ weights))
    batch = np.stack([np.full((5, 6, 7), fill, np.float32) for fill in (0, 2, -1.5)])
    program = jax.jit(lambda x: jaxcam.explain(probe, x, 1, method=name, **CHEAP.get(name, {})))
    shown = program(batch)
    assert np.isfinite(shown).all()
    if name not in VARIED:
        np.testing.assert_array_equal(shown, 0)
    broken = np.random.default_rng(0).uniform(size=(3, 5, 6, 7)).astype(np.float32)
    for image, value in zip(broken, (np.nan, np.inf, -np.inf), strict=True):
        image[2, 3, 1] = value
    assert np.isnan(program(broken)).all()


# Their maps vary where the activation does not, by their definition.
VARIED: set[str] = {"occlusion", "rise"}


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("name", [name for name in OTHERS if name not in ATTENTION])
def test_maps_of_signals_and_volumes(name, rank):
    flat = np.random.default_rng(0).normal(size=(PLACES, 2)).astype(np.float32)
    wanted, got = (
        jax.jit(functools.partial(cheap(name), pointwise(each)))(flat.reshape(*SPACES[each], 2), 1)
        for each in (2, rank)
    )
    assert got.shape == SPACES[rank]
    if name not in LAID_OUT:
        np.testing.assert_allclose(got.ravel(), wanted.ravel(), rtol=2e-4, atol=2e-5)


# Neighbours matter to these, so their values depend on how positions are laid out.
LAID_OUT: set[str] = {"groupcam", "occlusion", "rise"}


@pytest.mark.parametrize("name", OTHERS)
def test_its_maps_survive_shard_map(name):
    mesh = jax.make_mesh((1,), ("b",), axis_types=(jax.sharding.AxisType.Auto,))
    each = jax.vmap(cheap(name), in_axes=(None, 0, 0))

    program = jax.shard_map(each, mesh=mesh, in_specs=(P(), P("b"), P("b")), out_specs=P("b"))
    found = jax.eval_shape(
        jax.jit(program), net(name), BATCH, TARGETS
    )  # types of values that vary are checked
    assert found.shape == (2, *size(name))
