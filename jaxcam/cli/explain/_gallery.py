"""Pictures in, a folder of overlays and maps out."""

import contextlib
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from ..._display import display, overlay
from ..._explain import explain
from ...files._labels import Labels
from ...files._pictures import Failure, Found, Picture, in_groups, read, read_ahead, readable
from ...files._whole import whole
from ...models._preprocess import Preprocess
from ...probes._blank import Blank
from ...probes._probe import Probe
from ...targets._several import Top

SHOWN = 5  # predicted classes in the index


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Explains pictures batch by batch and writes an overlay and a map for each target of each picture.

    Attributes:
        targets: the same for every picture.
        batch: pictures in one program; the last batch is filled up, so that one program is all there is.
        stored: which map the .npy holds: "image", for display at the size of the model's input; "layer", for
            display at the layer's size; "raw", signed, at the layer's size.
    """

    probe: Probe
    method: Callable
    options: Mapping[str, Any] = field(default_factory=dict)
    targets: Top | Sequence[int]
    labels: Labels
    preprocess: Preprocess
    out: Path
    batch: int
    crop: bool
    stored: str
    colormap: str
    alpha: float

    @functools.cached_property
    def blank(self) -> Blank:
        return Blank(self.probe)

    def run(self, pictures: Sequence[Found], report: Callable[[dict | Failure], None]) -> None:
        """Calls `report` for each picture as it is done: with its entry of the index, or with why it failed.

        Raises OSError where an output cannot be written. However it ends, what was reported is written whole.
        """
        reader = functools.partial(read, preprocess=self.preprocess, crop=self.crop)
        with (
            contextlib.closing(read_ahead(pictures, reader, ahead=2 * self.batch)) as reading,
            ThreadPoolExecutor(2, thread_name_prefix="write") as writers,  # the device need not wait for them
        ):
            writing: list[Future] = []
            for group in in_groups(readable(reading, report), self.batch):
                maps = self._maps(group)
                _collect(writing)
                writing = [
                    writers.submit(self._finish, report, *each) for each in zip(group, *maps, strict=False)
                ]
            _collect(writing)

    def _maps(self, group: list[Picture]) -> tuple[Any, ...]:
        """For each picture: raw maps (T, h, w), displayed maps (T, H, W), output (classes,), targets (T,), and notes on
        maps (T,)."""
        images = [each.image for each in group]
        images = np.stack(images + images[-1:] * (self.batch - len(images)))
        targets = self.targets if isinstance(self.targets, Top) else np.tile(self.targets, (self.batch, 1))
        raw, outputs = explain(
            self.probe, images, targets, method=self.method, raw=True, with_output=True, **self.options
        )
        shown = _display(raw, images.shape[1:3])
        outputs = np.asarray(outputs, np.float32)
        if isinstance(targets, Top):
            targets = _descending(outputs)[:, : targets.k]  # those that explain chose
        raw, shown = np.asarray(raw), np.asarray(shown)
        notes = [
            [self.blank.note(each, image, target) for each, target in zip(maps, classes, strict=True)]
            for maps, image, classes in zip(raw[: len(group)], images, targets.tolist(), strict=False)
        ]
        return raw, shown, outputs, targets, notes

    def _finish(self, report, picture, raw, shown, output, classes, notes):
        if not (np.isfinite(output).all() and np.isfinite(raw).all()):
            report(Failure(picture.found, "the model's output or the map is not finite"))
            return
        probabilities = np.exp(output - output.max())
        probabilities /= probabilities.sum()

        def named(index: int) -> dict[str, Any]:
            name, probability = self.labels.names[index], round(float(probabilities[index]), 6)
            return {"class": index, "name": name, "probability": probability}

        maps = []
        for index, raw_map, shown_map, note in zip(classes.tolist(), raw, shown, notes, strict=True):
            suffix = f".{index}{_slug(self.labels.names[index])}" if len(classes) > 1 else ""
            files = {
                "overlay": f"{picture.found.stem}{suffix}.png",
                "map": f"{picture.found.stem}{suffix}.npy",
            }
            mixed = overlay(picture.view, shown_map, alpha=self.alpha, colormap=self.colormap)
            with whole(self.out / files["overlay"]) as file:
                Image.fromarray(mixed).save(file, "PNG")
            with whole(self.out / files["map"]) as file:
                np.save(file, self._stored(raw_map, shown_map))
            maps.append({**named(index), "score": float(output[index]), **files, "note": note})
        best = [named(index) for index in _descending(output)[:SHOWN].tolist()]
        report({"picture": str(picture.found.path), "predictions": best, "maps": maps})

    def _stored(self, raw: np.ndarray, shown: np.ndarray) -> np.ndarray:
        if self.stored == "raw":
            return raw
        return shown if self.stored == "image" else np.asarray(_display(raw, raw.shape))


@functools.partial(jax.jit, static_argnums=1)
def _display(raw, size):
    return display(raw, size=size)


def _descending(outputs: np.ndarray) -> np.ndarray:
    return np.argsort(-outputs, axis=-1, kind="stable")  # the lowest index first among equals


def _collect(futures: list[Future]) -> None:
    for future in futures:
        future.result()


def _slug(name: str) -> str:
    """`-red_fox`: a class's name as a part of a file's name, or nothing where no letter is left."""
    word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40]
    return f"-{word}" if word else ""
