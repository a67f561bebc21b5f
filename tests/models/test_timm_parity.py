"""timm itself: logits and pixels of tags of every family are the same (`benchmarks/tags.py` has more)."""

import numpy as np
import pytest
import synthetic
import timm_tags
from PIL import Image
from timm_tags import CASES

import converters
from jaxcam.models._timm import table

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("exact")]


@pytest.mark.parametrize("case", [each for each in CASES if each.quick], ids=lambda case: case.tag)
def test_logits(case):
    error, difference = timm_tags.error(case)
    assert difference > 1e-3  # the pictures can be told apart
    assert error <= 1e-4


def test_enough_tags_and_families():
    quick = [each for each in CASES if each.quick]
    assert len({each.tag for each in quick}) >= 30
    assert len({each.family for each in quick}) >= 10


# bicubic; a larger crop; mean and deviation 0.5; CLIP's; both sides resized; PIL's bilinear and a full crop
PICTURES = (
    "resnet50.a1_in1k",
    "resnet18.tv_in1k",
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "vit_small_patch14_dinov2.lvd142m",
    "vit_base_patch16_clip_quickgelu_224.openai",
    "vit_base_patch16_siglip_gap_224.v2_webli",
    "convnext_tiny.in12k_ft_in1k_384",
    "tf_efficientnetv2_b0.in1k",
    "deit3_small_patch16_384.fb_in22k_ft_in1k",
    "inception_v3.tf_in1k",
)


@pytest.mark.parametrize("tag", PICTURES)
def test_pixels(tag, tmp_path):
    """The preprocessed picture is what timm's own transform of that tag makes of it."""
    timm = timm_tags.load()
    timm_tags.write_config(tag, tmp_path)
    ours = converters.preprocess(tag.partition(".")[0], tmp_path)
    config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(tag).to_dict())
    theirs = timm.data.create_transform(**config, is_training=False)
    for size in ((331, 500), (640, 417), (90, 120)):
        noise = synthetic.image(*size)[0]
        picture = Image.fromarray((40 * noise + 128).clip(0, 255).astype(np.uint8))
        expected = theirs(picture).numpy().transpose(1, 2, 0)
        np.testing.assert_allclose(ours(picture), expected, rtol=0, atol=1e-6)


def test_the_table_is_timms():
    """What `tests/models/make_timm.py` writes down of timm's functions now is what the table has."""
    import make_timm

    timm_tags.load()
    rows = make_timm.rows()
    assert {name: rows.get(name) for name in table()} == table()
