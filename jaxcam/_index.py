"""The index beside the maps: index.json and index.csv, and files that are whole or not there."""

import csv
import hashlib
import importlib.metadata
import io
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from . import __version__
from ._pictures import Failure


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes its name when it is complete; on an error `path` is as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with scratch.open("xb") as file:
            yield file
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def describe_weights(path: Path) -> dict[str, str]:
    """Path and sha256 of a checkpoint; of a folder, that of its files' names and digests."""
    if path.is_file():
        return {"weights": str(path), "sha256": _digest(path)}
    inside = sorted(each for each in path.rglob("*") if each.is_file())
    lines = "".join(f"{_digest(each)}  {each.relative_to(path).as_posix()}\n" for each in inside)
    return {"weights": str(path), "sha256": hashlib.sha256(lines.encode()).hexdigest()}


def versions() -> dict[str, str]:
    return {"jaxcam": __version__, **{name: importlib.metadata.version(name) for name in ("jax", "flax")}}


def write_index(
    out: Path, *, run: Mapping[str, Any], entries: Sequence[dict], failures: Sequence[Failure]
) -> None:
    """Writes index.json (the run, a record per picture) and index.csv (a row per map, complete in itself)."""
    failed = [{"picture": str(each.found.path), "reason": each.reason} for each in failures]
    content = {"run": dict(run), "pictures": list(entries), "failed": failed}
    with whole(out / "index.json") as file:
        file.write(json.dumps(content, indent=1, allow_nan=False).encode() + b"\n")
    rows = [_row(entry, each, run) for entry in entries for each in entry["maps"]]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0] if rows else ["picture"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with whole(out / "index.csv") as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))  # a file's name may be any bytes


def _row(entry: dict, target: dict, run: Mapping[str, Any]) -> dict[str, Any]:
    row = {"picture": entry["picture"], "overlay": target["overlay"], "map": target["map"]}
    row |= {"target": target["class"], "target_name": target["name"]}
    row |= {"score": target["score"], "probability": target["probability"], "note": target["note"]}
    for rank, each in enumerate(entry["predictions"], start=1):
        row |= {
            f"class_{rank}": each["class"],
            f"name_{rank}": each["name"],
            f"probability_{rank}": each["probability"],
        }
    return row | {key: value for key, value in run.items() if not isinstance(value, dict)}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
