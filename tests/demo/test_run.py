"""The whole demo on a few scenes, and the two measures it reports."""

import csv
import io
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import jaxcam
from jaxcam import demo
from jaxcam.demo import _run


def dimmer(probe, image, target=None, *, chunk=2):
    """A map which costs six forward passes, two at a time: its masks are all alike, so it knows nothing."""
    masks = jnp.linspace(0.5, 1, 6)
    outputs = jax.lax.map(lambda mask: probe(image * mask)[0][target], masks, batch_size=chunk)
    return jnp.ones((14, 14)) * outputs.sum()


METHODS = {"gradcam": jaxcam.gradcam, "hirescam": jaxcam.hirescam, "cam": jaxcam.cam, "dimmer": dimmer}
FLOORS = ("random map", "centred Gaussian")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One run with a few methods, one of which cannot run on this network: folder, rows, console's text."""
    out, said = tmp_path_factory.mktemp("demo") / "new" / "folder", io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_run, "METHODS", METHODS)
        rows = demo.run(out, count=12, seed=4, console=Console(file=said, width=120))
    return out, {row.method: row for row in rows}, said.getvalue()


def test_a_row_for_each_method_and_floor(done):
    _, rows, _ = done
    assert tuple(rows) == (*METHODS, *FLOORS)
    for name in ("gradcam", "hirescam"):
        row = rows[name]
        values = (row.points, row.energy, row.milliseconds, row.compile_seconds, row.forwards)
        assert all(math.isfinite(value) and value > 0 for value in values)


def test_gradient_methods_find_the_digit_and_the_floors_do_not(done):
    _, rows, _ = done
    for name in ("gradcam", "hirescam"):
        assert rows[name].points > 0.8
        assert rows[name].energy > 3 * max(rows[floor].energy for floor in FLOORS)
    assert max(rows[floor].points for floor in FLOORS) < 0.3


def test_a_gradient_at_the_layer_costs_less_than_two_forward_passes(done):
    _, rows, _ = done
    assert 1 < rows["gradcam"].forwards < 2
    assert rows["hirescam"].forwards == pytest.approx(rows["gradcam"].forwards, rel=0.05)


def test_the_passes_of_a_loop_are_counted(done):
    _, rows, _ = done
    assert 6 <= rows["dimmer"].forwards < 6.5


def test_a_method_that_cannot_run_is_shown_with_the_reason(done):
    _, rows, said = done
    assert "linear layer" in rows["cam"].reason
    assert rows["cam"].points is None
    assert "cam does not run here" in said


def test_the_table_is_printed_and_written(done):
    out, rows, said = done
    assert all(name in said for name in rows)
    with open(out / "demo.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [line["method"] for line in table] == list(rows)
    assert float(table[1]["energy"]) == rows["hirescam"].energy
    report = json.loads((out / "demo.json").read_text(encoding="utf-8"))
    assert report["digits"] == 36
    assert report["found"] > 0.8
    assert [line["points"] for line in report["rows"]] == [row.points for row in rows.values()]


def test_the_figure_shows_scenes_and_maps(done):
    out, _, _ = done
    assert (out / "demo.png").stat().st_size < 1_500_000
    picture = np.asarray(Image.open(out / "demo.png").convert("RGB"), np.float32)
    height, width, _ = picture.shape
    assert height > width  # six digits, and the scene and three methods beside each other
    assert picture.std() > 15
    scene, shown = picture[:, : width // 4], picture[:, width // 2 : 3 * width // 4]  # hirescam
    hot = lambda part: ((part[..., 0] > 200) & (part[..., 2] < 80)).sum()  # noqa: E731
    assert hot(shown) > 4 * hot(scene), "glowing maps over dim pictures"


def test_too_few_scenes_are_told(tmp_path):
    with pytest.raises(ValueError, match="count=2"):
        demo.run(tmp_path, count=2)
