"""Writes surface.json and surface.zip: names, commands and formats of the code that is imported, and files it made.

    PYTHONPATH=OLD:tests python tests/goldens/make_surface.py

OLD is a checkout of commit cc4a5fb, the last before the package was cut into folders. tests/test_surface.py compares
the code of today with the list, and opens the store and the export that are in the zip file.
"""

import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import surface

import jaxcam

FILE = Path(__file__).with_name("surface.json")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = {each: surface.write_store(folder, each) for each in surface.STORES}
        export = surface.write_export(folder)
        described = {
            "names": surface.names(),
            "commands": surface.commands(),
            "stores": surface.stores(folder),
            "exports": surface.exports(folder),
        }
        FILE.write_text("{\n" + ",\n".join(_lines(described)) + "\n}\n")
        for each, store in written.items():
            np.save(folder / each / "maps.npy", jaxcam.datasets.open_store(store)["maps"])
        np.save(folder / "maps.npy", np.asarray(jaxcam.restore(export)(surface.image()[None])[0]))
        with zipfile.ZipFile(FILE.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as made:
            for each in sorted(each for each in folder.rglob("*") if each.is_file()):
                made.write(each, each.relative_to(folder))
    for each in (FILE, FILE.with_suffix(".zip")):
        print(f"{each}: {each.stat().st_size} bytes")


def _lines(described: dict) -> Iterator[str]:
    """JSON with a line for each name, so that a change can be read."""
    for part, groups in described.items():
        groups = [
            f" {json.dumps(group)}: {{\n"
            + ",\n".join(f"  {json.dumps(name)}: {json.dumps(each)}" for name, each in found.items())
            + "\n }"
            for group, found in groups.items()
        ]
        yield f"{json.dumps(part)}: {{\n" + ",\n".join(groups) + "\n}"


if __name__ == "__main__":
    main()
