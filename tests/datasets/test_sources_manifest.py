"""Tables of pictures: what their columns mean, and what is said of a row that is not right."""

import json
from pathlib import Path

import numpy as np
import pytest
from dataset_files import names, picture, pixels, reason, save

from jaxcam import datasets

ROWS = [
    {"path": "a/1.png", "target": 5, "boxes": [[1, 2, 3, 4], [0.5, 0, 9, 9]]},
    {"path": "a/2.png", "target": None, "boxes": None},
    {"path": "b, c.png", "target": 0, "boxes": [[0, 0, 1, 1]]},
]


@pytest.fixture
def folder(tmp_path) -> Path:
    for seed, row in enumerate(ROWS):
        save(tmp_path / row["path"], seed)
    return tmp_path


def text(value) -> str:
    return "" if value is None else str(value)


def write(path: Path, rows: list[dict]) -> Path:
    """The rows in the format that the ending names."""
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    elif path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        between = {".csv": ",", ".tsv": "\t"}[path.suffix]
        lines = [between.join(rows[0])]
        lines += [
            between.join('"' + text(each).replace('"', '""') + '"' for each in row.values()) for row in rows
        ]
        path.write_text("\n".join(lines), encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_paths_targets_and_boxes(folder, ending):
    source = datasets.open(write(folder / f"rows.{ending}", ROWS))
    assert names(source) == ["a/1.png", "a/2.png", "b, c.png"]
    assert [each.label for each in source] == [5, None, 0]
    assert [each.boxes for each in source] == [((1, 2, 3, 4), (0.5, 0, 9, 9)), (), ((0, 0, 1, 1),)]
    for seed, record in enumerate(source):
        np.testing.assert_array_equal(pixels(record), np.asarray(picture(seed)))
    assert (source.kind, source.classes) == ("manifest", None)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_other_names_of_columns_and_columns_of_no_meaning(folder, ending):
    rows = [{"Image": row["path"], "seen": "x", "class": "fox" if n else "cat"} for n, row in enumerate(ROWS)]
    source = datasets.open(write(folder / f"rows.{ending}", rows))
    assert names(source) == ["a/1.png", "a/2.png", "b, c.png"]
    assert [each.label for each in source] == [0, 1, 1]
    assert source.classes == ("cat", "fox")


def rows(*targets) -> list[dict]:
    return [{"path": "a/1.png", "target": each} for each in targets]


def test_names_are_numbered_by_what_is_given(folder):
    path = write(folder / "rows.csv", rows("fox", 0, "Cat", ""))
    source = datasets.open(path, classes=["dog", "cat", "fox"])
    assert [each.label for each in source] == [2, 0, 1, None]
    assert source.classes == ("dog", "cat", "fox")
    synsets = datasets.open(write(folder / "synsets.csv", rows("n02119022", "n01440764")))
    assert [each.label for each in synsets] == [277, 0]


def test_absolute_paths_and_one_box_alone(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("elsewhere") / "rows.csv"
    path.write_text(f'path,boxes\n{folder / "a/1.png"},"[0, 1, 2, 3]"\n')
    (record,) = list(datasets.open(path))
    assert record.boxes == ((0, 1, 2, 3),)
    assert record.path == str(folder / "a/1.png")


def test_bad_files_are_bad_records(folder):
    (folder / "folder.jpg").mkdir()
    (folder / "short.png").write_bytes((folder / "a/1.png").read_bytes()[:60])
    paths = ["a/1.png", "gone.png", "folder.jpg", "short.png"]
    source = datasets.open(write(folder / "rows.csv", [{"path": each} for each in paths]))
    found = [reason(source, i) for i in range(4)]
    assert found[:3] == ["", "no such file", "is a folder"]
    assert found[3]


def test_whole_numbers_as_floats(folder):
    """As pandas writes a column of classes with gaps."""
    source = datasets.open(write(folder / "rows.parquet", rows(5.0, None)))
    assert [each.label for each in source] == [5, None]


def test_the_fingerprint_tells_other_rows(folder):
    def of(*targets):
        return datasets.open(write(folder / "rows.jsonl", rows(*targets))).fingerprint()

    assert of(1, 2) == of(1, 2)
    assert len({of(1, 2), of(2, 1), of(1, 2, 3)}) == 3
    before = of(1)
    (folder / "a/1.png").write_bytes(b"shorter")
    assert of(1) != before


HEADED = "path,target,boxes\na/1.png,1,\n"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("r.csv", HEADED + "a/2.png,1\n", r"line 3: 3 columns are named, the row has 2: \['a/2.png', '1'\]"),
        ("r.csv", HEADED + ",7,\n", "line 3: a path is text; got None"),
        ("r.csv", HEADED + "a/2.png,-3,\n", "line 3: a class is 0 or more, or -1 for none; got -3"),
        ("r.csv", HEADED + "a/2.png,fox,\n", "line 2: target 1 is a number, where other rows have names"),
        ("r.csv", HEADED + "a/2.png,1,oops\n", r"line 3: boxes are JSON such as \[\[x0, .*; got 'oops'"),
        ("r.csv", HEADED + 'a/2.png,1,"[[1, 2, 3]]"\n', r"line 3: a box is .*; got \[1, 2, 3\]"),
        (
            "r.csv",
            HEADED + 'a/2.png,1,"[5, 5, 2, 9]"\n',
            r"line 3: a box is .* x0 < x1 .*; got \[5.0, 5.0, 2.0",
        ),
        (
            "r.csv",
            HEADED + 'a/2.png,1,"{""x"": 1}"\n',
            "line 3: boxes are rows of x0, y0, x1, y1; got {'x': 1}",
        ),
        ("r.csv", HEADED + 'a/2.png,1,"open\n', "line 3: unexpected end of data"),
        ("r.csv", "pth,target\na/1.png,1\n", "no column 'path'; did you mean 'pth'"),
        ("r.csv", "", "no column 'path'"),
        ("r.csv", "path\n", "r.csv has no row"),
        ("r.csv", b"path\n\xff\xfe\n", "line [01]: .*can't decode byte 0xff"),
        ("r.csv", "path\nb/1.png\nb/2.png\n", "no such file: '.*b/1.png', nor any other of the first"),
        ("r.jsonl", '{"path": "a/1.png"}\n{"path": "a/2.png"', "line 2 is not JSON: "),
        (
            "r.jsonl",
            '{"path": "a/1.png"}\n["a/2.png"]\n',
            r"line 2 is not an object with 'path': '\[\"a/2.png\"\]'",
        ),
        ("r.jsonl", '{"pat": "a/1.png"}\n', "line 1: no key 'path'; did you mean 'pat'"),
        ("r.jsonl", '{"path": 3}\n', "line 1: a path is text; got 3"),
        ("r.jsonl", '{"path": ""}\n', "line 1: a path is text; got ''"),
        (
            "r.jsonl",
            '{"path": "a/1.png", "target": true}\n',
            "line 1: a class must be a whole number; got True",
        ),
        (
            "r.jsonl",
            '{"path": "a/1.png", "target": 1.5}\n',
            "line 1: a class must be a whole number; got 1.5",
        ),
        ("r.jsonl", b"\xff", "is not JSON: .*can't decode"),
        ("r.parquet", b"PAR2", "is not a Parquet file"),
    ],
)
def test_mistakes_name_the_line_and_the_value(folder, name, content, words):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=words) as caught:
        datasets.open(path)
    assert str(path) in str(caught.value)


def test_a_class_that_is_not_there(folder):
    path = write(folder / "rows.csv", rows("cat", "fx"))
    with pytest.raises(ValueError, match=r"rows.csv: line 3: no class 'fx'; did you mean 'fox'"):
        datasets.open(path, classes=["cat", "fox"])


def test_a_row_of_parquet_is_named_by_its_number(folder):
    path = write(folder / "rows.parquet", [*rows(1), {"path": "a/2.png", "target": -7}])
    with pytest.raises(ValueError, match=r"row 2: a class is 0 or more, or -1 for none; got -7"):
        datasets.open(path)
    with pytest.raises(ValueError, match=r"no column 'path'"):
        datasets.open(write(folder / "other.parquet", [{"x": 1}]))


def test_parquet_without_pyarrow(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (folder / "rows.parquet").write_bytes(b"")
    with pytest.raises(ImportError, match=r"pyarrow: pip install 'jaxcam\[data\]'"):
        datasets.open(folder / "rows.parquet")


LONG = "x" * 9000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", HEADED + "a/2.png" + ",1" * 9000 + "\n"),
        ("r.csv", HEADED + f"a/2.png,1,{LONG}\n"),
        ("r.csv", f"{LONG},target\na/1.png,1\n"),
        ("r.jsonl", json.dumps({"path": [1] * 9000})),
        ("r.jsonl", json.dumps({"path": "a/1.png", "target": [1] * 9000})),
        ("r.jsonl", json.dumps({"path": "a/1.png", "boxes": [LONG]})),
        ("r.jsonl", json.dumps({"path": "a/1.png", "boxes": {"x": LONG}})),
    ],
)
def test_values_of_any_length_are_cut_in_errors(folder, name, content):
    path = folder / name
    path.write_text(content)
    with pytest.raises(ValueError, match=r"\.\.\. \(\d+ characters\)|did you mean|There are") as caught:
        datasets.open(path)
    assert len(str(caught.value)) < 1000
