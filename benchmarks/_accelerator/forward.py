"""The device's ceilings; the plain forward pass and Grad-CAM of each network, dtype and batch."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from .bench import Bench, Row, dtype_name, explained, plain

MODELS = ("resnet50", "vgg16", "convnext_tiny", "vit_b_16")
BF16, F32 = jnp.bfloat16, jnp.float32
# what matters most comes first: a part may run out of time
FULL = (
    (BF16, 128),
    (F32, 32),
    (BF16, 512),
    (F32, 128),
    (BF16, 1),
    (F32, 1),
    (BF16, 32),
    (F32, 512),
    (BF16, 8),
)
SMALL = ((BF16, 4), (F32, 1))


def ceilings(bench: Bench) -> Iterator[Row]:
    """The rate of a large matrix product and of a large copy, which the roofline is drawn from."""
    side, length = (512, 1 << 22) if bench.small else (8192, 1 << 28)
    for dtype, precision in ((BF16, "default"), (F32, "default"), (F32, "highest")):
        a, b = (jax.random.normal(jax.random.key(seed), (side, side), dtype) for seed in range(2))
        product = bench.compile(lambda a, b, precision=precision: jnp.matmul(a, b, precision=precision), a, b)
        seconds = float(np.median(bench.times({"product": product.call})["product"]))
        yield {
            "what": "matrix product",
            "dtype": dtype_name(dtype),
            "arithmetic": bench.arithmetic(dtype, precision),
            "TFLOP/s": round(2 * side**3 / seconds / 1e12, 3),
        }
    x = jax.random.normal(jax.random.key(0), (length,))
    copy = bench.compile(lambda x: x + 1, x)
    seconds = float(np.median(bench.times({"copy": copy.call})["copy"]))
    yield {"what": "copy", "GB/s": round(2 * x.nbytes / seconds / 1e9, 1)}


def part(model: str) -> Callable[[Bench], Iterator[Row]]:
    """Plain forward passes and Grad-CAM of one network, by turns."""

    def rows(bench: Bench) -> Iterator[Row]:
        for dtype, batch in SMALL if bench.small else FULL:
            bench.check_time(f"{dtype_name(dtype)} at batch {batch}")
            probe, name, size = bench.probe(model, dtype)
            images = bench.images(batch, size, dtype)
            targets = np.arange(batch, dtype=np.int32) % 10
            programs = {
                "forward": bench.compile(plain, probe, images),
                "gradcam": bench.compile(explained("gradcam", targets), probe, images),
            }
            times = bench.times({what: program.call for what, program in programs.items()})
            for what, program in programs.items():
                seconds = float(np.median(times[what]))
                yield {
                    "model": name,
                    "dtype": dtype_name(dtype),
                    "arithmetic": bench.arithmetic(dtype),
                    "batch": batch,
                    "what": what,
                    "ms": round(1e3 * seconds, 3),
                    "images/s": round(batch / seconds, 1),
                    "over forward": round(float(np.median(times[what] / times["forward"])), 3),
                    **program.row,
                }

    return rows
