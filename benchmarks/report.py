"""How long a report takes to write and to load, and how large it is: pictures of a folder, repeated under new names.

    python benchmarks/report.py PICTURES --weights squeezenet1_1.pth [--counts 1000 5000]

writes benchmarks/results/report.md. Needs playwright and chromium.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

METHODS = ("gradcam", "layercam")
RESULT = Path(__file__).parent / "results" / "report.md"
WRITE = """
import json, resource, sys, time
from jaxcam import datasets
start = time.perf_counter()
written = datasets.report(sys.argv[3:], sys.argv[1], budget=float(sys.argv[2]))
seconds = time.perf_counter() - start
print(json.dumps([seconds, written.size, written.pictures, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def repeat(pictures: Path, count: int, folder: Path) -> None:
    """`count` pictures in `folder`: links to the files, a hundred in a folder."""
    files = sorted(each for each in pictures.iterdir() if each.is_file())
    for number in range(count):
        file = files[number % len(files)]
        link = folder / f"{number // 100:03}" / f"{number:05}_{file.name}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.resolve())


def make_store(pictures: Path, weights: Path, method: str, out: Path) -> None:
    """Maps at the layer's size: what the report reads is then mostly the pictures."""
    command = [sys.executable, "-m", "jaxcam", "run", str(pictures), "--model", "squeezenet1_1"]
    command += ["--weights", str(weights), "--method", method, "--stored", "layer", "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write(out: Path, budget: float, stores: Sequence[Path]) -> tuple[float, int, int, int]:
    """Seconds, bytes, pictures and the peak of memory in KiB, in a process of its own."""
    command = [sys.executable, "-c", WRITE, str(out), str(budget), *map(str, stores)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def load(page: Path) -> tuple[float, float, int]:
    """Seconds until the page stands, milliseconds of a sort of all its records, and cards in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        start = time.perf_counter()
        opened.goto(page.as_uri())
        seconds = time.perf_counter() - start
        sort = """() => { const select = document.getElementById("sort"); const start = performance.now();
            select.value = "score"; select.dispatchEvent(new Event("change")); return performance.now() - start; }"""
        milliseconds = opened.evaluate(sort)
        cards = opened.locator(".card").count()
        browser.close()
    return seconds, milliseconds, cards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 5000])
    arguments = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        for count in arguments.counts:
            folder = Path(scratch, str(count))
            repeat(arguments.pictures, count, folder / "pictures")
            stores = [folder / f"{method}.zarr" for method in METHODS]
            for method, store in zip(METHODS, stores, strict=True):
                make_store(folder / "pictures", arguments.weights, method, store)
            for used in (stores[:1], stores):
                for budget in (14, 28) if count > 2000 else (14,):
                    seconds, size, pictures, memory = write(folder / "report.html", budget, used)
                    loaded, sorted_in, cards = load(folder / "report.html")
                    lines.append(
                        f"| {count:,} | {len(used)} | {budget} | {seconds:.1f} | {size / 1e6:.1f} | {memory / 1024:.0f} "
                        f"| {loaded:.2f} | {sorted_in:.0f} | {cards} |"
                    )
                    print(lines[-1], flush=True)
                    assert pictures == count
    RESULT.write_text(
        "# `jaxcam report`: time, size, memory\n\n"
        f"{len(list(arguments.pictures.iterdir()))} photographs repeated under new names, SqueezeNet 1.1, maps of "
        f"{' and '.join(METHODS)} at the layer's size (13 × 13), {os.cpu_count()} CPU cores. The page is opened in headless "
        "Chromium at 1400 × 900;\nloading ends when the first cards stand. By `benchmarks/report.py`.\n\n"
        "| pictures | stores | budget, MB | written in, s | size, MB | peak memory, MiB | loaded in, s | sorted in, ms "
        "| cards in the page |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
