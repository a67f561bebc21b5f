"""A file of rows, one JSON object a line, that grows as a sweep goes on."""

import json
from pathlib import Path


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append(path: Path, about: dict, labels, figures) -> None:
    """A row for each setting: what is common, its label, its figures."""
    with path.open("a") as file:
        for label, row in zip(labels, figures, strict=True):
            file.write(json.dumps(about | {"setting": label} | row) + "\n")
