"""The benchmark of accelerators runs without one, keeps its rows, and says what it was."""

import json
from pathlib import Path

import jax
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def accelerator(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import accelerator

    cached = jax.config.jax_enable_compilation_cache  # the bench turns it off
    yield accelerator
    jax.config.update("jax_enable_compilation_cache", cached)


def rows(*figures):
    about = {"device": "NVIDIA X", "sizes": "full", "jax": "0", "part took (s)": 1.0}
    return [about | row for row in figures]


def asked(part, folder):
    return ["--small", "--parts", part, "--rows", str(folder / "r.jsonl"), "--page", str(folder / "p.md")]


def grad_cam(ratio):
    return {
        "part": "forward: resnet50",
        "what": "gradcam",
        "dtype": "bfloat16",
        "batch": 128,
        "over forward": ratio,
    }


def test_goals_are_judged_by_rows_of_full_size(accelerator, tmp_path):
    file = tmp_path / "page.md"
    accelerator.page.write(
        file, rows(grad_cam(1.03), {"part": "metrics", "what": "road", "batch": 1, "ms": 31.0})
    )
    text = file.read_text()
    assert "| 1.03 | reached |" in text
    assert "| 31.0 | missed |" in text
    assert text.count("not run") == 4
    assert "Not run on an accelerator" not in text
    small = [row | {"sizes": "small", "device": "cpu"} for row in rows(grad_cam(1.0))]
    accelerator.page.write(file, small)
    assert "Not run on an accelerator" in file.read_text()
    assert "reached" not in file.read_text()


def test_a_roofline_is_drawn_below_measured_ceilings(accelerator, tmp_path):
    product = {"part": "ceilings", "what": "matrix product", "dtype": "bfloat16", "arithmetic": "bfloat16"}
    copy = {"part": "ceilings", "what": "copy", "GB/s": 4000.0}
    point = grad_cam(1.0) | {"model": "resnet50", "ms": 5.0, "GFLOP": 1000.0, "GB moved": 10.0}
    measured = rows(product | {"TFLOP/s": 700.0}, copy, point)
    assert accelerator.page.roofline(tmp_path / "roof.png", measured)
    assert (tmp_path / "roof.png").stat().st_size > 1000
    assert not accelerator.page.roofline(tmp_path / "none.png", measured[1:])


def test_a_part_that_fails_is_a_row_and_is_run_again(accelerator, tmp_path, monkeypatch):
    def fails(bench):
        yield {"what": "first"}
        raise RuntimeError("no memory")

    monkeypatch.setitem(accelerator.PARTS, "ceilings", fails)
    arguments = [
        "--small",
        "--parts",
        "ceilings",
        "--rows",
        str(tmp_path / "r.jsonl"),
        "--page",
        str(tmp_path / "p.md"),
    ]
    for _ in range(2):
        accelerator.main(arguments)
    found = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [row.get("what", row.get("failed")) for row in found] == ["first", "RuntimeError: no memory"]
    assert all(row["note"] == "no accelerator was there" for row in found)
    monkeypatch.setitem(accelerator.PARTS, "ceilings", lambda bench: iter([{"what": "second"}]))
    for _ in range(2):
        accelerator.main(arguments)
    found = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [row.get("what", row.get("failed")) for row in found] == ["second"]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "part", ["ceilings", "forward: vit_b_16", "synchronisation", "k-means", "run: arrays"]
)
def test_a_part_runs_without_an_accelerator(accelerator, tmp_path, part):
    accelerator.main(
        ["--small", "--parts", part, "--rows", str(tmp_path / "r.jsonl"), "--page", str(tmp_path / "p.md")]
    )
    found = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert found
    assert not any("failed" in row for row in found)
    assert part in (tmp_path / "p.md").read_text()
