"""The demo's methods over the plain forward pass, masks by chunk, and whether the host waits within a batch."""

import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxcam
from jaxcam._request import bind
from jaxcam.demo._run import METHODS

from .bench import Bench, Row, dtype_name, explained, plain

MASKED = ("scorecam", "clustercam", "ablationcam", "abscam")
FORWARD = "forward"


def methods(bench: Bench) -> Iterator[Row]:
    """The demo's methods without masks, of one batch, each beside the plain forward pass."""
    dtype, batch = jnp.bfloat16, 4 if bench.small else 128
    probe, name, size = bench.probe("resnet50", dtype)
    images, targets = bench.images(batch, size, dtype), np.arange(batch, dtype=np.int32) % 10
    forward = bench.compile(plain, probe, images)
    for method in METHODS:
        if method in MASKED:
            continue
        bench.check_time(method)
        program = bench.compile(explained(method, targets), probe, images)
        times = bench.times({FORWARD: forward.call, method: program.call})
        seconds = float(np.median(times[method]))
        yield {
            "model": name,
            "dtype": dtype_name(dtype),
            "arithmetic": bench.arithmetic(dtype),
            "batch": batch,
            "what": method,
            "ms": round(1e3 * seconds, 3),
            "images/s": round(batch / seconds, 1),
            "over forward": round(float(np.median(times[method] / times[FORWARD])), 3),
            **program.row,
        }


def masks(bench: Bench) -> Iterator[Row]:
    """Masked methods of one picture by chunk; their rate of forward passes over that of plain ones."""
    dtype = jnp.bfloat16
    probe, name, size = bench.probe("resnet50", dtype)
    image = bench.images(1, size, dtype)
    many = bench.images(16 if bench.small else 256, size, dtype)
    forward = bench.compile(plain, probe, many)
    alone = float(np.median(bench.times({FORWARD: forward.call})[FORWARD])) / len(many)
    channels = jax.eval_shape(lambda p, x: p(x)[1], probe, image[0]).shape[-1]
    passes = {"scorecam": channels + 1, "abscam": channels + 1, "clustercam": min(28, channels) + 1}
    chunks = (16,) if bench.small else (16, 64, 256, 1024)
    wanted = [("scorecam", None), *(("scorecam", chunk) for chunk in chunks)]
    wanted += [("clustercam", None), ("ablationcam", None), ("clustercam", chunks[0])]
    wanted += [("ablationcam", chunk) for chunk in chunks] + [("abscam", None)]
    for method, chunk in wanted:
        bench.check_time(f"{method} by {chunk}")
        taken = dict(bind(probe, image, None, method=method, options={}, chunk=chunk).static.options)["chunk"]
        program = bench.compile(explained(method, [3], chunk=taken), probe, image)
        seconds = float(np.median(bench.times({method: program.call}, rounds=3)[method]))
        row = {
            "model": name,
            "dtype": dtype_name(dtype),
            "arithmetic": bench.arithmetic(dtype),
            "what": method,
            "chunk": taken,
            "by default": chunk is None,
            "ms": round(1e3 * seconds, 3),
            "over forward": round(seconds / alone, 2),
        }
        if method in passes:  # the others run the head alone
            row["of plain rate"] = round(passes[method] * alone / seconds, 3)
        yield row | program.row


def synchronisation(bench: Bench) -> Iterator[Row]:
    """Does the host wait within a batch? Calls back, transfers, and how soon `explain` returns."""
    dtype, batch = jnp.bfloat16, 4 if bench.small else 128
    probe, name, size = bench.probe("resnet50", dtype)
    images, targets = bench.images(batch, size, dtype), jnp.arange(batch, dtype=jnp.int32) % 10
    device = {"model": name, "dtype": dtype_name(dtype), "batch": batch}
    run = jax.jit(lambda p, x, t: jaxcam.explain(p, x, t, method="gradcam"))
    compiled = run.lower(probe, images, targets).compile()
    found = re.findall(r"infeed|outfeed|\bsend\b|\brecv\b|callback", compiled.as_text())
    jax.block_until_ready(compiled(probe, images, targets))
    with jax.transfer_guard("disallow"):
        jax.block_until_ready(compiled(probe, images, targets))
    yield device | {
        "what": "compiled program",
        "calls to the host": len(found),
        "transfers refused": "none met",
    }

    calls = 5
    explain = lambda: jaxcam.explain(probe, images, targets, method="gradcam")  # noqa: E731
    jax.block_until_ready(explain())
    began = time.perf_counter()
    results = [explain() for _ in range(calls)]
    returned = time.perf_counter() - began
    jax.block_until_ready(results)
    ready = time.perf_counter() - began
    yield device | {
        "what": f"{calls} calls of explain",
        "returned (ms)": round(1e3 * returned, 2),
        "ready (ms)": round(1e3 * ready, 2),
    }
    yield device | {
        "what": "profile of 5 batches",
        **_copies(lambda: [compiled(probe, images, targets) for _ in range(5)]),
    }


def _copies(call) -> Row:
    """Copies between host and device that a profile of a call shows, on the device's own timeline."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(call())
        (file,) = Path(folder).rglob("*.xplane.pb")
        planes = jax.profiler.ProfileData.from_file(str(file)).planes
        names = [
            e.name
            for plane in planes
            if "GPU" in plane.name or "TPU" in plane.name
            for line in plane.lines
            for e in line.events
        ]
    if not names:
        return {"not run": "the profile has no timeline of the device"}
    copies = [name for name in names if re.search("memcpyd2h|memcpyh2d", name, re.IGNORECASE)]
    return {"events on the device": len(names), "copies from or to the host": len(copies)}
