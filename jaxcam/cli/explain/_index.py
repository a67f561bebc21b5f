"""The index beside the maps: index.json and index.csv, written completely or not at all."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...files._pictures import Failure
from ...files._whole import whole


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
