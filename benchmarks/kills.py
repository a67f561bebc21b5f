"""`jaxcam run`, killed again and again and resumed, beside an undisturbed run: `python benchmarks/kills.py`.

Every other kill comes at any moment of the start (imports, weights, compiling), the others within half a second of
the first batch that the process writes. In the end every file of both stores is compared, but for the log and the
group's metadata, which hold times.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
from datasets import repeat

APART = ("zarr.json", "log-0.jsonl")


def command(options: argparse.Namespace, source: Path, out: Path) -> list[str]:
    weights = options.data / "weights" / f"{options.network}.pth"
    given = ["--model", options.network, "--weights", str(weights), "--batch", str(options.batch)]
    return [sys.executable, "-m", "jaxcam", "run", str(source), *given, "--out", str(out)]


def written(out: Path) -> int:
    folder = out / "status" / "c"
    return sum(each.name.isdecimal() for each in folder.iterdir()) if folder.is_dir() else 0


def kill(run: list[str], out: Path, *, startup: float | None) -> bool:
    """Starts the run and kills it; false where it ended before."""
    before = written(out)
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if startup is not None:
        time.sleep(random.uniform(0, startup))
    else:
        while process.poll() is None and written(out) == before:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.5))
    process.kill()
    return process.wait() != 0


def files(out: Path) -> dict[str, bytes]:
    found = (path for path in out.rglob("*") if path.is_file())
    held = {path.relative_to(out).as_posix(): path.read_bytes() for path in found}
    return {name: text for name, text in held.items() if name not in APART}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("JAXCAM_TEST_DATA", "data")))
    parser.add_argument("--network", default="squeezenet1_1")
    parser.add_argument("--records", type=int, default=2001)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "kills.md")
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        source = repeat(
            sorted((options.data / "images").iterdir()), options.records, Path(scratch, "pictures")
        )
        whole, disturbed = Path(scratch, "whole.zarr"), Path(scratch, "disturbed.zarr")
        began = time.monotonic()
        undisturbed = subprocess.Popen(command(options, source, whole), stdout=subprocess.DEVNULL)
        while undisturbed.poll() is None and written(whole) == 0:
            time.sleep(0.01)
        startup = time.monotonic() - began
        if undisturbed.wait() != 0:
            raise SystemExit("the undisturbed run failed")
        run = command(options, source, disturbed)
        counts = []
        for number in range(options.kills):
            killed = kill(run, disturbed, startup=startup if number % 2 == 0 else None)
            counts.append(written(disturbed))
            print(f"kill {number + 1}: {counts[-1]} batches are done", flush=True)
            if not killed:
                raise SystemExit("the run ended before it was killed: give more --records")
        subprocess.run(run, check=True)
        expected, found = files(whole), files(disturbed)
        different = sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        )
    verdict = "the same, byte for byte" if not different else f"different: {', '.join(different[:5])}"
    lines = [
        "# Kills",
        "",
        f"`python benchmarks/kills.py`: {options.network}, {options.records} records, batches of {options.batch}, "
        f"jax {jax.__version__}, {jax.default_backend()}.",
        "",
        f"{options.kills} SIGKILLs, {options.kills // 2} of them while batches were written, then a run to the end. "
        f"Batches done after each: {', '.join(map(str, counts))}.",
        "",
        f"The {len(expected)} files of the store and of an undisturbed run's are {verdict}.",
    ]
    options.out.write_text("\n".join(lines) + "\n")
    print(lines[-1])
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
