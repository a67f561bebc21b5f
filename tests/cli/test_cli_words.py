"""What a name that does not exist is answered with: the nearest, or those that hold it."""

import pytest

from jaxcam._errors import unknown
from jaxcam.cli._arguments import parse_options
from jaxcam.files._labels import labels_for, parse_targets
from jaxcam.methods import METHODS
from jaxcam.targets._several import top

PAPERS = {
    "gradcam++": "gradcampp",
    "grad-cam++": "gradcampp",
    "GradCAMPlusPlus": "gradcampp",
    "Grad-CAM": "gradcam",
    "Layer-CAM": "layercam",
    "Score CAM": "scorecam",
    "Eigen_CAM": "eigencam",
}


@pytest.mark.parametrize("name", PAPERS)
def test_a_method_as_papers_spell_it(name):
    assert f"did you mean {PAPERS[name]!r}?" in unknown("method", name, METHODS)


def test_a_platform_by_its_makers_name():
    assert "did you mean 'cuda'?" in unknown("platform", "gpu", ("cpu", "cuda", "rocm", "tpu"))
    assert "did you mean" not in unknown("method", "gpu", ("cam", "gradcam"))


def test_a_word_of_several_classes_lists_them():
    labels = labels_for("resnet18", 1000)
    with pytest.raises(
        ValueError, match=r"^no class 'dog'; these hold it: Maltese dog \(153\), Greater Swiss"
    ):
        parse_targets(["dog"], labels)
    with pytest.raises(
        ValueError, match=r"grey fox \(280\), fox squirrel \(335\), English foxhound \(167\)$"
    ):
        parse_targets(["Fox"], labels)
    with pytest.raises(ValueError, match=r"^no class 'zzz'; did you mean 'pizza'\?"):
        parse_targets(["zzz"], labels)
    with pytest.raises(ValueError, match="no class ''"):
        parse_targets([""], labels)


@pytest.mark.parametrize("text", ["top", "top-3x", "top--3", "top-"])
def test_what_is_almost_top_k(text):
    with pytest.raises(ValueError, match="a class by number or name, or top-1 to top-1000, such as top-3"):
        parse_targets([text], labels_for("resnet18", 1000))


def test_targets_in_words():
    labels = labels_for("resnet18", 1000)
    assert parse_targets(["predicted"], labels) == parse_targets([], labels) == top(1)
    assert parse_targets(["top-3"], labels) == parse_targets(["TOP_3"], labels) == top(3)


def test_options_are_given_alike_everywhere():
    methods = {name: METHODS[name] for name in ("gradcam", "hirescam", "clustercam")}
    general = parse_options(methods, ["fuse=principal_component", "clustercam.clusters=3"])
    assert [sorted(general[name]) for name in methods] == [["fuse"], ["fuse"], ["clusters", "fuse"]]
    assert parse_options({"clustercam": METHODS["clustercam"]}, ["clusters=3"]) == {
        "clustercam": {"clusters": 3}
    }
    with pytest.raises(ValueError, match="option 'fuse' of hirescam is given twice"):
        parse_options(methods, ["fuse=channel_sum", "hirescam.fuse=channel_sum"])
    with pytest.raises(
        ValueError, match=r"none of the methods has it: no option 'cluster'; did you mean 'clusters'"
    ):
        parse_options(methods, ["cluster=3"])
