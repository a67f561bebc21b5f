"""Opti-CAM, once more in NumPy: Adam on slopes by differences, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masked import halved, softmax, unit, up
from nets import images, small

import jaxcam

double = pytest.mark.usefixtures("x64")


def by_formula(picture, A, logits, *, steps, rate, loss="plain", stop=False, fill=0.0):
    """The weights' map, and the step before which it stopped."""

    def objective(v):
        mask = unit(up((softmax(v) * np.maximum(A, 0)).sum(axis=-1), picture.shape[:2]))[..., None]
        lost = logits(picture)[1] - logits(picture * mask + fill * (1 - mask))[1]
        return lost if loss == "plain" else abs(lost)

    v = np.full(A.shape[-1], 0.5)
    first, second, before = np.zeros_like(v), np.zeros_like(v), np.inf
    for number in range(steps):
        if stop and number % max(1, steps // 10) == 0:
            if objective(v) > before:
                return (softmax(v) * np.maximum(A, 0)).sum(axis=-1), number
            before = objective(v)
        h = 1e-6
        slope = np.array([(objective(v + h * e) - objective(v - h * e)) / (2 * h) for e in np.eye(len(v))])
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        at = number + 1
        v = v - rate * first / (1 - 0.9**at) / (np.sqrt(second / (1 - 0.999**at)) + 1e-8)
    return (softmax(v) * np.maximum(A, 0)).sum(axis=-1), steps


@double
@pytest.mark.parametrize(
    "options",
    [
        {"steps": 8, "rate": 0.1},
        {"steps": 5, "rate": 0.01, "loss": "absolute"},
        {"steps": 8, "rate": 0.2, "stop": True},
        {"steps": 4, "rate": 0.1, "baseline": np.array([-2.1, -2.0, 0.4])},
    ],
    ids=["script", "class", "stop", "black"],
)
def test_equals_the_formula(options):
    probe, picture, A, logits = halved(positive=False, seed=3)
    fill = options.get("baseline", 0.0)
    settings = {name: value for name, value in options.items() if name != "baseline"}
    expected, last = by_formula(picture, A, logits, fill=fill, **settings)
    assert (last < options["steps"]) is options.get("stop", False)
    raw = jax.jit(lambda x: jaxcam.opticam(probe, x, 1, **options))(picture)
    np.testing.assert_allclose(raw, expected, atol=1e-6)
    start, _ = by_formula(picture, A, logits, steps=0, rate=1)
    assert np.abs(expected - start).max() > 1e-3


@double
def test_the_mask_scores_higher_from_step_to_step():
    probe, picture, *_ = halved(seed=1)

    def score(steps):
        raw = jaxcam.opticam(probe, picture, 1, steps=steps)
        mask = jaxcam.display(raw, size=picture.shape[:2])
        return probe(picture * mask[..., None])[0][1]

    first, second, last = jax.jit(lambda: [score(steps) for steps in (1, 10, 40)])()
    assert first < second < last


@double
def test_a_batch_is_a_loop():
    probe, method = small(dtype=jnp.float64), jax.jit(lambda p, x, c: jaxcam.opticam(p, x, c, steps=3))
    batch, classes = images(2, dtype=np.float64), jnp.array([0, 3])
    mapped = jax.jit(jax.vmap(method, (None, 0, 0)))(probe, batch, classes)
    looped = np.stack([method(probe, *each) for each in zip(batch, classes, strict=True)])
    np.testing.assert_allclose(mapped, looped, atol=1e-9)


@double
def test_a_flat_map_stays_as_it_is():
    probe = jaxcam.probe(split=(lambda x: x, lambda a: jnp.tanh(jnp.mean(a, axis=(1, 2)))))
    flat = jnp.ones((4, 5, 3)) * jnp.array([1.0, 2.0, -1.0])[None, None]
    run = jax.jit(lambda x: jaxcam.opticam(probe, x, 1, steps=2))
    np.testing.assert_allclose(run(flat), np.full((4, 5), (1 + 2 + 0) / 3), atol=1e-12)
    slopes = jax.jit(jax.grad(lambda x: jnp.sum(run(x))))(flat)
    assert np.isfinite(slopes).all()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1; got 0"),
        ({"rate": 0}, "rate must be a number above 0; got 0"),
        ({"loss": "norm"}, "no loss 'norm'"),
        ({"baseline": "blakc"}, "no baseline 'blakc'"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        jaxcam.opticam(small(), images(1)[0], 1, **options)
