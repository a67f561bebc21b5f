"""A wrong argument: exit code 2, one line that names it and what is allowed, and nothing written."""

import os
import zipfile

import pytest

MISTAKES = {
    "model": (["--model", "cifar_resnet21"], "no model 'cifar_resnet21'; did you mean 'cifar_resnet"),
    "method": (
        ["--method", "gradcamm"],
        "no method 'gradcamm'; did you mean 'gradcam'? There are: gradcam, ",
    ),
    "layer": (["--layer", "layer5"], "no layer 'layer5'; did you mean 'layer"),
    "layer without positions": (["--layer", "linear"], "layer 'linear' returns shape (1, 10)"),
    "class number": (["--target", "10"], "no class 10: the model has 10 classes, 0 to 9"),
    "negative class": (["--target", "-1"], "no class -1: the model has 10 classes, 0 to 9"),
    "class name": (["--target", "trunk"], "no class 'trunk'; did you mean 'truck'?"),
    "top-0": (["--target", "top-0"], "no target top-0: with 10 classes, top-1 to top-10"),
    "top-11": (["--target", "top-11"], "no target top-11: with 10 classes, top-1 to top-10"),
    "top and class": (["--target", "top-2", "--target", "3"], "target top-2 stands alone"),
    "option": (["--option", "fues=channel_sum"], "no option 'fues'; did you mean 'fuse'?"),
    "option's form": (["--option", "fuse"], "an option is given as NAME=VALUE or METHOD.NAME=VALUE"),
    "option of another method": (["--option", "hirescam.fuse=channel_sum"], "no method 'hirescam'"),
    "option twice": (
        ["--option", "fuse=channel_sum", "--option", "gradcam.fuse=channel_sum"],
        "is given twice",
    ),
    "method twice": (["--method", "cam", "--method", "gradcam"], "--method is given 2 times"),
    "layer twice": (["--layer", "layer1", "--layer", "layer2"], "--layer is given 2 times"),
    "crop and squeeze": (["--crop", "--squeeze"], "--crop/--squeeze is given 2 times"),
    "method as in papers": (["--method", "Grad-CAM++"], "no method 'Grad-CAM++'; did you mean 'gradcampp'?"),
    "empty layer": (["--layer", ""], "the layer is empty: name one, such as layer3, or leave out --layer"),
    "no top": (["--target", "top"], "no target 'top': a class by number or name, or top-1 to top-10"),
    "option's value": (
        ["--option", "fuse=channel_sun"],
        "no fuse 'channel_sun'; did you mean 'channel_sum'?",
    ),
    "colour map": (["--colormap", "turob"], "no colour map 'turob'; did you mean 'turbo'?"),
    "alpha": (["--alpha", "1.5"], "'--alpha': 1.5 is not in the range"),
    "batch": (["--batch", "0"], "'--batch': 0 is not in the range"),
    "dtype": (["--dtype", "float8"], "'float8' is not one of 'float32', 'bfloat16'"),
    "raw and size": (["--raw", "--size", "image"], "--raw maps have the layer's size"),
    "labels": (["--labels", "no-such-file.txt"], "no-such-file.txt"),
    "weights": (["--weights", "no-such-file.pth"], "no checkpoint at"),
    "lower case": (
        ["--weights", "default"],
        "no file 'default'; the published checkpoint is called 'DEFAULT'",
    ),
    "address of weights": (
        ["--weights", "https://a.org/b.pth"],
        "'https://a.org/b.pth' is a URL: files are read",
    ),
    "no weights": (["--weights", ""], "--weights is empty"),
    "picture on the web": (["https://a.org/b.png"], "PICTURES 'https://a.org/b.png' is a URL"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_told_in_a_line(explain, folder, unchecked, case):
    arguments, message = MISTAKES[case]
    result = explain(folder, *arguments)
    assert result.code == 2
    assert result.crashed is None
    last = result.error.rstrip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert not result.out.exists()


def test_an_explainer_is_not_a_checkpoint(explain, folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.jaxcam", "w") as file:
        for name in ("meta.json", "program.bin", "weights.safetensors"):
            file.writestr(name, "{}")
    result = explain(folder, "--weights", tmp_path / "a.jaxcam")
    assert result.code == 2
    assert "not a checkpoint, but an explainer that jaxcam.export wrote" in result.error


def test_weights_of_another_architecture(explain, folder):
    result = explain(folder, "--model", "cifar_resnet32")
    assert result.code == 2
    (line,) = result.error.splitlines()
    assert "missing: layer1.3" in line
    assert "cifar_resnet20" in line.split("missing")[1]


def test_what_is_not_a_checkpoint(explain, folder):
    result = explain(folder, "--weights", folder / "a.png")
    assert result.code == 2
    assert "a.png: not a checkpoint" in result.error


def test_pictures_that_are_not_there(explain, tmp_path, folder):
    result = explain(tmp_path / "picture")
    assert result.code == 2
    assert f"no file or folder '{tmp_path}/picture'; did you mean 'pictures'?" in result.error
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    result = explain(folder, tmp_path / "empty")
    assert result.code == 2
    assert f"no picture below the folder '{tmp_path}/empty': looked for .jpg, " in result.error
    assert explain().code == 2


def test_output_folder_in_use(explain, folder, tmp_path):
    out = tmp_path / "out"
    assert explain(folder / "a.png", out=out).code == 0
    result = explain(folder / "a.png", out=out)
    assert result.code == 2
    assert "is not empty: choose another, or pass --overwrite" in result.error
    before = (out / "a.npy").read_bytes()
    result = explain(folder / "a.png", "--raw", "--overwrite", out=out)
    assert result.code == 0
    assert (out / "a.npy").read_bytes() != before


def test_output_folder_with_the_pictures(explain, folder, tmp_path):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    for out in (folder, tmp_path):
        result = explain(folder, "--overwrite", out=out)
        assert result.code == 2
        assert "holds a picture to explain: 'a.png'" in result.error
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_output_folder_that_cannot_be_written(explain, folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        result = explain(folder, out=out)
        assert result.code == 2
        assert f"'{tmp_path}/file' is not a folder" in result.error
    # permissions do not stop root, who may run this
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    result = explain(folder, out=tmp_path / "locked")
    assert result.code == 2
    assert f"cannot write to '{tmp_path}/locked': no permission in '{tmp_path}'" in result.error
