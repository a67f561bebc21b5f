"""What an accelerator makes of it, in parts of less than a minute: `python benchmarks/accelerator.py`.

Each part keeps its rows in a file of JSON lines; a part that is done there for this device is skipped, so a run that was
ended early goes on. At the end come a page and a roofline. On a machine without a GPU or TPU the sizes are small, and
every row says so: such rows show that the parts run, and tell nothing of an accelerator. `--small` asks for the same.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from _accelerator import explaining, forward, measuring, page, peers, running
from _accelerator.bench import Bench, OutOfTime, Row

RESULTS = Path(__file__).parent / "results"
PARTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "ceilings": forward.ceilings,
    **{f"forward: {name}": forward.part(name) for name in forward.MODELS},
    "methods": explaining.methods,
    "masks": explaining.masks,
    "synchronisation": explaining.synchronisation,
    "k-means": measuring.kmeans,
    "metrics": measuring.metrics,
    "peers": peers.peers,
    "run: arrays": running.arrays,
    "run: pictures": running.pictures,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--small", action="store_true", help="Small sizes, also where there is an accelerator."
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--rows", type=Path, default=RESULTS / "accelerator.jsonl")
    parser.add_argument("--page", type=Path, default=RESULTS / "accelerator.md")
    options = parser.parse_args(arguments)
    bench = Bench(small=options.small)
    for name in options.parts:
        if not done(options.rows, name, bench):
            run(name, bench, options.rows)
    page.write(options.page, read(options.rows))


def run(name: str, bench: Bench, file: Path) -> None:
    """Runs one part, and keeps its rows once it has ended. What fails is a row too."""
    began, rows = bench.start(), []
    try:
        for row in PARTS[name](bench):
            rows.append(row)
            print(name, json.dumps(row), flush=True)
    except OutOfTime as error:
        rows.append({"not run": str(error)})
        print(name, rows[-1], flush=True)
    except Exception as error:  # the other parts still tell something
        rows.append({"failed": f"{type(error).__name__}: {str(error)[:300]}"})
        print(name, rows[-1], flush=True)
    took, load = round(time.perf_counter() - began, 1), round(os.getloadavg()[0], 1)
    about = {"part": name, **bench.about, "part took (s)": took, "load average": load}
    # rows of an earlier attempt that failed go
    kept = [row for row in read(file) if row["part"] != name or not bench.about.items() <= row.items()]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in [*kept, *(about | row for row in rows)]))


def done(file: Path, name: str, bench: Bench) -> bool:
    mine = [row for row in read(file) if row["part"] == name and bench.about.items() <= row.items()]
    return bool(mine) and not any("failed" in row for row in mine)


def read(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


if __name__ == "__main__":
    main()
