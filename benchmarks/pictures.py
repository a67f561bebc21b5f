"""The pictures, classes, boxes and networks of the measurements that need real data."""

import json
from functools import cached_property
from pathlib import Path

import jax
import numpy as np
from PIL import Image

import converters
import jaxcam
from jaxcam import models

NETWORKS = {"squeezenet1_1": "features", "mobilenet_v2": "features"}


class Pictures:
    """A network with pictures to explain.

    "imagenet": the 100 pictures, centre crop, the network's own most likely class. "boxes": the pictures with boxes,
    squeezed whole into the square, the labelled class.

    Attributes:
        probe: the network's last features.
        names: of the pictures.
        images: `(N, H, W, C)`, preprocessed.
        boxes: of "boxes", for each picture, `(x0, y0, x1, y1)` in pixels of the image.
        targets: class indices `(N,)`.
    """

    def __init__(self, network: str, kind: str, data: Path, *, layer: str | None = None):
        self.network, self.kind, self.data = network, kind, data
        self.layer = layer or NETWORKS[network]
        preprocess = models.preprocess(network)
        self.names, images, self.boxes, self._classes = [], [], [], []
        if kind == "imagenet":
            for file in sorted((data / "images").iterdir()):
                self.names.append(file.name)
                images.append(preprocess(Image.open(file)))
        else:
            for name, file, row in _boxed(data):
                try:
                    image = preprocess(Image.open(file), crop=False)
                except OSError:
                    continue  # one file is truncated
                height, width = image.shape[:2]
                scale = np.array([width / row["width"], height / row["height"]] * 2)
                self.names.append(name)
                images.append(image)
                self.boxes.append((np.array(row["boxes"], float) * scale).tolist())
                self._classes.append(row["imagenet"][0])
        self.images = np.stack(images)

    @cached_property
    def probe(self) -> jaxcam.Probe:
        return jaxcam.probe(
            converters.load(self.network, self.data / "weights" / f"{self.network}.pth"), self.layer
        )

    @cached_property
    def targets(self) -> np.ndarray:
        if self.kind == "boxes":
            return np.array(self._classes)
        forward = jax.jit(lambda probe, images: jax.vmap(lambda image: probe(image)[0])(images))
        parts = np.array_split(self.images, max(1, len(self.images) // 10))
        return np.concatenate([np.argmax(np.asarray(forward(self.probe, part)), axis=-1) for part in parts])


def _boxed(data: Path):
    for folder in ("kangaroo", "ilsvrc_val"):
        for row in json.loads((data / "boxes" / folder / "boxes.json").read_text()):
            file = data / "boxes" / folder / row["file"]
            yield f"{folder}/{file.name}", file, row
