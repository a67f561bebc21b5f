"""Every torchvision classifier beside torchvision: `python benchmarks/architectures.py [NAMES...]`.

Random weights and statistics (tests/synthetic.py), float32, one image. For each architecture: parameters, leaves that
came from torch and went back bit for bit, the largest difference of logits over the largest logit at the native size
and at an odd one, multiply-adds of the forward pass over those published, maps at the default layer by four methods,
and lowering for TPU. Rows go to results/architectures.jsonl as they are done; names that are there are not repeated.
It needs torch and torchvision, and 16 GiB for the largest.
"""

import argparse
import gc
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import export
from json_rows import rows

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import _torchvision
import reference
import synthetic

import converters
import jaxcam
from jaxcam import models
from jaxcam.probes._flops import flops

RESULTS = Path(__file__).parent / "results"
METHODS = ("gradcam", "hirescam", "clustercam", "conceptorcam")
ODD = (161, 193)
FIXED = ("vit_", "maxvit_")  # take their native size only
CLASSES = 1000
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # heads for training, which these models leave out


def row(name: str) -> dict:
    import torch

    began = time.perf_counter()
    abstract = nnx.eval_shape(lambda: models.build(name))
    build = time.perf_counter() - began
    size = models.preprocess(name).size
    image = jax.ShapeDtypeStruct((size, size, 3), jnp.float32)
    layer = models.default_layer(name)
    probe = jaxcam.probe(abstract, layer)
    _, activation = jax.eval_shape(lambda p, x: p(x), probe, image)
    about = {
        "name": name,
        "build_s": round(build, 2),
        "size": size,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(nnx.state(abstract, nnx.Param))),
        "torchvision_parameters": sum(
            value.numel()
            for key, value in reference.abstract(name, CLASSES).named_parameters()
            if not key.startswith(AUXILIARY)
        ),
        "layer": layer,
        "layer_shape": list(activation.shape),
        "gmacs": flops(lambda p, x: p(x)[0], probe, image) / 2e9,
        "torchvision_gmacs": _published_gmacs(_torchvision.load(), name, size),
        "tpu": _lowers(probe, image),
    }
    state = synthetic.weights(reference.shapes(name, CLASSES))
    model = converters.from_torch(abstract, state)
    again = converters.to_torch(model)
    kept = {key: value for key, value in state.items() if not key.startswith(AUXILIARY)}
    about["arrays"] = len(kept)
    about["bit_exact"] = again.keys() == kept.keys() and all(
        again[key].tobytes() == value.tobytes() for key, value in kept.items()
    )
    del again
    theirs = reference.model(name, state, CLASSES)
    probe = jaxcam.probe(model, layer)
    forward = jax.jit(lambda p, x: p(x)[0])
    about["compiled_gmacs"] = forward.lower(probe, image).compile().cost_analysis()["flops"] / 2e9
    sizes = {"native": (size, size)} if name.startswith(FIXED) else {"native": (size, size), "odd": ODD}
    for kind, (height, width) in sizes.items():
        picture = synthetic.image(height, width)
        with torch.inference_mode():
            expected = theirs(torch.from_numpy(picture)).numpy()[0]
        ours = np.asarray(forward(probe, jnp.asarray(picture[0])))
        about[f"error_{kind}"] = float(np.abs(ours - expected).max() / np.abs(expected).max())
    del theirs
    small = (size, size) if name.startswith(FIXED) else (96, 96) if size < 299 else (139, 139)
    about["maps"] = _maps(probe, jnp.asarray(synthetic.image(*small)[0]))
    return about


def _published_gmacs(torchvision, name: str, size: int) -> float:
    """Published multiply-adds, of an entry for this size of pictures."""
    for entry in torchvision.models.get_model_weights(name):
        if entry.transforms().crop_size == [size]:
            return entry.meta["_ops"]
    raise ValueError(f"no published weights of {name} are for {size} pixels")


def _lowers(probe, image) -> bool:
    def logit_and_gradient(leaves, x):
        look = jax.tree.unflatten(tree, leaves).look(x, 0)
        return look.score, look.gradient

    leaves, tree = jax.tree.flatten(probe)
    return "tpu" in export.export(jax.jit(logit_and_gradient), platforms=["tpu"])(leaves, image).platforms


def _maps(probe, image) -> dict:
    """The spread of each raw map over its largest value: 0 is a constant one."""
    both = jax.jit(lambda p, x: {name: jaxcam.METHODS[name](p, x, 3) for name in METHODS})(probe, image)
    spread = {}
    for name, raw in both.items():
        raw = np.asarray(raw)
        assert raw.size > 1
        assert np.isfinite(raw).all()
        spread[name] = float(np.ptp(raw) / np.abs(raw).max()) if raw.any() else 0.0
    return spread


def page(found: list[dict]) -> str:
    lines = [
        "# Every architecture, beside torchvision",
        "",
        "`python benchmarks/architectures.py`: random weights and running statistics, float32, one image, CPU, jax "
        f"{jax.__version__}. The error is the largest difference of logits over the largest logit. MACs are "
        "multiply-adds of convolutions and matrix products of the forward pass as traced, those that XLA counts in the "
        "compiled program (half its floating point operations, norms, activations and all), and those that torchvision "
        "publishes. `maps` is the spread of Grad-CAM, HiResCAM, Cluster-CAM and Conceptor-CAM at the default layer over "
        "the map's largest value, the least of the four; 0 would be a constant map. Every row lowers for TPU with its "
        "gradient, and goes to torch's names and layout and back bit for bit.",
        "",
        "| architecture | parameters | default layer | its map | pictures | error | at an odd size | GMACs | compiled | published | maps |",
        "|---|---:|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    order = {name: number for number, name in enumerate(models.names())}
    for each in sorted(found, key=lambda each: order[each["name"]]):
        assert each["tpu"]
        assert each["bit_exact"]
        assert each["parameters"] == each["torchvision_parameters"]
        h, w, channels = each["layer_shape"]
        odd = f"{each['error_odd']:.0e}" if "error_odd" in each else "one size"
        lines.append(
            f"| {each['name']} | {each['parameters']:,} | `{each['layer']}` | {h} × {w} × {channels} | {each['size']} "
            f"| {each['error_native']:.0e} | {odd} | {each['gmacs']:.2f} | {each['compiled_gmacs']:.2f} "
            f"| {each['torchvision_gmacs']:.2f} "
            f"| {min(each['maps'].values()):.2f} |"
        )
    worst = max(max(each["error_native"], each.get("error_odd", 0)) for each in found)
    build = sum(each["build_s"] for each in found)
    apart, compiled = (
        max(found, key=lambda each, kind=kind: abs(each[kind] / each["torchvision_gmacs"] - 1))
        for kind in ("gmacs", "compiled_gmacs")
    )
    lines += [
        "",
        f"{len(found)} architectures; built by `eval_shape` in {build:.0f} s together; largest error {worst:.1e}; "
        f"multiply-adds furthest from those published: {_gap(apart, 'gmacs')}; compiled: {_gap(compiled, 'compiled_gmacs')}. "
        "Transformers and ConvNeXts, whose pictures are small for their many layer norms, softmaxes and GELUs, have the "
        "widest gaps in the compiled count: those are operations that a count of multiply-adds leaves out.",
    ]
    return "\n".join(lines) + "\n"


def _gap(each: dict, kind: str) -> str:
    return f"{each['name']}, {100 * (each[kind] / each['torchvision_gmacs'] - 1):+.1f} %"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args().names
    file = RESULTS / "architectures.jsonl"
    done = {each["name"] for each in rows(file)}
    todo = chosen or [name for name in models.names() if not name.startswith("cifar_")]
    with jax.default_matmul_precision("highest"):
        for name in todo:
            if name in done:
                continue
            began = time.perf_counter()
            found = row(name)
            with file.open("a") as out:
                out.write(json.dumps(found) + "\n")
            print(f"{time.perf_counter() - began:6.1f} s", found, flush=True)
            jax.clear_caches()
            gc.collect()
    (RESULTS / "architectures.md").write_text(page(rows(file)))


if __name__ == "__main__":
    main()
