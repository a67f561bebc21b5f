"""Two runs into one store, started in the same instant: `python benchmarks/double_starts.py`.

Two processes are up and have compiled; in each round they begin at the same moment. With different settings (the
methods Grad-CAM and HiResCAM) exactly one store has to come out, of one setting, and the other process has to be refused.
With equal settings both have to end well, or one has to say that the other runs. In every round the whole store is
compared with that of a run that was alone.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
METHODS = ("gradcam", "hirescam")
AHEAD = 0.05  # seconds until both begin


def worker() -> None:
    """Reads a line with a store, a method and a time; runs at that time, and writes a line on how that ended."""
    import numpy as np

    import jaxcam
    from jaxcam import datasets
    from jaxcam.models._preprocess import Preprocess

    side, kinds = 8, 4
    weights = np.random.default_rng(0).normal(size=(3, kinds)).astype(np.float32)

    def logits(weights, images):
        return jaxcam.tap(images @ weights, "pixels").max(axis=(1, 2))

    probe = jaxcam.probe(logits, "pixels", variables=weights)
    pictures = np.random.default_rng(1).integers(0, 256, (12, side, side, 3), np.uint8)
    for line in sys.stdin:
        order = json.loads(line)
        while time.time() < order["at"]:
            pass
        try:
            summary = datasets.run(
                pictures,
                probe,
                out=order["out"],
                method=order["method"],
                preprocess=Preprocess(resize=side, size=side),
                batch=2,
                workers=1,
            )
            answer = {"done": summary.done}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def start() -> subprocess.Popen:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        [sys.executable, __file__, "--worker"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def together(workers: list[subprocess.Popen], out: Path, methods: tuple[str, ...]) -> list[dict]:
    """How the runs of the first workers end, one for each method."""
    at = time.time() + AHEAD
    pairs = list(zip(workers, methods, strict=False))
    for process, method in pairs:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"out": str(out), "method": method, "at": at}) + "\n")
        process.stdin.flush()
    return [json.loads(process.stdout.readline()) for process, _ in pairs if process.stdout is not None]


def content(out: Path) -> str:
    """sha256 of all files, but for the logs and what says when it was made."""
    digest = hashlib.sha256()
    for path in sorted(each for each in out.rglob("*") if each.is_file()):
        name = path.relative_to(out).as_posix()
        if name != "zarr.json" and not name.startswith("log-"):
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def method_of(out: Path) -> str:
    return json.loads((out / "zarr.json").read_text())["attributes"]["jaxcam"]["method"]


def wrong(answers: list[dict], out: Path, methods: tuple[str, ...], alone: dict[str, str]) -> str:
    """What is not as it has to be after a round; "" where all is well."""
    made = method_of(out)
    if content(out) != alone[made]:
        return f"the store says {made}, and holds something else than such a run alone"
    for answer, method in zip(answers, methods, strict=True):
        error = answer.get("error", "")
        refused = "was made with other settings" in error if method != made else "another run" in error
        if error and not refused:
            return f"{method}: {error}"
        if not error and method != made:
            return f"{method} ended well in a store of {made}"
    return "" if any("done" in answer for answer in answers) else "neither run ended well"


def rounds(workers: list[subprocess.Popen], count: int, scratch: Path) -> list[tuple[str, list[str], int]]:
    """For different and for equal settings: in words, what went wrong, and in how many rounds both ended well."""
    alone = {}
    for method in METHODS:
        for number, process in enumerate(workers):  # both compile
            (answer,) = together([process], scratch / f"alone-{method}-{number}", (method,))
            assert answer == {"done": 12}, answer
        alone[method] = content(scratch / f"alone-{method}-0")
    found = []
    for words, methods in (("different", METHODS), ("equal", METHODS[:1] * 2)):
        faults, both = [], 0
        for number in range(count):
            out = scratch / f"{words}-{number}"
            order = methods if number % 2 else methods[::-1]
            answers = together(workers, out, order)
            fault = wrong(answers, out, order, alone)
            faults += [f"round {number}: {fault}"] * bool(fault)
            both += all("done" in answer for answer in answers)
        found.append((words, faults, both))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "double_starts.md")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker()
        return
    workers = [start(), start()]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            found = rounds(workers, options.rounds, Path(scratch))
    finally:
        for process in workers:
            process.kill()
            process.wait()
    lines = [
        "# Double starts",
        "",
        f"`python benchmarks/double_starts.py`, {options.rounds} rounds each: two processes begin to run into one store "
        "in the same instant. Right: exactly one store, of one setting, equal to that of a run alone in every byte; "
        "with equal settings both end well, or one says that the other runs.",
        "",
        "| settings | right | both ended well |",
        "| --- | ---: | ---: |",
        *(
            f"| {words} | {options.rounds - len(f)} of {options.rounds} | {both} |"
            for words, f, both in found
        ),
    ]
    options.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines[6:]))
    faults = [fault for _, each, _ in found for fault in each]
    print("\n".join(faults[:20]))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
