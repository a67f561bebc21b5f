"""Manifests, files of boxes and files of targets take the same words, and say the same ones."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from jaxcam import datasets
from jaxcam.cli import main
from jaxcam.cli.evaluate._annotations import class_keys, read_boxes, read_targets
from jaxcam.datasets.sources._manifest import Manifest
from jaxcam.files._fields import PATHS, TARGET, TARGETS, or_else

ROOT = Path(__file__).parents[2]
BOX = [1, 2, 3, 4]


def write(path: Path, rows: list[dict], *, lines: bool = False) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows))
    return path


@pytest.mark.parametrize("picture", PATHS)
@pytest.mark.parametrize("target", TARGETS)
def test_every_word_is_read_everywhere(tmp_path, picture, target):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    row = {picture: "a.png", target: 3, "boxes": [BOX]}
    boxes = write(tmp_path / "boxes.json", [row])
    assert read_boxes(boxes) == {"a.png": [(3, [BOX])]}
    assert class_keys(boxes) == [target]
    assert read_targets(write(tmp_path / "targets.json", [row])) == {"a.png": 3}
    (tmp_path / "targets.csv").write_text(f"{picture},{target}\na.png,3\n")
    assert read_targets(tmp_path / "targets.csv") == {"a.png": "3"}
    (record,) = datasets.open(write(tmp_path / "a.jsonl", [row], lines=True))
    known = target in TARGET  # a list of classes, as `imagenet` has it, is not a class
    assert (record.path, record.label, record.boxes) == ("a.png", 3 if known else None, (tuple(BOX),))


@pytest.mark.parametrize(
    ("rows", "names"),
    [([{"target": 3, "boxes": [BOX]}], PATHS), ([{"path": "a.png", "boxes": [BOX]}], TARGETS)],
)
def test_errors_name_the_words_that_are_read(tmp_path, rows, names):
    paths = {
        read_targets: write(tmp_path / "t.json", rows),
        **({read_boxes: write(tmp_path / "b.json", rows)} if names is PATHS else {}),
        **({datasets.open: write(tmp_path / "m.jsonl", rows, lines=True)} if names is PATHS else {}),
    }
    for read, path in paths.items():
        with pytest.raises(ValueError, match=rf"no key '{names[0]}'") as caught:
            read(path)
        told = str(caught.value).partition("; one of ")[2]
        assert re.findall(r"\w+", told.removesuffix(" is needed").replace(" or ", " ")) == list(names)


def test_documents_name_the_words_that_are_read():
    pages = {name: (ROOT / name).read_text() for name in ("README.md", "docs/datasets.md")}
    texts = [
        (CliRunner().invoke(main, ["evaluate", "--help"]).output, (PATHS, TARGETS)),
        (read_boxes.__doc__, (PATHS, TARGETS)),
        (read_targets.__doc__, (PATHS, TARGETS)),
        (Manifest.__doc__, (PATHS, TARGET)),
        (pages["docs/datasets.md"], (PATHS, TARGET)),
        (pages["README.md"], (TARGETS,)),
    ]
    for text, told in texts:
        for names in told:
            assert _plain(or_else(names)) in _plain(text)


def _plain(text: str | None) -> str:
    """One line, without marks and brackets."""
    return " ".join(re.sub(r"[`()]", "", text or "").split())
