"""Names of classes: those that are built in, those in files, and targets given by name."""

import json

import pytest

from jaxcam.files._labels import labels_for, parse_targets

ANIMALS = ["cat", "dog", "red fox"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("plain.txt", "cat\ndog\nred fox\n"),
        ("marked.txt", "\ufeffcat\r\ndog\r\nred fox"),
        ("tabs.tsv", "0\tn1\tcat\n2\tn3\tred fox\n1\tn2\tdog\n"),
        ("list.json", json.dumps(ANIMALS)),
        ("dict.json", json.dumps({"2": "red fox", "0": "cat", "1": "dog"})),
        ("keras.json", json.dumps({"0": ["n1", "cat"], "1": ["n2", "dog"], "2": ["n3", "red fox"]})),
        ("json_in.txt", json.dumps(ANIMALS)),
    ],
)
def test_files_of_every_form(tmp_path, file, text):
    (tmp_path / file).write_text(text, encoding="utf-8")
    labels = labels_for("any", 3, path=tmp_path / file)
    assert labels.names == ANIMALS
    assert labels.index(" RED fox") == 2


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("few.txt", "cat\ndog\n", "few.txt names 2 classes, the model has 3"),
        ("gap.tsv", "0\tcat\n1\tdog\n3\tfox\n", "numbered from 0 to 2, each once"),
        ("twice.tsv", "0\tcat\n1\tdog\n1\tfox\n", "numbered from 0 to 2, each once"),
        ("broken.json", "[1, 2", "broken.json is not a file of class names"),
        ("number.json", "[1, 2, 3]", "class 0 of the JSON has no name: 1"),
        ("word.json", '"cat"', "a list, or a dict from index to name"),
    ],
)
def test_files_that_name_no_classes(tmp_path, file, text, message):
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=message):
        labels_for("any", 3, path=tmp_path / file)


def test_a_picture_is_not_a_file_of_names(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match=r"x\.txt is not a file of class names"):
        labels_for("any", 3, path=tmp_path / "x.txt")


def test_imagenets_names_are_built_in():
    labels = labels_for("any", 1000)
    assert len(labels.names) == 1000
    assert [labels.names[index] for index in (0, 277, 999)] == ["tench", "red fox", "toilet tissue"]
    assert labels.index("Red Fox") == labels.index("n02119022") == 277
    with pytest.raises(ValueError, match="'crane' names the classes 134 and 517: give the number"):
        labels.index("crane")
    with pytest.raises(ValueError, match="no class 'red focks'; did you mean 'red fox'"):
        labels.index("red focks")


def test_ten_classes_are_cifars_only_for_its_models():
    assert labels_for("cifar_resnet20", 10).names[3] == "cat"
    labels = labels_for("resnet18", 10)
    assert labels.names[3] == "class 3"
    with pytest.raises(
        ValueError, match="no class names are known for this model; give its number, 0 to 9, or"
    ):
        labels.index("cat")


def test_any_part_of_a_name_is_enough(tmp_path):
    (tmp_path / "names.txt").write_text("tench, Tinca tinca\nred fox, Vulpes vulpes\n")
    labels = labels_for("any", 2, path=tmp_path / "names.txt")
    assert (
        labels.index("vulpes vulpes")
        == labels.index("red fox")
        == labels.index("red fox, Vulpes vulpes")
        == 1
    )


def test_targets():
    labels = labels_for("cifar_resnet20", 10)
    assert parse_targets([], labels).k == 1
    assert parse_targets(["top-3"], labels).k == parse_targets(["TOP3"], labels).k == 3
    assert parse_targets(["cat", "9", "3", "Truck"], labels) == [3, 9]
