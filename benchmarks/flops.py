"""Compiled FLOPs of every method over those of the forward pass: `python benchmarks/flops.py`.

FLOPs are what XLA counts in the compiled program (`cost_analysis`) for one image of 224 x 224, with random weights: a
property of the program, the same on every run. Rows that the page has are kept; `--fresh` makes them anew.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

import jaxcam
from jaxcam import models
from jaxcam.methods import GROUPS
from jaxcam.methods._costs import COSTS

LAYERS = {
    "resnet50": ("layer4", "layer3", "layer1"),
    "vgg16": ("features.29", "features.16"),
    "vit_b_16": ("encoder.layers.encoder_layer_11.ln_1",),
}
ATTENTION = GROUPS.get("attention", {})
CLASSES = 10


def flops(function, *arguments) -> float:
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


def rows(name: str, kept: dict[tuple[str, ...], str]):
    # shapes are enough to compile: no weight is ever made
    model = nnx.eval_shape(lambda: models.build(name, rngs=nnx.Rngs(0)))
    image, target = jax.ShapeDtypeStruct((224, 224, 3), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32)
    several = jax.ShapeDtypeStruct((CLASSES,), jnp.int32)
    many = jax.vmap(jaxcam.gradcam, in_axes=(None, None, 0))
    for layer in LAYERS[name]:
        probe = jaxcam.probe(model, layer)
        forward = flops(lambda p, x: p(x)[0], probe, image)
        linear = layer == "layer4"  # what follows it is pooling and one linear layer

        def row(method, function, *arguments, layer=layer, probe=probe, forward=forward):
            if (name, layer, method) in kept:
                return kept[name, layer, method]
            try:
                count = flops(function, probe, image, *arguments)
            except (ValueError, TypeError) as error:
                return line(
                    name, layer, method, None, "does not apply" if "CAM needs" in str(error) else str(error)
                )
            return line(name, layer, method, count, count / forward)

        yield line(name, layer, "forward", forward, 1.0)
        for method, function in jaxcam.METHODS.items():
            if (method in ATTENTION) != (name == "vit_b_16"):
                continue
            looped = COSTS[method].forward not in ("1", "1 + 1 head", "1 + 2 heads")
            if not looped or (method == "ablationcam" and linear):
                yield row(method, function, target)
            else:  # a loop, whose body XLA counts once
                yield line(name, layer, method, None, COSTS[method].forward)
        yield row(f"gradcam, {CLASSES} classes", many, several)


def line(name: str, layer: str, method: str, count: float | None, over: float | str) -> str:
    cells = (f"{count / 1e9:.2f}", f"{over:.3f}") if count else ("–", over)
    return f"| {name} | {layer} | {method} | {cells[0]} | {cells[1]} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "flops.md")
    parser.add_argument("--fresh", action="store_true")
    arguments = parser.parse_args()
    out, kept = arguments.out, {}
    if out.exists() and not arguments.fresh:
        for each in out.read_text().splitlines():
            cells = [cell.strip() for cell in each.strip("|").split("|")]
            if len(cells) == 5 and (cells[3] != "–" or cells[4] == "does not apply"):
                kept[tuple(cells[:3])] = each
    lines = [
        "# Compiled FLOPs over the forward pass",
        "",
        f"`python benchmarks/flops.py`: one image of 224 x 224, jax {jax.__version__}, {jax.default_backend()}.",
        "",
        "| model | layer | method | GFLOP | over forward |",
        "|---|---|---|---:|---:|",
    ]
    for name in LAYERS:
        for each in rows(name, kept):
            lines.append(each)
            print(each, flush=True)
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
