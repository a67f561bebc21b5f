"""How much is computed at once is chosen by the device, and changes no map."""

import jax
import jax.numpy as jnp
import nets
import numpy as np
import pytest
from flax import nnx
from selection import exhaustive

import jaxcam
from jaxcam import metrics, models
from jaxcam._request import bind
from jaxcam.devices import _chunks

GB = 10**9
MASKED = ("scorecam", "ablationcam")  # the others share their loop


@pytest.fixture
def memory(monkeypatch):
    """Says how much memory the device has."""

    def say(size):
        monkeypatch.setattr(_chunks, "device_memory", lambda: size)
        jax.clear_caches()  # programs that were made for another device

    yield say
    monkeypatch.undo()
    jax.clear_caches()


def chunk(probe, images, method="scorecam"):
    return dict(bind(probe, images, None, method=method, options={}).static.options)["chunk"]


def shaped(name, dtype=jnp.float32):
    model = nnx.eval_shape(lambda: models.build(name, dtype=dtype))
    return jaxcam.probe(model, models.default_layer(name))


def pictures(count, dtype=jnp.float32):
    return jax.ShapeDtypeStruct((count, 224, 224, 3), dtype)


def test_memory_and_model_choose(memory):
    resnet, vgg = shaped("resnet18"), shaped("vgg11")
    memory(4 * GB)
    small, of_vgg = chunk(resnet, pictures(1)), chunk(vgg, pictures(1))
    half = chunk(shaped("resnet18", jnp.bfloat16), pictures(1, jnp.bfloat16))
    assert 16 < of_vgg < small < half
    assert chunk(resnet, pictures(8)) == small // 8
    memory(140 * GB)
    assert chunk(resnet, pictures(1)) == 512
    assert chunk(resnet, pictures(64)) == 8
    assert chunk(resnet, pictures(10_000)) == 1
    memory(None)
    assert chunk(resnet, pictures(1)) == 16


def wide(K=80):
    """A network that needs about 24 MB a mask, and little time."""
    rng = np.random.default_rng(0)
    stem, spread, head = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((3, K), (2048,), (K, 5)))

    def features(x):
        x = jnp.mean(jax.nn.relu(x[..., None] * spread[None, None, None, None]), axis=-1)
        return jax.nn.relu(x[:, ::8, ::8] @ stem)

    return jaxcam.probe(split=(features, lambda a: jnp.mean(a, axis=(1, 2)) @ head))


@pytest.mark.parametrize("method", exhaustive(MASKED, lambda method: method != "scorecam"))
def test_maps_agree_whatever_the_memory(memory, method):
    probe, images = wide(), jnp.asarray(nets.images(1, size=(32, 32)))
    maps, chunks = [], []
    for size in (None, 4 * GB, 140 * GB):
        memory(size)
        chunks.append(chunk(probe, images))
        maps.append(jaxcam.explain(probe, images, 1, method=method, raw=True))
    assert chunks[1] < 80 < chunks[2]
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], rtol=1e-5, atol=1e-6)


def test_metrics_agree_whatever_the_memory(memory):
    probe, images = wide(), jnp.asarray(nets.images(1, size=(32, 32)))
    maps = np.random.default_rng(1).uniform(size=(1, 32, 32)).astype(np.float32)
    values = []
    for size in (None, 4 * GB, 140 * GB):
        memory(size)
        values.append(metrics.insertion(probe, images, 1, maps, steps=90))
    np.testing.assert_allclose(values[1], values[0], rtol=1e-5)
    np.testing.assert_allclose(values[2], values[0], rtol=1e-5)


def test_a_method_by_itself_asks_what_it_runs(memory):
    memory(10**6)
    seen = []

    def run(x):
        return jnp.sum(x)

    def counted(x):
        seen.append(x)
        return run(x)

    xs = jnp.ones((64, 1000), jnp.float32)  # 4 kB each, 4 kB of change
    jaxpr = str(jax.make_jaxpr(lambda x: _chunks.over_chunks(counted, x, None, (8, 8)))(xs))
    assert "length=" in jaxpr  # a loop
    memory(10**9)
    assert "length=" not in str(jax.make_jaxpr(lambda x: _chunks.over_chunks(counted, x, None, (8, 8)))(xs))


def test_bytes_of_what_is_alive_at_once():
    kB = 4 * 256

    def chain(x):
        for _ in range(10):
            x = jnp.sin(x)
        return jnp.sum(x)

    def kept(x):
        return jnp.sum(jnp.sin(x) + jnp.cos(x)) + jnp.sum(x)

    def loop(x):
        return jax.lax.scan(lambda c, _: (jnp.sum(jnp.outer(c, c), axis=1), None), x, length=3)[0]

    def measured(f):
        return _chunks.peak_bytes(jax.make_jaxpr(f)(jnp.ones(256, jnp.float32)).jaxpr) / kB

    assert measured(chain) == 2
    assert measured(jax.jit(chain)) == 2
    assert measured(kept) == 4
    assert 256 <= measured(loop) < 260


def test_parameters_are_not_counted():
    def forward(w, x):
        return jnp.sin(w.astype(jnp.float16)) @ x.astype(jnp.float16)

    jaxpr = jax.make_jaxpr(forward)(jnp.ones((1000, 4), jnp.float32), jnp.ones(4, jnp.float32)).jaxpr
    assert _chunks.peak_bytes(jaxpr, (False, True)) < 3000 < _chunks.peak_bytes(jaxpr)


def test_the_device_that_runs_is_asked(monkeypatch):
    assert _chunks.device_memory() is None  # a CPU
    assert _chunks.default_chunk((224, 224, 3), each=lambda: 1 / 0) == 16  # which is not asked for more


def test_choice_within_other_transforms(memory):
    memory(4 * GB)
    probe, images = nets.small(), jnp.asarray(nets.images(2))
    targets = jnp.array([1, 2])
    expected = jaxcam.explain(probe, images, targets, method="scorecam", raw=True)
    mapped = jax.jit(jax.vmap(jaxcam.scorecam, in_axes=(None, 0, 0)))(probe, images, targets)
    np.testing.assert_allclose(mapped, expected, rtol=1e-4, atol=1e-6)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    split, shared = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec()
    each = jax.shard_map(
        lambda p, x, t: jaxcam.explain(p, x, t, method="scorecam", raw=True),
        mesh=mesh,
        in_specs=(shared, split, split),
        out_specs=split,
        check_vma=False,
    )
    np.testing.assert_allclose(jax.jit(each)(probe, images, targets), expected, rtol=1e-4, atol=1e-6)
