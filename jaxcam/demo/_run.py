"""`jaxcam demo`: scenes of digits explained with fourteen methods, measured and drawn."""

import dataclasses
import statistics
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from .. import METHODS as ALL
from .. import _terminal, display, explain, metrics, probe
from ..probes._flops import flops
from ._figure import draw
from ._network import LAYER, load, prepare
from ._report import LEGEND, Row, Setting, caption, footnotes, show, write
from ._scenes import scenes

DRAWN = slice(3), slice(2)  # scenes, and digits of each, in the figure
# Half a minute in all. `benchmarks/methods_picture.py` draws the maps of every method.
METHODS = {
    name: ALL[name]
    for name in (
        "gradcam",
        "gradcam_elementwise",
        "gradcampp",
        "xgradcam",
        "layercam",
        "hirescam",
        "eigengradcam",
        "scorecam",
        "abscam",
        "clustercam",
        "cam",
        "ablationcam",
        "eigencam",
        "conceptorcam",
    )
}


def run(out: Path, *, count: int = 64, seed: int = 3, console: Console | None = None) -> list[Row]:
    """Explains every digit of `count` test scenes with each of `METHODS`; writes demo.png, demo.csv and demo.json.

    Args:
        out: the folder to write to; made if need be.
        count: scenes, at least the three of the figure.
        seed: of the scenes.
        console: where the table is printed; standard output by default.

    Returns:
        A row for each method, then two for baseline maps that do not depend on the picture: random ones, and a
        Gaussian in the centre.

    Raises:
        ValueError: too few scenes.
        OSError: `out` cannot be written.
    """
    if count < DRAWN[0].stop:
        raise ValueError(f"the figure shows {DRAWN[0].stop} scenes; got count={count}")
    if console is None:
        console = _terminal.console()
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    test = scenes(count, seed=seed)
    looked, images = probe(load(), LAYER), prepare(test.images)

    # Explain every digit with each method.
    rows, drawn = [], {}
    with _terminal.bar("compiling the network", total=len(METHODS), unit="methods") as bar:
        logits = np.asarray(jax.jit(jax.vmap(_forward, (None, 0)))(looked, images))
        one_forward = float(flops(_forward, looked, images[0]))
        for name, method in METHODS.items():
            bar.show(doing=f"explaining {test.labels.size} digits with {name}", done=len(rows))
            row, maps = _measure(name, method, looked, images, test.labels, test.boxes, one_forward)
            rows.append(row)
            if maps is not None:
                drawn[name] = maps[DRAWN]
    shape = (*test.labels.shape, *test.images.shape[1:3])
    rows += [_score(name, maps, test.boxes) for name, maps in _floors(shape, seed)]

    # Write the tables and the figure.
    setting = Setting(
        scenes=count,
        digits=test.labels.size,
        seed=seed,
        layer=LAYER,
        found=float((np.take_along_axis(logits, test.labels, 1) > 0).mean()),
        forward_flops=one_forward,
        device=jax.devices()[0].device_kind,
    )
    write(out, rows, setting)
    captions = {row.method: caption(row) for row in rows}
    scene = DRAWN[0]
    draw(
        out / "demo.png",
        test.images[scene],
        test.labels[DRAWN],
        test.boxes[DRAWN],
        drawn,
        captions,
        [LEGEND, *footnotes(rows)],
    )
    show(rows, setting, console, out)
    return rows


def _forward(probe, image):
    return probe(image)[0]


def _measure(name, method, looked, images, labels, boxes, forward_flops):
    """The row of one method and its maps, or no maps and the reason."""
    run = jax.jit(partial(explain, method=method))
    start = time.perf_counter()
    try:
        compiled = run.lower(looked, images, labels[:, 0]).compile()
    except (ValueError, TypeError) as error:
        return Row(name, reason=str(error)), None
    compiling = time.perf_counter() - start
    maps, took = [], []
    for digit in range(labels.shape[1]):
        start = time.perf_counter()
        maps.append(np.asarray(compiled(looked, images, labels[:, digit])))
        took.append(time.perf_counter() - start)
    maps = np.stack(maps, axis=1)
    row = dataclasses.replace(
        _score(name, maps, boxes),
        milliseconds=1000 * statistics.median(took) / len(images),
        compile_seconds=compiling,
        forwards=flops(lambda probe, image: method(probe, image, 0), looked, images[0]) / forward_flops,
    )
    return row, maps


def _score(name, maps, boxes):
    maps, boxes = maps.reshape(-1, *maps.shape[-2:]), boxes.reshape(-1, 4)
    hits = metrics.pointing_game(maps, boxes, tolerance=0)
    return Row(name, float(hits.mean()), float(metrics.energy_pointing_game(maps, boxes).mean()))


def _floors(shape, seed):
    """Baseline maps that do not depend on the picture."""
    height, width = shape[-2:]
    noise = np.random.default_rng(seed).random((*shape[:-2], height // 8, width // 8), np.float32)
    yield "random map", np.asarray(display(noise, size=(height, width)))
    rows, columns = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    bump = np.exp(-2 * (rows[:, None] ** 2 + columns**2)).astype(np.float32)
    yield "centred Gaussian", np.broadcast_to(bump, shape)
