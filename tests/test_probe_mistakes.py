"""What goes wrong first is said in words of its own."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from nets import LAYER, Small, images, small
from selection import CORE, exhaustive

import jaxcam
from jaxcam import models

BATCH = images(2)
IMAGE = BATCH[0]
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize("method", [*jaxcam.METHODS.values(), jaxcam.explain])
def test_a_model_instead_of_a_probe(method):
    with pytest.raises(TypeError, match=r"a probe comes first.*; got Small: jaxcam.probe\(model, 'layer4'\)"):
        method(Small(), BATCH if method is jaxcam.explain else IMAGE)


def test_what_is_not_a_path():
    model = Small()
    with pytest.raises(TypeError, match=r"named by its path, 'blocks.0.conv'; got the Conv itself") as said:
        jaxcam.probe(model, model.blocks[0].conv)
    assert len(str(said.value)) < 200
    with pytest.raises(ValueError, match="a probe needs at least one layer; got none"):
        jaxcam.probe(model, ())
    with pytest.raises(ValueError, match="layers of a probe must be different; got 'stem' twice"):
        jaxcam.probe(model, ("stem", "fc", "stem"))
    with pytest.raises(TypeError, match="a string such as 'layer4'; got a int"):
        jaxcam.probe(model, ("stem", 4))
    with pytest.raises(TypeError, match="a string such as 'layer4'; got a int"):
        jaxcam.probe(model, 4)
    with pytest.raises(
        ValueError, match=r"'stem.conv.kernel' is a Param, not a layer: probe 'stem.conv', whose"
    ):
        jaxcam.probe(model, "stem.conv.kernel")
    with pytest.raises(
        ValueError, match=r"'stem.conv.promote_dtype' is a .*, not a module: probe the module that"
    ):
        jaxcam.probe(model, "stem.conv.promote_dtype")


def test_layers_are_what_a_probe_takes():
    model = Small("deep")
    found = jaxcam.layers(model)
    assert set(found) >= {"stem", "blocks.0.conv", "fc"}
    assert "blocks" not in found
    for path in found:
        jaxcam.probe(model, path)
    every = [".".join(map(str, where)) for where, _ in nnx.iter_graph(model) if where]
    for path in set(every) - set(found):
        with pytest.raises(ValueError, match=r"layer|not callable"):
            jaxcam.probe(model, path)
    with pytest.raises(
        TypeError, match=r"layers takes a flax\.nnx\.Module; got a flax Dense\. The layers of other"
    ):
        jaxcam.layers(nn.Dense(3))


def test_parts_of_lists_by_number():
    model = models.build("cifar_resnet20")
    assert str(jaxcam.probe(model, "layer3[-1].conv2").anatomy) == "layer3.2.conv2"
    assert jaxcam.probe(model, "layer3[2]").anatomy == jaxcam.probe(model, "layer3.2").anatomy
    with pytest.raises(ValueError, match=r"no layer 'layer3\[3\]'"):
        jaxcam.probe(model, "layer3[3]")
    with pytest.raises(ValueError, match=r"no layer 'layer3\[-4\]'"):
        jaxcam.probe(model, "layer3[-4]")
    chain = nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), jnp.tanh, nnx.Linear(4, 2, rngs=nnx.Rngs(0)))
    assert str(jaxcam.probe(chain, "layers[-1]").anatomy) == "layers.2"


def test_channels_first():
    for call in (
        lambda: small()(IMAGE.transpose(2, 0, 1)),
        lambda: jaxcam.explain(small(), BATCH.transpose(0, 3, 1, 2), 0),
    ):
        with pytest.raises(
            ValueError, match=r"\(3, 12, 14\) looks as if the channels came first.*transpose\(1, 2"
        ):
            call()


class Tensor:
    """Stands for a tensor of torch, which is not needed for it."""

    ndim, shape = 3, (3, 12, 14)


Tensor.__module__ = "torch"


def test_objects_of_torch():
    with pytest.raises(
        TypeError, match=r"got a torch tensor \(3, 12, 14\).*tensor\.permute\(1, 2, 0\)\.numpy"
    ):
        small()(Tensor())
    with pytest.raises(TypeError, match="got a torch tensor"):
        jaxcam.explain(small(), Tensor(), 0)
    with pytest.raises(
        TypeError, match=r"Tensor is a torch module.*converters\.from_torch.*a probe takes a flax"
    ):
        jaxcam.probe(Tensor(), "layer4")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("library", ["tensorflow", "sklearn", "somebody"])
def test_models_of_another_library(library):
    """One error, whether the model can be called or not, that says what a probe takes and which page shows it."""
    methods = {} if library == "somebody" else {"__call__": lambda self, images: images}
    model = type("Forest", (), {**methods, "__module__": f"{library}.ensemble"})()
    takes = r"flax\.nnx\.Module.*flax\.linen\.Module.*keras\.Model.*equinox\.Module.*jaxcam\.tap.*split="
    with pytest.raises(TypeError, match=rf"a Forest of {library} is not .*{takes}.*docs/other-libraries\.md"):
        jaxcam.probe(model, "layer4")


def test_cam_of_an_output_that_is_not_a_vector_of_logits():
    probe = jaxcam.probe(split=(lambda x: x, lambda a: {"logits": jnp.mean(a, axis=(1, 2))}))
    with pytest.raises(ValueError, match=r"CAM needs logits .*the output is a dict: use hirescam or"):
        jaxcam.cam(probe, IMAGE, lambda output: output["logits"][0])


def test_a_layer_of_one_position():
    model = models.build("cifar_resnet20")
    tiny = np.zeros((4, 4, 3), np.float32)
    message = r"layer 'layer3' has one position for an image of 4x4.*such as '{}', or take larger images"
    with pytest.raises(ValueError, match=message.format(models.default_layer("cifar_resnet20"))):
        jaxcam.probe(model, "layer3")(tiny)
    pooled = jaxcam.probe(split=(lambda x: jnp.mean(x, axis=(1, 2), keepdims=True), lambda a: a[:, 0, 0]))
    with pytest.raises(
        ValueError, match=r"features has one position .* probe an earlier layer, or take larger"
    ):
        jaxcam.explain(pooled, BATCH, 0)
    narrow = jaxcam.probe(Small(), LAYER)(images(1, size=(2, 6))[0])[1]
    assert narrow.shape == (1, 3, 12)


MAIN = ("gradcam", "hirescam", "eigencam", "clustercam")


@pytest.mark.parametrize("name", exhaustive(CORE, lambda name: name not in MAIN))
def test_float64_stays(name, x64):
    probe = jaxcam.probe(Small(dtype=jnp.float64), LAYER)
    batch = images(1, dtype=np.float64)
    options = {"clusters": 3} if name == "clustercam" else {}
    for raw in (True, False):
        maps = jaxcam.explain(probe, batch, 1, method=name, raw=raw, **options)
        assert maps.dtype == jnp.float64
