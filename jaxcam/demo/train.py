"""Trains the demo's networks, from nothing but which digits are in a picture.

`python -m jaxcam.demo.train` trains the convolutional one, about a minute and a quarter on two cores;
`python -m jaxcam.demo.train vit` the transformer, about five minutes.
"""

import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.metrics import average_precision_score

from ._network import WEIGHTS, DigitFinder, Network, prepare, restored, save
from ._scenes import Scenes, scenes
from ._vit import VIT_WEIGHTS, DigitTransformer

BATCH = 32


class Lesson(NamedTuple):
    """Number of pictures and of passes over them; each number of digits has an equal share of the pictures."""

    pictures: int
    passes: int
    size: int
    clutter: int
    digits: tuple[int, ...]


# The network takes pictures of any size, so it first meets single digits, where a step costs a quarter, and then
# whole scenes. The number of digits varies, or it would learn to name three whatever it sees.
LESSONS = (
    Lesson(6000, 3, size=56, clutter=2, digits=(0, 1, 1, 1)),
    Lesson(3500, 10, size=112, clutter=10, digits=(0, 1, 2, 3, 4)),
)
# A transformer learns from single digits for longer: a step costs a quarter there too.
VIT_LESSONS = (
    Lesson(8000, 5, size=56, clutter=2, digits=(0, 1, 1, 1)),
    Lesson(4000, 5, size=112, clutter=10, digits=(0, 1, 2, 3, 4)),
)


def train(*, seed: int = 0) -> DigitFinder:
    """The convolutional network trained on scenes of the train split, in evaluation mode."""
    return _taught(DigitFinder(rngs=nnx.Rngs(seed)), LESSONS, 4e-3, seed)


def train_vit(*, seed: int = 0) -> DigitTransformer:
    """The transformer trained on scenes of the train split, in evaluation mode."""
    return _taught(DigitTransformer(rngs=nnx.Rngs(seed)), VIT_LESSONS, 2e-3, seed)


def _taught(model: Network, lessons: tuple[Lesson, ...], peak: float, seed: int) -> Network:
    rng = np.random.default_rng(seed)
    model.train()
    for lesson in lessons:
        images, present = _pictures(lesson, rng)
        steps = len(images) // BATCH
        rate = optax.cosine_onecycle_schedule(steps * lesson.passes, peak, pct_start=0.15)
        optimizer = nnx.Optimizer(model, optax.adamw(rate, weight_decay=0.05), wrt=nnx.Param)
        for _ in range(lesson.passes):
            for batch in rng.permutation(len(images))[: steps * BATCH].reshape(steps, BATCH):
                _step(model, optimizer, images[batch], present[batch])
    model.eval()
    return model


def _pictures(lesson, rng):
    """The pictures of a lesson, and which digits are present in each."""
    count = lesson.pictures // len(lesson.digits)
    parts = [
        scenes(
            count,
            seed=int(rng.integers(2**31)),
            split="train",
            size=lesson.size,
            digits=digits,
            clutter=lesson.clutter,
        )
        for digits in lesson.digits
    ]
    return np.concatenate([part.images for part in parts]), np.concatenate(
        [presence(part.labels) for part in parts]
    )


@nnx.jit
def _step(model, optimizer, images, present):
    def loss(model):
        return optax.sigmoid_binary_cross_entropy(model(prepare(images)), present).sum(-1).mean()

    value, gradient = nnx.value_and_grad(loss)(model)
    optimizer.update(model, gradient)
    return value


def presence(labels: np.ndarray) -> np.ndarray:
    """The classes of a scene's digits `(N, D)` as `(N, 10)` of 0 and 1."""
    return (labels[:, :, None] == np.arange(10)).any(1).astype(np.float32)


def evaluate(model: nnx.Module, test: Scenes) -> dict[str, float]:
    """Shares in [0, 1]: classes told rightly, pictures with all classes told rightly, mean average precision."""
    answer = nnx.jit(lambda model, images: model(prepare(images)))
    parts = np.array_split(test.images, max(1, len(test.images) // 100))
    logits = np.concatenate([answer(model, jnp.asarray(part)) for part in parts])
    present = presence(test.labels)
    right = (logits > 0) == present
    return {
        "presence": float(right.mean()),
        "exact_set": float(right.all(1).mean()),
        "average_precision": float(average_precision_score(present, logits, average="macro")),
    }


def main(name: str = "cnn", path: Path | None = None) -> None:
    start = time.perf_counter()
    make, blank, shipped = NETWORKS[name]
    path = shipped if path is None else path
    save(make(), path)
    print(f"trained in {time.perf_counter() - start:.0f} s, {path.stat().st_size / 1000:.0f} kB")
    for each, share in evaluate(restored(blank(rngs=nnx.Rngs(0)), path), scenes(1000, seed=1)).items():
        print(f"{each:>18} {share:6.1%}")


NETWORKS = {
    "cnn": (train, DigitFinder, WEIGHTS),
    "vit": (train_vit, DigitTransformer, VIT_WEIGHTS),
}

if __name__ == "__main__":
    main(*sys.argv[1:2], *map(Path, sys.argv[2:]))
