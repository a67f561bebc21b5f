"""A folder tree as a data set: which pictures, in which order, of which class."""

import hashlib
import os

import numpy as np
import pytest
from dataset_files import encoded, names, picture, pixels, save

from jaxcam import datasets
from jaxcam.files._pictures import find


def test_a_record_is_the_picture_its_path_and_its_digest(tmp_path):
    save(tmp_path / "a" / "one.png", 3)
    source = datasets.open(tmp_path)
    (record,) = list(source)
    np.testing.assert_array_equal(pixels(record), np.asarray(picture(3)))
    assert record.picture.mode == "RGB"
    assert record.path == source.name(0) == "a/one.png"
    assert record.digest == hashlib.sha256(encoded(3)).digest()
    assert (record.label, record.boxes) == (None, ())
    assert (source.kind, source.location, source.classes) == ("folder", str(tmp_path), None)


def test_the_order_is_natural_and_hidden_files_are_left_out(tmp_path):
    for name in ("x/10.png", "x/9.png", "x/09.png", "2.png", "11.JPG", ".a.png", ".h/b.png", "notes.txt"):
        save(tmp_path / name)
    assert names(datasets.open(tmp_path)) == ["2.png", "11.JPG", "x/09.png", "x/9.png", "x/10.png"]
    assert names(datasets.open(str(tmp_path), recursive=False)) == ["2.png", "11.JPG"]


def test_digits_of_other_scripts_are_letters(tmp_path):
    for name in ("٣5.png", "a5.png", "5.png"):
        save(tmp_path / name)
    assert names(datasets.open(tmp_path)) == ["5.png", "a5.png", "٣5.png"]


def test_the_order_is_not_the_disks(tmp_path, monkeypatch):
    for number in range(5):
        save(tmp_path / f"{number}.png")
    before, walk = names(datasets.open(tmp_path)), os.walk
    monkeypatch.setattr(
        os, "walk", lambda *args, **options: ((a, b, c[::-1]) for a, b, c in walk(*args, **options))
    )
    assert names(datasets.open(tmp_path)) == before


def test_class_folders_are_numbered_as_image_folder_does(tmp_path):
    for name in ("dog/1.png", "cat/deep/1.png", "10/1.png", "9/1.png"):
        save(tmp_path / name)
    source = datasets.open(tmp_path)
    assert source.classes == ("10", "9", "cat", "dog")
    assert {each.path: each.label for each in source} == {
        "10/1.png": 0,
        "9/1.png": 1,
        "cat/deep/1.png": 2,
        "dog/1.png": 3,
    }


@pytest.mark.parametrize("parent", ["", "val/"])
def test_synsets_are_imagenets_classes(tmp_path, parent):
    for name in ("n02119022/a.png", "n01440764/b.png"):
        save(tmp_path / (parent + name))
    source = datasets.open(tmp_path)
    assert [each.label for each in source] == [0, 277]
    assert len(source.classes) == 1000
    assert (source.classes[0], source.classes[277]) == ("tench", "red fox")


def test_synsets_of_the_larger_imagenet_are_numbered_in_order(tmp_path):
    for name in ("n99999999/a.png", "n01440764/b.png"):
        save(tmp_path / name)
    source = datasets.open(tmp_path)
    assert source.classes == ("n01440764", "n99999999")
    assert [each.label for each in source] == [0, 1]


def test_names_of_classes_number_the_folders(tmp_path):
    save(tmp_path / "dog" / "1.png")
    source = datasets.open(tmp_path, classes=["cat", "Dog", "fox"])
    assert source[0].label == 1
    assert source.classes == ("cat", "Dog", "fox")
    with pytest.raises(ValueError, match=r"no class 'dog'; these hold it: dogs \(1\)"):
        datasets.open(tmp_path, classes=["cats", "dogs"])


def test_pictures_beside_folders_have_no_class(tmp_path):
    for name in ("cat/1.png", "dog/1.png", "0.png"):
        save(tmp_path / name)
    assert datasets.open(tmp_path).classes is None
    with pytest.raises(ValueError, match=r"needs class folders: '0.png' lies in none"):
        datasets.open(tmp_path, classes=["cat", "dog"])


def test_links_are_followed_but_not_in_circles(tmp_path):
    save(tmp_path / "far" / "cat" / "1.png")
    root = tmp_path / "set"
    save(root / "dog" / "1.png")
    (root / "cat").symlink_to(tmp_path / "far" / "cat")
    (root / "dog" / "again").symlink_to(root)
    (root / "dog" / "2.png").symlink_to(tmp_path / "far" / "cat" / "1.png")
    source = datasets.open(root)
    assert names(source) == ["cat/1.png", "dog/1.png", "dog/2.png"]
    assert [each.label for each in source] == [0, 1, 1]


def test_explain_and_run_see_the_same_pictures_in_the_same_order(tmp_path):
    for name in (
        "far/3.png",
        "far/set/1.png",
        "set/10.png",
        "set/9.png",
        "set/dog/2.png",
        "set/.h/1.png",
        "set/x.txt",
    ):
        save(tmp_path / name)
    root = tmp_path / "set"
    (root / "cat").symlink_to(tmp_path / "far")
    (root / "dog" / "again").symlink_to(root)
    (root / "dog" / "1.png").symlink_to(tmp_path / "far" / "3.png")
    there = names(datasets.open(root))
    assert there == ["9.png", "10.png", "cat/3.png", "cat/set/1.png", "dog/1.png", "dog/2.png"]
    found = find([root], out=tmp_path / "out")
    assert [each.path for each in found] == [root / name for name in there]
    assert [f"{each.stem}.png" for each in found] == there


def test_the_output_folder_is_left_out_also_behind_a_link(tmp_path):
    for name in ("set/1.png", "set/out/1.png", "far/out/1.png", "far/2.png"):
        save(tmp_path / name)
    (tmp_path / "set" / "far").symlink_to(tmp_path / "far")
    for out, stems in (("set/out", ["1", "far/2", "far/out/1"]), ("far/out", ["1", "far/2", "out/1"])):
        assert [each.stem for each in find([tmp_path / "set"], out=tmp_path / out)] == stems


def test_a_folder_with_a_pictures_name_is_a_folder(tmp_path):
    save(tmp_path / "odd.jpg" / "a.png")
    save(tmp_path / "b.png")
    assert names(datasets.open(tmp_path)) == ["b.png", "odd.jpg/a.png"]
    assert names(datasets.open(tmp_path, recursive=False)) == ["b.png"]


def test_a_name_that_is_not_text_is_told_in_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.png"
    try:
        with open(path, "wb") as file:
            file.write(encoded(1))
    except OSError:
        pytest.skip("this file system takes only names that are text")
    (record,) = list(datasets.open(tmp_path))
    assert record.path == "�.png"


def test_the_fingerprint_tells_another_data_set(tmp_path):
    for name in ("cat/1.png", "dog/1.png"):
        save(tmp_path / name)
    first = datasets.open(tmp_path).fingerprint()
    assert first == datasets.open(tmp_path).fingerprint()
    assert first != datasets.open(tmp_path, classes=["dog", "cat"]).fingerprint()
    (tmp_path / "cat" / "1.png").write_bytes(b"longer, or shorter")
    second = datasets.open(tmp_path).fingerprint()
    (tmp_path / "cat" / "1.png").rename(tmp_path / "cat" / "2.png")
    assert len({first, second, datasets.open(tmp_path).fingerprint()}) == 3
    assert len(bytes.fromhex(first)) == 32


def test_records_that_do_not_exist(tmp_path):
    save(tmp_path / "1.png")
    source = datasets.open(tmp_path)
    for i in (1, -1):
        with pytest.raises(IndexError, match=rf"no record {i}: there are 1"):
            source[i]


def test_mistakes(tmp_path):
    save(tmp_path / "train" / "1.png")
    (tmp_path / "notes.txt").write_text("")
    cases = {
        "trian": "no file or folder .*; did you mean 'train'",
        "train/1.png": "is one picture: a data set is its folder",
        "notes.txt": "no way to read '.txt'; did you mean '.*'? There are: .csv",
    }
    for name, words in cases.items():
        with pytest.raises(ValueError, match=words):
            datasets.open(tmp_path / name)
    with pytest.raises(ValueError, match=r"no picture in the folder .*: looked for .jpg"):
        datasets.open(tmp_path, recursive=False)
    with pytest.raises(ValueError, match=r"a folder takes no decode=; it takes recursive, classes"):
        datasets.open(tmp_path, decode=bytes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no picture below the folder"):
        datasets.open(tmp_path / "empty")
