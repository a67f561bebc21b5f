"""Pictures of every kind become what the checkpoints were trained on."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxcam import models

PREPARE = models.preprocess("resnet50")


def noise(height, width, channels=3, seed=0):
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def constant(value, mode, size=(40, 30)):
    return Image.new(mode, size, value)


@pytest.mark.parity
@pytest.mark.parametrize(
    "size", [(256, 256), (224, 224), (375, 500), (500, 333), (257, 301), (31, 57), (1, 9), (1023, 257)]
)
def test_equals_torchvision(size):
    import _torchvision

    transforms = _torchvision.load().transforms
    picture = Image.fromarray(noise(*size))
    resized = transforms.CenterCrop(224)(transforms.Resize(256)(picture))
    np.testing.assert_array_equal(PREPARE.view(picture), np.asarray(resized))
    expected = transforms.Normalize(PREPARE.mean, PREPARE.std)(transforms.ToTensor()(resized))
    np.testing.assert_allclose(PREPARE(picture), expected.permute(1, 2, 0).numpy(), rtol=0, atol=1e-6)
    squeezed = transforms.Resize((224, 224))(picture)
    np.testing.assert_array_equal(PREPARE.view(picture, crop=False), np.asarray(squeezed))
    bicubic = transforms.Resize(232, transforms.InterpolationMode.BICUBIC)(picture)
    expected = np.asarray(transforms.CenterCrop(224)(bicubic))
    np.testing.assert_array_equal(models.preprocess("swin_t").view(picture), expected)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["efficientnet_b3", "efficientnet_v2_l", "convnext_tiny"])
@pytest.mark.parametrize("size", [(375, 500), (201, 31)])
def test_every_recipe_equals_torchvisions(name, size):
    """Of another size, interpolation, mean or deviation than ResNet's."""
    import _torchvision

    picture = Image.fromarray(noise(*size))
    transform = _torchvision.load().models.get_model_weights(name).DEFAULT.transforms()
    expected = transform(picture).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(models.preprocess(name)(picture), expected, rtol=0, atol=1e-6)


@pytest.mark.parity
@pytest.mark.realdata
def test_equals_torchvision_on_real_pictures(data):
    import _torchvision

    tv = _torchvision.load()
    transform = tv.transforms._presets.ImageClassification(crop_size=224)
    paths = sorted((data / "images").glob("*.JPEG"))[::5]
    assert len(paths) == 20
    for path in paths:
        with Image.open(path) as picture:
            ours, theirs = PREPARE(picture), transform(picture.convert("RGB"))
        np.testing.assert_allclose(
            ours, theirs.permute(1, 2, 0).numpy(), rtol=0, atol=1e-6, err_msg=path.name
        )


@pytest.mark.parity
@pytest.mark.parametrize("name", [name for name in models.names() if not name.startswith("cifar_")])
def test_equals_the_published_checkpoints(name):
    import _torchvision

    weights = _torchvision.load().models.get_model_weights(name)
    # Two have weights under other names only; these are of the sizes they are built for.
    named = {"vit_h_14": "IMAGENET1K_SWAG_LINEAR_V1", "regnet_y_128gf": "IMAGENET1K_SWAG_E2E_V1"}
    entry = weights[named.get(name, "IMAGENET1K_V1")]
    ours, theirs = models.preprocess(name), entry.transforms()
    assert ([ours.resize], [ours.size]) == (theirs.resize_size, theirs.crop_size)
    assert (list(ours.mean), list(ours.std)) == (theirs.mean, theirs.std)
    assert ours.interpolation.name.lower() == theirs.interpolation.value


def test_values():
    """White, by hand: (1 - mean) / std in each channel."""
    prepared = PREPARE(np.full((300, 400, 3), 255, np.uint8))
    assert prepared.shape == (224, 224, 3)
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(
        prepared[7, 9], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], 1e-6
    )


def test_the_crop_is_the_centre_and_the_squeeze_is_everything():
    pixels = np.zeros((256, 512, 3), np.uint8)
    pixels[:, :144], pixels[:, 144:368], pixels[:, 368:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    assert (PREPARE.view(pixels) == (0, 255, 0)).all()
    squeezed = PREPARE.view(pixels, crop=False)
    assert (squeezed[5, 5] == (255, 0, 0)).all()
    assert (squeezed[5, 112] == (0, 255, 0)).all()
    assert (squeezed[5, -5] == (0, 0, 255)).all()


def test_cifar_leaves_its_own_pictures_alone():
    pixels = noise(32, 32)
    np.testing.assert_array_equal(models.preprocess("cifar_resnet20").view(pixels), pixels)


@pytest.mark.parametrize(
    ("picture", "colour"),
    [
        (constant(100, "L"), (100, 100, 100)),
        (constant((100, 255), "LA"), (100, 100, 100)),
        (constant((10, 20, 30), "RGB"), (10, 20, 30)),
        (constant((10, 20, 30, 255), "RGBA"), (10, 20, 30)),
        (constant((10, 20, 30, 0), "RGBA"), (255, 255, 255)),
        (constant((0, 0, 0, 128), "RGBA"), (127, 127, 127)),
        (constant((0, 255, 255, 0), "CMYK"), (255, 0, 0)),
        (constant(1, "1"), (255, 255, 255)),
        (constant((10, 20, 30), "RGB").quantize(4), (10, 20, 30)),
        (Image.fromarray(np.full((30, 40), 257 * 100, np.uint16)), (100, 100, 100)),
        (Image.fromarray(np.full((30, 40), 65535, np.int32)), (255, 255, 255)),
        (np.full((30, 40), 100, np.uint8), (100, 100, 100)),
        (np.full((30, 40, 4), (10, 20, 30, 255), np.uint8), (10, 20, 30)),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_modes(picture, colour):
    view = PREPARE.view(picture)
    assert view.shape == (224, 224, 3)
    assert view.dtype == np.uint8
    assert (view == colour).all()


def test_a_palette_with_a_transparent_entry():
    picture = Image.new("P", (30, 30), 1)
    picture.putpalette([0, 0, 0, 9, 9, 9])
    picture.info["transparency"] = 1
    assert (PREPARE.view(picture) == 255).all()


def test_sixteen_bits_from_a_file_are_scaled():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(256, 0)
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "PNG")
    view = PREPARE.view(Image.open(file))
    np.testing.assert_array_equal(view[0, :, 0], np.arange(16, 240))


def test_exif_turns_the_picture():
    pixels = noise(224, 300)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    np.testing.assert_array_equal(PREPARE.view(Image.open(file)), PREPARE.view(np.rot90(pixels, -1)))


def test_the_picture_is_left_as_it_was():
    picture = Image.fromarray(noise(50, 60, 4))
    before = np.array(picture)
    PREPARE(picture)
    assert picture.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(picture), before)


@pytest.mark.parametrize(
    ("picture", "error", "words"),
    [
        (np.zeros((8, 8, 3), np.float32), TypeError, "uint8 array with values 0 to 255, got float32"),
        (np.zeros((8, 8, 3), np.int64), TypeError, "got int64"),
        (np.zeros((1, 8, 8, 3), np.uint8), ValueError, r"got shape \(1, 8, 8, 3\)"),
        (np.zeros((3, 8, 8), np.uint8), ValueError, r"got shape \(3, 8, 8\)"),
        (np.zeros((8, 0, 3), np.uint8), ValueError, r"got shape \(8, 0, 3\)"),
        (np.zeros(8, np.uint8), ValueError, r"got shape \(8,\)"),
        ("cat.jpg", TypeError, r"PIL.Image.open reads a file\), got str"),
        (None, TypeError, "got NoneType"),
        (Image.new("RGB", (0, 5)), ValueError, "empty: 0x5"),
        (Image.new("RGB", (9000, 1)), ValueError, "too long for its width: 9000x1 would be .* 2304000x256"),
        (Image.new("F", (5, 5)), ValueError, "mode 'F'"),
        (Image.fromarray(np.full((5, 5), 70000, np.int32)), ValueError, "70000"),
    ],
)
def test_errors(picture, error, words, unchecked):
    with pytest.raises(error, match=words):
        PREPARE(picture)
