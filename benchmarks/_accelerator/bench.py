"""What the parts share: sizes, networks, compiled programs, and times."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import jaxcam
from jaxcam import models
from jaxcam.models._registry import TABLE
from jaxcam.probes._flops import flops

Row = dict[str, Any]
PART = 50.0  # seconds after which a part of full sizes begins nothing more
ROUND = 0.05  # seconds that one round of a call lasts at least, on an accelerator
# what stands for a network among small sizes: another one, or its own family with these options
STAND_INS = {"resnet50": ("cifar_resnet20", 32), "vgg16": ("squeezenet1_1", 64)}
SHRUNK = {
    "convnext_tiny": ({"depths": (1, 1, 1, 1), "widths": (16, 32, 48, 64)}, "features"),
    "vit_b_16": (
        {"image_size": 32, "patch": 8, "depth": 2, "width": 64, "heads": 4, "hidden": 128},
        "encoder.layers.encoder_layer_1.ln_1",
    ),
}


class OutOfTime(Exception):
    """The part's minute is over."""


class Program(NamedTuple):
    """A compiled call and what is known of it.

    Attributes:
        call: starts it on the arguments it was compiled for.
        row: seconds to compile, memory in MB (arguments, results and temporaries), GFLOP, GB read and written.
    """

    call: Callable[[], Any]
    row: Row


class Bench:
    """The device, the sizes, and the time that is left to a part.

    Attributes:
        about: what every row says: device, JAX, sizes, and that there was no accelerator where there was none.
    """

    def __init__(self, *, small: bool):
        self.device = jax.devices()[0]
        self.accelerator = self.device.platform != "cpu"
        self.small = small or not self.accelerator
        self.gpu = self.device.platform == "gpu"
        self.about: Row = {
            "device": self.device.device_kind,
            "sizes": "small" if self.small else "full",
            "jax": jax.__version__,
        }
        if not self.accelerator:
            self.about["note"] = "no accelerator was there"
        jax.config.update("jax_enable_compilation_cache", False)  # or times to compile would be those to read

    def start(self) -> float:
        self.began = time.perf_counter()
        return self.began

    def check_time(self, what: str) -> None:
        if not self.small and time.perf_counter() - self.began > PART:
            raise OutOfTime(f"{what} and what follows: the part's time was over")

    def probe(self, name: str, dtype: Any = jnp.float32) -> tuple[jaxcam.Probe, str, int]:
        """A network with random weights at its default layer; its name and the side of its pictures."""
        size, given = 224, {"dtype": dtype, "param_dtype": dtype}
        if self.small and name in SHRUNK:
            architecture, (options, layer) = TABLE[name], SHRUNK[name]
            model = architecture.model(
                num_classes=10, rngs=nnx.Rngs(0), **given, **{**architecture.options, **options}
            )
            return jaxcam.probe(model, layer), f"{name}, shrunk", 32
        if self.small:
            name, size = STAND_INS[name]
        return jaxcam.probe(models.build(name, **given), models.default_layer(name)), name, size

    def images(self, count: int, size: int, dtype: Any = jnp.float32) -> jax.Array:
        # random, since a GPU computes faster on zeros
        return jax.random.normal(jax.random.key(count), (count, size, size, 3), dtype)

    def arithmetic(self, dtype: Any, precision: str = "default") -> str:
        """How products are computed, in words."""
        if jnp.dtype(dtype) == jnp.bfloat16:
            return "bfloat16"
        if not self.accelerator or precision == "highest":
            return "float32"
        return "TF32" if self.gpu else "bfloat16 products of float32"

    def compile(self, function: Callable, *arguments: Any) -> Program:
        began = time.perf_counter()
        compiled = jax.jit(function).lower(*arguments).compile()
        seconds = time.perf_counter() - began
        memory, cost = compiled.memory_analysis(), compiled.cost_analysis() or {}
        parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
        row = {
            "compile (s)": round(seconds, 2),
            "memory (MB)": round(sum(getattr(memory, part, 0) for part in parts) / 1e6, 1),
            "GFLOP": round(flops(function, *arguments) / 1e9, 3),
            "GB moved": round(cost.get("bytes accessed", 0) / 1e9, 4),
        }
        return Program(lambda: compiled(*arguments), row)

    def times(self, calls: dict[str, Callable], *, rounds: int = 5) -> dict[str, np.ndarray]:
        """Seconds of each call, by rounds in which they take turns.

        A call is started often enough to fill a round before the host waits, as a loop over batches would.
        """
        often = {}
        for name, call in calls.items():
            jax.block_until_ready(call())
            once = _seconds(call, 1)
            often[name] = max(1, min(200, int(ROUND / once))) if self.accelerator else 1
        found: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(2 if self.small else rounds):
            for name, call in calls.items():
                found[name].append(_seconds(call, often[name]))
        return {name: np.array(each) for name, each in found.items()}


def _seconds(call: Callable, often: int) -> float:
    began = time.perf_counter()
    jax.block_until_ready([call() for _ in range(often)][-1])
    return (time.perf_counter() - began) / often


def explained(method: str, targets: Sequence[int] | np.ndarray, **options: Any) -> Callable:
    """`explain` as a function of a probe and images, to be compiled."""
    return lambda probe, images: jaxcam.explain(probe, images, targets, method=method, **options)


def plain(probe: jaxcam.Probe, images: jax.Array) -> jax.Array:
    """The plain forward pass of a batch."""
    return jax.vmap(lambda image: probe(image)[0])(images)


def dtype_name(dtype: Any) -> str:
    return jnp.dtype(dtype).name
