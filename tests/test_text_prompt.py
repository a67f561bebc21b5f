"""Where is "a red circle"? A map for a text prompt, by a model with a tower for images and one for text."""

import jax
import jax.numpy as jnp
import numpy as np
from clip import OBJECT, PROMPTS, SIZE, Clip, scene, tokens, trained
from flax import nnx

import jaxcam


def similarity_of(output):
    return output["similarity"]


def test_two_ways_to_ask_are_one():
    """All prompts as inputs, and the number of one as target; or the image's embedding, compared with the prompt's."""
    model = Clip(rngs=nnx.Rngs(0))
    image, _ = scene(np.random.default_rng(0), 2)
    by_inputs = jaxcam.probe(model, "body", inputs=(tokens(PROMPTS),), read=similarity_of)
    by_method = jaxcam.probe(model, "body", method="encode_image")
    embedding = model.encode_text(tokens(PROMPTS[4:5]))[0]
    look = jax.jit(lambda probe, image, target: probe.look(image, target))
    one, other = look(by_inputs, image, 4), look(by_method, image, jaxcam.similarity(embedding))
    assert one.output.shape == (9,)
    np.testing.assert_allclose(one.score, other.score, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.gradient, other.gradient, rtol=1e-4, atol=1e-6)


def test_map_points_at_what_the_prompt_says():
    """In scenes of two objects, each asked for by its name. A map of ones scores the part that an object covers."""
    model, rng = trained(), np.random.default_rng(1)
    scenes = [scene(rng, 2) for _ in range(48)]
    probe = jaxcam.probe(model, "body", inputs=(tokens(PROMPTS),), read=similarity_of)
    images = np.stack([image for image, _ in scenes])
    right = wrong = 0
    for asked in (0, 1):
        names = [list(corners)[asked] for _, corners in scenes]
        targets = jnp.array([PROMPTS.index(name) for name in names])
        maps = np.asarray(jaxcam.explain(probe, images, targets, method="hirescam"))
        for shown, name, (_, corners) in zip(maps, names, scenes, strict=True):
            (other,) = set(corners) - {name}
            right += inside(shown, corners[name])
            wrong += inside(shown, corners[other])
    ones = OBJECT**2 / SIZE**2
    assert ones < 0.07
    assert right / 96 > 0.9
    assert wrong / 96 < ones


def inside(shown, corner):
    """Whether the maximum of a map lies in the box of an object."""
    y, x = np.unravel_index(shown.argmax(), shown.shape)
    return 0 <= y - corner[0] < OBJECT and 0 <= x - corner[1] < OBJECT
