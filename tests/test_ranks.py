"""Signals, pictures and volumes: every method at every rank, from the probe to the exported file."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from ranks import PLACES, SPACES, Net, batch, net, pointwise
from selection import CORE

import jaxcam
from jaxcam._masks import blur, resize_corners
from jaxcam.probes._tokens import as_map

MANY = {"clustercam": {"clusters": 4}}


def every(probe, image):
    return {name: jaxcam.METHODS[name](probe, image, 1, **MANY.get(name, {})) for name in CORE}


@pytest.fixture(autouse=True)
def promotion():
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("rank", [1, 3])
def test_maps_do_not_depend_on_how_positions_are_laid_out(rank):
    flat = np.random.default_rng(0).normal(size=(PLACES, 2)).astype(np.float32)
    seen = {
        each: jax.jit(lambda x, each=each: every(pointwise(each), x))(flat.reshape(*SPACES[each], 2))
        for each in (2, rank)
    }
    for name, wanted in seen[2].items():
        got = seen[rank][name]
        assert got.shape == SPACES[rank], name
        np.testing.assert_allclose(got.ravel(), wanted.ravel(), rtol=2e-4, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("rank", [1, 3])
def test_every_method_maps_over_a_batch_as_in_a_loop(rank):
    probe, images = net(rank), batch(rank)
    one = jax.jit(lambda x: every(probe, x))
    together = jax.jit(jax.vmap(lambda x: every(probe, x)))(images)
    alone = [one(each) for each in images]
    for name, maps in together.items():
        wanted = np.stack([each[name] for each in alone])
        np.testing.assert_allclose(maps, wanted, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_every_method_lowers_for_tpus(rank):
    probe, shape = net(rank), batch(rank).shape

    def program(images):
        return {
            name: jaxcam.explain(probe, images, [1, 2], method=name, **MANY.get(name, {})) for name in CORE
        }

    exported = jax.export.export(jax.jit(program), platforms=["tpu"])(jax.ShapeDtypeStruct(shape, "float32"))
    assert [each.shape for each in exported.out_avals] == [shape[:-1]] * len(CORE)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("rank", [1, 3])
def test_hirescam_is_complete_at_every_rank(rank):
    """Under a pooled linear head the map adds up to the logit without its bias, and holds each position's share."""
    model, image = Net(rank, dtype=jnp.float64), batch(rank, dtype=np.float64)[0]
    probe = jaxcam.probe(model, "conv")
    weights, bias = np.asarray(model.fc.kernel[...]), np.asarray(model.fc.bias[...])
    output, activation = jax.jit(probe)(image)
    found_of = jax.jit(lambda target: jaxcam.hirescam(probe, image, target))
    positive = np.maximum(np.asarray(activation), 0)  # what the classifier pools
    for target in range(3):
        found = np.asarray(found_of(target))
        np.testing.assert_allclose(found, positive @ weights[:, target] / found.size, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(found.sum(), output[target] - bias[target], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["scorecam", "clustercam"])
def test_memory_does_not_grow_with_the_number_of_masks_of_a_volume(name):
    """Masks of 96³ are made a chunk at a time: a program of many takes less than one such mask more than of few."""
    side, cells = 96, 6

    def features(x):
        cubes = x.reshape(1, *(cells, side // cells) * 3, 1)
        return jnp.tile(jnp.mean(cubes, axis=(2, 4, 6)), (1, 1, 1, 1, 64)) * jnp.arange(1.0, 65)

    def head(a):
        return jnp.mean(a, axis=(1, 2, 3))

    probe, option = jaxcam.probe(split=(features, head)), {"scorecam": "top", "clustercam": "clusters"}[name]

    def bytes_for(masks):
        program = jax.jit(lambda x: jaxcam.METHODS[name](probe, x, 1, **{option: masks}))
        compiled = program.lower(jax.ShapeDtypeStruct((side,) * 3 + (1,), "float32")).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    few, many = bytes_for(4), bytes_for(32)
    assert many - few < 4 * side**3, (few, many)
    assert few < 16 * 4 * side**3, few


def test_explain_takes_signals_and_volumes():
    for rank in (1, 3):
        probe, images = net(rank), batch(rank)
        maps, outputs = jaxcam.explain(probe, images, jaxcam.top(2), with_output=True)
        assert maps.shape == (2, 2, *images.shape[1:-1])
        assert outputs.shape == (2, 3)
        highest = np.asarray(maps).max(axis=tuple(range(2, maps.ndim)))
        np.testing.assert_allclose(highest, 1, atol=1e-6)  # of every map by itself
        small = jax.eval_shape(lambda x, probe=probe: jaxcam.explain(probe, x, 1, size=5), images)
        assert small.shape == (2, *(5,) * rank)
        with pytest.raises(ValueError, match="size must be"):
            jaxcam.explain(probe, images, 1, size=(5, 5))


def test_classes_above_a_probability_of_signals_and_volumes():
    """Maps of classes that are not there are NaN everywhere, whatever the rank."""
    for rank in (1, 3):
        probe, images = net(rank), batch(rank)
        maps = jax.jit(
            lambda x, probe=probe: jaxcam.explain(probe, x, jaxcam.above(0.99, at_most=2), raw=True)
        )(images)
        assert np.isnan(maps).all()
        assert maps.ndim == rank + 2


def test_a_blank_volume_is_one_image():
    """Without a gradient the map of each volume is zero everywhere: the warning counts volumes, not slices."""
    probe = jaxcam.probe(split=(jnp.tanh, lambda a: jnp.zeros(3, a.dtype)[None]))
    with pytest.warns(jaxcam.MapWarning, match=r"image 0 \(and of 1 more of 2\) is zero everywhere"):
        jaxcam.explain(probe, batch(3), 1)


def test_a_picture_without_a_batch_axis_is_not_a_batch_of_signals():
    with pytest.raises(ValueError, match=r"a batch of 8 signals .* add a batch axis: images\[None\]"):
        jaxcam.explain(net(2), batch(2)[0])


def test_a_batch_of_maps_is_not_a_volume():
    """The rank is said, or is that of the size, and is 2 otherwise."""
    maps = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    highest = {None: (1, 2), 1: (2,), 2: (1, 2), 3: (0, 1, 2)}
    each = jax.jit(lambda raw: [jaxcam.display(raw, rank=rank) for rank in highest])(maps)
    for (rank, space), shown in zip(highest.items(), each, strict=True):
        assert np.all(np.isclose(shown, 1).sum(axis=space) == 1), rank
    for size, shape in (((6, 8, 10), (6, 8, 10)), ((8, 10), (3, 8, 10)), ((10,), (3, 4, 10))):
        assert jax.eval_shape(lambda raw, size=size: jaxcam.display(raw, size=size), maps).shape == shape
    with pytest.raises(ValueError, match=r"rank 2 has 2 spatial axes; got shape \(5,\)"):
        jaxcam.normalise(maps[0, 0])
    with pytest.raises(ValueError, match="maps of rank 2 have a size of 2 entries"):
        jaxcam.display(maps, size=(6, 8, 10), rank=2)


def along(x, axis, function):
    return np.apply_along_axis(function, axis, np.asarray(x, np.float64))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_resizing_and_blurring_go_axis_by_axis(rank):
    old, new = (4, 3, 5)[:rank], (7, 6, 3)[:rank]
    maps = np.random.default_rng(rank).normal(size=(2, *old)).astype(np.float32)
    halves, corners, image = maps, maps, maps
    kernel = np.exp(-0.5 * (np.arange(-5, 6) / 5.0) ** 2)
    for axis, (a, b) in enumerate(zip(old, new, strict=True), start=1):
        middles = (np.arange(b) + 0.5) * a / b - 0.5
        ends = np.linspace(0, a - 1, b)
        halves = along(halves, axis, lambda row, at=middles: np.interp(at, np.arange(len(row)), row))
        corners = along(corners, axis, lambda row, at=ends: np.interp(at, np.arange(len(row)), row))
        image = along(image, axis, lambda row: np.convolve(row, kernel / kernel.sum())[5:-5])
    np.testing.assert_allclose(jaxcam.resize(maps, new), halves, atol=1e-5)
    np.testing.assert_allclose(resize_corners(jnp.asarray(maps), new), corners, atol=1e-5)
    np.testing.assert_allclose(blur(jnp.moveaxis(maps, 0, -1)), np.moveaxis(image, 0, -1), atol=1e-5)


@pytest.mark.parametrize("rank", [1, 3])
def test_an_exported_explainer_takes_signals_and_volumes(rank, tmp_path):
    probe, images = net(rank), batch(rank)
    file = tmp_path / "explainer.jaxcam"
    jaxcam.export(probe, file, image=images.shape[1:], method="hirescam", platforms=("cpu",))
    explainer = jaxcam.restore(file, trusted=True)
    wanted = jaxcam.explain(probe, images, [1, 2], method="hirescam")
    np.testing.assert_allclose(explainer(images, [1, 2]), wanted, atol=1e-6)
    assert explainer.metadata["maps"] == list(images.shape[1:-1])
    with pytest.raises(ValueError, match="this explainer takes images"):
        explainer(images[:, :4])


@pytest.mark.parametrize(
    ("count", "image", "leading", "grid"),
    [
        (15, (48, 40), None, (3, 5)),  # patches of 16 x 8
        (17, (48, 40), 2, (3, 5)),
        (8, (32, 32, 32), None, (2, 2, 2)),  # cubes of 16
        (9, (32, 32, 32), None, (2, 2, 2)),
        (7, (100,), 2, (5,)),
    ],
)
def test_tokens_of_other_patches_and_ranks(count, image, leading, grid):
    tokens = jnp.arange(count * 2.0).reshape(1, count, 2)
    found, restore = as_map(tokens, image, leading, "it")
    first = count - int(np.prod(grid))
    assert found.shape == (1, *grid, 2)
    np.testing.assert_array_equal(found.reshape(1, -1, 2), tokens[:, first:])
    np.testing.assert_array_equal(restore(2 * found)[:, first:], 2 * tokens[:, first:])
    np.testing.assert_array_equal(restore(2 * found)[:, :first], tokens[:, :first])


def test_a_signals_tokens_are_its_map():
    tokens = jnp.zeros((1, 7, 2))
    assert as_map(tokens, (100,), None, "it")[0] is tokens


@pytest.mark.parametrize(
    ("shape", "image", "leading", "words"),
    [
        (
            (1, 16, 2),
            (64, 32),
            None,
            r"Pass tokens=.* would leave 1x16, 2x8, 4x4, 8x2, \.\.\.: probe a layer",
        ),
        ((1, 1568, 2), (16, 224, 224), None, r"Pass tokens="),
        ((1, 5, 5, 2), (64,), None, r"\(1, l, K\) with one spatial axis .* tokens \(1, l, K\)"),
        ((1, 5, 5, 2), (8, 64, 64), None, r"\(1, d, h, w, K\) with three spatial axes"),
        ((1, 2, 2), (64,), 2, "leave no position"),
    ],
)
def test_activations_that_are_no_map(shape, image, leading, words):
    with pytest.raises(ValueError, match=words):
        as_map(jnp.zeros(shape), image, leading, "it")


def test_a_volume_with_its_channels_first():
    with pytest.raises(ValueError, match=r"channels came first, .* image\.transpose\(1, 2, 3, 0\)"):
        net(3)(np.zeros((1, 8, 8, 8), np.float32))
