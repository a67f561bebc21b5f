"""A run over a small network and small pictures, in this process or, as a script, in one of its own.

python small_run.py PICTURES.npy STORE '{"batch": 2}'
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

SIDE = 12
TESTS = Path(__file__).parents[1]


def pictures(count: int = 11, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def run(source, out, **options):
    """`datasets.run` of a small network; two pictures a batch, maps as float32."""
    from nets import small

    from jaxcam import datasets
    from jaxcam.models._preprocess import Preprocess

    probe = small(seed=options.pop("seed", 0))
    given = {"preprocess": Preprocess(resize=SIDE, size=SIDE), "batch": 2, "maps_dtype": "float32"}
    return datasets.run(source, probe, out=out, **given | options)


def digests(out) -> dict[str, str]:
    """The digest of every array."""
    from jaxcam import datasets

    store = datasets.open_store(out)
    return {
        name: hashlib.sha256(
            repr(list(values)).encode() if values.dtype == object else values.tobytes()
        ).hexdigest()
        for name in store.names
        for values in [store.read(name)]
    }


def start(source: Path, out: Path, *, devices: int = 1, **options) -> subprocess.Popen:
    """The run in a process of its own, whose standard output ends with the summary as JSON."""
    environment = os.environ | {
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(out.parent / "compiled"),  # the processes of a test compile once
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, __file__, str(source), str(out), json.dumps(options)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen) -> dict:
    """Its summary."""
    try:
        output, error = process.communicate(timeout=300)  # a busy machine takes its time to start one
    finally:
        process.kill()
    assert process.returncode == 0, error
    return json.loads(output.splitlines()[-1])


def main() -> None:
    source, out, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    hosts = options.pop("hosts", None)
    if hosts is not None:
        from jaxcam.cli._hosts import join

        options["process"], options["processes"] = join(distributed=False, **hosts)
    print(json.dumps(run(source, out, **options)._asdict()))


if __name__ == "__main__":
    main()
