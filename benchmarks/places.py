"""Maps of a detector's box and of a segmented region, on scenes whose truth is known.

`python benchmarks/places.py` trains a small detector and a small U-Net, about ten seconds each, and writes
results/places.png. Scenes hold discs, squares and crosses, two at least of one class: a map of a class would show both, one
of a box or a region only the one that it was asked for.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jaxcam

RESULTS = Path(__file__).parent / "results"
SIDE, STRIDE = 48, 4
CLASSES = ("background", "disc", "square", "cross")
DETECTOR_LAYER, UNET_LAYER = "body", "bottom"


class Scenes(NamedTuple):
    """Pictures `(N, H, W, 3)`, and of the three objects in each: boxes x0, y0, x1, y1 and classes and masks."""

    images: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    masks: np.ndarray


def scenes(count: int, *, seed: int) -> Scenes:
    """Three objects in each picture on a noisy ground, the first two of one class, of any colour, nowhere touching."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    images = 0.5 + 0.12 * rng.normal(size=(count, SIDE, SIDE, 3))
    boxes, classes = np.zeros((count, 3, 4)), np.zeros((count, 3), int)
    masks = np.zeros((count, 3, SIDE, SIDE), bool)
    quarters = np.array([(x, y) for x in (12, 36) for y in (12, 36)])
    for number in range(count):
        first, other = rng.choice([1, 2, 3], 2, replace=False)
        classes[number] = first, first, other
        centres = rng.permutation(quarters)[:3] + rng.uniform(-4, 4, (3, 2))
        for place, ((x, y), kind) in enumerate(zip(centres, classes[number], strict=True)):
            r = rng.uniform(5, 7)
            across, down = np.abs(columns - x), np.abs(rows - y)
            inside = np.maximum(across, down) < r
            masks[number, place] = {
                1: across**2 + down**2 < r**2,
                2: inside,
                3: inside & (np.minimum(across, down) < r / 3),
            }[int(kind)]
            boxes[number, place] = x - r, y - r, x + r, y + r
            colour = 0.5 + rng.choice([-1, 1]) * rng.uniform(0.3, 0.5, 3)
            images[number][masks[number, place]] += colour - 0.5
    return Scenes(images.astype(np.float32), boxes.astype(np.float32), classes, masks)


def convolution(inputs: int, outputs: int, rngs: nnx.Rngs, *, strides: int = 1, size: int = 3) -> nnx.Conv:
    return nnx.Conv(inputs, outputs, (size, size), strides=(strides, strides), rngs=rngs)


class Block(nnx.Module):
    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs, *, strides: int = 1):
        self.convolution = convolution(inputs, outputs, rngs, strides=strides)

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(self.convolution(x))


class Detector(nnx.Module):
    """A box and logits for each cell of 4 x 4 pixels, as SSD's: `{"boxes": (B, 144, 4), "logits": (B, 144, 4)}`."""

    def __init__(self, rngs: nnx.Rngs):
        self.stem = Block(3, 16, rngs, strides=2)
        self.body = Block(16, 32, rngs, strides=2)
        self.neck = nnx.Sequential(Block(32, 32, rngs), Block(32, 32, rngs))
        self.head = convolution(32, 4 + len(CLASSES), rngs, size=1)

    def __call__(self, images: jax.Array) -> dict[str, jax.Array]:
        found = self.head(self.neck(self.body(self.stem(images - 0.5))))
        cells = found.shape[1]
        found = found.reshape(found.shape[0], cells * cells, -1)
        y, x = jnp.divmod(jnp.arange(cells * cells), cells)
        centres = (jnp.stack([x, y], -1) + 0.5) * STRIDE
        near, far = found[..., :2], found[..., 2:4]
        boxes = jnp.concatenate([centres - SIDE * near, centres + SIDE * far], -1)
        return {"boxes": boxes, "logits": found[..., 4:]}


class UNet(nnx.Module):
    """Logits of each pixel `(B, H, W, 4)`."""

    def __init__(self, rngs: nnx.Rngs):
        self.first, self.second = Block(3, 12, rngs), Block(12, 24, rngs)
        self.bottom = Block(24, 32, rngs)
        self.left, self.right = Block(32 + 24, 24, rngs), Block(24 + 12, 12, rngs)
        self.head = convolution(12, len(CLASSES), rngs, size=1)

    def __call__(self, images: jax.Array) -> jax.Array:
        one = self.first(images - 0.5)
        two = self.second(nnx.avg_pool(one, (2, 2), (2, 2)))
        three = self.bottom(nnx.avg_pool(two, (2, 2), (2, 2)))
        x = self.left(jnp.concatenate([_twice(three), two], -1))
        return self.head(self.right(jnp.concatenate([_twice(x), one], -1)))


def _twice(x: jax.Array) -> jax.Array:
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def detector_loss(model: Detector, images: jax.Array, boxes: jax.Array, classes: jax.Array, masks: jax.Array):
    """Each object is found by the cell that holds its centre."""
    found = model(images)
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    cell = jnp.sum(jnp.floor(centres / STRIDE).astype(int) * jnp.array([1, SIDE // STRIDE]), -1)
    batch = jnp.arange(len(images))[:, None]
    wanted = jnp.zeros(found["logits"].shape[:2], int).at[batch, cell].set(classes)
    errors = optax.softmax_cross_entropy_with_integer_labels(found["logits"], wanted)
    apart = jnp.abs(found["boxes"][batch, cell] - boxes).mean() / 2
    return jnp.mean(errors * jnp.where(wanted > 0, 20.0, 1.0)) + apart


def unet_loss(model: UNet, images: jax.Array, boxes: jax.Array, classes: jax.Array, masks: jax.Array):
    wanted = jnp.sum(masks * classes[..., None, None], axis=1)
    errors = optax.softmax_cross_entropy_with_integer_labels(model(images), wanted)
    return jnp.mean(errors * jnp.where(wanted > 0, 5.0, 1.0))


def train(model: nnx.Module, loss, *, steps: int, seed: int = 0, pictures: int = 512, batch: int = 16):
    """The trained model."""
    graph, state = nnx.split(model)
    material = tuple(map(jnp.asarray, scenes(pictures, seed=seed)))
    optimizer = optax.adam(optax.cosine_decay_schedule(4e-3, steps))

    @jax.jit
    def step(state, memory, key):
        chosen = jax.random.choice(key, pictures, (batch,), replace=False)
        given = [each[chosen] for each in material]
        slope = jax.grad(lambda state: loss(nnx.merge(graph, state), *given))(state)
        updates, memory = optimizer.update(slope, memory)
        return optax.apply_updates(state, updates), memory

    memory = optimizer.init(state)
    for key in jax.random.split(jax.random.key(seed), steps):
        state, memory = step(state, memory, key)
    return nnx.merge(graph, state)


def detector(*, steps: int = 150) -> Detector:
    return train(Detector(nnx.Rngs(0)), detector_loss, steps=steps)


def unet(*, steps: int = 80) -> UNet:
    return train(UNet(nnx.Rngs(0)), unet_loss, steps=steps)


def box_maps(model: Detector, test: Scenes, place: int, method: str = "hirescam") -> np.ndarray:
    """A map for each picture: why there is an object of its class in the box of object `place`."""
    probe = jaxcam.probe(model, DETECTOR_LAYER)
    targets = [
        jaxcam.box(*each, overlap=0.4)
        for each in zip(test.boxes[:, place], test.classes[:, place], strict=True)
    ]
    return np.asarray(jaxcam.explain(probe, test.images, targets, method=method))


def region_maps(model: UNet, test: Scenes, place: int, method: str = "hirescam") -> np.ndarray:
    """A map for each picture: why the pixels of object `place` are of its class."""
    probe = jaxcam.probe(model, UNET_LAYER)
    pairs = zip(test.classes[:, place], test.masks[:, place], strict=True)
    targets = [jaxcam.segmentation(*each, reduce="mean") for each in pairs]
    return np.asarray(jaxcam.explain(probe, test.images, targets, method=method))


def energies(maps: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The share of each map that lies in each of the boxes `(N, 3, 4)`: `(N, 3)`."""
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    x0, y0, x1, y1 = (boxes[..., each, None, None] for each in range(4))
    inside = (x0 < columns) & (columns < x1) & (y0 < rows) & (rows < y1)
    return (maps[:, None] * inside).sum((2, 3)) / maps.sum((1, 2))[:, None]


def main() -> None:
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    test = scenes(40, seed=1)
    rows = {
        "detector, box": functools.partial(box_maps, detector()),
        "U-Net, region": functools.partial(region_maps, unet()),
    }
    figure, axes = plt.subplots(len(rows), 8, figsize=(13, 3.7), layout="constrained")
    for line, (title, make) in zip(axes, rows.items(), strict=True):
        maps = [make(test, place) for place in range(3)]
        for place in range(3):
            share = energies(maps[place], test.boxes)
            print(title, place, np.isnan(maps[place]).any((1, 2)).sum(), np.nanmean(share, 0).round(2))
        for axis in line:
            axis.set_axis_off()
        for half, number in enumerate((0, 3)):
            picture = (255 * test.images[number].clip(0, 1)).astype(np.uint8)
            line[4 * half].imshow(picture)
            line[4 * half].set_title("scene", fontsize=8)
            for place in range(3):
                axis = line[1 + 4 * half + place]
                axis.imshow(jaxcam.overlay(picture, maps[place][number]))
                x0, y0, x1, y1 = test.boxes[number, place]
                axis.add_patch(
                    Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor="white", lw=1.5)
                )
                axis.set_title(f"{title} of a {CLASSES[test.classes[number, place]]}", fontsize=8)
    figure.savefig(RESULTS / "places.png", dpi=80)


if __name__ == "__main__":
    main()
