"""Poly-CAM, once more in NumPy, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masked import softmax, up
from nets import Small, images, small

import jaxcam

double = pytest.mark.usefixtures("x64")
LAYERS = ("stem", "blocks.0", "tail")  # of 12 x 14, 6 x 7 and 5 x 6 positions


@functools.cache
def probe_of(*layers):
    return jaxcam.probe(Small("deep", dtype=jnp.float64), layers if len(layers) > 1 else layers[0])


def scale(maps, percentile):
    """Percentiles of the last two axes."""
    low, high = np.percentile(maps, (percentile, 100 - percentile), axis=(-2, -1), keepdims=True)
    return np.clip((maps - low) / np.maximum(high, 1e-12), 0, 1)


def by_formula(probe, picture, *, sign="+", local=True, percentile=0.1, score="softmax"):
    forward = jax.jit(jax.vmap(lambda x: probe(x)[0]))
    read = lambda seen: (softmax(seen) if score == "softmax" else seen)[..., 1]  # noqa: E731
    output, seen = probe(picture)
    seen = seen if len(probe.layers) > 1 else {"": seen}
    whole, found = read(np.asarray(output)), None
    for A in sorted(map(np.asarray, seen.values()), key=lambda A: A.size // A.shape[-1]):
        masks = up(scale(np.moveaxis(A, -1, 0), percentile), picture.shape[:2])[..., None]
        kept, lost = (read(np.asarray(forward(picture * each))) for each in (masks, 1 - masks))
        w = {"+": kept, "-": np.maximum(whole - lost, 0), "+-": np.maximum(kept + whole - lost, 0)}[sign]
        B = np.maximum((A * w).sum(axis=-1), 0)
        if found is not None:
            if local:
                B = B / np.maximum(up(up(B, found.shape), B.shape), 1e-12)
            B = B * up(found, B.shape)
        found = B
    return scale(found, percentile)


@double
@pytest.mark.parametrize(
    ("layers", "options"),
    [
        (LAYERS, {}),
        (LAYERS[:2], {"sign": "-", "score": "logit"}),
        (LAYERS[:2], {"sign": "+-", "local": False, "percentile": 10}),
        (LAYERS[1:2], {}),
    ],
)
def test_equals_the_formula(layers, options):
    probe, picture = probe_of(*layers), images(1, dtype=np.float64)[0]
    raw = jax.jit(lambda p, x: jaxcam.polycam(p, x, 1, **options))(probe, picture)
    expected = by_formula(probe, picture, **options)
    assert raw.shape == {3: (12, 14), 2: (12, 14), 1: (6, 7)}[len(layers)]
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(raw, expected, atol=1e-10)


@double
def test_the_order_in_which_layers_are_named_does_not_matter():
    picture = images(1, dtype=np.float64)[0]
    run = jax.jit(lambda p, x: jaxcam.polycam(p, x, 1))
    np.testing.assert_array_equal(
        run(probe_of("stem", "blocks.0"), picture), run(probe_of("blocks.0", "stem"), picture)
    )


def test_explain_takes_several_layers():
    probe = jaxcam.probe(Small(), ("stem", "blocks.0"))
    shown = jaxcam.explain(probe, images(2), [1, 2], method="polycam")
    assert shown.shape == (2, 12, 14)
    assert np.ptp(shown, axis=(1, 2)).min() > 0.9


def test_layers_of_one_size_are_refused():
    probe = jaxcam.probe(Small(), ("blocks.0.conv", "blocks.0"))
    with pytest.raises(ValueError, match=r"layers of different sizes.* got \{'blocks.0.conv': \(6, 7\)"):
        jaxcam.polycam(probe, images(1)[0], 1)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sign": "±"}, "no sign '±'"),
        ({"percentile": 50}, "percentile must be a number from 0 to below 50; got 50"),
        ({"score": "logits"}, "no score 'logits'; did you mean 'logit'"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.polycam(small(), images(1)[0], 1, **options)
