"""Threads or Grain for reading pictures: `python benchmarks/feed.py` (needs the data extra).

JPEGs of ImageNet's usual size become batches of 32 for a network: read, hashed, decoded, resized, cropped, normalised.
Every way does the same work of the same functions, in turn within one process, round after round. Rates and CPU time
leave out the first batches; CPU time is that of this process and its children, and tells costs even where other
programs share the machine.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from jaxcam import datasets, models
from jaxcam.datasets.running._feed import feed
from jaxcam.files._decode import decode_file

BATCH, AHEAD, WARM = 32, 3, 4  # WARM: batches before the clock starts, so that all processes run
PREPROCESS = models.preprocess("resnet50")


def synthetic(folder: Path, count: int) -> None:
    """JPEGs of 500 x 375 pixels and about 80 kB, much as ImageNet's are: colours, edges and grain."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = rng.integers(0, 256, (30, 40, 3), np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC), np.float32)
        pixels = (smooth + rng.normal(0, 14, smooth.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04d}.jpg", quality=87)


def real(folder: Path, count: int) -> None:
    """Links to the real pictures, again and again."""
    there = sorted((Path(os.environ["JAXCAM_TEST_DATA"]) / "images").glob("*.JPEG"))
    for number in range(count):
        (folder / f"{number:04d}.jpg").symlink_to(there[number % len(there)].resolve())


def by_threads(source, workers: int) -> Iterator[np.ndarray]:
    indices = range(len(source) // BATCH)
    for batch in feed(
        source,
        PREPROCESS,
        batch=BATCH,
        indices_of_batches=indices,
        crop=True,
        workers=workers,
        ahead=AHEAD,
    ):
        yield batch.images


def grain_dataset(source):
    import grain

    return grain.MapDataset.range(len(source)).map(lambda i: PREPROCESS(source[i].picture))


def by_grain_threads(source, workers: int) -> Iterator[np.ndarray]:
    import grain

    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=(AHEAD - 1) * BATCH)
    return iter(grain_dataset(source).to_iter_dataset(options).batch(BATCH, drop_remainder=True))


def by_grain_processes(source, workers: int) -> Iterator[np.ndarray]:
    import grain

    reading = grain.ReadOptions(num_threads=1, prefetch_buffer_size=BATCH)
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1)
    batches = grain_dataset(source).batch(BATCH, drop_remainder=True)
    return iter(batches.to_iter_dataset(reading).mp_prefetch(options))


WAYS: dict[str, tuple[Callable, int]] = {
    **{f"feed, {n} thread{'s' * (n > 1)}": (by_threads, n) for n in (1, 2, 4)},
    "grain, 2 threads": (by_grain_threads, 2),
    **{f"grain, {n} process{'es' * (n > 1)}": (by_grain_processes, n) for n in (1, 2)},
}


def used() -> float:
    """Seconds of CPU that this process and its children have taken."""
    pids = ["self", *(each.pid for each in multiprocessing.active_children())]
    # of the fields after the name in brackets, 12 and 13 are the user's and the system's ticks
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


def once(way: Callable, source, workers: int) -> tuple[float, float, float]:
    """Pictures a second, milliseconds of CPU a picture, and seconds until the first batch."""
    began = time.perf_counter()
    batches = way(source, workers)
    next(batches)
    first = time.perf_counter() - began
    for _ in range(WARM - 1):
        next(batches)
    count, began, before = 0, time.perf_counter(), used()
    for _ in range(len(source) // BATCH - WARM):
        count += len(next(batches))
    rate, cpu = count / (time.perf_counter() - began), 1e3 * (used() - before) / count
    return rate, cpu, first


def steps(source, count: int = 100) -> dict[str, float]:
    """Milliseconds a picture of each step, in one thread."""
    paths = [os.path.join(source.location, source.name(i)) for i in range(min(count, len(source)))]
    calls = {
        "read": lambda path: Path(path).read_bytes(),
        "read, hash, decode": lambda path: decode_file(path).picture,
        "resize and crop": lambda picture: PREPROCESS.view(picture),
        "resize, crop, normalise": lambda picture: PREPROCESS(picture),
    }
    pictures = [decode_file(path).picture for path in paths]
    took = {}
    for name, call in calls.items():
        began = time.thread_time()
        for each in pictures if "resize" in name else paths:
            call(each)
        took[name] = 1e3 * (time.thread_time() - began) / len(paths)
    return took


def measure(name: str, make: Callable, options) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), options.pictures)
        source = datasets.open(folder)
        size = statistics.mean(os.path.getsize(Path(folder, source.name(i))) for i in range(len(source)))
        found = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way, (call, workers) in WAYS.items():
                found[way].append(once(call, source, workers))
        yield f"## {name}: {len(source)} pictures of {size / 1024:.0f} kB"
        yield ""
        yield "| | images/s (lowest–highest) | CPU ms an image | first batch after (s) |"
        yield "|---|---:|---:|---:|"
        for way, rounds in found.items():
            rates, cpu, first = zip(*rounds, strict=True)
            yield (
                f"| {way} | {statistics.median(rates):.0f} ({min(rates):.0f}–{max(rates):.0f}) "
                f"| {statistics.median(cpu):.1f} | {statistics.median(first):.1f} |"
            )
        yield ""
        yield "Milliseconds of CPU an image, one thread: " + ", ".join(
            f"{step} {took:.2f}" for step, took in steps(source).items()
        )
        yield ""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "feed.md")
    options = parser.parse_args()
    import grain
    from absl import flags

    flags.FLAGS.mark_as_parsed()  # grain's processes ask for flags that only an absl program has read
    kinds = {"Synthetic JPEGs, 500 x 375": synthetic}
    if os.environ.get("JAXCAM_TEST_DATA"):
        kinds["Real pictures of ImageNet"] = real
    lines = [
        "# Reading pictures: threads or Grain",
        "",
        f"`python benchmarks/feed.py`: {os.cpu_count()} cores, Python {sys.version.split()[0]}, Pillow {Image.__version__}, "
        f"grain {grain.__version__}; batches of {BATCH} for a network of {PREPROCESS.size} x {PREPROCESS.size}, "
        f"{options.rounds} rounds in turn, medians. Other programs ran beside it: load average {os.getloadavg()[0]:.0f}.",
        "",
    ]
    for name, make in kinds.items():
        for line in measure(name, make, options):
            print(line, flush=True)
            lines.append(line)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
