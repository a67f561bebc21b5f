"""Batches for the device, read and preprocessed by threads ahead of it."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from ...models._preprocess import Preprocess
from ..sources._record import Record, Source, Unreadable, guarded


class Failed(NamedTuple):
    """A record that cannot be explained, and why; the digest is empty where its bytes could not be read."""

    path: str
    digest: bytes
    reason: str


class Batch(NamedTuple):
    """A batch of neighbours; the last of a data set is filled up with zeros.

    Attributes:
        start: number of its first record.
        images: preprocessed; zeros for those that failed and those that do not exist.
        records: one each for those that exist, without their pictures.
    """

    start: int
    images: Float[np.ndarray, "B *space C"]
    records: list[Record | Failed]


def feed(
    source: Source,
    preprocess: Preprocess | None,
    *,
    batch: int,
    indices_of_batches: Iterable[int],
    crop: bool,
    workers: int,
    ahead: int,
    shape: tuple[int, ...] = (),
) -> Generator[Batch, None, None]:
    """Batches `i` of records `i * batch` and on, in the order of `indices_of_batches`.

    Threads suffice: decoding, resizing and arithmetic let go of Python's lock, and a picture costs no more CPU than
    with Grain's threads or processes (benchmarks/results/feed.md). However the consumer ends, by `close`, by an
    exception or by an interrupt, what is being read is waited for and nothing more is begun.

    Args:
        batch: records in a batch.
        workers: threads. A source that is not safe to share needs 1.
        ahead: batches in memory at most, the one handed out included; 1 reads nothing ahead.
        preprocess: None for records that are arrays of this `shape`, `(*space, C)`, and are taken as they are.

    Raises:
        ValueError: `batch`, `workers` or `ahead` below 1.
        IndexError: a batch that does not exist, when its turn comes.
        OSError: the machine is short of open files or memory.
    """
    for name, value in (("batch", batch), ("workers", workers), ("ahead", ahead)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    shape = shape if preprocess is None else (preprocess.size, preprocess.size, 3)
    return _feed(source, preprocess, batch, indices_of_batches, crop, workers, ahead, shape)


def shape_of_records(source: Source) -> tuple[int, ...]:
    """The shape `(*space, C)` of the records of a source of arrays: the first one's."""
    try:
        picture = source[0].picture
    except Unreadable as error:
        raise ValueError(
            f"preprocess=None: the first record tells the shape of all, and it {error}"
        ) from error
    if not isinstance(picture, np.ndarray):
        raise ValueError(
            "preprocess=None is for arrays of floats (*space, C); these records are pictures, which need the model's "
            "preprocess="
        )
    return picture.shape


def _feed(source, preprocess, batch, indices, crop, workers, ahead, shape):
    pool = ThreadPoolExecutor(workers, thread_name_prefix="feed")
    waiting: deque[tuple[int, np.ndarray, list[Future]]] = deque()

    def begin(index: int) -> tuple[int, np.ndarray, list[Future]]:
        start, stop = index * batch, min((index + 1) * batch, len(source))
        if not 0 <= start < stop:
            raise IndexError(f"no batch {index}: {len(source)} records make {-(-len(source) // batch)}")
        images = np.zeros((batch, *shape), np.float32)
        work = (source, preprocess, crop)
        return start, images, [pool.submit(_fill, images[i - start], i, *work) for i in range(start, stop)]

    def finish(start: int, images: np.ndarray, futures: list[Future]) -> Batch:
        return Batch(start, images, [each.result() for each in futures])

    try:
        for index in indices:
            waiting.append(begin(index))
            if len(waiting) == ahead:
                yield finish(*waiting.popleft())
        while waiting:
            yield finish(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _fill(
    row: np.ndarray, i: int, source: Source, preprocess: Preprocess | None, crop: bool
) -> Record | Failed:
    try:
        with guarded():
            record = source[i]
    except Unreadable as error:
        return Failed(source.name(i), error.digest, str(error))
    try:
        with guarded():  # PIL decodes late, and its metadata later
            row[:] = _image(record.picture, preprocess, crop, row.shape)
    except Unreadable as error:
        refused = isinstance(error.__cause__, TypeError | ValueError)  # by `preprocess`, in words of its own
        return Failed(record.path, record.digest, str(error.__cause__ if refused else error))
    return record._replace(picture=None)


def _image(picture: Any, preprocess: Preprocess | None, crop: bool, shape: tuple[int, ...]) -> np.ndarray:
    if isinstance(picture, Image.Image):
        if preprocess is None:
            raise ValueError("is a picture, and pictures need preprocess=")
        return preprocess(picture, crop=crop)
    image = picture
    if image.shape != shape:
        raise ValueError(f"floats are taken as they are: the model wants {shape}, got {image.shape}")
    if not np.isfinite(image).all():
        raise ValueError("holds values that are not finite (NaN or infinity)")
    return image
