import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nets import images, small

import jaxcam
from jaxcam._targets import score

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
