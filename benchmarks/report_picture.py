"""The picture of a report in the README: `python benchmarks/report_picture.py` (needs playwright and chromium).

Two methods over scenes of handwritten digits with the demo's network, opened in headless Chromium.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np

import jaxcam
from jaxcam import datasets, demo, models

METHODS = ("gradcam", "clustercam")
RESULT = Path(__file__).parent / "results" / "report.png"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def main() -> None:
    from playwright.sync_api import sync_playwright

    scenes = demo.scenes(120, seed=0)
    probe = jaxcam.probe(demo.load(), demo.LAYER)
    preprocess = models.Preprocess(resize=112, size=112, mean=(0.2,) * 3, std=(0.3,) * 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "scenes.npy", scenes.images)
        source = datasets.open(folder / "scenes.npy", labels=scenes.labels[:, 0])
        stores = [folder / f"{method}.zarr" for method in METHODS]
        for method, store in zip(METHODS, stores, strict=True):
            options = {"method": method, "targets": "label", "classes": DIGITS, "metrics": ["average_drop"]}
            datasets.run(
                source, probe, out=store, preprocess=preprocess, metadata={"model": "digits"}, **options
            )
        datasets.report(stores, folder / "report.html", title="Scenes of digits")
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto((folder / "report.html").as_uri())
            page.wait_for_timeout(1000)
            page.screenshot(path=RESULT)
            browser.close()


if __name__ == "__main__":
    main()
