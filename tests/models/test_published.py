"""The table of published checkpoints, and the preprocessing of each."""

import re

import pytest
from flax import nnx

from jaxcam import models
from jaxcam.models._published import LEFT_OUT, PUBLISHED, folder_of
from jaxcam.models._recipes import _OF_ONE, _RECIPES


def test_every_architecture_has_an_entry_with_a_digest():
    assert list(PUBLISHED) == list(models.names())
    files = [file for each in PUBLISHED.values() for file in each.files.values()]
    assert len(set(files)) == len(files) > 100
    assert all(re.search(r"-[0-9a-f]{8,10}\.(pth|th)$", file) for file in files)


@pytest.mark.parity
@pytest.mark.parametrize("name", [name for name in models.names() if not name.startswith("cifar_")])
def test_equals_torchvisions_entries(name):
    import _torchvision

    enum = _torchvision.load().models.get_model_weights(name)
    theirs = {entry.name: entry.url for entry in enum if (name, entry.name) not in LEFT_OUT}
    ours = {entry: f"{folder_of(entry)}/{file}" for entry, file in PUBLISHED[name].files.items()}
    assert ours == theirs
    assert next(iter(ours)) == enum.DEFAULT.name
    for entry in ("DEFAULT", *ours):
        recipe, transform = models.preprocess(name, weights=entry), enum[entry].transforms()
        assert ([recipe.resize], [recipe.size]) == (transform.resize_size, transform.crop_size), entry
        assert (list(recipe.mean), list(recipe.std)) == (transform.mean, transform.std), entry
        assert recipe.interpolation.name.lower() == transform.interpolation.value, entry


@pytest.mark.parity
def test_what_is_left_out_is_torchvisions():
    import _torchvision

    tv = _torchvision.load().models
    assert all(entry in tv.get_model_weights(name).__members__ for name, entry in LEFT_OUT)


def test_no_recipe_is_of_an_unknown_entry():
    assert all(entry in PUBLISHED[name].files for name, entry in _OF_ONE)
    assert all(any(entry in each.files for each in PUBLISHED.values()) for entry in _RECIPES)


def test_the_recipe_is_that_of_the_entry():
    for name, entry in (
        ("vit_h_14", "IMAGENET1K_SWAG_LINEAR_V1"),
        ("regnet_y_128gf", "IMAGENET1K_SWAG_E2E_V1"),
    ):
        assert models.preprocess(name, weights=entry) == models.preprocess(
            name
        )  # which have no IMAGENET1K_V1
    assert models.preprocess("resnet50", weights="IMAGENET1K_V1") == models.preprocess("resnet50")
    assert models.preprocess("resnet50").resize == 256
    assert models.preprocess("resnet50", weights="DEFAULT").resize == 232
    assert models.preprocess("vit_l_16", weights="IMAGENET1K_SWAG_E2E_V1").size == 512
    assert models.preprocess("cifar_resnet20", weights="DEFAULT") == models.preprocess("cifar_resnet20")


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        (
            "resnet50",
            "IMAGENET1K_V3",
            "did you mean 'IMAGENET1K_V[12]'.*DEFAULT, IMAGENET1K_V2, IMAGENET1K_V1$",
        ),
        ("resnet50", "DEFUALT", "did you mean 'DEFAULT'"),
        ("resnet18", "IMAGENET1K_V2", "no published weights of resnet18 'IMAGENET1K_V2'"),
        ("vgg16", "IMAGENET1K_FEATURES", "classifier holds no numbers.*There are: IMAGENET1K_V1$"),
        ("resnet51", "DEFAULT", "no model 'resnet51'; did you mean 'resnet"),
    ],
)
def test_errors(name, weights, words):
    with pytest.raises(ValueError, match=words):
        models.preprocess(name, weights=weights)


def test_image_size():
    model = nnx.eval_shape(lambda: models.build("vit_b_32", image_size=96))
    assert model.encoder.pos_embedding.shape == (1, 1 + 3 * 3, 768)
    with pytest.raises(ValueError, match="patches of 32x32, got image_size=100"):
        models.build("vit_b_32", image_size=100)
    with pytest.raises(ValueError, match=r"resnet18 takes images of any size: leave out image_size=96"):
        models.build("resnet18", image_size=96)
