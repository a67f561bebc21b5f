"""`jaxcam evaluate`: what it writes is what the library measures, and every mistake is told before work starts."""

import csv
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import converters
import jaxcam
from jaxcam import METHODS, metrics, models
from jaxcam.cli.evaluate import _cost as _evaluate_cost
from jaxcam.cli.evaluate import _measure as _evaluation
from jaxcam.cli.evaluate import _methods as _evaluate_methods
from jaxcam.cli.evaluate._cases import plan
from jaxcam.cli.evaluate._methods import asked_for, dear_of
from jaxcam.cli.evaluate._models import forwards_of
from jaxcam.cli.evaluate._summary import Line
from jaxcam.cli.evaluate._table import _show
from jaxcam.files._labels import CIFAR10, Labels
from jaxcam.metrics._registry import TABLE

MODEL = "cifar_resnet20"
BOXES = {"a": [[4, 4, 30, 20]], "b": [[0, 0, 48, 40]], "c": [[1, 2, 9, 9], [30, 20, 47.5, 40]]}
CLASSES = {"a": 3, "b": 5, "c": 3}


@pytest.fixture
def evaluate(jaxcam_command, weights, tmp_path):
    """Runs `jaxcam evaluate` into a new folder; its tables are at `.pictures`, `.lines` and `.summary`."""
    runs = iter(range(99))

    def run(*arguments, model=("--model", MODEL, "--weights", weights), out=None):
        out = out or tmp_path / f"out{next(runs)}"
        given = ("--out", out, "--batch", 2, "--steps", 4)
        result = jaxcam_command("evaluate", *model, "--method", "gradcam", *arguments, defaults=given)
        result.out = out
        if (out / "summary.json").is_file():
            result.summary = json.loads((out / "summary.json").read_text())
            result.pictures, result.lines = (
                list(csv.DictReader((out / name).read_text(errors="surrogateescape").splitlines()))
                for name in ("pictures.csv", "summary.csv")
            )
        return result

    return run


@pytest.fixture
def boxes(folder, tmp_path):
    """(**changes) -> a boxes file for a, b and c."""

    def write(rows=None):
        rows = rows or [
            {"file": f"pictures/{name}.png", "boxes": BOXES[name], "imagenet": [CLASSES[name]]}
            for name in BOXES
        ]
        path = tmp_path / "boxes.json"
        path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
        return path

    return write


def three(folder):
    return [folder / f"{name}.png" for name in BOXES]


def test_every_metric_has_a_column():
    assert set(TABLE) == {*metrics.METRICS, "insertion_minus_deletion"}


def number(text):
    return float(text) if text else None


def test_values_are_the_librarys(evaluate, folder, boxes, weights):
    result = evaluate(
        *three(folder),
        "--boxes",
        boxes(),
        "--method",
        "hirescam",
        "--option",
        "hirescam.fuse=principal_component",
    )
    assert result.code == 0, (result.crashed, result.text)
    assert result.error == ""  # no bar where nobody looks
    assert sorted(each.name for each in result.out.iterdir()) == [
        "figure.png", "pictures.csv", "summary.csv", "summary.json",
    ]  # fmt: skip

    probe = jaxcam.probe(converters.load(MODEL, weights), "layer3")
    preprocess = models.preprocess(MODEL)
    images = np.stack([preprocess(Image.open(file), crop=False) for file in three(folder)])
    targets = np.array(list(CLASSES.values()))
    moved = [metrics.rescale_boxes(each, (48, 40), size=32) for each in BOXES.values()]
    names = ("average_drop", "average_increase", "insertion", "deletion", "complexity",
             "pointing_game", "energy_pointing_game")  # fmt: skip
    made = {
        "gradcam": jaxcam.explain(probe, images, targets),
        "hirescam": jaxcam.explain(
            probe, images, targets, method="hirescam", fuse=jaxcam.principal_component
        ),
        "centre": metrics.centred_maps(3, (32, 32)),
        "ones": metrics.uniform_maps(3, (32, 32)),
    }
    assert [line["method"] for line in result.lines] == ["gradcam", "hirescam", "random", "centre", "ones"]
    for line in result.lines:
        if line["method"] not in made:
            continue
        expected = metrics.evaluate(
            probe,
            images,
            targets,
            made[line["method"]],
            metrics=names,
            steps=4,
            boxes=moved,
            tolerance=15 / 7,
        )
        rows = [row for row in result.pictures if row["method"] == line["method"]]
        assert [row["target"] for row in rows] == ["3", "5", "3"]
        for name in names:
            values = np.asarray(expected[name], np.float64)
            np.testing.assert_allclose([float(row[name]) for row in rows], values, atol=2e-4)
            if name == "pointing_game":
                assert float(line[name]) == pytest.approx(metrics.mean_over_classes(values, targets))
            else:
                assert float(line[name]) == pytest.approx(values.mean(), abs=2e-4)
                assert float(line[f"{name}_error"]) == pytest.approx(values.std(ddof=1) / 3**0.5, abs=2e-4)
        apart = [float(row["insertion"]) - float(row["deletion"]) for row in rows]
        assert float(line["insertion_minus_deletion"]) == pytest.approx(np.mean(apart))
        known = line["method"] in jaxcam.METHODS
        assert (number(line["milliseconds"]) or 0) > 0 or not known
        assert (line["forwards"] == "") != known
    assert float(result.lines[0]["forwards"]) == pytest.approx(1, abs=0.05)
    # the figure has the methods' rows beside the scatter
    with Image.open(result.out / "figure.png") as figure:
        assert figure.width > 1500


def test_floors_and_road_do_not_depend_on_the_batch(evaluate, folder):
    def rows(*more):
        result = evaluate(*three(folder), "--metric", "average_drop", *more)
        assert result.code == 0, (result.crashed, result.text)
        return {
            (row["picture"], row["method"]): float(row["average_drop"])
            for row in result.pictures
            if row["method"] == "random"
        }

    two, one = rows(), rows("--batch", 1)
    assert two == pytest.approx(one, abs=1e-3)
    assert len({round(value, 3) for value in two.values()}) == 3
    assert rows("--seed", 1) != pytest.approx(two, abs=1e-3)


def test_summary_tells_the_run(evaluate, folder, weights):
    result = evaluate(
        *three(folder), "--layer", "layer2", "--target", "cat", "--no-floors", "--metric", "insertion"
    )
    assert result.code == 0, (result.crashed, result.text)
    run, (model,) = result.summary["run"], result.summary["models"]
    told = {
        "targets": "cat",
        "steps": 4,
        "seed": 0,
        "fit": "crop",
        "metrics": ["insertion"],
        "jax": jax.__version__,
    }
    assert {key: run[key] for key in told} == told
    assert (model["name"], model["layer"], len(model["sha256"])) == (MODEL, "layer2", 64)
    assert {row["target_name"] for row in result.pictures} == {"cat"}
    assert [line["method"] for line in result.summary["results"]] == ["gradcam"]
    assert "deletion" not in result.lines[0]
    assert "3 pictures × 1 model" in result.stdout
    assert "insertion ↑" in result.stdout


def test_several_models_and_metrics_on_request(evaluate, folder, weights, tmp_path):
    again = tmp_path / "again.npz"
    again.write_bytes(weights.read_bytes())
    twice = ("--model", MODEL, "--weights", weights, "--model", MODEL, "--weights", again)
    result = evaluate(folder / "a.png", "--metric", "road", "--metric", "adcc", model=twice)
    assert result.code == 0, (result.crashed, result.text)
    one, other = (
        [row for row in result.lines if row["model"] == f"{MODEL} {stem}"] for stem in ("random", "again")
    )
    assert [row["method"] for row in one] == ["gradcam", "random", "centre", "ones"]
    assert one[1]["adcc"] == ""  # of a method alone: it makes the map again
    assert -50 <= float(one[0]["road"]) <= 50
    assert one[3]["road"] == "0.0"
    assert [{**row, "model": "", "milliseconds": ""} for row in one] == [
        {**row, "model": "", "milliseconds": ""} for row in other
    ]


def test_each_picture_its_own_class(folder, boxes, tmp_path):
    labels = Labels([(name, f"n0000000{number}") for number, name in enumerate(CIFAR10)], 10)

    def classes(*pictures, target=None, target_from=None, boxes=None):
        _, cases = plan(pictures, target=target, target_from=target_from, boxes=boxes)
        return [case.classes for (case,) in cases(labels, 32).values()]

    given = three(folder)
    (tmp_path / "t.csv").write_text("class,picture\n4,a.png\ncat,pictures/b.png\n9,c.png\n2,z.png\n")
    assert classes(*given, target_from=f"{tmp_path}/t.csv") == [(4,), (3,), (9,)]
    (tmp_path / "t.tsv").write_text(f"{folder}/a.png\t4\n{folder}/b.png\tTruck\n{folder}/c.png\t0\n")
    assert classes(*given, target_from=f"{tmp_path}/t.tsv") == [(4,), (9,), (0,)]
    (tmp_path / "t.json").write_text(json.dumps({"a.png": 4, "b.png": "cat", "c.png": [7, 1]}))
    assert classes(*given, target_from=f"{tmp_path}/t.json") == [(4,), (3,), (7, 1)]
    named = [
        Path("0008_x.png"),
        Path("ILSVRC_1_n00000005.png"),
        Path("n00000002/1x.png"),
        Path("n00000002/x.png"),
    ]
    assert classes(*named, target_from="name") == [(8,), (5,), (1,), (2,)]
    assert classes(*given, target="Cat") == [(3,)] * 3
    assert classes(*given) == classes(*given, target="top-1") == [()] * 3
    assert classes(*given, target="predicted") == classes(*given, target_from="predicted") == [()] * 3
    for label in ({"target": "label"}, {"target_from": "label"}):  # the word of `jaxcam run`
        assert classes(*named, **label) == [(8,), (5,), (1,), (2,)]
        assert classes(*given, **label, boxes=boxes()) == [(3,), (5,), (3,)]
    assert classes(*given, target="label", target_from=f"{tmp_path}/t.csv") == [(4,), (3,), (9,)]
    assert classes(*given, boxes=boxes()) == [(3,), (5,), (3,)]
    assert classes(*given, boxes=boxes(), target="1") == [(1,)] * 3
    for wrong, message in {
        "x.png": "x.png: the name begins with no class number",
        "12.png": "12.png: no class 12: the model has 10 classes",
        "n00000123.png": "n00000123.png: no class 'n00000123'",
    }.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            classes(Path(wrong), target_from="name")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "t.csv",
            "a.png,1,2\n",
            "t.csv: a row needs 2 columns, a picture and a class among them; got ['a.png', ",
        ),
        ("t.csv", "a.png,3\nb.png\n", "among them; got ['b.png']"),
        ("t.csv", "", "t.csv: a row needs 2 columns"),
        ("t.csv", "a.png,3\na.png,3\n", "has two rows for 'a.png'"),
        ("t.json", '{"a.png": 1.5}', "a.png: a class is a number or a name; got 1.5"),
        ("t.json", '{"a.png": []}', "a.png: its list of classes is empty"),
        ("t.json", '[{"file": "a.png"}]', "row 1: no key 'target'"),
        ("t.json", "[1]", "is not a list of rows"),
    ],
)
def test_files_of_classes_that_are_none(folder, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    labels = Labels([(each,) for each in CIFAR10], 10)
    with pytest.raises(ValueError, match=re.escape(message)):
        plan([folder / "a.png"], target=None, target_from=f"{tmp_path}/{name}", boxes=None)[1](labels, 32)


def test_objects_of_several_classes_are_cases_of_their_own(evaluate, folder, boxes):
    objects = [
        {"box": [0, 0, 10, 10], "imagenet": [1, 2]},
        {"box": [20, 0, 48, 40], "imagenet": []},
        {"box": [5, 5, 20, 20], "imagenet": [1, 2]},
        {"box": [20, 20, 30, 30], "imagenet": [7]},
    ]
    path = boxes([{"file": "a.png", "objects": objects}])
    result = evaluate(folder / "a.png", "--boxes", path, "--metric", "energy_pointing_game")
    assert result.code == 0, (result.crashed, result.text)
    ones = [row for row in result.pictures if row["method"] == "ones"]
    assert len(ones) == 2
    assert ones[0]["target"] in ("1", "2")
    assert ones[1]["target"] == "7"
    # 48 x 40 pixels become 32 x 32: columns and rows that a box touches count
    touched = np.zeros((32, 32))
    for x0, y0, x1, y1 in ([0, 0, 10, 10], [5, 5, 20, 20]):
        touched[int(y0 * 0.8) : int(np.ceil(y1 * 0.8)), int(x0 / 1.5) : int(np.ceil(x1 / 1.5))] = 1
    assert float(ones[0]["energy_pointing_game"]) == pytest.approx(touched.mean(), abs=1e-6)
    result = evaluate(folder / "a.png", "--boxes", path, "--target", "cat")
    assert result.code == 2
    assert "objects of several classes in one picture" in result.error


def test_pictures_that_cannot_be_read_are_skipped(evaluate, folder, boxes):
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:300])
    result = evaluate(*three(folder), "--boxes", boxes(), "--metric", "complexity", "--no-floors")
    assert result.code == 1
    assert [row["picture"].rsplit("/")[-1] for row in result.pictures] == ["a.png", "c.png"]
    assert result.summary["failed"][0]["picture"].endswith("b.png")
    assert "1 of 3 pictures failed" in result.error


def test_maps_that_are_not_finite(evaluate, folder, weights, tmp_path):
    parameters = dict(np.load(weights))
    parameters["linear.weight"] = np.full_like(parameters["linear.weight"], 1e38)  # overflows in the logits
    np.savez(tmp_path / "vast.npz", **parameters)
    result = evaluate(folder / "a.png", model=("--model", MODEL, "--weights", tmp_path / "vast.npz"))
    assert result.code == 1, (result.crashed, result.text)
    assert "a.png: cifar_resnet20 gradcam: the model's output or the map is not finite" in result.error
    gradcam = result.lines[0]
    assert (gradcam["maps"], gradcam["insertion"]) == ("0", "")
    assert result.pictures[0]["insertion"] == ""


def test_methods_that_a_model_cannot_have_are_left_out(evaluate, folder, monkeypatch):
    """The layer's 16 channels are not those that the last layer weighs: no CAM."""
    given = (folder / "a.png", "--layer", "layer1", "--metric", "complexity", "--no-floors", "--method")
    monkeypatch.setattr(_evaluate_methods, "ALL", ("cam", "gradcam"))
    result = evaluate(*given, "all")
    assert result.code == 0, result.text
    assert "cam does not run on cifar_resnet20: " in result.stdout
    assert [line["method"] for line in result.lines] == ["gradcam"]
    told(evaluate(*given, "cam"), "cam does not run on cifar_resnet20: ")


def test_a_transform_is_measured_and_named_by_its_text(evaluate, folder, weights):
    name = "smoothed(gradcam, samples=2)"
    spelled = ("--method", "smoothed( gradcam,samples = 2 )", "--option", f"{name}.fuse=principal_component")
    result = evaluate(folder / "a.png", folder / "b.png", "--metric", "complexity", "--no-floors", *spelled)
    assert result.code == 0, (result.crashed, result.text)
    assert [(line["method"], line["maps"]) for line in result.lines] == [("gradcam", "2"), (name, "2")]
    assert float(result.lines[1]["forwards"]) == pytest.approx(2, abs=0.1)
    assert name in result.stdout
    probe, preprocess = jaxcam.probe(converters.load(MODEL, weights), "layer3"), models.preprocess(MODEL)
    images = np.stack([preprocess(Image.open(folder / f"{each}.png")) for each in "ab"])
    smooth = jaxcam.smoothed(jaxcam.gradcam, samples=2)
    maps = jaxcam.explain(probe, images, method=smooth, fuse=jaxcam.principal_component)
    measured = [float(row["complexity"]) for row in result.pictures if row["method"] == name]
    np.testing.assert_allclose(measured, metrics.complexity(maps), atol=1e-4)


def test_methods_are_named_by_groups_too():
    groups = jaxcam.methods.GROUPS
    asked = asked_for(["no-class", "smoothed(gradcam,samples=25)", "smoothed(gradcam)", "cam"])
    assert list(asked.methods) == [*groups["no class"], "smoothed(gradcam)", "cam"]
    assert asked.methods["smoothed(gradcam)"] == jaxcam.smoothed(jaxcam.gradcam)
    assert (asked.named, asked.swept) == ({"smoothed(gradcam)", "cam"}, set())
    assert list(asked_for(["of a base method"]).methods) == ["conceptorcam"]
    every = asked_for(["all", "scorecam"])
    assert list(every.methods) == list(_evaluate_methods.ALL)
    assert every.swept == every.methods.keys() - {"scorecam"}
    fast = asked_for([])
    assert {"gradcam", "eigencam"} < fast.methods.keys() < every.methods.keys() - {"scorecam"}
    assert not fast.named | fast.swept
    costs = {"gradcam": 1.5, "scorecam": 513.0, "abscam": 514.0, "sscam": 17921.0, "iscam": 5121.0}
    assert dear_of(costs, frozenset(costs) - {"iscam"}) == {"sscam": 17921.0}
    for text, message in {
        "heads-onlly": "no method 'heads-onlly'; did you mean 'heads-only'?",
        "smoothed(gradcamm)": "no method 'gradcamm'; did you mean 'gradcam'?",
        "smoothd(gradcam)": "no transform 'smoothd'; did you mean 'smoothed'?",
        "smoothed(gradcam, samples=0)": "samples must be a whole number of at least 1; got 0",
    }.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            asked_for([text])


def test_help_names_every_group(jaxcam_command):
    words = " ".join(jaxcam_command("evaluate", "--help").stdout.split()).replace("- ", "-")
    assert all(group.replace(" ", "-") in words for group in jaxcam.methods.GROUPS)


def test_all_leaves_out_what_costs_far_more_than_score_cam(evaluate, folder, monkeypatch):
    def threefold(probe, image, target=None):
        return jnp.mean(jax.vmap(lambda x: jaxcam.gradcam(probe, x, target))(jnp.stack([image] * 3)), axis=0)

    table = {"scorecam": jaxcam.layercam, "hirescam": threefold, "cam": jaxcam.cam}
    monkeypatch.setattr(_evaluate_methods, "ALL", tuple(table))
    monkeypatch.setattr(_evaluate_methods, "METHODS", METHODS | table)
    given = (folder / "a.png", "--metric", "complexity", "--no-floors", "--method", "all")
    result = evaluate(*given)
    assert result.code == 0, (result.crashed, result.text)
    assert [line["method"] for line in result.lines] == ["gradcam", "scorecam", "cam"]
    told = "a map takes 3 forward passes; --method with its name measures it"
    assert f"hirescam is left out of all: {told}" in result.stdout
    assert result.summary["models"][0]["left_out"] == {"hirescam": told}
    result = evaluate(*given, "--method", "hirescam")
    assert [line["method"] for line in result.lines] == ["gradcam", "scorecam", "hirescam", "cam"]


def test_forward_passes_are_those_of_the_method_and_its_options(weights):
    probe = jaxcam.probe(converters.load(MODEL, weights), "layer1")
    image = jax.ShapeDtypeStruct((32, 32, 3), np.float32)
    methods = {name: (METHODS[name], {}) for name in ("gradcam", "cam", "scorecam")}
    methods["clustercam"] = METHODS["clustercam"], {"clusters": 3}
    costs, left_out = forwards_of(probe, image, methods)
    assert list(left_out) == ["cam"]
    # the class is given, so the one look at the layer ends there: less than a whole pass beside those of the masks
    assert costs["scorecam"] == pytest.approx(0.4 + 16, abs=0.1)
    assert costs["clustercam"] == pytest.approx(0.4 + 3, abs=0.1)
    assert 1.5 < costs["gradcam"] < 2  # with the backward pass through two of the three stages


MISTAKES = {
    "method": (["--method", "gradcamm"], "no method 'gradcamm'; did you mean 'gradcam'?"),
    "metric": (["--metric", "insertoin"], "no metric 'insertoin'; did you mean 'insertion'?"),
    "metric of boxes": (["--metric", "pointing_game"], "the metric pointing_game needs boxes: pass --boxes"),
    "option's form": (["--option", "fuse"], "an option is given as NAME=VALUE or METHOD.NAME=VALUE"),
    "option of none": (["--option", "clusters=3"], "gradcam: no option 'clusters'"),
    "several classes": (["--target", "top-3"], "target 'top-3': one class of each picture is judged: top-1, label"),
    "option's method": (["--option", "hirescam.fuse=channel_sum"], "no method 'hirescam'"),
    "option": (["--option", "gradcam.fues=1"], "no option 'fues'; did you mean 'fuse'?"),
    "class": (["--target", "10"], "no class 10: the model has 10 classes, 0 to 9"),
    "two targets": (["--target", "1", "--target-from", "name"], "pass --target or --target-from, not both"),
    "target from boxes": (["--target-from", "boxes"], "--target-from boxes needs the file"),
    "target file": (["--target-from", "no-such-file.csv"], "no-such-file.csv"),
    "layers": (["--layer", "layer1", "--layer", "layer2"], "--layer is given for each model or for none"),
    "weights": (["--weights", "x.npz"], "each model needs its weights: got --model 1 and --weights 2 times"),
    "steps": (["--steps", "0"], "'--steps': 0 is not in the range"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_told_in_a_line(evaluate, folder, unchecked, case):
    arguments, message = MISTAKES[case]
    told(evaluate(folder, *arguments), message)


ROW = {"file": "a.png", "boxes": [[1, 1, 9, 9]]}
BAD_BOXES = {
    "outside": ([{**ROW, "boxes": [[1, 1, 49, 9]]}], "a.png: the picture: the box [1.0, 1.0, 49.0, 9.0] leaves"),
    "no area": ([{**ROW, "boxes": [[5, 1, 5, 9]]}], "a.png: the picture: the box [5.0, 1.0, 5.0, 9.0] has no area"),
    "no row": ([{**ROW, "file": "z.png"}], "has no row for 'a.png'"),
    "two rows": ([ROW, ROW], "has two rows for 'a.png'"),
    "no boxes": ([{"file": "a.png"}], "row 1: boxes is a list of [x0, y0, x1, y1], with one at least; got None"),
    "empty": ([{**ROW, "boxes": []}], "with one at least; got []"),
    "three numbers": ([{**ROW, "boxes": [[1, 2, 3]]}], "got [[1, 2, 3]]"),
    "no file": ([{"boxes": [[1, 1, 9, 9]]}], "row 1: no key 'path'"),
    "no list": ({"a.png": [1, 1, 9, 9]}, "is not a list of rows, one for each picture"),
    "no json": ("[{", "is not JSON: "),
    "class": ([{**ROW, "imagenet": [104]}], "a.png: no class 104: the model has 10 classes"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_BOXES)
def test_boxes_that_do_not_fit(evaluate, folder, boxes, case):
    rows, message = BAD_BOXES[case]
    told(evaluate(folder / "a.png", "--boxes", boxes(rows)), message)


def test_boxes_with_a_crop_and_classes_that_are_not_there(evaluate, folder, boxes):
    told(evaluate(folder / "a.png", "--boxes", boxes(), "--crop"), "leave out --crop")
    told(
        evaluate(folder / "a.png", "--boxes", boxes([ROW]), "--target-from", "boxes"),
        "does not name the class",
    )


def told(result, message):
    assert result.code == 2
    assert result.crashed is None
    last = result.error.rstrip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert not result.out.exists()


@pytest.mark.realdata
def test_cam_points_at_real_objects(jaxcam_command, data, tmp_path):
    boxes = data / "boxes" / "ilsvrc_val"
    net = ("--model", "squeezenet1_1", "--weights", data / "weights" / "squeezenet1_1.pth", "--method", "cam")
    result = jaxcam_command(
        "evaluate", boxes / "images", *net, "--boxes", boxes / "boxes.json", "--metric", "pointing_game",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.code == 0, (result.crashed, result.text)
    lines = csv.DictReader((tmp_path / "out" / "summary.csv").read_text().splitlines())
    hits = {line["method"]: float(line["pointing_game"]) for line in lines}
    assert hits["cam"] >= 0.95
    assert hits["cam"] > hits["centre"] > hits["random"] > hits["ones"] == 0


def test_table_says_where_targets_came_from(folder, boxes, tmp_path):
    def phrase(**given):
        origin, _ = plan(three(folder), **{"target": None, "target_from": None, "boxes": None} | given)
        return origin.phrase

    assert phrase() == "the most likely class of each picture (top-1)"
    assert phrase(target="cat") == "class cat for all pictures"
    assert phrase(boxes=boxes()) == "each picture's own class, 'imagenet' in boxes.json"
    assert phrase(target_from="name") == "the class in each picture's name"
    (tmp_path / "t.csv").write_text("a.png,1\nb.png,2\nc.png,3\n")
    assert phrase(target_from=f"{tmp_path}/t.csv") == "each picture's own class, in t.csv"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_table_fits_the_terminal_and_keeps_numbers_whole(monkeypatch, capsys, width, unchecked):
    monkeypatch.setenv("COLUMNS", str(width))
    values = dict.fromkeys(TABLE, -0.9876)
    costs = dict.fromkeys(METHODS, 33.4) | {"ones": None}
    lines = [Line("m", name, 50, cost, 1234.5, values, {}) for name, cost in costs.items()]
    subject = SimpleNamespace(name="resnet50", layer="layer4", left_out={}, dear={})
    _show(subject, lines, "the most likely class of each picture (top-1)")
    _, targets, *table = capsys.readouterr().out.splitlines()
    assert targets == "targets: the most likely class of each picture (top-1)"
    assert max(map(len, table)) <= width
    rows = [row.split() for row in table if row.split()[:1] == ["gradcam_elementwise"]]
    assert [cell for row in rows for cell in row[1:]] == [
        "33.4", *(f"{TABLE[metric].factor * -0.9876:.1f}" for metric in TABLE), "1234.5",
    ]  # fmt: skip


def test_a_name_that_is_not_text_costs_nothing(evaluate, folder):
    name = folder / os.fsdecode(b"caf\xe9.png")
    (folder / "a.png").rename(name)
    result = evaluate(name, "--metric", "complexity", "--no-floors")
    assert result.code == 0, (result.crashed, result.text)
    assert "1 picture × 1 model" in result.stdout
    assert [row["picture"] for row in result.pictures] == [str(name)]
    broken = evaluate(name, folder / os.fsdecode(b"\xff.png"), "--metric", "complexity", "--no-floors")
    assert broken.code == 1, (broken.crashed, broken.text)
    assert broken.summary["failed"][0]["picture"] == str(folder / os.fsdecode(b"\xff.png"))


def test_blank_maps_are_told_and_why(evaluate, explain, folder, headless, tmp_path):
    message = (
        "the map is zero everywhere: the gradient of layer 'layer3' is zero at every position, so that nothing there "
        "counts: it is the model's default layer"
    )
    result = evaluate(
        *three(folder),
        "--metric",
        "complexity",
        "--no-floors",
        model=("--model", MODEL, "--weights", headless),
    )
    assert result.code == 0, (result.crashed, result.text)
    assert f"{MODEL} gradcam: 3 of 3 maps: {message}" in result.error
    assert result.lines[0]["blank"] == "3"
    assert all(row["note"].startswith(message) for row in result.pictures)
    shown = explain(folder / "a.png", folder / "b.png", "--weights", headless, out=tmp_path / "explained")
    assert shown.code == 0, (shown.crashed, shown.text)
    assert f"2 of 2 maps: {message}" in shown.error
    assert "airplane (0), zero map" in shown.stdout
    assert all(each["maps"][0]["note"].startswith(message) for each in shown.index["pictures"])


def test_long_work_says_what_it_costs(evaluate, folder, monkeypatch):
    def subject(**forwards):
        return SimpleNamespace(name="net", cases={"a": [0, 0], "b": [0]}, forwards=forwards)

    def protocol(*metrics, floors=False):
        return SimpleNamespace(metrics=metrics, steps=224, floors=floors)

    # 3 maps of 33 passes; average drop looks at the picture and at what is left of it
    assert _evaluate_cost.passes(subject(scorecam=33), protocol("average_drop")) == 3 * (33 + 2)
    assert _evaluate_cost.passes(subject(cam=1), protocol("complexity", floors=True)) == 3
    assert _evaluate_cost.passes(subject(cam=1), protocol("insertion", "road")) == 3 * (1 + 225 + 18 + 1)
    assert _evaluate_cost.passes(subject(cam=1), protocol("adcc", floors=True)) == 3 * (2 + 1 + 4 * 2)
    assert _evaluate_cost.described([subject(cam=1)], protocol("complexity")) == ""
    assert (
        _evaluate_cost.described([subject(scorecam=2048)], protocol()) == "about 6,100 forward passes of net"
    )
    monkeypatch.setattr(_evaluate_cost, "LONG", 1)
    result = evaluate(folder / "a.png", "--metric", "complexity", "--no-floors")
    assert re.match(r"about \d+ forward passes of cifar_resnet20; Ctrl-C keeps what is done", result.error)


def test_interrupted_keeps_what_is_done(evaluate, folder, monkeypatch):
    rows, calls = _evaluation._rows, []

    def third_time_interrupted(*given, **named):
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rows(*given, **named)

    monkeypatch.setattr(_evaluation, "_rows", third_time_interrupted)
    result = evaluate(*three(folder), "--method", "hirescam", "--metric", "complexity", "--no-floors")
    assert result.code == 130
    assert result.crashed is None
    assert "interrupted: the files cover the pictures that are done" in result.error
    assert [(row["method"], Path(row["picture"]).name) for row in result.pictures] == [
        ("gradcam", "a.png"), ("gradcam", "b.png"), ("hirescam", "a.png"), ("hirescam", "b.png"),
    ]  # fmt: skip
    assert [line["maps"] for line in result.lines] == ["2", "2"]
