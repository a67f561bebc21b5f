"""Any call of a model: its options, its methods, what is read of its output, and what it takes beside images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from nets import images

import jaxcam
from jaxcam import datasets, metrics

IMAGE = images(1)[0]
BATCH = images(3)
TEXT = jax.random.normal(jax.random.key(5), (1, 6))


class Tower(nnx.Module):
    """Pictures and text to vectors, and several outputs, as CLIP has them."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.conv, self.visual = nnx.Conv(3, 4, (3, 3), rngs=rngs), nnx.Linear(4, 5, rngs=rngs)
        self.drop = nnx.Dropout(0.5, deterministic=False, rngs=rngs)
        self.textual = nnx.Linear(6, 5, rngs=rngs)

    def encode_image(self, x, *, rngs=None):
        x = jnp.tanh(self.conv(x))
        return self.visual(self.drop(jnp.mean(x, axis=(1, 2)), rngs=rngs))

    def __call__(self, x, text, *, scale=1.0, rngs=None):
        picture, words = self.encode_image(x, rngs=rngs), self.textual(text)
        return {"picture": picture, "logits": scale * picture * words, "scale": jnp.asarray(scale)}


class LinenTower(nn.Module):
    def setup(self):
        self.conv, self.visual, self.textual = nn.Conv(4, (3, 3)), nn.Dense(5), nn.Dense(5)

    def encode_image(self, x):
        return self.visual(jnp.mean(jnp.tanh(self.conv(x)), axis=(1, 2)))

    def __call__(self, x, text):
        picture = self.encode_image(x)
        return picture, picture * self.textual(text)


def logits(output):
    return output["logits"]


def test_method_inputs_and_read_of_nnx():
    model = Tower()
    train = model.drop.deterministic
    expected = nnx.view(model, deterministic=True)(IMAGE[None], TEXT, scale=2.0)
    for inputs in ((TEXT,), [TEXT], {"text": TEXT}):
        probe = jaxcam.probe(model, "conv", inputs=inputs, read=logits, call={"scale": 2.0})
        np.testing.assert_allclose(probe(IMAGE)[0], expected["logits"][0], rtol=1e-5, atol=1e-7)
    whole = jaxcam.probe(model, "conv", inputs=(TEXT,), call={"scale": 2.0})(IMAGE)[0]
    assert whole["picture"].shape == (5,)
    assert whole["scale"].shape == ()
    encoded = jaxcam.probe(model, "conv", method="encode_image")(IMAGE)[0]
    np.testing.assert_allclose(encoded, expected["picture"][0], rtol=1e-5, atol=1e-7)
    assert model.drop.deterministic == train  # the model is as it was: in training mode


def test_method_inputs_and_read_of_linen():
    model = LinenTower()
    variables = model.init(jax.random.key(0), IMAGE[None], TEXT)
    picture, both = model.apply(variables, IMAGE[None], TEXT)
    probe = jaxcam.probe(model, "conv", variables=variables, inputs=(TEXT,), read=lambda output: output[1])
    np.testing.assert_allclose(probe(IMAGE)[0], both[0], rtol=1e-6)
    probe = jaxcam.probe(model, "conv", variables=variables, method="encode_image")
    np.testing.assert_allclose(probe(IMAGE)[0], picture[0], rtol=1e-6)


def test_inputs_and_read_of_a_function():
    def score(weights, x, text):
        x = jaxcam.tap(jnp.tanh(x @ weights["pixels"]), "x")
        return jnp.mean(x, axis=(1, 2)) * (text @ weights["words"]), x

    weights = {"pixels": jnp.ones((3, 5)) * 0.1, "words": jnp.ones((6, 5))}
    probe = jaxcam.probe(score, "x", variables=weights, inputs=(TEXT,), read=lambda output: output[0])
    np.testing.assert_allclose(probe(IMAGE)[0], score(weights, IMAGE[None], TEXT)[0][0], rtol=1e-6)


def test_what_is_read_is_explained_judged_and_exported(tmp_path):
    probe = jaxcam.probe(Tower(), "conv", inputs=(TEXT,), read=logits)
    by_target = jaxcam.probe(Tower(), "conv", inputs=(TEXT,))
    maps = jaxcam.explain(probe, BATCH, 3, method="hirescam", raw=True)
    same = jaxcam.explain(by_target, BATCH, lambda output: output["logits"][3], method="hirescam", raw=True)
    np.testing.assert_allclose(maps, same, rtol=1e-5, atol=1e-8)
    assert jaxcam.explain(probe, BATCH, jaxcam.top(2)).shape == (3, 2, 12, 14)
    shown = jaxcam.explain(probe, BATCH, None)
    assert np.isfinite(metrics.average_drop(probe, BATCH, None, shown)).all()
    jaxcam.export(probe, tmp_path / "tower.jaxcam", image=IMAGE.shape, method="hirescam", raw=True)
    restored = jaxcam.restore(tmp_path / "tower.jaxcam")
    np.testing.assert_allclose(restored(BATCH, [3, 3, 3]), maps, rtol=1e-4, atol=1e-7)


def test_a_data_set_is_run_with_what_is_read(tmp_path):
    np.save(tmp_path / "records.npy", np.asarray(BATCH))

    def run(text):
        probe = jaxcam.probe(Tower(), "conv", inputs=(text,), read=logits)
        options = {"preprocess": None, "batch": 2, "maps_dtype": "float32"}
        return datasets.run(tmp_path / "records.npy", probe, out=str(tmp_path / "store"), **options), probe

    (done, _), (again, probe) = run(TEXT), run(TEXT)
    assert (done.done, again.computed) == (3, 0)
    store = datasets.open_store(tmp_path / "store")
    np.testing.assert_allclose(store["maps"], jaxcam.explain(probe, BATCH), atol=1e-5)
    with pytest.raises(ValueError, match=r"parameters: .* there"):  # another text is another model
        run(2 * TEXT)


def test_inputs_are_leaves_and_not_constants():
    probe = jaxcam.probe(Tower(), "conv", inputs=(TEXT,), read=logits)
    other = jaxcam.probe(Tower(), "conv", inputs=(2 * TEXT,), read=logits)
    assert any(leaf is TEXT for leaf in jax.tree.leaves(probe))
    traces = []

    @jax.jit
    def run(probe, x):
        traces.append(x)
        return probe(x)[0]

    first, second = run(probe, IMAGE), run(other, IMAGE)
    assert len(traces) == 1
    assert not np.allclose(first, second)
    slope = jax.grad(
        lambda text: jnp.sum(jaxcam.probe(Tower(), "conv", inputs=(text,), read=logits)(IMAGE)[0])
    )(TEXT)
    assert np.any(slope)


def test_random_generators_in_the_call():
    model = Tower()
    plain = jaxcam.probe(model, "conv", method="encode_image")
    for generator in (None, nnx.Rngs(3)):
        probe = jaxcam.probe(model, "conv", method="encode_image", call={"rngs": generator})
        np.testing.assert_array_equal(probe(IMAGE)[0], plain(IMAGE)[0])

    class Noisy(Tower):
        def __call__(self, x, *, rngs):
            noise = jax.random.normal(rngs.params(), (1, 5))
            return self.encode_image(x) + noise

    with pytest.raises(ValueError, match="'rngs' of Noisy runs in training mode"):
        jaxcam.probe(Noisy(), "conv", call={"rngs": nnx.Rngs(0)})(IMAGE)


@pytest.mark.usefixtures("unchecked")
def test_mistakes_in_a_call():
    model = Tower()
    with pytest.raises(
        TypeError, match=r"missing a required argument: 'text': pass it in call=.*, or in inputs="
    ):
        jaxcam.probe(model, "conv")
    with pytest.raises(ValueError, match="no method 'encode_images'; did you mean 'encode_image'"):
        jaxcam.probe(model, "conv", method="encode_images")
    with pytest.raises(TypeError, match=r"inputs must be a tuple .* write inputs=\(array,\)"):
        jaxcam.probe(model, "conv", inputs=TEXT)
    with pytest.raises(TypeError, match="read must be a function of the model's output; got 'logits'"):
        jaxcam.probe(model, "conv", inputs=(TEXT,), read="logits")
    with pytest.raises(TypeError, match=r"call=\{'text'.*pass it in inputs=\{'text': \.\.\.\}"):
        jaxcam.probe(model, "conv", call={"text": TEXT})
    with pytest.raises(TypeError, match="is an NNX object, which only an NNX module takes"):
        jaxcam.probe(LinenTower(), "conv", variables={"params": {}}, call={"rngs": nnx.Rngs(0)})
    with pytest.raises(TypeError, match="method= is for a module; pass a function as it is"):
        jaxcam.probe(lambda x: x, "x", method="encode")
    with pytest.raises(ValueError, match="is dict, not a vector of logits"):
        jaxcam.explain(jaxcam.probe(model, "conv", inputs=(TEXT,)), BATCH, 3)
    with pytest.raises(ValueError, match="not a vector of logits"):
        jaxcam.explain(jaxcam.probe(model, "conv", inputs=(TEXT,), read=lambda output: output), BATCH, 3)
