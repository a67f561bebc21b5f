"""Compiled FLOPs of every method over those of the forward pass: `python benchmarks/flops.py`.

FLOPs are what XLA counts in the compiled program (`cost_analysis`) for one image of 224 x 224, with random weights: a
property of the program, the same on every run. Eigenvalue decompositions are library calls that XLA does not count.
"""

import argparse
import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

import jaxcam
from jaxcam import models
from jaxcam.methods._costs import COSTS

LAYERS = {"resnet50": ("layer4", "layer3", "layer1"), "vgg16": ("features.29", "features.16")}
CLASSES = 10


def flops(function, *arguments) -> float:
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


def rows(name: str):
    # shapes are enough to compile: no weight is ever made
    model = nnx.eval_shape(lambda: models.build(name, rngs=nnx.Rngs(0)))
    image, target = jax.ShapeDtypeStruct((224, 224, 3), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32)
    several = jax.ShapeDtypeStruct((CLASSES,), jnp.int32)
    for layer in LAYERS[name]:
        probe = jaxcam.probe(model, layer)
        forward = flops(lambda p, x: p(x)[0], probe, image)
        yield name, layer, "forward", forward, 1.0
        for method, function in jaxcam.METHODS.items():
            if "chunk" in inspect.signature(function).parameters:
                passes = COSTS[method].forward  # a loop over masks, whose body XLA counts once
                yield name, layer, method, None, passes
                continue
            try:
                yield name, layer, method, (f := flops(function, probe, image, target)), f / forward
            except (ValueError, TypeError):  # of another kind of model, or of the input
                yield name, layer, method, None, "does not apply"
        many = jax.vmap(jaxcam.gradcam, in_axes=(None, None, 0))
        yield (
            name,
            layer,
            f"gradcam, {CLASSES} classes",
            (f := flops(many, probe, image, several)),
            f / forward,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "flops.md")
    out = parser.parse_args().out
    lines = [
        "# Compiled FLOPs over the forward pass",
        "",
        f"`python benchmarks/flops.py`: one image of 224 x 224, jax {jax.__version__}, {jax.default_backend()}.",
        "",
        "| model | layer | method | GFLOP | over forward |",
        "|---|---|---|---:|---:|",
    ]
    for name in LAYERS:
        for model, layer, method, count, ratio in rows(name):
            cells = (f"{count / 1e9:.2f}", f"{ratio:.3f}") if count else ("–", ratio)
            lines.append(f"| {model} | {layer} | {method} | {cells[0]} | {cells[1]} |")
            print(lines[-1], flush=True)
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
