import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import images, small

import jaxcam
from jaxcam.targets._score import score

LOGITS = jnp.array([0.5, 2.0, -1.0, 2.0])


def test_class_none_and_callable():
    assert score(LOGITS, 2) == -1
    assert score(LOGITS, np.int64(0)) == 0.5
    assert score(LOGITS, None) == 2
    assert score(LOGITS, lambda logits: logits[0] - logits[2]) == 1.5
    assert score({"a": LOGITS}, lambda output: output["a"][1]) == 2


def test_most_likely_class_is_the_lowest_among_equals():
    slope = jax.grad(lambda logits: score(logits, None))(LOGITS)
    np.testing.assert_array_equal(slope, [0, 1, 0, 0])


def test_made_targets():
    assert jnp.isclose(jaxcam.probability(1)(LOGITS), jax.nn.softmax(LOGITS)[1])
    assert jaxcam.difference(0, 2)(LOGITS) == 1.5
    assert jnp.isclose(jaxcam.similarity(LOGITS * 3)(LOGITS), 1)
    volume = jnp.arange(24.0).reshape(2, 3, 4)
    mask = np.array([[1, 0, 0], [0, 0, 1]])
    assert jaxcam.segmentation(3, mask)(volume) == 3 + 23
    assert jaxcam.segmentation(3, mask, reduce="mean")(volume) == (3 + 23) / 2
    assert jaxcam.negative(2)(LOGITS) == 1
    assert jaxcam.negative(None)(LOGITS) == -2
    assert jaxcam.negative(jaxcam.difference(0, 2))(LOGITS) == -1.5
    assert jaxcam.negative(lambda logits: logits[0])(LOGITS) == -0.5
    # of class 0: nearest are 1, 2 and 3 by 1.5 each; of class 1, the equal one first
    assert jnp.isclose(jaxcam.finer(0)(LOGITS), 0.5 - 0.6 * (2 - 1 + 2) / 3)
    assert jnp.isclose(jaxcam.finer(1, alpha=1.0, others=1)(LOGITS), 0)
    assert jnp.isclose(jaxcam.finer(1, alpha=1.0, others=2)(LOGITS), 2 - (2 + 0.5) / 2)
    assert jnp.isclose(jaxcam.finer(1, others=99)(LOGITS), jaxcam.finer(1, others=3)(LOGITS))
    assert jnp.isclose(jaxcam.rest(1)(LOGITS), 2 + jnp.log(jax.nn.softmax(LOGITS)[1]))


def test_gradients_of_finer_and_rest():
    slope = jax.grad(jaxcam.finer(1, alpha=0.5, others=2))(LOGITS)
    np.testing.assert_allclose(slope, [-0.25, 1, 0, -0.25])
    p = np.array(jax.nn.softmax(LOGITS))
    np.testing.assert_allclose(jax.grad(jaxcam.rest(2))(LOGITS), 2 * np.eye(4)[2] - p, atol=1e-6)


BOXES = jnp.array([[0, 0, 4, 4], [1, 0, 5, 4], [0, 0, 4, 5], [8, 8, 9, 9.0]])
FOUND = jnp.array([[1, 5], [3, 0], [2, 1], [9, 9.0]])  # logits of two classes


def fields(output):
    return output["where"], output["what"]


def test_box_is_the_strongest_of_those_that_overlap():
    # IoU with the box asked for: 1, 0.6, 0.8, 0
    assert jaxcam.box([0, 0, 4, 4], 0)((BOXES, FOUND)) == 3
    assert jaxcam.box([0, 0, 4, 4], 0, overlap=0.7)({"boxes": BOXES, "logits": FOUND}) == 2
    assert jaxcam.box([0, 0, 4, 4], 1, read=fields)({"where": BOXES, "what": FOUND}) == 5
    slope = jax.grad(lambda found: jaxcam.box([0, 0, 4, 4], 0)((BOXES, found)))(FOUND)
    np.testing.assert_array_equal(slope, [[0, 0], [1, 0], [0, 0], [0, 0]])
    value, slope = jax.value_and_grad(lambda found: jaxcam.box([20, 20, 24, 24], 0)((BOXES, found)))(FOUND)
    assert np.isnan(value)
    assert np.isnan(slope).any()


def test_a_box_that_nothing_fits_is_told():
    probe = jaxcam.probe(split=(lambda images: images, lambda a: (BOXES[None], FOUND[None] * jnp.mean(a))))
    with pytest.warns(
        jaxcam.MapWarning, match="is not finite: .*the output has nothing that the target asks for"
    ):
        maps = jaxcam.explain(probe, images(1), jaxcam.box([20, 20, 24, 24], 1), method="hirescam")
    assert np.isnan(maps).all()


def test_box_without_area_overlaps_nothing():
    flat = jnp.array([[2.0, 2, 2, 2], [3, 3, 1, 1]])
    assert jnp.isnan(jaxcam.box([1, 1, 3, 3], 0, overlap=0.01)((flat, FOUND[:2])))


MADE = {
    "probability": lambda: (jaxcam.probability(1), LOGITS),
    "difference": lambda: (jaxcam.difference(0, 2), LOGITS),
    "negative": lambda: (jaxcam.negative(1), LOGITS),
    "finer": lambda: (jaxcam.finer(0), LOGITS),
    "rest": lambda: (jaxcam.rest(1), LOGITS),
    "similarity": lambda: (jaxcam.similarity(jnp.arange(4.0)), LOGITS),
    "segmentation": lambda: (jaxcam.segmentation(1, np.eye(2, dtype=bool)), jnp.ones((2, 2, 4))),
    "mean": lambda: (jaxcam.segmentation(1, np.eye(2), reduce="mean"), jnp.ones((2, 2, 4))),
    "box": lambda: (jaxcam.box([0, 0, 4, 4], 0), (BOXES, FOUND)),
}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_made_targets_in_a_program(dtype):
    """Mapped over two of each, differentiated, in one compiled program."""
    made, again = ({name: make() for name, make in MADE.items()} for _ in range(2))
    targets = {name: target for name, (target, _) in made.items()}
    twice = {name: target for name, (target, _) in again.items()}
    assert jax.tree.structure(targets) == jax.tree.structure(twice)  # so a second one compiles nothing
    outputs = jax.tree.map(lambda leaf: leaf.astype(dtype), {name: each for name, (_, each) in made.items()})

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def both(targets, outputs):
        return {name: jax.value_and_grad(score)(outputs[name], targets[name]) for name in MADE}

    found = both(jax.tree.map(lambda *leaves: jnp.stack(leaves), targets, twice), outputs)
    for name, (values, slopes) in found.items():
        assert (values.shape, values.dtype) == ((2,), dtype), name
        expected = np.asarray(score(outputs[name], targets[name]), np.float32)
        np.testing.assert_allclose(np.asarray(values, np.float32), expected, rtol=1e-2, err_msg=name)
        leaves = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(slopes)]
        assert all(np.isfinite(leaf).all() for leaf in leaves), name
        assert any(leaf.any() for leaf in leaves), name


def test_above_gives_the_classes_of_each_image(recwarn):
    probe, batch = small(), images(3)
    several, outputs = jaxcam.explain(probe, batch, jaxcam.top(3), with_output=True, raw=True)
    chances = np.sort(np.asarray(jax.nn.softmax(outputs)), axis=1)[:, ::-1][:, :3]
    threshold = float(np.sort(chances.ravel())[4])  # of nine, four are above it
    found = jaxcam.explain(probe, batch, jaxcam.above(threshold, 3), raw=True)
    absent = np.isnan(found).all((-2, -1))
    assert absent.sum() == np.sum(chances <= threshold) == 5
    np.testing.assert_array_equal(absent, chances <= threshold)
    np.testing.assert_array_equal(np.asarray(found)[~absent], np.asarray(several)[~absent])
    assert not recwarn  # a class that is not there does not count as a failed map


@pytest.mark.parametrize(
    ("scale", "threshold", "count"),
    [("softmax", 0.4, 2), ("sigmoid", 0.5, 3), ("logit", 0.5, 2), ("logit", -1, 3)],
)
def test_scales_of_above(scale, threshold, count):
    assert jaxcam.above(threshold, 4, scale=scale).present(LOGITS).sum() == count


WRONG = {
    "count": (lambda: jaxcam.above(0.5, 0), ValueError, "at least 1; got 0"),
    "scale": (
        lambda: jaxcam.above(0.5, scale="sofmax"),
        ValueError,
        "no scale 'sofmax'; did you mean 'softmax'",
    ),
    "probability": (lambda: jaxcam.above(3.0), ValueError, "from 0 to less than 1; got 3.0"),
    "threshold": (lambda: jaxcam.above(float("nan"), scale="logit"), ValueError, "finite number; got nan"),
    "negative of several": (lambda: jaxcam.negative(jaxcam.top(2)), TypeError, "takes one target"),
    "negative of a name": (lambda: jaxcam.negative("cat"), TypeError, "got 'cat'"),
    "others": (lambda: jaxcam.finer(1, others=0), ValueError, "at least 1; got 0"),
    "one class": (lambda: jaxcam.finer(0)(LOGITS[:1]), ValueError, "the model has one"),
    "class": (lambda: jaxcam.rest(1.0), TypeError, "a class index"),
    "reduce": (lambda: jaxcam.segmentation(1, np.ones((2, 2)), reduce="avg"), ValueError, "no reduce 'avg'"),
    "no mask": (
        lambda: jaxcam.segmentation(1, np.zeros((2, 2)), reduce="mean"),
        ValueError,
        "zero everywhere",
    ),
    "mask": (
        lambda: jaxcam.segmentation(1, np.ones((2, 2)))(jnp.ones((3, 3, 4))),
        ValueError,
        r"got shape \(3, 3, 4\)",
    ),
    "corners": (lambda: jaxcam.box([4, 4, 0, 0], 1), ValueError, "x0 < x1 and y0 < y1"),
    "box": (lambda: jaxcam.box([0, 0, 4], 1), ValueError, r"got shape \(3,\)"),
    "overlap": (lambda: jaxcam.box([0, 0, 4, 4], 1, overlap=0), ValueError, "from above 0 to 1; got 0"),
    "read": (lambda: jaxcam.box([0, 0, 4, 4], 1, read="boxes"), TypeError, "got 'boxes'"),
    "logits alone": (lambda: jaxcam.box([0, 0, 4, 4], 1)(LOGITS), TypeError, "pass read="),
    "other names": (lambda: jaxcam.box([0, 0, 4, 4], 1)({"b": BOXES}), TypeError, "a dictionary of b"),
    "not boxes": (lambda: jaxcam.box([0, 0, 4, 4], 1)((FOUND, FOUND)), ValueError, r"boxes \(N, 4\)"),
    "top of few": (
        lambda: jaxcam.explain(small(), images(1), jaxcam.above(0.1, 6)),
        ValueError,
        "above.*at_most=6.* of a model with 5 classes",
    ),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.usefixtures("unchecked")
def test_mistakes_in_made_targets(case):
    make, kind, words = WRONG[case]
    with pytest.raises(kind, match=words):
        make()


def test_a_made_target_is_a_pytree_that_can_be_mapped():
    probe, batch = small(), images(2)
    mapped = jax.vmap(lambda x, e: jaxcam.gradcam(probe, x, jaxcam.similarity(e)))(batch, jnp.eye(5)[:2])
    np.testing.assert_allclose(
        mapped[1], jaxcam.gradcam(probe, batch[1], jaxcam.similarity(jnp.eye(5)[1])), atol=1e-6
    )


@pytest.mark.parametrize("target", [4, -1, 99])
def test_class_out_of_range(target):
    with pytest.raises(ValueError, match=f"no class {target}: the model has 4 classes, 0 to 3"):
        score(LOGITS, target)


def test_class_out_of_range_inside_a_program_scores_nan():
    assert jnp.isnan(jax.jit(score)(LOGITS, 4))
    assert jnp.isnan(jax.jit(score)(LOGITS, -1))


@pytest.mark.parametrize("target", ["cat", 1.0, True, np.float32(1)])
@pytest.mark.usefixtures("unchecked")
def test_target_of_another_kind(target):
    with pytest.raises(TypeError):
        score(LOGITS, target)


@pytest.mark.usefixtures("unchecked")
def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="one image takes one target"):
        score(LOGITS, jnp.array([1, 2]))
    with pytest.raises(ValueError, match="not a vector of logits"):
        score(jnp.ones((2, 2)), 1)
    with pytest.raises(ValueError, match="not a vector of logits"):
        score({"logits": LOGITS}, None)
    with pytest.raises(ValueError, match=r"must return a scalar; <lambda> returned shape \(4,\)"):
        score(LOGITS, lambda logits: logits)


@pytest.mark.parametrize("k", [0, -1, 2.0, True])
@pytest.mark.usefixtures("unchecked")
def test_top_needs_a_count(k):
    with pytest.raises(ValueError, match="at least 1"):
        jaxcam.top(k)
