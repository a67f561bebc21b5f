"""Trains the demo's network, from nothing but which digits are in a picture: `python -m jaxcam.demo.train`.

About a minute and a quarter on two cores.
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

from ._network import WEIGHTS, DigitFinder, load, prepare, save
from ._scenes import Scenes, scenes

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


def train(*, seed: int = 0) -> DigitFinder:
    """A network trained on scenes of the train split, in evaluation mode."""
    model = DigitFinder(rngs=nnx.Rngs(seed))
    rng = np.random.default_rng(seed)
    model.train()
    for lesson in LESSONS:
        images, present = _pictures(lesson, rng)
        steps = len(images) // BATCH
        rate = optax.cosine_onecycle_schedule(steps * lesson.passes, 4e-3, pct_start=0.15)
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


def evaluate(model: DigitFinder, test: Scenes) -> dict[str, float]:
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


def main(path: Path = WEIGHTS) -> None:
    start = time.perf_counter()
    save(train(), path)
    print(f"trained in {time.perf_counter() - start:.0f} s, {path.stat().st_size / 1000:.0f} kB")
    for name, share in evaluate(load(path), scenes(1000, seed=1)).items():
        print(f"{name:>18} {share:6.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS)
